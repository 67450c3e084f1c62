//! What leaves the arbiter: the one way in for the web server, the CLI and embedding programs.

mod audit;
mod bus;
mod config;
mod dashboard;
mod dead_letters;
mod error;
mod logs;
mod memory;
mod notifications;
mod optimizer;
mod stream;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::MailboxError;
use tokio::sync::watch;
use werkpilot_core::agent::Command;
use werkpilot_core::dispatcher::{Admission, Event as ToDispatcher, Request};
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::score::Score;
use werkpilot_core::settings::Settings;
use werkpilot_core::trigger::Trigger;

use crate::agents::agent::{AgentActor, Order, Switch, SwitchError};
use crate::agents::reload::ReloadReport;
use crate::agents::shutdown::{BeginShutdown, SetStopServers, StopServers};
use crate::agents::supervisor::{Consult, QuestionPanicked};
use crate::bus::{BusSide, GetBusReport, GetServices, ServiceQuestion};
use crate::clock::Clock;
use crate::house::{House, HousePhase, Posts};
use crate::observe::audit::AuditLog;
use crate::observe::events::AwaitEnd;
use crate::post::Unavailable;
use crate::state::{Ledger, triggers};
use crate::view::{
    AgentDetail, AgentHealth, AgentView, BusView, HealthView, NextRuns, NextRunsQuery, Overview, QueueView, Scrape,
    agent_detail, agent_health, agents, health, join_services, next_runs, overview, queue,
};
use crate::work::queue::{Admit, Tell};

pub use audit::{AuditPageView, AuditView, MadeBefore};
pub use error::ControlError;
use error::not_kept;
pub use logs::LogQuery;
pub use optimizer::{ReportPage, kept_reports};

/// How long an actor may take to answer. With ten thousand agents the largest view takes tens of milliseconds; more
/// than this means that the orchestrator hangs.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// Reading the files of ten thousand agents takes a second or two on a slow disk.
const RELOAD: Duration = Duration::from_mins(1);

/// Only a runtime that was started without one has no bus.
const NO_BUS: ControlError = ControlError::Unavailable(Unavailable::Vacant("bus"));

/// How often, and how far apart, an agent's actor that is not there is looked for: longer than its supervisor's delays
/// after a death.
const VACANCY_LOOKS: u32 = 40;
/// See [`VACANCY_LOOKS`].
const VACANCY_PAUSE: Duration = Duration::from_millis(25);

/// A request for a manual execution.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// Whose.
    pub agent: String,
    /// What the program gets on stdin.
    pub payload: Option<Vec<u8>>,
    /// Whether unhealthy dependencies are overridden.
    pub force: bool,
    /// Who asks.
    pub by: String,
}

/// The orchestrator, seen from outside its arbiter. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    posts: Posts,
    logs_dir: Arc<PathBuf>,
    clock: Clock,
    bus: Option<BusSide>,
    ledger: Ledger,
    audit: AuditLog,
    phase: watch::Receiver<HousePhase>,
    newest_event: Arc<AtomicU64>,
}

impl Handle {
    pub(crate) fn new(
        posts: Posts,
        logs_dir: PathBuf,
        clock: Clock,
        bus: Option<BusSide>,
        ledger: Ledger,
        phase: watch::Receiver<HousePhase>,
        newest_event: Arc<AtomicU64>,
    ) -> Self {
        let audit = AuditLog::new(ledger.clone());
        Self { posts, logs_dir: Arc::new(logs_dir), clock, bus, ledger, audit, phase, newest_event }
    }

    /// Waits until all layers were started and their services are ready or late. `false`: it goes down instead.
    pub async fn booted(&self) -> bool {
        let mut phase = self.phase.clone();
        let known = phase.wait_for(|phase| *phase != HousePhase::Booting).await;
        known.is_ok_and(|phase| *phase == HousePhase::Running)
    }

    /// The number of the newest fact, without asking anybody.
    pub fn newest_event(&self) -> u64 {
        self.newest_event.load(Ordering::Acquire)
    }

    /// The bus, if there is one.
    pub fn bus(&self) -> Option<&BusSide> {
        self.bus.as_ref()
    }

