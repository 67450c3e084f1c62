//! The shutdown: six steps, each logged, none of them waited for longer than promised.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use werkpilot_core::agent::Event as ToAgent;
use werkpilot_core::dispatcher::Event as ToDispatcher;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::shutdown::{
    RunningJob, RunningService, Shutdown, ShutdownAction, ShutdownEvent, ShutdownSummary, Step,
};
use werkpilot_core::time::{Moment, human};

use crate::agents::kept;
use crate::alarm::{Alarm, Alarmed};
use crate::house::{House, HousePhase};
use crate::intake::schedule::StopSchedule;
use crate::observe::events::Record;
use crate::observe::health::StopMonitoring;
use crate::observe::notifications::Flush;
use crate::observe::percentiles;
use crate::supervision::ExitNotice;
use crate::work::queue::Tell;

/// How long the servers may take to end their open connections: they are cut off at their own bound before.
const SERVER_STOP: Duration = Duration::from_secs(5);

/// How long the shutdown waits for its begin to be recorded: an event log that hangs must not hold it up.
const RECORDED: Duration = Duration::from_secs(1);
/// How long what waits to be told outside may take: an endpoint that answers at all takes less.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long strays that no agent owns may take to end before they are killed.
const CLEANUP_GRACE: Duration = Duration::from_secs(2);

/// Stops the servers; resolves when they are closed.
pub type StopServers = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// Begins the shutdown; the second time, ends the patience.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BeginShutdown {
    /// What asks for it: `SIGTERM`, `werkpilot down by …`.
    pub reason: String,
}

/// How the servers are stopped in step 5.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SetStopServers(pub StopServers);

/// The last process of an agent has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AgentEnded(pub AgentIndex);

/// A process of an agent had to be killed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndedByForce(pub AgentIndex);

/// The work of a step is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct StepDone(Step);

