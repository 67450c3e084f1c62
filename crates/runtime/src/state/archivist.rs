//! The archivist: watches the disk, tells once what ails it and when it is well again, starts the store's writer again
//! when it has died, and takes out what is older than it has to be.
//!
//! Invariant: each change of the store's health is told once; pruning goes in small steps with pauses between, so that
//! nobody's commit waits for it.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::audit;
use werkpilot_core::event::Event;
use werkpilot_core::settings::Settings;
use werkpilot_core::time::Timestamp;
use werkpilot_store::{Health, OpenError, Pruned, Retention, StoreError, WriterStats};

use crate::clock::Clock;
use crate::house::House;
use crate::supervision::ExitNotice;

/// How often the disk's health is looked at while it is ill: two atomics and a lock that nobody holds for long.
const LOOK: Duration = Duration::from_millis(200);
/// The same while it is well. What can't be kept is told at once; this is for what nobody waits for.
const QUIET_LOOK: Duration = Duration::from_secs(5);
/// The first pruning: when the boot's rush is over.
const FIRST_PRUNING: Duration = Duration::from_secs(5);
/// Between two prunings.
const PRUNING: Duration = Duration::from_hours(1);
/// Between two steps of one: a step takes some 5 ms of the writer's time.
pub(crate) const BETWEEN_STEPS: Duration = Duration::from_millis(50);
/// Events that are kept, however young: some 300 MB.
pub const MAX_EVENTS: u64 = 1_000_000;
/// The longest wait before a writer that died is started again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What the archivist tells of the disk. A value, so that each change is told once.
#[derive(Debug, Default)]
struct Watch {
    /// What it was told of last: since when the disk is not well, and what was counted then.
    ill: Option<(Timestamp, WriterStats)>,
    /// What was counted when it was well last.
    well: WriterStats,
}

impl Watch {
    /// Looks at the store; answers what is to be told.
    fn look(&mut self, health: &Health, stats: WriterStats, now: Timestamp) -> Option<Event> {
        match (health, &self.ill) {
            (Health::Degraded { since, reason }, None) => {
                // The batch that found it out was refused or dropped before anybody could look: counted from the last look.
                self.ill = Some((*since, self.well));
                Some(Event::StoreDegraded { reason: reason.to_string() })
            }
            (Health::Healthy, Some((since, before))) => {
                let event = Event::StoreRecovered {
                    after: now.since(*since),
                    // Saturating: a writer that was started again meanwhile counts from zero.
                    refused: stats.refused.saturating_sub(before.refused),
                    dropped: stats.dropped.saturating_sub(before.dropped),
                };
                self.ill = None;
                Some(event)
            }
            (Health::Healthy, None) => {
                self.well = stats;
                None
            }
            (Health::Degraded { .. }, Some(_)) => None,
        }
    }
}

/// What is to be kept, by the settings. Dead letters have a desk of their own.
pub(crate) fn retention(settings: &Settings, now: Timestamp) -> Retention {
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(whole_millis(settings.history.keep)));
    Retention {
        executions_before: Some(before),
        executions_per_agent: Some(settings.history.max_runs_per_agent.into()),
        events_before: Some(before),
        events: Some(MAX_EVENTS),
        audit_before: Some(Timestamp::from_millis(now.as_millis().saturating_sub(whole_millis(audit::KEEP)))),
        audit: Some(audit::ENTRIES),
        ..Retention::default()
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A step of pruning is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct StepDone(Result<Pruned, StoreError>);

/// The writer was started again, or was not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct WriterStarted(Result<(), OpenError>);

/// The actor that looks after the store.
pub struct Archivist {
    house: Rc<House>,
    watch: Watch,
    /// A writer is being started.
    starting: bool,
    /// Starts of a writer in a row that failed.
    failures: u32,
    /// The next look.
    next_look: SpawnHandle,
    /// Executions and events that this pruning took out.
    gone: (u64, u64),
    _notice: ExitNotice,
}

impl Archivist {
    /// An actor for the house's ledger.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            watch: Watch::default(),
            starting: false,
            failures: 0,
            next_look: SpawnHandle::default(),
            gone: (0, 0),
            _notice: notice,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        self.examine(ctx);
        let ill = self.watch.ill.is_some() || self.starting;
        ctx.cancel_future(self.next_look);
        self.next_look = ctx.run_later(if ill { LOOK } else { QUIET_LOOK }, Self::look);
    }

    /// Looks as soon as something could not be kept.
    fn listen(&mut self, ctx: &mut Context<Self>) {
        let ledger = self.house.ledger.clone();
        let trouble = async move { ledger.trouble().await };
        ctx.spawn(trouble.into_actor(self).map(|(), this, ctx| {
            this.look(ctx);
            this.listen(ctx);
        }));
    }

    fn examine(&mut self, ctx: &mut Context<Self>) {
        let ledger = &self.house.ledger;
        let Some(writer) = ledger.writer() else { return };
        if writer.is_gone() {
            self.start_writer(ctx);
            return;
        }
        self.failures = 0;
        if let Some(event) = self.watch.look(&writer.health(), writer.stats(), Clock::wall()) {
            self.house.emit(event);
        }
    }

    /// Opens the file anew, on another thread: it is checked on the way.
    fn start_writer(&mut self, ctx: &mut Context<Self>) {
        if self.starting || self.house.phase.get() == crate::house::HousePhase::ShuttingDown {
            return;
        }
        self.starting = true;
        let wait = match self.failures {
            0 => Duration::ZERO,
            n => (LOOK * 2_u32.saturating_pow(n.min(10))).min(LONGEST_WAIT),
        };
        let ledger = self.house.ledger.clone();
        let start = async move {
            tokio::time::sleep(wait).await;
            tokio::task::spawn_blocking(move || ledger.restart_writer()).await
        };
        ctx.spawn(start.into_actor(self).map(|result, _, ctx| match result {
            Ok(result) => ctx.notify(WriterStarted(result)),
            Err(error) => log::error!("failed to start the writer of the state again: {error}"),
        }));
    }

    fn prune(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(PRUNING, Self::prune);
        self.gone = (0, 0);
        self.step(ctx);
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        let Some(writer) = self.house.ledger.writer() else { return };
        let retention = retention(&self.house.settings.borrow(), Clock::wall());
        let told = ctx.address();
        // A writer that is not there, or busy, is for the next hour.
        let _ = writer.prune(retention, Box::new(move |result| told.do_send(StepDone(result))));
    }
}

