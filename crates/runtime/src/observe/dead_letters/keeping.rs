//! Letters come in by way of the disk, and give way by count and by age.

use actix::prelude::*;
use werkpilot_core::dead_letters::{DeadLetter, DeadLetterDraft, LetterState, Step};
use werkpilot_core::event::{End, Event};
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_store::{Change, Conflict, LetterAction, StoreError};

use super::tray::Incoming;
use super::{AGAIN, AGE_LOOK, DeadLetters, LookInTray, ReplayEnded, Work};
use crate::clock::Clock;

impl DeadLetters {
    /// A new letter; or, of a replay, its end.
    pub(super) fn take_in(&mut self, mut draft: DeadLetterDraft, end: Vec<Change>, ctx: &mut Context<Self>) {
        let origin = draft.trigger.dead_letter();
        let origin = origin.filter(|letter| self.house.dead_letters.borrow().get(*letter).is_some());
        if let Some(letter) = origin {
            let killed = Step::kills(draft.exit.as_ref());
            return self.end_replay(Work::EndReplay { letter, run: draft.run, succeeded: false, killed, end }, ctx);
        }
        draft.last_health_check = {
            let directory = self.house.directory.borrow();
            let slot = directory.find(draft.agent.as_str()).and_then(|index| directory.get(index));
            slot.and_then(|slot| slot.last_health_check.as_ref().map(|check| check.at))
        };
        let id = self.house.dead_letters.borrow_mut().ring.next_id();
        self.submit(Work::Letter { letter: Box::new(draft.into_letter(id)), end }, ctx);
    }

    pub(super) fn replay_ended(&mut self, ended: &ReplayEnded, ctx: &mut Context<Self>) {
        let &ReplayEnded { letter, run, end, by_shutdown, .. } = ended;
        if end == End::Cancelled && by_shutdown && self.house.ledger.is_kept() {
            return; // Its trigger is kept: it comes with the next start.
        }
        let killed = end == End::Failed && Step::kills(ended.exit.as_ref());
        let succeeded = end == End::Succeeded;
        self.end_replay(Work::EndReplay { letter, run, succeeded, killed, end: Vec::new() }, ctx);
    }

    /// Keeps the end of a replay, if it is news.
    pub(super) fn end_replay(&mut self, mut work: Work, ctx: &mut Context<Self>) {
        let Work::EndReplay { letter, run, .. } = &work else { return };
        let (letter, run) = (*letter, *run);
        let is_news =
            self.house.dead_letters.borrow().get(letter).is_some_and(|kept| {
                kept.standing.state == LetterState::Replaying && kept.standing.replay_run == Some(run)
            });
        if is_news && self.busy.insert(letter) {
            self.submit(work, ctx);
        } else {
            let end = work.take_end();
            self.house.executions.record(end);
        }
    }

    /// Hands it to the disk, behind what waits for that already.
    fn submit(&mut self, work: Work, ctx: &mut Context<Self>) {
        if self.house.dead_letters.borrow().unkept.is_empty() {
            self.offer(work);
        } else {
            self.wait_for_disk(work, ctx);
        }
    }

    fn offer(&self, work: Work) {
        let (batch, tray, desk) = (
            work.batch(Clock::wall()),
            self.house.dead_letters.borrow().tray.clone(),
            self.house.posts.dead_letters.clone(),
        );
        let work = Box::new(work);
        self.house.ledger.keep(batch, move |result| {
            tray.push(Incoming::Settled { work, result });
            desk.tell(LookInTray);
        });
    }

    pub(super) fn offer_again(&self) {
        let waiting = std::mem::take(&mut self.house.dead_letters.borrow_mut().unkept);
        for work in waiting {
            self.offer(work);
        }
    }

    /// It is offered again in a moment; at most as many letters wait as are kept.
    fn wait_for_disk(&mut self, work: Work, ctx: &mut Context<Self>) {
        let mut desk = self.house.dead_letters.borrow_mut();
        desk.unkept.push_back(work);
        let lost = if desk.unkept.len() > desk.capacity() { desk.unkept.pop_front() } else { None };
        if let Some(Work::Letter { letter, .. }) = lost {
            desk.ring.count_evicted();
            log::error!("a dead letter of {} is lost: the disk took none for so long ({})", letter.agent, letter.error);
            self.house.emit(Event::DeadLetterDiscarded { id: letter.id, agent: letter.agent, evicted: true });
        }
        drop(desk);
        if self.again_at.is_none() {
            self.again_at = Some(self.house.clock.steady() + AGAIN);
            self.turn(ctx);
        }
    }

