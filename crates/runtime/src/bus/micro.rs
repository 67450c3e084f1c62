//! In-process agents as NATS micro-services (ADR-32): what they answer to `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.

use serde_json::{Value, json};

use super::life::Life;
use super::query::subject;
use super::residents::Served;

/// All such questions; only those to everybody and to the agent itself are delivered to it.
pub const PATTERN: &str = "$SRV.>";
/// What an agent without a version of its own says: the interface wants one.
const VERSION: &str = "0.0.0";

/// The answer to a question, if it is for this start of the agent.
pub fn answer(question: &str, life: &Life, description: &str, served: &[Served]) -> Option<Vec<u8>> {
    let mut tokens = question.split('.').skip(1);
    let verb = tokens.next()?;
    let is_for_us = tokens.next().is_none_or(|name| name == life.agent.as_str())
        && tokens.next().is_none_or(|id| id == life.id)
        && tokens.next().is_none();
    let more = match verb {
        "PING" => json!({ "type": "io.nats.micro.v1.ping_response" }),
        "INFO" => json!({
            "type": "io.nats.micro.v1.info_response",
            "description": description,
            "endpoints": served.iter().map(|served| endpoint(life, served)).collect::<Vec<_>>(),
        }),
        "STATS" => json!({
            "type": "io.nats.micro.v1.stats_response",
            "started": life.started,
            "endpoints": served.iter().map(|served| figures(life, served)).collect::<Vec<_>>(),
        }),
        _ => return None,
    };
    let common = json!({ "name": life.agent, "id": life.id, "version": VERSION, "metadata": {} });
    is_for_us.then(|| joined(common, more).to_string().into_bytes())
}

fn endpoint(life: &Life, Served { route, .. }: &Served) -> Value {
    let name = if route.endpoint.is_empty() { "default" } else { route.endpoint };
    json!({
        "name": name,
        "subject": subject(life.agent.as_str(), route.endpoint),
        "queue_group": "",
        "metadata": {},
    })
}

fn figures(life: &Life, served: &Served) -> Value {
    let tally = &served.tally;
    let (requests, average) = (tally.requests.get(), tally.average().as_nanos());
    let figures = json!({
        "num_requests": requests,
        "num_errors": tally.errors.get(),
        "last_error": *tally.last_error.borrow(),
        "processing_time": u64::try_from(average * u128::from(requests)).unwrap_or(u64::MAX),
        "average_processing_time": u64::try_from(average).unwrap_or(u64::MAX),
    });
    joined(endpoint(life, served), figures)
}

fn joined(mut one: Value, mut other: Value) -> Value {
    if let (Some(fields), Some(more)) = (one.as_object_mut(), other.as_object_mut()) {
        fields.append(more);
    }
    one
}
