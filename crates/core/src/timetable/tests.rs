//! A timetable under stalls, clock steps and storms of both.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// 2026-03-02 12:00:00 UTC, a Monday.
const NOON: Timestamp = Timestamp::from_secs(1_772_452_800);

/// Both clocks and a timetable on them.
struct Bench {
    timetable: Timetable,
    clocks: Clocks,
}

impl Bench {
    fn new() -> Self {
        let clocks = Clocks { steady: Moment::from_secs(1), wall: NOON };
        Self { timetable: Timetable::new(), clocks }
    }

    /// Agents with these schedules, numbered in order.
    fn with(schedules: &[&str]) -> Self {
        let mut bench = Self::new();
        for (slot, expression) in schedules.iter().enumerate() {
            bench.insert(slot, expression, Duration::ZERO);
        }
        bench
    }

    fn insert(&mut self, slot: usize, expression: &str, jitter: Duration) {
        let timer = match expression.strip_prefix("every ") {
            Some(secs) => Timer::Every(Duration::from_secs(secs.parse().unwrap())),
            None => Timer::Schedule(Schedule::parse(expression, "UTC").unwrap()),
        };
        let entry = Entry { timer, jitter, seed: seed_of(&format!("agent-{slot}")) };
        self.timetable.insert(AgentIndex::from(slot), entry, self.clocks);
    }

    /// Time passes on both clocks.
    fn pass(&mut self, time: Duration) {
        self.clocks.steady = self.clocks.steady + time;
        self.clocks.wall = self.clocks.wall + time;
    }

    fn set_forward(&mut self, by: Duration) {
        self.clocks.wall = self.clocks.wall + by;
    }

    fn set_back(&mut self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.clocks.wall = Timestamp::from_millis(self.clocks.wall.as_millis() - millis);
    }

    /// One round of the runtime: what is due, by agent and time after noon.
    fn round(&mut self) -> (Sweep, Vec<(u32, i64)>) {
        let mut out = Vec::new();
        let sweep = self.timetable.take_due(self.clocks, &mut out);
        while self.timetable.reschedule(3) {}
        (sweep, out.iter().map(|due| (due.agent.0, due.scheduled_for.as_secs() - NOON.as_secs())).collect())
    }

    /// Rounds at each deadline for so long, as the runtime does it; what was due.
    fn run(&mut self, time: Duration) -> Vec<(u32, i64)> {
        let end = self.clocks.steady + time;
        let mut due = Vec::new();
        loop {
            let next = self.timetable.next_deadline(self.clocks).map_or(end, |next| next.min(end));
            self.pass(next.since(self.clocks.steady));
            due.extend(self.round().1);
            if next == end {
                return due;
            }
        }
    }
}

#[test]
fn entries_come_at_their_time_in_order_of_time_and_agent() {
    let mut bench = Bench::with(&["2 12 * * *", "every 90", "1 12 * * *", "1 12 * * *", "*/30 * * * * *"]);
    assert_eq!(bench.timetable.len(), 5);
    let due = bench.run(2 * MINUTE);
    // Boot was a second before noon, so the interval is due at 12:01:29.
    assert_eq!(due, [(4, 30), (2, 60), (3, 60), (4, 60), (1, 89), (4, 90), (0, 120), (4, 120)]);
}

#[test]
fn a_stall_makes_an_entry_fire_once() {
    let mut bench = Bench::with(&["* * * * * *", "*/5 * * * *", "every 10"]);
    bench.pass(HOUR);
    assert_eq!(bench.round().1, [(0, 1), (2, 9), (1, 300)]);
    assert_eq!(bench.round().1, []);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.round().1, [(0, 3_601)]);
}

#[test]
fn what_has_been_handed_over_waits_for_its_rescheduling() {
    let mut bench = Bench::with(&["* * * * *", "* * * * *", "every 60"]);
    bench.pass(MINUTE);
    let mut out = Vec::new();
    let _ = bench.timetable.take_due(bench.clocks, &mut out);
    assert_eq!(out.len(), 3);
    assert_eq!(bench.timetable.next_deadline(bench.clocks), Some(bench.clocks.steady));
    assert!(bench.timetable.reschedule(1));
    let next = bench.timetable.next_of(AgentIndex(1), bench.clocks).unwrap();
    assert_eq!(next.at, NOON + 2 * MINUTE);
    bench.pass(MINUTE);
    // One is back in time; the others follow late, but they do follow.
    assert_eq!(bench.round().1, [(0, 120)]);
    assert_eq!(bench.round().1, []);
    bench.pass(MINUTE);
    assert_eq!(bench.round().1.len(), 3);
}

