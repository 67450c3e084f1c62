//! `werkpilot top`: agents, queue, events, dead letters and logs in a terminal, kept up to date, with the same actions.
//!
//! ```text
//!  keys ──▶ App (decides, pure) ──Wish──▶ link (asks the orchestrator) ──News──▶ App ──▶ draw
//! ```

mod app;
mod data;
mod draw;
mod link;
mod lists;
mod session;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use super::Context;
use crate::failure::{Code, Failure};
use app::App;
use lists::Tab;

/// Watch the fleet in the terminal, and act on it.
///
/// Agents, queue, events, dead letters and logs, kept up to date. `?` shows the keys. What ends or throws away something is
/// asked about first. The same data for programs: `werkpilot agents --json`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot top\n  werkpilot top --tab events\n  werkpilot top --interval 5")]
pub struct Args {
    /// What is shown first.
    #[arg(long, value_enum, default_value_t = Tab::Agents)]
    tab: Tab,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    interval: f64,
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| "it is a number of seconds, from 0.1 to 3600".to_owned())
}

/// `werkpilot top`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if context.out.json || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::new(Code::Usage, "`werkpilot top` is for a terminal")
            .hint("for programs: `werkpilot agents --json`, `werkpilot events -f --json`"));
    }
    let interval = Duration::from_secs_f64(args.interval);
    context.online(async |client| session::run(client, App::new(args.tab), interval).await)?;
    Ok(ExitCode::SUCCESS)
}
