//! `werkpilot request`, `pub` and `sub` talk on any bus, and say what went wrong by exit code and text.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use werkpilot_tests::nats::{Bus, BusOptions};
use werkpilot_tests::processes::{Signal, signal};
use werkpilot_tests::{Outcome, PATIENCE, Werkpilot, wait_for, wait_until};

/// A bus alone, and a folder from which it is talked to.
struct Place {
    bus: Bus,
    dir: TempDir,
}

impl Place {
    fn new(options: BusOptions) -> Self {
        Self { bus: Bus::ours(options), dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The CLI, as if nobody had set anything.
    fn bare(&self, arguments: &[&str]) -> Command {
        let tests = std::env::current_exe().expect("a test has a path");
        let built: PathBuf = tests.ancestors().nth(2).expect("tests lie in target/<profile>/deps").join("werkpilot");
        let mut command = Command::new(built);
        command.args(arguments).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command
    }

    /// The CLI with this bus.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.args(["--server", &self.bus.url()]);
        command
    }

    fn cli(&self, arguments: &[&str]) -> Outcome {
        outcome(&mut self.command(arguments))
    }

    fn cli_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = self.command(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the CLI runs");
        child.stdin.take().expect("a pipe").write_all(stdin).expect("it reads");
        child.wait_with_output().expect("it ends").into()
    }

    /// `werkpilot sub`, once it listens.
    fn sub(&self, arguments: &[&str]) -> Listener {
        Listener::start(self.command(&[&["sub"], arguments].concat()))
    }

    /// Asks `rpc.x`, gives this answer, and tells what was asked and what came of it.
    fn ask(&self, request: &[&str], answer: &[&str]) -> (Value, Outcome) {
        let mut responder = self.sub(&["rpc.x", "--json", "--count", "1"]);
        let mut command = self.command(&[&["request", "x"], request].concat());
        let asking = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the CLI runs");
        let asked: Value = serde_json::from_str(&responder.line()).expect("JSON");
        responder.ended(0);
        let reply = asked["reply"].as_str().expect("a reply subject");
        self.cli(&[&["pub", reply], answer].concat()).expect(0);
        (asked, asking.wait_with_output().expect("it ends").into())
    }
}

fn outcome(command: &mut Command) -> Outcome {
    command.output().expect("the CLI runs").into()
}

/// `werkpilot sub` in the background; ended by its pid in all cases.
struct Listener {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl Listener {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the CLI runs");
        let stdout = child.stdout.take().map(BufReader::new);
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        stderr.read_line(&mut said).expect("text");
        assert!(said.starts_with("listening to "), "{said}");
        Self { child, stdout, stderr }
    }

    /// Its next line.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("it is open").read_line(&mut line).expect("text");
        line
    }

    fn signal(&self, which: Signal) {
        signal(i32::try_from(self.child.id()).expect("a pid"), which);
    }

    /// All that it still writes until it ends with this code: stdout and stderr.
    #[track_caller]
    fn ended(&mut self, code: i32) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(stdout) = &mut self.stdout {
            stdout.read_to_string(&mut out).expect("text");
        }
        self.stderr.read_to_string(&mut err).expect("text");
        let status = wait_for("the end of sub", PATIENCE, || self.child.try_wait().expect("a child of ours"));
        assert_eq!(status.code(), Some(code), "{out}{err}");
        (out, err)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_one_publishes_the_others_get() {
    let place = Place::new(BusOptions::default());
    let mut lines = place.sub(&["orders.*", "--count", "3"]);
    let mut raw = place.sub(&["orders.>", "--raw", "--count", "3"]);
    let mut objects = place.sub(&["orders.new", "--json", "--count", "3"]);
    let told = place.cli(&["pub", "orders.new", "{\"id\": 7}", "-H", "A: 1", "--header", "A: 2"]).expect(0);
    assert_eq!((told.out.as_str(), told.err.as_str()), ("published 9 B on orders.new\n", ""));
    place.cli_with_stdin(&["pub", "orders.new", "-", "--reply", "answers"], b"two\nlines\n").expect(0);
    let told = place.cli(&["pub", "orders.new", "--json"]).expect(0).json();
    assert_eq!(told, json!({ "subject": "orders.new", "payloadBytes": 0 }));
    let (out, err) = lines.ended(0);
    assert_eq!(out, "orders.new  -  {\"id\": 7}\norders.new  -  two\\nlines\norders.new  -\n");
    assert_eq!(err, "");
    assert_eq!(raw.ended(0).0, "{\"id\": 7}\ntwo\nlines\n\n");
    let (out, _) = objects.ended(0);
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        objects[0],
        json!({ "subject": "orders.new", "reply": null, "from": null, "headers": { "A": ["1", "2"] }, "payload": "{\"id\": 7}" })
    );
    assert_eq!(objects[1]["reply"], "answers");
}

