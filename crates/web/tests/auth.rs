//! Logging in, and everything that others would do to get in: rebinding, other sites' pages, leaked URLs, old codes.

mod common;

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use common::{Plan, Request, Response, Site, job, parse, service, wait_for, write_log};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use werkpilot_core::settings::Dashboard;

fn fleet() -> Plan {
    Plan::of(vec![service("agent-db", "sleep 60"), job("agent-sales", "true")])
}

fn listed(hosts: &[&str]) -> Plan {
    let hosts = hosts.iter().map(ToString::to_string).collect();
    let dashboard = Dashboard { listen: ([127, 0, 0, 1], 0).into(), hosts, ..Dashboard::default() };
    Plan { dashboard, ..fleet() }
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

fn bearer(request: Request, token: &str) -> Request {
    request.header("Authorization", &format!("Bearer {token}"))
}

async fn show(site: &Site, shown: Value) -> Response {
    site.tcp(&Request { body: shown.to_string().into_bytes(), ..Request::new("POST", "/api/v1/session") }).await
}

async fn code(site: &Site, wish: Value) -> String {
    site.post("/api/v1/login-codes", &wish).await.json()["code"].as_str().unwrap().to_owned()
}

/// A stream of an agent's log that was opened with some papers, and has sent its first line.
async fn stream(site: &Site, with: impl Fn(Request) -> Request) -> TcpStream {
    write_log(&site.state, "agent-sales", &["hello"]);
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let request = with(get("/api/v1/agents/agent-sales/logs?follow=true"));
    stream.write_all(&request.bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.windows(5).any(|five| five == b"hello") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{}", String::from_utf8_lossy(&bytes));
    }
    stream
}

/// How long a stream goes on.
async fn cut_after(mut stream: TcpStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    // The connection may be closed or reset.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("it is cut");
    assert!(!rest.windows(5).any(|five| five == b"0\r\n\r\n"), "it does not look like a whole answer");
    since.elapsed()
}

#[test]
fn a_login_code_opens_one_session_and_never_another() {
    fleet().run(|site| async move {
        let made = site.post("/api/v1/login-codes", &Value::Null).await;
        let (code, link) = (made.json()["code"].clone(), made.json()["link"].clone());
        assert_eq!(link, format!("http://{}/#login={}", site.address, code.as_str().unwrap()));
        let answer = show(&site, json!({ "code": code })).await;
        let session = answer.json();
        assert_eq!((answer.status, &session["role"]), (200, &json!("admin")));
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with(&format!("werkpilot_{}=", site.address.port())), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"), "{cookie}");
        let problem = show(&site, json!({ "code": code })).await.problem(401);
        assert_eq!(problem["type"], "urn:werkpilot:login");
        assert!(!problem.to_string().contains(code.as_str().unwrap()));
        for bad in [json!({ "code": "x" }), json!({ "token": "wp_x" })] {
            show(&site, bad).await.problem(401);
        }
        for unclear in [json!({}), json!({ "code": "x", "token": "wp_secret" })] {
            assert!(!show(&site, unclear).await.problem(422).to_string().contains("wp_secret"));
        }
        for bad in [json!("wp_secret"), json!({ "code": 1 })] {
            assert!(!show(&site, bad).await.problem(400).to_string().contains("wp_secret"));
        }
    });
}

#[test]
fn a_session_tells_who_it_is_and_ends_with_a_logout() {
    fleet().run(|site| async move {
        let nobody = site.get("/api/v1/session").await.json();
        assert_eq!(nobody["role"], Value::Null);
        assert_eq!((&nobody["csrf"], &nobody["loopback"]), (&Value::Null, &json!(true)));
        let (cookie, csrf) = site.log_in().await;
        let with = |request: Request| request.header("Cookie", &format!("theme=dark; {cookie}; other=1"));
        let session = site.tcp(&with(get("/api/v1/session"))).await.json();
        assert_eq!((&session["role"], &session["csrf"]), (&json!("admin"), &json!(csrf)));
        assert_eq!(site.tcp(&with(get("/api/v1/events"))).await.status, 200);
        let streaming = stream(&site, with).await;
        site.tcp(&with(Request::new("DELETE", "/api/v1/session"))).await.problem(403);
        let since = Instant::now();
        let out = with(Request::new("DELETE", "/api/v1/session")).header("Werkpilot-Csrf", &csrf);
        let gone = site.tcp(&out).await;
        assert!(gone.status == 200 && gone.header("set-cookie").contains("=; Path=/; HttpOnly"), "{gone:?}");
        assert!(cut_after(streaming, since).await < Duration::from_secs(5));
        site.tcp(&with(get("/api/v1/events"))).await.problem(401);
        assert_eq!(site.tcp(&with(get("/api/v1/session"))).await.json()["role"], Value::Null);
    });
}

#[test]
fn a_session_may_what_its_code_or_token_may_and_ends_with_its_token() {
    fleet().run(|site| async move {
        let code = code(&site, json!({ "role": "viewer" })).await;
        let answer = show(&site, json!({ "code": code })).await;
        assert_eq!(answer.json()["role"], "viewer");
        let (token, id) = site.token("ada", "operator").await;
        let answer = show(&site, json!({ "token": token })).await;
        let session = answer.json();
        assert_eq!((&session["role"], &session["name"]), (&json!("operator"), &json!("session:token:ada")));
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        let pause = Request::new("POST", "/api/v1/pause").header("Cookie", &cookie);
        let paused = site.tcp(&pause.header("Werkpilot-Csrf", session["csrf"].as_str().unwrap())).await;
        assert_eq!(paused.status, 200, "{}", paused.text());
        site.revoke(&id).await;
        site.tcp(&get("/api/v1/events").header("Cookie", &cookie)).await.problem(401);
        show(&site, json!({ "token": token })).await.problem(401);
    });
}

#[test]
fn a_revoked_token_with_an_open_stream_is_cut_off_within_five_seconds() {
    fleet().run(|site| async move {
        let (token, id) = site.token("ci", "viewer").await;
        let (other, _) = site.token("other", "viewer").await;
        let streaming = stream(&site, |request| bearer(request, &token)).await;
        let mut staying = stream(&site, |request| bearer(request, &other)).await;
        let mut events = TcpStream::connect(site.address).await.unwrap();
        events.write_all(&bearer(get("/api/v1/events/stream"), &token).bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            assert!(events.read_buf(&mut bytes).await.unwrap() > 0);
        }
        assert_eq!(parse(&bytes).status, 200, "{}", String::from_utf8_lossy(&bytes));
        let since = Instant::now();
        site.revoke(&id).await;
        assert!(cut_after(streaming, since).await < Duration::from_secs(5));
        let _ = tokio::time::timeout(Duration::from_secs(5), events.read_to_end(&mut bytes)).await.expect("it is cut");
        site.tcp(&bearer(get("/api/v1/events"), &token)).await.problem(401);
        write_log(&site.state, "agent-sales", &["still here"]);
        let mut bytes = Vec::new();
        wait_for("the other stream goes on", async || {
            let _ = tokio::time::timeout(Duration::from_millis(50), staying.read_buf(&mut bytes)).await;
            bytes.windows(10).any(|ten| ten == b"still here")
        })
        .await;
    });
}

#[test]
fn the_admin_token_is_in_the_state_folder_for_its_owner_and_can_be_revoked() {
    fleet().run(|site| async move {
        let file = site.state.join("admin.token");
        wait_for("the admin token", async || file.exists()).await;
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        let list = site.tcp(&bearer(get("/api/v1/tokens"), &token)).await;
        let admin = &list.json()["tokens"][0];
        assert_eq!(
            (&admin["id"], &admin["role"], &admin["revokedAt"]),
            (&json!("admin"), &json!("admin"), &Value::Null)
        );
        assert!(admin["lastUsedAt"].is_string());
        assert!(!list.text().contains(&token) && !list.text().contains("hash"));
        site.revoke("admin").await;
        site.tcp(&bearer(get("/api/v1/tokens"), &token)).await.problem(401);
        assert!(!file.exists(), "no other database takes it for good again");
    });
}

#[test]
fn tokens_have_names_of_their_own_and_show_their_secret_once() {
    fleet().run(|site| async move {
        let (token, id) = site.token("ci", "operator").await;
        assert!(token.starts_with("wp_") && token.len() == 46, "{token}");
        let wish = json!({ "name": "ci", "role": "viewer" });
        assert_eq!(site.post("/api/v1/tokens", &wish).await.problem(409)["type"], "urn:werkpilot:token-name");
        for bad in [json!({ "name": "", "role": "viewer" }), json!({ "name": "x", "role": "root" }), json!({})] {
            site.post("/api/v1/tokens", &bad).await.problem(400);
        }
        assert!(!site.ask("/api/v1/tokens").await.text().contains(&token));
        site.revoke(&id).await;
        site.revoke(&id).await;
        assert_ne!(site.token("ci", "viewer").await.1, id);
        site.control(&Request::new("DELETE", "/api/v1/tokens/nobody")).await.problem(404);
    });
}

#[test]
fn failed_logins_are_held_up_and_a_right_one_never_is() {
    fleet().run(|site| async move {
        let (token, _) = site.token("ci", "viewer").await;
        let wrong = format!("wp_{}", "x".repeat(43));
        let mut statuses = Vec::new();
        for _ in 0..14 {
            statuses.push(site.tcp(&bearer(get("/metrics"), &wrong)).await);
        }
        assert!(statuses[..10].iter().all(|answer| answer.status == 401));
        let last = statuses.last().unwrap();
        assert_eq!(last.problem(429)["type"], "urn:werkpilot:too-many-logins");
        assert!((1..=6).contains(&last.header("retry-after").parse::<u32>().unwrap()));
        show(&site, json!({ "code": "wrong" })).await.problem(429);
        assert_eq!(site.tcp(&bearer(get("/api/v1/events"), &token)).await.status, 200);
        site.log_in().await;
        assert_eq!(site.get("/metrics").await.status, 200, "and who shows nothing is not held up either");
    });
}

#[test]
fn a_secret_in_the_url_is_refused_over_every_way_and_not_repeated() {
    fleet().run(|site| async move {
        let (token, _) = site.token("ci", "admin").await;
        for path in [
            format!("/metrics?token={token}"),
            format!("/api/v1/events?access_token={token}"),
            format!("/api/v1/agents/{token}"),
            format!("/{token}"),
            "/?login=abcdef".to_owned(),
        ] {
            for answer in [site.tcp(&get(&path)).await, site.control(&get(&path)).await] {
                let problem = answer.problem(400);
                assert_eq!(problem["type"], "urn:werkpilot:secret-in-url");
                assert!(!answer.text().contains(&token) && !answer.text().contains("abcdef"), "{}", answer.text());
            }
        }
    });
}

#[test]
fn a_name_that_is_not_ours_is_no_way_in() {
    listed(&["ops.example.org"]).run(|site| async move {
        let port = site.address.port();
        let own = format!("127.0.0.1:{port}");
        for host in ["localhost", "localhost:3001", "127.0.0.1", &own, "[::1]:3001", "LOCALHOST:80"] {
            assert_eq!(site.tcp(&get("/metrics").header("Host", host)).await.status, 200, "{host}");
        }
        for host in
            ["evil.example", "evil.example:3001", "localhost.evil.example", "192.168.1.2:3001", "", "localhost:x"]
        {
            site.tcp(&get("/metrics").header("Host", host)).await.problem(421);
        }
        let none = Request { headers: Vec::new(), ..get("/metrics") };
        assert!([400, 421].contains(&site.tcp(&none).await.status));
        let absolute = get("http://evil.example/metrics");
        assert!([400, 421].contains(&site.tcp(&absolute).await.status));
        // The socket's mode is the guard there, not a name.
        assert_eq!(site.control(&get("/metrics").header("Host", "werkpilot")).await.status, 200);
        // A name that is listed is ours, but it is no name of this machine: nobody is anonymous there.
        let listed = get("/metrics").header("Host", "ops.example.org");
        site.tcp(&listed).await.problem(401);
        assert_eq!(site.tcp(&get("/livez").header("Host", "OPS.example.org:443")).await.status, 200);
    });
}

#[test]
fn pages_of_other_sites_may_neither_read_nor_change_nor_stream() {
    fleet().run(|site| async move {
        let (cookie, csrf) = site.log_in().await;
        let logged_in = |request: Request| request.header("Cookie", &cookie).header("Werkpilot-Csrf", &csrf);
        let pause = || logged_in(Request::new("POST", "/api/v1/pause"));
        for origin in ["http://evil.example", "https://localhost", "http://localhost:8080", "null"] {
            for request in [pause(), logged_in(get("/api/v1/events")), get("/metrics")] {
                let problem = site.tcp(&request.header("Origin", origin)).await.problem(403);
                assert_eq!(problem["type"], "urn:werkpilot:origin", "{origin}");
            }
            for stream in ["/api/v1/agents/agent-sales/logs?follow=true", "/api/v1/events/stream"] {
                site.tcp(&logged_in(get(stream)).header("Origin", origin)).await.problem(403);
            }
            let login = Request { body: b"{}".to_vec(), ..Request::new("POST", "/api/v1/session") };
            site.tcp(&login.header("Origin", origin)).await.problem(403);
        }
        for site_says in ["cross-site", "same-site", "nonsense"] {
            for request in [pause(), logged_in(get("/api/v1/events")), get("/metrics")] {
                site.tcp(&request.header("Sec-Fetch-Site", site_says)).await.problem(403);
            }
            // A link to the page is fine.
            assert_eq!(site.tcp(&get("/").header("Sec-Fetch-Site", site_says)).await.status, 200);
        }
        let own =
            |request: Request| request.header("Origin", "http://localhost").header("Sec-Fetch-Site", "same-origin");
        assert_eq!(site.tcp(&own(pause())).await.status, 200);
        assert_eq!(site.tcp(&own(logged_in(get("/api/v1/events")))).await.status, 200);
        assert_eq!(site.tcp(&get("/api/v1/agents").header("Sec-Fetch-Site", "none")).await.status, 200);
    });
}

#[test]
fn a_change_with_a_cookie_needs_the_header_of_that_session() {
    fleet().run(|site| async move {
        let (cookie, csrf) = site.log_in().await;
        let (_, of_another) = site.log_in().await;
        let pause = || Request::new("POST", "/api/v1/pause").header("Cookie", &cookie);
        assert_eq!(site.tcp(&pause()).await.problem(403)["type"], "urn:werkpilot:csrf");
        for wrong in ["", "x", &of_another] {
            site.tcp(&pause().header("Werkpilot-Csrf", wrong)).await.problem(403);
        }
        assert_eq!(site.tcp(&pause().header("Werkpilot-Csrf", &csrf)).await.status, 200);
        let (token, _) = site.token("ci", "operator").await;
        let with_token = bearer(Request::new("POST", "/api/v1/resume"), &token);
        assert_eq!(site.tcp(&with_token).await.status, 200, "programs need none");
    });
}

#[test]
fn what_comes_through_a_proxy_is_never_anonymous() {
    fleet().run(|site| async move {
        let (token, _) = site.token("ci", "viewer").await;
        for header in ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST", "Via", "X-Real-IP"] {
            let through = |path: &str| get(path).header(header, "1");
            site.tcp(&through("/metrics")).await.problem(401);
            assert_eq!(site.tcp(&through("/livez")).await.status, 200);
            assert_eq!(site.tcp(&bearer(through("/metrics"), &token)).await.status, 200, "{header}");
            assert_eq!(site.tcp(&through("/api/v1/session")).await.json()["loopback"], false);
        }
        let code = code(&site, json!({})).await;
        let body = json!({ "code": code }).to_string().into_bytes();
        let login = Request { body, ..Request::new("POST", "/api/v1/session") };
        let answer = site.tcp(&login.header("X-Forwarded-Proto", "https")).await;
        assert!(answer.header("set-cookie").ends_with("; Secure"), "the proxy speaks TLS for us");
    });
}

#[test]
fn a_proxys_own_credentials_are_not_ours_to_judge() {
    fleet().run(|site| async move {
        let basic = get("/metrics").header("Authorization", "Basic YWRhOnNlY3JldA==");
        assert_eq!(site.tcp(&basic).await.status, 200);
        let basic = get("/api/v1/events").header("Authorization", "Basic YWRhOnNlY3JldA==");
        site.tcp(&basic).await.problem(401);
    });
}

#[test]
fn events_name_who_asked() {
    fleet().run(|site| async move {
        let (token, _) = site.token("ci", "operator").await;
        let disable = bearer(Request::new("POST", "/api/v1/agents/agent-db/disable"), &token);
        assert_eq!(site.tcp(&disable).await.status, 200);
        wait_for("the event", async || {
            let facts = site.handle.events(0, 1_000).await.unwrap();
            facts.iter().any(|fact| serde_json::to_string(&fact.event).unwrap().contains("token:ci"))
        })
        .await;
    });
}
