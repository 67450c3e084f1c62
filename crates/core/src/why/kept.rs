//! What can be explained from what was kept alone: while no orchestrator runs, and of agents that are gone.

use super::account::{EndedAccount, LastRun, LetterAccount};
use super::agent::{last_run_cause, letter_cause};
use super::ended::of_ended_run;
use super::link::Link;
use super::{Advice, Cause, FACTS, Fact, Next, Why, outlook};
use crate::agent::{Kept, KeptShed, Switch};
use crate::breaker::KeptState;
use crate::ids::AgentName;
use crate::reason::Reason;
use crate::status::Status;
use crate::time::{Clocks, human};

/// What was kept of an agent.
#[derive(Clone, Debug)]
pub struct KeptAccount {
    /// Its name.
    pub agent: AgentName,
    /// The orchestrator runs, and the registry does not have the agent.
    pub gone: bool,
    /// Its switch, breaker and backoff.
    pub kept: Kept,
    /// The status and the error that the last end of a job left behind, if it was not well.
    pub outcome: Option<(Status, Option<String>)>,
    /// How its last execution ended.
    pub last: Option<LastRun>,
    /// Its dead letters that nobody has taken care of, newest first.
    pub letters: Vec<LetterAccount>,
    /// Triggers that were accepted and wait for the next start.
    pub promised: usize,
    /// What happened last, oldest first.
    pub facts: Vec<Fact>,
}

/// Explains an agent of an orchestrator that does not run, or one that is gone.
pub fn of_kept_agent(account: &KeptAccount, now: Clocks) -> Why {
    let (status, reason) = if account.gone { (Status::Missing, None) } else { closed(account) };
    let nobody = Cause::of(0, if account.gone { &Link::NotInRegistry } else { &Link::NoOrchestrator });
    let (mut chain, mut notes) = (Vec::new(), Vec::new());
    match reason {
        Some(reason) => {
            chain.push(Cause::of_reason(0, &reason));
            let letters = account.letters.iter().take(3).filter(|_| status == Status::DisabledByFailure);
            chain.extend(letters.map(|letter| letter_cause(1, letter, now)));
            notes.push(nobody);
        }
        None => chain.push(nobody),
    }
    let told = |last: &LastRun| matches!(&*last.end, "failed" | "timed_out" | "lost");
    let outcome = account.outcome.as_ref().filter(|_| !account.last.as_ref().is_some_and(told));
    notes.extend(
        outcome.map(|(status, error)| Cause::of(0, &Reason::LastEnd { status: *status, error: error.clone() })),
    );
    notes.extend(account.last.as_ref().map(|last| last_run_cause(0, last, now)));
    if status != Status::DisabledByFailure {
        notes.extend(account.letters.first().map(|letter| letter_cause(0, letter, now)));
    }
    let why = Why {
        subject: "agent",
        agent: account.agent.clone(),
        run_id: None,
        state: status.to_string(),
        since: None,
        summary: String::new(),
        chain,
        notes,
        next: next(account, status, now),
        actions: vec![if account.gone { history(&account.agent) } else { up() }],
        facts: account.facts[account.facts.len().saturating_sub(FACTS)..].to_vec(),
        last_words: account.kept.last_words.clone().filter(|_| !account.gone),
    };
    why.summarize(now.wall)
}

/// Explains an execution that was kept; without an end it was accepted, or ran, when the orchestrator ended.
pub fn of_kept_run(account: &EndedAccount, now: Clocks) -> Why {
    if account.at.is_some() {
        return of_ended_run(account, now);
    }
    let what = if account.state_is_running() { "it is recorded as interrupted" } else { "it is run, or recorded" };
    let text = format!("{what} at the next start");
    let next = Next::once("interrupted", text).on("as on_lost of its agent says");
    let triggered = Cause::of(0, &Link::TriggeredBy { trigger: account.trigger.clone() });
    let why = Why {
        subject: "execution",
        agent: account.agent.clone(),
        run_id: Some(account.run),
        state: account.end.clone(),
        since: None,
        summary: String::new(),
        chain: vec![Cause::of(0, &Link::NoOrchestrator)],
        notes: vec![triggered],
        next: vec![next],
        actions: vec![up()],
        facts: account.facts[account.facts.len().saturating_sub(FACTS)..].to_vec(),
        last_words: None,
    };
    why.summarize(now.wall)
}

impl EndedAccount {
    fn state_is_running(&self) -> bool {
        self.end == "running"
    }
}

fn history(agent: &AgentName) -> Advice {
    Advice { command: format!("werkpilot history --agent {agent}"), effect: "what it did before".to_owned() }
}

fn up() -> Advice {
    Advice { command: "werkpilot up".to_owned(), effect: "starts the orchestrator".to_owned() }
}

/// What keeps it from taking part, if it is more than that nobody is there.
fn closed(account: &KeptAccount) -> (Status, Option<Reason>) {
    let kept = &account.kept;
    if let Some(Switch::Off { by }) = &kept.switch {
        return (Status::Disabled, Some(Reason::ByOperator { by: by.clone() }));
    }
    if let Some(KeptShed { percent, threshold, used_bytes }) = kept.shed {
        return (Status::DisabledByMemory, Some(Reason::MemoryPressure { percent, threshold, used_bytes }));
    }
    if kept.breaker.state == KeptState::Open {
        let (status, why) = (Status::DisabledByFailure, kept.breaker.why.clone().unwrap_or_default());
        return (status, Some(Reason::Disabled { status, why }));
    }
    (Status::Stopped, kept.stopped.then_some(Reason::StoppedByOperator))
}

fn next(account: &KeptAccount, status: Status, now: Clocks) -> Vec<Next> {
    let name = &account.agent;
    let mut next = vec![match status {
        Status::Missing => Next::once("nothing", "nothing, until the registry has it"),
        Status::Disabled => Next::once("nothing", format!("nothing, until `werkpilot enable {name}`")),
        Status::DisabledByMemory => Next::once("comes_back", "it comes back after the next start, if memory allows"),
        Status::DisabledByFailure => {
            let left = outlook::left(account.kept.breaker.left_ms, now.wall.since(account.kept.at));
            let text = if left.is_zero() {
                "one trial at the next start".to_owned()
            } else {
                format!("one trial after the next start, not before {} have passed", human(left))
            };
            Next::once("trial", text)
        }
        _ if account.kept.stopped => Next::once("nothing", format!("nothing, until `werkpilot start {name}`")),
        _ => Next::once("starts", "it takes part after the next start"),
    }];
    if account.promised > 0 {
        let text = format!("{} accepted triggers of it are run after the next start", account.promised);
        next.push(Next::once("promised", text));
    }
    next
}
