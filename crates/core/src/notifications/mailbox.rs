//! What waits for one target, and what is done about it. Never reads a clock.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::Rate;
use super::target::NotifyTarget;
use crate::backoff::Dice;
use crate::spec::Backoff;
use crate::time::Moment;

/// Events that a target was to hear and did not, since its last message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// By the rate.
    pub suppressed: u64,
    /// By the bound of the queue, or because they were given up.
    pub dropped: u64,
}

impl LeftOut {
    /// Whether there is nothing to tell.
    pub const fn is_none(self) -> bool {
        self.suppressed == 0 && self.dropped == 0
    }

    const fn add(&mut self, other: Self) {
        self.suppressed += other.suppressed;
        self.dropped += other.dropped;
    }
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<T> {
    /// An event.
    Event(T),
    /// Nothing but what was left out.
    Summary,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Delivered,
    /// It may be there the next time; not before so long, if the target said so.
    Failed {
        /// What the target asked for.
        retry_after: Option<Duration>,
    },
    /// The target will never take this one.
    Rejected,
}

/// What happens to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// There is something to tell.
    Offered(T),
    /// The try under way has ended. A late word of one that is not under way is nothing.
    Ended(Outcome),
    /// Who carried the message is gone, and nobody knows how far it came.
    Lost,
    /// [`Mailbox::next_deadline`] is over.
    DeadlineReached,
    /// From now on everything is tried once and at once; nothing more is taken.
    Closing,
    /// The time for that is over, too.
    Closed,
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// There were too many.
    QueueFull,
    /// After so many tries.
    GivenUp {
        /// Tries.
        attempts: u32,
    },
    /// The target does not take it.
    Rejected,
    /// The orchestrator goes down.
    Closing,
}

/// What is to be done.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<T> {
    /// Carry this, and tell how it ended.
    Send {
        /// Which message: 1, 2, 3 …; the same when it is tried again.
        id: u64,
        /// What it is about.
        content: Content<T>,
        /// What is told with it; the same when it is tried again.
        left_out: LeftOut,
        /// The first try is 1.
        attempt: u32,
    },
    /// Messages are being lost: told once, until one goes through again.
    LossBegan(Loss),
    /// One went through again.
    LossEnded {
        /// Since the first was lost.
        after: Duration,
        /// How many were.
        dropped: u64,
    },
}

/// What was counted since the mailbox was made. `offered` is the sum of `sent`, `suppressed`, `dropped` and the events
/// that are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events that the target was to hear.
    pub offered: u64,
    /// Events that were delivered.
    pub sent: u64,
    /// Messages that had nothing to tell but what was left out, delivered.
    pub summaries: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Events left out by the rate.
    pub suppressed: u64,
    /// Events dropped by the bound, or given up.
    pub dropped: u64,
}

#[derive(Clone, Debug)]
struct Message<T> {
    id: u64,
    content: Content<T>,
    taken_at: Moment,
    attempts: u32,
    /// What is told with it, from the first try on.
    left_out: LeftOut,
}

/// What waits for one target.
#[derive(Clone, Debug)]
pub struct Mailbox<T> {
    capacity: usize,
    rate: Rate,
    retry: Backoff,
    max_age: Duration,
    dice: Dice,
    /// Oldest first; the first one is the one that is under way.
    held: VecDeque<Message<T>>,
    under_way: bool,
    closing: bool,
    /// Not before, as the last try failed.
    paused_until: Option<Moment>,
    failures_in_a_row: u32,
    /// When what was let through was let through, within `rate.per`.
    passed: VecDeque<Moment>,
    /// When a summary goes if nothing else does.
    summary_at: Option<Moment>,
    untold: LeftOut,
    tally: Tally,
    /// Since when messages are lost, and how many had been before.
    losing: Option<(Moment, u64)>,
    last_id: u64,
}

impl<T: Clone> Mailbox<T> {
    /// An empty one with the bounds of a target.
    pub fn new(target: &NotifyTarget, seed: u64) -> Self {
        Self {
            capacity: usize::try_from(target.queue).unwrap_or(usize::MAX).max(1),
            rate: target.rate,
            retry: target.retry,
            max_age: target.max_age,
            dice: Dice::new(seed),
            held: VecDeque::new(),
            under_way: false,
            closing: false,
            paused_until: None,
            failures_in_a_row: 0,
            passed: VecDeque::new(),
            summary_at: None,
            untold: LeftOut::default(),
            tally: Tally::default(),
            losing: None,
            last_id: 0,
        }
    }

    /// What was counted.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// What is still to be told with the next message.
    pub const fn untold(&self) -> LeftOut {
        self.untold
    }

