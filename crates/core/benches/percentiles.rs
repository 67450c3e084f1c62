//! What taking in a duration costs, and what asking for percentiles costs.
//!
//! `cargo bench -p werkpilot-core --bench percentiles`. Targets: `window/push` at most 3 ns, `window/summary` of 1,000
//! samples a few µs. Beside them the same with a sorted array that forgets the oldest, the predecessor's way done right.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use werkpilot_core::backoff::Dice;
use werkpilot_core::percentiles::{DigestRing, SampleWindow};
use werkpilot_core::time::Moment;

/// Long-tailed durations around 100 ms, a power of two of them so that picking one costs nothing.
fn durations() -> Vec<Duration> {
    let mut dice = Dice::new(17);
    let tail = |dice: &mut Dice| (2.0 * (dice.unit() + dice.unit() + dice.unit() - 1.5)).exp();
    (0..4_096).map(|_| Duration::from_secs_f64(0.1 * tail(&mut dice))).collect()
}

fn window(c: &mut Criterion) {
    let durations = durations();
    let mut window = SampleWindow::new(1_000);
    for duration in &durations {
        window.push(*duration);
    }
    let mut group = c.benchmark_group("window");
    let mut at = 0;
    group.bench_function("push", |b| {
        b.iter(|| {
            at = (at + 1) % durations.len();
            window.push(black_box(durations[at]));
        });
    });
    group.bench_function("summary", |b| b.iter(|| black_box(&window).summary()));
    group.finish();
}

fn sorted_array(c: &mut Criterion) {
    let durations = durations();
    let mut order: VecDeque<Duration> = durations.iter().copied().take(1_000).collect();
    let mut sorted: Vec<Duration> = order.iter().copied().collect();
    sorted.sort_unstable();
    let mut at = 0;
    c.bench_function("sorted_array/push", |b| {
        b.iter(|| {
            at = (at + 1) % durations.len();
            let duration = black_box(durations[at]);
            if let Some(oldest) = order.pop_front() {
                sorted.remove(sorted.partition_point(|kept| *kept < oldest));
            }
            order.push_back(duration);
            sorted.insert(sorted.partition_point(|kept| *kept < duration), duration);
        });
    });
}

fn digests(c: &mut Criterion) {
    let mut ring = DigestRing::minutes();
    let values: Vec<f64> = durations().iter().map(|duration| duration.as_secs_f64() * 1_000.0).collect();
    for minute in 0..60 {
        for value in &values {
            ring.push(*value, Moment::from_secs(minute * 60));
        }
    }
    let now = Moment::from_secs(59 * 60);
    let mut group = c.benchmark_group("digests");
    let mut at = 0;
    group.bench_function("push", |b| {
        b.iter(|| {
            at = (at + 1) % values.len();
            ring.push(black_box(values[at]), now);
        });
    });
    group.bench_function("merge_an_hour", |b| {
        b.iter(|| black_box(&ring).merged(Duration::from_hours(1), now));
    });
    group.finish();
}

criterion_group!(benches, window, sorted_array, digests);
criterion_main!(benches);
