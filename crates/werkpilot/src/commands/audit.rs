//! `werkpilot audit`: who changed what.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::{AuditFilter, AuditPageView, AuditView};

use super::kept::{past, unreadable};
use super::{Context, now, relative};
use crate::client::{Client, parse};
use crate::failure::{Code, Failure};
use crate::output::Output;

/// Entries of a page of the API at most.
const PAGE: usize = 1_000;
/// Characters of a change in the table.
const SHORT: usize = 72;

/// Show who changed what, when, and over which way: the newest first.
///
/// It works without a running orchestrator, too: it reads what is on disk then. Entries are kept for a year, at most
/// 100,000 of them. Each links to the one before by its hash; if something was changed behind the back of Werkpilot, the
/// exit code is 65. `werkpilot state check` looks at all of them.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Only what was done since then: "2h" ago, a day, or a time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<Timestamp>,
    /// Only what was done before then.
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<Timestamp>,
    /// Only by this one, as it is shown: cli:ada, token:ci, SIGHUP.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only with this text in what was done, in its route, or in what it was done to.
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    /// So many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// Go on where an earlier answer ended.
    #[arg(long, value_name = "NEXT")]
    cursor: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot audit --since 2d
  werkpilot audit --who token:ci --action trigger
  werkpilot audit --action \"stopped an agent\"
  werkpilot audit --action agent-sales --json";

/// `werkpilot audit`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let page = list(args, context)?;
    let code = context.show(&page, || text(&page, now(), context.out))?;
    let Some(broken) = page.broken else { return Ok(code) };
    Err(Failure::new(Code::Data, format!("the audit log is not what was written: {broken}"))
        .hint("`werkpilot state check` looks at all of it; a backup of `werkpilot state backup` shows what was there"))
}

/// As many as are wanted, page by page: where something is looked for, a page may have few.
fn list(args: &Args, context: &Context) -> Result<AuditPageView, Failure> {
    let mut filter = AuditFilter {
        before: args.cursor,
        who: args.who.clone(),
        action: args.action.clone(),
        since: args.since,
        until: args.until,
        limit: 0,
    };
    let mut whole = AuditPageView { verified: true, ..AuditPageView::default() };
    loop {
        filter.limit = args.limit.saturating_sub(whole.entries.len()).clamp(1, PAGE);
        let page = page(&filter, context)?;
        whole.entries.extend(page.entries);
        whole.verified &= page.verified;
        // The oldest place is the first.
        whole.broken = page.broken.or(whole.broken);
        (whole.next, whole.waiting) = (page.next, page.waiting);
        filter.before = whole.next.as_ref().and_then(|next| next.parse().ok());
        if filter.before.is_none() || whole.entries.len() >= args.limit {
            return Ok(whole);
        }
    }
}

fn page(filter: &AuditFilter, context: &Context) -> Result<AuditPageView, Failure> {
    let online = async |client: &Client| parse(client.get(&["api", "v1", "audit"], &pairs(filter)).await?);
    context.online_or_kept(online, |reader| {
        let page = reader.audit(filter).map_err(unreadable)?;
        Ok(AuditPageView::of(page, 0))
    })
}

fn pairs(filter: &AuditFilter) -> Vec<(&'static str, String)> {
    let members = [
        ("cursor", filter.before.map(|before| before.to_string())),
        ("who", filter.who.clone()),
        ("action", filter.action.clone()),
        ("since", filter.since.map(|since| since.to_string())),
        ("until", filter.until.map(|until| until.to_string())),
        ("limit", Some(filter.limit.to_string())),
    ];
    members.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn text(page: &AuditPageView, now: Timestamp, out: Output) -> String {
    let mut text = if page.entries.is_empty() {
        "no entry fits\n".to_owned()
    } else {
        let header = ["entry", "when", "who", "what", "to", "answer", "change"];
        out.table(&header, page.entries.iter().map(|entry| row(entry, now)))
    };
    if page.waiting > 0 {
        let _ = writeln!(text, "\n{} more wait in memory until the disk takes them", page.waiting);
    }
    if let Some(next) = &page.next {
        let _ = writeln!(text, "\nThere are more: --cursor {next}");
    }
    text
}

fn row(entry: &AuditView, now: Timestamp) -> Vec<String> {
    let from = entry.peer.as_ref().map(|peer| format!(" ({peer})")).unwrap_or_default();
    vec![
        entry.id.to_string(),
        relative(entry.time, now),
        format!("{}{from}", entry.who),
        // An orchestrator that is older than this command tells the action only.
        if entry.what.is_empty() { &entry.action } else { &entry.what }.clone(),
        entry.target.clone().unwrap_or_default(),
        entry.status.map(|status| status.to_string()).unwrap_or_default(),
        change(entry),
    ]
}

/// What changed in a line, or why nothing did.
fn change(entry: &AuditView) -> String {
    let json = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    let text = match (&entry.detail, json(&entry.before), json(&entry.after)) {
        (Some(detail), ..) => detail.clone(),
        (None, before, after) if before.is_empty() => after,
        (None, before, after) => format!("{before} → {after}"),
    };
    if text.chars().count() <= SHORT { text } else { text.chars().take(SHORT).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_has_a_line_per_change() {
        let entry = |id: u64, change: Value| {
            let mut entry = json!({
                "id": id, "time": "2026-11-21T08:40:05.250Z", "who": "token:ci", "way": "token", "peer": "127.0.0.1",
                "action": "POST /api/v1/agents/{name}/stop", "what": "stopped an agent", "target": "agent-sales", "before": null, "after": null,
                "status": 200, "detail": null, "hash": "00", "prev": "00",
            });
            entry.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            entry
        };
        let page: AuditPageView = serde_json::from_value(json!({
            "entries": [
                entry(9, json!({ "before": { "status": "running" }, "after": { "now": { "status": "stopped" } } })),
                entry(8, json!({ "who": "SIGHUP", "action": "reload", "what": "reloaded the files", "peer": null, "target": null, "status": null,
                    "after": { "agents": { "added": ["a-long-name", "another-long-name", "a-third-one-that-is-long"] } } })),
                entry(7, json!({ "status": 404, "detail": "there is no agent \u{7}sales" })),
            ],
            "next": "7", "verified": true, "broken": null, "waiting": 2,
        }))
        .unwrap();
        let now = Timestamp::from_millis(1_795_250_405_250 + 120_000);
        insta::assert_snapshot!(text(&page, now, Output::in_a_pipe()), @r#"
        ENTRY  WHEN    WHO                   WHAT                TO           ANSWER  CHANGE
        9      2m ago  token:ci (127.0.0.1)  stopped an agent    agent-sales  200     {"status":"running"} → {"now":{"status":"stopped"}}
        8      2m ago  SIGHUP                reloaded the files                       {"agents":{"added":["a-long-name","another-long-name","a-third-one-that-…
        7      2m ago  token:ci (127.0.0.1)  stopped an agent    agent-sales  404     there is no agent �sales

        2 more wait in memory until the disk takes them

        There are more: --cursor 7
        "#);
    }

    #[test]
    fn only_what_is_asked_for_is_in_the_url() {
        let filter = AuditFilter { who: Some("cli:ada".to_owned()), limit: 3, ..AuditFilter::default() };
        assert_eq!(pairs(&filter), [("who", "cli:ada".to_owned()), ("limit", "3".to_owned())]);
    }
}
