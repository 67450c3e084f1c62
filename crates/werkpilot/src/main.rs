//! The command line: parses, hands over to one file per command, and tells what went wrong, once.

mod bus_client;
mod client;
mod commands;
mod failure;
mod find;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use commands::{
    agents, audit, bus, check, config, control, dlq, down, events, generate, history, login, logs, notify, optimize,
    plan, publish, queue, report, request, run, simulate, state, status, subscribe, token, top, up, why,
};
use failure::{Code, Failure};

/// Page-sized pieces of a thousand agents come and go; jemalloc gives them back, and tells the memory monitor how much
/// is live. Its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Werkpilot boots, schedules, supervises and connects a fleet of agents.
///
/// An agent is any program: it is described in a registry (a folder of TOML files), started in the order of its
/// dependencies, run when it is due, restarted or retried when it fails, and stopped with all its children. `up` starts
/// the fleet; the other commands talk to the running orchestrator over its control socket.
#[derive(Debug, Parser)]
#[command(name = "werkpilot", version, max_term_width = 100, disable_help_subcommand = true, after_long_help = EPILOGUE)]
struct Cli {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

const EPILOGUE: &str = "\
Which orchestrator is meant:
  The one whose state folder is named by --config FILE (its state.dir), else by --state-dir DIR or
  WERKPILOT_STATE_DIR, else the nearest .werkpilot upwards from the current folder, else
  /var/lib/werkpilot.

Exit codes:
    0  done                                 73  the state folder can't be made or written to
    1  run --wait: it did not succeed;      74  reading or writing failed
       request: the answer is an error      75  refused or skipped, agent unavailable,
   64  wrong use of the command line            state folder in use
   65  the state on disk is damaged, or     77  not allowed
       of a newer version                   78  faults in registry or settings
   66  no such agent, execution or file    124  run --wait: it timed out; request and sub:
   69  no orchestrator runs, or the             nothing came in time
       port of its dashboard is taken;
       no bus, or nobody listens
   70  a fault of Werkpilot itself

Examples:
  werkpilot up --registry registry          Start the fleet of a folder.
  werkpilot status                          See how it is, and what needs attention.
  werkpilot why agent-sales                 See why an agent is as it is.
  werkpilot run report --wait               Run a job, and wait for its end.
  werkpilot request agent-sales '{}'        Ask an agent, and show its answer.";

const COMMON: &str = "Options of all commands";

/// Options that every command has.
#[derive(Clone, Debug, Default, Args)]
pub struct GlobalOptions {
    /// The settings file; without it, werkpilot.toml in the current folder is read if it is there.
    #[arg(long, global = true, help_heading = COMMON, value_name = "FILE", env = "WERKPILOT_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The state folder: where the orchestrator keeps its state and its control socket (`WERKPILOT_STATE_DIR` names it, too).
    #[arg(long, global = true, help_heading = COMMON, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Answer in JSON, for programs.
    #[arg(long, global = true, help_heading = COMMON)]
    json: bool,
}

impl GlobalOptions {
    /// Whether an orchestrator is named, so that none has to be found.
    fn names_orchestrator(&self) -> bool {
        self.config.is_some() || self.state_dir.is_some()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Down(down::Args),
    Check(check::Args),
    Status(status::Args),
    Top(top::Args),
    Login(login::Args),
    #[command(subcommand)]
    Token(token::Command),
    Agents(agents::Args),
    Start(control::StartArgs),
    Stop(control::StopArgs),
    Restart(control::RestartArgs),
    Enable(control::EnableArgs),
    Disable(control::DisableArgs),
    Pause(control::PauseArgs),
    Resume(control::ResumeArgs),
    Run(run::Args),
    Logs(logs::Args),
    History(history::Args),
    Audit(audit::Args),
    Events(events::Args),
    Notify(notify::Args),
    Queue(queue::Args),
    #[command(subcommand)]
    Dlq(dlq::Command),
    Why(why::Args),
    Next(plan::NextArgs),
    Simulate(simulate::Args),
    Optimize(optimize::Args),
    Report(report::Args),
    Graph(plan::GraphArgs),
    Config(config::Args),
    Schema(generate::SchemaArgs),
    Reload(control::ReloadArgs),
    #[command(subcommand)]
    State(state::Command),
    Request(request::Args),
    Pub(publish::Args),
    Sub(subscribe::Args),
    Bus(bus::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

impl Command {
    fn run(self, context: &commands::Context) -> Result<ExitCode, Failure> {
        match self {
            Self::Up(args) => up::run(args, context),
            Self::Down(args) => down::run(&args, context),
            Self::Check(args) => check::run(&args, context),
            Self::Status(args) => status::run(&args, context),
            Self::Top(args) => top::run(&args, context),
            Self::Login(args) => login::run(&args, context),
            Self::Token(command) => token::run(&command, context),
            Self::Agents(args) => agents::run(&args, context),
            Self::Start(args) => control::start(&args, context),
            Self::Stop(args) => control::stop(&args, context),
            Self::Restart(args) => control::restart(&args, context),
            Self::Enable(args) => control::enable(&args, context),
            Self::Disable(args) => control::disable(&args, context),
            Self::Pause(args) => control::pause(&args, context),
            Self::Resume(args) => control::resume(&args, context),
            Self::Run(args) => run::run(&args, context),
            Self::Logs(args) => logs::run(&args, context),
            Self::History(args) => history::run(&args, context),
            Self::Audit(args) => audit::run(&args, context),
            Self::Events(args) => events::run(&args, context),
            Self::Notify(args) => notify::run(&args, context),
            Self::Queue(args) => queue::run(&args, context),
            Self::Dlq(command) => dlq::run(&command, context),
            Self::Why(args) => why::run(&args, context),
            Self::Next(args) => plan::next(&args, context),
            Self::Simulate(args) => simulate::run(&args, context),
            Self::Optimize(args) => optimize::run(&args, context),
            Self::Report(args) => report::run(&args, context),
            Self::Graph(args) => plan::graph(&args, context),
            Self::Config(args) => config::run(&args, context),
            Self::Schema(args) => generate::schema(&args),
            Self::Reload(args) => control::reload(&args, context),
            Self::State(command) => state::run(&command, context),
            Self::Request(args) => request::run(&args, context),
            Self::Pub(args) => publish::run(&args, context),
            Self::Sub(args) => subscribe::run(&args, context),
            Self::Bus(args) => bus::run(args, context),
            Self::Completions(args) => generate::completions(&args),
            Self::Man(args) => generate::man(&args),
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Code::Usage.into() } else { ExitCode::SUCCESS };
            // A closed terminal is no reason to panic.
            let _ = error.print();
            return code;
        }
    };
    let json = cli.options.json;
    match cli.command.run(&commands::Context::new(cli.options)) {
        Ok(code) => code,
        Err(failure) => {
            use std::io::Write;
            let _ = std::io::stderr().write_all(failure.render(json).as_bytes());
            failure.code.into()
        }
    }
}
