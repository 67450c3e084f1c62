//! Health: probes and what they make of bad answers, the grace, recovery, the overall check, and the orchestrator's own.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use werkpilot_tests::{PATIENCE, Setup, Werkpilot, processes, wait_for, wait_until};

/// Restarts at once.
const FAST: &str = "retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }";

/// Answers as the file `mood` says, over and over.
const MOODS: &str = r#"
import socket, sys, threading, time

def mood():
    try:
        with open("mood") as file:
            return file.read().strip()
    except OSError:
        return "well"

def serve(connection):
    try:
        connection.recv(4096)
        now = mood()
        if now == "hang":
            time.sleep(30)
        elif now == "close":
            pass
        elif now == "garbage":
            connection.sendall(b"220 mail.example ESMTP\r\n")
        elif now == "ill":
            connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        elif now == "redirect":
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /well\r\nContent-Length: 0\r\n\r\n")
        elif now == "headers":
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                connection.sendall(b"X-More: and more\r\n" * 100)
        elif now == "flood":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(1000):
                connection.sendall(b"x" * 100000)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except OSError:
        pass
    finally:
        connection.close()

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("serving", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn service(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\n{FAST}\n{more}\n")
}

fn sleeper(name: &str, more: &str) -> String {
    service(name, &format!("command = [\"sleep\", \"1000\"]\nready = {{ after = \"10ms\" }}\n{more}"))
}

fn health(fleet: &Werkpilot, agent: &str) -> Value {
    fleet.get(&format!("/api/v1/agents/{agent}/health"))
}

/// What the last probe of the first instance found wrong.
fn last_error(fleet: &Werkpilot, agent: &str) -> String {
    health(fleet, agent)["probes"][0]["last"]["error"].as_str().unwrap_or_default().to_owned()
}

fn set_mood(fleet: &Werkpilot, mood: &str) {
    fleet.write("registry/mood", mood);
}

#[test]
fn what_no_well_service_answers_is_a_failure_that_says_what_came() {
    let port = free_port();
    let registry = service(
        "moody",
        &format!(
            "command = [\"python3\", \"moods.py\", \"{port}\"]\nrestart = \"never\"\n\
             ready = {{ log = \"serving\" }}\n\
             health = {{ http = \"http://127.0.0.1:{port}/\", interval = \"100ms\", timeout = \"1s\", failures = 2 }}"
        ),
    ) + &sleeper(
        "nowhere",
        "restart = \"never\"\nhealth = { http = \"http://nobody.invalid:1/\", interval = \"100ms\", failures = 1 }",
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry), ("moods.py", MOODS)], "");
    let pid = fleet.wait_for_pid("moody");
    let moods = [
        ("ill", "answered 503"),
        ("redirect", "answered 302, which is not followed: Location: /well"),
        ("hang", "no answer from"),
        ("headers", "sent more than 16 KiB of headers"),
        ("close", "closed the connection without an answer"),
        ("garbage", "did not answer in HTTP"),
    ];
    for (mood, told) in moods {
        set_mood(&fleet, mood);
        wait_until(told, || last_error(&fleet, "moody").contains(told));
        fleet.wait_for_status("moody", "unhealthy");
        set_mood(&fleet, "well");
        fleet.wait_for_status("moody", "running");
    }
    // A hundred megabytes are not read, and nothing is wrong with them.
    let before = processes::peak_rss(fleet.pid());
    set_mood(&fleet, "flood");
    let passed = || health(&fleet, "moody")["probes"][0]["last"].clone();
    let first = passed()["at"].clone();
    wait_until("probes of a flood", || passed()["at"] != first && passed()["healthy"] == true);
    assert!(processes::peak_rss(fleet.pid()) < before + (20 << 20));
    assert_eq!(fleet.pids("moody"), [pid], "it is only marked");
    let changed = fleet.events_of("moody", "agent.health.changed");
    assert!(changed.len() >= 2 * moods.len(), "both ways: {changed:?}");
    let (ill, well) = (&changed[0], &changed[1]);
    assert_eq!((&ill["healthy"], &ill["reason"]["code"]), (&json!(false), &json!("probes_failed")));
    assert_eq!((&well["healthy"], &well["reason"]), (&json!(true), &Value::Null));
    wait_until("the one without an address", || {
        let told = last_error(&fleet, "nowhere");
        told.contains("no address was found for nobody.invalid") || told.contains("no answer from")
    });
}

