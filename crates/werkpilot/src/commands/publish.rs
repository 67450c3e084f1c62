//! `werkpilot pub`: says something on the bus.

use std::process::ExitCode;

use serde_json::json;

use super::Context;
use super::message::{self, Header};
use crate::bus_client::ServerOption;
use crate::failure::Failure;
use crate::output::bytes;

/// Publish a message on the bus.
///
/// It goes to everybody who listens to its subject, which may be nobody: the bus keeps no messages. `werkpilot request`
/// asks for an answer.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The subject: words with dots between them.
    subject: String,
    /// What it says: the text itself, or - for our own stdin; empty without it.
    #[arg(allow_hyphen_values = true)]
    payload: Option<String>,
    /// A header; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    /// The subject on which answers are awaited (by `werkpilot sub`, say).
    #[arg(long, value_name = "SUBJECT")]
    reply: Option<String>,
    #[command(flatten)]
    server: ServerOption,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot pub orders.new '{\"id\": 7}'
  werkpilot pub orders.new --header 'Content-Type: text/csv' - < orders.csv
  werkpilot pub news hello --server nats://localhost:4222";

/// `werkpilot pub`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let payload = message::payload(args.payload.as_deref())?;
    let headers = message::bytes(&message::block(&args.headers));
    args.server.with(context, "werkpilot pub", async |mut bus| {
        bus.publish(&args.subject, args.reply.as_deref(), &headers, &payload)?;
        bus.flush().await.map(drop)
    })?;
    let told = json!({ "subject": args.subject, "payloadBytes": payload.len() });
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
    context.show(&told, || format!("published {} on {}", bytes(payload.len() as f64), args.subject))
}
