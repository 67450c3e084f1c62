//! `memory_max`.

use super::*;

fn limited(bytes: u64) -> Bench {
    let mut bench = Bench::new().service(bytes);
    bench.members[0].memory_max = Some(100);
    bench
}

#[test]
fn over_the_limit_in_two_checks_in_a_row_is_the_end_of_it() {
    let mut bench = limited(101);
    assert_eq!(bench.check(), NOTHING);
    assert!(bench.ladder.is_over_limit(index(0)) && !bench.ladder.is_over_limit(index(1)));
    assert_eq!(bench.check(), ["end 0: 101 > 100"]);
    assert_eq!(bench.check(), NOTHING, "while it ends it has a check of its own again");
}

#[test]
fn a_peak_is_forgiven() {
    let mut bench = limited(500);
    assert_eq!(bench.check(), NOTHING);
    bench.bytes[0] = Some(Some(100));
    assert_eq!(bench.check(), NOTHING, "just at the limit is not over it");
    bench.bytes[0] = Some(Some(500));
    assert_eq!(bench.check(), NOTHING);
}

#[test]
fn what_can_not_be_read_is_neither_over_nor_under() {
    let mut bench = limited(500);
    bench.check();
    bench.bytes[0] = Some(None);
    assert_eq!(bench.check(), NOTHING);
    bench.bytes[0] = Some(Some(500));
    assert_eq!(bench.check(), ["end 0: 500 > 100"]);
}

#[test]
fn a_successor_begins_anew() {
    let mut bench = limited(500);
    bench.check();
    let mut sample = bench.sample();
    sample.trees[0].process.serial = 2;
    let actions = bench.ladder.check(&sample, &bench.members, &bench.settings, bench.now);
    assert_eq!(actions, []);
    assert_eq!(bench.ladder.check(&sample, &bench.members, &bench.settings, bench.now).len(), 1);
}

#[test]
fn a_limit_of_a_reload_holds_at_the_next_check() {
    let mut bench = limited(90);
    assert_eq!(bench.check(), NOTHING);
    bench.members[0].memory_max = Some(50);
    assert_eq!(bench.check(), NOTHING);
    assert_eq!(bench.check(), ["end 0: 90 > 50"]);
    bench.members[0].memory_max = None;
    assert_eq!(bench.check(), NOTHING);
}
