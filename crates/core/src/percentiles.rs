//! How long executions take: exactly over the last so many ([`SampleWindow`]), and within 1 % in rank over minutes,
//! hours and days ([`DigestRing`]).
//!
//! A window forgets the oldest sample, whatever its value. (The predecessor kept a sorted array and forgot from one of
//! its ends, which made every percentile wrong: docs/design/percentiles.md.)

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tdigest::{Centroid, TDigest};

use crate::time::{Moment, Point};

/// The most samples that a [`SampleWindow`] keeps: 4,000 bytes.
pub const MOST_SAMPLES: u16 = 1_000;

/// Centroids of a slot's digest: with 100, a query stays within 1 % in rank (see the tests).
const CENTROIDS: usize = 100;

/// Centroids of a merged digest, which lives for one query: more of them, so that merging loses next to nothing.
const MERGED_CENTROIDS: usize = 1_000;

/// The form in which a digest is kept.
const DIGEST_VERSION: u8 = 1;

/// Percentiles and mean, in milliseconds; `None` where there is no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// All samples there ever were ([`SampleWindow`]), or those of the window ([`DigestRing`]).
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

/// The last so many durations. Costs nothing while empty, and at most 4.1 kB.
///
/// A duration is kept in 32 bits: to the microsecond below 35 min 47 s, above to the millisecond, up to 24 days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleWindow {
    samples: Vec<u32>,
    capacity: u16,
    /// Where the oldest one is, once the window is full.
    oldest: u16,
    count: u64,
    /// Of the samples in the window.
    sum_micros: u64,
}

/// From here on a sample counts milliseconds. The order of encoded samples is the order of the durations.
const COARSE: u32 = 1 << 31;

fn encode(duration: Duration) -> u32 {
    match u32::try_from(duration.as_micros()) {
        Ok(micros) if micros < COARSE => micros,
        _ => u32::try_from(duration.as_millis()).map_or(u32::MAX, |millis| millis.saturating_add(COARSE)),
    }
}

const fn decode_micros(sample: u32) -> u64 {
    if sample < COARSE { sample as u64 } else { (sample - COARSE) as u64 * 1_000 }
}

fn decode_ms(sample: u32) -> f64 {
    decode_micros(sample) as f64 / 1_000.0
}

impl SampleWindow {
    /// An empty window over the last `samples` (1 to 1,000).
    pub fn new(samples: u16) -> Self {
        let capacity = samples.clamp(1, MOST_SAMPLES);
        Self { samples: Vec::new(), capacity, oldest: 0, count: 0, sum_micros: 0 }
    }

    /// A window as it was: `count` samples ever, and the last ones, oldest first.
    pub fn restored(samples: u16, count: u64, last: impl IntoIterator<Item = Duration>) -> Self {
        let mut window = Self::new(samples);
        for duration in last {
            window.push(duration);
        }
        window.count = window.count.max(count);
        window
    }

    /// Takes in a duration; a full window forgets its oldest one.
    pub fn push(&mut self, duration: Duration) {
        let sample = encode(duration);
        self.count += 1;
        self.sum_micros += decode_micros(sample);
        if self.samples.len() < usize::from(self.capacity) {
            self.grow();
            self.samples.push(sample);
            return;
        }
        let forgotten = std::mem::replace(&mut self.samples[usize::from(self.oldest)], sample);
        self.sum_micros -= decode_micros(forgotten);
        self.oldest = if self.oldest + 1 == self.capacity { 0 } else { self.oldest + 1 };
    }

    /// Percentiles (nearest rank: the ⌈p/100 · n⌉-th smallest) and mean over the window.
    pub fn summary(&self) -> Summary {
        let count = self.count;
        let held = self.samples.len();
        if held == 0 {
            return Summary { count, ..Summary::default() };
        }
        let mut scratch = [0; MOST_SAMPLES as usize];
        let scratch = &mut scratch[..held];
        scratch.copy_from_slice(&self.samples);
        let rank = |percent: usize| (percent * held).div_ceil(100) - 1;
        let (at50, at95, at99) = (rank(50), rank(95), rank(99));
        // Each selection leaves everything larger to its right, so that the next one looks only there.
        let p50 = *scratch.select_nth_unstable(at50).1;
        let p95 = *scratch[at50..].select_nth_unstable(at95 - at50).1;
        let p99 = *scratch[at95..].select_nth_unstable(at99 - at95).1;
        Summary {
            count,
            p50_ms: Some(decode_ms(p50)),
            p95_ms: Some(decode_ms(p95)),
            p99_ms: Some(decode_ms(p99)),
            mean_ms: Some(self.sum_micros as f64 / held as f64 / 1_000.0),
        }
    }

