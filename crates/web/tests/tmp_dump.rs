//! tmp
mod common;
use common::{Plan, job, service, wait_for, Request};
use serde_json::Value;
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS")||l.starts_with("Threads")).collect::<Vec<_>>().join(" ") }
#[test]
fn dump() {
    let mut sales = job("agent-sales", "echo 'db down: connection refused at 10.0.0.3:5432' >&2; exit 1");
    sales.description = "Reads orders and sells things".to_owned();
    sales.department = "sales".to_owned();
    let mut later = job("agent-later", "true");
    later.job_mut().unwrap().triggers.schedule = Some("0 3 * * *".to_owned());
    println!("before {}", rss());
    Plan::real(vec![service("agent-db", "exec sleep 60"), job("agent-report", "sleep 0.3"), sales, later, job("agent-ghost", "true"), service("flap", "exit 2")]).run(|site| async move {
        println!("up {}", rss());
        for agent in ["agent-report", "agent-sales"] {
            site.post(&format!("/api/v1/agents/{agent}/trigger"), &Value::Null).await;
        }
        wait_for("x", async || site.get("/").await.text().contains("Last dead") && site.get("/").await.text().contains("succeeded")).await;
        std::fs::create_dir_all("/tmp/page/assets").unwrap();
        let html = site.get("/").await.text().replace("/assets/", "assets/");
        std::fs::write("/tmp/page/index.html", html).unwrap();
        std::fs::write("/tmp/page/assets/status.css", site.get("/assets/status.css").await.body).unwrap();
        let om = site.tcp(&Request::new("GET", "/metrics").header("Accept", "application/openmetrics-text")).await;
        std::fs::write("/tmp/page/om.txt", om.body).unwrap();
        for p in ["/api/v1/agents/flap","/api/v1/why/agent-sales","/api/v1/queue","/metrics"] {
            println!("{}", serde_json::to_string_pretty(&site.get(p).await.json()).unwrap());
        }
        println!("used {}", rss());
        let t = std::time::Instant::now();
        for _ in 0..200 { site.get("/livez").await; }
        println!("livez {:?}", t.elapsed()/200);
    });
}
