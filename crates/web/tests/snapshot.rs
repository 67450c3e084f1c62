//! The fleet as bytes that are ready: tags, changes, compression, and how old it may be.

mod common;

use std::io::Read;
use std::time::{Duration, Instant};

use common::{Plan, Request, job, service, wait_for};
use serde_json::{Value, json};

const LIST: &str = "/api/v1/agents";

#[test]
fn who_has_the_list_already_is_told_so_until_it_changes() {
    Plan::of(vec![job("a", "true"), job("b", "true")]).run(|site| async move {
        for path in [LIST, "/metrics"] {
            let first = site.get(path).await;
            let tag = first.header("etag").to_owned();
            assert!(first.status == 200 && tag.starts_with('"'), "{path} has a strong tag: {tag}");
            let again = site.tcp(&Request::new("GET", path).header("If-None-Match", &tag)).await;
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()), "{path}");
        }
        let tag = site.get(LIST).await.header("etag").to_owned();
        assert_eq!(site.post("/api/v1/agents/a/disable", &Value::Null).await.status, 200);
        let begin = Instant::now();
        let changed = site.tcp(&Request::new("GET", LIST).header("If-None-Match", &tag)).await;
        assert_eq!((changed.status, &changed.json()["agents"][0]["status"]), (200, &json!("disabled")));
        assert!(begin.elapsed() < Duration::from_secs(1));
        let other = format!("\"x\", W/{}", changed.header("etag"));
        assert_eq!(site.tcp(&Request::new("GET", LIST).header("If-None-Match", &other)).await.status, 304);
    });
}

#[test]
fn the_ready_list_is_the_one_that_is_made_for_a_filter() {
    Plan::of(vec![job("a", "true"), service("b", "true"), job("c", "true")]).run(|site| async move {
        // Time goes by: a service that waits has a worse score with every moment.
        let without_uptime = |mut list: Value| {
            for agent in list["agents"].as_array_mut().unwrap() {
                for passing in ["uptimeSeconds", "score", "scoreParts"] {
                    agent[passing].take();
                }
            }
            list
        };
        let ready = without_uptime(site.get(LIST).await.json());
        assert_eq!(ready, without_uptime(site.get("/api/v1/agents?limit=1000").await.json()));
        assert_eq!(ready["agents"], without_uptime(site.get("/metrics").await.json())["agents"]);
        assert_eq!(ready["next"], Value::Null);
    });
}

#[test]
fn changes_are_told_since_the_last_look() {
    Plan::of(vec![job("a", "true"), job("b", "true")]).run(|site| async move {
        let all = site.get("/api/v1/agent-changes").await.json();
        assert_eq!((&all["full"], all["agents"].as_array().unwrap().len()), (&json!(true), 2));
        let since = |version: &Value| format!("/api/v1/agent-changes?since={version}");
        let none = site.get(&since(&all["version"])).await.json();
        assert_eq!(none, json!({ "version": all["version"], "full": false, "agents": [], "removed": [] }));
        assert_eq!(site.post("/api/v1/agents/b/disable", &Value::Null).await.status, 200);
        let some = site.get(&since(&all["version"])).await.json();
        assert_eq!((&some["full"], &some["agents"][0]["name"]), (&json!(false), &json!("b")));
        assert_eq!(some["agents"].as_array().unwrap().len(), 1);
        for strange in ["0", "1", "9007199254740991"] {
            assert_eq!(
                site.get(&since(&json!(strange.parse::<u64>().unwrap()))).await.json()["full"],
                true,
                "{strange}"
            );
        }
        site.get("/api/v1/agent-changes?since=yesterday").await.problem(400);
    });
}

#[test]
fn the_control_socket_tells_nothing_that_is_older_than_the_question() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        for turn in 0..20 {
            let (command, status) = if turn % 2 == 0 { ("disable", "disabled") } else { ("enable", "idle") };
            let done = site.post(&format!("/api/v1/agents/a/{command}"), &Value::Null).await;
            assert_eq!(done.status, 200, "{}", done.text());
            assert_eq!(site.ask(LIST).await.json()["agents"][0]["status"], status);
            assert_eq!(site.get(LIST).await.json()["agents"][0]["status"], status, "nor does TCP after a change");
        }
    });
}

#[test]
fn what_happens_by_itself_is_seen_over_tcp_as_well() {
    Plan::real(vec![service("a", "exec sleep 60")]).run(|site| async move {
        wait_for("it runs", async || site.get(LIST).await.json()["agents"][0]["status"] == "running").await;
        let uptime = async || site.get("/metrics").await.json()["agents"][0]["uptimeSeconds"].as_f64().unwrap();
        let before = uptime().await;
        wait_for("time goes by", async || uptime().await > before + 0.5).await;
    });
}

fn unzipped(bytes: &[u8]) -> Value {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn large_answers_are_compressed_for_who_wants_it_and_streams_never() {
    let agents = (0..50).map(|number| job(&format!("agent-{number}"), "true")).collect();
    Plan::of(agents).run(|site| async move {
        for path in [LIST, "/metrics", "/api/v1/agents?kind=job", "/api/v1/schedule", "/api/v1/agents/agent-1"] {
            let plain = site.get(path).await;
            let small = site.tcp(&Request::new("GET", path).header("Accept-Encoding", "br, gzip")).await;
            if plain.body.len() < 1_024 {
                assert_eq!(small.header("content-encoding"), "", "{path}: it does not pay");
                continue;
            }
            assert_eq!((plain.header("content-encoding"), small.header("content-encoding")), ("", "gzip"), "{path}");
            assert!(small.body.len() < plain.body.len() && small.header("vary").contains("accept-encoding"), "{path}");
            assert_eq!(unzipped(&small.body)["agents"][0]["name"], plain.json()["agents"][0]["name"], "{path}");
        }
        let wanted = Request::new("GET", LIST).header("Accept-Encoding", "gzip");
        let first = site.tcp(&wanted).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/"), "other bytes than the strong tag's: {tag}");
        let again = Request::new("GET", LIST).header("Accept-Encoding", "gzip").header("If-None-Match", &tag);
        assert_eq!(site.tcp(&again).await.status, 304);
        let refused = Request::new("GET", LIST).header("Accept-Encoding", "gzip;q=0, identity");
        assert_eq!(site.tcp(&refused).await.header("content-encoding"), "");
        assert_eq!(site.control(&wanted).await.header("content-encoding"), "", "the CLI is on this machine");
        let (token, _) = site.token("reader", "viewer").await;
        let stream = Request::new("GET", "/api/v1/events/stream")
            .header("Accept-Encoding", "gzip")
            .header("Authorization", &format!("Bearer {token}"));
        let head = site.tcp_head(&stream).await;
        assert_eq!((head.status, head.header("content-encoding")), (200, ""));
    });
}
