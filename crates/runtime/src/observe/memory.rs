//! The memory monitor: looks every `[memory] interval` what the orchestrator and each agent's process trees use, and
//! carries out what the ladder (`werkpilot_core::memory`) makes of it.
//!
//! Invariant: one check at a time, and its work is done on a thread of the lowest priority; this actor only takes the
//! answer in, so that no execution waits for a check.

mod book;
mod giving_back;
mod profile;
mod source;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use werkpilot_core::agent::Event as ToAgent;
use werkpilot_core::dispatcher::Gate;
use werkpilot_core::event::Event;
use werkpilot_core::memory::{Action, Level, Member, Sample, Standing};
use werkpilot_core::settings::Memory;
use werkpilot_core::status::Status;
use werkpilot_process::quiet::quietly;

use crate::house::{House, HousePhase};
use crate::supervision::ExitNotice;

pub use book::{AgentMemory, BudgetSource, MemoryBook};
pub use profile::{KEPT_PROFILES, PressureView, Profile, ProfileError, ProfileSummary, list, read};
pub use source::{Details, Look, ProcSource, SampleSource, Watched};

/// The first look is early, so that pages have figures soon after the start.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// An agent is not kept from being shed for longer by a disk that does not take the profile.
const PROFILE_PATIENCE: Duration = Duration::from_secs(2);

/// The settings may have changed: if those of memory have, checks at once, and from then on in the new interval.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reconsider;

/// What one check found.
struct Found {
    look: Look,
    sample: Sample,
    watched: Vec<Watched>,
    /// Where a profile is wanted.
    details: Option<Details>,
    settings: Memory,
}

/// The actor of the memory book.
pub struct MemoryMonitor {
    house: Rc<House>,
    checking: bool,
    timer: SpawnHandle,
    /// What the timer was set by.
    settings: Memory,
    _notice: ExitNotice,
}

impl MemoryMonitor {
    /// An actor for the house's memory book.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        let settings = house.settings.borrow().memory.clone();
        Self { house, checking: false, timer: SpawnHandle::default(), settings, _notice: notice }
    }

    /// Begins a check, unless one is in progress.
    fn check(&mut self, ctx: &mut Context<Self>) {
        let settings = self.house.settings.borrow().memory.clone();
        self.settings.clone_from(&settings);
        ctx.cancel_future(self.timer);
        self.timer = ctx.run_later(settings.interval, Self::check);
        self.house.memory.borrow_mut().next_check = Some(crate::clock::Clock::wall() + settings.interval);
        if self.house.phase.get() == HousePhase::ShuttingDown {
            return;
        }
        if std::mem::replace(&mut self.checking, true) {
            log::debug!("the last check of memory takes longer than [memory] interval: this one is left out");
            return;
        }
        let (told, answer) = oneshot::channel();
        let watched = watched(&self.house);
        let source = self.house.memory_source.clone();
        let may_turn_critical = self.house.memory.borrow().level < Level::Critical;
        let look = move || {
            // Who asked may have gone.
            let _ = told.send(find(source.as_ref(), watched, settings, may_turn_critical));
        };
        if let Err(error) = quietly("memory", look) {
            log::warn!("failed to start a thread that looks at memory: {error}");
        }
        ctx.spawn(answer.into_actor(self).map(|found, this, ctx| {
            if let Ok(found) = found {
                return this.take_in(found, ctx);
            }
            this.checking = false;
            log::warn!("failed to look at memory; the next check is in [memory] interval");
        }));
    }

    fn take_in(&mut self, found: Found, ctx: &mut Context<Self>) {
        let now = self.house.now();
        let members = members(&self.house, &found.watched);
        let actions = {
            let mut book = self.house.memory.borrow_mut();
            let directory = self.house.directory.borrow();
            book.agents.retain(|agent, _| directory.get(*agent).is_some());
            book.take(&found.look, &found.watched, &found.sample, now);
            let actions = book.ladder.check(&found.sample, &members, &found.settings, now.steady);
            book.judged();
            actions
        };
        let Found { look, details, settings, .. } = found;
        let critical = actions.iter().any(|action| matches!(action, Action::Critical(_)));
        let Some(details) = details.filter(|_| critical) else {
            self.checking = false;
            return self.perform(actions, &settings, None, ctx);
        };
        // First the profile: those that are shed are gone soon.
        let profile = Profile::of(&self.house, &look, &details, &actions, now.wall);
        let folder = profile::folder(&self.house.state_dir);
        let writing = tokio::task::spawn_blocking(move || profile::keep(&folder, profile));
        let writing = tokio::time::timeout(PROFILE_PATIENCE, writing);
        ctx.spawn(writing.into_actor(self).map(move |written, this, ctx| {
            this.checking = false;
            let id = match written {
                Ok(Ok(Ok(id))) => Some(id),
                Ok(Ok(Err(error))) => {
                    log::warn!("failed to {error}");
                    None
                }
                Ok(Err(_)) | Err(_) => {
                    log::warn!("failed to keep the profile in time");
                    None
                }
            };
            this.perform(actions, &settings, id.as_deref(), ctx);
        }));
    }

    fn perform(&self, actions: Vec<Action>, settings: &Memory, profile: Option<&str>, ctx: &mut Context<Self>) {
        let house = &self.house;
        for action in actions {
            match action {
                Action::GiveBack => {
                    giving_back::caches(house);
                    ctx.run_later(giving_back::SETTLE, |_, _| giving_back::pages());
                }
                Action::Warn(usage) => {
                    house.emit(Event::MemoryWarning { usage, threshold_percent: settings.warning_percent });
                }
                Action::Critical(usage) => {
                    let threshold_percent = settings.critical_percent;
                    house.emit(Event::MemoryCritical { usage, threshold_percent, profile: profile.map(str::to_owned) });
                }
                Action::Recovered(usage) => {
                    house.emit(Event::MemoryRecovered { usage, threshold_percent: settings.recover_percent });
                }
                Action::Shed { agent, reason } => house.deliver(agent, ToAgent::MemoryIsShort { reason }),
                Action::Enable { agent, reason } => house.deliver(agent, ToAgent::MemoryIsBack { reason }),
                Action::RestartForLimit { process, used_bytes, limit_bytes } => {
                    house.deliver(process.agent, ToAgent::OverMemoryLimit { process, used_bytes, limit_bytes });
                }
            }
        }
    }
}

