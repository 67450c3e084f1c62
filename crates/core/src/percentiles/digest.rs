//! A t-digest (Dunning and Ertl, 2019): many values in at most [`MOST_CENTROIDS`] centroids, percentiles within 1 % in
//! rank. Exact while there is no more than one value to a centroid.
//!
//! The crate `tdigest` joins centroids and reads percentiles off them. Between two uses a digest is 8 bytes a centroid and
//! has no buffer; on disk it is 5 to 9.

use tdigest::TDigest;

use super::Summary;

/// Centroids of a digest that is kept.
pub const MOST_CENTROIDS: usize = 108;

/// The form in which a digest is kept.
const VERSION: u8 = 2;

/// The form of before: 64-bit floats, little-endian: count, sum, least, largest, and mean and weight of each centroid.
const FIRST_VERSION: u8 = 1;

/// Some values near each other.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Centroid {
    mean: f32,
    weight: u32,
}

/// Percentiles of any number of values. Values are milliseconds, and finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Digest {
    /// By their means.
    centroids: Vec<Centroid>,
    count: u64,
    sum: f64,
    least: f32,
    largest: f32,
}

impl Digest {
    /// A digest of nothing.
    pub const fn new() -> Self {
        Self { centroids: Vec::new(), count: 0, sum: 0.0, least: 0.0, largest: 0.0 }
    }

    /// How many values it has seen.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether it has seen none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes in values; sorts them. Those that are not finite are left out.
    pub fn absorb(&mut self, values: &mut [f32]) {
        values.sort_unstable_by(f32::total_cmp);
        let from = values.partition_point(|value| value.total_cmp(&f32::MIN).is_lt());
        let to = values.partition_point(|value| value.total_cmp(&f32::MAX).is_le());
        let finite = &values[from..to];
        let (Some(least), Some(largest)) = (finite.first(), finite.last()) else { return };
        let sum: f64 = finite.iter().copied().map(f64::from).sum();
        let room = MOST_CENTROIDS.saturating_sub(self.centroids.len());
        if finite.len() <= room {
            let centroids = finite.iter().map(|mean| Centroid { mean: *mean, weight: 1 }).collect();
            let units = Self { centroids, count: finite.len() as u64, sum, least: *least, largest: *largest };
            return self.merge(&units);
        }
        // Both are sorted: the crate goes through them side by side.
        let merged = self.with_at_most(MOST_CENTROIDS).merge_sorted(finite.iter().copied().map(f64::from).collect());
        self.take_bounds(self.is_empty(), *least, *largest);
        self.count += finite.len() as u64;
        self.sum += sum;
        self.adopt(&merged);
    }

    /// Takes in what another one has seen.
    pub fn merge(&mut self, other: &Self) {
        self.take(other);
        self.compress();
    }

