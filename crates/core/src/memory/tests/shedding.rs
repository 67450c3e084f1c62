//! Who is shed, and who comes back.

use super::*;
use crate::reason::Reason;

/// 100 % used: 550 by what is important, and by priority 3 a service of 100, one of 300 and one of 50.
fn full() -> Bench {
    let mut bench = Bench::new()
        .with(Priority::Critical, true, 350)
        .with(Priority::Important, false, 200)
        .service(100)
        .service(300);
    bench = bench.service(50);
    bench
}

#[test]
fn the_largest_of_priority_3_goes_and_no_more_than_needed() {
    let mut bench = full();
    assert_eq!(bench.check(), ["give back", "warn", "critical", "shed 3"]);
    assert_eq!(bench.next(), "agent 3 is enabled again once less than 75 % is used", "that is enough");
    // It is still ending: what it frees is counted already.
    assert_eq!(bench.check(), ["give back"]);
    bench.shed_ones_end();
    assert_eq!(bench.check(), ["recovered", "enable 3"], "70 %");
}

#[test]
fn the_reason_says_how_much_and_why() {
    let mut bench = full();
    let actions = bench.ladder.check(&bench.sample(), &bench.members, &bench.settings, bench.now);
    let Some(Action::Shed { reason, .. }) = actions.last() else { panic!("{actions:?}") };
    assert_eq!(*reason, Reason::MemoryPressure { percent: 100, threshold: 90, used_bytes: 300 });
    let reason = Reason::MemoryPressure { percent: 93, threshold: 90, used_bytes: 300 << 20 };
    assert_eq!(
        reason.to_string(),
        "memory is short: 93 % is used ([memory] critical_percent = 90), 300 MiB of it by this agent"
    );
}

#[test]
fn the_run_of_a_job_goes_on_so_that_shedding_it_frees_nothing_yet() {
    let mut bench = Bench::new().with(Priority::Critical, true, 500).job(300).service(200);
    assert_eq!(bench.check(), ["give back", "warn", "critical", "shed 1", "shed 2"]);
    bench.bytes[2] = None;
    assert_eq!(bench.check(), ["give back"], "the job runs on, 80 %");
    bench.bytes[1] = None;
    assert_eq!(bench.check(), ["recovered", "enable 2"]);
}

#[test]
fn who_is_important_or_uses_nothing_or_takes_no_part_stays() {
    let mut bench = Bench::new().with(Priority::Critical, true, 600).with(Priority::Important, true, 300);
    bench = bench.service(0).service(50);
    bench.members[3].standing = Standing::Closed;
    assert_eq!(bench.check(), ["give back", "warn", "critical"]);
    assert_eq!(bench.next(), "nothing more can be freed: no agent of priority 3 is left that may be disabled");
    assert_eq!(bench.ladder.shed().count(), 0);
}

#[test]
fn what_the_host_lacks_is_freed_as_well() {
    let mut bench = Bench::new().service(50).service(20);
    (bench.budget, bench.host) = (Some(1_000_000), Some(HostReading { total_bytes: 1_000, available_bytes: 80 }));
    assert_eq!(bench.check(), ["give back", "warn", "critical", "shed 0"]);
}

#[test]
fn all_come_back_one_per_check_the_smallest_first() {
    let mut bench = Bench::new().with(Priority::Critical, true, 890).service(60).service(50).service(40);
    assert_eq!(bench.check(), ["give back", "warn", "critical", "shed 1", "shed 2", "shed 3"]);
    bench.shed_ones_end();
    bench.bytes[0] = Some(Some(760));
    assert_eq!(bench.check(), NOTHING);
    assert_eq!(bench.next(), "agent 3 is enabled again once less than 75 % is used");
    let waiting: Vec<u32> = bench.ladder.shed().map(|(agent, _)| agent.0).collect();
    assert_eq!(waiting, [3, 2, 1]);
    bench.bytes[0] = Some(Some(100));
    assert_eq!(bench.check(), ["recovered", "enable 3"]);
    assert_eq!(bench.next(), "agent 2 is enabled again at the next check");
    bench.bytes[0] = Some(Some(760));
    assert_eq!(bench.check(), NOTHING, "not while it is above");
    bench.bytes[0] = Some(Some(100));
    assert_eq!(bench.check(), ["enable 2"]);
    assert_eq!(bench.check(), ["enable 1"]);
    assert_eq!(bench.check(), NOTHING);
}

#[test]
fn who_came_back_is_left_alone_for_five_minutes() {
    let mut bench = full();
    bench.check();
    bench.shed_ones_end();
    assert_eq!(bench.check(), ["recovered", "enable 3"]);
    bench.bytes[3] = Some(Some(300));
    // Somebody else goes instead; once there is nobody else, nobody does.
    assert_eq!(bench.check(), ["give back", "warn", "critical", "shed 2", "shed 4"]);
    for _ in 0..3 {
        assert_eq!(bench.check(), ["give back"]);
    }
    bench.bytes[2] = None;
    bench.bytes[4] = None;
    bench.own = Some(100);
    assert_eq!(bench.check(), ["give back", "shed 3"], "five minutes are over");
}

#[test]
fn whom_a_person_started_is_left_alone_for_five_minutes() {
    let mut bench = Bench::new().with(Priority::Critical, true, 700).service(300);
    assert!(bench.check().contains(&"shed 1".to_owned()));
    bench.members[1].standing = Standing::Open;
    for _ in 0..5 {
        assert_eq!(bench.check(), ["give back"]);
    }
    assert_eq!(bench.check(), ["give back", "shed 1"]);
}

#[test]
fn who_was_switched_off_meanwhile_is_nobody_to_bring_back() {
    let mut bench = full();
    bench.check();
    bench.shed_ones_end();
    bench.members[3].standing = Standing::Closed;
    assert_eq!(bench.check(), ["recovered"]);
    assert_eq!(bench.ladder.shed().count(), 0);
}

#[test]
fn who_was_shed_before_a_restart_comes_back_in_the_same_way() {
    let mut bench = Bench::new().with(Priority::Critical, true, 760).service(0);
    bench.members[1].standing = Standing::Shed;
    bench.bytes[1] = None;
    assert_eq!(bench.check(), NOTHING);
    assert_eq!(bench.next(), "agent 1 is enabled again once less than 75 % is used");
    bench.bytes[0] = Some(Some(700));
    assert_eq!(bench.check(), ["enable 1"]);
}

#[test]
fn whom_a_reload_made_important_comes_back_at_once() {
    let mut bench = full();
    bench.check();
    bench.members[3].priority = Priority::Important;
    assert_eq!(bench.check()[..1], ["give back"]);
    assert_eq!(bench.members[3].standing, Standing::Open);
}
