//! What a client can't do to us: large and slow requests, requests in requests, paths that lead outside, handlers that
//! panic, streams that never end.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Plan, Request, Site, job, parse, wait_for, write_log};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

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
        for (body, status) in [
            (json!([1]), 400),
            (json!({ "force": 1 }), 400),
            (json!({ "pay": "x" }), 400),
            (json!({ "payload": "a", "payloadBase64": "YQ==" }), 422),
            (json!({ "payloadBase64": "%" }), 400),
        ] {
            site.post("/api/v1/agents/a/trigger", &body).await.problem(status);
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
fn those_who_have_no_role_keep_out_nobody_who_has_one() {
    let mut plan = Plan::of(vec![job("a", "true")]);
    plan.dashboard.max_requests = 1;
    plan.run(|site| async move {
        let (token, _) = site.token("ops", "admin").await;
        let login = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{";
        let mut stalled = Vec::new();
        for _ in 0..80 {
            stalled.push(say(&site, login).await);
        }
        wait_for("their places are taken", async || site.get("/livez").await.status == 503).await;
        let refused = site.get("/livez").await;
        let detail = refused.problem(503)["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("64 requests without a token or a login"), "{detail}");
        assert_eq!(refused.header("retry-after"), "1");
        for path in ["/livez", "/api/v1/agents", "/api/v1/tokens"] {
            let request = Request::new("GET", path).header("Authorization", &format!("Bearer {token}"));
            assert_eq!(site.tcp(&request).await.status, 200, "{path}");
        }
        for stream in &mut stalled {
            // Those who were turned away are told nothing more.
            let _ = stream.write_all(b"\"code\": \"abcdefgh\"}").await;
        }
        wait_for("their places are free", async || site.get("/livez").await.status == 200).await;
    });
}

#[test]
fn handlers_that_wait_for_a_disk_keep_nobody_waiting_who_needs_none() {
    Plan::of(vec![job("a", "true"), job("b", "true")]).run(|site| async move {
        let (token, _) = site.token("reader", "viewer").await;
        let bearer = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        // A log that nobody writes: who opens it waits.
        let logs = ["a", "b"].map(|agent| site.state.join("logs").join(agent).join("current.log"));
        let mut readers = Vec::new();
        for (agent, log) in ["a", "b"].iter().zip(&logs) {
            std::fs::create_dir_all(log.parent().unwrap()).unwrap();
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, log, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            let ask = format!("GET /livez HTTP/1.1\r\n{bearer}GET /api/v1/agents/{agent}/logs HTTP/1.1\r\n{bearer}");
            let mut reader = say(&site, ask.as_bytes()).await;
            let mut first = vec![0; 4_096];
            let read = reader.read(&mut first).await.unwrap();
            assert_eq!(statuses(&first[..read]), [200], "and the second is in progress");
            readers.push(reader);
        }
        for path in ["/livez", "/api/v1/queue", "/api/v1/agents"] {
            let request = Request::new("GET", path).header("Authorization", &format!("Bearer {token}"));
            assert_eq!(site.tcp(&request).await.status, 200, "{path}");
        }
        for (mut reader, log) in readers.into_iter().zip(&logs) {
            assert_eq!(reader.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it waits");
            drop(std::fs::File::options().read(true).write(true).open(log).unwrap());
            let mut answer = vec![0; 4_096];
            let read = tokio::time::timeout(Duration::from_secs(10), reader.read(&mut answer)).await;
            let read = read.expect("it waits no longer").unwrap();
            assert_eq!(statuses(&answer[..read]), [200]);
        }
    });
}

/// An open connection over TCP on which this was sent.
async fn say(site: &Site, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// All that comes until the server closes.
async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    read.expect("the server closes").unwrap();
    bytes
}

/// The statuses of these answers.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    // The words of a problem may name the protocol, too.
    text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn who_comes_when_tcp_is_full_gets_the_place_of_the_one_that_is_idle_for_longest() {
    let mut plan = Plan::of(vec![job("a", "true")]);
    plan.dashboard.max_connections = 2;
    plan.run(|site| async move {
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = say(&site, ASK).await;
            assert!(client.read(&mut [0; 4_096]).await.unwrap() > 0, "answered, and kept open");
            clients.push(client);
        }
        let mut third = say(&site, ASK).await;
        assert!(third.read(&mut [0; 4_096]).await.unwrap() > 0, "answered as well");
        assert_eq!(rest(clients.remove(0)).await, b"", "it was closed");
        clients[0].write_all(ASK).await.unwrap();
        assert!(clients[0].read(&mut [0; 4_096]).await.unwrap() > 0, "it was not");
        // Idle ones make room again and again; the control socket is not full with it.
        for _ in 0..20 {
            assert_eq!(site.get("/livez").await.status, 200);
            assert_eq!(site.ask("/livez").await.status, 200);
        }
    });
}

#[test]
fn a_head_that_is_too_large_is_refused_with_the_limit() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        for header in ["x".repeat(17_000), "x".repeat(300_000), "\r\nX: y".repeat(4_000)] {
            let request = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {header}\r\n\r\n");
            let mut stream = TcpStream::connect(site.address).await.unwrap();
            // The server may close before all is sent.
            let _ = stream.write_all(request.as_bytes()).await;
            let problem = parse(&rest(stream).await).problem(431);
            assert_eq!(problem["detail"], "the request's head has more than 16384 bytes, or more than 96 headers");
        }
        let large = Request::new("GET", "/livez").header("X", &"x".repeat(16_000));
        assert_eq!(site.tcp(&large).await.status, 200);
        assert_eq!(site.control(&large).await.status, 200);
    });
}

