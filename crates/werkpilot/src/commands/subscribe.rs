//! `werkpilot sub`: listens to the bus.

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use werkpilot_config::parse_duration;
use werkpilot_core::time::human;

use super::Context;
use super::message;
use crate::bus_client::{BusClient, Event, Received, ServerOption};
use crate::failure::{Code, Failure};
use crate::output::{count, printable};

/// Listen to the bus.
///
/// A message is a line: its subject, who sent it (- where the bus does not tell), and what it says. It ends with Ctrl-C,
/// after --count messages, or when the time is over, which is a failure (exit code 124) only if --count messages were
/// awaited. When the bus goes away, it ends, too (exit code 69).
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The subject, or a pattern: * stands for one word, > for all the rest.
    pattern: String,
    /// Share the messages with all who listen as the same group: each goes to one of them.
    #[arg(long, value_name = "GROUP")]
    queue: Option<String>,
    /// End after so many messages.
    #[arg(long, short = 'n', value_name = "NUMBER")]
    count: Option<NonZeroU64>,
    /// End after this time.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Only what the messages say, as it is; a newline is added where there is none.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    server: ServerOption,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot sub 'agent.>'                   See all events of agents.
  werkpilot sub 'orders.*' --raw | jq .id
  werkpilot sub orders.new --queue workers --count 10 --timeout 1m";

/// How messages are shown.
#[derive(Clone, Copy)]
enum Form {
    Line,
    Raw,
    Json,
}

/// `werkpilot sub`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let form = match (args.raw, context.out.json) {
        (true, _) => Form::Raw,
        (_, true) => Form::Json,
        _ => Form::Line,
    };
    args.server.with(context, "werkpilot sub", async |bus| listen(args, form, bus).await)
}

async fn listen(args: &Args, form: Form, mut bus: BusClient) -> Result<ExitCode, Failure> {
    let caught = |error| Failure::new(Code::Internal, format!("failed to catch signals: {error}"));
    let mut int = signal(SignalKind::interrupt()).map_err(caught)?;
    let mut term = signal(SignalKind::terminate()).map_err(caught)?;
    bus.subscribe(&args.pattern, args.queue.as_deref(), args.count)?;
    let mut events = bus.flush().await?;
    // For scripts and people who want to know when it can be talked to; stdout is for messages only.
    eprintln!("listening to {}", args.pattern);
    let over = async {
        match args.timeout {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut left = args.count.map(NonZeroU64::get);
    loop {
        let mut shown = Vec::new();
        for event in events.drain(..) {
            if let (Event::Message { message, .. }, Some(1..) | None) = (event, left) {
                form.show(&message, &mut shown);
                left = left.map(|left| left - 1);
            }
        }
        message::write(&shown)?;
        if left == Some(0) {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            come = bus.next_all(&mut events) => come?,
            () = &mut over => return left.map_or(Ok(ExitCode::SUCCESS), |left| Err(too_few(args, left))),
            _ = int.recv() => return Ok(ExitCode::SUCCESS),
            _ = term.recv() => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn too_few(args: &Args, missing: u64) -> Failure {
    let time = args.timeout.map(human).unwrap_or_default();
    let missing = count(usize::try_from(missing).unwrap_or(usize::MAX), "message");
    Failure::new(Code::TimedOut, format!("{missing} on {} did not come within {time}", args.pattern))
}

impl Form {
    /// Appends a message and a line end.
    fn show(self, message: &Received, into: &mut Vec<u8>) {
        let subject = String::from_utf8_lossy(&message.subject);
        match self {
            Self::Raw => {
                into.extend_from_slice(&message.payload);
                if !message.payload.ends_with(b"\n") {
                    into.push(b'\n');
                }
            }
            Self::Json => {
                let mut object = message::object(message);
                object.insert("subject".to_owned(), json!(subject));
                object.insert("reply".to_owned(), json!(message.reply.as_deref().map(String::from_utf8_lossy)));
                into.extend(format!("{}\n", serde_json::Value::Object(object)).bytes());
            }
            Self::Line => {
                let payload = String::from_utf8_lossy(&message.payload);
                // What has several lines is still one.
                let payload = payload.trim_end().replace("\r\n", "\\n").replace('\n', "\\n");
                let line = format!("{subject}  {}  {payload}", message.from().unwrap_or("-"));
                into.extend(format!("{}\n", printable(line.trim_end())).bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_bus::protocol::Headers;

    use super::*;

    fn shown(form: Form, headers: &Headers, payload: &[u8]) -> String {
        let (headers, payload) = (message::bytes(headers), payload.to_vec());
        let message = Received { subject: b"orders.new".to_vec(), reply: Some(b"r".to_vec()), headers, payload };
        let mut into = Vec::new();
        form.show(&message, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn a_message_is_a_line() {
        let from = Headers::new().with("Werkpilot-From", "sales");
        assert_eq!(shown(Form::Line, &from, b"{\"id\": 7}\n"), "orders.new  sales  {\"id\": 7}\n");
        assert_eq!(shown(Form::Line, &Headers::new(), b"two\nlines\x1b[2J"), "orders.new  -  two\\nlines\u{fffd}[2J\n");
        assert_eq!(shown(Form::Line, &Headers::new(), b""), "orders.new  -\n");
        assert_eq!(shown(Form::Raw, &from, b"as it is"), "as it is\n");
        assert_eq!(shown(Form::Raw, &from, b"\n\n"), "\n\n");
    }

    #[test]
    fn a_message_for_programs_has_everything() {
        let shown = shown(Form::Json, &Headers::new().with("A", "1"), b"x\ny");
        insta::assert_snapshot!(shown, @r#"
        {"from":null,"headers":{"A":["1"]},"payload":"x\ny","reply":"r","subject":"orders.new"}
        "#);
    }

    #[test]
    fn what_did_not_come_is_told() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let cli = <Cli as clap::Parser>::parse_from(["sub", "a.>", "--count", "3", "--timeout", "90s"]);
        assert_eq!(too_few(&cli.args, 2).what, "2 messages on a.> did not come within 1m 30s");
    }
}
