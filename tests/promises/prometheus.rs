//! A real Prometheus: it scrapes the orchestrator, its own linter has nothing to say about what it gets, and every query of
//! the Grafana dashboard finds data.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use werkpilot_tests::peer::{Responder, text};
use werkpilot_tests::{PATIENCE, Werkpilot, fetch, processes, wait_for};

/// A fleet of which there is something to tell everywhere: executions of all kinds, an open breaker, a dead letter, probes,
/// answers on the bus, a report of the optimizer, notifications.
const REGISTRY: &str = r#"
[[agent]]
name = "agent-db"
ready = { after = "10ms" }
health = { exec = ["true"], interval = "200ms" }
command = ["sleep", "1000"]

[[agent]]
name = "clerk"
ready = { after = "10ms" }
command = ["sleep", "1000"]

[[agent]]
name = "report"
schedule = "* * * * * *"
dependencies = ["agent-db"]
command = ["true"]

[[agent]]
name = "bad"
kind = "job"
command = ["false"]
retry = { max = 1, initial = "10ms" }
"#;

const SETTINGS: &str = r#"
[health]
interval = "1s"

[memory]
interval = "1s"

[breaker]
dead_letters = 1

[[notify]]
name = "ops"
command = ["true"]
events = [">"]
"#;

struct Fleet {
    orchestrator: Werkpilot,
    _clerk: Responder,
}

impl Fleet {
    /// Everything that is to be told of has happened.
    fn start() -> Self {
        let orchestrator = Werkpilot::start(&[("fleet.toml", REGISTRY)], SETTINGS);
        let mut clerk = orchestrator.peer("clerk");
        clerk.subscribe("rpc.clerk");
        let clerk = clerk.answer_with(|_| b"42".to_vec());
        assert_eq!(text(&orchestrator.operator().request("rpc.clerk", b"")), "42");
        assert_eq!(orchestrator.run("report")["end"], "succeeded");
        // Before there is a breaker that it would let a trial through.
        orchestrator.request("POST", "/api/v1/optimize", Some(&json!({}))).expect(200);
        assert_eq!(orchestrator.run("bad")["end"], "failed");
        orchestrator.wait_for_status("bad", "disabled_by_failure");
        Self { orchestrator, _clerk: clerk }
    }

    fn scrape(&self, accept: &str) -> String {
        self.orchestrator.tcp("GET", "/metrics", &[("Accept", accept)]).expect(200).body
    }
}

/// A program of Debian's package `prometheus`: on the PATH, or unpacked by scripts/setup.sh below `target/tools`.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/usr/bin");
    let mut places = std::env::split_paths(&path).chain([tools]);
    let found = places.find_map(|place| Some(place.join(name)).filter(|program| program.is_file()));
    found.unwrap_or_else(|| panic!("there is no {name}; `scripts/setup.sh test` gets it"))
}

/// A Prometheus that scrapes a fleet every second, and is ended with the test.
struct Prometheus {
    process: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn of(fleet: &Werkpilot) -> Self {
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: werkpilot\n    static_configs:\n      - targets: ['{}']\n",
            fleet.address()
        );
        fs::write(fleet.dir().join("prometheus.yml"), config).unwrap();
        let log = fleet.dir().join("prometheus.log");
        let mut command = Command::new(program("prometheus"));
        command.current_dir(fleet.dir()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=prometheus"]);
        command.arg("--web.listen-address=127.0.0.1:0").stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let process = command.spawn().unwrap();
        // Whatever happens now, it is ended.
        let mut this = Self { process, address: ([127, 0, 0, 1], 0).into() };
        this.address = wait_for("the port of Prometheus", PATIENCE, || {
            let log = fs::read_to_string(&log).ok()?;
            let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        });
        this
    }

    /// What a query finds now: series with their values. `None`: it does not answer yet.
    fn ask(&self, query: &str) -> Option<Vec<Value>> {
        let encoded = query.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
        let stream = TcpStream::connect(self.address).ok()?;
        let answer = fetch(stream, &format!("/api/v1/query?query={encoded}")).ok()?;
        // It says 503 while it starts.
        if answer.status == 503 {
            return None;
        }
        let answer = answer.expect(200).json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }

    fn value(&self, query: &str) -> Option<String> {
        self.ask(query)?.first()?["value"][1].as_str().map(str::to_owned)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        processes::signal(i32::try_from(self.process.id()).expect("a pid"), processes::Signal::TERM);
        let _ = self.process.wait();
    }
}

/// The dashboard's queries with the titles of their panels, as Grafana sends them.
fn queries() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grafana/werkpilot.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let as_sent = |query: &Value| {
        let query = query.as_str().expect("a query").replace("$__rate_interval", "10s").replace("$agent", ".*");
        assert!(!query.contains('$'), "an unknown variable: {query}");
        query
    };
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            all.push((panel["title"].as_str().unwrap().to_owned(), as_sent(&target["expr"])));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        all.push((annotation["name"].as_str().unwrap().to_owned(), as_sent(&annotation["expr"])));
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(labels) = variable["definition"].as_str().and_then(|text| text.strip_prefix("label_values(")) {
            let (metric, label) = labels.trim_end_matches(')').split_once(", ").expect("a metric and its label");
            all.push((format!("variable {}", variable["name"]), format!("group by ({label}) ({metric})")));
        }
    }
    all
}

#[test]
fn a_real_prometheus_scrapes_the_fleet_and_every_query_of_the_dashboard_finds_data() {
    let fleet = Fleet::start();
    let prometheus = Prometheus::of(&fleet.orchestrator);
    for (query, wanted) in [
        ("up", "1"),
        ("werkpilot_agent_up{agent=\"agent-db\"}", "1"),
        ("werkpilot_agent_failures_total{agent=\"bad\"}", "1"),
        ("werkpilot_agent_breaker_state{agent=\"bad\",state=\"open\"}", "1"),
        ("werkpilot_agent_probe_passing{agent=\"agent-db\",probe=\"exec\"}", "1"),
        ("werkpilot_executions_total{end=\"failed\"}", "1"),
        ("werkpilot_dead_letters_total", "1"),
        ("count(werkpilot_agent_execution_duration_seconds)", "3"),
        ("count(werkpilot_agent_request_latency_seconds)", "3"),
    ] {
        wait_for(&format!("{query} = {wanted}"), PATIENCE, || (prometheus.value(query)? == wanted).then_some(()));
    }
    let queries = queries();
    assert!(queries.len() > 50, "there is a dashboard");
    for (panel, query) in queries {
        let found = || prometheus.ask(&query).filter(|series| !series.is_empty());
        wait_for(&format!("data for \"{panel}\": {query}"), PATIENCE, found);
    }
}

/// Metrics of docs/metrics.md of which there is no sample.
fn unseen(metrics: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = fs::read_to_string(path).unwrap();
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let seen: BTreeSet<&str> = metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let is_told =
        |name: &&str| *name != "werkpilot_memory_pressure_ratio" || Path::new("/proc/pressure/memory").exists();
    names.filter(is_told).filter(|name| !seen.contains(name)).map(str::to_owned).collect()
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics_and_all_that_are_documented_are_there() {
    let fleet = Fleet::start();
    let metrics = wait_for("a sample of every metric", PATIENCE, || {
        let metrics = fleet.scrape("text/plain;version=0.0.4");
        unseen(&metrics).is_empty().then_some(metrics)
    });
    let mut command = Command::new(program("promtool"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