    /// The disk has said something.
    pub(super) fn settle(&mut self, mut work: Work, result: Result<(), StoreError>, ctx: &mut Context<Self>) {
        match result {
            Ok(()) => self.done(work),
            Err(StoreError::Conflict(conflict)) => {
                log::error!("failed to {conflict}, with a dead letter");
                let end = work.take_end();
                if !end.is_empty() {
                    // Each on its own, then.
                    self.house.ledger.record(end);
                    return self.submit(work, ctx);
                }
                match (work, conflict) {
                    (Work::Letter { mut letter, end }, Conflict::LetterExists(_)) => {
                        letter.id = self.house.dead_letters.borrow_mut().ring.next_id();
                        self.submit(Work::Letter { letter, end }, ctx);
                    }
                    // Gone from the disk, or ended there: it ends here, too.
                    (work, _) => self.done(work),
                }
            }
            Err(error) => {
                if self.house.dead_letters.borrow().unkept.is_empty() {
                    log::error!("failed to {error}: dead letters wait in memory until it takes them");
                }
                self.retried(&mut work);
                self.wait_for_disk(work, ctx);
            }
        }
    }

    /// Ids go up with the time at which the disk takes a letter.
    fn retried(&self, work: &mut Work) {
        if let Work::Letter { letter, .. } = work {
            letter.id = self.house.dead_letters.borrow_mut().ring.next_id();
        }
    }

    /// It is on disk: now it is so, and everybody may know.
    fn done(&mut self, work: Work) {
        match work {
            Work::Letter { mut letter, .. } => {
                if self.house.ledger.is_kept() {
                    letter.execution.payload = None;
                }
                let (id, agent) = (letter.id, letter.agent.clone());
                let (error, signature) = (letter.error.clone(), letter.signature.clone());
                let evicted = self.house.dead_letters.borrow_mut().ring.take_in(*letter);
                self.house.emit(Event::DeadLetterAdded { id, agent, error, signature });
                self.evicted(evicted);
            }
            Work::EndReplay { letter, run, succeeded, killed, .. } => {
                self.busy.remove(&letter);
                let step = Step::EndReplay { run, succeeded, killed };
                let mut desk = self.house.dead_letters.borrow_mut();
                if let Ok(letter) = desk.ring.act(letter, &step, Clock::wall())
                    && letter.standing.state == LetterState::Parked
                {
                    let (id, agent, kills) = (letter.id, letter.agent.clone(), letter.standing.kills);
                    self.house.emit(Event::DeadLetterParked { id, agent, kills });
                }
                drop(desk);
                self.tell_sets(letter, succeeded);
            }
        }
    }

    // ---- giving way ----

    /// What gave way is told, and taken from the disk.
    pub(super) fn evicted(&self, letters: Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        let at = Clock::wall();
        let batch = letters.iter().map(|letter| Change::Letter { id: letter.id, action: LetterAction::Evict, at });
        self.house.ledger.record(batch.collect());
        for DeadLetter { id, agent, .. } in letters {
            self.house.emit(Event::DeadLetterDiscarded { id, agent, evicted: true });
        }
    }

    /// More may be there than are to be kept, after a start with another capacity.
    pub(super) fn trim(&self) {
        let mut desk = self.house.dead_letters.borrow_mut();
        let capacity = desk.capacity();
        let evicted = desk.ring.resize(capacity);
        drop(desk);
        self.evicted(evicted);
    }

    /// Those that are too old give way.
    pub(super) fn expire(&self) {
        let max_age = self.house.settings.borrow().dead_letters.max_age;
        let max_age = i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX);
        let limit = Timestamp::from_millis(Clock::wall().as_millis().saturating_sub(max_age));
        let expired = self.house.dead_letters.borrow_mut().ring.expire(limit);
        self.evicted(expired);
    }

    /// When the next one may be too old.
    pub(super) fn next_age(&self) -> Option<Moment> {
        let oldest = self.house.dead_letters.borrow().oldest()?;
        let max_age = self.house.settings.borrow().dead_letters.max_age;
        let left = (oldest + max_age).since(Clock::wall()) + std::time::Duration::from_millis(1);
        Some(self.house.clock.steady() + left.min(AGE_LOOK))
    }
}
