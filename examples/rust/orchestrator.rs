//! An orchestrator of one's own, with the agent `analytics` inside it, beside the programs of `agents.toml`: a program asks
//! it (`sales.rs`), and it asks a program (`rates.rs`), in both directions with typed messages.

use std::env;
use std::error::Error;
use std::time::Duration;

use actix::prelude::*;
use serde::{Deserialize, Serialize};
use werkpilot::{AgentError, AgentName, Condition, Dependency, InProcess, Messenger, Orchestrator, Query};

/// What `analytics` is asked.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<Figures, AgentError>")]
struct GetFigures {
    region: String,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    orders: u32,
    chf: f64,
}

impl Query for GetFigures {
    type Response = Figures;
    const ENDPOINT: &'static str = "figures";
}

/// What `rates` is asked, which is a program.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<f64, AgentError>")]
struct GetRate {
    currency: String,
}

impl Query for GetRate {
    type Response = f64;
    const ENDPOINT: &'static str = "";
}

/// The agent `analytics`.
struct Analytics {
    name: AgentName,
    rates: AgentName,
    bus: Messenger,
}

impl Actor for Analytics {
    type Context = Context<Self>;
}

impl Handler<GetFigures> for Analytics {
    type Result = ResponseFuture<Result<Figures, AgentError>>;

    fn handle(&mut self, GetFigures { region }: GetFigures, _: &mut Self::Context) -> Self::Result {
        let (name, rates, bus) = (self.name.clone(), self.rates.clone(), self.bus.clone());
        Box::pin(async move {
            let (orders, eur) = match region.as_str() {
                "north" => (120, 48_200.0),
                "south" => (75, 31_500.0),
                _ => return Err(AgentError::new(404, format!("no region {region}"))),
            };
            let rate = bus.request(&name, &rates, GetRate { currency: "CHF".to_owned() }, Duration::from_secs(2)).await;
            let rate = rate.map_err(|error| AgentError::new(502, error.to_string()))?;
            Ok(Figures { orders, chf: eur * rate })
        })
    }
}

/// `rust-orchestrator [REGISTRY [SETTINGS]]`
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let registry = arguments.next().unwrap_or_else(|| "examples/rust".to_owned());
    let (name, rates) = (AgentName::new("analytics")?, AgentName::new("rates")?);
    let analytics = InProcess::service(name.clone(), {
        let (name, rates) = (name.clone(), rates.clone());
        move |bus| Analytics { name: name.clone(), rates: rates.clone(), bus: bus.clone() }
    });
    let analytics = analytics
        .answers::<GetFigures>()
        .depends_on(Dependency { agent: rates, condition: Condition::Healthy })
        .build();
    let builder = Orchestrator::builder().registry(registry).agent(analytics);
    let builder = match arguments.next() {
        Some(settings) => builder.config(settings),
        None => builder,
    };
    builder.run(|orchestrator| async move {
        if !orchestrator.booted().await {
            return;
        }
        let (bus, office) = (orchestrator.messenger(), AgentName::new("office").expect("a name"));
        let south = GetFigures { region: "south".to_owned() };
        let figures = bus.request(&office, &name, south, bus.timeout()).await;
        println!("south: {figures:?}");
    })?;
    Ok(())
}
