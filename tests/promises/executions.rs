//! Executions: their order, their failures, their dependencies, and what is told about them.

use serde_json::{Value, json};
use werkpilot_tests::{PATIENCE, Werkpilot, processes, wait_for, wait_until};

/// Retries that take no time.
const FAST: &str = "retry = { max = 3, initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }";

/// A job that runs until there is a file `go`.
const BLOCKER: &str =
    "[[agent]]\nname = \"blocker\"\nkind = \"job\"\nshell = \"until [ -e go ]; do sleep 0.05; done\"\n";

fn job(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\n{more}\n")
}

#[test]
fn one_worker_takes_priority_1_first_then_the_shallower_then_who_came_first() {
    let registry = BLOCKER.to_owned()
        + &job("base", "command = [\"true\"]")
        + &job("deep", "command = [\"true\"]\ndependencies = [\"base\"]")
        + &job("normal-1", "command = [\"true\"]")
        + &job("normal-2", "command = [\"true\"]")
        + &job("important", "command = [\"true\"]\npriority = 2")
        + &job("critical", "command = [\"true\"]\npriority = 1");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[queue]\nworkers = 1\n");
    fleet.trigger("blocker");
    fleet.wait_for_event("blocker", "execution.started");
    let runs = ["deep", "normal-1", "normal-2", "important", "critical"].map(|name| fleet.trigger(name));

    let queue = fleet.cli(&["queue", "--json"]).expect(0).json();
    let waiting: Vec<&str> = queue["waiting"].as_array().unwrap().iter().filter_map(|w| w["agent"].as_str()).collect();
    assert_eq!(waiting, ["critical", "important", "normal-1", "normal-2", "deep"]);
    assert_eq!(fleet.metrics()["system"]["executionQueueSize"], 5);

    fleet.touch("go");
    for run in runs {
        assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    }
    let started: Vec<Value> =
        fleet.events("execution.started").iter().map(|event| event["data"]["agent"].clone()).collect();
    assert_eq!(json!(started), json!(["blocker", "critical", "important", "normal-1", "normal-2", "deep"]));
}

#[test]
fn a_job_that_fails_is_retried_and_then_kept_as_a_dead_letter_with_all_that_is_known() {
    let more = format!("department = \"finance\"\nshell = \"cat; echo no such table 4711 >&2; exit 3\"\n{FAST}");
    let fleet = Werkpilot::start(&[("fleet.toml", &job("invoices", &more))], "");
    let payload = fleet.cli(&["run", "invoices", "--payload", "{\"id\": 7}", "--wait"]).expect(1);
    assert!(payload.out.contains("invoices failed"), "{}", payload.out);
    assert!(
        payload.out.contains("4 attempts: all 4 attempts failed, the last one exited with code 3"),
        "{}",
        payload.out
    );

    assert_eq!(fleet.events_of("invoices", "agent.failed").len(), 4);
    assert_eq!(fleet.events_of("invoices", "execution.started").len(), 4);
    let restarting = fleet.events_of("invoices", "agent.restarting");
    let counts: Vec<&Value> = restarting.iter().map(|event| &event["count"]).collect();
    assert_eq!(json!(counts), json!([1, 2, 3]));
    let ended = fleet.events_of("invoices", "execution.ended");
    assert_eq!((ended.len(), &ended[0]["end"], &ended[0]["attempts"]), (1, &json!("failed"), &json!(4)));
    assert_eq!(fleet.wait_for_event("invoices", "dlq.added")["id"], 1);
    assert_eq!(fleet.status("invoices"), "error");

    let list = fleet.cli(&["dlq", "list"]).expect(0).out;
    assert!(list.starts_with("1 dead letter (1 ever)") && list.contains("invoices"), "{list}");
    let letter = fleet.cli(&["dlq", "show", "1", "--json"]).expect(0).json();
    assert_eq!(letter["agentName"], "invoices");
    assert_eq!(letter["restartCount"], 4);
    assert_eq!(letter["error"], "all 4 attempts failed, the last one exited with code 3");
    let data = &letter["executionData"];
    assert_eq!(data["department"], "finance");
    assert_eq!(data["payload"], "{\"id\": 7}");
    assert_eq!(data["trigger"]["kind"], "manual");
    assert_eq!(data["exit"], json!({ "kind": "code", "value": 3 }));
    assert_eq!(data["attempts"].as_array().map(Vec::len), Some(4));
    assert!(data["logTail"].to_string().contains("no such table 4711"), "{data}");
    let shown = fleet.cli(&["dlq", "show", "1"]).expect(0).out;
    assert!(shown.contains("no such table 4711") && shown.contains("finance"), "{shown}");

    let public = &fleet.metrics()["deadLetterQueue"][0];
    for key in ["id", "agentName", "error", "signature", "timestamp", "restartCount", "executionData"] {
        assert!(public.get(key).is_some(), "no {key}: {public}");
    }
    let text = public.to_string();
    assert!(!text.contains("logTail") && !text.contains("payload") && !text.contains("4711"), "{text}");

    // It does not stop its triggers.
    assert_eq!(fleet.run("invoices")["end"], "failed");
}

