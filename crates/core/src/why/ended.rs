//! Executions that have ended: why they did so, and what followed.

use serde_json::Value;

use super::account::EndedAccount;
use super::agent::letter_cause;
use super::link::Link;
use super::{Advice, Cause, FACTS, Next, Why};
use crate::ids::RunId;
use crate::status::Status;
use crate::time::{Clocks, Timestamp};

/// Fields of reasons that name another execution.
const RUNS: [&str; 4] = ["running", "waiting", "by", "run"];

/// Explains an execution that has ended.
pub fn of_ended_run(account: &EndedAccount, now: Clocks) -> Why {
    let triggered = Cause::of(0, &Link::TriggeredBy { trigger: account.trigger.clone() });
    let (mut chain, mut notes) = (Vec::new(), Vec::new());
    match (&account.reason, &account.exit) {
        (Some((text, data)), _) => {
            chain.push(reason(text.clone(), data.clone()));
            chain.extend(dependencies(data));
            notes.push(triggered);
        }
        (None, _) => chain.push(triggered),
    }
    notes.extend(account.letter.as_ref().map(|letter| letter_cause(0, letter, now)));
    notes.extend(account.again.map(|run| Cause::of(0, &Link::RunAgain { run }).of_run(run)));
    notes.extend(account.now.map(|(status, _)| Cause::of(0, &Link::AgentNow { status }).about(&account.agent)));
    let why = Why {
        subject: "execution",
        agent: account.agent.clone(),
        run_id: Some(account.run),
        state: account.end.clone(),
        since: account.at,
        summary: String::new(),
        chain,
        notes,
        next: next(account, now.wall),
        actions: advice(account),
        facts: account.facts[account.facts.len().saturating_sub(FACTS)..].to_vec(),
        last_words: account.last_words.clone(),
    };
    why.summarize(now.wall)
}

fn reason(text: String, data: Value) -> Cause {
    let other = RUNS.iter().find_map(|field| data.get(field)?.as_str()?.parse::<RunId>().ok());
    let cause = Cause::kept(0, text, data);
    match other {
        Some(run) => cause.of_run(run),
        None => cause,
    }
}

/// How the dependencies were for which it was skipped.
fn dependencies(data: &Value) -> Vec<Cause> {
    let Some(list) = data.get("dependencies").and_then(Value::as_array) else { return Vec::new() };
    let text = |dependency: &Value, field: &str| dependency.get(field)?.as_str().map(ToOwned::to_owned);
    let causes = list.iter().filter_map(|one| {
        let error = Some(text(one, "error")?);
        let (dependency, reason) = (text(one, "dep")?, text(one, "reason")?);
        let name = crate::ids::AgentName::new(&dependency).ok()?;
        Some(Cause::of(1, &Link::DependencyWas { dependency, reason, error }).about(&name))
    });
    causes.collect()
}

fn next(account: &EndedAccount, now: Timestamp) -> Vec<Next> {
    let due = account.now.and_then(|(_, due)| due);
    due.map(|at| Next { agent: Some(account.agent.clone()), ..Next::at_wall("due", at, now, "its agent is due") })
        .into_iter()
        .collect()
}

fn advice(account: &EndedAccount) -> Vec<Advice> {
    let (run, agent) = (account.run, &account.agent);
    let mut all = Vec::new();
    if account.attempts > 0 {
        all.push(Advice { command: format!("werkpilot logs {run}"), effect: "what it wrote".to_owned() });
    }
    if let Some(letter) = account.letter.as_ref().filter(|letter| letter.state == "open") {
        let command = format!("werkpilot dlq replay {}", letter.id);
        all.push(Advice { command, effect: "runs it again, with its payload".to_owned() });
    } else if matches!(&*account.end, "skipped" | "refused" | "cancelled" | "interrupted" | "lost")
        && account.again.is_none()
        && account.now.is_some_and(|(status, _)| status != Status::Disabled)
    {
        all.push(Advice { command: format!("werkpilot run {agent}"), effect: "runs its agent now".to_owned() });
    }
    if account.now.is_some_and(|(status, _)| status != Status::Idle) {
        all.push(Advice { command: format!("werkpilot why {agent}"), effect: "how its agent is now".to_owned() });
    }
    all
}
