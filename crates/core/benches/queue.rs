//! How long the queue and the dispatcher take, with little and with much to do.
//!
//! `cargo bench -p werkpilot-core --bench queue`. Targets: push and pop at 10,000 waiting at most 0.3 µs; a batch of
//! 100,000 requests for as many agents well under 5 ms; an execution from admission to its end, with 10,000 waiting, a
//! few microseconds.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use werkpilot_core::dispatcher::{Action, AgentProfile, Dispatcher, Ended, Event, Request};
use werkpilot_core::event::End;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::queue::{Queue, RunKey};
use werkpilot_core::settings::{Breaker, QueueSettings};
use werkpilot_core::spec::{OnUnhealthyDependency, Overlap, Priority};
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_core::trigger::Trigger;

const PRIORITIES: [Priority; 3] = [Priority::Critical, Priority::Important, Priority::Normal];

fn priority(number: u32) -> Priority {
    PRIORITIES[number as usize % 3]
}

fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    for waiting in [0_u32, 100, 10_000] {
        let mut queue = Queue::new(Duration::from_mins(5));
        for index in 0..waiting {
            queue.push(RunKey { index, generation: 1 }, priority(index), index % 7, Moment::ZERO);
        }
        let mut key = RunKey { index: waiting, generation: 1 };
        let (mut now, mut number) = (Moment::ZERO, 0_u32);
        group.bench_function(format!("push+pop/{waiting}"), |b| {
            b.iter(|| {
                (now, number) = (now + Duration::from_micros(1), number.wrapping_add(1));
                queue.push(key, priority(number), 3, now);
                key = queue.pop(black_box(now)).expect("one that was pushed");
            });
        });
    }
    group.finish();
}

/// A dispatcher with so many jobs.
fn fleet(agents: u32, workers: u32) -> Dispatcher {
    let settings = QueueSettings { capacity: 200_000, ..QueueSettings::default() };
    let mut dispatcher = Dispatcher::new(&settings, &Breaker::default(), workers, 1);
    for agent in 0..agents {
        dispatcher.define(
            AgentIndex(agent),
            AgentProfile {
                name: AgentName::new(&format!("agent-{agent}")).expect("a good name"),
                department: String::new(),
                service: false,
                priority: priority(agent),
                depth: 0,
                overlap: Overlap::Skip,
                on_unhealthy: OnUnhealthyDependency::Skip,
                dependencies: Vec::new(),
                after: None,
                schedule: None,
            },
        );
    }
    dispatcher
}

fn request(agent: u32) -> Request {
    let scheduled_for = Some(Timestamp::from_secs(1_772_323_200));
    Request { scheduled_for, ..Request::new(AgentIndex(agent), Trigger::Schedule) }
}

fn admit_batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit_batch");
    group.sample_size(20);
    for agents in [10_000_u32, 100_000] {
        group.throughput(Throughput::Elements(u64::from(agents)));
        group.bench_function(format!("{agents}"), |b| {
            b.iter_batched(
                || (fleet(agents, 4), (0..agents).map(request).collect::<Vec<_>>(), Vec::new()),
                |(mut dispatcher, requests, mut out)| {
                    dispatcher.admit_batch(requests, Clocks::default(), &mut out);
                    assert_eq!(dispatcher.waiting(), agents - 4);
                    (dispatcher, out)
                },
                BatchSize::PerIteration,
            );
        });
        // The next second is like the first one, but finds all tables as large as they have to be.
        group.bench_function(format!("{agents}/again"), |b| {
            let shared = RefCell::new((fleet(agents, 4), Vec::new()));
            b.iter_batched(
                || {
                    let (dispatcher, out) = &mut *shared.borrow_mut();
                    drain(dispatcher, out);
                    out.clear();
                    (0..agents).map(request).collect::<Vec<_>>()
                },
                |requests| {
                    let (dispatcher, out) = &mut *shared.borrow_mut();
                    dispatcher.admit_batch(requests, Clocks::default(), out);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Lets all that was started, and what follows it, succeed, once all events were told.
fn drain(dispatcher: &mut Dispatcher, out: &mut Vec<Action>) {
    while dispatcher.next_deadline(Moment::ZERO).is_some() {
        out.clear();
        dispatcher.on(Event::DeadlineReached, Clocks::default(), out);
    }
    let mut running: Vec<RunKey> = dispatcher.running_keys().into_iter().map(|(_, key)| key).collect();
    while let Some(key) = running.pop() {
        out.clear();
        dispatcher.on(Event::Ended(Box::new(succeeded(key))), Clocks::default(), out);
        running.extend(started(out).map(|(_, key)| key));
    }
}

fn started(out: &[Action]) -> impl Iterator<Item = (u32, RunKey)> {
    out.iter().filter_map(|action| match action {
        Action::Start(grant) => Some((grant.agent.0, grant.key)),
        _ => None,
    })
}

fn succeeded(key: RunKey) -> Ended {
    Ended { end: End::Succeeded, reason: None, dead_letter: false, ..Ended::lost(key) }
}

fn cycle(c: &mut Criterion) {
    let mut dispatcher = fleet(10_001, 1);
    let mut out = Vec::new();
    dispatcher.admit_batch((0..10_001).map(request), Clocks::default(), &mut out);
    let (mut running, mut now) = (started(&out).next().expect("one has started"), Clocks::default());
    c.bench_function("admit, start and end/10000", |b| {
        b.iter(|| {
            now.steady = now.steady + Duration::from_micros(10);
            out.clear();
            let (agent, key) = running;
            dispatcher.on(Event::Ended(Box::new(succeeded(key))), now, &mut out);
            running = started(&out).next().expect("the next one has started");
            let _ = dispatcher.admit(request(agent), now, &mut out);
        });
    });
}

criterion_group!(benches, queue, admit_batch, cycle);
criterion_main!(benches);
