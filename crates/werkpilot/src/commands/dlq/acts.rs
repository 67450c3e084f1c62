//! What is done about dead letters: replay, edit, discard.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{FilterArgs, ReplayArgs};
use crate::client::{Client, parse};
use crate::commands::Context;
use crate::commands::run::{payload, payload_body};
use crate::failure::{Code, Failure};
use crate::output::{count, print_json};

const LETTERS: [&str; 3] = ["api", "v1", "dead-letters"];
/// Between two looks at the progress.
const LOOK: Duration = Duration::from_millis(200);

/// What the client reads of the replay of a set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    id: u64,
    state: String,
    over: bool,
    by: String,
    total: u64,
    succeeded: u64,
    failed: u64,
    passed_over: u64,
    under_way: u64,
    left: u64,
}

impl Progress {
    /// `replay 3: 20 dead letters, 17 succeeded, 3 failed, stopped with 4 left`.
    pub fn text(&self) -> String {
        let mut text =
            format!("replay {}: {}", self.id, count(usize::try_from(self.total).unwrap_or(0), "dead letter"));
        let parts = [
            (self.succeeded, "succeeded"),
            (self.failed, "failed"),
            (self.passed_over, "passed over"),
            (self.under_way, "under way"),
            (self.left, "left"),
        ];
        for (number, word) in parts {
            if number > 0 {
                let _ = write!(text, ", {number} {word}");
            }
        }
        match self.state.as_str() {
            "stopped" => text.push_str("; stopped, too many failed"),
            "cancelled" => text.push_str("; cancelled"),
            _ => {}
        }
        text
    }

    /// The cells of its row: number, state, by whom, and the counts.
    pub fn row(&self) -> Vec<String> {
        let counts = [self.total, self.succeeded, self.failed, self.passed_over, self.left];
        let mut row = vec![self.id.to_string(), self.state.clone(), self.by.clone()];
        row.extend(counts.map(|number| number.to_string()));
        row
    }

    fn code(&self) -> ExitCode {
        if self.state == "finished" && self.failed == 0 { ExitCode::SUCCESS } else { Code::Failed.into() }
    }
}

fn path<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    LETTERS.iter().copied().chain(rest.iter().copied()).collect()
}

fn nothing_meant(verb: &str) -> Failure {
    Failure::new(Code::Usage, format!("say which dead letters to {verb}"))
        .hint("give their numbers, a filter such as --agent NAME or --since 2h, or --all")
}

/// `werkpilot dlq replay`.
pub fn replay(args: &ReplayArgs, context: &Context) -> Result<ExitCode, Failure> {
    if args.ids.is_empty() {
        return replay_many(args, context);
    }
    if !args.filter.is_empty() || args.all {
        return Err(Failure::new(Code::Usage, "give numbers or a filter, not both"));
    }
    let body = json!({ "force": args.force, "whenHealthy": args.when_healthy, "stopWaiting": args.stop_waiting });
    if args.dry_run {
        return context.show(&json!({ "dryRun": true, "ids": args.ids }), || said(args.ids.len(), "would be replayed"));
    }
    for_each(&args.ids, "replay", Some(&body), context)
}

