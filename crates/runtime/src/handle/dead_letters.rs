//! What can be asked of the dead-letter desk from outside.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use werkpilot_core::dead_letters::{DeadLetter, LetterFilter, LetterRefusal, LetterState, Pace};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_store::reader::LetterFilter as StoreFilter;

use super::{ControlError, Handle, not_kept};
use crate::house::House;
use crate::observe::dead_letters::{
    AwaitHealth, CancelReplay, DeskError, DiscardLetters, EditLetter, Handled, ReplayLetter, ReplayLetters, ReplaySet,
    ReplaySetView,
};
use crate::post::Unavailable;
use crate::view::{DeadLetterList, DeadLetterPage, dead_letters};

/// The desk answers once the disk has: a slow one takes seconds.
const DISK: Duration = Duration::from_secs(10);
/// Letters that are looked into for a text at a time.
const PAGE: usize = 200;

impl Handle {
    /// All dead letters with their groups; payloads are only in [`Handle::dead_letter`].
    pub async fn dead_letters(&self) -> Result<DeadLetterList, ControlError> {
        self.find_dead_letters(LetterFilter::default(), DeadLetterPage { limit: usize::MAX, before: None }).await
    }

    /// The last of the dead letters that are meant, with the groups that these are in.
    pub async fn find_dead_letters(
        &self,
        filter: LetterFilter,
        page: DeadLetterPage,
    ) -> Result<DeadLetterList, ControlError> {
        let (filter, among) = self.with_text(filter).await?;
        self.consult(move |house| dead_letters(house, &filter, among.as_ref(), page)).await
    }

    /// One dead letter, with its payload.
    pub async fn dead_letter(&self, id: u64) -> Result<DeadLetter, ControlError> {
        let letter = self.consult(move |house| house.dead_letters.borrow().get(id).cloned()).await?;
        let mut letter = letter.ok_or(ControlError::UnknownDeadLetter(id))?;
        if letter.execution.payload.is_none() && letter.payload_bytes.is_some() {
            let row = self.ledger.read(move |reader| reader.letter(id)).await?;
            let row = row.ok_or(ControlError::UnknownDeadLetter(id))?;
            letter.execution.payload = row.payload.map(Arc::from);
        }
        Ok(letter)
    }

    /// Replays a dead letter: a new execution of its agent, with its payload. `force`: also if it is parked or was replayed.
    pub async fn replay_dead_letter(&self, id: u64, force: bool) -> Result<RunId, ControlError> {
        Ok(self.posts.dead_letters.ask(ReplayLetter { id, force, run: None }, DISK).await??)
    }

    /// The same as an execution whose id was chosen before.
    pub async fn replay_dead_letter_as(&self, id: u64, force: bool, run: RunId) -> Result<RunId, ControlError> {
        Ok(self.posts.dead_letters.ask(ReplayLetter { id, force, run: Some(run) }, DISK).await??)
    }

    /// Replays the letters that are meant, oldest first, at a pace; [`Handle::replay_of_dead_letters`] tells how it goes.
    /// Where the filter names no state, those that are open or wait.
    pub async fn replay_dead_letters(
        &self,
        filter: LetterFilter,
        pace: Pace,
        force: bool,
        by: &str,
    ) -> Result<ReplaySetView, ControlError> {
        let ids = self.replayable(filter).await?;
        Ok(self.replay_set(ids, pace, force, by, None).await?)
    }

    /// The same once under a key, however often it is asked for. `since`: it was asked for before, at that time, so that
    /// letters about which something was done since are passed over.
    pub async fn replay_dead_letters_once(
        &self,
        filter: LetterFilter,
        pace: Pace,
        force: bool,
        by: &str,
        key: RunId,
        since: Option<Timestamp>,
    ) -> Result<ReplaySetView, ControlError> {
        let mut ids = self.replayable(filter).await?;
        if let Some(since) = since {
            let untouched = move |house: &House| {
                let desk = house.dead_letters.borrow();
                ids.retain(|id| desk.get(*id).is_some_and(|letter| letter.standing.updated_at < since));
                ids
            };
            ids = self.consult(untouched).await?;
        }
        Ok(self.replay_set(ids, pace, force, by, Some(key)).await?)
    }

    async fn replay_set(
        &self,
        ids: Vec<u64>,
        pace: Pace,
        force: bool,
        by: &str,
        key: Option<RunId>,
    ) -> Result<ReplaySetView, Unavailable> {
        self.posts.dead_letters.ask(ReplayLetters { ids, pace, force, by: by.to_owned(), key }, DISK).await
    }

    /// The letters that [`Handle::replay_dead_letters`] would replay, in its order.
    pub async fn replayable(&self, mut filter: LetterFilter) -> Result<Vec<u64>, ControlError> {
        if filter.states.is_empty() {
            filter.states = vec![LetterState::Open, LetterState::Waiting];
        }
        self.dead_letter_ids(filter).await
    }

    /// How far the replay of a set is; `None`: it is not remembered.
    pub async fn replay_of_dead_letters(&self, set: u64) -> Result<Option<ReplaySetView>, ControlError> {
        Ok(self.replays_of_dead_letters().await?.into_iter().find(|view| view.id == set))
    }

