//! The health monitor: looks whether services are ready, and afterwards whether they are well; and once per
//! `[health] interval` at all agents. Each probe is a future of its own with a time-out; the actor only plans and judges.
//!
//! Invariant: at most [`AT_ONCE`] health probes are in flight, and at most one per process. What is known outlives the
//! actor; probes that were in flight when it died are sent again.

mod book;
mod overall;
mod probing;

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::agent::{Event, ProcessKey};

use crate::alarm::{Alarm, Alarmed};
use crate::house::House;
use crate::supervision::ExitNotice;

pub use book::{AT_ONCE, Finding, HealthBook, LastCheck, LastProbe, OverallCheck, RunningCommand, Watched};
pub use overall::verdict;

/// Time between two looks for readiness: short against what people wait for, long against what a look costs.
const READY_INTERVAL: Duration = Duration::from_millis(100);

/// Looks for the readiness of this process until it is ready or unwatched.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WatchReadiness {
    /// Whose.
    pub process: ProcessKey,
}

/// Probes the health of this process from now on, as its definition says now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WatchHealth {
    /// Whose.
    pub process: ProcessKey,
}

/// Probes this process no more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unwatch {
    /// Whom.
    pub process: ProcessKey,
}

/// Probes nobody any more, and checks nothing (shutdown, step 2).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopMonitoring;

/// A probe's command has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ProbeEnded {
    /// Which probe.
    pub serial: u32,
    /// What it found.
    pub result: Result<(), String>,
}

/// The settings may be others than before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HealthSettingsChanged;

/// Ends by a panic, to show in tests and drills that the fleet survives it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// One look for readiness has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Looked {
    process: ProcessKey,
    ready: bool,
}

/// A probe has its result, though it may not be over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Probed {
    process: ProcessKey,
    took: Duration,
    result: Result<(), String>,
}

/// The actor of the health monitor.
pub struct HealthMonitor {
    house: Rc<House>,
    alarm: Alarm,
    looking_for_commands: bool,
    _notice: ExitNotice,
}

impl HealthMonitor {
    /// An actor for the house's health book.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, alarm: Alarm::default(), looking_for_commands: false, _notice: notice }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let (deadline, clock) = (self.house.health.borrow().next_deadline(), self.house.clock);
        Alarm::set(self, deadline, clock, ctx);
    }

    /// All that is due.
    fn drive(&mut self, ctx: &mut Context<Self>) {
        if !self.house.health.borrow().stopped {
            self.probes(ctx);
            self.overall(ctx);
        }
        self.arm(ctx);
    }
}

impl Actor for HealthMonitor {
    type Context = Context<Self>;

    /// Takes up what its predecessor left, if it had one.
    fn started(&mut self, ctx: &mut Self::Context) {
        self.kill_commands(None);
        let unready: Vec<ProcessKey> = {
            let mut book = self.house.health.borrow_mut();
            book.running.clear();
            book.plan.abandon(self.house.clock.steady());
            book.unready.keys().copied().collect()
        };
        for process in unready {
            self.look_for_readiness(process, ctx);
        }
        self.arm(ctx);
    }
}

impl Alarmed for HealthMonitor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.drive(ctx);
    }
}

impl Handler<WatchReadiness> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, WatchReadiness { process }: WatchReadiness, ctx: &mut Self::Context) {
        let spec = self.house.directory.borrow().get(process.agent).map(|slot| slot.spec.clone());
        if let Some(spec) = spec {
            self.house.health.borrow_mut().unready.insert(process, spec);
            self.look_for_readiness(process, ctx);
        }
    }
}

impl Handler<WatchHealth> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, WatchHealth { process }: WatchHealth, ctx: &mut Self::Context) {
        let spec = self.house.directory.borrow().get(process.agent).map(|slot| slot.spec.clone());
        if let Some(spec) = spec {
            self.house.health.borrow_mut().watch(process, spec, self.house.clock.steady());
        }
        self.arm(ctx);
    }
}

impl Handler<Unwatch> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, Unwatch { process }: Unwatch, ctx: &mut Self::Context) {
        self.house.health.borrow_mut().unwatch(process);
        self.kill_commands(Some(process));
        self.arm(ctx);
    }
}

impl Handler<StopMonitoring> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, _: StopMonitoring, ctx: &mut Self::Context) {
        self.house.health.borrow_mut().stopped = true;
        self.kill_commands(None);
        self.arm(ctx);
    }
}

impl Handler<ProbeEnded> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, ended: ProbeEnded, ctx: &mut Self::Context) {
        self.command_ended(ended.serial, ended.result, ctx);
    }
}

impl Handler<HealthSettingsChanged> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, _: HealthSettingsChanged, ctx: &mut Self::Context) {
        let interval = self.house.settings.borrow().health.interval;
        self.house.health.borrow_mut().overall.configure(interval, self.house.clock.steady());
        self.arm(ctx);
    }
}

impl Handler<Looked> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, Looked { process, ready }: Looked, ctx: &mut Self::Context) {
        if !self.house.health.borrow().unready.contains_key(&process) {
            return; // It ended, or was stopped, meanwhile.
        }
        if ready {
            self.house.health.borrow_mut().unready.remove(&process);
            self.house.deliver(process.agent, Event::Ready { process });
        } else {
            ctx.run_later(READY_INTERVAL, move |this, ctx| this.look_for_readiness(process, ctx));
        }
    }
}

impl Handler<Probed> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, Probed { process, took, result }: Probed, _: &mut Self::Context) {
        self.judge(process, took, result);
    }
}

impl Handler<Crash> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of the health monitor");
    }
}
