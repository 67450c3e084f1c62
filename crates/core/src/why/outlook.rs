//! What follows by itself, and when.

use std::time::Duration;

use super::Next;
use super::account::{AgentAccount, LiveAccount};
use super::live::attempts_allowed;
use crate::agent::InstanceView;
use crate::breaker::BreakerState;
use crate::spec::RestartPolicy;
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp, as_ms};

impl Next {
    /// Something that follows when something else has happened.
    pub(super) fn once(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, text: text.into(), at: None, in_ms: None, agent: None, condition: None }
    }

    /// Something that follows at its time.
    fn at(what: &'static str, at: Moment, now: Clocks, text: impl Into<String>) -> Self {
        let in_ms = Some(as_ms(at.since(now.steady)));
        Self { at: Some(now.wall_at(at)), in_ms, ..Self::once(what, text) }
    }

    /// The same by the wall clock.
    pub(super) fn at_wall(what: &'static str, at: Timestamp, now: Timestamp, text: impl Into<String>) -> Self {
        Self { at: Some(at), in_ms: Some(as_ms(at.since(now))), ..Self::once(what, text) }
    }

    pub(super) fn on(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }
}

/// What follows for an agent, the soonest first.
pub(super) fn next(account: &AgentAccount, now: Clocks) -> Vec<Next> {
    let name = account.name();
    if account.shutting_down {
        return vec![Next::once("nothing", "nothing is started any more: the orchestrator is going down")];
    }
    let mut next = match account.status {
        Status::Disabled => vec![Next::once("nothing", format!("nothing, until `werkpilot enable {name}`"))],
        Status::DisabledByFailure => trial(account, now),
        Status::DisabledByMemory => comes_back(account, now),
        Status::Stopped if account.layer.is_none() => {
            vec![Next::once("nothing", format!("nothing, until `werkpilot start {name}`"))]
        }
        _ if account.layer.is_some() => vec![Next::once("starts", "it takes part once its layer is reached")],
        _ if account.spec.job().is_some() => of_job(account, now),
        _ => of_service(account, now),
    };
    if matches!(account.status, Status::Queued) {
        next.extend(of_dependencies(account, now));
    }
    next.sort_by_key(|next| (next.at.is_none(), next.at));
    next
}

fn trial(account: &AgentAccount, now: Clocks) -> Vec<Next> {
    match account.breaker {
        BreakerState::Open { until, cooldown } => {
            let doubled =
                crate::time::human(cooldown.saturating_mul(2).min(crate::breaker::LONGEST_COOLDOWN.max(cooldown)));
            let trial = Next::at("trial", until, now, "one trial");
            vec![trial.on(format!("and if that fails it is disabled for {doubled}"))]
        }
        _ => Vec::new(),
    }
}

fn comes_back(account: &AgentAccount, now: Clocks) -> Vec<Next> {
    let Some(memory) = &account.memory else {
        return vec![Next::once("comes_back", "it is enabled again once memory is no longer short")];
    };
    let before: Vec<String> =
        memory.shed.iter().take_while(|agent| *agent != account.name()).map(ToString::to_string).collect();
    let looks = memory.interval.saturating_mul(u32::try_from(before.len()).unwrap_or(u32::MAX));
    let text = "it is enabled again";
    let back = match memory.next_check {
        Some(check) => Next::at_wall("comes_back", check + looks, now.wall, text),
        None => Next::once("comes_back", text),
    };
    let condition = format!("if less than {} % of memory is used then", memory.recover_percent);
    vec![match &before[..] {
        [] => back.on(condition),
        before => back.on(format!("{condition} and {} came back before", before.join(", "))),
    }]
}

fn of_job(account: &AgentAccount, now: Clocks) -> Vec<Next> {
    let mut next: Vec<Next> = account.live.iter().take(1).flat_map(|live| of_live(account, live, now)).collect();
    if account.catching_up > 0 {
        let text = format!("it catches up with {} times at which it was due while nothing ran", account.catching_up);
        next.push(Next::once("catch_up", text));
    }
    let due = account.due.map(|at| Next::at_wall("due", at, now.wall, "it is due"));
    next.extend(due.map(|due| {
        let list: Vec<&str> = account.unhealthy.iter().map(|unhealthy| unhealthy.problem.dep.as_str()).collect();
        if account.paused {
            due.on("and skipped, if triggers are still paused then")
        } else if list.is_empty() {
            due
        } else {
            due.on(format!("if {} {} well then", list.join(", "), if list.len() == 1 { "is" } else { "are" }))
        }
    }));
    if next.is_empty() {
        next.push(Next::once("nothing", format!("nothing, until its trigger or `werkpilot run {}`", account.name())));
    }
    next
}

