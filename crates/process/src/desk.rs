//! The desk between callers, spawners and the I/O thread: the queue of launches, and the inbox.
//!
//! A stop that comes while its process is still being started is kept here and handed on with the process, so that it
//! can overtake nothing and gets lost nowhere.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::event::{EventfdFlags, epoll, eventfd};
use werkpilot_core::ids::RunId;
use werkpilot_core::settings::Logs;
use werkpilot_core::spec::StopPolicy;

use crate::launch::{Launch, ProcessKey};
use crate::run::Run;

/// The token of the wake-up descriptor.
pub(crate) const WAKE: u64 = u64::MAX;

/// What a spawner does.
pub(crate) enum Work {
    /// Start a program.
    Launch(Box<Launch>),
    /// Bring the logs under their total.
    Prune(Logs),
}

/// What the I/O thread is asked for.
pub(crate) enum Command {
    /// Take over a process that has been started, and the stop that was asked for meanwhile.
    Adopt(Box<Run>, Option<StopPolicy>),
    /// Stop a process; SIGKILL in the policy is a kill.
    Stop(ProcessKey, StopPolicy),
    /// New limits of the logs.
    Logs(Logs),
    /// End everything, with at most so much grace.
    Shutdown(Duration),
}

/// A launch that has not been handed to the I/O thread yet.
struct Flight {
    run: RunId,
    stop: Option<StopPolicy>,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Work>,
    flights: HashMap<ProcessKey, Flight>,
    inbox: Vec<Command>,
    woken: bool,
    /// Spawners that wait for work. The last to wait is the first to be woken: its memory is still in a cache.
    idle: Vec<Thread>,
    closed: bool,
}

/// See the module.
pub(crate) struct Desk {
    inner: Mutex<Inner>,
    /// Where all descriptors of live runs are registered.
    pub epoll: OwnedFd,
    wake: OwnedFd,
}

impl Desk {
    pub fn new() -> rustix::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Self { inner: Mutex::default(), epoll, wake })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a launch; gives it back if the host is shutting down.
    ///
    /// # Panics
    /// If the key is in flight already.
    pub fn launch(&self, launch: Box<Launch>) -> Result<(), Box<Launch>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(launch);
        }
        let flight = Flight { run: launch.run, stop: None };
        assert!(inner.flights.insert(launch.key, flight).is_none(), "process key {} is used twice", launch.key);
        inner.queue.push_back(Work::Launch(launch));
        Self::wake_spawner(inner);
        Ok(())
    }

    /// Queues the pruning of the logs.
    pub fn prune(&self, logs: Logs) {
        let mut inner = self.lock();
        inner.queue.push_back(Work::Prune(logs));
        Self::wake_spawner(inner);
    }

    fn wake_spawner(mut inner: MutexGuard<'_, Inner>) {
        let idle = inner.idle.pop();
        drop(inner);
        idle.inspect(Thread::unpark);
    }

    /// Waits for work; `None` when the desk is closed and nothing is left.
    pub fn next_work(&self) -> Option<Work> {
        let own = thread::current();
        loop {
            let mut inner = self.lock();
            // A thread may be unparked for no reason.
            inner.idle.retain(|idle| idle.id() != own.id());
            if let Some(work) = inner.queue.pop_front() {
                return Some(work);
            }
            if inner.closed {
                return None;
            }
            inner.idle.push(own.clone());
            drop(inner);
            thread::park();
        }
    }

    /// No further launches; the spawners end when the queue is empty.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.idle.drain(..).for_each(|idle| idle.unpark());
    }

    /// Stops a process, wherever it is on its way.
    pub fn stop(&self, key: ProcessKey, policy: StopPolicy) {
        let mut inner = self.lock();
        if let Some(flight) = inner.flights.get_mut(&key) {
            flight.stop = Some(policy);
            return;
        }
        inner.inbox.push(Command::Stop(key, policy));
        self.wake(inner);
    }

    /// Whether a launch in flight has been asked to stop.
    pub fn is_stopped(&self, key: ProcessKey) -> bool {
        let inner = self.lock();
        inner.closed || inner.flights.get(&key).is_some_and(|flight| flight.stop.is_some())
    }

    /// A launch came to nothing.
    pub fn landed_badly(&self, key: ProcessKey) {
        self.lock().flights.remove(&key);
    }

    /// Registers the descriptors of a started process and hands it to the I/O thread. Wakes that only if it has to do
    /// something at once: else the process's first sign does. Both under the lock, so that no sign comes before it.
    ///
    /// # Errors
    /// The process, if a descriptor could not be registered. It is still in flight then.
    pub fn land(&self, run: Box<Run>, at_once: bool) -> Result<(), (rustix::io::Errno, Box<Run>)> {
        let mut inner = self.lock();
        if let Err(error) = run.register(&self.epoll) {
            return Err((error, run));
        }
        let stop = inner.flights.remove(&run.key).and_then(|flight| flight.stop);
        let at_once = at_once || stop.is_some() || inner.closed;
        inner.inbox.push(Command::Adopt(run, stop));
        if at_once {
            self.wake(inner);
        }
        Ok(())
    }

    /// Sends a command.
    pub fn send(&self, command: Command) {
        let mut inner = self.lock();
        inner.inbox.push(command);
        self.wake(inner);
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner>) {
        let needed = !std::mem::replace(&mut inner.woken, true);
        drop(inner);
        if needed {
            // Only a full counter could fail, and that wakes as well.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// All commands since the last time. `rung` is whether the wake-up descriptor was readable.
    pub fn take_inbox(&self, rung: bool, into: &mut Vec<Command>) {
        if rung {
            let mut count = [0_u8; 8];
            let _ = rustix::io::read(&self.wake, &mut count);
        }
        let mut inner = self.lock();
        inner.woken &= !rung;
        into.append(&mut inner.inbox);
    }

    /// How many launches have not landed.
    pub fn in_flight(&self) -> usize {
        self.lock().flights.len()
    }

    /// Whether this run is being started.
    pub fn is_in_flight(&self, run: RunId) -> bool {
        self.lock().flights.values().any(|flight| flight.run == run)
    }
}
