//! What the house knows of an agent, and of those that it depends on.

use std::collections::BTreeMap;

use werkpilot_core::dead_letters::{DeadLetter, LetterState};
use werkpilot_core::event::Event;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::spec::Probe;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Timestamp};
use werkpilot_core::why::{
    AgentAccount, DEPTH, DependencyAccount, LastRun, LetterAccount, LiveAccount, MemoryAccount, ProbeAccount, Restart,
};

use crate::directory::Slot;
use crate::house::{House, HousePhase};
use crate::view::priority_from;

/// Dead letters of an agent that are named.
const LETTERS: usize = 5;
/// Agents that used up the limit of all restarts, as many as are named.
const RESTARTED: usize = 5;
/// Dependencies that are looked at, of all depths together: a wide and deep graph is not told whole.
const DEPENDENCIES: usize = 32;

/// What is known of an agent, but for facts.
pub(super) fn of(house: &House, index: AgentIndex) -> Option<AgentAccount> {
    gather(house, index, 0, &mut DEPENDENCIES.clone())
}

fn gather(house: &House, index: AgentIndex, depth: usize, left: &mut usize) -> Option<AgentAccount> {
    let now = house.now();
    let directory = house.directory.borrow();
    let slot = directory.get(index)?;
    let mut account = alone(house, index, slot, now);
    let problems = house.dispatcher.borrow().unhealthy_dependencies(index);
    for problem in problems {
        let dependency = directory.find(problem.dep.as_str()).filter(|_| depth < DEPTH && *left > 0);
        *left = left.saturating_sub(1);
        let found = dependency.and_then(|dependency| gather(house, dependency, depth + 1, left));
        account.unhealthy.push(DependencyAccount { problem, account: found.map(Box::new) });
    }
    Some(account)
}

/// The same without its dependencies.
fn alone(house: &House, index: AgentIndex, slot: &Slot, now: Clocks) -> AgentAccount {
    let machine = slot.machine.borrow();
    let (status, closed, error, standings, room, holders, workers, paused) = {
        let mut dispatcher = house.dispatcher.borrow_mut();
        let standings = dispatcher.standings(index, now.steady);
        (
            dispatcher.status(index),
            dispatcher.closed_because(index).cloned(),
            dispatcher.last_error(index).map(ToOwned::to_owned),
            standings,
            dispatcher.restart_room(now.steady),
            dispatcher.holders(now.steady),
            dispatcher.workers().1,
            dispatcher.is_paused(),
        )
    };
    let live = standings.into_iter().map(|standing| {
        let run = standing.live.run;
        let pid = slot.processes.iter().find(|process| process.run == run).and_then(|process| process.pid);
        LiveAccount { attempt: machine.attempt(run), pid, standing }
    });
    let unbooted = !machine.is_booted() && house.phase.get() == HousePhase::Booting;
    let layer = house.layers.borrow().get(index.slot()).copied().unwrap_or(0);
    AgentAccount {
        spec: slot.spec.clone(),
        status,
        closed,
        layer: unbooted.then_some(layer),
        live: live.collect(),
        instances: machine.instances(),
        pids: slot.processes.iter().filter_map(|process| process.pid).collect(),
        last: last_run(house, &slot.name),
        error,
        last_words: machine.last_words().cloned(),
        unhealthy: Vec::new(),
        breaker: machine.breaker_state(),
        letters: letters(house, &slot.name),
        memory: memory(house, status),
        probes: probes(house, slot, now),
        restarts: restarts(house, &slot.name, now),
        affected: affected(house, index, &slot.name),
        due: house.timetable.borrow().next_of(index, now).map(|next| next.at),
        catching_up: house.positions.borrow().waiting(index),
        paused,
        shutting_down: house.phase.get() == HousePhase::ShuttingDown,
        decision: priority_from(house, &slot.spec),
        room_used_by: restarted(house, now),
        room,
        holders,
        workers,
        ageing: house.settings.borrow().queue.ageing,
        facts: Vec::new(),
    }
}

fn last_run(house: &House, agent: &AgentName) -> Option<LastRun> {
    let events = house.events.borrow();
    let last = events.last_run_of(agent)?;
    let (run, end, reason) = (last.run_id, last.end.to_string(), last.reason.clone());
    Some(LastRun { run, end, at: last.at, attempts: last.attempts, reason })
}

