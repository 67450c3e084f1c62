//! What carries out launches and stops: the real one is the process host, tests bring one that records.

use std::sync::Arc;

use werkpilot_core::agent::{Launch, ProcessKey};
use werkpilot_core::ids::RunId;
use werkpilot_core::spec::{AgentSpec, Program, StopPolicy};
use werkpilot_process as process;

use crate::bus::link::{BusLink, LaunchResident};
use crate::bus::{BusSide, Note};
use crate::post::Post;
use crate::state::Executions;

/// The hands of the orchestrator.
pub trait Hands {
    /// Starts a process; the answer comes as an event.
    fn launch(&self, launch: Launch);
    /// Stops a process and its tree; the answer comes as an event.
    fn stop(&self, process: ProcessKey, policy: StopPolicy);
    /// Runs a probe's command in the environment of an agent. `serial` comes back in the event's key.
    fn probe(&self, serial: u32, run: RunId, spec: Arc<AgentSpec>, argv: Vec<String>);
    /// Ends a probe's command.
    fn kill_probe(&self, serial: u32);
    /// Runs a notification's command with this on its stdin. `serial` comes back in the event's key.
    fn hook(&self, serial: u32, run: RunId, spec: Arc<AgentSpec>, stdin: Arc<[u8]>, variables: Vec<(String, String)>);
    /// Ends a notification's command.
    fn kill_hook(&self, serial: u32);
}

/// Keys with this bit are probes. The host takes keys below 2^60.
const PROBE: u64 = 1 << 59;
/// Keys with this bit and that of probes are commands of notifications.
const HOOK: u64 = PROBE | 1 << 58;

/// What a key of the process host stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOf {
    /// A process of an agent.
    Agent(ProcessKey),
    /// A probe's command.
    Probe(u32),
    /// A notification's command.
    Hook(u32),
}

/// The host's key for a process of an agent.
pub fn host_key(key: ProcessKey) -> process::ProcessKey {
    process::ProcessKey(u64::from(key.agent.0) << 32 | u64::from(key.serial))
}

/// What the host's key stands for.
pub fn key_of(key: process::ProcessKey) -> KeyOf {
    let low = u32::try_from(key.0 & u64::from(u32::MAX)).expect("32 bits");
    if key.0 & HOOK == HOOK {
        return KeyOf::Hook(low);
    }
    if key.0 & PROBE != 0 {
        return KeyOf::Probe(low);
    }
    let agent = u32::try_from(key.0 >> 32).expect("agents have 28 bits");
    KeyOf::Agent(ProcessKey { agent: werkpilot_core::ids::AgentIndex(agent), serial: low })
}

/// The process host.
pub struct RealHands {
    host: Arc<process::Host>,
    executions: Executions,
    bus: Option<BusSide>,
    link: Post<BusLink>,
}

impl RealHands {
    /// Hands that work with this host. What they start finds the bus in its environment.
    pub fn new(host: Arc<process::Host>, executions: Executions, bus: Option<BusSide>, link: Post<BusLink>) -> Self {
        Self { host, executions, bus, link }
    }
}

impl Hands for RealHands {
    fn launch(&self, launch: Launch) {
        if launch.spec.program == Program::InProcess {
            // Its state is kept by the link, which tells how it goes.
            return self.link.tell(LaunchResident { process: launch.process, agent: launch.spec.name.clone() });
        }
        let mut real = process::Launch::new(host_key(launch.process), launch.run, launch.spec.clone());
        real.attempt = launch.attempt;
        real.instance = launch.instance;
        real.scheduled_for = launch.scheduled_for;
        real.payload.clone_from(&launch.payload);
        if let Some(bus) = &self.bus {
            real.extra_env = bus.environment(real.key.0, &real.spec.name);
            let answers = real.spec.job().is_some_and(|job| job.triggers.subject.is_some());
            real.capture_stdout_max = answers.then_some(bus.max_payload);
        }
        self.executions.launch(&self.host, &launch, real);
    }

    fn stop(&self, process: ProcessKey, policy: StopPolicy) {
        let key = host_key(process);
        if let Some(bus) = &self.bus {
            // In-process agents are the bus's; it does not know the keys of programs.
            bus.bus.leave(Note::StopResident(key.0));
        }
        self.executions.stop(&self.host, key, policy);
    }

    fn probe(&self, serial: u32, run: RunId, spec: Arc<AgentSpec>, argv: Vec<String>) {
        let key = process::ProcessKey(PROBE | u64::from(serial));
        self.host.launch(process::Launch::probe(key, run, spec, argv));
    }

    fn kill_probe(&self, serial: u32) {
        self.host.kill(process::ProcessKey(PROBE | u64::from(serial)));
    }

    fn hook(&self, serial: u32, run: RunId, spec: Arc<AgentSpec>, stdin: Arc<[u8]>, variables: Vec<(String, String)>) {
        let (key, argv) = (process::ProcessKey(HOOK | u64::from(serial)), spec.program.argv());
        let mut launch = process::Launch::probe(key, run, spec, argv);
        launch.payload = Some(stdin);
        launch.extra_env = variables;
        self.host.launch(launch);
    }

    fn kill_hook(&self, serial: u32) {
        self.host.kill(process::ProcessKey(HOOK | u64::from(serial)));
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_core::ids::AgentIndex;

    use super::*;

    #[test]
    fn keys_survive_the_way_to_the_host_and_back() {
        let key = ProcessKey { agent: AgentIndex(123_456), serial: u32::MAX };
        assert_eq!(key_of(host_key(key)), KeyOf::Agent(key));
        assert_eq!(key_of(process::ProcessKey(PROBE | 7)), KeyOf::Probe(7));
        assert_eq!(key_of(process::ProcessKey(HOOK | 7)), KeyOf::Hook(7));
    }
}
