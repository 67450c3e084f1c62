//! `werkpilot bus`: the message bus alone, for programs that only need to talk.

use std::net::SocketAddr;
use std::process::ExitCode;

use werkpilot::bus::{Access, BusAlone, BusError, Listening};

use super::Context;
use crate::failure::{Code, Failure};
use crate::output;

/// Run the message bus alone.
///
/// It speaks the NATS client protocol, so that every NATS client is its SDK; there is no registry and there are no rules
/// about who may say what, and it stamps nothing. It runs in the foreground until SIGTERM or SIGINT; then clients are
/// told to look for another server (lame-duck mode) before they are disconnected.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Where clients connect; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4222")]
    listen: SocketAddr,
    /// Only clients with this user name may connect.
    #[arg(long, value_name = "NAME", requires = "pass")]
    user: Option<String>,
    /// The user's password.
    #[arg(long, value_name = "PASSWORD", requires = "user", env = "WERKPILOT_BUS_PASSWORD", hide_env_values = true)]
    pass: Option<String>,
    /// Only clients with this token may connect.
    #[arg(long, value_name = "TOKEN", conflicts_with = "user", env = "WERKPILOT_BUS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The largest message, with its headers.
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = bytes)]
    max_payload: u64,
    /// A client that was silent for so long is pinged.
    #[arg(long, value_name = "DURATION", hide = true, default_value = "2m", value_parser = werkpilot_config::parse_duration)]
    ping_interval: std::time::Duration,
    /// Serve /varz and /connz there, with nats-server's field names.
    #[arg(long, value_name = "ADDR")]
    monitor: Option<SocketAddr>,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot bus
  werkpilot bus --listen 127.0.0.1:0 --token s3cret
  werkpilot bus --monitor 127.0.0.1:8222 & curl -s localhost:8222/varz";

/// `1048576` or `1MiB`. nats-server takes up to 64 MiB.
fn bytes(text: &str) -> Result<u64, String> {
    const MOST: u64 = 64 * 1_024 * 1_024;
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1_024,
        "MiB" => 1_024 * 1_024,
        _ => return Err(format!("`{unit}` is no unit; write bytes, or KiB or MiB, such as 1MiB")),
    };
    let number: u64 = number.parse().map_err(|_| "it begins with a number, such as 1MiB".to_owned())?;
    match number.checked_mul(factor) {
        Some(0) | None => Err("between 1 byte and 64 MiB".to_owned()),
        Some(bytes) if bytes > MOST => Err("between 1 byte and 64 MiB".to_owned()),
        Some(bytes) => Ok(bytes),
    }
}

/// `werkpilot bus`.
pub fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let access = match (args.user, args.pass, args.token) {
        (Some(user), Some(password), _) => Access::Password { user, password },
        (_, _, Some(token)) => Access::Token(token),
        _ => Access::Open,
    };
    let json = context.out.json;
    let alone = BusAlone {
        listen: args.listen,
        access,
        max_payload: args.max_payload,
        ping_interval: args.ping_interval,
        monitor: args.monitor,
    };
    werkpilot::bus::run(alone, |listening| tell(listening, json)).map_err(|error| failure(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn tell(listening: &Listening, json: bool) {
    let bus = format!("nats://{}", listening.bus);
    let monitor = listening.monitor.map(|address| format!("http://{address}"));
    // A terminal that was closed meanwhile is no reason to stop.
    let _ = if json {
        output::print_json(&serde_json::json!({ "bus": bus, "monitor": monitor }))
    } else {
        let monitor = monitor.map(|url| format!("monitor {url}\n")).unwrap_or_default();
        output::print(&format!("bus {bus}\n{monitor}"))
    };
}

fn failure(error: &BusError) -> Failure {
    let code = match error {
        BusError::Listen { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => Code::NoPermission,
        BusError::Listen { .. } => Code::Unavailable,
        BusError::Start(_) | BusError::Signals(_) | BusError::EventLoop(_) => Code::Internal,
    };
    let failure = Failure::of(code, error);
    match error {
        BusError::Listen { .. } => failure.hint("another address: --listen 127.0.0.1:0 takes a free port"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_in_bytes_or_has_a_unit() {
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("8KiB"), Ok(8_192));
        for bad in ["", "0", "MiB", "1MB", "65MiB", "99999999999999999999"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