#[test]
fn a_group_shares_its_messages() {
    let place = Place::new(BusOptions::default());
    let mut workers = [(); 2].map(|()| place.sub(&["orders", "--queue", "workers", "--raw", "--count", "1"]));
    for order in ["1", "2"] {
        place.cli(&["pub", "orders", order]).expect(0);
    }
    let mut got = workers.each_mut().map(|worker| worker.ended(0).0);
    got.sort();
    assert_eq!(got, ["1\n", "2\n"]);
}

#[test]
fn an_answer_is_shown_as_it_is_or_with_everything() {
    let place = Place::new(BusOptions::default());
    let before = SystemTime::now();
    let (asked, answer) = place.ask(&["{\"month\": \"2026-11\"}", "--timeout", "30s", "-H", "A: 1"], &["[1.50, {}]"]);
    assert_eq!(answer.expect(0).out, "[1.50, {}]");
    assert_eq!((&asked["payload"], &asked["headers"]["A"]), (&json!("{\"month\": \"2026-11\"}"), &json!(["1"])));
    let deadline = asked["headers"]["Werkpilot-Deadline"][0].as_str().expect("a deadline");
    let seconds = outcome(Command::new("date").args(["-d", deadline, "+%s"])).expect(0).out;
    let deadline = Duration::from_secs(seconds.trim().parse().expect("seconds since the epoch"));
    let left = deadline.saturating_sub(before.duration_since(SystemTime::UNIX_EPOCH).expect("after the epoch"));
    assert!((28..=60).contains(&left.as_secs()), "{left:?}");

    let (asked, answer) = place.ask(&["--json"], &["yes", "--header", "Kind: short"]);
    assert_eq!(asked["payload"], "");
    let answer = answer.expect(0).json();
    assert_eq!((&answer["payload"], &answer["from"]), (&json!("yes"), &Value::Null));
    assert_eq!(answer["headers"], json!({ "Kind": ["short"] }));
    assert!(answer["latencyMs"].as_f64().is_some_and(|ms| ms > 0.0), "{answer}");
}

#[test]
fn an_answer_that_is_an_error_is_a_failure() {
    let place = Place::new(BusOptions::default());
    let error = |code: &str, text: &str| {
        let (code, text) = (format!("Nats-Service-Error-Code: {code}"), format!("Nats-Service-Error: {text}"));
        place.ask(&["{}"], &["details", "-H", &code, "-H", &text]).1
    };
    let told = error("400", "no such month").expect(1);
    assert_eq!(told.err, "details\nerror: x answered with error 400: no such month\n");
    let told = error("503", "disabled: by an operator").expect(75).err;
    assert!(told.contains("error: x is unavailable: disabled: by an operator\n hint: `werkpilot why x`"), "{told}");
}

#[test]
fn a_request_that_gets_no_answer_says_why() {
    let place = Place::new(BusOptions { max_payload: Some(512), ..BusOptions::default() });
    let told = place.cli(&["request", "x.y", "{}"]).expect(69);
    assert!(told.err.starts_with("error: no agent listens on rpc.x.y\n"), "{}", told.err);
    let _mute = place.sub(&["rpc.>"]);
    let told = place.cli(&["request", "x", "--timeout", "200ms", "--json"]).expect(124);
    assert!(told.err.starts_with("{\"error\":\"no answer on rpc.x within 200ms\",\"exitCode\":124,"), "{}", told.err);
    let told = place.cli(&["request", "x", "{id: 7}"]).expect(64);
    assert!(told.err.starts_with("error: the request is no JSON: "), "{}", told.err);
    let told = place.cli_with_stdin(&["request", "x", "-"], &[b'x'; 513]).expect(64);
    assert!(told.err.contains("is over the bus's limit of 512\n"), "{}", told.err);
    place.cli(&["pub", "orders.*", "x"]).expect(64);
    place.cli(&["pub", "orders", "x", "--header", "none"]).expect(64);
    place.cli(&["sub", "orders..new"]).expect(64);
    place.cli(&["request", "Not-A-Name"]).expect(64);
}

