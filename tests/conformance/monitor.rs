//! What tools that watch nats-server read: `/varz` and `/connz`. Ours serves a part of it; what it serves has the same
//! name, the same kind, and the same value where the value is not a matter of the machine.

use serde_json::{Map, Value, json};
use werkpilot_tests::nats::{Bus, BusOptions};
use werkpilot_tests::wait_until;

use crate::raw::Socket;
use crate::stage::{LOGIN, Stage};

/// What ours serves of `/varz`, whose values are those of the server and the moment.
const OF_EACH: [&str; 10] = [
    "server_id",
    "server_name",
    "version",
    "port",
    "start",
    "now",
    "uptime",
    "mem",
    "subscriptions",
    "total_connections",
];
/// What ours serves of `/varz`, whose values are those of the configuration and of what was done.
const OF_ALL: [&str; 12] = [
    "proto",
    "host",
    "auth_required",
    "max_payload",
    "max_connections",
    "cores",
    "connections",
    "slow_consumers",
    "in_msgs",
    "out_msgs",
    "in_bytes",
    "out_bytes",
];
/// The same for a connection of `/connz`.
const CONNECTION: [&str; 11] =
    ["kind", "type", "ip", "name", "lang", "version", "pending_bytes", "in_msgs", "out_msgs", "in_bytes", "out_bytes"];

/// All of it.
pub fn play(stage: &mut Stage) {
    let options = BusOptions { monitor: true, user: Some(LOGIN), ..BusOptions::default() };
    let bus = stage.start(options);
    let connect = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"user\":\"{}\",\"pass\":\"{}\",\"name\":\"watched\",\"lang\":\"sh\",\
         \"version\":\"1.2.3\"}}\r\n",
        LOGIN.0, LOGIN.1
    );
    let mut watched = Socket::open(&bus).0;
    watched.send(format!("{connect}SUB a 1\r\nSUB b 2\r\nPUB a 5\r\nhello\r\nPUB x 2\r\nhi\r\nPING\r\n").as_bytes());
    watched.read_pongs(1);
    // With headers; they count as bytes.
    watched.send(b"HPUB b 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nPING\r\n");
    watched.read_pongs(2);
    let mut left = Socket::open(&bus).0;
    left.send(format!("{connect}PING\r\n").as_bytes());
    left.read_pongs(1);
    drop(left);
    wait_until("the other one is gone", || bus.monitor("/varz")["connections"] == 1);
    varz(stage, &bus);
    connz(stage, &bus);
    drop(watched);
    wait_until("nobody is left", || bus.monitor("/varz")["connections"] == 0);
    stage.tell("/connz without anybody: num_connections", bus.monitor("/connz")["num_connections"].clone());
    stage.tell("/connz without anybody: connections", bus.monitor("/connz")["connections"].clone());
    // What a watcher asks for does not make it a client.
    stage.tell("/varz without anybody: total_connections", bus.monitor("/varz")["total_connections"].clone());
}

fn varz(stage: &mut Stage, bus: &Bus) {
    let varz = bus.monitor("/varz");
    for key in OF_EACH {
        stage.tell(&format!("/varz: {key}"), kind(&varz[key]));
    }
    for key in OF_ALL {
        stage.tell(&format!("/varz: {key}"), varz[key].clone());
    }
    assert_eq!(varz["port"], bus.port(), "{varz}");
    stage.tell("/varz: all names", names(&varz));
}

fn connz(stage: &mut Stage, bus: &Bus) {
    let connz = bus.monitor("/connz");
    for key in ["num_connections", "total", "offset", "limit"] {
        stage.tell(&format!("/connz: {key}"), connz[key].clone());
    }
    stage.tell("/connz: now", kind(&connz["now"]));
    stage.tell("/connz: all names", names(&connz));
    let connection = &connz["connections"][0];
    for key in CONNECTION {
        stage.tell(&format!("/connz of a connection: {key}"), connection[key].clone());
    }
    for key in ["cid", "port", "uptime", "idle", "subscriptions"] {
        stage.tell(&format!("/connz of a connection: kind of {key}"), kind(&connection[key]));
    }
    stage.tell("/connz of a connection: subscriptions", connection["subscriptions"].clone());
    stage.tell("/connz of a connection: all names", names(connection));
    let page = bus.monitor("/connz?offset=1&limit=5");
    let page: Map<String, Value> = ["num_connections", "total", "offset", "limit"]
        .map(|key| (key.to_owned(), page[key].clone()))
        .into_iter()
        .collect();
    stage.tell("/connz, the second page", page);
    // Names of users are told to those who ask for them.
    stage.tell(
        "/connz?auth=1: authorized_user",
        bus.monitor("/connz?auth=1")["connections"][0]["authorized_user"].clone(),
    );
}

fn names(of: &Value) -> Value {
    let mut names: Vec<&String> = of.as_object().expect("an object").keys().collect();
    names.sort_unstable();
    json!(names)
}

/// What a reader has to be able to parse: a time, a duration, a number, a text.
fn kind(value: &Value) -> &'static str {
    match value {
        // Keys of a server are capital letters, Z and T among them.
        Value::String(text) if text.ends_with('Z') && text.get(4..5) == Some("-") => "time",
        Value::String(text) if text.ends_with('s') && text.starts_with(|first: char| first.is_ascii_digit()) => {
            "duration"
        }
        Value::String(_) => "text",
        Value::Number(number) if number.is_u64() => "number",
        Value::Null => "nothing",
        _ => "something else",
    }
}
