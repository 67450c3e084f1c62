//! A thousand services turn unhealthy in the same second: real machines (agents, dispatcher, global breaker) in virtual time.
//! Their ends and restarts are spread, and the global breaker holds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use werkpilot_core::agent::{Action as Wish, Agent, Event as ToAgent, ProcessEnd, ProcessKey};
use werkpilot_core::dispatcher::{Action, AgentProfile, Dispatcher, Event as ToDispatcher};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::reason::Reason;
use werkpilot_core::settings::{Breaker, QueueSettings};
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::{AgentSpec, Health, Probe, Program, ReadyCheck};
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Moment, Timestamp};

const SERVICES: usize = 1_000;
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a program takes to obey SIGTERM.
const OBEYS: Duration = Duration::from_millis(100);

enum Mail {
    Dispatcher(ToDispatcher),
    Agent(AgentIndex, ToAgent),
}

/// The machines, and a loop that hands each what the other says.
struct World {
    agents: Vec<Agent>,
    dispatcher: Dispatcher,
    now: Clocks,
    mail: VecDeque<Mail>,
    /// Ends of programs that are still to come.
    ends: BinaryHeap<Reverse<(Moment, ProcessKey)>>,
    ended: Vec<Moment>,
    started: Vec<Moment>,
}

fn service(slot: usize) -> Arc<AgentSpec> {
    let name = AgentName::new(&format!("agent-{slot}")).unwrap();
    let mut spec = AgentSpec::service_named(name, Program::Command(vec!["true".to_owned()]));
    let service = spec.service_mut().unwrap();
    service.ready.check = ReadyCheck::After(Duration::ZERO);
    let probe = Probe::Tcp("localhost:1".to_owned());
    service.health = Some(Health { probe, interval: INTERVAL, timeout: Duration::from_secs(1), failures: 3 });
    Arc::new(spec)
}

impl World {
    fn new(max_restarts: u32) -> Self {
        let breaker = Breaker { max_restarts, ..Breaker::default() };
        let mut dispatcher = Dispatcher::new(&QueueSettings::default(), &breaker, 4, 1);
        let mut agents = Vec::new();
        for slot in 0..SERVICES {
            let (index, spec) = (AgentIndex::from(slot), service(slot));
            dispatcher.define(index, AgentProfile::of(&spec, 0, |_| None));
            agents.push(Agent::new(index, spec, &breaker, slot as u64));
        }
        let now = Clocks { steady: Moment::ZERO, wall: Timestamp::from_secs(1_774_742_400) };
        let mail = (0..SERVICES).map(|slot| Mail::Agent(AgentIndex::from(slot), ToAgent::Boot)).collect();
        let (ends, ended, started) = (BinaryHeap::new(), Vec::new(), Vec::new());
        let mut world = Self { agents, dispatcher, now, mail, ends, ended, started };
        world.deliver();
        world
    }

    fn deliver(&mut self) {
        while let Some(mail) = self.mail.pop_front() {
            match mail {
                Mail::Agent(agent, event) => {
                    let mut out = Vec::new();
                    self.agents[agent.slot()].on(event, self.now, &mut out);
                    for wish in out {
                        self.grant(wish);
                    }
                }
                Mail::Dispatcher(event) => {
                    let mut out = Vec::new();
                    self.dispatcher.on(event, self.now, &mut out);
                    for action in out {
                        if let Action::Start(grant) = action {
                            self.mail.push_back(Mail::Agent(grant.agent, ToAgent::Granted(grant)));
                        }
                    }
                }
            }
        }
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Launch(launch) => {
                self.started.push(self.now.steady);
                let process = launch.process;
                self.mail.push_back(Mail::Agent(process.agent, ToAgent::Started { process, pid: 1 }));
            }
            Wish::StopProcess { process, .. } => {
                self.ended.push(self.now.steady);
                self.ends.push(Reverse((self.now.steady + OBEYS, process)));
            }
            Wish::Dispatcher(event) => self.mail.push_back(Mail::Dispatcher(event)),
            _ => {}
        }
    }

    /// Until then, deadline by deadline.
    fn run_until(&mut self, until: Moment) {
        loop {
            let agents = self.agents.iter().filter_map(Agent::next_deadline).min();
            let ends = self.ends.peek().map(|Reverse((at, _))| *at);
            let dispatcher = self.dispatcher.next_deadline(self.now.steady);
            let next = agents.into_iter().chain(ends).chain(dispatcher).min().unwrap_or(until).min(until);
            self.now = Clocks { steady: next, wall: self.now.wall + next.since(self.now.steady) };
            if next >= until {
                return;
            }
            self.due();
        }
    }

    fn due(&mut self) {
        let now = self.now.steady;
        while let Some(Reverse((at, process))) = self.ends.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.ends.pop();
            let exit = Exit::Signal(Signal::TERM);
            let end = ProcessEnd {
                exit,
                lived: at.since(Moment::ZERO),
                forced: false,
                peak_rss_bytes: 0,
                log_tail: vec![],
                last_words: None,
            };
            self.mail.push_back(Mail::Agent(process.agent, ToAgent::Exited { process, end }));
        }
        for (slot, agent) in self.agents.iter().enumerate() {
            if agent.next_deadline().is_some_and(|at| at <= now) {
                self.mail.push_back(Mail::Agent(AgentIndex::from(slot), ToAgent::DeadlineReached));
            }
        }
        if self.dispatcher.next_deadline(now).is_some_and(|at| at <= now) {
            self.mail.push_back(Mail::Dispatcher(ToDispatcher::DeadlineReached));
        }
        self.deliver();
    }

    /// All of them, at this instant.
    fn all_turn_unhealthy(&mut self) {
        (self.started, self.ended) = (Vec::new(), Vec::new());
        for agent in &self.agents {
            for process in agent.processes() {
                let reason = Reason::ProbesFailed { failures: 3, last: "connection refused".to_owned() };
                self.mail.push_back(Mail::Agent(process.agent, ToAgent::Unhealthy { process, reason }));
            }
        }
        self.deliver();
    }

    fn statuses(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for slot in 0..SERVICES {
            *counts.entry(self.dispatcher.status(AgentIndex::from(slot)).as_str()).or_insert(0) += 1;
        }
        counts
    }
}

