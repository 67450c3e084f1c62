//! The loop: what is due, what ends and what was asked for goes to the machines, and the time passes in between.
//!
//! At one instant what is due comes first, then programs end, then deadlines: a program that ends in the very moment in
//! which its agent is due again is late, as it is in the real world by the time that a start takes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::account::Account;
use super::programs::Programs;
use super::{Begin, Fleet, Plan, first_moment};
use crate::agent::{Action as Wish, Agent, Event as ToAgent, Kept, ProcessEnd, ProcessKey};
use crate::boot::{Boot, BootAction, BootEvent};
use crate::breaker::KeptBreaker;
use crate::dispatcher::{Action, Dispatcher, Event as ToDispatcher, Gate, Grant, Request};
use crate::exit::Exit;
use crate::ids::AgentIndex;
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};
use crate::timetable::{Due, Timetable, seed_of};
use crate::trigger::Trigger;

/// Entries that are rescheduled in one go; how many does not matter here.
const ALL: usize = usize::MAX;

/// What happens at its time; of what happens at the same time the first variant comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A program ends.
    Ends,
    /// An agent wanted to be woken.
    Alarm,
}

/// When, what, the how-manieth, and whose; for a program which.
type Planned = Reverse<(Moment, Happening, u64, AgentIndex, u32)>;

/// A fleet in virtual time.
pub(super) struct World<'a> {
    plan: &'a Plan,
    fleet: &'a Fleet,
    begin: Clocks,
    now: Clocks,
    dispatcher: Dispatcher,
    timetable: Timetable,
    /// When the timetable is looked at next.
    next_look: Option<Moment>,
    agents: Vec<Agent>,
    alarms: Vec<Option<Moment>>,
    programs: Vec<Programs>,
    happenings: BinaryHeap<Planned>,
    serial: u64,
    mail: VecDeque<ToDispatcher>,
    actions: Vec<Action>,
    wishes: Vec<Wish>,
    account: Account<'a>,
}

impl<'a> World<'a> {
    pub fn new(plan: &'a Plan, fleet: &'a Fleet, only: Option<AgentIndex>) -> Self {
        let begin = Clocks { steady: first_moment(plan.begin), wall: plan.from };
        let agent = |(slot, member): (usize, &super::Member)| {
            let seed = plan.seed ^ seed_of(member.spec.name.as_str());
            let mut agent = Agent::new(AgentIndex::from(slot), member.spec.clone(), &plan.breaker, seed);
            if let Some(kept) = &member.kept {
                // A service counts as ready unless a person wants it otherwise, and memory as enough.
                let service = member.spec.service().is_some();
                let breaker = if service { KeptBreaker::default() } else { kept.breaker.clone() };
                let kept = Kept { breaker, shed: None, instances: Vec::new(), ..kept.clone() };
                agent.restore(&kept, &plan.breaker, begin);
            }
            agent
        };
        let agents: Vec<Agent> = plan.members.iter().enumerate().map(agent).collect();
        Self {
            plan,
            fleet,
            begin,
            now: begin,
            dispatcher: Dispatcher::new(&plan.queue, &plan.breaker, plan.workers, plan.seed),
            timetable: Timetable::new(),
            next_look: None,
            alarms: vec![None; agents.len()],
            agents,
            programs: plan.members.iter().map(|member| Programs::new(member, plan)).collect(),
            happenings: BinaryHeap::new(),
            serial: 0,
            mail: VecDeque::new(),
            actions: Vec::new(),
            wishes: Vec::new(),
            account: Account::new(plan, fleet, only),
        }
    }

