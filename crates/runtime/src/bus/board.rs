//! The switchboard: the switch with its sockets, shared by everybody on the bus's arbiter.
//!
//! Reading feeds the switch; what has to be written is written by the postman, once for all that was read in one
//! wake-up. Nobody waits for a slow reader: what its socket does not take stays in its outbox, up to a bound.
//!
//! Invariant: no borrow is held across an `await` or a call to an endpoint.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use werkpilot_bus::deadlines::{Deadlines, Key};
use werkpilot_bus::switch::{ConnectionId, Delivery, Edge, Fact, Received, Switch};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Moment;

use super::asking::Wait;
use super::callers::Callers;
use super::query::RequestError;
use super::residents::Residents;
use super::session::{Session, Undelivered};
use crate::clock::Clock;

/// Deadlines inside the process are met to this precision.
const RESOLUTION: Duration = Duration::from_millis(5);

/// To look for a circle among all that wait is not done more often than this.
const SUSPICION: Duration = Duration::from_secs(1);

/// Takes what is delivered to somebody inside the process.
pub type Endpoint = Rc<dyn Fn(Delivery)>;
/// Takes facts, in batches.
pub type FactSink = Box<dyn Fn(Vec<Fact>)>;

/// The writing end of a connection.
pub struct Socket {
    /// Takes bytes as far as it can.
    pub half: OwnedWriteHalf,
    /// Whose connection it is.
    pub session: Addr<Session>,
    /// The kernel's buffer was full; the session waits until it is not.
    pub blocked: Cell<bool>,
}

/// The switchboard. See the module.
pub struct Board {
    /// Decides.
    pub switch: RefCell<Switch>,
    /// The one reader of clocks.
    pub clock: Clock,
    sockets: RefCell<HashMap<ConnectionId, Rc<Socket>>>,
    endpoints: RefCell<HashMap<ConnectionId, Endpoint>>,
    /// In-process agents.
    pub residents: Residents,
    /// Those inside who ask programs.
    pub callers: Callers,
    /// Those inside who wait for actors.
    pub waits: RefCell<Deadlines<Wait>>,
    most_waits: usize,
    /// When a circle was looked for in vain or not, because too many waited.
    suspected: Cell<Option<Moment>>,
    /// When the postman wakes up at the latest.
    armed: Cell<Option<Moment>>,
    facts: FactSink,
    heard: Arc<AtomicBool>,
    work: Notify,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").field("sockets", &self.sockets.borrow().len()).finish_non_exhaustive()
    }
}

impl Board {
    /// A board around a switch. `heard` is kept true while somebody listens to the system's events.
    pub fn new(switch: Switch, clock: Clock, facts: FactSink, heard: Arc<AtomicBool>) -> Self {
        Self {
            most_waits: switch.settings().max_pending_requests,
            suspected: Cell::new(None),
            switch: RefCell::new(switch),
            clock,
            sockets: RefCell::default(),
            endpoints: RefCell::default(),
            residents: Residents::default(),
            callers: Callers::default(),
            waits: RefCell::new(Deadlines::new(RESOLUTION)),
            armed: Cell::new(None),
            facts,
            heard,
            work: Notify::new(),
        }
    }

    /// Changes the switch; the postman carries away what comes of it.
    pub fn with<R>(&self, change: impl FnOnce(&mut Switch) -> R) -> R {
        let result = change(&mut self.switch.borrow_mut());
        self.work.notify_one();
        result
    }

    /// Takes bytes that came from a connection.
    pub fn receive(&self, id: ConnectionId, bytes: &[u8]) -> Received {
        let now = self.clock.now();
        let (mut consumed, mut frames, mut congested) = (0, 0, false);
        loop {
            let received = self.with(|switch| switch.receive(id, &bytes[consumed..], now));
            consumed += received.consumed;
            frames += received.frames;
            congested |= received.congested;
            if !received.full {
                return Received { consumed, frames, congested, ..received };
            }
            self.write_all();
        }
    }

    /// Connects a socket with its connection in the switch.
    pub fn attach(&self, id: ConnectionId, half: OwnedWriteHalf, session: Addr<Session>) {
        let socket = Socket { half, session, blocked: Cell::new(false) };
        self.sockets.borrow_mut().insert(id, Rc::new(socket));
        self.work.notify_one();
    }

    /// The writing end of a connection.
    pub fn socket(&self, id: ConnectionId) -> Option<Rc<Socket>> {
        self.sockets.borrow().get(&id).cloned()
    }

    /// Hands what is delivered to `id` to somebody inside the process.
    pub fn attach_endpoint(&self, id: ConnectionId, endpoint: Endpoint) {
        self.endpoints.borrow_mut().insert(id, endpoint);
    }

