//! What the disk knows, read and examined on the reader's thread.

use std::collections::HashMap;

use serde_json::Value;
use werkpilot_core::dead_letters::Attempt;
use werkpilot_core::ids::AgentName;
use werkpilot_core::optimizer::{Findings, Question, Report, Run, Window, examine};
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::reader::{EventFilter, HistoryFilter};
use werkpilot_store::row::event::EventRow;
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState};
use werkpilot_store::{Reader, StoreError};

/// Executions that are looked at, the newest: some 20 MB while it looks, and a second or two.
const EXECUTIONS: usize = 100_000;
/// Events of a kind that are looked at, the newest.
const EVENTS: usize = 20_000;
/// Rows that are asked for at a time.
const PAGE: usize = 1_000;
/// Days back in which a score counts as the newest.
const SCORE_DAYS: i32 = 2;

/// Adds what the disk knows, and examines it all.
pub(super) fn look(reader: &Reader, mut question: Question) -> Result<(Window, Findings), StoreError> {
    let runs = runs(reader, &mut question.window)?;
    add_events(reader, &mut question)?;
    add_scores(reader, &mut question)?;
    let last = reader.reports(None, 1)?.pop();
    // One of a version that wrote another form is nothing to compare with.
    let last = last.and_then(|row| row.data.read::<Report>().ok());
    question.before = last.map(|report| report.findings.baselines).unwrap_or_default();
    Ok((question.window, examine(&question, &runs)))
}

fn runs(reader: &Reader, window: &mut Window) -> Result<Vec<Run>, StoreError> {
    let mut filter =
        HistoryFilter { since: Some(window.from), until: Some(window.to), limit: PAGE, ..HistoryFilter::default() };
    let mut runs = Vec::new();
    loop {
        let page = reader.history(&filter)?;
        // Newest first, so that this is the earliest so far.
        let earliest = page.rows.last().and_then(|row| row.ended_at);
        runs.extend(page.rows.iter().filter_map(run));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
        if runs.len() + PAGE > EXECUTIONS {
            window.truncated = true;
            window.from = earliest.unwrap_or(window.from);
            break;
        }
    }
    window.executions = runs.len() as u64;
    Ok(runs)
}

fn run(row: &ExecutionRow) -> Option<Run> {
    let ExecutionState::Ended(end) = row.state else { return None };
    let attempts: Vec<Attempt> = row.attempts.as_ref().and_then(|json| json.read().ok()).unwrap_or_default();
    let mut attempts: Vec<_> = attempts.iter().map(|attempt| (attempt.started_at, attempt.duration)).collect();
    if let (true, Some(started), Some(duration)) = (attempts.is_empty(), row.started_at, row.duration) {
        attempts.push((started, duration));
    }
    Some(Run {
        agent: row.agent.clone(),
        by_schedule: row.trigger == Trigger::Schedule,
        timed: matches!(row.trigger, Trigger::Schedule | Trigger::Every),
        scheduled_for: row.scheduled_for,
        queued_at: row.queued_at,
        end,
        waited: row.waited.unwrap_or_default(),
        duration: row.duration,
        attempts,
    })
}

fn add_events(reader: &Reader, question: &mut Question) -> Result<(), StoreError> {
    let mut restarts: HashMap<AgentName, u64> = HashMap::new();
    each(reader, "agent.restarting", question.window.from, |row| {
        // What a person or the registry asks for is no automatic restart.
        let code = row.data.value()["reason"]["code"].as_str().unwrap_or_default().to_owned();
        if let (false, Some(agent)) = (matches!(code.as_str(), "by_operator" | "config_changed"), row.agent) {
            *restarts.entry(agent).or_default() += 1;
        }
    })?;
    let mut missed: HashMap<AgentName, u64> = HashMap::new();
    each(reader, "agent.schedule.missed", question.window.from, |row| {
        let left_out = row.data.value().get("left_out").and_then(Value::as_u64).unwrap_or(0);
        if let Some(agent) = row.agent {
            *missed.entry(agent).or_default() += left_out;
        }
    })?;
    for member in &mut question.members {
        member.restarts = restarts.get(&member.agent).copied().unwrap_or(0);
        member.missed = missed.get(&member.agent).copied().unwrap_or(0);
    }
    Ok(())
}

fn each(reader: &Reader, topic: &str, since: Timestamp, mut take: impl FnMut(EventRow)) -> Result<(), StoreError> {
    let mut filter = EventFilter {
        topics: topic.parse().into_iter().collect(),
        since: Some(since),
        newest_first: true,
        limit: PAGE,
        ..EventFilter::default()
    };
    for _ in 0..EVENTS / PAGE {
        let page = reader.events(&filter)?;
        page.rows.into_iter().for_each(&mut take);
        filter.before = page.next;
        if filter.before.is_none() {
            break;
        }
    }
    Ok(())
}

fn add_scores(reader: &Reader, question: &mut Question) -> Result<(), StoreError> {
    let today = i32::try_from(question.window.to.as_secs().div_euclid(86_400)).unwrap_or(i32::MAX);
    // By agent and day, so that the last one of an agent is its newest.
    let scores: HashMap<AgentName, Option<f64>> =
        reader.scores(today - SCORE_DAYS)?.into_iter().map(|row| (row.agent, row.score)).collect();
    for member in &mut question.members {
        member.score = scores.get(&member.agent).copied().flatten();
    }
    Ok(())
}
