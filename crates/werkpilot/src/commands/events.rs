//! `werkpilot events`: what happened.

use std::process::ExitCode;

use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::state::{FactPage, FactQuery, kept_facts};

use super::Context;
use super::history::pairs;
use super::kept::{past, unreadable};
use crate::client::parse;
use crate::failure::Failure;
use crate::output::printable;

/// Show what happened.
///
/// Starts, ends, failures, breakers, dead letters, changes of the configuration …: the newest ones, in the order in which
/// they happened. It works without a running orchestrator, too: it reads what is on
/// disk then.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot events --since 2h --agent report\n  \
                             werkpilot events --type breaker.opened --json")]
pub struct Args {
    /// Only since then: "2h" ago, a day, or a time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<Timestamp>,
    /// Only before then.
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<Timestamp>,
    /// Only about this agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// Only about this execution.
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// Only of this type, such as execution.failed.
    #[arg(long = "type", value_name = "TYPE")]
    topic: Option<String>,
    /// So many at most: with --since the first ones, else the last ones.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

/// `werkpilot events`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let query = FactQuery {
        since: args.since,
        until: args.until,
        agent: args.agent.clone(),
        run: args.run,
        topic: args.topic.clone(),
        ..FactQuery::default()
    };
    let page = gather(query, args.limit, context)?;
    context.show(&page, || text(&page))
}

/// Page by page, until there are as many as are wanted.
fn gather(mut query: FactQuery, limit: usize, context: &Context) -> Result<FactPage, Failure> {
    let upwards = query.since.is_some();
    let mut all = FactPage { events: Vec::new(), newest: 0, next: None };
    loop {
        query.limit = Some(limit.saturating_sub(all.events.len()).clamp(1, 1_000));
        let online = async |client: &crate::client::Client| {
            parse::<FactPage>(client.get(&["api", "v1", "events"], &pairs(&query)).await?)
        };
        let mut page = context.online_or_kept(online, |reader| kept_facts(reader, &query).map_err(unreadable))?;
        (all.newest, all.next) = (page.newest, page.next);
        if upwards {
            all.events.append(&mut page.events);
            query.after = all.next;
        } else {
            page.events.append(&mut all.events);
            all.events = page.events;
            query.before = all.next;
        }
        if all.next.is_none() || all.events.len() >= limit {
            return Ok(all);
        }
    }
}

fn text(page: &FactPage) -> String {
    if page.events.is_empty() {
        return "nothing that fits has happened\n".to_owned();
    }
    let lines =
        page.events.iter().map(|told| format!("{}  {:<24}{}\n", told.time, told.topic, printable(&told.message)));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let page = json!({ "newest": 9, "next": null, "events": [
            { "seq": 9, "time": "2026-11-21T08:40:00.123Z", "type": "dlq.added", "message": "Dead letter 7", "data": {} },
        ]});
        let expected = "2026-11-21T08:40:00.123Z  dlq.added               Dead letter 7\n";
        assert_eq!(text(&serde_json::from_value(page).unwrap()), expected);
    }
}
