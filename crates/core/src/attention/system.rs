//! What needs attention of the orchestrator itself.

use super::account::{
    BreakerStanding, ClockSet, FleetAccount, MemoryStanding, Paused, QueueStanding, Rejected, StoreStanding,
    SystemStanding,
};
use super::agents::{LONG, from_now, waits_for_room};
use super::{Item, Kind, Severity, counted, listed};
use crate::ids::AgentName;
use crate::memory::Level;
use crate::reason::Reason;
use crate::status::Status;
use crate::time::{Timestamp, human};
use crate::vitals::{DISK_SCARCE_BYTES, DiskSpace, LATE_LOOP};

/// A queue or a breaker is nearly used up from here on, percent.
const NEARLY: u32 = 80;
/// Lines of a list that are shown in a sentence.
const LINES: usize = 3;

/// All of the orchestrator that needs attention.
pub(super) fn items(fleet: &FleetAccount, now: Timestamp) -> Vec<Item> {
    let FleetAccount { agents, system, .. } = fleet;
    let SystemStanding { store: store_standing, missing_actors, disk: space, lag, schedule_late, .. } = system;
    let names = |wanted: &dyn Fn(&&super::AgentStanding) -> bool| -> Vec<&AgentName> {
        agents.iter().filter(|agent| wanted(agent)).map(|agent| &agent.name).collect()
    };
    let for_worker = |agent: &&super::AgentStanding| {
        let waits = agent.waits.as_ref().filter(|waits| now.since(waits.since) >= LONG);
        matches!(waits.map(|waits| &waits.reason), Some(Reason::WaitingForWorker { .. }))
    };
    let shed = names(&|agent| agent.status == Status::DisabledByMemory);
    let for_room = names(&|agent| waits_for_room(agent));
    let for_worker = names(&for_worker);
    let actors = (!missing_actors.is_empty()).then(|| {
        let reason = format!("not there: {}", missing_actors.join(", "));
        Item::new(Severity::Critical, Kind::Actors, "Parts of the orchestrator do not answer", reason)
            .hint("they are started again by themselves; if not, `werkpilot down` and start it anew, and see its log")
    });
    let late_loop = (*lag >= LATE_LOOP).then(|| {
        let reason = format!("the event loop was late by up to {} within the last minute", human(*lag));
        Item::new(Severity::Warning, Kind::Lag, "The orchestrator is late", reason)
            .hint("the host may be overloaded: `werkpilot top` shows who uses it; fewer [queue] workers help")
    });
    let late_schedule = schedule_late.map(|late| {
        let reason = format!("a scheduled time is over for {} and nothing was queued", human(late));
        Item::new(Severity::Critical, Kind::Schedule, "The schedule is late", reason)
            .hint("`werkpilot next` lists what is due; if it stays so, start the orchestrator anew, and see its log")
    });
    let found = [
        store(store_standing),
        actors,
        disk(space.as_ref()),
        memory(&system.memory, &shed),
        breaker(&system.breaker, &for_room, now),
        queue(&system.queue, &for_worker),
        late_loop,
        late_schedule,
        system.paused.as_ref().map(paused),
        system.rejected.as_ref().map(rejected),
        system.clock.map(clock),
        not_effective(&system.not_effective),
    ];
    found.into_iter().flatten().collect()
}

fn store(store: &StoreStanding) -> Option<Item> {
    match store {
        StoreStanding::Well => None,
        StoreStanding::Gone => Some(
            Item::new(
                Severity::Warning,
                Kind::Store,
                "The state is not kept at the moment",
                "its writer is being started again",
            )
            .hint("it comes back by itself; if not, see the log of the orchestrator"),
        ),
        StoreStanding::Degraded { since, reason, refused } => {
            let refused = match refused {
                0 => String::new(),
                count => format!("; {} since then", counted(usize::try_from(*count).unwrap_or(usize::MAX), "refusal")),
            };
            let item = Item::new(
                Severity::Critical,
                Kind::Store,
                "The disk does not take the state",
                format!("{reason}{refused}"),
            );
            Some(
                item.since(*since)
                    .hint("make room on, or repair, the disk of [state] dir; `werkpilot state check` looks at it"),
            )
        }
    }
}

fn disk(disk: Option<&Result<DiskSpace, String>>) -> Option<Item> {
    const HINT: &str =
        "make room on the disk of [state] dir; [logs] max_total and [history] keep bound what is written there";
    match disk? {
        Ok(space) if space.is_low() => {
            let DiskSpace { free_bytes, total_bytes } = *space;
            let severity = if free_bytes < DISK_SCARCE_BYTES { Severity::Critical } else { Severity::Warning };
            let reason = format!("{} of {} MiB are free", free_bytes >> 20, total_bytes >> 20);
            Some(Item::new(severity, Kind::Disk, "The disk of the state is nearly full", reason).hint(HINT))
        }
        Ok(_) => None,
        Err(reason) => {
            let title = "The disk of the state does not tell how much room there is";
            Some(Item::new(Severity::Warning, Kind::Disk, title, reason).hint(HINT))
        }
    }
}

