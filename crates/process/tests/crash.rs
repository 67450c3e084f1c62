//! What outlives a crash of the orchestrator is found at the next start, and ended.

mod harness;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{is_alive, read_when_written, shell, wait_for};
use werkpilot_core::ids::RunId;
use werkpilot_core::settings::Logs;
use werkpilot_process::{Host, Launch, ProcessKey, survivors};

/// The test binary itself is the orchestrator that crashes; this names its folder.
const ORCHESTRATOR: &str = "WERKPILOT_TEST_ORCHESTRATOR";

/// What it runs: one that ends by SIGTERM, and one that daemonises a child and ignores SIGTERM itself.
const LINES: [&str; 2] = [
    "echo $$ > plain; exec sleep 60",
    "setsid sh -c 'echo $$ > stray; exec sleep 60' & trap '' TERM; echo $$ > stubborn; while :; do sleep 60; done",
];

fn run_id(number: u128) -> RunId {
    RunId::from_parts(1_700_000_000_000, number)
}

/// No test of its own: the orchestrator that [`crash`] kills.
#[test]
fn orchestrates() {
    let Ok(dir) = std::env::var(ORCHESTRATOR) else { return };
    let dir = Path::new(&dir);
    let host = Host::start(harness::options(dir, Logs::default()), Box::new(|_| {})).unwrap();
    for (number, line) in (1..).zip(LINES) {
        let mut spec = shell(line);
        spec.cwd = dir.to_owned();
        host.launch(Launch::new(ProcessKey(number), run_id(number.into()), spec.into()));
    }
    std::thread::sleep(Duration::from_mins(1));
}

/// Runs an orchestrator in `dir` until its programs run, kills it, and returns their pids.
fn crash(dir: &Path) -> [i32; 3] {
    let mut orchestrator = Command::new(std::env::current_exe().unwrap());
    orchestrator.args(["--exact", "orchestrates", "--nocapture"]).env(ORCHESTRATOR, dir).stdout(Stdio::null());
    let mut orchestrator = orchestrator.process_group(0).spawn().unwrap();
    let pids = ["plain", "stubborn", "stray"].map(|name| read_when_written(&dir.join(name)).parse().unwrap());
    orchestrator.kill().unwrap();
    orchestrator.wait().unwrap();
    pids
}

#[test]
fn what_outlived_the_orchestrator_is_ended_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    // Another instance's agent: its run id is in no journal of ours.
    let mut stranger = Command::new("sleep").arg("60").env("WERKPILOT_RUN_ID", run_id(99).to_string()).spawn().unwrap();
    let pids = crash(dir.path());
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    let report = survivors::end_all(dir.path()).unwrap();
    assert_eq!(report.runs, [run_id(1), run_id(2)]);
    for (pid, run, forced) in [(pids[0], 1, false), (pids[1], 2, true), (pids[2], 2, false)] {
        let survivor = report.survivors.iter().find(|survivor| survivor.pid == pid).unwrap();
        assert_eq!((survivor.run, survivor.forced, survivor.ended), (run_id(run), forced, true), "{report:?}");
    }
    wait_for("the ends", || pids.iter().all(|pid| !is_alive(*pid)));
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(survivors::end_all(dir.path()).unwrap(), survivors::Report::default());
}
