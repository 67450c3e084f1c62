//! The schedules of a timetable: on the wall clock, with its rules for steps.

use std::time::Duration;

use super::line::Line;
use super::step::WRONG_CLOCK;
use super::{Due, DueKind, Misfire, Upcoming};
use crate::ids::AgentIndex;
use crate::schedule::Schedule;
use crate::time::Timestamp;

/// Stands for a time that will never come, and for one that never came.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
const NOT_YET: Timestamp = Timestamp::from_millis(i64::MIN);

/// One schedule. 72 bytes.
#[derive(Debug)]
struct Scheduled {
    schedule: Schedule,
    /// The time that it names next, or [`NEVER`].
    next: Timestamp,
    /// The time that it named when it was last handed over, or [`NOT_YET`].
    last: Timestamp,
    /// Milliseconds by which it comes later than it says.
    offset: u32,
}

impl Scheduled {
    /// When it is due, jitter included.
    fn due_at(&self) -> Timestamp {
        Timestamp::from_millis(self.next.as_millis().saturating_add(i64::from(self.offset)))
    }

    /// The wall clock as the schedule sees it: behind by the jitter.
    fn behind(&self, wall: Timestamp) -> Timestamp {
        Timestamp::from_millis(wall.as_millis().saturating_sub(i64::from(self.offset)))
    }

    fn next_after(&self, after: Timestamp) -> Timestamp {
        self.schedule.next_after(after).unwrap_or(NEVER)
    }

    /// Goes on from `wall`, never to a time that has come.
    fn advance(&mut self, wall: Timestamp) {
        self.next = self.next_after(self.behind(wall).max(self.last));
    }

    /// Goes on from `wall` after the clock was set back to it. A fixed time that has come does not come again; an
    /// interval follows the new time, and only the very time that came last does not come twice in a row.
    fn resume(&mut self, wall: Timestamp) {
        if self.last.since(wall) > WRONG_CLOCK {
            self.last = NOT_YET;
        }
        if self.schedule.is_fixed_time() {
            return self.advance(wall);
        }
        self.next = self.next_after(self.behind(wall));
        if self.next == self.last {
            self.next = self.next_after(self.last);
        } else {
            self.last = NOT_YET;
        }
    }

    fn upcoming(&self, agent: AgentIndex, scheduled_for: Timestamp) -> Option<Upcoming> {
        let at = scheduled_for + Duration::from_millis(u64::from(self.offset));
        (scheduled_for != NEVER).then_some(Upcoming { at, agent, trigger: DueKind::Schedule, scheduled_for })
    }
}

/// All schedules, by the slot of their agent.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    entries: Vec<Option<Scheduled>>,
    count: usize,
    line: Line<Timestamp>,
}

impl Schedules {
    pub fn insert(&mut self, agent: AgentIndex, schedule: Schedule, offset: Duration, wall: Timestamp) {
        let replaced = self.take_out(agent).filter(|old| old.schedule == schedule);
        let last = replaced.map_or(NOT_YET, |old| old.last);
        let offset = u32::try_from(offset.as_millis()).unwrap_or(u32::MAX);
        let mut entry = Scheduled { schedule, next: NEVER, last, offset };
        entry.advance(wall);
        if self.entries.len() <= agent.slot() {
            // Growing by an eighth instead of doubling keeps the slack within the memory budget of an entry.
            let missing = agent.slot() + 1 - self.entries.len();
            if self.entries.capacity() <= agent.slot() {
                self.entries.reserve_exact(missing + self.entries.len() / 8);
            }
            self.entries.resize_with(agent.slot() + 1, || None);
        }
        self.line.insert(entry.due_at(), agent);
        self.entries[agent.slot()] = Some(entry);
        self.count += 1;
    }

    pub fn remove(&mut self, agent: AgentIndex) -> bool {
        self.take_out(agent).is_some()
    }

