//! The threads that start programs. Each blocks while a program is being started, and does nothing else of length.
//!
//! A spawner keeps three low descriptors for the child's stdin, stdout and stderr, parked on `/dev/null`. For a start it
//! puts pipe ends (for stdin a file with the payload) there, so that the child has to take over a handful of descriptors and not the thousands that
//! may be open above them (see [`crate::exec`]).

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use regex::bytes::Regex;
use rustix::fs::{MemfdFlags, OFlags};
use rustix::io::{DupFlags, dup3, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, pipe_with};
use werkpilot_core::exit::SpawnFailure;
use werkpilot_core::spec::ReadyCheck;

use crate::capture::LineSplitter;
use crate::command::{self, c_string, from_failed, from_os, other};
use crate::desk::{Desk, Work};
use crate::environment::{OwnEnvironment, wants_notify, watchdog};
use crate::event::ProcessEvent;
use crate::exec::{self, Plan, Stack};
use crate::journal::Journal;
use crate::last_line::LastLine;
use crate::launch::{Launch, Output};
use crate::logs;
use crate::notify::NotifySocket;
use crate::run::{Kept, OutputPipe, Run, Watch};
use crate::{sys, users};

/// Patterns that are kept compiled: a fleet has few different ones.
const MAX_PATTERNS: usize = 256;

/// Where events go.
pub(crate) type Sink = Arc<dyn Fn(ProcessEvent) + Send + Sync>;

/// What all spawners share.
pub(crate) struct Shop {
    pub desk: Arc<Desk>,
    pub sink: Sink,
    pub journal: Arc<Journal>,
    pub environment: OwnEnvironment,
    pub logs_dir: PathBuf,
    pub notify_dir: PathBuf,
    pub null: OwnedFd,
    pub ignored_signals: Vec<i32>,
    pub patterns: Mutex<HashMap<String, Regex>>,
    /// Held while old logs are removed: two at once would each remove what is too much.
    pub pruning: Mutex<()>,
}

/// One spawner thread.
pub(crate) struct Spawner {
    shop: Arc<Shop>,
    stack: Stack,
    parked: [OwnedFd; 3],
}

/// The pipe ends of a start: ours, and which descriptors become the child's 0, 1 and 2.
#[derive(Default)]
struct Ends {
    outputs: [Option<OwnedFd>; 2],
    used: [bool; 3],
}

impl Spawner {
    /// Takes the descriptors that it keeps; early, so that they are low.
    pub fn new(shop: Arc<Shop>) -> rustix::io::Result<Self> {
        let park = || fcntl_dupfd_cloexec(&shop.null, 3);
        let parked = [park()?, park()?, park()?];
        Ok(Self { shop, stack: Stack::new(), parked })
    }

    /// Descriptors from this on are never seen by a child.
    pub fn ceiling(&self) -> RawFd {
        self.parked.iter().chain([&self.shop.null]).map(AsRawFd::as_raw_fd).max().unwrap_or(0) + 1
    }

    /// Works until the desk is closed.
    pub fn work(mut self) {
        sys::block_signals();
        while let Some(work) = self.shop.desk.next_work() {
            match work {
                Work::Launch(launch) => self.launch(&launch),
                Work::Prune(limits) => {
                    let _one_at_a_time = self.shop.pruning.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Err(error) = logs::prune(&self.shop.logs_dir, &limits, SystemTime::now()) {
                        log::warn!("cannot look through {}: {error}", self.shop.logs_dir.display());
                    }
                }
            }
        }
    }

