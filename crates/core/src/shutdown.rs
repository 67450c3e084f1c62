//! The shutdown: six steps, always in this order, each entered at most once.
//!
//! Running jobs may finish; a service is stopped once the running agents that depend on it have ended, at the latest its
//! own stop time-out before `grace` is over; `grace` covers all of step 3. What is still alive then, or at a second
//! signal, is ended by force in step 4. The shutdown always finishes, whatever the agents do.
//!
//! ```text
//!  cron ──done──▶ health ──done──▶ agents ──all ended──────────▶ terminate ──all ended──▶ dashboard ──done──▶ cleanup
//!    └───────────────┴────────────────┴──grace or second signal────▲   └──deadline────────▲              ──done──▶ ∎
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::AgentIndex;
use crate::time::Moment;

/// How long step 4 waits for what was killed with SIGKILL: only a process stuck in the kernel takes longer.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// The six steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// 1: no trigger starts anything any more.
    StopCron,
    /// 2: no probe is started any more.
    StopHealth,
    /// 3: jobs finish, services are stopped in order.
    WaitForAgents,
    /// 4: who is left is ended by force.
    TerminateAgents,
    /// 5: bus and API stop serving.
    StopDashboard,
    /// 6: files are closed.
    Cleanup,
}

impl Step {
    /// The line of the log: the predecessor's words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::StopCron => "[1/6] Stopping cron jobs...",
            Self::StopHealth => "[2/6] Stopping health monitoring...",
            Self::WaitForAgents => "[3/6] Waiting for running agents to complete...",
            Self::TerminateAgents => "[4/6] Terminating remaining agent processes...",
            Self::StopDashboard => "[5/6] Stopping dashboard server...",
            Self::Cleanup => "[6/6] Final cleanup...",
        }
    }
}

/// A job with at least one live run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningJob {
    /// Who.
    pub agent: AgentIndex,
    /// The time between its stop signal and SIGKILL.
    pub stop_timeout: Duration,
}

/// A service with at least one live instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningService {
    /// Who.
    pub agent: AgentIndex,
    /// The time between its stop signal and SIGKILL.
    pub stop_timeout: Duration,
    /// Who depends on it directly. Agents that are not running are left out by [`Shutdown::new`].
    pub dependents: Vec<AgentIndex>,
}

/// What the shutdown is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownEvent {
    /// The first signal.
    Begin,
    /// The last process of this agent has ended.
    AgentEnded {
        /// Which agent.
        agent: AgentIndex,
        /// Whether SIGKILL was needed: for a service that ignored the stop signal of step 3, say.
        forced: bool,
    },
    /// Another signal: no more patience.
    SecondSignal,
    /// The deadline that was asked for.
    DeadlineReached,
    /// The work of this step is done (steps 1, 2, 5 and 6).
    StepDone(Step),
}

/// What the shutdown wants.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShutdownAction {
    /// Log the step's text, do its work, and say [`ShutdownEvent::StepDone`] (not for steps 3 and 4).
    EnterStep(Step),
    /// Send this service's stop signal, and after its time-out SIGKILL.
    StopService(AgentIndex),
    /// Send these agents' groups their stop signal (where that has not been done), and after its time-out SIGKILL.
    TerminateAll(Vec<AgentIndex>),
    /// All is done.
    Finished(ShutdownSummary),
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownSummary {
    /// Who ended before step 4 without SIGKILL, in the order in which they ended.
    pub graceful: Vec<AgentIndex>,
    /// Whom SIGKILL had to end before, and who was still alive when step 4 began.
    pub forced: Vec<AgentIndex>,
    /// From the first signal to the end.
    pub took: Duration,
}

/// The shutdown of a fleet.
#[derive(Clone, Debug)]
pub struct Shutdown {
    grace: Duration,
    alive: BTreeMap<AgentIndex, Running>,
    /// Services that were not told to stop yet, by stop time-out.
    to_stop: BTreeSet<(Duration, AgentIndex)>,
    summary: ShutdownSummary,
    began: Moment,
    state: State,
}

