//! Connecting, being refused, being cut off, coming back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::connection::State;
use serde_json::json;

use super::{Events, PATIENCE, connect, options, publish, round_trip, subscribe, take, texts, until};
use crate::stage::{LOGIN, SMALL, Stage, TOKEN};

pub async fn introduction(stage: &mut Stage) {
    let client = options().name("conformance").connect(stage.open.url()).await.expect("a connection");
    let info = client.server_info();
    stage.tell(
        "connect",
        json!({
            "state": client.connection_state().to_string(), "max_payload": info.max_payload, "proto": info.proto,
            "headers": info.headers, "auth": info.auth_required, "tls": info.tls_required, "ip": info.client_ip,
            "jetstream": info.jetstream, "lame_duck": info.lame_duck_mode, "client_id": info.client_id > 0,
            "recent": client.is_server_compatible(2, 2, 0),
        }),
    );
}

pub async fn credentials(stage: &mut Stage) {
    let (user, password) = (LOGIN.0.to_owned(), LOGIN.1.to_owned());
    let login = |user: &str, password: &str| options().user_and_password(user.to_owned(), password.to_owned());
    let (with_password, with_token) = (stage.password.url(), stage.token.url());
    let in_url = |url: &str, login: &str| url.replace("://", &format!("://{login}@"));
    let cases = [
        ("password", with_password.clone(), login(&user, &password)),
        ("password in the URL", in_url(&with_password, &format!("{user}:{password}")), options()),
        ("wrong password", with_password.clone(), login(&user, "guess")),
        ("wrong user", with_password.clone(), login("bob", &password)),
        ("no password", with_password.clone(), options()),
        ("token instead of a password", with_password, options().token(password.clone())),
        ("token", with_token.clone(), options().token(TOKEN.to_owned())),
        ("token in the URL", in_url(&with_token, TOKEN), options()),
        ("wrong token", with_token.clone(), options().token("guess".to_owned())),
        ("no token", with_token, options()),
        ("credentials that nobody asks for", stage.open.url(), login(&user, &password)),
    ];
    for (step, url, options) in cases {
        stage.tell(step, outcome(&url, options).await);
    }
}

async fn outcome(url: &str, options: ConnectOptions) -> String {
    match options.connect(url).await {
        Ok(client) => {
            round_trip(&client).await;
            "welcome".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

pub async fn too_large(stage: &mut Stage) {
    let events = Events::default();
    let client = events.watch(options()).connect(stage.small.url()).await.expect("a connection");
    let limit = usize::try_from(SMALL).expect("a small number");
    let error = client.publish("a", vec![b'x'; limit + 1].into()).await.err();
    stage.tell("max payload", json!([client.max_payload(), error.map(|error| error.to_string())]));
    let mut sub = subscribe(&client, "a").await;
    client.publish("a", vec![b'x'; limit].into()).await.expect("it is published");
    stage.tell("largest payload", take(&mut sub, 1).await[0].payload.len());
}

pub async fn pings(stage: &mut Stage) {
    let events = Events::default();
    let interval = Duration::from_millis(100);
    let client = events.watch(options().ping_interval(interval)).connect(stage.open.url()).await.expect("a connection");
    // Nothing else is sent or received meanwhile: what is counted are pings and their answers.
    let received = || client.statistics().in_bytes.load(Ordering::Relaxed);
    let before = received();
    until("answers to pings", || received() >= before + 3 * "PONG\r\n".len() as u64).await;
    stage.tell("pings", json!([client.connection_state().to_string(), events.all()]));
    stage.ask("pause");
    events.wait_for("disconnected").await;
    stage.ask("resume");
    until("a reconnect", || client.connection_state() == State::Connected).await;
    round_trip(&client).await;
    stage.tell("max outstanding pings", json!([client.connection_state().to_string(), events.all()[..2]]));
}

pub async fn restart(stage: &mut Stage) {
    let events = Events::default();
    let client = events.watch(options()).connect(stage.open.url()).await.expect("a connection");
    let mut kept = subscribe(&client, "kept").await;
    round_trip(&client).await;
    stage.ask("stop");
    events.wait_for("disconnected").await;
    publish(&client, "kept", "said meanwhile").await;
    stage.ask("start");
    until("a reconnect", || client.connection_state() == State::Connected).await;
    let messages = take(&mut kept, 1).await;
    let connections = events.all().iter().filter(|event| *event == "connected").count();
    stage.tell("reconnect", json!([connections, texts(&messages)]));
}

pub async fn lame_duck(stage: &mut Stage) {
    let events = Events::default();
    let client = events.watch(options().max_reconnects(1)).connect(stage.open.url()).await.expect("a connection");
    round_trip(&client).await;
    stage.ask("lame duck");
    events.wait_for("disconnected").await;
    let told = events.all().iter().take_while(|event| *event != "disconnected").cloned().collect::<Vec<_>>();
    stage.tell("lame duck", json!(told));
}

/// A connection that has said all that it had to say.
pub async fn drain(stage: &mut Stage) {
    let events = Events::default();
    let client = events.watch(options()).connect(stage.open.url()).await.expect("a connection");
    let publisher = connect(&stage.open.url()).await;
    let mut last = subscribe(&publisher, "last").await;
    let mut draining = subscribe(&client, "drain").await;
    round_trip(&publisher).await;
    round_trip(&client).await;
    for _ in 0..100 {
        publish(&publisher, "drain", "x").await;
    }
    round_trip(&publisher).await;
    publish(&client, "last", "words").await;
    client.drain().await.expect("it drains");
    let drained = tokio::time::timeout(PATIENCE, async {
        let mut count = 0;
        while futures_util::StreamExt::next(&mut draining).await.is_some() {
            count += 1;
        }
        count
    });
    let count = drained.await.expect("the end of the subscription");
    let words = texts(&take(&mut last, 1).await);
    stage.tell("drain", json!([count, words]));
}
