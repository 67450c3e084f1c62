-- Reports of the optimizer, whole, as JSON.
CREATE TABLE reports (
    id        INTEGER PRIMARY KEY,
    at_ms     INTEGER NOT NULL,
    asked_by  TEXT NOT NULL,
    proposals INTEGER NOT NULL,
    applied   INTEGER NOT NULL,
    data      TEXT NOT NULL,
    sum       INTEGER NOT NULL
) STRICT;

-- Priorities that were applied. `data` is the decision as JSON, with its state.
CREATE TABLE decisions (
    id         INTEGER PRIMARY KEY,
    agent      INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    data       TEXT NOT NULL,
    sum        INTEGER NOT NULL
) STRICT;
