//! The control API on real processes, as the CLI uses it.

mod common;

use std::time::Duration;

use common::{Plan, Request, job, parse, service, unchunk, wait_for, write_log};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn trigger(site: &common::Site, agent: &str, body: &Value) -> String {
    let answer = site.post(&format!("/api/v1/agents/{agent}/trigger"), body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["admission"], "accepted");
    answer.json()["runId"].as_str().unwrap().to_owned()
}

#[test]
fn a_job_is_triggered_with_a_payload_waited_for_and_its_log_read() {
    Plan::real(vec![job("echo", "cat; echo; echo oh >&2")]).run(|site| async move {
        for body in [json!({ "payload": "häl\"lo" }), json!({ "payloadBase64": "aMOkbCJsbw==" })] {
            let run = trigger(&site, "echo", &body).await;
            let ended = site.ask(&format!("/api/v1/executions/{run}/wait")).await.json();
            assert_eq!((&ended["type"], &ended["data"]["end"]), (&json!("execution.succeeded"), &json!("succeeded")));
            assert_eq!(ended["data"]["run"], run);
            let log = site.ask(&format!("/api/v1/agents/echo/logs?run={run}&lines=10")).await;
            assert_eq!(log.header("content-type"), "application/x-ndjson");
            let lines: Vec<Value> = log.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(lines.iter().any(|line| line["text"] == "häl\"lo" && line["stream"] == "stdout"), "{lines:?}");
            assert!(lines.iter().any(|line| line["text"] == "oh" && line["stream"] == "stderr"), "{lines:?}");
            assert!(lines.iter().all(|line| run.replace('-', "").ends_with(line["run"].as_str().unwrap())));
        }
        let why = site.ask("/api/v1/why/echo").await.json();
        assert_eq!(why["state"], "idle");
        assert!(why["text"].as_str().unwrap().starts_with("echo is idle"), "{why}");
    });
}

#[test]
fn a_job_that_fails_for_good_is_a_dead_letter_with_its_log_and_payload() {
    Plan::real(vec![job("bad", "echo oh no >&2; exit 3"), job("good", "true")]).run(|site| async move {
        let run = trigger(&site, "bad", &json!({ "payload": "order 7" })).await;
        assert_eq!(site.ask(&format!("/api/v1/executions/{run}/wait")).await.json()["data"]["end"], "failed");
        wait_for("dead letter", async || site.ask("/api/v1/dead-letters/1").await.status == 200).await;
        let letter = site.ask("/api/v1/dead-letters/1").await.json();
        assert_eq!((&letter["agentName"], &letter["restartCount"]), (&json!("bad"), &json!(2)));
        assert_eq!(letter["executionData"]["payload"], "order 7");
        assert!(letter["executionData"]["logTail"].to_string().contains("oh no"), "{letter}");
        let all = site.ask("/api/v1/dead-letters?agent=bad").await.json();
        assert_eq!((all["deadLetters"].as_array().unwrap().len(), &all["total"]), (1, &json!(1)));
        let none = site.ask("/api/v1/dead-letters?agent=good").await.json();
        assert_eq!((none["deadLetters"].as_array().unwrap().len(), none["groups"].as_array().unwrap().len()), (0, 0));
        let open = site.get("/metrics").await.text().to_owned();
        assert!(open.contains("bad") && !open.contains("order 7") && !open.contains("oh no"), "{open}");
        let health = site.get("/api/v1/agents/bad/health").await.json();
        assert_eq!((&health["status"], &health["healthy"]), (&json!("error"), &json!(false)));
        let health = site.get("/api/v1/agents/good/health").await.json();
        assert_eq!((&health["status"], &health["healthy"]), (&json!("idle"), &json!(true)));
    });
}

#[test]
fn a_follower_sees_what_was_and_what_comes() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        write_log(&site.state, "a", &["one", "two"]);
        let mut stream = site.open("/api/v1/agents/a/logs?lines=1&follow=true").await;
        let mut seen = Vec::new();
        let mut read_until = async |text: &str| {
            while !String::from_utf8_lossy(&seen).contains(text) {
                let mut bytes = vec![0; 4_096];
                let read =
                    tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await.unwrap().unwrap();
                assert_ne!(read, 0, "the stream ended");
                seen.extend_from_slice(&bytes[..read]);
            }
        };
        read_until("two").await;
        write_log(&site.state, "a", &["three"]);
        read_until("three").await;
        write_log(&site.state, "a", &["four", "five"]);
        read_until("five").await;
        let end = seen.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = String::from_utf8(unchunk(&seen[end + 4..])).unwrap();
        let texts: Vec<Value> =
            body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone()).collect();
        assert_eq!(texts, ["two", "three", "four", "five"]);
    });
}

