//! The I/O thread: waits for all runs together and turns what they do into events and log lines. Never blocks on one.
//!
//! Each round takes at most one chunk per descriptor, so that a flood starves nobody. What follows the end of a leader
//! is in [`crate::ending`].

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::Errno;
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::StopPolicy;
use werkpilot_core::time::Timestamp;

use crate::desk::{Command, Desk, WAKE};
use crate::ending::Closing;
use crate::event::ProcessEvent;
use crate::host::ShutdownReport;
use crate::journal::Journal;
use crate::launch::ProcessKey;
use crate::logs::{LogBook, push_line};
use crate::notify::{MAX_DATAGRAM, Notice, parse};
use crate::run::{Part, Run, part_of, stream_of};
use crate::spawner::Sink;
use crate::strays::Strays;
use crate::sys;
use crate::timers::{Alarm, Timers};

/// What a pipe holds by default (pipe(7)).
pub(crate) const CHUNK: usize = 64 * 1024;

/// Between two looks at what else may need care: zombies that were given to us, log files that nobody writes to.
pub(crate) const TICK: Duration = Duration::from_secs(10);

/// Datagrams taken from one socket per round.
const MAX_DATAGRAMS: usize = 64;

/// See the module.
pub(crate) struct Reactor {
    pub desk: Arc<Desk>,
    pub sink: Sink,
    pub journal: Arc<Journal>,
    pub logs: LogBook,
    pub logs_dir: PathBuf,
    pub runs: HashMap<ProcessKey, Box<Run>>,
    pub by_pid: HashMap<i32, ProcessKey>,
    pub timers: Timers,
    pub strays: Strays,
    /// Runs whose leader has ended in this round.
    pub ended: Vec<ProcessKey>,
    /// Runs whose leader has ended, but not all that it left behind.
    pub ending: Vec<ProcessKey>,
    /// When to look at `ending` again, and how long to wait after that.
    pub poll_at: Option<Instant>,
    pub poll_delay: Duration,
    pub tick_at: Instant,
    pub ticks: u32,
    /// Strays of runs that have ended, which have been asked to end.
    pub orphans: Vec<(i32, u64)>,
    pub closing: Option<Closing>,
    /// Descriptors below this are copied into programs that are being started, until their exec.
    ceiling: RawFd,
    /// What the last round took its wall time from, and how that is written.
    wall: (i64, String),
    buffer: Vec<u8>,
    lines: Vec<u8>,
}

impl Reactor {
    pub fn new(
        desk: Arc<Desk>,
        sink: Sink,
        journal: Arc<Journal>,
        logs: LogBook,
        logs_dir: PathBuf,
        ceiling: RawFd,
    ) -> Self {
        let now = Instant::now();
        Self {
            desk,
            sink,
            journal,
            logs,
            logs_dir,
            runs: HashMap::new(),
            by_pid: HashMap::new(),
            timers: Timers::default(),
            strays: Strays::new(now),
            ended: Vec::new(),
            ending: Vec::new(),
            poll_at: None,
            poll_delay: Duration::ZERO,
            tick_at: now + TICK,
            ticks: 0,
            orphans: Vec::new(),
            closing: None,
            ceiling,
            wall: (i64::MIN, String::new()),
            buffer: vec![0; CHUNK],
            lines: Vec::new(),
        }
    }

    /// Works until a shutdown is through.
    pub fn work(mut self) -> ShutdownReport {
        sys::block_signals();
        let mut space = [const { MaybeUninit::<Event>::uninit() }; 256];
        let (mut inbox, desk) = (Vec::new(), self.desk.clone());
        loop {
            let timeout = self.until_next_deadline();
            let events = match epoll::wait(&desk.epoll, &mut space, Some(&timeout)) {
                Ok((events, _)) => &*events,
                Err(Errno::INTR) => &[],
                Err(error) => unreachable!("epoll_wait on our own descriptor: {error}"),
            };
            let now = Instant::now();
            let rung = events.iter().any(|event| { event.data }.u64() == WAKE);
            desk.take_inbox(rung, &mut inbox);
            for command in inbox.drain(..) {
                self.obey(command, now);
            }
            for event in events {
                if let Some((key, part)) = part_of({ event.data }.u64()) {
                    self.attend(key, part, event.flags, now);
                }
            }
            // Before `settle`: where looking for strays is rationed, those that have waited go first.
            self.look_after_ending(now);
            self.settle(now);
            self.ring(now);
            if let Some(report) = self.try_close(now) {
                return report;
            }
        }
    }

