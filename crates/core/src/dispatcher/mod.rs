//! The one gate that every start goes through: admission, overlap, dependency health, breakers, order and workers.
//!
//! Invariants, whatever events come in whatever order:
//! - every admitted execution gets exactly one end;
//! - under every `overlap` but `allow`, an agent has at most one started execution that has not ended;
//! - nothing starts while one of its dependencies is unhealthy, unless a person forced it;
//! - never more than `max_restarts` automatic starts in any window;
//! - never more than `workers` job attempts at a time;
//! - what could start is started before a call returns.
//!
//! Services pass the same gate but occupy no worker and do not count to the queue's capacity.
//!
//! ```text
//!  admit ──▶ queued ──▶ running ──▶ ended
//!              ▲ │         │
//!              │ ▼         ▼
//!           parked     backing off ──▶ queued
//! ```

mod admission;
mod ending;
mod entry;
mod keys;
mod messages;
mod runs;
mod standing;
mod starting;
mod views;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

pub use entry::{AgentProfile, Gate};
pub use messages::{Action, Admission, Ended, Event, Finished, Grant, Request};
pub use runs::{Park, Phase};
pub use standing::{Before, Holder, LongestWait, Place, Rank, RestartRoom, RunStanding};
pub use views::{Live, Waiting};

use crate::backoff::Dice;
use crate::breaker::RestartWindow;
use crate::ids::{AgentIndex, RunId};
use crate::queue::{Queue, RunKey};
use crate::reason::Reason;
use crate::settings::{Breaker, QueueSettings};
use crate::spec::Priority;
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};

