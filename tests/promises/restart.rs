//! A restart forgets nothing about the agents: switches, breakers, backoffs, counters and percentiles are as they were.

use std::time::Duration;

use serde_json::{Value, json};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;
use werkpilot_store::row::agent::AgentState;
use werkpilot_tests::{Setup, Werkpilot, processes, wait_for, wait_until};

fn job(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\nretry = {{ max = 0 }}\n{more}\n")
}

fn service(name: &str) -> String {
    format!(
        "[[agent]]\nname = \"{name}\"\ncommand = [\"sleep\", \"1000\"]\nready = {{ after = \"10ms\" }}\n\
         retry = {{ initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }}\n"
    )
}

fn kept(fleet: &Werkpilot, agent: &str) -> Option<AgentState> {
    let states = fleet.on_disk().agents().expect("the states of agents");
    states.into_iter().find(|state| state.agent.as_str() == agent)
}

/// Waits until so many samples of an agent are on disk, and its counters with them.
fn wait_for_samples(fleet: &Werkpilot, agent: &str, count: u64) {
    let wanted = AgentName::new(agent).unwrap();
    wait_until("the samples on disk", || {
        let samples = fleet.on_disk().samples().expect("samples");
        samples.iter().any(|samples| samples.agent == wanted && samples.count == count)
            && kept(fleet, agent).is_some_and(|state| state.successes == count)
    });
}

fn reason(fleet: &Werkpilot, agent: &str) -> String {
    fleet.agent(agent)["reason"].as_str().unwrap_or_default().to_owned()
}

fn time_of(event: &Value) -> Timestamp {
    serde_json::from_value(event["time"].clone()).expect("a time")
}

#[test]
fn a_disabled_agent_stays_so_after_a_crash_and_an_enabled_one_too() {
    let registry =
        [service("mail"), job("report", "command = [\"true\"]"), job("off", "enabled = false\nshell = \"true\"")];
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry.concat())], "");
    fleet.cli(&["disable", "mail"]).expect(0);
    fleet.cli(&["disable", "report"]).expect(0);
    fleet.cli(&["enable", "off"]).expect(0);
    let reasons = ["mail", "report"].map(|agent| reason(&fleet, agent));
    fleet.kill_and_restart();
    fleet.wait_for_status("mail", "disabled");
    fleet.wait_for_status("report", "disabled");
    assert_eq!(["mail", "report"].map(|agent| reason(&fleet, agent)), reasons);
    assert!(fleet.pids("mail").is_empty());
    assert_eq!(fleet.run("off")["end"], "succeeded", "what was enabled against the registry stays so");
    fleet.cli(&["enable", "mail"]).expect(0);
    fleet.wait_for_status("mail", "running");
    fleet.kill_and_restart();
    fleet.wait_for_status("mail", "running");
    fleet.wait_for_status("report", "disabled");
}

#[test]
fn what_is_stopped_or_paused_stays_so_until_it_is_started_or_resumed() {
    let ticking = job("tick", "every = \"100ms\"\nshell = \"echo >> ticks\"");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &(service("mail") + &ticking))], "");
    fleet.wait_for_status("mail", "running");
    fleet.cli(&["stop", "mail"]).expect(0);
    fleet.cli(&["pause"]).expect(0);
    wait_until("the stop on disk", || kept(&fleet, "mail").is_some_and(|state| state.stopped));
    fleet.kill_and_restart();
    assert_eq!(fleet.status("mail"), "stopped");
    assert_eq!(fleet.get("/metrics")["system"]["paused"], true);
    wait_until("it is said", || fleet.log_text().contains("Triggers are paused since"));
    let skipped = fleet.wait_for_event("tick", "agent.skipped");
    assert_eq!(skipped["reason"]["code"], "paused", "{skipped}");
    fleet.cli(&["resume"]).expect(0);
    fleet.cli(&["start", "mail"]).expect(0);
    fleet.wait_for_status("mail", "running");
    fleet.restart();
    fleet.wait_for_status("mail", "running");
    let before = fleet.read("ticks").len();
    wait_until("it ticks again", || fleet.read("ticks").len() > before);
}

