//! Messages from one to many.

use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{connections, options, publish, round_trip, subscribe, take, texts, waiting};
use crate::stage::Stage;

pub async fn play(stage: &mut Stage, client: &Client, other: &Client) {
    publishing(stage, client).await;
    wildcards(stage, client).await;
    queue_groups(stage, client, other).await;
    headers(stage, client).await;
    limits(stage, client).await;
    connections::drain(stage).await;
}

async fn publishing(stage: &mut Stage, client: &Client) {
    let mut sub = subscribe(client, "orders.new").await;
    for number in 0..1_000 {
        publish(client, "orders.new", &number.to_string()).await;
    }
    client.flush().await.expect("it is flushed");
    let numbers = texts(&take(&mut sub, 1_000).await);
    stage.tell("order of publication", numbers.iter().enumerate().all(|(n, text)| *text == n.to_string()));
    let bytes: Vec<u8> = (0..=255).collect();
    client.publish_with_reply("orders.new", "answers.here", bytes.clone().into()).await.expect("it is published");
    publish(client, "orders.new", "").await;
    let messages = take(&mut sub, 2).await;
    stage.tell("publish", messages[0].payload.as_ref() == bytes);
    let seen = |message: &async_nats::Message| {
        json!([message.subject.as_str(), message.reply.as_deref(), message.length, message.headers.is_some()])
    };
    stage.tell("publish: what else comes with it", messages.iter().map(seen).collect::<Value>());
    let limit = client.max_payload();
    client.publish("orders.new", vec![0; limit].into()).await.expect("it is published");
    stage.tell("a megabyte", take(&mut sub, 1).await[0].payload.len());
}

async fn wildcards(stage: &mut Stage, client: &Client) {
    let patterns = ["a.b.c", "a.*.c", "*.b.*", "a.>", ">", "a.b.>", "*", "*.*.*", "a.*", "b.>"];
    let mut subs = Vec::new();
    for pattern in patterns {
        subs.push(subscribe(client, pattern).await);
    }
    for subject in ["a", "a.b", "a.b.c", "a.x.c", "x.b.y", "a.b.c.d", "b.c", "$SYS.x"] {
        publish(client, subject, subject).await;
    }
    round_trip(client).await;
    for (pattern, mut sub) in patterns.into_iter().zip(subs) {
        let mut seen = texts(&waiting(client, &mut sub).await);
        // Round trips are messages as well.
        seen.retain(|text| !text.is_empty());
        stage.tell(&format!("wildcard {pattern}"), seen);
    }
}

async fn queue_groups(stage: &mut Stage, client: &Client, other: &Client) {
    let mut members = Vec::new();
    for (member, group) in [(client, "workers"), (client, "workers"), (other, "workers"), (client, "auditors")] {
        members.push(member.queue_subscribe("work.*", group.to_owned()).await.expect("a subscription"));
    }
    let mut plain = subscribe(other, "work.a").await;
    round_trip(other).await;
    for _ in 0..300 {
        publish(client, "work.a", "w").await;
    }
    round_trip(client).await;
    let mut counts = Vec::new();
    for (member, owner) in members.iter_mut().zip([client, client, other, client]) {
        counts.push(waiting(owner, member).await.len());
    }
    let workers: usize = counts[..3].iter().sum();
    let each = counts.iter().all(|count| *count > 0);
    let plain = waiting(other, &mut plain).await.len();
    stage.tell("queue groups", json!({ "workers": workers, "each": each, "auditors": counts[3], "plain": plain }));
    for member in &mut members[..2] {
        member.unsubscribe().await.expect("it is unsubscribed");
    }
    for _ in 0..10 {
        publish(client, "work.b", "w").await;
    }
    round_trip(client).await;
    stage.tell("the last of a queue group gets all", waiting(other, &mut members[2]).await.len());
}

async fn headers(stage: &mut Stage, client: &Client) {
    let mut sub = subscribe(client, "h").await;
    let long = "x".repeat(10_000);
    let sets: [&[(&str, &str)]; 5] = [
        &[("Plain", "text"), ("With-Space", "a b  c"), ("Colon", "a:b: c")],
        &[("Twice", "one"), ("Twice", "two"), ("lower", "x"), ("LOWER", "y")],
        &[("Empty", "")],
        &[("Unicode", "Grüße")],
        &[("Long", &long)],
    ];
    for set in sets {
        let mut headers = HeaderMap::new();
        for (name, value) in set {
            headers.append(*name, *value);
        }
        client.publish_with_headers("h", headers.clone(), "body".into()).await.expect("it is published");
        client.publish_with_headers("h", headers, "".into()).await.expect("it is published");
    }
    let seen = |message: &async_nats::Message| {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
            let short = |value: &async_nats::HeaderValue| value.as_str().chars().take(50).collect();
            pairs.extend(values.iter().map(|value| (name.to_string(), short(value))));
        }
        pairs.sort();
        json!([pairs, message.payload.len(), message.length])
    };
    stage.tell("headers", take(&mut sub, 10).await.iter().map(seen).collect::<Value>());
}

async fn limits(stage: &mut Stage, client: &Client) {
    let mut limited = subscribe(client, "limited").await;
    limited.unsubscribe_after(3).await.expect("it is limited");
    for number in 0..10 {
        publish(client, "limited", &number.to_string()).await;
    }
    let three = take(&mut limited, 3).await;
    let ended = tokio::time::timeout(super::PATIENCE, limited.next()).await.expect("it ends").is_none();
    stage.tell("unsubscribe after 3", json!([texts(&three), ended]));
    let silent = options().no_echo().connect(stage.open.url()).await.expect("a connection");
    let mut own = subscribe(&silent, "echo").await;
    let mut others = subscribe(client, "echo").await;
    silent.flush().await.expect("it is flushed");
    round_trip(client).await;
    publish(&silent, "echo", "mine").await;
    let heard = texts(&take(&mut others, 1).await);
    publish(client, "echo", "yours").await;
    stage.tell("no echo", json!([texts(&take(&mut own, 1).await), heard]));
}
