//! What is changed is written down, whatever route it came by; and a request with a key is done once.

mod common;

use common::{Plan, Request, Response, Site, job, service, wait_for};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use werkpilot_web::routes::{Access, Method, ROUTES, Route};

fn fleet() -> Plan {
    Plan::of(vec![service("agent-db", "sleep 60"), job("agent-sales", "true")])
}

async fn entries(site: &Site, query: &str) -> Vec<Value> {
    let page = site.ask(&format!("/api/v1/audit?limit=1000{query}")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let page = page.json();
    assert_eq!(page["verified"], true, "{page}");
    page["entries"].as_array().unwrap().clone()
}

async fn keyed(site: &Site, path: &str, key: &str, body: &Value) -> Response {
    let request = Request { body: body.to_string().into_bytes(), ..Request::new("POST", path) };
    site.control(&request.header("Idempotency-Key", key)).await
}

/// A path with something in its places.
fn filled(path: &str) -> String {
    path.replace("{name}", "agent-db").replace("{id}", "1").replace("{set}", "1").replace("{run}", "1")
}

#[test]
fn every_route_that_changes_something_is_written_down() {
    fleet().kept().run(|site| async move {
        let changing = ROUTES.iter().filter(|route| !matches!(route.method, Method::Get));
        // The end comes last.
        let (ends, changing): (Vec<&Route>, Vec<&Route>) = changing.partition(|route| route.path == "/api/v1/shutdown");
        let mut before = 0;
        for route in changing.into_iter().chain(ends) {
            let request = Request::new(route.method.as_str(), &filled(route.path));
            let answer = site.control(&request.header("Werkpilot-By", "cli:ada")).await;
            let all = entries(&site, "").await;
            let refused_login = route.access == Access::Public && answer.status >= 400;
            assert_eq!(all.len(), before + usize::from(!refused_login), "{route:?}: {}", answer.text());
            before = all.len();
            if !refused_login {
                let entry = &all[0];
                assert_eq!(entry["action"], format!("{} {}", route.method.as_str(), route.path));
                assert_eq!((&entry["who"], &entry["way"]), (&json!("cli:ada"), &json!("control_socket")));
                assert_eq!(entry["status"], answer.status);
                assert_eq!(entry["detail"].is_string(), answer.status >= 400, "{entry}");
            }
        }
    });
}

#[test]
fn what_only_asks_is_no_entry() {
    fleet().kept().run(|site| async move {
        for (path, body) in [
            ("/api/v1/dead-letters/replay", json!({ "all": true, "dryRun": true })),
            ("/api/v1/dead-letters/discard", json!({ "all": true, "dryRun": true })),
            ("/api/v1/optimize", json!({ "dryRun": true })),
        ] {
            let answer = site.post(path, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_eq!(entries(&site, "").await, [] as [Value; 0]);
    });
}

#[test]
fn a_change_whose_asker_hangs_up_is_done_and_written_down() {
    fleet().kept().run(|site| async move {
        for _ in 0..20 {
            let mut stream = UnixStream::connect(&site.socket).await.unwrap();
            stream.write_all(&Request::new("POST", "/api/v1/pause").bytes()).await.unwrap();
            drop(stream);
        }
        site.post("/api/v1/resume", &Value::Null).await;
        wait_for("what was begun", async || {
            let all = entries(&site, "").await;
            // Who hung up before it was read began nothing; an entry without its change, or the other way, is never there.
            all.iter().any(|entry| entry["action"] == "POST /api/v1/resume")
                && all.iter().all(|entry| entry["status"] == 200)
        })
        .await;
    });
}

#[test]
fn entries_are_found_by_who_what_and_when_and_what_is_asked_wrongly_is_told() {
    fleet().kept().run(|site| async move {
        for (who, path) in [("cli:ada", "pause"), ("cli:bob", "resume"), ("cli:ada", "agents/agent-db/disable")] {
            let request = Request::new("POST", &format!("/api/v1/{path}")).header("Werkpilot-By", who);
            assert_eq!(site.control(&request).await.status, 200);
        }
        let actions = async |query: &str| {
            let all = entries(&site, query).await;
            all.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let disable = "POST /api/v1/agents/{name}/disable";
        assert_eq!(actions("&who=cli:ada").await, [disable, "POST /api/v1/pause"]);
        assert_eq!(actions("&action=AGENT-DB").await, [disable]);
        assert_eq!(actions("&until=2020-01-01T00:00:00Z").await, [] as [&str; 0]);
        assert_eq!(actions("&since=2020-01-01T00:00:00Z").await.len(), 3);
        let first = site.ask("/api/v1/audit?limit=2").await.json();
        let next = first["next"].as_str().unwrap();
        assert_eq!(actions(&format!("&cursor={next}")).await, ["POST /api/v1/pause"]);
        for wrong in ["limit=0", "limit=1001", "cursor=x", "since=yesterday", "whom=ada"] {
            assert_eq!(site.ask(&format!("/api/v1/audit?{wrong}")).await.status, 400, "{wrong}");
        }
        assert_eq!(site.get("/api/v1/audit").await.status, 401, "not over TCP without a token");
    });
}

#[test]
fn a_key_is_good_without_a_disk_as_long_as_the_orchestrator_lives() {
    for plan in [fleet(), fleet().kept()] {
        plan.run(|site| async move {
            let path = "/api/v1/agents/agent-sales/trigger";
            let first = keyed(&site, path, "k", &json!({})).await;
            assert_eq!((first.status, first.header("idempotency-replayed")), (202, ""));
            let again = keyed(&site, path, "k", &json!({})).await;
            assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"));
            assert_eq!(again.text(), first.text());
            assert_eq!(keyed(&site, path, "k", &json!({ "force": true })).await.status, 422);
            assert_eq!(keyed(&site, &format!("{path}/"), "k", &json!({})).await.status, 404);
            for bad in ["", "two words", &"k".repeat(129)] {
                assert_eq!(keyed(&site, path, bad, &json!({})).await.status, 400, "{bad}");
            }
            let twice = Request { body: b"{}".to_vec(), ..Request::new("POST", path) }.header("Idempotency-Key", "a");
            let twice = Request {
                headers: [twice.headers.clone(), vec![("Idempotency-Key", "b".to_owned())]].concat(),
                ..twice
            };
            assert_eq!(site.control(&twice).await.status, 400);
            // A key is its owner's.
            let other = Request { body: b"{}".to_vec(), ..Request::new("POST", path) };
            let other = site.control(&other.header("Idempotency-Key", "k").header("Werkpilot-By", "cli:bob")).await;
            assert_ne!(other.text(), first.text());
        });
    }
}
