//! The handle: starts the threads, takes requests, ends everything.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use werkpilot_core::settings::Logs;
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::StopPolicy;

use crate::command::other;
use crate::desk::{Command, Desk};
use crate::environment::OwnEnvironment;
use crate::event::ProcessEvent;
use crate::journal::Journal;
use crate::launch::{Launch, ProcessKey};
use crate::logs::LogBook;
use crate::reactor::Reactor;
use crate::spawner::{Shop, Sink, Spawner};
use crate::{notify, sys};

/// What our threads need at most: their deepest call is a lookup in the user database.
const STACK: usize = 256 * 1024;

/// More spawners only wait for the kernel's locks.
const MAX_SPAWNERS: usize = 4;

/// Children, the subreaper flag and SIGCHLD belong to the process, so it can have one host.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Where a [`Host`] keeps what.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The agents' logs, one folder per agent.
    pub logs_dir: PathBuf,
    /// The notify sockets. Made with mode 0711; replaced by a folder with a short name in `/tmp` where the paths of
    /// sockets would exceed 107 bytes.
    pub runtime_dir: PathBuf,
    /// Where the journal of live processes is kept, for [`crate::survivors`]; `None` keeps none.
    pub state_dir: Option<PathBuf>,
    /// Limits of the agents' logs.
    pub logs: Logs,
}

/// Why a [`Host`] could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is one in this process already.
    #[error("start a second process host in one process: children and signals belong to the whole process")]
    AlreadyRunning,
    /// A folder or file could not be made.
    #[error("make `{path}`: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a thread or descriptor.
    #[error("start the process host: {0}")]
    Os(#[from] io::Error),
}

/// What [`Host::shutdown`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Daemonised processes that were left when all runs had ended, and had to be ended.
    pub strays_ended: u32,
    /// Processes that did not end, not even by SIGKILL.
    pub left: Vec<i32>,
}

/// Owns all running programs of this process; see the crate's documentation. Calls never block, but for `shutdown`.
pub struct Host {
    desk: Arc<Desk>,
    sink: Sink,
    threads: Mutex<Option<Threads>>,
    /// A folder that has to be removed.
    temporary: Option<PathBuf>,
}

struct Threads {
    reactor: JoinHandle<ShutdownReport>,
    spawners: Vec<JoinHandle<()>>,
}

/// Makes this process the one to which orphaned descendants are given. [`Host::start`] does it, too.
///
/// # Errors
/// Linux before 3.4.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

impl Host {
    /// Starts the threads. `sink` is called from them, in the order of what happens to each process; it must not block.
    ///
    /// Call [`crate::survivors::end_all`] before, since the journal is begun anew, and
    /// [`crate::limits::raise_open_files`]. SIGCHLD is set to its default. Orphans of runs are given to this process; what
    /// others in it started is left alone as long as it stays in this process's session.
    ///
    /// # Errors
    /// [`HostError`]: a host is running, a folder cannot be made, or the system is short of something.
    pub fn start(options: HostOptions, sink: Box<dyn Fn(ProcessEvent) + Send + Sync>) -> Result<Self, HostError> {
        if RUNNING.swap(true, Ordering::SeqCst) {
            return Err(HostError::AlreadyRunning);
        }
        Self::start_threads(options, Arc::from(sink)).inspect_err(|_| RUNNING.store(false, Ordering::SeqCst))
    }

