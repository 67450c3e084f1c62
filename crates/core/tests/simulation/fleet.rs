//! Fleets by chance: who is in them, and how their programs behave.

use std::sync::Arc;
use std::time::Duration;

use werkpilot_core::backoff::Dice;
use werkpilot_core::dispatcher::AgentProfile;
use werkpilot_core::exit::SpawnFailureKind;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::spec::{
    AgentSpec, Backoff, CatchUp, Condition, Dependency, Health, JobSpec, Kind, OnUnhealthyDependency, Overlap,
    Priority, Probe, Program, Ready, ReadyCheck, RestartPolicy, ServiceSpec, Triggers,
};

/// Chances and choices.
pub struct Chance(pub Dice);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        let position = self.below(choices.len() as u64);
        choices[usize::try_from(position).unwrap()].clone()
    }

    /// Between the two, in steps of a tenth of a second, so that things happen at the same instant.
    pub fn tenths(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(100 * (from + self.below(to - from + 1)))
    }
}

/// How the programs of an agent behave.
#[derive(Clone, Copy, Debug)]
pub struct Temper {
    pub fails_percent: u64,
    pub spawn_fails_percent: u64,
    pub spawn_failure: SpawnFailureKind,
    pub ignores_stop_percent: u64,
    pub never_ready_percent: u64,
    pub unhealthy_percent: u64,
    /// In tenths of a second.
    pub lives: (u64, u64),
}

#[derive(Clone, Debug)]
pub struct Member {
    pub spec: Arc<AgentSpec>,
    pub temper: Temper,
    pub depth: u32,
}

pub fn name_of(slot: usize) -> AgentName {
    AgentName::new(&format!("agent-{slot}")).unwrap()
}

fn slot_of(name: &AgentName) -> usize {
    name.as_str().trim_start_matches("agent-").parse().unwrap()
}

/// A fleet of 3 to 14 agents; each depends on earlier ones only.
pub fn fleet(chance: &mut Chance) -> Vec<Member> {
    let size = 3 + usize::try_from(chance.below(12)).unwrap();
    let mut members: Vec<Member> = Vec::new();
    for slot in 0..size {
        let spec = spec(slot, chance);
        let below = spec.dependencies.iter().map(|dependency| members[slot_of(&dependency.agent)].depth + 1);
        let depth = below.max().unwrap_or(0);
        let temper = temper(spec.job().is_some(), chance);
        members.push(Member { spec: Arc::new(spec), temper, depth });
    }
    members
}

fn temper(job: bool, chance: &mut Chance) -> Temper {
    let kinds = [SpawnFailureKind::Missing, SpawnFailureKind::Transient, SpawnFailureKind::Other];
    let lives = if job {
        chance.pick(&[(0, 5), (1, 100), (50, 900)])
    } else {
        chance.pick(&[(0, 20), (100, 5_000), (9_000, 90_000)])
    };
    Temper {
        fails_percent: chance.pick(&[0, 5, 40, 95, 100]),
        spawn_fails_percent: chance.pick(&[0, 0, 0, 10, 60]),
        spawn_failure: chance.pick(&kinds),
        ignores_stop_percent: chance.pick(&[0, 0, 50, 100]),
        never_ready_percent: chance.pick(&[0, 0, 30]),
        unhealthy_percent: chance.pick(&[0, 0, 40]),
        lives,
    }
}

pub fn spec(slot: usize, chance: &mut Chance) -> AgentSpec {
    let program = Program::Command(vec!["/bin/true".to_owned()]);
    let mut spec = if chance.percent(60) {
        AgentSpec { kind: Kind::Job(job(slot, chance)), ..AgentSpec::job_named(name_of(slot), program) }
    } else {
        AgentSpec { kind: Kind::Service(service(chance)), ..AgentSpec::service_named(name_of(slot), program) }
    };
    chance.pick(&["sales", "stock"]).clone_into(&mut spec.department);
    spec.priority = chance.pick(&[Priority::Critical, Priority::Important, Priority::Normal]);
    spec.dependencies = dependencies(slot, chance);
    spec.success_codes = chance.pick(&[vec![0], vec![0], vec![0, 1]]);
    spec.stop.timeout = chance.tenths(1, 100);
    spec.enabled = !chance.percent(5);
    spec
}

pub fn dependencies(slot: usize, chance: &mut Chance) -> Vec<Dependency> {
    let conditions =
        [Condition::Healthy, Condition::Healthy, Condition::Healthy, Condition::Started, Condition::Succeeded];
    let mut wanted: Vec<usize> = (0..slot).filter(|_| chance.percent(20)).collect();
    wanted.truncate(3);
    wanted.into_iter().map(|on| Dependency { agent: name_of(on), condition: chance.pick(&conditions) }).collect()
}

fn backoff(chance: &mut Chance) -> Backoff {
    Backoff {
        max: u32::try_from(chance.below(4)).unwrap(),
        initial: chance.pick(&[Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1)]),
        factor: 2.0,
        cap: Duration::from_mins(5),
        jitter: chance.pick(&[0.0, 0.1]),
    }
}

fn job(slot: usize, chance: &mut Chance) -> JobSpec {
    let schedules = ["* * * * *", "*/5 * * * *", "*/20 * * * * *", "30 * * * *"];
    let overlaps = [Overlap::Skip, Overlap::QueueOne, Overlap::QueueAll, Overlap::CancelPrevious, Overlap::Allow];
    JobSpec {
        triggers: Triggers {
            schedule: chance.percent(60).then(|| chance.pick(&schedules).to_owned()),
            timezone: "UTC".to_owned(),
            every: chance.percent(40).then(|| chance.tenths(50, 3_000)),
            subject: None,
            after: (slot > 0 && chance.percent(25))
                .then(|| name_of(usize::try_from(chance.below(slot as u64)).unwrap())),
            startup: chance.percent(30),
        },
        overlap: chance.pick(&overlaps),
        catch_up: CatchUp::None,
        catch_up_window: Duration::from_hours(1),
        jitter: Duration::ZERO,
        on_unhealthy_dependency: chance.pick(&[OnUnhealthyDependency::Skip, OnUnhealthyDependency::Wait]),
        timeout: chance.percent(40).then(|| chance.tenths(1, 300)),
        retry: backoff(chance),
    }
}

fn service(chance: &mut Chance) -> ServiceSpec {
    let checks = [
        ReadyCheck::After(Duration::ZERO),
        ReadyCheck::After(Duration::from_secs(1)),
        ReadyCheck::Notify,
        ReadyCheck::Bus,
        ReadyCheck::Http("http://localhost/".to_owned()),
        ReadyCheck::Log("ready".to_owned()),
    ];
    let probe = Probe::Tcp("localhost:1".to_owned());
    let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(1));
    ServiceSpec {
        restart: chance.pick(&[
            RestartPolicy::Always,
            RestartPolicy::Always,
            RestartPolicy::OnFailure,
            RestartPolicy::Never,
        ]),
        backoff: backoff(chance),
        healthy_for: chance.tenths(10, 6_000),
        ready: Ready { check: chance.pick(&checks), timeout: chance.tenths(5, 300) },
        health: chance.percent(40).then_some(Health { probe, interval, timeout, failures: 3 }),
        max_silence: None,
        instances: chance.pick(&[1, 1, 2, 3]),
    }
}

/// What the dispatcher has to know of it.
pub fn profile(member: &Member) -> AgentProfile {
    let index = |name: &str| Some(AgentIndex::from(slot_of(&AgentName::new(name).unwrap())));
    AgentProfile::of(&member.spec, member.depth, index)
}
