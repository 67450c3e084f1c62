//! What is made of all figures: scores, and the optimizer's reports.

use super::family::{AGENT, Family, Group, Label};

pub(super) const SCORE: Group = Group {
    title: "Score",
    note: "A score of 100 is a ratio of 1. Without data there is none.",
    families: &[
        Family::gauge(
            "werkpilot_agent_score_ratio",
            "How far it can be relied on: success 50 %, latency 20 %, stability 20 %, punctuality 10 %.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.score.map(|score| score / 100.0));
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_score_part_ratio",
            "The parts of its score, before they are weighted.",
            &[AGENT, Label::words("part", &["success", "latency", "stability", "punctuality"])],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    let Some(parts) = &agent.score_parts else { continue };
                    let name = agent.name.as_str();
                    out.maybe_of([name, "success"], parts.success);
                    out.maybe_of([name, "latency"], parts.latency);
                    out.maybe_of([name, "stability"], parts.stability);
                    out.maybe_of([name, "punctuality"], parts.punctuality);
                }
            },
        ),
    ],
};

pub(super) const OPTIMIZER: Group = Group {
    title: "The optimizer",
    note: "Runs are counted by `werkpilot_events_total{topic=\"optimization.completed\"}`.",
    families: &[
        Family::gauge("werkpilot_optimizer_running", "Whether a run goes on.", &[], |scrape, out| {
            out.plain(scrape.optimizer.running);
        }),
        Family::gauge(
            "werkpilot_optimizer_next_run_timestamp_seconds",
            "When the next run of the night is.",
            &[],
            |scrape, out| out.maybe(scrape.optimizer.next_run.map(super::at)),
        ),
        Family::gauge(
            "werkpilot_optimizer_last_run_timestamp_seconds",
            "When the last run began whose report is kept.",
            &[],
            |scrape, out| out.maybe(scrape.optimizer.newest_report.as_ref().map(|report| super::at(report.at))),
        ),
        Family::gauge("werkpilot_optimizer_last_proposals", "What it proposed.", &[], |scrape, out| {
            out.maybe(scrape.optimizer.newest_report.as_ref().map(|report| report.proposals));
        }),
        Family::gauge("werkpilot_optimizer_last_applied", "How many of these were applied.", &[], |scrape, out| {
            out.maybe(scrape.optimizer.newest_report.as_ref().map(|report| report.applied));
        }),
        Family::gauge(
            "werkpilot_optimizer_decisions",
            "Priorities that it decided and that are in effect.",
            &[],
            |scrape, out| out.plain(scrape.optimizer.decisions),
        ),
    ],
};
