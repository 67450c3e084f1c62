//! How long things take: exactly over the last so many ([`SampleWindow`]), and within 1 % in rank by minutes, hours and
//! days ([`Digest`], [`Series`]).
//!
//! A window forgets the oldest sample, whatever its value. (The predecessor kept a sorted array and forgot from one of
//! its ends, which made every percentile wrong: docs/design/percentiles.md.)
//!
//! ```text
//!  execution ──▶ Durations { SampleWindow ─newest─▶ Series }      request, waiting time ──▶ Stream { fresh ─▶ Series }
//!                                                     │ minute → hour, day
//!                                                     ▼
//!                                                  SlotRow ──▶ disk ──▶ Points ◀── what is in memory
//! ```

mod digest;
mod series;
mod stream;
mod window;

use serde::Serialize;
use utoipa::ToSchema;

pub use digest::{Digest, MOST_CENTROIDS};
pub use series::{BETWEEN_WRITES, InMemory, Points, Series, Slot, SlotFigures, SlotRow};
pub use stream::{Durations, Stream};
pub use window::{MOST_SAMPLES, SampleWindow};

/// Percentiles and mean, in milliseconds; `None` where there is no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    /// All samples there ever were ([`SampleWindow`]), or those that were asked for.
    pub count: u64,
    /// Half of the samples are at most this.
    pub p50_ms: Option<f64>,
    /// 95 % of the samples are at most this.
    pub p95_ms: Option<f64>,
    /// 99 % of the samples are at most this.
    pub p99_ms: Option<f64>,
    /// The arithmetic mean.
    pub mean_ms: Option<f64>,
}

#[cfg(test)]
mod tests;
