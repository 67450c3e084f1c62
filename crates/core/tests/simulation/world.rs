//! The loop that wires the machines: mailboxes, clocks, and programs that behave by chance.
//!
//! Mail between two machines keeps its order, but who takes the next turn is chance, and time may pass while mail lies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use werkpilot_core::agent::{Agent, Command, Event as ToAgent, ProcessKey};
use werkpilot_core::backoff::Dice;
use werkpilot_core::boot::{Boot, BootAction, BootEvent, BootMember};
use werkpilot_core::dispatcher::{AgentProfile, Dispatcher, Event as ToDispatcher, Gate, Request};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentIndex, RunId};
use werkpilot_core::settings::{Breaker, QueueSettings};
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_core::timetable::{Entry, Timetable};
use werkpilot_core::trigger::Trigger;

use crate::fleet::{Chance, Member, fleet, name_of, profile};
use crate::model::{Limits, Model};
use crate::programs::Program;
use crate::tally::Tally;

/// 2026-03-29 00:00 UTC.
const BEGIN: Timestamp = Timestamp::from_secs(1_774_742_400);

/// So many turns without time passing are a livelock.
const TURNS_AT_ONCE: u32 = 20_000;

/// Lines of the story that are kept.
const STORY: usize = 60;

/// Whether what happens is written down: that takes most of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    Untold,
    /// Its last lines.
    Kept,
    Told,
}

/// Mail for the dispatcher.
#[derive(Clone, Debug)]
pub enum Letter {
    Tell(ToDispatcher),
    Batch(Vec<Request>),
    Admit(Request),
    Define(AgentIndex, AgentProfile),
    Remove(AgentIndex),
}

/// Mail for an agent.
#[derive(Clone, Debug)]
pub enum Note {
    Tell(ToAgent),
    Command(Command),
}

/// What happens at its time.
#[derive(Clone, Debug)]
pub enum Happening {
    Deliver(AgentIndex, ToAgent),
    Exits { process: ProcessKey, exit: Exit, forced: bool },
    Storm,
    Terminate,
    StopServices,
}

pub struct World {
    pub chance: Chance,
    pub members: Vec<Member>,
    pub gone: Vec<bool>,
    pub dispatcher: Dispatcher,
    pub agents: Vec<Agent>,
    pub timetable: Timetable,
    boot: Boot,
    pub model: Model,
    pub now: Clocks,
    to_dispatcher: VecDeque<Letter>,
    to_agents: Vec<VecDeque<Note>>,
    happenings: BinaryHeap<Reverse<(Moment, u64)>>,
    waiting: BTreeMap<u64, Happening>,
    serial: u64,
    pub programs: BTreeMap<ProcessKey, Program>,
    pub drained: Vec<bool>,
    pub all_ended: Vec<bool>,
    pub shutting_down: bool,
    pub runs: Vec<RunId>,
    turns_at_once: u32,
    pub tally: Tally,
    story: VecDeque<String>,
    telling: Story,
}

impl World {
    pub fn new(seed: u64, telling: Story) -> Self {
        let mut chance = Chance(Dice::new(seed));
        let members = fleet(&mut chance);
        let queue = QueueSettings {
            workers: None,
            capacity: chance.pick(&[1, 3, 10, 100]),
            ageing: chance.pick(&[Duration::ZERO, Duration::from_mins(5)]),
        };
        let breaker = breaker(&mut chance);
        let workers = chance.pick(&[1, 2, 4]);
        let limits =
            Limits { workers, capacity: queue.capacity, max_restarts: breaker.max_restarts, window: breaker.window };
        let layers = members.iter().map(|member| member.depth).max().unwrap_or(0) + 1;
        let of_layer = |layer| {
            let here = members.iter().enumerate().filter(move |(_, member)| member.depth == layer);
            let member = |(slot, member): (usize, &Member)| BootMember {
                agent: AgentIndex::from(slot),
                waits: member.spec.service().is_some() && member.spec.enabled,
            };
            here.map(member).collect()
        };
        let boot = Boot::new((0..layers).map(of_layer).collect(), Duration::from_secs(30), |_| &[]);
        let agents = members.iter().enumerate().map(|(slot, member)| {
            Agent::new(AgentIndex::from(slot), member.spec.clone(), &breaker, seed ^ slot as u64)
        });
        let count = members.len();
        Self {
            agents: agents.collect(),
            dispatcher: Dispatcher::new(&queue, &breaker, workers, seed),
            timetable: Timetable::new(),
            boot,
            model: Model::new(count, limits),
            now: Clocks { steady: Moment::ZERO, wall: BEGIN },
            to_dispatcher: VecDeque::new(),
            to_agents: vec![VecDeque::new(); count],
            happenings: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            serial: 0,
            programs: BTreeMap::new(),
            drained: vec![false; count],
            all_ended: vec![false; count],
            shutting_down: false,
            runs: Vec::new(),
            turns_at_once: 0,
            tally: Tally::default(),
            story: VecDeque::new(),
            telling,
            gone: vec![false; count],
            members,
            chance,
        }
    }

