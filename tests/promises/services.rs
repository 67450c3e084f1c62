//! Services: when they are ready, how they are watched, how they are restarted, alone and together.

use std::net::TcpListener;

use serde_json::json;
use werkpilot_tests::{PATIENCE, Werkpilot, processes, wait_for, wait_until};

/// Restarts at once.
const FAST: &str = "retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }";

fn service(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\n{FAST}\n{more}\n")
}

fn sleeper(name: &str, more: &str) -> String {
    service(name, &format!("command = [\"sleep\", \"1000\"]\nready = {{ after = \"10ms\" }}\n{more}"))
}

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn kill(fleet: &Werkpilot, agent: &str) -> i32 {
    let pid = fleet.wait_for_pid(agent);
    processes::signal(pid, processes::Signal::KILL);
    pid
}

#[test]
fn a_service_is_ready_when_it_says_so_by_notify_log_tcp_or_http_and_not_before() {
    let (tcp, http) = (free_port(), free_port());
    let timeout = "timeout = \"5m\"";
    let registry = service(
        "by-notify",
        &format!(
            "ready = {{ notify = true, {timeout} }}\n\
             shell = \"until [ -e go ]; do sleep 0.05; done; puppet notify 'STATUS=warming up'; \
             puppet notify READY=1; exec sleep 1000\""
        ),
    ) + &service(
        "by-log",
        &format!(
            "ready = {{ log = 'listening on port \\d+$', {timeout} }}\n\
             shell = \"echo listening on port none; until [ -e go ]; do sleep 0.05; done; \
             echo now listening on port 80 >&2; exec sleep 1000\""
        ),
    ) + &service(
        "by-tcp",
        &format!(
            "ready = {{ tcp = \"127.0.0.1:{tcp}\", {timeout} }}\ncommand = [\"puppet\", \"serve\", \"{tcp}\", \"go\"]"
        ),
    ) + &service(
        "by-http",
        &format!(
            "ready = {{ http = \"http://127.0.0.1:{http}/health\", {timeout} }}\n\
             command = [\"puppet\", \"serve\", \"{http}\", \"go\"]"
        ),
    ) + &sleeper("by-time", "");
    let names = ["by-notify", "by-log", "by-tcp", "by-http"];
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[boot]\nlayer_timeout = \"1s\"\n");
    fleet.wait_for_status("by-time", "running");
    for name in names {
        assert_eq!(fleet.status(name), "starting", "{name}");
        let health = fleet.get(&format!("/api/v1/agents/{name}/health"));
        assert_eq!(health["healthy"], false, "{health}");
    }
    fleet.touch("go");
    for name in names {
        fleet.wait_for_status(name, "running");
        assert_eq!(fleet.events_of(name, "agent.ready").len(), 1, "{name}");
    }
    assert_eq!(fleet.agent("by-notify")["instances"][0]["said"], "warming up");
}

#[test]
fn a_service_that_is_not_ready_in_time_is_ended_and_started_again() {
    let registry = service(
        "slow",
        "ready = { log = \"never\", timeout = \"200ms\" }\nshell = \"sleep 1000\"\nstop = { timeout = \"1s\" }",
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[boot]\nlayer_timeout = \"100ms\"\n");
    let restarting = fleet.wait_for_event("slow", "agent.restarting");
    assert_eq!(restarting["reason"], json!({ "code": "not_ready", "timeout_ms": 200.0 }));
    wait_until("a second start", || fleet.events_of("slow", "agent.started").len() >= 2);
    assert!(fleet.events_of("slow", "agent.ready").is_empty());
}