#[derive(Clone, Debug, Default)]
struct Running {
    stop_timeout: Duration,
    is_service: bool,
    /// Running agents that depend on it.
    dependents: u32,
    /// Running services that it depends on.
    dependencies: Vec<AgentIndex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotBegun,
    /// Steps 1, 2, 5 and 6: the runtime works.
    Working(Step),
    /// Step 3.
    Waiting {
        until: Moment,
    },
    /// Step 4.
    Terminating {
        until: Moment,
    },
    Finished,
}

impl Shutdown {
    /// A shutdown that has not begun, of a fleet in which these jobs and services run.
    pub fn new(jobs: &[RunningJob], services: &[RunningService], grace: Duration) -> Self {
        let mut alive: BTreeMap<AgentIndex, Running> = BTreeMap::new();
        for job in jobs {
            alive.insert(job.agent, Running { stop_timeout: job.stop_timeout, ..Running::default() });
        }
        for service in services {
            let running = Running { stop_timeout: service.stop_timeout, is_service: true, ..Running::default() };
            alive.insert(service.agent, running);
        }
        for service in services {
            let dependents: BTreeSet<_> = service.dependents.iter().filter(|other| **other != service.agent).collect();
            let mut running = 0;
            for dependent in dependents {
                if let Some(dependent) = alive.get_mut(dependent) {
                    dependent.dependencies.push(service.agent);
                    running += 1;
                }
            }
            if let Some(service) = alive.get_mut(&service.agent) {
                service.dependents = running;
            }
        }
        let to_stop = services.iter().map(|service| (service.stop_timeout, service.agent)).collect();
        let summary = ShutdownSummary::default();
        Self { grace, alive, to_stop, summary, began: Moment::ZERO, state: State::NotBegun }
    }

    /// The one place where the state changes.
    pub fn on(&mut self, event: ShutdownEvent, now: Moment, out: &mut Vec<ShutdownAction>) {
        use ShutdownEvent as E;
        match (self.state, event) {
            (State::NotBegun, E::Begin) => {
                self.began = now;
                self.work(Step::StopCron, out);
            }
            (State::Working(Step::StopCron), E::StepDone(Step::StopCron)) => self.work(Step::StopHealth, out),
            (State::Working(Step::StopHealth), E::StepDone(Step::StopHealth)) => self.wait(now, out),
            (State::Working(Step::StopDashboard), E::StepDone(Step::StopDashboard)) => self.work(Step::Cleanup, out),
            (State::Working(Step::Cleanup), E::StepDone(Step::Cleanup)) => self.finish(now, out),

            (State::NotBegun | State::Working(Step::StopCron | Step::StopHealth), E::AgentEnded { agent, forced }) => {
                self.ended(agent, forced);
            }
            (State::Waiting { .. }, E::AgentEnded { agent, forced }) => {
                for free in self.ended(agent, forced) {
                    self.stop(free, out);
                }
                if self.alive.is_empty() {
                    self.terminate(now, out);
                }
            }
            (State::Terminating { .. }, E::AgentEnded { agent, .. }) => {
                self.alive.remove(&agent);
                if self.alive.is_empty() {
                    self.work(Step::StopDashboard, out);
                }
            }

            (State::Waiting { until }, E::DeadlineReached) if now >= until => self.terminate(now, out),
            (State::Waiting { until }, E::DeadlineReached) => self.stop_those_due(until, now, out),
            (State::Terminating { until }, E::DeadlineReached) if now >= until => self.work(Step::StopDashboard, out),

            (State::Working(Step::StopCron | Step::StopHealth) | State::Waiting { .. }, E::SecondSignal) => {
                self.terminate(now, out);
            }
            // Twice, too early or too late: a step's work that a second signal overtook, a third signal, the end of an
            // agent that step 4 gave up on, a deadline of a step that is over.
            (_, E::Begin | E::StepDone(_) | E::DeadlineReached | E::SecondSignal | E::AgentEnded { .. }) => {}
        }
    }

