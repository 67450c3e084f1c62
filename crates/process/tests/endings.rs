//! How programs end, and that nothing of them is left: see the note on sharing a process in the harness.

mod harness;

use std::time::{Duration, Instant};

use harness::{Fixture, all_pids, children, is_alive, job, read_when_written, service, shell, wait_for};
use werkpilot_core::exit::Exit;
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::{ReadyCheck, StopPolicy};
use werkpilot_process::{Host, HostError, ProcessEvent, WaitStatus};

const TERM: StopPolicy = StopPolicy { signal: Signal::TERM, timeout: Duration::from_secs(20) };
const IMPATIENT: StopPolicy = StopPolicy { signal: Signal::TERM, timeout: Duration::from_millis(200) };

#[test]
fn exit_codes_and_signals_are_told_apart() {
    let mut fixture = Fixture::new();
    let cases = [
        ("exit 0", WaitStatus::Code(0), Exit::Clean),
        ("exit 7", WaitStatus::Code(7), Exit::Code(7)),
        ("exit 255", WaitStatus::Code(255), Exit::Code(255)),
        ("kill -9 $$", WaitStatus::Signal(Signal::KILL), Exit::Signal(Signal::KILL)),
        ("kill -ABRT $$", WaitStatus::Signal(Signal(6)), Exit::Signal(Signal(6))),
    ];
    for (line, status, exit) in cases {
        let report = fixture.run(shell(line));
        assert_eq!((report.status, report.status.exit()), (status, exit), "{line}");
        assert!(!report.forced && report.strays_ended == 0 && report.lived > Duration::ZERO);
    }
    fixture.finish();
}

#[test]
fn a_report_has_cpu_time_and_the_last_lines_of_a_failure() {
    let mut fixture = Fixture::new();
    let report =
        fixture.run(shell("i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; seq 30; echo broken >&2; exit 1"));
    assert!(report.cpu > Duration::ZERO && report.cpu <= report.lived * 2, "{report:?}");
    assert_eq!(report.log_tail.len(), 20);
    assert_eq!(report.log_tail.iter().filter(|line| *line == "broken").count(), 1);
    let fine = fixture.run(shell("echo fine; echo warned >&2"));
    assert_eq!((fine.log_tail, fine.last_words), (Vec::<String>::new(), None));
    fixture.finish();
}

#[test]
fn the_last_words_of_a_failure_are_those_on_stderr_whatever_is_printed_after_them() {
    let mut fixture = Fixture::new();
    let mut last_words = |line: &str| fixture.run(shell(line)).last_words;
    assert_eq!(
        last_words("echo Traceback >&2; echo \"KeyError: 'total'\" >&2; seq 50; exit 1").unwrap(),
        "KeyError: 'total'"
    );
    assert_eq!(last_words("seq 50; echo; exit 1").unwrap(), "50");
    assert_eq!(last_words("printf 'cut off' >&2; kill -9 $$").unwrap(), "cut off");
    assert_eq!(last_words("exit 1"), None);
    fixture.finish();
}

#[test]
fn a_polite_program_ends_by_the_stop_signal() {
    let mut fixture = Fixture::new();
    let (key, _) = fixture.launch(job(&["sleep", "60"]));
    fixture.started();
    fixture.host.stop(key, TERM);
    let report = fixture.exit_of(key);
    assert_eq!(report.status, WaitStatus::Signal(Signal::TERM));
    assert!(!report.forced);
    fixture.host.stop(key, TERM);
    fixture.host.kill(key);
    assert!(fixture.is_quiet_for(Duration::from_millis(50)));
    fixture.finish();
}

#[test]
fn a_stubborn_program_is_killed_after_the_grace_period() {
    let mut fixture = Fixture::new();
    let (key, _) =
        fixture.launch(service("trap '' TERM; echo up; while :; do sleep 60; done", ReadyCheck::Log("up".into())));
    fixture.events_until(|event| matches!(event, ProcessEvent::Ready { .. }));
    let asked = Instant::now();
    fixture.host.stop(key, IMPATIENT);
    let report = fixture.exit_of(key);
    assert_eq!(report.status, WaitStatus::Signal(Signal::KILL));
    assert!(report.forced && asked.elapsed() >= IMPATIENT.timeout);
    fixture.finish();
}

#[test]
fn a_stopped_program_is_continued_so_that_it_can_end() {
    let mut fixture = Fixture::new();
    let (key, _) = fixture.launch(job(&["sleep", "60"]));
    let pid = fixture.started();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::STOP).unwrap();
    wait_for("the stop", || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T"));
    fixture.host.stop(key, TERM);
    let report = fixture.exit_of(key);
    assert_eq!((report.status, report.forced), (WaitStatus::Signal(Signal::TERM), false));
    fixture.finish();
}

#[test]
fn a_stop_before_the_start_is_not_lost() {
    let mut fixture = Fixture::new();
    let keys: Vec<_> = (0..20).map(|_| fixture.launch(job(&["sleep", "60"])).0).collect();
    for key in &keys {
        fixture.host.stop(*key, TERM);
    }
    let mut left = keys.len();
    while left > 0 {
        match fixture.event() {
            ProcessEvent::Exited { report, .. } => {
                assert_eq!(report.status, WaitStatus::Signal(Signal::TERM));
                left -= 1;
            }
            ProcessEvent::SpawnFailed { failure, .. } => {
                assert!(failure.message.contains("stopped before it was started"));
                left -= 1;
            }
            _ => {}
        }
    }
    fixture.finish();
}

