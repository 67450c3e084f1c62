//! Starting: who waits in line, who waits aside and for what, and who gets the next worker.

use super::messages::{Action, Grant};
use super::runs::{Park, Phase};
use super::{Dispatcher, RunKey};
use crate::event::{End, Event as Fact};
use crate::ids::AgentIndex;
use crate::reason::Reason;
use crate::spec::OnUnhealthyDependency;
use crate::time::Clocks;

impl Dispatcher {
    /// Starts all that can start.
    pub(super) fn pump(&mut self, now: Clocks, out: &mut Vec<Action>) {
        for agent in std::mem::take(&mut self.redefined) {
            self.look_again(agent, |park| park != Park::RestartRoom, now);
        }
        loop {
            while let Some(key) = self.services.pop(now.steady) {
                self.try_start(key, now, out);
            }
            if self.busy >= self.workers {
                break;
            }
            // A job that starts for the first time may be what a service waits for.
            let Some(key) = self.jobs.pop(now.steady) else { break };
            self.try_start(key, now, out);
        }
        self.watch_room(now, out);
    }

    fn try_start(&mut self, key: RunKey, now: Clocks, out: &mut Vec<Action>) {
        let run = self.runs.get(key);
        let entry = &self.entries[run.agent.slot()];
        let job = run.instance.is_none();
        if job == entry.profile.service {
            // Its agent became one of the other kind.
            self.cancel(key, Reason::ConfigChanged, now, out);
            return;
        }
        if job && !entry.has_turn(run.started) {
            self.park(key, Park::Previous, Reason::WaitingForPrevious);
            return;
        }
        if !run.force && self.stays_for_its_dependencies(key, now, out) {
            return;
        }
        if self.runs.get(key).automatic && self.restarts.try_take(now.steady).is_err() {
            self.park(key, Park::RestartRoom, self.no_room());
            self.waiting_for_room.push(key);
            return;
        }
        self.start(key, now, out);
    }

    /// Skips or parks an execution with unhealthy dependencies; whether it had some.
    fn stays_for_its_dependencies(&mut self, key: RunKey, now: Clocks, out: &mut Vec<Action>) -> bool {
        let run = self.runs.get(key);
        let unhealthy = self.unhealthy_dependencies(run.agent);
        if unhealthy.is_empty() {
            return false;
        }
        let profile = &self.entries[run.agent.slot()].profile;
        let agent = profile.name.clone();
        let reason = Reason::UnhealthyDependencies { dependencies: unhealthy.clone() };
        // A dependency on its way passes through several statuses: who is unhealthy is news, in which way is not.
        let news = match run.reason.as_deref() {
            Some(Reason::UnhealthyDependencies { dependencies: told }) => {
                !told.iter().map(|told| &told.dep).eq(unhealthy.iter().map(|now| &now.dep))
            }
            _ => true,
        };
        if run.instance.is_none() && profile.on_unhealthy == OnUnhealthyDependency::Skip {
            let (id, trigger) = (run.id, run.trigger.clone());
            out.push(Action::Emit(Fact::DependenciesUnhealthy { agent: agent.clone(), unhealthy_deps: unhealthy }));
            out.push(Action::Emit(Fact::AgentSkipped { agent, run: id, trigger, reason: reason.clone() }));
            self.finish(key, End::Skipped, None, Some(reason), now, out);
        } else {
            if news {
                out.push(Action::Emit(Fact::DependenciesUnhealthy { agent, unhealthy_deps: unhealthy }));
            }
            self.park(key, Park::Dependencies, reason);
        }
        true
    }

