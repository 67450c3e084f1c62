//! What comes to the desk: kept apart from its actor's mailbox, which dies with the actor.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use werkpilot_core::dead_letters::DeadLetterDraft;
use werkpilot_store::{Change, StoreError};

use super::desk::Work;
use super::{LookInTray, ReplayEnded};
use crate::house::House;

/// What came, first one first. Cheap to clone, for any thread.
#[derive(Clone, Debug, Default)]
pub struct Tray(Arc<Mutex<VecDeque<Incoming>>>);

/// What can come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Something failed for good.
    Letter { draft: Box<DeadLetterDraft>, end: Vec<Change> },
    /// A replay ended.
    Ended(ReplayEnded),
    /// The disk has said something.
    Settled { work: Box<Work>, result: Result<(), StoreError> },
}

impl Tray {
    pub(super) fn push(&self, incoming: Incoming) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(incoming);
    }

    pub(super) fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl House {
    /// Takes in what failed for good. A replay that failed makes no second letter. `end` is what is to be written down of the
    /// end of its execution: kept together with the letter, or neither is.
    pub fn keep_letter(&self, draft: Box<DeadLetterDraft>, end: Vec<Change>) {
        self.bring_to_desk(Incoming::Letter { draft, end });
    }

    /// Tells the desk how a replay ended.
    pub fn replay_ended(&self, ended: ReplayEnded) {
        self.bring_to_desk(Incoming::Ended(ended));
    }

    fn bring_to_desk(&self, incoming: Incoming) {
        self.dead_letters.borrow().tray.push(incoming);
        self.posts.dead_letters.tell(LookInTray);
    }
}
