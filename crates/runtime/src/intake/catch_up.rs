//! How far the schedules of agents with `catch_up` are: the book, and the look at what they missed.
//!
//! Invariant: what goes to the disk is never beyond an execution that has not ended (`werkpilot_core::catch_up`), so it
//! may follow late. A time that was started is known by its id, which is on disk before its program.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use werkpilot_core::catch_up::{Handed, Missed, Plan, Progress, Turn};
use werkpilot_core::dispatcher::Request;
use werkpilot_core::event::End;
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::{AgentSpec, CatchUp};
use werkpilot_core::time::Timestamp;
use werkpilot_core::timetable::{Entry, Timer};
use werkpilot_core::trigger::Trigger;
use werkpilot_store::row::agent::SchedulePosition;
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState, Why};
use werkpilot_store::{Change, Reader, StoreError};

/// The kind of these positions. Intervals have none: they begin at boot.
const KIND: &str = "schedule";

/// Stands where the definition was, once a schedule is not followed any more: equal to none, so that what comes later
/// starts afresh.
const NOT_FOLLOWED: &str = "";

/// The book.
#[derive(Debug, Default)]
pub struct Positions {
    restored: HashMap<AgentName, SchedulePosition>,
    followed: BTreeMap<AgentIndex, Followed>,
}

/// A schedule that is followed.
#[derive(Debug)]
struct Followed {
    name: AgentName,
    plan: Plan,
    definition: String,
    progress: Progress,
    /// The position on disk, or on its way there.
    written: Option<Timestamp>,
    /// The look at what it missed, until that is known.
    search: Option<Search>,
}

impl Followed {
    /// The position, if it has moved since it was last asked for.
    fn moved(&mut self, now: Timestamp) -> Option<Change> {
        let position = self.progress.position().filter(|position| self.written != Some(*position))?;
        self.written = Some(position);
        Some(put(&self.name, position, self.definition.clone(), now))
    }
}

fn put(agent: &AgentName, position: Timestamp, definition: String, now: Timestamp) -> Change {
    let (agent, kind) = (agent.clone(), KIND.to_owned());
    Change::PutSchedule(SchedulePosition { agent, kind, position, definition, updated_at: now })
}

/// The plan of an agent that wants to catch up.
pub fn plan(spec: &AgentSpec, entries: &[Entry]) -> Option<Plan> {
    let job = spec.job().filter(|job| job.catch_up != CatchUp::None)?;
    entries.iter().find_map(|entry| match &entry.timer {
        Timer::Schedule(schedule) => Some(Plan {
            schedule: schedule.clone(),
            offset: entry.offset(),
            policy: job.catch_up,
            window: job.catch_up_window,
        }),
        Timer::Every(_) => None,
    })
}

impl Positions {
    /// A book of what was kept, and what has to be kept of agents that do not catch up any more: should they begin to
    /// again, then not from where they once were.
    pub fn restore(kept: Vec<SchedulePosition>, specs: &[Arc<AgentSpec>], now: Timestamp) -> (Self, Vec<Change>) {
        let catches_up = |spec: &&Arc<AgentSpec>| {
            spec.job().is_some_and(|job| job.catch_up != CatchUp::None && job.triggers.schedule.is_some())
        };
        let wanted: std::collections::HashSet<_> = specs.iter().filter(catches_up).map(|spec| &spec.name).collect();
        let (mut restored, mut stale) = (HashMap::new(), Vec::new());
        for row in kept.into_iter().filter(|row| row.kind == KIND && row.definition != NOT_FOLLOWED) {
            if wanted.contains(&row.agent) {
                restored.insert(row.agent.clone(), row);
            } else {
                stale.push(put(&row.agent, row.position, NOT_FOLLOWED.to_owned(), now));
            }
        }
        (Self { restored, followed: BTreeMap::new() }, stale)
    }

    /// Follows a schedule from `now` on, or goes on to. What it missed before is looked for, if it was followed before the
    /// start; else its position is to be kept.
    pub fn follow(
        &mut self,
        agent: AgentIndex,
        name: &AgentName,
        plan: Plan,
        now: Timestamp,
    ) -> (Option<Search>, Option<Change>) {
        let definition = plan.definition();
        if let Some(followed) = self.followed.get_mut(&agent).filter(|followed| followed.definition == definition) {
            followed.progress.set_policy(plan.policy);
            followed.plan = plan;
            return (None, None);
        }
        let kept = self.restored.remove(name).filter(|kept| kept.definition == definition);
        let here = plan.seen_at(now);
        let search = kept.as_ref().map(|kept| Search {
            agent,
            name: name.clone(),
            plan: plan.clone(),
            position: kept.position,
            now,
        });
        let progress = match &kept {
            Some(kept) => Progress::looking(plan.policy, kept.position, here),
            None => Progress::afresh(plan.policy, here),
        };
        let written = kept.map(|kept| kept.position);
        let mut followed = Followed { name: name.clone(), plan, definition, progress, written, search: search.clone() };
        let moved = followed.moved(now);
        self.followed.insert(agent, followed);
        (search, moved)
    }

    /// Follows it no more; what is to be kept of that.
    pub fn unfollow(&mut self, agent: AgentIndex, now: Timestamp) -> Option<Change> {
        let followed = self.followed.remove(&agent)?;
        let position = followed.progress.position().or(followed.written).unwrap_or(now);
        Some(put(&followed.name, position, NOT_FOLLOWED.to_owned(), now))
    }

