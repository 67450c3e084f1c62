//! The one gate that every start goes through: admission, overlap, dependency health, breakers, order and workers.
//!
//! Invariants, whatever events come in whatever order:
//! - every admitted execution gets exactly one end;
//! - under every `overlap` but `allow`, an agent has at most one started execution that has not ended;
//! - nothing starts while one of its dependencies is unhealthy, unless a person forced it;
//! - never more than `max_restarts` automatic starts in any window;
//! - never more than `workers` job attempts at a time.
//!
//! Services pass the same gate but occupy no worker and do not count to the queue's capacity.
//!
//! ```text
//!  admit ──▶ queued ──▶ running ──▶ ended
//!              ▲ │         │
//!              │ ▼         ▼
//!           parked     backing off ──▶ queued
//! ```

mod entry;
mod runs;
mod views;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

pub use entry::{AgentProfile, Gate};
pub use runs::{Park, Phase};
pub use views::{Live, Waiting};

use crate::backoff::Dice;
use crate::breaker::RestartWindow;
use crate::dead_letters::{Attempt, DeadLetterDraft};
use crate::event::{End, Event as Fact};
use crate::exit::Exit;
use crate::ids::{AgentIndex, RunId};
use crate::queue::{Queue, RunKey};
use crate::reason::Reason;
use crate::settings::{Breaker, QueueSettings};
use crate::spec::{OnUnhealthyDependency, Overlap};
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};
use crate::trigger::Trigger;

use entry::{Entry, Outcome};
use runs::{Run, Runs};

/// A request for an execution of a job.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose.
    pub agent: AgentIndex,
    /// What asks.
    pub trigger: Trigger,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// What the program gets on stdin.
    pub payload: Option<Arc<[u8]>>,
}

/// The answer to a [`Request`]. The execution has an id in any case, and an end in the two latter ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It waits, or has been started already.
    Accepted(RunId),
    /// Not started, as intended.
    Skipped(RunId, Reason),
    /// Not accepted.
    Refused(RunId, Reason),
}

/// What the dispatcher is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A service's instance wants to start. `automatic` starts count against the global breaker.
    StartService {
        /// Whose.
        agent: AgentIndex,
        /// Which instance.
        instance: u16,
        /// Whether it is a restart of our own.
        automatic: bool,
        /// Whether unhealthy dependencies are overridden.
        force: bool,
    },
    /// A service's instance does not want to start any more.
    WithdrawService {
        /// Whose.
        agent: AgentIndex,
        /// Which instance.
        instance: u16,
    },
    /// An attempt failed, and there is to be another one.
    Retry {
        /// Which execution.
        key: RunKey,
        /// After this delay.
        delay: Duration,
        /// Whether it counts as an attempt and against the global breaker; not so when the machine was short of something.
        counted: bool,
        /// The attempt that failed.
        attempt: Option<Attempt>,
        /// Why.
        reason: Reason,
    },
    /// The last attempt ended.
    Ended(Box<Ended>),
    /// The agent opened or closed itself for executions.
    SetGate {
        /// Whose.
        agent: AgentIndex,
        /// The new state.
        gate: Gate,
    },
    /// The status of a service changed.
    ServiceStatus {
        /// Whose.
        agent: AgentIndex,
        /// The worst of its instances.
        status: Status,
        /// Its last error, as a dependency's payload carries it.
        error: Option<String>,
    },
    /// A service was given up: its dead letter.
    ServiceGaveUp {
        /// Whose.
        agent: AgentIndex,
        /// Which life of it.
        run: RunId,
        /// Why.
        reason: Reason,
        /// How it ended.
        exit: Exit,
        /// The last lives.
        attempts: Vec<Attempt>,
        /// Its last lines.
        log_tail: Vec<String>,
    },
    /// Somebody cancels one execution.
    CancelRun {
        /// Which.
        run: RunId,
        /// Who.
        by: String,
    },
    /// All triggers but explicit ones are paused, or resumed.
    SetPaused(bool),
    /// Nothing is started any more; what waits is cancelled.
    ShutDown,
    /// Thresholds changed.
    Configure {
        /// `[queue]`
        queue: QueueSettings,
        /// `[breaker]`
        breaker: Breaker,
        /// Number of workers, "auto" resolved.
        workers: u32,
    },
    /// [`Dispatcher::next_deadline`] is over.
    DeadlineReached,
}

