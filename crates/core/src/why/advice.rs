//! What a person may do about it: commands, with what each does.

use super::Advice;
use super::account::{AgentAccount, LiveAccount};
use crate::reason::Reason;
use crate::status::Status;

fn advise(command: String, effect: &str) -> Advice {
    Advice { command, effect: effect.to_owned() }
}

/// What a person may do about an agent.
pub(super) fn of_agent(account: &AgentAccount) -> Vec<Advice> {
    if account.shutting_down {
        return Vec::new();
    }
    let name = account.name();
    let is_job = account.spec.job().is_some();
    let logs = || advise(format!("werkpilot logs {name}"), "what it wrote");
    let again = if is_job {
        advise(format!("werkpilot run {name}"), "runs it now")
    } else {
        advise(format!("werkpilot start {name}"), "starts it now")
    };
    let letter = account
        .letters
        .first()
        .map(|letter| advise(format!("werkpilot dlq show {}", letter.id), "what failed, with the end of its log"));
    let mut all = match account.status {
        Status::Disabled => vec![advise(format!("werkpilot enable {name}"), "it takes part again")],
        Status::DisabledByFailure => {
            let enable = advise(format!("werkpilot enable {name}"), "closes its breaker, and it takes part again");
            [Some(logs()), letter, Some(enable)].into_iter().flatten().collect()
        }
        Status::DisabledByMemory => {
            let effect = "it takes part at once, however short memory is";
            vec![
                advise("werkpilot status".to_owned(), "who uses memory"),
                advise(format!("werkpilot start {name}"), effect),
            ]
        }
        Status::Stopped if account.layer.is_some() => Vec::new(),
        Status::Stopped => vec![advise(format!("werkpilot start {name}"), "it takes part again")],
        Status::Error | Status::Timeout | Status::Missing => {
            [Some(logs()), letter, Some(again)].into_iter().flatten().collect()
        }
        Status::BackingOff if is_job => vec![logs()],
        Status::BackingOff => vec![logs(), again],
        Status::Unhealthy => vec![logs(), advise(format!("werkpilot restart {name}"), "ends it and starts it now")],
        Status::Queued => waits(account, account.waiting().next()),
        Status::Starting | Status::Stopping => vec![logs()],
        Status::Running if !account.restarts.is_empty() => vec![logs()],
        Status::Running | Status::Idle => Vec::new(),
    };
    if account.paused && is_job {
        all.push(advise("werkpilot resume".to_owned(), "triggers of all agents work again"));
    }
    if let Some(decision) = &account.decision {
        let command = format!("werkpilot optimize --undo {}", decision.id);
        all.push(advise(command, "gives it the registry's priority again"));
    }
    all
}

fn waits(account: &AgentAccount, live: Option<&LiveAccount>) -> Vec<Advice> {
    let name = account.name();
    match live.and_then(|live| live.standing.live.reason.as_ref()) {
        Some(Reason::UnhealthyDependencies { .. }) => {
            let forced = match account.spec.job() {
                Some(_) => advise(format!("werkpilot run {name} --force"), "runs it whatever its dependencies are"),
                None => advise(format!("werkpilot start {name} --force"), "starts it whatever its dependencies are"),
            };
            let asked = account.unhealthy.iter().map(|unhealthy| {
                advise(format!("werkpilot why {}", unhealthy.problem.dep), "more about what it waits for")
            });
            asked.chain([forced]).collect()
        }
        _ if account.spec.job().is_some() => vec![advise("werkpilot queue".to_owned(), "all that waits, in order")],
        _ => Vec::new(),
    }
}

/// What a person may do about an execution that has not ended.
pub(super) fn of_live(account: &AgentAccount, live: &LiveAccount) -> Vec<Advice> {
    if live.standing.live.running {
        return vec![advise(format!("werkpilot logs {}", live.standing.live.run), "what it wrote")];
    }
    waits(account, Some(live))
}
