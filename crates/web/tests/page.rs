//! The status page: what people see first.

mod common;

use common::{Plan, job, service, wait_for};
use serde_json::Value;
use werkpilot_core::spec::{AgentSpec, Program};

#[test]
fn the_page_shows_the_fleet_and_escapes_what_the_registry_says() {
    let mut nasty = job("agent-sales", "echo '<i>x</i>' >&2; exit 7");
    nasty.description = "<script>alert(\"1\")</script> & more".to_owned();
    nasty.department = "<sales>".to_owned();
    Plan::real(vec![nasty, service("agent-db", "exec sleep 60")]).run(|site| async move {
        site.post("/api/v1/agents/agent-sales/trigger", &Value::Null).await;
        wait_for("the dead letter is shown", async || site.get("/").await.text().contains("Last dead letters")).await;
        let page = site.get("/").await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let html = page.text();
        assert!(html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; more"), "{html}");
        assert!(html.contains("&lt;sales&gt;") && !html.contains("<script") && !html.contains("<sales>"), "{html}");
        assert!(html.contains("<title>Werkpilot: running</title>"));
        assert!(html.contains("<span class=\"status bad\">error</span>"), "{html}");
        assert!(!html.contains(" style=") && !html.contains("onclick"), "the policy forbids both");
    });
}

#[test]
fn the_page_brings_its_own_style_and_icon() {
    Plan::of(Vec::new()).run(|site| async move {
        let page = site.get("/").await;
        let html = page.text();
        assert!(html.contains("The registry is empty"));
        for (attribute, kind) in
            [("/assets/status.css", "text/css; charset=utf-8"), ("/assets/icon.svg", "image/svg+xml")]
        {
            let at = html.find(attribute).unwrap();
            let link = &html[at..at + html[at..].find('"').unwrap()];
            let asset = site.get(link).await;
            assert_eq!((asset.status, asset.header("content-type")), (200, kind));
            assert_eq!(asset.header("cache-control"), "max-age=3600");
        }
    });
}

#[test]
fn of_a_large_fleet_the_worst_are_shown_and_the_rest_is_counted() {
    let mut agents: Vec<AgentSpec> = (0..10_000).map(|number| job(&format!("fine-{number}"), "true")).collect();
    let mut off = AgentSpec::job_named(common::name("broken"), Program::Shell("true".to_owned()));
    off.enabled = false;
    agents.push(off);
    Plan::of(agents).run(|site| async move {
        wait_for("switched off", async || site.get("/").await.text().contains("disabled</span>")).await;
        let page = site.get("/").await;
        let html = page.text();
        assert_eq!(html.matches("<tr>").count(), 501, "a head and 500 agents");
        assert!(html.contains("and 9501 more that are not shown"), "{}", &html[..3_000]);
        assert!(html.find("broken").unwrap() < html.find("fine-0").unwrap());
        assert!(html.len() < 600_000, "{}", html.len());
        assert_eq!(site.get("/metrics").await.json()["agents"].as_array().unwrap().len(), 10_001);
    });
}