    pub fn story(&self) -> impl Iterator<Item = &String> {
        self.story.iter()
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if self.telling == Story::Untold {
            return;
        }
        let line = format!("{:>10.1}s {}", self.now.steady.since(Moment::ZERO).as_secs_f64(), line());
        if self.telling == Story::Told {
            eprintln!("{line}");
        }
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        self.story.push_back(line);
    }

    pub fn post(&mut self, letter: Letter) {
        self.to_dispatcher.push_back(letter);
    }

    pub fn send(&mut self, agent: AgentIndex, note: Note) {
        self.to_agents[agent.slot()].push_back(note);
    }

    pub fn after(&mut self, delay: Duration, happening: Happening) {
        self.serial += 1;
        self.happenings.push(Reverse((self.now.steady + delay, self.serial)));
        self.waiting.insert(self.serial, happening);
    }

    // ---- the loop ----

    pub fn run(&mut self) -> Tally {
        for slot in 0..self.members.len() {
            let profile = profile(&self.members[slot]);
            self.post(Letter::Define(AgentIndex::from(slot), profile));
        }
        // Before any trigger, as the supervisor does it.
        for slot in 0..self.members.len() {
            let (agent, gate) = (AgentIndex::from(slot), self.agents[slot].gate());
            if matches!(gate, Gate::Closed { .. }) {
                self.post(Letter::Tell(ToDispatcher::SetGate { agent, gate }));
            }
        }
        self.boot(BootEvent::Begin);
        let storm = self.chance.tenths(1, 600);
        self.after(storm, Happening::Storm);
        let end = Moment::ZERO + self.chance.tenths(6_000, 72_000);
        while self.now.steady < end {
            self.turn(Some(end));
        }
        self.shut_down();
        while self.turn(None) {}
        assert!(self.boot.is_done() || self.shutting_down, "the boot comes to its end");
        self.model.check_the_end();
        for (slot, ended) in self.all_ended.iter().enumerate() {
            assert!(ended, "{} said that all of it has ended", name_of(slot));
        }
        self.tally.hours = self.now.steady.since(Moment::ZERO).as_secs() / 3_600;
        self.tally.executions = self.model.executions();
        self.tally.automatic_starts = self.model.automatic_starts();
        self.tally.ends.clone_from(&self.model.ends);
        self.tally.parked.clone_from(&self.model.parked);
        self.tally.clone()
    }

    fn shut_down(&mut self) {
        self.note(|| "shutdown".to_owned());
        self.shutting_down = true;
        self.post(Letter::Tell(ToDispatcher::ShutDown));
        for slot in 0..self.agents.len() {
            self.send(AgentIndex::from(slot), Note::Tell(ToAgent::Drain));
        }
        let (services, grace) = (self.chance.tenths(0, 200), self.chance.tenths(0, 600));
        self.after(services, Happening::StopServices);
        self.after(grace, Happening::Terminate);
    }

    /// One step: mail, or what is due, or the time passes. Whether there was anything left to do.
    fn turn(&mut self, until: Option<Moment>) -> bool {
        self.turns_at_once += 1;
        self.tally.turns += 1;
        assert!(self.turns_at_once < TURNS_AT_ONCE, "time stands still");
        let next = self.next_time();
        let mail = self.mailboxes();
        if mail.is_empty() {
            let (agents, model) = (&self.agents, &self.model);
            model.check_statuses(&self.dispatcher, |agent| {
                let agent = &agents[agent.slot()];
                (agent.processes().len(), agent.instances().len())
            });
        } else {
            // Now and then the world is faster than the mail.
            let soon = next.is_some_and(|at| at <= self.now.steady + Duration::from_millis(100));
            let overtaken = soon && self.chance.percent(5);
            if !overtaken {
                let mailbox = self.chance.pick(&mail);
                self.open(mailbox);
                return true;
            }
        }
        let Some(next) = next else { return false };
        if until.is_some_and(|until| next > until) {
            self.pass_to(until.unwrap_or(next));
            return false;
        }
        self.pass_to(next);
        self.due();
        true
    }

    fn pass_to(&mut self, at: Moment) {
        if at > self.now.steady {
            self.turns_at_once = 0;
            let passed = at.since(self.now.steady);
            self.now = Clocks { steady: at, wall: self.now.wall + passed };
        }
    }