#[test]
fn a_probes_command_that_forks_and_hangs_is_ended_and_one_that_floods_disturbs_nobody() {
    let probe = "case $(cat mood 2>/dev/null) in hang) sleep 1000 & setsid sleep 1000 & sleep 1000;; \
                 flood) head -c 100000000 /dev/zero;; esac";
    let registry = sleeper(
        "probed",
        &format!(
            "restart = \"never\"\nhealth = {{ exec = [\"sh\", \"-c\", \"{probe}\"], interval = \"100ms\", \
             timeout = \"2s\", failures = 1 }}"
        ),
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    wait_until("a probe that passes", || health(&fleet, "probed")["probes"][0]["last"]["healthy"] == true);
    set_mood(&fleet, "hang");
    wait_until("its time is over", || last_error(&fleet, "probed") == "the probe's command did not end within 2s");
    set_mood(&fleet, "flood");
    fleet.wait_for_status("probed", "running");
    set_mood(&fleet, "well");
    wait_until("what the probe forked is gone", || fleet.leftovers().len() <= 3);
}

/// A service that is well as long as `good` is there, with a grace of 4 to 6 seconds.
fn watched_by_http(port: u16) -> Werkpilot {
    let registry = service(
        "watched",
        &format!(
            "command = [\"puppet\", \"serve\", \"{port}\", \"good\"]\nready = {{ tcp = \"127.0.0.1:{port}\" }}\n\
             health = {{ http = \"http://127.0.0.1:{port}/\", interval = \"4s\", failures = 1 }}"
        ),
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry), ("good", "")], "");
    fleet.wait_for_status("watched", "running");
    fleet
}

#[test]
fn an_unhealthy_service_is_told_as_such_for_its_grace_and_restarted_then() {
    let fleet = watched_by_http(free_port());
    let pid = fleet.wait_for_pid("watched");
    std::fs::remove_file(fleet.file("good")).unwrap();
    fleet.wait_for_status("watched", "unhealthy");
    let seen = health(&fleet, "watched");
    assert_eq!((&seen["healthy"], &seen["now"]["verdict"]), (&json!(false), &json!("unhealthy")), "{seen}");
    assert_eq!(seen["now"]["reasons"][0]["code"], "probes_failed", "{seen}");
    assert!(seen["unhealthySince"].is_string() && seen["outlook"][0]["at"].is_string(), "{seen}");
    assert_eq!(seen["outlook"][0]["what"], "restart");
    assert!(processes::alive(pid), "it may recover");
    fleet.touch("good");
    // Also in the case that it recovered: then another failure is needed.
    if fleet.status("watched") == "running" && fleet.pids("watched") == [pid] {
        return;
    }
    wait_until("it is well again, in its old process or in a new one", || fleet.status("watched") == "running");
}

#[test]
fn who_does_not_recover_within_the_grace_gets_a_new_process_and_who_does_keeps_it() {
    let fleet = watched_by_http(free_port());
    let pid = fleet.wait_for_pid("watched");
    // A cough.
    std::fs::remove_file(fleet.file("good")).unwrap();
    fleet.wait_for_status("watched", "unhealthy");
    fleet.touch("good");
    fleet.wait_for_status("watched", "running");
    assert_eq!(fleet.pids("watched"), [pid], "it recovered");
    assert!(fleet.events_of("watched", "agent.restarting").is_empty());
    // An illness.
    std::fs::remove_file(fleet.file("good")).unwrap();
    let restarting = fleet.wait_for_event("watched", "agent.restarting");
    assert_eq!(restarting["reason"]["code"], "probes_failed", "{restarting}");
    fleet.touch("good");
    let successor = fleet.wait_for_successor("watched", pid);
    assert!(!processes::alive(pid) && processes::alive(successor));
    let changed = fleet.events_of("watched", "agent.health.changed");
    let ways: Vec<_> = changed.iter().map(|data| data["healthy"] == true).collect();
    assert_eq!(ways[..3], [false, true, false], "{changed:?}");
}

