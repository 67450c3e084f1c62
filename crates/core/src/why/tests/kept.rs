//! What the disk alone explains.

use insta::assert_snapshot;

use super::*;
use crate::agent::{Kept, KeptShed, Switch};
use crate::breaker::{KeptBreaker, KeptState};

fn kept(kept: Kept) -> KeptAccount {
    let agent = name("report");
    KeptAccount {
        agent,
        gone: false,
        kept,
        outcome: None,
        last: None,
        letters: Vec::new(),
        promised: 0,
        facts: Vec::new(),
    }
}

fn of(account: &KeptAccount) -> String {
    let why = of_kept_agent(account, NOW);
    assert_sound(&why);
    why.to_text()
}

#[test]
fn an_agent_without_an_orchestrator() {
    let mut account = kept(Kept::default());
    account.last = Some(last("failed", Some("all 4 attempts failed, the last one exited with code 3")));
    account.outcome = Some((Status::Error, Some("all 4 attempts failed".to_owned())));
    account.letters = vec![letter(7)];
    account.promised = 2;
    assert_snapshot!(of(&account));
}

#[test]
fn an_agent_that_was_disabled_when_the_orchestrator_ended() {
    let first = |account: &KeptAccount| of(account).lines().next().unwrap().to_owned();
    let off = Kept { switch: Some(Switch::Off { by: "cli:ada".to_owned() }), ..Kept::default() };
    assert_snapshot!(first(&kept(off)), @"report is disabled: asked for by cli:ada; next: nothing, until `werkpilot enable report`");
    let shed = Kept { shed: Some(KeptShed { percent: 93, threshold: 90, used_bytes: 400 << 20 }), ..Kept::default() };
    assert_snapshot!(first(&kept(shed)), @"report is disabled_by_memory: memory is short: 93 % is used ([memory] critical_percent = 90), 400 MiB of it by this agent; next: it comes back after the next start, if memory allows");
    let stopped = Kept { stopped: true, ..Kept::default() };
    assert_snapshot!(first(&kept(stopped)), @"report is stopped: stopped by an operator (start it with `werkpilot start`); next: nothing, until `werkpilot start report`");
    let why = Some("3 dead letters in a row".to_owned());
    let breaker = KeptBreaker { state: KeptState::Open, left_ms: 600_000, why, ..KeptBreaker::default() };
    let mut open = kept(Kept { at: ago(60), breaker, ..Kept::default() });
    open.letters = vec![letter(7)];
    assert_snapshot!(of(&open));
}

#[test]
fn an_agent_that_is_gone() {
    let mut account = kept(Kept::default());
    account.gone = true;
    account.last = Some(last("succeeded", None));
    assert_snapshot!(of(&account));
}

#[test]
fn an_execution_that_was_cut_off_by_the_end_of_the_orchestrator() {
    let account = EndedAccount {
        run: run(1),
        agent: name("report"),
        end: "running".to_owned(),
        at: None,
        trigger: Trigger::Schedule,
        attempts: 1,
        exit: None,
        reason: None,
        last_words: None,
        letter: None,
        again: None,
        now: None,
        facts: Vec::new(),
    };
    let why = of_kept_run(&account, NOW);
    assert_sound(&why);
    assert_snapshot!(why.to_text());
}