    fn next_time(&mut self) -> Option<Moment> {
        let now = self.now;
        let agents = self.agents.iter().filter_map(Agent::next_deadline).min();
        let timers = if self.shutting_down { None } else { self.timetable.next_deadline(now) };
        let boot = if self.shutting_down { None } else { self.boot.next_deadline() };
        let happening = self.happenings.peek().map(|Reverse((at, _))| *at);
        let dispatcher = self.dispatcher.next_deadline(now.steady);
        agents.into_iter().chain(timers).chain(boot).chain(happening).chain(dispatcher).min()
    }

    fn mailboxes(&self) -> Vec<Option<usize>> {
        let agents = (0..self.agents.len()).filter(|slot| !self.to_agents[*slot].is_empty()).map(Some);
        agents.chain((!self.to_dispatcher.is_empty()).then_some(None)).collect()
    }

    fn open(&mut self, mailbox: Option<usize>) {
        match mailbox {
            None => {
                let letter = self.to_dispatcher.pop_front().unwrap();
                self.dispatch(letter);
            }
            Some(slot) => {
                let note = self.to_agents[slot].pop_front().unwrap();
                self.tell_agent(slot, note);
            }
        }
    }

    /// All that is due now.
    fn due(&mut self) {
        let now = self.now;
        while let Some(Reverse((at, serial))) = self.happenings.peek().copied() {
            if at > now.steady {
                break;
            }
            self.happenings.pop();
            let happening = self.waiting.remove(&serial).unwrap();
            self.happen(happening);
        }
        if !self.shutting_down {
            if self.boot.next_deadline().is_some_and(|at| at <= now.steady) {
                self.boot(BootEvent::DeadlineReached);
            }
            self.timers();
        }
        if self.dispatcher.next_deadline(now.steady).is_some_and(|at| at <= now.steady) {
            self.dispatch(Letter::Tell(ToDispatcher::DeadlineReached));
            let next = self.dispatcher.next_deadline(now.steady);
            assert!(next.is_none_or(|at| at > now.steady), "the dispatcher handled its deadline");
        }
        for slot in 0..self.agents.len() {
            if self.agents[slot].next_deadline().is_some_and(|at| at <= now.steady) {
                self.tell_agent(slot, Note::Tell(ToAgent::DeadlineReached));
                let next = self.agents[slot].next_deadline();
                assert!(next.is_none_or(|at| at > now.steady), "{} handled its deadline", name_of(slot));
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver(agent, event) => self.send(agent, Note::Tell(event)),
            Happening::Exits { process, exit, forced } => self.exits(process, exit, forced),
            Happening::Storm if !self.shutting_down => self.storm(),
            Happening::Storm => {}
            Happening::StopServices => {
                for slot in 0..self.agents.len() {
                    self.send(AgentIndex::from(slot), Note::Tell(ToAgent::StopService));
                }
            }
            Happening::Terminate => {
                for slot in 0..self.agents.len() {
                    self.send(AgentIndex::from(slot), Note::Tell(ToAgent::Terminate));
                }
            }
        }
    }

    // ---- boot and timers ----

    pub fn boot(&mut self, event: BootEvent) {
        let mut actions = Vec::new();
        self.boot.on(event, self.now.steady, &mut actions);
        for action in actions {
            if let BootAction::StartLayer { members, .. } = action {
                for agent in members {
                    self.send(agent, Note::Tell(ToAgent::Boot));
                    self.arm_timers(agent);
                    if self.members[agent.slot()].spec.job().is_some_and(|job| job.triggers.startup) {
                        self.post(Letter::Batch(vec![request(agent, Trigger::Startup)]));
                    }
                }
            }
        }
    }

    pub fn arm_timers(&mut self, agent: AgentIndex) {
        self.timetable.remove(agent);
        for entry in Entry::all_of(&self.members[agent.slot()].spec).unwrap() {
            self.timetable.insert(agent, entry, self.now);
        }
    }

    fn timers(&mut self) {
        let mut due = Vec::new();
        let _ = self.timetable.take_due(self.now, &mut due);
        while self.timetable.reschedule(64) {}
        let requests: Vec<Request> = due.into_iter().map(Request::from).collect();
        if !requests.is_empty() {
            self.post(Letter::Batch(requests));
        }
    }
}

pub fn breaker(chance: &mut Chance) -> Breaker {
    Breaker {
        max_restarts: chance.pick(&[0, 3, 50]),
        window: chance.pick(&[Duration::from_mins(1), Duration::from_hours(1)]),
        dead_letters: chance.pick(&[0, 1, 3]),
        agent_restarts: chance.pick(&[2, 10]),
        agent_window: Duration::from_mins(10),
        cooldown: chance.pick(&[Duration::from_secs(10), Duration::from_mins(15)]),
    }
}

pub fn request(agent: AgentIndex, trigger: Trigger) -> Request {
    Request::new(agent, trigger)
}
