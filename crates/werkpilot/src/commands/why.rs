//! `werkpilot why`: the causes, in the words of those who decided.

use std::process::ExitCode;

use serde_json::Value;
use werkpilot_core::ids::RunId;
use werkpilot_runtime::state::{ExecutionView, FactQuery, kept_facts};
use werkpilot_store::Reader;

use super::Context;
use super::kept::unreadable;
use crate::client::Client;
use crate::failure::{Code, Failure};

/// Explain why an agent or an execution is as it is.
///
/// It tells the cause, the cause of the cause, what happens next, and what happened last.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot why agent-sales\n  werkpilot why 0192f0c1-2b7e-7c3a-9d55-0123456789ab"
)]
pub struct Args {
    /// An agent, or the id of an execution.
    #[arg(value_name = "NAME|RUN")]
    subject: String,
}

/// `werkpilot why`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let online = async |client: &Client| client.get(&["api", "v1", "why", &args.subject], &[]).await;
    let Ok(run) = args.subject.parse() else {
        let answer = context.online(async |client| online(&client).await)?;
        return show(&answer, context);
    };
    let answer = context.online_or_kept(online, |reader| kept(reader, run))?;
    show(&answer, context)
}

/// An execution's causes, from the disk alone.
fn kept(reader: &Reader, run: RunId) -> Result<Value, Failure> {
    let row = reader.execution(run).map_err(unreadable)?;
    let view = row.map(ExecutionView::from);
    let view =
        view.ok_or_else(|| Failure::new(Code::NoInput, format!("there is no execution {run} in the history")))?;
    let query = FactQuery { run: Some(run), ..FactQuery::default() };
    let facts = kept_facts(reader, &query).map_err(unreadable)?.events;
    let why = werkpilot_runtime::state::why(view, facts);
    let mut answer = serde_json::to_value(&why).unwrap_or_default();
    answer["text"] = Value::String(why.to_text());
    Ok(answer)
}

fn show(answer: &Value, context: &Context) -> Result<ExitCode, Failure> {
    context.show(answer, || answer["text"].as_str().unwrap_or_default().to_owned())
}
