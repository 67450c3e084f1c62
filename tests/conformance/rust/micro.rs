//! The micro-services API (ADR-32).

use std::collections::HashMap;

use async_nats::service::error::Error;
use async_nats::service::{Service, ServiceExt};
use async_nats::{Client, Message};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{connect, round_trip, subscribe, take};
use crate::stage::Stage;

pub async fn play(stage: &mut Stage, client: &Client) {
    let host = connect(&stage.open.url()).await;
    let service = start(&host, "1.2.3").await;
    let mut echo = service.endpoint("echo").await.expect("an endpoint");
    let group = service.group_with_queue_group("math", "m");
    let mut fail = group.endpoint("fail").await.expect("an endpoint");
    tokio::spawn(async move {
        while let Some(request) = echo.next().await {
            let _ = request.respond(Ok(request.message.payload.clone())).await;
        }
    });
    tokio::spawn(async move {
        while let Some(request) = fail.next().await {
            let _ = request.respond(Err(Error { status: "no such thing".to_owned(), code: 409 })).await;
        }
    });
    round_trip(&host).await;
    let reply = client.request("echo", "hi".into()).await.expect("a reply");
    stage.tell("micro: request", String::from_utf8_lossy(&reply.payload).into_owned());
    let reply = client.request("math.fail", "".into()).await.expect("a reply");
    let headers = reply.headers.unwrap_or_default();
    let header = |name: &str| headers.get(name).map(ToString::to_string);
    stage.tell("micro: error", json!([header("Nats-Service-Error"), header("Nats-Service-Error-Code")]));
    let id = service.info().await.id;
    for verb in ["PING", "INFO", "STATS"] {
        for (whose, place) in [("all", String::new()), ("it", ".calc".to_owned()), ("this one", format!(".calc.{id}"))]
        {
            let reply = client.request(format!("$SRV.{verb}{place}"), "".into()).await.expect("a reply");
            stage.tell(&format!("micro: {verb} of {whose}"), steady(&reply));
        }
    }
    let nobody = client.request("$SRV.PING.other", "".into()).await.err();
    stage.tell("micro: another", nobody.map(|error| error.to_string()));
    let twin = start(&host, "1.2.4").await;
    round_trip(&host).await;
    let inbox = client.new_inbox();
    let mut sub = subscribe(client, &inbox).await;
    client.publish_with_reply("$SRV.PING.calc", inbox, "".into()).await.expect("it is published");
    let mut versions: Vec<String> = take(&mut sub, 2).await.iter().map(|m| steady(m)["version"].to_string()).collect();
    versions.sort();
    stage.tell("micro: all instances answer", versions);
    twin.stop().await.expect("it is stopped");
    service.stop().await.expect("it is stopped");
    round_trip(&host).await;
    let nobody = client.request("$SRV.PING.calc", "".into()).await.err();
    stage.tell("micro: stopped", nobody.map(|error| error.to_string()));
}

async fn start(client: &Client, version: &str) -> Service {
    let metadata = HashMap::from([("team".to_owned(), "sales".to_owned())]);
    let builder = client.service_builder().description("it counts").metadata(metadata);
    builder.start("calc", version).await.expect("a service")
}

/// An answer without what differs from run to run.
fn steady(message: &Message) -> Value {
    let mut value: Value = serde_json::from_slice(&message.payload).expect("JSON");
    let object = value.as_object_mut().expect("an object");
    object.remove("id");
    object.remove("started");
    let endpoints = object.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten() {
        let endpoint = endpoint.as_object_mut().expect("an object");
        endpoint.remove("processing_time");
        endpoint.remove("average_processing_time");
    }
    if let Some(endpoints) = value["endpoints"].as_array_mut() {
        endpoints.sort_by_key(|endpoint| endpoint["name"].to_string());
    }
    value
}
