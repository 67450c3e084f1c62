//! What holds for whatever facts come.

use std::time::Duration;

use proptest::prelude::*;

use super::{at, ended, name, question, run};
use crate::event::End;
use crate::ids::AgentName;
use crate::optimizer::*;
use crate::spec::Priority;

const SECOND: Duration = Duration::from_secs(1);

fn any_priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Critical), Just(Priority::Important), Just(Priority::Normal)]
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![8 => Just(End::Succeeded), 2 => Just(End::Failed), 1 => Just(End::TimedOut), 1 => Just(End::Skipped)]
}

fn any_member(number: usize) -> impl Strategy<Value = Member> {
    (any_priority(), any::<bool>(), any::<bool>(), proptest::option::of(1_u64..10_000)).prop_map(
        move |(priority, job, scheduled, timeout)| Member {
            job,
            timeout: timeout.map(Duration::from_secs),
            schedule: scheduled.then(|| "* * * * *".to_owned()),
            ..Member::job(name(&format!("a{number}")), priority)
        },
    )
}

fn any_run() -> impl Strategy<Value = Run> {
    (0_usize..8, 0_u64..600_000, 0_u64..600, 0_u64..400_000, any_end(), any::<bool>()).prop_map(
        |(agent, queued, waited, ms, end, started)| {
            let run = ended(end, run(&format!("a{agent}"), queued / 60 * 60, waited, ms));
            if started { run } else { Run { attempts: Vec::new(), ..run } }
        },
    )
}

fn any_fleet() -> impl Strategy<Value = (Question, Vec<Run>)> {
    let members = (0..6).map(any_member).collect::<Vec<_>>();
    (members, proptest::collection::vec(any_run(), 0..400), 1_u32..40)
        .prop_map(|(members, runs, workers)| (question(members, workers), runs))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_proposal_leaves_its_limits((question, runs) in any_fleet()) {
        let findings = examine(&question, &runs);
        prop_assert!(findings.proposals.len() <= MOST_PROPOSALS);
        let numbers: Vec<u32> = findings.proposals.iter().map(|proposal| proposal.number).collect();
        prop_assert_eq!(numbers, (1..=u32::try_from(findings.proposals.len()).unwrap()).collect::<Vec<_>>());
        for proposal in &findings.proposals {
            prop_assert!(!proposal.evidence.words.is_empty() && !proposal.effect.words.is_empty());
            prop_assert!(!proposal.evidence.numbers.is_empty() && !proposal.effect.numbers.is_empty());
            let numbers = proposal.evidence.numbers.values().chain(proposal.effect.numbers.values());
            prop_assert!(numbers.into_iter().all(|number| number.is_finite()), "{:?}", proposal);
            match &proposal.change {
                Proposed::Priority { from, to, .. } => {
                    prop_assert!(*from != Priority::Critical && *to != Priority::Critical);
                    prop_assert_eq!(from.number().abs_diff(to.number()), 1);
                }
                Proposed::Timeout { from, to, .. } => prop_assert!(*to >= SECOND * 10 && *from != Some(*to)),
                Proposed::Workers { from, to } => prop_assert!(*to >= 1 && from != to && *to <= from * 2),
                Proposed::Jitter { agents, jitter, .. } => {
                    prop_assert!(!agents.is_empty() && *jitter <= Duration::from_mins(30));
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_facts_does_not_matter((question, runs) in any_fleet(), seed in any::<u64>()) {
        let mut shuffled = runs.clone();
        let mut dice = crate::backoff::Dice::new(seed);
        for index in (1..shuffled.len()).rev() {
            let other = usize::try_from(dice.next_u128() % (index as u128 + 1)).unwrap();
            shuffled.swap(index, other);
        }
        let mut members = question.members.clone();
        members.reverse();
        let again = Question { members, ..question.clone() };
        prop_assert_eq!(examine(&question, &runs), examine(&again, &shuffled));
    }

    #[test]
    fn what_is_applied_stays_within_its_limits((question, runs) in any_fleet()) {
        let registry = |agent: &AgentName| {
            question.members.iter().find(|member| member.agent == *agent).map(|member| member.priority)
        };
        let findings = examine(&question, &runs);
        let mut decisions = Decisions::default();
        for (_, decision) in decisions.decide(&findings.proposals, 1, at(0), registry) {
            let was = registry(&decision.agent).unwrap();
            prop_assert!(was != Priority::Critical && decision.to != Priority::Critical && decision.from == was);
            decisions.put(decision);
        }
        for member in question.members.iter().filter(|member| member.priority == Priority::Critical) {
            prop_assert_eq!(decisions.in_effect(&member.agent, Priority::Critical).priority, Priority::Critical);
        }
    }
}
