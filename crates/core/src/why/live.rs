//! Executions that have not ended: why they wait, and behind whom; for how long they run.

use std::time::Duration;

use super::account::{AgentAccount, LiveAccount};
use super::agent::dependencies;
use super::link::Link;
use super::{Cause, Why, advice, notes, outlook};
use crate::ids::RunId;
use crate::reason::Reason;
use crate::time::Clocks;

/// Explains an execution of this agent that has not ended. `None`: it is none of them.
pub fn of_live_run(account: &AgentAccount, run: RunId, now: Clocks) -> Option<Why> {
    let live = account.live.iter().find(|live| live.standing.live.run == run && live.standing.instance.is_none())?;
    let standing = &live.standing;
    let (mut chain, mut notes) = (Vec::new(), Vec::new());
    if standing.live.running {
        running(account, live, None, now, 0, &mut chain);
    } else {
        waiting(account, live, now, 0, &mut chain);
        notes.push(Cause::of(0, &Link::TriggeredBy { trigger: standing.live.trigger.clone() }));
    }
    notes.extend(notes::decision(account));
    let mut next = outlook::of_live(account, live, now);
    next.extend(outlook::of_dependencies(account, now).into_iter().filter(|_| !standing.live.running));
    let why = Why {
        subject: "execution",
        agent: account.name().clone(),
        run_id: Some(run),
        state: if standing.live.running { "running" } else { "waiting" }.to_owned(),
        since: Some(now.wall_at(standing.granted.unwrap_or(standing.accepted))),
        summary: String::new(),
        chain,
        notes,
        next,
        actions: advice::of_live(account, live),
        facts: account.last_facts(),
        last_words: account.last_words.clone().filter(|words| words.run_id == run),
    };
    Some(why.summarize(now.wall))
}

/// How many attempts its agent allows.
pub(super) fn attempts_allowed(account: &AgentAccount) -> u32 {
    account.spec.job().map_or(1, |job| job.retry.max.saturating_add(1))
}

/// That its program runs, and why it is being ended if it is; `named`: its id, unless it is the subject.
pub(super) fn running(
    account: &AgentAccount,
    live: &LiveAccount,
    named: Option<RunId>,
    now: Clocks,
    depth: usize,
    chain: &mut Vec<Cause>,
) {
    let standing = &live.standing;
    let run = standing.live.run;
    let executing = Link::Executing {
        run: named,
        attempt: standing.live.attempt,
        attempts_allowed: attempts_allowed(account),
        running: standing.granted.map_or(Duration::ZERO, |since| now.steady.since(since)),
        pid: live.pid,
        trigger: standing.live.trigger.clone(),
    };
    let executing = Cause::of(depth, &executing).of_run(run);
    let ending = live.attempt.as_ref().and_then(|attempt| attempt.ending.as_ref()).or(standing.cancelled.as_ref());
    let Some(reason) = ending else { return chain.push(executing) };
    let stop = live.attempt.as_ref().map_or(account.spec.stop, |attempt| attempt.stop);
    chain.push(Cause::of_reason(depth, reason).of_run(run));
    let asked = Link::AskedToEnd { signal: stop.signal.to_string(), timeout: stop.timeout };
    chain.push(Cause::of(depth + 1, &asked).of_run(run));
    chain.push(Cause { depth: depth + 1, ..executing });
}

/// Why it waits.
pub(super) fn waiting(account: &AgentAccount, live: &LiveAccount, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    let standing = &live.standing;
    let run = standing.live.run;
    let reason = standing.live.reason.clone().unwrap_or(Reason::WaitingForWorker { workers: account.workers });
    let depth_of_cause = depth + 1;
    let is_job = standing.instance.is_none();
    let cause = Cause::of(depth, &reason);
    chain.push(if is_job { cause.of_run(run) } else { cause });
    match &reason {
        Reason::UnhealthyDependencies { .. } => dependencies(account, now, depth_of_cause, chain),
        Reason::WaitingForWorker { workers } => {
            chain.extend(standing.place.as_ref().map(|place| {
                let cause = Cause::of(
                    depth_of_cause,
                    &Link::InLine {
                        ahead: place.ahead,
                        priority: place.priority,
                        effective_priority: place.level,
                        before: place.before.clone(),
                    },
                );
                match &place.before {
                    Some(before) => cause.about(&before.agent).of_run(before.run),
                    None => cause,
                }
            }));
            let held = Link::WorkersHeld { workers: *workers, holders: account.holders.clone() };
            chain.push(Cause::of(depth_of_cause, &held));
        }
        Reason::WaitingForPrevious => chain.extend(standing.previous.clone().map(|holder| {
            let run = holder.run;
            Cause::of(depth_of_cause, &Link::Previous { holder }).of_run(run)
        })),
        Reason::WaitingForRestartRoom { .. } => {
            let room = account.room;
            chain.push(Cause::of(
                depth_of_cause,
                &Link::RestartsOfAll {
                    used: room.used,
                    max_restarts: room.max_restarts,
                    window: room.window,
                    agents: account.room_used_by.clone(),
                },
            ));
            chain.extend(attempt_failed(account, live, now, depth_of_cause));
        }
        _ => chain.extend(attempt_failed(account, live, now, depth_of_cause)),
    }
}

fn attempt_failed(account: &AgentAccount, live: &LiveAccount, now: Clocks, depth: usize) -> Option<Cause> {
    let attempt = live.standing.failed.as_ref()?;
    let at = attempt.started_at + attempt.duration;
    let failed = Link::AttemptFailed {
        attempt: attempt.attempt,
        attempts_allowed: attempts_allowed(account),
        exit: attempt.exit.to_string(),
        ago: now.wall.since(at),
    };
    Some(Cause::of(depth, &failed).at(Some(at)))
}