#[test]
fn a_watchdog_and_an_output_that_come_back_are_noted() {
    let registry = service(
        "watchdog",
        "restart = \"never\"\nready = { notify = true }\nhealth = { notify = true, interval = \"1s\" }\n\
         shell = \"puppet notify READY=1; while :; do [ -e mute ] || puppet notify WATCHDOG=1; sleep 0.1; done\"",
    ) + &service(
        "chatty",
        "restart = \"never\"\nready = { after = \"10ms\" }\nmax_silence = \"1s\"\n\
         shell = \"while :; do [ -e mute ] || echo hello; sleep 0.1; done\"",
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    for name in ["watchdog", "chatty"] {
        fleet.wait_for_status(name, "running");
    }
    fleet.touch("mute");
    for (name, kind) in [("watchdog", "notify"), ("chatty", "max_silence")] {
        fleet.wait_for_status(name, "unhealthy");
        let seen = health(&fleet, name);
        assert_eq!((&seen["probes"][0]["kind"], &seen["probes"][0]["healthy"]), (&json!(kind), &json!(false)));
        assert_eq!(seen["outlook"][0]["what"], "left", "{seen}");
    }
    std::fs::remove_file(fleet.file("mute")).unwrap();
    for name in ["watchdog", "chatty"] {
        fleet.wait_for_status(name, "running");
        wait_until("it is told", || {
            fleet.events_of(name, "agent.health.changed").iter().any(|changed| changed["healthy"] == true)
        });
    }
}

#[test]
fn all_agents_are_checked_jobs_and_those_without_probes_too_and_the_result_is_kept() {
    let tool = "#!/bin/sh\nexit 0\n";
    let registry = "[[agent]]\nname = \"good\"\ncommand = [\"true\"]\nkind = \"job\"\n\
         [[agent]]\nname = \"gone\"\ncommand = [\"./tool\"]\nkind = \"job\"\n\
         [[agent]]\nname = \"failed\"\ncommand = [\"false\"]\nkind = \"job\"\nretry = { max = 0 }\n\
         [[agent]]\nname = \"off\"\ncommand = [\"true\"]\nkind = \"job\"\nenabled = false\n"
        .to_owned()
        + &sleeper("service", "");
    let config = "[health]\ninterval = \"1s\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], config);
    fleet.run("failed");
    let last = |fleet: &Werkpilot, name: &str| fleet.agent(name)["lastHealthCheck"].clone();
    let expected = [
        ("good", json!(true), Value::Null),
        ("gone", json!(false), json!("no such file")),
        ("failed", json!(false), json!("its last execution ended as error")),
        ("off", Value::Null, json!("enabled = false in the registry")),
        ("service", json!(true), Value::Null),
    ];
    for (name, healthy, error) in &expected {
        wait_until(&format!("the check of {name}"), || {
            let check = last(&fleet, name);
            let told = check["error"].as_str().unwrap_or_default();
            check["at"].is_string() && check["healthy"] == *healthy && told.contains(error.as_str().unwrap_or_default())
        });
        let seen = health(&fleet, name);
        assert!(seen["lastOverallCheck"]["at"].is_string() && seen["nextOverallCheck"].is_string(), "{seen}");
    }
    let changed = fleet.wait_for_event("gone", "agent.health.changed");
    assert_eq!((&changed["healthy"], &changed["reason"]["code"]), (&json!(false), &json!("command_missing")));
    fleet.write("registry/tool", tool);
    let executable = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(fleet.file("tool"), executable).unwrap();
    wait_until("it is found", || last(&fleet, "gone")["healthy"] == true);
    wait_until("that is told, too", || {
        fleet.events_of("gone", "agent.health.changed").iter().any(|changed| changed["healthy"] == true)
    });
    assert!(fleet.get("/healthz")["lastOverallCheck"].is_string());
    // Another interval takes effect without a restart, and what was found outlives one.
    fleet.write("werkpilot.toml", "[health]\ninterval = \"1h\"\n");
    fleet.cli(&["reload"]).expect(0);
    wait_until("a check in an hour", || {
        let next = health(&fleet, "service")["nextOverallCheck"].as_str().map(str::to_owned);
        let now = fleet.get("/healthz")["lastOverallCheck"].as_str().map(str::to_owned);
        next.zip(now).is_some_and(|(next, now)| next[..16] > now[..16])
    });
    fleet.kill_and_restart();
    for (name, healthy) in [("good", json!(true)), ("failed", json!(false)), ("off", Value::Null)] {
        let check = last(&fleet, name);
        assert_eq!((check["at"].is_string(), &check["healthy"]), (true, &healthy), "{name}: {check}");
    }
}

#[test]
fn other_probes_take_effect_at_a_reload_and_nobody_is_restarted_for_them() {
    let probed = |file: &str, interval: &str| {
        sleeper("probed", &format!("health = {{ exec = [\"test\", \"-e\", \"{file}\"], interval = \"{interval}\" }}"))
    };
    let fleet = Werkpilot::start(&[("fleet.toml", &probed("no-such-file", "1h"))], "");
    fleet.wait_for_status("probed", "running");
    let pid = fleet.wait_for_pid("probed");
    fleet.write("registry/fleet.toml", &probed("fleet.toml", "100ms"));
    fleet.cli(&["reload"]).expect(0);
    wait_until("the new probe passes", || {
        let probe = health(&fleet, "probed")["probes"][0].clone();
        probe["intervalMs"] == 100.0 && probe["last"]["healthy"] == true
    });
    fleet.write("registry/fleet.toml", &sleeper("probed", ""));
    fleet.cli(&["reload"]).expect(0);
    wait_until("nobody looks any more", || health(&fleet, "probed")["probes"] == json!([]));
    assert_eq!(fleet.pids("probed"), [pid]);
}

#[test]
fn sixty_that_turn_unhealthy_at_once_are_restarted_as_far_as_the_global_breaker_lets_them() {
    const SERVICES: usize = 60;
    const ROOM: usize = 5;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let one = |number: usize| {
        let health = format!("health = {{ tcp = \"{address}\", interval = \"500ms\", failures = 2 }}");
        sleeper(&format!("s{number}"), &health)
    };
    let registry: String = (0..SERVICES).map(one).collect();
    let config = format!("[breaker]\nmax_restarts = {ROOM}\n[boot]\nlayer_timeout = \"1m\"\n");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], &config);
    let count = |status: &str| {
        let statuses = fleet.get("/healthz")["statuses"].clone();
        usize::try_from(statuses[status].as_u64().unwrap_or(0)).unwrap()
    };
    wait_until("all run", || count("running") == SERVICES);
    // What all of them need is gone.
    drop(listener);
    wait_for("the global breaker", PATIENCE, || (count("backing_off") >= SERVICES - ROOM).then_some(()));
    let opened = fleet.events("breaker.opened");
    assert!(opened.iter().any(|event| event["data"]["agent"].is_null()), "{opened:?}");
    assert_eq!(fleet.request("GET", "/healthz", None).status, 200, "the orchestrator is well");
    let started = fleet.events("agent.started").len();
    assert!(started <= SERVICES + ROOM, "{started} starts");
    let begun = std::time::Instant::now();
    wait_until("it holds", || begun.elapsed() > Duration::from_secs(2));
    assert!(fleet.events("agent.started").len() <= SERVICES + ROOM, "it holds");
}

