//! Those inside the process who ask programs: a connection each, with an inbox.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::oneshot;
use werkpilot_bus::switch::{ConnectionId, Delivery, Who};
use werkpilot_core::ids::AgentName;
use werkpilot_process::random_token;

use super::board::Board;

/// All callers, by the name that they ask in.
#[derive(Default)]
pub struct Callers {
    agents: RefCell<HashMap<AgentName, Rc<Caller>>>,
    operator: RefCell<Option<Rc<Caller>>>,
}

/// One caller.
pub struct Caller {
    connection: ConnectionId,
    token: String,
    last: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Delivery>>>,
}

impl Callers {
    /// The caller of this name; it is made when it is first needed.
    pub fn of(&self, board: &Board, name: &AgentName) -> Rc<Caller> {
        if let Some(caller) = self.agents.borrow().get(name) {
            return caller.clone();
        }
        let caller = Self::make(board, Who::Agent(name.clone()));
        self.agents.borrow_mut().insert(name.clone(), caller.clone());
        caller
    }

    /// The one that asks for people.
    pub fn operator(&self, board: &Board) -> Rc<Caller> {
        self.operator.borrow_mut().get_or_insert_with(|| Self::make(board, Who::Operator)).clone()
    }

    fn make(board: &Board, who: Who) -> Rc<Caller> {
        let token = random_token();
        let now = board.clock.steady();
        let connection = board.with(|switch| {
            let connection = switch.open_local(who, now);
            switch.subscribe_local(connection, 1, format!("_INBOX.{token}.*").as_bytes(), None);
            connection
        });
        let caller = Rc::new(Caller { connection, token, last: Cell::new(0), waiting: RefCell::default() });
        let endpoint = Rc::downgrade(&caller);
        board.attach_endpoint(
            connection,
            Rc::new(move |delivery: Delivery| {
                let text = std::str::from_utf8(&delivery.subject).unwrap_or_default();
                let number = text.rsplit('.').next().and_then(|number| number.parse().ok());
                if let (Some(caller), Some(number)) = (endpoint.upgrade(), number) {
                    let waiting = caller.waiting.borrow_mut().remove(&number);
                    if let Some(waiting) = waiting {
                        // Who asked may have given up.
                        let _ = waiting.send(delivery);
                    }
                }
            }),
        );
        caller
    }
}

impl Caller {
    /// Its connection in the switch.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }
}

/// An answer that is waited for until this is dropped.
pub struct Expected<'a> {
    caller: &'a Caller,
    number: u64,
}

impl<'a> Expected<'a> {
    /// An answer that goes there.
    pub fn new(caller: &'a Caller, sender: oneshot::Sender<Delivery>) -> Self {
        let number = caller.last.get() + 1;
        caller.last.set(number);
        caller.waiting.borrow_mut().insert(number, sender);
        Self { caller, number }
    }

    /// Where it is expected.
    pub fn inbox(&self) -> String {
        format!("_INBOX.{}.{}", self.caller.token, self.number)
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.caller.waiting.borrow_mut().remove(&self.number);
    }
}