    fn take_out(&mut self, agent: AgentIndex) -> Option<Scheduled> {
        let mut entry = self.entries.get_mut(agent.slot())?.take()?;
        self.count -= 1;
        if self.line.remove(entry.due_at(), agent) {
            entry.last = entry.next;
        }
        Some(entry)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_behind(&self) -> bool {
        self.line.is_behind()
    }

    pub fn first(&self) -> Option<Timestamp> {
        self.line.first()
    }

    pub fn agents(&self) -> impl Iterator<Item = AgentIndex> + '_ {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.is_some()).map(|(slot, _)| AgentIndex::from(slot))
    }

    /// Hands over what is due at `wall`, except what the clock was set past.
    pub fn take(
        &mut self,
        wall: Timestamp,
        jumped: Option<(Timestamp, Timestamp)>,
        out: &mut Vec<Due>,
        misfired: &mut Vec<Misfire>,
    ) {
        let entries = &self.entries;
        self.line.take(wall, |at, agent| {
            let Some(entry) = &entries[agent.slot()] else { return };
            let scheduled_for = entry.next;
            if jumped.is_some_and(|(after, up_to)| at > after && at <= up_to) {
                misfired.push(Misfire { scheduled_for, agent });
            } else {
                out.push(Due { scheduled_for, agent, trigger: DueKind::Schedule });
            }
        });
        // A misfired time has not come: should the clock be set back again, it may.
        for misfire in misfired {
            let entry = self.entries[misfire.agent.slot()].as_mut().expect("it was in the line");
            self.line.remove(entry.due_at(), misfire.agent);
            entry.advance(wall);
            self.line.insert(entry.due_at(), misfire.agent);
        }
    }

    /// Puts up to `max` of the taken ones back; answers how much of `max` is left.
    pub fn reschedule(&mut self, max: usize, wall: Timestamp) -> usize {
        for left in (1..=max).rev() {
            let Some((_, agent)) = self.line.pop_taken() else { return left };
            let entry = self.entries[agent.slot()].as_mut().expect("whoever is taken has an entry");
            entry.last = entry.next;
            entry.advance(wall);
            self.line.insert(entry.due_at(), agent);
        }
        0
    }

    /// The wall clock was set back to `wall`.
    pub fn resume(&mut self, wall: Timestamp) {
        self.recompute(|entry| entry.resume(wall));
    }

    /// The wall clock was wrong; now it is `wall`. What came by the wrong clock counts for nothing.
    pub fn start_afresh(&mut self, wall: Timestamp) {
        self.recompute(|entry| {
            entry.last = NOT_YET;
            entry.advance(wall);
        });
    }

    fn recompute(&mut self, rule: impl Fn(&mut Scheduled)) {
        let Self { entries, line, .. } = self;
        while let Some((_, agent)) = line.pop_taken() {
            let entry = entries[agent.slot()].as_mut().expect("whoever is taken has an entry");
            entry.last = entry.next;
        }
        line.refill(entries.iter_mut().enumerate().filter_map(|(slot, entry)| {
            let entry = entry.as_mut()?;
            rule(entry);
            Some((entry.due_at(), AgentIndex::from(slot)))
        }));
    }

    pub fn next_of(&self, agent: AgentIndex, wall: Timestamp) -> Option<Upcoming> {
        let entry = self.entries.get(agent.slot())?.as_ref()?;
        if self.line.is_taken(entry.due_at(), agent) {
            return entry.upcoming(agent, entry.next_after(entry.behind(wall).max(entry.next)));
        }
        entry.upcoming(agent, entry.next)
    }

    /// The first time that is due after `from`, whatever has come already.
    pub fn following(&self, agent: AgentIndex, from: Timestamp) -> Option<Upcoming> {
        let entry = self.entries.get(agent.slot())?.as_ref()?;
        entry.upcoming(agent, entry.next_after(entry.behind(from)))
    }

    #[cfg(test)]
    pub const BYTES_PER_SLOT: usize = size_of::<Option<Scheduled>>();
}
