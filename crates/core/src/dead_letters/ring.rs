//! The last so many dead letters, and what is being done about each.
//!
//! At most `capacity` letters. Who gives way is told: those that were replayed with success first, then the oldest; one that
//! is being replayed goes last. Ids are never used twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use utoipa::ToSchema;

use super::letter::{DeadLetter, DeadLetterDraft};
use super::standing::{LetterRefusal, LetterState, Standing, Step};
use crate::ids::AgentName;
use crate::time::Timestamp;

/// Dead letters of one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterGroup {
    /// What they have in common.
    pub signature: String,
    /// How many are kept.
    pub count: u32,
    /// When the first one of them was given up.
    pub first_seen: Timestamp,
    /// When the last one of them was given up.
    pub last_seen: Timestamp,
    /// Whose they are, by name.
    pub agents: Vec<AgentName>,
}

/// The last so many dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetterRing {
    capacity: usize,
    /// Oldest first, by ascending id.
    letters: VecDeque<DeadLetter>,
    /// The last id that was given.
    given: u64,
    /// The last id that was taken in.
    total: u64,
    evicted: u64,
}

impl DeadLetterRing {
    /// An empty ring for `capacity` letters (0 is taken as 1).
    pub const fn new(capacity: usize) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        Self { capacity, letters: VecDeque::new(), given: 0, total: 0, evicted: 0 }
    }

    /// The ring as it was: `letters` by ascending id, `newest` the last id that was given, `evicted` those that gave way.
    pub fn restored(capacity: usize, letters: Vec<DeadLetter>, newest: u64, evicted: u64) -> Self {
        let newest = letters.last().map_or(newest, |last| newest.max(last.id));
        Self { letters: letters.into(), given: newest, total: newest, evicted, ..Self::new(capacity) }
    }

    /// A new id.
    pub const fn next_id(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// Takes a letter in; answers its id, and the letter that had to give way.
    pub fn add(&mut self, draft: DeadLetterDraft) -> (u64, Option<DeadLetter>) {
        let id = self.next_id();
        let evicted = self.take_in(draft.into_letter(id)).pop();
        (id, evicted)
    }

    /// Takes in a letter that has an id of [`DeadLetterRing::next_id`]; answers those that had to give way.
    pub fn take_in(&mut self, letter: DeadLetter) -> Vec<DeadLetter> {
        self.given = self.given.max(letter.id);
        self.total = self.total.max(letter.id);
        let mut given_way = Vec::new();
        while self.letters.len() >= self.capacity {
            given_way.extend(self.give_way());
        }
        let at = self.letters.partition_point(|kept| kept.id < letter.id);
        self.letters.insert(at, letter);
        given_way
    }

    /// Takes out the one that gives way next.
    fn give_way(&mut self) -> Option<DeadLetter> {
        let at = self
            .first_in(|state| state == LetterState::Replayed)
            .or_else(|| self.first_in(|state| state != LetterState::Replaying))
            .unwrap_or(0);
        self.evicted += 1;
        self.letters.remove(at)
    }

    fn first_in(&self, wanted: impl Fn(LetterState) -> bool) -> Option<usize> {
        self.letters.iter().position(|letter| wanted(letter.standing.state))
    }

    /// Whether this may be done about a letter now; nothing is changed.
    ///
    /// # Errors
    /// [`LetterRefusal`] says why not.
    pub fn check(&self, id: u64, step: &Step) -> Result<&DeadLetter, LetterRefusal> {
        let letter = self.get(id).ok_or(LetterRefusal::Unknown(id))?;
        letter.standing.after(id, step)?;
        Ok(letter)
    }

    /// Does this about a letter.
    ///
    /// # Errors
    /// [`LetterRefusal`] says why not; nothing is changed then.
    pub fn act(&mut self, id: u64, step: &Step, at: Timestamp) -> Result<&mut DeadLetter, LetterRefusal> {
        let position = self.position(id).ok_or(LetterRefusal::Unknown(id))?;
        let letter = &mut self.letters[position];
        if let Some(standing) = letter.standing.after(id, step)? {
            letter.standing = Standing { updated_at: at, ..standing };
        }
        Ok(letter)
    }

    /// The letter of this id, if it is still kept.
    pub fn get(&self, id: u64) -> Option<&DeadLetter> {
        self.position(id).map(|at| &self.letters[at])
    }

    /// All letters, newest last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &DeadLetter> + ExactSizeIterator {
        self.letters.iter()
    }

    /// The last `n` letters, newest last.
    pub fn last(&self, n: usize) -> impl DoubleEndedIterator<Item = &DeadLetter> + ExactSizeIterator {
        self.letters.range(self.letters.len().saturating_sub(n)..)
    }

    /// Takes a letter out.
    pub fn discard(&mut self, id: u64) -> Option<DeadLetter> {
        self.position(id).and_then(|at| self.letters.remove(at))
    }

    /// Takes out all letters that were given up before `limit` (`max_age`), but for those that are being replayed.
    pub fn expire(&mut self, limit: Timestamp) -> Vec<DeadLetter> {
        let is_old = |letter: &DeadLetter| letter.timestamp < limit && letter.standing.state != LetterState::Replaying;
        if !self.letters.iter().any(is_old) {
            return Vec::new();
        }
        let (expired, kept): (Vec<_>, Vec<_>) = self.letters.drain(..).partition(is_old);
        self.letters = kept.into();
        self.evicted += expired.len() as u64;
        expired
    }

    /// The letters by signature, the group with the newest letter first.
    pub fn groups(&self) -> Vec<DeadLetterGroup> {
        let mut by_signature: BTreeMap<&str, (u64, DeadLetterGroup)> = BTreeMap::new();
        for letter in &self.letters {
            let (newest, group) = by_signature.entry(&letter.signature).or_insert_with(|| (0, begun(letter)));
            *newest = letter.id;
            group.count += 1;
            group.first_seen = group.first_seen.min(letter.timestamp);
            group.last_seen = group.last_seen.max(letter.timestamp);
            if let Err(at) = group.agents.binary_search(&letter.agent) {
                group.agents.insert(at, letter.agent.clone());
            }
        }
        let mut groups: Vec<_> = by_signature.into_values().collect();
        groups.sort_unstable_by_key(|(newest, _)| Reverse(*newest));
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// Changes how many are kept (0 is taken as 1); answers those that had to give way, oldest first.
    pub fn resize(&mut self, capacity: usize) -> Vec<DeadLetter> {
        self.capacity = capacity.max(1);
        let surplus = self.letters.len().saturating_sub(self.capacity);
        (0..surplus).map_while(|_| self.give_way()).collect()
    }

    /// Counts one that gave way before it could be taken in.
    pub const fn count_evicted(&mut self) {
        self.evicted += 1;
    }

    /// How many are kept at most.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many are kept now.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// How many there ever were: the last id that was taken in.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many gave way to newer ones, to a smaller capacity or to their age.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// When the oldest one was given up, those that are being replayed left out.
    pub fn oldest(&self) -> Option<Timestamp> {
        let idle = self.letters.iter().filter(|letter| letter.standing.state != LetterState::Replaying);
        idle.map(|letter| letter.timestamp).min()
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.letters.binary_search_by_key(&id, |letter| letter.id).ok()
    }
}

fn begun(letter: &DeadLetter) -> DeadLetterGroup {
    DeadLetterGroup {
        signature: letter.signature.clone(),
        count: 0,
        first_seen: letter.timestamp,
        last_seen: letter.timestamp,
        agents: Vec::new(),
    }
}
