PRAGMA application_id = 0x574B5054;

-- Times are milliseconds since the Unix epoch (UTC), spans are microseconds, run ids are the 16 bytes of the UUID.
-- `sum` is the CRC-32 of the row's other columns (src/sum.rs). JSON is text.

-- Names of agents and topics of events, so that rows carry a small number.
CREATE TABLE names (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    sum  INTEGER NOT NULL
) STRICT;

-- Numbers that only grow: the newest event, the newest dead letter, letters evicted.
CREATE TABLE counters (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL,
    sum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    agent       INTEGER NOT NULL PRIMARY KEY,
    updated_ms  INTEGER NOT NULL,
    disabled_by TEXT,
    why         TEXT,
    stopped     INTEGER NOT NULL,
    breaker     TEXT,
    backoff     TEXT,
    restarts    INTEGER NOT NULL,
    successes   INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    health_ms   INTEGER,
    health      TEXT,
    sum         INTEGER NOT NULL
) STRICT;

CREATE TABLE schedules (
    agent       INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    position_ms INTEGER NOT NULL,
    definition  TEXT NOT NULL,
    updated_ms  INTEGER NOT NULL,
    sum         INTEGER NOT NULL,
    PRIMARY KEY (agent, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE triggers (
    run          BLOB NOT NULL PRIMARY KEY,
    agent        INTEGER NOT NULL,
    trigger      TEXT NOT NULL,
    origin       INTEGER,
    scheduled_ms INTEGER,
    accepted_ms  INTEGER NOT NULL,
    payload      BLOB,
    cause        TEXT,
    sum          INTEGER NOT NULL
) STRICT;

CREATE TABLE executions (
    id           INTEGER PRIMARY KEY,
    run          BLOB NOT NULL UNIQUE,
    agent        INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    trigger      TEXT NOT NULL,
    origin       INTEGER,
    scheduled_ms INTEGER,
    queued_ms    INTEGER NOT NULL,
    started_ms   INTEGER,
    ended_ms     INTEGER,
    attempt      INTEGER NOT NULL,
    pid          INTEGER,
    pid_start    INTEGER,
    boot_id      TEXT,
    attempts     TEXT,
    waited_us    INTEGER,
    duration_us  INTEGER,
    exit         TEXT,
    reason       TEXT,
    why          TEXT,
    peak_bytes   INTEGER,
    log          TEXT,
    sum          INTEGER NOT NULL
) STRICT;
CREATE INDEX executions_live ON executions (id) WHERE ended_ms IS NULL;
CREATE INDEX executions_ended ON executions (ended_ms, id) WHERE ended_ms IS NOT NULL;
CREATE INDEX executions_agent ON executions (agent, ended_ms, id) WHERE ended_ms IS NOT NULL;
-- State 2 is `succeeded`; what did not succeed is rare and asked for most.
CREATE INDEX executions_other ON executions (ended_ms, id) WHERE state > 2;
CREATE INDEX executions_agent_other ON executions (agent, ended_ms, id) WHERE state > 2;

CREATE TABLE events (
    seq   INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    agent INTEGER,
    run   BLOB,
    data  TEXT NOT NULL,
    sum   INTEGER NOT NULL
) STRICT;
CREATE INDEX events_topic ON events (topic, seq);
CREATE INDEX events_agent ON events (agent, seq) WHERE agent IS NOT NULL;
CREATE INDEX events_run ON events (run, seq) WHERE run IS NOT NULL;

-- The last durations of successful executions, 64 to a row; `first` is the number of the row's first sample.
CREATE TABLE samples (
    agent INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    first INTEGER NOT NULL,
    data  BLOB NOT NULL,
    sum   INTEGER NOT NULL,
    PRIMARY KEY (agent, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE digests (
    name    TEXT NOT NULL,
    slot    TEXT NOT NULL,
    slot_ms INTEGER NOT NULL,
    data    BLOB NOT NULL,
    sum     INTEGER NOT NULL,
    PRIMARY KEY (name, slot, slot_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE scores (
    agent INTEGER NOT NULL,
    day   INTEGER NOT NULL,
    score REAL,
    parts TEXT NOT NULL,
    sum   INTEGER NOT NULL,
    PRIMARY KEY (agent, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    id            INTEGER PRIMARY KEY,
    agent         INTEGER NOT NULL,
    run           BLOB NOT NULL,
    at_ms         INTEGER NOT NULL,
    error         TEXT NOT NULL,
    signature     TEXT NOT NULL,
    restart_count INTEGER NOT NULL,
    context       TEXT NOT NULL,
    payload       BLOB,
    origin        INTEGER,
    state         INTEGER NOT NULL,
    replay_run    BLOB,
    waits_for     INTEGER,
    replays       INTEGER NOT NULL,
    kills         INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL,
    sum           INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_agent ON dead_letters (agent, id);
CREATE INDEX dead_letters_signature ON dead_letters (signature, id, agent, at_ms);
CREATE INDEX dead_letters_age ON dead_letters (at_ms, id);
CREATE INDEX dead_letters_replaying ON dead_letters (replay_run) WHERE replay_run IS NOT NULL;
