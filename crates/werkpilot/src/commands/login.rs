//! `werkpilot login`: a link to the dashboard that logs a browser in.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;
use werkpilot_core::role::Role;

use super::Context;
use crate::client::parse;
use crate::failure::Failure;

/// Show a link that opens the dashboard and logs the browser in.
///
/// The link is good once, for five minutes. Its code stands after the #, which browsers send to nobody. On another machine,
/// open an SSH tunnel first (ssh -L 3001:127.0.0.1:3001 HOST), or put the part from the # on after the dashboard's own
/// address.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot login\n  werkpilot login --role viewer\n  xdg-open \"$(werkpilot login)\""
)]
pub struct Args {
    /// What the session may do: viewer, operator or admin.
    #[arg(long, value_name = "ROLE", default_value_t = Role::Admin)]
    role: Role,
}

#[derive(Debug, Deserialize)]
struct Login {
    link: String,
}

/// `werkpilot login`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let path = ["api", "v1", "login-codes"];
    let wish = json!({ "role": args.role });
    let answer = context.online(async |client| client.post(&path, Some(wish)).await)?;
    let login: Login = parse(answer.clone())?;
    context.show(&answer, || format!("{}\n", login.link))
}
