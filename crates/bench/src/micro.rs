//! The small decisions that are made most often, and what an entry of the timetable takes: criterion's benches in core
//! look at them closely, these figures put them beside their targets.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tikv_jemalloc_ctl::{epoch, stats};
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::queue::{Queue, RunKey};
use werkpilot_core::schedule::Schedule;
use werkpilot_core::spec::Priority;
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_core::timetable::{Entry, Timer, Timetable};

use crate::report::Report;
use crate::support::time;

const STEPS: u32 = 200_000;
const ENTRIES: u32 = 100_000;
const WAITING: u32 = 10_000;
/// Everyday patterns (baselines, section E).
const PATTERNS: [&str; 5] = ["* * * * * *", "*/5 * * * *", "0 23 * * *", "30 9 * * 1-5", "0 0 1 * *"];

/// Against the absolute targets of the issue.
pub fn compare(report: &mut Report) {
    let slowest =
        PATTERNS.iter().flat_map(|pattern| ["UTC", "Europe/Berlin"].map(|zone| next_occurrence(pattern, zone)));
    let slowest = slowest.fold(0.0, f64::max);
    report.at_most("next occurrence, slowest everyday pattern, µs", time(slowest), "-".to_owned(), slowest / 1e3, 0.5);
    let pair = push_and_pop();
    report.at_most("queue: push + pop at 10,000 waiting, µs", time(pair), "-".to_owned(), pair / 1e3, 0.3);
    let bytes = bytes_per_entry();
    report.at_most("timetable: bytes per entry beyond its spec", format!("{bytes:.0} B"), "-".to_owned(), bytes, 128.0);
}

fn each(begin: Instant, steps: u32) -> f64 {
    begin.elapsed().as_nanos() as f64 / f64::from(steps)
}

fn next_occurrence(pattern: &str, zone: &str) -> f64 {
    let schedule = Schedule::parse(pattern, zone).expect("a good pattern");
    let begin = Instant::now();
    let mut at = Timestamp::from_secs(1_790_000_000);
    for _ in 0..STEPS {
        at = black_box(schedule.next_after(at)).expect("it never ends");
    }
    each(begin, STEPS)
}

fn push_and_pop() -> f64 {
    let mut queue = Queue::new(Duration::from_mins(5));
    let priority = |n: u32| Priority::from_number(i64::from(n % 3) + 1).expect("1, 2 or 3");
    for index in 0..WAITING {
        queue.push(RunKey { index, generation: 0 }, priority(index), index % 4, Moment::ZERO);
    }
    let begin = Instant::now();
    for step in 0..STEPS {
        let key = queue.pop(Moment::ZERO).expect("there are plenty");
        queue.push(RunKey { generation: step + 1, ..key }, priority(step), step % 4, Moment::ZERO);
    }
    each(begin, STEPS)
}

fn allocated() -> f64 {
    epoch::advance().expect("jemalloc's statistics");
    stats::allocated::read().expect("jemalloc's statistics") as f64
}

fn bytes_per_entry() -> f64 {
    let schedule = Schedule::parse("0 4 * * *", "Europe/Berlin").expect("a good pattern");
    let clocks = Clocks { steady: Moment::ZERO, wall: Timestamp::from_secs(1_790_000_000) };
    let before = allocated();
    let mut timetable = Timetable::new();
    for agent in 0..ENTRIES {
        let entry = Entry { timer: Timer::Schedule(schedule.clone()), jitter: Duration::ZERO, seed: u64::from(agent) };
        timetable.insert(AgentIndex(agent), entry, clocks);
    }
    let bytes = allocated() - before;
    black_box(&timetable);
    bytes / f64::from(ENTRIES)
}
