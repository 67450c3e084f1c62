//! What is seen from outside: metrics, health, the page, the rights of each listener, the CLI.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use werkpilot_tests::{Setup, Werkpilot, wait_until};

/// A service, a job that succeeds, one that fails and one that depends on it.
fn believable() -> Werkpilot {
    let registry = "[[agent]]\nname = \"agent-db\"\ndepartment = \"data\"\npriority = 1\nready = { after = \"10ms\" }\n\
                    command = [\"sleep\", \"1000\"]\n\
                    [[agent]]\nname = \"agent-analytics\"\ndepartment = \"data\"\nschedule = \"0 4 * * *\"\n\
                    command = [\"echo\", \"done\"]\ndependencies = [\"agent-db\"]\n\
                    [[agent]]\nname = \"agent-invoices\"\nkind = \"job\"\nretry = { max = 0 }\n\
                    shell = \"echo secret figures; exit 3\"\n\
                    [[agent]]\nname = \"agent-sales\"\nkind = \"job\"\ncommand = [\"true\"]\n\
                    dependencies = [\"agent-analytics\", \"agent-invoices\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    fleet.wait_for_status("agent-db", "running");
    assert_eq!(fleet.run("agent-analytics")["end"], "succeeded");
    assert_eq!(fleet.run("agent-invoices")["end"], "failed");
    wait_until("the percentiles and the dead letter", || {
        let metrics = fleet.metrics();
        metrics["metrics"]["agent-analytics"]["count"] == 1 && metrics["system"]["deadLetterQueueSize"] == 1
    });
    fleet
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn is_number(value: &Value) -> bool {
    value.as_f64().is_some_and(f64::is_finite)
}

#[test]
fn metrics_have_the_predecessor_s_shape() {
    let fleet = believable();
    let metrics = fleet.metrics();
    assert_eq!(keys(&metrics), ["agents", "deadLetterQueue", "metrics", "system"]);
    let system = &metrics["system"];
    for key in ["uptimeSeconds", "executionQueueSize", "deadLetterQueueSize", "restartsLastHour"] {
        assert!(is_number(&system[key]), "{key}: {system}");
    }
    for key in ["heapUsedMB", "heapTotalMB", "heapPercent", "rssMB", "externalMB"] {
        assert!(is_number(&system["memory"][key]), "{key}: {system}");
    }
    let agents = metrics["agents"].as_array().unwrap();
    let names: Vec<&Value> = agents.iter().map(|agent| &agent["name"]).collect();
    assert_eq!(json!(names), json!(["agent-db", "agent-analytics", "agent-invoices", "agent-sales"]));
    for agent in agents {
        for key in ["name", "department", "status"] {
            assert!(agent[key].is_string(), "{key}: {agent}");
        }
        for key in ["priority", "dependencyDepth"] {
            assert!(agent[key].is_u64(), "{key}: {agent}");
        }
        for key in ["p50", "p95", "p99", "avgDurationMs", "score"] {
            assert!(agent.get(key).is_some(), "{key}: {agent}");
        }
    }
    assert_eq!(
        [&agents[0]["department"], &agents[0]["priority"], &agents[0]["p50"], &agents[0]["status"]],
        [&json!("data"), &json!(1), &Value::Null, &json!("running")]
    );
    assert_eq!((&agents[3]["dependencyDepth"], &agents[2]["status"]), (&json!(2), &json!("error")));
    assert_eq!(keys(&metrics["metrics"]), ["agent-analytics"]);
    let times = &metrics["metrics"]["agent-analytics"];
    assert_eq!(keys(times), ["avgDurationMs", "count", "p50", "p95", "p99"]);
    for key in ["p50", "p95", "p99", "avgDurationMs"] {
        assert!(times[key].as_f64().is_some_and(|ms| ms > 0.0), "{key}: {times}");
        assert_eq!(times[key], times["p50"], "there is one sample");
    }
    let letters = metrics["deadLetterQueue"].as_array().unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["agentName"], &letters[0]["restartCount"]), (&json!("agent-invoices"), &json!(1)));
    assert!(!metrics.to_string().contains("secret figures"));
}

