//! From the process host to the agents: one task that hands every process event to the actor that it concerns.

use std::rc::Rc;

use tokio::sync::mpsc::UnboundedReceiver;
use werkpilot_core::agent::{Event, ProcessEnd, Sign};
use werkpilot_core::exit::Exit;
use werkpilot_core::reason::Reason;
use werkpilot_process::{ProcessEvent, WaitStatus};

use crate::bus::executions::Wrote;
use crate::bus::link::ProcessGone;
use crate::clock::Clock;
use crate::hands::{KeyOf, host_key, key_of};
use crate::house::{House, HousePhase};
use crate::observe::health::ProbeEnded;
use crate::observe::notifications::HookEnded;

/// How many events are taken per wake-up; more wait for the next turn, so that other actors get theirs.
const BATCH: usize = 256;

/// Runs until the host is gone. The channel holds at most a few events per live process.
pub async fn route(house: Rc<House>, mut events: UnboundedReceiver<ProcessEvent>) {
    let mut batch = Vec::with_capacity(BATCH);
    while events.recv_many(&mut batch, BATCH).await > 0 {
        for event in batch.drain(..) {
            match key_of(event.key()) {
                KeyOf::Agent(key) => route_to_agent(&house, key, event),
                KeyOf::Probe(serial) => route_to_monitor(&house, serial, event),
                KeyOf::Hook(serial) => route_to_notifier(&house, serial, event),
            }
        }
        tokio::task::yield_now().await;
    }
}

fn route_to_agent(house: &House, process: werkpilot_core::agent::ProcessKey, event: ProcessEvent) {
    let mut directory = house.directory.borrow_mut();
    let translated = match event {
        ProcessEvent::Started { pid, .. } => {
            if let Some(live) = directory.process_mut(process) {
                live.pid = Some(pid);
                house.executions.started(live.run, live.attempt, Clock::wall());
            }
            Event::Started { process, pid }
        }
        ProcessEvent::SpawnFailed { failure, .. } => {
            forget(house, &mut directory, process);
            Event::SpawnFailed { process, failure }
        }
        ProcessEvent::Ready { .. } => Event::Ready { process },
        ProcessEvent::Status { text, .. } => {
            if let Some(live) = directory.process_mut(process) {
                live.said = Some(text);
            }
            return;
        }
        // It says that it is about to end; the end itself is what counts.
        ProcessEvent::Stopping { .. } => return,
        ProcessEvent::WatchdogExpired { .. } => Event::Unhealthy { process, reason: Reason::WatchdogExpired },
        ProcessEvent::Silent { .. } => {
            let spec = directory.get(process.agent).map(|slot| slot.spec.clone());
            let max_silence = spec.and_then(|spec| spec.service()?.max_silence).unwrap_or_default();
            Event::Unhealthy { process, reason: Reason::Silent { max_silence } }
        }
        ProcessEvent::WatchdogAgain { .. } => Event::HealthyAgain { process, sign: Sign::Watchdog },
        ProcessEvent::OutputAgain { .. } => Event::HealthyAgain { process, sign: Sign::Output },
        ProcessEvent::Exited { mut report, .. } => {
            if let Some(stdout) = report.stdout.take()
                && let Some(live) = directory.process_mut(process)
            {
                // Before the end of the execution, which comes by way of the agent.
                house.posts.bus_link.tell(Wrote { run: live.run, stdout });
            }
            forget(house, &mut directory, process);
            if let Some(slot) =
                directory.get_mut(process.agent).filter(|_| house.phase.get() == HousePhase::ShuttingDown)
            {
                slot.forced |= report.forced;
            }
            let exit = match report.status {
                WaitStatus::Code(0) => Exit::Clean,
                WaitStatus::Code(code) => Exit::Code(code),
                WaitStatus::Signal(signal) => Exit::Signal(signal),
            };
            Event::Exited {
                process,
                end: ProcessEnd {
                    exit,
                    lived: report.lived,
                    forced: report.forced,
                    peak_rss_bytes: report.peak_rss_bytes.unwrap_or(0),
                    log_tail: report.log_tail,
                    last_words: report.last_words,
                },
            }
        }
    };
    directory.deliver(process.agent, translated);
}

fn forget(house: &House, directory: &mut crate::directory::Directory, process: werkpilot_core::agent::ProcessKey) {
    if let Some(slot) = directory.get_mut(process.agent) {
        slot.processes.retain(|live| live.key != process);
    }
    if house.bus.is_some() {
        house.posts.bus_link.tell(ProcessGone(host_key(process).0));
    }
}

fn route_to_monitor(house: &House, serial: u32, event: ProcessEvent) {
    let result = match event {
        ProcessEvent::SpawnFailed { failure, .. } => Err(failure.message),
        ProcessEvent::Exited { report, .. } => match report.status {
            WaitStatus::Code(0) => Ok(()),
            status => Err(format!("the probe's command {}", status.exit())),
        },
        _ => return,
    };
    house.posts.health.tell(ProbeEnded { serial, result });
}

fn route_to_notifier(house: &House, serial: u32, event: ProcessEvent) {
    let result = match event {
        ProcessEvent::SpawnFailed { failure, .. } => Err((None, failure.message)),
        ProcessEvent::Exited { report, .. } => match report.status {
            WaitStatus::Code(0) => Ok(()),
            WaitStatus::Code(code) => Err((Some(code), format!("the command {}", report.status.exit()))),
            WaitStatus::Signal(_) => Err((None, format!("the command {}", report.status.exit()))),
        },
        _ => return,
    };
    house.posts.notifier.tell(HookEnded { serial, result });
}
