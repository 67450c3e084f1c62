//! An explanation of every status and of every end, as people and programs see it.

mod executions;
mod kept;
mod statuses;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::breaker::BreakerState;
use crate::dispatcher::{Live, RestartRoom, RunStanding};
use crate::reason::Reason;
use crate::spec::{AgentSpec, Program};
use crate::status::Status;
use crate::time::{Clocks, Moment};
use crate::trigger::Trigger;

/// A thousand seconds after the start, at 2027-01-15T08:00:00Z.
const NOW: Clocks = Clocks { steady: Moment::from_secs(1_000), wall: Timestamp::from_millis(1_800_000_000_000) };

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn run(number: u128) -> RunId {
    RunId::from_parts(1_800_000_000_000, number)
}

fn ago(secs: i64) -> Timestamp {
    Timestamp::from_millis(NOW.wall.as_millis() - secs * 1_000)
}

fn steady_ago(secs: u64) -> Moment {
    NOW.steady - Duration::from_secs(secs)
}

fn in_secs(secs: u64) -> Moment {
    NOW.steady + Duration::from_secs(secs)
}

/// `a` in this status, with nothing else known.
fn account(mut spec: AgentSpec, status: Status) -> AgentAccount {
    spec.stop.timeout = Duration::from_secs(10);
    AgentAccount {
        spec: Arc::new(spec),
        status,
        closed: None,
        layer: None,
        live: Vec::new(),
        instances: Vec::new(),
        pids: Vec::new(),
        last: None,
        error: None,
        last_words: None,
        unhealthy: Vec::new(),
        breaker: BreakerState::Closed,
        letters: Vec::new(),
        memory: None,
        probes: Vec::new(),
        restarts: Vec::new(),
        affected: Vec::new(),
        due: None,
        catching_up: 0,
        paused: false,
        shutting_down: false,
        decision: None,
        room: RestartRoom { used: 3, max_restarts: 50, window: Duration::from_hours(1), room_at: None },
        room_used_by: Vec::new(),
        holders: Vec::new(),
        workers: 2,
        ageing: Duration::from_mins(5),
        facts: Vec::new(),
    }
}

fn job(agent: &str, status: Status) -> AgentAccount {
    account(AgentSpec::job_named(name(agent), Program::Shell("true".to_owned())), status)
}

fn service(agent: &str, status: Status) -> AgentAccount {
    account(AgentSpec::service_named(name(agent), Program::Shell("true".to_owned())), status)
}

fn spec(account: &mut AgentAccount) -> &mut AgentSpec {
    Arc::get_mut(&mut account.spec).unwrap()
}

/// An execution that waits for this reason, accepted two minutes ago.
fn waits(number: u128, reason: Reason) -> LiveAccount {
    let trigger = Trigger::Schedule;
    let live = Live { run: run(number), trigger, attempt: 1, running: false, reason: Some(reason) };
    LiveAccount { standing: standing(live), attempt: None, pid: None }
}

/// An execution whose program has run for a minute.
fn runs(number: u128, attempt: u32) -> LiveAccount {
    let trigger = Trigger::Manual { by: "cli:ada".to_owned(), force: false };
    let live = Live { run: run(number), trigger, attempt, running: true, reason: None };
    let standing = RunStanding { granted: Some(steady_ago(60)), ..standing(live) };
    LiveAccount { standing, attempt: None, pid: Some(4_711) }
}

fn standing(live: Live) -> RunStanding {
    RunStanding {
        live,
        instance: None,
        accepted: steady_ago(120),
        granted: None,
        until: None,
        cancelled: None,
        failed: None,
        place: None,
        previous: None,
        wants_room: false,
    }
}

fn last(end: &str, reason: Option<&str>) -> LastRun {
    let (attempts, reason) = (if reason.is_some() { 4 } else { 1 }, reason.map(ToOwned::to_owned));
    LastRun { run: run(9), end: end.to_owned(), at: ago(180), attempts, reason }
}

fn letter(id: u64) -> LetterAccount {
    let error = "all 4 attempts failed, the last one exited with code 3".to_owned();
    LetterAccount { id, run: run(9), at: ago(180), error, state: "open", replay: None }
}

fn fact(secs_ago: i64, topic: &str, text: &str) -> Fact {
    Fact { at: ago(secs_ago), topic: topic.to_owned(), text: text.to_owned() }
}

fn text(account: &AgentAccount) -> String {
    let why = of_agent(account, NOW);
    assert_sound(&why);
    why.to_text()
}

/// What holds for every explanation.
#[track_caller]
fn assert_sound(why: &Why) {
    assert!(!why.chain.is_empty(), "{why:?}");
    assert!(!why.next.is_empty() || why.subject == "execution" || why.state == "running", "{why:?}");
    assert_eq!(why.chain[0].depth, 0);
    for pair in why.chain.windows(2) {
        assert!(pair[1].depth <= pair[0].depth + 1, "a cause belongs to one before it: {why:?}");
    }
    for cause in why.chain.iter().chain(&why.notes) {
        assert!(!cause.code.is_empty() && !cause.text.is_empty() && cause.data.is_object(), "{cause:?}");
    }
    let json = why.to_json();
    assert_eq!(json["text"], why.to_text());
    assert_eq!(json["summary"], why.to_text().lines().next().unwrap());
}

fn codes(why: &Why) -> Vec<(usize, &str)> {
    why.chain.iter().map(|cause| (cause.depth, cause.code.as_str())).collect()
}
