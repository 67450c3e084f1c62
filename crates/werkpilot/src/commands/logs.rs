//! `werkpilot logs`: what an agent wrote.

use std::process::ExitCode;

use futures_util::StreamExt;
use serde::Deserialize;
use werkpilot_core::time::Timestamp;

use super::Context;
use crate::failure::{Code, Failure};
use crate::output::{self, Output, printable};

/// Show what an agent wrote to stdout and stderr.
///
/// A line is its time, `O` for stdout or `E` for stderr, and the text. With --json it is an object per line.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot logs agent-sales -f\n  werkpilot logs report --run 0192f0c1-2b7e-7c3a-9d55-0123456789ab"
)]
pub struct Args {
    /// The agent.
    name: String,
    /// Go on with what it writes from now on.
    #[arg(short, long)]
    follow: bool,
    /// So many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    lines: usize,
    /// Only lines of this execution.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

/// What the client reads of a line.
#[derive(Debug, Deserialize)]
struct Line {
    time: Timestamp,
    stream: String,
    text: String,
}

/// `werkpilot logs`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let mut query = vec![("lines", args.lines.to_string())];
    query.extend(args.run.clone().map(|run| ("run", run)));
    if args.follow {
        query.push(("follow", "true".to_owned()));
    }
    context.online(async |client| {
        let mut body = client.follow(&["api", "v1", "agents", &args.name, "logs"], &query).await?.bytes_stream();
        let mut pending = Vec::new();
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => pending.extend_from_slice(&chunk),
                // While following, the end of the orchestrator is the end of the log.
                Err(_) if args.follow => break,
                Err(error) => {
                    return Err(Failure::new(
                        Code::Unavailable,
                        format!("the log of {} was cut off: {error}", args.name),
                    ));
                }
            }
            let complete = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            print(&pending[..complete], context.out)?;
            pending.drain(..complete);
        }
        print(&pending, context.out)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints complete lines in one go.
fn print(lines: &[u8], out: Output) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    let lines = String::from_utf8_lossy(lines);
    if out.json {
        return output::print(&lines);
    }
    let text: Vec<String> = lines.lines().filter(|line| !line.trim().is_empty()).map(readable).collect();
    output::print(&text.join("\n"))
}

fn readable(line: &str) -> String {
    match serde_json::from_str::<Line>(line) {
        Ok(line) => {
            let letter = if line.stream == "stderr" { "E" } else { "O" };
            format!("{} {letter} {}", line.time, printable(&line.text))
        }
        Err(_) => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_time_its_stream_and_its_text() {
        let line = r#"{"time":"2026-11-21T08:40:00.123Z","stream":"stderr","run":"0123456789ab","text":"two words"}"#;
        assert_eq!(readable(line), "2026-11-21T08:40:00.123Z E two words");
    }
}
