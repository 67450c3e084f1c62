//! An open connection as the door, its wire and the gate see it: what it is doing, and since when.
//!
//! All that judges it is in [`Connection::verdict`], which is told the time.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::framing::{Place, Refusal};
use crate::counters::Counters;

/// A request's head has to come within this time (slow loris).
pub(super) const HEAD_TIME: Duration = Duration::from_secs(5);
/// A request's body has to come within this time, whether somebody reads it or not: a megabyte at 100 kB/s.
pub(super) const BODY_TIME: Duration = Duration::from_secs(15);
/// A connection on which nothing is asked is kept so long.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(75);
/// Who takes nothing of an answer for so long is cut off. Streams say something every ten seconds.
pub(super) const STALL_TIME: Duration = Duration::from_secs(30);

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Well,
    /// It is told why, and closed.
    Refuse(Refusal),
    /// It is closed: nobody has asked anything for long.
    Idle,
    /// It is closed: its client takes nothing.
    Stalled,
}

/// See the module.
pub(crate) struct Connection {
    place: Cell<Place>,
    /// Since when the bytes have that place; since when nobody asks, if it is [`Place::Between`].
    since: Cell<Instant>,
    /// Requests that are being answered.
    answering: Cell<u32>,
    /// Since when the client takes nothing.
    unsent_since: Cell<Option<Instant>>,
    /// When the answer has to be taken, however slowly it is.
    sent_by: Cell<Option<Instant>>,
    refusal: Cell<Option<Refusal>>,
    /// Who waits for bytes.
    reader: RefCell<Option<Waker>>,
    /// Its send buffer is to be bounded with the next write.
    streams: Cell<bool>,
    idle_again: Rc<Notify>,
    counters: Arc<Counters>,
}

impl Connection {
    /// `idle_again` is told whenever the connection has nothing to do any more.
    pub(super) fn new(idle_again: Rc<Notify>, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            place: Cell::new(Place::Between),
            since: Cell::new(Instant::now()),
            answering: Cell::new(0),
            unsent_since: Cell::new(None),
            sent_by: Cell::new(None),
            refusal: Cell::new(None),
            reader: RefCell::new(None),
            streams: Cell::new(false),
            idle_again,
            counters,
        })
    }

    /// A request is being answered until the guard is dropped.
    pub fn answer(self: &Rc<Self>) -> Answering {
        self.answering.set(self.answering.get() + 1);
        Answering(self.clone())
    }

    /// From now on an answer goes out piece by piece, for long: the system may not take megabytes for a client that
    /// reads nothing.
    pub fn stream(&self) {
        self.streams.set(true);
    }

    /// The answer that begins now has to be taken until then.
    pub fn sent_by(&self, time: Instant) {
        self.sent_by.set(Some(time));
    }

    pub(super) fn begins_to_stream(&self) -> bool {
        self.streams.take()
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answering.get() > 0
    }

    /// Since when nobody wants anything of it.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = !self.is_answering() && self.place.get() == Place::Between && self.unsent_since.get().is_none();
        idle.then(|| self.since.get())
    }

    pub(super) fn is_at(&self, place: Place) {
        if self.place.replace(place) != place || place == Place::Between {
            self.since.set(Instant::now());
        }
    }

    pub(super) fn sent(&self, all: bool) {
        if all {
            if self.unsent_since.take().is_some() {
                self.settle();
            }
        } else if self.unsent_since.get().is_none() {
            self.unsent_since.set(Some(Instant::now()));
        }
    }

    /// A client that took something has its time again.
    pub(super) fn sent_some(&self) {
        if self.unsent_since.get().is_some() {
            self.unsent_since.set(Some(Instant::now()));
        }
    }

    /// An answer is on its way or sent. What was begun meanwhile has its time from now on.
    fn settle(&self) {
        if self.is_answering() || self.place.get() == Place::Body {
            return;
        }
        self.since.set(Instant::now());
        if self.place.get() == Place::Between {
            self.idle_again.notify_one();
        }
    }

    pub(super) fn waits(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *reader = Some(waker.clone());
        }
    }

    /// No more bytes are taken; who waits for some learns it.
    pub(super) fn refuse(&self, refusal: Refusal) {
        if self.refusal.get().is_none() {
            self.refusal.set(Some(refusal));
            self.counters.refused(refusal);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get()
    }

    /// What is to be done with it now.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let for_long = |since: Instant, time: Duration| now.saturating_duration_since(since) >= time;
        if self.unsent_since.get().is_some_and(|since| for_long(since, STALL_TIME)) {
            return Verdict::Stalled;
        }
        if self.sent_by.get().is_some_and(|time| now >= time) {
            return Verdict::Stalled;
        }
        if self.refusal.get().is_some() {
            return Verdict::Well;
        }
        match self.place.get() {
            Place::Head if !self.is_answering() && for_long(self.since.get(), HEAD_TIME) => {
                Verdict::Refuse(Refusal::Slow)
            }
            Place::Body if for_long(self.since.get(), BODY_TIME) => Verdict::Refuse(Refusal::Slow),
            _ if self.idle_since().is_some_and(|since| for_long(since, IDLE_TIME)) => Verdict::Idle,
            _ => Verdict::Well,
        }
    }
}

