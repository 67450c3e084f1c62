//! What the fleet asks of the bus actor. What it tells it is in [`super::tray`].

use std::time::Duration;

use actix::prelude::*;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use werkpilot_core::ids::AgentName;

use super::actor::BusActor;

/// Services that are asked for at once. More answers are not taken.
const SERVICES: usize = 10_000;

/// Publishes events: topic and `CloudEvent`. Who listens may miss them while the bus actor is being started again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PublishEvents(pub Vec<(&'static str, Vec<u8>)>);

/// Whether a process of an agent answers `$SRV.PING.<agent>` in time.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct PingService {
    /// The agent.
    pub agent: AgentName,
    /// The credential of its process.
    pub credential: u64,
    /// How long to wait.
    pub timeout: Duration,
}

/// What micro-services say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceQuestion {
    /// Name, version, endpoints.
    Info,
    /// Requests, errors and times per endpoint.
    Stats,
}

/// Asks all micro-services, and collects what comes within the window.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Value>")]
pub struct GetServices {
    /// What.
    pub question: ServiceQuestion,
    /// How long answers are waited for.
    pub window: Duration,
}

/// Starts an in-process agent. How that goes comes by the sink of ends, and by the answer: whether there is such an agent.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct StartResident {
    /// Different for each start.
    pub key: u64,
    /// Whom.
    pub agent: AgentName,
}

impl Handler<PublishEvents> for BusActor {
    type Result = ();
    fn handle(&mut self, PublishEvents(events): PublishEvents, _: &mut Self::Context) {
        let Some(desk) = self.desk() else { return };
        for (topic, json) in events {
            desk.say(topic, &json);
        }
    }
}

impl Handler<PingService> for BusActor {
    type Result = ResponseFuture<bool>;
    fn handle(&mut self, ping: PingService, _: &mut Self::Context) -> Self::Result {
        /// Other instances of the agent answer, too.
        const INSTANCES: usize = 1_024;
        let Some(desk) = self.desk() else { return Box::pin(async { false }) };
        let mut answers = desk.ask(&format!("$SRV.PING.{}", ping.agent), &[], INSTANCES);
        let credential = ping.credential;
        Box::pin(async move {
            let answered = async {
                while let Some(delivery) = answers.next().await {
                    if delivery.credential == credential {
                        return true;
                    }
                }
                false
            };
            tokio::time::timeout(ping.timeout, answered).await.unwrap_or(false)
        })
    }
}

impl Handler<GetServices> for BusActor {
    type Result = ResponseFuture<Vec<Value>>;
    fn handle(&mut self, question: GetServices, _: &mut Self::Context) -> Self::Result {
        let Some(desk) = self.desk() else { return Box::pin(async { Vec::new() }) };
        let subject = match question.question {
            ServiceQuestion::Info => "$SRV.INFO",
            ServiceQuestion::Stats => "$SRV.STATS",
        };
        let mut answers = desk.ask(subject, &[], SERVICES);
        let until = Instant::now() + question.window;
        Box::pin(async move {
            let mut services = Vec::new();
            while let Ok(Some(delivery)) = timeout_at(until, answers.next()).await {
                if let Ok(mut service) = serde_json::from_slice::<Value>(&delivery.payload)
                    && let Some(fields) = service.as_object_mut()
                {
                    fields.insert("agent".to_owned(), delivery.from.as_str().into());
                    services.push(service);
                }
            }
            services
        })
    }
}

impl Handler<StartResident> for BusActor {
    type Result = bool;
    fn handle(&mut self, StartResident { key, agent }: StartResident, _: &mut Self::Context) -> bool {
        let Some(desk) = self.desk() else { return false };
        self.board().residents.start(self.board_rc(), desk.messenger(), key, &agent, desk.ends())
    }
}