    /// The way to what is kept on disk.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The posts of the system actors, for embedding programs and drills.
    pub fn posts(&self) -> &Posts {
        &self.posts
    }

    /// The orchestrator's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Answers a question about the house, on its arbiter.
    ///
    /// # Errors
    /// If the orchestrator does not answer, or the question panicked.
    pub async fn consult<T: Send + 'static>(
        &self,
        question: impl FnOnce(&House) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let answer = self.posts.supervisor.ask(Consult(Box::new(question)), ANSWER).await?;
        answer.map_err(|QuestionPanicked| ControlError::Panicked)
    }

    /// The whole fleet.
    pub async fn overview(&self) -> Result<Overview, ControlError> {
        self.consult(overview).await
    }

    /// All agents.
    pub async fn agents(&self) -> Result<Vec<AgentView>, ControlError> {
        self.consult(|house| agents(house, house.now())).await
    }

    /// One agent with everything that is known of it.
    pub async fn agent(&self, name: &str) -> Result<AgentDetail, ControlError> {
        let wanted = name.to_owned();
        match self.consult(move |house| agent_detail(house, &wanted)).await? {
            Some(mut detail) => {
                let AgentView { name, score, score_parts, .. } = &detail.agent;
                let score = score_parts.map(|parts| Score { value: *score, parts });
                detail.scores = self.daily_scores(name, score).await;
                Ok(detail)
            }
            None => Err(self.unknown_agent(name).await),
        }
    }

    /// The health of one agent.
    pub async fn agent_health(&self, name: &str) -> Result<AgentHealth, ControlError> {
        let wanted = name.to_owned();
        match self.consult(move |house| agent_health(house, &wanted)).await? {
            Some(health) => Ok(health),
            None => Err(self.unknown_agent(name).await),
        }
    }

    /// The health of the orchestrator itself.
    pub async fn health(&self) -> Result<HealthView, ControlError> {
        self.consult(health).await
    }

    /// What a scraper of metrics gets.
    pub async fn scrape(&self) -> Result<Scrape, ControlError> {
        let scrape = self.consult(Scrape::of).await?;
        // A bus that is just being started again has no figures for a moment.
        Ok(Scrape { bus: self.bus_report().await.ok(), ..scrape })
    }

    /// The figures of the bus.
    pub async fn bus_report(&self) -> Result<BusView, ControlError> {
        let side = self.bus.as_ref().ok_or(NO_BUS)?;
        Ok(BusView::of(side, &side.bus.post().ask(GetBusReport, ANSWER).await?))
    }

    /// What the micro-services of the fleet say of themselves within `window`.
    pub async fn bus_services(&self, window: Duration) -> Result<Vec<serde_json::Value>, ControlError> {
        let side = self.bus.as_ref().ok_or(NO_BUS)?;
        let ask = |question| side.bus.post().ask(GetServices { question, window }, window + ANSWER);
        let (info, stats) = tokio::join!(ask(ServiceQuestion::Info), ask(ServiceQuestion::Stats));
        Ok(join_services(info?, stats?))
    }

    /// The queue in order.
    pub async fn queue(&self) -> Result<QueueView, ControlError> {
        self.consult(queue).await
    }

    /// The facts after number `after` that are remembered, oldest first, at most `limit`.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, ControlError> {
        let pick = move |house: &House| {
            house.events.borrow().iter().filter(|recorded| recorded.seq > after).take(limit).cloned().collect()
        };
        self.consult(pick).await
    }

    /// What is due within the next `span`: at most `limit` times, and at most `each` of one agent.
    pub async fn next_runs(&self, query: NextRunsQuery) -> Result<NextRuns, ControlError> {
        self.consult(move |house| next_runs(house, &query)).await
    }

    /// The dependency graph, drawn by one of the graph's renderers.
    pub async fn graph(
        &self,
        render: impl FnOnce(&werkpilot_core::graph::Graph) -> String + Send + 'static,
    ) -> Result<String, ControlError> {
        self.consult(|house| render(&house.graph.borrow())).await
    }

    /// The thresholds in effect.
    pub async fn settings(&self) -> Result<Arc<Settings>, ControlError> {
        self.consult(|house| house.settings.borrow().clone()).await
    }

    /// Carries out a command. `enable` and `disable` are on disk first. The text says what happens now. `restart` of a job ends its run and runs it anew.
    pub async fn command(&self, agent: &str, command: Command, by: &str) -> Result<String, ControlError> {
        let (index, addr, is_job) = self.find(agent).await?;
        if matches!(command, Command::Enable | Command::Disable) {
            let order = Switch { on: command == Command::Enable, by: by.to_owned() };
            let answer = addr.send(order).timeout(ANSWER).await;
            return self.answered(agent, answer).await?.map_err(|error| match error {
                SwitchError::Refused(reason) => ControlError::Refused(reason),
                SwitchError::NotKept(error) => not_kept(error),
            });
        }
        let restart_job = is_job && command == Command::Restart;
        let order = Order { command, by: by.to_owned() };
        let answer = addr.send(order).timeout(ANSWER).await;
        let answer = self.answered(agent, answer).await?.map_err(ControlError::Refused)?;
        if restart_job {
            let name = AgentName::new(agent).expect("a name that was found");
            let _ = self.admit(index, &name, None, false, by, None).await?;
        }
        Ok(answer)
    }

    /// Asks for an execution by hand. It clears the agent's breaker first.
    pub async fn run(&self, request: RunRequest) -> Result<Admission, ControlError> {
        self.run_with(request, None).await
    }

    async fn run_with(&self, request: RunRequest, run: Option<RunId>) -> Result<Admission, ControlError> {
        let (index, addr, is_job) = self.find(&request.agent).await?;
        let name = AgentName::new(&request.agent).expect("a name that was found");
        if !is_job {
            return Err(ControlError::NotAJob(name));
        }
        let order = Order { command: Command::PrepareManualRun, by: request.by.clone() };
        let prepared = addr.send(order).timeout(ANSWER).await;
        prepared.map_err(|_| Unavailable::TimedOut("agent", ANSWER))?.map_err(ControlError::Refused)?;
        self.admit(index, &name, request.payload, request.force, &request.by, run).await
    }

    async fn admit(
        &self,
        agent: AgentIndex,
        name: &AgentName,
        payload: Option<Vec<u8>>,
        force: bool,
        by: &str,
        run: Option<RunId>,
    ) -> Result<Admission, ControlError> {
        let trigger = Trigger::Manual { by: by.to_owned(), force };
        let request = Request { payload: payload.map(Arc::from), run, ..Request::new(agent, trigger) };
        let request = triggers::accept(&self.ledger, name, request, Clock::wall()).await.map_err(not_kept)?;
        Ok(self.posts.queue.ask(Admit(request), ANSWER).await?)
    }

    /// Waits for the end of an execution, however long it takes.
    pub async fn wait(&self, run: RunId) -> Result<Recorded, ControlError> {
        let receiver = self.posts.events.ask(AwaitEnd(run), ANSWER).await?;
        let receiver = receiver.ok_or(ControlError::TooManyWaiters)?;
        Ok(receiver.await.map_err(|_| Unavailable::Vacant("event log"))?)
    }

    /// Ends an execution: a running one is stopped, a waiting one leaves the queue.
    pub async fn cancel(&self, run: RunId, by: &str) -> Result<(), ControlError> {
        let is_live = move |house: &House| {
            let dispatcher = house.dispatcher.borrow();
            house.directory.borrow().iter().any(|(index, _)| dispatcher.live(index).iter().any(|live| live.run == run))
        };
        let live = self.consult(is_live).await?;
        if !live {
            return Err(ControlError::UnknownRun(run));
        }
        self.posts.queue.tell(Tell(ToDispatcher::CancelRun { run, by: by.to_owned() }));
        Ok(())
    }

    /// Pauses all triggers but explicit ones, or resumes them. With a bad disk too: that is kept when it is well again.
    pub async fn pause(&self, paused: bool, by: &str) -> Result<(), ControlError> {
        let batch = crate::observe::percentiles::kept::pause(paused, by, Clock::wall());
        if let Ok(Err(_)) = tokio::time::timeout(ANSWER, self.ledger.kept(batch.clone())).await {
            self.ledger.post(batch);
        }
        self.posts.queue.ask(Tell(ToDispatcher::SetPaused(paused)), ANSWER).await?;
        self.posts.events.tell(crate::observe::events::Record(Event::TriggersPaused { paused, by: by.to_owned() }));
        Ok(())
    }

    /// Reads the files again and applies what is different.
    pub async fn reload(&self, by: &str, quiet: bool) -> Result<ReloadReport, ControlError> {
        self.reload_if(by, quiet, None).await
    }

    /// Begins the shutdown; the second time, ends the patience.
    pub fn shut_down(&self, reason: &str) {
        self.posts.shutdown.tell(BeginShutdown { reason: reason.to_owned() });
    }

    /// Tells how the servers are stopped in step 5 of the shutdown.
    pub fn on_stop_servers(&self, stop: StopServers) {
        self.posts.shutdown.tell(SetStopServers(stop));
    }

    /// Ends an agent's actor by a panic: a drill. Its processes go on, its successor takes over.
    pub async fn crash_agent(&self, agent: &str) -> Result<(), ControlError> {
        let (_, addr, _) = self.find(agent).await?;
        addr.do_send(crate::agents::agent::Crash);
        Ok(())
    }

    /// Ends the queue's actor by a panic: a drill. What waits goes on waiting, its successor takes over.
    pub fn crash_queue(&self) {
        self.posts.queue.tell(crate::work::queue::Crash);
    }

    /// Ends the event log's actor by a panic: a drill. Who looks on misses nothing that its successor records.
    pub fn crash_event_log(&self) {
        self.posts.events.tell(crate::observe::events::Crash);
    }

    /// Finds an agent and its actor; waits a moment if the actor is just being started, or started again.
    async fn find(&self, name: &str) -> Result<(AgentIndex, actix::Addr<AgentActor>, bool), ControlError> {
        for _ in 0..VACANCY_LOOKS {
            let wanted = name.to_owned();
            let found = self.consult(move |house| {
                let directory = house.directory.borrow();
                let index = directory.find(&wanted)?;
                Some((index, directory.addr(index), directory.get(index)?.spec.job().is_some()))
            });
            match found.await? {
                Some((index, Some(addr), is_job)) => return Ok((index, addr, is_job)),
                Some((_, None, _)) => tokio::time::sleep(VACANCY_PAUSE).await,
                None if self.is_leaving(name).await? => return Err(ControlError::Leaving(name.to_owned())),
                None => return Err(self.unknown_agent(name).await),
            }
        }
        Err(Unavailable::Vacant("agent").into())
    }

    /// What an agent's actor answered. One that ended before it could has mostly left with its agent.
    async fn answered<T>(&self, agent: &str, answer: Result<T, MailboxError>) -> Result<T, ControlError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(MailboxError::Timeout) => Err(Unavailable::TimedOut("agent", ANSWER).into()),
            Err(MailboxError::Closed) => {
                Err(self.find(agent).await.err().unwrap_or(Unavailable::Vacant("agent").into()))
            }
        }
    }

    /// Whether an agent of this name was taken out of the registry, and its last program is being ended.
    async fn is_leaving(&self, name: &str) -> Result<bool, ControlError> {
        let wanted = name.to_owned();
        self.consult(move |house| house.directory.borrow().iter().any(|(_, slot)| slot.name.as_str() == wanted)).await
    }

    async fn known(&self, name: &str) -> Result<AgentName, ControlError> {
        let wanted = name.to_owned();
        let found = self.consult(move |house| {
            let directory = house.directory.borrow();
            directory.find(&wanted).and_then(|index| Some(directory.get(index)?.name.clone()))
        });
        match found.await? {
            Some(name) => Ok(name),
            None => Err(self.unknown_agent(name).await),
        }
    }

    async fn unknown_agent(&self, name: &str) -> ControlError {
        ControlError::UnknownAgent { name: name.to_owned(), suggestion: self.nearest(name).await }
    }

    /// The agent that may have been meant.
    pub(crate) async fn nearest(&self, name: &str) -> Option<String> {
        let wanted = name.to_owned();
        let nearest = self.consult(move |house| {
            let directory = house.directory.borrow();
            werkpilot_core::suggest::closest(&wanted, directory.names().map(AgentName::as_str)).map(ToOwned::to_owned)
        });
        nearest.await.ok().flatten()
    }
}