#[test]
fn the_orchestrator_tells_how_each_of_its_parts_is_and_which_one_fails() {
    let stubborn = sleeper("stubborn", "stop = { timeout = \"3s\" }")
        .replace("command = [\"sleep\", \"1000\"]", "shell = \"trap '' TERM; while :; do sleep 0.1; done\"");
    let mut fleet = Setup::new(&[("fleet.toml", &stubborn)], "").start();
    fleet.wait_for_status("stubborn", "running");
    wait_until("its vitals", || {
        let seen = fleet.get("/healthz");
        seen["eventLoop"]["lagMs"].is_number() && seen["disk"]["totalBytes"].is_number()
    });
    let well = fleet.get("/readyz");
    assert_eq!((&well["failing"], &well["ready"], &well["healthy"]), (&json!([]), &json!(true), &json!(true)));
    let parts: Vec<_> = well["parts"].as_array().unwrap().iter().map(|part| part["part"].clone()).collect();
    assert_eq!(json!(parts), json!(["phase", "actors", "event_loop", "store", "disk", "schedule"]));
    fleet.signal(processes::Signal::TERM);
    let unready = wait_for("it is not ready any more", PATIENCE, || {
        let answer = fleet.request("GET", "/readyz", None);
        (answer.status == 503).then(|| answer.json())
    });
    assert_eq!(unready["failing"][0]["trouble"], json!({ "code": "shutting_down" }), "{unready}");
    assert_eq!(unready["failing"][0]["reason"], "it is shutting down");
    assert!(fleet.wait_for_end().success());
}
