//! The link between the fleet and its bus: tells the bus what became of agents and what happened, starts in-process agents
//! there, and takes its news. How messages become executions is in [`super::executions`].
//!
//! Invariant: what the bus has to know of agents is left in its tray, which outlives the bus actor.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_bus::switch::{Availability, Fact};
use werkpilot_core::agent::{Event as ToAgent, ProcessEnd, ProcessKey};
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::time::Moment;

use super::executions::Answers;
use super::fleet::{PublishEvents, StartResident};
use super::tray::Note;
use crate::cloud_event;
use crate::hands::host_key;
use crate::house::House;
use crate::observe::percentiles::RecordRequest;
use crate::supervision::ExitNotice;
use crate::view::short_reason;

/// What happens within this time goes to the bus in one message: far below what a person or a timer notices.
const GATHERED: Duration = Duration::from_millis(2);
/// Messages from the bus that wait for their turn; more are refused. A queue of the default capacity is full by then.
const WAITING: usize = 10_000;
/// Starting an actor takes microseconds; more than this means that the bus hangs.
const STARTING: Duration = Duration::from_secs(5);

/// Something happened that listeners of the bus want to hear.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Observed(pub Recorded);

/// Something happened to this agent: its status may be another one.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AgentChanged(pub AgentName);

/// The registry was read again: all agents may be others.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FleetChanged;

/// A process has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ProcessGone(pub u64);

/// The bus has news.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BusFacts(pub Vec<Fact>);

/// Starts an in-process agent, which the bus has.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LaunchResident {
    /// The process that it stands for.
    pub process: ProcessKey,
    /// Whom.
    pub agent: AgentName,
}

/// The actor of an in-process agent has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResidentEnded {
    /// The host's key of its start.
    pub key: u64,
    /// What the panic said, if it was one.
    pub panicked: Option<String>,
}

/// The actor of the link.
pub struct BusLink {
    house: Rc<House>,
    source: String,
    changed: BTreeSet<AgentName>,
    events: Vec<(&'static str, Vec<u8>)>,
    gathering: bool,
    /// Agents that the bus was told of.
    told: BTreeSet<AgentName>,
    pub(super) answers: Answers,
    /// In-process agents that run: by the host's key, with when they were started.
    residents: HashMap<u64, (ProcessKey, Moment)>,
    _notice: ExitNotice,
}

impl BusLink {
    /// An actor for the house's bus.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            answers: Answers::new(house.clone()),
            house,
            source: format!("/werkpilot/{}", std::process::id()),
            changed: BTreeSet::new(),
            events: Vec::new(),
            gathering: false,
            told: BTreeSet::new(),
            residents: HashMap::new(),
            _notice: notice,
        }
    }

    fn gather(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.gathering, true) {
            ctx.run_later(GATHERED, |this, _| this.pass_on());
        }
    }

    /// Tells the bus what was gathered.
    pub(super) fn pass_on(&mut self) {
        self.gathering = false;
        let Some(side) = &self.house.bus else { return };
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
            let states: Vec<_> = changed.into_iter().map(|name| (name.clone(), self.availability(&name))).collect();
            side.bus.leave(Note::Availabilities(states));
        }
        let events = std::mem::take(&mut self.events);
        if !events.is_empty() {
            side.bus.post().tell(PublishEvents(events));
        }
    }

    fn availability(&self, name: &AgentName) -> Option<Availability> {
        let index = self.house.directory.borrow().find(name.as_str())?;
        let dispatcher = self.house.dispatcher.borrow();
        let status = dispatcher.status(index);
        let reason = short_reason(&dispatcher, index, status).unwrap_or_else(|| "it is not connected".to_owned());
        Some(Availability { status, reason })
    }

    /// Tells the bus of all agents and of all jobs that messages trigger.
    fn tell_all(&mut self) {
        let Some(side) = &self.house.bus else { return };
        let (mut now, mut triggers) = (BTreeSet::new(), Vec::new());
        for (index, slot) in self.house.directory.borrow().iter() {
            // An agent that is leaving has lost its name.
            let current = self.house.directory.borrow().find(slot.name.as_str()) == Some(index);
            let subject = slot.spec.job().and_then(|job| job.triggers.subject.clone()).filter(|_| current);
            triggers.push((index, slot.name.clone(), subject));
            if current {
                now.insert(slot.name.clone());
            }
        }
        let mut states: Vec<_> = now.iter().map(|name| (name.clone(), self.availability(name))).collect();
        states.extend(self.told.difference(&now).map(|gone| (gone.clone(), None)));
        side.bus.leave(Note::Availabilities(states));
        side.bus.leave(Note::Triggers(triggers));
        self.told = now;
    }

    fn resident_ended(&mut self, key: u64, exit: Exit) {
        let Some((process, since)) = self.residents.remove(&key) else { return };
        let end = ProcessEnd {
            exit,
            lived: self.house.clock.steady().since(since),
            forced: false,
            peak_rss_bytes: 0,
            log_tail: Vec::new(),
            last_words: None,
        };
        let mut directory = self.house.directory.borrow_mut();
        if let Some(slot) = directory.get_mut(process.agent) {
            slot.processes.retain(|live| live.key != process);
        }
        directory.deliver(process.agent, ToAgent::Exited { process, end });
    }

    fn agent(&self, name: &AgentName) -> Option<AgentIndex> {
        self.house.directory.borrow().find(name.as_str())
    }

    fn take(&self, fact: Fact) {
        match fact {
            Fact::Answered { agent, latency } => {
                if let Some(agent) = self.agent(&agent) {
                    self.house.posts.percentiles.tell(RecordRequest { agent, latency });
                }
            }
            Fact::Circle { agents } => self.house.emit(Event::BusRequestCircle { agents }),
            Fact::TooManyHops { from, agent } => self.house.emit(Event::BusRequestTooLong { from, agent }),
            Fact::SlowConsumer { who, backlog_bytes } => {
                self.house.emit(Event::BusConsumerSlow { who: who.as_str().to_owned(), backlog_bytes });
            }
            Fact::ForeignReply { who, asked } => {
                self.house.emit(Event::BusReplyRejected { who: who.as_str().to_owned(), asked });
            }
        }
    }
}

