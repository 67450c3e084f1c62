//! Ending: what running executions report, cancelling, gates, shutdown. Every execution ends in [`Dispatcher::finish`].

use std::cmp::Reverse;
use std::time::Duration;

use super::entry::{Gate, Outcome};
use super::messages::{Action, Ended, Finished, Request};
use super::runs::{Park, Phase};
use super::{Dispatcher, RunKey};
use crate::dead_letters::Attempt;
use crate::event::{End, Event as Fact};
use crate::exit::Exit;
use crate::ids::{AgentIndex, RunId};
use crate::reason::Reason;
use crate::time::Clocks;
use crate::trigger::Trigger;

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    pub(super) fn retry(
        &mut self,
        key: RunKey,
        delay: Duration,
        counted: bool,
        attempt: Option<Attempt>,
        reason: Reason,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        if !self.runs.is_running(key) {
            return; // A late report about an execution that has ended.
        }
        self.leave_worker(key);
        let until = now.steady + delay;
        let run = self.runs.get_mut(key);
        let agent = run.agent;
        let exit = attempt.as_ref().map(|attempt| attempt.exit.clone());
        run.remember(attempt, 0);
        run.automatic = counted;
        run.attempt += u32::from(counted);
        run.phase = Phase::BackingOff { until };
        run.reason = Some(Box::new(Reason::BackingOff { delay, cause: Box::new(reason) }));
        // There may be a reason, known here only, why there is no further attempt.
        let entry = &self.entries[run.agent.slot()];
        let over = match (&entry.gate, run.cancelled.take()) {
            _ if self.shutting_down => Some((End::Interrupted, Reason::ShuttingDown)),
            _ if !entry.is_defined() => Some((End::Cancelled, Reason::Removed)),
            (_, Some(why)) => Some((End::Cancelled, *why)),
            (Gate::Closed { reason, .. }, None) => Some((End::Cancelled, reason.clone())),
            (Gate::Open | Gate::HalfOpen, None) => None,
        };
        if let Some((end, reason)) = over {
            self.finish(key, end, exit, Some(reason), now, out);
        } else {
            self.backing_off.push(Reverse((until, key)));
            self.release_next(agent, now);
        }
    }

    /// Its program has ended; it counts as waiting until it is decided what follows.
    fn leave_worker(&mut self, key: RunKey) {
        self.busy -= 1;
        self.waiting += 1;
        let agent = self.runs.get(key).agent;
        self.entries[agent.slot()].running -= 1;
    }

    pub(super) fn ended(&mut self, mut ended: Ended, now: Clocks, out: &mut Vec<Action>) {
        if !self.runs.is_running(ended.key) {
            return; // Reported twice, or after it was given up: the first report counts.
        }
        self.leave_worker(ended.key);
        let run = self.runs.get_mut(ended.key);
        run.phase = Phase::Queued;
        run.remember(ended.attempt.take(), ended.peak_rss_bytes);
        let (id, agent, waited) = (run.id, run.agent, run.waited());
        let duration = run.attempts().last().map(|attempt| attempt.duration);
        let succeeded = ended.end == End::Succeeded;
        if succeeded {
            out.extend(duration.map(|duration| Action::Sample { agent, duration, waited }));
        }
        if ended.dead_letter {
            let draft = self.job_draft(ended.key, &ended, now);
            out.push(Action::DeadLetter(Box::new(draft)));
        }
        self.finish(ended.key, ended.end, ended.exit, ended.reason, now, out);
        if succeeded && !self.shutting_down {
            self.trigger_followers(agent, id, now, out);
        }
    }

    /// The one place where an execution ends.
    pub(super) fn finish(
        &mut self,
        key: RunKey,
        end: End,
        exit: Option<Exit>,
        reason: Option<Reason>,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        self.announce(key, out);
        let run = self.runs.get(key);
        let agent = run.agent;
        let entry = &mut self.entries[agent.slot()];
        let missing = matches!(reason, Some(Reason::CommandMissing { .. }));
        let outcome = Outcome::of(end, missing).filter(|_| entry.is_defined());
        let error = reason.as_ref().map(ToString::to_string);
        out.push(Action::Keep(Box::new(Finished {
            run: run.id,
            agent: entry.profile.name.clone(),
            trigger: run.trigger.clone(),
            scheduled_for: run.scheduled_for,
            queued_at: now.wall_at(run.accepted),
            ended_at: now.wall,
            end,
            started: run.started,
            attempts: run.attempts().to_vec(),
            waited: run.waited(),
            exit: exit.clone(),
            reason: reason.clone(),
            peak_rss_bytes: Some(run.peak_rss_bytes()).filter(|bytes| *bytes > 0),
        })));
        out.push(Action::Emit(Fact::ExecutionEnded {
            agent: entry.profile.name.clone(),
            run: run.id,
            end,
            trigger: run.trigger.clone(),
            attempts: u32::try_from(run.attempts().len()).unwrap_or(u32::MAX),
            duration: run.attempts().last().map(|attempt| attempt.duration),
            waited: run.waited(),
            exit,
            reason,
        }));
        if let Some(outcome) = outcome {
            let changed = entry.outcome != Some(outcome);
            entry.outcome = Some(outcome);
            entry.error = if outcome == Outcome::Succeeded { None } else { error };
            entry.ever_succeeded |= outcome == Outcome::Succeeded;
            entry.ever_started |= outcome == Outcome::Succeeded;
            if changed {
                self.standing_changed(agent, now);
            }
        }
        self.forget(key);
        self.release_next(agent, now);
    }

    /// Takes an execution out of every table. Its end has been told, or it is a service's.
    pub(super) fn forget(&mut self, key: RunKey) {
        let run = self.runs.remove(key);
        if run.instance.is_none() {
            self.jobs.remove(key);
            self.waiting -= u32::from(run.waits());
        } else {
            self.services.remove(key);
        }
        let entry = &mut self.entries[run.agent.slot()];
        entry.live.remove(key);
        entry.started -= u32::from(run.started);
        if run.phase == Phase::Parked(Park::RestartRoom) {
            self.waiting_for_room.retain(|waiting| *waiting != key);
        }
    }

    fn trigger_followers(&mut self, agent: AgentIndex, run: RunId, now: Clocks, out: &mut Vec<Action>) {
        let source = self.entries[agent.slot()].profile.name.clone();
        for follower in self.entries[agent.slot()].followers.clone() {
            let trigger = Trigger::After { agent: source.clone(), run };
            self.admit_in_passing(Request::new(follower, trigger), now, out);
        }
    }

    // ---- gates, cancelling, shutdown ----

    pub(super) fn set_gate(&mut self, agent: AgentIndex, gate: Gate, now: Clocks, out: &mut Vec<Action>) {
        let Some(entry) = self.entries.get_mut(agent.slot()).filter(|entry| entry.is_defined()) else { return };
        entry.gate = gate;
        match &entry.gate {
            Gate::Closed { reason, .. } => {
                let reason = reason.clone();
                self.cancel_waiting(agent, &reason, now, out);
            }
            Gate::Open if entry.outcome == Some(Outcome::Missing) => entry.outcome = None,
            Gate::Open | Gate::HalfOpen => {}
        }
        self.standing_changed(agent, now);
    }

    pub(super) fn cancel_waiting(&mut self, agent: AgentIndex, reason: &Reason, now: Clocks, out: &mut Vec<Action>) {
        let Some(entry) = self.entries.get(agent.slot()) else { return };
        let live: Vec<RunKey> = entry.live.iter().copied().collect();
        for key in live {
            if self.runs.get(key).waits() {
                self.cancel(key, reason.clone(), now, out);
            }
        }
    }

    /// Ends one that waits; asks for the end of one that runs.
    pub(super) fn cancel(&mut self, key: RunKey, reason: Reason, now: Clocks, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(key);
        if run.instance.is_some() {
            self.forget(key); // Its agent knows, or is told by nobody: a start that waits is no execution.
        } else if run.waits() {
            // What had its turn already, and only waits for another attempt, is cut off.
            let cut_off = run.started && reason == Reason::ShuttingDown;
            let end = if cut_off { End::Interrupted } else { End::Cancelled };
            self.finish(key, end, None, Some(reason), now, out);
        } else if run.cancelled.is_none() {
            run.cancelled = Some(Box::new(reason.clone()));
            out.push(Action::Cancel { agent: run.agent, key, reason });
        }
    }

    pub(super) fn cancel_run(&mut self, id: RunId, by: String, now: Clocks, out: &mut Vec<Action>) {
        if let Some(key) = self.runs.find(id) {
            self.cancel(key, Reason::ByOperator { by }, now, out);
        }
    }

    pub(super) fn shut_down(&mut self, now: Clocks, out: &mut Vec<Action>) {
        self.shutting_down = true;
        for slot in 0..self.entries.len() {
            self.cancel_waiting(AgentIndex::from(slot), &Reason::ShuttingDown, now, out);
        }
    }
}
