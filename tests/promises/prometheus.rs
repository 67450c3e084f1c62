//! A real Prometheus: it scrapes the orchestrator, and its own linter has nothing to say about what it gets.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use werkpilot_tests::{PATIENCE, Werkpilot, fetch, processes, wait_for};

/// A program of Debian's package `prometheus`: on the PATH, or unpacked by scripts/setup.sh below `target/tools`.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/usr/bin");
    let mut places = std::env::split_paths(&path).chain([tools]);
    let found = places.find_map(|place| Some(place.join(name)).filter(|program| program.is_file()));
    found.unwrap_or_else(|| panic!("there is no {name}; `scripts/setup.sh test` gets it"))
}

fn fleet() -> Werkpilot {
    let registry = "[[agent]]\nname = \"agent-db\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n\
                    [[agent]]\nname = \"report\"\nschedule = \"0 4 * * *\"\ncommand = [\"true\"]\n\
                    [[agent]]\nname = \"bad\"\nkind = \"job\"\ncommand = [\"false\"]\nretry = { max = 0 }\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    assert_eq!(fleet.run("report")["end"], "succeeded");
    assert_eq!(fleet.run("bad")["end"], "failed");
    fleet
}

/// A Prometheus that is ended with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        processes::signal(i32::try_from(self.0.id()).expect("a pid"), processes::Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_the_fleet() {
    let fleet = fleet();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: werkpilot\n    static_configs:\n      - targets: ['{}']\n",
        fleet.address()
    );
    fs::write(fleet.dir().join("prometheus.yml"), config).unwrap();
    let log = fs::File::create(fleet.dir().join("prometheus.log")).unwrap();
    let mut command = Command::new(program("prometheus"));
    command.current_dir(fleet.dir()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(Stdio::null()).stderr(log);
    let _prometheus = Prometheus(command.spawn().unwrap());

    let value = |query: &str| {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let answer = fetch(stream, &format!("/api/v1/query?query={query}")).ok()?;
        // It says 503 while it starts.
        let answer = (answer.status == 200).then(|| answer.json())?;
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    for (query, wanted) in [
        ("up", "1"),
        ("werkpilot_agent_up%7Bagent=%22agent-db%22%7D", "1"),
        ("werkpilot_agent_successes_total%7Bagent=%22report%22%7D", "1"),
        ("werkpilot_executions_total%7Bend=%22failed%22%7D", "1"),
        ("werkpilot_dead_letters_total", "1"),
        ("count(werkpilot_agent_execution_duration_seconds)", "3"),
    ] {
        wait_for(&format!("{query} = {wanted}"), PATIENCE, || (value(query)? == wanted).then_some(()));
    }
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let metrics = fleet().tcp("GET", "/metrics", &[("Accept", "text/plain;version=0.0.4")]).expect(200).body;
    let mut command = Command::new(program("promtool"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