#[test]
fn a_service_whose_watchdog_falls_silent_is_restarted() {
    let registry = service(
        "watched",
        "ready = { notify = true }\nhealth = { notify = true, interval = \"1s\" }\n\
         shell = 'echo \"$WATCHDOG_USEC\" > usec; puppet notify READY=1; \
         until [ -e silent ]; do puppet notify WATCHDOG=1; sleep 0.1; done; exec sleep 1000'",
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    let pid = fleet.wait_for_pid("watched");
    assert_eq!(fleet.read("usec"), "1000000\n");
    assert!(fleet.events_of("watched", "agent.health.changed").is_empty());
    fleet.touch("silent");
    let changed = fleet.wait_for_event("watched", "agent.health.changed");
    assert_eq!((&changed["healthy"], &changed["reason"]["code"]), (&json!(false), &json!("watchdog_expired")));
    std::fs::remove_file(fleet.file("silent")).unwrap();
    fleet.wait_for_successor("watched", pid);
}

#[test]
fn a_service_that_writes_nothing_for_too_long_is_restarted() {
    let registry = service(
        "chatty",
        "ready = { after = \"10ms\" }\nmax_silence = \"1s\"\n\
         shell = \"until [ -e silent ]; do echo hello; sleep 0.1; done; exec sleep 1000\"",
    );
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    let pid = fleet.wait_for_pid("chatty");
    fleet.touch("silent");
    let changed = fleet.wait_for_event("chatty", "agent.health.changed");
    assert_eq!(changed["reason"], json!({ "code": "silent", "max_silence_ms": 1000.0 }));
    std::fs::remove_file(fleet.file("silent")).unwrap();
    fleet.wait_for_successor("chatty", pid);
}

#[test]
fn a_service_whose_probes_fail_in_a_row_is_restarted_and_may_be_only_marked() {
    let health = "health = { exec = [\"sh\", \"-c\", \"[ ! -e ill ] || { echo no pulse; exit 1; }\"], \
                  interval = \"100ms\", timeout = \"20s\", failures = 3 }";
    let registry = sleeper("restarted", health) + &sleeper("marked", &format!("{health}\nrestart = \"never\""));
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    let (restarted, marked) = (fleet.wait_for_pid("restarted"), fleet.wait_for_pid("marked"));
    wait_until("a probe", || fleet.agent("restarted")["lastHealthCheck"]["healthy"] == true);
    fleet.touch("ill");
    let changed = fleet.wait_for_event("restarted", "agent.health.changed");
    assert_eq!(changed["reason"]["code"], "probes_failed");
    assert_eq!(changed["reason"]["failures"], 3, "{changed}");
    assert!(changed["reason"]["last"].as_str().unwrap_or_default().contains("code 1"), "{changed}");
    fleet.wait_for_status("marked", "unhealthy");
    assert_eq!(fleet.agent("marked")["lastHealthCheck"]["healthy"], false);
    // Not before its grace is over: it would recover.
    fleet.wait_for_event("restarted", "agent.restarting");
    std::fs::remove_file(fleet.file("ill")).unwrap();
    fleet.wait_for_successor("restarted", restarted);
    fleet.wait_for_status("marked", "running");
    assert_eq!(fleet.pids("marked"), [marked]);
    wait_until("it says that it is well", || {
        fleet.events_of("marked", "agent.health.changed").iter().any(|changed| changed["healthy"] == true)
    });
}

#[test]
fn a_service_that_ends_is_started_again_as_its_policy_says() {
    let ends = |code: u32| {
        format!("ready = {{ after = \"10ms\" }}\nshell = \"until [ -e end ]; do sleep 0.05; done; exit {code}\"")
    };
    let registry = service("always", &ends(0))
        + &service("on-failure-well", &format!("{}\nrestart = \"on_failure\"", ends(0)))
        + &service("on-failure-badly", &format!("{}\nrestart = \"on_failure\"", ends(3)))
        + &service("never", &format!("{}\nrestart = \"never\"", ends(3)));
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[breaker]\nagent_restarts = 10000\nmax_restarts = 0\n");
    fleet.touch("end");
    for name in ["always", "on-failure-badly"] {
        let restarting = fleet.wait_for_event(name, "agent.restarting");
        assert_eq!(restarting["reason"]["code"], "exited", "{restarting}");
    }
    fleet.wait_for_status("on-failure-well", "stopped");
    fleet.wait_for_status("never", "error");
    std::fs::remove_file(fleet.file("end")).unwrap();
    fleet.wait_for_status("always", "running");
    fleet.wait_for_status("on-failure-badly", "running");
    for name in ["on-failure-well", "never"] {
        assert_eq!(fleet.events_of(name, "agent.started").len(), 1, "{name}");
    }
    // A person may start what its policy leaves.
    fleet.cli(&["start", "never"]).expect(0);
    fleet.wait_for_status("never", "running");
}

#[test]
fn only_an_uptime_of_healthy_for_lets_a_service_begin_afresh() {
    let fleet = Werkpilot::start(&[("fleet.toml", &sleeper("db", "healthy_for = \"2s\""))], "");
    let in_a_row = || fleet.agent("db")["instances"][0]["restartsInARow"].clone();
    let first = kill(&fleet, "db");
    fleet.wait_for_successor("db", first);
    let second = kill(&fleet, "db");
    fleet.wait_for_successor("db", second);
    let counts: Vec<_> = fleet.events_of("db", "agent.restarting").iter().map(|data| data["count"].clone()).collect();
    assert_eq!(json!(counts), json!([1, 2]));
    wait_until("it counts afresh", || in_a_row() == 0);
    let third = kill(&fleet, "db");
    fleet.wait_for_successor("db", third);
    assert_eq!(fleet.events_of("db", "agent.restarting").last().unwrap()["count"], 1);
    assert_eq!(fleet.agent("db")["restarts"], 3);
}

#[test]
fn a_service_has_as_many_instances_as_it_should_and_each_is_replaced_alone() {
    let fleet = Werkpilot::start(&[("fleet.toml", &sleeper("web", "instances = 3"))], "");
    fleet.wait_for_status("web", "running");
    let before = fleet.pids("web");
    assert_eq!(before.len(), 3);
    processes::signal(before[1], processes::Signal::KILL);
    let after = wait_for("three again", PATIENCE, || {
        let pids = fleet.pids("web");
        (pids.len() == 3 && !pids.contains(&before[1])).then_some(pids)
    });
    assert!(after.contains(&before[0]) && after.contains(&before[2]), "{before:?} {after:?}");
}

#[test]
fn a_stopped_service_stays_stopped_until_it_is_started_and_a_restarted_one_has_a_new_process() {
    let fleet = Werkpilot::start(&[("fleet.toml", &sleeper("db", ""))], "");
    let pid = fleet.wait_for_pid("db");
    fleet.cli(&["restart", "db"]).expect(0);
    let next = fleet.wait_for_successor("db", pid);
    fleet.cli(&["stop", "db"]).expect(0);
    fleet.wait_for_status("db", "stopped");
    assert!(!processes::alive(next));
    assert_eq!(fleet.agent("db")["reason"], "stopped by an operator (start it with `werkpilot start`)");
    fleet.cli(&["start", "db"]).expect(0);
    fleet.wait_for_status("db", "running");
    assert_eq!(fleet.agent("db")["restarts"], 0, "what a person wants is no automatic restart");
}

/// db ← api ← web, and cache beside them, in one department with this strategy.
fn department(strategy: &str) -> (Werkpilot, [i32; 4]) {
    let registry = format!("[department.shop]\nstrategy = \"{strategy}\"\n");
    let shop = "department = \"shop\"";
    let agents = sleeper("db", shop)
        + &sleeper("api", &format!("{shop}\ndependencies = [\"db\"]"))
        + &sleeper("web", &format!("{shop}\ndependencies = [\"api\"]"))
        + &sleeper("cache", shop)
        + &sleeper("elsewhere", "dependencies = [\"api\"]");
    let fleet = Werkpilot::start(&[("departments.toml", &registry), ("fleet.toml", &agents)], "");
    let pids = ["db", "api", "web", "cache"].map(|name| {
        fleet.wait_for_status(name, "running");
        fleet.pids(name)[0]
    });
    fleet.wait_for_status("elsewhere", "running");
    (fleet, pids)
}

#[test]
fn one_for_one_restarts_only_who_ended() {
    let (fleet, [db, api, web, cache]) = department("one_for_one");
    processes::signal(api, processes::Signal::KILL);
    fleet.wait_for_successor("api", api);
    for (name, pid) in [("db", db), ("web", web), ("cache", cache)] {
        assert_eq!(fleet.pids(name), [pid], "{name}");
    }
    assert_eq!(fleet.events("agent.restarting").len(), 1);
}

#[test]
fn rest_for_one_restarts_who_depends_on_it_too() {
    let (fleet, [db, api, web, cache]) = department("rest_for_one");
    let elsewhere = fleet.pids("elsewhere");
    processes::signal(api, processes::Signal::KILL);
    fleet.wait_for_successor("api", api);
    fleet.wait_for_successor("web", web);
    for (name, pid) in [("db", db), ("cache", cache)] {
        assert_eq!(fleet.pids(name), [pid], "{name}");
    }
    assert_eq!(fleet.pids("elsewhere"), elsewhere, "another department is its own business");
    assert_eq!(
        fleet.wait_for_event("web", "agent.restarting")["reason"],
        json!({ "code": "group_restart", "agent": "api" })
    );
}

#[test]
fn one_for_all_restarts_the_whole_department() {
    let (fleet, [db, api, web, cache]) = department("one_for_all");
    let elsewhere = fleet.pids("elsewhere");
    processes::signal(api, processes::Signal::KILL);
    for (name, pid) in [("db", db), ("api", api), ("web", web), ("cache", cache)] {
        fleet.wait_for_successor(name, pid);
    }
    assert_eq!(fleet.pids("elsewhere"), elsewhere);
}
