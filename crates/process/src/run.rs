//! The state of one live run, owned by the I/O thread.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use rustix::event::epoll::{self, EventData, EventFlags};
use werkpilot_core::ids::{AgentName, RunId};

use crate::capture::LineSplitter;
use crate::journal::Slot;
use crate::last_line::LastLine;
use crate::launch::ProcessKey;
use crate::logs::LogStream;
use crate::notify::NotifySocket;
use crate::sys::Reaped;

/// Which descriptor of a run an epoll event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Output(usize),
    Leader,
    Notify,
}

/// The token of a part: the key in the upper 61 bits.
pub(crate) fn token(key: ProcessKey, part: Part) -> u64 {
    let low = match part {
        Part::Output(index) => index as u64,
        Part::Leader => 2,
        Part::Notify => 3,
    };
    key.0 << 3 | low
}

/// What a token means.
pub(crate) fn part_of(token: u64) -> Option<(ProcessKey, Part)> {
    let part = match token & 7 {
        0 => Part::Output(0),
        1 => Part::Output(1),
        2 => Part::Leader,
        3 => Part::Notify,
        _ => return None,
    };
    Some((ProcessKey(token >> 3), part))
}

/// Which stream the output of this index is.
pub(crate) fn stream_of(index: usize) -> LogStream {
    if index == 0 { LogStream::Stdout } else { LogStream::Stderr }
}

/// Our end of stdout or stderr.
pub(crate) struct OutputPipe {
    pub fd: OwnedFd,
    pub lines: LineSplitter,
}

/// What is watched beside exit and output: services only.
pub(crate) struct Watch {
    /// The pattern of readiness, until it has matched.
    pub ready_log: Option<Regex>,
    /// Whether readiness was reported.
    pub ready: bool,
    pub max_silence: Option<Duration>,
    pub last_output: Instant,
    /// Whether its silence was reported, and has lasted since.
    pub silent: bool,
    pub watchdog: Option<Duration>,
    /// When the watchdog was last content; `None` until it is armed.
    pub alive: Option<Instant>,
    /// Whether it was reported that the watchdog expired, and it has not been content since.
    pub expired: bool,
}

/// The beginning of stdout, kept for the report.
pub(crate) struct Kept {
    pub bytes: Vec<u8>,
    pub max: usize,
    pub truncated: bool,
}

/// The time between the leader's end and that of all it left behind.
pub(crate) struct End {
    /// `None` if somebody else in this process took the status.
    pub reaped: Option<Reaped>,
    pub lived: Duration,
    /// Whether nobody is left in the group.
    pub group_gone: bool,
    /// Descendants outside of the group that are being ended.
    pub strays: Vec<i32>,
    pub strays_ended: u32,
    pub kill_at: Instant,
    pub killed: bool,
}

/// A live run.
pub(crate) struct Run {
    pub key: ProcessKey,
    pub id: RunId,
    /// What its log lines carry.
    pub short: Box<str>,
    pub agent: AgentName,
    pub pid: i32,
    /// Readable when the leader has ended; gone after that.
    pub pidfd: Option<OwnedFd>,
    pub started: Instant,
    pub slot: Slot,
    pub outputs: [Option<OutputPipe>; 2],
    /// Whether output goes to the log.
    pub logged: bool,
    pub notify: Option<Box<NotifySocket>>,
    pub watch: Option<Box<Watch>>,
    pub kept: Option<Box<Kept>>,
    /// How long what is left behind may take to end.
    pub grace: Duration,
    pub tail_on_failure: bool,
    /// The last line on stderr, where [`Self::tail_on_failure`] wants the last lines.
    pub last_error: LastLine,
    /// When SIGKILL is due, after a stop.
    pub kill_at: Option<Instant>,
    pub forced: bool,
    pub end: Option<Box<End>>,
}

impl Run {
    /// What it said before it failed. Many languages write at their end, after the error, what was printed to stdout
    /// before: so stderr goes first.
    pub fn last_words(&self, log_tail: &[String]) -> Option<String> {
        self.last_error.text().or_else(|| {
            let mut last = LastLine::default();
            for line in log_tail {
                last.hear(line.as_bytes());
            }
            last.text()
        })
    }

    /// Adds all descriptors to `epoll`.
    pub fn register(&self, epoll: &OwnedFd) -> rustix::io::Result<()> {
        let add = |fd: &dyn AsFd, part, flags| {
            epoll::add(epoll, fd.as_fd(), EventData::new_u64(token(self.key, part)), flags)
        };
        for (index, output) in self.outputs.iter().enumerate() {
            if let Some(output) = output {
                add(&output.fd, Part::Output(index), EventFlags::IN)?;
            }
        }
        if let Some(notify) = &self.notify {
            add(notify.socket(), Part::Notify, EventFlags::IN)?;
        }
        self.pidfd.as_ref().map_or(Ok(()), |pidfd| add(pidfd, Part::Leader, EventFlags::IN))
    }

    /// Whether the leader lives.
    pub fn is_live(&self) -> bool {
        self.end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        for part in [Part::Output(0), Part::Output(1), Part::Leader, Part::Notify] {
            let key = ProcessKey((1 << 60) - 1);
            assert_eq!(part_of(token(key, part)), Some((key, part)));
        }
        assert_eq!(part_of(crate::desk::WAKE), None);
    }
}
