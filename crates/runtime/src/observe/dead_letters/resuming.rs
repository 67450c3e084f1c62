//! After a death of this actor: replays of which the disk knows, and perhaps nobody else.

use actix::prelude::*;
use werkpilot_core::dead_letters::{LetterState, Step};
use werkpilot_store::reader::LetterFilter;
use werkpilot_store::row::letter::LetterRow;
use werkpilot_store::{Reader, StoreError};

use super::{DeadLetters, ReplayEnded};

/// More than can be begun at a time.
const MOST: usize = 1_000;

impl DeadLetters {
    /// Looks on disk for replays whose begin, or whose end, the dead one did not live to carry out.
    pub(super) fn resume(&self, ctx: &mut Context<Self>) {
        let ledger = self.house.ledger.clone();
        if !ledger.is_kept() {
            return;
        }
        let wanted = LetterFilter {
            states: vec![LetterState::Replaying],
            oldest_first: true,
            limit: MOST,
            ..Default::default()
        };
        let read = async move {
            // What the dead one handed in may be on its way to the disk still.
            ledger.settled().await;
            ledger.read(move |reader| reader.letters(&wanted)).await
        };
        ctx.spawn(read.into_actor(self).map(|page, this, ctx| match page {
            Ok(page) => page.rows.into_iter().for_each(|row| this.resume_one(row, ctx)),
            Err(error) => log::error!("failed to {error}: replays that were beginning wait for the next start"),
        }));
    }

    /// The disk knows of something else that is done about these letters than memory does: a dead actor began it. Looks at
    /// them anew, if that is what was wrong.
    pub(super) fn reconcile(&self, ids: Vec<u64>, wrong: &StoreError, ctx: &mut Context<Self>) {
        if !matches!(wrong, StoreError::Conflict(_)) {
            return;
        }
        let ledger = self.house.ledger.clone();
        let read = async move {
            let rows =
                move |reader: &Reader| ids.into_iter().map(|id| reader.letter(id)).collect::<Result<Vec<_>, _>>();
            ledger.read(rows).await.unwrap_or_default()
        };
        ctx.spawn(read.into_actor(self).map(|rows, this, ctx| {
            let replaying = rows.into_iter().flatten().filter(|row| row.state == LetterState::Replaying);
            replaying.for_each(|row| this.resume_one(row, ctx));
        }));
    }

    fn resume_one(&mut self, row: LetterRow, ctx: &mut Context<Self>) {
        let (id, Some(run)) = (row.id, row.replay_run) else { return };
        let letter = self.house.dead_letters.borrow().get(id).map(|letter| letter.standing.clone());
        match letter {
            // Gave way, or is in the hands of this one, who will hear from the disk what is wrong.
            None => return,
            Some(_) if self.busy.contains(&id) => return,
            Some(standing) if standing.replay_run == Some(run) && standing.state != LetterState::Replaying => return,
            Some(standing) if standing.replay_run == Some(run) => {}
            Some(_) => self.act(id, &Step::BeginReplay { run, force: true }, row.updated_at),
        }
        let agent = self.house.directory.borrow().find(row.agent.as_str());
        let Some(agent) = agent else { return };
        if self.house.dispatcher.borrow().live(agent).iter().any(|live| live.run == run) {
            return;
        }
        let ended = self.house.events.borrow().end_of(run).and_then(|recorded| ReplayEnded::of(&recorded.event));
        if let Some(ended) = ended {
            return self.replay_ended(&ended, ctx);
        }
        if !self.resuming.insert(run) {
            return;
        }
        let admit = self.admit(id, run, agent, row.payload.map(Into::into));
        ctx.spawn(admit.map(move |admitted, this, _| {
            this.resuming.remove(&run);
            if let Err(error) = admitted {
                log::warn!("dead letter {id} was not replayed: {error}");
            }
        }));
    }
}
