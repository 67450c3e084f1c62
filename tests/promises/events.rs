//! Events: followed, filtered, resumed by their numbers over restarts and crashes; what is gone is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use werkpilot_tests::{Werkpilot, wait_until};

const JOBS: &str = "[[agent]]\nname = \"good\"\nkind = \"job\"\ncommand = [\"true\"]\n\
                    [[agent]]\nname = \"other\"\nkind = \"job\"\ncommand = [\"true\"]\n\
                    [[agent]]\nname = \"bad\"\nkind = \"job\"\ncommand = [\"false\"]\nretry = { max = 0 }\n";

fn fleet() -> Werkpilot {
    Werkpilot::start(&[("fleet.toml", JOBS)], "[breaker]\ndead_letters = 1000000\n")
}

/// A `werkpilot events -f` that runs until it is dropped.
struct Follower {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
}

fn gathered(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let into = lines.clone();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    lines
}

impl Follower {
    fn of(fleet: &Werkpilot, arguments: &[&str]) -> Self {
        let mut command = fleet.cli_command(&[&["events", "-f"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the CLI runs");
        let out = gathered(child.stdout.take().expect("a pipe"));
        let err = gathered(child.stderr.take().expect("a pipe"));
        Self { child, out, err }
    }

    fn lines(&self) -> Vec<String> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn events(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).expect("an object per line")).collect()
    }

    fn numbers(&self) -> Vec<u64> {
        self.events().iter().filter_map(|event| event["seq"].as_u64()).collect()
    }

    fn types(&self) -> Vec<String> {
        self.events().iter().filter_map(|event| event["type"].as_str().map(str::to_owned)).collect()
    }

    fn said(&self) -> String {
        self.err.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    #[track_caller]
    fn wait_for_run(&self, run: &str, topic: &str) {
        wait_until(&format!("{topic} of {run}"), || {
            self.events().iter().any(|event| event["data"]["run"] == run && event["type"] == topic)
        });
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn without_gaps(numbers: &[u64]) {
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn a_follower_sees_what_was_and_what_comes_in_order_and_once() {
    let fleet = fleet();
    let before = fleet.trigger("good");
    fleet.end_of(&before);
    let follower = Follower::of(&fleet, &["--json", "--after", "0"]);
    follower.wait_for_run(&before, "execution.succeeded");
    for _ in 0..5 {
        let run = fleet.trigger("good");
        follower.wait_for_run(&run, "execution.succeeded");
    }
    let numbers = follower.numbers();
    assert_eq!(numbers[0], 1);
    without_gaps(&numbers);
    assert_eq!(follower.said(), "");
    // For people, a line each; the last ones first.
    let people = Follower::of(&fleet, &["--limit", "2"]);
    wait_until("two lines", || people.lines().len() == 2);
    assert!(people.lines()[1].contains("execution.succeeded"), "{:?}", people.lines());
    fleet.run("good");
    wait_until("more lines", || people.lines().len() > 4);
}

#[test]
fn types_and_agents_may_be_several_and_types_patterns() {
    let fleet = fleet();
    let arguments = [
        "--json",
        "--limit",
        "0",
        "--type",
        "execution.failed",
        "--type",
        "dlq.*",
        "--agent",
        "bad",
        "--agent",
        "good",
    ];
    let follower = Follower::of(&fleet, &arguments);
    // It follows once something that fits has come through.
    wait_until("the first one", || {
        fleet.run("bad");
        !follower.lines().is_empty()
    });
    fleet.run("other");
    fleet.run("good");
    let run = fleet.trigger("bad");
    follower.wait_for_run(&run, "execution.failed");
    wait_until("its dead letter", || follower.types().last().is_some_and(|kind| kind == "dlq.added"));
    assert!(
        follower.types().iter().all(|kind| kind == "execution.failed" || kind == "dlq.added"),
        "{:?}",
        follower.types()
    );

    // The same without following, over the API and from the disk.
    let of = |arguments: &[&str]| {
        let page = fleet.cli(&[&["events", "--json", "--limit", "1000"], arguments].concat()).expect(0).json();
        page["events"].as_array().unwrap().clone()
    };
    assert!(of(&["--type", "execution.>", "--agent", "other"]).iter().all(|event| event["data"]["agent"] == "other"));
    assert_eq!(of(&["--type", "execution.*", "--agent", "other"]).len(), 3);
    assert_eq!(
        of(&["--type", "execution.*", "--type", "agent.started", "--agent", "other", "--agent", "good"]).len(),
        8
    );
    let wrong = fleet.cli(&["events", "--type", "agent.f*"]).expect(64);
    assert!(wrong.err.contains("wildcard"), "{}", wrong.err);
    let mut fleet = fleet;
    fleet.terminate();
    let kept = fleet
        .cli(&["events", "--json", "--type", "execution.*", "--agent", "other", "--agent", "good"])
        .expect(0)
        .json();
    assert_eq!(kept["events"].as_array().unwrap().len(), 6, "{kept}");
}

#[test]
fn a_follower_lives_through_restarts_and_misses_nothing() {
    let mut fleet = fleet();
    let follower = Follower::of(&fleet, &["--json", "--after", "0"]);
    for _ in 0..2 {
        let run = fleet.trigger("good");
        follower.wait_for_run(&run, "execution.succeeded");
        fleet.restart();
    }
    let run = fleet.trigger("good");
    follower.wait_for_run(&run, "execution.succeeded");
    let numbers = follower.numbers();
    without_gaps(&numbers);
    assert_eq!(numbers[0], 1);
    let types = follower.types();
    assert_eq!(types.iter().filter(|kind| *kind == "shutdown.started").count(), 2, "{types:?}");
    assert_eq!(types.iter().filter(|kind| *kind == "boot.completed").count(), 3, "{types:?}");
    let said = follower.said();
    assert_eq!(said.matches("waiting for the orchestrator to come back").count(), 2, "{said}");
    assert_eq!(said.matches("the orchestrator is back; going on after number").count(), 2, "{said}");
    assert!(!said.contains("gone:") && !said.contains("anew"), "{said}");
}

#[test]
fn after_a_crash_a_follower_goes_on_with_what_is_there() {
    let mut fleet = fleet();
    let follower = Follower::of(&fleet, &["--json", "--after", "0"]);
    let run = fleet.trigger("good");
    follower.wait_for_run(&run, "execution.succeeded");
    fleet.kill_and_restart();
    let run = fleet.trigger("good");
    follower.wait_for_run(&run, "execution.succeeded");
    // What is in the history now was seen, and either the numbers have no gap, or it was said that they begin anew.
    let seen = follower.events();
    let kept = fleet.get("/api/v1/events?after=0&limit=1000");
    for event in kept["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["seq"].as_u64() <= seen.last().unwrap()["seq"].as_u64())
    {
        assert!(seen.iter().any(|one| one == event), "{event} was not seen");
    }
    let numbers = follower.numbers();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) || follower.said().contains("given anew"),
        "{numbers:?}"
    );
}

#[test]
fn what_is_gone_is_told() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", JOBS)], "[history]\nkeep = \"1s\"\n");
    fleet.run("good");
    // The next one finds old events on its disk, and takes them out.
    fleet.restart();
    fleet.wait_for_log("History pruned");
    fleet.restart();
    let oldest = fleet.get("/api/v1/events?after=0")["oldest"].as_u64().expect("a number");
    assert!(oldest > 1);
    let follower = Follower::of(&fleet, &["--json", "--after", "0"]);
    wait_until("what is there", || !follower.lines().is_empty());
    let gap = format!("events 1 to {} are gone", oldest - 1);
    assert!(follower.said().contains(&gap), "{}", follower.said());
    assert!(fleet.cli(&["events", "--after", "0"]).expect(0).err.contains(&gap));
    // A number that is still to come is of another state folder.
    let ahead = Follower::of(&fleet, &["--json", "--after", "1000000"]);
    wait_until("a word about it", || ahead.said().contains("there is no event 1000000 yet"));
    // It goes on after the newest of then.
    wait_until("the next event", || {
        fleet.run("good");
        !ahead.lines().is_empty()
    });
}

#[test]
fn without_an_orchestrator_there_is_nothing_to_follow() {
    let mut fleet = fleet();
    fleet.terminate();
    let outcome = fleet.cli(&["events", "-f"]).expect(69);
    assert!(outcome.err.contains("no orchestrator is running"), "{}", outcome.err);
}

#[test]
fn who_waits_over_the_api_is_woken_by_what_fits_and_by_nothing_else() {
    let fleet = fleet();
    let newest = fleet.get("/api/v1/events?limit=1")["newest"].as_u64().unwrap();
    let begun = Instant::now();
    let none = fleet.get(&format!("/api/v1/events?after={newest}&wait=0.3s&type=dlq.*"));
    assert!(none["events"].as_array().unwrap().is_empty() && begun.elapsed() >= Duration::from_millis(300), "{none}");
    let (answer, took) = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let begun = Instant::now();
            (
                fleet.get(&format!("/api/v1/events?after={newest}&wait=30s&type=execution.failed,dlq.*&agent=bad")),
                begun.elapsed(),
            )
        });
        fleet.run("good");
        fleet.run("bad");
        waiting.join().unwrap()
    });
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(answer["events"][0]["type"], "execution.failed", "{answer}");
    let at_once = Instant::now();
    fleet.get("/api/v1/events?after=0&wait=30s");
    fleet.get("/api/v1/events?after=1000000&wait=30s");
    assert!(at_once.elapsed() < Duration::from_secs(20), "what is there, or can't come, is not waited for");
    assert_eq!(fleet.request("GET", "/api/v1/events?after=0&wait=soon", None).status, 400);
    assert_eq!(fleet.request("GET", "/api/v1/events?type=agent.f*", None).status, 400);
}

#[test]
fn followers_are_bounded_and_a_stop_ends_their_wait() {
    let mut fleet = fleet();
    let newest = fleet.get("/api/v1/events?limit=1")["newest"].as_u64().unwrap();
    let path = format!("/api/v1/events?after={newest}&wait=60s&type=dlq.added");
    let mut waiting: Vec<UnixStream> = Vec::new();
    let mut wait = |fleet: &Werkpilot| {
        let mut stream = UnixStream::connect(fleet.socket()).expect("a connection");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
        waiting.push(stream);
    };
    for _ in 0..255 {
        wait(&fleet);
    }
    wait_until("a place that is not there", || {
        // Who looks takes a place, too, and so one of them may be sent away.
        wait(&fleet);
        fleet.request("GET", &path.replace("60s", "0.01s"), None).status == 503
    });
    let begun = Instant::now();
    assert!(fleet.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(10));
    let mut answer = String::new();
    waiting[0].read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}
