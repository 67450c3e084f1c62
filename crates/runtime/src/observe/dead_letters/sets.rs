//! Replays of many letters: the plans, carried out.

use actix::prelude::*;
use werkpilot_core::dead_letters::{LetterRefusal, Pace, PlanAction, PlanEvent, ReplayPlan, Step};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Moment;

use super::DeadLetters;
use super::desk::{DeskError, ReplaySet, ReplaySetView, Wish};
use crate::clock::Clock;
use crate::house::HousePhase;

/// Between two looks whether an agent is healthy for which letters wait.
const HEALTH_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

impl DeadLetters {
    /// A set of letters that is replayed from now on; or, of one that was wished for already, how far it is.
    pub(super) fn add_set(&self, ids: Vec<u64>, wish: Wish) -> ReplaySetView {
        let known = self
            .house
            .dead_letters
            .borrow()
            .sets()
            .find(|set| wish.key.is_some() && set.wish.key == wish.key)
            .map(ReplaySet::view);
        if let Some(known) = known {
            return known;
        }
        let plan = ReplayPlan::new(ids, wish.pace, self.house.clock.steady());
        let begun_at = Clock::wall();
        let mut desk = self.house.dead_letters.borrow_mut();
        let id = desk.add_set(|id| ReplaySet { id, plan, wish, begun_at, beginning: None });
        desk.set_mut(id).map(|set| set.view()).expect("a set that was just added")
    }

    /// Begins what may begin.
    pub(super) fn drive_sets(&mut self, ctx: &mut Context<Self>) {
        if self.house.phase.get() == HousePhase::ShuttingDown {
            return;
        }
        let now = self.house.clock.steady();
        let mut begun = Vec::new();
        for set in &mut self.house.dead_letters.borrow_mut().sets {
            if set.beginning.is_some() || set.plan.next_deadline().is_none_or(|at| at > now) {
                continue;
            }
            if set.wish.awaited.as_ref().is_some_and(|agent| !self.is_healthy(agent)) {
                // The others wait on; a set of their own follows.
                let _ = set.plan.on(PlanEvent::Cancel, now);
                continue;
            }
            if let PlanAction::Replay(letter) = set.plan.on(PlanEvent::DeadlineReached, now) {
                set.beginning = Some(letter);
                begun.push((set.id, letter, set.wish.force));
            }
        }
        for (set, letter, force) in begun {
            let replay = self.replay(letter, force, None);
            ctx.spawn(replay.map(move |result, this, ctx| this.begun(set, letter, result.err(), ctx)));
        }
    }

    /// A replay of a set was accepted, or not.
    fn begun(&mut self, set: u64, letter: u64, error: Option<DeskError>, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        if matches!(error, Some(DeskError::NoAgent(_) | DeskError::NotAJob(_))) {
            // Nobody's health makes that better.
            let stop = self.do_all(vec![letter], Step::StopWaiting);
            ctx.spawn(stop.map(|_, _, _| ()));
        }
        if let Some(set) = self.house.dead_letters.borrow_mut().set_mut(set) {
            set.beginning = None;
            let told: &[PlanEvent] = match &error {
                // It is told of the end.
                None | Some(DeskError::Refused(LetterRefusal::NotAdmitted { .. })) => &[],
                Some(DeskError::Refused(_)) => &[PlanEvent::PassedOver(letter)],
                // The next ones would not be kept either.
                Some(DeskError::NotKept(_) | DeskError::Unreadable(_)) => {
                    &[PlanEvent::PassedOver(letter), PlanEvent::Cancel]
                }
                Some(DeskError::NoAgent(_) | DeskError::NotAJob(_)) => &[PlanEvent::Ended { letter, succeeded: false }],
            };
            for event in told {
                let _ = set.plan.on(*event, now);
            }
            if let Some(error) = error {
                log::warn!("dead letter {letter} was not replayed: {error}");
            }
        }
        self.turn(ctx);
    }

    /// The replay of a letter ended.
    pub(super) fn tell_sets(&self, letter: u64, succeeded: bool) {
        let now = self.house.clock.steady();
        for set in &mut self.house.dead_letters.borrow_mut().sets {
            let _ = set.plan.on(PlanEvent::Ended { letter, succeeded }, now);
        }
    }

    /// After a death of this actor nobody tells of what was beginning.
    pub(super) fn forget_begun(&self) {
        let now = self.house.clock.steady();
        for set in &mut self.house.dead_letters.borrow_mut().sets {
            if let Some(letter) = set.beginning.take() {
                let _ = set.plan.on(PlanEvent::PassedOver(letter), now);
            }
        }
    }

    pub(super) fn next_begin(&self) -> Option<Moment> {
        if self.house.phase.get() == HousePhase::ShuttingDown {
            return None;
        }
        let desk = self.house.dead_letters.borrow();
        let idle = desk.sets.iter().filter(|set| set.beginning.is_none());
        idle.filter_map(|set| set.plan.next_deadline()).min()
    }

    // ---- waiting for an agent's health ----

    /// Makes sets of the letters whose agent is healthy now; looks again in a moment while others wait.
    pub(super) fn look_at_health(&mut self, now: Moment) {
        if self.health_at.is_none_or(|at| at > now) {
            return;
        }
        let awaited = self.awaited();
        self.health_at = (!awaited.is_empty()).then(|| now + HEALTH_LOOK);
        if self.house.phase.get() != HousePhase::Running {
            return;
        }
        for agent in awaited {
            if !self.is_served(&agent) && self.is_healthy(&agent) {
                let ids = self.waiting_for(&agent);
                let pace = Pace::per_second(Pace::DEFAULT_PER_SECOND, None).expect("a good rate");
                let by = format!("{agent} is healthy");
                self.add_set(ids, Wish { pace, force: false, by, awaited: Some(agent), key: None });
            }
        }
    }

    /// Agents for whose health letters wait.
    fn awaited(&self) -> Vec<AgentName> {
        let desk = self.house.dead_letters.borrow();
        let mut agents: Vec<AgentName> = desk.iter().filter_map(|letter| letter.standing.waits_for.clone()).collect();
        agents.sort_unstable();
        agents.dedup();
        agents
    }

    fn waiting_for(&self, agent: &AgentName) -> Vec<u64> {
        let desk = self.house.dead_letters.borrow();
        desk.iter().filter(|letter| letter.standing.waits_for.as_ref() == Some(agent)).map(|letter| letter.id).collect()
    }

    /// Whether a set replays those that waited for this agent.
    fn is_served(&self, agent: &AgentName) -> bool {
        let desk = self.house.dead_letters.borrow();
        desk.sets.iter().any(|set| set.wish.awaited.as_ref() == Some(agent) && !set.plan.is_over())
    }

    /// As a dependency is.
    fn is_healthy(&self, agent: &AgentName) -> bool {
        let index = self.house.directory.borrow().find(agent.as_str());
        index.is_some_and(|index| self.house.dispatcher.borrow().problem(index).is_none())
    }
}
