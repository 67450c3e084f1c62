//! The event log: gives every fact its number, writes it to the log, counts it, remembers the last ones, hands all to
//! the store, and wakes who waits for an execution's end.
//!
//! Invariant: numbers have no gaps, and go on after a restart; the book holds the last `KEPT` facts, those of the time
//! before the start included, and the last `ENDS_KEPT` ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::prelude::*;
use tokio::sync::oneshot;
use werkpilot_core::event::{Event, Recorded, Weight};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::stream::Place;
use werkpilot_core::time::Timestamp;
use werkpilot_store::Change;
use werkpilot_store::reader::EventFilter;
use werkpilot_store::row::event::EventRow;
use werkpilot_store::row::execution::ExecutionRow;

use crate::bus::BusSide;
use crate::bus::executions::RunEnded;
use crate::bus::link::{AgentChanged, FleetChanged, Observed};
use crate::house::House;
use crate::observe::dead_letters::ReplayEnded;
use crate::observe::notifications::Happened;
use crate::observe::stream::{Fact, Subscription};
use crate::state::Begun;
use crate::state::facts::row_of;
use crate::supervision::ExitNotice;
use crate::view::LastRun;

/// Facts that are kept for `events` and `why`: some minutes of a busy fleet, a quarter of a megabyte.
const KEPT: usize = 1_000;
/// Ends of executions that are kept for `why RUN` and for who asks late: the same.
const ENDS_KEPT: usize = 1_000;
/// Callers that wait for executions at a time. Each holds one connection of the control socket.
const WAITERS: usize = 1_024;

/// Callers that wait for a fact that fits, at a time: each is looked at for every fact.
const FOLLOWERS: usize = 256;

/// Takes a fact in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Record(pub Event);

/// Tells the end of an execution once it is there; at once if it has ended.
#[derive(Debug, Message)]
#[rtype(result = "Option<oneshot::Receiver<Recorded>>")]
pub struct AwaitEnd(pub RunId);

/// Tells when there is a fact that fits; at once if one is remembered. `None`: too many wait already.
#[derive(Debug, Message)]
#[rtype(result = "Option<oneshot::Receiver<()>>")]
pub struct AwaitFact(pub EventFilter);

/// Takes in a listener that wants to see what happens, after what it has seen already. `None`: too many look on already.
#[derive(Debug, Message)]
#[rtype(result = "Option<Subscription>")]
pub struct Subscribe {
    /// What it wants to see.
    pub filter: EventFilter,
    /// The last fact that it has.
    pub last: Option<Place>,
}

/// Ends the actor by a panic: a drill.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// Hands to the store what has gathered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct HandOver;

/// What is remembered of events.
#[derive(Debug, Default)]
pub struct EventBook {
    /// Facts of the time before the start; they make room for newer ones.
    past: VecDeque<Arc<Fact>>,
    last: VecDeque<Arc<Fact>>,
    ends: VecDeque<Recorded>,
    /// The last end per agent, those of the time before the start included.
    last_run: HashMap<AgentName, LastRun>,
    counts: BTreeMap<&'static str, u64>,
    seq: u64,
    /// The same, for those on other threads.
    told: Arc<AtomicU64>,
    /// This life.
    begun: Option<Begun>,
}

impl EventBook {
    /// A book that goes on where the last one ended: with its last facts, the number of the newest of all, and the last
    /// end of each agent.
    pub fn restored(past: Vec<EventRow>, newest: u64, last_ends: Vec<ExecutionRow>) -> Self {
        let last_run = last_ends.into_iter().filter_map(|row| Some((row.agent.clone(), LastRun::kept(&row)?)));
        let seq = past.last().map_or(newest, |row| row.seq.max(newest));
        let begun = Some(Begun { event: seq + 1, at: crate::clock::Clock::wall() });
        let past = past.into_iter().map(|row| Arc::new(Fact::from(row))).collect();
        Self { past, last_run: last_run.collect(), seq, begun, told: Arc::new(AtomicU64::new(seq)), ..Self::default() }
    }

    /// What is remembered of the time before the start, oldest first.
    pub fn past(&self) -> impl DoubleEndedIterator<Item = &EventRow> {
        self.past.iter().filter_map(|fact| fact.row())
    }

    /// All that is remembered, oldest first.
    pub fn facts(&self) -> impl DoubleEndedIterator<Item = &Arc<Fact>> {
        self.past.iter().chain(&self.last)
    }

    /// When the fact of this number was recorded, if it is remembered.
    pub fn time_of(&self, seq: u64) -> Option<Timestamp> {
        self.facts().rev().find(|fact| fact.seq() == seq).map(|fact| fact.time())
    }

    /// Where the newest fact is, if it is remembered.
    pub fn newest_place(&self) -> Option<Place> {
        self.facts().next_back().map(|fact| fact.place())
    }

