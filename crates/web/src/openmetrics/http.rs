//! HTTP itself.

use werkpilot_runtime::view::{HttpFigures, Scrape};

use super::family::{Family, Group, Label};
use super::text::Samples;

const CODES: &[&str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];
const REFUSALS: &[&str] = &["too_large", "malformed", "slow", "not_tls"];
const CLOSURES: &[&str] = &["idle", "full", "stalled"];

/// Only a server has figures of its own.
fn with(scrape: &Scrape, out: &mut Samples<'_>, write: impl FnOnce(&HttpFigures, &mut Samples<'_>)) {
    if let Some(http) = &scrape.http {
        write(http, out);
    }
}

fn each(words: &[&str], counts: &[u64], out: &mut Samples<'_>) {
    for (word, count) in words.iter().zip(counts) {
        out.of([word], *count);
    }
}

pub(super) const HTTP: Group = Group {
    title: "HTTP",
    note: "Both listeners together.",
    families: &[
        Family::gauge("werkpilot_http_connections", "Open connections.", &[], |scrape, out| {
            with(scrape, out, |http, out| out.plain(http.connections));
        }),
        Family::counter(
            "werkpilot_http_requests",
            "Answered requests by the first digit of their status.",
            &[Label::words("code", CODES)],
            |scrape, out| with(scrape, out, |http, out| each(CODES, &http.answers, out)),
        ),
        Family::counter(
            "werkpilot_http_panics",
            "Handlers that panicked; their requests were answered with 500.",
            &[],
            |scrape, out| with(scrape, out, |http, out| out.plain(http.panics)),
        ),
        Family::counter(
            "werkpilot_http_refused",
            "Requests that were refused before any handler saw them.",
            &[Label::words("reason", REFUSALS)],
            |scrape, out| with(scrape, out, |http, out| each(REFUSALS, &http.refused, out)),
        ),
        Family::counter(
            "werkpilot_http_connections_closed",
            "Connections that were closed: idle for long, idle while others needed their place, or not reading.",
            &[Label::words("reason", CLOSURES)],
            |scrape, out| with(scrape, out, |http, out| each(CLOSURES, &http.closed, out)),
        ),
    ],
};
