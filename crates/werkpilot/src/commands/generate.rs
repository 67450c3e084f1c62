//! `werkpilot schema`, `completions` and `man`: what is made from the program itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};
use werkpilot_config::schema as schemas;

use crate::Cli;
use crate::failure::{Code, Failure};
use crate::output;

/// Print a JSON Schema, for editors.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot schema registry > registry.schema.json")]
pub struct SchemaArgs {
    /// Of which file: registry/*.toml, werkpilot.toml, or the predecessor's agent-registry.json.
    #[arg(value_enum)]
    of: SchemaOf,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SchemaOf {
    Registry,
    Config,
    AgentRegistry,
}

/// Print the completions for a shell.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot completions bash > /etc/bash_completion.d/werkpilot\n  werkpilot completions fish > ~/.config/fish/completions/werkpilot.fish"
)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Write the manual pages.
///
/// There is one per command. Without a folder the first of them goes to stdout.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot man /usr/local/share/man/man1\n  werkpilot man | man -l -")]
pub struct ManArgs {
    /// The folder; it is made if it is not there.
    dir: Option<PathBuf>,
}

/// `werkpilot schema`.
pub fn schema(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let schema = match args.of {
        SchemaOf::Registry => schemas::registry(),
        SchemaOf::Config => schemas::config(),
        SchemaOf::AgentRegistry => schemas::predecessor_registry(),
    };
    output::print_json(&schema)?;
    Ok(ExitCode::SUCCESS)
}

/// `werkpilot completions`.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "werkpilot", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// `werkpilot man`.
pub fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    if let Some(dir) = &args.dir {
        let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
        written.map_err(|error| {
            Failure::new(Code::CantCreate, format!("failed to write manual pages to {}: {error}", dir.display()))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Failure::new(Code::Internal, format!("failed to make the page: {error}")))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}