#[test]
fn a_clock_set_forward_jumps_over_what_lies_between() {
    let mut bench = Bench::with(&["30 12 * * *", "*/5 * * * *", "5 13 * * *", "every 60"]);
    assert_eq!(bench.run(Duration::from_secs(10)), []);
    bench.set_forward(HOUR);
    let (sweep, due) = bench.round();
    assert_eq!(due, []);
    assert_eq!(sweep.step, ClockStep::Forward(HOUR));
    let misfired: Vec<_> = sweep.misfired.iter().map(|missed| (missed.agent.0, missed.scheduled_for)).collect();
    assert_eq!(misfired, [(1, NOON + 5 * MINUTE), (0, NOON + 30 * MINUTE)]);
    // It is 13:00:10. The interval does not notice.
    let interval = (3, 3_600 + 59);
    assert_eq!(bench.run(5 * MINUTE)[..1], [interval]);
    let next = |slot| bench.timetable.next_of(AgentIndex(slot), bench.clocks).unwrap().at;
    assert_eq!(next(0), NOON + 24 * HOUR + 30 * MINUTE);
    assert_eq!(next(1), NOON + HOUR + 10 * MINUTE);
}

#[test]
fn a_step_is_noticed_within_a_minute_and_what_came_for_real_runs() {
    let mut bench = Bench::with(&["30 0 13 * * *"]);
    let _ = bench.round();
    assert_eq!(bench.timetable.next_deadline(bench.clocks), Some(bench.clocks.steady + CLOCK_CHECK));
    // Right after the look the clock is set to one o'clock, and a minute passes: the time came for real.
    bench.set_forward(HOUR);
    bench.pass(CLOCK_CHECK);
    assert_eq!(bench.round().1, [(0, 3_630)]);
}

#[test]
fn a_clock_set_forward_a_little_loses_nothing() {
    let mut bench = Bench::with(&["30 0 12 * * *", "* * * * * *"]);
    bench.set_forward(Duration::from_secs(59));
    let (sweep, due) = bench.round();
    assert_eq!((sweep.step, sweep.misfired.len()), (ClockStep::None, 0));
    assert_eq!(due, [(1, 1), (0, 30)]);
}

#[test]
fn a_clock_set_back_repeats_no_fixed_time() {
    let mut bench = Bench::with(&["0,30 12-23 * * *", "*/30 * * * *", "every 1800"]);
    let intervals = |due: &[(u32, i64)], agent| due.iter().filter(|(of, _)| *of == agent).count();
    let due = bench.run(Duration::from_secs(1_810));
    assert_eq!((intervals(&due, 0), intervals(&due, 1), intervals(&due, 2)), (1, 1, 1));
    bench.set_back(HOUR);
    let (sweep, due) = bench.round();
    assert_eq!((sweep.step, due), (ClockStep::Backward(HOUR), vec![]));
    // It is 11:30:10. Noon and half past twelve by the new clock: noon has never run, half past twelve has.
    let due = bench.run(Duration::from_mins(90));
    let fixed: Vec<_> = due.iter().filter(|(agent, _)| *agent == 0).map(|(_, at)| *at).collect();
    assert_eq!(fixed, [3_600]);
    let real: Vec<_> = due.iter().filter(|(agent, _)| *agent == 1).map(|(_, at)| *at).collect();
    assert_eq!(real, [0, 1_800, 3_600]);
    assert_eq!(intervals(&due, 2), 3);
}

#[test]
fn an_interval_does_not_run_twice_in_a_row_for_the_same_time() {
    let mut bench = Bench::with(&["*/5 * * * *"]);
    assert_eq!(bench.run(Duration::from_secs(301)), [(0, 300)]);
    bench.set_back(Duration::from_secs(30));
    assert_eq!(bench.run(6 * MINUTE), [(0, 600)]);
}

#[test]
fn a_misfired_time_may_come_when_the_clock_is_set_back() {
    let mut bench = Bench::with(&["30 12 * * *"]);
    let _ = bench.round();
    bench.set_forward(HOUR);
    assert_eq!(bench.round().0.misfired.len(), 1);
    bench.set_back(HOUR);
    assert_eq!(bench.run(HOUR), [(0, 1_800)]);
}

#[test]
fn a_wrong_clock_put_right_starts_afresh() {
    let mut bench = Bench::with(&["30 12 * * *"]);
    assert_eq!(bench.run(HOUR), [(0, 1_800)]);
    bench.set_back(25 * HOUR);
    let (sweep, _) = bench.round();
    assert_eq!(sweep.step, ClockStep::Correction(25 * HOUR));
    assert_eq!(bench.run(26 * HOUR), [(0, 1_800 - 86_400), (0, 1_800)]);
}

#[test]
fn a_step_between_taking_and_rescheduling_repeats_nothing() {
    let mut bench = Bench::with(&["1 12 * * *", "1 12 * * *"]);
    bench.pass(MINUTE);
    let mut out = Vec::new();
    let _ = bench.timetable.take_due(bench.clocks, &mut out);
    assert_eq!(out.len(), 2);
    bench.set_back(HOUR);
    assert_eq!(bench.run(3 * HOUR), []);
}

