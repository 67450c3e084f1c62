//! `werkpilot request`: asks an agent, and shows its answer.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use werkpilot_bus::subject;
use werkpilot_config::parse_duration;
use werkpilot_core::ids::AgentName;
use werkpilot_core::settings::Bus;
use werkpilot_core::suggest;
use werkpilot_core::time::{as_ms, human};

use super::message::{self, Header};
use super::{Context, agents, now};
use crate::bus_client::{Answer, BusClient, Received, ServerOption};
use crate::client::Client;
use crate::failure::{Code, Failure};
use crate::find;
use crate::output::{self, printable};

/// Ask an agent, and show its answer.
///
/// The request goes to the subject rpc.AGENT, or rpc.AGENT.ENDPOINT. The answer is shown as it is, and on a terminal
/// with indentation if it is JSON. With --json it is an object: from, headers (every name with its values), payload (or
/// payloadBase64 where it is no text), and latencyMs.
///
/// Exit codes: 0 there is an answer, 1 the agent answered with an error, 69 nobody listens, 75 the agent is unavailable
/// (its status and the reason are told), 124 there was no answer in time.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The agent, maybe with one of its endpoints.
    #[arg(value_name = "AGENT[.ENDPOINT]")]
    agent: String,
    /// What it is asked: JSON, or - for our own stdin, which may have anything; empty without it.
    #[arg(value_name = "JSON|-", allow_hyphen_values = true)]
    payload: Option<String>,
    /// How long to wait for the answer; the agent is told (`Werkpilot-Deadline`). Otherwise it is `request_timeout` in
    /// [bus] of the orchestrator's settings, and 5s on another bus.
    #[arg(long, value_name = "TIME", value_parser = patience)]
    timeout: Option<Duration>,
    /// A header; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    #[command(flatten)]
    server: ServerOption,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot request agent-analytics '{\"month\": \"2026-11\"}'
  werkpilot request agent-analytics.summary --timeout 30s --json
  werkpilot request agent-import - < orders.csv";

/// The header by which the agent knows how long its answer is waited for.
const DEADLINE: &str = "Werkpilot-Deadline";
/// What is shown of the payload of an error; it is for people.
const MOST_SHOWN: usize = 4_096;

fn patience(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0s".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

/// `werkpilot request`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let subject = subject(&args.agent)?;
    if let Some(text) = args.payload.as_deref().filter(|text| *text != "-") {
        check_json(text)?;
    }
    let payload = message::payload(args.payload.as_deref())?;
    args.server.with(context, "werkpilot request", async |mut bus| {
        let timeout = match args.timeout {
            Some(timeout) => timeout,
            None if bus.is_of_orchestrator() => of_settings(context).await,
            None => Bus::default().request_timeout,
        };
        let headers = headers(&args.headers, timeout, &bus);
        let begun = Instant::now();
        let Some(answer) = bus.request(&subject, &headers, &payload, timeout).await? else {
            return Err(no_answer(&args.agent, &subject, timeout));
        };
        let latency = begun.elapsed();
        match answer.answer() {
            Answer::Given => show(&answer, latency, context),
            Answer::NoResponders => {
                // Only the orchestrator knows who else there is.
                let known = if bus.is_of_orchestrator() { known(context).await } else { Vec::new() };
                Err(nobody_listens(&args.agent, &subject, &known))
            }
            Answer::Error { code, message } => Err(error(&args.agent, code, &message, &answer.payload)),
        }
    })
}

/// The subject of an agent or an endpoint of it.
fn subject(agent: &str) -> Result<String, Failure> {
    let (name, endpoint) = agent.split_once('.').map_or((agent, None), |(name, endpoint)| (name, Some(endpoint)));
    let hint = "`werkpilot agents` lists them; `werkpilot pub` sends to any subject";
    AgentName::new(name).map_err(|error| Failure::new(Code::Usage, format!("no agent: {error}")).hint(hint))?;
    if let Some(endpoint) = endpoint.filter(|endpoint| !subject::is_valid_subject(endpoint.as_bytes())) {
        let what =
            format!("`{endpoint}` is no endpoint: it is words with dots between them, without spaces and wildcards");
        return Err(Failure::new(Code::Usage, what));
    }
    Ok(format!("rpc.{agent}"))
}