/// The actor of the shutdown.
pub struct ShutdownActor {
    house: Rc<House>,
    shutdown: Option<Shutdown>,
    /// Who ignored its stop signal before step 4, too.
    killed: BTreeSet<AgentIndex>,
    stop_servers: Option<StopServers>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl ShutdownActor {
    /// An actor that has not begun.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            shutdown: None,
            killed: BTreeSet::new(),
            stop_servers: None,
            alarm: Alarm::default(),
            _notice: notice,
        }
    }

    fn begin(&mut self, reason: String, ctx: &mut Context<Self>) {
        self.house.enter(HousePhase::ShuttingDown);
        let (jobs, services) = self.running();
        let agents: Vec<AgentIndex> = self.house.directory.borrow().iter().map(|(index, _)| index).collect();
        for agent in agents {
            self.house.deliver(agent, ToAgent::Drain);
        }
        let grace = self.house.settings.borrow().shutdown.grace;
        self.shutdown = Some(Shutdown::new(&jobs, &services, grace));
        // The first step waits until the begin has been recorded, so that the log tells them in this order.
        let events = self.house.posts.events.clone();
        let recorded = async move { events.ask(Record(Event::ShutdownStarted { reason }), RECORDED).await };
        ctx.spawn(recorded.into_actor(self).map(|_, this, ctx| this.drive(ShutdownEvent::Begin, ctx)));
    }

    fn running(&self) -> (Vec<RunningJob>, Vec<RunningService>) {
        let directory = self.house.directory.borrow();
        let graph = self.house.graph.borrow();
        let (mut jobs, mut services) = (Vec::new(), Vec::new());
        for (agent, _) in self.house.dispatcher.borrow().running_jobs() {
            let Some(slot) = directory.get(agent) else { continue };
            jobs.push(RunningJob { agent, stop_timeout: slot.spec.stop.timeout });
        }
        for (agent, slot) in directory.iter() {
            if slot.spec.service().is_some() && !slot.machine.borrow().processes().is_empty() {
                let dependents = graph.dependents(agent).to_vec();
                services.push(RunningService { agent, stop_timeout: slot.spec.stop.timeout, dependents });
            }
        }
        (jobs, services)
    }

    fn drive(&mut self, event: ShutdownEvent, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        let Some(shutdown) = &mut self.shutdown else { return };
        let mut actions = Vec::new();
        shutdown.on(event, now, &mut actions);
        let deadline = shutdown.next_deadline();
        for action in actions {
            self.perform(action, ctx);
        }
        let clock = self.house.clock;
        Alarm::set(self, deadline, clock, ctx);
    }

    fn perform(&mut self, action: ShutdownAction, ctx: &mut Context<Self>) {
        match action {
            ShutdownAction::EnterStep(step) => {
                log::info!(target: "werkpilot", "{}", step.text());
                self.work(step, ctx);
            }
            ShutdownAction::StopService(agent) => self.house.deliver(agent, ToAgent::StopService),
            ShutdownAction::TerminateAll(agents) => {
                for agent in agents {
                    self.house.deliver(agent, ToAgent::Terminate);
                }
            }
            ShutdownAction::Finished(summary) => self.finished(&summary),
        }
    }

    fn work(&mut self, step: Step, ctx: &mut Context<Self>) {
        match step {
            Step::StopCron => {
                self.house.posts.schedule.tell(StopSchedule);
                self.house.posts.queue.tell(Tell(ToDispatcher::ShutDown));
                ctx.notify(StepDone(step));
            }
            Step::StopHealth => {
                self.house.posts.health.tell(StopMonitoring);
                ctx.notify(StepDone(step));
            }
            Step::WaitForAgents | Step::TerminateAgents => {}
            Step::StopDashboard => {
                let servers = self.stop_servers.take();
                let stopping = async move {
                    if let Some(close) = servers
                        && tokio::time::timeout(SERVER_STOP, close()).await.is_err()
                    {
                        log::warn!("the HTTP server did not stop within {SERVER_STOP:?}");
                    }
                };
                ctx.spawn(stopping.into_actor(self).map(move |(), _, ctx| ctx.notify(StepDone(step))));
            }
            Step::Cleanup => {
                let last_words = self.last_words();
                kept::write_all(&self.house);
                percentiles::save_all(&self.house);
                let (host, ledger) = (self.house.host.clone(), self.house.ledger.clone());
                let clean = move || {
                    let report = host.map(|host| host.shutdown(CLEANUP_GRACE));
                    // After the last word of the last process.
                    if let Err(error) = ledger.close(CLEANUP_GRACE) {
                        log::error!("failed to {error}");
                    }
                    report
                };
                let cleaning = async move {
                    last_words.await;
                    tokio::task::spawn_blocking(clean).await
                };
                ctx.spawn(cleaning.into_actor(self).map(move |report, _, ctx| {
                    if let Ok(Some(report)) = report {
                        log::debug!("the process host is closed: {report:?}");
                    }
                    ctx.notify(StepDone(step));
                }));
            }
        }
    }

    /// Gives what waits to be told outside a last chance.
    fn last_words(&self) -> impl Future<Output = ()> + 'static + use<> {
        let waits = !self.house.notifications.borrow().is_idle();
        let notifier = self.house.posts.notifier.clone();
        async move {
            // Nobody is asked where nothing waits: most fleets tell nobody.
            if waits
                && let Ok(dropped) = notifier.ask(Flush { patience: LAST_WORDS }, LAST_WORDS * 2).await
                && dropped > 0
            {
                log::warn!(target: "werkpilot", "Notifications that could not be delivered any more: {dropped}");
            }
        }
    }

    fn finished(&self, summary: &ShutdownSummary) {
        let directory = self.house.directory.borrow();
        let names = |agents: &[AgentIndex]| directory.listed(agents);
        let (killed, graceful): (Vec<AgentIndex>, Vec<AgentIndex>) =
            summary.graceful.iter().partition(|agent| self.killed.contains(agent));
        let forced = [summary.forced.as_slice(), &killed].concat();
        if !graceful.is_empty() {
            log::info!(target: "werkpilot", "Completed gracefully ({}): {}", graceful.len(), names(&graceful));
        }
        if !forced.is_empty() {
            log::warn!(target: "werkpilot", "Forced ({}): {}", forced.len(), names(&forced));
        }
        let uptime = self.house.clock.steady().since(Moment::ZERO);
        let took = human(summary.took);
        log::info!(target: "werkpilot", "Shutdown complete after {took}; uptime {}", human(uptime));
        System::current().stop();
    }
}

impl Actor for ShutdownActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Each agent tells its end here, ten thousand of them at once in the worst case.
        ctx.set_mailbox_capacity(1_024);
    }
}

impl Alarmed for ShutdownActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.drive(ShutdownEvent::DeadlineReached, ctx);
    }
}

impl Handler<BeginShutdown> for ShutdownActor {
    type Result = ();
    fn handle(&mut self, BeginShutdown { reason }: BeginShutdown, ctx: &mut Self::Context) {
        if self.shutdown.is_none() {
            self.begin(reason, ctx);
        } else {
            log::warn!(target: "werkpilot", "{reason} again: not waiting any longer");
            self.drive(ShutdownEvent::SecondSignal, ctx);
        }
    }
}

impl Handler<SetStopServers> for ShutdownActor {
    type Result = ();
    fn handle(&mut self, SetStopServers(stop): SetStopServers, _: &mut Self::Context) {
        self.stop_servers = Some(stop);
    }
}

impl Handler<AgentEnded> for ShutdownActor {
    type Result = ();
    fn handle(&mut self, AgentEnded(agent): AgentEnded, ctx: &mut Self::Context) {
        let forced = self.house.directory.borrow().get(agent).is_some_and(|slot| slot.forced);
        self.drive(ShutdownEvent::AgentEnded { agent, forced }, ctx);
    }
}

impl Handler<EndedByForce> for ShutdownActor {
    type Result = ();
    fn handle(&mut self, EndedByForce(agent): EndedByForce, _: &mut Self::Context) {
        self.killed.insert(agent);
    }
}

impl Handler<StepDone> for ShutdownActor {
    type Result = ();
    fn handle(&mut self, StepDone(step): StepDone, ctx: &mut Self::Context) {
        self.drive(ShutdownEvent::StepDone(step), ctx);
    }
}
