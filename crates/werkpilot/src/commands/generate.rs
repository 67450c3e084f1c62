//! `werkpilot schema`, `completions` and `man`: what is made from the program itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};
use werkpilot_config::schema as schemas;

use super::Context;
use crate::Cli;
use crate::failure::{Code, Failure};

/// Print the JSON Schema of the registry's files or of the settings, for editors.
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

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot completions bash > /etc/bash_completion.d/werkpilot\n  werkpilot completions fish > ~/.config/fish/completions/werkpilot.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Write the manual pages: one per command into a folder, or the first of them to stdout.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot man /usr/local/share/man/man1\n  werkpilot man | man -l -")]
pub struct ManArgs {
    /// The folder; it is made if it is not there.
    dir: Option<PathBuf>,
}

/// `werkpilot schema`.
pub fn schema(args: &SchemaArgs, context: &Context) -> Result<ExitCode, Failure> {
    let schema = match args.of {
        SchemaOf::Registry => schemas::registry(),
        SchemaOf::Config => schemas::config(),
        SchemaOf::AgentRegistry => schemas::predecessor_registry(),
    };
    context.out.value(&schema)?;
    Ok(ExitCode::SUCCESS)
}

/// `werkpilot completions`.
pub fn completions(args: &CompletionsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "werkpilot", &mut script);
    context.out.text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// `werkpilot man`.
pub fn man(args: &ManArgs, context: &Context) -> Result<ExitCode, Failure> {
    match &args.dir {
        Some(dir) => {
            let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
            written.map_err(|error| {
                Failure::new(Code::CantCreate, format!("failed to write manual pages to {}: {error}", dir.display()))
            })?;
        }
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            rendered.map_err(|error| Failure::new(Code::Internal, format!("failed to make the page: {error}")))?;
            context.out.text(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
