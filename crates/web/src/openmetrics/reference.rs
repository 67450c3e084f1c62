//! docs/metrics.md: the families for people.

use std::fmt::Write;

use super::GROUPS;
use super::family::{Family, Group, Kind, Label, Values};

const HEAD: &str = "# Metrics

<!-- Made from the code: `make metrics` writes it anew, and a test compares it. -->

What `GET /metrics` tells Prometheus. Any scraper that asks for OpenMetrics 1.0 or for the older text format
(`text/plain; version=0.0.4`) gets it; `Accept: */*` gets the JSON of the predecessor. How to scrape it, and a dashboard for
Grafana, are described in [operate.md](operate.md).

Units are base units: seconds, bytes, and ratios from 0 to 1; the unit is the end of the name. Counters end in `_total` and
begin at 0 with each start of the orchestrator, unless it says otherwise. Labels are bounded: `agent` is an agent's name,
the others are names of werkpilot.toml and words of a fixed list. A value that is not known has no sample. Summaries have quantiles only: what
is old is forgotten, so there is no sum and no count that a rate could be made of.
";

/// The page.
pub(super) fn page() -> String {
    let mut out = HEAD.to_owned();
    for Group { title, note, families } in GROUPS {
        // A string takes everything.
        let _ = write!(out, "\n## {title}\n\n");
        if !note.is_empty() {
            let _ = write!(out, "{note}\n\n");
        }
        out.push_str("| metric | type | labels | what |\n|---|---|---|---|\n");
        for family in *families {
            let Family { name, kind, help, labels, .. } = family;
            let (suffix, labels) = (kind.suffix(), labels.iter().map(label).collect::<Vec<_>>().join("<br>"));
            let help = cell(help);
            let _ = writeln!(out, "| `{name}{suffix}` | {} | {labels} | {help} |", word(*kind));
        }
    }
    out
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Info => "info: always 1",
        _ => kind.as_str(),
    }
}

fn label(Label { name, values }: &Label) -> String {
    let values = match values {
        Values::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
        Values::Named(what) => (*what).to_owned(),
        Values::Agent => return format!("`{name}`"),
    };
    format!("`{name}`: {values}")
}

/// Nothing that a table takes for its own.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