    /// The number from which on all facts are remembered.
    pub fn oldest(&self) -> u64 {
        self.facts().next().map_or(self.seq + 1, |fact| fact.seq())
    }

    /// The last facts since the start, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Recorded> {
        self.last.iter().filter_map(|fact| fact.recorded())
    }

    /// The number of the newest fact.
    pub fn newest(&self) -> u64 {
        self.seq
    }

    /// Where the number of the newest fact is told to other threads.
    pub fn told(&self) -> Arc<AtomicU64> {
        self.told.clone()
    }

    /// This life of the orchestrator; nothing for a book that was not made for one.
    pub fn begun(&self) -> Option<Begun> {
        self.begun
    }

    /// How often each topic was recorded.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// The end of an execution, if it is remembered.
    pub fn end_of(&self, wanted: RunId) -> Option<&Recorded> {
        self.ends
            .iter()
            .rev()
            .find(|recorded| matches!(&recorded.event, Event::ExecutionEnded { run, .. } if *run == wanted))
    }

    /// The last end of an agent's executions.
    pub fn last_run_of(&self, agent: &AgentName) -> Option<&LastRun> {
        self.last_run.get(agent)
    }

    /// Takes in the fact that is made for the next number.
    pub(super) fn record(&mut self, make: impl FnOnce(u64) -> Recorded) -> Arc<Fact> {
        self.seq += 1;
        self.told.store(self.seq, Ordering::Release);
        let recorded = make(self.seq);
        *self.counts.entry(recorded.event.topic()).or_default() += 1;
        if let Event::ExecutionEnded { agent, .. } = &recorded.event {
            if self.ends.len() == ENDS_KEPT {
                self.ends.pop_front();
            }
            self.ends.push_back(recorded.clone());
            self.last_run.extend(LastRun::of(&recorded).map(|last| (agent.clone(), last)));
        }
        if self.past.len() + self.last.len() >= KEPT && self.past.pop_front().is_none() {
            self.last.pop_front();
        }
        let fact = Arc::new(Fact::from(recorded));
        self.last.push_back(fact.clone());
        fact
    }
}

/// The actor of the event book.
pub struct EventLog {
    house: Rc<House>,
    waiters: HashMap<RunId, Vec<oneshot::Sender<Recorded>>>,
    followers: Vec<(EventFilter, oneshot::Sender<()>)>,
    /// The last reason for which an agent was skipped: the same one again is a detail.
    skipped: HashMap<AgentName, std::mem::Discriminant<Reason>>,
    /// What the store is to be handed.
    pending: Vec<Change>,
    _notice: ExitNotice,
}

impl EventLog {
    /// An actor for the house's event book.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            waiters: HashMap::new(),
            followers: Vec::new(),
            skipped: HashMap::new(),
            pending: Vec::new(),
            _notice: notice,
        }
    }

    fn record(&mut self, event: Event, ctx: &mut Context<Self>) {
        let weight = self.weight(&event);
        write_to_log(&event, weight);
        let make = |seq| Recorded { seq, time: crate::clock::Clock::wall(), event };
        let fact = self.house.events.borrow_mut().record(make);
        let Some(recorded) = fact.recorded() else { return };
        if let Event::ExecutionEnded { run, .. } = &recorded.event
            && let Some(waiters) = self.waiters.remove(run)
        {
            for waiter in waiters {
                // Who has hung up meanwhile does not want to know any more.
                let _ = waiter.send(recorded.clone());
            }
        }
        if let Some(ended) = ReplayEnded::of(&recorded.event) {
            self.house.replay_ended(ended);
        }
        if self.house.bus.is_some() {
            self.pass_on(recorded);
        }
        // A follower that hears of it asks for what there is, and comes back.
        for (_, told) in self.followers.extract_if(.., |(filter, _)| filter.hears(recorded)) {
            let _ = told.send(());
        }
        let is_service = |agent: &AgentName| self.is_service(agent);
        self.house.recent.borrow_mut().take(recorded, is_service);
        self.notify(recorded);
        if self.house.ledger.is_kept() {
            if self.pending.is_empty() {
                // Behind the facts that have arrived already, so that a burst of them is one batch.
                ctx.notify(HandOver);
            }
            self.pending.push(Change::AddEvent(Box::new(row_of(recorded))));
        }
        self.stream(&fact);
    }

    fn is_service(&self, agent: &AgentName) -> bool {
        let directory = self.house.directory.borrow();
        let slot = directory.find(agent.as_str()).and_then(|index| directory.get(index));
        slot.is_some_and(|slot| slot.spec.service().is_some())
    }

    /// To those who look on.
    fn stream(&self, fact: &Arc<Fact>) {
        let mut hub = self.house.streams.borrow_mut();
        if !hub.is_empty() {
            hub.publish(fact, self.house.events.borrow().oldest(), self.house.clock.steady());
        }
    }

    /// To who is to be told outside, if anybody is.
    fn notify(&self, recorded: &Recorded) {
        let mut book = self.house.notifications.borrow_mut();
        let wanted = !book.is_empty() && book.wants(&recorded.event, &self.house.directory.borrow());
        if wanted && book.put(Arc::new(recorded.clone())) {
            self.house.posts.notifier.tell(Happened);
        }
    }

    /// To the bus: what listeners want to hear, and what changes its answers.
    fn pass_on(&self, recorded: &Recorded) {
        let link = &self.house.posts.bus_link;
        if self.house.bus.as_ref().is_some_and(BusSide::is_heard) {
            link.tell(Observed(recorded.clone()));
        }
        if let Some(agent) = recorded.event.agent() {
            link.tell(AgentChanged(agent.clone()));
        }
        if self.house.awaited_runs.get() > 0 && matches!(recorded.event, Event::ExecutionEnded { .. }) {
            link.tell(RunEnded(recorded.clone()));
        }
        if matches!(recorded.event, Event::ConfigReloaded { .. }) {
            link.tell(FleetChanged);
        }
    }

    /// An agent that is skipped again and again for the same reason is told of once.
    fn weight(&mut self, event: &Event) -> Weight {
        match event {
            Event::AgentSkipped { reason: Reason::UnhealthyDependencies { .. }, .. } => Weight::Detail,
            Event::AgentSkipped { agent, reason, .. } => {
                let kind = std::mem::discriminant(reason);
                match self.skipped.insert(agent.clone(), kind) {
                    Some(before) if before == kind => Weight::Detail,
                    _ => Weight::Notice,
                }
            }
            Event::ExecutionStarted { agent, .. } => {
                self.skipped.remove(agent);
                event.weight()
            }
            _ => event.weight(),
        }
    }
}