    fn launch(&mut self, launch: &Launch) {
        let key = launch.key;
        let started = if self.shop.desk.is_stopped(key) {
            Err(other(format!("start {}: it was stopped before it was started", launch.spec.name)))
        } else {
            self.start(launch)
        };
        let failure = match started {
            Err(failure) => failure,
            Ok(run) => {
                (self.shop.sink)(ProcessEvent::Started { key, pid: run.pid });
                let at_once = run.watch.is_some();
                let Err((error, run)) = self.shop.desk.land(run, at_once) else { return };
                // It runs, but we could not learn of its end.
                sys::kill(-run.pid, libc::SIGKILL);
                sys::wait_for_failed_child(run.pid);
                self.shop.journal.ended(run.slot);
                from_os(&format!("watch {}", launch.spec.name), error.raw_os_error())
            }
        };
        self.shop.desk.landed_badly(key);
        (self.shop.sink)(ProcessEvent::SpawnFailed { key, failure });
    }

    /// Everything up to the running program.
    fn start(&mut self, launch: &Launch) -> Result<Box<Run>, SpawnFailure> {
        let spec = &launch.spec;
        let identity = &spec.identity;
        let (credentials, user) = users::resolve(identity.user.as_deref(), identity.group.as_deref())
            .map_err(|error| other(error.to_string()))?;
        let notify = wants_notify(launch)
            .then(|| NotifySocket::bind(&self.shop.notify_dir, launch.run, launch.key))
            .transpose()
            .map_err(|error| from_os("make the notify socket", error.raw_os_error().unwrap_or(0)))?;
        let environment = self
            .shop
            .environment
            .for_child(launch, user.as_ref(), notify.as_ref().map(NotifySocket::path))
            .map_err(|error| other(error.to_string()))?;
        let argv = launch.argv_override.clone().unwrap_or_else(|| spec.program.argv());
        let path = command::resolve(argv.first().map_or("", String::as_str), environment.path.as_deref(), &spec.cwd)?;
        let mut plan = Plan {
            path,
            argv: argv.iter().map(|text| c_string(text.as_bytes(), "the argument")).collect::<Result<_, _>>()?,
            env: environment.entries,
            cwd: c_string(spec.cwd.as_os_str().as_encoded_bytes(), "the folder")?,
            stdio: [self.shop.null.as_raw_fd(); 3],
            umask: identity.umask,
            nice: identity.nice,
            limits: command::limits(identity),
            credentials,
            no_new_privileges: !identity.allow_new_privileges,
        };
        let ready_log = self.ready_log(launch)?;
        let mut ends = Ends::default();
        let piped = self.make_pipes(launch, &mut ends, &mut plan.stdio);
        let slot = self.shop.journal.intend(launch.run);
        let started = Instant::now();
        let spawned = piped
            .map_err(|error| from_os("make pipes", error.raw_os_error()))
            .and_then(|()| self.spawn(&plan, &ends, launch));
        let (pid, pidfd) = spawned.inspect_err(|_| self.shop.journal.ended(slot))?;
        self.shop.journal.started(slot, pid);
        Ok(Box::new(Run {
            key: launch.key,
            id: launch.run,
            short: launch.run.short().into(),
            agent: spec.name.clone(),
            pid,
            pidfd: Some(pidfd),
            started,
            slot,
            outputs: ends.outputs.map(|end| end.map(|fd| OutputPipe { fd, lines: LineSplitter::default() })),
            logged: launch.output == Output::Log,
            notify: notify.map(Box::new),
            watch: watch(launch, ready_log, started),
            kept: launch.capture_stdout_max.map(|max| Box::new(Kept { bytes: Vec::new(), max, truncated: false })),
            grace: spec.stop.timeout,
            tail_on_failure: launch.tail_on_failure,
            last_error: LastLine::default(),
            kill_at: None,
            forced: false,
            end: None,
        }))
    }

    /// Makes the pipes that the launch needs and puts the child's ends on the parked descriptors.
    fn make_pipes(&mut self, launch: &Launch, ends: &mut Ends, stdio: &mut [RawFd; 3]) -> rustix::io::Result<()> {
        if let Some(payload) = &launch.payload {
            self.place(0, &file_of(payload)?, ends, stdio)?;
        }
        let wanted =
            [launch.output == Output::Log || launch.capture_stdout_max.is_some(), launch.output == Output::Log];
        for (index, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let (reader, writer) = pipe()?;
            // Our end only: whether a descriptor blocks is a matter of each end.
            rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
            self.place(index + 1, &writer, ends, stdio)?;
            ends.outputs[index] = Some(reader);
        }
        Ok(())
    }

