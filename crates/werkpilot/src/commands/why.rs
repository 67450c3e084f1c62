//! `werkpilot why`: the causes, in the words of those who decided.

use std::process::ExitCode;

use super::Context;
use crate::failure::Failure;

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
    let answer = context.online(async |client| client.get(&["api", "v1", "why", &args.subject], &[]).await)?;
    context.show(&answer, || answer["text"].as_str().unwrap_or_default().to_owned())
}
