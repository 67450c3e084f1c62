//! Requests on their way whose answer may be kept, and who else waits for it.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::{Asked, Question};

/// Flights at one time: with the longest payloads 8 MiB. What comes on top is sent without being remembered.
const FLIGHTS: usize = 1_024;
/// Waiters of all flights together: as many as there may be pending requests by default. What comes on top is sent.
const WAITERS: usize = 10_000;

/// Names a flight. Once its end was told, the id is stale and names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlightId {
    place: u32,
    generation: u32,
}

#[derive(Debug)]
pub(super) struct Flight<W> {
    pub(super) subject: Box<[u8]>,
    pub(super) payload: Box<[u8]>,
    /// Who asked.
    pub(super) leader: Box<str>,
    /// Nobody can join.
    pub(super) alone: bool,
    /// Who else asked, and how to reach them.
    pub(super) waiters: Vec<(Box<str>, W)>,
    for_all: bool,
    generation: u32,
}

impl<W> Flight<W> {
    fn question(&self) -> Question<'_> {
        let requester = (!self.for_all).then_some(&*self.leader);
        Question { subject: &self.subject, payload: &self.payload, requester }
    }
}

#[derive(Debug)]
pub(super) struct Flights<W> {
    places: Slab<Flight<W>>,
    /// Those that can be joined, by their question.
    open: HashTable<u32>,
    hasher: DefaultHashBuilder,
    generation: u32,
    waiting: usize,
}

impl<W> Flights<W> {
    pub(super) fn new() -> Self {
        Self {
            places: Slab::new(),
            open: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            generation: 0,
            waiting: 0,
        }
    }

    /// A flight that nobody can join. `None` if there are too many.
    pub(super) fn start_alone(&mut self, question: Question<'_>, leader: &str) -> Option<FlightId> {
        self.start(question, leader, true)
    }

    /// Joins the flight with this question, or starts one.
    pub(super) fn board(&mut self, question: Question<'_>, requester: &str, waiter: W) -> Asked<'static> {
        let hash = self.hasher.hash_one(question);
        let same = |place: &u32| self.places[*place as usize].question() == question;
        let Some(place) = self.open.find(hash, same).copied() else {
            let started = self.start(question, requester, false);
            if let Some(id) = started {
                let (places, hasher) = (&self.places, &self.hasher);
                let rehash = |place: &u32| hasher.hash_one(places[*place as usize].question());
                self.open.insert_unique(hash, id.place, rehash);
            }
            return started.map_or(Asked::Pass, Asked::Lead);
        };
        if self.waiting >= WAITERS {
            return Asked::Pass;
        }
        self.places[place as usize].waiters.push((requester.into(), waiter));
        self.waiting += 1;
        Asked::Join
    }

    /// Takes a flight out. `None` if that was done already.
    pub(super) fn land(&mut self, id: FlightId) -> Option<Flight<W>> {
        let place = id.place as usize;
        let flight = self.places.get(place).filter(|flight| flight.generation == id.generation)?;
        if !flight.alone {
            let hash = self.hasher.hash_one(flight.question());
            if let Ok(entry) = self.open.find_entry(hash, |other| *other == id.place) {
                entry.remove();
            }
        }
        let flight = self.places.remove(place);
        self.waiting -= flight.waiters.len();
        Some(flight)
    }

    fn start(&mut self, question: Question<'_>, leader: &str, alone: bool) -> Option<FlightId> {
        if self.places.len() >= FLIGHTS {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let place = self.places.insert(Flight {
            subject: question.subject.into(),
            payload: question.payload.into(),
            leader: leader.into(),
            alone,
            waiters: Vec::new(),
            for_all: question.requester.is_none(),
            generation: self.generation,
        });
        Some(FlightId { place: u32::try_from(place).ok()?, generation: self.generation })
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.open.is_empty() && self.waiting == 0
    }
}
