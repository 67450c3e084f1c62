//! What is told of the bus: its figures, the micro-services on it, how long requests take, and how long they may.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use werkpilot_tests::peer::{Responder, text};
use werkpilot_tests::{Werkpilot, wait_until};

fn start(config: &str) -> Werkpilot {
    let sleeper = |name: &str| {
        format!("[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n")
    };
    Werkpilot::start(&[("fleet.toml", &["sales", "clerk"].map(sleeper).concat())], config)
}

/// `sales` as a micro-service (ADR-32) with one endpoint.
fn micro_service(fleet: &Werkpilot) -> Responder {
    let mut sales = fleet.peer("sales");
    for subject in ["$SRV.INFO", "$SRV.STATS", "rpc.sales.total"] {
        sales.subscribe(subject);
    }
    let endpoint = json!({ "name": "total", "subject": "rpc.sales.total", "queue_group": "q", "metadata": {} });
    let service = |kind: &str, more: Value| {
        let mut service = json!({ "name": "sales", "id": "S1", "version": "1.2.3", "metadata": {},
                                  "type": format!("io.nats.micro.v1.{kind}_response") });
        service.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        service.to_string().into_bytes()
    };
    let info = service("info", json!({ "description": "sums up", "endpoints": [endpoint] }));
    let mut figures = endpoint;
    figures["num_requests"] = json!(4);
    let stats = service("stats", json!({ "started": "2026-11-21T08:00:00Z", "endpoints": [figures] }));
    sales.answer_with(move |request| match &*request.subject {
        b"$SRV.INFO" => info.clone(),
        b"$SRV.STATS" => stats.clone(),
        _ => b"42".to_vec(),
    })
}

#[test]
fn the_api_the_metrics_and_the_status_tell_of_the_bus() {
    let fleet = start("");
    let _sales = micro_service(&fleet);
    let mut operator = fleet.operator();
    for _ in 0..3 {
        assert_eq!(text(&operator.request("rpc.sales.total", b"")), "42");
    }
    wait_until("the latencies", || fleet.agent("sales")["requests"]["count"] == 3);
    let requests = &fleet.agent("sales")["requests"];
    for key in ["p50", "p95", "p99", "avgMs"] {
        assert!(requests[key].as_f64().is_some_and(|ms| ms > 0.0), "{key}: {requests}");
    }
    assert_eq!(fleet.agent("clerk")["requests"], Value::Null);

    let bus = fleet.tcp("GET", "/api/v1/bus", &[]).expect(200).json();
    assert_eq!((&bus["requests"]["delivered"], &bus["requests"]["answered"]), (&json!(3), &json!(3)), "{bus}");
    assert_eq!((&bus["connections"], &bus["pendingRequests"]), (&json!(2), &json!(0)), "{bus}");
    assert_eq!((&bus["slowConsumers"], &bus["triggersDropped"]), (&json!(0), &json!(0)), "{bus}");
    assert!(bus["inMsgs"].as_u64().is_some_and(|messages| messages >= 6), "{bus}");
    assert_eq!(bus["url"], format!("nats://{}", fleet.operator_access().address));

    let scrape = |accept| fleet.tcp("GET", "/metrics", &[("Accept", accept)]).expect(200);
    let open = scrape("application/openmetrics-text").body;
    for start in [
        "werkpilot_bus_requests_total{fate=\"answered\"} 3",
        "werkpilot_bus_connections 2",
        "werkpilot_bus_triggers_dropped_total 0",
        "werkpilot_agent_request_latency_seconds{agent=\"sales\",quantile=\"0.99\"} 0.",
    ] {
        assert!(open.lines().any(|line| line.starts_with(start)), "no `{start}`:\n{open}");
    }
    assert!(!open.contains("request_latency_seconds{agent=\"clerk\""), "it never answered");
    let json = scrape("application/json").json();
    assert!(json.get("bus").is_none() && json["agents"][0].get("requests").is_none(), "the predecessor's shape");

    let status = fleet.cli(&["status"]).expect(0).out;
    let line = format!("  bus           {}, 2 clients, 0 pending requests\n", bus["url"].as_str().unwrap());
    assert!(status.contains(&line), "{status}");
}

#[test]
fn micro_services_are_listed_with_their_figures_to_the_operator_alone() {
    let fleet = start("");
    let none = fleet.request("GET", "/api/v1/bus/services", None).expect(200).json();
    assert_eq!(none, json!({ "services": [], "next": null }));
    let _sales = micro_service(&fleet);
    let told = fleet.request("GET", "/api/v1/bus/services", None).expect(200).json();
    let endpoint = json!({ "name": "total", "subject": "rpc.sales.total", "queue_group": "q", "metadata": {},
                           "num_requests": 4 });
    let service = json!({ "agent": "sales", "name": "sales", "id": "S1", "version": "1.2.3", "metadata": {},
                          "description": "sums up", "started": "2026-11-21T08:00:00Z", "endpoints": [endpoint] });
    assert_eq!(told, json!({ "services": [service], "next": null }));
    fleet.tcp("GET", "/api/v1/bus/services", &[]).expect(401);
}

#[test]
fn a_request_waits_as_long_as_the_settings_say_and_a_reload_changes_it() {
    let fleet = start("[bus]\nrequest_timeout = \"200ms\"\n");
    let mut mute = fleet.peer("sales");
    mute.subscribe("rpc.sales");
    let begun = Instant::now();
    let late = fleet.cli(&["request", "sales"]).expect(124);
    assert!(late.err.contains("no answer on rpc.sales within 200ms"), "{}", late.err);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    fleet.write("werkpilot.toml", "[bus]\nrequest_timeout = \"300ms\"\n");
    let report = fleet.cli(&["reload", "--json"]).expect(0).json();
    // A changed file may have been noticed before.
    assert_eq!(report["after_restart"], json!([]), "{report}");
    let late = fleet.cli(&["request", "sales"]).expect(124);
    assert!(late.err.contains("within 300ms"), "{}", late.err);
    // What is said on the command line goes before it.
    let late = fleet.cli(&["request", "sales", "--timeout", "100ms"]).expect(124);
    assert!(late.err.contains("within 100ms"), "{}", late.err);
}
