//! What needs more than one exchange: time, another connection, the end of the server.

use serde_json::{Value, json};
use werkpilot_tests::nats::BusOptions;
use werkpilot_tests::{PATIENCE, wait_for};

use super::socket::{self, Socket};
use crate::stage::Stage;

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false}\r\n";

/// Differ from server to server and from connection to connection: only their types are compared.
const OF_EACH: [&str; 9] =
    ["server_id", "server_name", "version", "go", "git_commit", "port", "client_id", "cluster", "xkey"];

/// What INFO says, a step for each key.
pub fn introduction(stage: &mut Stage) {
    let infos = [("", &stage.open), (" with a password", &stage.password), (" with a token", &stage.token)];
    let infos = infos.map(|(which, bus)| (which, Socket::open(bus).1, bus.port()));
    for (which, info, port) in infos {
        assert_eq!(info["port"], port, "INFO{which}: {info}");
        for (key, value) in info.as_object().expect("an object") {
            let value = if OF_EACH.contains(&key.as_str()) { json!(kind(value)) } else { value.clone() };
            stage.tell(&format!("INFO{which}: {key}"), value);
        }
    }
    let max_payload = Socket::open(&stage.small).1["max_payload"].clone();
    stage.tell("INFO with a small limit: max_payload", max_payload);
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(text) if text.is_empty() => "empty text",
        Value::String(_) => "text",
        Value::Number(_) => "number",
        _ => "something else",
    }
}

/// The same conversation in one piece and in many of one byte.
pub fn in_single_bytes(stage: &mut Stage) {
    let mut socket = Socket::open(&stage.open).0;
    let text = "CONNECT {\"verbose\":true,\"headers\":true}\r\nSUB a.* q 1\r\nPUB a.b c 2\r\nhi\r\n\
                HPUB a.b 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nUNSUB 1\r\nPING\r\n";
    for byte in text.as_bytes() {
        socket.send(&[*byte]);
    }
    socket.read_pongs(1);
    stage.tell("in single bytes", socket.take());
}

/// What two connections see of each other.
pub fn between_two(stage: &mut Stage) {
    let (mut plain, mut full) = (Socket::open(&stage.open).0, Socket::open(&stage.open).0);
    plain.send(b"CONNECT {\"verbose\":false,\"headers\":false}\r\nSUB a 7\r\nPING\r\n");
    plain.read_pongs(1);
    plain.take();
    full.send(
        b"CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB a b 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nPING\r\n",
    );
    full.read_pongs(1);
    plain.send(b"PING\r\n");
    plain.read_pongs(1);
    stage.tell("headers for one who takes none", plain.take());
    // One that leaves without a word is forgotten; nats-server closes its socket a moment before.
    plain.shut();
    plain.read_to_end();
    full.send(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB in 1\r\n");
    let told = wait_for("a word that nobody listens", PATIENCE, || {
        full.take();
        full.send(b"PUB a in 0\r\n\r\nPING\r\n");
        full.read_pongs(1);
        Some(full.take()).filter(|told| told != "PONG\r\n")
    });
    stage.tell("after the only subscriber has left", told);
}

/// A client that does not introduce itself.
pub fn authentication_takes_too_long(stage: &mut Stage) {
    let mut socket = Socket::open(&stage.password).0;
    socket.read_to_end();
    stage.tell("no introduction in time", socket.take());
    let mut socket = Socket::open(&stage.password).0;
    socket.send(b"CONNECT {\"user\":\"ali");
    socket.read_to_end();
    stage.tell("half an introduction in time", socket.take());
}

/// The server tells that it goes, and goes.
pub fn lame_duck(stage: &mut Stage) {
    let mut socket = Socket::open(&stage.open).0;
    // Only who understands it (protocol 1) is told, by nats-server.
    socket.send(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    socket.read_pongs(1);
    socket.take();
    stage.ask("lame duck");
    socket.read_to_end();
    let said = socket.take();
    let info = socket::info(&said).unwrap_or_default();
    let rest = said.split_once("\r\n").map(|(_, rest)| rest);
    stage.tell("lame duck: what INFO says", json!({ "ldm": info["ldm"], "max_payload": info["max_payload"] }));
    stage.tell("lame duck: the rest", rest);
}

/// One that answers pings stays, one that does not is cut off.
pub fn silence(stage: &mut Stage) {
    let brisk = stage.start(BusOptions { ping_interval_ms: Some(300), ..BusOptions::default() });
    let mut dead = Socket::open(&brisk).0;
    dead.send(CONNECT);
    dead.read_to_end();
    stage.tell("no answer to pings", dead.take());
    let mut alive = Socket::open(&brisk).0;
    alive.send(CONNECT);
    for _ in 0..4 {
        alive.read_until(|received| received.ends_with(b"PING\r\n"));
        alive.send(b"PONG\r\n");
        assert_eq!(alive.take(), "PING\r\n");
    }
    alive.send(b"PING\r\n");
    alive.read_pongs(1);
    stage.tell("answers to pings", alive.take().replace("PING\r\n", ""));
}

/// A receiver that does not read, behind senders that do not stop.
pub fn slow_consumer(stage: &mut Stage) {
    /// Together well over the 64 MiB that both let wait, and what the kernel holds beside. They are many because
    /// nats-server lets a sender wait for up to a second per message.
    const SENDERS: usize = 60;
    const EACH: usize = 2;
    const AT_ONCE: usize = 20;
    const SIZE: usize = 1_048_576;
    let bus = stage.start(BusOptions { monitor: true, ..BusOptions::default() });
    let connected = |text: &[u8]| {
        let mut socket = Socket::open(&bus).0;
        socket.send(&[CONNECT, text, b"PING\r\n"].concat());
        socket.read_pongs(1);
        socket.take();
        socket
    };
    let (mut deaf, mut reader) = (connected(b"SUB noise 1\r\n"), connected(b"SUB noise 1\r\n"));
    let mut senders: Vec<Socket> = (0..SENDERS).map(|_| connected(b"")).collect();
    let frame = [format!("PUB noise {SIZE}\r\n").as_bytes(), &vec![b'x'; SIZE], b"\r\n"].concat();
    let delivered = SIZE + format!("MSG noise 1 {SIZE}\r\n\r\n").len();
    let expected = SENDERS * EACH * delivered;
    let mut received = 0;
    for _ in 0..EACH {
        // No more at once than what a reader that is short of time may be behind.
        for group in senders.chunks_mut(AT_ONCE) {
            let awaited = group.len() * delivered;
            received += std::thread::scope(|scope| {
                let reading = scope.spawn(|| reader.count_bytes(awaited));
                for sender in group {
                    scope.spawn(|| sender.send(&frame));
                }
                reading.join().expect("a reader")
            });
        }
    }
    // A ping of the server may be among it.
    stage.tell("one that reads gets all", received >= expected);
    let mut closed = 0;
    for sender in &mut senders {
        sender.send(b"PING\r\n");
        sender.read_pongs(1);
        closed += usize::from(sender.is_closed());
    }
    stage.tell("senders that do not go on", closed);
    deaf.read_to_end();
    let said = deaf.take();
    stage.tell("it is cut off before it has got all", said.len() < expected);
    stage.tell("its last word", said.rsplit("\r\n").find(|line| line.starts_with("-ERR")));
    let varz = bus.monitor("/varz");
    let figures = json!({ "slow_consumers": varz["slow_consumers"], "connections": varz["connections"] });
    stage.tell("/varz", figures);
}
