//! What is known of one start of an in-process agent: what it was asked, and what became of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use werkpilot_bus::switch::Fact;
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_process::random_token;

use super::board::Board;
use super::query::AgentError;
use crate::clock::Clock;

/// Latencies that wait to be told: as many as make a good estimate of a tenth of a second.
const SAMPLES: usize = 256;
/// So long they wait.
const TOLD_AFTER: Duration = Duration::from_millis(100);

/// One start of an in-process agent.
pub struct Life {
    /// Whose.
    pub agent: AgentName,
    /// Different for each start.
    pub key: u64,
    /// The same for others to see.
    pub id: String,
    /// When.
    pub started: Timestamp,
    /// What a panic said, if it was its end, or is to be.
    pub panicked: RefCell<Option<String>>,
    /// Whether it is over.
    pub over: Cell<bool>,
}

impl Life {
    /// It begins.
    pub fn begin(agent: AgentName, key: u64) -> Rc<Self> {
        let (panicked, over) = (RefCell::default(), Cell::new(false));
        Rc::new(Self { agent, key, id: random_token(), started: Clock::wall(), panicked, over })
    }
}

/// What one question to an in-process agent was answered with, and how long that took.
pub struct Tally {
    /// Of whom.
    pub life: Rc<Life>,
    /// Answers.
    pub requests: Cell<u64>,
    /// Answers that were errors.
    pub errors: Cell<u64>,
    /// The last of them.
    pub last_error: RefCell<String>,
    /// Answers that were timed, and how long all of them took. Of very many in a short time, some are as good as all.
    pub timed: Cell<(u32, Duration)>,
    untold: RefCell<Vec<Duration>>,
}

impl Tally {
    /// Nothing was asked so far.
    pub fn new(life: Rc<Life>) -> Rc<Self> {
        Rc::new(Self {
            life,
            requests: Cell::new(0),
            errors: Cell::new(0),
            last_error: RefCell::default(),
            timed: Cell::default(),
            untold: RefCell::default(),
        })
    }

    /// Whether the next question is to be timed: reading the clock is a good part of what a question costs.
    pub fn is_timing(&self) -> bool {
        self.untold.borrow().len() < SAMPLES
    }

    /// An actor's question was answered; how long it took is told to the fleet.
    pub fn answered(self: &Rc<Self>, board: &Rc<Board>, asked_at: Option<Moment>) {
        self.requests.set(self.requests.get() + 1);
        let mut untold = self.untold.borrow_mut();
        let Some(asked_at) = asked_at.filter(|_| untold.len() < SAMPLES) else { return };
        let took = board.clock.steady().since(asked_at);
        self.time(took);
        untold.push(took);
        if untold.len() == 1 {
            let (board, tally) = (board.clone(), self.clone());
            actix::spawn(async move {
                tokio::time::sleep(TOLD_AFTER).await;
                tally.tell(&board);
            });
        }
    }

    /// A program's question was answered; the switch has told the fleet.
    pub fn served(&self, took: Duration) {
        self.requests.set(self.requests.get() + 1);
        self.time(took);
    }

    /// The answer was an error.
    pub fn failed(&self, error: &AgentError) {
        self.errors.set(self.errors.get() + 1);
        *self.last_error.borrow_mut() = format!("{}:{}", error.code, error.message);
    }

    /// What an answer takes on average.
    pub fn average(&self) -> Duration {
        let (timed, took) = self.timed.get();
        took.checked_div(timed).unwrap_or_default()
    }

    fn time(&self, took: Duration) {
        let (timed, all) = self.timed.get();
        // Both are halved before the count overflows: the average stays what it is.
        let (timed, all) = if timed == u32::MAX { (timed / 2, all / 2) } else { (timed, all) };
        self.timed.set((timed + 1, all + took));
    }

    fn tell(&self, board: &Board) {
        let untold = std::mem::take(&mut *self.untold.borrow_mut());
        let agent = || self.life.agent.clone();
        board.tell_facts(untold.into_iter().map(|latency| Fact::Answered { agent: agent(), latency }).collect());
    }
}