#[test]
fn an_open_breaker_stays_open_and_its_trial_comes_when_it_was_due() {
    // A run at each start; a run by hand would clear the breaker.
    let registry = job("report", "startup = true\nevery = \"4s\"\ncommand = [\"false\"]");
    let config = "[breaker]\ndead_letters = 2\ncooldown = \"5s\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], config);
    // The first of the two before the crash, the second after it.
    wait_until("one is counted", || kept(&fleet, "report").is_some_and(|state| state.failures == 1));
    fleet.kill_and_restart();
    fleet.wait_for_status("report", "disabled_by_failure");
    let opened = wait_for("the word of it", Duration::from_secs(10), || fleet.events("breaker.opened").pop());
    let why = reason(&fleet, "report");
    wait_until("the breaker on disk", || {
        kept(&fleet, "report").is_some_and(|state| state.disabled_by.as_deref() == Some("failure"))
    });
    fleet.kill_and_restart();
    assert_eq!((fleet.status("report").as_str(), reason(&fleet, "report")), ("disabled_by_failure", why));
    fleet.wait_for_event("report", "breaker.half_open");
    let half_open = fleet.events("breaker.half_open").pop().expect("it was told");
    let open_for = time_of(&half_open).since(time_of(&opened));
    assert!((4_950..9_000).contains(&open_for.as_millis()), "open for {open_for:?}");
    // Its trial fails: twice as long.
    wait_until("it opens again", || {
        fleet.events_of("report", "breaker.opened").iter().any(|data| data["reason"]["code"] == "trial_failed")
    });
    let again = fleet.events_of("report", "breaker.opened").pop().expect("it opens again");
    assert_eq!((again["cooldown_ms"].as_f64(), &again["reason"]["code"]), (Some(10_000.0), &json!("trial_failed")));
}

#[test]
fn the_global_breaker_counts_restarts_from_before_a_crash() {
    let agents = ["a", "b", "c"].map(service).concat();
    let config = "[breaker]\nmax_restarts = 2\nwindow = \"10m\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", &agents)], config);
    for name in ["a", "b"] {
        let pid = fleet.wait_for_pid(name);
        processes::signal(pid, processes::Signal::KILL);
        fleet.wait_for_successor(name, pid);
    }
    let restarts = |fleet: &Werkpilot| {
        let (begin, end) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        let rows = fleet.on_disk().digests("restarts", "restarts", begin, end).expect("rows");
        rows.iter().map(|row| row.data.len() / 4).sum::<usize>()
    };
    wait_until("both on disk", || restarts(&fleet) == 2);
    fleet.kill_and_restart();
    assert_eq!(fleet.metrics()["system"]["restartsLastHour"], 2);
    assert_eq!(kept(&fleet, "c"), None, "a boot in which nothing happens writes nothing");
    let c = fleet.wait_for_pid("c");
    processes::signal(c, processes::Signal::KILL);
    fleet.wait_for_status("c", "backing_off");
    wait_until("the reason", || {
        reason(&fleet, "c") == "2 automatic restarts within 10m used up ([breaker] max_restarts)"
    });
}