fn memory(memory: &MemoryStanding, shed: &[&AgentName]) -> Option<Item> {
    let (severity, title) = match memory.level {
        Level::Critical => (Severity::Critical, format!("Memory is short: {:.0} % is used", memory.percent)),
        Level::Warning => (Severity::Warning, format!("Memory gets short: {:.0} % is used", memory.percent)),
        Level::Normal if !shed.is_empty() => {
            (Severity::Warning, format!("{} wait for memory", counted(shed.len(), "agent")))
        }
        Level::Normal => return None,
    };
    let reason = match shed {
        [] => memory.next.clone(),
        shed => format!(
            "{} disabled until less than {} % is used: {}; {}",
            counted(shed.len(), "agent"),
            memory.recover_percent,
            listed(shed),
            memory.next
        ),
    };
    let hint = match shed {
        [] => "`werkpilot status` shows who uses memory; [memory] has the thresholds".to_owned(),
        [first, ..] => format!(
            "`werkpilot status` shows who uses memory; `werkpilot start {first}` lets it take part however short memory is"
        ),
    };
    Some(Item::new(severity, Kind::Memory, title, reason).hint(hint).concerns(shed))
}

fn breaker(breaker: &BreakerStanding, waiting: &[&AgentName], now: Timestamp) -> Option<Item> {
    let BreakerStanding { restarts, max_restarts, window, room_at } = *breaker;
    let is_open = max_restarts > 0 && restarts >= max_restarts;
    if max_restarts == 0 || (!is_open && is_less(restarts, max_restarts) && waiting.is_empty()) {
        return None;
    }
    let used = format!("{restarts} of {max_restarts} within {}", human(window));
    let mut reason = match waiting {
        [] => used,
        waiting => format!("{used}; {} for room: {}", verb(waiting.len()), listed(waiting)),
    };
    if let Some(at) = room_at.filter(|_| is_open) {
        reason = format!("{reason}; there is room again {}", from_now(at, now));
    }
    let (severity, title) = if is_open {
        (Severity::Critical, "Automatic restarts of all agents are used up")
    } else {
        (Severity::Warning, "Automatic restarts of all agents are nearly used up")
    };
    let hint = "`werkpilot events --type agent.restarting` shows who is restarted; [breaker] max_restarts is the limit";
    Some(Item::new(severity, Kind::Breaker, title, reason).hint(hint).concerns(waiting))
}

fn queue(queue: &QueueStanding, waiting_long: &[&AgentName]) -> Option<Item> {
    let QueueStanding { waiting, capacity, workers } = *queue;
    let (severity, title) = if capacity > 0 && waiting >= capacity {
        (Severity::Critical, "The queue is full: executions are refused")
    } else if capacity > 0 && !is_less(waiting, capacity) {
        (Severity::Warning, "The queue is nearly full")
    } else if waiting_long.is_empty() {
        return None;
    } else {
        (Severity::Warning, "Executions wait long for a worker")
    };
    let mut reason = format!("{waiting} of {capacity} wait, and {} at a time", counted(workers as usize, "execution"));
    if !waiting_long.is_empty() {
        reason =
            format!("{reason}; {} for more than {}: {}", verb(waiting_long.len()), human(LONG), listed(waiting_long));
    }
    let hint = "`werkpilot queue` lists them; [queue] workers and capacity are the limits";
    Some(Item::new(severity, Kind::Queue, title, reason).hint(hint).concerns(waiting_long))
}

/// Whether a part is less than [`NEARLY`] of the whole.
fn is_less(part: u32, whole: u32) -> bool {
    u64::from(part) * 100 < u64::from(whole) * u64::from(NEARLY)
}

/// `1 agent waits`, `5 agents wait`.
fn verb(count: usize) -> String {
    format!("{} {}", counted(count, "agent"), if count == 1 { "waits" } else { "wait" })
}

fn paused(paused: &Paused) -> Item {
    let reason = match &paused.by {
        Some(by) => format!("paused by {by}; only what people ask for is run"),
        None => "only what people ask for is run".to_owned(),
    };
    Item::new(Severity::Warning, Kind::Paused, "All triggers are paused", reason)
        .since(paused.since)
        .hint("`werkpilot resume` lets them work again")
}

fn rejected(rejected: &Rejected) -> Item {
    let faults = counted(rejected.faults as usize, "fault");
    let reason = match rejected.faults {
        0 | 1 => rejected.first.clone(),
        _ => format!("{faults}, the first: {}", rejected.first),
    };
    Item::new(
        Severity::Warning,
        Kind::ConfigRejected,
        "The changed files have faults; the old ones are in effect",
        reason,
    )
    .since(Some(rejected.at))
    .hint("`werkpilot check` lists the faults with their lines; `werkpilot reload` when they are mended")
}

fn clock(clock: ClockSet) -> Item {
    let ClockSet { at, seconds, misfired } = clock;
    let title = format!("The wall clock was set by {seconds:+.1} s");
    let (severity, reason) = match misfired {
        0 => (Severity::Notice, "no scheduled time was left out".to_owned()),
        1 => (Severity::Warning, "1 scheduled time within the step was left out".to_owned()),
        many => (Severity::Warning, format!("{many} scheduled times within the step were left out")),
    };
    let hint = "`werkpilot next` lists what is due now; `werkpilot run NAME` makes up for what was left out";
    Item::new(severity, Kind::Clock, title, reason).since(Some(at)).hint(hint)
}

fn not_effective(places: &[String]) -> Option<Item> {
    let shown = places.iter().take(LINES).cloned().collect::<Vec<_>>().join("; ");
    let reason = match places.len() {
        0 => return None,
        1..=LINES => shown,
        all => format!("{shown} and {} more", all - LINES),
    };
    let verb = if places.len() == 1 { "does" } else { "do" };
    let title = format!("{} in the files {verb} nothing in this version", counted(places.len(), "key"));
    Some(
        Item::new(Severity::Notice, Kind::NotEffective, title, reason)
            .hint("take them out, or leave them for a later version; `werkpilot check` lists them"),
    )
}
