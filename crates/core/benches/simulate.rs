//! How long a look ahead takes: a day of 1,000 agents, and a quiet hour of them.
//!
//! `cargo bench -p werkpilot-core --bench simulate`. Target: a day of 1,000 agents, some due every minute and most every
//! few minutes or hours, in under a second.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use werkpilot_core::ids::AgentName;
use werkpilot_core::simulate::{History, Member, Plan, simulate};
use werkpilot_core::spec::{AgentSpec, Condition, Dependency, Priority, Program};
use werkpilot_core::time::Timestamp;

/// 2026-11-22 00:00 UTC.
const DAY: Timestamp = Timestamp::from_secs(1_795_305_600);

/// Of twenty agents one runs every minute, nine every five to thirty minutes, and ten every one to six hours.
const SCHEDULES: [&str; 20] = [
    "* * * * *",
    "*/5 * * * *",
    "2-59/5 * * * *",
    "*/10 * * * *",
    "3-59/10 * * * *",
    "*/15 * * * *",
    "7-59/15 * * * *",
    "*/20 * * * *",
    "*/30 * * * *",
    "11,41 * * * *",
    "0 * * * *",
    "7 * * * *",
    "13 * * * *",
    "23 * * * *",
    "37 * * * *",
    "43 * * * *",
    "0 */2 * * *",
    "30 */3 * * *",
    "0 */6 * * *",
    "@daily",
];

const PRIORITIES: [Priority; 3] = [Priority::Critical, Priority::Important, Priority::Normal];

fn name(number: usize) -> AgentName {
    AgentName::new(&format!("agent-{number}")).expect("a good name")
}

/// Agents with a hundred durations of 0.2 to 8 seconds each, of which one attempt in a hundred fails. Every tenth depends
/// on the one before it.
fn fleet(agents: usize) -> Vec<Member> {
    let member = |number: usize| {
        let mut spec = AgentSpec::job_named(name(number), Program::Command(vec!["true".to_owned()]));
        spec.priority = PRIORITIES[number % PRIORITIES.len()];
        if number % 10 == 9 {
            spec.dependencies = vec![Dependency { agent: name(number - 1), condition: Condition::Healthy }];
        }
        let job = spec.job_mut().expect("a job");
        job.triggers.schedule = Some(SCHEDULES[number % SCHEDULES.len()].to_owned());
        job.timeout = number.is_multiple_of(4).then_some(Duration::from_mins(1));
        let durations =
            (0..100).map(|sample| Duration::from_millis(200 + (sample * 7_919 + number as u64 * 104_729) % 7_800));
        Member { history: History::counted(durations.collect(), 9_900, 0, 100), ..Member::new(spec) }
    };
    (0..agents).map(member).collect()
}

fn a_day(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulate");
    group.sample_size(10);
    for (what, agents, hours) in [("a day of 100 agents", 100, 24), ("a day of 1,000 agents", 1_000, 24)] {
        let plan = Plan::new(fleet(agents), 32, DAY, DAY + Duration::from_hours(hours));
        let runs = simulate(&plan).expect("a plan").totals.runs;
        group.throughput(Throughput::Elements(runs));
        group.bench_function(what, |b| b.iter(|| simulate(black_box(&plan)).expect("a plan").totals.runs));
    }
    group.finish();
}

criterion_group!(benches, a_day);
criterion_main!(benches);