    fn start_threads(options: HostOptions, sink: Sink) -> Result<Self, HostError> {
        let HostOptions { logs_dir, runtime_dir, state_dir, logs } = options;
        let at = |path: &PathBuf| {
            let path = path.clone();
            move |source| HostError::File { path, source }
        };
        std::fs::create_dir_all(&logs_dir).map_err(at(&logs_dir))?;
        let (notify_dir, temporary) = notify::make_dir(&runtime_dir).map_err(at(&runtime_dir))?;
        let journal_dir = state_dir.clone().unwrap_or_default();
        let journal = Arc::new(Journal::create(state_dir.as_deref()).map_err(at(&journal_dir))?);
        become_subreaper()?;
        sys::keep_exit_statuses();
        let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        let desk = Arc::new(Desk::new().map_err(io::Error::from)?);
        let shop = Arc::new(Shop {
            desk: desk.clone(),
            sink: sink.clone(),
            journal: journal.clone(),
            environment: OwnEnvironment::read(),
            logs_dir: logs_dir.clone(),
            notify_dir: notify_dir.clone(),
            null: rustix::io::fcntl_dupfd_cloexec(&null, 3).map_err(io::Error::from)?,
            ignored_signals: sys::ignored_realtime_signals(),
            patterns: Mutex::default(),
            pruning: Mutex::default(),
        });
        let cores = thread::available_parallelism().map_or(1, usize::from).min(MAX_SPAWNERS);
        let spawners: Vec<Spawner> =
            (0..cores).map(|_| Spawner::new(shop.clone())).collect::<Result<_, _>>().map_err(io::Error::from)?;
        let ceiling = spawners.iter().map(Spawner::ceiling).max().unwrap_or(0);
        let book = LogBook::new(logs_dir.clone(), logs.clone());
        let reactor = Reactor::new(desk.clone(), sink.clone(), journal, book, logs_dir, ceiling);
        desk.prune(logs);

        let thread = |name: &str| thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        let spawners =
            spawners.into_iter().map(|spawner| thread("spawner").spawn(|| spawner.work())).collect::<Result<_, _>>()?;
        let reactor = thread("process-io").spawn(|| reactor.work())?;
        let temporary = temporary.then_some(notify_dir);
        Ok(Self { desk, sink, threads: Mutex::new(Some(Threads { reactor, spawners })), temporary })
    }

    /// Starts a program. The first event is `Started` or `SpawnFailed`.
    ///
    /// # Panics
    /// If the key is 2^60 or more, or is being started already: both are bugs of the caller.
    pub fn launch(&self, launch: Launch) {
        assert!(launch.key.0 < 1 << 60, "process keys are below 2^60");
        if let Err(launch) = self.desk.launch(Box::new(launch)) {
            let failure = other(format!("start {}: the orchestrator is shutting down", launch.spec.name));
            (self.sink)(ProcessEvent::SpawnFailed { key: launch.key, failure });
        }
    }

    /// Sends the policy's signal to the whole group, and SIGKILL when its time-out is over. A process that is still
    /// waiting to be started is not started. Nothing happens if it has ended.
    pub fn stop(&self, key: ProcessKey, policy: StopPolicy) {
        self.desk.stop(key, policy);
    }

    /// Sends SIGKILL to the whole group.
    pub fn kill(&self, key: ProcessKey) {
        self.desk.stop(key, StopPolicy { signal: Signal::KILL, timeout: Duration::ZERO });
    }

    /// New limits of the agents' logs; they hold from the next line on.
    pub fn set_logs(&self, logs: Logs) {
        self.desk.prune(logs.clone());
        self.desk.send(Command::Logs(logs));
    }

    /// Ends everything: SIGTERM, SIGKILL after `grace`, strays as well; waits until no process is left (at most 5 s more)
    /// and joins the threads. Every launch has had its last event by then. The second call does nothing.
    pub fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return ShutdownReport::default() };
        self.desk.close();
        self.desk.send(Command::Shutdown(grace));
        for spawner in threads.spawners {
            // A spawner that panicked has said so on stderr.
            let _ = spawner.join();
        }
        let report = threads.reactor.join().unwrap_or_default();
        if let Some(dir) = &self.temporary {
            let _ = std::fs::remove_dir(dir);
        }
        RUNNING.store(false, Ordering::SeqCst);
        report
    }
}

impl Drop for Host {
    /// A host that was not shut down kills what it has.
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}
