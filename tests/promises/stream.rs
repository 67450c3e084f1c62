//! The event stream of the real program: all in order and soon, over restarts and crashes; logs of any kind; the bus console.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use werkpilot_tests::{PATIENCE, Werkpilot, wait_for, wait_until};

/// 25 jobs, once a second each, each with four facts: 100 facts a second.
const JOBS: usize = 25;
/// Those who look on.
const CLIENTS: usize = 8;
/// Facts that are looked at: four seconds of them.
const FACTS: usize = 400;
/// What nobody has to wait for longer, on a loaded machine.
const SOON: Duration = Duration::from_secs(2);

/// A block of the stream.
#[derive(Clone, Debug)]
struct Seen {
    id: String,
    name: String,
    data: Value,
    /// When it came, milliseconds since 1970.
    at: i64,
}

impl Seen {
    fn seq(&self) -> u64 {
        self.data["seq"].as_u64().unwrap_or_default()
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    i64::try_from(now.as_millis()).expect("a time")
}

/// Somebody who looks on, until it is dropped.
struct Client {
    seen: Arc<Mutex<Vec<Seen>>>,
    hang_up: Box<dyn Fn() + Send>,
}

impl Drop for Client {
    fn drop(&mut self) {
        (self.hang_up)();
    }
}

impl Client {
    /// Over the control socket.
    fn new(fleet: &Werkpilot, query: &str, last: Option<&str>) -> Self {
        let stream = UnixStream::connect(fleet.socket()).expect("a control socket");
        let other = stream.try_clone().expect("a socket");
        Self::on(stream, query, last.map(|last| ("Last-Event-ID", last)), move || drop(other.shutdown(Shutdown::Both)))
    }

    /// Over TCP, with a token.
    fn over_tcp(fleet: &Werkpilot, token: &str) -> Self {
        let stream = TcpStream::connect(fleet.address()).expect("a listener");
        let other = stream.try_clone().expect("a socket");
        let authorization = format!("Bearer {token}");
        Self::on(stream, "", Some(("Authorization", &authorization)), move || drop(other.shutdown(Shutdown::Both)))
    }

