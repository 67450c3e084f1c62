//! `werkpilot up`: the orchestrator, in the foreground.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;

use werkpilot::{Options, Prepared, RunError, StartError, Summary};
use werkpilot_store::{LockError, OpenError};
use werkpilot_web::{BindError, Exposure};

use super::{Context, RegistryOption, load, source};
use crate::client::user;
use crate::failure::{Code, Failure};
use crate::output::count;

/// Start the fleet of a registry, and keep it running.
///
/// It runs in the foreground until SIGTERM, SIGINT or `werkpilot down`. Registry and settings are read first; if anything is wrong with them, everything that is wrong is told and nothing is
/// started (exit code 78). SIGHUP, `werkpilot reload` and a change of the files read them again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    registry: RegistryOption,
    /// Set a setting, before environment and file; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Do not watch the files for changes.
    #[arg(long)]
    no_watch: bool,
    /// Let the dashboard be reached from other machines without TLS, where all can be read on its way.
    #[arg(long)]
    insecure: bool,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot up --registry registry --config werkpilot.toml
  werkpilot up --set dashboard.listen=127.0.0.1:8080 --set queue.workers=4
  WERKPILOT_LOG=debug werkpilot up";

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value, such as queue.workers=4")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// `werkpilot up`.
pub fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let source = source(&context.options, args.registry.registry, &args.set);
    let loaded = load(&source, "; nothing was started")?;
    let exposure = if args.insecure { Exposure::Insecure } else { Exposure::Safe };
    let options = Options { watch: !args.no_watch, exposure, ..Options::default() };
    werkpilot::run(&source, loaded, options, starting).map_err(|error| failure(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn starting(prepared: &Prepared) {
    let summary = prepared.summary();
    let program = std::env::args().next().unwrap_or_else(|| "werkpilot".to_owned());
    if std::io::stdout().is_terminal() {
        // Only here: a log would keep it.
        let login = prepared.login_link(&user());
        // A terminal that was closed meanwhile is no reason to stop the fleet.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), text(summary, &program, Some(&login)).as_bytes());
    } else {
        text(summary, &program, None)
            .lines()
            .filter(|line| !line.is_empty())
            .for_each(|line| log::info!(target: "werkpilot", "{line}"));
    }
}

/// `program`: what was typed to get here, so that the hint can be typed as it stands.
fn text(summary: &Summary, program: &str, login: Option<&str>) -> String {
    let (agents, layers) = (count(summary.agents, "agent"), count(summary.layers, "layer"));
    let departments = count(summary.departments, "department");
    let mut text = format!("Werkpilot {}: {agents} in {layers} and {departments}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "  dashboard       {}", summary.url);
    if let Some(login) = login {
        let _ = writeln!(text, "  log in          {login}");
        let _ = writeln!(text, "                  (once, within five minutes; `{program} login` makes another link)");
    }
    let _ = writeln!(text, "  bus             {}", summary.bus_url);
    let _ = writeln!(text, "  control socket  {}", summary.control_socket.display());
    let _ = writeln!(text, "  state           {}", summary.state_dir.display());
    let _ = writeln!(text, "  `{program} status` tells how it is, `{program} logs NAME -f` what an agent writes");
    text
}

fn failure(error: &RunError) -> Failure {
    let failure = Failure::of(code(error), error);
    match error {
        RunError::State(LockError::Locked { .. }) => {
            failure.hint("`werkpilot down` ends it; a second one needs a state folder of its own (--state-dir DIR)")
        }
        RunError::State(_) | RunError::Log { .. } => {
            failure.hint("name another state folder: --state-dir DIR, or [state] dir in werkpilot.toml")
        }
        _ => failure,
    }
}

fn code(error: &RunError) -> Code {
    match error {
        RunError::State(LockError::Locked { .. })
        | RunError::Start(StartError::Bind(BindError::AlreadyRunning { .. })) => Code::Refused,
        RunError::State(_) | RunError::Log { .. } => Code::CantCreate,
        RunError::Start(StartError::Bind(
            BindError::NotLoopback { .. } | BindError::Unencrypted { .. } | BindError::Tls(_),
        )) => Code::Config,
        RunError::Start(StartError::Bind(_)) => Code::Unavailable,
        RunError::Start(StartError::Survivors(_)) => Code::Io,
        RunError::Start(StartError::Store(error)) => store_code(error),
        RunError::Start(_) | RunError::EventLoop(_) => Code::Internal,
    }
}

/// What can't be opened is told apart from what can't be read or written.
fn store_code(error: &OpenError) -> Code {
    match error {
        OpenError::Newer { .. } | OpenError::NotOurs { .. } | OpenError::Damaged { .. } => Code::Data,
        _ => Code::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_up_text_says_where_everything_is() {
        let summary = Summary {
            agents: 12,
            departments: 1,
            layers: 4,
            url: "http://127.0.0.1:3001/".to_owned(),
            bus_url: "nats://127.0.0.1:3002".to_owned(),
            control_socket: "/srv/fleet/.werkpilot/control.sock".into(),
            state_dir: "/srv/fleet/.werkpilot".into(),
        };
        let login = "http://127.0.0.1:3001/#login=CODE";
        let on_a_terminal = text(&summary, "werkpilot", Some(login)).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(on_a_terminal, @r"
        Werkpilot VERSION: 12 agents in 4 layers and 1 department
          dashboard       http://127.0.0.1:3001/
          log in          http://127.0.0.1:3001/#login=CODE
                          (once, within five minutes; `werkpilot login` makes another link)
          bus             nats://127.0.0.1:3002
          control socket  /srv/fleet/.werkpilot/control.sock
          state           /srv/fleet/.werkpilot
          `werkpilot status` tells how it is, `werkpilot logs NAME -f` what an agent writes
        ");
        assert!(!text(&summary, "werkpilot", None).contains("login="), "not into a log");
    }

    #[test]
    fn a_setting_is_key_and_value() {
        assert_eq!(setting("queue.workers = 4").unwrap(), ("queue.workers".to_owned(), "4".to_owned()));
        assert_eq!(setting("a=b=c").unwrap().1, "b=c");
        assert!(setting("queue.workers").is_err());
    }
}
