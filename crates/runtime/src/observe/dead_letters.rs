//! The dead-letter desk: takes in what failed for good and keeps the last ones. In memory until the store comes.

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use werkpilot_core::dead_letters::{DeadLetter, DeadLetterDraft, DeadLetterRing};
use werkpilot_core::event::Event;

use werkpilot_store::Change;
use werkpilot_store::row::letter::LetterRow;

use crate::house::House;
use crate::supervision::ExitNotice;

/// The book of dead letters.
pub type Desk = DeadLetterRing;

/// Takes in what failed for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepDeadLetter {
    /// What is known of it.
    pub draft: Box<DeadLetterDraft>,
    /// What is to be written down of the end of its execution: kept together with the letter, or neither is.
    pub end: Vec<Change>,
}

/// Throws a dead letter away. Answers it, if it was there.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<DeadLetter>>")]
pub struct DiscardDeadLetter(pub u64);

/// Keeps so many from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResizeDesk(pub u32);

/// The actor of the dead-letter desk.
pub struct DeadLetters {
    house: Rc<House>,
    _notice: ExitNotice,
}

impl DeadLetters {
    /// An actor for the house's dead letters.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, _notice: notice }
    }

    fn tell_discarded(&self, letter: &DeadLetter, evicted: bool) {
        self.house.emit(Event::DeadLetterDiscarded { id: letter.id, agent: letter.agent.clone(), evicted });
    }
}

impl Actor for DeadLetters {
    type Context = Context<Self>;
}

impl Handler<KeepDeadLetter> for DeadLetters {
    type Result = ();
    fn handle(&mut self, KeepDeadLetter { mut draft, end }: KeepDeadLetter, _: &mut Self::Context) {
        draft.last_health_check = {
            let directory = self.house.directory.borrow();
            let slot = directory.find(draft.agent.as_str()).and_then(|index| directory.get(index));
            slot.and_then(|slot| slot.last_health_check.as_ref().map(|(at, _)| *at))
        };
        let (agent, error) = (draft.agent.clone(), draft.error.clone());
        let (id, evicted) = self.house.dead_letters.borrow_mut().add(*draft);
        let mut batch = end;
        let letter = self.house.dead_letters.borrow().get(id).map(LetterRow::from);
        batch.extend(letter.map(|letter| Change::AddLetter(Box::new(letter))));
        self.house.ledger.record(batch);
        let signature = self.house.dead_letters.borrow().get(id).map(|letter| letter.signature.clone());
        self.house.emit(Event::DeadLetterAdded { id, agent, error, signature: signature.unwrap_or_default() });
        if let Some(letter) = evicted {
            self.tell_discarded(&letter, true);
        }
    }
}

impl Handler<DiscardDeadLetter> for DeadLetters {
    type Result = Option<Arc<DeadLetter>>;
    fn handle(&mut self, DiscardDeadLetter(id): DiscardDeadLetter, _: &mut Self::Context) -> Self::Result {
        let letter = self.house.dead_letters.borrow_mut().discard(id)?;
        self.tell_discarded(&letter, false);
        Some(Arc::new(letter))
    }
}

impl Handler<ResizeDesk> for DeadLetters {
    type Result = ();
    fn handle(&mut self, ResizeDesk(capacity): ResizeDesk, _: &mut Self::Context) {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let evicted = self.house.dead_letters.borrow_mut().resize(capacity);
        for letter in evicted {
            self.tell_discarded(&letter, true);
        }
    }
}
