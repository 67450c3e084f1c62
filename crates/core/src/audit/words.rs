//! What was done, in words: the same in the command, in the API and for the filter of both.
//!
//! Invariant: every route that changes something has words, and nothing else has but `reload`; a test of web compares
//! this table with that of the routes.

/// Each action, method and path of a route or `reload`, and what somebody did by it.
pub const WORDS: [(&str, &str); 28] = [
    ("POST /api/v1/agents/{name}/start", "started an agent"),
    ("POST /api/v1/agents/{name}/stop", "stopped an agent"),
    ("POST /api/v1/agents/{name}/restart", "restarted an agent"),
    ("POST /api/v1/agents/{name}/enable", "enabled an agent"),
    ("POST /api/v1/agents/{name}/disable", "disabled an agent"),
    ("POST /api/v1/agents/{name}/trigger", "ran an agent"),
    ("POST /api/v1/executions/{run}/cancel", "cancelled an execution"),
    ("POST /api/v1/dead-letters/{id}/replay", "replayed a dead letter"),
    ("POST /api/v1/dead-letters/{id}/edit", "edited a dead letter"),
    ("POST /api/v1/dead-letters/{id}/discard", "discarded a dead letter"),
    ("POST /api/v1/dead-letters/replay", "replayed dead letters"),
    ("POST /api/v1/dead-letters/replay/{set}/cancel", "cancelled a set of replays"),
    ("POST /api/v1/dead-letters/discard", "discarded dead letters"),
    ("POST /api/v1/notifications/test", "tested notifications"),
    ("POST /api/v1/bus/request", "sent a request on the bus"),
    ("POST /api/v1/bus/publish", "published on the bus"),
    ("POST /api/v1/optimize", "ran the optimizer"),
    ("POST /api/v1/decisions/{id}/undo", "undid a decision"),
    ("POST /api/v1/pause", "paused all triggers"),
    ("POST /api/v1/resume", "resumed all triggers"),
    ("POST /api/v1/reload", "reloaded the files"),
    // A signal or a changed file: no route asked for it.
    ("reload", "reloaded the files"),
    ("POST /api/v1/shutdown", "shut down the orchestrator"),
    ("POST /api/v1/session", "logged in"),
    ("DELETE /api/v1/session", "logged out"),
    ("POST /api/v1/login-codes", "made a login link"),
    ("POST /api/v1/tokens", "created a token"),
    ("DELETE /api/v1/tokens/{id}", "revoked a token"),
];

/// What somebody did by an action. One that there is no more, from the log of an older version, stays as it is.
pub fn in_words(action: &str) -> &str {
    WORDS.iter().find(|(known, _)| *known == action).map_or(action, |(_, words)| words)
}
