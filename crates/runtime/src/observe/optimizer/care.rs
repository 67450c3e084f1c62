//! The care of the night: old history goes, the logs are held to their bounds, the database is tidied. In steps of some
//! milliseconds with pauses between, so that nobody's commit waits for it.

use std::rc::Rc;

use tokio::sync::oneshot;
use werkpilot_core::optimizer::Care;
use werkpilot_store::writer::{Cause, Writer};
use werkpilot_store::{Pruned, StoreError};

use crate::clock::Clock;
use crate::house::{House, HousePhase};
use crate::state::archivist::{BETWEEN_STEPS, retention};

/// Free bytes that are worth giving back to the disk.
const WORTH: u64 = 1 << 20;
/// Steps of 4 MiB at most that give free pages back: a gigabyte in a night.
const TIDYINGS: u32 = 256;

/// Takes care of it all. What can't be done is said in the report, and does not stop the run.
pub(super) async fn take(house: &Rc<House>) -> Care {
    let begun = house.clock.steady();
    let mut care = Care::default();
    if let Some(host) = &house.host {
        // On the thread of the logs: the same limits again, which prunes.
        host.set_logs(house.settings.borrow().logs.clone());
        care.logs = true;
    }
    if let Some(writer) = house.ledger.writer() {
        care.bytes_before = size(house).await.0;
        if let Err(problem) = of_database(house, &writer, &mut care).await {
            care.problem = Some(problem);
        }
        care.bytes_after = size(house).await.0;
    }
    care.duration = house.clock.steady().since(begun);
    care
}

async fn of_database(house: &Rc<House>, writer: &Writer, care: &mut Care) -> Result<(), String> {
    loop {
        let pruned = prune(house, writer).await?;
        care.executions += pruned.executions;
        care.events += pruned.events;
        if !pruned.more {
            break;
        }
        pause(house).await?;
    }
    for table in 0.. {
        let (told, answer) = oneshot::channel();
        writer.analyze(table, Box::new(move |more| drop(told.send(more)))).map_err(no_writer)?;
        let more = heard(answer.await)?;
        care.analyzed = table + 1;
        if !more {
            break;
        }
        pause(house).await?;
    }
    for _ in 0..TIDYINGS {
        if size(house).await.1 < WORTH {
            break;
        }
        writer.tidy().map_err(no_writer)?;
        pause(house).await?;
    }
    Ok(())
}

async fn prune(house: &Rc<House>, writer: &Writer) -> Result<Pruned, String> {
    let retention = retention(&house.settings.borrow(), Clock::wall());
    let (told, answer) = oneshot::channel();
    writer.prune(retention, Box::new(move |pruned| drop(told.send(pruned)))).map_err(no_writer)?;
    heard(answer.await)
}

fn heard<T>(answer: Result<Result<T, StoreError>, oneshot::error::RecvError>) -> Result<T, String> {
    let answer = answer.unwrap_or(Err(StoreError::WriterGone));
    answer.map_err(|error| format!("failed to {error}"))
}

fn no_writer(cause: Cause) -> String {
    format!("failed to {cause}")
}

/// Lets others have their turn; a shutdown does not wait for the night's care.
async fn pause(house: &House) -> Result<(), String> {
    tokio::time::sleep(BETWEEN_STEPS).await;
    if house.phase.get() == HousePhase::ShuttingDown {
        return Err("the orchestrator is shutting down".to_owned());
    }
    Ok(())
}

/// Bytes of the database, and those of them that nothing needs; zero where they can't be read.
async fn size(house: &House) -> (u64, u64) {
    house.ledger.read(werkpilot_store::Reader::size).await.unwrap_or_default()
}