fn replay_many(args: &ReplayArgs, context: &Context) -> Result<ExitCode, Failure> {
    if args.filter.is_empty() && !args.all {
        return Err(nothing_meant("replay"));
    }
    let body = json!({
        "filter": args.filter.json(), "all": args.all, "rate": args.rate, "stopAfter": args.stop_after,
        "force": args.force, "dryRun": args.dry_run, "whenHealthy": args.when_healthy,
    });
    context.online(async |client| {
        let answer = client.post(&path(&["replay"]), Some(body)).await?;
        if args.dry_run {
            return dry_run(&answer, "would be replayed", context);
        }
        if let Some(waiting) = answer["waiting"].as_u64() {
            let agent = args.when_healthy.as_deref().unwrap_or_default();
            let waiting = usize::try_from(waiting).unwrap_or(0);
            return context.show(&answer, || format!("{} once {agent} is healthy", said(waiting, "will be replayed")));
        }
        let mut answer = answer;
        let mut progress: Progress = parse(answer.clone())?;
        if args.detach {
            return context.show(&answer, || progress.text());
        }
        let id = progress.id.to_string();
        let line = !context.out.json && std::io::stderr().is_terminal();
        while !progress.over {
            if line {
                // Nothing is lost if nobody reads it.
                let _ = write!(std::io::stderr(), "\r\x1b[K{}", progress.text());
            }
            tokio::time::sleep(LOOK).await;
            answer = client.get(&path(&["replay", &id]), &[]).await?;
            progress = parse(answer.clone())?;
        }
        if line {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        context.show(&answer, || progress.text())?;
        Ok(progress.code())
    })
}

/// `werkpilot dlq replays`.
pub fn replays(replay: Option<u64>, cancel: bool, context: &Context) -> Result<ExitCode, Failure> {
    context.online(async |client| {
        let Some(id) = replay.map(|id| id.to_string()) else {
            let answer = client.get(&path(&["replay"]), &[]).await?;
            let all: Vec<Progress> = parse(answer["replays"].clone())?;
            return context.show(&answer, || {
                let header = ["replay", "state", "by", "letters", "succeeded", "failed", "passed over", "left"];
                if all.is_empty() {
                    return "no set of dead letters was replayed since the start".to_owned();
                }
                context.out.table(&header, all.iter().map(Progress::row))
            });
        };
        let answer = if cancel {
            client.post(&path(&["replay", &id, "cancel"]), None).await?
        } else {
            client.get(&path(&["replay", &id]), &[]).await?
        };
        let progress: Progress = parse(answer.clone())?;
        context.show(&answer, || progress.text())
    })
}

/// `werkpilot dlq edit`.
pub fn edit(id: u64, text: Option<&str>, replay: bool, context: &Context) -> Result<ExitCode, Failure> {
    let body = payload_body(text.map(payload).transpose()?);
    let number = id.to_string();
    context.online(async |client| {
        let mut answer = client.post(&path(&[&number, "edit"]), Some(body)).await?;
        let mut text = message(&answer);
        if replay {
            answer = client.post(&path(&[&number, "replay"]), None).await?;
            text = format!("{text}\n{}", message(&answer));
        }
        context.show(&answer, || text)
    })
}

/// `werkpilot dlq discard`.
pub fn discard(ids: &[u64], filter: &FilterArgs, all: bool, dry: bool, context: &Context) -> Result<ExitCode, Failure> {
    match (ids, filter.is_empty() && !all) {
        ([], true) => Err(nothing_meant("discard")),
        ([], false) => context.online(async |client| {
            let body = json!({ "filter": filter.json(), "all": all, "dryRun": dry });
            let answer = client.post(&path(&["discard"]), Some(body)).await?;
            if dry {
                return dry_run(&answer, "would be thrown away", context);
            }
            context.show(&answer, || {
                let discarded = usize::try_from(answer["discarded"].as_u64().unwrap_or(0)).unwrap_or(0);
                let kept = answer["passedOver"].as_u64().unwrap_or(0);
                let kept =
                    if kept > 0 { format!(", {kept} not, since something is done about them") } else { String::new() };
                format!("{}{kept}", said(discarded, "thrown away"))
            })
        }),
        (_, false) => Err(Failure::new(Code::Usage, "give numbers or a filter, not both")),
        (ids, true) if dry => {
            context.show(&json!({ "dryRun": true, "ids": ids }), || said(ids.len(), "would be thrown away"))
        }
        (ids, true) => for_each(ids, "discard", None, context),
    }
}

/// One after the other; the first one that can't be is the end.
fn for_each(ids: &[u64], verb: &str, body: Option<&Value>, context: &Context) -> Result<ExitCode, Failure> {
    context.online(async |client: Client| {
        let mut answers = Vec::new();
        for id in ids {
            answers.push(client.post(&path(&[&id.to_string(), verb]), body.cloned()).await?);
        }
        if context.out.json {
            // One letter, one object: as the API answers.
            return match &answers[..] {
                [one] => print_json(one),
                all => print_json(&all),
            }
            .map(|()| ExitCode::SUCCESS);
        }
        let lines: Vec<String> = answers.iter().map(message).collect();
        context.show(&answers, || lines.join("\n"))
    })
}

fn dry_run(answer: &Value, verb: &str, context: &Context) -> Result<ExitCode, Failure> {
    context.show(answer, || {
        let ids: Vec<String> = answer["ids"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        let which = if ids.is_empty() { String::new() } else { format!(": {}", ids.join(" ")) };
        format!("{}{which}", said(ids.len(), verb))
    })
}

fn said(number: usize, what: &str) -> String {
    format!("{} {what}", count(number, "dead letter"))
}

fn message(answer: &Value) -> String {
    answer["message"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_line() {
        let value = json!({
            "id": 3, "state": "stopped", "over": true, "by": "cli:anna", "total": 20, "succeeded": 12, "failed": 3,
            "passedOver": 1, "underWay": 0, "left": 4,
        });
        let progress: Progress = parse(value).unwrap();
        insta::assert_snapshot!(progress.text(), @"replay 3: 20 dead letters, 12 succeeded, 3 failed, 1 passed over, 4 left; stopped, too many failed");
        assert_eq!(progress.code(), Code::Failed.into());
    }
}
