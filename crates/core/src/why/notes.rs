//! What belongs to an agent's status without being its cause: how its last execution ended, restarts, who depends on it.

use super::Cause;
use super::account::{AgentAccount, ProbeAccount};
use super::agent::{LATELY, dependencies, last_run_cause, letter_cause};
use super::link::Link;
use super::live;
use crate::breaker::BreakerState;
use crate::status::Status;
use crate::time::Clocks;

/// Restarts lately, if there were any.
pub(super) fn restarted_lately(account: &AgentAccount, depth: usize) -> Option<Cause> {
    let last = account.restarts.last()?;
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for restart in &account.restarts {
        match reasons.iter_mut().find(|(reason, _)| *reason == restart.reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((restart.reason.clone(), 1)),
        }
    }
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (job, restarts) = (account.spec.job().is_some(), account.restarts.len());
    let link = Link::RestartedLately { job, restarts, window: LATELY, reasons };
    Some(Cause::of(depth, &link).at(Some(last.at)))
}

/// A probe that fails.
pub(super) fn probe_cause(depth: usize, probe: &ProbeAccount) -> Cause {
    let ProbeAccount { kind, target, failures, allowed, last_error, .. } = probe;
    let link = Link::Probe {
        kind,
        target: target.clone(),
        failures: *failures,
        failures_allowed: *allowed,
        error: last_error.as_ref().map(|(_, error)| error.clone()),
    };
    Cause::of(depth, &link).at(last_error.as_ref().map(|(at, _)| *at))
}

pub(super) fn of_agent(account: &AgentAccount, now: Clocks) -> Vec<Cause> {
    let mut notes = Vec::new();
    let is_job = account.spec.job().is_some();
    let told = matches!(account.status, Status::Error | Status::Timeout | Status::Missing);
    if is_job && !told {
        notes.push(match &account.last {
            Some(last) => last_run_cause(0, last, now),
            None => Cause::of(0, &Link::NeverRan),
        });
    }
    if account.status.is_disabled() {
        for live in account.running() {
            live::running(account, live, Some(live.standing.live.run), now, 0, &mut notes);
        }
    }
    let more = account.waiting().count();
    let told = usize::from(matches!(account.status, Status::Queued | Status::BackingOff));
    if is_job && more > told {
        notes.push(Cause::of(0, &Link::MoreWait { executions: more - told }));
    }
    if account.status != Status::DisabledByFailure {
        notes.extend(restarted_lately(account, 0));
        // The letter of its last end is a cause.
        let told = usize::from(matches!(account.status, Status::Error | Status::Timeout | Status::Missing));
        notes.extend(
            account.letters.iter().skip(if is_job { told } else { 0 }).take(1).map(|l| letter_cause(0, l, now)),
        );
    }
    if let BreakerState::HalfOpen { cooldown } = account.breaker {
        notes.push(Cause::of(0, &Link::OnTrial { cooldown }));
    }
    if account.status != Status::Unhealthy {
        notes.extend(account.probes.iter().filter(|probe| probe.failures > 0).map(|probe| probe_cause(0, probe)));
    }
    if !account.affected.is_empty() {
        notes.push(Cause::of(0, &Link::Affects { agents: account.affected.clone() }));
    }
    notes.extend(decision(account));
    let waits_for_them = account.status == Status::Queued;
    if !waits_for_them {
        dependencies(account, now, 0, &mut notes);
    }
    notes
}

/// A priority that is not the registry's.
pub(super) fn decision(account: &AgentAccount) -> Option<Cause> {
    let decision = account.decision.as_ref()?;
    let link = Link::PriorityDecided {
        decision: decision.id,
        report: decision.report,
        registry: decision.registry.number(),
        priority: decision.to.number(),
        because: decision.because.clone(),
    };
    Some(Cause::of(0, &link).at(Some(decision.at)))
}
