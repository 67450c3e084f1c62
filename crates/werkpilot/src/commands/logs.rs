//! `werkpilot logs`: what an agent wrote.

use std::process::ExitCode;

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::ids::RunId;
use werkpilot_core::time::Timestamp;
use werkpilot_process::logs;

use super::Context;
use super::history::one;
use super::kept::unreadable;
use crate::failure::{Code, Failure};
use crate::find;
use crate::output::{self, Output, printable};

/// Lines that the API tells at once at most.
const MOST: usize = 10_000;

/// Show what an agent, or one of its executions, wrote to stdout and stderr.
///
/// A line is its time, `O` for stdout or `E` for stderr, and the text. With --json it is an object per line.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot logs agent-sales -f\n  werkpilot logs 0192f0c1-2b7e-7c3a-9d55-0123456789ab"
)]
pub struct Args {
    /// The agent, or the id of an execution.
    #[arg(value_name = "NAME|RUN")]
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
    if let Ok(run) = args.name.parse()
        && !args.follow
    {
        return of_run(run, args, context);
    }
    // Whoever follows an execution follows its agent.
    let (name, run) = match args.name.parse::<RunId>() {
        Ok(run) => (one(run, context)?.agent.to_string(), Some(run.to_string())),
        Err(_) => (args.name.clone(), args.run.clone()),
    };
    let mut query = vec![("lines", args.lines.min(MOST).to_string())];
    query.extend(run.map(|run| ("run", run)));
    if args.follow {
        query.push(("follow", "true".to_owned()));
    }
    context.online(async |client| {
        let mut body = client.follow(&["api", "v1", "agents", &name, "logs"], &query).await?.bytes_stream();
        let mut pending = Vec::new();
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => pending.extend_from_slice(&chunk),
                // While following, the end of the orchestrator is the end of the log.
                Err(_) if args.follow => break,
                Err(error) => {
                    return Err(Failure::new(Code::Unavailable, format!("the log of {name} was cut off: {error}")));
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

/// What an execution wrote, also where no orchestrator runs.
fn of_run(run: RunId, args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let query = [("lines", args.lines.min(MOST).to_string())];
    let online = async |client: &crate::client::Client| {
        client.get_text(&["api", "v1", "executions", &run.to_string(), "logs"], &query).await
    };
    let logs_dir = find::state_dir(&context.options)?.join("logs");
    let lines = context.online_or_kept(online, |reader| {
        let execution = reader.execution(run).map_err(unreadable)?;
        let execution = execution.ok_or_else(|| Failure::new(Code::NoInput, format!("there is no execution {run}")))?;
        let lines = logs::read_tail(&logs_dir, &execution.agent, Some(&run), args.lines);
        let lines = lines.map_err(|error| Failure::of(Code::Io, &error))?;
        Ok(lines.iter().map(as_json).collect())
    })?;
    if lines.trim().is_empty() {
        // On stderr: a script that reads the log gets what there is of it.
        eprintln!(
            "nothing that execution {run} wrote is there: it wrote nothing, or its lines made room for newer ones"
        );
    }
    print(lines.as_bytes(), context.out)?;
    Ok(ExitCode::SUCCESS)
}

/// As the orchestrator sends it.
fn as_json(line: &logs::LogLine) -> String {
    let stream = if line.stream == logs::LogStream::Stderr { "stderr" } else { "stdout" };
    format!("{}\n", json!({ "time": line.time, "stream": stream, "run": line.run, "text": line.text }))
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
