//! The probes themselves: each is a future of its own with a time-out, or a command that is ended when its time is over.

use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::agent::{Event, ProcessKey, Sign};
use werkpilot_core::ids::RunId;
use werkpilot_core::probes::LivenessVerdict;
use werkpilot_core::spec::{Probe, ReadyCheck};
use werkpilot_core::time::human;
use werkpilot_process::probe;

use super::book::{RunningCommand, from_plan_key};
use super::{HealthMonitor, Looked, Probed};
use crate::agents::kept;
use crate::bus::PingService;
use crate::clock::Clock;
use crate::hands::host_key;

/// A look for readiness may take so long; the service's own `ready.timeout` bounds all looks together.
const READY_LOOK: Duration = Duration::from_secs(2);
/// The bus keeps the time-out of a ping itself, and answers this much later at most.
const BUS_GRACE: Duration = Duration::from_secs(1);

impl HealthMonitor {
    /// One look, if this process is still to become ready.
    pub(super) fn look_for_readiness(&self, process: ProcessKey, ctx: &mut Context<Self>) {
        let spec = self.house.health.borrow().unready.get(&process).cloned();
        let Some(service) = spec.as_ref().and_then(|spec| spec.service()) else { return };
        let check = service.ready.check.clone();
        let answer = self.ask_on_bus(process, READY_LOOK);
        let look = async move {
            match &check {
                ReadyCheck::Http(url) => probe::http(url, READY_LOOK).await.is_ok(),
                ReadyCheck::Tcp(addr) => probe::tcp(addr, READY_LOOK).await.is_ok(),
                ReadyCheck::Bus => answer.await.is_ok(),
                // The others are told by the process host or are a matter of time.
                _ => true,
            }
        };
        ctx.spawn(look.into_actor(self).map(move |ready, _, ctx| ctx.notify(Looked { process, ready })));
    }

