//! The sentence of each fact, as log, `why` and the page show it.

use std::fmt;

use super::Event;
use crate::ids::AgentName;
use crate::reason::list_unhealthy;
use crate::time::human;

impl fmt::Display for Event {
    #[expect(clippy::too_many_lines, reason = "one line of text per event, side by side, reads best")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentStarted { agent, pid, attempt, .. } if *attempt > 1 => {
                write!(f, "Agent \"{agent}\" started (pid {pid}, attempt {attempt})")
            }
            Self::AgentStarted { agent, pid, .. } => write!(f, "Agent \"{agent}\" started (pid {pid})"),
            Self::AgentReady { agent, after, .. } => write!(f, "Agent \"{agent}\" is ready after {}", human(*after)),
            Self::AgentStopped { agent, exit, forced, reason, .. } => {
                write!(f, "Agent \"{agent}\" stopped: {reason}")?;
                if let Some(exit) = exit {
                    write!(f, " ({exit}{})", if *forced { ", by force" } else { "" })?;
                }
                Ok(())
            }
            Self::AgentFailed { agent, attempt, exit, .. } => {
                write!(f, "Agent \"{agent}\" failed (attempt {attempt}): {exit}")
            }
            Self::AgentRestarting { agent, count: 0, reason, .. } => {
                write!(f, "Agent \"{agent}\" is being restarted: {reason}")
            }
            Self::AgentRestarting { agent, count, delay, reason, .. } => {
                write!(f, "Agent \"{agent}\" starts again in {} (number {count}): {reason}", human(*delay))
            }
            Self::AgentSkipped { agent, trigger, reason, .. } => {
                write!(f, "Agent \"{agent}\" skipped ({trigger}): {reason}")
            }
            Self::DependenciesUnhealthy { agent, unhealthy_deps } => {
                write!(f, "Agent \"{agent}\" has unhealthy dependencies: {}", list_unhealthy(unhealthy_deps))
            }
            Self::AgentDisabled { agent, reason } => write!(f, "Agent \"{agent}\" is disabled: {reason}"),
            Self::AgentEnabled { agent, reason } => write!(f, "Agent \"{agent}\" is enabled: {reason}"),
            Self::HealthChanged { agent, healthy: true, .. } => write!(f, "Agent \"{agent}\" is healthy again"),
            Self::HealthChanged { agent, reason, .. } => {
                write!(f, "Agent \"{agent}\" is unhealthy")?;
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::ExecutionQueued { agent, run, trigger, .. } => {
                write!(f, "Execution {run} of \"{agent}\" queued ({trigger})")
            }
            Self::ExecutionStarted { agent, run, attempt, waited } => {
                write!(f, "Execution {run} of \"{agent}\" started (attempt {attempt}, waited {})", human(*waited))
            }
            Self::ExecutionEnded { agent, run, end, attempts, duration, reason, .. } => {
                write!(f, "Execution {run} of \"{agent}\" {end}")?;
                if let Some(duration) = duration {
                    write!(f, " in {}", human(*duration))?;
                }
                if *attempts > 1 {
                    write!(f, " after {attempts} attempts")?;
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::DeadLetterAdded { id, agent, error, .. } => {
                write!(f, "Dead letter {id} of \"{agent}\": {error} (look at it with `werkpilot dlq show {id}`)")
            }
            Self::DeadLetterReplayed { id, agent, run } => {
                write!(f, "Dead letter {id} of \"{agent}\" replayed as {run}")
            }
            Self::DeadLetterParked { id, agent, kills } => {
                write!(f, "Dead letter {id} of \"{agent}\" is parked: its payload killed the agent {kills} times")
            }
            Self::DeadLetterDiscarded { id, agent, evicted: true } => {
                write!(f, "Dead letter {id} of \"{agent}\" gave way ([dead_letters] capacity, max_age)")
            }
            Self::DeadLetterDiscarded { id, agent, .. } => write!(f, "Dead letter {id} of \"{agent}\" discarded"),
            Self::MemoryWarning { usage, threshold_percent } => write!(
                f,
                "Memory is getting short: {usage} is used; what can be given back is ([memory] warning_percent = {threshold_percent})"
            ),
            Self::MemoryCritical { usage, threshold_percent, profile } => {
                write!(
                    f,
                    "Memory is short: {usage} is used; agents of priority 3 are disabled, the largest first ([memory] critical_percent = {threshold_percent})"
                )?;
                profile.iter().try_for_each(|id| write!(f, "; who uses what is in the profile {id}"))
            }
            Self::MemoryRecovered { usage, threshold_percent } => {
                write!(f, "Memory is no longer short: {usage} is used ([memory] recover_percent = {threshold_percent})")
            }
            Self::BreakerOpened { agent: Some(agent), reason, cooldown } => {
                write!(f, "Breaker of \"{agent}\" opened: {reason}")?;
                cooldown.iter().try_for_each(|cooldown| write!(f, "; tried again in {}", human(*cooldown)))
            }
            Self::BreakerOpened { reason, .. } => write!(f, "Global breaker opened: {reason}"),
            Self::BreakerHalfOpen { agent } => write!(f, "Breaker of \"{agent}\" is half-open: one trial"),
            Self::BreakerClosed { agent: Some(agent), reason } => write!(f, "Breaker of \"{agent}\" closed: {reason}"),
            Self::BreakerClosed { reason, .. } => write!(f, "Global breaker closed: {reason}"),
            Self::BusRequestCircle { agents } => {
                write!(f, "Agents ask each other in a circle, and one gave up: ")?;
                agents.iter().try_for_each(|agent| write!(f, "{agent} → "))?;
                f.write_str(agents.first().map_or("", AgentName::as_str))
            }
            Self::BusRequestTooLong { from, agent } => {
                write!(f, "A request of \"{from}\" to \"{agent}\" was refused: too many requests in one chain")
            }
            Self::BusConsumerSlow { who, backlog_bytes } => {
                write!(f, "\"{who}\" was cut off from the bus: {backlog_bytes} bytes waited for it")
            }
            Self::BusReplyRejected { who, asked } => {
                write!(f, "\"{who}\" answered what \"{asked}\" was asked; the answer was thrown away")
            }
            Self::BootCompleted { agents, layers, duration, critical_path, .. } => {
                let (agents, layers) = (counted(*agents, "agent"), counted(*layers, "layer"));
                write!(f, "Boot completed: {agents} in {layers} after {}", human(*duration))?;
                if let [first, rest @ ..] = &critical_path[..] {
                    write!(f, "; critical path: {first}")?;
                    rest.iter().try_for_each(|next| write!(f, " → {next}"))?;
                }
                Ok(())
            }
            Self::OptimizationCompleted { report, proposals, applied, trials, duration, .. } => {
                let (duration, proposals) = (human(*duration), counted(*proposals, "proposal"));
                write!(f, "Optimizer's report {report} after {duration}: {proposals}, {applied} applied")?;
                if *trials > 0 {
                    write!(f, ", {} of agents disabled by failure", counted(*trials, "trial"))?;
                }
                write!(f, " (look at it with `werkpilot report {report}`)")
            }
            Self::OptimizationFailed { by, reason } => {
                write!(f, "The optimizer's run asked for by {by} came to nothing, nothing of it is applied: {reason}")
            }
            Self::PriorityDecided { agent, decision, from, to, because, .. } => write!(
                f,
                "Agent \"{agent}\" has priority {to} instead of {from}: {because} (undo it with `werkpilot optimize --undo {decision}`)"
            ),
            Self::PriorityRestored { agent, decision, priority, by: Some(by) } => {
                write!(f, "Agent \"{agent}\" has priority {priority} again: decision {decision} undone by {by}")
            }
            Self::PriorityRestored { agent, decision, priority, .. } => write!(
                f,
                "Agent \"{agent}\" has priority {priority}: the registry changed it, decision {decision} is over"
            ),
            Self::ShutdownStarted { reason } => write!(f, "Shutdown started: {reason}"),
            Self::ConfigReloaded { added, removed, changed, settings } => write!(
                f,
                "Configuration reloaded: {} added, {} removed, {} changed, {} settings changed",
                added.len(),
                removed.len(),
                changed.len(),
                settings.len()
            ),
            Self::ConfigRejected { faults: 1, first } => {
                write!(f, "Configuration rejected, the old one stays in effect: {first}")
            }
            Self::ConfigRejected { faults, first } => {
                write!(f, "Configuration rejected, the old one stays in effect: {first} (and {} more)", faults - 1)
            }
            Self::TriggersPaused { paused: true, by } => write!(f, "All triggers paused by {by}"),
            Self::TriggersPaused { by, .. } => write!(f, "All triggers resumed by {by}"),
            Self::ActorDied { actor, message, restarted: true } => {
                write!(f, "Actor {actor} died and was started again: {message}")
            }
            Self::ActorDied { actor, message, .. } => write!(f, "Actor {actor} died and was given up: {message}"),
            Self::StoreDegraded { reason } => write!(
                f,
                "The state can't be kept on disk ({reason}): what has to be durable is refused, agents are supervised as before"
            ),
            Self::StoreRecovered { after, refused: 0, dropped: 0 } => {
                write!(f, "The state is kept on disk again after {}; nothing was lost", human(*after))
            }
            Self::StoreRecovered { after, refused, dropped } => write!(
                f,
                "The state is kept on disk again after {}; {refused} refused, {dropped} of the history lost",
                human(*after)
            ),
            Self::StoreRestarted { reason } => write!(f, "The writer of the state was started again: {reason}"),
            Self::ScheduleMissed { agent, left_out, reason: Some(reason), .. } => {
                write!(
                    f,
                    "Agent \"{agent}\" was due while nothing ran, and does not catch up: {left_out} left out: {reason}"
                )
            }
            Self::ScheduleMissed { agent, runs, left_out, from, to, .. } => {
                write!(f, "Agent \"{agent}\" was due while nothing ran: {} to catch up with", counted(*runs, "time"))?;
                match (from, to) {
                    (Some(from), Some(to)) if from != to => write!(f, ", from {from} to {to}")?,
                    (Some(time), _) => write!(f, ", of {time}")?,
                    _ => {}
                }
                if *left_out > 0 { write!(f, "; {left_out} left out") } else { Ok(()) }
            }
            Self::NotificationsDropped { target, reason } => {
                write!(f, "Notifications to \"{target}\" are being lost: {reason}")
            }
            Self::NotificationsRecovered { target, after, dropped } => {
                write!(f, "Notifications to \"{target}\" go through again after {}; {dropped} were lost", human(*after))
            }
            Self::DiskLow { free_bytes, total_bytes } => write!(
                f,
                "The disk of the state is nearly full: {} of {} MiB are free",
                free_bytes >> 20,
                total_bytes >> 20
            ),
            Self::DiskRecovered { free_bytes, .. } => {
                write!(f, "The disk of the state has room again: {} MiB are free", free_bytes >> 20)
            }
            Self::ClockStepped { seconds, misfired: 0 } => write!(f, "The wall clock was set by {seconds:+.1} s"),
            Self::ClockStepped { seconds, misfired } => {
                write!(
                    f,
                    "The wall clock was set by {seconds:+.1} s; {misfired} scheduled times within the step were left out"
                )
            }
        }
    }
}

fn counted(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