/// The most of these within any `window`.
fn most_within(times: &[Moment], window: Duration) -> usize {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let within =
        |(first, at): (usize, &Moment)| sorted[first..].iter().take_while(|other| other.since(*at) < window).count();
    sorted.iter().enumerate().map(within).max().unwrap_or(0)
}

const TENTH: Duration = Duration::from_millis(100);

#[test]
fn a_thousand_that_turn_unhealthy_at_once_are_restarted_spread_over_seconds() {
    let mut world = World::new(0);
    assert_eq!(world.statuses(), BTreeMap::from([("running", SERVICES)]));
    world.run_until(Moment::from_secs(60));
    world.all_turn_unhealthy();
    assert_eq!(world.statuses(), BTreeMap::from([("unhealthy", SERVICES)]));
    world.run_until(Moment::from_secs(69));
    assert!(world.ended.is_empty(), "each has its grace");
    world.run_until(Moment::from_secs(600));
    assert_eq!((world.ended.len(), world.started.len()), (SERVICES, SERVICES));
    assert_eq!(world.statuses(), BTreeMap::from([("running", SERVICES)]));
    let (ends, starts) = (most_within(&world.ended, TENTH), most_within(&world.started, TENTH));
    assert!(ends < SERVICES / 20 && starts < SERVICES / 20, "{ends} ends and {starts} starts in a tenth of a second");
}

#[test]
fn the_global_breaker_holds_when_a_thousand_turn_unhealthy_at_once() {
    let mut world = World::new(50);
    world.run_until(Moment::from_secs(60));
    world.all_turn_unhealthy();
    world.run_until(Moment::from_secs(600));
    assert_eq!(world.started.len(), 50, "what would exceed it waits");
    assert_eq!(world.statuses(), BTreeMap::from([("backing_off", SERVICES - 50), ("running", 50)]));
    let waits = world.dispatcher.live(AgentIndex::from(SERVICES - 1));
    let waits = waits.iter().chain(&world.dispatcher.live(AgentIndex::from(0))).find_map(|live| live.reason.clone());
    assert!(matches!(waits, None | Some(Reason::WaitingForRestartRoom { max_restarts: 50, .. })), "{waits:?}");
    // Hour by hour there is room for fifty more, and no more.
    world.run_until(Moment::from_secs(3 * 3_600));
    assert!(most_within(&world.started, Duration::from_hours(1)) <= 50);
    assert_eq!(world.started.len(), 150);
    assert!(
        world.agents.iter().all(|agent| agent.instances().iter().all(|i| i.status != Status::Error)),
        "none is lost"
    );
}

#[test]
fn who_recovers_within_the_grace_costs_no_restart() {
    let mut world = World::new(50);
    world.run_until(Moment::from_secs(60));
    world.all_turn_unhealthy();
    world.run_until(Moment::from_secs(65));
    for agent in &world.agents {
        for process in agent.processes() {
            let sign = werkpilot_core::agent::Sign::Probes;
            world.mail.push_back(Mail::Agent(process.agent, ToAgent::HealthyAgain { process, sign }));
        }
    }
    world.deliver();
    world.run_until(Moment::from_secs(600));
    assert_eq!((world.ended.len(), world.started.len()), (0, 0));
    assert_eq!(world.statuses(), BTreeMap::from([("running", SERVICES)]));
}
