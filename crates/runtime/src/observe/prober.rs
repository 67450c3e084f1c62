//! The prober: looks whether services are ready, and afterwards whether they are well. Each probe is a future of its
//! own with a time-out; the actor only plans and judges.
//!
//! Invariant: at most `AT_ONCE` health probes are in flight, and at most one per process.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::agent::{Event, ProcessKey};
use werkpilot_core::ids::RunId;
use werkpilot_core::probes::{Liveness, LivenessVerdict, ProbePlan, ProbeResult};
use werkpilot_core::spec::{AgentSpec, Health, Probe, ReadyCheck};
use werkpilot_process::probe;

use crate::agents::kept;
use crate::bus::PingService;
use crate::hands::host_key;
use crate::house::House;
use crate::supervision::ExitNotice;

/// Health probes in flight at a time: enough for ten thousand services at a probe a minute, few enough for the machine.
const AT_ONCE: usize = 64;
/// Time between two looks for readiness: short against what people wait for, long against what a look costs.
const READY_INTERVAL: Duration = Duration::from_millis(100);
/// A look for readiness may take so long; the service's own `ready.timeout` bounds all looks together.
const READY_LOOK: Duration = Duration::from_secs(2);

/// The bus keeps the time-out of a ping itself, and answers this much later at most.
const BUS_GRACE: Duration = Duration::from_secs(1);

/// Looks for the readiness of this process until it is ready or unwatched.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WatchReadiness {
    /// Whose.
    pub process: ProcessKey,
}

/// Probes the health of this process from now on.
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

/// Probes nobody any more (shutdown, step 2).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopProbing;

/// A probe's command has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ProbeEnded {
    /// Which probe.
    pub serial: u32,
    /// What it found.
    pub result: Result<(), String>,
}

/// One look for readiness has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Looked {
    process: ProcessKey,
    ready: bool,
}

/// One health probe has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Probed {
    process: ProcessKey,
    result: Result<(), String>,
}

struct Watched {
    spec: Arc<AgentSpec>,
    liveness: Liveness,
}

/// An exec probe in flight.
struct Running {
    process: ProcessKey,
    expiry: SpawnHandle,
}

/// The actor of the probes.
pub struct Prober {
    house: Rc<House>,
    unready: HashMap<ProcessKey, Arc<AgentSpec>>,
    watched: HashMap<ProcessKey, Watched>,
    plan: ProbePlan,
    running: HashMap<u32, Running>,
    last_serial: u32,
    alarm: SpawnHandle,
    stopped: bool,
    _notice: ExitNotice,
}

fn plan_key(process: ProcessKey) -> u64 {
    u64::from(process.agent.0) << 32 | u64::from(process.serial)
}

fn from_plan_key(key: u64) -> ProcessKey {
    let low = u32::try_from(key & u64::from(u32::MAX)).expect("32 bits");
    let high = u32::try_from(key >> 32).expect("32 bits");
    ProcessKey { agent: werkpilot_core::ids::AgentIndex(high), serial: low }
}

impl Prober {
    /// An actor without probes.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            unready: HashMap::new(),
            watched: HashMap::new(),
            plan: ProbePlan::new(AT_ONCE),
            running: HashMap::new(),
            last_serial: 0,
            alarm: SpawnHandle::default(),
            stopped: false,
            _notice: notice,
        }
    }

    fn spec_of(&self, process: ProcessKey) -> Option<Arc<AgentSpec>> {
        self.house.directory.borrow().get(process.agent).map(|slot| slot.spec.clone())
    }

    fn look_for_readiness(&self, process: ProcessKey, ctx: &mut Context<Self>) {
        let Some(service) = self.unready.get(&process).and_then(|spec| spec.service()) else { return };
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

    fn probe_due(&mut self, ctx: &mut Context<Self>) {
        if self.stopped {
            return;
        }
        let now = self.house.clock.steady();
        let mut due = Vec::new();
        self.plan.take_due(now, &mut due);
        for key in due {
            self.probe(from_plan_key(key), ctx);
        }
        self.arm(ctx);
    }

    fn probe(&mut self, process: ProcessKey, ctx: &mut Context<Self>) {
        let health = self.watched.get(&process).and_then(|watched| watched.spec.service()?.health.clone());
        let Some(Health { probe: what, timeout, .. }) = health else {
            self.plan.finished(plan_key(process), self.house.clock.steady());
            return;
        };
        match what {
            Probe::Exec(argv) => self.probe_by_command(process, argv, timeout, ctx),
            Probe::Http(url) => {
                let look = async move { probe::http(&url, timeout).await.map_err(|error| error.to_string()) };
                ctx.spawn(look.into_actor(self).map(move |result, _, ctx| ctx.notify(Probed { process, result })));
            }
            Probe::Tcp(addr) => {
                let look = async move { probe::tcp(&addr, timeout).await.map_err(|error| error.to_string()) };
                ctx.spawn(look.into_actor(self).map(move |result, _, ctx| ctx.notify(Probed { process, result })));
            }
            Probe::Bus => {
                let look = self.ask_on_bus(process, timeout);
                ctx.spawn(look.into_actor(self).map(move |result, _, ctx| ctx.notify(Probed { process, result })));
            }
            // The process host watches these.
            Probe::Notify => self.plan.finished(plan_key(process), self.house.clock.steady()),
        }
    }

    fn probe_by_command(&mut self, process: ProcessKey, argv: Vec<String>, timeout: Duration, ctx: &mut Context<Self>) {
        let Some(spec) = self.watched.get(&process).map(|watched| watched.spec.clone()) else { return };
        self.last_serial = self.last_serial.wrapping_add(1);
        let serial = self.last_serial;
        let now = self.house.now();
        let run =
            RunId::from_parts(u64::try_from(now.wall.as_millis()).unwrap_or(0), u128::from(self.house.next_seed()));
        self.house.hands.probe(serial, run, spec, argv);
        let expiry = ctx.run_later(timeout, move |this, _| this.house.hands.kill_probe(serial));
        self.running.insert(serial, Running { process, expiry });
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        ctx.cancel_future(self.alarm);
        if let Some(at) = self.plan.next_deadline() {
            self.alarm = ctx.run_later(at.since(self.house.clock.steady()), Self::probe_due);
        }
    }

    fn unwatch(&mut self, process: ProcessKey) {
        self.unready.remove(&process);
        if self.watched.remove(&process).is_some() {
            self.plan.remove(plan_key(process));
        }
    }
}