#[test]
fn jitter_is_stable_within_its_bound_and_keeps_the_scheduled_time() {
    let mut bench = Bench::new();
    for slot in 0..100 {
        bench.insert(slot, "*/10 * * * *", MINUTE);
    }
    let first = |bench: &Bench, slot| bench.timetable.next_of(AgentIndex::from(slot), bench.clocks).unwrap().at;
    let offsets: BTreeSet<_> = (0..100).map(|slot| first(&bench, slot).as_millis() % 600_000).collect();
    assert!(offsets.len() > 90, "they are spread");
    assert!(offsets.iter().all(|millis| *millis <= 60_000));
    let due = bench.run(20 * MINUTE + MINUTE);
    assert_eq!(due.len(), 300, "noon itself is not over: its jitter lies ahead");
    assert!(due.iter().all(|(_, at)| at % 600 == 0));
}

#[test]
fn an_entry_can_be_replaced_and_removed() {
    let mut bench = Bench::with(&["1 12 * * *", "every 5"]);
    bench.pass(MINUTE);
    let mut out = Vec::new();
    let _ = bench.timetable.take_due(bench.clocks, &mut out);
    assert_eq!(out.len(), 2);
    // The same schedule again, before it was rescheduled and after the clock went back a little: it has run.
    bench.set_back(Duration::from_millis(500));
    bench.insert(0, "1 12 * * *", Duration::ZERO);
    bench.insert(1, "every 7", Duration::ZERO);
    assert_eq!(bench.run(Duration::from_secs(3)), [(1, 61)], "63 s after boot, by a clock half a second slow");
    assert!(bench.timetable.remove(AgentIndex(0)));
    assert!(!bench.timetable.remove(AgentIndex(0)));
    assert!(!bench.timetable.remove(AgentIndex(9)));
    assert!(bench.timetable.remove_kind(AgentIndex(1), DueKind::Every));
    assert!(bench.timetable.is_empty());
    assert_eq!(bench.timetable.next_deadline(bench.clocks), None);
    assert_eq!(bench.run(24 * HOUR), []);
}

#[test]
fn who_is_due_again_and_again_does_not_hide_the_rest() {
    let bench = Bench::with(&["every 1", "0 13 * * *"]);
    let (found, left_out) = bench.timetable.ahead(
        &Ahead { from: NOON, to: NOON + HOUR, limit: 10, each: 3, only: None },
        bench.clocks,
        |_| false,
    );
    assert_eq!(found.iter().map(|next| next.agent.0).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_eq!(left_out.into_iter().collect::<Vec<_>>(), [AgentIndex(0)]);
}

#[test]
fn what_is_due_together_is_told_together_and_what_is_passed_does_not_count() {
    let bench = Bench::with(&["0 13 * * *", "0 13 * * *", "0 13 * * *", "0 14 * * *"]);
    let wanted = Ahead { from: NOON, to: NOON + 3 * HOUR, limit: 1, each: usize::MAX, only: None };
    let agents = |wanted: &Ahead, passed: &[usize]| -> Vec<usize> {
        let is_passed = |next: &Upcoming| passed.contains(&(next.agent.0 as usize));
        let (found, left_out) = bench.timetable.ahead(wanted, bench.clocks, is_passed);
        assert!(left_out.is_empty());
        found.iter().map(|next| next.agent.0 as usize).collect()
    };
    assert_eq!(agents(&wanted, &[]), [0, 1, 2]);
    assert_eq!(agents(&wanted, &[0, 1]), [2]);
    assert_eq!(agents(&wanted, &[0, 1, 2]), [3]);
    assert_eq!(agents(&Ahead { only: Some(AgentIndex(1)), limit: 9, ..wanted }, &[]), [1]);
}

#[test]
fn upcoming_times_are_merged_and_limited() {
    let bench = Bench::with(&["*/20 * * * *", "every 1800", "0 13 * * *"]);
    let to = NOON + HOUR;
    let all = bench.timetable.upcoming(NOON, to, bench.clocks, 100);
    let times: Vec<_> = all.iter().map(|next| (next.agent.0, next.at.as_secs() - NOON.as_secs())).collect();
    assert_eq!(times, [(0, 1_200), (1, 1_799), (0, 2_400), (1, 3_599), (0, 3_600), (2, 3_600)]);
    assert_eq!(bench.timetable.upcoming(NOON, to, bench.clocks, 2), all[..2]);
    assert_eq!(bench.timetable.upcoming(to, NOON, bench.clocks, 9), []);
}

#[test]
fn an_entry_is_within_its_memory_budget() {
    // In the slot, with an eighth of slack; and in the tree, whose nodes (11 keys, a parent, two counters) are at least
    // 6 full after inserts in order, with one inner node for each 6.
    let slot = wall::Schedules::BYTES_PER_SLOT * 9 / 8;
    let leaf = 11 * size_of::<(Timestamp, AgentIndex)>() + 16;
    let tree = leaf / 6 + (leaf + 12 * 8) / 36;
    assert!(slot + tree <= 128, "{slot} + {tree}");
}

/// What a storm may do.
#[derive(Clone, Debug)]
enum Act {
    Pass(u64),
    Forward(u64),
    Back(u64),
    Reschedule(usize),
    Remove(usize),
    Insert(usize, usize),
}

const FLEET: [&str; 8] = [
    "0 * * * * *",
    "15 12 * * *",
    "0,10,20 6-18 * * 1",
    "*/7 * * * *",
    "* * * * * *",
    "5 0 12-14 * * *",
    "30 2 * * *",
    "every 45",
];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0_u64..4_000_000).prop_map(Act::Pass),
        4 => (0_u64..70_000).prop_map(Act::Pass),
        1 => (0_u64..7_200_000).prop_map(Act::Forward),
        1 => (0_u64..7_200_000).prop_map(Act::Back),
        6 => (0_usize..6).prop_map(Act::Reschedule),
        1 => (0_usize..16).prop_map(Act::Remove),
        2 => ((0_usize..16), (0..FLEET.len())).prop_map(|(slot, which)| Act::Insert(slot, which)),
    ]
}