    fn start(&mut self, key: RunKey, now: Clocks, out: &mut Vec<Action>) {
        self.announce(key, out);
        let run = self.runs.get_mut(key);
        run.phase = Phase::Running;
        run.automatic = false;
        run.reason = None;
        run.granted = Some(now.steady);
        let newly = !std::mem::replace(&mut run.started, true);
        let waited = run.waited();
        let grant = Grant {
            key,
            run: run.id,
            agent: run.agent,
            instance: run.instance,
            attempt: run.attempt,
            trigger: run.trigger.clone(),
            queued_at: now.wall_at(run.accepted),
            scheduled_for: run.scheduled_for,
            payload: run.payload.clone(),
        };
        let entry = &mut self.entries[grant.agent.slot()];
        entry.started += u32::from(newly);
        if run.instance.is_some() {
            self.forget(key);
        } else {
            self.busy += 1;
            entry.running += 1;
            self.waiting -= 1;
            out.push(Action::Emit(Fact::ExecutionStarted {
                agent: entry.profile.name.clone(),
                run: grant.run,
                attempt: grant.attempt,
                waited,
            }));
        }
        out.push(Action::Start(grant));
    }

    fn park(&mut self, key: RunKey, park: Park, reason: Reason) {
        let run = self.runs.get_mut(key);
        run.phase = Phase::Parked(park);
        run.reason = Some(Box::new(reason));
    }

    /// Puts one that waited aside, or is to be repeated, into the line.
    pub(super) fn enqueue_again(&mut self, key: RunKey, now: Clocks) {
        let run = self.runs.get_mut(key);
        let fresh_turn = matches!(run.phase, Phase::BackingOff { .. });
        run.phase = Phase::Queued;
        let profile = &self.entries[run.agent.slot()].profile;
        let queue = if run.instance.is_some() { &mut self.services } else { &mut self.jobs };
        if fresh_turn {
            run.turn = queue.push(key, profile.priority, profile.depth, now.steady);
            run.granted = None;
        } else {
            queue.push_back(key, profile.priority, profile.depth, run.turn);
        }
    }

    /// The standing of an agent as a dependency may have changed: who waits for it looks again.
    pub(super) fn standing_changed(&mut self, agent: AgentIndex, now: Clocks) {
        let count = self.entries.get(agent.slot()).map_or(0, |entry| entry.dependents.len());
        for position in 0..count {
            let dependent = self.entries[agent.slot()].dependents[position];
            self.look_again(dependent, |park| park == Park::Dependencies, now);
        }
    }

    fn look_again(&mut self, agent: AgentIndex, concerned: impl Fn(Park) -> bool, now: Clocks) {
        for position in 0..self.entries[agent.slot()].live.len() {
            let key = self.entries[agent.slot()].live[position];
            if matches!(self.runs.get(key).phase, Phase::Parked(park) if concerned(park)) {
                self.enqueue_again(key, now);
            }
        }
    }

    /// The next execution of the same agent may have its turn.
    pub(super) fn release_next(&mut self, agent: AgentIndex, now: Clocks) {
        let entry = &self.entries[agent.slot()];
        let may_go = |key: &RunKey| {
            let run = self.runs.get(*key);
            run.phase == Phase::Parked(Park::Previous) && entry.has_turn(run.started)
        };
        if let Some(key) = entry.live.iter().copied().find(may_go) {
            self.enqueue_again(key, now);
        }
    }

    // ---- the global breaker ----

    pub(super) fn release_waiting_for_room(&mut self, now: Clocks) {
        if self.restarts.room_at(now.steady).is_none() {
            for key in std::mem::take(&mut self.waiting_for_room) {
                if self.runs.is_parked(key, Park::RestartRoom) {
                    self.enqueue_again(key, now);
                }
            }
        }
    }

    fn no_room(&self) -> Reason {
        let (max_restarts, window) = self.restart_limit;
        Reason::WaitingForRestartRoom { max_restarts, window }
    }

    /// Says once when automatic restarts have to wait, and once when there is room again.
    fn watch_room(&mut self, now: Clocks, out: &mut Vec<Action>) {
        if self.waiting_for_room.is_empty() {
            if self.room_exhausted && self.restarts.room_at(now.steady).is_none() {
                self.room_exhausted = false;
                out.push(Action::Emit(Fact::BreakerClosed { agent: None, reason: Reason::RestartRoomAgain }));
            }
        } else if !self.room_exhausted {
            self.room_exhausted = true;
            let reason = self.no_room();
            out.push(Action::Emit(Fact::BreakerOpened { agent: None, reason, cooldown: None }));
        }
    }
}
