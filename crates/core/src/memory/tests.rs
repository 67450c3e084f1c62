//! Samples in, words out: a fleet on a bench with a budget of 1,000 bytes, so that ten bytes are a percent.

mod limits;
mod properties;
mod shedding;

use std::time::Duration;

use super::*;
use crate::settings::Memory;
use crate::time::Moment;

const NOTHING: [&str; 0] = [];

fn index(agent: u32) -> AgentIndex {
    AgentIndex(agent)
}

fn process(agent: u32) -> ProcessKey {
    ProcessKey { agent: index(agent), serial: 1 }
}

/// A fleet whose memory the test sets; it does what the ladder asks for at once.
struct Bench {
    ladder: Ladder,
    members: Vec<Member>,
    /// Of each member's one process: bytes, or that they can't be read; none where it has no process.
    #[expect(clippy::option_option, reason = "no process, or one that may not be readable")]
    bytes: Vec<Option<Option<u64>>>,
    own: Option<u64>,
    budget: Option<u64>,
    host: Option<HostReading>,
    settings: Memory,
    now: Moment,
}

impl Bench {
    fn new() -> Self {
        Self {
            ladder: Ladder::default(),
            members: Vec::new(),
            bytes: Vec::new(),
            own: Some(0),
            budget: Some(1_000),
            host: None,
            settings: Memory::default(),
            now: Moment::from_secs(1_000),
        }
    }

    /// An agent with a running process.
    fn with(mut self, priority: Priority, service: bool, bytes: u64) -> Self {
        let agent = index(u32::try_from(self.members.len()).unwrap());
        self.members.push(Member { agent, priority, service, standing: Standing::Open, memory_max: None });
        self.bytes.push(Some(Some(bytes)));
        self
    }

    fn service(self, bytes: u64) -> Self {
        self.with(Priority::Normal, true, bytes)
    }

    fn job(self, bytes: u64) -> Self {
        self.with(Priority::Normal, false, bytes)
    }

    fn sample(&self) -> Sample {
        let trees = (0..).zip(&self.bytes).filter_map(|(agent, bytes)| {
            let bytes = (*bytes)?;
            Some(TreeReading { process: process(agent), bytes })
        });
        Sample { own_bytes: self.own, budget_bytes: self.budget, host: self.host, trees: trees.collect() }
    }

    /// A check a minute after the one before.
    fn check(&mut self) -> Vec<String> {
        self.now = self.now + Duration::from_mins(1);
        let actions = self.ladder.check(&self.sample(), &self.members, &self.settings, self.now);
        actions.iter().map(|action| self.carry_out(action)).collect()
    }

    fn carry_out(&mut self, action: &Action) -> String {
        match action {
            Action::GiveBack => "give back".to_owned(),
            Action::Warn(_) => "warn".to_owned(),
            Action::Critical(_) => "critical".to_owned(),
            Action::Recovered(_) => "recovered".to_owned(),
            Action::Shed { agent, .. } => {
                self.members[agent.slot()].standing = Standing::Shed;
                format!("shed {}", agent.0)
            }
            Action::Enable { agent, .. } => {
                self.members[agent.slot()].standing = Standing::Open;
                format!("enable {}", agent.0)
            }
            Action::RestartForLimit { process, used_bytes, limit_bytes } => {
                format!("end {}: {used_bytes} > {limit_bytes}", process.agent.0)
            }
        }
    }

    /// The same with so much used by the orchestrator alone.
    fn check_at(&mut self, own: u64) -> Vec<String> {
        self.own = Some(own);
        self.check()
    }

    /// The processes of those that were shed have ended.
    fn shed_ones_end(&mut self) {
        for (member, bytes) in self.members.iter().zip(&mut self.bytes) {
            if member.standing == Standing::Shed {
                *bytes = None;
            }
        }
    }

    fn next(&self) -> String {
        self.ladder.next().sentence(|agent| format!("agent {}", agent.0))
    }
}

#[test]
fn every_rung_up_and_down_again() {
    let mut bench = Bench::new();
    let rungs: [(u64, &[&str], Level); 12] = [
        (500, &[], Level::Normal),
        (799, &[], Level::Normal),
        (800, &["give back", "warn"], Level::Warning),
        (850, &["give back"], Level::Warning),
        (760, &[], Level::Warning),
        (900, &["give back", "critical"], Level::Critical),
        (950, &["give back"], Level::Critical),
        (850, &["give back"], Level::Critical),
        (900, &["give back"], Level::Critical),
        (799, &[], Level::Warning),
        (750, &[], Level::Warning),
        (749, &["recovered"], Level::Normal),
    ];
    for (own, words, level) in rungs {
        assert_eq!(bench.check_at(own), words, "at {own}");
        assert_eq!(bench.ladder.level(), level, "at {own}");
    }
}

