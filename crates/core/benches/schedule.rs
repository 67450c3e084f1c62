//! How long the next occurrence takes, and how long a timetable takes to hand over what is due.
//!
//! `cargo bench -p werkpilot-core --bench schedule`. Targets: `next_after` at most 0.5 µs; `take_due` a few
//! milliseconds for 100,000 entries in one second and at most 1 ms for 10,000; at most 128 bytes per entry.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::schedule::Schedule;
use werkpilot_core::time::Clocks;
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_core::timetable::{Entry, Timer, Timetable};

/// 2026-03-01 00:00:00 UTC.
const BEGIN: Timestamp = Timestamp::from_secs(1_772_323_200);

/// 2037-01-01 00:00:00 UTC.
const END: Timestamp = Timestamp::from_secs(2_114_380_800);

const PATTERNS: [&str; 6] =
    ["* * * * * *", "0 */5 * * * *", "0 0 23 * * *", "0 30 9 * * 1-5", "0 0 0 1 * *", "0 0 0 29 2 *"];

fn next_after(c: &mut Criterion) {
    let mut group = c.benchmark_group("next_after");
    for zone in ["UTC", "Europe/Berlin"] {
        for pattern in PATTERNS {
            let schedule = Schedule::parse(pattern, zone).expect("a good pattern");
            let mut at = BEGIN;
            group.bench_function(format!("{zone}/{pattern}"), |b| {
                // A chain, so that it meets changes of daylight saving time, and again while it does.
                b.iter(|| {
                    at = schedule.next_after(black_box(at)).filter(|next| *next < END).unwrap_or(BEGIN);
                    at
                });
            });
        }
    }
    group.finish();
}

fn parse(c: &mut Criterion) {
    c.bench_function("parse", |b| b.iter(|| Schedule::parse(black_box("30 9 * * mon-fri"), "Europe/Berlin")));
}

/// All due at 09:30 on the next day.
fn crowd(agents: u32) -> (Timetable, Clocks) {
    let clocks = Clocks { steady: Moment::ZERO, wall: BEGIN };
    let schedule = Schedule::parse("30 9 * * *", "Europe/Berlin").expect("a good pattern");
    let mut timetable = Timetable::new();
    for agent in (0..agents).map(AgentIndex) {
        let timer = Timer::Schedule(schedule.clone());
        timetable.insert(agent, Entry { timer, jitter: Duration::ZERO, seed: u64::from(agent.0) }, clocks);
    }
    let wait = Duration::from_mins(8 * 60 + 30);
    (timetable, Clocks { steady: clocks.steady + wait, wall: clocks.wall + wait })
}

fn timetable(c: &mut Criterion) {
    let mut group = c.benchmark_group("timetable");
    group.sample_size(20);
    for agents in [10_000_u32, 100_000] {
        group.throughput(Throughput::Elements(u64::from(agents)));
        group.bench_function(format!("take_due/{agents}"), |b| {
            b.iter_batched(
                || crowd(agents),
                |(mut timetable, due)| {
                    let mut out = Vec::new();
                    let _ = timetable.take_due(due, &mut out);
                    assert_eq!(out.len(), agents as usize);
                    (timetable, out)
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("reschedule/{agents}"), |b| {
            b.iter_batched(
                || {
                    let (mut timetable, due) = crowd(agents);
                    let _ = timetable.take_due(due, &mut Vec::new());
                    timetable
                },
                |mut timetable| {
                    while timetable.reschedule(4_096) {}
                    timetable
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Resident bytes that the timetable adds per entry, each due in a second of its own: the dearest case. The texts of the
/// schedules are there before.
fn memory(_: &mut Criterion) {
    const AGENTS: u32 = 100_000;
    let clocks = Clocks { steady: Moment::ZERO, wall: BEGIN };
    let schedules: Vec<Schedule> = (0..AGENTS)
        .map(|agent| {
            let second = agent % 86_400;
            let pattern = format!("{} {} {} * * *", second % 60, second / 60 % 60, second / 3_600);
            Schedule::parse(&pattern, "UTC").expect("a good pattern")
        })
        .collect();
    let before = resident_bytes();
    let mut timetable = Timetable::new();
    for (slot, schedule) in schedules.iter().enumerate() {
        let timer = Timer::Schedule(schedule.clone());
        timetable.insert(AgentIndex::from(slot), Entry { timer, jitter: Duration::ZERO, seed: 0 }, clocks);
    }
    let grown = resident_bytes().saturating_sub(before);
    println!("timetable/memory: {} bytes per entry", grown / u64::from(AGENTS));
    black_box(timetable);
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1_024
}

criterion_group!(benches, memory, next_after, parse, timetable);
criterion_main!(benches);