use entry::{Entry, Outcome};
use runs::{Run, Runs};

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
    /// Admitted in a large batch; their events follow in pieces.
    unannounced: VecDeque<RunKey>,
    announces_later: bool,
    /// Agents with another definition, whose parked executions have to look again.
    redefined: Vec<AgentIndex>,
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
            unannounced: VecDeque::new(),
            announces_later: false,
            redefined: Vec::new(),
            restarts: RestartWindow::new(breaker.max_restarts, breaker.window),
            restart_limit: (breaker.max_restarts, breaker.window),
            room_exhausted: false,
            paused: false,
            shutting_down: false,
            dice: Dice::new(seed),
            waiting: 0,
        }
    }

    /// Takes over what the last orchestrator left behind: how long ago automatic restarts were, and whether triggers were
    /// paused.
    pub fn restore(&mut self, restart_ages: impl IntoIterator<Item = Duration>, paused: bool, now: Moment) {
        self.restarts.restore(restart_ages, now);
        self.paused = paused;
    }

    /// The status and the error that the last end of a job left behind, before it runs again.
    pub fn restore_outcome(&mut self, agent: AgentIndex, status: Status, error: Option<String>, now: Clocks) {
        let Some(entry) = self.entries.get_mut(agent.slot()).filter(|entry| entry.is_defined()) else { return };
        if entry.outcome.is_none() && !entry.profile.service {
            entry.outcome = Outcome::from_status(status);
            entry.error = error.filter(|_| entry.outcome.is_some());
            self.standing_changed(agent, now);
        }
    }

    /// The status and the error that the last end of a job left behind, if it is not well.
    pub fn outcome(&self, agent: AgentIndex) -> Option<(Status, Option<&str>)> {
        let entry = self.entries.get(agent.slot()).filter(|entry| entry.is_defined())?;
        Some((entry.outcome.and_then(Outcome::as_status)?, entry.error.as_deref()))
    }

    /// Automatic starts taken since this was made, for who keeps them.
    pub const fn restarts_taken(&self) -> u64 {
        self.restarts.total()
    }

    /// Takes an agent in, or its new definition. Live executions keep what they were admitted with; what waits looks
    /// again with the next event, which [`Dispatcher::next_deadline`] asks for.
    pub fn define(&mut self, agent: AgentIndex, profile: AgentProfile) {
        self.unlink(agent);
        for (dependency, _) in &profile.dependencies {
            let dependents = &mut self.slot(*dependency).dependents;
            if !dependents.contains(&agent) {
                dependents.push(agent);
            }
        }
        if let Some(source) = profile.after {
            self.slot(source).followers.push(agent);
        }
        self.slot(agent).redefine(profile);
        let concerned = std::iter::once(&agent).chain(&self.entries[agent.slot()].dependents);
        self.redefined.extend(concerned.filter(|one| !self.entries[one.slot()].live.is_empty()));
    }

    /// Makes room for every job of the fleet being due at once, within the queue's capacity.
    pub fn expect_all_jobs(&mut self) {
        let mut by_priority = [(Priority::Critical, 0), (Priority::Important, 0), (Priority::Normal, 0)];
        for entry in self.entries.iter().filter(|entry| entry.is_defined() && !entry.profile.service) {
            for (_, count) in by_priority.iter_mut().filter(|(priority, _)| *priority == entry.profile.priority) {
                *count += 1;
            }
        }
        let capacity = usize::try_from(self.capacity).unwrap_or(usize::MAX);
        self.runs.expect(by_priority.iter().map(|(_, count)| count).sum::<usize>().min(capacity));
        for (priority, count) in by_priority {
            self.jobs.expect(count.min(capacity), priority);
        }
    }

    /// Takes an agent out: its waiting executions end as cancelled; as a dependency it is `missing` from now on.
    pub fn remove(&mut self, agent: AgentIndex, now: Clocks, out: &mut Vec<Action>) {
        self.cancel_waiting(agent, &Reason::Removed, now, out);
        self.unlink(agent);
        if let Some(entry) = self.entries.get_mut(agent.slot()) {
            entry.vacate();
        }
        self.standing_changed(agent, now);
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
            Event::FirstStarted { agent } => self.first_started(agent, now),
            Event::ServiceStatus { agent, status, error } => self.service_status(agent, status, error, now),
            Event::ServiceGaveUp { agent, run, reason, exit, attempts, log_tail } => {
                let draft = self.service_draft(agent, run, &reason, exit, attempts, log_tail, now);
                out.extend(draft.map(|draft| Action::DeadLetter(Box::new(draft))));
            }
            Event::CancelRun { run, by } => self.cancel_run(run, by, now, out),
            Event::SetPaused(paused) => self.paused = paused,
            Event::ShutDown => self.shut_down(now, out),
            Event::Configure { queue, breaker, workers } => self.configure(&queue, &breaker, workers, now),
            Event::DeadlineReached => self.deadline(now, out),
        }
        self.pump(now, out);
    }

    /// When [`Event::DeadlineReached`] is wanted.
    pub fn next_deadline(&mut self, now: Moment) -> Option<Moment> {
        if !self.redefined.is_empty() || !self.unannounced.is_empty() {
            return Some(now);
        }
        // What was cancelled while it backed off needs no deadline.
        while self.backing_off.peek().is_some_and(|Reverse((_, key))| !self.runs.is_backing_off(*key)) {
            self.backing_off.pop();
        }
        let backing_off = self.backing_off.peek().map(|Reverse((at, _))| *at);
        // Also when nobody waits any more: that there is room again is still to be told.
        let wanted = !self.waiting_for_room.is_empty() || self.room_exhausted;
        let room = wanted.then(|| self.restarts.room_at(now).unwrap_or(now));
        backing_off.into_iter().chain(room).min()
    }

    fn configure(&mut self, queue: &QueueSettings, breaker: &Breaker, workers: u32, now: Clocks) {
        self.capacity = queue.capacity;
        self.jobs.set_ageing(queue.ageing);
        self.workers = workers.max(1);
        self.restarts.configure(breaker.max_restarts, breaker.window);
        self.restart_limit = (breaker.max_restarts, breaker.window);
        self.release_waiting_for_room(now);
    }

    fn deadline(&mut self, now: Clocks, out: &mut Vec<Action>) {
        self.announce_some(out);
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

    // ---- services ----

    fn start_service(&mut self, agent: AgentIndex, instance: u16, automatic: bool, force: bool, now: Clocks) {
        let known = self.entries.get(agent.slot()).is_some_and(Entry::is_defined);
        if self.shutting_down || !known {
            return;
        }
        self.withdraw_service(agent, instance);
        let id = self.new_id(now.wall);
        let entry = &mut self.entries[agent.slot()];
        let key = self.runs.next_key();
        let turn = self.services.push(key, entry.profile.priority, entry.profile.depth, now.steady);
        self.runs.insert(Run::service(id, agent, instance, automatic, force, turn, now.steady));
        entry.live.push(key);
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
        let was = std::mem::replace(&mut entry.status, status);
        entry.error = error;
        // The word that it was started comes before; should it be lost, this one is good for both.
        entry.ever_started |= status == Status::Running;
        entry.ever_succeeded |= status == Status::Running;
        if was != status {
            self.standing_changed(agent, now);
        }
    }

    fn first_started(&mut self, agent: AgentIndex, now: Clocks) {
        let Some(entry) = self.entries.get_mut(agent.slot()).filter(|entry| entry.is_defined()) else { return };
        if !std::mem::replace(&mut entry.ever_started, true) {
            self.standing_changed(agent, now);
        }
    }

    // ---- helpers ----

    /// The entry of an agent; places up to it are made.
    fn slot(&mut self, agent: AgentIndex) -> &mut Entry {
        if self.entries.len() <= agent.slot() {
            self.entries.resize_with(agent.slot() + 1, Entry::vacant);
        }
        &mut self.entries[agent.slot()]
    }

    /// Takes an agent out of the lists of those that it depends on or follows.
    fn unlink(&mut self, agent: AgentIndex) {
        let Some(entry) = self.entries.get_mut(agent.slot()) else { return };
        let dependencies = std::mem::take(&mut entry.profile.dependencies);
        let after = entry.profile.after.take();
        for (dependency, _) in dependencies {
            self.entries[dependency.slot()].dependents.retain(|dependent| *dependent != agent);
        }
        if let Some(source) = after {
            self.entries[source.slot()].followers.retain(|follower| *follower != agent);
        }
    }

    fn new_id(&mut self, wall: Timestamp) -> RunId {
        RunId::from_parts(u64::try_from(wall.as_millis()).unwrap_or(0), self.dice.next_u128())
    }
}

#[cfg(test)]
mod tests;
