//! Triggers: schedules, intervals, what follows what, overlap, pauses; and what a program is given.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use werkpilot_tests::{MARK, PATIENCE, Setup, Werkpilot, processes, wait_for, wait_until};

fn ended(fleet: &Werkpilot, agent: &str, end: &str) -> usize {
    fleet.events_of(agent, "execution.ended").iter().filter(|data| data["end"] == end).count()
}

/// Seconds of a day of a time such as `2026-11-21T08:40:05.000Z`.
fn second_of_day(time: &str) -> i64 {
    let digits = |from: usize| time[from..from + 2].parse::<i64>().unwrap();
    digits(11) * 3_600 + digits(14) * 60 + digits(17)
}

#[test]
fn a_schedule_with_seconds_fires_each_time_once_and_tells_the_time_that_it_was_due() {
    let registry = "[[agent]]\nname = \"tick\"\nschedule = \"*/2 * * * * *\"\n\
                    shell = 'echo \"$WERKPILOT_SCHEDULED_TIME $(date -u +%s)\" >> ticks'\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    wait_until("three runs", || fleet.read("ticks").lines().count() >= 3);
    fleet.cli(&["disable", "tick"]).expect(0);
    let ticks = fleet.read("ticks");
    let mut last = None;
    for line in ticks.lines() {
        let (due, ran) = line.split_once(' ').unwrap();
        assert!(due.ends_with('Z') && due.len() >= 20, "{due} is no time in UTC");
        let second = second_of_day(due);
        assert_eq!(second % 2, 0, "{due} is not on the schedule");
        let late = (ran.parse::<i64>().unwrap() - second).rem_euclid(86_400);
        assert!(late < 60, "due at {due}, ran {late} s later");
        assert_ne!(last, Some(second), "twice at {due}:\n{ticks}");
        last = Some(second);
    }
    let queued = fleet.events_of("tick", "execution.queued");
    assert_eq!(queued[0]["trigger"]["kind"], "schedule");
    assert_eq!(ticks.split(' ').next(), queued[0]["scheduled_for"].as_str());
    let next = fleet.cli(&["next", "--hours", "1", "--json"]).expect(0).out;
    assert!(serde_json::from_str::<Value>(&next).is_ok(), "{next}");
}

#[test]
fn an_interval_fires_again_and_again_and_success_triggers_who_comes_after() {
    let registry = "[[agent]]\nname = \"fetch\"\nevery = \"300ms\"\nshell = \"[ ! -e broken ]\"\nretry = { max = 0 }\n\
                    [[agent]]\nname = \"publish\"\nafter = \"fetch\"\ncommand = [\"true\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "[breaker]\ndead_letters = 1000\n");
    wait_until("three intervals", || ended(&fleet, "fetch", "succeeded") >= 3);
    wait_until("what comes after them", || ended(&fleet, "publish", "succeeded") >= 2);
    let after = fleet.wait_for_event("publish", "execution.ended")["trigger"].clone();
    let runs: Vec<Value> = fleet.events_of("fetch", "execution.ended").iter().map(|data| data["run"].clone()).collect();
    assert_eq!((&after["kind"], &after["agent"]), (&json!("after"), &json!("fetch")));
    assert!(runs.contains(&after["run"]), "{after} is none of {runs:?}");

    // A failure triggers nothing.
    fleet.touch("broken");
    wait_until("two failures", || ended(&fleet, "fetch", "failed") >= 2);
    let good = ended(&fleet, "fetch", "succeeded");
    wait_until("the last success is followed", || fleet.events_of("publish", "execution.queued").len() >= good);
    assert_eq!(fleet.events_of("publish", "execution.queued").len(), good);
}

#[test]
fn a_trigger_during_a_run_is_skipped_and_a_person_s_queues() {
    let registry = "[[agent]]\nname = \"long\"\nevery = \"200ms\"\nshell = \"until [ -e go ]; do sleep 0.05; done\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let first = fleet.wait_for_event("long", "agent.started");
    let skipped = fleet.wait_for_event("long", "agent.skipped");
    assert_eq!(skipped["reason"], json!({ "code": "overlap", "running": first["run"] }));
    let run = fleet.trigger("long");
    wait_until("it waits for the one before", || {
        fleet.get("/api/v1/queue")["waiting"][0]["reason"]["code"] == "waiting_for_previous"
    });
    assert_eq!(fleet.pids("long").len(), 1);
    fleet.touch("go");
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
}

#[test]
fn overlap_may_also_queue_replace_or_let_run() {
    let until_go = "shell = \"until [ -e go ]; do sleep 0.05; done\"\nevery = \"150ms\"";
    let registry: String = ["queue_one", "queue_all", "cancel_previous", "allow"]
        .map(|word| format!("[[agent]]\nname = \"{word}\"\noverlap = \"{word}\"\n{until_go}\n"))
        .concat();
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[queue]\nworkers = 50\n");
    let skipped = fleet.wait_for_event("queue_one", "agent.skipped");
    assert_eq!(skipped["reason"]["code"], "already_waiting");
    wait_until("three of allow at a time", || fleet.pids("allow").len() >= 3);
    wait_until("a replaced one", || ended(&fleet, "cancel_previous", "cancelled") >= 1);
    let live = || fleet.agent("queue_all")["live"].as_array().map_or(0, Vec::len);
    wait_until("a line of queue_all", || live() >= 3);
    assert_eq!(fleet.pids("queue_all").len(), 1);
    assert!(fleet.events_of("queue_all", "agent.skipped").is_empty());
    fleet.touch("go");
    wait_until("the line gets shorter", || ended(&fleet, "queue_all", "succeeded") >= 3);
}

