use std::rc::Rc;

use proptest::prelude::*;

use super::{Found, Table};
use crate::subject::matches;

/// A table that looks at every subscription, to compare with.
#[derive(Default)]
struct Naive(Vec<Entry>);

/// Pattern, queue group and subscriber.
type Entry = (Rc<[u8]>, Option<&'static str>, u64);

impl Naive {
    fn route(&self, subject: &[u8]) -> (Vec<u64>, Vec<Vec<u64>>) {
        let matching = |wanted: Option<&str>| {
            let these = self.0.iter().filter(|it| it.1 == wanted && matches(&it.0, subject));
            let mut ids: Vec<_> = these.map(|it| it.2).collect();
            ids.sort_unstable();
            ids
        };
        let mut groups: Vec<_> = QUEUES.iter().flatten().map(|name| matching(Some(name))).collect();
        groups.retain(|members| !members.is_empty());
        groups.sort_unstable();
        (matching(None), groups)
    }
}

const QUEUES: [Option<&str>; 4] = [None, Some("q"), Some("workers"), Some("")];

fn sorted(found: &Found<u64>) -> (Vec<u64>, Vec<Vec<u64>>) {
    let order = |members: &[u64]| {
        let mut members = members.to_vec();
        members.sort_unstable();
        members
    };
    let mut groups: Vec<_> = found.groups().map(order).collect();
    groups.sort_unstable();
    (order(found.plain()), groups)
}

fn pattern(text: &str) -> Rc<[u8]> {
    Rc::from(text.as_bytes())
}

fn bytes(queue: Option<&'static str>) -> Option<&'static [u8]> {
    queue.map(str::as_bytes)
}

fn routed(table: &Table<u64>, subject: &str) -> (Vec<u64>, Vec<Vec<u64>>) {
    let mut found = Found::new();
    table.route(subject.as_bytes(), &mut found);
    assert_eq!(found.is_empty(), sorted(&found) == (vec![], vec![]));
    sorted(&found)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, usize, u64),
    Remove(prop::sample::Index),
    RemoveStranger(String, usize, u64),
    Route(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let patterns = || "(a|b|c|\\*|x\\*)(\\.(a|b|\\*)){0,3}(\\.>)?|>";
    let step = prop_oneof![
        4 => (patterns(), 0..4_usize, 0..6_u64).prop_map(|(it, queue, id)| Step::Insert(it, queue, id)),
        3 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (patterns(), 0..4_usize, 0..9_u64).prop_map(|(it, queue, id)| Step::RemoveStranger(it, queue, id)),
        4 => "(a|b|c|\\*|x\\*|>|)(\\.(a|b|\\*|)){0,4}".prop_map(Step::Route),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn the_table_finds_what_a_look_at_every_subscription_finds(steps in steps()) {
        let mut table = Table::new();
        let mut naive = Naive::default();
        let mut found = Found::new();
        for step in steps {
            match step {
                Step::Insert(text, queue, id) => {
                    let pattern = pattern(&text);
                    table.insert(&pattern, bytes(QUEUES[queue]), id);
                    naive.0.push((pattern, QUEUES[queue], id));
                }
                Step::Remove(index) if !naive.0.is_empty() => {
                    let (pattern, queue, id) = naive.0.swap_remove(index.index(naive.0.len()));
                    prop_assert!(table.remove(&pattern, bytes(queue), id));
                }
                Step::Remove(_) => {}
                Step::RemoveStranger(text, queue, id) => {
                    let is_it = |it: &Entry| *it.0 == *text.as_bytes() && it.1 == QUEUES[queue] && it.2 == id;
                    let at = naive.0.iter().position(is_it);
                    prop_assert_eq!(table.remove(text.as_bytes(), bytes(QUEUES[queue]), id), at.is_some());
                    at.map(|at| naive.0.swap_remove(at));
                }
                Step::Route(subject) => {
                    table.route(subject.as_bytes(), &mut found);
                    prop_assert_eq!(sorted(&found), naive.route(subject.as_bytes()), "{}", subject);
                }
            }
            prop_assert_eq!(table.len(), naive.0.len());
        }
        for (pattern, queue, id) in naive.0 {
            prop_assert!(table.remove(&pattern, bytes(queue), id));
        }
        prop_assert!(table.is_empty() && table.literals.is_empty() && table.patterns.is_empty());
        prop_assert_eq!((table.patterns.room().0, table.queues.len()), (1, 0));
    }
}

#[test]
fn groups_of_one_name_at_several_patterns_are_one_group() {
    let mut table = Table::new();
    for (text, queue, id) in [
        ("a.b", "q", 1),
        ("a.*", "r", 2),
        ("a.*", "q", 3),
        (">", "q", 4),
        (">", "r", 5),
        ("b", "q", 6),
        ("*.*", "s", 7),
    ] {
        table.insert(&pattern(text), Some(queue.as_bytes()), id);
    }
    assert_eq!(routed(&table, "a.b"), (vec![], vec![vec![1, 3, 4], vec![2, 5], vec![7]]));
    assert_eq!(routed(&table, "b"), (vec![], vec![vec![4, 6], vec![5]]));
}

#[test]
fn the_pattern_is_shared_and_released() {
    let (mut table, text) = (Table::new(), pattern("orders.new"));
    table.insert(&text, None, 1_u64);
    assert_eq!(Rc::strong_count(&text), 2);
    assert!(table.remove(b"orders.new", None, 1));
    assert_eq!(Rc::strong_count(&text), 1);
    assert!(!table.remove(b"orders.new", None, 1));
}

#[test]
fn a_pattern_of_two_thousand_stars_neither_overflows_the_stack_nor_takes_exponential_time() {
    let stars = vec!["*"; 2_000].join(".");
    let subject = vec!["a"; 2_000].join(".");
    let mut table = Table::new();
    table.insert(&pattern(&stars), None, 1_u64);
    for depth in (1..2_000).step_by(100) {
        table.insert(&pattern(&format!("{}.>", vec!["*"; depth].join("."))), None, 2);
        table.insert(
            &pattern(&format!("{}.{}", vec!["a"; depth].join("."), vec!["*"; 2_000 - depth].join("."))),
            None,
            3,
        );
    }
    let (plain, _) = routed(&table, &subject);
    assert_eq!(plain.len(), 41);
    assert_eq!(routed(&table, &format!("{subject}.b")).0.len(), 20);
    assert!(table.remove(stars.as_bytes(), None, 1));
}

#[test]
fn a_hundred_thousand_literal_subscriptions_cost_at_most_110_bytes_each_and_give_them_back() {
    let mut table = Table::new();
    let patterns: Vec<_> = (0..100_000).map(|it| pattern(&format!("fleet.agent.{it:06}.topic.temp"))).collect();
    for (id, pattern) in (0_u64..).zip(&patterns) {
        let queue: Option<&[u8]> = (id % 2 == 0).then_some(b"workers");
        table.insert(pattern, queue, id);
        // Just after the map has doubled is the worst moment.
        assert!(id < 1_000 || table.literals.allocation_size() <= 110 * table.len(), "{id}");
    }
    println!("{} B per literal subscription", table.literals.allocation_size() / table.len());
    for (id, pattern) in (0_u64..).zip(&patterns) {
        assert!(table.remove(pattern, (id % 2 == 0).then_some(b"workers"), id));
    }
    assert!(table.literals.allocation_size() < 10_000);
}

#[test]
fn removed_wildcard_patterns_give_their_nodes_back_and_the_rest_is_still_found() {
    let mut table = Table::new();
    let text = |it: u64| format!("site.{}.agent.{it}.*", it % 7);
    for id in 0..10_000 {
        table.insert(&pattern(&text(id)), None, id);
    }
    for id in (0..10_000).filter(|id| id % 1_000 != 3) {
        assert!(table.remove(text(id).as_bytes(), None, id));
    }
    let (nodes, room) = table.patterns.room();
    assert!(nodes < 50 && room < 500, "{nodes} {room}");
    for id in (3..10_000).step_by(1_000) {
        assert_eq!(routed(&table, &format!("site.{}.agent.{id}.x", id % 7)).0, [id]);
        assert!(table.remove(text(id).as_bytes(), None, id));
    }
    assert!(table.patterns.is_empty());
}

#[test]
fn a_crowd_shrinks_to_a_single_entry() {
    let (mut table, text) = (Table::new(), pattern("a"));
    for id in 0..1_000_u64 {
        table.insert(&text, (id % 3 == 0).then_some(b"q"), id);
    }
    for id in 0..999 {
        assert!(table.remove(b"a", (id % 3 == 0).then_some(b"q"), id));
    }
    assert!(matches!(table.literals.values().next(), Some(super::Listeners::Member(_, 999))));
    assert_eq!(routed(&table, "a"), (vec![], vec![vec![999]]));
}