#[test]
fn a_scraper_gets_openmetrics_of_the_same_facts_and_a_script_json() {
    let fleet = believable();
    let scrape = |accept: &str| fleet.tcp("GET", "/metrics", &[("Accept", accept)]).expect(200);
    let open = scrape("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    for line in [
        "werkpilot_agents{status=\"running\"} 1",
        "werkpilot_agent_up{agent=\"agent-db\"} 1",
        "werkpilot_agent_successes_total{agent=\"agent-analytics\"} 1",
        "werkpilot_executions_total{end=\"failed\"} 1",
        "werkpilot_dead_letters_total 1",
        "# UNIT werkpilot_uptime_seconds seconds",
    ] {
        let there = |found: &str| found == line || found.strip_suffix(".0") == Some(line);
        assert!(open.body.lines().any(there), "no `{line}`:\n{}", open.body);
    }
    let plain = scrape("text/plain;version=0.0.4;q=1,*/*;q=0.1");
    assert!(plain.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    assert!(!plain.body.contains("# EOF") && plain.body.contains("# TYPE werkpilot_dead_letters_total counter\n"));
    for accept in ["*/*", "application/json"] {
        assert_eq!(scrape(accept).header("content-type"), Some("application/json"));
    }
}

#[test]
fn health_tells_life_readiness_and_soundness_apart() {
    let registry = "[[agent]]\nname = \"db\"\nready = { log = \"up\", timeout = \"5m\" }\n\
                    shell = \"until [ -e go ]; do sleep 0.05; done; echo up; exec sleep 1000\"\n";
    let fleet = Setup::new(&[("fleet.toml", registry)], "[boot]\nlayer_timeout = \"5m\"\n").launch();
    let status = |path: &str| fleet.tcp("GET", path, &[]).status;
    assert_eq!([status("/livez"), status("/readyz"), status("/healthz")], [200, 503, 200]);
    let booting = fleet.tcp("GET", "/readyz", &[]).json();
    assert_eq!((&booting["phase"], &booting["ready"]), (&json!("booting"), &json!(false)));
    fleet.touch("go");
    fleet.wait_for_boot();
    assert_eq!([status("/livez"), status("/readyz"), status("/healthz")], [200, 200, 200]);
    let health = fleet.tcp("GET", "/api/v1/agents/db/health", &[]).expect(200).json();
    assert_eq!((&health["status"], &health["healthy"]), (&json!("running"), &json!(true)));
}

#[test]
fn tcp_shows_the_overview_and_refuses_changes_logs_and_payloads() {
    let fleet = believable();
    for path in [
        "/",
        "/api/v1/agents",
        "/api/v1/agents/agent-db",
        "/api/v1/queue",
        "/api/v1/schedule",
        "/api/v1/bus",
        "/api/v1/graph",
    ] {
        fleet.tcp("GET", path, &[]).expect(200);
    }
    let before = fleet.pids("agent-db");
    let refused = [
        ("POST", "/api/v1/agents/agent-db/stop"),
        ("POST", "/api/v1/agents/agent-analytics/trigger"),
        ("POST", "/api/v1/reload"),
        ("POST", "/api/v1/pause"),
        ("POST", "/api/v1/shutdown"),
        ("GET", "/api/v1/agents/agent-invoices/logs"),
        ("GET", "/api/v1/dead-letters"),
        ("GET", "/api/v1/dead-letters/1"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/bus/services"),
        ("GET", "/api/v1/config"),
    ];
    for (method, path) in refused {
        let answer = fleet.tcp(method, path, &[]);
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert!(answer.body.contains("werkpilot login"), "{path}: {}", answer.body);
        assert!(!answer.body.contains("secret figures"));
    }
    assert_eq!(fleet.pids("agent-db"), before);
    // The same over the control socket, which is the user's alone.
    let mode = std::fs::metadata(fleet.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let logs = fleet.request("GET", "/api/v1/agents/agent-invoices/logs", None).expect(200).body;
    assert!(logs.contains("secret figures"), "{logs}");
}

#[test]
fn tcp_answers_only_who_is_on_this_machine() {
    let fleet = believable();
    let status = |headers: &[(&str, &str)]| fleet.tcp("GET", "/metrics", headers).status;
    let port = fleet.address().port();
    for host in
        ["localhost".to_owned(), format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "LOCALHOST:80".to_owned()]
    {
        assert_eq!(status(&[("Host", &host)]), 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "192.168.1.1", "localhost.evil.example:3001"] {
        assert_eq!(status(&[("Host", host)]), 421, "{host}");
    }
    for header in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto"] {
        assert_eq!(status(&[(header, "203.0.113.9")]), 401, "{header}");
    }
    assert_eq!(status(&[("Origin", "https://evil.example")]), 403);
}

#[test]
fn the_page_brings_its_own_files_and_nothing_inline_but_the_import_map() {
    let fleet = believable();
    let page = fleet.tcp("GET", "/", &[("Accept", "text/html")]).expect(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let policy = page.header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for tag in page.body.split("<script").skip(1) {
        assert!(tag.contains("src=\"/assets/") || tag.starts_with(" type=\"importmap\">"), "{tag}");
    }
    assert!(page.body.contains("<noscript>") && !page.body.contains("agent-db"));
    let assets = page.body.split('"').filter(|part| part.starts_with("/assets/") && part.contains('.'));
    let assets: Vec<&str> = assets.collect();
    assert!(assets.len() > 10, "{assets:?}");
    for asset in assets {
        fleet.tcp("GET", asset, &[]).expect(200);
    }
    for path in ["/assets/", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets/index.html"] {
        fleet.tcp("GET", path, &[]).expect(404);
    }
}

#[test]
fn the_cli_speaks_to_people_and_to_programs() {
    let fleet = believable();
    let status = fleet.cli(&["status"]).expect(0).out;
    assert!(status.contains("agent-invoices") && status.contains("error"), "{status}");
    let agents = fleet.cli(&["agents"]).expect(0).out;
    for name in ["agent-db", "agent-analytics", "agent-invoices", "agent-sales"] {
        assert!(agents.contains(name), "{agents}");
    }
    let why = fleet.cli(&["why", "agent-invoices"]).expect(0).out;
    assert!(why.contains("exited with code 3"), "{why}");
    let dot = fleet.cli(&["graph", "--format", "dot"]).expect(0).out;
    assert!(dot.starts_with("digraph") && dot.contains("agent-sales"), "{dot}");
    let next = fleet.cli(&["next", "--hours", "48"]).expect(0).out;
    assert!(next.contains("agent-analytics"), "{next}");
    for command in [
        &["status", "--json"][..],
        &["agents", "--json"],
        &["queue", "--json"],
        &["dlq", "list", "--json"],
        &["why", "agent-sales", "--json"],
        &["next", "--json"],
        &["config", "--json"],
    ] {
        fleet.cli(command).expect(0).json();
    }
    let unknown = fleet.cli(&["why", "agent-invoice"]).expect(66);
    assert!(unknown.err.contains("agent-invoice"), "{}", unknown.err);
    let mistyped = fleet.cli(&["stop", "agent-dbb"]).expect(66);
    assert!(mistyped.err.contains("did you mean agent-db?"), "{}", mistyped.err);
    fleet.cli(&["dlq", "show", "4711"]).expect(66);
    fleet.cli(&["no-such-command"]).expect(64);
    fleet.cli(&["run", "agent-db"]).expect(64);
}

#[test]
fn the_cli_says_what_to_do_when_no_orchestrator_runs() {
    let mut fleet =
        Werkpilot::start(&[("fleet.toml", "[[agent]]\nname = \"a\"\nkind = \"job\"\ncommand = [\"true\"]\n")], "");
    assert!(fleet.terminate().success());
    let outcome = fleet.cli(&["status"]).expect(69);
    assert!(outcome.err.contains("werkpilot up"), "{}", outcome.err);
}