#[test]
fn a_pause_stops_all_triggers_but_those_of_people_until_it_is_over() {
    let registry = "[[agent]]\nname = \"often\"\nevery = \"150ms\"\ncommand = [\"true\"]\n\
                    [[agent]]\nname = \"report\"\nkind = \"job\"\ncommand = [\"true\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    wait_until("a first run", || ended(&fleet, "often", "succeeded") >= 1);
    fleet.cli(&["pause"]).expect(0);
    assert_eq!(fleet.metrics()["system"]["paused"], true);
    wait_until("a trigger that is left out", || {
        fleet.events_of("often", "agent.skipped").iter().any(|data| data["reason"]["code"] == "paused")
    });
    let queued = fleet.events_of("often", "execution.queued").len();
    fleet.cli(&["run", "report", "--wait"]).expect(0);
    wait_until("more of them", || ended(&fleet, "often", "skipped") >= 4);
    assert_eq!(fleet.events_of("often", "execution.queued").len(), queued);
    fleet.cli(&["resume"]).expect(0);
    wait_until("it runs again", || fleet.events_of("often", "execution.queued").len() > queued + 1);
    assert_eq!(fleet.events("triggers.paused").len(), 2);
}

#[test]
fn a_program_sees_the_environment_that_is_promised_and_nothing_else() {
    let registry = "[[agent]]\nname = \"env\"\nkind = \"job\"\ncommand = [\"env\"]\nenv = { COLOUR = \"blue\" }\n\
                    env_file = \"settings.env\"\nenv_inherit = [\"AWS_*\", \"EXACTLY\"]\n\
                    secrets = { DB_PASSWORD = \"password\" }\n";
    let setup = Setup::new(&[("fleet.toml", registry)], "")
        .env("AWS_REGION", "eu-central-2")
        .env("EXACTLY", "this")
        .env("EXACTLY_NOT", "that")
        .env("UNRELATED", "secret")
        .env("LD_LIBRARY_PATH", "/nowhere");
    setup.write("registry/settings.env", "# a comment\nFROM_FILE=\"two words\"\nCOLOUR=red\n");
    setup.write("registry/password", "hunter2\n");
    let fleet = setup.start();
    let run = fleet.trigger("env");
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    let log = fleet.request("GET", "/api/v1/agents/env/logs", None).expect(200).body;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen: Vec<(&str, &str)> = lines.iter().filter_map(|line| line["text"].as_str()?.split_once('=')).collect();
    seen.sort_unstable();
    // How it reaches the bus is different for each process.
    let of_bus: Vec<&str> = seen.iter().map(|(name, _)| *name).filter(|name| name.starts_with("NATS_")).collect();
    assert_eq!(of_bus, ["NATS_PASSWORD", "NATS_SERVER", "NATS_URL", "NATS_USER"]);
    seen.retain(|(name, _)| !name.starts_with("NATS_"));
    let mark = mark_of(&seen);
    let folder = fleet.dir().display().to_string();
    let path = format!("{folder}/bin:/usr/local/bin:/usr/bin:/bin");
    let mut expected = vec![
        ("AGENT_NAME", "env"),
        ("AWS_REGION", "eu-central-2"),
        ("COLOUR", "blue"),
        ("DB_PASSWORD", "hunter2"),
        ("EXACTLY", "this"),
        ("FROM_FILE", "two words"),
        ("HOME", &folder),
        ("LANG", "C.UTF-8"),
        (MARK, &mark),
        ("PATH", &path),
        ("TMPDIR", &folder),
        ("TZ", "UTC"),
        ("USER", "tester"),
        ("WERKPILOT_ATTEMPT", "1"),
        ("WERKPILOT_RUN_ID", &run),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);

    // A secret is shown nowhere, and neither is the value of any variable.
    for shown in [fleet.agent("env").to_string(), fleet.cli(&["agents", "env", "--json"]).out, fleet.log_text()] {
        assert!(!shown.contains("hunter2") && !shown.contains("blue"), "{shown}");
    }
}

/// The mark has a value of its own in each test.
fn mark_of(seen: &[(&str, &str)]) -> String {
    seen.iter().find(|(name, _)| *name == MARK).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
}

#[test]
fn the_log_of_a_program_can_be_read_and_followed_while_it_runs() {
    let registry = "[[agent]]\nname = \"talker\"\nkind = \"job\"\n\
                    shell = \"echo first; echo oops >&2; until [ -e go ]; do sleep 0.05; done; echo last\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let run = fleet.trigger("talker");
    wait_until("its first lines", || {
        let log = fleet.cli(&["logs", "talker"]).expect(0).out;
        log.contains(" O first\n") && log.contains(" E oops\n")
    });
    let mut follower = fleet.cli_command(&["logs", "talker", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().ends_with(" O first"));
    assert!(next().ends_with(" E oops"));
    fleet.touch("go");
    assert!(next().ends_with(" O last"));
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    processes::signal(i32::try_from(follower.id()).unwrap(), processes::Signal::TERM);
    wait_for("the end of the follower", PATIENCE, || follower.try_wait().unwrap());
    let of_run = fleet.cli(&["logs", "talker", "--run", &run, "-n", "1"]).expect(0).out;
    assert!(of_run.ends_with(" O last\n") && of_run.lines().count() == 1, "{of_run}");
}
