//! Requests to agents: one instance is asked, one answer comes, and whoever can't get one is told why at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use werkpilot_tests::peer::{Answer, Headers, Received, deadline_in, reply_subject, text};
use werkpilot_tests::{BusAccess, Peer, Werkpilot, processes, wait_until};

/// At once, on a machine that has a lot to do.
const AT_ONCE: Duration = Duration::from_secs(1);

fn sleeper(name: &str, more: &str) -> String {
    format!(
        "[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n\
         retry = {{ initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }}\n{more}\n"
    )
}

fn sleepers(names: &[&str], config: &str) -> Werkpilot {
    let registry: String = names.iter().map(|name| sleeper(name, "")).collect();
    Werkpilot::start(&[("fleet.toml", &registry)], config)
}

/// Code and text of an answer that is an error.
#[track_caller]
fn error(answer: &Received) -> (u16, String) {
    match answer.answer() {
        Answer::Error { code, message } => (code, message),
        other => panic!("no error: {other:?} {answer:?}"),
    }
}

#[test]
fn an_unknown_name_has_no_responder_and_that_is_told_at_once() {
    let fleet = sleepers(&["sales"], "");
    let mut sales = fleet.peer("sales");
    for subject in ["rpc.nobody", "rpc.nobody.endpoint", "nobody.listens"] {
        let begun = Instant::now();
        assert_eq!(sales.request(subject, b"?").answer(), Answer::NoResponders, "{subject}");
        assert!(begun.elapsed() < AT_ONCE, "{subject}: {:?}", begun.elapsed());
    }
    // Operators may listen to anything, but answer in nobody's name.
    let mut operator = fleet.operator();
    operator.subscribe("rpc.nobody");
    assert_eq!(sales.request("rpc.nobody", b"?").answer(), Answer::NoResponders);
}

#[test]
fn an_agent_that_can_t_answer_tells_its_status_and_the_reason_at_once() {
    let registry = sleeper("deaf", "")
        + &sleeper("halted", "")
        + &sleeper("off", "")
        + &sleeper("waiting", "dependencies = [\"halted\"]")
        + "[[agent]]\nname = \"asker\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n\
           [[agent]]\nname = \"absent\"\ncommand = [\"./absent\"]\n\
           [[agent]]\nname = \"flapping\"\nshell = \"exit 3\"\nretry = { initial = \"5m\", jitter = 0.0 }\n\
           [[agent]]\nname = \"slow\"\nready = { log = \"never\", timeout = \"10m\" }\ncommand = [\"sleep\", \"1000\"]\n\
           [[agent]]\nname = \"job\"\nkind = \"job\"\ncommand = [\"true\"]\n\
           [[agent]]\nname = \"broken\"\nkind = \"job\"\ncommand = [\"false\"]\nretry = { max = 0 }\n";
    let config = "[boot]\nlayer_timeout = \"300ms\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], config);
    fleet.cli(&["stop", "halted"]).expect(0);
    fleet.cli(&["disable", "off"]).expect(0);
    processes::signal(fleet.wait_for_pid("waiting"), processes::Signal::KILL);
    assert_eq!(fleet.run("broken")["end"], "failed");
    let expected = [
        ("deaf", "running", "it does not listen to rpc.deaf"),
        ("halted", "stopped", "stopped by an operator"),
        ("off", "disabled", "asked for by cli:tester"),
        ("waiting", "queued", "halted"),
        ("absent", "missing", "absent"),
        ("flapping", "backing_off", "3"),
        ("slow", "starting", ""),
        ("job", "idle", "it is not connected"),
        ("broken", "error", "1"),
    ];
    let mut asker = fleet.peer("asker");
    for (agent, status, reason) in expected {
        fleet.wait_for_status(agent, status);
        // The bus is told of a change within milliseconds.
        let mut last = String::new();
        wait_until(&format!("{agent} is {status} on the bus, too"), || {
            let begun = Instant::now();
            let (code, message) = error(&asker.request(&format!("rpc.{agent}"), b"?"));
            assert!(code == 503 && begun.elapsed() < AT_ONCE, "{agent}: {code} after {:?}", begun.elapsed());
            last = message;
            last.starts_with(&format!("{status}: "))
        });
        println!("{agent}: {last}");
        assert!(last.contains(reason) && last.len() > status.len() + 2, "{agent}: {last}");
    }
}