proptest! {
    #[test]
    fn no_storm_makes_a_fixed_time_come_twice_or_an_agent_flood(acts in prop::collection::vec(act(), 1..120), jitter in 0_u64..120) {
        let mut bench = Bench::new();
        let jitter = Duration::from_secs(jitter);
        let mut last: BTreeMap<(AgentIndex, DueKind), Timestamp> = BTreeMap::new();
        let mut which: BTreeMap<usize, usize> = BTreeMap::new();
        for (slot, expression) in FLEET.iter().enumerate() {
            bench.insert(slot, expression, jitter);
            which.insert(slot, slot);
        }
        let (mut set, mut furthest) = (0_i64, 0_i64);
        for act in acts {
            match act {
                Act::Pass(millis) => bench.pass(Duration::from_millis(millis)),
                Act::Forward(millis) => {
                    bench.set_forward(Duration::from_millis(millis));
                    set += i64::try_from(millis).unwrap();
                }
                // More than a day behind what it once showed would be a wrong clock put right.
                Act::Back(millis) if furthest - set < 16 * 3_600_000 => {
                    bench.set_back(Duration::from_millis(millis));
                    set -= i64::try_from(millis).unwrap();
                }
                Act::Back(_) => {}
                Act::Reschedule(max) => { bench.timetable.reschedule(max); }
                Act::Remove(slot) => {
                    prop_assert_eq!(bench.timetable.remove(AgentIndex::from(slot)), which.remove(&slot).is_some());
                    last.retain(|(agent, _), _| agent.slot() != slot);
                }
                Act::Insert(slot, choice) => {
                    bench.timetable.remove(AgentIndex::from(slot));
                    last.retain(|(agent, _), _| agent.slot() != slot);
                    bench.insert(slot, FLEET[choice], jitter);
                    which.insert(slot, choice);
                }
            }
            furthest = furthest.max(set);
            let mut out = Vec::new();
            let sweep = bench.timetable.take_due(bench.clocks, &mut out);
            prop_assert!(out.is_sorted());
            let agents: BTreeSet<_> = out.iter().map(|due| (due.agent, due.trigger)).collect();
            prop_assert_eq!(agents.len(), out.len(), "one per agent and call");
            prop_assert!(sweep.misfired.is_empty() || matches!(sweep.step, ClockStep::Forward(_)));
            for due in out {
                prop_assert!(due.scheduled_for <= bench.clocks.wall);
                let expression = FLEET[which[&due.agent.slot()]];
                if !expression.starts_with('*') && due.trigger == DueKind::Schedule {
                    let before = last.insert((due.agent, due.trigger), due.scheduled_for);
                    let fixed = Schedule::parse(expression, "UTC").unwrap().is_fixed_time();
                    prop_assert!(!fixed || before.is_none_or(|before| before < due.scheduled_for), "{:?} {}", before, due.scheduled_for);
                }
            }
            prop_assert_eq!(bench.timetable.len(), which.len());
        }
        // Whatever happened, everybody comes again.
        while bench.timetable.reschedule(1) {}
        for slot in which.keys() {
            let next = bench.timetable.next_of(AgentIndex::from(*slot), bench.clocks).unwrap();
            prop_assert!(next.at > bench.clocks.wall, "{:?}", next);
        }
    }
}
