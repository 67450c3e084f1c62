//! What `werkpilot dlq` takes.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use werkpilot_core::dead_letters::LetterState;
use werkpilot_core::time::Timestamp;

use crate::commands::kept::past;

/// The dead letters: what failed for good. Look at them, replay them, throw them away.
///
/// A dead letter is an execution whose last attempt failed, with all that is needed to understand it and to run it again.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the dead letters.
    ///
    /// The newest is the last one. Errors that came several times are shown once more, with their number.
    #[command(after_long_help = LIST)]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// At most so many, the newest ones.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// Only those before this one.
        #[arg(long, value_name = "ID")]
        before: Option<u64>,
    },
    /// List the errors, each once, with how often it came.
    ///
    /// Numbers, ids, paths and quoted words of an error are folded away, so that the same failure is one line.
    #[command(after_long_help = "Examples:\n  werkpilot dlq groups\n  werkpilot dlq groups --since 2h")]
    Groups {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show a dead letter with everything that is known of it.
    ///
    /// That is every attempt, the payload, the dependencies, and the end of its log.
    #[command(
        after_long_help = "Examples:\n  werkpilot dlq show 7\n  werkpilot dlq show 7 --json | jq -r .executionData.payload"
    )]
    Show {
        /// Its number.
        id: u64,
    },
    /// Replay dead letters: run them again, with their payloads.
    ///
    /// By number, at once; or all that a filter means, oldest first, at a rate, until too many fail: then it waits for the
    /// end, and the exit code is 0 if all of them succeeded. A replay that fails leaves its letter open. A letter whose
    /// payload killed its agent three times is parked, and is replayed only with --force.
    #[command(after_long_help = REPLAY)]
    Replay(ReplayArgs),
    /// Show how replays of many letters go, or cancel one.
    #[command(after_long_help = "Examples:\n  werkpilot dlq replays\n  werkpilot dlq replays 3 --cancel")]
    Replays {
        /// Which.
        replay: Option<u64>,
        /// Begin no more of it; what is under way goes on.
        #[arg(long, requires = "replay")]
        cancel: bool,
    },
    /// Give a dead letter another payload, for its next replay.
    #[command(after_long_help = EDIT)]
    Edit {
        /// Its number.
        id: u64,
        /// What its program gets on stdin: the text itself, @FILE for what is in a file, or - for our own stdin.
        #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true, required_unless_present = "no_payload")]
        payload: Option<String>,
        /// Its program gets nothing on stdin.
        #[arg(long, conflicts_with = "payload")]
        no_payload: bool,
        /// Replay it right away.
        #[arg(long)]
        replay: bool,
    },
    /// Throw dead letters away, by number or by filter.
    #[command(after_long_help = DISCARD)]
    Discard {
        /// Their numbers.
        #[arg(value_name = "ID")]
        ids: Vec<u64>,
        #[command(flatten)]
        filter: FilterArgs,
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Only say which.
        #[arg(long)]
        dry_run: bool,
    },
}

const LIST: &str = "\
Examples:
  werkpilot dlq list
  werkpilot dlq list --agent agent-sales --since 2h
  werkpilot dlq list --state open,parked --text timeout";

const REPLAY: &str = "\
Examples:
  werkpilot dlq replay 7
  werkpilot dlq replay --agent agent-sales --since 2h --dry-run
  werkpilot dlq replay --signature 'exited with code <n>' --rate 2/s --stop-after 1
  werkpilot dlq replay --agent agent-sales --when-healthy agent-db";

const EDIT: &str = "\
Examples:
  werkpilot dlq edit 7 --payload @order.json --replay
  werkpilot dlq show 7 --json | jq -r .executionData.payload | sed s/old/new/ | werkpilot dlq edit 7 --payload -";

const DISCARD: &str = "\
Examples:
  werkpilot dlq discard 7 8
  werkpilot dlq discard --state replayed
  werkpilot dlq discard --all --dry-run";

/// What `werkpilot dlq replay` takes.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Their numbers.
    #[arg(value_name = "ID")]
    pub ids: Vec<u64>,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// All that are open.
    #[arg(long)]
    pub all: bool,
    /// Also those that are parked or were replayed with success.
    #[arg(long)]
    pub force: bool,
    /// Not more than so many begins a second, or a minute: 10/s, 30/m.
    #[arg(long, value_name = "N/s", value_parser = rate, default_value = "10/s")]
    pub rate: f64,
    /// Stop at so many failures; 0 for never.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub stop_after: u32,
    /// Not now, but once this agent is healthy.
    #[arg(long, value_name = "AGENT")]
    pub when_healthy: Option<String>,
    /// Do not wait for anybody's health any more.
    #[arg(long, conflicts_with = "when_healthy", requires = "ids")]
    pub stop_waiting: bool,
    /// Only say which.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait for the end; `werkpilot dlq replays` tells how it goes.
    #[arg(long)]
    pub detach: bool,
}

/// Which letters are meant.
#[derive(Debug, Default, Args)]
pub struct FilterArgs {
    /// Only those of this agent.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only those with this error signature.
    #[arg(long, value_name = "TEXT")]
    pub signature: Option<String>,
    /// Only those in these states: open, waiting, replaying, replayed, parked.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = LetterState::ALL.map(LetterState::as_str))]
    pub state: Vec<String>,
    /// Only those given up since: "2h" ago, a day, or a time.
    #[arg(long, value_name = "TIME", value_parser = past)]
    pub since: Option<Timestamp>,
    /// Only those given up before: "7d" ago, a day, or a time.
    #[arg(long, value_name = "TIME", value_parser = past)]
    pub until: Option<Timestamp>,
    /// Only those with this text in error, log or payload.
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
}

impl FilterArgs {
    /// Its parts, as the API names them.
    pub fn parts(&self) -> Vec<(&'static str, String)> {
        let parts = [
            ("agent", self.agent.clone()),
            ("signature", self.signature.clone()),
            ("state", (!self.state.is_empty()).then(|| self.state.join(","))),
            ("since", self.since.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
            ("text", self.text.clone()),
        ];
        parts.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// The same as a JSON object.
    pub fn json(&self) -> Value {
        let parts = self.parts().into_iter().map(|(key, value)| (key.to_owned(), json!(value)));
        Value::Object(parts.collect::<Map<_, _>>())
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.parts().is_empty()
    }
}

/// `10/s`, `10`, `30/m`, as begins a second.
fn rate(text: &str) -> Result<f64, String> {
    let wrong = || "write how many a second or a minute: 10/s, 0.5/s, 30/m".to_owned();
    let (number, per) = text.split_once('/').unwrap_or((text, "s"));
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let rate = match per.trim() {
        "s" | "sec" | "second" => number,
        "m" | "min" | "minute" => number / 60.0,
        _ => return Err(wrong()),
    };
    if rate > 0.0 && rate.is_finite() { Ok(rate) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_as_people_say_it() {
        assert_eq!([rate("10/s"), rate("10"), rate("0.5/s"), rate("30/m")], [Ok(10.0), Ok(10.0), Ok(0.5), Ok(0.5)]);
        assert!(["", "0/s", "-1/s", "10/h", "fast", "inf/s"].iter().all(|text| rate(text).is_err()));
    }
}