    /// When to say [`ShutdownEvent::DeadlineReached`].
    pub fn next_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Waiting { until } => {
                let next_stop = self.to_stop.last().map(|(timeout, _)| until - *timeout);
                Some(next_stop.unwrap_or(until))
            }
            State::Terminating { until } => Some(until),
            State::NotBegun | State::Working(_) | State::Finished => None,
        }
    }

    /// Whether all is done.
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Who has not ended yet.
    pub fn alive(&self) -> impl Iterator<Item = AgentIndex> {
        self.alive.keys().copied()
    }

    fn work(&mut self, step: Step, out: &mut Vec<ShutdownAction>) {
        self.state = State::Working(step);
        out.push(ShutdownAction::EnterStep(step));
    }

    /// Step 3: services that nobody depends on, and those that need all of the grace, are stopped at once.
    fn wait(&mut self, now: Moment, out: &mut Vec<ShutdownAction>) {
        let until = now + self.grace;
        self.state = State::Waiting { until };
        out.push(ShutdownAction::EnterStep(Step::WaitForAgents));
        let free: Vec<_> =
            self.alive.iter().filter(|(_, agent)| agent.dependents == 0).map(|(agent, _)| *agent).collect();
        for agent in free {
            self.stop(agent, out);
        }
        self.stop_those_due(until, now, out);
        if self.alive.is_empty() {
            self.terminate(now, out);
        }
    }

    /// Step 4. It is entered, and logged, also if nobody is left.
    fn terminate(&mut self, now: Moment, out: &mut Vec<ShutdownAction>) {
        out.push(ShutdownAction::EnterStep(Step::TerminateAgents));
        self.to_stop.clear();
        let alive: Vec<AgentIndex> = self.alive.keys().copied().collect();
        self.summary.forced.extend(&alive);
        let Some(longest) = self.alive.values().map(|agent| agent.stop_timeout).max() else {
            return self.work(Step::StopDashboard, out);
        };
        self.state = State::Terminating { until: now + longest + KILLED_WITHIN };
        out.push(ShutdownAction::TerminateAll(alive));
    }

    fn finish(&mut self, now: Moment, out: &mut Vec<ShutdownAction>) {
        self.state = State::Finished;
        self.summary.took = now.since(self.began);
        out.push(ShutdownAction::Finished(std::mem::take(&mut self.summary)));
    }

    /// Tells a service to stop, if it is one and was not told yet.
    fn stop(&mut self, agent: AgentIndex, out: &mut Vec<ShutdownAction>) {
        let Some(running) = self.alive.get(&agent).filter(|running| running.is_service) else { return };
        if self.to_stop.remove(&(running.stop_timeout, agent)) {
            out.push(ShutdownAction::StopService(agent));
        }
    }

    /// Stops the services whose stop time-out is all that is left of the grace.
    fn stop_those_due(&mut self, until: Moment, now: Moment, out: &mut Vec<ShutdownAction>) {
        while let Some((timeout, agent)) = self.to_stop.last().copied() {
            if until - timeout > now {
                return;
            }
            self.to_stop.pop_last();
            out.push(ShutdownAction::StopService(agent));
        }
    }

    /// Notes the end of an agent before step 4; answers the services that nobody depends on any more.
    fn ended(&mut self, agent: AgentIndex, forced: bool) -> Vec<AgentIndex> {
        let Some(ended) = self.alive.remove(&agent) else { return Vec::new() };
        self.to_stop.remove(&(ended.stop_timeout, agent));
        let list = if forced { &mut self.summary.forced } else { &mut self.summary.graceful };
        list.push(agent);
        let mut free = ended.dependencies;
        free.retain(|service| match self.alive.get_mut(service) {
            Some(running) => {
                running.dependents -= 1;
                running.dependents == 0
            }
            None => false,
        });
        free
    }
}

#[cfg(test)]
mod tests;
