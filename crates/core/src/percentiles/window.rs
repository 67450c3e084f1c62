//! The last so many durations, and their exact percentiles.

use std::cell::Cell;
use std::time::Duration;

use super::Summary;

/// The most samples that a [`SampleWindow`] keeps: 4,000 bytes.
pub const MOST_SAMPLES: u16 = 1_000;

/// The last so many durations. Costs nothing while empty, and at most 4.1 kB.
///
/// A duration is kept in 32 bits: to the microsecond below 35 min 47 s, above to the millisecond, up to 24 days.
#[derive(Clone, Debug)]
pub struct SampleWindow {
    samples: Vec<u32>,
    capacity: u16,
    /// Where the oldest one is, once the window is full.
    oldest: u16,
    count: u64,
    /// Of the samples in the window.
    sum_micros: u64,
    /// The samples at p50, p95 and p99, from the first question after a push until the next push.
    picked: Cell<Option<[u32; 3]>>,
}

/// From here on a sample counts milliseconds. The order of encoded samples is the order of the durations.
pub(super) const COARSE: u32 = 1 << 31;

pub(super) fn encode(duration: Duration) -> u32 {
    match u32::try_from(duration.as_micros()) {
        Ok(micros) if micros < COARSE => micros,
        _ => u32::try_from(duration.as_millis()).map_or(u32::MAX, |millis| millis.saturating_add(COARSE)),
    }
}

pub(super) const fn decode_micros(sample: u32) -> u64 {
    if sample < COARSE { sample as u64 } else { (sample - COARSE) as u64 * 1_000 }
}

pub(super) fn decode_ms(sample: u32) -> f64 {
    decode_micros(sample) as f64 / 1_000.0
}

impl SampleWindow {
    /// An empty window over the last `samples` (1 to 1,000).
    pub fn new(samples: u16) -> Self {
        let capacity = samples.clamp(1, MOST_SAMPLES);
        Self { samples: Vec::new(), capacity, oldest: 0, count: 0, sum_micros: 0, picked: Cell::new(None) }
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
        self.picked.set(None);
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
        let (count, held) = (self.count, self.samples.len());
        if held == 0 {
            return Summary { count, ..Summary::default() };
        }
        let picked = self.picked.get().unwrap_or_else(|| self.pick());
        self.picked.set(Some(picked));
        let [p50_ms, p95_ms, p99_ms] = picked.map(|sample| Some(decode_ms(sample)));
        Summary { count, p50_ms, p95_ms, p99_ms, mean_ms: Some(self.sum_micros as f64 / held as f64 / 1_000.0) }
    }

    fn pick(&self) -> [u32; 3] {
        let held = self.samples.len();
        let mut scratch = [0; MOST_SAMPLES as usize];
        let scratch = &mut scratch[..held];
        scratch.copy_from_slice(&self.samples);
        let rank = |percent: usize| (percent * held).div_ceil(100) - 1;
        let (at50, at95, at99) = (rank(50), rank(95), rank(99));
        // Each selection leaves everything larger to its right, so that the next one looks only there.
        let p50 = *scratch.select_nth_unstable(at50).1;
        let p95 = *scratch[at50..].select_nth_unstable(at95 - at50).1;
        let p99 = *scratch[at95..].select_nth_unstable(at99 - at95).1;
        [p50, p95, p99]
    }

    /// The newest so many samples, in milliseconds, oldest first.
    pub fn newest_ms(&self, samples: u16) -> impl Iterator<Item = f64> {
        let (older, newer) = (&self.samples[usize::from(self.oldest)..], &self.samples[..usize::from(self.oldest)]);
        let skipped = self.samples.len().saturating_sub(samples.into());
        older.iter().chain(newer).skip(skipped).map(|sample| decode_ms(*sample))
    }

    /// How many samples are in the window.
    pub const fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub const fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// How many samples it may hold.
    pub const fn capacity(&self) -> u16 {
        self.capacity
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.samples.capacity() * size_of::<u32>()
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
        self.picked.set(None);
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