impl Actor for BusLink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(WAITING);
        self.tell_all();
    }
}

impl Handler<Observed> for BusLink {
    type Result = ();
    fn handle(&mut self, Observed(recorded): Observed, ctx: &mut Self::Context) {
        self.events.push((recorded.event.topic(), cloud_event::of_fact(&recorded, &self.source)));
        self.gather(ctx);
    }
}

impl Handler<AgentChanged> for BusLink {
    type Result = ();
    fn handle(&mut self, AgentChanged(agent): AgentChanged, ctx: &mut Self::Context) {
        self.changed.insert(agent);
        self.gather(ctx);
    }
}

impl Handler<FleetChanged> for BusLink {
    type Result = ();
    fn handle(&mut self, _: FleetChanged, _: &mut Self::Context) {
        self.tell_all();
    }
}

impl Handler<ProcessGone> for BusLink {
    type Result = ();
    fn handle(&mut self, ProcessGone(key): ProcessGone, _: &mut Self::Context) {
        if let Some(side) = self.house.bus.as_ref().filter(|side| side.credentials.revoke(key)) {
            side.bus.leave(Note::Revoke(key));
        }
    }
}

impl Handler<LaunchResident> for BusLink {
    type Result = ();
    fn handle(&mut self, LaunchResident { process, agent }: LaunchResident, ctx: &mut Self::Context) {
        let Some(bus) = self.house.bus.as_ref().map(|side| side.bus.post().clone()) else { return };
        let key = host_key(process).0;
        let start = StartResident { key, agent: agent.clone() };
        let asked = async move { bus.ask(start, STARTING).await };
        self.residents.insert(key, (process, self.house.clock.steady()));
        ctx.spawn(asked.into_actor(self).map(move |started, this, _| match started {
            Ok(true) => {
                let pid = i32::try_from(std::process::id()).unwrap_or(0);
                this.house.deliver(process.agent, ToAgent::Started { process, pid });
            }
            Ok(false) => this.resident_ended(key, Exit::Panicked(format!("there is no in-process agent {agent}"))),
            Err(error) => this.resident_ended(key, Exit::Panicked(error.to_string())),
        }));
    }
}

impl Handler<ResidentEnded> for BusLink {
    type Result = ();
    fn handle(&mut self, ResidentEnded { key, panicked }: ResidentEnded, _: &mut Self::Context) {
        self.resident_ended(key, panicked.map_or(Exit::Clean, Exit::Panicked));
    }
}

impl Handler<BusFacts> for BusLink {
    type Result = ();
    fn handle(&mut self, BusFacts(facts): BusFacts, _: &mut Self::Context) {
        for fact in facts {
            self.take(fact);
        }
    }
}