    /// How many samples are in the window.
    pub const fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub const fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Changes the size of the window (1 to 1,000); the newest samples stay.
    pub fn resize(&mut self, samples: u16) {
        self.samples.rotate_left(usize::from(self.oldest));
        self.oldest = 0;
        self.capacity = samples.clamp(1, MOST_SAMPLES);
        let surplus = self.samples.len().saturating_sub(usize::from(self.capacity));
        self.samples.drain(..surplus);
        self.samples.shrink_to(usize::from(self.capacity));
        self.sum_micros = self.samples.iter().map(|sample| decode_micros(*sample)).sum();
    }

    /// Doubles, but never past the capacity: a full window has no spare room.
    fn grow(&mut self) {
        let (held, room) = (self.samples.len(), self.samples.capacity());
        if held == room {
            let more = held.clamp(4, MOST_SAMPLES.into()).min(usize::from(self.capacity) - held);
            self.samples.reserve_exact(more);
        }
    }
}

/// t-digests (Dunning and Ertl, 2019) over a ring of equal slots of time. A t-digest cannot forget, so a window is the
/// slots that it covers, merged when asked for.
///
/// Only slots with samples take memory: at most 1.7 kB each, and 6 kB for the current one.
#[derive(Clone, Debug)]
pub struct DigestRing {
    slot: Duration,
    slots: u16,
    /// Slot number (negative before the start of the orchestrator) and its digest, oldest first. Only the last one has
    /// unmerged samples. Restored slots may share a number.
    digests: VecDeque<(i64, TDigest)>,
}

impl DigestRing {
    /// An empty ring of `slots` slots, each `slot` long.
    pub fn new(slot: Duration, slots: u16) -> Self {
        Self { slot: slot.max(Duration::from_nanos(1)), slots: slots.max(1), digests: VecDeque::new() }
    }

    /// The last hour, by minutes.
    pub fn minutes() -> Self {
        Self::new(Duration::from_mins(1), 60)
    }

    /// The last day, by hours.
    pub fn hours() -> Self {
        Self::new(Duration::from_hours(1), 24)
    }

    /// The last 30 days.
    pub fn days() -> Self {
        Self::new(Duration::from_hours(24), 30)
    }

    /// Takes in a value. One that is not finite is left out.
    pub fn push(&mut self, value_ms: f64, now: Moment) {
        if !value_ms.is_finite() {
            return;
        }
        let number = self.number(now);
        if self.digests.back().is_none_or(|(newest, _)| *newest < number) {
            self.turn(number);
        }
        // A value from before the newest slot, which a steady clock does not give, goes into the newest.
        if let Some((_, digest)) = self.digests.back_mut() {
            digest.push(value_ms);
        }
    }

    /// The newest slot: its number, how long ago it began, and its digest as [`DigestRing::restore`] takes it.
    pub fn newest(&mut self, now: Moment) -> Option<(i64, Duration, Vec<u8>)> {
        let slot = self.slot;
        let (number, digest) = self.digests.back_mut()?;
        let began = Duration::from_nanos(u64::try_from(*number).ok()?.saturating_mul(nanos_of(slot)));
        digest.flush();
        Some((*number, now.since(Moment::ZERO + began), encode_digest(digest)))
    }

    /// Takes over a slot that began so long ago, in whichever order; into those before the current one, so that it is never
    /// written twice. `false`: the bytes are no digest.
    pub fn restore(&mut self, age: Duration, bytes: &[u8], now: Moment) -> bool {
        let Some(digest) = decode_digest(bytes) else { return false };
        let nanos = i64::try_from(nanos_of(self.slot)).unwrap_or(i64::MAX);
        let current = self.number(now);
        let number = Point::ago(now, age).as_nanos().div_euclid(nanos).min(current - 1);
        if current - number < i64::from(self.slots) {
            let place = self.digests.partition_point(|(other, _)| *other <= number);
            self.digests.insert(place, (number, digest));
        }
        true
    }

