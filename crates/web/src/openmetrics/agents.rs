//! The agents: how they are, how they run, how healthy they are.

use werkpilot_core::status::Status;

use super::family::{AGENT, Family, Group, Label, QUANTILE};
use super::text::seconds;

const STATUS_WORDS: [&str; Status::ALL.len()] = {
    let mut words = [""; Status::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Status::ALL[at].as_str();
        at += 1;
    }
    words
};

const PROBE: Label = Label::words("probe", &["http", "tcp", "exec", "bus", "notify", "max_silence"]);

pub(super) const AGENTS: Group = Group {
    title: "Agents",
    note: "",
    families: &[
        Family::gauge(
            "werkpilot_agents",
            "Agents by status.",
            &[Label::words("status", &STATUS_WORDS)],
            |scrape, out| {
                for status in STATUS_WORDS {
                    out.of([status], scrape.overview.system.statuses.get(status).copied().unwrap_or(0));
                }
            },
        ),
        Family::gauge("werkpilot_agent_up", "Whether a process of the agent runs.", &[AGENT], |scrape, out| {
            for agent in &scrape.overview.agents {
                out.of([agent.name.as_str()], !agent.pids.is_empty());
            }
        }),
        Family::gauge(
            "werkpilot_agent_status",
            "1 for the agent's present status.",
            &[AGENT, Label::words("status", &STATUS_WORDS)],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.of([agent.name.as_str(), agent.status.as_str()], true);
                }
            },
        ),
        Family::gauge("werkpilot_agent_priority", "The priority in effect, 1 to 3.", &[AGENT], |scrape, out| {
            for agent in &scrape.overview.agents {
                out.of([agent.name.as_str()], agent.priority);
            }
        }),
        Family::gauge("werkpilot_agent_uptime_seconds", "Of its oldest process.", &[AGENT], |scrape, out| {
            for agent in &scrape.overview.agents {
                out.maybe_of([agent.name.as_str()], agent.uptime_seconds);
            }
        }),
        Family::counter(
            "werkpilot_agent_restarts",
            "Automatic restarts and retries ever; it goes on after a restart of the orchestrator.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.of([agent.name.as_str()], agent.restarts);
                }
            },
        ),
    ],
};

pub(super) const RUNS: Group = Group {
    title: "Executions of agents",
    note: "",
    families: &[
        Family::counter(
            "werkpilot_agent_successes",
            "Successful executions of a job ever; it goes on after a restart.",
            &[AGENT],
            |scrape, out| {
                for agent in scrape.overview.agents.iter().filter(|agent| agent.kind == "job") {
                    out.of([agent.name.as_str()], agent.times.count);
                }
            },
        ),
        Family::counter(
            "werkpilot_agent_failures",
            "Executions, or a service's efforts, that failed for good ever; it goes on after a restart.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.of([agent.name.as_str()], agent.failures);
                }
            },
        ),
        Family::summary(
            "werkpilot_agent_execution_duration_seconds",
            "Durations of the last successful executions ([percentiles] samples of them).",
            &[AGENT, QUANTILE],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.quantiles_of(agent.name.as_str(), [agent.times.p50, agent.times.p95, agent.times.p99]);
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_execution_duration_mean_seconds",
            "Mean of the same durations.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.times.avg_duration_ms.map(seconds));
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_last_execution_timestamp_seconds",
            "When its last execution ended.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.last_run.as_ref().map(|last| super::at(last.at)));
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_last_execution_duration_seconds",
            "How long the last attempt of its last execution took.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    let duration = agent.last_run.as_ref().and_then(|last| last.duration_ms);
                    out.maybe_of([agent.name.as_str()], duration.map(seconds));
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_last_execution_succeeded",
            "Whether its last execution succeeded.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    let last = agent.last_run.as_ref();
                    out.maybe_of([agent.name.as_str()], last.map(|last| last.end.as_str() == "succeeded"));
                }
            },
        ),
        Family::gauge("werkpilot_agent_next_run_timestamp_seconds", "When it is due next.", &[AGENT], |scrape, out| {
            for agent in &scrape.overview.agents {
                out.maybe_of([agent.name.as_str()], agent.next_run.map(super::at));
            }
        }),
        Family::summary(
            "werkpilot_agent_request_latency_seconds",
            "Latencies of its answers on the bus in the last hour.",
            &[AGENT, QUANTILE],
            |scrape, out| {
                for (agent, times) in &scrape.requests {
                    out.quantiles_of(agent.as_str(), [times.p50, times.p95, times.p99]);
                }
            },
        ),
    ],
};

pub(super) const HEALTH: Group = Group {
    title: "Health of agents",
    note: "",
    families: &[
        Family::gauge(
            "werkpilot_agent_healthy",
            "Whether it is well as those that depend on it see it.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.agents {
                    out.of([agent.name.as_str()], agent.healthy);
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_health_check_passed",
            "Whether the last look at its health, by a probe of its own or the overall check, found it well; nothing where that could not be told.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.agents {
                    out.maybe_of([agent.name.as_str()], agent.last_check.and_then(|(_, passed)| passed));
                }
            },
        ),
        Family::gauge("werkpilot_agent_health_check_timestamp_seconds", "When that was.", &[AGENT], |scrape, out| {
            for agent in &scrape.agents {
                out.maybe_of([agent.name.as_str()], agent.last_check.map(|(at, _)| super::at(at)));
            }
        }),
        Family::gauge(
            "werkpilot_agent_probe_passing",
            "Whether all of its instances are well by this probe.",
            &[AGENT, PROBE],
            |scrape, out| {
                for agent in &scrape.agents {
                    for probe in &agent.probes {
                        out.of([agent.name.as_str(), probe.kind], probe.healthy);
                    }
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_probe_failures_in_a_row",
            "Failures of this probe since its last success, of the worst instance.",
            &[AGENT, PROBE],
            |scrape, out| {
                for agent in &scrape.agents {
                    for probe in &agent.probes {
                        out.of([agent.name.as_str(), probe.kind], probe.failures_in_a_row);
                    }
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_probe_duration_seconds",
            "What the last probe took, of the slowest instance.",
            &[AGENT, PROBE],
            |scrape, out| {
                for agent in &scrape.agents {
                    for probe in &agent.probes {
                        out.maybe_of([agent.name.as_str(), probe.kind], probe.took_ms.map(seconds));
                    }
                }
            },
        ),
    ],
};
