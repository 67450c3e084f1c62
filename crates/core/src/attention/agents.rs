//! Agents that need attention.
//!
//! | status | severity |
//! |---|---|
//! | `missing`, `disabled_by_failure` | critical |
//! | `error`, `timeout`, `unhealthy` | warning; critical at priority 1 |
//! | `backing_off` | notice; warning from the third failure in a row, or if others wait for it |
//! | `disabled`, `stopped` | warning if others wait for it; notice if a restart policy left it; else nothing |
//! | `queued` | told with the root; warning after five minutes where there is none |
//! | `starting`, late at the boot | warning |
//! | `starting`, `running`, a service after three failures in a row | warning, until it has run for long enough |
//! | `disabled_by_memory` | told with memory |
//! | otherwise `starting`, `running`, `idle`, `stopping` | nothing |

use std::time::Duration;

use super::account::{AGAIN_AND_AGAIN, AgentStanding, Waits};
use super::roots::Roots;
use super::{Item, Kind, Severity, counted, listed};
use crate::reason::Reason;
use crate::status::Status;
use crate::time::{Timestamp, human};

/// Who waits for longer than this needs attention.
pub(super) const LONG: Duration = Duration::from_mins(5);

/// All agents that need attention by themselves.
pub(super) fn items(agents: &[AgentStanding], roots: &Roots<'_>, now: Timestamp) -> Vec<Item> {
    agents.iter().filter_map(|agent| item(agent, roots, now)).collect()
}

fn item(agent: &AgentStanding, roots: &Roots<'_>, now: Timestamp) -> Option<Item> {
    let waiting = roots.waiting_for(&agent.name);
    let mut item = match agent.status {
        Status::Missing => missing(agent),
        Status::DisabledByFailure => disabled_by_failure(agent, now),
        Status::Error | Status::Timeout => failed(agent),
        Status::Unhealthy => unhealthy(agent),
        Status::BackingOff => backing_off(agent, now)?,
        Status::Disabled if !waiting.is_empty() => disabled(agent),
        Status::Stopped => stopped(agent, !waiting.is_empty())?,
        Status::Queued if !roots.is_folded(&agent.name) => waits(agent, now)?,
        Status::Starting if agent.late => late(agent),
        Status::Starting | Status::Running if agent.keeps_failing() => relapsing(agent),
        Status::Starting
        | Status::Queued
        | Status::Disabled
        | Status::DisabledByMemory
        | Status::Running
        | Status::Idle
        | Status::Stopping => return None,
    };
    if !waiting.is_empty() {
        let verb = if waiting.len() == 1 { "waits" } else { "wait" };
        item.reason =
            format!("{}; {} {verb} for it: {}", item.reason, counted(waiting.len(), "agent"), listed(waiting));
        item.severity = item.severity.min(Severity::Warning);
    }
    Some(item.about(agent).concerns(waiting))
}

const fn by_priority(agent: &AgentStanding) -> Severity {
    if agent.priority == 1 { Severity::Critical } else { Severity::Warning }
}

/// The command by which it is tried now.
fn again(agent: &AgentStanding) -> String {
    format!("`werkpilot {} {}`", if agent.service { "start" } else { "run" }, agent.name)
}

fn missing(agent: &AgentStanding) -> Item {
    let title = format!("{} can't start: its command is missing", agent.name);
    let hint = format!("put the command there, or correct it in the registry, then {}", again(agent));
    Item::new(Severity::Critical, Kind::Missing, title, agent.why()).since(agent.since).hint(hint)
}

fn disabled_by_failure(agent: &AgentStanding, now: Timestamp) -> Item {
    let name = &agent.name;
    let title = format!("{name} is disabled: its breaker is open");
    let trial = agent.trial_at.map_or_else(String::new, |at| format!("; one trial {}", from_now(at, now)));
    let hint =
        format!("`werkpilot logs {name}` has what it wrote; `werkpilot enable {name}` closes the breaker now{trial}");
    Item::new(Severity::Critical, Kind::DisabledByFailure, title, agent.why()).since(agent.since).hint(hint)
}

fn failed(agent: &AgentStanding) -> Item {
    let name = &agent.name;
    let (kind, title) = match agent.status {
        Status::Timeout => (Kind::Timeout, format!("{name} took too long")),
        _ => (Kind::Error, format!("{name} failed")),
    };
    let hint = format!(
        "`werkpilot why {name}` tells the cause, `werkpilot logs {name}` has what it wrote; {} tries it now",
        again(agent)
    );
    Item::new(by_priority(agent), kind, title, agent.why()).since(agent.since).hint(hint)
}

