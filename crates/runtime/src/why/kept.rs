//! What the disk alone explains: while no orchestrator runs, and of agents that the registry does not have any more.

use werkpilot_core::agent::Kept;
use werkpilot_core::dead_letters::ExecutionData;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_core::why::{EndedAccount, Fact, KeptAccount, LastRun, LetterAccount, Why, of_kept_agent, of_kept_run};
use werkpilot_store::reader::{HistoryFilter, LetterFilter};
use werkpilot_store::row::letter::{LetterRow, LetterState};
use werkpilot_store::{Reader, StoreError};

use super::account::told;
use super::ended;
use crate::agents::kept::of_row;
use crate::state::{ExecutionView, FactQuery, kept_facts};

/// Dead letters among which that of an execution is looked for.
const LETTERS: usize = 1_000;

/// Explains an agent, by name, or an execution, by id, of an orchestrator that does not run. `None`: there is neither.
///
/// # Errors
/// [`StoreError`]: the disk can't be read.
pub fn kept_why(reader: &Reader, subject: &str, now: Timestamp) -> Result<Option<Why>, StoreError> {
    let now = Clocks { steady: Moment::ZERO, wall: now };
    if let Ok(run) = subject.parse() {
        return Ok(execution(reader, run)?.map(|account| of_kept_run(&account, now)));
    }
    let Ok(agent) = AgentName::new(subject) else { return Ok(None) };
    Ok(account(reader, &agent)?.map(|account| of_kept_agent(&account, now)))
}

/// An agent that the registry of a running orchestrator does not have.
pub(super) fn gone(account: KeptAccount) -> KeptAccount {
    KeptAccount { gone: true, ..account }
}

/// What was kept of an agent; `None`: nothing.
pub(super) fn account(reader: &Reader, agent: &AgentName) -> Result<Option<KeptAccount>, StoreError> {
    let state = reader.agents()?.into_iter().find(|state| state.agent == *agent);
    let filter = HistoryFilter { agent: Some(agent.clone()), limit: 1, ..HistoryFilter::default() };
    let last = reader.history(&filter)?.rows.into_iter().next();
    if state.is_none() && last.is_none() {
        return Ok(None);
    }
    let (kept, outcome) = state.as_ref().map_or_else(|| (Kept::default(), None), of_row);
    let filter = LetterFilter {
        agent: Some(agent.clone()),
        states: vec![LetterState::Open, LetterState::Waiting, LetterState::Parked],
        limit: 3,
        ..LetterFilter::default()
    };
    let letters = reader.letters(&filter)?.rows;
    Ok(Some(KeptAccount {
        agent: agent.clone(),
        gone: false,
        kept,
        outcome: outcome.map(|outcome| (outcome.status, outcome.error)),
        last: last.map(ExecutionView::from).and_then(|view| {
            let (run, end, reason) = (view.run_id, view.state, view.reason);
            Some(LastRun { run, end, at: view.ended_at?, attempts: view.attempts, reason })
        }),
        letters: letters.iter().map(letter).collect(),
        promised: reader.triggers()?.iter().filter(|trigger| trigger.agent == *agent).count(),
        facts: facts(reader, &FactQuery { agents: vec![agent.clone()], ..FactQuery::default() })?,
    }))
}

fn execution(reader: &Reader, run: RunId) -> Result<Option<EndedAccount>, StoreError> {
    let Some(row) = reader.execution(run)? else { return Ok(None) };
    let filter = LetterFilter { agent: Some(row.agent.clone()), limit: LETTERS, ..LetterFilter::default() };
    let replayed = row.trigger.dead_letter();
    let letters = reader.letters(&filter)?.rows;
    let of_it = letters.iter().find(|letter| letter.run == run);
    let found = of_it.or_else(|| letters.iter().find(|letter| Some(letter.id) == replayed));
    let mut account = ended::of_view(ExecutionView::from(row));
    account.letter = found.map(letter);
    if ended::may_be_run_again(&account) {
        account.again = ended::run_again(reader, &account)?;
    }
    account.facts = facts(reader, &FactQuery { run: Some(run), ..FactQuery::default() })?;
    Ok(Some(account))
}

fn letter(row: &LetterRow) -> LetterAccount {
    LetterAccount {
        id: row.id,
        run: row.run,
        at: row.at,
        error: told(&row.error, row.context.read::<ExecutionData>().ok().and_then(|data| data.exit).as_ref()),
        state: row.state.as_str(),
        replay: row.replay_run,
    }
}

fn facts(reader: &Reader, query: &FactQuery) -> Result<Vec<Fact>, StoreError> {
    let query = FactQuery { limit: Some(werkpilot_core::why::FACTS), ..query.clone() };
    Ok(kept_facts(reader, &query)?.events.into_iter().map(Fact::from).collect())
}
