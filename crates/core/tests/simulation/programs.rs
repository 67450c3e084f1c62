//! Programs that behave by chance: they start late or not at all, become ready or not, crash, hang and ignore signals.

use std::time::Duration;

use werkpilot_core::agent::{Event as ToAgent, Launch, ProcessEnd, ProcessKey, Sign};
use werkpilot_core::exit::{Exit, SpawnFailure, SpawnFailureKind};
use werkpilot_core::reason::Reason;
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::{ReadyCheck, StopPolicy};
use werkpilot_core::time::Moment;

use crate::world::{Happening, Note, World};

/// A simulated program.
#[derive(Debug)]
pub struct Program {
    began: Moment,
    ignores_stop: bool,
    stopping: bool,
}

impl World {
    pub fn launch(&mut self, launch: &Launch) {
        let (process, agent) = (launch.process, launch.process.agent);
        let temper = self.members[agent.slot()].temper;
        let delay = self.chance.pick(&[Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100)]);
        if self.chance.percent(temper.spawn_fails_percent) {
            let kind = if self.chance.percent(80) { temper.spawn_failure } else { SpawnFailureKind::Other };
            let failure = SpawnFailure { kind, message: "no such luck".to_owned() };
            self.after(delay, Happening::Deliver(agent, ToAgent::SpawnFailed { process, failure }));
            return;
        }
        let ignores_stop = self.chance.percent(temper.ignores_stop_percent);
        self.programs.insert(process, Program { began: self.now.steady + delay, ignores_stop, stopping: false });
        let pid = i32::try_from(process.serial).unwrap();
        self.after(delay, Happening::Deliver(agent, ToAgent::Started { process, pid }));
        let fails = self.chance.percent(temper.fails_percent);
        let exit = if fails {
            self.chance.pick(&[Exit::Code(1), Exit::Code(2), Exit::Signal(Signal::KILL)])
        } else {
            Exit::Clean
        };
        let life = self.chance.tenths(temper.lives.0, temper.lives.1);
        // Now and then the news of the end is faster than that of the start.
        let exits = if self.chance.percent(3) { delay / 2 } else { delay + life };
        self.after(exits, Happening::Exits { process, exit, forced: false });
        self.foretell_health(launch, delay);
    }

    fn foretell_health(&mut self, launch: &Launch, delay: Duration) {
        let (process, agent) = (launch.process, launch.process.agent);
        let temper = self.members[agent.slot()].temper;
        let Some(service) = launch.spec.service() else { return };
        let by_itself = matches!(service.ready.check, ReadyCheck::After(_) | ReadyCheck::Bus);
        if !by_itself && !self.chance.percent(temper.never_ready_percent) {
            let ready = if self.chance.percent(5) { Duration::ZERO } else { delay + self.chance.tenths(0, 50) };
            self.after(ready, Happening::Deliver(agent, ToAgent::Ready { process }));
        }
        if self.chance.percent(temper.unhealthy_percent) {
            let ill = delay + self.chance.tenths(0, 2_000);
            let reason = Reason::ProbesFailed { failures: 3, last: "refused".to_owned() };
            self.after(ill, Happening::Deliver(agent, ToAgent::Unhealthy { process, reason }));
            let well = ill + self.chance.tenths(0, 100);
            self.after(well, Happening::Deliver(agent, ToAgent::HealthyAgain { process, sign: Sign::Probes }));
        }
    }

    pub fn stop(&mut self, process: ProcessKey, policy: StopPolicy) {
        let quick = self.chance.tenths(0, 3);
        let Some(program) = self.programs.get_mut(&process) else { return };
        assert!(!std::mem::replace(&mut program.stopping, true), "a program is stopped once");
        let forced = program.ignores_stop;
        let (delay, signal) = if forced { (policy.timeout, Signal::KILL) } else { (quick, policy.signal) };
        self.after(delay, Happening::Exits { process, exit: Exit::Signal(signal), forced });
    }

    pub fn exits(&mut self, process: ProcessKey, exit: Exit, forced: bool) {
        let Some(program) = self.programs.remove(&process) else { return };
        let lived = self.now.steady.since(program.began);
        let end = ProcessEnd { exit, lived, forced, peak_rss_bytes: 1, log_tail: Vec::new(), last_words: None };
        let event = ToAgent::Exited { process, end };
        if self.chance.percent(3) {
            self.after(Duration::from_millis(200), Happening::Deliver(process.agent, event.clone()));
            self.after(Duration::from_millis(300), Happening::Deliver(process.agent, ToAgent::Ready { process }));
        }
        self.send(process.agent, Note::Tell(event));
    }
}
