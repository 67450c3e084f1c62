//! Deadlines of what is pending: thousands of them, most of which are cancelled before they are due.
//!
//! A hierarchical timer wheel (Varghese and Lauck, scheme 7): level 0 has a slot per tick, each level above has slots of
//! 64 times the width, and what is in a slot moves down when time reaches it. To insert and to cancel costs constant
//! time, however far away the deadline is, and time that passes costs nothing per tick. Nothing is early, and nothing
//! is later than one resolution, provided that the caller asks at [`Deadlines::next_deadline`].

use std::time::Duration;

use werkpilot_core::time::Moment;

/// Slots per level: what one `u64` can mark as occupied.
const SLOTS: usize = 64;
/// Bits of a tick that a level looks at.
const BITS: u32 = 6;
/// So many levels reach over every `u64` tick.
const LEVELS: usize = 11;
/// The end of a list.
const NONE: u32 = u32::MAX;

/// Names one item in [`Deadlines`]. A key whose item is gone is stale and finds nothing, also when its place has
/// been taken by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    place: u32,
    generation: u32,
}

impl Key {
    /// The key as a number, to be sent away and to come back.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    /// The key that has this number. One that was made up may name an item: who sends keys away checks who sends them back.
    pub fn from_bits(bits: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
        Self { place: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Items with a deadline each. Never reads a clock.
#[derive(Debug)]
pub struct Deadlines<T> {
    /// A tick is 2^shift nanoseconds.
    shift: u32,
    /// Up to this tick, everything that was due has been handed out.
    elapsed: u64,
    places: Vec<Place<T>>,
    /// The first vacant place; the others follow by `next`.
    vacant: u32,
    len: usize,
    /// The first place of each slot's list.
    heads: Box<[[u32; SLOTS]; LEVELS]>,
    /// Which slots of a level are not empty.
    occupied: [u64; LEVELS],
    /// Which levels are not empty.
    levels: u32,
}

/// A place keeps its generation when its item goes, and counts it up.
#[derive(Debug)]
struct Place<T> {
    item: Option<T>,
    tick: u64,
    generation: u32,
    level: u8,
    slot: u8,
    previous: u32,
    next: u32,
}

impl<T> Deadlines<T> {
    /// An empty table that tells deadlines apart to this resolution, or to a finer one, since a tick is a power of two
    /// in nanoseconds (5 ms become 4.2 ms).
    pub fn new(resolution: Duration) -> Self {
        let nanos = u64::try_from(resolution.as_nanos()).unwrap_or(u64::MAX);
        Self {
            shift: nanos.checked_ilog2().unwrap_or(0),
            elapsed: 0,
            places: Vec::new(),
            vacant: NONE,
            len: 0,
            heads: Box::new([[NONE; SLOTS]; LEVELS]),
            occupied: [0; LEVELS],
            levels: 0,
        }
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item that is due at `at`. What is due already comes out of the next [`Deadlines::expired`].
    pub fn insert(&mut self, at: Moment, item: T) -> Key {
        // Rounded up, so that it is never early.
        let tick = at.as_nanos().div_ceil(1 << self.shift);
        let place = self.vacant;
        let key = if let Some(free) = self.places.get_mut(place as usize) {
            self.vacant = free.next;
            free.item = Some(item);
            free.tick = tick;
            Key { place, generation: free.generation }
        } else {
            let place =
                u32::try_from(self.places.len()).ok().filter(|it| *it != NONE).expect("fewer than 2^32 - 1 items");
            let fresh = Place { item: Some(item), tick, generation: 0, level: 0, slot: 0, previous: NONE, next: NONE };
            self.places.push(fresh);
            Key { place, generation: 0 }
        };
        self.len += 1;
        self.link(key.place);
        key
    }

    /// Takes an item out before it is due. `None` if it has been handed out or cancelled already.
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        self.unlink(key.place);
        self.vacate(key.place)
    }

    /// The item, if it still waits.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.place as usize)?;
        if place.generation == key.generation { place.item.as_mut() } else { None }
    }

    /// Everything that waits, in no order. Looks at all places that were ever used at once.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..).zip(&self.places).filter_map(|(place, entry)| {
            entry.item.as_ref().map(|item| (Key { place, generation: entry.generation }, item))
        })
    }

    /// Appends everything that is due at `now` to `out`, with the earlier ticks first. The keys are stale from then on.
    pub fn expired(&mut self, now: Moment, out: &mut Vec<(Key, T)>) {
        let now = now.as_nanos() >> self.shift;
        while let Some((level, slot, start)) = self.first_slot()
            && start <= now
        {
            self.elapsed = self.elapsed.max(start);
            let mut place = std::mem::replace(&mut self.heads[level][slot], NONE);
            self.mark_empty(level, slot);
            while place != NONE {
                let Place { next, tick, generation, .. } = self.places[place as usize];
                if tick > self.elapsed {
                    self.link(place);
                } else if let Some(item) = self.vacate(place) {
                    out.push((Key { place, generation }, item));
                }
                place = next;
            }
        }
        self.elapsed = self.elapsed.max(now);
    }

    /// When to call [`Deadlines::expired`] next: not later than one resolution after the first deadline; perhaps
    /// earlier, in order to tell far deadlines apart, but later than the `now` of the last call, unless something was
    /// inserted that had been due by then. `None` if nothing waits.
    pub fn next_deadline(&self) -> Option<Moment> {
        let (_, _, start) = self.first_slot()?;
        Some(Moment::from_nanos(start.saturating_mul(1 << self.shift)))
    }

    /// The first slot that is not empty, and the tick at which it begins. Whatever is in a level lies behind all that is
    /// in the levels below it, and within a level all slots lie ahead.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let slot = self.occupied[level as usize].trailing_zeros();
        let above = (level + 1) * BITS;
        let block = if above >= u64::BITS { 0 } else { self.elapsed >> above << above };
        Some((level as usize, slot as usize, block | u64::from(slot) << (level * BITS)))
    }

    /// Puts a place into the list of its slot: the level is where its tick and the elapsed one differ first.
    fn link(&mut self, place: u32) {
        let entry = &mut self.places[place as usize];
        let tick = entry.tick.max(self.elapsed);
        let level = (tick ^ self.elapsed).checked_ilog2().unwrap_or(0) / BITS;
        let slot = tick >> (level * BITS) & (SLOTS as u64 - 1);
        #[expect(clippy::cast_possible_truncation, reason = "a level is below 11, a slot below 64")]
        {
            (entry.level, entry.slot) = (level as u8, slot as u8);
        }
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        let head = &mut self.heads[level][slot];
        (entry.previous, entry.next) = (NONE, *head);
        let second = std::mem::replace(head, place);
        if let Some(second) = self.places.get_mut(second as usize) {
            second.previous = place;
        }
        self.occupied[level] |= 1 << slot;
        self.levels |= 1 << level;
    }

    fn unlink(&mut self, place: u32) {
        let Place { level, slot, previous, next, .. } = self.places[place as usize];
        let (level, slot) = (usize::from(level), usize::from(slot));
        if let Some(next) = self.places.get_mut(next as usize) {
            next.previous = previous;
        }
        if let Some(previous) = self.places.get_mut(previous as usize) {
            previous.next = next;
        } else {
            self.heads[level][slot] = next;
            if next == NONE {
                self.mark_empty(level, slot);
            }
        }
    }

    fn mark_empty(&mut self, level: usize, slot: usize) {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    fn vacate(&mut self, place: u32) -> Option<T> {
        let entry = &mut self.places[place as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = std::mem::replace(&mut self.vacant, place);
        self.len -= 1;
        entry.item.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESOLUTION: Duration = Duration::from_millis(5);

    #[derive(Clone, Debug)]
    enum Step {
        /// In so many nanoseconds from now, or so long ago.
        Insert(i64),
        Cancel(prop::sample::Index),
        /// Time passes.
        Pass(u64),
        /// The caller sleeps until the next deadline.
        Sleep,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        const HOUR: i64 = 3_600_000_000_000;
        let span = prop_oneof![-20_000_000..50_000_000_i64, 0..1_000_000_000_i64, 0..HOUR, 0..1_000 * HOUR];
        let pass = prop_oneof![0..20_000_000_u64, 0..10_000_000_000_u64, 0..100_000_000_000_000_u64];
        let step = prop_oneof![
            4 => span.prop_map(Step::Insert),
            2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            2 => pass.prop_map(Step::Pass),
            3 => Just(Step::Sleep),
        ];
        prop::collection::vec(step, 0..150)
    }

    /// What waits, as (deadline, item, key), checked against the list of all of it.
    fn check_expired(
        waiting: &mut Vec<(u64, usize, Key)>,
        out: &[(Key, usize)],
        now: u64,
    ) -> Result<(), TestCaseError> {
        for (key, item) in out {
            let at = waiting.iter().position(|it| it.1 == *item && it.2 == *key);
            prop_assert!(at.is_some(), "{} came out twice", item);
            let (deadline, ..) = waiting.swap_remove(at.unwrap_or_default());
            prop_assert!(deadline <= now, "{} came out early", item);
        }
        let resolution = u64::try_from(RESOLUTION.as_nanos()).unwrap_or(u64::MAX);
        prop_assert!(waiting.iter().all(|it| it.0.saturating_add(resolution) > now), "something is late");
        Ok(())
    }

    proptest! {
        #[test]
        fn nothing_is_early_late_lost_or_handed_out_twice(steps in steps()) {
            let (mut deadlines, mut waiting, mut gone) = (Deadlines::new(RESOLUTION), Vec::new(), Vec::new());
            let mut now = 0_u64;
            for (item, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(span) => {
                        let at = now.saturating_add_signed(span);
                        waiting.push((at, item, deadlines.insert(Moment::from_nanos(at), item)));
                    }
                    Step::Cancel(index) if !waiting.is_empty() => {
                        let (_, item, key) = waiting.swap_remove(index.index(waiting.len()));
                        prop_assert_eq!(deadlines.get_mut(key).copied(), Some(item));
                        prop_assert_eq!(deadlines.cancel(key), Some(item));
                        gone.push(key);
                    }
                    Step::Cancel(_) => {}
                    Step::Pass(_) | Step::Sleep => {
                        now = match step {
                            Step::Pass(span) => now.saturating_add(span),
                            _ => deadlines.next_deadline().map_or(now, |at| now.max(at.as_nanos())),
                        };
                        let mut out = Vec::new();
                        deadlines.expired(Moment::from_nanos(now), &mut out);
                        check_expired(&mut waiting, &out, now)?;
                        gone.extend(out.iter().map(|it| it.0));
                        prop_assert!(deadlines.next_deadline().is_none_or(|at| at.as_nanos() > now), "would spin");
                    }
                }
                prop_assert_eq!(deadlines.len(), waiting.len());
                prop_assert_eq!(deadlines.next_deadline().is_none(), waiting.is_empty());
                let first = waiting.iter().map(|it| it.0).min().unwrap_or(u64::MAX);
                let next = deadlines.next_deadline().unwrap_or(Moment::ZERO).as_nanos();
                prop_assert!(next < first.max(now).saturating_add(5_000_000), "the next deadline is {next}, not {first}");
            }
            for key in gone {
                prop_assert!(deadlines.get_mut(key).is_none() && deadlines.cancel(key).is_none());
            }
        }
    }

    #[test]
    fn sleeping_until_a_deadline_in_five_minutes_takes_few_wake_ups() {
        let mut deadlines = Deadlines::new(RESOLUTION);
        let mut out = Vec::new();
        deadlines.expired(Moment::from_secs(12_345), &mut out);
        let due = Moment::from_secs(12_345 + 300);
        deadlines.insert(due, "late");
        let mut naps = 0;
        let mut now = Moment::ZERO;
        while let Some(at) = deadlines.next_deadline() {
            now = at;
            deadlines.expired(now, &mut out);
            naps += 1;
        }
        assert!(naps <= 4, "{naps}");
        assert!(now >= due && now.since(due) <= RESOLUTION);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_place_is_used_again_and_its_old_key_is_stale() {
        let mut deadlines = Deadlines::new(RESOLUTION);
        let old = deadlines.insert(Moment::from_secs(5), 'a');
        assert_eq!(deadlines.cancel(old), Some('a'));
        let new = deadlines.insert(Moment::from_secs(5), 'b');
        assert_eq!((deadlines.places.len(), old.place), (1, new.place));
        assert_eq!((deadlines.cancel(old), deadlines.get_mut(old)), (None, None));
        assert_eq!(Key::from_bits(new.to_bits()), new);
        assert_eq!(deadlines.iter().collect::<Vec<_>>(), [(new, &'b')]);
        assert_eq!(deadlines.cancel(new), Some('b'));
        assert!(deadlines.is_empty() && deadlines.next_deadline().is_none());
    }

    #[test]
    fn what_is_due_at_the_end_of_time_never_comes_early() {
        let mut deadlines = Deadlines::new(RESOLUTION);
        let mut out = Vec::new();
        deadlines.insert(Moment::from_nanos(u64::MAX), 1);
        deadlines.expired(Moment::from_nanos(u64::MAX - 1), &mut out);
        assert_eq!((out.len(), deadlines.len()), (0, 1));
    }
}
