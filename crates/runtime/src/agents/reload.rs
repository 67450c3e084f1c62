//! The reload: reads the files as a whole and applies only the difference, or nothing.
//!
//! Invariant: the registry, the settings and the graph in effect always belong together, and have one version.

mod preview;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::agent::Event as ToAgent;
use werkpilot_core::dispatcher::Event as ToDispatcher;
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Registry};

use crate::agents::supervisor::{AddAgents, RetireAgents};
use crate::clock::Clock;
use crate::house::{House, HousePhase};
use crate::intake::schedule::{ScheduleAgents, UnscheduleAgents};
use crate::observe::dead_letters::ResizeDesk;
use crate::observe::health::HealthSettingsChanged;
use crate::observe::memory::Reconsider;
use crate::observe::notifications::Retarget;
use crate::observe::optimizer::ScheduleOptimizer;
use crate::observe::percentiles::ResizeSamples;
use crate::orchestrator::{LoadFault, Loaded};
use crate::supervision::ExitNotice;
use crate::work::queue::{Tell, effective_workers};

pub use preview::{AgentChange, RejectedReload, ReloadPreview};

/// Reads the files again and applies what is different.
#[derive(Debug, Message)]
#[rtype(result = "Result<ReloadReport, ReloadError>")]
pub struct Reload {
    /// What asks for it: `SIGHUP`, a changed file, a person.
    pub by: String,
    /// Whether nothing is said if nothing changed.
    pub quiet: bool,
    /// What has to be in effect still, for who has looked at the difference.
    pub expected: Option<u64>,
}

/// Reads the files and tells what would change.
#[derive(Debug, Message)]
#[rtype(result = "ReloadPreview")]
pub struct GetReloadPreview;

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReloadReport {
    /// New agents.
    pub added: Vec<AgentName>,
    /// Agents that are gone.
    pub removed: Vec<AgentName>,
    /// Agents with a new definition.
    pub changed: Vec<AgentName>,
    /// Agents that keep running as they are.
    pub unchanged: usize,
    /// Settings with a new value.
    pub settings: Vec<String>,
    /// Settings whose new value takes effect only at the next start.
    pub after_restart: Vec<String>,
}

impl ReloadReport {
    /// Whether nothing changed.
    pub fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.settings.is_empty()
    }
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The files have faults.
    #[error("{}", .0.rendered)]
    Faults(LoadFault),
    /// Something else is in effect than who asks has seen.
    #[error("other files have taken effect meanwhile; nothing was changed")]
    Stale,
    /// Not now.
    #[error("the orchestrator is shutting down; the files were not read")]
    ShuttingDown,
}

/// Settings that are used once, at the start.
const AFTER_RESTART: [&str; 7] = [
    "dashboard",
    "bus.listen",
    "bus.max_payload",
    "bus.max_pending_requests",
    "bus.reply_window",
    "state",
    "logs.format",
];

/// The actor of the reload.
pub struct Reloader {
    house: Rc<House>,
    _notice: ExitNotice,
}

