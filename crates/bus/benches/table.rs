//! What a message costs in the subscription table, and a request in the deadline table.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use werkpilot_bus::cache::{Asked, Cache, CacheLimits, Scope};
use werkpilot_bus::deadlines::Deadlines;
use werkpilot_bus::table::{Found, Table};
use werkpilot_core::time::Moment;

/// A table with so many literal subscriptions, and so many with wildcards that mostly are about other subjects.
fn table(literals: u64, wildcards: u64) -> Table<u64> {
    let mut table = Table::new();
    let patterns = (0..literals).map(|it| format!("fleet.agent.{it:06}.topic.temp")).chain((0..wildcards).map(|it| {
        match it % 4 {
            0 => format!("_INBOX.{it:022}.*"),
            1 => format!("site.{it}.*.state"),
            2 => format!("events.*.agent-{it}.>"),
            _ => format!("fleet.agent.{it:06}.*.state"),
        }
    }));
    for (id, pattern) in (0..).zip(patterns) {
        table.insert(&Rc::from(pattern.as_bytes()), None, id);
    }
    table
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    let subjects: Vec<_> = (0..1_000).map(|it| format!("fleet.agent.{:06}.topic.temp", it * 97)).collect();
    for (name, literals, wildcards) in [
        ("literal hit among 1,000", 1_000, 0),
        ("literal hit among 100,000", 100_000, 0),
        ("literal hit beside 1,000 wildcard patterns", 100_000, 1_000),
        ("literal hit beside 100,000 wildcard patterns", 100_000, 100_000),
    ] {
        let (table, mut found) = (table(literals, wildcards), Found::new());
        group.bench_function(name, |bencher| {
            bencher.iter(|| table.route(black_box(b"fleet.agent.000097.topic.temp"), &mut found));
        });
        if literals > 1_000 {
            let mut next = subjects.iter().cycle();
            group.bench_function(format!("{name}, 1,000 subjects in turn"), |bencher| {
                bencher.iter(|| table.route(black_box(next.next().map_or(b"", |it| it.as_bytes())), &mut found));
            });
        }
    }
    let (mut table, mut found) = (table(100_000, 1_000), Found::new());
    group.bench_function("wildcard hit (an inbox) beside 1,000 patterns", |bencher| {
        bencher.iter(|| table.route(black_box(b"_INBOX.0000000000000000000100.42"), &mut found));
    });
    for (id, pattern) in (0..).zip(["rpc.sales", "rpc.*", ">"]) {
        for member in 0..4 {
            table.insert(&Rc::from(pattern.as_bytes()), Some(b"workers"), id * 4 + member);
        }
    }
    group.bench_function("a queue group of 12 at three patterns", |bencher| {
        bencher.iter(|| table.route(black_box(b"rpc.sales"), &mut found));
    });
    let pattern: Rc<[u8]> = Rc::from(b"fleet.agent.new.topic.temp".as_slice());
    group.bench_function("subscribe and unsubscribe", |bencher| {
        bencher.iter(|| {
            table.insert(black_box(&pattern), None, 7);
            table.remove(black_box(&pattern), None, 7)
        });
    });
    group.finish();
}

fn deadlines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deadlines");
    for waiting in [0, 10_000] {
        let mut deadlines = Deadlines::new(Duration::from_millis(5));
        for it in 0..waiting {
            deadlines.insert(Moment::from_millis(5_000 + it), [0_u64; 12]);
        }
        let mut now = 0;
        group.bench_function(format!("insert and cancel beside {waiting}"), |bencher| {
            bencher.iter(|| {
                now = (now + 300) % 4_000_000_000;
                let key = deadlines.insert(Moment::from_nanos(black_box(now + 5_000_000_000)), [now; 12]);
                deadlines.cancel(black_box(key)).is_some()
            });
        });
    }
    group.finish();
}

fn cache(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cache");
    let mut cache = Cache::new(CacheLimits { entries: 10_000, bytes: 16 << 20 });
    let _ = cache.answered(None, b"rpc.kept", Some(Duration::from_mins(1)), Scope::All, b"", b"", Moment::ZERO);
    let Asked::Lead(flight) = cache.ask(b"rpc.kept", &[7; 100], "sales", (), Moment::ZERO) else { return };
    let ttl = Some(Duration::from_mins(1));
    let _ = cache.answered(Some(flight), b"rpc.kept", ttl, Scope::All, b"", &[8; 100], Moment::ZERO);
    let _ = cache.ask(b"rpc.plain", b"", "sales", (), Moment::ZERO);
    for subject in [b"rpc.plain".as_slice(), b"rpc.kept"] {
        group.bench_function(String::from_utf8_lossy(subject), |bencher| {
            bencher.iter(|| {
                matches!(cache.ask(black_box(subject), &[7; 100], "sales", (), Moment::ZERO), Asked::Hit { .. })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, route, deadlines, cache);
criterion_main!(benches);
