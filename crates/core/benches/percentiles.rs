//! What taking in a duration costs, and what asking for percentiles costs.
//!
//! `cargo bench -p werkpilot-core --bench percentiles`. Targets: a push below 30 ns amortised (`durations/push`, with all
//! that is kept for minutes, hours and days), a query below 1 µs when nothing has changed and below 5 µs otherwise, of a
//! full window. Beside them the same with a sorted array that forgets the oldest, the predecessor's way done right.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use werkpilot_core::backoff::Dice;
use werkpilot_core::percentiles::{Digest, Durations, SampleWindow, Stream};
use werkpilot_core::time::{Clocks, Moment, Timestamp};

/// Long-tailed durations around 100 ms, a power of two of them so that picking one costs nothing.
fn durations() -> Vec<Duration> {
    let mut dice = Dice::new(17);
    let tail = |dice: &mut Dice| (2.0 * (dice.unit() + dice.unit() + dice.unit() - 1.5)).exp();
    (0..4_096).map(|_| Duration::from_secs_f64(0.1 * tail(&mut dice))).collect()
}

fn millis(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(|duration| duration.as_secs_f64() * 1_000.0).collect()
}

/// 10,000 executions a second.
fn at(step: u64) -> Clocks {
    let micros = step * 100;
    let wall = Timestamp::from_millis(1_800_000_000_000 + i64::try_from(micros / 1_000).unwrap_or(0));
    Clocks { steady: Moment::from_nanos(micros * 1_000), wall }
}

fn window(c: &mut Criterion) {
    let durations = durations();
    let mut window = SampleWindow::new(1_000);
    for duration in &durations {
        window.push(*duration);
    }
    let mut group = c.benchmark_group("window");
    let mut next = 0;
    group.bench_function("push", |b| {
        b.iter(|| {
            next = (next + 1) % durations.len();
            window.push(black_box(durations[next]));
        });
    });
    group.bench_function("query_unchanged", |b| b.iter(|| black_box(&window).summary()));
    group.bench_function("push_and_query", |b| {
        b.iter(|| {
            next = (next + 1) % durations.len();
            window.push(black_box(durations[next]));
            window.summary()
        });
    });
    group.finish();
}

/// As the tracker does it: window, minute, hour and day.
fn whole(c: &mut Criterion) {
    let durations = durations();
    let (mut kept, mut rows, mut step) = (Durations::new(1_000), Vec::new(), 0);
    let mut next = durations.iter().cycle().copied();
    c.bench_function("durations/push", |b| {
        b.iter(|| {
            step += 1;
            kept.push(black_box(next.next().unwrap_or_default()), at(step), &mut rows);
            if step % 50_000 == 0 {
                kept.drive(at(step), &mut rows);
                rows.clear();
            }
        });
    });
    println!("durations/bytes: {} with a full window and a busy day", kept.bytes());
    let values = millis(&durations);
    let (mut stream, mut step) = (Stream::default(), 0);
    let mut next = values.iter().cycle().copied();
    let mut group = c.benchmark_group("stream");
    group.bench_function("push", |b| {
        b.iter(|| {
            step += 1;
            stream.push(black_box(next.next().unwrap_or_default()), at(step), &mut rows);
            if step % 50_000 == 0 {
                stream.drive(at(step), &mut rows);
                rows.clear();
            }
        });
    });
    group.bench_function("last_hour", |b| b.iter(|| black_box(&stream).last_hour(at(step))));
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
    let values: Vec<f32> = durations().iter().map(|duration| duration.as_secs_f32() * 1_000.0).collect();
    let minutes: Vec<Digest> = (0..60)
        .map(|minute| {
            let mut digest = Digest::new();
            digest.absorb(&mut values[minute * 60..][..500].to_vec());
            digest
        })
        .collect();
    let mut group = c.benchmark_group("digest");
    group.bench_function("absorb_1000", |b| {
        let mut digest = minutes[0].clone();
        b.iter(|| digest.absorb(&mut black_box(&values)[..1_000].to_vec()));
    });
    group.bench_function("encode_and_decode", |b| {
        b.iter(|| Digest::decode(&black_box(&minutes[0]).encode()));
    });
    group.bench_function("merge_an_hour", |b| b.iter(|| Digest::gathered(black_box(&minutes)).summary()));
    group.finish();
}

criterion_group!(benches, window, whole, sorted_array, digests);
criterion_main!(benches);