#[test]
fn an_unhealthy_dependency_skips_a_job_with_every_reason_in_log_event_and_answer() {
    let registry = job("agent-analytics", "command = [\"false\"]\nretry = { max = 0 }")
        + "[[agent]]\nname = \"agent-db\"\ncommand = [\"/no/such/database\"]\n"
        + &job("agent-sales", "command = [\"touch\", \"sold\"]\ndependencies = [\"agent-analytics\", \"agent-db\"]");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    assert_eq!(fleet.run("agent-analytics")["end"], "failed");
    fleet.wait_for_status("agent-db", "missing");

    let outcome = fleet.cli(&["run", "agent-sales", "--wait"]).expect(75);
    assert!(outcome.out.contains("agent-sales skipped"), "{}", outcome.out);
    let line = "Agent \"agent-sales\" has unhealthy dependencies: agent-analytics (error), agent-db (missing)";
    assert!(fleet.log_text().lines().any(|logged| logged.ends_with(line)), "{}", fleet.log_text());
    let payload = fleet.wait_for_event("agent-sales", "agent.dependencies.unhealthy");
    let errors: Vec<&str> =
        payload["unhealthyDeps"].as_array().unwrap().iter().filter_map(|d| d["error"].as_str()).collect();
    assert_eq!(errors.len(), 2, "{payload}");
    assert!(errors[0].contains("exited with code 1") && errors[1].contains("/no/such/database"), "{payload}");
    assert_eq!(
        payload,
        json!({ "agent": "agent-sales", "unhealthyDeps": [
            { "dep": "agent-analytics", "reason": "error", "error": errors[0] },
            { "dep": "agent-db", "reason": "missing", "error": errors[1] },
        ] })
    );
    assert_eq!(fleet.wait_for_event("agent-sales", "agent.skipped")["reason"]["code"], "unhealthy_dependencies");
    assert_eq!(fleet.events_of("agent-sales", "execution.ended")[0]["end"], "skipped");
    let why = fleet.cli(&["why", "agent-sales"]).expect(0).out;
    assert!(why.contains("agent-analytics (error), agent-db (missing)"), "{why}");
    assert!(!fleet.file("sold").exists());
    assert!(fleet.events_of("agent-sales", "dlq.added").is_empty());

    // Who knows better may say so.
    fleet.cli(&["run", "agent-sales", "--force", "--wait"]).expect(0);
    assert!(fleet.file("sold").exists());
}

#[test]
fn a_job_that_is_to_wait_for_its_dependencies_does_and_runs_when_they_are_well() {
    let registry = "[[agent]]\nname = \"agent-db\"\nready = { log = \"up\", timeout = \"5m\" }\n\
                    shell = \"until [ -e go ]; do sleep 0.05; done; echo up; exec sleep 1000\"\n"
        .to_owned()
        + &job("report", "command = [\"true\"]\ndependencies = [\"agent-db\"]\non_unhealthy_dependency = \"wait\"");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[boot]\nlayer_timeout = \"100ms\"\n");
    let run = fleet.trigger("report");
    fleet.wait_for_event("report", "agent.dependencies.unhealthy");
    fleet.wait_for_status("report", "queued");
    let waiting = fleet.get("/api/v1/queue")["waiting"][0].clone();
    assert_eq!(waiting["reason"]["code"], "unhealthy_dependencies", "{waiting}");
    fleet.touch("go");
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    assert_eq!(fleet.events_of("report", "agent.dependencies.unhealthy").len(), 1);
}

#[test]
fn who_runs_is_not_stopped_when_a_dependency_falls_ill() {
    let registry = "[[agent]]\nname = \"agent-db\"\nrestart = \"never\"\nready = { after = \"10ms\" }\n\
                    command = [\"sleep\", \"1000\"]\n\
                    [[agent]]\nname = \"api\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n\
                    dependencies = [\"agent-db\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    fleet.wait_for_status("api", "running");
    let api = fleet.pids("api");
    processes::signal(fleet.pids("agent-db")[0], processes::Signal::KILL);
    wait_until("the end of agent-db", || fleet.pids("agent-db").is_empty());
    fleet.wait_for_status("agent-db", "error");
    assert_eq!(fleet.pids("api"), api);
    assert_eq!(fleet.status("api"), "running");
    assert_eq!(fleet.agent("api")["unhealthyDependencies"][0]["reason"], "error");
}

