//! `werkpilot why`: the causes, in the words of those who decided.

use std::process::ExitCode;

use serde_json::Value;
use werkpilot_core::suggest;
use werkpilot_runtime::why::kept_why;
use werkpilot_store::Reader;

use super::kept::unreadable;
use super::{Context, now};
use crate::client::Client;
use crate::failure::{Code, Failure};
use crate::output::printable;

/// Explain why an agent or an execution is as it is.
///
/// The first line says it all. Then come the causes, each with the cause of the cause; what belongs to it (restarts
/// lately, who depends on it, who gave it its priority); what follows by itself, and when; what you can do about it; and
/// what happened last. Executions are explained as long as the history has them, and without a running orchestrator, too.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot why agent-sales\n  werkpilot why 0192f0c1-2b7e-7c3a-9d55-0123456789ab\n  werkpilot why agent-sales --json"
)]
pub struct Args {
    /// An agent, or the id of an execution.
    #[arg(value_name = "NAME|RUN")]
    subject: String,
}

/// `werkpilot why`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let online = async |client: &Client| client.get(&["api", "v1", "why", &args.subject], &[]).await;
    let answer = context.online_or_kept(online, |reader| kept(reader, &args.subject))?;
    context.show(&answer, || text(&answer))
}

fn text(answer: &Value) -> String {
    // What a probe or a program said is in it.
    answer["text"].as_str().unwrap_or_default().lines().map(|line| printable(line) + "\n").collect()
}

/// From the disk alone.
fn kept(reader: &Reader, subject: &str) -> Result<Value, Failure> {
    if let Some(why) = kept_why(reader, subject, now()).map_err(unreadable)? {
        return Ok(why.to_json());
    }
    let agents = reader.agents().map_err(unreadable)?;
    let names = agents.iter().map(|state| state.agent.as_str());
    let meant = suggest::closest(subject, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    let what = format!("there is no agent and no execution {subject} in the history{meant}");
    Err(Failure::new(Code::NoInput, what))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_program_said_does_not_steer_the_terminal() {
        let answer = json!({ "text": "a is error\n  it wrote last: \u{1b}[2Jgone\u{7}\n" });
        assert_eq!(text(&answer), "a is error\n  it wrote last: \u{fffd}[2Jgone\u{fffd}\n");
    }
}