    /// Whether nobody is followed.
    pub fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }

    /// What becomes of a time that is due; `None` if its agent is not followed.
    pub fn hand_over(&mut self, agent: AgentIndex, scheduled_for: Timestamp, now: Timestamp) -> Option<Handed> {
        let followed = self.followed.get_mut(&agent)?;
        let turn = Turn { scheduled_for, run: RunId::of_schedule(&followed.name, scheduled_for, 0) };
        Some(followed.progress.hand_over(turn, followed.plan.seen_at(now)))
    }

    /// The wall clock was set forward; what is to be kept of that.
    pub fn pass_over(&mut self, now: Timestamp) -> Vec<Change> {
        let moved = |followed: &mut Followed| {
            followed.progress.pass_over(followed.plan.seen_at(now));
            followed.moved(now)
        };
        self.followed.values_mut().filter_map(moved).collect()
    }

    /// Looks that have been asked for and have not come back: those of a predecessor that died.
    pub fn searches(&self) -> Vec<Search> {
        self.followed.values().filter_map(|followed| followed.search.clone()).collect()
    }

    /// What an agent missed is known. Answers whose turn it is, and what is to be kept.
    pub fn found(&mut self, agent: AgentIndex, turns: Vec<Turn>, now: Timestamp) -> (Option<Turn>, Option<Change>) {
        let Some(followed) = self.followed.get_mut(&agent) else { return (None, None) };
        followed.search = None;
        let turn = followed.progress.found(turns);
        (turn, followed.moved(now))
    }

    /// The execution of a scheduled time has its end. Answers whose turn it is now, and what is to be kept.
    pub fn ended(&mut self, agent: AgentIndex, turn: Turn, now: Timestamp) -> (Option<Turn>, Option<Change>) {
        let Some(followed) = self.followed.get_mut(&agent) else { return (None, None) };
        let next = followed.progress.ended(turn);
        (next, followed.moved(now))
    }

    /// Whether this execution is one that was handed over and has no end.
    pub fn waits_for(&self, agent: AgentIndex, turn: Turn) -> bool {
        self.followed.get(&agent).is_some_and(|one| one.progress.run_of(turn.scheduled_for) == Some(turn.run))
    }

    /// How many times of an agent wait until it has caught up with those before.
    pub fn waiting(&self, agent: AgentIndex) -> usize {
        self.followed.get(&agent).map_or(0, |followed| followed.progress.waiting())
    }

    /// An agent does not catch up any more: how many times are left out by that, and what is to be kept.
    pub fn give_up(&mut self, agent: AgentIndex, now: Timestamp) -> (u64, Option<Change>) {
        let Some(followed) = self.followed.get_mut(&agent) else { return (0, None) };
        let left_out = u64::try_from(followed.progress.give_up()).unwrap_or(u64::MAX);
        (left_out, followed.moved(now))
    }

    /// The name of an agent that is followed.
    pub fn name_of(&self, agent: AgentIndex) -> Option<&AgentName> {
        self.followed.get(&agent).map(|followed| &followed.name)
    }

    /// All that were handed over and have no end.
    pub fn in_queue(&self) -> Vec<(AgentIndex, Turn)> {
        let of = |(agent, followed): (&AgentIndex, &Followed)| {
            followed.progress.in_queue().map(|turn| (*agent, turn)).collect::<Vec<_>>()
        };
        self.followed.iter().flat_map(of).collect()
    }
}

/// A request for the execution of a missed time. It waits for its turn, whatever `overlap` says.
pub fn request(agent: AgentIndex, turn: Turn) -> Request {
    Request {
        scheduled_for: Some(turn.scheduled_for),
        run: Some(turn.run),
        waits: true,
        ..Request::new(agent, Trigger::Schedule)
    }
}

/// A look at what an agent missed.
#[derive(Clone, Debug)]
pub struct Search {
    /// Whose.
    pub agent: AgentIndex,
    name: AgentName,
    plan: Plan,
    position: Timestamp,
    now: Timestamp,
}

/// What an agent missed.
#[derive(Debug, Default)]
pub struct Found {
    /// The times that have not run, in order, each with the id that its execution gets.
    pub turns: Vec<Turn>,
    /// How many there were before them, within the window.
    pub left_out: u64,
}

impl Search {
    /// Looks. A step for each time within the window, and an id to look up for each that is made up for: not for an
    /// actor's thread.
    ///
    /// # Errors
    /// [`StoreError`]: the history can't be read.
    pub fn look(&self, reader: &Reader) -> Result<Found, StoreError> {
        let Missed { times, left_out } = self.plan.missed(self.position, self.now);
        let mut turns = Vec::new();
        for scheduled_for in times {
            if let Some(run) = free_id(reader, &self.name, scheduled_for)? {
                turns.push(Turn { scheduled_for, run });
            }
        }
        Ok(Found { turns, left_out })
    }
}

/// The id for a time that has not run; `None` if it has.
fn free_id(reader: &Reader, agent: &AgentName, scheduled_for: Timestamp) -> Result<Option<RunId>, StoreError> {
    for again in 0.. {
        let run = RunId::of_schedule(agent, scheduled_for, again);
        match reader.execution(run)? {
            None => return Ok(Some(run)),
            Some(row) if was_only_in_the_way_of_a_shutdown(&row) => {}
            Some(_) => break,
        }
    }
    Ok(None)
}

/// Whether an execution ended without a start, because the orchestrator went down.
fn was_only_in_the_way_of_a_shutdown(row: &ExecutionRow) -> bool {
    matches!(row.state, ExecutionState::Ended(End::Cancelled | End::Refused))
        && row.attempt == 0
        && row.why == Some(Why::from(&Reason::ShuttingDown))
}