    fn on(
        mut stream: impl Read + Write + Send + 'static,
        query: &str,
        header: Option<(&str, &str)>,
        hang_up: impl Fn() + Send + 'static,
    ) -> Self {
        let header = header.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
        let request = format!("GET /api/v1/events/stream{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).expect("a head") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        // Who hangs up, or is hung up on, has seen enough.
        thread::spawn(move || follow(&mut lines, &into));
        Self { seen, hang_up: Box::new(hang_up) }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    #[track_caller]
    fn wait_for(&self, count: usize) -> Vec<Seen> {
        wait_until(&format!("{count} events"), || self.count() >= count);
        self.seen()
    }
}

/// Takes chunks and blocks apart, for as long as some come.
fn follow(lines: &mut impl BufRead, into: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let (mut text, mut line) = (Vec::new(), String::new());
    loop {
        line.clear();
        lines.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        lines.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(());
        }
        text.extend_from_slice(&chunk[..size]);
        let at = now();
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            let block = String::from_utf8(block).map_err(io::Error::other)?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
            if let (Some(data), Some(name)) = (field("data: "), field("event: ")) {
                let data = serde_json::from_str(&data)?;
                let seen = Seen { id: field("id: ").unwrap_or_default(), name, data, at };
                into.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            }
        }
    }
}

/// Of a fact, milliseconds since 1970.
fn recorded(seen: &Seen) -> i64 {
    let time: werkpilot_core::time::Timestamp = serde_json::from_value(seen.data["time"].clone()).expect("a time");
    time.as_millis()
}

#[track_caller]
fn are_all_in_order(seen: &[Seen]) {
    for pair in seen.windows(2) {
        assert_eq!((pair[1].name.as_str(), pair[1].seq()), ("fact", pair[0].seq() + 1), "{pair:?}");
    }
}

#[test]
fn a_hundred_facts_a_second_reach_everybody_in_order_and_soon() {
    let job =
        |number| format!("[[agent]]\nname = \"tick-{number}\"\nkind = \"job\"\nevery = \"1s\"\ncommand = [\"true\"]\n");
    let registry: String = (0..JOBS).map(job).collect();
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    let token =
        wait_for("the admin token", PATIENCE, || std::fs::read_to_string(fleet.dir().join("state/admin.token")).ok());
    let mut clients: Vec<Client> = (1..CLIENTS).map(|_| Client::new(&fleet, "", None)).collect();
    clients.push(Client::over_tcp(&fleet, token.trim()));
    let mut all = Vec::new();
    for client in &clients {
        all.push(client.wait_for(FACTS));
    }
    let mut took = Vec::new();
    for seen in &all {
        are_all_in_order(seen);
        took.extend(seen.iter().map(|seen| (seen.at - recorded(seen)).max(0)));
    }
    // All see the same.
    let from = all.iter().map(|seen| seen[0].seq()).max().expect("clients");
    let common = |seen: &[Seen]| -> Vec<Value> {
        let facts = seen.iter().filter(|seen| (from..from + 300).contains(&seen.seq()));
        facts.map(|seen| seen.data.clone()).collect()
    };
    assert!(all.iter().all(|seen| common(seen) == common(&all[0])), "everybody sees the same facts");
    took.sort_unstable();
    let part = |percent: usize| took[(took.len() - 1) * percent / 100];
    let span = all[0].last().zip(all[0].first()).map_or(1, |(last, first)| recorded(last) - recorded(first));
    println!(
        "{} clients, {} facts a second: from fact to client p50 {} ms, p99 {} ms, most {} ms (whole milliseconds)",
        CLIENTS,
        all[0].len() * 1_000 / usize::try_from(span.max(1)).expect("a span"),
        part(50),
        part(99),
        part(100)
    );
    assert!(Duration::from_millis(part(100).unsigned_abs()) < SOON, "{} ms", part(100));
}

#[test]
fn who_looks_on_goes_on_after_a_restart_and_after_a_crash_or_is_told_of_the_gap() {
    let registry = "[[agent]]\nname = \"good\"\nkind = \"job\"\ncommand = [\"true\"]\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let client = Client::new(&fleet, "", None);
    fleet.run("good");
    let last = client.wait_for(4).pop().expect("a fact");
    fleet.restart();
    // The orchestrator's end and its start are between them.
    let client = Client::new(&fleet, "", Some(&last.id));
    fleet.run("good");
    let seen = wait_for("an execution of the new life", PATIENCE, || {
        let seen = client.seen();
        seen.iter().any(|seen| seen.data["type"] == "boot.completed").then_some(())?;
        (seen.last()?.data["type"] == "execution.succeeded").then_some(seen)
    });
    assert_eq!((seen[0].name.as_str(), seen[0].seq()), ("fact", last.seq() + 1));
    are_all_in_order(&seen);
    let last = seen.last().expect("facts").clone();
    fleet.kill_and_restart();
    let client = Client::new(&fleet, "", Some(&last.id));
    fleet.run("good");
    let seen = client.wait_for(4);
    // What was not on disk yet when it crashed is gone, and its numbers are given anew: that is a gap.
    match seen[0].name.as_str() {
        "resync" => assert!(seen[0].data["newest"].as_u64() >= seen[0].data["oldest"].as_u64(), "{seen:?}"),
        _ => assert_eq!(seen[0].seq(), last.seq() + 1),
    }
    are_all_in_order(&seen[1..]);
    // A number from a life that nobody remembers.
    let client = Client::new(&fleet, "", Some("1000000.5"));
    assert_eq!(client.wait_for(1)[0].name, "resync");
}

#[test]
fn an_id_whose_number_means_another_fact_is_a_gap() {
    let registry = "[[agent]]\nname = \"good\"\nkind = \"job\"\ncommand = [\"true\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    fleet.run("good");
    let client = Client::new(&fleet, "?after=0", None);
    let first = client.wait_for(2).remove(0);
    assert_eq!((first.name.as_str(), first.seq()), ("fact", 1));
    let (number, time) = first.id.split_once('.').expect("number and time");
    let other = time.parse::<i64>().expect("a time") + 1;
    let client = Client::new(&fleet, "", Some(&format!("{number}.{other}")));
    assert_eq!(client.wait_for(1)[0].name, "resync");
    let client = Client::new(&fleet, "", Some(&first.id));
    let seen = client.wait_for(1);
    assert_eq!((seen[0].name.as_str(), seen[0].seq()), ("fact", 2));
}

/// What programs write that want to be more than text.
const NASTY: &str = r#"[[agent]]
name = "nasty"
kind = "job"
shell = '''
printf 'plain\n'
printf '<script>alert(1)</script>\n'
printf '\033[31mred\033[0m\033]0;title\007\n'
printf 'a\000b\n'
printf '\377\376 no text\n'
printf 'right \342\200\256to left\n'
printf 'Größe\r\n'
head -c 1000000 /dev/zero | tr '\000' x; printf '\n'
printf '{"seq":1}\n\n' >&2
printf 'no end'
'''
"#;

fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))).collect()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["text"].as_str().expect("a text")).collect()
}