    /// Sets that are being replayed, and the last ones that were; oldest first.
    pub async fn replays_of_dead_letters(&self) -> Result<Vec<ReplaySetView>, ControlError> {
        self.consult(|house| house.dead_letters.borrow().sets().map(ReplaySet::view).collect()).await
    }

    /// Begins no more of a set; what is under way goes on. `None`: it is not remembered.
    pub async fn cancel_replay(&self, set: u64) -> Result<Option<ReplaySetView>, ControlError> {
        Ok(self.posts.dead_letters.ask(CancelReplay(set), DISK).await?)
    }

    /// Replays the letters that are meant once this agent is healthy, as a dependency is. `None`: not any more.
    pub async fn replay_when_healthy(
        &self,
        filter: LetterFilter,
        agent: Option<&str>,
    ) -> Result<Handled, ControlError> {
        let agent = match agent {
            Some(name) => Some(self.known(name).await?),
            None => None,
        };
        let ids = self.replayable(filter).await?;
        self.await_health(ids, agent).await
    }

    /// The same of one letter.
    pub async fn replay_one_when_healthy(&self, id: u64, agent: Option<&str>) -> Result<(), ControlError> {
        let agent = match agent {
            Some(name) => Some(self.known(name).await?),
            None => None,
        };
        let letter = self.dead_letter(id).await?;
        match self.await_health(vec![id], agent).await? {
            Handled { done: 1, .. } => Ok(()),
            _ => Err(standing_in_the_way(&letter)),
        }
    }

    async fn await_health(&self, ids: Vec<u64>, agent: Option<AgentName>) -> Result<Handled, ControlError> {
        Ok(self.posts.dead_letters.ask(AwaitHealth { ids, agent }, DISK).await??)
    }

    /// Gives a dead letter another payload, which its next replay gets on stdin. A parked one is open again.
    pub async fn edit_dead_letter(&self, id: u64, payload: Option<Vec<u8>>) -> Result<(), ControlError> {
        let payload = payload.map(Arc::from);
        Ok(self.posts.dead_letters.ask(EditLetter { id, payload }, DISK).await??)
    }

    /// Throws a dead letter away.
    pub async fn discard_dead_letter(&self, id: u64) -> Result<(), ControlError> {
        self.posts.dead_letters.ask(DiscardLetters { ids: vec![id], strict: true }, DISK).await??;
        Ok(())
    }

    /// Ends the desk's actor by a panic: a drill. Its successor takes over.
    pub fn crash_dead_letters(&self) {
        self.posts.dead_letters.tell(crate::observe::dead_letters::Crash);
    }

    /// Throws all dead letters away that are meant and are not being replayed.
    pub async fn discard_dead_letters(&self, filter: LetterFilter) -> Result<Handled, ControlError> {
        let ids = self.dead_letter_ids(filter).await?;
        Ok(self.posts.dead_letters.ask(DiscardLetters { ids, strict: false }, DISK).await??)
    }

    /// The letters that are meant, oldest first.
    pub async fn dead_letter_ids(&self, filter: LetterFilter) -> Result<Vec<u64>, ControlError> {
        let (filter, among) = self.with_text(filter).await?;
        let ids = self.consult(move |house| {
            let desk = house.dead_letters.borrow();
            let meant = desk.iter().filter(|letter| filter.fits(letter)).map(|letter| letter.id);
            meant.filter(|id| among.as_ref().is_none_or(|among| among.contains(id))).collect()
        });
        ids.await
    }

    /// Payloads are on disk only: a text is looked for there. Answers the rest of the filter, and who has the text.
    async fn with_text(&self, filter: LetterFilter) -> Result<(LetterFilter, Option<BTreeSet<u64>>), ControlError> {
        if filter.text.is_none() || !self.ledger.is_kept() {
            return Ok((filter, None));
        }
        let mut wanted = StoreFilter {
            agent: filter.agent.clone(),
            signature: filter.signature.clone(),
            text: filter.text.clone(),
            limit: PAGE,
            ..StoreFilter::default()
        };
        let found = self.ledger.read(move |reader| {
            let mut ids = BTreeSet::new();
            loop {
                let page = reader.letters(&wanted)?;
                ids.extend(page.rows.iter().map(|row| row.id));
                wanted.after = page.next;
                if wanted.after.is_none() {
                    return Ok(ids);
                }
            }
        });
        Ok((LetterFilter { text: None, ..filter }, Some(found.await?)))
    }
}

/// Why it can't wait.
fn standing_in_the_way(letter: &DeadLetter) -> ControlError {
    let standing = &letter.standing;
    let step = werkpilot_core::dead_letters::Step::Await(letter.agent.clone());
    let refusal = standing.after(letter.id, &step).err().unwrap_or(LetterRefusal::Busy(letter.id));
    refusal.into()
}

impl From<LetterRefusal> for ControlError {
    fn from(refusal: LetterRefusal) -> Self {
        match refusal {
            LetterRefusal::Unknown(id) => Self::UnknownDeadLetter(id),
            other => Self::DeadLetter(other),
        }
    }
}

impl From<DeskError> for ControlError {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Refused(refusal) => refusal.into(),
            DeskError::NoAgent(name) => Self::UnknownAgent { name: name.to_string(), suggestion: None },
            DeskError::NotAJob(name) => Self::NotAJob(name),
            DeskError::NotKept(error) => not_kept(error),
            DeskError::Unreadable(error) => Self::State(error),
        }
    }
}
