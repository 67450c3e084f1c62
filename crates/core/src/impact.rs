//! What stopping an agent means for the others: who is affected, and how.
//!
//! | who | what happens |
//! |---|---|
//! | a job that needs it to be well, `on_unhealthy_dependency = "skip"` | its executions are skipped |
//! | the same with `"wait"`, and a service that does not run | waits |
//! | a service that needs it to be well, and runs | goes on, and could not start again |
//! | who needs it to have started or succeeded once, and it has | nothing |
//! | who needs that, and it has not | waits, or is skipped |
//! | a job with `after` | is not triggered |
//! | who depends on somebody of these | the same, if that one ends meanwhile, or is needed to succeed |
//!
//! A job that is stopped counts by its last end: who needs it to be well is not affected. Nobody is named twice.

use std::collections::VecDeque;
use std::fmt;

use crate::ids::{AgentIndex, AgentName};
use crate::spec::{Condition, OnUnhealthyDependency};

/// What has to be known of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: AgentName,
    /// Whether it is a service; else it is a job.
    pub service: bool,
    /// Whether a service runs, or is about to.
    pub up: bool,
    /// What an unhealthy dependency means for a job.
    pub on_unhealthy: OnUnhealthyDependency,
    /// Whose success triggers it.
    pub after: Option<AgentIndex>,
    /// On whom it depends, what is asked of each, and whether that has happened already (`started`, `succeeded`).
    pub dependencies: Vec<(AgentIndex, Condition, bool)>,
}

/// How somebody is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A job that is not started.
    Skipped {
        /// Because of whom.
        because: AgentName,
    },
    /// Does not start before the other is back.
    Waits {
        /// For whom.
        because: AgentName,
    },
    /// Goes on, and could not start again.
    NoRestart {
        /// Without whom.
        because: AgentName,
    },
    /// Is asked for by the success of another, which does not come.
    NotTriggered {
        /// Whose.
        because: AgentName,
    },
    /// Well as long as the one that it depends on goes on.
    AtRisk {
        /// That one.
        because: AgentName,
    },
}

impl Effect {
    /// Whether it does its work no more; else it is only in danger.
    pub const fn is_blocked(&self) -> bool {
        matches!(self, Self::Skipped { .. } | Self::Waits { .. } | Self::NotTriggered { .. })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { because } => write!(f, "its executions are skipped until {because} is back"),
            Self::Waits { because } => write!(f, "waits until {because} is back"),
            Self::NoRestart { because } => {
                write!(f, "goes on running, but could not start again without {because}")
            }
            Self::NotTriggered { because } => write!(f, "is not triggered: it runs after each success of {because}"),
            Self::AtRisk { because } => write!(f, "is affected only if {because} ends meanwhile"),
        }
    }
}

/// Somebody who is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Who.
    pub agent: AgentIndex,
    /// How many steps away; 1 depends on it directly.
    pub distance: u32,
    /// How.
    pub effect: Effect,
}

/// Who is affected when `stopped` is stopped, the nearest first, then by their place. `None` is the slot of nobody.
pub fn impact(members: &[Option<Member>], stopped: AgentIndex) -> Vec<Affected> {
    let who_asks = who_asks(members);
    let member = |agent: AgentIndex| members.get(agent.slot()).and_then(Option::as_ref);
    let mut seen = vec![false; members.len()];
    let mut found = Vec::new();
    if member(stopped).is_none() {
        return found;
    }
    seen[stopped.slot()] = true;
    // First who does its work no more, so that nobody is told to be in danger only who is.
    for only_blocked in [true, false] {
        let known = found.iter().map(|known: &Affected| (known.agent, known.distance, Some(known.effect.clone())));
        let mut next: VecDeque<_> = std::iter::once((stopped, 0, None)).chain(known).collect();
        while let Some((cause, distance, effect)) = next.pop_front() {
            let Some(of) = member(cause) else { continue };
            for agent in &who_asks[cause.slot()] {
                let Some(asks) = member(*agent).filter(|_| !seen[agent.slot()]) else { continue };
                let Some(effect) = effect_on(asks, cause, of, effect.as_ref()) else { continue };
                if only_blocked && !effect.is_blocked() {
                    continue;
                }
                seen[agent.slot()] = true;
                found.push(Affected { agent: *agent, distance: distance + 1, effect: effect.clone() });
                next.push_back((*agent, distance + 1, Some(effect)));
            }
        }
    }
    found.sort_by_key(|affected| (affected.distance, affected.agent));
    found
}

/// By agent: who depends on it, or runs after it.
fn who_asks(members: &[Option<Member>]) -> Vec<Vec<AgentIndex>> {
    let mut asked: Vec<Vec<AgentIndex>> = vec![Vec::new(); members.len()];
    for (slot, member) in members.iter().enumerate() {
        let Some(member) = member else { continue };
        let needs = member.dependencies.iter().map(|(agent, ..)| *agent).chain(member.after);
        for needed in needs {
            if let Some(list) = asked.get_mut(needed.slot())
                && list.last() != Some(&AgentIndex::from(slot))
            {
                list.push(AgentIndex::from(slot));
            }
        }
    }
    asked
}

