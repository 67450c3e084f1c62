//! Tables of what an agent is told and what it answers, as short words: see [`Bench::said`].

mod commands;
mod health;
mod jobs;
mod leaving;
mod restoring;
mod services;
mod shed;

use std::path::PathBuf;

use super::*;
use crate::dispatcher::Grant;
use crate::exit::{SpawnFailure, SpawnFailureKind};
use crate::ids::{AgentName, RunId};
use crate::signal::Signal;
use crate::spec::{Backoff, Health, JobSpec, Overlap, Probe, Program, Ready, ReadyCheck, ServiceSpec};
use crate::trigger::Trigger;

const NOTHING: [&str; 0] = [];
const SECOND: Duration = Duration::from_secs(1);

/// An agent on a bench, with a clock; it takes part already.
struct Bench {
    agent: Agent,
    now: Clocks,
    runs: u32,
}

fn backoff(max: u32) -> Backoff {
    Backoff { max, initial: SECOND, factor: 2.0, cap: Duration::from_mins(5), jitter: 0.0 }
}

fn job(change: impl FnOnce(&mut AgentSpec, &mut JobSpec)) -> AgentSpec {
    let mut spec = AgentSpec::job_named(AgentName::new("a").unwrap(), Program::Command(vec!["true".to_owned()]));
    let mut job = spec.job().unwrap().clone();
    job.retry = backoff(3);
    change(&mut spec, &mut job);
    AgentSpec { kind: Kind::Job(job), ..spec }
}

fn service(change: impl FnOnce(&mut AgentSpec, &mut ServiceSpec)) -> AgentSpec {
    let mut spec = AgentSpec::service_named(AgentName::new("a").unwrap(), Program::Command(vec!["true".to_owned()]));
    let mut service = spec.service().unwrap().clone();
    service.backoff = backoff(0);
    service.ready.check = ReadyCheck::Notify;
    change(&mut spec, &mut service);
    AgentSpec { kind: Kind::Service(service), ..spec }
}

fn breaker() -> Breaker {
    Breaker { dead_letters: 2, agent_restarts: 2, cooldown: Duration::from_mins(15), ..Breaker::default() }
}

fn process(serial: u32) -> ProcessKey {
    ProcessKey { agent: AgentIndex(0), serial }
}

fn key(run: u32) -> RunKey {
    RunKey { index: run, generation: 1 }
}

fn by(who: &str) -> Reason {
    Reason::ByOperator { by: who.to_owned() }
}

/// The end of a program that lived for a second and said nothing.
fn end(exit: Exit) -> ProcessEnd {
    ProcessEnd { exit, lived: SECOND, forced: false, peak_rss_bytes: 1, log_tail: Vec::new(), last_words: None }
}

impl Bench {
    fn new(spec: AgentSpec) -> Self {
        let mut bench = Self::unbooted(spec);
        let _ = bench.on(Event::Boot);
        bench
    }

    fn unbooted(spec: AgentSpec) -> Self {
        let agent = Agent::new(AgentIndex(0), Arc::new(spec), &breaker(), 1);
        Self { agent, now: Clocks::default(), runs: 0 }
    }

    /// A service whose instances run and are ready.
    fn up(spec: AgentSpec) -> Self {
        let instances = spec.service().map_or(1, |service| service.instances);
        let mut bench = Self::new(spec);
        for instance in 0..instances {
            bench.grant_instance(instance);
            bench.started(u32::from(instance) + 1);
            bench.ready(u32::from(instance) + 1);
        }
        bench
    }

    fn wait(&mut self, duration: Duration) {
        self.now.steady = self.now.steady + duration;
        self.now.wall = self.now.wall + duration;
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        let mut out = Vec::new();
        self.agent.on(event, self.now, &mut out);
        said(&out)
    }

    fn command(&mut self, command: &Command) -> Vec<String> {
        let mut out = Vec::new();
        match self.agent.command(command, "me", self.now, &mut out) {
            Ok(_) => said(&out),
            Err(reason) => vec![format!("refused: {reason}")],
        }
    }

    /// The dispatcher starts attempt `attempt` of execution `run`.
    fn grant(&mut self, run: u32, attempt: u32) -> Vec<String> {
        let (id, agent) = (RunId::from_parts(u64::from(run), 0), AgentIndex(0));
        let grant = Grant {
            queued_at: Timestamp::from_millis(0),
            key: key(run),
            run: id,
            agent,
            instance: None,
            attempt,
            trigger: Trigger::Schedule,
            scheduled_for: None,
            payload: None,
        };
        self.on(Event::Granted(grant))
    }

    fn grant_instance(&mut self, instance: u16) -> Vec<String> {
        self.runs += 1;
        let (id, agent, instance) = (RunId::from_parts(u64::from(self.runs), 0), AgentIndex(0), Some(instance));
        let key = key(self.runs);
        let grant = Grant {
            queued_at: Timestamp::from_millis(0),
            key,
            run: id,
            agent,
            instance,
            attempt: 1,
            trigger: Trigger::Startup,
            scheduled_for: None,
            payload: None,
        };
        self.on(Event::Granted(grant))
    }

