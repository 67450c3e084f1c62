//! What a client can't do to us: large bodies, slow bodies, handlers that panic, streams that never end.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Plan, Request, job, parse, wait_for, write_log};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

#[test]
fn a_body_that_is_too_large_is_refused_with_the_limit() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let force = json!({ "force": false, "padding": "x".repeat(300 * 1024) });
        assert_eq!(site.post("/api/v1/agents/a/start", &force).await.problem(413)["limit"], 256 * 1024);
        let payload = json!({ "payload": "x".repeat((1 << 20) + 1) });
        assert_eq!(site.post("/api/v1/agents/a/trigger", &payload).await.problem(413)["limit"], 1 << 20);
        let payload = json!({ "payload": "x".repeat(1 << 20) });
        assert_eq!(site.post("/api/v1/agents/a/trigger", &payload).await.status, 202);
        let payload = json!({ "payload": "x".repeat(5 << 20) });
        site.post("/api/v1/agents/a/trigger", &payload).await.problem(413);
    });
}

#[test]
fn a_body_that_makes_no_sense_is_refused() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        for body in [
            json!([1]),
            json!({ "force": 1 }),
            json!({ "pay": "x" }),
            json!({ "payload": "a", "payloadBase64": "YQ==" }),
            json!({ "payloadBase64": "%" }),
        ] {
            site.post("/api/v1/agents/a/trigger", &body).await.problem(400);
        }
        let broken = Request { body: b"{".to_vec(), ..Request::new("POST", "/api/v1/agents/a/trigger") };
        site.control(&broken).await.problem(400);
        assert_eq!(site.handle.queue().await.unwrap().waiting.len(), 0);
    });
}

#[test]
fn more_requests_than_allowed_in_progress_are_turned_away() {
    let mut plan = Plan::of(vec![job("a", "true")]);
    plan.dashboard.max_requests = 1;
    plan.run(|site| async move {
        let mut slow = UnixStream::connect(&site.socket).await.unwrap();
        slow.write_all(b"POST /api/v1/agents/a/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{").await.unwrap();
        wait_for("the place is taken", async || site.ask("/livez").await.status == 503).await;
        let refused = site.ask("/livez").await;
        refused.problem(503);
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(site.get("/livez").await.status, 200, "the other listener has places of its own");
        slow.write_all(b"}").await.unwrap();
        wait_for("the place is free", async || site.ask("/livez").await.status == 200).await;
        // Who waits for something to happen does not take a place.
        let _follower = site.open("/api/v1/agents/a/logs?follow=true").await;
        wait_for("the place is free", async || site.ask("/livez").await.status == 200).await;
    });
}

#[test]
fn who_finds_tcp_full_waits_and_the_control_socket_is_not_full_with_it() {
    let mut plan = Plan::of(vec![job("a", "true")]);
    plan.dashboard.max_connections = 2;
    plan.run(|site| async move {
        let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = tokio::net::TcpStream::connect(site.address).await.unwrap();
            client.write_all(request).await.unwrap();
            assert!(client.read(&mut [0; 4_096]).await.unwrap() > 0, "answered, and kept open");
            clients.push(client);
        }
        let mut waits = tokio::net::TcpStream::connect(site.address).await.unwrap();
        waits.write_all(request).await.unwrap();
        for _ in 0..20 {
            assert_eq!(site.ask("/livez").await.status, 200);
        }
        let answer = waits.try_read(&mut [0; 4_096]);
        assert_eq!(answer.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it is still waiting");
        clients.clear();
        assert!(waits.read(&mut [0; 4_096]).await.unwrap() > 0, "a place is free");
    });
}

#[test]
fn a_panic_in_a_handler_is_a_500_and_nothing_else_is_lost() {
    let mut plan = Plan::of(vec![job("a", "true")]);
    plan.config_report = Arc::new(|| -> Value { panic!("the report is broken") });
    plan.run(|site| async move {
        for _ in 0..3 {
            let problem = site.ask("/api/v1/config").await.problem(500);
            assert_eq!(problem["detail"], "a handler panicked; the log says where");
        }
        assert_eq!(site.ask("/livez").await.status, 200);
    });
}

#[test]
fn a_stop_with_open_streams_takes_less_than_100_ms() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        write_log(&site.state, "a", &["before"]);
        let run =
            site.post("/api/v1/agents/a/trigger", &Value::Null).await.json()["runId"].as_str().unwrap().to_owned();
        let mut follower = site.open("/api/v1/agents/a/logs?follow=true").await;
        let mut waiter = site.open(&format!("/api/v1/executions/{run}/wait")).await;
        let mut half = UnixStream::connect(&site.socket).await.unwrap();
        half.write_all(b"POST /api/v1/agents/a/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{").await.unwrap();
        let mut bytes = vec![0; 4_096];
        let mut head = Vec::new();
        while !String::from_utf8_lossy(&head).contains("before") {
            let read = follower.read(&mut bytes).await.unwrap();
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&head));
            head.extend_from_slice(&bytes[..read]);
        }
        let idle = tokio::net::TcpStream::connect(site.address).await.unwrap();
        let begin = Instant::now();
        site.server.stop().await;
        let took = begin.elapsed();
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert!(!site.socket.exists());
        assert!(tokio::net::TcpStream::connect(site.address).await.is_err());
        // The stream ends in order, not in the middle of a chunk.
        let mut rest = Vec::new();
        follower.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
        let mut answer = Vec::new();
        waiter.read_to_end(&mut answer).await.unwrap();
        parse(&answer).problem(503);
        drop(idle);
    });
}

#[test]
fn a_stop_with_nobody_connected_is_at_once() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let begin = Instant::now();
        site.server.stop().await;
        assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
    });
}

#[test]
fn who_hangs_up_waits_no_longer() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let run =
            site.post("/api/v1/agents/a/trigger", &Value::Null).await.json()["runId"].as_str().unwrap().to_owned();
        for path in [format!("/api/v1/executions/{run}/wait"), "/api/v1/agents/a/logs?follow=true".to_owned()] {
            let mut stream = site.open(&path).await;
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await;
            closed.expect("the server lets go of it").unwrap();
        }
    });
}
