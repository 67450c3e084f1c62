//! Questions and answers.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request};
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;

use super::{publish, round_trip, subscribe, take};
use crate::stage::Stage;

pub async fn play(stage: &mut Stage, client: &Client, other: &Client) {
    let mut questions = subscribe(other, "upper").await;
    let _silent = subscribe(other, "silent").await;
    round_trip(other).await;
    let responder = other.clone();
    let task = tokio::spawn(async move {
        while let Some(message) = questions.next().await {
            let answer = String::from_utf8_lossy(&message.payload).to_uppercase();
            let reply = message.reply.expect("a reply subject");
            responder.publish(reply, answer.into()).await.expect("it is published");
        }
    });
    let reply = client.request("upper", "hello".into()).await.expect("a reply");
    let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
    stage.tell("request", json!([text(&reply.payload), reply.reply.as_deref(), reply.headers.is_some()]));
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    let reply = client.request_with_headers("upper", headers, "hello".into()).await.expect("a reply");
    stage.tell("request with headers", text(&reply.payload));
    let request = Request::new().payload("hello".into()).inbox(client.new_inbox());
    let reply = client.send_request("upper", request).await.expect("a reply");
    stage.tell("request with an inbox of its own", text(&reply.payload));
    let replies = join_all((0..500).map(|n| client.request("upper", format!("r{n}").into()))).await;
    let right =
        replies.into_iter().enumerate().all(|(n, reply)| reply.is_ok_and(|reply| reply.payload == format!("R{n}")));
    stage.tell("many requests at once", right);
    stage.tell("no responders", failure(client, "nobody", Request::new()).await);
    let own = Request::new().inbox(client.new_inbox());
    stage.tell("no responders to an inbox of its own", failure(client, "nobody", own).await);
    let short = Request::new().timeout(Some(Duration::from_millis(100)));
    stage.tell("no answer", failure(client, "silent", short).await);
    task.abort();
    let _ = task.await;
    round_trip(other).await;
    stage.tell("no responders any more", failure(client, "upper", Request::new()).await);
    let inbox = client.new_inbox();
    let mut sub = subscribe(client, &inbox).await;
    client.publish_with_reply("nobody", inbox.clone(), "x".into()).await.expect("it is published");
    let message = take(&mut sub, 1).await.remove(0);
    let status = message.status.map(|status| status.as_u16());
    stage.tell("status of no responders", json!([status, message.payload.len(), message.subject.as_str() == inbox]));
    publish(client, "nobody", "and no reply").await;
    round_trip(client).await;
}

async fn failure(client: &Client, subject: &str, request: Request) -> String {
    match client.send_request(subject.to_owned(), request).await {
        Ok(message) => format!("an answer: {:?}", message.payload),
        Err(error) => error.to_string(),
    }
}