#[test]
fn whatever_a_program_writes_comes_through_as_lines_of_json() {
    let fleet = Werkpilot::start(&[("fleet.toml", NASTY)], "");
    assert_eq!(fleet.run("nasty")["end"], "succeeded");
    let logs = |query: &str| fleet.request("GET", &format!("/api/v1/agents/nasty/logs?{query}"), None).expect(200);
    wait_until("all lines", || logs("lines=1000").body.contains("no end"));
    let all = lines(&logs("lines=1000").body);
    let short: Vec<&str> = texts(&all).into_iter().filter(|text| !text.starts_with('x')).collect();
    for expected in [
        "plain",
        "<script>alert(1)</script>",
        "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}",
        "a\0b",
        "\u{fffd}\u{fffd} no text",
        "right \u{202e}to left",
        "{\"seq\":1}",
        "no end",
    ] {
        assert!(short.contains(&expected), "{expected:?} is not in {short:?}");
    }
    assert!(short.iter().any(|text| text.trim_end() == "Größe"), "{short:?}");
    // The long line in its parts.
    let long: Vec<&Value> =
        all.iter().filter(|line| line["text"].as_str().is_some_and(|text| text.starts_with('x'))).collect();
    assert_eq!(long.iter().map(|line| line["text"].as_str().map_or(0, str::len)).sum::<usize>(), 1_000_000);
    assert!(long.iter().rev().skip(1).all(|line| line["goesOn"] == true) && long[long.len() - 1]["goesOn"] != true);

    // Searched.
    assert_eq!(texts(&lines(&logs("text=SCRIPT").body)), ["<script>alert(1)</script>"]);
    assert_eq!(lines(&logs("text=gr%C3%B6%C3%9Fe").body).len(), 1);
    assert_eq!(lines(&logs("text=nothing%20of%20it").body).len(), 0);
    let errors = lines(&logs("stream=stderr&lines=100").body);
    assert!(errors.iter().all(|line| line["stream"] == "stderr") && texts(&errors).contains(&"{\"seq\":1}"));
    for bad in ["stream=both", "before=1", "before=1-2-x", "lines=x", &format!("text={}", "x".repeat(257))] {
        fleet.request("GET", &format!("/api/v1/agents/nasty/logs?{bad}"), None).expect(400);
    }
    fleet.request("GET", "/api/v1/agents/nasty/logs?follow=true&before=1-2-3", None).expect(422);

    // Paged back, each line once.
    let (mut paged, mut before) = (Vec::new(), String::new());
    loop {
        let page = logs(&format!("lines=7{before}"));
        let rows = lines(&page.body);
        assert!(rows.len() <= 7);
        paged.splice(0..0, rows);
        let Some(next) = page.header("werkpilot-before") else { break };
        before = format!("&before={next}");
    }
    assert_eq!(paged, all);
}

#[test]
fn the_console_asks_agents_and_tells_what_became_of_it() {
    let registry = "[[agent]]\nname = \"db\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let mut peer = fleet.peer("db");
    peer.subscribe("rpc.db");
    peer.subscribe("rpc.db.>");
    let ask = |question: &Value| fleet.request("POST", "/api/v1/bus/request", Some(question));
    thread::scope(|scope| {
        scope.spawn(|| {
            let request = peer.message();
            peer.reply(&request, b"{\"n\": 7}");
            let request = peer.message();
            peer.reply(&request, &[0xff, 0]);
            let request = peer.message();
            let error = werkpilot_tests::peer::Headers::new()
                .with("Nats-Service-Error", "no such order")
                .with("Nats-Service-Error-Code", "404");
            peer.reply_with(&request, &error, b"");
            // The last one is not answered.
            peer.message();
        });
        let answer = ask(&json!({ "agent": "db", "payload": { "a": [1] } })).expect(200).json();
        assert_eq!(
            (&answer["ok"], &answer["payload"], &answer["from"]),
            (&json!(true), &json!("{\"n\": 7}"), &json!("db"))
        );
        assert!(answer["durationMs"].as_f64().is_some_and(|ms| ms > 0.0), "{answer}");
        let answer = ask(&json!({ "agent": "db", "endpoint": "find.one", "payload": "x" })).expect(200).json();
        assert_eq!((&answer["payloadBase64"], answer.get("payload")), (&json!("/wA="), None));
        let error = ask(&json!({ "subject": "rpc.db" })).expect(502).json();
        assert_eq!(error["busCode"], 404);
        assert!(error["detail"].as_str().is_some_and(|detail| detail.contains("no such order")), "{error}");
        assert_eq!(ask(&json!({ "agent": "db", "timeoutMs": 50 })).expect(504).json()["busCode"], 408);
    });
    let bus = fleet.get("/api/v1/bus");
    let db = &bus["responders"][0];
    assert_eq!((&db["agent"], &db["requests"], &db["errors"]), (&json!("db"), &json!(4), &json!(2)), "{bus}");
    wait_until("latencies", || fleet.get("/api/v1/bus")["responders"][0]["p50"].is_number());
    let codes: Vec<_> =
        bus["recentErrors"].as_array().expect("errors").iter().map(|error| error["code"].clone()).collect();
    assert_eq!(codes, [408, 404]);
    assert_eq!(bus["requestsPerSecond"].as_array().expect("a minute").len(), 60);
}