#[test]
fn a_service_that_backs_off_goes_on_with_its_delay() {
    let registry = "[[agent]]\nname = \"flapping\"\nshell = \"exit 3\"\n\
                    retry = { initial = \"1h\", factor = 1.0, cap = \"1h\", jitter = 0.0 }\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "[boot]\nlayer_timeout = \"1s\"\n");
    fleet.wait_for_status("flapping", "backing_off");
    let next = |fleet: &Werkpilot| -> Timestamp {
        serde_json::from_value(fleet.agent("flapping")["instances"][0]["nextAttempt"].clone()).expect("a time")
    };
    let (before, why) = (next(&fleet), reason(&fleet, "flapping"));
    wait_until("it is on disk", || kept(&fleet, "flapping").is_some_and(|state| state.restarts == 1));
    for crash in [true, false] {
        if crash {
            fleet.kill_and_restart();
        } else {
            fleet.restart();
        }
        assert_eq!(fleet.status("flapping"), "backing_off");
        assert_eq!(reason(&fleet, "flapping"), why);
        let shift = (next(&fleet).as_millis() - before.as_millis()).abs();
        assert!(shift < 100, "the next attempt moved by {shift} ms");
        assert_eq!(fleet.agent("flapping")["instances"][0]["restartsInARow"], 1);
    }
}

#[test]
fn percentiles_and_counters_are_the_same_before_and_after() {
    let registry = job("quick", "command = [\"true\"]") + &job("broken", "shell = \"exit 1\"");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[breaker]\ndead_letters = 1000\n");
    for _ in 0..5 {
        assert_eq!(fleet.run("quick")["end"], "succeeded");
        assert_eq!(fleet.run("broken")["end"], "failed");
    }
    wait_for_samples(&fleet, "quick", 5);
    wait_until("failures on disk", || kept(&fleet, "broken").is_some_and(|state| state.failures == 5));
    let figures = |fleet: &Werkpilot| {
        let metrics = fleet.metrics();
        let agents: Vec<Value> = ["quick", "broken"]
            .iter()
            .map(|name| {
                let agent = fleet.agent(name);
                json!([
                    agent["restarts"],
                    agent["failures"],
                    agent["p50"],
                    agent["p95"],
                    agent["p99"],
                    agent["avgDurationMs"]
                ])
            })
            .collect();
        let waiting = metrics["system"]["waiting"].clone();
        json!({ "metrics": metrics["metrics"], "agents": agents, "waiting": waiting })
    };
    let before = figures(&fleet);
    assert_eq!(before["metrics"]["quick"]["count"], 5, "{before}");
    assert_eq!(before["waiting"]["count"], 5, "{before}");
    assert_eq!(before["agents"][1][1], 5, "{before}");
    fleet.kill_and_restart();
    assert_eq!(figures(&fleet), before);
    fleet.restart();
    assert_eq!(figures(&fleet), before);
    assert_eq!(fleet.run("quick")["end"], "succeeded");
    assert_eq!(fleet.metrics()["metrics"]["quick"]["count"], 6);
}

#[test]
fn after_a_restart_the_oldest_sample_is_the_first_to_be_forgotten() {
    let registry = job("sleepy", "shell = \"[ -e fast ] || sleep 0.5\"");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[percentiles]\nsamples = 3\n");
    fleet.run("sleepy");
    fleet.touch("fast");
    fleet.run("sleepy");
    fleet.run("sleepy");
    wait_for_samples(&fleet, "sleepy", 3);
    fleet.kill_and_restart();
    let worst = |fleet: &Werkpilot| fleet.metrics()["metrics"]["sleepy"]["p99"].as_f64().expect("a duration");
    assert!(worst(&fleet) >= 500.0);
    fleet.run("sleepy");
    assert!(worst(&fleet) < 500.0, "{}", worst(&fleet));
    assert_eq!(fleet.metrics()["metrics"]["sleepy"]["count"], 4);
}

#[test]
fn who_is_taken_out_of_the_registry_and_comes_back_is_as_it_was() {
    let (mail, tick) = (service("mail"), job("tick", "command = [\"true\"]"));
    let both = format!("{mail}{tick}");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &both)], "");
    assert_eq!(fleet.run("tick")["end"], "succeeded");
    fleet.cli(&["disable", "tick"]).expect(0);
    // By a reload, within one life.
    for registry in [&mail, &both] {
        fleet.write("registry/fleet.toml", registry);
        fleet.cli(&["reload"]).expect(0);
    }
    fleet.wait_for_status("tick", "disabled");
    assert_eq!(fleet.metrics()["metrics"]["tick"]["count"], 1);
    // And over restarts, of which one does not know it.
    for registry in [&mail, &both] {
        assert!(fleet.terminate().success());
        fleet.write("registry/fleet.toml", registry);
        fleet.start_again();
        fleet.wait_for_boot();
    }
    assert_eq!(fleet.status("tick"), "disabled");
    assert_eq!(fleet.metrics()["metrics"]["tick"]["count"], 1);
}

