//! Puts the house together: machines, actors, process host.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use werkpilot_core::dead_letters::DeadLetterRing;
use werkpilot_core::dispatcher::Dispatcher;
use werkpilot_core::graph::Graph;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::Registry;
use werkpilot_core::time::Clocks;
use werkpilot_core::timetable::Timetable;
use werkpilot_process as process;
use werkpilot_store::row::figures::DigestRow;
use werkpilot_store::{Store, StoreError};

use crate::agents::kept::Absent;
use crate::agents::supervisor::{AddAgents, Boot, Supervisor};
use crate::bus::{BusSide, BusStartError, InProcess};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::handle::Handle;
use crate::hands::{Hands, RealHands};
use crate::house::{House, HousePhase, Posts};
use crate::intake::catch_up::Positions;
use crate::observe::dead_letters::Desk;
use crate::observe::events::EventBook;
use crate::observe::health::HealthBook;
use crate::observe::memory::{MemoryBook, SampleSource, real_source};
use crate::observe::notifications::NotificationBook;
use crate::observe::optimizer::OptimizerBook;
use crate::observe::percentiles::{self, Samples};
use crate::observe::recent::RecentBook;
use crate::observe::scores::Scores;
use crate::provenance::Provenance;
use crate::router;
use crate::state::{Executions, Ledger, Restored, settle};
use crate::supervision;
use crate::work::queue::effective_workers;

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The fleet.
    pub registry: Registry,
    /// The thresholds.
    pub settings: Settings,
    /// What people should know, though it is no fault.
    pub notices: Vec<String>,
    /// Where all of it comes from, if anybody knows.
    pub provenance: Option<Arc<dyn Provenance>>,
}

/// Why the files could not be taken.
#[derive(Clone, Debug)]
pub struct LoadFault {
    /// How many faults there are.
    pub count: u32,
    /// The first one in a line.
    pub first: String,
    /// All of them for people.
    pub rendered: String,
    /// All of them for programs.
    pub json: serde_json::Value,
}

impl LoadFault {
    /// A single fault.
    pub fn one(text: String) -> Self {
        Self {
            count: 1,
            first: text.clone(),
            json: serde_json::json!({ "count": 1, "faults": [text] }),
            rendered: text,
        }
    }
}

/// Reads the files; called on another thread.
pub type Loader = Arc<dyn Fn() -> Result<Loaded, LoadFault> + Send + Sync>;

/// What an orchestrator is made of.
pub struct Options {
    /// What it begins with.
    pub loaded: Loaded,
    /// How it reads the files again.
    pub loader: Loader,
    /// The state folder; it exists.
    pub state_dir: PathBuf,
    /// Where notify sockets are made; short enough for a socket's path.
    pub runtime_dir: PathBuf,
    /// What is kept on disk, and what was kept before; without it the fleet lives in memory only.
    pub store: Option<Store>,
    /// Where clients of the bus connect; without it there is no bus.
    pub bus: Option<TcpListener>,
    /// In-process agents; their definitions are in the registry, too.
    pub residents: Vec<InProcess>,
    /// Replaces the process host, for tests.
    pub hands: Option<Box<dyn Hands>>,
    /// Replaces what looks at memory, for tests.
    pub memory: Option<Arc<dyn SampleSource>>,
}

impl Options {
    /// With real programs, and without bus and store; all in one folder.
    pub fn new(loaded: Loaded, read_again: Loader, folder: &Path) -> Self {
        Self {
            loaded,
            loader: read_again,
            state_dir: folder.to_owned(),
            runtime_dir: folder.to_owned(),
            store: None,
            bus: None,
            residents: Vec::new(),
            hands: None,
            memory: None,
        }
    }
}

