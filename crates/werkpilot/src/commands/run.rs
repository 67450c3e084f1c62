//! `werkpilot run`: runs a job now, and waits for its end if that is wanted.

use std::io::Read;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use werkpilot_core::time::human;

use super::{Context, from_ms};
use crate::client::{Client, parse};
use crate::failure::{Code, Failure};
use crate::output::count;

/// Run a job now.
///
/// It queues like any other execution, but it is never skipped because another one is running.
///
/// With --wait the exit code tells how it ended: 0 succeeded, 124 timed out, 75 skipped (unhealthy dependencies, say),
/// 1 anything else. An execution that is not accepted (a full queue, say) is told with its reason, and the exit code is
/// 75, too.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The job.
    name: String,
    /// What its program gets on stdin: the text itself, @FILE for what is in a file, or - for our own stdin.
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    payload: Option<String>,
    /// Run it even if its dependencies are unhealthy.
    #[arg(long)]
    force: bool,
    /// Wait for the end of the execution.
    #[arg(long)]
    wait: bool,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot run report --wait
  werkpilot run import --payload @orders.json
  echo '{\"day\": \"today\"}' | werkpilot run report --payload -";

/// `werkpilot run`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let body = body(args.payload.as_deref().map(payload).transpose()?, args.force);
    context.online(async |client| {
        let answer = client.post(&["api", "v1", "agents", &args.name, "trigger"], Some(body)).await?;
        let run = match (answer["admission"].as_str(), answer["runId"].as_str()) {
            (Some("accepted"), Some(run)) => run.to_owned(),
            _ => return Err(not_accepted(&args.name, &answer)),
        };
        if !args.wait {
            return context.show(&answer, || {
                format!("{} is queued as {run}\n`werkpilot why {run}` tells how it goes", args.name)
            });
        }
        let ended = client.follow(&["api", "v1", "executions", &run, "wait"], &[]).await?;
        let ended: Value = ended.json().await.map_err(|error| {
            Failure::new(Code::Unavailable, format!("the orchestrator ended before execution {run} did: {error}"))
        })?;
        let end: Ended = parse(ended["data"].clone())?;
        let reason = if end.end == "succeeded" { None } else { reason(&client, &run).await };
        context.show(&ended, || end.text(&args.name, &run, reason.as_deref()))?;
        Ok(end.code())
    })
}

fn not_accepted(name: &str, answer: &Value) -> Failure {
    let (word, message) =
        (answer["admission"].as_str().unwrap_or("refused"), answer["message"].as_str().unwrap_or("?"));
    Failure::new(Code::Refused, format!("the execution of {name} was {word}: {message}"))
        .hint(format!("`werkpilot why {name}` tells more; --force overrides unhealthy dependencies"))
}

/// What the client reads of the end of an execution.
#[derive(Debug, Deserialize)]
struct Ended {
    end: String,
    attempts: u32,
    duration_ms: Option<f64>,
}

impl Ended {
    fn text(&self, name: &str, run: &str, reason: Option<&str>) -> String {
        let took = self.duration_ms.map(|ms| format!(" in {}", human(from_ms(ms)))).unwrap_or_default();
        let attempts = count(self.attempts as usize, "attempt");
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{name} {}{took}, {attempts}{reason}\n`werkpilot logs {name} --run {run}` shows its output", self.end)
    }

    fn code(&self) -> ExitCode {
        match self.end.as_str() {
            "succeeded" => ExitCode::SUCCESS,
            "timed_out" => Code::TimedOut.into(),
            "skipped" | "refused" => Code::Refused.into(),
            _ => Code::Failed.into(),
        }
    }
}

async fn reason(client: &Client, run: &str) -> Option<String> {
    let why = client.get(&["api", "v1", "why", run], &[]).await.ok()?;
    Some(why["chain"][0]["text"].as_str()?.to_owned())
}

/// Text, `@FILE` or `-`.
pub fn payload(argument: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map(|_| bytes)
            .map_err(|error| Failure::new(Code::Io, format!("failed to read the payload from stdin: {error}"))),
        (_, Some(file)) => std::fs::read(file).map_err(|error| {
            Failure::new(Code::NoInput, format!("failed to read the payload from {file}: {error}"))
                .hint("--payload @FILE reads a file; a text that begins with @ can come through stdin (-)")
        }),
        (text, None) => Ok(text.as_bytes().to_vec()),
    }
}

fn body(payload: Option<Vec<u8>>, force: bool) -> Value {
    let mut body = payload_body(payload);
    body["force"] = json!(force);
    body
}

/// A payload as the API takes it: text, or what is no text as base64.
pub fn payload_body(payload: Option<Vec<u8>>) -> Value {
    match payload.map(String::from_utf8) {
        None => json!({}),
        Some(Ok(text)) => json!({ "payload": text }),
        Some(Err(bytes)) => json!({ "payloadBase64": STANDARD.encode(bytes.as_bytes()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_no_text_is_sent_as_base64() {
        assert_eq!(body(None, true), json!({ "force": true }));
        assert_eq!(body(Some(b"text".to_vec()), false), json!({ "payload": "text", "force": false }));
        assert_eq!(body(Some(vec![0xff]), false), json!({ "payloadBase64": "/w==", "force": false }));
    }

    #[test]
    fn a_payload_is_a_text_or_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file").unwrap();
        assert_eq!(payload("text").unwrap(), b"text");
        assert_eq!(payload(&format!("@{}", file.path().display())).unwrap(), b"from a file");
        assert_eq!(payload("@not/there").unwrap_err().code, Code::NoInput);
    }
}