impl Actor for Prober {
    type Context = Context<Self>;
}

impl Handler<WatchReadiness> for Prober {
    type Result = ();
    fn handle(&mut self, WatchReadiness { process }: WatchReadiness, ctx: &mut Self::Context) {
        if let Some(spec) = self.spec_of(process) {
            self.unready.insert(process, spec);
            self.look_for_readiness(process, ctx);
        }
    }
}

impl Handler<WatchHealth> for Prober {
    type Result = ();
    fn handle(&mut self, WatchHealth { process }: WatchHealth, ctx: &mut Self::Context) {
        let Some(spec) = self.spec_of(process) else { return };
        let Some(health) = spec.service().and_then(|service| service.health.clone()) else { return };
        if self.stopped {
            return;
        }
        let (seed, now) = (plan_key(process), self.house.clock.steady());
        self.plan.insert(plan_key(process), health.interval, seed, now);
        self.watched.insert(process, Watched { spec, liveness: Liveness::new(health.failures) });
        self.arm(ctx);
    }
}

impl Handler<Unwatch> for Prober {
    type Result = ();
    fn handle(&mut self, Unwatch { process }: Unwatch, _: &mut Self::Context) {
        self.unwatch(process);
    }
}

impl Handler<StopProbing> for Prober {
    type Result = ();
    fn handle(&mut self, _: StopProbing, ctx: &mut Self::Context) {
        self.stopped = true;
        ctx.cancel_future(self.alarm);
        for serial in self.running.keys() {
            self.house.hands.kill_probe(*serial);
        }
    }
}

impl Handler<ProbeEnded> for Prober {
    type Result = ();
    fn handle(&mut self, ended: ProbeEnded, ctx: &mut Self::Context) {
        if let Some(Running { process, expiry }) = self.running.remove(&ended.serial) {
            ctx.cancel_future(expiry);
            ctx.notify(Probed { process, result: ended.result });
        }
    }
}

impl Handler<Looked> for Prober {
    type Result = ();
    fn handle(&mut self, Looked { process, ready }: Looked, ctx: &mut Self::Context) {
        if !self.unready.contains_key(&process) {
            return; // It ended, or was stopped, meanwhile.
        }
        if ready {
            self.unready.remove(&process);
            self.house.deliver(process.agent, Event::Ready { process });
        } else {
            ctx.run_later(READY_INTERVAL, move |this, ctx| this.look_for_readiness(process, ctx));
        }
    }
}

impl Handler<Probed> for Prober {
    type Result = ();
    fn handle(&mut self, Probed { process, result }: Probed, ctx: &mut Self::Context) {
        self.plan.finished(plan_key(process), self.house.clock.steady());
        if let Some(watched) = self.watched.get_mut(&process) {
            let verdict = watched.liveness.on(match &result {
                Ok(()) => ProbeResult::Passed,
                Err(why) => ProbeResult::Failed(why.clone()),
            });
            if let Some(slot) = self.house.directory.borrow_mut().get_mut(process.agent) {
                slot.last_health_check = Some((crate::clock::Clock::wall(), result));
            }
            kept::health_checked(&self.house, process.agent);
            match verdict {
                LivenessVerdict::Unchanged => {}
                LivenessVerdict::TurnedUnhealthy(reason) => {
                    self.house.deliver(process.agent, Event::Unhealthy { process, reason });
                }
                LivenessVerdict::TurnedHealthy => self.house.deliver(process.agent, Event::HealthyAgain { process }),
            }
        }
        self.arm(ctx);
    }
}
