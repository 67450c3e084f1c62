//! Executions, the queue, the breaker of all agents, dead letters.

use werkpilot_core::event::End;

use super::family::{AGENT, Family, Group, Label, QUANTILE};

const END_WORDS: [&str; End::ALL.len()] = {
    let mut words = [""; End::ALL.len()];
    let mut at = 0;
    while at < End::ALL.len() {
        words[at] = End::ALL[at].as_str();
        at += 1;
    }
    words
};

pub(super) const EXECUTIONS: Group = Group {
    title: "Executions and the queue",
    note: "",
    families: &[
        Family::counter(
            "werkpilot_executions",
            "Ended executions by end.",
            &[Label::words("end", &END_WORDS)],
            |scrape, out| {
                for (end, topic) in END_WORDS.iter().zip(END_TOPICS) {
                    out.of([end], scrape.overview.system.events.get(topic).copied().unwrap_or(0));
                }
            },
        ),
        Family::gauge("werkpilot_queue_length", "Executions that wait.", &[], |scrape, out| {
            out.plain(scrape.overview.system.execution_queue_size);
        }),
        Family::gauge("werkpilot_queue_capacity", "Executions that may wait.", &[], |scrape, out| {
            out.plain(scrape.overview.system.queue_capacity);
        }),
        Family::gauge("werkpilot_workers", "Executions that may run at a time.", &[], |scrape, out| {
            out.plain(scrape.overview.system.workers);
        }),
        Family::gauge("werkpilot_workers_busy", "Executions that run.", &[], |scrape, out| {
            out.plain(scrape.overview.system.workers_busy);
        }),
        Family::summary(
            "werkpilot_queue_wait_seconds",
            "Waiting times of the last hour.",
            &[QUANTILE],
            |scrape, out| {
                out.quantiles(&scrape.overview.system.waiting);
            },
        ),
    ],
};

/// What the ends are counted by.
const END_TOPICS: [&str; End::ALL.len()] = [
    "execution.succeeded",
    "execution.failed",
    "execution.timed_out",
    "execution.skipped",
    "execution.refused",
    "execution.cancelled",
    "execution.interrupted",
    "execution.lost",
];

pub(super) const BREAKER: Group = Group {
    title: "Restarts and breakers",
    note: "",
    families: &[
        Family::gauge(
            "werkpilot_restarts_last_hour",
            "Automatic restarts and retries of the last hour.",
            &[],
            |scrape, out| out.plain(scrape.overview.system.restarts_last_hour),
        ),
        Family::gauge(
            "werkpilot_breaker_restarts",
            "Automatic restarts and retries within the window of the breaker of all agents.",
            &[],
            |scrape, out| out.plain(scrape.breaker.restarts),
        ),
        Family::gauge(
            "werkpilot_breaker_restarts_limit",
            "So many of them are let through; 0 is unlimited.",
            &[],
            |scrape, out| out.plain(scrape.breaker.max_restarts),
        ),
        Family::gauge("werkpilot_breaker_window_seconds", "That window.", &[], |scrape, out| {
            out.plain(scrape.breaker.window.as_secs_f64());
        }),
        Family::gauge(
            "werkpilot_agent_breaker_state",
            "1 for the state of the agent's own breaker.",
            &[AGENT, Label::words("state", &["closed", "open", "half_open"])],
            |scrape, out| {
                for agent in &scrape.agents {
                    out.of([agent.name.as_str(), agent.breaker], true);
                }
            },
        ),
    ],
};

pub(super) const DEAD_LETTERS: Group = Group {
    title: "Dead letters",
    note: "",
    families: &[
        Family::gauge("werkpilot_dead_letter_queue_length", "Dead letters that are kept.", &[], |scrape, out| {
            out.plain(scrape.overview.system.dead_letter_queue_size);
        }),
        Family::gauge("werkpilot_dead_letter_queue_capacity", "Dead letters that may be kept.", &[], |scrape, out| {
            out.plain(scrape.dead_letters.capacity);
        }),
        Family::gauge(
            "werkpilot_dead_letters_waiting",
            "Dead letters that wait in memory until the disk takes them.",
            &[],
            |scrape, out| out.plain(scrape.dead_letters.waiting_for_disk),
        ),
        Family::counter(
            "werkpilot_dead_letters",
            "Dead letters ever; it goes on after a restart.",
            &[],
            |scrape, out| out.plain(scrape.overview.system.dead_letters_total),
        ),
        Family::counter(
            "werkpilot_dead_letters_evicted",
            "Dead letters that had to make room, ever.",
            &[],
            |scrape, out| out.plain(scrape.overview.system.dead_letters_evicted),
        ),
        Family::gauge("werkpilot_agent_dead_letters", "Dead letters that are kept.", &[AGENT], |scrape, out| {
            for agent in &scrape.agents {
                out.of([agent.name.as_str()], agent.dead_letters);
            }
        }),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ends_topic_is_that_of_its_event() {
        for (word, topic) in END_WORDS.iter().zip(END_TOPICS) {
            assert_eq!(topic, format!("execution.{word}"));
        }
    }
}