    /// Whether this process answers `$SRV.PING` of its agent.
    fn ask_on_bus(&self, process: ProcessKey, timeout: Duration) -> impl Future<Output = Result<(), String>> + 'static {
        let bus = self.house.bus.as_ref().map(|side| side.bus.clone());
        let name = self.house.directory.borrow().get(process.agent).map(|slot| slot.name.clone());
        async move {
            let (Some(bus), Some(agent)) = (bus, name) else { return Err("there is no bus".to_owned()) };
            let subject = format!("$SRV.PING.{agent}");
            let ping = PingService { agent, credential: host_key(process).0, timeout };
            match bus.post().ask(ping, timeout + BUS_GRACE).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("it did not answer {subject} on the bus")),
                Err(error) => Err(error.to_string()),
            }
        }
    }

    /// Sends the probes that are due.
    pub(super) fn probes(&mut self, ctx: &mut Context<Self>) {
        let mut due = Vec::new();
        let now = self.house.clock.steady();
        self.house.health.borrow_mut().plan.take_due(now, &mut due);
        for key in due {
            self.probe(from_plan_key(key), ctx);
        }
    }

    fn probe(&mut self, process: ProcessKey, ctx: &mut Context<Self>) {
        let health = self.house.health.borrow().watched(process).map(|watched| watched.health.clone());
        let now = self.house.clock.steady();
        let Some(health) = health else { return };
        let timeout = health.timeout;
        match health.probe {
            Probe::Exec(argv) => self.run_command(process, argv, timeout, ctx),
            Probe::Http(url) => {
                let look = async move { probe::http(&url, timeout).await.map_err(|error| error.to_string()) };
                self.expect(process, look, ctx);
            }
            Probe::Tcp(addr) => {
                let look = async move { probe::tcp(&addr, timeout).await.map_err(|error| error.to_string()) };
                self.expect(process, look, ctx);
            }
            Probe::Bus => {
                let look = self.ask_on_bus(process, timeout);
                self.expect(process, look, ctx);
            }
            // The process host watches these.
            Probe::Notify => self.house.health.borrow_mut().finished(process, now),
        }
    }

    fn expect(
        &self,
        process: ProcessKey,
        look: impl Future<Output = Result<(), String>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        let since = self.house.clock.steady();
        ctx.spawn(look.into_actor(self).map(move |result, this: &mut Self, ctx| {
            let took = this.house.clock.steady().since(since);
            this.judge(process, took, result);
            this.finish(process, ctx);
        }));
    }

    fn run_command(&self, process: ProcessKey, argv: Vec<String>, timeout: Duration, ctx: &mut Context<Self>) {
        let now = self.house.now();
        let (serial, spec) = {
            let mut book = self.house.health.borrow_mut();
            let Some(spec) = book.watched(process).map(|watched| watched.spec.clone()) else { return };
            book.last_serial = book.last_serial.wrapping_add(1);
            let serial = book.last_serial;
            book.running.insert(serial, RunningCommand { process, since: now.steady, judged: false });
            (serial, spec)
        };
        let millis = u64::try_from(now.wall.as_millis()).unwrap_or(0);
        let run = RunId::from_parts(millis, u128::from(self.house.next_seed()));
        self.house.hands.probe(serial, run, spec, argv);
        ctx.run_later(timeout, move |this, ctx| this.command_is_late(serial, timeout, ctx));
    }

    /// Its time is over: that is its result, and the rest of it is ended. Until it has ended, no other one of this process
    /// is started.
    fn command_is_late(&self, serial: u32, timeout: Duration, ctx: &mut Context<Self>) {
        let late = match self.house.health.borrow_mut().running.get_mut(&serial) {
            Some(running) if !running.judged => {
                running.judged = true;
                running.process
            }
            _ => return,
        };
        self.house.hands.kill_probe(serial);
        ctx.notify(Probed {
            process: late,
            took: timeout,
            result: Err(format!("the probe's command did not end within {}", human(timeout))),
        });
    }

    /// A probe's command has ended.
    pub(super) fn command_ended(&mut self, serial: u32, result: Result<(), String>, ctx: &mut Context<Self>) {
        let Some(running) = self.house.health.borrow_mut().running.remove(&serial) else { return };
        if !running.judged {
            let took = self.house.clock.steady().since(running.since);
            self.judge(running.process, took, result);
        }
        self.finish(running.process, ctx);
    }

    /// Ends the probes of a process that are in flight as commands; of all, if none is named.
    pub(super) fn kill_commands(&self, process: Option<ProcessKey>) {
        let mut book = self.house.health.borrow_mut();
        let meant = |running: &&mut RunningCommand| process.is_none_or(|process| process == running.process);
        let mut serials = Vec::new();
        for (serial, running) in &mut book.running {
            if let Some(running) = Some(running).filter(meant) {
                running.judged = true;
                serials.push(*serial);
            }
        }
        drop(book);
        for serial in serials {
            self.house.hands.kill_probe(serial);
        }
    }

    fn finish(&mut self, process: ProcessKey, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        self.house.health.borrow_mut().finished(process, now);
        self.arm(ctx);
    }

    /// Keeps what a probe found, and tells its agent if that changes something.
    pub(super) fn judge(&self, process: ProcessKey, took: Duration, result: Result<(), String>) {
        let judged = self.house.health.borrow_mut().judge(process, took, Clock::wall(), result);
        let Some((verdict, check)) = judged else { return };
        if let Some(slot) = self.house.directory.borrow_mut().get_mut(process.agent) {
            slot.last_health_check = Some(check);
        }
        kept::health_checked(&self.house, process.agent);
        match verdict {
            LivenessVerdict::Unchanged => {}
            LivenessVerdict::TurnedUnhealthy(reason) => {
                self.house.deliver(process.agent, Event::Unhealthy { process, reason });
            }
            LivenessVerdict::TurnedHealthy => {
                self.house.deliver(process.agent, Event::HealthyAgain { process, sign: Sign::Probes });
            }
        }
    }
}
