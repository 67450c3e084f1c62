//! The turns: a machine is told what lies in its mailbox, and what it answers is put into others.

use std::fmt::Debug;

use werkpilot_core::agent::{Action as Wish, Event as ToAgent};
use werkpilot_core::boot::BootEvent;
use werkpilot_core::dispatcher::{Action, Admission, Gate};
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::reason::Reason;
use werkpilot_core::status::Status;

use crate::fleet::name_of;
use crate::world::{Letter, Note, World};

impl World {
    // ---- the dispatcher's turn ----

    pub fn dispatch(&mut self, letter: Letter) {
        self.note(|| format!("dispatcher ← {}", short(&letter)));
        let (now, mut out) = (self.now, Vec::new());
        match letter {
            Letter::Tell(event) => {
                self.model.told(&event, now.steady);
                self.dispatcher.on(event, now, &mut out);
            }
            Letter::Batch(requests) => self.dispatcher.admit_batch(requests, now, &mut out),
            Letter::Admit(request) => match self.dispatcher.admit(request, now, &mut out) {
                Admission::Accepted(run) | Admission::Skipped(run, _) | Admission::Refused(run, _) => {
                    self.runs.push(run);
                }
            },
            Letter::Define(agent, profile) => {
                self.model.defined(agent, profile.clone());
                self.dispatcher.define(agent, profile);
            }
            Letter::Remove(agent) => {
                // What waited ends before the agent is gone.
                self.dispatcher.remove(agent, now, &mut out);
                self.model.removed(agent);
            }
        }
        for action in out {
            self.note(|| format!("dispatcher → {}", short(&action)));
            self.model.answered(&action, now.steady);
            match action {
                Action::Start(grant) => self.send(grant.agent, Note::Tell(ToAgent::Granted(grant))),
                Action::Cancel { agent, key, reason } => {
                    self.send(agent, Note::Tell(ToAgent::CancelRun { key, reason }));
                }
                Action::Keep(_) | Action::Emit(_) | Action::DeadLetter(_) | Action::Sample { .. } => {}
            }
        }
        self.model.check(&mut self.dispatcher, now.steady);
    }

    // ---- an agent's turn ----

    pub fn tell_agent(&mut self, slot: usize, note: Note) {
        self.note(|| format!("{} ← {}", name_of(slot), short(&note)));
        let (now, mut out) = (self.now, Vec::new());
        match note {
            Note::Tell(event) => {
                self.heard(&event);
                self.drained[slot] |= matches!(event, ToAgent::Drain | ToAgent::Terminate | ToAgent::Remove);
                self.agents[slot].on(event, now, &mut out);
            }
            // A refusal is an answer, too.
            Note::Command(command) => drop(self.agents[slot].command(&command, "storm", now, &mut out)),
        }
        self.check_that_nothing_runs_behind_a_closed_gate(slot);
        for wish in out {
            self.note(|| format!("{} → {}", name_of(slot), short(&wish)));
            self.grant_wish(slot, wish);
        }
    }

    /// A service that is stopped or disabled has no instance that runs on or is to be started.
    fn check_that_nothing_runs_behind_a_closed_gate(&self, slot: usize) {
        let agent = &self.agents[slot];
        if matches!(agent.gate(), Gate::Closed { .. }) {
            for instance in agent.instances() {
                let ends = instance.process.is_none() || instance.reason.is_some();
                let planned = matches!(instance.status, Status::Queued | Status::BackingOff);
                assert!(ends && !planned, "{}/{} is closed: {instance:?}", name_of(slot), instance.instance);
            }
        }
    }

    fn grant_wish(&mut self, slot: usize, wish: Wish) {
        let agent = AgentIndex::from(slot);
        match wish {
            Wish::Launch(launch) => {
                assert!(!self.drained[slot], "nothing is launched while draining");
                let closed = matches!(self.agents[slot].gate(), Gate::Closed { .. });
                assert!(!closed, "{} launches though it is closed", name_of(slot));
                self.tally.launches += 1;
                self.model.launched(&launch);
                self.launch(&launch);
            }
            Wish::StopProcess { process, policy } => self.stop(process, policy),
            Wish::Dispatcher(event) => self.post(Letter::Tell(event)),
            Wish::BootSettled { ready } => {
                self.boot(if ready { BootEvent::Ready(agent) } else { BootEvent::GaveUp(agent) });
            }
            Wish::AllEnded => {
                assert_eq!(self.model.processes_of(agent), 0, "{} has ended", name_of(slot));
                self.all_ended[slot] = true;
            }
            Wish::GroupMemberRestarting => {
                let department = &self.members[slot].spec.department;
                let same = |other: &usize| *other != slot && self.members[*other].spec.department == *department;
                let others: Vec<usize> = (0..self.members.len()).filter(same).collect();
                if *department == "sales" {
                    for other in others {
                        let reason = Reason::GroupRestart { agent: name_of(slot) };
                        self.send(AgentIndex::from(other), Note::Tell(ToAgent::GroupRestart { reason }));
                    }
                }
            }
            Wish::Emit(fact) => {
                self.tally.half_open += u64::from(fact.topic() == "breaker.half_open");
            }
            Wish::WatchReadiness { .. } | Wish::WatchHealth { .. } | Wish::Unwatch { .. } => {}
        }
    }

    /// Called with each event that an agent hears: the account of processes follows what agents know.
    fn heard(&mut self, event: &ToAgent) {
        if let ToAgent::Exited { process, .. } | ToAgent::Started { process, .. } = event {
            self.model.spawned(process.agent);
        }
        if let ToAgent::Exited { process, .. } | ToAgent::SpawnFailed { process, .. } = event {
            self.model.gone(*process);
        }
    }
}

fn short(what: &impl Debug) -> String {
    let text = format!("{what:?}");
    text.chars().take(240).collect()
}
