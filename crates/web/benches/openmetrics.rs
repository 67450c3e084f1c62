//! What a scrape of a thousand agents costs once its figures are there. Every family of an agent has its samples: about
//! 45,000 of them, 3 MB.
//!
//! `cargo bench -p werkpilot-web --bench openmetrics`. Target: below 10 ms, since it is done on the thread of HTTP.

#[path = "../tests/common/mod.rs"]
mod common;

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use common::{Plan, job};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use werkpilot_core::score::Parts;
use werkpilot_runtime::view::{ProbeFigures, RequestTimes, Scrape};
use werkpilot_web::openmetrics::{Dialect, render};

const AGENTS: u32 = 1_000;

/// Of a real orchestrator, with figures for everything that it can't know yet.
fn scrape() -> Scrape {
    let told = Rc::new(RefCell::new(None));
    let agents = (0..AGENTS).map(|number| job(&format!("agent-with-a-name-{number}"), "true")).collect();
    let taken = told.clone();
    Plan::of(agents).run(|site| async move {
        *taken.borrow_mut() = Some(site.handle.scrape().await.expect("a scrape"));
    });
    let mut scrape = told.take().expect("it was taken");
    fill(&mut scrape);
    scrape
}

fn fill(scrape: &mut Scrape) {
    let some = |number: usize, part: f64| Some(part * (number as f64 + 0.123_456_7));
    for (number, agent) in scrape.overview.agents.iter_mut().enumerate() {
        let times = &mut agent.times;
        (times.p50, times.p95, times.p99) = (some(number, 1.0), some(number, 2.0), some(number, 3.0));
        times.avg_duration_ms = some(number, 1.5);
        (agent.uptime_seconds, agent.score, agent.next_run) = (some(number, 9.0), some(number, 0.1), Some(scrape.at));
        let part = some(1, 0.5);
        agent.score_parts = Some(Parts { success: part, latency: part, stability: part, punctuality: part });
        let memory = &mut agent.memory;
        let bytes = Some(12_345_678 + number as u64);
        (memory.memory_bytes, memory.memory_peak_bytes, memory.processes) = (bytes, bytes, Some(3));
        (memory.cpu_seconds, memory.cpu_percent) = (some(number, 0.7), some(number, 0.01));
        let mut requests = RequestTimes::default();
        (requests.p50, requests.p95, requests.p99) = (some(number, 0.1), some(number, 0.2), some(number, 0.3));
        scrape.requests.insert(agent.name.clone(), requests);
    }
    for agent in &mut scrape.agents {
        agent.last_check = Some((scrape.at, Some(true)));
        let probe = ProbeFigures { kind: "http", healthy: true, failures_in_a_row: 0, took_ms: Some(1.234_5) };
        agent.probes = vec![probe, ProbeFigures { kind: "max_silence", took_ms: None, ..probe }];
    }
}

fn render_a_thousand_agents(criterion: &mut Criterion) {
    let scrape = scrape();
    let mut group = criterion.benchmark_group("openmetrics");
    for (name, dialect) in [("openmetrics", Dialect::OpenMetrics), ("prometheus", Dialect::Prometheus)] {
        group.throughput(Throughput::Bytes(render(&scrape, dialect).len() as u64));
        group.bench_function(format!("{name}/{AGENTS}"), |bencher| {
            bencher.iter(|| black_box(render(black_box(&scrape), dialect)));
        });
    }
    group.finish();
}

criterion_group!(benches, render_a_thousand_agents);
criterion_main!(benches);