/// How an execution's last attempt ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which execution.
    pub key: RunKey,
    /// Its end.
    pub end: End,
    /// The attempt, if it was started.
    pub attempt: Option<Attempt>,
    /// How its program ended.
    pub exit: Option<Exit>,
    /// Why, unless it succeeded.
    pub reason: Option<Reason>,
    /// Whether it is kept as a dead letter.
    pub dead_letter: bool,
    /// Last lines of its output.
    pub log_tail: Vec<String>,
    /// Peak memory of its program in bytes.
    pub peak_rss_bytes: u64,
}

/// The right to start a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The execution's handle; for a service the handle is free again already.
    pub key: RunKey,
    /// Its id.
    pub run: RunId,
    /// Whose.
    pub agent: AgentIndex,
    /// Which instance, for a service.
    pub instance: Option<u16>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// What the program gets on stdin.
    pub payload: Option<Arc<[u8]>>,
}

/// What the dispatcher answers.
#[derive(Clone, Debug)]
#[must_use]
pub enum Action {
    /// Start a program.
    Start(Grant),
    /// End a running execution; it answers with [`Event::Ended`].
    Cancel {
        /// Whose.
        agent: AgentIndex,
        /// Which.
        key: RunKey,
        /// Why.
        reason: Reason,
    },
    /// Tell everybody.
    Emit(Fact),
    /// Keep a dead letter.
    DeadLetter(Box<DeadLetterDraft>),
    /// A successful execution's times.
    Sample {
        /// Whose.
        agent: AgentIndex,
        /// Of the successful attempt.
        duration: Duration,
        /// For a worker.
        waited: Duration,
    },
}

/// The dispatcher. See the module.
#[derive(Debug)]
pub struct Dispatcher {
    entries: Vec<Entry>,
    runs: Runs,
    jobs: Queue,
    services: Queue,
    busy: u32,
    workers: u32,
    capacity: u32,
    backing_off: BinaryHeap<Reverse<(Moment, RunKey)>>,
    waiting_for_room: Vec<RunKey>,
    restarts: RestartWindow,
    restart_limit: (u32, Duration),
    room_exhausted: bool,
    paused: bool,
    shutting_down: bool,
    dice: Dice,
    /// Executions that wait: queued, parked or backing off. Bounded by `capacity` at admission.
    waiting: u32,
}