#[test]
fn a_background_process_does_not_delay_the_end_by_holding_the_pipe() {
    let mut fixture = Fixture::new();
    let began = Instant::now();
    let report = fixture.run(shell("sleep 60 & echo done"));
    assert_eq!(report.status, WaitStatus::Code(0));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(!report.forced);
    assert_eq!(fixture.log_texts(), ["done"]);
    assert_eq!(children(), Vec::<i32>::new());
    fixture.finish();
}

#[test]
fn a_stubborn_background_process_is_killed_after_the_grace_period() {
    let mut fixture = Fixture::new();
    let report =
        fixture.run(shell("(trap '' TERM; echo ready; while :; do sleep 60; done) & read x <&- ; sleep 0.2; exit 4"));
    assert_eq!(report.status, WaitStatus::Code(4));
    assert!(report.forced, "{report:?}");
    assert_eq!(children(), Vec::<i32>::new());
    fixture.finish();
}

/// A line that daemonises a sleep: a session of its own, a parent that ends; its pid goes to the file.
fn daemonise(pid_file: &std::path::Path) -> String {
    format!("setsid sh -c 'echo $$ > {}; exec sleep 60' >/dev/null 2>&1 &", pid_file.display())
}

#[test]
fn a_daemonised_descendant_is_ended_after_the_leader() {
    let mut fixture = Fixture::new();
    let file = fixture.dir.path().join("pid");
    let line = format!("{} while [ ! -s {} ]; do sleep 0.01; done; echo over", daemonise(&file), file.display());
    let report = fixture.run(shell(&line));
    assert_eq!((report.status, report.strays_ended, report.forced), (WaitStatus::Code(0), 1, false));
    assert!(!is_alive(read_when_written(&file).parse().unwrap()));
    fixture.finish();
}

#[test]
fn a_daemonised_descendant_of_a_live_run_stays_until_that_ends() {
    let mut fixture = Fixture::new();
    let file = fixture.dir.path().join("pid");
    let (key, _) = fixture.launch(shell(&format!("({}) ; exec sleep 60", daemonise(&file))));
    fixture.started();
    let stray: i32 = read_when_written(&file).parse().unwrap();
    for _ in 0..5 {
        fixture.run(job(&["/bin/true"]));
    }
    assert!(is_alive(stray));
    fixture.host.stop(key, TERM);
    assert_eq!(fixture.exit_of(key).strays_ended, 1);
    assert!(!is_alive(stray));
    fixture.finish();
}

#[test]
fn a_shutdown_ends_everything_and_reports_each_exit() {
    let mut fixture = Fixture::new();
    let file = fixture.dir.path().join("pid");
    let nobody =
        format!("env -i setsid sh -c 'echo $$ > {}; exec sleep 60' >/dev/null 2>&1 & sleep 60", file.display());
    fixture.launch(shell(&nobody));
    fixture.launch(service("trap '' TERM; echo up; while :; do sleep 60; done", ReadyCheck::Log("up".into())));
    fixture.events_until(|event| matches!(event, ProcessEvent::Ready { .. }));
    let stray: i32 = read_when_written(&file).parse().unwrap();
    let report = fixture.host.shutdown(Duration::from_millis(200));
    assert_eq!((report.strays_ended, report.left.len()), (1, 0));
    assert!(!is_alive(stray));
    let mut exits = 0;
    while exits < 2 {
        exits += u32::from(matches!(fixture.event(), ProcessEvent::Exited { .. }));
    }
    fixture.launch(job(&["/bin/true"]));
    let ProcessEvent::SpawnFailed { failure, .. } = fixture.event() else { panic!("a start after the shutdown") };
    assert!(failure.message.contains("shutting down"), "{failure:?}");
    fixture.finish();
}

#[test]
fn a_second_host_in_one_process_is_refused_and_a_later_one_is_not() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let second =
        || Host::start(harness::options(dir.path(), werkpilot_core::settings::Logs::default()), Box::new(|_| {}));
    assert!(matches!(second(), Err(HostError::AlreadyRunning)));
    fixture.host.shutdown(Duration::ZERO);
    assert!(second().is_ok());
}

#[test]
fn memory_and_processes_of_a_tree_are_counted() {
    let mut fixture = Fixture::new();
    let (key, _) = fixture.launch(shell("sleep 60 & sleep 60 & wait"));
    let pid = fixture.started();
    let tree = || werkpilot_process::memory::tree_rss(&[pid]).remove(&pid).unwrap_or_default();
    wait_for("three processes", || tree().processes == 3);
    wait_for("a proportional share below the sum", || {
        let tree = tree();
        tree.pss_bytes.is_none_or(|pss| pss > 0 && pss < tree.rss_bytes) && tree.rss_bytes > 1_000_000
    });
    fixture.host.stop(key, TERM);
    fixture.exit_of(key);
    assert!(all_pids().iter().all(|other| *other != pid));
    fixture.finish();
}