/// A request is being answered as long as this is there.
pub(crate) struct Answering(Rc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.set(self.0.answering.get().saturating_sub(1));
        self.0.sent_by.set(None);
        self.0.settle();
    }
}

impl Deref for Answering {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Rc<Connection> {
        Connection::new(Rc::new(Notify::new()), Arc::default())
    }

    fn after(connection: &Connection, time: Duration) -> Verdict {
        connection.verdict(Instant::now() + time)
    }

    fn almost(time: Duration) -> Duration {
        time.saturating_sub(Duration::from_millis(900))
    }

    #[test]
    fn a_head_and_a_body_have_their_time_and_no_more() {
        let connection = connection();
        connection.is_at(Place::Head);
        assert_eq!(after(&connection, almost(HEAD_TIME)), Verdict::Well);
        assert_eq!(after(&connection, HEAD_TIME), Verdict::Refuse(Refusal::Slow));
        connection.is_at(Place::Head);
        assert_eq!(after(&connection, HEAD_TIME), Verdict::Refuse(Refusal::Slow), "a further byte buys no time");
        connection.is_at(Place::Body);
        assert_eq!(after(&connection, almost(BODY_TIME)), Verdict::Well);
        assert_eq!(after(&connection, BODY_TIME), Verdict::Refuse(Refusal::Slow));
    }

    #[test]
    fn a_connection_is_idle_while_nothing_is_asked_answered_or_on_its_way() {
        let connection = connection();
        assert!(connection.idle_since().is_some());
        assert_eq!(after(&connection, IDLE_TIME), Verdict::Idle);
        let answering = connection.answer();
        assert_eq!(after(&connection, IDLE_TIME * 9), Verdict::Well);
        connection.sent(false);
        drop(answering);
        assert!(connection.idle_since().is_none(), "not all of it was taken");
        assert_eq!(after(&connection, STALL_TIME), Verdict::Stalled);
        connection.sent(true);
        assert!(connection.idle_since().is_some());
    }

    #[test]
    fn who_takes_some_of_an_answer_has_time_for_the_rest() {
        let connection = connection();
        let _answering = connection.answer();
        connection.sent_some();
        assert_eq!(after(&connection, STALL_TIME), Verdict::Well, "all was taken");
        connection.sent(false);
        assert_eq!(after(&connection, almost(STALL_TIME)), Verdict::Well);
        assert_eq!(after(&connection, STALL_TIME), Verdict::Stalled);
        connection.sent_some();
        assert_eq!(after(&connection, almost(STALL_TIME)), Verdict::Well);
    }

    #[test]
    fn who_takes_an_answer_slowly_and_has_a_time_for_it_is_cut_off() {
        let connection = connection();
        let answering = connection.answer();
        connection.sent_by(Instant::now() + STALL_TIME);
        connection.sent(false);
        connection.sent_some();
        assert_eq!(after(&connection, almost(STALL_TIME)), Verdict::Well);
        assert_eq!(after(&connection, STALL_TIME), Verdict::Stalled);
        drop(answering);
        connection.sent(true);
        assert_eq!(after(&connection, STALL_TIME), Verdict::Well, "it was sent");
    }

    #[test]
    fn what_is_refused_is_refused_once() {
        let connection = connection();
        connection.is_at(Place::Head);
        connection.refuse(Refusal::HeadTooLarge);
        connection.refuse(Refusal::Slow);
        assert_eq!(connection.refusal(), Some(Refusal::HeadTooLarge));
        assert_eq!(after(&connection, IDLE_TIME * 9), Verdict::Well);
    }
}
