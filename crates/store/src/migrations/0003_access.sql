-- Who did what: a chain of hashes (werkpilot_core::audit), oldest entries pruned.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    who    TEXT NOT NULL,
    way    TEXT NOT NULL,
    peer   TEXT,
    action TEXT NOT NULL,
    target TEXT,
    before TEXT,
    after  TEXT,
    status INTEGER,
    detail TEXT,
    prev   BLOB NOT NULL,
    hash   BLOB NOT NULL,
    sum    INTEGER NOT NULL
) STRICT;

-- `anchor`: the newest entry that was pruned. `head`: the newest entry.
CREATE TABLE audit_ends (
    name TEXT NOT NULL PRIMARY KEY,
    id   INTEGER NOT NULL,
    hash BLOB NOT NULL,
    sum  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens of the API; of their secrets the SHA-256.
CREATE TABLE tokens (
    id           TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    hash         BLOB NOT NULL,
    created_ms   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    last_used_ms INTEGER,
    revoked_ms   INTEGER,
    sum          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys of requests that are done once. `key` is the SHA-256 of owner and key, `status` and `answer` what was answered.
CREATE TABLE idempotency (
    id      INTEGER PRIMARY KEY,
    key     BLOB NOT NULL UNIQUE,
    at_ms   INTEGER NOT NULL,
    request BLOB NOT NULL,
    run     BLOB NOT NULL,
    status  INTEGER,
    answer  TEXT,
    sum     INTEGER NOT NULL
) STRICT;