    /// A connection has ended.
    pub fn close(&self, id: ConnectionId) {
        self.sockets.borrow_mut().remove(&id);
        self.endpoints.borrow_mut().remove(&id);
        let now = self.clock.now();
        self.with(|switch| switch.close(id, now));
    }

    /// Waits until `deadline` for an actor's answer.
    pub fn wait(&self, deadline: Moment, wait: Wait) -> Key {
        let key = self.waits.borrow_mut().insert(deadline, wait);
        if self.armed.get().is_none_or(|armed| deadline + RESOLUTION < armed) {
            self.work.notify_one();
        }
        key
    }

    /// Tells what others want to know.
    pub fn tell_facts(&self, facts: Vec<Fact>) {
        (self.facts)(facts);
    }

    fn next_deadline(&self) -> Option<Moment> {
        let next = [self.switch.borrow().next_deadline(), self.waits.borrow().next_deadline()];
        next.into_iter().flatten().min()
    }

    fn on_deadline(&self) {
        let now = self.clock.now();
        let mut expired = Vec::new();
        self.waits.borrow_mut().expired(now.steady, &mut expired);
        let late = expired.into_iter().map(|(_, wait)| wait.give_up()).collect();
        self.switch.borrow_mut().on_deadline_among(now, late, || self.waiting());
    }

    /// Whether as many wait for actors as may.
    pub fn is_full(&self) -> bool {
        self.waits.borrow().len() >= self.most_waits
    }

    /// Too many wait: perhaps because agents ask each other in a circle without end. That is told, now and then.
    pub fn suspect_circle(&self, from: &AgentName, to: &AgentName) {
        let now = self.clock.steady();
        if self.suspected.get().is_none_or(|last| now.since(last) >= SUSPICION) {
            self.suspected.set(Some(now));
            self.with(|switch| switch.tell_circles(&[(from.clone(), to.clone())], self.waiting()));
        }
    }

    /// A request to an actor ended with an error.
    pub fn failed(&self, agent: &AgentName, error: &RequestError) {
        let text = match error {
            RequestError::Agent(error) => error.message.clone(),
            error => error.to_string(),
        };
        self.switch.borrow_mut().requests_mut().failed(agent, error.code(), &text, Clock::wall());
    }

    /// Who waits for whom among those inside.
    pub fn waiting(&self) -> Vec<Edge> {
        self.waits.borrow().iter().map(|(_, wait)| wait.edge()).collect()
    }

    /// Writes to one connection as far as its socket takes it.
    pub fn write_out(&self, id: ConnectionId) {
        let Some(socket) = self.socket(id).filter(|socket| !socket.blocked.get()) else { return };
        let mut switch = self.switch.borrow_mut();
        loop {
            let Some(outbox) = switch.outbox(id) else { return };
            if outbox.is_empty() {
                switch.recycle(id);
                break;
            }
            match socket.half.try_write(outbox.unwritten()) {
                Ok(written) => outbox.wrote(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.blocked.set(true);
                    socket.session.do_send(Undelivered::Blocked);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    socket.session.do_send(Undelivered::Ended);
                    return;
                }
            }
        }
        if switch.closing(id).is_some() {
            socket.session.do_send(Undelivered::Ended);
        }
    }

    /// Carries out what has come up since the last time: deliveries, facts, bytes to be written.
    fn carry_away(&self) {
        while let news @ Some(_) = self.news() {
            let (deliveries, facts) = news.unwrap_or_default();
            for delivery in deliveries {
                let endpoint = self.endpoints.borrow().get(&delivery.to).cloned();
                if let Some(endpoint) = endpoint {
                    endpoint(delivery);
                }
            }
            if !facts.is_empty() {
                (self.facts)(facts);
            }
        }
        self.write_all();
    }

    /// Writes to all connections that have something to be written.
    fn write_all(&self) {
        loop {
            let next = self.switch.borrow_mut().next_dirty();
            let Some(id) = next else { break };
            self.write_out(id);
        }
    }

    fn news(&self) -> Option<(Vec<Delivery>, Vec<Fact>)> {
        let mut switch = self.switch.borrow_mut();
        switch.has_news().then(|| (switch.take_deliveries(), switch.take_facts()))
    }

    /// Carries away whatever comes, and keeps the switch's deadlines, for as long as the bus lives.
    pub async fn postman(self: Rc<Self>) {
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(self.clock.instant(self.clock.steady())));
        self.armed.set(None);
        loop {
            let next = self.next_deadline();
            if next != self.armed.replace(next)
                && let Some(at) = next
            {
                alarm.as_mut().reset(self.clock.instant(at));
            }
            tokio::select! {
                biased;
                () = self.work.notified() => {}
                () = &mut alarm, if next.is_some() => {
                    self.armed.set(None);
                    self.on_deadline();
                }
            }
            self.carry_away();
            self.heard.store(self.switch.borrow().is_system_heard(), Ordering::Relaxed);
        }
    }
}
