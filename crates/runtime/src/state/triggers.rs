//! Triggers that somebody was promised: on disk before the promise.

use std::sync::Arc;

use werkpilot_core::dispatcher::Request;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_store::row::trigger::TriggerRow;
use werkpilot_store::{Change, StoreError};

use super::Ledger;

/// A fresh id for an execution that is kept before the dispatcher hears of it.
pub fn new_run(now: Timestamp) -> RunId {
    RunId::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), uuid::Uuid::now_v7().as_u128())
}

/// Keeps a request, and gives it the id under which it is kept. Where nothing is kept it stays as it is.
///
/// # Errors
/// [`StoreError`]: it is not on disk, and must not be promised.
pub async fn accept(
    ledger: &Ledger,
    agent: &AgentName,
    request: Request,
    now: Timestamp,
) -> Result<Request, StoreError> {
    if !ledger.is_kept() {
        return Ok(request);
    }
    let run = request.run.unwrap_or_else(|| new_run(now));
    let row = TriggerRow {
        run,
        agent: agent.clone(),
        trigger: request.trigger.clone(),
        origin: None,
        scheduled_for: request.scheduled_for,
        accepted_at: now,
        payload: request.payload.as_deref().map(<[u8]>::to_vec),
        cause: None,
    };
    ledger.kept(vec![Change::AcceptTrigger(Box::new(row))]).await?;
    Ok(Request { run: Some(run), ..request })
}

/// A kept request as the dispatcher takes it.
pub fn request(agent: werkpilot_core::ids::AgentIndex, row: TriggerRow) -> Request {
    Request {
        scheduled_for: row.scheduled_for,
        payload: row.payload.map(Arc::from),
        run: Some(row.run),
        waits: true,
        ..Request::new(agent, row.trigger)
    }
}