    /// Messages that are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Tries in a row that failed.
    pub const fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// When to call [`Self::on`] with [`Event::DeadlineReached`].
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.under_way || self.closing {
            return None;
        }
        if self.held.is_empty() { self.summary_at } else { self.paused_until }
    }

    /// New bounds. What does not fit into them any more is dropped, and a pause ends: what was wrong may be put right.
    pub fn configure(&mut self, target: &NotifyTarget, now: Moment, actions: &mut Vec<Action<T>>) {
        self.capacity = usize::try_from(target.queue).unwrap_or(usize::MAX).max(1);
        self.rate = target.rate;
        self.retry = target.retry;
        self.max_age = target.max_age;
        self.paused_until = None;
        while self.held.len() > self.capacity {
            self.make_room(now, actions);
        }
        self.go_on(now, actions);
    }

    /// The one place where the state changes, but for [`Self::configure`].
    pub fn on(&mut self, event: Event<T>, now: Moment, actions: &mut Vec<Action<T>>) {
        match event {
            Event::Offered(event) => self.offered(event, now, actions),
            Event::Ended(outcome) if self.under_way => self.ended(outcome, now, actions),
            Event::Lost if self.under_way => self.ended(Outcome::Failed { retry_after: None }, now, actions),
            // A late word.
            Event::Ended(_) | Event::Lost | Event::DeadlineReached => {}
            Event::Closing => {
                self.closing = true;
                self.paused_until = None;
            }
            Event::Closed => {
                self.closing = true;
                self.drop_all(now, actions);
            }
        }
        self.go_on(now, actions);
    }

    fn offered(&mut self, event: T, now: Moment, actions: &mut Vec<Action<T>>) {
        self.tally.offered += 1;
        if !self.passes(now) {
            self.tally.suppressed += 1;
            self.untold.suppressed += 1;
            self.summary_at = Some(now + self.rate.per);
            return;
        }
        if self.held.len() >= self.capacity && !self.make_room(now, actions) {
            self.lose(LeftOut { suppressed: 0, dropped: 1 }, Loss::QueueFull, now, actions);
            self.summary_at = Some(now + self.rate.per);
            return;
        }
        self.push(Content::Event(event), now);
    }

    fn push(&mut self, content: Content<T>, now: Moment) {
        self.last_id += 1;
        let (id, left_out) = (self.last_id, LeftOut::default());
        self.held.push_back(Message { id, content, taken_at: now, attempts: 0, left_out });
    }

    /// Whether the rate lets one through; it is counted then.
    fn passes(&mut self, now: Moment) -> bool {
        while self.passed.front().is_some_and(|at| now.since(*at) >= self.rate.per) {
            self.passed.pop_front();
        }
        let room = self.passed.len() < usize::try_from(self.rate.max).unwrap_or(usize::MAX);
        if room {
            self.passed.push_back(now);
        }
        room
    }

    /// Drops the oldest message that is not under way. `false`: there is none.
    fn make_room(&mut self, now: Moment, actions: &mut Vec<Action<T>>) -> bool {
        let Some(oldest) = self.held.remove(usize::from(self.under_way)) else { return false };
        self.drop_message(&oldest, Loss::QueueFull, now, actions);
        true
    }

    fn ended(&mut self, outcome: Outcome, now: Moment, actions: &mut Vec<Action<T>>) {
        self.under_way = false;
        let Some(message) = self.held.front() else { return };
        match outcome {
            Outcome::Delivered => {
                match message.content {
                    Content::Event(_) => self.tally.sent += 1,
                    Content::Summary => self.tally.summaries += 1,
                }
                self.held.pop_front();
                self.failures_in_a_row = 0;
                if let Some((since, before)) = self.losing.take() {
                    let dropped = self.tally.dropped - before;
                    actions.push(Action::LossEnded { after: now.since(since), dropped });
                }
            }
            Outcome::Failed { .. } if self.closing => {
                self.tally.failed += 1;
                self.drop_all(now, actions);
            }
            Outcome::Failed { retry_after } => {
                self.tally.failed += 1;
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                let delay = self.retry.delay(self.failures_in_a_row - 1, self.dice.unit());
                let asked = retry_after.unwrap_or_default().min(self.retry.cap);
                self.paused_until = Some(now + delay.max(asked));
                let attempts = message.attempts;
                if attempts > self.retry.max || now.since(message.taken_at) >= self.max_age {
                    self.drop_first(Loss::GivenUp { attempts }, now, actions);
                }
            }
            Outcome::Rejected => {
                // Whoever answers is there: the next one goes at once.
                self.tally.failed += 1;
                self.failures_in_a_row = 0;
                self.drop_first(Loss::Rejected, now, actions);
            }
        }
    }

    fn drop_first(&mut self, loss: Loss, now: Moment, actions: &mut Vec<Action<T>>) {
        if let Some(message) = self.held.pop_front() {
            self.drop_message(&message, loss, now, actions);
        }
    }

    fn drop_all(&mut self, now: Moment, actions: &mut Vec<Action<T>>) {
        self.under_way = false;
        while !self.held.is_empty() {
            self.drop_first(Loss::Closing, now, actions);
        }
    }

    fn drop_message(&mut self, message: &Message<T>, loss: Loss, now: Moment, actions: &mut Vec<Action<T>>) {
        // What it was to tell is told by another one.
        self.untold.add(message.left_out);
        if matches!(message.content, Content::Event(_)) {
            self.lose(LeftOut { suppressed: 0, dropped: 1 }, loss, now, actions);
        }
        // Who takes none would be asked again and again.
        self.summary_at = (loss != Loss::Rejected).then(|| now + self.rate.per);
    }

    fn lose(&mut self, what: LeftOut, loss: Loss, now: Moment, actions: &mut Vec<Action<T>>) {
        if self.losing.is_none() {
            self.losing = Some((now, self.tally.dropped));
            actions.push(Action::LossBegan(loss));
        }
        self.untold.add(what);
        self.tally.dropped += what.dropped;
    }

    /// Begins what can be begun.
    fn go_on(&mut self, now: Moment, actions: &mut Vec<Action<T>>) {
        if self.under_way {
            return;
        }
        if self.held.is_empty() && !self.closing && self.summary_at.is_some_and(|at| at <= now) {
            self.summary_at = None;
            if !self.untold.is_none() {
                self.push(Content::Summary, now);
            }
        }
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        let Some(message) = self.held.front_mut() else { return };
        if message.attempts == 0 {
            message.left_out = std::mem::take(&mut self.untold);
            self.summary_at = None;
        }
        message.attempts += 1;
        let (id, content, left_out, attempt) =
            (message.id, message.content.clone(), message.left_out, message.attempts);
        self.under_way = true;
        self.paused_until = None;
        actions.push(Action::Send { id, content, left_out, attempt });
    }
}
