//! What is known of an execution that has ended, and what followed.

use werkpilot_core::agent::LastWords;
use werkpilot_core::event::End;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::trigger::Trigger;
use werkpilot_core::why::{EndedAccount, LetterAccount};
use werkpilot_store::reader::HistoryFilter;
use werkpilot_store::row::execution::ExecutionRow;
use werkpilot_store::{Reader, StoreError};

use super::{account, agent_now};
use crate::house::House;
use crate::state::ExecutionView;

/// Executions among which the one is looked for that was made in the place of another.
const LOOKED_AT: usize = 200;

/// An execution whose end is remembered.
pub(super) fn of(house: &House, run: RunId) -> Option<EndedAccount> {
    let view = house.events.borrow().end_of(run).and_then(ExecutionView::of_end)?;
    let letter = letter(house, run, Some(&view.trigger));
    let (now, last_words) = (agent_now(house, &view.agent), last_words(house, &view.agent, run));
    Some(EndedAccount { letter, now, last_words, ..of_view(view) })
}

/// What its program said before it failed, while its agent has not failed again or succeeded.
pub(super) fn last_words(house: &House, agent: &AgentName, run: RunId) -> Option<LastWords> {
    let directory = house.directory.borrow();
    let machine = directory.get(directory.find(agent.as_str())?)?.machine.borrow();
    machine.last_words().filter(|words| words.run_id == run).cloned()
}

/// The dead letter that an execution became, or that it replayed.
pub(super) fn letter(house: &House, run: RunId, trigger: Option<&Trigger>) -> Option<LetterAccount> {
    let desk = house.dead_letters.borrow();
    let of_it = desk.iter().rev().find(|letter| letter.run == run);
    let replayed = trigger.and_then(Trigger::dead_letter);
    of_it.or_else(|| desk.iter().find(|letter| Some(letter.id) == replayed)).map(account::letter)
}

/// From what is known of it, but for what followed.
pub(super) fn of_view(view: ExecutionView) -> EndedAccount {
    EndedAccount {
        run: view.run_id,
        agent: view.agent,
        end: view.state,
        at: view.ended_at,
        trigger: view.trigger,
        attempts: view.attempts,
        exit: view.exit.map(|exit| exit.to_string()),
        reason: view.reason.map(|text| (text, view.cause.unwrap_or_default())),
        last_words: None,
        letter: None,
        again: None,
        now: None,
        facts: Vec::new(),
    }
}

/// Whether another execution may have been made in its place (`on_lost = "rerun"`).
pub(super) fn may_be_run_again(account: &EndedAccount) -> bool {
    let cut_off = [End::Interrupted, End::Lost].iter().any(|end| end.as_str() == account.end);
    cut_off && account.letter.is_none()
}

/// The execution that was made in its place: the first one after it of the same agent, trigger and time.
pub(super) fn run_again(reader: &Reader, account: &EndedAccount) -> Result<Option<RunId>, StoreError> {
    let Some(row) = reader.execution(account.run)? else { return Ok(None) };
    let filter = HistoryFilter { agent: Some(account.agent.clone()), limit: LOOKED_AT, ..HistoryFilter::default() };
    let mut others = reader.history(&filter)?.rows;
    others.extend(reader.live()?);
    let replaces = |other: &&ExecutionRow| {
        other.run > row.run
            && other.agent == row.agent
            && other.trigger == row.trigger
            && other.scheduled_for == row.scheduled_for
            && row.ended_at.is_some_and(|ended| other.queued_at >= ended)
    };
    Ok(others.iter().filter(replaces).map(|other| other.run).min())
}
