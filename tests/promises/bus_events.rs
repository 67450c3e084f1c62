//! The system's events on the bus, as CloudEvents 1.0; and how the bus says goodbye.

use serde_json::Value;
use werkpilot_tests::peer::{Headers, json, text};
use werkpilot_tests::{Peer, Werkpilot, processes, wait_until};

fn sleeper(name: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n")
}

/// Checks what the standard asks of every event, and that it comes on the subject of its type, from the system.
#[track_caller]
fn checked(peer: &mut Peer) -> Vec<Value> {
    let messages = peer.messages();
    let events = messages.iter().map(|message| {
        let event = json(message);
        assert_eq!(message.from(), Some("werkpilot"), "{event}");
        assert_eq!(event["specversion"], "1.0", "{event}");
        assert_eq!(event["type"].as_str().map(str::as_bytes), Some(message.subject.as_slice()), "{event}");
        assert_eq!(event["datacontenttype"], "application/json", "{event}");
        for name in ["id", "source", "time"] {
            assert!(event[name].as_str().is_some_and(|value| !value.is_empty()), "{name}: {event}");
        }
        assert!(event["source"].as_str().is_some_and(|source| source.starts_with("/werkpilot/")), "{event}");
        assert!(event["time"].as_str().is_some_and(|time| time.len() >= 20 && time.ends_with('Z')), "{event}");
        assert!(event["data"].is_object(), "{event}");
        assert_eq!(event.get("subject"), event["data"].get("agent").filter(|agent| agent.is_string()), "{event}");
        event
    });
    events.collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

/// Gathers what comes until all of these types are there.
#[track_caller]
fn gather(peer: &mut Peer, wanted: &[&str]) -> Vec<Value> {
    let mut events = Vec::new();
    wait_until(&format!("all of {wanted:?}"), || {
        events.extend(checked(peer));
        wanted.iter().all(|wanted| types(&events).contains(wanted))
    });
    events
}

#[test]
fn a_job_s_whole_life_comes_in_order_to_those_who_listen() {
    let registry = sleeper("listener")
        + "[[agent]]\nname = \"report\"\nkind = \"job\"\nshell = \"echo done; [ -e good ]\"\nretry = { max = 0 }\n";
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[breaker]\ndead_letters = 1\n");
    let (mut all, mut executions, mut agents) = (fleet.operator(), fleet.peer("listener"), fleet.peer("listener"));
    all.subscribe(">");
    executions.subscribe("execution.*");
    agents.subscribe("agent.*");
    fleet.touch("good");
    let run = fleet.trigger("report");
    let life = ["execution.queued", "execution.started", "agent.started", "execution.succeeded"];
    let events = gather(&mut all, &life);
    assert_eq!(types(&events), life);
    for event in &events {
        assert_eq!(
            (&event["data"]["run"], &event["subject"]),
            (&Value::from(run.as_str()), &"report".into()),
            "{event}"
        );
    }
    // They are the same as those in the history, with the same time.
    let remembered = fleet.events("execution.succeeded");
    assert_eq!((&events[3]["data"], &events[3]["time"]), (&remembered[0]["data"], &remembered[0]["time"]));
    assert_eq!(events[3]["id"].as_str(), Some(remembered[0]["seq"].to_string().as_str()));
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["id"].as_str()?.parse().ok()).collect();
    assert!(numbers.is_sorted() && numbers.len() == 4, "{numbers:?}");
    assert_eq!(types(&gather(&mut executions, &["execution.succeeded"])), [life[0], life[1], life[3]]);
    assert_eq!(types(&gather(&mut agents, &["agent.started"])), ["agent.started"]);

    // And its death: failed for good, kept, disabled.
    std::fs::remove_file(fleet.file("good")).unwrap();
    fleet.trigger("report");
    let wanted = ["agent.failed", "execution.failed", "dlq.added", "breaker.opened", "agent.disabled"];
    let events = gather(&mut all, &wanted);
    let of = |wanted: &str| events.iter().find(|event| event["type"] == wanted).unwrap();
    assert_eq!(of("dlq.added")["data"]["id"], 1);
    assert_eq!(of("breaker.opened")["data"]["reason"]["code"], "too_many_dead_letters");
    assert_eq!(of("execution.failed")["data"]["exit"], serde_json::json!({ "kind": "code", "value": 1 }));
}

