//! What is known of the fleet when it is decided what needs attention; the decision is `werkpilot_core::attention`.

use std::collections::HashSet;
use std::time::Duration;

use werkpilot_core::attention::{
    AgentStanding, Attention, BreakerStanding, FleetAccount, MemoryStanding, Paused, QueueStanding, Rejected,
    StoreStanding, SystemStanding, Waits, new_letters, of,
};
use werkpilot_core::breaker::BreakerState;
use werkpilot_core::dispatcher::{Dispatcher, LongestWait};
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::reason::Reason;
use werkpilot_core::status::Status;
use werkpilot_core::time::Clocks;
use werkpilot_core::vitals::Trouble;

use super::health::{late_schedule, missing_actors};
use super::system::store;
use crate::directory::Slot;
use crate::house::{House, HousePhase};

/// What needs attention now.
pub fn attention(house: &House) -> Attention {
    let now = house.now();
    let account = FleetAccount {
        agents: agents(house, now),
        letters: new_letters(house.dead_letters.borrow().iter(), now.wall),
        system: system(house, now),
    };
    of(&account, now.wall)
}

fn agents(house: &House, now: Clocks) -> Vec<AgentStanding> {
    // While it goes down, everything is as it should be.
    if house.phase.get() == HousePhase::ShuttingDown {
        return Vec::new();
    }
    let late = late(house);
    let directory = house.directory.borrow();
    let standings = directory.iter().filter_map(|(index, slot)| standing(house, index, slot, &late, now));
    standings.collect()
}

/// Who was not ready in time at the boot.
fn late(house: &House) -> HashSet<AgentName> {
    let layers = house.boot_layers.borrow();
    let of_layers = layers.iter().flat_map(|layer| layer.late.iter().cloned());
    let of_boot = match house.boot_report.borrow().as_ref() {
        Some(Event::BootCompleted { late, .. }) => late.clone(),
        _ => Vec::new(),
    };
    of_layers.chain(of_boot).collect()
}

/// Nothing for one that is well: most of them are, and need not be looked at closely.
fn standing(
    house: &House,
    index: AgentIndex,
    slot: &Slot,
    late: &HashSet<AgentName>,
    now: Clocks,
) -> Option<AgentStanding> {
    let dispatcher = house.dispatcher.borrow();
    let (service, priority) = (slot.spec.service().is_some(), house.priority_of(&slot.spec).number());
    let mut agent = AgentStanding::new(slot.name.clone(), service, priority, dispatcher.status(index));
    agent.unhealthy = dispatcher.unhealthy_dependencies(index);
    agent.late = late.contains(&slot.name);
    agent.failures_in_a_row = slot.machine.borrow().restarted_in_a_row().map_or(0, |(restarts, _)| restarts);
    if agent.is_calm() {
        return None;
    }
    agent.error = dispatcher.last_error(index).map(ToOwned::to_owned);
    agent.cause = dispatcher.closed_because(index).cloned();
    agent.since = house.recent.borrow().since(&slot.name);
    add_waiting(&mut agent, &dispatcher, index, now);
    drop(dispatcher);
    let machine = slot.machine.borrow();
    agent.last_words = machine.last_words().cloned();
    if let BreakerState::Open { until, .. } = machine.breaker_state() {
        agent.trial_at = Some(now.wall_at(until));
    }
    for instance in machine.instances().into_iter().filter(|instance| instance.status == agent.status) {
        let ill = instance.illness.as_ref();
        let reason = ill.and_then(|ill| ill.reasons.first().cloned()).or(instance.reason);
        agent.cause = agent.cause.or(reason);
        agent.since = ill.map(|ill| ill.since).or(agent.since);
        agent.failures_in_a_row = agent.failures_in_a_row.max(instance.restarts);
        let next = instance.next_attempt.map(|at| now.wall_at(at));
        agent.next_attempt = [agent.next_attempt, next].into_iter().flatten().min();
    }
    // What runs again has nothing to say of the life before.
    let last_end = machine.restarted_in_a_row().and_then(|(_, exit)| exit);
    agent.cause = agent.cause.or_else(|| last_end.map(|exit| Reason::Exited { exit: exit.clone() }));
    Some(agent)
}

/// What it waits for, where it waits.
fn add_waiting(agent: &mut AgentStanding, dispatcher: &Dispatcher, index: AgentIndex, now: Clocks) {
    if !matches!(agent.status, Status::Queued | Status::BackingOff) {
        return;
    }
    let Some(LongestWait { reason, accepted, until, failed }) = dispatcher.longest_wait(index) else { return };
    agent.next_attempt = until.map(|at| now.wall_at(at));
    agent.failures_in_a_row = failed;
    agent.waits = Some(Waits { reason, since: now.wall_at(accepted) });
    if agent.status == Status::BackingOff {
        agent.cause = agent.cause.take().or_else(|| agent.waits.as_ref().map(|waits| waits.reason.clone()));
    }
}

fn system(house: &House, now: Clocks) -> SystemStanding {
    let (recent, vitals) = (house.recent.borrow(), house.vitals.borrow());
    let schedule_late = late_schedule(house, now).and_then(|trouble| match trouble {
        Trouble::ScheduleLate { lag } => Some(lag),
        _ => None,
    });
    let paused = house.dispatcher.borrow().is_paused();
    let rejected = house.rejected.borrow();
    let provenance = house.provenance.borrow();
    SystemStanding {
        store: store_standing(house),
        missing_actors: missing_actors(house),
        disk: vitals.disk.clone(),
        lag: vitals.worst_lag(now.steady).unwrap_or(Duration::ZERO),
        schedule_late,
        memory: memory(house),
        breaker: breaker(house, now),
        queue: queue(house),
        paused: paused.then(|| recent.paused().cloned().unwrap_or(Paused { by: None, since: None })),
        rejected: rejected.as_ref().map(|rejected| Rejected {
            at: rejected.time,
            faults: rejected.count,
            first: rejected.first.clone(),
        }),
        not_effective: provenance.as_ref().map(|provenance| provenance.not_effective()).unwrap_or_default(),
        clock: recent.clock_set(now.wall),
    }
}

fn store_standing(house: &House) -> StoreStanding {
    let view = store(house);
    match view.state {
        "degraded" => StoreStanding::Degraded {
            since: view.since,
            reason: view.reason.unwrap_or_default(),
            refused: view.refused,
        },
        "gone" => StoreStanding::Gone,
        _ => StoreStanding::Well,
    }
}

fn memory(house: &House) -> MemoryStanding {
    let (book, directory) = (house.memory.borrow(), house.directory.borrow());
    let name = |agent| directory.get(agent).map_or_else(|| "an agent".to_owned(), |slot| slot.name.to_string());
    MemoryStanding {
        level: book.level,
        percent: book.percent,
        recover_percent: house.settings.borrow().memory.recover_percent,
        next: book.ladder.next().sentence(name),
    }
}

pub(super) fn breaker(house: &House, now: Clocks) -> BreakerStanding {
    let room = house.dispatcher.borrow_mut().restart_room(now.steady);
    BreakerStanding {
        restarts: room.used,
        max_restarts: room.max_restarts,
        window: room.window,
        room_at: room.room_at.map(|at| now.wall_at(at)),
    }
}

fn queue(house: &House) -> QueueStanding {
    let dispatcher = house.dispatcher.borrow();
    QueueStanding { waiting: dispatcher.waiting(), capacity: dispatcher.capacity(), workers: dispatcher.workers().1 }
}