fn unhealthy(agent: &AgentStanding) -> Item {
    let name = &agent.name;
    let title = format!("{name} runs, and is unhealthy");
    let hint =
        format!("`werkpilot logs {name}` has what it wrote; `werkpilot restart {name}` ends it and starts it now");
    Item::new(by_priority(agent), Kind::Unhealthy, title, agent.why()).since(agent.since).hint(hint)
}

fn backing_off(agent: &AgentStanding, now: Timestamp) -> Option<Item> {
    // Told with the breaker of all agents.
    if waits_for_room(agent) {
        return None;
    }
    let name = &agent.name;
    let (severity, title) = if agent.failures_in_a_row >= AGAIN_AND_AGAIN {
        (Severity::Warning, format!("{name} failed {} times in a row and is tried again", agent.failures_in_a_row))
    } else {
        (Severity::Notice, format!("{name} failed and is tried again"))
    };
    let next = agent.next_attempt.map_or_else(String::new, |at| format!("next try {}; ", from_now(at, now)));
    let hint = format!("{next}`werkpilot logs {name}` has what it wrote");
    Some(Item::new(severity, Kind::BackingOff, title, agent.why()).since(agent.since).hint(hint))
}

/// A service that lives at the moment, after it failed again and again.
fn relapsing(agent: &AgentStanding) -> Item {
    let name = &agent.name;
    let title = format!("{name} failed {} times in a row and was started again", agent.failures_in_a_row);
    let hint = format!(
        "`werkpilot logs {name}` has what it wrote; it counts as well once it has run for as long as its `healthy_for`"
    );
    Item::new(Severity::Warning, Kind::BackingOff, title, agent.why()).since(agent.since).hint(hint)
}

fn disabled(agent: &AgentStanding) -> Item {
    let title = format!("{} is disabled, and others need it", agent.name);
    let hint = format!("`werkpilot enable {}` lets it take part again", agent.name);
    Item::new(Severity::Warning, Kind::Disabled, title, agent.why()).since(agent.since).hint(hint)
}

fn stopped(agent: &AgentStanding, others_wait: bool) -> Option<Item> {
    let left = matches!(agent.cause, Some(Reason::NotRestarted { .. }));
    let (severity, title) = match (others_wait, left) {
        (true, _) => (Severity::Warning, format!("{} is stopped, and others need it", agent.name)),
        (false, true) => (Severity::Notice, format!("{} ended and is left so", agent.name)),
        (false, false) => return None,
    };
    let hint = format!("`werkpilot start {}` starts it again", agent.name);
    Some(Item::new(severity, Kind::Stopped, title, agent.why()).since(agent.since).hint(hint))
}

/// Whether it waits for room for automatic restarts.
pub(super) fn waits_for_room(agent: &AgentStanding) -> bool {
    let waits = agent.waits.as_ref().map(|waits| &waits.reason);
    matches!(waits.or(agent.cause.as_ref()), Some(Reason::WaitingForRestartRoom { .. }))
}

fn waits(agent: &AgentStanding, now: Timestamp) -> Option<Item> {
    let Waits { reason, since } = agent.waits.as_ref()?;
    let waited = now.since(*since);
    // These are told with the queue and with the breaker.
    let with_others = matches!(reason, Reason::WaitingForWorker { .. } | Reason::WaitingForRestartRoom { .. });
    if with_others || waited < LONG {
        return None;
    }
    let name = &agent.name;
    let title = format!("{name} waits for {}", human(waited));
    let hint = match (reason, agent.unhealthy.first()) {
        (Reason::UnhealthyDependencies { .. }, Some(first)) => {
            format!(
                "`werkpilot why {}` tells about what it waits for; {} --force` does not wait",
                first.dep,
                again(agent).trim_end_matches('`')
            )
        }
        _ => format!("`werkpilot why {name}` tells what it waits for"),
    };
    Some(Item::new(Severity::Warning, Kind::Waiting, title, reason.to_string()).since(Some(*since)).hint(hint))
}

fn late(agent: &AgentStanding) -> Item {
    let name = &agent.name;
    let title = format!("{name} was not ready in time at the boot");
    let reason = "the boot went on without it ([boot] layer_timeout), and it is still starting";
    let hint = format!("`werkpilot logs {name}` has what it wrote; `ready` in the registry says what it waits for");
    Item::new(Severity::Warning, Kind::BootLate, title, reason).since(agent.since).hint(hint)
}

/// `in 12m`, `now`.
pub(super) fn from_now(at: Timestamp, now: Timestamp) -> String {
    let left = at.since(now);
    if left.is_zero() { "now".to_owned() } else { format!("in {}", human(left)) }
}
