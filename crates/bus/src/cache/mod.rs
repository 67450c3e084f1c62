//! The response cache: answers that their sender allows to be given again, and one flight per question.
//!
//! An answer is kept for its subject, payload and requester, or, if its sender says so, for all requesters. Only requests on
//! subjects that were answered with a time to live before are joined with others that are on their way: any other request may
//! have an effect, and two of it are meant. The first request of a subject that was never heard of flies alone, but its
//! payload is remembered, so that its answer can be kept already.
//!
//! An answer goes to nobody whom its sender did not mean it for: who joined a flight whose answer turns out not to be his is
//! named in [`Landed::again`]. Everything is bounded, and has no timers: what has expired is a miss, and is dropped
//! when it is touched, when room is needed, or when the sweep that every new answer moves on comes by.

mod answers;
mod flights;
mod subjects;

#[cfg(test)]
mod tests;

use std::time::Duration;

use werkpilot_core::time::Moment;

use answers::Answers;
pub use flights::FlightId;
use flights::Flights;
use subjects::{Kind, Subjects};

/// Requests with a longer payload are neither joined nor is their answer kept, since the payload is part of the key.
const LONGEST_REQUEST_BYTES: usize = 8 * 1_024;

/// For whom an answer is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For the one who asked.
    Requester,
    /// For everybody.
    All,
}

/// What may be kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Answers; also the subjects that are remembered. 0 turns the cache off.
    pub entries: usize,
    /// Bytes of keys, headers and payloads together, with an allowance for their bookkeeping.
    pub bytes: usize,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Asked<'a> {
    /// The answer is here.
    Hit {
        /// The header block as it was given to [`Cache::answered`].
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
    /// The same question is on its way: the waiter will come out of [`Cache::answered`] or [`Cache::failed`].
    Join,
    /// The request has to be sent, and what becomes of it has to be told with this id.
    Lead(FlightId),
    /// The request has to be sent. Its answer is told only if it has a time to live.
    Pass,
}

/// What an answer means for those who wait for it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Landed<W> {
    /// They get the same answer.
    pub share: Vec<W>,
    /// The answer is not for them: it has no time to live, or is only for the one who asked. Their requests have to be sent on
    /// their own.
    pub again: Vec<W>,
    /// The payload of those requests; empty if there are none.
    pub request: Box<[u8]>,
}

/// What a question is: the key of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question<'a> {
    subject: &'a [u8],
    payload: &'a [u8],
    /// None if the answer is for everybody.
    requester: Option<&'a str>,
}

impl<'a> Question<'a> {
    fn new(subject: &'a [u8], payload: &'a [u8], requester: &'a str, scope: Scope) -> Self {
        Self { subject, payload, requester: (scope == Scope::Requester).then_some(requester) }
    }
}

/// Answers, flights, and what is known of subjects. Never reads a clock.
#[derive(Debug)]
pub struct Cache<W> {
    answers: Answers,
    flights: Flights<W>,
    subjects: Subjects,
    entries: usize,
}

impl<W: Clone> Cache<W> {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        Self {
            answers: Answers::new(limits),
            flights: Flights::new(),
            subjects: Subjects::new(limits.entries),
            entries: limits.entries,
        }
    }

    /// Looks a request up, and says what to do with it. The waiter is kept only if the answer is [`Asked::Join`].
    pub fn ask(&mut self, subject: &[u8], payload: &[u8], requester: &str, waiter: W, now: Moment) -> Asked<'_> {
        if self.entries == 0 || payload.len() > LONGEST_REQUEST_BYTES {
            return Asked::Pass;
        }
        let scope = match self.subjects.get(subject) {
            Some(Kind::Plain) => return Asked::Pass,
            Some(Kind::Cacheable { scope, .. }) => scope,
            None => {
                let question = Question::new(subject, payload, requester, Scope::Requester);
                self.subjects.set(subject, Kind::Plain);
                return self.flights.start_alone(question, requester).map_or(Asked::Pass, Asked::Lead);
            }
        };
        let question = Question::new(subject, payload, requester, scope);
        if let Some(found) = self.answers.find(question, now) {
            let (headers, payload) = self.answers.read(found);
            return Asked::Hit { headers, payload };
        }
        self.flights.board(question, requester, waiter)
    }

    /// Takes the answer to a request on `subject`: with the flight that [`Cache::ask`] gave, if it did. An answer that must
    /// not be kept, such as an error, has no `ttl`. A flight that was told already changes nothing.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one property of the answer, and a struct would be made for this call only"
    )]
    pub fn answered(
        &mut self,
        flight: Option<FlightId>,
        subject: &[u8],
        ttl: Option<Duration>,
        scope: Scope,
        headers: &[u8],
        payload: &[u8],
        now: Moment,
    ) -> Landed<W> {
        let ttl = ttl.filter(|ttl| !ttl.is_zero() && self.entries > 0);
        self.subjects.answered(subject, ttl.map(|_| scope));
        let Some(flight) = flight.and_then(|id| self.flights.land(id)) else {
            return Landed { share: Vec::new(), again: Vec::new(), request: Box::default() };
        };
        let mine = |who: &str| ttl.is_some() && (scope == Scope::All || *flight.leader == *who);
        let (share, again): (Vec<_>, Vec<_>) = flight.waiters.into_iter().partition(|(who, _)| mine(who));
        if let Some(ttl) = ttl {
            let question = Question::new(&flight.subject, &flight.payload, &flight.leader, scope);
            self.answers.store(question, headers, payload, now + ttl, now);
        }
        let request = if again.is_empty() { Box::default() } else { flight.payload };
        let waiters = |of: Vec<(_, W)>| of.into_iter().map(|(_, waiter)| waiter).collect();
        Landed { share: waiters(share), again: waiters(again), request }
    }

    /// The flight has come to nothing: it timed out, or who was asked is gone. These waited for it, and either are sent on
    /// their own or fail with it.
    pub fn failed(&mut self, flight: FlightId) -> Vec<W> {
        let Some(flight) = self.flights.land(flight) else { return Vec::new() };
        if flight.alone {
            // Nothing was learnt: the next request tries again.
            self.subjects.forget(&flight.subject);
        }
        flight.waiters.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// Drops all answers, and gives their memory back. Flights go on.
    pub fn clear(&mut self) {
        self.answers.clear();
    }

    /// How many answers are kept, the expired ones that were not dropped yet included.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether no answer is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the answers take, as the limit counts them.
    pub fn bytes(&self) -> usize {
        self.answers.bytes()
    }
}
