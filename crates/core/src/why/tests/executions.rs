//! Executions: those that have not ended, and every end.

use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::dispatcher::{Before, Holder, Place, Rank};

#[track_caller]
fn explained(account: &AgentAccount, number: u128) -> String {
    let why = of_live_run(account, run(number), NOW).unwrap();
    assert_sound(&why);
    why.to_text()
}

#[test]
fn one_that_runs() {
    let mut account = job("report", Status::Running);
    account.live = vec![runs(1, 2)];
    assert_snapshot!(explained(&account, 1));
    assert_eq!(of_live_run(&account, run(2), NOW), None);
}

#[test]
fn one_that_waits_says_behind_whom_and_why() {
    let mut account = job("report", Status::Queued);
    let cases = [
        (Rank::Priority, 1, 1, "which is more important (priority 1)"),
        (Rank::Ageing, 3, 2, "which has waited for long (priority 3, 2 after ageing)"),
        (Rank::Depth, 3, 3, "which has fewer layers of dependencies below it (priority 3)"),
        (Rank::Earlier, 3, 3, "which came first (priority 3)"),
    ];
    for (by, priority, effective_priority, words) in cases {
        let mut live = waits(1, Reason::WaitingForWorker { workers: 1 });
        let before = Before { run: run(2), agent: name("orders"), by, priority, effective_priority };
        live.standing.place = Some(Place { ahead: 1, priority: 3, level: 3, before: Some(before) });
        account.live = vec![live];
        let text = explained(&account, 1);
        let words = format!("1 execution is ahead of it (priority 3); directly ahead is {} of orders, {words}", run(2));
        assert!(text.contains(&words), "{text}");
    }
    account.live[0].standing.place.as_mut().unwrap().ahead = 0;
    account.holders = vec![Holder { run: run(4), agent: name("import"), running: Duration::from_mins(10) }];
    assert_snapshot!(explained(&account, 1));
}

fn ended(end: &str, text: &str, data: Value) -> EndedAccount {
    EndedAccount {
        run: run(1),
        agent: name("report"),
        end: end.to_owned(),
        at: Some(ago(90)),
        trigger: Trigger::Schedule,
        attempts: u32::from(!matches!(end, "skipped" | "refused")),
        exit: None,
        reason: (!text.is_empty()).then(|| (text.to_owned(), data)),
        last_words: None,
        letter: None,
        again: None,
        now: Some((Status::Idle, Some(NOW.wall + Duration::from_secs(30)))),
        facts: vec![fact(90, "execution.ended", "Execution ended")],
    }
}

fn of(account: &EndedAccount) -> String {
    let why = of_ended_run(account, NOW);
    assert_sound(&why);
    why.to_text()
}

#[test]
fn one_that_succeeded() {
    assert_snapshot!(of(&ended("succeeded", "", Value::Null)));
}

#[test]
fn one_that_failed_or_timed_out_with_its_dead_letter() {
    let data = json!({ "code": "retries_exhausted", "attempts": 4 });
    let mut failed = ended("failed", "all 4 attempts failed, the last one exited with code 3", data);
    failed.letter = Some(letter(7));
    failed.now = Some((Status::Error, None));
    assert_snapshot!(of(&failed));
    failed.end = "timed_out".to_owned();
    failed.letter = Some(LetterAccount { state: "replaying", replay: Some(run(8)), ..letter(7) });
    assert_snapshot!(of(&failed));
}

#[test]
fn one_that_was_skipped_says_for_which_dependencies() {
    let data = json!({ "code": "unhealthy_dependencies", "dependencies": [
        { "dep": "db", "reason": "error", "error": "exited with code 1" }, { "dep": "cache", "reason": "not_started" },
    ] });
    let skipped = ended("skipped", "unhealthy dependencies: db (error), cache (not_started)", data);
    assert_snapshot!(of(&skipped));
    let why = of_ended_run(&skipped, NOW);
    assert_eq!(codes(&why), [(0, "unhealthy_dependencies"), (1, "dependency_was")]);
    assert_eq!(why.chain[1].agent, Some(name("db")));
}

#[test]
fn one_that_gave_way_names_the_other() {
    let overlap = json!({ "code": "overlap", "running": run(5) });
    let why = of_ended_run(&ended("skipped", "execution 5 is still live", overlap), NOW);
    assert_eq!(why.chain[0].run_id, Some(run(5)));
    let superseded = json!({ "code": "superseded", "by": run(6) });
    let why = of_ended_run(&ended("cancelled", "the newer execution 6 took its place", superseded), NOW);
    assert_eq!(why.chain[0].run_id, Some(run(6)));
    // A person is no execution.
    let by = json!({ "code": "by_operator", "by": "cli:ada" });
    let cancelled = ended("cancelled", "asked for by cli:ada", by);
    assert_eq!(of_ended_run(&cancelled, NOW).chain[0].run_id, None);
    assert_snapshot!(of(&cancelled));
}

#[test]
fn one_that_was_refused() {
    let data = json!({ "code": "queue_full", "capacity": 10 });
    assert_snapshot!(of(&ended("refused", "the queue is full (10 waiting; [queue] capacity)", data)));
}

#[test]
fn one_that_was_interrupted_or_lost_says_what_became_of_it() {
    let text = "the orchestrator ended without a shutdown while it ran";
    let mut cut_off = ended("interrupted", text, json!({ "code": "orchestrator_ended" }));
    cut_off.again = Some(run(5));
    assert_snapshot!(of(&cut_off));
    let mut lost = ended("lost", "its actor died: its report was lost", json!({ "code": "actor_died" }));
    lost.letter = Some(letter(7));
    assert_snapshot!(of(&lost));
}