impl Dispatcher {
    /// An empty dispatcher. `seed` feeds the random part of run ids.
    pub fn new(queue: &QueueSettings, breaker: &Breaker, workers: u32, seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            runs: Runs::default(),
            jobs: Queue::new(queue.ageing),
            services: Queue::new(Duration::ZERO),
            busy: 0,
            workers: workers.max(1),
            capacity: queue.capacity,
            backing_off: BinaryHeap::new(),
            waiting_for_room: Vec::new(),
            restarts: RestartWindow::new(breaker.max_restarts, breaker.window),
            restart_limit: (breaker.max_restarts, breaker.window),
            room_exhausted: false,
            paused: false,
            shutting_down: false,
            dice: Dice::new(seed),
            waiting: 0,
        }
    }

    /// Takes an agent in, or its new definition. Live executions keep what they were admitted with.
    pub fn define(&mut self, agent: AgentIndex, profile: AgentProfile) {
        while self.entries.len() <= agent.slot() {
            self.entries.push(Entry::vacant());
        }
        let old: Vec<AgentIndex> = self.entries[agent.slot()].profile.dependencies.iter().map(|(dep, _)| *dep).collect();
        for dependency in old {
            if let Some(entry) = self.entries.get_mut(dependency.slot()) {
                entry.dependents.retain(|dependent| *dependent != agent);
            }
        }
        for (dependency, _) in &profile.dependencies {
            while self.entries.len() <= dependency.slot() {
                self.entries.push(Entry::vacant());
            }
            self.entries[dependency.slot()].dependents.push(agent);
        }
        let old_after = self.entries[agent.slot()].profile.after;
        if let Some(source) = old_after {
            self.entries[source.slot()].followers.retain(|follower| *follower != agent);
        }
        if let Some(source) = profile.after {
            while self.entries.len() <= source.slot() {
                self.entries.push(Entry::vacant());
            }
            self.entries[source.slot()].followers.push(agent);
        }
        self.entries[agent.slot()].redefine(profile);
    }

    /// Takes an agent out: its waiting executions end as cancelled; as a dependency it is `missing` from now on.
    pub fn remove(&mut self, agent: AgentIndex, now: Clocks, out: &mut Vec<Action>) {
        self.cancel_waiting(agent, &Reason::Removed, now, out);
        if let Some(entry) = self.entries.get_mut(agent.slot()) {
            entry.vacate();
        }
        self.standing_changed(agent, now);
        self.pump(now, out);
    }

    /// Decides on a request for an execution.
    pub fn admit(&mut self, request: Request, now: Clocks, out: &mut Vec<Action>) -> Admission {
        let admission = self.admit_quietly(request, now, out);
        self.pump(now, out);
        admission
    }

    /// Decides on a whole batch, such as all that is due in one second, and starts only then.
    pub fn admit_batch(&mut self, requests: impl IntoIterator<Item = Request>, now: Clocks, out: &mut Vec<Action>) {
        let requests = requests.into_iter();
        let mut accepted = Vec::with_capacity(requests.size_hint().0);
        self.runs.reserve(requests.size_hint().0);
        for request in requests {
            accepted.extend(self.decide(request, now, out).ok());
        }
        for key in accepted {
            self.announce_accepted(key, out);
        }
        self.pump(now, out);
    }

    /// The one place where everything else changes state.
    pub fn on(&mut self, event: Event, now: Clocks, out: &mut Vec<Action>) {
        match event {
            Event::StartService { agent, instance, automatic, force } => {
                self.start_service(agent, instance, automatic, force, now);
            }
            Event::WithdrawService { agent, instance } => self.withdraw_service(agent, instance),
            Event::Retry { key, delay, counted, attempt, reason } => {
                self.retry(key, delay, counted, attempt, reason, now, out);
            }
            Event::Ended(ended) => self.ended(*ended, now, out),
            Event::SetGate { agent, gate } => self.set_gate(agent, gate, now, out),
            Event::ServiceStatus { agent, status, error } => self.service_status(agent, status, error, now),
            Event::ServiceGaveUp { agent, run, reason, exit, attempts, log_tail } => {
                let draft = self.service_draft(agent, run, &reason, exit, attempts, log_tail, now);
                out.extend(draft.map(|draft| Action::DeadLetter(Box::new(draft))));
            }
            Event::CancelRun { run, by } => self.cancel_run(run, by, now, out),
            Event::SetPaused(paused) => self.paused = paused,
            Event::ShutDown => self.shut_down(now, out),
            Event::Configure { queue, breaker, workers } => {
                self.capacity = queue.capacity;
                self.jobs.set_ageing(queue.ageing);
                self.workers = workers.max(1);
                self.restarts.configure(breaker.max_restarts, breaker.window);
                self.restart_limit = (breaker.max_restarts, breaker.window);
                self.release_waiting_for_room(now);
            }
            Event::DeadlineReached => self.deadline(now),
        }
        self.pump(now, out);
    }

    /// When [`Event::DeadlineReached`] is wanted.
    pub fn next_deadline(&mut self, now: Moment) -> Option<Moment> {
        let backing_off = self.backing_off.peek().map(|Reverse((at, _))| *at);
        let room = if self.waiting_for_room.is_empty() { None } else { Some(self.restarts.room_at(now).unwrap_or(now)) };
        backing_off.into_iter().chain(room).min()
    }

    // ---- admission ----

    fn admit_quietly(&mut self, request: Request, now: Clocks, out: &mut Vec<Action>) -> Admission {
        match self.decide(request, now, out) {
            Ok(key) => {
                self.announce_accepted(key, out);
                Admission::Accepted(self.runs.id(key))
            }
            Err(no) => no,
        }
    }

    /// Puts the request into the queue, or says why not.
    fn decide(&mut self, request: Request, now: Clocks, out: &mut Vec<Action>) -> Result<RunKey, Admission> {
        let id = self.new_id(now.wall);
        let agent = request.agent;
        let Some(entry) = self.entries.get(agent.slot()).filter(|entry| entry.is_defined()) else {
            return Err(Admission::Refused(id, Reason::UnknownAgent));
        };
        let verdict = self.verdict(entry, request.trigger.is_explicit());
        match verdict {
            Verdict::Admit | Verdict::CancelOthers if self.waiting >= self.capacity => {
                Err(Self::refuse(entry, id, request, Reason::QueueFull { capacity: self.capacity }, out))
            }
            Verdict::Admit => Ok(self.accept(id, request, now)),
            Verdict::CancelOthers => {
                self.cancel_all(agent, &Reason::Superseded { by: id }, now, out);
                Ok(self.accept(id, request, now))
            }
            Verdict::Refuse(reason) => Err(Self::refuse(entry, id, request, reason, out)),
            Verdict::Skip(reason) => {
                let (agent, trigger) = (entry.profile.name.clone(), request.trigger.clone());
                out.push(Action::Emit(Fact::AgentSkipped { agent, run: id, trigger, reason: reason.clone() }));
                out.push(Action::Emit(unaccepted(entry, id, End::Skipped, request.trigger, reason.clone())));
                Err(Admission::Skipped(id, reason))
            }
        }
    }

    fn refuse(entry: &Entry, id: RunId, request: Request, reason: Reason, out: &mut Vec<Action>) -> Admission {
        out.push(Action::Emit(unaccepted(entry, id, End::Refused, request.trigger, reason.clone())));
        Admission::Refused(id, reason)
    }

    fn verdict(&self, entry: &Entry, explicit: bool) -> Verdict {
        if self.shutting_down {
            return Verdict::Refuse(Reason::ShuttingDown);
        }
        if self.paused && !explicit {
            return Verdict::Skip(Reason::Paused);
        }
        match self.gate_verdict(entry) {
            Verdict::Admit => self.overlap_verdict(entry, explicit),
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

    fn overlap_verdict(&self, entry: &Entry, explicit: bool) -> Verdict {
        let Some(first) = entry.live.first() else { return Verdict::Admit };
        match entry.profile.overlap {
            Overlap::Allow | Overlap::QueueAll => Verdict::Admit,
            Overlap::CancelPrevious => Verdict::CancelOthers,
            Overlap::Skip | Overlap::QueueOne if explicit => Verdict::Admit,
            Overlap::Skip => Verdict::Skip(Reason::Overlap { running: self.runs.id(*first) }),
            Overlap::QueueOne => match entry.live.iter().find(|key| entry.active != Some(**key)) {
                None => Verdict::Admit,
                Some(waiting) => Verdict::Skip(Reason::AlreadyWaiting { waiting: self.runs.id(*waiting) }),
            },
        }
    }

    fn accept(&mut self, id: RunId, request: Request, now: Clocks) -> RunKey {
        let Request { agent, trigger, scheduled_for, payload } = request;
        let entry = &mut self.entries[agent.slot()];
        let trial = matches!(entry.gate, Gate::HalfOpen);
        let key = self.runs.insert(Run::job(id, agent, trigger, scheduled_for, payload, trial, now.steady));
        entry.live.push(key);
        self.waiting += 1;
        let turn = self.jobs.push(key, entry.profile.priority, entry.profile.depth, now.steady);
        self.runs.get_mut(key).turn = Some(turn);
        key
    }

    fn announce_accepted(&self, key: RunKey, out: &mut Vec<Action>) {
        let run = self.runs.get(key);
        out.push(Action::Emit(Fact::ExecutionQueued {
            agent: self.entries[run.agent.slot()].profile.name.clone(),
            run: run.id,
            trigger: run.trigger.clone(),
            scheduled_for: run.scheduled_for,
        }));
    }

    fn new_id(&mut self, wall: Timestamp) -> RunId {
        RunId::from_parts(u64::try_from(wall.as_millis()).unwrap_or(0), self.dice.next_u128())
    }

    // ---- services ----

    fn start_service(&mut self, agent: AgentIndex, instance: u16, automatic: bool, force: bool, now: Clocks) {
        let known = self.entries.get(agent.slot()).is_some_and(Entry::is_defined);
        if self.shutting_down || !known {
            return;
        }
        self.withdraw_service(agent, instance);
        let id = self.new_id(now.wall);
        let key = self.runs.insert(Run::service(id, agent, instance, automatic, force, now.steady));
        let entry = &mut self.entries[agent.slot()];
        entry.live.push(key);
        let turn = self.services.push(key, entry.profile.priority, entry.profile.depth, now.steady);
        self.runs.get_mut(key).turn = Some(turn);
    }

    fn withdraw_service(&mut self, agent: AgentIndex, instance: u16) {
        let Some(entry) = self.entries.get(agent.slot()) else { return };
        let wanted = entry.live.iter().copied().find(|key| self.runs.get(*key).instance == Some(instance));
        if let Some(key) = wanted {
            self.forget(key);
        }
    }

    fn service_status(&mut self, agent: AgentIndex, status: Status, error: Option<String>, now: Clocks) {
        let Some(entry) = self.entries.get_mut(agent.slot()).filter(|entry| entry.is_defined()) else { return };
        let was = entry.status;
        entry.status = status;
        entry.error = error;
        match status {
            Status::Running => {
                entry.ever_started = true;
                entry.ever_succeeded = true;
            }
            Status::Starting => entry.ever_started = true,
            _ => {}
        }
        if was != status {
            self.standing_changed(agent, now);
        }
    }

    // ---- what running executions report ----

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    fn retry(
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
        self.busy -= 1;
        let run = self.runs.get_mut(key);
        run.attempts.extend(attempt);
        if self.shutting_down {
            self.finish(key, End::Interrupted, None, Some(Reason::ShuttingDown), now, out);
            return;
        }
        let run = self.runs.get_mut(key);
        if let Some(why) = run.cancelled.take() {
            self.finish(key, End::Cancelled, None, Some(why), now, out);
            return;
        }
        let run = self.runs.get_mut(key);
        run.automatic = counted;
        run.attempt += u32::from(counted);
        run.reason = Some(Reason::BackingOff { delay, cause: Box::new(reason) });
        run.phase = Phase::BackingOff { until: now.steady + delay };
        self.waiting += 1;
        if let Gate::Closed { reason, .. } = &self.entries[run.agent.slot()].gate {
            let reason = reason.clone();
            self.finish(key, End::Cancelled, None, Some(reason), now, out);
            return;
        }
        self.backing_off.push(Reverse((now.steady + delay, key)));
    }

    fn ended(&mut self, mut ended: Ended, now: Clocks, out: &mut Vec<Action>) {
        if !self.runs.is_running(ended.key) {
            return; // Reported twice, or after it was given up: the first report counts.
        }
        self.busy -= 1;
        let run = self.runs.get_mut(ended.key);
        run.attempts.extend(ended.attempt.take());
        run.peak_rss_bytes = run.peak_rss_bytes.max(ended.peak_rss_bytes);
        let (agent, waited) = (run.agent, run.waited);
        let duration = run.attempts.last().map(|attempt| attempt.duration);
        if ended.end == End::Succeeded {
            out.extend(duration.map(|duration| Action::Sample { agent, duration, waited }));
        }
        if ended.dead_letter {
            let draft = self.job_draft(ended.key, &ended, now);
            out.push(Action::DeadLetter(Box::new(draft)));
        }
        self.finish(ended.key, ended.end, ended.exit, ended.reason, now, out);
    }

    /// The one place where an execution ends.
    fn finish(
        &mut self,
        key: RunKey,
        end: End,
        exit: Option<Exit>,
        reason: Option<Reason>,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let run = self.runs.get(key);
        let (id, agent) = (run.id, run.agent);
        let entry = &mut self.entries[agent.slot()];
        let missing = matches!(reason, Some(Reason::CommandMissing { .. }));
        let outcome = match end {
            End::Succeeded => Some(Outcome::Succeeded),
            End::Failed if missing => Some(Outcome::Missing),
            End::Failed | End::Lost => Some(Outcome::Failed),
            End::TimedOut => Some(Outcome::TimedOut),
            End::Skipped | End::Refused | End::Cancelled | End::Interrupted => None,
        };
        let error = reason.as_ref().map(ToString::to_string);
        out.push(Action::Emit(Fact::ExecutionEnded {
            agent: entry.profile.name.clone(),
            run: id,
            end,
            trigger: run.trigger.clone(),
            attempts: u32::try_from(run.attempts.len()).unwrap_or(u32::MAX),
            duration: run.attempts.last().map(|attempt| attempt.duration),
            waited: run.waited,
            exit,
            reason,
        }));
        if let Some(outcome) = outcome {
            let changed = entry.outcome != Some(outcome);
            entry.outcome = Some(outcome);
            entry.error = if outcome == Outcome::Succeeded { None } else { error };
            entry.ever_succeeded |= outcome == Outcome::Succeeded;
            if changed {
                self.standing_changed(agent, now);
            }
        }
        self.forget(key);
        self.release_next(agent, now);
        if end == End::Succeeded && !self.shutting_down {
            self.trigger_followers(agent, id, now, out);
        }
    }

    fn trigger_followers(&mut self, agent: AgentIndex, run: RunId, now: Clocks, out: &mut Vec<Action>) {
        let source = self.entries[agent.slot()].profile.name.clone();
        for follower in self.entries[agent.slot()].followers.clone() {
            let trigger = Trigger::After { agent: source.clone(), run };
            let request = Request { agent: follower, trigger, scheduled_for: None, payload: None };
            let _ = self.admit_quietly(request, now, out);
        }
    }

    // ---- gates, cancelling, shutdown ----

    fn set_gate(&mut self, agent: AgentIndex, gate: Gate, now: Clocks, out: &mut Vec<Action>) {
        let Some(entry) = self.entries.get_mut(agent.slot()).filter(|entry| entry.is_defined()) else { return };
        entry.gate = gate;
        if matches!(entry.gate, Gate::Open) && matches!(entry.outcome, Some(Outcome::Missing)) {
            entry.outcome = None;
        }
        if let Gate::Closed { reason, .. } = &entry.gate {
            let reason = reason.clone();
            self.cancel_waiting(agent, &reason, now, out);
        }
        self.standing_changed(agent, now);
    }

    fn cancel_waiting(&mut self, agent: AgentIndex, reason: &Reason, now: Clocks, out: &mut Vec<Action>) {
        let Some(entry) = self.entries.get(agent.slot()) else { return };
        for key in entry.live.clone() {
            let run = self.runs.get(key);
            if run.instance.is_some() {
                self.forget(key);
            } else if run.phase != Phase::Running {
                self.finish(key, End::Cancelled, None, Some(reason.clone()), now, out);
            }
        }
    }

    fn cancel_all(&mut self, agent: AgentIndex, reason: &Reason, now: Clocks, out: &mut Vec<Action>) {
        self.cancel_waiting(agent, reason, now, out);
        for key in self.entries[agent.slot()].live.clone() {
            self.cancel_running(key, reason.clone(), out);
        }
    }

    fn cancel_running(&mut self, key: RunKey, reason: Reason, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(key);
        if run.cancelled.is_none() {
            run.cancelled = Some(reason.clone());
            out.push(Action::Cancel { agent: run.agent, key, reason });
        }
    }

    fn cancel_run(&mut self, id: RunId, by: String, now: Clocks, out: &mut Vec<Action>) {
        let Some(key) = self.runs.find(id) else { return };
        let reason = Reason::ByOperator { by };
        if self.runs.get(key).phase == Phase::Running {
            self.cancel_running(key, reason, out);
        } else {
            self.finish(key, End::Cancelled, None, Some(reason), now, out);
        }
    }

    fn shut_down(&mut self, now: Clocks, out: &mut Vec<Action>) {
        self.shutting_down = true;
        for slot in 0..self.entries.len() {
            self.cancel_waiting(AgentIndex::from(slot), &Reason::ShuttingDown, now, out);
        }
    }

    // ---- time ----

    fn deadline(&mut self, now: Clocks) {
        while let Some(Reverse((at, key))) = self.backing_off.peek().copied() {
            if at > now.steady {
                break;
            }
            self.backing_off.pop();
            if self.runs.is_backing_off(key) {
                self.enqueue_again(key, now);
            }
        }
        self.release_waiting_for_room(now);
    }

    fn release_waiting_for_room(&mut self, now: Clocks) {
        if self.restarts.room_at(now.steady).is_none() {
            for key in std::mem::take(&mut self.waiting_for_room) {
                if self.runs.is_parked(key, Park::RestartRoom) {
                    self.enqueue_again(key, now);
                }
            }
        }
    }

    /// The next execution of the same agent may have its turn.
    fn release_next(&mut self, agent: AgentIndex, now: Clocks) {
        let entry = &self.entries[agent.slot()];
        if entry.active.is_some() {
            return;
        }
        let next = entry.live.iter().copied().filter(|key| self.runs.is_parked(*key, Park::Previous));
        let next = next.min_by_key(|key| self.runs.get(*key).accepted_order());
        if let Some(key) = next {
            self.enqueue_again(key, now);
        }
    }

    /// The standing of an agent as a dependency may have changed: who waits for it looks again.
    fn standing_changed(&mut self, agent: AgentIndex, now: Clocks) {
        let Some(entry) = self.entries.get(agent.slot()) else { return };
        for dependent in entry.dependents.clone() {
            for key in self.entries[dependent.slot()].live.clone() {
                if self.runs.is_parked(key, Park::Dependencies) {
                    self.enqueue_again(key, now);
                }
            }
        }
    }

    fn enqueue_again(&mut self, key: RunKey, now: Clocks) {
        let run = self.runs.get_mut(key);
        let fresh_turn = matches!(run.phase, Phase::BackingOff { .. });
        run.phase = Phase::Queued;
        let (agent, turn, service) = (run.agent, run.turn, run.instance.is_some());
        let profile = &self.entries[agent.slot()].profile;
        let queue = if service { &mut self.services } else { &mut self.jobs };
        match turn.filter(|_| !fresh_turn) {
            Some(turn) => queue.push_back(key, profile.priority, profile.depth, turn, now.steady),
            None => {
                let turn = queue.push(key, profile.priority, profile.depth, now.steady);
                let run = self.runs.get_mut(key);
                run.turn = Some(turn);
                run.waiting_since = now.steady;
            }
        }
    }

    // ---- starting ----

    fn pump(&mut self, now: Clocks, out: &mut Vec<Action>) {
        while let Some(key) = self.services.pop(now.steady) {
            self.try_start(key, now, out);
        }
        while self.busy < self.workers {
            let Some(key) = self.jobs.pop(now.steady) else { break };
            self.try_start(key, now, out);
        }
        self.watch_room(now, out);
    }

    fn try_start(&mut self, key: RunKey, now: Clocks, out: &mut Vec<Action>) {
        let run = self.runs.get(key);
        let entry = &self.entries[run.agent.slot()];
        let serial = run.instance.is_none() && entry.profile.overlap != Overlap::Allow;
        if serial && entry.active.is_some_and(|active| active != key) {
            self.park(key, Park::Previous, Reason::WaitingForPrevious);
            return;
        }
        if !run.is_forced() {
            let unhealthy = self.unhealthy_dependencies(run.agent);
            if !unhealthy.is_empty() {
                let skip = run.instance.is_none() && entry.profile.on_unhealthy == OnUnhealthyDependency::Skip;
                let agent = entry.profile.name.clone();
                let reason = Reason::UnhealthyDependencies { dependencies: unhealthy.clone() };
                if skip {
                    let (id, trigger) = (run.id, run.trigger.clone());
                    out.push(Action::Emit(Fact::DependenciesUnhealthy { agent: agent.clone(), unhealthy_deps: unhealthy }));
                    let skipped = Fact::AgentSkipped { agent, run: id, trigger, reason: reason.clone() };
                    out.push(Action::Emit(skipped));
                    self.finish(key, End::Skipped, None, Some(reason), now, out);
                } else {
                    if run.reason.as_ref() != Some(&reason) {
                        out.push(Action::Emit(Fact::DependenciesUnhealthy { agent, unhealthy_deps: unhealthy }));
                    }
                    self.park(key, Park::Dependencies, reason);
                }
                return;
            }
        }
        if run.automatic && self.restarts.try_take(now.steady).is_err() {
            let (max_restarts, window) = self.restart_limit;
            self.park(key, Park::RestartRoom, Reason::WaitingForRestartRoom { max_restarts, window });
            self.waiting_for_room.push(key);
            return;
        }
        self.start(key, now, out);
    }

    fn start(&mut self, key: RunKey, now: Clocks, out: &mut Vec<Action>) {
        let run = self.runs.get_mut(key);
        run.phase = Phase::Running;
        run.automatic = false;
        run.reason = None;
        run.waited = now.steady.since(run.waiting_since);
        let grant = Grant {
            key,
            run: run.id,
            agent: run.agent,
            instance: run.instance,
            attempt: run.attempt,
            scheduled_for: run.scheduled_for,
            payload: run.payload.clone(),
        };
        let waited = run.waited;
        if run.instance.is_some() {
            self.forget(key);
        } else {
            self.busy += 1;
            self.waiting -= 1;
            let entry = &mut self.entries[grant.agent.slot()];
            entry.active = Some(key);
            let first = !std::mem::replace(&mut entry.ever_started, true);
            out.push(Action::Emit(Fact::ExecutionStarted {
                agent: entry.profile.name.clone(),
                run: grant.run,
                attempt: grant.attempt,
                waited,
            }));
            if first {
                self.standing_changed(grant.agent, now);
            }
        }
        out.push(Action::Start(grant));
    }

    fn park(&mut self, key: RunKey, park: Park, reason: Reason) {
        let run = self.runs.get_mut(key);
        run.phase = Phase::Parked(park);
        run.reason = Some(reason);
    }

    /// Says once when automatic restarts have to wait, and once when there is room again.
    fn watch_room(&mut self, now: Clocks, out: &mut Vec<Action>) {
        if self.waiting_for_room.is_empty() {
            if self.room_exhausted && self.restarts.room_at(now.steady).is_none() {
                self.room_exhausted = false;
                out.push(Action::Emit(Fact::BreakerClosed { agent: None, reason: Reason::RestartRoomAgain }));
            }
        } else if !self.room_exhausted {
            self.room_exhausted = true;
            let (max_restarts, window) = self.restart_limit;
            let reason = Reason::WaitingForRestartRoom { max_restarts, window };
            out.push(Action::Emit(Fact::BreakerOpened { agent: None, reason, cooldown: None }));
        }
    }

    /// Takes an execution out of every table. Its end has been told, or it is a service's.
    fn forget(&mut self, key: RunKey) {
        let run = self.runs.get(key);
        let (agent, job, waits) = (run.agent, run.instance.is_none(), run.phase != Phase::Running);
        let queue = if job { &mut self.jobs } else { &mut self.services };
        queue.remove(key);
        if job && waits {
            self.waiting -= 1;
        }
        let entry = &mut self.entries[agent.slot()];
        if let Some(position) = entry.live.iter().position(|live| *live == key) {
            entry.live.remove(position);
        }
        if entry.active == Some(key) {
            entry.active = None;
        }
        self.waiting_for_room.retain(|waiting| *waiting != key);
        self.runs.remove(key);
    }
}

/// The end of an execution that was never accepted.
fn unaccepted(entry: &Entry, run: RunId, end: End, trigger: Trigger, reason: Reason) -> Fact {
    Fact::ExecutionEnded {
        agent: entry.profile.name.clone(),
        run,
        end,
        trigger,
        attempts: 0,
        duration: None,
        waited: Duration::ZERO,
        exit: None,
        reason: Some(reason),
    }
}

/// What admission thinks of a request.
enum Verdict {
    Admit,
    CancelOthers,
    Skip(Reason),
    Refuse(Reason),
}

#[cfg(test)]
mod tests;