/// Why an orchestrator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process host could not be started.
    #[error("failed to start the process host")]
    Host(#[source] process::HostError),
    /// What was kept can't be read.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The bus could not be started.
    #[error(transparent)]
    Bus(#[from] BusStartError),
}

/// Starts all actors on the current arbiter and boots the fleet. Has to run inside an actix `System`.
///
/// # Errors
/// [`StartError`], before any agent is started.
#[expect(clippy::too_many_lines, reason = "it puts the house together, one part after the other")]
pub fn start(options: Options) -> Result<Handle, StartError> {
    supervision::install_panic_hook();
    let begin = Clock::wall();
    let restored = options.store.as_ref().map(|store| Restored::read(&store.reader()?)).transpose()?;
    let restored = restored.unwrap_or_default();
    let ledger = options.store.map_or_else(Ledger::default, Ledger::new);
    let settings = options.loaded.settings;
    let provenance = options.loaded.provenance;
    if let Some(provenance) = &provenance {
        provenance.takes_effect();
    }
    let logs_dir = options.state_dir.join("logs");
    let residents = options.residents;
    let executions = Executions::new(ledger.clone());
    let (clock, posts) = (Clock::start(), Posts::default());
    let bus = options
        .bus
        .map(|listener| BusSide::start(listener, &settings.bus, clock, &posts.bus_link, residents))
        .transpose()?;
    let (host, hands, events) = if let Some(hands) = options.hands {
        (None, hands, None)
    } else {
        let (sender, receiver) = mpsc::unbounded_channel();
        let host_options = process::HostOptions {
            logs_dir: logs_dir.clone(),
            runtime_dir: options.runtime_dir,
            state_dir: Some(options.state_dir.clone()),
            logs: settings.logs.clone(),
        };
        let sink = Box::new(move |event| {
            // After the end of the arbiter nobody wants to know.
            let _ = sender.send(event);
        });
        let host = Arc::new(process::Host::start(host_options, sink).map_err(StartError::Host)?);
        (
            Some(host.clone()),
            Box::new(RealHands::new(host, executions.clone(), bus.clone(), posts.bus_link.clone())) as Box<dyn Hands>,
            Some(receiver),
        )
    };
    let seed = fresh_seed();
    let workers = effective_workers(&settings.queue);
    let capacity = usize::try_from(settings.dead_letters.capacity).unwrap_or(usize::MAX);
    let Registry { agents, strategies } = options.loaded.registry;
    let specs: Vec<_> = agents.into_iter().map(Arc::new).collect();
    let by_name = specs.iter().map(|spec| (spec.name.clone(), spec.as_ref())).collect();
    let cut_off = settle(restored.live, restored.triggers, &restored.cancelled, &by_name, Clock::wall());
    let (positions, stale) = Positions::restore(restored.schedules, &specs, Clock::wall());
    if !stale.is_empty() {
        ledger.post(stale);
    }
    let letters =
        DeadLetterRing::restored(capacity, restored.letters, restored.newest_letter, restored.evicted_letters);
    let desk = Desk::restored(letters, &cut_off, &ledger, Clock::wall());
    let (phase_told, phase) = watch::channel(HousePhase::Booting);
    let mut dispatcher = Dispatcher::new(&settings.queue, &settings.breaker, workers, seed);
    restore_dispatcher(&mut dispatcher, &restored.digests.newest, clock.now());
    let size = settings.percentiles.samples;
    let samples = Samples::restored(size, restored.samples, &restored.digests, clock.now());
    let house = Rc::new(House {
        clock,
        posts,
        ledger,
        executions,
        cut_off: RefCell::new(cut_off),
        bus,
        awaited_runs: Cell::new(0),
        hands,
        host,
        directory: RefCell::new(Directory::default()),
        absent: RefCell::new(Absent::new(restored.agents)),
        dispatcher: RefCell::new(dispatcher),
        timetable: RefCell::new(Timetable::new()),
        positions: RefCell::new(positions),
        events: RefCell::new(EventBook::restored(restored.events, restored.newest_event, restored.last_ends)),
        recent: RefCell::new(RecentBook::new(percentiles::kept::paused(&restored.digests.newest))),
        streams: RefCell::default(),
        dead_letters: RefCell::new(desk),
        samples: RefCell::new(samples),
        scores: RefCell::new(Scores::restored(&restored.scores)),
        memory: RefCell::new(MemoryBook::default()),
        memory_source: options.memory.unwrap_or_else(real_source),
        notifications: RefCell::new(NotificationBook::default()),
        optimizer: RefCell::new(OptimizerBook::restored(&restored.decisions, restored.newest_report)),
        health: RefCell::new(HealthBook::new(settings.health.interval, clock.steady())),
        vitals: RefCell::default(),
        graph: RefCell::new(Rc::new(Graph::default())),
        strategies: RefCell::new(strategies),
        settings: RefCell::new(Arc::new(settings)),
        loader: options.loader,
        provenance: RefCell::new(provenance),
        config_version: Cell::new(fresh_seed()),
        rejected: RefCell::default(),
        state_dir: options.state_dir,
        phase: Cell::new(HousePhase::Booting),
        phase_told,
        layers: RefCell::new(Vec::new()),
        boot_layers: RefCell::default(),
        boot_report: RefCell::new(None),
        seed: Cell::new(seed),
        schedule_lag: Cell::new(None),
    });
    if let Some(events) = events {
        actix::spawn(router::route(house.clone(), events));
    }
    let supervisor = Supervisor::launch(house.clone());
    house.posts.supervisor.fill(supervisor.clone());
    supervisor.do_send(AddAgents { specs, start: false });
    supervisor.do_send(Boot);
    house.recall_recent(begin);
    let told = house.events.borrow().told();
    let handle =
        Handle::new(house.posts.clone(), logs_dir, house.clock, house.bus.clone(), house.ledger.clone(), phase, told);
    actix::spawn(handle.clone().verify_audit());
    Ok(handle)
}

/// The global breaker counts on, and what was paused stays so.
fn restore_dispatcher(dispatcher: &mut Dispatcher, rows: &[DigestRow], now: Clocks) {
    let paused = percentiles::kept::paused(rows);
    if let Some((by, since)) = &paused {
        log::warn!(target: "werkpilot", "Triggers are paused since {since}, by {by}; resume them with `werkpilot resume`");
    }
    dispatcher.restore(percentiles::kept::restart_ages(rows, now.wall), paused.is_some(), now.steady);
}

/// Different at every start: from the clock and the process id, mixed by the standard library's random state.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
