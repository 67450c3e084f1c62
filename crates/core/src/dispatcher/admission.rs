//! Admission: whether a request becomes an execution, by gate, overlap and the bound of the queue.

use std::time::Duration;

use super::entry::{Entry, Gate};
use super::messages::{Action, Admission, Finished, Request};
use super::runs::Run;
use super::{Dispatcher, RunKey};
use crate::event::{End, Event as Fact};
use crate::ids::RunId;
use crate::reason::Reason;
use crate::spec::Overlap;
use crate::time::Clocks;

/// So many events of admission are told in one turn; a second in which more are due has them in their line within
/// milliseconds, and the events follow turn by turn.
const ANNOUNCED_AT_ONCE: usize = 4_096;

/// What admission thinks of a request, before it looks whether there is room.
enum Verdict {
    Admit,
    CancelOthers,
    Skip(Reason),
    Refuse(Reason),
}

impl Dispatcher {
    /// Decides on a request for an execution.
    pub fn admit(&mut self, request: Request, now: Clocks, out: &mut Vec<Action>) -> Admission {
        let admission = match self.decide(request, now, out) {
            Ok(key) => Admission::Accepted(self.runs.id(key)),
            Err(no) => no,
        };
        self.pump(now, out);
        admission
    }

    /// Decides on a whole batch, such as all that is due in one second, and starts only then; but where the queue is
    /// full, workers that are free make room first. Of a very large batch only the first admissions are told at once: the
    /// events of the others come with the next deadlines, each before anything else is told of its execution.
    pub fn admit_batch(&mut self, requests: impl IntoIterator<Item = Request>, now: Clocks, out: &mut Vec<Action>) {
        let mut requests = requests.into_iter();
        let count = requests.size_hint().0;
        self.runs.reserve(count);
        self.jobs.reserve(count);
        self.unannounced.reserve(count.saturating_sub(ANNOUNCED_AT_ONCE));
        out.reserve(count.min(ANNOUNCED_AT_ONCE));
        for request in requests.by_ref().take(ANNOUNCED_AT_ONCE) {
            self.admit_in_passing(request, now, out);
        }
        // The others get their place in the line first.
        self.announces_later = true;
        for request in requests {
            self.admit_in_passing(request, now, out);
        }
        self.announces_later = false;
        self.pump(now, out);
    }

    /// Tells of the next ones that a large batch brought in.
    pub(super) fn announce_some(&mut self, out: &mut Vec<Action>) {
        let count = self.unannounced.len().min(ANNOUNCED_AT_ONCE);
        for key in self.unannounced.drain(..count).collect::<Vec<_>>() {
            self.announce(key, out);
        }
    }

    /// Tells of an admission, unless that has been done or there is nothing to tell any more.
    pub(super) fn announce(&mut self, key: RunKey, out: &mut Vec<Action>) {
        let Some(run) = self.runs.try_get_mut(key).filter(|run| !run.announced) else { return };
        run.announced = true;
        if run.instance.is_none() {
            out.push(Action::Emit(Fact::ExecutionQueued {
                agent: self.entries[run.agent.slot()].profile.name.clone(),
                run: run.id,
                trigger: run.trigger.clone(),
                scheduled_for: run.scheduled_for,
            }));
        }
    }

    /// The same within another decision.
    pub(super) fn admit_in_passing(&mut self, request: Request, now: Clocks, out: &mut Vec<Action>) {
        if self.waiting >= self.capacity {
            self.pump(now, out);
        }
        // What became of it is told by events; nobody waits for the answer.
        let _ = self.decide(request, now, out);
    }

    /// Puts the request into the queue, or says why not.
    fn decide(&mut self, request: Request, now: Clocks, out: &mut Vec<Action>) -> Result<RunKey, Admission> {
        let id = request.run.unwrap_or_else(|| self.new_id(now.wall));
        let agent = request.agent;
        let Some(entry) = self.entries.get(agent.slot()).filter(|entry| entry.is_defined()) else {
            return Err(Admission::Refused(id, Reason::UnknownAgent));
        };
        let verdict = self.verdict(entry, request.trigger.is_explicit(), request.waits);
        let superseded = if matches!(verdict, Verdict::CancelOthers) { self.superseded(entry) } else { Vec::new() };
        match verdict {
            Verdict::Admit | Verdict::CancelOthers if self.is_full_without(&superseded) => {
                Err(Self::refuse(entry, id, request, Reason::QueueFull { capacity: self.capacity }, now, out))
            }
            Verdict::Admit => Ok(self.accept(id, request, now, out)),
            Verdict::CancelOthers => {
                for key in superseded {
                    self.cancel(key, Reason::Superseded { by: id }, now, out);
                }
                Ok(self.accept(id, request, now, out))
            }
            Verdict::Refuse(reason) => Err(Self::refuse(entry, id, request, reason, now, out)),
            Verdict::Skip(reason) => {
                let (agent, trigger) = (entry.profile.name.clone(), request.trigger.clone());
                out.push(Action::Emit(Fact::AgentSkipped { agent, run: id, trigger, reason: reason.clone() }));
                unaccepted(entry, id, End::Skipped, request, &reason, now, out);
                Err(Admission::Skipped(id, reason))
            }
        }
    }