/// Shells take quotes away, which is noticed here and not by the agent.
fn check_json(text: &str) -> Result<(), Failure> {
    let checked = serde_json::from_str::<serde::de::IgnoredAny>(text);
    checked.map(drop).map_err(|error| {
        Failure::new(Code::Usage, format!("the request is no JSON: {error}"))
            .hint("quote it for the shell, such as '{\"id\": 7}'; anything else than JSON can come through stdin (-)")
    })
}

/// `[bus] request_timeout` as it is in force in the running orchestrator, else its default.
async fn of_settings(context: &Context) -> Duration {
    let asked = async {
        let client = Client::connect(&find::state_dir(&context.options).ok()?).ok()?;
        let settings = client.get(&["api", "v1", "config"], &[]).await.ok()?;
        let setting = settings.as_array()?.iter().find(|setting| setting["key"] == "bus.request_timeout")?;
        parse_duration(setting["value"].as_str()?).ok()
    };
    asked.await.unwrap_or(Bus::default().request_timeout)
}

fn headers(given: &[Header], timeout: Duration, bus: &BusClient) -> Vec<u8> {
    let mut headers = message::block(given);
    let is_given = given.iter().any(|header| header.name.eq_ignore_ascii_case(DEADLINE));
    if bus.has_headers() && !is_given {
        headers = headers.with(DEADLINE, &(now() + timeout).to_string());
    }
    message::bytes(&headers)
}

fn show(answer: &Received, latency: Duration, context: &Context) -> Result<ExitCode, Failure> {
    if context.out.json {
        let mut object = message::object(answer);
        object.insert("latencyMs".to_owned(), json!(as_ms(latency)));
        output::print_json(&Value::Object(object))?;
    } else if std::io::stdout().is_terminal() {
        let text = message::pretty(&answer.payload);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(&answer.payload).into_owned());
        output::print(&text.lines().map(printable).collect::<Vec<_>>().join("\n"))?;
    } else {
        message::write(&answer.payload)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the agents, if the orchestrator tells them.
async fn known(context: &Context) -> Vec<String> {
    let Ok(client) = find::state_dir(&context.options).and_then(|dir| Client::connect(&dir)) else { return Vec::new() };
    let agents = agents::all(&client, &[]).await.unwrap_or_default();
    agents.iter().filter_map(|agent| agent["name"].as_str().map(ToOwned::to_owned)).collect()
}

fn no_answer(agent: &str, subject: &str, patience: Duration) -> Failure {
    let name = agent.split('.').next().unwrap_or(agent);
    Failure::new(Code::TimedOut, format!("no answer on {subject} within {}", human(patience)))
        .hint(format!("--timeout gives it more time; `werkpilot logs {name}` shows what it does"))
}

fn nobody_listens(agent: &str, subject: &str, known: &[String]) -> Failure {
    let failure = Failure::new(Code::Unavailable, format!("no agent listens on {subject}"));
    let name = agent.split('.').next().unwrap_or(agent);
    if known.iter().any(|known| known == name) {
        return failure.hint(format!("{name} has to subscribe to {subject}; `werkpilot why {name}` tells how it is"));
    }
    match suggest::closest(name, known.iter().map(String::as_str)) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None if known.is_empty() => failure.hint(format!("an agent gets requests when it subscribes to {subject}")),
        None => failure.hint("`werkpilot agents` lists them"),
    }
}

