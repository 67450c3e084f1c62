//! The replay of one letter: on disk first, then in the queue.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::dead_letters::{LetterRefusal, Step};
use werkpilot_core::dispatcher::{Admission, Request};
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::Change;
use werkpilot_store::row::trigger::TriggerRow;

use super::{DeadLetters, DeskError, Work, change};
use crate::clock::Clock;
use crate::house::Posts;
use crate::post::Unavailable;
use crate::state::Ledger;
use crate::state::triggers::new_run;
use crate::work::queue::Admit;

/// The queue answers within milliseconds.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a queue that is being started again is looked for: longer than its supervisor takes.
const LOOKS: u32 = 40;
/// See [`LOOKS`].
const PAUSE: Duration = Duration::from_millis(25);

/// A replay that is about to be accepted.
struct Accepted {
    letter: u64,
    run: RunId,
    agent: AgentIndex,
    name: AgentName,
    /// The payload, where it is in memory.
    payload: Option<Arc<[u8]>>,
    /// It is on disk only.
    payload_is_on_disk: bool,
}

impl DeadLetters {
    /// Replays a letter; as this execution, where its id was chosen before.
    pub(super) fn replay(
        &mut self,
        id: u64,
        force: bool,
        run: Option<RunId>,
    ) -> ResponseActFuture<Self, Result<RunId, DeskError>> {
        let accepted = match self.accept(id, force, run) {
            Ok(accepted) => accepted,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        self.busy.insert(id);
        let ledger = self.house.ledger.clone();
        let (run, agent, name) = (accepted.run, accepted.agent, accepted.name.clone());
        let step = Step::BeginReplay { run, force };
        let keeping = async move {
            let kept = keep(ledger, accepted, &step).await;
            (kept, step)
        };
        let kept = keeping.into_actor(self).map(move |(kept, step), this, ctx| {
            this.busy.remove(&id);
            let payload = kept.inspect_err(|error| {
                if let DeskError::NotKept(wrong) = error {
                    this.reconcile(vec![id], wrong, ctx);
                }
            })?;
            this.act(id, &step, Clock::wall());
            this.house.emit(Event::DeadLetterReplayed { id, agent: name, run });
            Ok(payload)
        });
        Box::pin(kept.then(move |kept: Result<_, DeskError>, this: &mut Self, _| match kept {
            Ok(payload) => this.admit(id, run, agent, payload),
            Err(error) => Box::pin(async { Err(error) }.into_actor(this)),
        }))
    }

    /// Hands a replay that is on disk to the queue; what that does not take has ended.
    pub(super) fn admit(
        &self,
        id: u64,
        run: RunId,
        agent: AgentIndex,
        payload: Option<Arc<[u8]>>,
    ) -> ResponseActFuture<Self, Result<RunId, DeskError>> {
        let posts = self.house.posts.clone();
        let trigger = Trigger::Replay { dead_letter: id };
        let request = Request { payload, run: Some(run), ..Request::new(agent, trigger) };
        let admitting = async move { admit(&posts, request).await };
        Box::pin(admitting.into_actor(self).map(move |admitted, this, ctx| {
            let Err(reason) = admitted else { return Ok(run) };
            let end = vec![Change::DropTrigger(run)];
            this.end_replay(Work::EndReplay { letter: id, run, succeeded: false, killed: false, end }, ctx);
            Err(LetterRefusal::NotAdmitted { letter: id, reason }.into())
        }))
    }

    /// Whether it may be replayed now.
    fn accept(&self, id: u64, force: bool, run: Option<RunId>) -> Result<Accepted, DeskError> {
        let run = run.unwrap_or_else(|| new_run(Clock::wall()));
        if self.busy.contains(&id) {
            return Err(LetterRefusal::Busy(id).into());
        }
        let desk = self.house.dead_letters.borrow();
        let letter = desk.check(id, &Step::BeginReplay { run, force })?;
        let name = letter.agent.clone();
        let directory = self.house.directory.borrow();
        let Some(agent) = directory.find(name.as_str()) else { return Err(DeskError::NoAgent(name)) };
        if directory.get(agent).is_none_or(|slot| slot.spec.job().is_none()) {
            return Err(DeskError::NotAJob(name));
        }
        let payload = letter.execution.payload.clone();
        let payload_is_on_disk = payload.is_none() && letter.payload_bytes.is_some();
        Ok(Accepted { letter: id, run, agent, name, payload, payload_is_on_disk })
    }
}

/// Keeps that a letter is replayed, with the trigger that makes sure of it; answers the payload.
async fn keep(ledger: Ledger, accepted: Accepted, step: &Step) -> Result<Option<Arc<[u8]>>, DeskError> {
    let (id, run) = (accepted.letter, accepted.run);
    let payload = if accepted.payload_is_on_disk {
        let row = ledger.read(move |reader| reader.letter(id)).await?;
        row.ok_or(LetterRefusal::Unknown(id))?.payload.map(Arc::from)
    } else {
        accepted.payload
    };
    let now = Clock::wall();
    let trigger = TriggerRow {
        run,
        agent: accepted.name,
        trigger: Trigger::Replay { dead_letter: id },
        origin: Some(id),
        scheduled_for: None,
        accepted_at: now,
        payload: payload.as_ref().map(|payload: &Arc<[u8]>| payload.to_vec()),
        cause: None,
    };
    let batch = vec![change(id, step, now), Change::AcceptTrigger(Box::new(trigger))];
    ledger.kept(batch).await.map_err(DeskError::NotKept)?;
    Ok(payload)
}

/// Puts it into the queue, which may be about to be started again.
async fn admit(posts: &Posts, request: Request) -> Result<(), Reason> {
    for _ in 0..LOOKS {
        match posts.queue.ask(Admit(request.clone()), ANSWER).await {
            // Without an answer it has the request, and is only slow.
            Ok(Admission::Accepted(_)) | Err(Unavailable::TimedOut(..)) => return Ok(()),
            Ok(Admission::Refused(_, reason) | Admission::Skipped(_, reason)) => return Err(reason),
            Err(Unavailable::Vacant(_)) => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(Reason::ShuttingDown)
}