#[test]
fn commands_say_what_happens_and_who_asked_is_remembered() {
    Plan::real(vec![service("server", "exec sleep 60"), job("job", "sleep 60")]).run(|site| async move {
        let status = async |agent: &str| site.get(&format!("/api/v1/agents/{agent}")).await.json()["status"].clone();
        wait_for("up", async || status("server").await == "running").await;
        let answer = site.post("/api/v1/agents/server/stop", &Value::Null).await;
        assert!(answer.status == 200 && answer.json()["message"].is_string(), "{}", answer.text());
        wait_for("stopped", async || status("server").await == "stopped").await;
        assert_eq!(site.post("/api/v1/agents/server/start", &json!({ "force": true })).await.status, 200);
        wait_for("up again", async || status("server").await == "running").await;
        assert_eq!(
            site.post("/api/v1/agents/server/trigger", &Value::Null).await.problem(409)["type"],
            "urn:werkpilot:not-a-job"
        );
        let by = Request::new("POST", "/api/v1/agents/server/disable").header("Werkpilot-By", "cli:ada");
        assert_eq!(site.control(&by).await.status, 200);
        wait_for("disabled", async || status("server").await == "disabled").await;
        assert!(site.ask("/api/v1/why/server").await.text().contains("cli:ada"));

        let run = trigger(&site, "job", &Value::Null).await;
        wait_for("running", async || status("job").await == "running").await;
        assert_eq!(site.post(&format!("/api/v1/executions/{run}/cancel"), &Value::Null).await.status, 200);
        assert_eq!(site.ask(&format!("/api/v1/executions/{run}/wait")).await.json()["data"]["end"], "cancelled");
        site.post(&format!("/api/v1/executions/{run}/cancel"), &Value::Null).await.problem(404);
    });
}

#[test]
fn the_orchestrator_is_paused_resumed_and_refuses_faulty_files() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        assert_eq!(site.post("/api/v1/pause", &Value::Null).await.status, 200);
        assert_eq!(site.get("/metrics").await.json()["system"]["paused"], true);
        assert_eq!(site.post("/api/v1/resume", &Value::Null).await.status, 200);
        assert_eq!(site.get("/metrics").await.json()["system"]["paused"], false);
        let problem = site.post("/api/v1/reload", &Value::Null).await.problem(422);
        assert_eq!(problem["detail"], "agents.toml:3:1: unknown key `naem`");
        assert_eq!(problem["faults"]["count"], 1);
        let events = site.ask("/api/v1/events?after=0&limit=1000").await.json();
        let topics: Vec<&str> =
            events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert!(topics.contains(&"triggers.paused") && topics.contains(&"config.rejected"), "{topics:?}");
        let newest = events["newest"].as_u64().unwrap();
        let none = site.ask(&format!("/api/v1/events?after={newest}")).await.json();
        assert_eq!(none["events"], json!([]));
    });
}

#[test]
fn agents_are_filtered_and_paged() {
    let mut agents: Vec<_> = (0..25).map(|number| job(&format!("agent-{number:02}"), "true")).collect();
    for agent in &mut agents[10..] {
        agent.department = "sales".to_owned();
    }
    Plan::of(agents).run(|site| async move {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = site.get(&format!("/api/v1/agents?department=sales&limit=4{cursor}")).await.json();
            let agents = page["agents"].as_array().unwrap();
            assert!(agents.len() <= 4);
            names.extend(agents.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(names, (10..25).map(|number| format!("agent-{number:02}")).collect::<Vec<_>>());
        assert_eq!(site.get("/api/v1/agents?kind=service").await.json()["agents"], json!([]));
        assert_eq!(site.get("/api/v1/agents?status=idle&limit=3").await.json()["agents"].as_array().unwrap().len(), 3);
        site.get("/api/v1/agents?cursor=nobody").await.problem(410);
    });
}

#[test]
fn the_schedule_is_paged_through_agents_that_are_due_together() {
    let due = |agent: &str, schedule: &str| {
        let mut spec = job(agent, "true");
        spec.job_mut().unwrap().triggers.schedule = Some(schedule.to_owned());
        spec
    };
    let together = ["c", "a", "b"].map(|agent| due(agent, "0 3 * * *"));
    let plan = Plan::of(together.into_iter().chain([due("d", "30 3 * * *")]).collect());
    plan.run(|site| async move {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = site.get(&format!("/api/v1/schedule?hours=24&limit=1{cursor}")).await.json();
            seen.push(page["runs"][0]["agent"].as_str().unwrap().to_owned());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        // At 03:10 the last one is due before the others of tomorrow.
        assert!(seen == ["a", "b", "c", "d"] || seen == ["d", "a", "b", "c"], "{seen:?}");
        let only = site.get("/api/v1/schedule?hours=48&agent=b").await.json();
        assert!(only["runs"].as_array().unwrap().iter().all(|run| run["agent"] == "b"), "{only}");
        assert_eq!(only["runs"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn the_graph_is_drawn_in_three_ways() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        for (format, begin) in [("text", ""), ("dot", "digraph"), ("mermaid", "graph")] {
            let drawing = site.get(&format!("/api/v1/graph?format={format}")).await;
            assert_eq!(drawing.header("content-type"), "text/plain; charset=utf-8");
            assert!(drawing.text().contains('a') && drawing.text().contains(begin), "{}", drawing.text());
        }
    });
}

#[test]
fn a_shutdown_is_taken_and_closes_the_servers_in_its_fifth_step() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let server = site.server;
        site.handle.on_stop_servers(Box::new(move || Box::pin(server.stop())));
        let request = "POST /api/v1/shutdown HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut stream = tokio::net::UnixStream::connect(&site.socket).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(parse(&answer).status, 202, "it is answered, though the server ends at once");
        wait_for("closed", async || tokio::net::TcpStream::connect(site.address).await.is_err()).await;
        wait_for("the control socket is gone", async || !site.socket.exists()).await;
    });
}