fn error(agent: &str, code: u16, message: &str, payload: &[u8]) -> Failure {
    let name = agent.split('.').next().unwrap_or(agent);
    let (message, is_unavailable) = (printable(message), code == 503);
    let mut failure = if is_unavailable {
        Failure::new(Code::Refused, format!("{name} is unavailable: {message}"))
            .hint(format!("`werkpilot why {name}` tells more"))
    } else {
        Failure::new(Code::Failed, format!("{name} answered with error {code}: {message}"))
    };
    let text = String::from_utf8_lossy(&payload[..payload.len().min(MOST_SHOWN)]);
    if !text.trim().is_empty() {
        failure = failure.report(text.trim().lines().map(printable).collect::<Vec<_>>().join("\n"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_the_subject_of_the_agent() {
        assert_eq!(subject("agent-sales").unwrap(), "rpc.agent-sales");
        assert_eq!(subject("agent-sales.report.daily").unwrap(), "rpc.agent-sales.report.daily");
        let told: Vec<String> =
            ["", "Sales", "a..b", "a.*", "a.b c"].map(|bad| subject(bad).unwrap_err().to_string()).into();
        insta::assert_snapshot!(told.join(""), @r"
        error: no agent: a name must not be empty
         hint: `werkpilot agents` lists them; `werkpilot pub` sends to any subject
        error: no agent: `Sales` has `S` at position 1; allowed are a-z, 0-9, and after the first character also `_` and `-`
         hint: `werkpilot agents` lists them; `werkpilot pub` sends to any subject
        error: `.b` is no endpoint: it is words with dots between them, without spaces and wildcards
        error: `*` is no endpoint: it is words with dots between them, without spaces and wildcards
        error: `b c` is no endpoint: it is words with dots between them, without spaces and wildcards
        ");
    }

    #[test]
    fn what_is_no_json_is_told_before_anybody_is_asked() {
        check_json("{\"id\": 7}").unwrap();
        check_json("7").unwrap();
        insta::assert_snapshot!(check_json("{id: 7}").unwrap_err(), @r#"
        error: the request is no JSON: key must be a string at line 1 column 2
         hint: quote it for the shell, such as '{"id": 7}'; anything else than JSON can come through stdin (-)
        "#);
    }

    #[test]
    fn why_there_is_no_answer_is_told() {
        let known = ["agent-sales".to_owned(), "db".to_owned()];
        let all = [
            nobody_listens("agent-slaes.report", "rpc.agent-slaes.report", &known),
            nobody_listens("db", "rpc.db", &known),
            nobody_listens("nothing-near", "rpc.nothing-near", &known),
            nobody_listens("db", "rpc.db", &[]),
            no_answer("db.query", "rpc.db.query", Duration::from_millis(1_500)),
            error("db.query", 503, "disabled_by_failure: exited with code 1", b""),
            error("db", 400, "bad\u{1b}[2J query", b"{\"at\": 3}\n"),
        ];
        let told: Vec<String> = all.iter().map(|failure| format!("{}\n{failure}", failure.code as u8)).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        69
        error: no agent listens on rpc.agent-slaes.report
         hint: did you mean `agent-sales`?

        69
        error: no agent listens on rpc.db
         hint: db has to subscribe to rpc.db; `werkpilot why db` tells how it is

        69
        error: no agent listens on rpc.nothing-near
         hint: `werkpilot agents` lists them

        69
        error: no agent listens on rpc.db
         hint: an agent gets requests when it subscribes to rpc.db

        124
        error: no answer on rpc.db.query within 1.5s
         hint: --timeout gives it more time; `werkpilot logs db` shows what it does

        75
        error: db is unavailable: disabled_by_failure: exited with code 1
         hint: `werkpilot why db` tells more

        1
        {"at": 3}
        error: db answered with error 400: bad�[2J query
        "#);
    }

    #[test]
    fn a_time_out_has_a_unit_and_is_longer_than_nothing() {
        assert_eq!(patience("1m30s"), Ok(Duration::from_secs(90)));
        assert!(patience("0s").is_err() && patience("5").is_err());
    }
}