/// All processes of agents that have a pid.
fn watched(house: &House) -> Vec<Watched> {
    let directory = house.directory.borrow();
    let of_agents = directory.iter().flat_map(|(_, slot)| &slot.processes);
    of_agents.filter_map(|process| Some(Watched { process: process.key, pid: process.pid? })).collect()
}

/// What the ladder has to know of all agents that have processes or were shed.
fn members(house: &House, watched: &[Watched]) -> Vec<Member> {
    let directory = house.directory.borrow();
    let mut busy: Vec<_> = watched.iter().map(|watched| watched.process.agent).collect();
    busy.sort_unstable();
    busy.dedup();
    let members = directory.iter().filter_map(|(agent, slot)| {
        let standing = match slot.machine.borrow().gate() {
            Gate::Open | Gate::HalfOpen => Standing::Open,
            Gate::Closed { status: Status::DisabledByMemory, .. } => Standing::Shed,
            Gate::Closed { .. } => Standing::Closed,
        };
        let concerned = standing == Standing::Shed || busy.binary_search(&agent).is_ok();
        concerned.then(|| Member {
            agent,
            priority: house.priority_of(&slot.spec),
            service: slot.spec.service().is_some(),
            standing,
            memory_max: slot.spec.memory_max,
        })
    });
    members.collect()
}

/// On a quiet thread: looks, and looks closely where a profile will be wanted.
fn find(source: &dyn SampleSource, watched: Vec<Watched>, settings: Memory, may_turn_critical: bool) -> Found {
    let look = source.look(&watched);
    let sample = look.sample(&watched, settings.budget);
    let critical = f64::from(settings.critical_percent);
    let wanted = may_turn_critical && sample.at_least().is_some_and(|usage| usage.percent >= critical);
    let details = wanted.then(|| source.details(&watched));
    Found { look, sample, watched, details, settings }
}

/// The source that looks at the real world.
pub fn real_source() -> Arc<dyn SampleSource> {
    Arc::new(ProcSource::default())
}

impl Actor for MemoryMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.timer = ctx.run_later(FIRST_LOOK.min(self.settings.interval), Self::check);
    }
}

impl Handler<Reconsider> for MemoryMonitor {
    type Result = ();
    fn handle(&mut self, _: Reconsider, ctx: &mut Self::Context) {
        if self.settings != self.house.settings.borrow().memory {
            self.check(ctx);
        }
    }
}
