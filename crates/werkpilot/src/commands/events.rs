//! `werkpilot events`: what happened, and what happens.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use werkpilot_core::event::TopicPattern;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::state::{Begun, FactPage, FactQuery, Told, kept_facts};

use super::Context;
use super::history::pairs;
use super::kept::{past, unreadable};
use crate::client::{Client, parse};
use crate::failure::{Code, Failure};
use crate::output::{self, Output, printable};

/// How long the orchestrator keeps a follower waiting; less than the client waits for an answer.
const WAIT: &str = "10s";
/// Between two looks whether an orchestrator that is gone is back.
const LOOK: Duration = Duration::from_millis(250);

/// Show what happened.
///
/// Starts, ends, failures, breakers, dead letters, changes of the configuration …: the newest ones, in the order in which
/// they happened. It works without a running orchestrator, too: it reads what is on
/// disk then. With --follow it goes on with what happens from now on, also over a restart of the orchestrator; every event
/// has a number, by which --after goes on later, and what is missing in between is told.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot events --since 2h --agent report\n  \
                             werkpilot events --type breaker.opened --json\n  \
                             werkpilot events -f --type 'agent.*' --type 'dlq.>'\n  \
                             werkpilot events -f --after 4711 --json")]
pub struct Args {
    /// Go on with what happens from now on; with --json, an object per line.
    #[arg(short, long)]
    follow: bool,
    /// Only those with a higher number.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Only since then: "2h" ago, a day, or a time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<Timestamp>,
    /// Only before then.
    #[arg(long, value_name = "TIME", value_parser = past, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// Only about this agent; may be given several times.
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<AgentName>,
    /// Only about this execution.
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// Only of this type, such as execution.failed; `agent.*` is one word more, `agent.>` one or more; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    topics: Vec<TopicPattern>,
    /// So many at most: with --since or --after the first ones, else the last ones; with --follow, of those before now.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

/// `werkpilot events`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let query = FactQuery {
        after: args.after,
        since: args.since,
        until: args.until,
        agents: args.agents.clone(),
        run: args.run,
        topics: args.topics.clone(),
        ..FactQuery::default()
    };
    if args.follow {
        return follow(query, args.limit, context);
    }
    let page = gather(query, args.limit, context)?;
    tell_gap(args.after, &page);
    context.show(&page, || text(&page))
}

/// Page by page, until there are as many as are wanted.
fn gather(mut query: FactQuery, limit: usize, context: &Context) -> Result<FactPage, Failure> {
    let upwards = query.since.is_some() || query.after.is_some();
    let mut all: Option<FactPage> = None;
    loop {
        let gathered = all.as_ref().map_or(0, |all| all.events.len());
        query.limit = Some(limit.saturating_sub(gathered).clamp(1, 1_000));
        let online = async |client: &Client| page(client, &query, &[]).await;
        let mut page = context.online_or_kept(online, |reader| kept_facts(reader, &query).map_err(unreadable))?;
        // The newest of the first page: what comes while further pages are read is for who goes on from there.
        let whole = match all.take() {
            None => page,
            Some(mut all) if upwards => {
                all.events.append(&mut page.events);
                FactPage { next: page.next, newest: page.newest, ..all }
            }
            Some(all) => {
                page.events.extend(all.events);
                FactPage { events: page.events, next: page.next, ..all }
            }
        };
        if upwards {
            query.after = whole.next;
        } else {
            query.before = whole.next;
        }
        if whole.next.is_none() || whole.events.len() >= limit {
            return Ok(whole);
        }
        all = Some(whole);
    }
}