#[test]
fn on_a_bad_disk_enable_and_disable_are_refused_and_stop_and_pause_are_kept_later() {
    let setup = Setup::new(&[("fleet.toml", &service("mail"))], "").survive_file_size_limit();
    let mut fleet = setup.start();
    fleet.wait_for_status("mail", "running");
    limit_files(&fleet, "4096");
    let refused = fleet.cli(&["disable", "mail"]).expect(75);
    assert!(refused.err.contains("can't be kept"), "{}", refused.err);
    assert_eq!(fleet.status("mail"), "running", "nothing has changed");
    let refused = fleet.request("POST", "/api/v1/agents/mail/disable", Some(&json!({})));
    assert_eq!(refused.status, 503, "{}", refused.body);
    // Whoever has trouble with the disk can still hold the fleet.
    fleet.cli(&["pause"]).expect(0);
    fleet.cli(&["stop", "mail"]).expect(0);
    fleet.wait_for_status("mail", "stopped");
    limit_files(&fleet, "unlimited");
    wait_until("the stop on disk", || kept(&fleet, "mail").is_some_and(|state| state.stopped));
    wait_until("a healthy store", || fleet.cli(&["disable", "mail"]).code == 0);
    fleet.kill_and_restart();
    assert_eq!(fleet.metrics()["system"]["paused"], true);
    assert_eq!(fleet.status("mail"), "disabled");
    fleet.cli(&["enable", "mail"]).expect(0);
    assert_eq!(fleet.status("mail"), "stopped", "that is another switch");
}

/// Files of the orchestrator can't grow beyond so many bytes.
fn limit_files(fleet: &Werkpilot, limit: &str) {
    let arguments = [format!("--pid={}", fleet.pid()), format!("--fsize={limit}:")];
    let status = std::process::Command::new("prlimit").args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit");
}

#[test]
fn a_promised_execution_that_waits_at_a_shutdown_runs_after_the_next_start() {
    let slow = job(
        "slow",
        "overlap = \"queue_all\"\nshell = \"p=$(cat); echo $p >> ran; until [ -e go ]; do sleep 0.05; done\"",
    );
    let mut fleet = Werkpilot::start(&[("fleet.toml", &slow)], "[shutdown]\ngrace = \"1s\"\n");
    let ask = |payload: &str| {
        let answer = fleet.request("POST", "/api/v1/agents/slow/trigger", Some(&json!({ "payload": payload })));
        answer.expect(202).json()["runId"].as_str().expect("a run id").to_owned()
    };
    let [first, second, third] = ["first", "second", "third"].map(ask);
    wait_until("the first one runs", || fleet.file("ran").exists());
    fleet.restart();
    // What ran was cut off by the shutdown. What only waited was cancelled, and is run by another execution, in its order.
    assert_eq!(fleet.end_of(&first)["end"], "interrupted");
    assert_eq!([&second, &third].map(|run| fleet.end_of(run)["end"].clone()), ["cancelled", "cancelled"]);
    fleet.touch("go");
    wait_until("both ran", || fleet.read("ran") == "first\nsecond\nthird\n");
    wait_until("both succeeded", || kept(&fleet, "slow").is_some_and(|state| state.successes == 2));
    fleet.restart();
    assert_eq!(fleet.run("slow")["end"], "succeeded");
    assert_eq!(fleet.read("ran"), "first\nsecond\nthird\n\n", "nothing runs twice");
}
