//! The invariants of the module, whatever comes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What becomes of one agent until the next check.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Uses(u64),
    Unreadable,
    Gone,
    /// A person starts it, whatever it is.
    Started,
    /// A person, or its breaker, closes it.
    Closed,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => (0_u64..400).prop_map(Fate::Uses),
        2 => Just(Fate::Unreadable),
        1 => Just(Fate::Gone),
        1 => Just(Fate::Started),
        1 => Just(Fate::Closed),
    ]
}

#[derive(Clone, Debug)]
struct Step {
    seconds: u64,
    own: Option<u64>,
    host: Option<u64>,
    fates: Vec<Fate>,
}

const AGENTS: usize = 6;

fn step() -> impl Strategy<Value = Step> {
    let own = prop_oneof![5 => (0_u64..600).prop_map(Some), 1 => Just(None)];
    let host = prop_oneof![5 => (0_u64..1_000).prop_map(Some), 1 => Just(None)];
    let fates = prop::collection::vec(fate(), AGENTS);
    (1_u64..200, own, host, fates).prop_map(|(seconds, own, host, fates)| Step { seconds, own, host, fates })
}

fn member() -> impl Strategy<Value = (i64, bool)> {
    (1_i64..=3, any::<bool>())
}

fn percent(sample: &Sample, less: u64) -> f64 {
    let ours: u64 = sample.own_bytes.unwrap_or(0) + sample.trees.iter().filter_map(|tree| tree.bytes).sum::<u64>();
    let of_host = sample.host.map_or(0.0, |host| {
        (host.total_bytes - host.available_bytes).saturating_sub(less) as f64 / host.total_bytes as f64 * 100.0
    });
    let of_budget = ours.saturating_sub(less) as f64 / sample.budget_bytes.unwrap() as f64 * 100.0;
    of_budget.max(of_host)
}

proptest! {
    #[test]
    fn the_invariants_hold(
        kinds in prop::collection::vec(member(), AGENTS),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut bench = Bench::new();
        for (priority, service) in kinds {
            bench = bench.with(Priority::from_number(priority).unwrap(), service, 10);
        }
        let mut came_back: BTreeMap<u32, Moment> = BTreeMap::new();
        for step in steps {
            bench.now = bench.now + Duration::from_secs(step.seconds);
            bench.own = step.own;
            bench.host = step.host.map(|available| HostReading { total_bytes: 1_000, available_bytes: available });
            for (agent, fate) in (0..).zip(&step.fates) {
                let slot = usize::try_from(agent).unwrap();
                match fate {
                    Fate::Uses(bytes) => bench.bytes[slot] = Some(Some(*bytes)),
                    Fate::Unreadable => bench.bytes[slot] = bench.bytes[slot].map(|_| None),
                    Fate::Gone => bench.bytes[slot] = None,
                    Fate::Started => {
                        if bench.members[slot].standing == Standing::Shed {
                            came_back.insert(agent, bench.now);
                        }
                        bench.members[slot].standing = Standing::Open;
                    }
                    Fate::Closed => {
                        if bench.members[slot].standing == Standing::Shed {
                            came_back.insert(agent, bench.now);
                        }
                        bench.members[slot].standing = Standing::Closed;
                    }
                }
            }
            let (sample, members, level) = (bench.sample(), bench.members.clone(), bench.ladder.level());
            let actions = bench.ladder.check(&sample, &members, &bench.settings, bench.now);
            let unknown = sample.own_bytes.is_none() && sample.host.is_none()
                && sample.trees.iter().all(|tree| tree.bytes.is_none());
            let mut freed: u64 = sample.trees.iter().filter(|tree| {
                let member = members[tree.process.agent.slot()];
                member.service && member.standing == Standing::Shed
            }).filter_map(|tree| tree.bytes).sum();
            let mut largest = u64::MAX;
            let mut enabled = 0;
            for action in &actions {
                match action {
                    Action::Shed { agent, .. } => {
                        let member = members[agent.slot()];
                        prop_assert_eq!(member.priority, Priority::Normal);
                        prop_assert_eq!(member.standing, Standing::Open);
                        prop_assert!(percent(&sample, freed) >= 90.0, "the forecast is under the threshold");
                        let bytes = bench.bytes[agent.slot()].flatten().unwrap();
                        prop_assert!(bytes > 0 && bytes <= largest, "the largest first");
                        largest = bytes;
                        if member.service {
                            freed += bytes;
                        }
                        if let Some(since) = came_back.get(&agent.0) {
                            prop_assert!(bench.now.since(*since) >= LEFT_ALONE, "it came back only just now");
                        }
                    }
                    Action::Enable { agent, .. } => {
                        enabled += 1;
                        prop_assert_eq!(members[agent.slot()].standing, Standing::Shed);
                        prop_assert!(percent(&sample, 0) < 75.0);
                        prop_assert!(bench.ladder.usage().unwrap().percent < 75.0);
                        prop_assert_eq!(bench.ladder.level(), Level::Normal);
                        came_back.insert(agent.0, bench.now);
                    }
                    Action::Recovered(usage) => {
                        prop_assert!(usage.percent < 75.0 && level > Level::Normal);
                    }
                    Action::GiveBack | Action::Warn(_) | Action::Critical(_) => {
                        prop_assert!(percent(&sample, 0) >= 80.0);
                    }
                    Action::RestartForLimit { .. } => prop_assert!(false, "there are no limits"),
                }
            }
            prop_assert!(enabled <= 1, "one at a time");
            let only_limits = actions.iter().all(|action| matches!(action, Action::Enable { .. } | Action::Recovered(_)));
            prop_assert!(!unknown || only_limits, "an alarm out of nothing");
            for action in &actions {
                bench.carry_out(action);
            }
            // Enough was freed, or nobody is left who may go.
            let left = members.iter().any(|member| {
                bench.members[member.agent.slot()].standing == Standing::Open
                    && member.priority == Priority::Normal
                    && bench.bytes[member.agent.slot()].flatten().is_some_and(|bytes| bytes > 0)
                    && came_back.get(&member.agent.0).is_none_or(|since| bench.now.since(*since) >= LEFT_ALONE)
            });
            prop_assert!(!left || percent(&sample, freed) < 90.0, "more could have been shed");
        }
    }
}