    /// Runs to the end, or until it is cut off.
    pub fn run(mut self) -> Account<'a> {
        self.start();
        let end = self.begin.steady + self.plan.to.since(self.plan.from);
        while let Some(next) = self.next_time().filter(|at| *at < end) {
            self.pass_to(next);
            self.due();
            if self.account.steps() >= self.plan.steps {
                self.account.cut_off(self.now.wall);
                return self.finish();
            }
        }
        self.pass_to(end);
        self.finish()
    }

    fn finish(mut self) -> Account<'a> {
        for (slot, programs) in self.programs.iter().enumerate() {
            for running in programs.running() {
                self.account.worked(AgentIndex::from(slot), self.now.steady.since(running.began));
            }
        }
        for slot in 0..self.agents.len() {
            let agent = AgentIndex::from(slot);
            for live in self.dispatcher.live(agent) {
                self.account.left(agent, live.running);
            }
        }
        self.account.close(self.now.wall);
        self.account
    }

    // ---- the begin ----

    fn start(&mut self) {
        for (slot, profile) in self.fleet.profiles.iter().enumerate() {
            self.dispatcher.define(AgentIndex::from(slot), profile.clone());
        }
        for slot in 0..self.agents.len() {
            self.introduce(AgentIndex::from(slot));
        }
        self.read_mail();
        let mut boot = Boot::new(self.fleet.layers.clone(), std::time::Duration::ZERO, |_| &[]);
        let mut layers = Vec::new();
        boot.on(BootEvent::Begin, self.now.steady, &mut layers);
        for action in layers {
            if let BootAction::StartLayer { members, .. } = action {
                self.start_layer(&members);
            }
        }
        self.look_again();
    }

    /// Tells the dispatcher how an agent is: services are ready, whoever is switched off stays so.
    fn introduce(&mut self, agent: AgentIndex) {
        let member = &self.plan.members[agent.slot()];
        let gate = self.agents[agent.slot()].gate();
        let closed = matches!(gate, Gate::Closed { .. });
        if gate != Gate::Open {
            self.mail.push_back(ToDispatcher::SetGate { agent, gate });
        }
        if member.spec.service().is_some() {
            let status = if closed { Status::Stopped } else { Status::Running };
            self.mail.push_back(ToDispatcher::ServiceStatus { agent, status, error: None });
        } else if let Some((status, error)) = member.outcome.clone() {
            self.dispatcher.restore_outcome(agent, status, error, self.now);
        }
    }

    fn start_layer(&mut self, members: &[AgentIndex]) {
        // A time that is due at the first instant belongs to the span.
        let just_before = Clocks { wall: Timestamp::from_millis(self.now.wall.as_millis() - 1), ..self.now };
        let mut requests = Vec::new();
        for agent in members {
            let Some(job) = self.plan.members[agent.slot()].spec.job() else { continue };
            self.tell_agent(*agent, ToAgent::Boot);
            for entry in &self.fleet.timers[agent.slot()] {
                self.timetable.insert(*agent, entry.clone(), just_before);
            }
            if job.triggers.startup && self.plan.begin == Begin::Boot {
                requests.push(Request::new(*agent, Trigger::Startup));
            }
        }
        self.dispatcher.admit_batch(requests, self.now, &mut self.actions);
        self.perform();
        self.read_mail();
    }

    // ---- time ----

    fn next_time(&mut self) -> Option<Moment> {
        let happening = self.happenings.peek().map(|Reverse((at, ..))| *at);
        let dispatcher = self.dispatcher.next_deadline(self.now.steady);
        let next = self.next_look.into_iter().chain(happening).chain(dispatcher).min();
        next.map(|at| at.max(self.now.steady))
    }

    fn pass_to(&mut self, at: Moment) {
        if at > self.now.steady {
            let now = Clocks { steady: at, wall: self.begin.wall_at(at) };
            self.account.time_passes(self.now.steady, at, self.dispatcher.workers().0);
            self.now = now;
        }
    }

    /// All that is to happen now.
    fn due(&mut self) {
        let now = self.now.steady;
        if self.next_look.is_some_and(|at| at <= now) {
            self.look();
        }
        while let Some(Reverse((at, happening, _, agent, serial))) = self.happenings.peek().copied()
            && at <= now
        {
            self.happenings.pop();
            match happening {
                Happening::Ends => self.exits(agent, serial),
                Happening::Alarm => self.wake(agent, at),
            }
            self.read_mail();
        }
        if self.dispatcher.next_deadline(now).is_some_and(|at| at <= now) {
            self.mail.push_back(ToDispatcher::DeadlineReached);
            self.read_mail();
        }
    }

    /// What is due goes to the queue as one batch.
    fn look(&mut self) {
        let mut due: Vec<Due> = Vec::new();
        let _ = self.timetable.take_due(self.now, &mut due);
        while self.timetable.reschedule(ALL) {}
        self.look_again();
        if !due.is_empty() {
            self.account.due(&due, self.now.wall);
            self.dispatcher.admit_batch(due.into_iter().map(Request::from), self.now, &mut self.actions);
            self.perform();
            self.read_mail();
        }
    }

    /// The timetable's grain is the wall clock's millisecond.
    fn look_again(&mut self) {
        let passed = self.now.wall.since(self.begin.wall);
        let now = Clocks { steady: self.begin.steady + passed, wall: self.now.wall };
        self.next_look = self.timetable.next_deadline(now);
    }

    // ---- programs ----

    fn after(&mut self, at: Moment, happening: Happening, agent: AgentIndex, process: u32) {
        self.serial += 1;
        self.happenings.push(Reverse((at, happening, self.serial, agent, process)));
    }

    fn exits(&mut self, agent: AgentIndex, serial: u32) {
        let Some(running) = self.programs[agent.slot()].end(serial) else { return };
        let lived = self.now.steady.since(running.began);
        self.account.worked(agent, lived);
        let end = ProcessEnd {
            exit: running.exit,
            lived,
            forced: false,
            peak_rss_bytes: 0,
            log_tail: Vec::new(),
            last_words: None,
        };
        self.tell_agent(agent, ToAgent::Exited { process: ProcessKey { agent, serial }, end });
    }

    /// The deadline that an agent had; it may have none by now.
    fn wake(&mut self, agent: AgentIndex, at: Moment) {
        if self.alarms[agent.slot()] == Some(at) {
            self.alarms[agent.slot()] = None;
            self.tell_agent(agent, ToAgent::DeadlineReached);
        }
    }

    // ---- the machines ----

    fn read_mail(&mut self) {
        while let Some(event) = self.mail.pop_front() {
            self.dispatcher.on(event, self.now, &mut self.actions);
            self.perform();
        }
        self.account.waiting(self.dispatcher.waiting(), self.now.wall);
    }

    fn perform(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.account.answered(&action, self.now.wall);
            match action {
                Action::Start(grant) => self.grant(grant),
                Action::Cancel { agent, key, reason } => self.tell_agent(agent, ToAgent::CancelRun { key, reason }),
                Action::Keep(_) | Action::Emit(_) | Action::DeadLetter(_) | Action::Sample { .. } => {}
            }
        }
        self.actions = actions;
    }

    fn grant(&mut self, grant: Grant) {
        self.tell_agent(grant.agent, ToAgent::Granted(grant));
    }

    fn tell_agent(&mut self, agent: AgentIndex, event: ToAgent) {
        let mut wishes = std::mem::take(&mut self.wishes);
        self.agents[agent.slot()].on(event, self.now, &mut wishes);
        for wish in wishes.drain(..) {
            match wish {
                Wish::Launch(launch) => self.launch(launch.process),
                Wish::StopProcess { process, policy } => {
                    if self.programs[agent.slot()].stop(process.serial, Exit::Signal(policy.signal)) {
                        self.after(self.now.steady, Happening::Ends, agent, process.serial);
                    }
                }
                Wish::Dispatcher(event) => self.mail.push_back(event),
                // Of services, which count as ready, or for people.
                Wish::WatchReadiness { .. }
                | Wish::WatchHealth { .. }
                | Wish::Unwatch { .. }
                | Wish::Emit(_)
                | Wish::GroupMemberRestarting
                | Wish::BootSettled { .. }
                | Wish::AllEnded => {}
            }
        }
        // A launch in between has used another one.
        self.wishes = wishes;
        self.arm(agent);
    }

    /// A program is there at once, and its end is known.
    fn launch(&mut self, process: ProcessKey) {
        let ProcessKey { agent, serial } = process;
        let member = &self.plan.members[agent.slot()];
        let takes = self.programs[agent.slot()].launch(serial, member, self.plan, self.now.steady);
        self.after(self.now.steady + takes, Happening::Ends, agent, serial);
        self.tell_agent(agent, ToAgent::Started { process, pid: 0 });
    }

    fn arm(&mut self, agent: AgentIndex) {
        let deadline = self.agents[agent.slot()].next_deadline().map(|at| at.max(self.now.steady));
        if self.alarms[agent.slot()] != deadline {
            self.alarms[agent.slot()] = deadline;
            if let Some(at) = deadline {
                self.after(at, Happening::Alarm, agent, 0);
            }
        }
    }
}