    fn started(&mut self, serial: u32) -> Vec<String> {
        self.on(Event::Started { process: process(serial), pid: 4_711 })
    }

    fn ready(&mut self, serial: u32) -> Vec<String> {
        self.on(Event::Ready { process: process(serial) })
    }

    fn exited(&mut self, serial: u32, exit: Exit) -> Vec<String> {
        self.exited_saying(serial, exit, None)
    }

    fn exited_saying(&mut self, serial: u32, exit: Exit, words: Option<&str>) -> Vec<String> {
        let end = ProcessEnd { last_words: words.map(str::to_owned), ..end(exit) };
        self.on(Event::Exited { process: process(serial), end })
    }

    fn spawn_failed(&mut self, serial: u32, kind: SpawnFailureKind) -> Vec<String> {
        let failure = SpawnFailure { kind, message: "no luck".to_owned() };
        self.on(Event::SpawnFailed { process: process(serial), failure })
    }

    /// Time passes until the agent's deadline, which must be this far away.
    fn pass(&mut self, expected: Duration) -> Vec<String> {
        let at = self.agent.next_deadline().expect("there is a deadline");
        assert_eq!(at.since(self.now.steady), expected, "the next deadline");
        self.wait(expected);
        self.on(Event::DeadlineReached)
    }

    /// How often it says that its first program was spawned.
    fn first_starts(&mut self, event: Event) -> usize {
        let mut out = Vec::new();
        self.agent.on(event, self.now, &mut out);
        let first = |action: &&Action| matches!(action, Action::Dispatcher(ToDispatcher::FirstStarted { .. }));
        out.iter().filter(first).count()
    }

    fn is_asleep(&self) -> bool {
        self.agent.next_deadline().is_none()
    }

    /// One life of the service, from grant to crash, and the time until it asks again.
    fn crash(&mut self, serial: u32) -> Vec<String> {
        self.grant_instance(0);
        self.started(serial);
        self.exited(serial, Exit::Code(1))
    }
}

/// Each answer in a few words; most facts only go along with another one and are left out.
fn said(actions: &[Action]) -> Vec<String> {
    actions.iter().filter_map(word).collect()
}

fn word(action: &Action) -> Option<String> {
    let word = match action {
        Action::Launch(launch) => format!("launch {}", launch.process.serial),
        Action::StopProcess { process, .. } => format!("stop {}", process.serial),
        Action::WatchReadiness { process } => format!("watch readiness {}", process.serial),
        Action::WatchHealth { process } => format!("watch health {}", process.serial),
        Action::GroupMemberRestarting => "group".to_owned(),
        Action::BootSettled { ready } => format!("settled {ready}"),
        Action::AllEnded => "all ended".to_owned(),
        Action::Dispatcher(told) => return to_dispatcher(told),
        Action::Emit(Fact::BreakerOpened { cooldown, .. }) => format!("opened for {:?}", cooldown.unwrap()),
        Action::Emit(Fact::BreakerHalfOpen { .. }) => "half-open".to_owned(),
        Action::Emit(Fact::BreakerClosed { .. }) => "closed".to_owned(),
        Action::Emit(Fact::AgentDisabled { .. }) => "disabled".to_owned(),
        Action::Emit(Fact::AgentEnabled { .. }) => "enabled".to_owned(),
        Action::Unwatch { .. } | Action::Emit(_) => return None,
    };
    Some(word)
}

fn to_dispatcher(told: &ToDispatcher) -> Option<String> {
    let word = match told {
        ToDispatcher::StartService { instance, automatic, force, .. } => {
            let how = if *automatic { " automatically" } else { "" };
            format!("ask for {instance}{how}{}", if *force { " by force" } else { "" })
        }
        ToDispatcher::WithdrawService { instance, .. } => format!("withdraw {instance}"),
        ToDispatcher::Retry { delay, counted, .. } => {
            format!("again in {delay:?}{}", if *counted { "" } else { ", not counted" })
        }
        ToDispatcher::Ended(ended) => format!("{}{}", ended.end, if ended.dead_letter { ", dead letter" } else { "" }),
        ToDispatcher::SetGate { gate: Gate::Open, .. } => "gate open".to_owned(),
        ToDispatcher::SetGate { gate: Gate::HalfOpen, .. } => "gate half-open".to_owned(),
        ToDispatcher::SetGate { gate: Gate::Closed { status, .. }, .. } => format!("gate {status}"),
        ToDispatcher::ServiceStatus { status, .. } => format!("is {status}"),
        ToDispatcher::ServiceGaveUp { attempts, .. } => format!("given up after {}", attempts.len()),
        _ => return None,
    };
    Some(word)
}