/// A dead letter in short.
pub(super) fn letter(letter: &DeadLetter) -> LetterAccount {
    LetterAccount {
        id: letter.id,
        run: letter.run,
        at: letter.timestamp,
        error: told(&letter.error, letter.execution.exit.as_ref()),
        state: letter.standing.state.as_str(),
        replay: letter.standing.replay_run,
    }
}

/// What went wrong, and how the last attempt ended where that does not say it.
pub(super) fn told(error: &str, exit: Option<&Exit>) -> String {
    let exit = exit.map(ToString::to_string).filter(|exit| !error.contains(exit));
    exit.map_or_else(|| error.to_owned(), |exit| format!("{error}, the last one {exit}"))
}

fn letters(house: &House, agent: &AgentName) -> Vec<LetterAccount> {
    let desk = house.dead_letters.borrow();
    let open = |letter: &&DeadLetter| letter.agent == *agent && letter.standing.state != LetterState::Replayed;
    desk.iter().rev().filter(open).take(LETTERS).map(letter).collect()
}

fn memory(house: &House, status: Status) -> Option<MemoryAccount> {
    if status != Status::DisabledByMemory {
        return None;
    }
    let (book, directory) = (house.memory.borrow(), house.directory.borrow());
    let settings = house.settings.borrow();
    Some(MemoryAccount {
        level: book.level,
        percent: book.percent,
        recover_percent: settings.memory.recover_percent,
        interval: settings.memory.interval,
        shed: book.shed.iter().filter_map(|agent| Some(directory.get(*agent)?.name.clone())).collect(),
        next_check: book.next_check,
    })
}

fn probes(house: &House, slot: &Slot, now: Clocks) -> Vec<ProbeAccount> {
    let book = house.health.borrow();
    let instances = slot.machine.borrow().instances();
    let probe = |instance: &werkpilot_core::agent::InstanceView| {
        let process = instance.process?;
        let watched = book.watched(process)?;
        let last = watched.last.as_ref();
        Some(ProbeAccount {
            instance: instance.instance,
            kind: watched.health.probe.as_str(),
            target: match &watched.health.probe {
                Probe::Http(url) => Some(url.clone()),
                Probe::Tcp(address) => Some(address.clone()),
                Probe::Exec(argv) => Some(argv.join(" ")),
                Probe::Bus | Probe::Notify => None,
            },
            failures: watched.liveness.failures_in_a_row(),
            allowed: watched.health.failures,
            last_error: last.and_then(|last| Some((last.at, last.result.clone().err()?))),
            next: book.next_probe(process).filter(|(_, flying)| !flying).map(|(at, _)| now.wall_at(at)),
        })
    };
    instances.iter().filter_map(probe).collect()
}

/// Who depends on it and finds it unhealthy.
fn affected(house: &House, index: AgentIndex, name: &AgentName) -> Vec<AgentName> {
    let (graph, dispatcher, directory) = (house.graph.borrow(), house.dispatcher.borrow(), house.directory.borrow());
    let finds_it_unhealthy = |dependent: &&AgentIndex| {
        dispatcher.unhealthy_dependencies(**dependent).iter().any(|unhealthy| unhealthy.dep == *name)
    };
    let affected = graph.dependents(index).iter().filter(finds_it_unhealthy);
    affected.filter_map(|dependent| Some(directory.get(*dependent)?.name.clone())).collect()
}

/// Its restarts of the last hour, as far as they are remembered.
fn restarts(house: &House, name: &AgentName, now: Clocks) -> Vec<Restart> {
    let events = house.events.borrow();
    let recent = events.iter().filter(|recorded| now.wall.since(recorded.time) < super::LATELY);
    let restart = recent.filter_map(|recorded| match &recorded.event {
        Event::AgentRestarting { agent, count: 1.., reason, .. } if agent == name => {
            Some(Restart { at: recorded.time, reason: reason.to_string() })
        }
        _ => None,
    });
    restart.collect()
}

/// Who was restarted within the window of all restarts, as far as is remembered, most often first.
fn restarted(house: &House, now: Clocks) -> Vec<(AgentName, u32)> {
    let window = house.settings.borrow().breaker.window;
    let mut counts: BTreeMap<AgentName, u32> = BTreeMap::new();
    let events = house.events.borrow();
    let recent = |at: Timestamp| now.wall.since(at) < window;
    for recorded in events.iter().rev().take_while(|recorded| recent(recorded.time)) {
        if let Event::AgentRestarting { agent, count: 1.., .. } = &recorded.event {
            *counts.entry(agent.clone()).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(RESTARTED);
    counts
}
