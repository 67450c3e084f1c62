//! Executions that messages ask for, and their answers: what the link does for jobs with a `subject`.
//!
//! Invariant: a message that wants an answer gets exactly one, at the latest when its execution ends.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use serde_json::json;
use tokio::sync::oneshot;
use werkpilot_core::dispatcher::{Admission, Request};
use werkpilot_core::event::{End, Event, Recorded};
use werkpilot_core::ids::{AgentIndex, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::trigger::Trigger;

use super::desk::{ReplyTo, Triggered};
use super::link::BusLink;
use super::tray::Note;
use crate::clock::Clock;
use crate::house::House;
use crate::state::triggers;
use crate::work::queue::Admit;

/// The ends of executions come milliseconds after those of their programs; whoever waits longer is told that there is no end.
const LAST: Duration = Duration::from_millis(500);
/// Executions whose answer somebody waits for.
const ANSWERS: usize = 10_000;

/// A message for a job came.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TriggeredBy(pub Triggered);

/// What the final attempt of an execution wrote to stdout.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Wrote {
    /// Which execution.
    pub run: RunId,
    /// The beginning of it, up to the largest payload.
    pub stdout: Vec<u8>,
}

/// An execution that a message asked for has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunEnded(pub Recorded);

/// The bus is about to be closed. Answers when all who wait for an execution have been answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TellLast;

struct Awaited {
    to: ReplyTo,
    stdout: Vec<u8>,
}

/// The answers that are owed.
pub struct Answers {
    house: Rc<House>,
    awaited: HashMap<RunId, Awaited>,
    /// Wants to know when nobody is awaited any more.
    leaving: Option<oneshot::Sender<()>>,
}

impl Answers {
    /// None so far.
    pub fn new(house: Rc<House>) -> Self {
        Self { house, awaited: HashMap::new(), leaving: None }
    }

    fn await_end(&mut self, run: RunId, reply: Option<ReplyTo>) {
        let Some(to) = reply else { return };
        let ended = self.house.events.borrow().end_of(run).cloned();
        self.awaited.insert(run, Awaited { to, stdout: Vec::new() });
        self.house.awaited_runs.set(self.awaited.len());
        if let Some(ended) = ended {
            self.end(&ended.event);
        }
    }

    fn end(&mut self, event: &Event) {
        let Event::ExecutionEnded { run, end, exit, reason, .. } = event else { return };
        let Some(Awaited { to, stdout }) = self.awaited.remove(run) else { return };
        self.house.awaited_runs.set(self.awaited.len());
        let why = || match (reason, exit) {
            (Some(reason), _) => told(*end, &reason.to_string()),
            (None, Some(exit)) => told(*end, &exit.to_string()),
            (None, None) => end.to_string(),
        };
        let answer = match end {
            End::Succeeded => Ok(stdout),
            End::Skipped => Err((409, why())),
            End::Refused | End::Cancelled | End::Interrupted => Err((503, why())),
            End::TimedOut => Err((504, why())),
            End::Failed | End::Lost => Err((500, why())),
        };
        self.answer(Some(to), answer);
        self.tell_if_none_waits();
    }

    fn tell_if_none_waits(&mut self) {
        if self.awaited.is_empty()
            && let Some(leaving) = self.leaving.take()
        {
            // Who asked may have given up.
            let _ = leaving.send(());
        }
    }

    fn answer(&self, to: Option<ReplyTo>, answer: Result<Vec<u8>, (u16, String)>) {
        if let (Some(to), Some(side)) = (to, &self.house.bus) {
            side.bus.leave(Note::Answer { to, answer });
        }
    }

    fn give_up(&mut self) {
        for (_, Awaited { to, .. }) in std::mem::take(&mut self.awaited) {
            self.answer(Some(to), Err((503, "the orchestrator goes down".to_owned())));
        }
    }

    /// Who is disabled is unavailable, and answers as it does to a request by its name.
    fn why_skipped(&self, agent: AgentIndex, reason: &Reason) -> (u16, String) {
        let status = self.house.dispatcher.borrow().status(agent);
        if status.is_disabled() { (503, format!("{status}: {reason}")) } else { (409, format!("skipped: {reason}")) }
    }
}