#[test]
fn credentials_are_the_operators_or_in_the_address() {
    let mut place = Place::new(BusOptions { user: Some(("operator", "p:w")), ..BusOptions::default() });
    let told = place.cli(&["pub", "a", "x"]).expect(77);
    assert!(told.err.contains("does not accept the credentials: Authorization Violation\n"), "{}", told.err);
    let url = place.bus.url().replace("://", "://operator:p%3Aw@");
    outcome(&mut place.bare(&["pub", "a", "x", "--server", &url])).expect(0);
    outcome(place.bare(&["pub", "a", "x"]).env("NATS_URL", &url)).expect(0);

    let told = outcome(&mut place.bare(&["pub", "a", "x", "--state-dir", "state"])).expect(69);
    assert!(
        told.err.contains("no orchestrator is running on state\n") && told.err.contains("--server"),
        "{}",
        told.err
    );
    let folder = place.dir.path().join("state/bus");
    std::fs::create_dir_all(&folder).expect("a folder");
    let operator = json!({ "url": place.bus.url(), "user": "operator", "password": "p:w" });
    std::fs::write(folder.join("operator.json"), operator.to_string()).expect("a file");
    // What is named counts for more than the environment.
    let mut named = place.bare(&["pub", "a", "x", "--state-dir", "state"]);
    outcome(named.env("NATS_URL", "nats://127.0.0.1:1")).expect(0);
    place.bus.stop();
    let told = outcome(&mut place.bare(&["pub", "a", "x", "--state-dir", "state"])).expect(69);
    assert!(told.err.starts_with("error: no bus at nats://127.0.0.1:"), "{}", told.err);
    assert!(!told.err.contains("p:w") && told.err.contains("`werkpilot status`"), "{}", told.err);

    let place = Place::new(BusOptions { token: Some("s3cret"), ..BusOptions::default() });
    let url = place.bus.url().replace("://", "://s3cret@");
    outcome(&mut place.bare(&["pub", "a", "x", "--server", &format!("nats://127.0.0.1:1,{url}")])).expect(0);
}

#[test]
fn listening_ends_with_a_signal_or_its_time() {
    let place = Place::new(BusOptions::default());
    for which in [Signal::INT, Signal::TERM] {
        let mut sub = place.sub(&["orders"]);
        sub.signal(which);
        assert_eq!(sub.ended(0), (String::new(), String::new()));
    }
    place.sub(&["orders", "--timeout", "50ms"]).ended(0);
    let (_, err) = place.sub(&["orders", "--timeout", "50ms", "--count", "2"]).ended(124);
    assert_eq!(err, "error: 2 messages on orders did not come within 50ms\n");
}

#[test]
fn listening_ends_when_the_bus_goes_away() {
    let mut place = Place::new(BusOptions::default());
    let mut sub = place.sub(&["orders"]);
    place.bus.stop();
    let (_, err) = sub.ended(69);
    assert!(
        err.starts_with("error: the bus at nats://127.0.0.1:") && err.contains("is gone: it was shut down"),
        "{err}"
    );
}

#[test]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    let place = Place::new(BusOptions::default());
    let mut sub = place.sub(&["orders"]);
    place.cli(&["pub", "orders", "1"]).expect(0);
    assert_eq!(sub.line(), "orders  -  1\n");
    sub.stdout = None;
    wait_until("the end of sub", || {
        place.cli(&["pub", "orders", "2"]).expect(0);
        sub.child.try_wait().expect("a child of ours").is_some()
    });
    assert_eq!(sub.ended(0).1, "");
}

const FLEET: &str = r#"
[[agent]]
name = "agent-sales"
shell = "exec sleep 600"
ready = { after = "0s" }
"#;

#[test]
fn the_bus_of_the_running_orchestrator_is_found() {
    let fleet = Werkpilot::start(&[("fleet.toml", FLEET)], "");
    let mut sub = Listener::start(fleet.cli_command(&["sub", "agent.*", "--json"]));
    fleet.cli(&["stop", "agent-sales"]).expect(0);
    fleet.wait_for_status("agent-sales", "stopped");
    let event: Value = serde_json::from_str(&sub.line()).expect("JSON");
    assert!(event["subject"].as_str().is_some_and(|subject| subject.starts_with("agent.")), "{event}");
    sub.signal(Signal::INT);
    sub.ended(0);

    let told = fleet.cli(&["request", "agent-sales", "{}"]).expect(75);
    assert!(told.err.starts_with("error: agent-sales is unavailable: stopped"), "{}", told.err);
    let told = fleet.cli(&["request", "agent-slaes"]).expect(69);
    assert_eq!(told.err, "error: no agent listens on rpc.agent-slaes\n hint: did you mean `agent-sales`?\n");
    let told = fleet.cli(&["pub", "agent.started", "{}"]).expect(77);
    assert!(
        told.err.starts_with("error: the bus does not allow it: Permissions Violation for Publish"),
        "{}",
        told.err
    );
    let mut sub = Listener::start(fleet.cli_command(&["sub", "free.subject", "--count", "1"]));
    fleet.cli(&["pub", "free.subject", "hello"]).expect(0);
    assert_eq!(sub.ended(0).0, "free.subject  operator  hello\n");
}
