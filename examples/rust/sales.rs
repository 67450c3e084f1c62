//! Asks the agent `analytics`, which is inside the orchestrator, for the figures of two regions, of which it knows one.

use std::env;
use std::error::Error;
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (user, password) = (env::var("NATS_USER")?, env::var("NATS_PASSWORD")?);
    let client = ConnectOptions::with_user_and_password(user, password).connect(env::var("NATS_SERVER")?).await?;
    for region in ["north", "atlantis"] {
        match ask(&client, "analytics.figures", &json!({ "region": region })).await {
            Ok(figures) => println!("{region}: {} orders, {} CHF", figures["orders"], figures["chf"]),
            Err(error) => println!("{region}: {error}"),
        }
    }
    Ok(())
}

/// Asks an agent, and tells what it says if it can't answer.
async fn ask(client: &Client, agent: &str, question: &Value) -> Result<Value, Box<dyn Error>> {
    let request = async_nats::Request::new().payload(question.to_string().into()).timeout(Some(Duration::from_secs(5)));
    let reply = client.send_request(format!("rpc.{agent}"), request).await?;
    if let Some(headers) = reply.headers
        && let Some(code) = headers.get("Nats-Service-Error-Code")
    {
        let text = headers.get("Nats-Service-Error").map_or("", |text| text.as_str());
        return Err(format!("{code}: {text}").into());
    }
    Ok(serde_json::from_slice(&reply.payload)?)
}