/// What `cause` (which is stopped, or affected itself) means for `asks`; `None`: nothing.
fn effect_on(asks: &Member, cause: AgentIndex, of: &Member, caused: Option<&Effect>) -> Option<Effect> {
    let because = of.name.clone();
    let blocked = caused.is_none_or(Effect::is_blocked);
    if asks.after == Some(cause) && blocked {
        return Some(Effect::NotTriggered { because });
    }
    let (_, condition, met) = asks.dependencies.iter().find(|(agent, ..)| *agent == cause)?;
    let is_met = match condition {
        Condition::Started | Condition::Succeeded => *met,
        // A job counts by its last end, which stays.
        Condition::Healthy => !of.service,
    };
    if is_met {
        return None;
    }
    if !blocked {
        return Some(Effect::AtRisk { because });
    }
    Some(match (asks.service, asks.on_unhealthy) {
        (true, _) if asks.up => Effect::NoRestart { because },
        (false, OnUnhealthyDependency::Skip) => Effect::Skipped { because },
        (true, _) | (false, OnUnhealthyDependency::Wait) => Effect::Waits { because },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn name(agent: usize) -> AgentName {
        AgentName::new(&format!("a{agent}")).unwrap()
    }

    fn service(agent: usize, needs: &[(u32, Condition, bool)]) -> Member {
        let dependencies = needs.iter().map(|(on, condition, met)| (AgentIndex(*on), *condition, *met)).collect();
        let on_unhealthy = OnUnhealthyDependency::Skip;
        Member { name: name(agent), service: true, up: true, on_unhealthy, after: None, dependencies }
    }

    fn job(agent: usize, needs: &[(u32, Condition, bool)]) -> Member {
        Member { service: false, up: false, ..service(agent, needs) }
    }

    const WELL: (u32, Condition, bool) = (0, Condition::Healthy, false);

    #[rstest]
    #[case::skip(job(1, &[WELL]), Some("its executions are skipped until a0 is back"))]
    #[case::wait(Member { on_unhealthy: OnUnhealthyDependency::Wait, ..job(1, &[WELL]) }, Some("waits until a0 is back"))]
    #[case::up(service(1, &[WELL]), Some("goes on running, but could not start again without a0"))]
    #[case::down(Member { up: false, ..service(1, &[WELL]) }, Some("waits until a0 is back"))]
    #[case::met(job(1, &[(0, Condition::Started, true)]), None)]
    #[case::unmet(job(1, &[(0, Condition::Succeeded, false)]), Some("its executions are skipped until a0 is back"))]
    #[case::after(
        Member { after: Some(AgentIndex(0)), ..job(1, &[]) },
        Some("is not triggered: it runs after each success of a0")
    )]
    #[case::nothing(job(1, &[]), None)]
    fn stopping_a_service(#[case] other: Member, #[case] effect: Option<&str>) {
        let found = impact(&[Some(service(0, &[])), Some(other)], AgentIndex(0));
        assert_eq!(found.first().map(|affected| affected.effect.to_string()).as_deref(), effect);
    }

    #[test]
    fn a_stopped_job_counts_by_its_last_end() {
        let members = [Some(job(0, &[])), Some(service(1, &[WELL])), Some(job(2, &[(0, Condition::Succeeded, false)]))];
        let found = impact(&members, AgentIndex(0));
        assert_eq!(found.iter().map(|affected| affected.agent).collect::<Vec<_>>(), [AgentIndex(2)]);
    }

    #[test]
    fn it_goes_on_through_those_who_are_affected() {
        let after = |agent, of| Some(Member { after: Some(AgentIndex(of)), ..job(agent, &[]) });
        let members = [
            Some(service(0, &[])),
            Some(service(1, &[WELL])),
            Some(job(2, &[(1, Condition::Healthy, false)])),
            Some(job(3, &[WELL])),
            after(4, 3),
            Some(job(5, &[(3, Condition::Healthy, false)])),
            None,
        ];
        let told: Vec<String> = impact(&members, AgentIndex(0))
            .into_iter()
            .map(|affected| format!("{} {} {}", affected.agent.0, affected.distance, affected.effect))
            .collect();
        assert_eq!(
            told,
            [
                "1 1 goes on running, but could not start again without a0",
                "3 1 its executions are skipped until a0 is back",
                "2 2 is affected only if a1 ends meanwhile",
                "4 2 is not triggered: it runs after each success of a3",
            ]
        );
        assert_eq!(impact(&members, AgentIndex(6)), []);
        assert_eq!(impact(&members, AgentIndex(60)), []);
    }

    prop_compose! {
        fn fleet()(size in 1_usize..20)(
            raw in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u32..20, 0_u8..4, any::<bool>(), 0_u32..40), size)
        ) -> Vec<Option<Member>> {
            let size = u32::try_from(raw.len()).unwrap();
            let member = |(at, (is_service, up, on, condition, met, after)): (usize, (bool, bool, u32, u8, bool, u32))| {
                let condition = [Condition::Healthy, Condition::Started, Condition::Succeeded][usize::from(condition % 3)];
                let needs = if on < u32::try_from(at).unwrap() { vec![(on, condition, met)] } else { vec![] };
                let mut member = if is_service { service(at, &needs) } else { job(at, &needs) };
                member.up = up;
                member.after = (!is_service && after < size).then_some(AgentIndex(after));
                Some(member)
            };
            raw.into_iter().enumerate().map(member).collect()
        }
    }

    proptest! {
        #[test]
        fn each_is_named_once_the_nearest_first_and_never_the_one_that_is_stopped(members in fleet(), at in 0_usize..20) {
            let stopped = AgentIndex::from(at % members.len());
            let found = impact(&members, stopped);
            prop_assert!(found.len() < members.len());
            prop_assert!(found.iter().all(|affected| affected.agent != stopped && affected.distance >= 1));
            let mut agents: Vec<_> = found.iter().map(|affected| affected.agent).collect();
            agents.sort_unstable();
            agents.dedup();
            prop_assert_eq!(agents.len(), found.len());
            prop_assert!(found.windows(2).all(|two| two[0].distance <= two[1].distance));
        }
    }
}