    fn refuse(
        entry: &Entry,
        id: RunId,
        request: Request,
        reason: Reason,
        now: Clocks,
        out: &mut Vec<Action>,
    ) -> Admission {
        unaccepted(entry, id, End::Refused, request, &reason, now, out);
        Admission::Refused(id, reason)
    }

    fn is_full_without(&self, superseded: &[RunKey]) -> bool {
        let freed = superseded.iter().filter(|key| self.runs.get(**key).waits()).count();
        self.waiting - u32::try_from(freed).unwrap_or(0) >= self.capacity
    }

    fn verdict(&self, entry: &Entry, explicit: bool, waits: bool) -> Verdict {
        if self.shutting_down {
            return Verdict::Refuse(Reason::ShuttingDown);
        }
        if entry.profile.service {
            return Verdict::Refuse(Reason::NotAJob { agent: entry.profile.name.clone() });
        }
        if self.paused && !explicit {
            return Verdict::Skip(Reason::Paused);
        }
        match self.gate_verdict(entry) {
            Verdict::Admit => self.overlap_verdict(entry, explicit || waits),
            Verdict::Skip(reason) if explicit => Verdict::Refuse(reason),
            no => no,
        }
    }

    fn gate_verdict(&self, entry: &Entry) -> Verdict {
        match &entry.gate {
            Gate::Open => Verdict::Admit,
            Gate::HalfOpen => match entry.live.first() {
                None => Verdict::Admit,
                Some(trial) => Verdict::Skip(Reason::TrialInProgress { run: self.runs.id(*trial) }),
            },
            Gate::Closed { reason, .. } => Verdict::Skip(reason.clone()),
        }
    }

    /// | `overlap` | while one is live | while one waits, too | explicit triggers, catching up |
    /// |---|---|---|---|
    /// | `skip` | skipped | skipped | queue |
    /// | `queue_one` | queues | skipped | queue |
    /// | `queue_all` | queues | queues | queue |
    /// | `cancel_previous` | cancels it | cancels both | queue |
    /// | `allow` | runs beside it | runs beside it | run beside it |
    fn overlap_verdict(&self, entry: &Entry, waits: bool) -> Verdict {
        let Some(first) = entry.live.first() else { return Verdict::Admit };
        match entry.profile.overlap {
            Overlap::Allow | Overlap::QueueAll => Verdict::Admit,
            _ if waits => Verdict::Admit,
            Overlap::CancelPrevious => Verdict::CancelOthers,
            Overlap::Skip => Verdict::Skip(Reason::Overlap { running: self.runs.id(*first) }),
            Overlap::QueueOne => match entry.live.iter().find(|key| !self.runs.get(**key).started) {
                None => Verdict::Admit,
                Some(waiting) => Verdict::Skip(Reason::AlreadyWaiting { waiting: self.runs.id(*waiting) }),
            },
        }
    }

    /// Whom a newer execution replaces under `cancel_previous`: all but those that somebody waits for in person and
    /// that have not had their turn.
    fn superseded(&self, entry: &Entry) -> Vec<RunKey> {
        let replaced = |key: &RunKey| {
            let run = self.runs.get(*key);
            run.started || !run.trigger.is_explicit()
        };
        entry.live.iter().copied().filter(replaced).collect()
    }

    fn accept(&mut self, id: RunId, request: Request, now: Clocks, out: &mut Vec<Action>) -> RunKey {
        let Request { agent, trigger, scheduled_for, payload, run: _, waits: _ } = request;
        let entry = &mut self.entries[agent.slot()];
        // A trial counts as an automatic start, unless a person asked for it.
        let counted = matches!(entry.gate, Gate::HalfOpen) && !trigger.is_explicit();
        let key = self.runs.next_key();
        let turn = self.jobs.push(key, entry.profile.priority, entry.profile.depth, now.steady);
        self.runs.insert(Run::job(id, agent, trigger, scheduled_for, payload, counted, turn, now.steady));
        entry.live.push(key);
        if self.announces_later {
            self.unannounced.push_back(key);
        } else {
            self.announce(key, out);
        }
        self.waiting += 1;
        key
    }
}

/// The end of an execution that was never accepted.
fn unaccepted(
    entry: &Entry,
    run: RunId,
    end: End,
    request: Request,
    reason: &Reason,
    now: Clocks,
    out: &mut Vec<Action>,
) {
    let agent = entry.profile.name.clone();
    out.push(Action::Keep(Box::new(Finished {
        run,
        agent: agent.clone(),
        trigger: request.trigger.clone(),
        scheduled_for: request.scheduled_for,
        queued_at: now.wall,
        ended_at: now.wall,
        end,
        started: false,
        attempts: Vec::new(),
        waited: Duration::ZERO,
        exit: None,
        reason: Some(reason.clone()),
        peak_rss_bytes: None,
    })));
    out.push(Action::Emit(Fact::ExecutionEnded {
        agent,
        run,
        end,
        trigger: request.trigger,
        attempts: 0,
        duration: None,
        waited: Duration::ZERO,
        exit: None,
        reason: Some(reason.clone()),
    }));
}
