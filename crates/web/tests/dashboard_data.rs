//! What the pages ask for, over HTTP.

mod common;

use common::{Plan, Request, job, service};
use serde_json::json;

#[test]
fn the_first_page_is_for_everybody_on_this_machine_and_says_what_is_the_matter() {
    Plan::of(vec![job("a", "true"), service("b", "sleep 1")]).run(|site| async move {
        let page = site.get("/api/v1/overview").await;
        assert_eq!((page.status, page.header("content-type")), (200, "application/json"), "{}", page.text());
        let page = page.json();
        for part in ["system", "attention", "throughput", "breaker", "memory", "queue", "deadLetters", "boot"] {
            assert!(!page[part].is_null(), "{part}");
        }
        assert_eq!(
            (&page["attentionTotal"], &page["attention"][0]["kind"]),
            (&json!(1), &json!("boot_late")),
            "{page}"
        );
        assert_eq!((&page["attention"][0]["agent"], &page["queue"]["waiting"]), (&json!("b"), &json!(0)));
        assert_eq!(page["memory"]["warningPercent"], 80);
        site.get("/api/v1/overview?colour=blue").await.problem(400);
    });
}

#[test]
fn the_graph_comes_in_four_forms_and_the_wrong_one_is_told() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let graph = site.get("/api/v1/graph?format=json").await.json();
        assert_eq!((&graph["layers"], &graph["nodes"][0]["name"]), (&json!([["a"]]), &json!("a")));
        for (format, begins) in [("text", "layer 0"), ("dot", "digraph"), ("mermaid", "graph")] {
            let drawn = site.get(&format!("/api/v1/graph?format={format}")).await;
            assert!(drawn.text().starts_with(begins), "{format}: {}", drawn.text());
        }
        let wrong = site.get("/api/v1/graph?format=svg").await.problem(400);
        assert_eq!(wrong["detail"], "there is no format svg; there are text, dot, mermaid and json");
        let impact = site.get("/api/v1/agents/a/impact").await.json();
        assert_eq!(impact, json!({ "stops": "a", "affected": [] }));
        site.get("/api/v1/graph/b/impact").await.problem(404);
        site.get("/api/v1/memory/history?agent=b").await.problem(404);
    });
}

#[test]
fn a_reload_from_another_state_is_refused_and_its_faults_are_shown_before() {
    Plan::of(vec![job("a", "true")]).run(|site| async move {
        let looked = site.ask("/api/v1/reload").await;
        let tag = looked.header("etag").to_owned();
        assert_eq!(
            (&looked.json()["valid"], looked.json()["faults"].as_array().map(Vec::len)),
            (&json!(false), Some(1))
        );
        assert_eq!(site.ask("/api/v1/config").await.header("etag"), tag);
        let reload = |tag: &str| Request::new("POST", "/api/v1/reload").header("If-Match", tag);
        let stale = site.control(&reload("\"0\"")).await.problem(412);
        assert!(stale["hint"].is_string() && stale["etag"] == tag, "{stale}");
        site.control(&reload(&tag)).await.problem(422);
        let kept = site.ask("/api/v1/reload").await.json();
        assert_eq!(kept["lastRejected"]["faults"], json!(["agents.toml:3:1: unknown key `naem`"]));
        let page = site.get("/api/v1/overview").await.json();
        assert!(page["attention"].to_string().contains("config_rejected"), "{page}");
    });
}
