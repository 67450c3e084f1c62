//! What connections, subscriptions and pending requests cost in resident memory of the server.

use std::fmt::Write;

use super::Sides;
use super::clients::{Helper, ready, stay};
use super::server::Server;
use super::wire::{Wire, publication};
use crate::report::Report;

const IDLE: usize = 10_000;
const SUBSCRIBERS: usize = 10;
const SUBSCRIPTIONS: usize = 100_000;
const PENDING: usize = 10_000;
const SILENT: &str = "rpc.silent";

/// Against the absolute targets of the issue; nats-server's figures stand beside.
pub fn compare(sides: &Sides, report: &mut Report) {
    let mut row = |what: &str, count: usize, target: f64, grow: fn(&Server) -> f64| {
        let bytes = sides.start().map(|server| grow(server) / count as f64);
        let text = bytes.map(|bytes| format!("{bytes:.0} B"));
        report.at_most(what, text.ours, text.peer, bytes.ours, target);
    };
    row("bus: RSS of an idle connection (10,000), B", IDLE, 10_240.0, |server| growth(server, "idle", &[IDLE]));
    row("bus: RSS of a subscription (100,000, 30 B subjects), B", SUBSCRIPTIONS, 200.0, |server| {
        growth(server, "subscriptions", &[SUBSCRIBERS, SUBSCRIPTIONS])
    });
    row("bus: RSS of a pending request (10,000, 100 B), B", PENDING, 1_024.0, |server| {
        let _silent = Helper::start("silent", server.address(), &[]);
        growth(server, "asker", &[PENDING])
    });
}

/// By how much the server grows through a client. A first client has come and gone before, so that what the server
/// needs only once is not counted.
fn growth(server: &Server, role: &str, numbers: &[usize]) -> f64 {
    drop(Helper::start("idle", server.address(), &[1]));
    let before = server.settled_rss();
    let _client = Helper::start(role, server.address(), numbers);
    server.settled_rss() - before
}

/// Connections that only are there.
pub fn idle(address: &str, connections: usize) {
    werkpilot_process::limits::raise_open_files();
    let _streams: Vec<_> = (0..connections).map(|_| Wire::connect(address).into_stream()).collect();
    ready();
    stay();
}

/// So many subscriptions, evenly over so many connections, each with a subject of its own.
pub fn subscriptions(address: &str, connections: usize, subscriptions: usize) {
    let each = subscriptions / connections;
    let subscribe = |connection: usize| {
        let mut wire = Wire::connect(address);
        let mut text = String::new();
        for sid in 0..each {
            let _ = write!(text, "SUB bench.subscriptions.{:010} {sid}\r\n", connection * each + sid);
        }
        wire.send(text.as_bytes());
        wire.sync();
        wire
    };
    let _wires: Vec<_> = (0..connections).map(subscribe).collect();
    ready();
    stay();
}

/// A responder that takes requests and never answers.
pub fn silent(address: &str) {
    let mut wire = Wire::connect(address);
    wire.send(format!("SUB {SILENT} 1\r\n").as_bytes());
    wire.sync();
    ready();
    loop {
        wire.receive(|_| {});
    }
}

/// Asks so often, and waits for ever.
pub fn asker(address: &str, requests: usize) {
    let mut wire = Wire::connect(address);
    wire.send(b"SUB _INBOX.asker.* 1\r\n");
    let frames = (0..requests).map(|number| publication(SILENT, &format!("_INBOX.asker.{number}"), 100));
    wire.send(&frames.collect::<Vec<_>>().concat());
    wire.sync();
    ready();
    stay();
}