#[test]
fn all_that_a_dead_agent_was_asked_fails_at_once() {
    const PENDING: usize = 1_000;
    let fleet = sleepers(&["asker", "victim"], "");
    let pid = fleet.wait_for_pid("victim");
    let (mut asker, mut victim) = (fleet.peer("asker"), fleet.peer("victim"));
    victim.subscribe("rpc.victim");
    let sent: Vec<_> = (0..PENDING).map(|_| asker.ask("rpc.victim", &Headers::new(), b"?")).collect();
    asker.flush();
    assert_eq!(victim.messages().len(), PENDING);
    assert!(asker.answers().is_empty());

    let begun = Instant::now();
    processes::signal(pid, processes::Signal::KILL);
    let answers: Vec<_> = sent.into_iter().map(|one| asker.answer(one)).collect();
    let took = begun.elapsed();
    println!("{PENDING} requests failed within {took:?} of the death of their agent");
    assert!(took < AT_ONCE, "{took:?}");
    for answer in answers {
        let (code, message) = error(&answer);
        assert!(code == 503 && message.starts_with("stopped: victim ended before it answered"), "{code} {message}");
    }
}

#[test]
fn the_first_reply_wins_and_nothing_comes_after_it() {
    let fleet = sleepers(&["asker", "eager"], "");
    let (mut asker, mut eager) = (fleet.peer("asker"), fleet.peer("eager"));
    eager.subscribe("rpc.eager");
    let sent = asker.ask("rpc.eager", &Headers::new(), b"?");
    let request = eager.message();
    for reply in ["first", "second", "third"] {
        eager.reply(&request, reply.as_bytes());
    }
    assert_eq!(eager.refusals(), [""; 0], "an answer too many is no crime");
    assert_eq!(text(&asker.answer(sent)), "first");
    assert!(asker.answers().is_empty());
}

#[test]
fn a_reply_after_the_deadline_is_dropped() {
    let fleet = sleepers(&["asker", "slow"], "");
    let (mut asker, mut slow) = (fleet.peer("asker"), fleet.peer("slow"));
    slow.subscribe("rpc.slow");
    let (begun, patience) = (Instant::now(), Duration::from_millis(200));
    asker.ask("rpc.slow", &deadline_in(patience), b"?");
    let request = slow.message();
    assert!(request.header("Werkpilot-Deadline").is_some(), "it is told how long it has");
    wait_until("the deadline to be over", || begun.elapsed() > patience * 2);
    slow.reply(&request, b"too late");
    slow.flush();
    assert!(asker.answers().is_empty());
    // In time it would have come.
    let again = asker.ask("rpc.slow", &deadline_in(Duration::from_mins(1)), b"?");
    let request = slow.message();
    slow.reply(&request, b"in time");
    assert_eq!(text(&asker.answer(again)), "in time");
    // One that is over before it begins is not even delivered.
    let over = asker.ask("rpc.slow", &deadline_in(Duration::ZERO), b"?");
    assert_eq!(error(&asker.answer(over)).0, 408);
    assert!(slow.messages().is_empty());
}

#[test]
fn the_reply_window_ends_requests_without_a_deadline() {
    let fleet = sleepers(&["asker", "slow"], "[bus]\nreply_window = \"200ms\"\n");
    let (mut asker, mut slow) = (fleet.peer("asker"), fleet.peer("slow"));
    slow.subscribe("rpc.slow");
    let begun = Instant::now();
    asker.ask("rpc.slow", &Headers::new(), b"?");
    let request = slow.message();
    wait_until("the window to be over", || begun.elapsed() > Duration::from_millis(400));
    slow.reply(&request, b"too late");
    slow.flush();
    assert!(asker.answers().is_empty());
}

#[test]
fn a_reply_of_another_than_was_asked_is_rejected_and_told() {
    let fleet = sleepers(&["sales", "analytics", "db"], "");
    let (mut sales, mut analytics, mut db) = (fleet.peer("sales"), fleet.peer("analytics"), fleet.peer("db"));
    analytics.subscribe("rpc.analytics");
    db.subscribe("helpers");
    let sent = sales.ask("rpc.analytics", &Headers::new(), b"?");
    let request = analytics.message();
    // It hands the reply subject on, which is not supported.
    analytics.publish("helpers", reply_subject(&request).as_bytes());
    let handed_on = text(&db.message());
    db.publish(&handed_on, b"from the wrong one");
    assert_eq!(db.refusals(), [format!("Permissions Violation for Publish to \"{handed_on}\"")]);
    wait_until("the event", || !fleet.events("bus.reply.rejected").is_empty());
    assert_eq!(fleet.events("bus.reply.rejected")[0]["data"], json!({ "who": "db", "asked": "analytics" }));
    // The asker waits on, and is answered by the right one.
    assert!(sales.answers().is_empty());
    analytics.reply(&request, b"from the right one");
    let answer = sales.answer(sent);
    assert_eq!((text(&answer).as_str(), answer.from()), ("from the right one", Some("analytics")));
}

