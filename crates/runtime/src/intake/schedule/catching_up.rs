//! The schedule's other half: agents that catch up with what they missed.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::catch_up::{Handed, Turn};
use werkpilot_core::ids::{AgentIndex, RunId};
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::time::{Clocks, Moment};
use werkpilot_core::timetable::{ClockStep, Due, DueKind, Entry};
use werkpilot_store::Change;

use super::{ScheduleActor, ScheduledRunEnded};
use crate::intake::catch_up::{Found, Search, plan, request};
use crate::work::queue::AdmitBatch;

/// So often it is looked whether an end was told that was lost with an actor: as often as at the clocks, at the least.
const MUSTER: Duration = Duration::from_mins(1);

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

    /// Follows the schedule of an agent that catches up, or does not any more.
    pub(super) fn follow(
        &self,
        agent: AgentIndex,
        spec: &AgentSpec,
        entries: &[Entry],
        now: Clocks,
        ctx: &mut Context<Self>,
    ) {
        if !self.house.ledger.is_kept() {
            return;
        }
        let mut positions = self.house.positions.borrow_mut();
        let Some(plan) = plan(spec, entries) else { return self.keep(positions.unfollow(agent, now.wall)) };
        let (search, moved) = positions.follow(agent, &spec.name, plan, now.wall);
        drop(positions);
        self.keep(moved);
        if let Some(search) = search {
            self.search(search, ctx);
        }
    }

    fn search(&self, search: Search, ctx: &mut Context<Self>) {
        let (agent, ledger) = (search.agent, self.house.ledger.clone());
        let looking = async move { ledger.read(move |reader| search.look(reader)).await };
        ctx.spawn(looking.into_actor(self).map(move |found, this, _| {
            if this.stopped {
                return;
            }
            let found = found.unwrap_or_else(|error| {
                log::error!("failed to find what {} missed: {error}", this.house.directory.borrow().listed(&[agent]));
                Found::default()
            });
            if let Some(event) = found.event {
                this.house.emit(event);
            }
            let next = this.house.positions.borrow_mut().found(agent, found.turns, this.house.now().wall);
            this.go_on(agent, next);
        }));
    }

    /// The next of the missed ones has its turn.
    pub(super) fn go_on(&self, agent: AgentIndex, (turn, moved): (Option<Turn>, Option<Change>)) {
        self.keep(moved);
        if let Some(turn) = turn.filter(|_| !self.stopped) {
            self.house.posts.queue.tell(AdmitBatch(vec![request(agent, turn)]));
        }
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
