//! The official NATS clients can't tell `werkpilot bus` from nats-server, and neither can a bare socket.
//!
//! The same script runs against both, and what it saw is compared step by step. What differs stands with its reason in
//! tests/conformance/differences.toml, and nothing else may differ. tests/conformance/README.md tells the rest.

#[path = "../conformance/differences.rs"]
mod differences;
#[path = "../conformance/monitor.rs"]
mod monitor;
#[path = "../conformance/raw/mod.rs"]
mod raw;
#[path = "../conformance/rust/mod.rs"]
mod rust;
#[path = "../conformance/stage.rs"]
mod stage;

use std::process::Command;
use std::thread;

use werkpilot_tests::nats::{Make, tool};

use stage::{Record, Stage};

/// Plays a script on both servers at once, and compares what it saw.
fn compare(name: &str, script: impl Fn(&mut Stage) + Sync) {
    let play = |make| {
        let mut stage = Stage::new(make);
        script(&mut stage);
        stage.end()
    };
    // For who writes a script: it has to see the same twice.
    let alone = std::env::var("WERKPILOT_CONFORMANCE").is_ok_and(|value| value == "theirs");
    let make = if alone { Make::NatsServer } else { Make::Werkpilot };
    let (ours, theirs): (Record, Record) = thread::scope(|scope| {
        let ours = scope.spawn(|| play(make));
        let theirs = play(Make::NatsServer);
        (ours.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), theirs)
    });
    assert!(!theirs.is_empty(), "the script says something");
    differences::check(name, &ours, &theirs, !alone);
}

fn script(path: &str) -> String {
    format!("{}/conformance/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Node with a library for the script.
fn node(library: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script("javascript/script.cjs")).arg(library).env("NODE_PATH", tool("node/node_modules"));
    command
}

#[test]
fn a_bare_socket_gets_the_same_bytes() {
    compare("raw", raw::play);
}

#[test]
fn a_client_that_does_not_answer_is_cut_off_at_the_same_point() {
    compare("silence", raw::silence);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_the_others_notice_nothing() {
    compare("slow consumer", raw::slow_consumer);
}

#[test]
fn a_monitor_reads_the_same_names_and_figures() {
    compare("monitor", monitor::play);
}

#[test]
fn the_rust_client_sees_no_difference() {
    compare("async-nats", rust::play);
}

#[test]
fn the_python_client_sees_no_difference() {
    compare("nats-py", |stage| {
        let mut command = Command::new(tool("python/bin/python"));
        stage.run(command.arg(script("python/script.py")));
    });
}

#[test]
fn the_javascript_client_sees_no_difference() {
    compare("transport-node", |stage| stage.run(&mut node("@nats-io/transport-node")));
}

#[test]
fn the_javascript_client_of_before_sees_no_difference() {
    compare("nats.js", |stage| stage.run(&mut node("nats")));
}
