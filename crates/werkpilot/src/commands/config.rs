//! `werkpilot config`: each setting, its value and where it is from.

use std::process::ExitCode;

use serde_json::Value;
use werkpilot_config::load_settings;

use super::{Context, faults_failure};
use crate::failure::{Code, Failure};
use crate::find;
use crate::output::Output;

/// Show every setting, its value and where it is from.
///
/// A value is from the command line, the environment, the file, or it is the default. If an orchestrator is running, what is in effect there is shown; else what the files say.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot config\n  werkpilot config --files --config werkpilot.toml")]
pub struct Args {
    /// Show what the files say, whether or not an orchestrator is running.
    #[arg(long)]
    files: bool,
}

/// `werkpilot config`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let running = if args.files { None } else { of_running(context)? };
    let settings = match running {
        Some(settings) => settings,
        None => of_files(context)?,
    };
    context.show(&settings, || text(&settings, context.out))
}

/// `None`: nobody is running.
fn of_running(context: &Context) -> Result<Option<Value>, Failure> {
    match context.online(async |client| client.get(&["api", "v1", "config"], &[]).await) {
        Ok(settings) => Ok(Some(settings)),
        // Faults in the files are told by reading them.
        Err(failure) if matches!(failure.code, Code::Unavailable | Code::Config) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn of_files(context: &Context) -> Result<Value, Failure> {
    let (file, overrides) = (find::config_file(&context.options), find::overrides(&context.options, &[]));
    let (_, sources, _) = load_settings(file.as_deref(), &overrides).map_err(|faults| faults_failure(&faults, ""))?;
    Ok(serde_json::to_value(&sources).unwrap_or_default())
}

fn text(settings: &Value, out: Output) -> String {
    let rows = settings.as_array().into_iter().flatten().map(|setting| {
        let value = setting["value"].to_string();
        vec![setting["key"].as_str().unwrap_or_default().to_owned(), value, origin(&setting["origin"])]
    });
    out.table(&["setting", "value", "from"], rows)
}

fn origin(origin: &Value) -> String {
    let text = |key: &str| origin[key].as_str().unwrap_or_default();
    match text("from") {
        "file" => format!("{}:{}", text("path"), origin["line"]),
        "environment" => format!("${}", text("variable")),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_setting_tells_where_it_is_from() {
        let settings = json!([
            { "key": "queue.workers", "value": "auto", "origin": { "from": "default" } },
            { "key": "queue.capacity", "value": 5, "origin": { "from": "file", "path": "werkpilot.toml", "line": 2 } },
            { "key": "boot.layer_timeout", "value": "1s", "origin": { "from": "environment", "variable": "WERKPILOT_X" } },
            { "key": "state.dir", "value": "s", "origin": { "from": "command_line" } },
        ]);
        insta::assert_snapshot!(text(&settings, Output::in_a_pipe()), @r#"
        SETTING             VALUE   FROM
        queue.workers       "auto"  default
        queue.capacity      5       werkpilot.toml:2
        boot.layer_timeout  "1s"    $WERKPILOT_X
        state.dir           "s"     command line
        "#);
    }
}