impl Actor for Archivist {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.house.ledger.is_kept() {
            self.look(ctx);
            self.listen(ctx);
            ctx.run_later(FIRST_PRUNING, Self::prune);
        }
    }
}

impl Handler<StepDone> for Archivist {
    type Result = ();
    fn handle(&mut self, StepDone(result): StepDone, ctx: &mut Self::Context) {
        match result {
            Ok(pruned) => {
                self.gone = (self.gone.0 + pruned.executions, self.gone.1 + pruned.events);
                if pruned.more {
                    ctx.run_later(BETWEEN_STEPS, Self::step);
                    return;
                }
                let (executions, events) = self.gone;
                if executions + events > 0 {
                    log::info!(target: "werkpilot", "History pruned: {executions} executions, {events} events");
                }
                if let Some(writer) = self.house.ledger.writer() {
                    let _ = writer.tidy();
                }
            }
            // The state of the disk is told already.
            Err(StoreError::Unavailable { .. } | StoreError::WriterGone) => {}
            Err(error) => log::error!("failed to prune the history: failed to {error}"),
        }
    }
}

impl Handler<WriterStarted> for Archivist {
    type Result = ();
    fn handle(&mut self, WriterStarted(result): WriterStarted, _: &mut Self::Context) {
        self.starting = false;
        match result {
            Ok(()) => {
                let reason = "its thread had died; what it was given in that moment may be lost".to_owned();
                self.house.emit(Event::StoreRestarted { reason });
            }
            Err(error) => {
                if self.failures == 0 {
                    let reason = format!("its writer died and can't be started again: failed to {error}");
                    self.house.emit(Event::StoreDegraded { reason });
                }
                self.failures += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_illness_is_told_once_and_so_is_its_end() {
        let mut watch = Watch::default();
        let at = Timestamp::from_secs;
        let ill = Health::Degraded { since: at(10), reason: "disk full".into() };
        let stats = |refused, dropped| WriterStats { refused, dropped, ..WriterStats::default() };
        assert_eq!(watch.look(&Health::Healthy, stats(0, 0), at(9)), None);
        let told = watch.look(&ill, stats(1, 0), at(11));
        assert_eq!(told, Some(Event::StoreDegraded { reason: "disk full".to_owned() }));
        assert_eq!(watch.look(&ill, stats(4, 2), at(12)), None);
        let told = watch.look(&Health::Healthy, stats(6, 2), at(15));
        assert_eq!(told, Some(Event::StoreRecovered { after: Duration::from_secs(5), refused: 6, dropped: 2 }));
        assert_eq!(watch.look(&Health::Healthy, stats(6, 2), at(16)), None);
    }

    #[test]
    fn history_and_events_go_by_the_same_age() {
        let mut settings = Settings::default();
        settings.history.keep = Duration::from_mins(1);
        let retention = retention(&settings, Timestamp::from_secs(100));
        assert_eq!(retention.executions_before, Some(Timestamp::from_secs(40)));
        assert_eq!(retention.events_before, Some(Timestamp::from_secs(40)));
        assert_eq!((retention.letters, retention.letters_before), (None, None));
    }
}
