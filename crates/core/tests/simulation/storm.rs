//! What people do to a fleet, all at once.

use std::sync::Arc;
use std::time::Duration;

use werkpilot_core::agent::{Command, Event as ToAgent};
use werkpilot_core::dispatcher::Event as ToDispatcher;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::settings::QueueSettings;
use werkpilot_core::spec::{AgentSpec, Kind, Overlap};
use werkpilot_core::trigger::Trigger;

use crate::fleet::{dependencies, profile};
use crate::world::{Happening, Letter, Note, World, breaker, request};

impl World {
    /// Some commands at one instant, and the time of the next storm.
    pub fn storm(&mut self) {
        for _ in 0..=self.chance.below(5) {
            self.tally.commands += 1;
            let slot = usize::try_from(self.chance.below(self.members.len() as u64)).unwrap();
            let agent = AgentIndex::from(slot);
            match self.chance.below(24) {
                0..=11 => self.command(agent),
                12..=15 => self.run_by_hand(agent),
                16..=18 => self.cancel(),
                19 => {
                    let paused = self.chance.percent(20);
                    self.post(Letter::Tell(ToDispatcher::SetPaused(paused)));
                }
                20 => self.configure(),
                21 => self.replay(agent),
                22 => self.redefine(agent),
                _ => self.remove(agent),
            }
        }
        // Somebody repairs what the storm has left.
        if self.chance.percent(40) {
            self.post(Letter::Tell(ToDispatcher::SetPaused(false)));
            for agent in (0..self.members.len()).map(AgentIndex::from) {
                self.send(agent, Note::Command(Command::Enable));
                self.send(agent, Note::Command(Command::Start { force: false }));
            }
        }
        let next = self.chance.tenths(1, 6_000);
        self.after(next, Happening::Storm);
    }

    fn command(&mut self, agent: AgentIndex) {
        let force = self.chance.percent(30);
        let commands = [
            Command::Start { force },
            Command::Start { force },
            Command::Start { force },
            Command::Stop,
            Command::Restart,
            Command::Enable,
            Command::Enable,
            Command::Disable,
        ];
        let command = self.chance.pick(&commands);
        self.send(agent, Note::Command(command));
    }

    fn run_by_hand(&mut self, agent: AgentIndex) {
        self.send(agent, Note::Command(Command::PrepareManualRun));
        let force = self.chance.percent(20);
        for _ in 0..=self.chance.below(3) {
            let trigger = Trigger::Manual { by: "storm".to_owned(), force };
            self.post(Letter::Admit(request(agent, trigger)));
        }
    }

    fn replay(&mut self, agent: AgentIndex) {
        let trigger = Trigger::Replay { dead_letter: 1 };
        let count = 1 + usize::try_from(self.chance.below(5)).unwrap();
        self.post(Letter::Batch(vec![request(agent, trigger); count]));
    }

    fn cancel(&mut self) {
        // The last ones are more likely to be live.
        let back = usize::try_from(self.chance.below(6)).unwrap();
        if let Some(run) = self.runs.iter().rev().nth(back).copied() {
            self.post(Letter::Tell(ToDispatcher::CancelRun { run, by: "storm".to_owned() }));
        }
    }

    fn configure(&mut self) {
        let queue = QueueSettings {
            workers: None,
            capacity: self.chance.pick(&[1, 5, 100]),
            ageing: self.chance.pick(&[Duration::ZERO, Duration::from_mins(1)]),
        };
        let breaker = breaker(&mut self.chance);
        let workers = self.chance.pick(&[1, 2, 3, 8]);
        for slot in 0..self.members.len() {
            self.send(AgentIndex::from(slot), Note::Tell(ToAgent::Configure(breaker.clone())));
        }
        self.post(Letter::Tell(ToDispatcher::Configure { queue, breaker, workers }));
    }

    fn redefine(&mut self, agent: AgentIndex) {
        let slot = agent.slot();
        if self.gone[slot] {
            return;
        }
        let mut spec: AgentSpec = self.members[slot].spec.as_ref().clone();
        match self.chance.below(5) {
            0 => spec.enabled = !spec.enabled,
            1 => spec.description.push('.'),
            2 => spec.dependencies = dependencies(slot, &mut self.chance),
            3 => spec.cwd.push("elsewhere"),
            _ => match &mut spec.kind {
                Kind::Job(job) => {
                    let overlaps = [Overlap::Skip, Overlap::QueueAll, Overlap::CancelPrevious, Overlap::Allow];
                    job.overlap = self.chance.pick(&overlaps);
                    job.timeout = Some(self.chance.tenths(1, 100));
                }
                Kind::Service(service) => service.instances = self.chance.pick(&[1, 2, 4]),
            },
        }
        let spec = Arc::new(spec);
        self.members[slot].spec = spec.clone();
        self.send(agent, Note::Tell(ToAgent::Redefine(spec)));
        let profile = profile(&self.members[slot]);
        self.post(Letter::Define(agent, profile));
        self.arm_timers(agent);
    }

    fn remove(&mut self, agent: AgentIndex) {
        if self.gone[agent.slot()] || !self.chance.percent(10) {
            return;
        }
        self.gone[agent.slot()] = true;
        self.timetable.remove(agent);
        self.send(agent, Note::Tell(ToAgent::Remove));
        self.post(Letter::Remove(agent));
    }
}
