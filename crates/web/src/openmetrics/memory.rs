//! Memory: the ladder, and who uses what.

use werkpilot_core::memory::Level;

use super::family::{AGENT, Family, Group, Label};

const LEVELS: [&str; 3] = [Level::Normal.as_str(), Level::Warning.as_str(), Level::Critical.as_str()];

fn ratio(percent: impl Into<f64>) -> f64 {
    percent.into() / 100.0
}

pub(super) const MEMORY: Group = Group {
    title: "Memory",
    note: "As of the last check (`[memory] interval`); nothing before the first one.",
    families: &[
        Family::gauge(
            "werkpilot_memory_bytes",
            "Memory of the orchestrator (resident, and its live heap) and of all agents, and the budget for both.",
            &[Label::words("of", &["orchestrator", "orchestrator_heap", "agents", "budget"])],
            |scrape, out| {
                let memory = &scrape.memory;
                let own = memory.orchestrator.rss_bytes;
                out.of(["orchestrator"], own);
                out.of(["orchestrator_heap"], memory.orchestrator.heap_allocated_bytes);
                out.of(["agents"], memory.used_bytes.saturating_sub(own));
                out.of(["budget"], memory.budget_bytes);
            },
        ),
        Family::gauge(
            "werkpilot_host_memory_bytes",
            "Memory of the host.",
            &[Label::words("of", &["total", "available"])],
            |scrape, out| {
                out.of(["total"], scrape.memory.host.total_bytes);
                out.of(["available"], scrape.memory.host.available_bytes);
            },
        ),
        Family::gauge(
            "werkpilot_memory_used_ratio",
            "The larger of ours / budget and 1 - available / total of the host; what the thresholds are held against.",
            &[],
            |scrape, out| out.plain(ratio(scrape.memory.percent)),
        ),
        Family::gauge(
            "werkpilot_memory_threshold_ratio",
            "The thresholds of [memory].",
            &[Label::words("threshold", &["warning", "critical", "recover"])],
            |scrape, out| {
                let thresholds = &scrape.memory.thresholds;
                out.of(["warning"], ratio(thresholds.warning_percent));
                out.of(["critical"], ratio(thresholds.critical_percent));
                out.of(["recover"], ratio(thresholds.recover_percent));
            },
        ),
        Family::gauge(
            "werkpilot_memory_level",
            "1 for the level of the ladder.",
            &[Label::words("level", &LEVELS)],
            |scrape, out| out.one_of(&LEVELS, scrape.memory.level.as_str()),
        ),
        Family::gauge(
            "werkpilot_memory_agents_shed",
            "Agents that are disabled because memory was short.",
            &[],
            |scrape, out| out.plain(scrape.memory.shed.len()),
        ),
        Family::gauge(
            "werkpilot_memory_processes_unreadable",
            "Processes that could not be read at the last check; they count as they were before.",
            &[],
            |scrape, out| out.plain(scrape.memory.unreadable_processes),
        ),
        Family::gauge(
            "werkpilot_memory_pressure_ratio",
            "Share of the last ten seconds in which some or all waited for memory (PSI); nothing where the kernel does not tell.",
            &[Label::words("who", &["some", "full"])],
            |scrape, out| {
                if let Some(pressure) = &scrape.memory.pressure {
                    out.of(["some"], ratio(pressure.some_avg10));
                    out.of(["full"], ratio(pressure.full_avg10));
                }
            },
        ),
        Family::gauge("werkpilot_memory_check_timestamp_seconds", "When memory was looked at.", &[], |scrape, out| {
            out.maybe(scrape.memory.at.map(super::at));
        }),
        Family::gauge(
            "werkpilot_agent_memory_bytes",
            "Memory of its process trees: proportional share where it can be read, else resident.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.memory.memory_bytes);
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_memory_peak_bytes",
            "The most that it used at a check, since the start of the orchestrator.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.memory.memory_peak_bytes);
                }
            },
        ),
        Family::gauge("werkpilot_agent_processes", "Processes of its process trees.", &[AGENT], |scrape, out| {
            for agent in &scrape.overview.agents {
                out.maybe_of([agent.name.as_str()], agent.memory.processes);
            }
        }),
        Family::gauge(
            "werkpilot_agent_cpu_seconds",
            "CPU time of its live processes; less when one of them has ended, so no counter.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.memory.cpu_seconds);
                }
            },
        ),
        Family::gauge(
            "werkpilot_agent_cpu_ratio",
            "CPU that its process trees used between the last two checks; 1 is a whole core.",
            &[AGENT],
            |scrape, out| {
                for agent in &scrape.overview.agents {
                    out.maybe_of([agent.name.as_str()], agent.memory.cpu_percent.map(ratio));
                }
            },
        ),
    ],
};
