//! What programs write: captured, bounded, rotated, and never in the way.

mod harness;

use std::time::{Duration, Instant};

use harness::{Fixture, job, shell};
use werkpilot_core::ids::AgentName;
use werkpilot_core::settings::Logs;
use werkpilot_process::WaitStatus;
use werkpilot_process::logs::{LogPosition, LogStream, end_position, read_from, read_tail};
use werkpilot_process::memory::own_rss;

#[test]
fn lines_carry_time_run_and_stream() {
    let mut fixture = Fixture::new();
    let (key, run) = fixture.launch(shell("echo out; echo err >&2; printf unfinished"));
    fixture.exit_of(key);
    let mut lines = fixture.log();
    lines.sort_by(|a, b| a.text.cmp(&b.text));
    let seen: Vec<_> = lines.iter().map(|line| (line.stream, line.text.as_str())).collect();
    assert_eq!(seen, [(LogStream::Stderr, "err"), (LogStream::Stdout, "out"), (LogStream::Stdout, "unfinished")]);
    assert!(lines.iter().all(|line| line.is_of(&run) && !line.goes_on));
    let written = std::time::UNIX_EPOCH + Duration::from_millis(lines[0].time.as_millis().unsigned_abs());
    assert!(written.elapsed().unwrap() < Duration::from_mins(1));
    fixture.finish();
}

#[test]
fn each_run_has_its_own_lines() {
    let mut fixture = Fixture::new();
    let (first, first_run) = fixture.launch(shell("echo one"));
    fixture.exit_of(first);
    let (second, second_run) = fixture.launch(shell("echo two"));
    fixture.exit_of(second);
    let agent = AgentName::new("agent").unwrap();
    for (run, text) in [(first_run, "one"), (second_run, "two")] {
        let lines = read_tail(&fixture.logs_dir(), &agent, Some(&run), 10).unwrap();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), [text]);
    }
    fixture.finish();
}

#[test]
fn a_flood_without_a_newline_stays_within_its_bounds_and_keeps_the_pace() {
    let limits = Logs { max_file: 4 << 20, files: 3, ..Logs::default() };
    let mut fixture = Fixture::with_logs(limits);
    fixture.run(shell("head -c 1000000 /dev/zero"));
    let before = own_rss();
    let began = Instant::now();
    let report = fixture.run(shell("head -c 67108864 /dev/zero"));
    assert_eq!(report.status, WaitStatus::Code(0));
    assert!(own_rss() < before + (4 << 20), "{} to {}", before, own_rss());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    let sizes: Vec<u64> = std::fs::read_dir(fixture.logs_dir().join("agent"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .collect();
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size <= 4 << 20), "{sizes:?}");
    fixture.finish();
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut fixture = Fixture::new();
    fixture.run(shell(r"printf 'a\377b\n'; printf '\303\244\n'"));
    assert_eq!(fixture.log_texts(), ["a\u{fffd}b", "ä"]);
    fixture.finish();
}

#[test]
fn a_long_line_is_split_and_says_that_it_goes_on() {
    let mut fixture = Fixture::new();
    fixture.run(shell("head -c 40000 /dev/zero | tr '\\0' x; echo; echo next"));
    let lines = fixture.log();
    let shape: Vec<(usize, bool)> = lines.iter().map(|line| (line.text.len(), line.goes_on)).collect();
    assert_eq!(shape, [(16_384, true), (16_384, true), (7_232, false), (4, false)]);
    fixture.finish();
}

#[test]
fn a_flood_of_one_program_does_not_starve_another() {
    let mut fixture = Fixture::with_logs(Logs { max_file: 1 << 20, files: 2, ..Logs::default() });
    let (flood, _) = fixture.launch(shell("cat /dev/zero"));
    fixture.started();
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(fixture.run(job(&["/bin/true"])).status, WaitStatus::Code(0));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    fixture.host.kill(flood);
    fixture.exit_of(flood);
    fixture.finish();
}

#[test]
fn logs_rotate_while_a_follower_reads_and_limits_change_at_run_time() {
    let mut fixture = Fixture::with_logs(Logs { max_file: 100_000, files: 9, ..Logs::default() });
    let (agent, dir) = (AgentName::new("agent").unwrap(), fixture.logs_dir());
    let mut position = end_position(&dir, &agent).unwrap();
    assert_eq!(position, LogPosition::default());
    let (key, run) = fixture.launch(shell("seq 2000; sleep 0.1; seq 2001 8000"));
    let mut seen = Vec::new();
    let mut read = |position: &mut LogPosition| loop {
        let (lines, next) = read_from(&dir, &agent, *position, Some(&run)).unwrap();
        *position = next;
        if lines.is_empty() {
            return seen.len();
        }
        seen.extend(lines.into_iter().map(|line| line.text));
    };
    while read(&mut position) < 8_000 {
        std::thread::yield_now();
    }
    assert_eq!(seen, (1..=8_000).map(|number| number.to_string()).collect::<Vec<_>>());
    fixture.exit_of(key);
    let count = || std::fs::read_dir(dir.join("agent")).unwrap().count();
    assert!(count() > 3, "{}", count());

    fixture.host.set_logs(Logs { max_file: 100_000, files: 2, ..Logs::default() });
    harness::wait_for("fewer files", || count() <= 2);
    fixture.finish();
}

#[test]
fn all_logs_together_stay_under_their_total() {
    let mut fixture = Fixture::with_logs(Logs { max_file: 100_000, files: 50, max_total: 500_000, ..Logs::default() });
    fixture.run(shell("seq 30000"));
    let total = || -> u64 {
        let files = std::fs::read_dir(fixture.logs_dir().join("agent")).unwrap().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    };
    // Who reads the folder while a file is renamed may miss it.
    harness::wait_for("the total", || (300_000..=500_000 + 500_000 / 16 + 100_000).contains(&total()));
    fixture.finish();
}

#[test]
fn the_beginning_of_stdout_is_kept_for_the_report() {
    let mut fixture = Fixture::new();
    for (max, kept, truncated) in [(100, "hello\n", false), (3, "hel", true), (6, "hello\n", false), (0, "", true)] {
        let mut launch = fixture.launch_of(shell("echo hello; echo no >&2"));
        launch.capture_stdout_max = Some(max);
        let key = launch.key;
        fixture.host.launch(launch);
        let report = fixture.exit_of(key);
        assert_eq!((report.stdout.as_deref(), report.stdout_truncated), (Some(kept.as_bytes()), truncated));
    }
    fixture.finish();
}

#[test]
fn a_log_that_cannot_be_written_does_not_harm_the_program() {
    let mut fixture = Fixture::new();
    std::fs::write(fixture.logs_dir().join("agent"), "in the way").unwrap();
    assert_eq!(fixture.run(shell("seq 100000")).status, WaitStatus::Code(0));
    fixture.finish();
}