async fn page(client: &Client, query: &FactQuery, more: &[(&'static str, String)]) -> Result<FactPage, Failure> {
    let pairs = [&pairs(query), more].concat();
    parse(client.get(&["api", "v1", "events"], &pairs).await?)
}

/// On stderr: what is read from stdout stays what it is.
fn say(text: &str) {
    eprintln!("werkpilot events: {text}");
}

fn tell_gap(after: Option<u64>, page: &FactPage) {
    if let (Some(after), Some(oldest)) = (after, page.oldest)
        && after.saturating_add(1) < oldest
    {
        say(&format!("events {} to {} are gone: they were older than is kept ([history] keep)", after + 1, oldest - 1));
    }
}

/// Where a follower is.
struct Follower {
    query: FactQuery,
    /// The life of the orchestrator that answered last.
    begun: Option<Begun>,
    out: Output,
}

/// Until it is interrupted.
fn follow(query: FactQuery, limit: usize, context: &Context) -> Result<ExitCode, Failure> {
    // Before anything is shown: without an orchestrator nothing will ever come.
    context.online(async |_| Ok(()))?;
    let mut follower = Follower { query, begun: None, out: context.out };
    if follower.query.after.is_none() {
        let page = gather(follower.query.clone(), limit.max(1), context)?;
        show(if limit == 0 { &[] } else { &page.events }, context.out)?;
        let more = page.next.filter(|_| follower.query.since.is_some());
        follower.query.after = Some(more.unwrap_or(page.newest));
        follower.begun = page.begun;
    }
    follower.query.limit = Some(1_000);
    let mut gone = false;
    loop {
        let failure = context.online(async |client| {
            if std::mem::take(&mut gone) {
                say(&format!("the orchestrator is back; going on after number {}", follower.query.after.unwrap_or(0)));
            }
            match follower.go_on(&client).await {
                Ok(never) => match never {},
                Err(failure) => Err::<Infallible, Failure>(failure),
            }
        });
        match failure {
            Ok(never) => match never {},
            // It stops, or has stopped.
            Err(failure) if matches!(failure.code, Code::Unavailable | Code::Refused) => {
                if !std::mem::replace(&mut gone, true) {
                    say(&format!("{}; waiting for the orchestrator to come back", failure.what));
                }
                std::thread::sleep(LOOK);
            }
            Err(failure) => return Err(failure),
        }
    }
}

impl Follower {
    /// Shows what comes, as long as the orchestrator is there.
    async fn go_on(&mut self, client: &Client) -> Result<Infallible, Failure> {
        loop {
            let page = page(client, &self.query, &[("wait", WAIT.to_owned())]).await?;
            self.take(&page)?;
        }
    }

    fn take(&mut self, page: &FactPage) -> Result<(), Failure> {
        let after = self.query.after.unwrap_or(0);
        let before = self.begun;
        self.begun = page.begun.or(before);
        if let (Some(before), Some(begun)) = (before, page.begun)
            && before != begun
            && after >= begun.event
        {
            let begun = begun.event;
            say(&format!(
                "the orchestrator ended before events {begun} to {after} were on disk; their numbers are given anew"
            ));
            self.query.after = Some(begun - 1);
            return Ok(());
        }
        if after > page.newest {
            say(&format!("there is no event {after} yet, the newest is {}; going on after that", page.newest));
            self.query.after = Some(page.newest);
            return Ok(());
        }
        tell_gap(Some(after), page);
        show(&page.events, self.out)?;
        // Up to the newest one all were looked at, those that do not fit included.
        self.query.after = Some(page.next.unwrap_or(page.newest));
        Ok(())
    }
}

/// An event per line.
fn show(events: &[Told], out: Output) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let line = |told: &Told| {
        if out.json { format!("{}\n", serde_json::to_value(told).unwrap_or_default()) } else { line(told) }
    };
    output::print(&events.iter().map(line).collect::<String>())
}

fn line(told: &Told) -> String {
    format!("{}  {:<24}{}\n", told.time, told.topic, printable(&told.message))
}

fn text(page: &FactPage) -> String {
    if page.events.is_empty() {
        return "nothing that fits has happened\n".to_owned();
    }
    page.events.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of a life that begins with this number at that second.
    fn page(newest: u64, oldest: u64, (event, at): (u64, i64)) -> FactPage {
        let begun = json!({ "event": event, "at": Timestamp::from_secs(at) });
        let page = json!({ "events": [], "newest": newest, "next": null, "oldest": oldest, "begun": begun });
        serde_json::from_value(page).unwrap()
    }

    #[test]
    fn a_follower_goes_on_from_where_it_was_and_notices_numbers_that_are_given_anew() {
        let query = FactQuery { after: Some(105), ..FactQuery::default() };
        let begun = Some(Begun { event: 40, at: Timestamp::from_secs(1) });
        let mut follower = Follower { query, begun, out: Output::in_a_pipe() };
        let mut after = |page: &FactPage| {
            follower.take(page).unwrap();
            follower.query.after.unwrap()
        };
        assert_eq!(after(&page(107, 1, (40, 1))), 107);
        assert_eq!(after(&page(130, 1, (108, 2))), 130, "a restart that lost nothing");
        assert_eq!(after(&page(140, 1, (126, 3))), 125, "126 to 130 had not been on disk");
        assert_eq!(after(&page(140, 1, (126, 3))), 140);
        assert_eq!(after(&page(140, 1, (126, 4))), 125, "nothing of the last life had been on disk");
        assert_eq!(after(&page(140, 1, (126, 4))), 140);
        assert_eq!(after(&page(9, 1, (1, 5))), 0, "another state folder");
        assert_eq!(after(&page(9, 5, (1, 5))), 9, "and a gap is no reason to stop");
    }

    #[test]
    fn an_event_is_a_line() {
        let page = json!({ "newest": 9, "next": null, "events": [
            { "seq": 9, "time": "2026-11-21T08:40:00.123Z", "type": "dlq.added", "message": "Dead letter 7", "data": {} },
        ]});
        let expected = "2026-11-21T08:40:00.123Z  dlq.added               Dead letter 7\n";
        assert_eq!(text(&serde_json::from_value(page).unwrap()), expected);
    }
}
