//! What outlives the actors: the machines and books, and the posts at which the actors stand.
//!
//! Invariant: each book is changed by its own actor only (named at the field); everybody on the arbiter may read. No
//! borrow is held across an `await` or a call to another actor.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use werkpilot_core::dispatcher::Dispatcher;
use werkpilot_core::event::Event;
use werkpilot_core::graph::Graph;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Priority, Strategy};
use werkpilot_core::time::Clocks;
use werkpilot_core::timetable::Timetable;
use werkpilot_process::Host;

use crate::agents::boot::BootActor;
use crate::agents::kept::Absent;
use crate::agents::reload::{RejectedReload, Reloader};
use crate::agents::shutdown::ShutdownActor;
use crate::agents::supervisor::Supervisor;
use crate::bus::BusSide;
use crate::bus::link::BusLink;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::hands::Hands;
use crate::intake::catch_up::Positions;
use crate::intake::schedule::ScheduleActor;
use crate::observe::dead_letters::{DeadLetters, Desk};
use crate::observe::events::{EventBook, EventLog, Record};
use crate::observe::health::{HealthBook, HealthMonitor};
use crate::observe::memory::{MemoryBook, MemoryMonitor, SampleSource};
use crate::observe::notifications::{NotificationBook, Notifier};
use crate::observe::optimizer::{Optimizer, OptimizerBook};
use crate::observe::percentiles::{PercentileTracker, Samples};
use crate::observe::recent::RecentBook;
use crate::observe::scores::{ScoreKeeper, Scores};
use crate::observe::stream::Hub;
use crate::observe::vitals::{Vitals, VitalsMonitor};
use crate::orchestrator::Loader;
use crate::post::Post;
use crate::provenance::Provenance;
use crate::state::archivist::Archivist;
use crate::state::{CutOff, Executions, Ledger};
use crate::view::BootLayer;
use crate::work::queue::QueueActor;

/// The posts of all system actors.
#[derive(Clone, Debug)]
pub struct Posts {
    /// Root of the supervision tree; answers questions.
    pub supervisor: Post<Supervisor>,
    /// The dispatcher's.
    pub queue: Post<QueueActor>,
    /// The timetable's.
    pub schedule: Post<ScheduleActor>,
    /// The event book's.
    pub events: Post<EventLog>,
    /// The dead-letter desk's.
    pub dead_letters: Post<DeadLetters>,
    /// The samples'.
    pub percentiles: Post<PercentileTracker>,
    /// The scores'.
    pub scores: Post<ScoreKeeper>,
    /// The memory book's.
    pub memory: Post<MemoryMonitor>,
    /// The health monitor's.
    pub health: Post<HealthMonitor>,
    /// That of the orchestrator's own vitals.
    pub vitals: Post<VitalsMonitor>,
    /// The notifications'.
    pub notifier: Post<Notifier>,
    /// The optimizer's.
    pub optimizer: Post<Optimizer>,
    /// The boot's.
    pub boot: Post<BootActor>,
    /// The shutdown's.
    pub shutdown: Post<ShutdownActor>,
    /// The reload's.
    pub reload: Post<Reloader>,
    /// The archivist's.
    pub archivist: Post<Archivist>,
    /// The link to the bus's.
    pub bus_link: Post<BusLink>,
}

impl Default for Posts {
    fn default() -> Self {
        Self {
            supervisor: Post::vacant(),
            queue: Post::vacant(),
            schedule: Post::vacant(),
            events: Post::vacant(),
            dead_letters: Post::vacant(),
            percentiles: Post::vacant(),
            scores: Post::vacant(),
            memory: Post::vacant(),
            health: Post::vacant(),
            vitals: Post::vacant(),
            notifier: Post::vacant(),
            optimizer: Post::vacant(),
            boot: Post::vacant(),
            shutdown: Post::vacant(),
            reload: Post::vacant(),
            archivist: Post::vacant(),
            bus_link: Post::vacant(),
        }
    }
}