#[test]
fn agents_that_ask_each_other_in_a_circle_time_out_and_are_named() {
    let fleet = sleepers(&["sales", "analytics"], "");
    let (mut sales, mut analytics) = (fleet.peer("sales"), fleet.peer("analytics"));
    sales.subscribe("rpc.sales");
    analytics.subscribe("rpc.analytics");
    sales.ask("rpc.analytics", &deadline_in(Duration::from_millis(300)), b"?");
    let request = analytics.message();
    // It hands the headers on, as it should.
    let deadline = request.header("Werkpilot-Deadline").expect("a deadline");
    let nested = Headers::new()
        .with("Werkpilot-Deadline", deadline)
        .with("Werkpilot-Hops", request.header("Werkpilot-Hops").unwrap());
    analytics.ask("rpc.sales", &nested, b"?");
    let nested = sales.message();
    assert_eq!((nested.header("Werkpilot-Hops"), nested.header("Werkpilot-Deadline")), (Some("2"), Some(deadline)));
    wait_until("the event", || !fleet.events("bus.request.circle").is_empty());
    let circles = fleet.events("bus.request.circle");
    let mut agents: Vec<_> =
        circles[0]["data"]["agents"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    agents.sort_unstable();
    assert_eq!((circles.len(), agents), (1, vec!["analytics", "sales"]), "{circles:?}");
    assert!(sales.answers().is_empty() && analytics.answers().is_empty());
}

#[test]
fn a_chain_of_requests_has_sixteen_links_at_most() {
    let fleet = sleepers(&["first", "second"], "");
    let (mut first, mut second) = (fleet.peer("first"), fleet.peer("second"));
    first.subscribe("rpc.first");
    second.subscribe("rpc.second");
    let mut hops = Headers::new();
    let mut sent = first.ask("rpc.second", &hops, b"?");
    for link in 1..=16 {
        let (asked_one, other) = if link % 2 == 1 { (&mut second, "rpc.first") } else { (&mut first, "rpc.second") };
        let request = asked_one.message();
        assert_eq!(request.header("Werkpilot-Hops"), Some(link.to_string().as_str()));
        hops = Headers::new().with("Werkpilot-Hops", request.header("Werkpilot-Hops").unwrap());
        sent = asked_one.ask(other, &hops, b"?");
    }
    let (code, message) = error(&first.answer(sent));
    assert!(code == 508 && message.contains("16"), "{code} {message}");
    wait_until("the event", || !fleet.events("bus.request.too_long").is_empty());
    assert_eq!(fleet.events("bus.request.too_long")[0]["data"], json!({ "from": "first", "agent": "second" }));
    assert!(second.messages().is_empty());
}

#[test]
fn the_instances_of_a_service_share_what_it_is_asked() {
    const REQUESTS: usize = 300;
    let registry = sleeper("asker", "") + &sleeper("worker", "instances = 3");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    wait_until("three instances", || fleet.pids("worker").len() == 3);
    let mut asker = fleet.peer("asker");
    let pids = fleet.pids("worker");
    // By whatever way they listen: that they are one queue group goes without saying.
    let _workers: Vec<_> = pids
        .iter()
        .map(|pid| {
            let mut worker = Peer::connect(&BusAccess::of(*pid));
            worker.subscribe("rpc.worker.>");
            let pid = pid.to_string();
            worker.answer_with(move |_| pid.clone().into_bytes())
        })
        .collect();
    let sent: Vec<_> = (0..REQUESTS).map(|_| asker.ask("rpc.worker.run", &Headers::new(), b"?")).collect();
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for one in sent {
        *shares.entry(text(&asker.answer(one))).or_default() += 1;
    }
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares.values().all(|share| *share >= REQUESTS / 6), "{shares:?}");
    assert!(asker.answers().is_empty(), "one answer each");

    // Two are left when one dies, and nobody has to be told.
    processes::signal(pids[0], processes::Signal::KILL);
    wait_until("only the others answer", || {
        let answers = (0..20).map(|_| asker.request("rpc.worker.run", b"?"));
        answers
            .collect::<Vec<_>>()
            .iter()
            .all(|answer| answer.answer() == Answer::Given && text(answer) != pids[0].to_string())
    });
}

#[test]
fn a_reply_that_may_be_kept_answers_the_same_question_again_without_its_agent() {
    let fleet = sleepers(&["asker", "other", "prices"], "");
    let (mut asker, mut other, mut prices) = (fleet.peer("asker"), fleet.peer("other"), fleet.peer("prices"));
    prices.subscribe("rpc.prices");
    let kept = Headers::new().with("Werkpilot-Cache-Ttl", "1h");
    let sent = asker.ask("rpc.prices", &Headers::new(), b"apples");
    let request = prices.message();
    prices.reply_with(&request, &kept, b"3");
    assert_eq!(text(&asker.answer(sent)), "3");
    assert_eq!(text(&asker.request("rpc.prices", b"apples")), "3");
    assert!(prices.messages().is_empty(), "it was not asked a second time");
    // Another question, and the same of another, are asked.
    for (peer, question) in [(&mut asker, "pears"), (&mut other, "apples")] {
        let sent = peer.ask("rpc.prices", &Headers::new(), question.as_bytes());
        let request = prices.message();
        prices.reply(&request, b"4");
        assert_eq!(text(&peer.answer(sent)), "4");
    }
}