/// What follows for an execution that has not ended.
pub(super) fn of_live(account: &AgentAccount, live: &LiveAccount, now: Clocks) -> Vec<Next> {
    let standing = &live.standing;
    let attempt = standing.live.attempt;
    if standing.live.running {
        let view = live.attempt.as_ref();
        if view.is_some_and(|view| view.ending.is_some()) || standing.cancelled.is_some() {
            let stop = view.map_or(account.spec.stop, |view| view.stop);
            let text =
                format!("SIGKILL, if it has not ended {} after {}", crate::time::human(stop.timeout), stop.signal);
            return vec![Next::once("kill", text)];
        }
        let then = if attempt < attempts_allowed(account) { "and tried again" } else { "and becomes a dead letter" };
        let timeout = view.and_then(|view| view.timeout_at);
        return timeout
            .map(|at| Next::at("timeout", at, now, format!("it is ended {then}")).on("unless it ends before"))
            .into_iter()
            .collect();
    }
    if let Some(until) = standing.until {
        let text = format!("attempt {attempt} of {}", attempts_allowed(account));
        return vec![Next::at("retry", until, now, text)];
    }
    if standing.wants_room {
        return vec![room(account, now)];
    }
    if let Some(previous) = &standing.previous {
        return vec![Next::once("starts", format!("it starts once execution {} has ended", previous.run))];
    }
    let Some(place) = &standing.place else {
        return vec![once_they_are_well(account)];
    };
    let behind = if place.ahead == 0 {
        "a worker is free".to_owned()
    } else {
        format!("the {} ahead of it have had a worker", place.ahead)
    };
    let mut next = vec![Next::once("starts", format!("it starts once {behind}"))];
    if place.level > 1 && !account.ageing.is_zero() && attempt == 1 {
        let levels = u32::from(place.priority.saturating_sub(place.level)) + 1;
        let at = standing.accepted + account.ageing.saturating_mul(levels);
        let text = format!("it counts as priority {}", place.level - 1);
        next.push(Next::at("ageing", at, now, text).on("if it still waits"));
    }
    next
}

fn once_they_are_well(account: &AgentAccount) -> Next {
    let names: Vec<&str> = account.unhealthy.iter().map(|unhealthy| unhealthy.problem.dep.as_str()).collect();
    match &names[..] {
        [] => Next::once("starts", "it starts at once"),
        [name] => Next::once("starts", format!("it starts once {name} is well")),
        names => Next::once("starts", format!("it starts once {} are well", names.join(", "))),
    }
}

fn room(account: &AgentAccount, now: Clocks) -> Next {
    let text = "there is room for automatic restarts again";
    match account.room.room_at {
        Some(at) => Next::at("room", at, now, text),
        None => Next::once("room", text),
    }
}

fn of_service(account: &AgentAccount, now: Clocks) -> Vec<Next> {
    let mut next: Vec<Next> =
        account.instances.iter().filter_map(|instance| of_instance(account, instance, now)).collect();
    let starts = account.waiting();
    let waits =
        starts.map(|start| if start.standing.wants_room { room(account, now) } else { once_they_are_well(account) });
    next.extend(waits);
    next.dedup();
    if next.is_empty() && matches!(account.status, Status::Error | Status::Missing | Status::Stopped) {
        next.push(Next::once("nothing", format!("nothing, until `werkpilot start {}`", account.name())));
    }
    next
}

fn of_instance(account: &AgentAccount, instance: &InstanceView, now: Clocks) -> Option<Next> {
    let service = account.spec.service()?;
    if let Some(illness) = &instance.illness {
        return Some(match illness.ends_at {
            Some(at) => Next::at("restart", at, now, "it is ended and started again").on("unless it recovers before"),
            None => Next::once("left", "it is left as it is until it recovers, for restart is \"never\""),
        });
    }
    if let Some(at) = instance.next_attempt {
        let room = account.room;
        let full = room.max_restarts > 0 && room.used >= room.max_restarts;
        let start = Next::at("start", at, now, format!("it is started again (restart {} in a row)", instance.restarts));
        return Some(if full { start.on("if all automatic restarts have room by then") } else { start });
    }
    match instance.status {
        Status::Starting => {
            let since = instance.since?;
            let ready = Next::at("not_ready", since + service.ready.timeout, now, "it is ended and counts as failed");
            Some(ready.on("unless it is ready before"))
        }
        Status::Stopping => {
            let stop = account.spec.stop;
            let text =
                format!("SIGKILL, if it has not ended {} after {}", crate::time::human(stop.timeout), stop.signal);
            Some(Next::once("kill", text))
        }
        Status::Running => {
            let failing = |probe: &&super::ProbeAccount| probe.instance == instance.instance && probe.failures > 0;
            let probe = account.probes.iter().find(failing)?;
            let left = probe.allowed.saturating_sub(probe.failures).max(1);
            let then = if service.restart == RestartPolicy::Never { "marked" } else { "restarted after a grace" };
            let text = format!("after {left} more failed probes it is unhealthy and {then}");
            let next = probe.next.map(|at| Next::at_wall("probe", at, now.wall, "it is probed").on(text.clone()));
            Some(next.unwrap_or_else(|| Next::once("probe", text)))
        }
        _ => None,
    }
}

/// What follows for those that it waits for.
pub(super) fn of_dependencies(account: &AgentAccount, now: Clocks) -> Vec<Next> {
    let known = account.unhealthy.iter().filter_map(|unhealthy| unhealthy.account.as_deref());
    let all = known.flat_map(|dependency| {
        let name = dependency.name().clone();
        next(dependency, now).into_iter().take(2).map(move |next| match next.agent {
            Some(_) => next,
            None => Next { text: format!("{name}: {}", next.text), agent: Some(name.clone()), ..next },
        })
    });
    all.collect()
}

/// How long until a trial that was kept, for who is not there to count.
pub(super) fn left(left_ms: u64, passed: Duration) -> Duration {
    Duration::from_millis(left_ms).saturating_sub(passed)
}