fn write_to_log(event: &Event, weight: Weight) {
    let level = match weight {
        Weight::Detail => log::Level::Debug,
        Weight::Notice => log::Level::Info,
        Weight::Warning => log::Level::Warn,
        Weight::Error => log::Level::Error,
    };
    if log::log_enabled!(target: "werkpilot", level) {
        match event.agent() {
            Some(agent) => {
                log::log!(target: "werkpilot", level, topic = event.topic(), agent = agent.as_str(); "{event}");
            }
            None => log::log!(target: "werkpilot", level, topic = event.topic(); "{event}"),
        }
    }
}

impl Actor for EventLog {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Facts come in bursts (a thousand agents start at once); each is small and taken in at once.
        ctx.set_mailbox_capacity(4_096);
    }
}

impl Handler<Record> for EventLog {
    type Result = ();
    fn handle(&mut self, Record(event): Record, ctx: &mut Self::Context) {
        self.record(event, ctx);
    }
}

impl Handler<HandOver> for EventLog {
    type Result = ();
    fn handle(&mut self, _: HandOver, _: &mut Self::Context) {
        self.house.ledger.post(std::mem::take(&mut self.pending));
    }
}

impl Handler<AwaitEnd> for EventLog {
    type Result = MessageResult<AwaitEnd>;
    fn handle(&mut self, AwaitEnd(run): AwaitEnd, _: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        if let Some(recorded) = self.house.events.borrow().end_of(run) {
            let _ = sender.send(recorded.clone());
            return MessageResult(Some(receiver));
        }
        self.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        if self.waiters.values().map(Vec::len).sum::<usize>() >= WAITERS {
            return MessageResult(None);
        }
        self.waiters.entry(run).or_default().push(sender);
        MessageResult(Some(receiver))
    }
}

impl Handler<AwaitFact> for EventLog {
    type Result = MessageResult<AwaitFact>;
    fn handle(&mut self, AwaitFact(filter): AwaitFact, _: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        if self.house.events.borrow().iter().rev().any(|recorded| filter.hears(recorded)) {
            let _ = sender.send(());
            return MessageResult(Some(receiver));
        }
        self.followers.retain(|(_, told)| !told.is_closed());
        if self.followers.len() >= FOLLOWERS {
            return MessageResult(None);
        }
        self.followers.push((filter, sender));
        MessageResult(Some(receiver))
    }
}

impl Handler<Subscribe> for EventLog {
    type Result = MessageResult<Subscribe>;
    fn handle(&mut self, Subscribe { filter, last }: Subscribe, _: &mut Self::Context) -> Self::Result {
        let (mut hub, book) = (self.house.streams.borrow_mut(), self.house.events.borrow());
        MessageResult(hub.subscribe(&book, filter, last, self.house.clock.steady()))
    }
}

impl Handler<Crash> for EventLog {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of the event log");
    }
}