    fn until_next_deadline(&self) -> Timespec {
        let next = [self.timers.next(), self.poll_at].into_iter().flatten().fold(self.tick_at, Instant::min);
        let left = next.saturating_duration_since(Instant::now());
        Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) }
    }

    /// Takes a descriptor that is about to be closed out of epoll. Closing alone does that only if nobody has a copy:
    /// else its events would keep us awake until the program in question has been executed.
    pub fn unregister(&self, fd: impl AsFd) {
        if fd.as_fd().as_raw_fd() < self.ceiling {
            // It may not have been registered, which is as well.
            let _ = epoll::delete(&self.desk.epoll, fd);
        }
    }

    pub fn emit(&self, event: ProcessEvent) {
        (self.sink)(event);
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Adopt(run, stop) => {
                let (key, pid) = (run.key, run.pid);
                self.arm(&run);
                self.by_pid.insert(pid, key);
                self.runs.insert(key, run);
                let closing = self.closing.as_ref().map(|closing| closing.policy(now));
                if let Some(policy) = stop.or(closing) {
                    self.stop(key, policy, now);
                }
            }
            Command::Stop(key, policy) => self.stop(key, policy, now),
            Command::Logs(limits) => self.logs.set_limits(limits),
            Command::Shutdown(grace) => self.close(grace, now),
        }
    }

    fn arm(&mut self, run: &Run) {
        let Some(watch) = &run.watch else { return };
        if let Some(silence) = watch.max_silence {
            self.timers.set(watch.last_output + silence, run.key, Alarm::Silence);
        }
        if let (Some(interval), Some(alive)) = (watch.watchdog, watch.alive) {
            self.timers.set(alive + interval, run.key, Alarm::Watchdog);
        }
    }

    /// Sends the signal to the whole group, and SIGCONT so that a stopped program gets it. A run whose leader has ended
    /// is being ended already; an unknown key has ended.
    pub fn stop(&mut self, key: ProcessKey, policy: StopPolicy, now: Instant) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let kill_at = now + policy.timeout;
        if let Some(end) = &mut run.end {
            end.kill_at = if policy.signal == Signal::KILL { now } else { end.kill_at.min(kill_at) };
            self.poll_at = Some(now);
            return;
        }
        sys::kill(-run.pid, policy.signal.0);
        if policy.signal == Signal::KILL {
            run.forced = true;
            return;
        }
        sys::kill(-run.pid, libc::SIGCONT);
        run.grace = run.grace.min(policy.timeout);
        let kill_at = run.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at));
        run.kill_at = Some(kill_at);
        self.timers.set(kill_at, key, Alarm::Grace);
    }

    fn attend(&mut self, key: ProcessKey, part: Part, flags: EventFlags, now: Instant) {
        match part {
            Part::Output(index) => {
                let hung_up = flags.contains(EventFlags::HUP);
                self.read_output(key, index, hung_up && !flags.contains(EventFlags::IN), hung_up, now);
            }
            Part::Leader => self.leader_ended(key, now),
            Part::Notify => self.read_notices(key, now),
        }
    }

    /// Reads one chunk of an output; returns whether there may be more. With `at_end` there is nothing to be read, with
    /// `hung_up` nothing follows what is read.
    pub fn read_output(&mut self, key: ProcessKey, index: usize, at_end: bool, hung_up: bool, now: Instant) -> bool {
        let Some(output) = self.runs.get(&key).and_then(|run| run.outputs[index].as_ref()) else { return false };
        let length = if at_end {
            0
        } else {
            match rustix::io::read(&output.fd, &mut self.buffer[..]) {
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR) => return false,
                Err(_) => 0,
            }
        };
        let full = length == CHUNK;
        let over = length == 0 || (hung_up && !full);
        self.take_output(key, index, length, over, now);
        full && !over
    }

    /// Splits what was read into lines, and hands it to the log, the pattern of readiness and the report.
    fn take_output(&mut self, key: ProcessKey, index: usize, length: usize, over: bool, now: Instant) {
        self.refresh_wall_time();
        let Some(run) = self.runs.get_mut(&key) else { return };
        let Some(mut output) = run.outputs[index].take() else { return };
        let chunk = &self.buffer[..length];
        if let (0, Some(kept)) = (index, &mut run.kept) {
            let room = kept.max - kept.bytes.len();
            kept.truncated |= chunk.len() > room;
            kept.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        let mut matched = false;
        let (lines, watch) = (&mut self.lines, &mut run.watch);
        let mut pattern = watch.as_ref().and_then(|watch| watch.ready_log.as_ref());
        let mut last_error = (index == 1 && run.tail_on_failure).then_some(&mut run.last_error);
        let mut line = |text: &[u8], goes_on: bool| {
            if let Some(last) = &mut last_error {
                last.hear(text);
            }
            if run.logged {
                push_line(lines, &self.wall.1, &run.short, stream_of(index), text, goes_on);
            }
            if pattern.is_some_and(|pattern| pattern.is_match(text)) {
                (matched, pattern) = (true, None);
            }
        };
        output.lines.feed(chunk, &mut line);
        if over {
            output.lines.finish(&mut line);
        }
        let mut speaks_again = false;
        if let Some(watch) = watch {
            // The end of a stream is no output.
            if !chunk.is_empty() {
                watch.last_output = now;
                speaks_again = std::mem::take(&mut watch.silent);
            }
            if matched {
                (watch.ready_log, watch.ready) = (None, true);
            }
        }
        let closed = if over {
            Some(output.fd)
        } else {
            run.outputs[index] = Some(output);
            None
        };
        if !self.lines.is_empty() {
            self.logs.append(&run.agent, &self.lines, now);
            self.lines.clear();
            // A flood leaves a large buffer behind.
            self.lines.shrink_to(2 * CHUNK);
            if self.logs.take_prune_due() {
                self.desk.prune(self.logs.limits().clone());
            }
        }
        if let Some(fd) = closed {
            self.unregister(&fd);
        }
        if speaks_again {
            self.emit(ProcessEvent::OutputAgain { key });
        }
        if matched {
            self.emit(ProcessEvent::Ready { key });
        }
    }

    /// Formats the wall time, if it has moved by a millisecond.
    fn refresh_wall_time(&mut self) {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        if self.wall.0 != millis {
            self.wall = (millis, Timestamp::from_millis(millis).to_string());
        }
    }

    /// Reads what came on the notify socket.
    pub fn read_notices(&mut self, key: ProcessKey, now: Instant) {
        let mut buffer = [0; MAX_DATAGRAM];
        for _ in 0..MAX_DATAGRAMS {
            let Some(notify) = self.runs.get(&key).and_then(|run| run.notify.as_ref()) else { return };
            let Ok(length) = notify.socket().recv(&mut buffer) else { return };
            for notice in parse(&buffer[..length]) {
                self.notice(key, notice, now);
            }
        }
    }

    fn notice(&mut self, key: ProcessKey, notice: Notice, now: Instant) {
        let watch = self.runs.get_mut(&key).and_then(|run| run.watch.as_deref_mut());
        let event = match notice {
            Notice::Status(text) => ProcessEvent::Status { key, text },
            Notice::Stopping => ProcessEvent::Stopping { key },
            Notice::Trigger => {
                if let Some(watch) = watch {
                    watch.expired = true;
                }
                ProcessEvent::WatchdogExpired { key }
            }
            Notice::Watchdog => return self.pat(key, now),
            Notice::Ready => match watch {
                Some(watch) if !watch.ready => {
                    watch.ready = true;
                    self.pat(key, now);
                    ProcessEvent::Ready { key }
                }
                _ => return,
            },
        };
        self.emit(event);
    }

    /// The program is alive; arms the watchdog the first time.
    fn pat(&mut self, key: ProcessKey, now: Instant) {
        let Some(watch) = self.runs.get_mut(&key).and_then(|run| run.watch.as_mut()) else { return };
        if let (Some(interval), None) = (watch.watchdog, watch.alive.replace(now)) {
            self.timers.set(now + interval, key, Alarm::Watchdog);
        }
        if std::mem::take(&mut watch.expired) {
            self.emit(ProcessEvent::WatchdogAgain { key });
        }
    }

    /// Rings the timers that are due.
    fn ring(&mut self, now: Instant) {
        while let Some((key, alarm)) = self.timers.take_due(now) {
            let Some(run) = self.runs.get_mut(&key).filter(|run| run.is_live()) else { continue };
            match (alarm, &mut run.watch) {
                (Alarm::Grace, _) => {
                    if run.kill_at.is_some_and(|at| at <= now) {
                        run.forced = true;
                        sys::kill(-run.pid, libc::SIGKILL);
                    }
                }
                (Alarm::Silence, Some(watch)) => {
                    let Some(silence) = watch.max_silence else { continue };
                    let silent = now >= watch.last_output + silence;
                    let from = if silent { now } else { watch.last_output };
                    self.timers.set(from + silence, key, Alarm::Silence);
                    watch.silent |= silent;
                    if silent {
                        self.emit(ProcessEvent::Silent { key });
                    }
                }
                (Alarm::Watchdog, Some(watch)) => {
                    let (Some(interval), Some(alive)) = (watch.watchdog, watch.alive) else { continue };
                    let expired = now >= alive + interval;
                    if expired {
                        (watch.alive, watch.expired) = (Some(now), true);
                    }
                    self.timers.set(if expired { now } else { alive } + interval, key, Alarm::Watchdog);
                    if expired {
                        self.emit(ProcessEvent::WatchdogExpired { key });
                    }
                }
                (Alarm::Silence | Alarm::Watchdog, None) => {}
            }
        }
    }
}