    /// Percentiles and mean over the last `window`, rounded up to whole slots, the current one included; at most the
    /// whole ring.
    pub fn merged(&self, window: Duration, now: Moment) -> Summary {
        let slots = window.as_nanos().div_ceil(self.slot.as_nanos()).clamp(1, self.slots.into());
        let oldest = (self.number(now) + 1).saturating_sub(i64::try_from(slots).unwrap_or(i64::MAX));
        let covered = self.digests.iter().filter(|(number, _)| *number >= oldest);
        // The merged digest is as fine as the finest of its parts: that is what the empty one is for.
        let finest = std::iter::once(TDigest::new_with_size(MERGED_CENTROIDS));
        let parts = finest.chain(covered.map(|(_, digest)| flushed(digest.clone()))).collect();
        let merged = TDigest::merge_digests(parts);
        let quantiles = merged.quantiles(&[0.50, 0.95, 0.99]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count: whole and not negative")]
        let count = merged.count() as u64;
        Summary { count, p50_ms: quantiles[0], p95_ms: quantiles[1], p99_ms: quantiles[2], mean_ms: merged.mean() }
    }

    fn number(&self, now: Moment) -> i64 {
        i64::try_from(u128::from(now.as_nanos()) / self.slot.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Begins a slot: the one before it gives its buffer back, and those past the ring's length are forgotten.
    fn turn(&mut self, number: i64) {
        if let Some((_, digest)) = self.digests.back_mut() {
            *digest = sealed(digest);
        }
        while self.digests.front().is_some_and(|(oldest, _)| number - oldest >= i64::from(self.slots)) {
            self.digests.pop_front();
        }
        self.digests.push_back((number, TDigest::new_with_size(CENTROIDS)));
    }
}

fn nanos_of(slot: Duration) -> u64 {
    u64::try_from(slot.as_nanos()).unwrap_or(u64::MAX)
}

/// Version, then 64-bit floats, little-endian: count, sum, least, largest, and mean and weight of each centroid.
fn encode_digest(digest: &TDigest) -> Vec<u8> {
    let mut bytes = vec![DIGEST_VERSION];
    let head = [digest.count(), digest.sum(), digest.min().unwrap_or(0.0), digest.max().unwrap_or(0.0)];
    let centroids = digest.centroids().iter().flat_map(|centroid| [centroid.mean(), centroid.weight()]);
    bytes.extend(head.into_iter().chain(centroids).flat_map(f64::to_le_bytes));
    bytes
}

fn decode_digest(bytes: &[u8]) -> Option<TDigest> {
    let (version, numbers) = bytes.split_first()?;
    let (chunks, rest) = numbers.as_chunks::<8>();
    let numbers: Vec<f64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
    let fits = *version == DIGEST_VERSION && rest.is_empty() && numbers.iter().all(|number| number.is_finite());
    let (&[count, sum, min, max], centroids) = numbers.split_first_chunk::<4>().filter(|_| fits)?;
    let (pairs, odd) = centroids.as_chunks::<2>();
    let sorted = pairs.is_sorted_by(|a, b| a[0] <= b[0]) && pairs.iter().all(|[_, weight]| *weight > 0.0);
    if pairs.is_empty() || !odd.is_empty() || !sorted || count <= 0.0 {
        return None;
    }
    let centroids = pairs.iter().map(|[mean, weight]| Centroid::new(*mean, *weight)).collect();
    Some(TDigest::new(centroids, sum, count, Some(max), Some(min), CENTROIDS))
}

fn flushed(mut digest: TDigest) -> TDigest {
    digest.flush();
    digest
}

/// The same digest without the buffer that `flush` keeps.
fn sealed(digest: &mut TDigest) -> TDigest {
    digest.flush();
    TDigest::new(digest.centroids().to_vec(), digest.sum(), digest.count(), digest.max(), digest.min(), CENTROIDS)
}

#[cfg(test)]
mod tests;