#[test]
fn who_jumps_to_the_top_has_passed_all_rungs() {
    let mut bench = Bench::new();
    assert_eq!(bench.check_at(5_000), ["give back", "warn", "critical"]);
    assert_eq!(bench.check_at(10), ["recovered"]);
}

#[test]
fn the_larger_of_our_share_and_the_hosts_counts() {
    let mut bench = Bench::new();
    bench.host = Some(HostReading { total_bytes: 10_000, available_bytes: 1_500 });
    assert_eq!(bench.check_at(700), ["give back", "warn"]);
    let usage = bench.ladder.usage().unwrap();
    assert_eq!((usage.percent, usage.cause, usage.used_bytes), (85.0, Cause::Host, 700));
    assert_eq!(bench.check_at(880), ["give back"]);
    assert_eq!(bench.ladder.usage().unwrap().cause, Cause::Budget);
    bench.host = Some(HostReading { total_bytes: 10_000, available_bytes: 5_000 });
    assert_eq!(bench.check_at(600), ["recovered"]);
}

#[test]
fn thresholds_of_a_reload_hold_at_the_next_check() {
    let mut bench = Bench::new();
    assert_eq!(bench.check_at(700), NOTHING);
    bench.settings = Memory { warning_percent: 60, critical_percent: 70, recover_percent: 50, ..Memory::default() };
    assert_eq!(bench.check(), ["give back", "warn", "critical"]);
    bench.settings = Memory::default();
    assert_eq!(bench.check(), ["recovered"]);
}

#[test]
fn what_was_never_measured_is_no_alarm_and_no_all_clear() {
    let mut bench = Bench::new();
    (bench.own, bench.budget) = (None, None);
    assert_eq!(bench.check(), NOTHING);
    assert_eq!(bench.ladder.usage(), None);
    assert_eq!(bench.next(), "the first check");
}

#[test]
fn while_nothing_can_be_read_an_alarm_neither_ends_nor_begins() {
    let mut bench = Bench::new().service(300).with(Priority::Critical, true, 500);
    assert_eq!(bench.check_at(10), ["give back", "warn"]);
    let whole = (bench.own, bench.bytes.clone());
    // All of /proc is unreadable; then it is not.
    (bench.own, bench.bytes) = (None, vec![Some(None); 2]);
    for _ in 0..3 {
        assert_eq!(bench.check(), NOTHING);
        assert_eq!(bench.ladder.level(), Level::Warning);
        assert!((bench.ladder.usage().unwrap().percent - 81.0).abs() < 1e-9, "it is taken for what it was");
    }
    (bench.own, bench.bytes) = whole;
    assert_eq!(bench.check(), ["give back"]);
    bench.bytes[0] = None;
    assert_eq!(bench.check(), ["recovered"], "one that is gone is no riddle");
}

#[test]
fn a_process_that_could_not_be_read_is_as_large_as_it_was() {
    let mut bench = Bench::new().with(Priority::Critical, true, 850);
    assert_eq!(bench.check(), ["give back", "warn"]);
    bench.bytes[0] = Some(None);
    assert_eq!(bench.check(), NOTHING);
    assert_eq!(bench.ladder.level(), Level::Warning);
    bench.bytes[0] = Some(Some(100));
    assert_eq!(bench.check(), ["recovered"]);
    bench.bytes.push(Some(None));
    let newcomer = Member { agent: index(1), ..bench.members[0] };
    bench.members.push(newcomer);
    assert_eq!(bench.check(), NOTHING, "one that was never read is not zero either, but no alarm");
}

#[test]
fn the_host_may_be_unreadable_for_a_while() {
    let mut bench = Bench::new();
    bench.host = Some(HostReading { total_bytes: 100, available_bytes: 15 });
    assert_eq!(bench.check(), ["give back", "warn"]);
    bench.host = None;
    assert_eq!(bench.check(), NOTHING, "ours alone would be 0 %");
    bench.host = Some(HostReading { total_bytes: 100, available_bytes: 50 });
    assert_eq!(bench.check(), ["recovered"]);
}

#[test]
fn usage_and_what_is_next_are_sentences() {
    let mut bench = Bench::new().service(300);
    bench.check();
    assert_eq!(bench.next(), "at 80 % memory is given back and memory.warning is told");
    bench.check_at(550);
    assert_eq!(bench.next(), "at 90 % agents of priority 3 are disabled, agent 0 first");
    let usage = Usage { percent: 82.4, cause: Cause::Budget, used_bytes: 103 << 20, budget_bytes: Some(125 << 20) };
    assert_eq!(usage.to_string(), "82 % of the budget (103 MiB of 125 MiB)");
    let usage = Usage { cause: Cause::Host, used_bytes: 1_700 << 20, ..usage };
    assert_eq!(usage.to_string(), "82 % of the host's memory (1.7 GiB by agents and orchestrator)");
    assert_eq!(serde_json::to_value(usage).unwrap()["percent"], 82.4);
}