impl Reloader {
    /// An actor that reads with the house's loader.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, _notice: notice }
    }

    fn apply(&self, loaded: Loaded, quiet: bool) -> ReloadReport {
        *self.house.rejected.borrow_mut() = None;
        // Lines may have moved, also where no value is another one.
        if let Some(provenance) = &loaded.provenance {
            provenance.takes_effect();
        }
        *self.house.provenance.borrow_mut() = loaded.provenance;
        let (report, plan) = self.plan(&loaded.registry);
        let report = self.with_settings(report, &loaded.settings);
        let nothing = report.is_nothing() && *self.house.strategies.borrow() == loaded.registry.strategies;
        if nothing {
            if !quiet {
                log::info!(target: "werkpilot", "Configuration read again: nothing changed");
            }
            return report;
        }
        *self.house.strategies.borrow_mut() = loaded.registry.strategies;
        *self.house.settings.borrow_mut() = Arc::new(loaded.settings);
        self.house.config_version.set(self.house.config_version.get().wrapping_add(1));
        self.carry_out(plan);
        self.apply_settings();
        self.house.emit(Event::ConfigReloaded {
            added: report.added.clone(),
            removed: report.removed.clone(),
            changed: report.changed.clone(),
            settings: report.settings.clone(),
        });
        report
    }

    fn plan(&self, new: &Registry) -> (ReloadReport, Plan) {
        let directory = self.house.directory.borrow();
        let (mut report, mut plan) = (ReloadReport::default(), Plan::default());
        let wanted: HashMap<&AgentName, &AgentSpec> = new.agents.iter().map(|spec| (&spec.name, spec)).collect();
        for (index, slot) in directory.iter() {
            match wanted.get(&slot.name) {
                None if directory.find(slot.name.as_str()) == Some(index) => {
                    report.removed.push(slot.name.clone());
                    plan.retired.push(index);
                }
                None => {}
                Some(spec) if *spec == slot.spec.as_ref() => report.unchanged += 1,
                Some(spec) => {
                    report.changed.push(slot.name.clone());
                    let same_place = spec.department == slot.spec.department;
                    if same_place && spec.job().is_some() == slot.spec.job().is_some() {
                        plan.redefined.push((index, Arc::new((*spec).clone())));
                    } else {
                        plan.retired.push(index);
                        plan.added.push(Arc::new((*spec).clone()));
                    }
                }
            }
        }
        for spec in &new.agents {
            if directory.find(spec.name.as_str()).is_none() {
                report.added.push(spec.name.clone());
                plan.added.push(Arc::new(spec.clone()));
            }
        }
        (report, plan)
    }

    fn with_settings(&self, mut report: ReloadReport, new: &Settings) -> ReloadReport {
        let old = self.house.settings.borrow().clone();
        for key in changed_keys(&old, new) {
            if AFTER_RESTART.iter().any(|fixed| key == *fixed || key.starts_with(&format!("{fixed}."))) {
                report.after_restart.push(key.clone());
            }
            report.settings.push(key);
        }
        report
    }

    fn carry_out(&self, plan: Plan) {
        let posts = &self.house.posts;
        let (mut timed, mut untimed) = (Vec::new(), plan.retired.clone());
        for (index, spec) in plan.redefined {
            let has_timer = {
                let mut directory = self.house.directory.borrow_mut();
                let Some(slot) = directory.get_mut(index) else { continue };
                slot.spec = spec.clone();
                spec.job().is_some_and(|job| job.triggers.schedule.is_some() || job.triggers.every.is_some())
            };
            if has_timer {
                timed.push(index);
            } else {
                untimed.push(index);
            }
            self.house.deliver(index, ToAgent::Redefine(spec));
        }
        posts.supervisor.tell(RetireAgents(plan.retired));
        posts.schedule.tell(UnscheduleAgents(untimed));
        posts.schedule.tell(ScheduleAgents(timed));
        posts.supervisor.tell(AddAgents { specs: plan.added, start: true });
    }

    fn apply_settings(&self) {
        let settings = self.house.settings.borrow().clone();
        let workers = effective_workers(&settings.queue);
        let (queue, breaker) = (settings.queue.clone(), settings.breaker.clone());
        self.house.posts.queue.tell(Tell(ToDispatcher::Configure { queue, breaker, workers }));
        self.house.posts.dead_letters.tell(ResizeDesk(settings.dead_letters.capacity));
        self.house.posts.percentiles.tell(ResizeSamples(settings.percentiles.samples));
        self.house.posts.health.tell(HealthSettingsChanged);
        self.house.posts.optimizer.tell(ScheduleOptimizer);
        self.house.posts.notifier.tell(Retarget);
        self.house.posts.memory.tell(Reconsider);
        if let Some(side) = &self.house.bus {
            side.bus.set_request_timeout(settings.bus.request_timeout);
        }
        if let Some(host) = &self.house.host {
            host.set_logs(settings.logs.clone());
        }
        let agents: Vec<AgentIndex> = self.house.directory.borrow().iter().map(|(index, _)| index).collect();
        for agent in agents {
            self.house.deliver(agent, ToAgent::Configure(settings.breaker.clone()));
        }
    }
}

