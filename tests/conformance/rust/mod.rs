//! The conformance script of the official Rust client, async-nats.
//!
//! It has no verbose and no pedantic mode.

mod connections;
mod messages;
mod micro;
mod requests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::stage::Stage;

/// Longer than anything takes: it decides only how long a failure takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// All of it.
pub fn play(stage: &mut Stage) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        connections::introduction(stage).await;
        Box::pin(connections::credentials(stage)).await;
        let (client, other) = (connect(&stage.open.url()).await, connect(&stage.open.url()).await);
        messages::play(stage, &client, &other).await;
        requests::play(stage, &client, &other).await;
        micro::play(stage, &client).await;
        connections::too_large(stage).await;
        connections::pings(stage).await;
        connections::restart(stage).await;
        connections::lame_duck(stage).await;
    });
}

fn options() -> ConnectOptions {
    ConnectOptions::new()
        .request_timeout(Some(PATIENCE))
        .connection_timeout(PATIENCE)
        .reconnect_delay_callback(|_| Duration::from_millis(50))
}

async fn connect(url: &str) -> Client {
    options().connect(url).await.expect("a connection")
}

/// What has happened to a connection.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn watch(&self, options: ConnectOptions) -> ConnectOptions {
        let events = self.clone();
        options.event_callback(move |event: Event| {
            events.0.lock().expect("no panic").push(event.to_string());
            async {}
        })
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    async fn wait_for(&self, event: &str) {
        until(event, || self.all().iter().any(|seen| seen == event)).await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let reached = timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(reached.await.is_ok(), "waited in vain for {what}");
}

async fn subscribe(client: &Client, subject: &str) -> Subscriber {
    client.subscribe(subject.to_owned()).await.expect("a subscription")
}

async fn publish(client: &Client, subject: &str, payload: &str) {
    client.publish(subject.to_owned(), payload.to_owned().into()).await.expect("it is published");
}

/// Waits until the server has seen all that this client sent before. `flush` of this client only writes, so that it is
/// a message to itself.
async fn round_trip(client: &Client) {
    let inbox = client.new_inbox();
    let mut sub = subscribe(client, &inbox).await;
    publish(client, &inbox, "").await;
    take(&mut sub, 1).await;
    sub.unsubscribe().await.expect("it is unsubscribed");
}

/// The next so many messages.
async fn take(sub: &mut Subscriber, count: usize) -> Vec<Message> {
    let messages = timeout(PATIENCE, sub.take(count).collect::<Vec<_>>()).await.expect("they come");
    assert_eq!(messages.len(), count, "messages until the end of the subscription");
    messages
}

/// Messages that have come already, once the client has made a round trip.
async fn waiting(client: &Client, sub: &mut Subscriber) -> Vec<Message> {
    round_trip(client).await;
    let mut messages = Vec::new();
    // Unconstrained: else the runtime says after 128 of them that there are none.
    while let Some(Some(message)) = unconstrained(sub.next()).now_or_never() {
        messages.push(message);
    }
    messages
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}