    fn place(
        &mut self,
        number: usize,
        end: &OwnedFd,
        ends: &mut Ends,
        stdio: &mut [RawFd; 3],
    ) -> rustix::io::Result<()> {
        dup3(end, &mut self.parked[number], DupFlags::CLOEXEC)?;
        ends.used[number] = true;
        stdio[number] = self.parked[number].as_raw_fd();
        Ok(())
    }

    fn spawn(&mut self, plan: &Plan, ends: &Ends, launch: &Launch) -> Result<(i32, OwnedFd), SpawnFailure> {
        let spawned = exec::spawn(plan, &mut self.stack, &self.shop.ignored_signals);
        for (parked, _) in self.parked.iter_mut().zip(ends.used).filter(|(_, used)| *used) {
            // Closes the child's end on our side. Replacing one descriptor by another cannot fail for want of one.
            let _ = dup3(&self.shop.null, parked, DupFlags::CLOEXEC);
        }
        spawned.map_err(|failed| from_failed(failed, &plan.path, &launch.spec))
    }

    /// The compiled pattern of readiness, where there is one.
    fn ready_log(&self, launch: &Launch) -> Result<Option<Regex>, SpawnFailure> {
        let ready = launch.spec.service().map(|service| &service.ready.check);
        let (Some(ReadyCheck::Log(pattern)), None) = (ready, &launch.argv_override) else { return Ok(None) };
        let mut patterns = self.shop.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(pattern) {
            return Ok(Some(known.clone()));
        }
        let compiled =
            Regex::new(pattern).map_err(|error| other(format!("compile the pattern `{pattern}`: {error}")))?;
        if patterns.len() >= MAX_PATTERNS {
            patterns.clear();
        }
        patterns.insert(pattern.clone(), compiled.clone());
        Ok(Some(compiled))
    }
}

/// A pipe for a program.
fn pipe() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((for_a_program(reader)?, for_a_program(writer)?))
}

/// A file in memory with all of a payload, so that the program gets all of it even if we die meanwhile: from a pipe it
/// would read half of it and an end, and take that for the whole. (systemd.exec(5), `StandardInputData=`, does the same.)
fn file_of(payload: &[u8]) -> rustix::io::Result<OwnedFd> {
    let file = for_a_program(rustix::fs::memfd_create(c"payload", MemfdFlags::CLOEXEC)?)?;
    let mut written = 0;
    while written < payload.len() {
        // By position, so that the program reads from the beginning.
        written += rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, &payload[written..], written as u64))?;
    }
    Ok(file)
}

/// The last descriptors are not for programs: a person must get through to the orchestrator, and logs must open, also
/// when too many programs run.
fn for_a_program(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    // The lowest free number is given out, so a high one means that few are left.
    if crate::limits::is_reserved(fd.as_raw_fd()) { Err(rustix::io::Errno::MFILE) } else { Ok(fd) }
}

fn watch(launch: &Launch, ready_log: Option<Regex>, started: Instant) -> Option<Box<Watch>> {
    let service = launch.spec.service().filter(|_| launch.argv_override.is_none())?;
    let watchdog: Option<Duration> = watchdog(launch);
    let by_notify = service.ready.check == ReadyCheck::Notify;
    if ready_log.is_none() && service.max_silence.is_none() && watchdog.is_none() && !by_notify {
        return None;
    }
    Some(Box::new(Watch {
        ready_log,
        ready: false,
        max_silence: service.max_silence,
        last_output: started,
        silent: false,
        watchdog,
        alive: (!by_notify).then_some(started),
        expired: false,
    }))
}