#[test]
fn a_full_queue_refuses_with_the_reason_and_loses_nothing_that_it_took() {
    let registry = BLOCKER.to_owned() + &job("report", "command = [\"true\"]");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[queue]\nworkers = 1\ncapacity = 2\n");
    fleet.trigger("blocker");
    fleet.wait_for_event("blocker", "execution.started");
    let taken = [fleet.trigger("report"), fleet.trigger("report")];

    let refused = fleet.cli(&["run", "report"]).expect(75);
    assert!(refused.err.contains("the queue is full (2 waiting; [queue] capacity)"), "{}", refused.err);
    let answer = fleet.request("POST", "/api/v1/agents/report/trigger", Some(&json!({}))).expect(503);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["reason"], json!({ "code": "queue_full", "capacity": 2 }));
    wait_for("both refusals", PATIENCE, || {
        let refused = fleet.metrics()["system"]["events"]["execution.refused"].as_u64();
        (refused == Some(2)).then_some(())
    });

    fleet.touch("go");
    for run in taken {
        assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_ended_with_all_its_processes() {
    let more = "timeout = \"300ms\"\nretry = { max = 1, initial = \"10ms\" }\nshell = \"sleep 1000 & sleep 1000\"";
    let fleet = Werkpilot::start(&[("fleet.toml", &job("slow", more))], "");
    let outcome = fleet.cli(&["run", "slow", "--wait"]).expect(124);
    assert!(outcome.out.contains("slow timed_out"), "{}", outcome.out);
    assert_eq!(fleet.status("slow"), "timeout");
    fleet.wait_for_event("slow", "dlq.added");
    assert_eq!(fleet.get("/api/v1/dead-letters")["deadLetters"][0]["restartCount"], 2);
    wait_until("the end of its processes", || fleet.leftovers().is_empty());
}

#[test]
fn run_hands_over_the_payload_and_its_exit_code_tells_how_it_ended() {
    let registry = job("upper", "shell = \"tr a-z A-Z\"")
        + &job("picky", "shell = \"exit 7\"\nretry = { max = 0 }\nsuccess_codes = [0, 7]")
        + &job("bad", "command = [\"false\"]\nretry = { max = 0 }");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    std::fs::write(fleet.dir().join("payload"), "from a file").unwrap();
    let mut command = fleet.cli_command(&["run", "upper", "--payload", "-", "--wait"]);
    command.stdin(std::fs::File::open(fleet.dir().join("payload")).unwrap());
    assert!(command.output().unwrap().status.success());
    fleet.cli(&["run", "upper", "--payload", "as a word", "--wait"]).expect(0);
    fleet.cli(&["run", "upper", "--payload", "@payload", "--wait"]).expect(0);
    fleet.cli(&["run", "upper", "--wait"]).expect(0);
    let log = fleet.cli(&["logs", "upper", "--json"]).expect(0).out;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["FROM A FILE", "AS A WORD", "FROM A FILE"]);

    fleet.cli(&["run", "picky", "--wait"]).expect(0);
    fleet.cli(&["run", "bad", "--wait"]).expect(1);
    fleet.cli(&["run", "nobody"]).expect(66);
    let accepted = fleet.cli(&["run", "bad", "--json"]).expect(0).json();
    assert_eq!(accepted["admission"], "accepted");
    assert_eq!(fleet.end_of(accepted["runId"].as_str().unwrap())["end"], "failed");
}

#[test]
fn an_execution_can_be_cancelled_and_a_stopped_job_takes_no_triggers_until_it_is_started() {
    let registry = job("endless", "command = [\"sleep\", \"1000\"]\nevery = \"100ms\"");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[shutdown]\ngrace = \"1s\"\n");
    let first = fleet.wait_for_event("endless", "agent.started");
    let run = first["run"].as_str().unwrap().to_owned();
    fleet.request("POST", &format!("/api/v1/executions/{run}/cancel"), None).expect(200);
    assert_eq!(fleet.end_of(&run)["end"], "cancelled");
    wait_until("the next one", || fleet.events_of("endless", "agent.started").len() > 1);

    fleet.cli(&["stop", "endless"]).expect(0);
    fleet.wait_for_status("endless", "stopped");
    wait_until("the end of its run", || fleet.pids("endless").is_empty());
    wait_until("a trigger that is left out", || {
        let skipped = fleet.events_of("endless", "agent.skipped");
        skipped.iter().any(|event| event["reason"]["code"] == "stopped_by_operator")
    });
    let started = fleet.events_of("endless", "agent.started").len();
    assert!(fleet.pids("endless").is_empty());
    fleet.cli(&["start", "endless"]).expect(0);
    wait_until("it runs again", || fleet.events_of("endless", "agent.started").len() > started);
    fleet.cli(&["disable", "endless"]).expect(0);
    fleet.wait_for_status("endless", "disabled");
}

#[test]
fn two_hundred_executions_leave_no_file_open_and_no_process() {
    let registry = job("quick", "shell = \"echo out; echo err >&2\"\noverlap = \"allow\"");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    let batch = |count: usize| {
        let runs: Vec<String> = (0..count).map(|_| fleet.trigger("quick")).collect();
        for run in runs {
            assert_eq!(fleet.end_of(&run)["end"], "succeeded");
        }
    };
    // What is opened once and kept is open after these.
    batch(20);
    wait_until("the end of all processes", || fleet.leftovers().is_empty());
    let before = processes::open_files(fleet.pid());
    batch(200);
    wait_until("as few open files as before", || processes::open_files(fleet.pid()) <= before);
    wait_until("no process", || fleet.leftovers().is_empty());
    assert_eq!(fleet.metrics()["metrics"]["quick"]["count"], 220);
}
