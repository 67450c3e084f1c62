//! What HTTP counts of itself, for `/metrics`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use actix_web::http::StatusCode;
use werkpilot_runtime::view::HttpFigures;

use crate::door::Refusal;

/// Why a connection was closed that did nothing wrong, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nobody asked anything for long.
    Idle,
    /// All places were taken, and it was idle for longest.
    Full,
    /// Its client took nothing of an answer.
    Stalled,
}

/// Counts of both listeners together.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicI64,
    panics: AtomicU64,
    /// By the first digit of their status, from 1.
    answers: [AtomicU64; 5],
    refused: [AtomicU64; 4],
    cut: [AtomicU64; 3],
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// A connection was accepted, and one that ended.
    pub fn connections(&self, change: i64) {
        self.connections.fetch_add(change, Ordering::Relaxed);
    }

    /// A handler, or a stream, panicked.
    pub fn panicked(&self) {
        count(&self.panics);
    }

    /// A request was answered.
    pub fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            count(counter);
        }
    }

    /// Bytes were refused before they were a request.
    pub fn refused(&self, refusal: Refusal) {
        let kind = match refusal {
            Refusal::HeadTooLarge => 0,
            Refusal::Malformed(_) => 1,
            Refusal::Slow => 2,
            Refusal::NotTls => 3,
        };
        count(&self.refused[kind]);
    }

    /// A connection was closed.
    pub fn cut(&self, why: Cut) {
        let kind = match why {
            Cut::Idle => 0,
            Cut::Full => 1,
            Cut::Stalled => 2,
        };
        count(&self.cut[kind]);
    }

    /// All of them now.
    pub fn told(&self) -> HttpFigures {
        let all = |counters: &[AtomicU64]| counters.iter().map(|counter| counter.load(Ordering::Relaxed)).collect();
        HttpFigures {
            connections: u64::try_from(self.connections.load(Ordering::Relaxed)).unwrap_or(0),
            panics: self.panics.load(Ordering::Relaxed),
            answers: all(&self.answers),
            refused: all(&self.refused),
            closed: all(&self.cut),
        }
    }
}