#[test]
fn shapes_that_smuggle_requests_are_refused_and_the_connection_is_closed() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let smuggled = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for head in [
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
            "Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
            "Content-Length: 0, 60\r\n\r\n",
            "Content-Length: +0\r\n\r\n",
            "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "X: y\r\n Content-Length: 60\r\n\r\n",
            "X: y\n\r\n",
            "X: y\rContent-Length: 60\r\n\r\n",
            "X: a\0b\r\n\r\n",
            "\r\n\0\r\n",
        ] {
            for method in ["GET", "POST"] {
                let request = format!("{method} /livez HTTP/1.1\r\nHost: localhost\r\n{head}{smuggled}");
                let answers = rest(say(&site, request.as_bytes()).await).await;
                let expected = if head.starts_with("\r\n") {
                    // The first request is whole, and gets its answer.
                    vec![if method == "GET" { 200 } else { 405 }, 400]
                } else {
                    vec![400]
                };
                assert_eq!(statuses(&answers), expected, "{method} {head:?}: {}", String::from_utf8_lossy(&answers));
            }
        }
    });
}

#[test]
fn requests_in_one_go_are_answered_in_their_order() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let many = [ASK, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat().repeat(20);
        let last = Request::new("GET", "/livez").bytes();
        let answers = rest(say(&site, &[many, last].concat()).await).await;
        let mut expected = [200, 404].repeat(20);
        expected.push(200);
        assert_eq!(statuses(&answers), expected);
    });
}

#[test]
fn who_sends_its_request_too_slowly_is_told_so_in_time() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let begin = Instant::now();
        let silent = TcpStream::connect(site.address).await.unwrap();
        let first = say(&site, b"GET /livez HTTP/1.1\r\nHost: loc").await;
        // Not only the first request of a connection.
        let second = say(&site, &[ASK, b"G"].concat()).await;
        let body = say(&site, b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{").await;
        let first = rest(first).await;
        parse(&first).problem(408);
        assert_eq!(statuses(&rest(second).await), [200, 408]);
        let took = begin.elapsed();
        assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(8), "{took:?}");
        parse(&rest(body).await).problem(408);
        assert!(begin.elapsed() < Duration::from_secs(18), "{:?}", begin.elapsed());
        // Who says nothing at all takes no more than a place, as long as nobody else wants it.
        assert_eq!(silent.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    });
}

#[test]
fn no_path_leads_out_of_the_table_of_routes() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        write_log(&site.state, "a", &["inside"]);
        std::fs::write(site.state.join("secret"), "outside").unwrap();
        for path in [
            "/../secret",
            "/assets/../../secret",
            "/assets/%2e%2e/%2e%2e/secret",
            "/assets/..%2f..%2fsecret",
            "/assets/..%5c..%5csecret",
            "/assets//etc/passwd",
            "//etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/assets/%00",
            "/assets/",
            "/api/v1/agents/..%2f..%2fsecret/logs",
            "/api/v1/agents/%2e%2e/logs",
            "/api/v1/agents/../../secret/logs",
            "/api/v1/agents/a%00/logs",
            "/api/v1/agents/.%2fa/logs",
            "/api/v1/memory/profiles/..%2f..%2fsecret",
            "/api/v1/executions/..%2f..%2fsecret/logs",
        ] {
            for answer in [site.get(path).await, site.ask(path).await] {
                let status = answer.status;
                assert!(
                    [400, 401, 404].contains(&status),
                    "{path}: {status} {}",
                    String::from_utf8_lossy(&answer.body)
                );
                assert!(!answer.body.windows(7).any(|bytes| bytes == b"outside"), "{path}");
            }
        }
        assert!(site.ask("/api/v1/agents/a/logs").await.text().contains("inside"));
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
        let scrape = Request::new("GET", "/metrics").header("Accept", "application/openmetrics-text");
        let told = site.tcp(&scrape).await;
        assert!(told.text().contains("\nwerkpilot_http_panics_total 3\n"), "{}", told.text());
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