#[test]
fn boot_and_reload_are_told_on_the_bus() {
    let registry = sleeper("early")
        + "[[agent]]\nname = \"late\"\nready = { log = \"up\" }\n\
                    shell = \"until [ -e go ]; do sleep 0.05; done; echo up; exec sleep 1000\"\n";
    let fleet = werkpilot_tests::Setup::new(&[("fleet.toml", &registry)], "").launch();
    let mut listener = fleet.operator();
    listener.subscribe("*.*");
    fleet.touch("go");
    let boot = listener.event("boot.completed");
    assert_eq!((&boot["data"]["agents"], &boot["data"]["late"]), (&2.into(), &Value::Array(Vec::new())));
    fleet.wait_for_boot();

    fleet.write("registry/more.toml", &sleeper("new"));
    fleet.cli(&["reload"]).expect(0);
    let reloaded = listener.event("config.reloaded");
    assert_eq!(reloaded["data"]["added"], serde_json::json!(["new"]));
    // It is known on the bus from then on.
    let mut new = fleet.peer("new");
    new.subscribe("rpc.new");
    let _responder = new.answer_with(|_| b"here".to_vec());
    assert_eq!(text(&listener.request("rpc.new", b"?")), "here");
    fleet.write("registry/more.toml", "[[agent]]\nname = \"new\"\n");
    fleet.cli(&["reload"]);
    let rejected = listener.event("config.rejected");
    assert_eq!(rejected["data"]["faults"], 1, "{rejected}");
}

#[test]
fn an_agent_that_leaves_the_registry_is_unknown_on_the_bus() {
    let fleet = Werkpilot::start(&[("a.toml", &sleeper("stays")), ("b.toml", &sleeper("leaves"))], "");
    let mut leaves = fleet.peer("leaves");
    let mut stays = fleet.peer("stays");
    std::fs::remove_file(fleet.file("b.toml")).unwrap();
    fleet.cli(&["reload"]).expect(0);
    leaves.wait_for_end();
    wait_until("nobody of this name", || {
        stays.request("rpc.leaves", b"?").answer() == werkpilot_tests::peer::Answer::NoResponders
    });
    // Who stays has not noticed.
    stays.flush();
}

#[test]
fn agents_talk_until_the_end_of_the_shutdown_and_are_told_before_the_bus_goes() {
    let registry = sleeper("db")
        + "[[agent]]\nname = \"report\"\nkind = \"job\"\ndependencies = [\"db\"]\nshell = \"until [ -e go ]; do sleep 0.05; done\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[shutdown]\ngrace = \"60s\"\n");
    fleet.trigger("report");
    let (mut report, mut db, mut operator) = (fleet.peer("report"), fleet.peer("db"), fleet.operator());
    operator.subscribe("shutdown.*");
    db.subscribe("rpc.db");
    let access = fleet.operator_access();
    fleet.signal(processes::Signal::TERM);
    assert_eq!(operator.event("shutdown.started")["data"]["reason"], "SIGTERM");
    fleet.wait_for_log("[3/6]");
    // The job finishes its work, with the help of the service.
    let asked = report.ask("rpc.db", &Headers::new(), b"the last question");
    let request = db.message();
    db.reply(&request, b"the last answer");
    assert_eq!(text(&report.answer(asked)), "the last answer");
    Peer::connect(&access).flush();
    fleet.touch("go");
    operator.wait_for_lame_duck();
    assert_eq!(operator.wait_for_end(), [""; 0]);
    assert!(fleet.log_text().contains("[5/6]"), "{}", fleet.log_text());
    assert!(fleet.wait_for_end().success());
    assert!(std::net::TcpStream::connect(&access.address).is_err(), "nobody listens any more");
    assert!(fleet.leftovers().is_empty());
}

#[test]
fn a_client_that_does_not_read_does_not_hold_up_the_shutdown() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", &sleeper("talker"))], "");
    let mut deaf = fleet.operator();
    deaf.subscribe("noise");
    let mut talker = fleet.peer("talker");
    // More than the sockets take, and less than what a slow consumer is cut off for.
    let noise = vec![b'x'; 500_000];
    for _ in 0..40 {
        talker.publish("noise", &noise);
    }
    talker.flush();
    let begun = std::time::Instant::now();
    assert!(fleet.terminate().success());
    println!("the shutdown took {:?}", begun.elapsed());
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    drop(deaf);
}