/// What is to be done to the fleet.
#[derive(Debug, Default)]
struct Plan {
    retired: Vec<AgentIndex>,
    redefined: Vec<(AgentIndex, Arc<AgentSpec>)>,
    added: Vec<Arc<AgentSpec>>,
}

/// Dotted keys of the settings that differ.
fn changed_keys(old: &Settings, new: &Settings) -> Vec<String> {
    // Compared as they are: as JSON they hide what is secret.
    let notify = (old.notify != new.notify).then(|| "notify".to_owned());
    let (Ok(serde_json::Value::Object(old)), Ok(serde_json::Value::Object(new))) =
        (serde_json::to_value(old), serde_json::to_value(new))
    else {
        return Vec::new();
    };
    let mut keys: Vec<String> = notify.into_iter().collect();
    for (table, values) in &new {
        let Some(values) = values.as_object() else { continue };
        for (key, value) in values {
            if old.get(table).and_then(|table| table.get(key)) != Some(value) {
                keys.push(format!("{table}.{key}"));
            }
        }
    }
    keys
}

impl Actor for Reloader {
    type Context = Context<Self>;
}

impl Handler<Reload> for Reloader {
    type Result = ResponseActFuture<Self, Result<ReloadReport, ReloadError>>;
    fn handle(&mut self, Reload { by, quiet, expected }: Reload, _: &mut Self::Context) -> Self::Result {
        if self.house.phase.get() == HousePhase::ShuttingDown {
            log::info!(target: "werkpilot", "Reload asked for by {by} during shutdown: left out");
            return Box::pin(actix::fut::ready(Err(ReloadError::ShuttingDown)));
        }
        let read_files = self.house.loader.clone();
        let reading = tokio::task::spawn_blocking(move || read_files());
        Box::pin(reading.into_actor(self).map(move |read, this, _| {
            let read = read.unwrap_or_else(|error| Err(LoadFault::one(format!("failed to read the files: {error}"))));
            match read {
                Ok(_) if this.house.phase.get() == HousePhase::ShuttingDown => Err(ReloadError::ShuttingDown),
                Ok(_) if expected.is_some_and(|version| version != this.house.config_version.get()) => {
                    Err(ReloadError::Stale)
                }
                Ok(loaded) => {
                    let notices = loaded.notices.clone();
                    let report = this.apply(loaded, quiet);
                    // They are told with what is new, or to who asked.
                    for notice in notices.iter().filter(|_| !quiet || !report.is_nothing()) {
                        log::warn!(target: "werkpilot", "{notice}");
                    }
                    Ok(report)
                }
                Err(fault) => {
                    let rejected = RejectedReload::of(&fault, &by, Clock::wall());
                    *this.house.rejected.borrow_mut() = Some(rejected);
                    this.house.emit(Event::ConfigRejected { faults: fault.count, first: fault.first.clone() });
                    log::error!(target: "werkpilot", "Reload asked for by {by} rejected:\n{}", fault.rendered);
                    Err(ReloadError::Faults(fault))
                }
            }
        }))
    }
}

impl Handler<GetReloadPreview> for Reloader {
    type Result = ResponseActFuture<Self, ReloadPreview>;
    fn handle(&mut self, _: GetReloadPreview, _: &mut Self::Context) -> Self::Result {
        let read_files = self.house.loader.clone();
        let reading = tokio::task::spawn_blocking(move || read_files());
        Box::pin(reading.into_actor(self).map(|read, this, _| {
            let read = read.unwrap_or_else(|error| Err(LoadFault::one(format!("failed to read the files: {error}"))));
            preview::preview(&this.house, read)
        }))
    }
}
