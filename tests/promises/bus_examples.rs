//! The examples of the bus do what they say, with the stock clients; and docs/bus.md shows their own lines.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use werkpilot_tests::nats::tool;
use werkpilot_tests::peer::{json, text};
use werkpilot_tests::processes::{Signal, signal};
use werkpilot_tests::{PATIENCE, Setup, Werkpilot, wait_for, wait_until};

/// Where the binary is; those of examples are in a folder below.
fn built() -> PathBuf {
    let tests = env::current_exe().expect("a test has a path");
    tests.ancestors().nth(2).expect("tests lie in target/<profile>/deps").to_owned()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// As a person has it who followed the READMEs: Python with the client, and our binaries.
fn path() -> String {
    let python = tool("python/bin");
    let built = built();
    format!("{}:{}:{}/examples:/usr/local/bin:/usr/bin:/bin", python.display(), built.display(), built.display())
}

fn start(folder: &str) -> Werkpilot {
    Setup::of_repository(folder).env("PATH", &path()).start()
}

/// What an agent has written, once its job has succeeded.
#[track_caller]
fn told_by(fleet: &Werkpilot, job: &str) -> Vec<String> {
    fleet.wait_for_event(job, "execution.succeeded");
    log_of(fleet, job)
}

/// The lines of an agent's log, without time, run and stream.
#[track_caller]
fn log_of(fleet: &Werkpilot, agent: &str) -> Vec<String> {
    let log = fleet.cli(&["logs", agent]).expect(0).out;
    let line = |line: &str| line.split_once(" O ").or(line.split_once(" E ")).map(|(_, text)| text.to_owned());
    log.lines().filter_map(line).collect()
}

#[track_caller]
fn ask(fleet: &Werkpilot, agent: &str, question: &Value) -> Value {
    fleet.cli(&["request", agent, &question.to_string(), "--json"]).expect(0).json()
}

#[test]
fn in_python_sales_asks_analytics_which_asks_rates() {
    let mut fleet = start("examples/python");
    assert_eq!(told_by(&fleet, "sales"), ["north: 120 orders, 45790 CHF", "atlantis: 404: no region atlantis"]);
    let south = json!({ "region": "south" });
    let answer = ask(&fleet, "analytics", &south);
    assert_eq!((&answer["from"], &answer["payload"]), (&json!("analytics"), &json!(r#"{"orders": 75, "chf": 29925}"#)));
    // The second time the bus has the answer, and nobody else is asked.
    assert_eq!(ask(&fleet, "analytics", &south)["payload"], answer["payload"]);
    assert_eq!(log_of(&fleet, "rates"), ["answering", "asked by analytics hop 2", "asked by analytics hop 2"]);
    assert!(fleet.terminate().success());
}

#[test]
fn in_javascript_sales_asks_analytics_and_a_watcher_hears_of_it() {
    let setup = Setup::of_repository("examples/javascript").env("PATH", &path());
    // Installed by `npm install` elsewhere.
    symlink(tool("node/node_modules"), setup.dir().join("registry/node_modules")).expect("a link");
    let mut fleet = setup.start();
    assert_eq!(told_by(&fleet, "sales"), ["north: 120 orders, 48200 EUR", "atlantis: 404: no region atlantis"]);
    wait_until("the watcher to hear of the end", || {
        log_of(&fleet, "watcher").iter().any(|line| line.ends_with("execution.succeeded sales"))
    });
    assert!(fleet.terminate().success());
}

#[test]
fn in_shell_a_job_answers_for_each_question_and_each_order() {
    let mut fleet = start("examples/shell");
    let told = told_by(&fleet, "sales");
    let found = |wanted: &str| assert!(told.iter().any(|line| line.contains(wanted)), "{wanted}: {told:?}");
    found(r#"{"orders": 120, "eur": 48200}"#);
    found("analytics answered with error 500: failed");
    found("no figures: exit code 1");
    found("published 9 B on orders.new");
    wait_until("the order in the ledger", || log_of(&fleet, "ledger").iter().any(|line| line == r#"order {"id": 7}"#));
    assert_eq!(told_by(&fleet, "confirmation"), [r#"dear customer, we have your order {"id": 7}"#]);
    assert!(fleet.terminate().success());
}

#[test]
fn a_micro_service_is_ready_once_it_answers_pings_and_tells_its_figures() {
    let mut fleet = start("examples/micro-service");
    let told = told_by(&fleet, "sales");
    assert!(told.contains(&r#"{"orders": 120, "eur": 48200}"#.to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.contains("error 404: no region atlantis")), "{told:?}");
    fleet.wait_for_event("analytics", "agent.ready");
    let mut operator = fleet.operator();
    let ping = json(&operator.request("$SRV.PING.analytics", b""));
    assert_eq!((&ping["name"], &ping["type"]), (&json!("analytics"), &json!("io.nats.micro.v1.ping_response")));
    let info = json(&operator.request("$SRV.INFO.analytics", b""));
    assert_eq!(info["endpoints"][0]["subject"], "rpc.analytics.figures", "{info}");
    let stats = json(&operator.request("$SRV.STATS.analytics", b""));
    assert_eq!((&stats["endpoints"][0]["num_requests"], &stats["endpoints"][0]["num_errors"]), (&json!(2), &json!(1)));
    // The same for programs that talk HTTP, and in one.
    let services = fleet.request("GET", "/api/v1/bus/services", None).expect(200).json();
    let endpoint = &services["services"][0]["endpoints"][0];
    assert_eq!((&endpoint["subject"], &endpoint["num_requests"]), (&info["endpoints"][0]["subject"], &json!(2)));
    assert_eq!(
        text(&operator.request("rpc.analytics.figures", br#"{"region": "south"}"#)),
        r#"{"orders": 75, "eur": 31500}"#
    );
    assert!(fleet.terminate().success());
}

/// The orchestrator of examples/rust, which is killed if the test fails.
struct Embedding(Child);

impl Drop for Embedding {
    fn drop(&mut self) {
        // It has ended unless the test has failed; its programs end with the next start or by themselves.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn in_rust_programs_and_an_actor_inside_the_orchestrator_ask_each_other() {
    let program = built().join("examples/rust-orchestrator");
    assert!(
        program.is_file(),
        "run `cargo build -p werkpilot --examples` first (`cargo nextest run --workspace` does)"
    );
    let dir = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| dir.path().join(name);
    let settings = format!(
        "[state]\ndir = \"{}\"\n[dashboard]\nlisten = \"127.0.0.1:0\"\n[bus]\nlisten = \"127.0.0.1:0\"\n",
        place("state").display()
    );
    fs::write(place("werkpilot.toml"), settings).expect("a file");
    let out = fs::File::create(place("out")).expect("a file");
    let mut command = Command::new(program);
    command.arg(repository().join("examples/rust")).arg(place("werkpilot.toml")).env("PATH", path());
    let child = command.stdin(Stdio::null()).stdout(out).spawn().expect("it is started");
    let mut fleet = Embedding(child);
    let log = |agent: &str| fs::read_to_string(place("state/logs").join(agent).join("current.log")).unwrap_or_default();
    wait_until("the figures of both regions", || {
        let sold = log("sales");
        sold.contains("north: 120 orders, 45790.0 CHF") && sold.contains("atlantis: 404: no region atlantis")
    });
    wait_until("the program's own answer", || {
        fs::read_to_string(place("out"))
            .is_ok_and(|out| out.contains("south: Ok(Figures { orders: 75, chf: 29925.0 })"))
    });
    let asked = Command::new(built().join("werkpilot"))
        .args(["request", "analytics.figures", r#"{"region": "north"}"#, "--state-dir"])
        .arg(place("state"))
        .output()
        .expect("the CLI runs");
    assert_eq!(String::from_utf8_lossy(&asked.stdout), r#"{"orders":120,"chf":45790.0}"#, "{asked:?}");
    signal(i32::try_from(fleet.0.id()).expect("a pid"), Signal::TERM);
    let ended = wait_for("the end of the orchestrator", PATIENCE, || fleet.0.try_wait().expect("a child of ours"));
    assert!(ended.success(), "{ended}");
}

/// A fenced block of a page: its language and its lines.
type Block<'a> = (&'a str, Vec<&'a str>);

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            blocks.push((language, lines.by_ref().take_while(|line| *line != "```").map(str::trim).collect()));
        }
    }
    blocks
}

/// Whether the file has these lines, piece after piece: `…` stands for lines that are left out.
fn has(file: &str, shown: &[&str]) -> Result<(), String> {
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let mut rest = lines.as_slice();
    for piece in shown.split(|line| matches!(*line, "# …" | "// …")) {
        let place = rest.windows(piece.len().max(1)).position(|window| window == piece);
        rest = &rest[place.ok_or_else(|| piece.join("\n"))? + piece.len()..];
    }
    Ok(())
}

#[test]
fn the_page_on_the_bus_shows_the_examples_own_lines() {
    let page = fs::read_to_string(repository().join("docs/bus.md")).expect("the page");
    let mut languages = Vec::new();
    for (language, lines) in blocks(&page) {
        if matches!(language, "" | "console" | "text") {
            continue;
        }
        let (first, shown) = lines.split_first().expect("a block has lines");
        let name = first.trim_start_matches(['#', '/', ' ']);
        let file = fs::read_to_string(repository().join(name));
        let file =
            file.unwrap_or_else(|error| panic!("a block does not begin with the name of its file: {first}: {error}"));
        has(&file, shown).unwrap_or_else(|piece| panic!("{name} does not have, or not in this order:\n{piece}"));
        languages.push(language);
    }
    for language in ["python", "javascript", "rust", "go", "sh", "toml"] {
        assert!(languages.contains(&language), "nothing is shown in {language}");
    }
}