/// The end and its reason, without saying twice that something failed.
fn told(end: End, why: &str) -> String {
    let word = end.to_string();
    if why.starts_with(&word) { why.to_owned() } else { format!("{word}: {why}") }
}

impl Handler<TriggeredBy> for BusLink {
    type Result = ();
    fn handle(&mut self, TriggeredBy(triggered): TriggeredBy, ctx: &mut Self::Context) {
        let Triggered { agent, subject, payload, reply, durable } = triggered;
        let answers = &self.answers;
        if reply.is_some() && answers.awaited.len() >= ANSWERS {
            return answers.answer(reply, Err((429, format!("{ANSWERS} executions are waited for already"))));
        }
        let payload = Some(Arc::from(payload));
        let request = Request { payload, ..Request::new(agent, Trigger::Subject { subject }) };
        if durable { self.keep_and_admit(request, reply, ctx) } else { self.admit(request, reply, false, ctx) }
    }
}

impl BusLink {
    fn admit(&mut self, request: Request, reply: Option<ReplyTo>, kept: bool, ctx: &mut Context<Self>) {
        let (answers, agent) = (&self.answers, request.agent);
        let Some(queue) = answers.house.posts.queue.addr() else {
            return answers.answer(reply, Err((503, "the queue is being started again; try again".to_owned())));
        };
        // The queue answers in the order in which it was asked.
        let admitted = queue.send(Admit(request)).into_actor(self);
        ctx.spawn(admitted.map(move |admission, this, _| {
            let answers = &mut this.answers;
            match admission {
                Ok(Admission::Accepted(run)) if kept => {
                    answers.answer(reply, Ok(json!({ "run": run }).to_string().into_bytes()));
                }
                Ok(Admission::Accepted(run)) => answers.await_end(run, reply),
                Ok(Admission::Skipped(_, reason)) => answers.answer(reply, Err(answers.why_skipped(agent, &reason))),
                Ok(Admission::Refused(_, reason)) => answers.answer(reply, Err((503, format!("refused: {reason}")))),
                Err(_) => answers.answer(reply, Err((503, "the queue died; try again".to_owned()))),
            }
        }));
    }

    /// Answered as soon as it is on disk; what becomes of it is told by events.
    fn keep_and_admit(&mut self, request: Request, reply: Option<ReplyTo>, ctx: &mut Context<Self>) {
        let house = &self.answers.house;
        let name = house.directory.borrow().get(request.agent).map(|slot| slot.name.clone());
        let Some(name) = name.filter(|_| house.ledger.is_kept()) else {
            return self.answers.answer(reply, Err((503, "nothing is kept on disk here".to_owned())));
        };
        let ledger = house.ledger.clone();
        let accepted = async move { triggers::accept(&ledger, &name, request, Clock::wall()).await };
        ctx.spawn(accepted.into_actor(self).map(move |accepted, this, ctx| match accepted {
            Ok(request) => this.admit(request, reply, true, ctx),
            Err(error) => this.answers.answer(reply, Err((503, format!("not accepted: failed to {error}")))),
        }));
    }
}

impl Handler<Wrote> for BusLink {
    type Result = ();
    fn handle(&mut self, Wrote { run, stdout }: Wrote, _: &mut Self::Context) {
        if let Some(awaited) = self.answers.awaited.get_mut(&run) {
            awaited.stdout = stdout;
        }
    }
}

impl Handler<RunEnded> for BusLink {
    type Result = ();
    fn handle(&mut self, RunEnded(recorded): RunEnded, _: &mut Self::Context) {
        self.answers.end(&recorded.event);
    }
}

impl Handler<TellLast> for BusLink {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: TellLast, _: &mut Self::Context) -> Self::Result {
        let (leaving, all_told) = oneshot::channel();
        self.answers.leaving = Some(leaving);
        self.answers.tell_if_none_waits();
        let told = tokio::time::timeout(LAST, all_told).into_actor(self);
        Box::pin(told.map(|_, this, _| {
            this.answers.give_up();
            this.pass_on();
        }))
    }
}
