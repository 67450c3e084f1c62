//! Decisions: what stands, what is over, what can be undone.

use super::{at, name};
use crate::optimizer::*;
use crate::spec::Priority;

fn priority_of(agent: &str, from: Priority, to: Priority) -> Proposal {
    let change = Proposed::Priority { agent: name(agent), from, to };
    let words = |text: &str| Argument { words: text.to_owned(), ..Argument::default() };
    Proposal { number: 1, change, evidence: words("because"), effect: words("then") }
}

#[test]
fn a_decision_stands_until_it_is_undone_or_the_registry_says_something_else() {
    use Priority::{Critical, Important, Normal};
    let a = name("a");
    let mut decisions = Decisions::default();
    let proposals = [priority_of("a", Normal, Important), priority_of("a", Important, Normal)];
    let decided = decisions.decide(&proposals, 1, at(0), |_| Some(Normal));
    assert_eq!(decided.len(), 1, "one per agent and run");
    decisions.put(decided[0].1.clone());
    assert_eq!(decisions.in_effect(&a, Normal).priority, Important);
    assert_eq!(decisions.in_effect(&a, Critical).priority, Critical, "not for another priority of the registry");

    let back = decisions.decide(&[priority_of("a", Important, Normal)], 2, at(1), |_| Some(Normal));
    decisions.put(back[0].1.clone());
    assert_eq!(decisions.in_effect(&a, Normal).priority, Normal);
    assert_eq!(decisions.undone(1, "ada", at(2)), Err(UndoRefusal::NotTheNewest { id: 1, newer: 2 }));
    decisions.put(decisions.undone(2, "ada", at(2)).unwrap());
    assert_eq!(decisions.in_effect(&a, Normal).decision.map(|decision| decision.id), Some(1), "as it was before");
    decisions.put(decisions.undone(1, "ada", at(3)).unwrap());
    assert_eq!(decisions.in_effect(&a, Normal), InEffect { priority: Normal, decision: None });
    assert_eq!(decisions.undone(1, "ada", at(3)), Err(UndoRefusal::Over { id: 1, state: DecisionState::Undone }));
    assert_eq!(decisions.undone(9, "ada", at(3)), Err(UndoRefusal::Unknown(9)));
    assert!(decisions.is_held(&a, Normal));
    assert_eq!(decisions.decide(&proposals, 3, at(4), |_| Some(Normal)), [], "what was undone is not done again");

    let over = decisions.superseded(|_| Some(Important), at(5));
    assert_eq!(over.len(), 2);
    for decision in over {
        decisions.put(decision);
    }
    assert!(!decisions.is_held(&a, Normal), "another priority in the registry is another agent");
    assert_eq!(decisions.superseded(|_| Some(Important), at(6)), []);
    assert_eq!(Decisions::restored(decisions.iter().cloned()).newest(), 2);
}

#[test]
fn so_many_decisions_are_remembered_and_no_more() {
    let mut decisions = Decisions::default();
    let one = decisions
        .decide(&[priority_of("a", Priority::Normal, Priority::Important)], 1, at(0), |_| Some(Priority::Normal));
    for id in 1..=MOST_DECISIONS as u64 + 5 {
        decisions.put(Decision { id, agent: name(&format!("a{}", id % 100)), ..one[0].1.clone() });
    }
    assert_eq!(decisions.iter().count(), MOST_DECISIONS);
    assert!(decisions.get(5).is_none() && decisions.get(6).is_some());
}