    /// All of them as one, with all their centroids, for one query: nothing is lost by it.
    pub fn gathered<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut whole = Self::new();
        for part in parts {
            whole.take(part);
        }
        whole.centroids.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        whole
    }

    /// Takes over another one's centroids, which are in no order then.
    fn take(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.take_bounds(self.is_empty(), other.least, other.largest);
        self.centroids.extend_from_slice(&other.centroids);
        self.count += other.count;
        self.sum += other.sum;
    }

    fn take_bounds(&mut self, first: bool, least: f32, largest: f32) {
        self.least = if first { least } else { self.least.min(least) };
        self.largest = if first { largest } else { self.largest.max(largest) };
    }

    /// In order, and with no more centroids than are kept.
    fn compress(&mut self) {
        if self.centroids.len() <= MOST_CENTROIDS {
            return self.centroids.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        }
        self.adopt(&self.with_at_most(MOST_CENTROIDS));
    }

    /// Takes over what the crate made of its centroids.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "means of 32-bit floats; sums of whole weights"
    )]
    fn adopt(&mut self, made: &TDigest) {
        let centroids = made.centroids().iter();
        self.centroids =
            centroids.map(|c| Centroid { mean: c.mean() as f32, weight: c.weight().round() as u32 }).collect();
    }

    /// As the crate has it.
    fn with_at_most(&self, size: usize) -> TDigest {
        let centroids = self.centroids.iter().map(|c| tdigest::Centroid::new(c.mean.into(), c.weight.into())).collect();
        if self.is_empty() {
            return TDigest::new_with_size(size);
        }
        let (max, min) = (Some(self.largest.into()), Some(self.least.into()));
        TDigest::new(centroids, self.sum, self.count as f64, max, min, size)
    }

    /// Percentiles and mean.
    pub fn summary(&self) -> Summary {
        if self.is_empty() {
            return Summary::default();
        }
        let [p50_ms, p95_ms, p99_ms] = self.percentiles([50, 95, 99]);
        Summary { count: self.count, p50_ms, p95_ms, p99_ms, mean_ms: Some(self.sum / self.count as f64) }
    }

    /// The 95th percentile.
    pub fn p95(&self) -> Option<f64> {
        self.percentiles([95])[0]
    }

    /// Values at these percentages. Where all centroids are single values, the nearest rank: a value that there was.
    fn percentiles<const N: usize>(&self, percents: [u64; N]) -> [Option<f64>; N] {
        if self.centroids.len() as u64 == self.count {
            return percents.map(|percent| {
                let rank = usize::try_from((u128::from(self.count) * u128::from(percent)).div_ceil(100)).ok()?;
                Some(self.centroids.get(rank.checked_sub(1)?)?.mean.into())
            });
        }
        let whole = self.with_at_most(self.centroids.len());
        percents.map(|percent| whole.estimate_quantile(percent as f64 / 100.0))
    }

    /// Version, 64 bits of sum, 32 of the least and the largest value, and of each centroid 32 bits of mean and its weight,
    /// seven bits to a byte, least first.
    pub fn encode(&self) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(17 + 6 * self.centroids.len());
        bytes.push(VERSION);
        bytes.extend(self.sum.to_le_bytes());
        bytes.extend(self.least.to_le_bytes());
        bytes.extend(self.largest.to_le_bytes());
        for centroid in &self.centroids {
            bytes.extend(centroid.mean.to_le_bytes());
            let mut weight = centroid.weight;
            while weight >= 0x80 {
                bytes.push(weight.to_le_bytes()[0] | 0x80);
                weight >>= 7;
            }
            bytes.push(weight.to_le_bytes()[0]);
        }
        bytes.into_boxed_slice()
    }

    /// What was encoded; `None`: these bytes are no digest.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let digest = match *version {
            VERSION => decode(rest)?,
            FIRST_VERSION => decode_first(rest)?,
            _ => return None,
        };
        let fits = digest.centroids.iter().all(|c| c.mean.is_finite() && c.weight > 0)
            && digest.centroids.is_sorted_by(|a, b| a.mean <= b.mean)
            && digest.sum.is_finite()
            && digest.least.is_finite()
            && digest.largest.is_finite()
            && digest.least <= digest.largest;
        (fits && !digest.centroids.is_empty()).then_some(digest)
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.centroids.capacity() * size_of::<Centroid>()
    }
}

fn decode(bytes: &[u8]) -> Option<Digest> {
    let (sum, rest) = bytes.split_first_chunk::<8>()?;
    let (least, rest) = rest.split_first_chunk::<4>()?;
    let (largest, mut rest) = rest.split_first_chunk::<4>()?;
    let (least, largest) = (f32::from_le_bytes(*least), f32::from_le_bytes(*largest));
    let mut digest = Digest { sum: f64::from_le_bytes(*sum), least, largest, ..Digest::new() };
    digest.centroids.reserve_exact(rest.len() / 5);
    while let Some((mean, weights)) = rest.split_first_chunk::<4>() {
        let length = weights.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let (weight, others) = weights.split_at(length);
        let weight = weight
            .iter()
            .rev()
            .try_fold(0_u32, |weight, byte| weight.checked_mul(0x80)?.checked_add(u32::from(byte & 0x7F)))?;
        digest.centroids.push(Centroid { mean: f32::from_le_bytes(*mean), weight });
        digest.count += u64::from(weight);
        rest = others;
    }
    rest.is_empty().then_some(digest)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds, and whole counts")]
fn decode_first(bytes: &[u8]) -> Option<Digest> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<f64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
    let (&[_, sum, least, largest], centroids) = numbers.split_first_chunk::<4>().filter(|_| rest.is_empty())?;
    let (pairs, odd) = centroids.as_chunks::<2>();
    let centroids: Vec<Centroid> =
        pairs.iter().map(|[mean, weight]| Centroid { mean: *mean as f32, weight: weight.round() as u32 }).collect();
    let count = centroids.iter().map(|centroid| u64::from(centroid.weight)).sum();
    odd.is_empty().then_some(Digest { centroids, count, sum, least: least as f32, largest: largest as f32 })
}
