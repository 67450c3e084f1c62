//! The schedule's other half: agents that catch up with what they missed.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::catch_up::{Handed, Turn};
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::time::{Clocks, Moment};
use werkpilot_core::timetable::{ClockStep, Due, DueKind, Entry};
use werkpilot_store::{Change, Reader};

use super::{ScheduleActor, ScheduledRunEnded};
use crate::intake::catch_up::{Found, Search, plan, request};
use crate::work::queue::AdmitBatch;

/// So often it is looked whether an end was told that was lost with an actor: as often as at the clocks, at the least.
const MUSTER: Duration = Duration::from_mins(1);

/// Agents at whose history one reader looks before it tells: the first of ten thousand need not wait for the last.
const SEARCHED_AT_ONCE: usize = 64;

impl ScheduleActor {
    /// Gives those that catch up their ids, and takes out what waits behind missed ones.
    pub(super) fn hand_over(&self, due: &mut Vec<Due>, step: ClockStep, now: Clocks) -> BTreeMap<AgentIndex, RunId> {
        let mut positions = self.house.positions.borrow_mut();
        let mut runs = BTreeMap::new();
        if positions.is_empty() {
            return runs;
        }
        due.retain(|due| match due.trigger {
            DueKind::Every => true,
            DueKind::Schedule => match positions.hand_over(due.agent, due.scheduled_for, now.wall) {
                Some(Handed::Behind) => false,
                Some(Handed::Now(run)) => {
                    runs.insert(due.agent, run);
                    true
                }
                Some(Handed::Again) | None => true,
            },
        });
        if matches!(step, ClockStep::Forward(_)) {
            self.keep(positions.pass_over(now.wall));
        }
        runs
    }

    /// Nobody waits for it: as long as it is not on disk, ids tell what has run.
    pub(super) fn keep(&self, changes: impl IntoIterator<Item = Change>) {
        let changes: Vec<_> = changes.into_iter().collect();
        if !changes.is_empty() {
            self.house.ledger.post(changes);
        }
    }

    /// Follows the schedule of an agent that catches up, or does not any more; answers the look at what it missed.
    pub(super) fn follow(&self, agent: AgentIndex, spec: &AgentSpec, entries: &[Entry], now: Clocks) -> Option<Search> {
        if !self.house.ledger.is_kept() {
            return None;
        }
        let mut positions = self.house.positions.borrow_mut();
        let Some(plan) = plan(spec, entries) else {
            self.keep(positions.unfollow(agent, now.wall));
            return None;
        };
        let (search, moved) = positions.follow(agent, &spec.name, plan, now.wall);
        self.keep(moved);
        search
    }

    /// Looks at what these missed, some at a time.
    pub(super) fn search(&self, mut searches: Vec<Search>, ctx: &mut Context<Self>) {
        if searches.is_empty() {
            return;
        }
        let later = searches.split_off(searches.len().min(SEARCHED_AT_ONCE));
        let agents: Vec<_> = searches.iter().map(|search| search.agent).collect();
        let ledger = self.house.ledger.clone();
        let looking = async move {
            let look = move |reader: &Reader| searches.iter().map(|search| search.look(reader)).collect();
            ledger.read(look).await
        };
        ctx.spawn(looking.into_actor(self).map(move |found: Result<Vec<Found>, _>, this, ctx| {
            if this.stopped {
                return;
            }
            let found = found.unwrap_or_else(|error| {
                let who = this.house.directory.borrow().listed(&agents);
                log::error!("what {who} missed is not caught up with: failed to {error}");
                agents.iter().map(|_| Found::default()).collect()
            });
            for (agent, found) in agents.into_iter().zip(found) {
                this.found(agent, found);
            }
            this.search(later, ctx);
        }));
    }

    fn found(&self, agent: AgentIndex, found: Found) {
        let Found { turns, left_out } = found;
        let time = |turn: Option<&Turn>| turn.map(|turn| turn.scheduled_for);
        let (from, to, runs) =
            (time(turns.first()), time(turns.last()), u32::try_from(turns.len()).unwrap_or(u32::MAX));
        let now = self.house.now().wall;
        let next = self.house.positions.borrow_mut().found(agent, turns, now);
        // What came before a time that has run was left out then already.
        if runs > 0 && self.closed(agent).is_none() {
            self.tell_missed(agent, |agent| Event::ScheduleMissed { agent, runs, left_out, from, to, reason: None });
        }
        self.go_on(agent, next);
    }

    /// The next of the missed ones has its turn. Where the agent takes none, the others are not tried one by one.
    pub(super) fn go_on(&self, agent: AgentIndex, (turn, moved): (Option<Turn>, Option<Change>)) {
        self.keep(moved);
        let Some(turn) = turn.filter(|_| !self.stopped) else { return };
        let Some(reason) = self.closed(agent) else {
            self.house.posts.queue.tell(AdmitBatch(vec![request(agent, turn)]));
            return;
        };
        let (left_out, moved) = self.house.positions.borrow_mut().give_up(agent, self.house.now().wall);
        self.tell_missed(agent, |agent| Event::ScheduleMissed {
            agent,
            runs: 0,
            left_out,
            from: None,
            to: None,
            reason: Some(reason),
        });
        self.keep(moved);
    }

    fn tell_missed(&self, agent: AgentIndex, event: impl FnOnce(AgentName) -> Event) {
        let name = self.house.positions.borrow().name_of(agent).cloned();
        if let Some(name) = name {
            self.house.emit(event(name));
        }
    }

    /// Why the agent takes no executions, if it takes none.
    fn closed(&self, agent: AgentIndex) -> Option<Reason> {
        let dispatcher = self.house.dispatcher.borrow();
        let paused = dispatcher.is_paused().then_some(Reason::Paused);
        paused.or_else(|| dispatcher.closed_because(agent).cloned())
    }

    /// With the death of an actor the end of an execution may get lost: what the dispatcher does not know at two musters in
    /// a row has ended. Once would not do: it may be on its way.
    pub(super) fn muster(&mut self, now: Moment) {
        if now.since(self.mustered) < MUSTER {
            return;
        }
        self.mustered = now;
        let house = self.house.clone();
        let dispatcher = house.dispatcher.borrow();
        let mut missing = house.positions.borrow().in_queue();
        missing.retain(|(agent, turn)| dispatcher.live(*agent).iter().all(|live| live.run != turn.run));
        for (agent, turn) in missing.iter().copied().filter(|one| self.missing.contains(one)) {
            self.house.posts.schedule.tell(ScheduledRunEnded { agent, turn });
        }
        self.missing = missing;
    }
}
