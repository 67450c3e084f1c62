//! `werkpilot token`: tokens for programs that use the API over TCP.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::role::Role;
use werkpilot_core::time::Timestamp;

use super::{Context, now, relative};
use crate::client::{Client, parse};
use crate::failure::{Code, Failure};
use crate::output::{self, Output, printable};

/// Tokens for programs that use the API over TCP: make, list and revoke them.
///
/// A token has a role. A viewer reads everything. An operator also acts on agents, executions, dead letters and the bus. An
/// admin also reloads, shuts down, and makes tokens. The command line itself needs none: it talks over the control socket.
/// A first token, for an admin, is in the file admin.token in the state folder.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub enum Command {
    /// Make a token, and show it this once.
    ///
    /// What is kept of it is a digest, from which nobody gets it back. The output is the token alone, so that it can go
    /// into a file or a variable.
    #[command(
        after_long_help = "Examples:\n  werkpilot token create ci --role operator > ci.token\n  curl -H \"Authorization: Bearer $(cat ci.token)\" http://127.0.0.1:3001/api/v1/events"
    )]
    Create {
        /// What to call it: letters, digits and -_.@
        name: String,
        /// What it may do: viewer, operator or admin.
        #[arg(long, value_name = "ROLE")]
        role: Role,
    },
    /// List the tokens, with their roles and last use.
    #[command(after_long_help = "Examples:\n  werkpilot token list\n  werkpilot token list --json")]
    List,
    /// Revoke a token: it lets nobody in from now on.
    ///
    /// Sessions that were opened with it end, and what streams with it is cut off.
    #[command(after_long_help = "Examples:\n  werkpilot token revoke ci\n  werkpilot token revoke 3f1c9a0b52d7")]
    Revoke {
        /// Its name or its id.
        token: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  werkpilot token create grafana --role viewer
  werkpilot token list
  werkpilot token revoke grafana";

const PATH: [&str; 3] = ["api", "v1", "tokens"];

#[derive(Debug, Deserialize)]
struct Tokens {
    tokens: Vec<Token>,
}

/// What the client reads of a token.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    id: String,
    name: String,
    role: Role,
    created_at: Timestamp,
    created_by: String,
    #[serde(default)]
    last_used_at: Option<Timestamp>,
    #[serde(default)]
    revoked_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct New {
    token: String,
}

/// `werkpilot token`.
pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Create { name, role } => {
            let wish = json!({ "name": name, "role": role });
            let answer = context.online(async |client| client.post(&PATH, Some(wish)).await)?;
            let new: New = parse(answer.clone())?;
            context.show(&answer, || format!("{}\n", new.token))
        }
        Command::List => {
            let answer = context.online(async |client| client.get(&PATH, &[]).await)?;
            let all: Tokens = parse(answer.clone())?;
            context.show(&answer, || text(&all.tokens, now(), context.out))
        }
        Command::Revoke { token } => revoke(token, context),
    }
}

fn text(tokens: &[Token], now: Timestamp, out: Output) -> String {
    if tokens.is_empty() {
        return "there are no tokens; `werkpilot token create NAME --role viewer` makes one\n".to_owned();
    }
    let rows = tokens.iter().map(|token| {
        let revoked = token.revoked_at.map(|at| format!("revoked {}", relative(at, now)));
        vec![
            token.id.clone(),
            token.name.clone(),
            token.role.to_string(),
            format!("{} by {}", relative(token.created_at, now), token.created_by),
            token.last_used_at.map_or_else(|| "never".to_owned(), |at| relative(at, now)),
            revoked.unwrap_or_else(|| "good".to_owned()),
        ]
    });
    out.table(&["id", "name", "role", "made", "last used", "state"], rows)
}

fn revoke(wanted: &str, context: &Context) -> Result<ExitCode, Failure> {
    let answer = context.online(async |client: Client| {
        let all: Tokens = parse(client.get(&PATH, &[]).await?)?;
        let id = id(&all.tokens, wanted)?;
        client.delete(&[PATH[0], PATH[1], PATH[2], id]).await
    })?;
    let token: Token = parse(answer.clone())?;
    if context.out.json {
        output::print_json(&answer)?;
    } else {
        output::print(&format!("revoked {} ({}); it lets nobody in any more\n", printable(&token.name), token.role))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The id of a good token of this name, or of any of this id. No two good ones have the same name.
fn id<'a>(tokens: &'a [Token], wanted: &str) -> Result<&'a str, Failure> {
    let named = tokens.iter().find(|token| token.name == wanted && token.revoked_at.is_none());
    let found = named.or_else(|| tokens.iter().find(|token| token.id == wanted));
    found.map(|token| token.id.as_str()).ok_or_else(|| {
        Failure::new(Code::NoInput, format!("there is no good token {wanted}"))
            .hint("`werkpilot token list` lists them")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Vec<Token> {
        let token = |id: &str, name: &str, role: &str, used: Option<&str>, revoked: Option<&str>| {
            serde_json::from_value(json!({
                "id": id, "name": name, "role": role, "createdAt": "2026-11-21T08:00:00Z", "createdBy": "cli:ada",
                "lastUsedAt": used, "revokedAt": revoked,
            }))
            .unwrap()
        };
        vec![
            token("admin", "admin", "admin", None, None),
            token("3f1c9a0b52d7", "ci", "operator", Some("2026-11-21T08:39:00Z"), None),
            token("0badc0ffee00", "ci", "admin", Some("2026-11-21T08:10:00Z"), Some("2026-11-21T08:30:00Z")),
        ]
    }

    #[test]
    fn a_token_is_a_line_without_its_secret() {
        let now = serde_json::from_value(json!("2026-11-21T08:40:00Z")).unwrap();
        insta::assert_snapshot!(text(&tokens(), now, Output::in_a_pipe()), @r"
        ID            NAME   ROLE      MADE                LAST USED  STATE
        admin         admin  admin     40m ago by cli:ada  never      good
        3f1c9a0b52d7  ci     operator  40m ago by cli:ada  1m ago     good
        0badc0ffee00  ci     admin     40m ago by cli:ada  30m ago    revoked 10m ago
        ");
    }

    #[test]
    fn a_token_is_found_by_its_name_or_its_id() {
        let tokens = tokens();
        assert_eq!(id(&tokens, "ci").unwrap(), "3f1c9a0b52d7");
        assert_eq!(id(&tokens, "0badc0ffee00").unwrap(), "0badc0ffee00");
        assert_eq!(id(&tokens, "nobody").unwrap_err().code, Code::NoInput);
    }
}