/// The house. Shared by all actors of the arbiter as `Rc<House>`.
pub struct House {
    /// The one reader of clocks.
    pub clock: Clock,
    /// Who stands where.
    pub posts: Posts,
    /// What launches and stops.
    pub hands: Box<dyn Hands>,
    /// What is kept on disk.
    pub ledger: Ledger,
    /// Executions on disk.
    pub executions: Executions,
    /// What the last orchestrator left undone; taken up by the boot.
    pub cut_off: RefCell<CutOff>,
    /// The bus, where there is one.
    pub bus: Option<BusSide>,
    /// Executions whose end a message waits for; changed by the link to the bus.
    pub awaited_runs: Cell<usize>,
    /// The process host, where there is a real one.
    pub host: Option<Arc<Host>>,
    /// Agents; changed by the supervisor, the departments and the router.
    pub directory: RefCell<Directory>,
    /// What is kept of agents that are not there; changed by the supervisor.
    pub absent: RefCell<Absent>,
    /// Changed by the queue.
    pub dispatcher: RefCell<Dispatcher>,
    /// Changed by the schedule.
    pub timetable: RefCell<Timetable>,
    /// How far schedules are whose agents catch up; changed by the schedule.
    pub positions: RefCell<Positions>,
    /// Changed by the event log.
    pub events: RefCell<EventBook>,
    /// What happened lately, for the first page; changed by the event log.
    pub recent: RefCell<RecentBook>,
    /// Who looks on live; changed by the event log.
    pub streams: RefCell<Hub>,
    /// Changed by the dead-letter actor.
    pub dead_letters: RefCell<Desk>,
    /// Changed by the percentile tracker.
    pub samples: RefCell<Samples>,
    /// Changed by the score keeper.
    pub scores: RefCell<Scores>,
    /// Changed by the memory monitor.
    pub memory: RefCell<MemoryBook>,
    /// What looks at memory.
    pub memory_source: Arc<dyn SampleSource>,
    /// Changed by the notifier.
    pub notifications: RefCell<NotificationBook>,
    /// Decisions about priorities; changed by the optimizer.
    pub optimizer: RefCell<OptimizerBook>,
    /// Probes and checks; changed by the health monitor.
    pub health: RefCell<HealthBook>,
    /// How the orchestrator itself is; changed by the vitals' actor, and by the health monitor after each check.
    pub vitals: RefCell<Vitals>,
    /// Dependencies; changed by the supervisor.
    pub graph: RefCell<Rc<Graph>>,
    /// Strategies of the departments that have one; changed by the reloader.
    pub strategies: RefCell<BTreeMap<String, Strategy>>,
    /// What is in effect; changed by the reloader.
    pub settings: RefCell<Arc<Settings>>,
    /// Reads the files again.
    pub loader: Loader,
    /// Where what is in effect comes from; changed by the reloader.
    pub provenance: RefCell<Option<Arc<dyn Provenance>>>,
    /// Another number whenever other files take effect; begins anywhere. Changed by the reloader.
    pub config_version: Cell<u64>,
    /// The last reload that was rejected, until a good one; changed by the reloader.
    pub rejected: RefCell<Option<RejectedReload>>,
    /// The state folder.
    pub state_dir: PathBuf,
    /// Where the boot is; changed by [`House::enter`].
    pub phase: Cell<HousePhase>,
    /// Tells those outside of the arbiter where the boot is.
    pub phase_told: tokio::sync::watch::Sender<HousePhase>,
    /// Boot layer per agent's slot.
    pub layers: RefCell<Vec<u32>>,
    /// The layers of the boot that are over; changed by the boot.
    pub boot_layers: RefCell<Vec<BootLayer>>,
    /// What the boot took, once it is over.
    pub boot_report: RefCell<Option<Event>>,
    /// Seeds of what is made later.
    pub seed: Cell<u64>,
    /// How late the last batch of the schedule was; changed by the queue.
    pub schedule_lag: Cell<Option<ScheduleLag>>,
}

/// How late a batch of the schedule was in the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleLag {
    /// Executions of the batch.
    pub entries: u32,
    /// From the time that the last of them was scheduled for until all were in the queue.
    pub lag: std::time::Duration,
}

/// Where the orchestrator is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HousePhase {
    /// Layers are being started.
    Booting,
    /// All layers were started.
    Running,
    /// Going down.
    ShuttingDown,
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl House {
    /// Both clocks.
    pub fn now(&self) -> Clocks {
        self.clock.now()
    }

    /// A new phase of its life begins.
    pub fn enter(&self, phase: HousePhase) {
        self.phase.set(phase);
        self.phase_told.send_replace(phase);
    }

    /// Tells everybody a fact.
    pub fn emit(&self, event: Event) {
        self.posts.events.tell(Record(event));
    }

    /// The priority in effect of an agent with this definition: a standing decision of the optimizer's, else the registry's.
    pub fn priority_of(&self, spec: &AgentSpec) -> Priority {
        self.optimizer.borrow().decisions.in_effect(&spec.name, spec.priority).priority
    }

    /// Hands an event to an agent.
    pub fn deliver(&self, agent: AgentIndex, event: werkpilot_core::agent::Event) {
        self.directory.borrow_mut().deliver(agent, event);
    }

    /// A fresh seed.
    pub fn next_seed(&self) -> u64 {
        let seed = self.seed.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed.set(seed);
        seed
    }
}
