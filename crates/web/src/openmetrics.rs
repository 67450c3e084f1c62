//! The fleet for Prometheus: one list of families, from which both text forms and docs/metrics.md are made.
//!
//! Invariant: labels are bounded. They hold names of the registry and of werkpilot.toml, and words of our own enums. A value
//! that is not known has no sample; a value of 0 is told as 0.

mod agents;
mod bus;
mod events;
mod family;
mod http;
mod judgement;
mod memory;
mod orchestrator;
mod reference;
mod store;
mod text;
mod work;

use werkpilot_core::time::Timestamp;
use werkpilot_runtime::view::Scrape;

use family::Group;

pub use text::Dialect;

/// All families, in the order in which they are told.
const GROUPS: &[Group] = &[
    orchestrator::LIFE,
    orchestrator::HEALTH,
    agents::AGENTS,
    agents::RUNS,
    agents::HEALTH,
    judgement::SCORE,
    judgement::OPTIMIZER,
    work::EXECUTIONS,
    work::BREAKER,
    work::DEAD_LETTERS,
    memory::MEMORY,
    events::EVENTS,
    events::NOTIFICATIONS,
    bus::BUS,
    http::HTTP,
    store::STORE,
];

/// What an agent's samples take, roughly, so that the text is not moved while it grows.
const BYTES_PER_AGENT: usize = 4_096;

/// A scrape as text.
pub fn render(scrape: &Scrape, dialect: Dialect) -> String {
    let mut out = String::with_capacity((scrape.agents.len() + 8) * BYTES_PER_AGENT);
    for family in GROUPS.iter().flat_map(|group| group.families) {
        text::write(family, scrape, dialect, &mut out);
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// docs/metrics.md as it should be.
pub fn reference() -> String {
    reference::page()
}

/// Names of all metrics, as a query has them.
pub fn names() -> Vec<String> {
    let families = GROUPS.iter().flat_map(|group| group.families);
    families.map(|family| format!("{}{}", family.name, family.kind.suffix())).collect()
}

/// Unix time in seconds.
fn at(time: Timestamp) -> f64 {
    time.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::family::{Family, Kind, Values};
    use super::*;

    fn families() -> impl Iterator<Item = &'static Family> {
        GROUPS.iter().flat_map(|group| group.families)
    }

    fn is_name(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    }

    #[test]
    fn a_name_is_one_that_prometheus_asks_for() {
        for family in families() {
            let name = family.name;
            assert!(name.starts_with("werkpilot_") && is_name(name), "{name}");
            for suffix in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
                assert!(!name.ends_with(suffix), "{name}: the kind says that");
            }
            for other in ["_ms", "_millis", "_mb", "_percent", "_minutes", "_hours", "_days"] {
                assert!(!name.ends_with(other), "{name}: no base unit");
            }
            assert!(family.kind != Kind::Info || family.unit().is_none(), "{name}");
        }
    }

    #[test]
    fn a_family_is_there_once_and_no_sample_looks_like_anothers() {
        let names = names();
        let all: BTreeSet<&String> = names.iter().collect();
        assert_eq!(all.len(), names.len());
        let plain: BTreeSet<&str> = families().map(|family| family.name).collect();
        for name in &plain {
            assert!(
                !plain.contains(format!("{name}_total").as_str()) && !plain.contains(format!("{name}_info").as_str())
            );
        }
    }

    #[test]
    fn a_family_says_what_it_is_on_one_line() {
        for family in families() {
            let (name, help) = (family.name, family.help);
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"']), "{name}: {help}");
        }
    }

    #[test]
    fn labels_are_named_and_bounded() {
        for family in families() {
            let mut names = BTreeSet::new();
            for label in family.labels {
                assert!(is_name(label.name) && names.insert(label.name), "{}", family.name);
                match label.values {
                    Values::Words(words) => assert!(!words.is_empty() && words.iter().all(|word| !word.is_empty())),
                    Values::Named(what) => assert!(!what.is_empty()),
                    Values::Agent => assert_eq!(label.name, "agent"),
                }
            }
            assert_eq!(names.contains("quantile"), family.kind == Kind::Summary, "{}", family.name);
        }
    }
}
