//! Tells what a euro is worth: the smallest agent that answers, with the official client.

use std::env;
use std::error::Error;

use async_nats::{ConnectOptions, HeaderMap};
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (user, password) = (env::var("NATS_USER")?, env::var("NATS_PASSWORD")?);
    let client = ConnectOptions::with_user_and_password(user, password).connect(env::var("NATS_SERVER")?).await?;
    let mut requests = client.subscribe("rpc.rates").await?;
    client.flush().await?;
    println!("answering");

    let mut stop = signal(SignalKind::terminate())?;
    loop {
        let request = tokio::select! {
            request = requests.next() => request,
            _ = stop.recv() => break,
        };
        let Some((reply, payload)) = request.and_then(|request| Some((request.reply?, request.payload))) else {
            continue;
        };
        match serde_json::from_slice::<Question>(&payload) {
            Ok(Question { currency }) if currency == "CHF" => client.publish(reply, "0.95".into()).await?,
            Ok(Question { currency }) => fail(&client, reply, "404", &format!("no currency {currency}")).await?,
            Err(error) => fail(&client, reply, "400", &error.to_string()).await?,
        }
    }
    client.drain().await?;
    Ok(())
}

async fn fail(
    client: &async_nats::Client,
    reply: async_nats::Subject,
    code: &str,
    text: &str,
) -> Result<(), async_nats::PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Service-Error-Code", code);
    headers.insert("Nats-Service-Error", text);
    client.publish_with_headers(reply, headers, "".into()).await
}

#[derive(serde::Deserialize)]
struct Question {
    currency: String,
}
