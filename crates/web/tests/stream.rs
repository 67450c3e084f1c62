//! The event stream over a real connection: nothing twice, nothing missing but what is told to be, nobody waited for.

mod common;

use std::time::{Duration, Instant};

use common::{Plan, Request, Site, job, wait_for};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use werkpilot_core::stream::{LISTENERS, QUEUE};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn fleet() -> Plan {
    Plan::of(vec![job("a", "true")])
}

/// An event as a browser would see it.
#[derive(Clone, Debug)]
struct Seen {
    id: String,
    name: String,
    data: Value,
}

impl Seen {
    fn seq(&self) -> u64 {
        self.data["seq"].as_u64().unwrap()
    }
}

/// A client of the stream.
struct Client {
    stream: UnixStream,
    /// What has come and was not looked at.
    raw: Vec<u8>,
    text: Vec<u8>,
    last_id: String,
    ended: bool,
}

impl Client {
    async fn open(site: &Site, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::new("GET", &format!("/api/v1/events/stream{query}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let mut stream = UnixStream::connect(&site.socket).await.unwrap();
        stream.write_all(&request.bytes()).await.unwrap();
        let mut client = Self { stream, raw: Vec::new(), text: Vec::new(), last_id: String::new(), ended: false };
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.to_ascii_lowercase().contains("content-type: text/event-stream"), "{head}");
        client
    }

    async fn more(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1_024];
        let read =
            tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("something comes").unwrap();
        self.raw.extend_from_slice(&bytes[..read]);
        read > 0
    }

    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.raw.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.raw.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.raw, rest)).unwrap();
            }
            assert!(self.more().await, "{}", String::from_utf8_lossy(&self.raw));
        }
    }

    /// Takes the chunks apart that are there.
    fn unchunk(&mut self) {
        while let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&self.raw[..line]).unwrap(), 16).unwrap();
            if self.raw.len() < line + 4 + size {
                return;
            }
            self.ended |= size == 0;
            self.text.extend_from_slice(&self.raw[line + 2..line + 2 + size]);
            self.raw.drain(..line + 4 + size);
        }
    }

    /// The next block that is an event; `None` at the proper end of the stream.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            self.unchunk();
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block = String::from_utf8(self.text.drain(..end + 2).collect()).unwrap();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
                if let Some(id) = field("id: ") {
                    self.last_id = id;
                }
                if let Some(data) = field("data: ") {
                    let data = serde_json::from_str(&data).unwrap();
                    return Some(Seen { id: self.last_id.clone(), name: field("event: ").unwrap(), data });
                }
            }
            if self.ended {
                return None;
            }
            assert!(self.more().await, "the stream ends in the middle");
        }
    }

    async fn fact(&mut self) -> Seen {
        let seen = self.next().await.expect("the stream goes on");
        assert_eq!(seen.name, "fact", "{seen:?}");
        seen
    }
}

/// Makes so many facts.
async fn happen(site: &Site, times: usize) {
    for _ in 0..times {
        site.handle.pause(true, "tester").await.unwrap();
    }
}

async fn newest(site: &Site) -> u64 {
    site.ask("/api/v1/events?limit=1").await.json()["newest"].as_u64().unwrap()
}

/// A site on which nothing happens by itself any more.
async fn settled(site: &Site) {
    wait_for("the end of the boot", async || {
        let events = site.ask("/api/v1/events?type=boot.completed").await.json();
        !events["events"].as_array().unwrap().is_empty()
    })
    .await;
}

async fn figure(site: &Site, name: &str) -> u64 {
    let scrape = Request::new("GET", "/metrics").header("Accept", "text/plain;version=0.0.4");
    let text = site.control(&scrape).await.text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().unwrap()
}

#[test]
fn facts_come_as_events_with_an_id_and_one_line_of_json() {
    fleet().run(|site| async move {
        settled(&site).await;
        let mut client = Client::open(&site, "", None).await;
        happen(&site, 2).await;
        let (first, second) = (client.fact().await, client.fact().await);
        assert_eq!(second.seq(), first.seq() + 1);
        assert!(first.id.starts_with(&format!("{}.", first.seq())), "{first:?}");
        assert_eq!(first.data["type"], "triggers.paused");
        assert_eq!(first.data["message"], "All triggers paused by tester");
        assert_eq!(first.data["data"], json!({ "paused": true, "by": "tester" }));
        let page = site.ask(&format!("/api/v1/events?after={}", first.seq() - 1)).await.json();
        assert_eq!(page["events"], json!([first.data, second.data]), "the same as a page tells");
    });
}

#[test]
fn sixty_four_look_on_and_one_more_is_told_to_come_again() {
    fleet().run(|site| async move {
        settled(&site).await;
        let mut clients = Vec::new();
        for _ in 0..LISTENERS {
            clients.push(Client::open(&site, "", None).await);
        }
        let refused = site.ask("/api/v1/events/stream").await;
        assert_eq!(refused.problem(503)["type"], "urn:werkpilot:too-many-streams");
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
        assert_eq!(figure(&site, "werkpilot_event_streams ").await, 64);
        assert_eq!(figure(&site, "werkpilot_event_streams_refused_total ").await, 1);
        happen(&site, 3).await;
        let newest = newest(&site).await;
        for client in &mut clients {
            let seen = [client.fact().await.seq(), client.fact().await.seq(), client.fact().await.seq()];
            assert_eq!(seen, [newest - 2, newest - 1, newest]);
        }
        clients.pop();
        wait_for("a free place", async || {
            site.control_head(&Request::new("GET", "/api/v1/events/stream")).await.status == 200
        })
        .await;
    });
}

#[test]
fn who_does_not_read_hears_of_a_gap_and_everybody_else_sees_everything() {
    fleet().run(|site| async move {
        settled(&site).await;
        let first = newest(&site).await + 1;
        let (mut stalled, mut awake) = (Client::open(&site, "", None).await, Client::open(&site, "", None).await);
        let mut expected = first;
        while figure(&site, "werkpilot_event_stream_resyncs_total ").await == 0 {
            happen(&site, QUEUE / 2).await;
            for _ in 0..QUEUE / 2 {
                assert_eq!(awake.fact().await.seq(), expected);
                expected += 1;
            }
        }
        // What was on its way comes in order; then the gap is told, and it goes on.
        let mut last = first - 1;
        let resync = loop {
            let seen = stalled.next().await.unwrap();
            if seen.name == "resync" {
                break seen;
            }
            assert_eq!(seen.seq(), last + 1);
            last = seen.seq();
        };
        let told = (resync.data["oldest"].as_u64().unwrap(), resync.data["newest"].as_u64().unwrap());
        assert!(told.1 > last && told.1 < expected && told.0 <= told.1, "{last} {resync:?}");
        happen(&site, 1).await;
        assert_eq!((stalled.fact().await.seq(), awake.fact().await.seq()), (expected, expected));
    });
}

#[test]
fn who_comes_again_goes_on_without_a_hole_and_without_hearing_anything_twice() {
    fleet().run(|site| async move {
        settled(&site).await;
        let mut client = Client::open(&site, "", None).await;
        happen(&site, 5).await;
        let mut last = client.fact().await;
        for round in 0..10 {
            // It happens all the time, also while the client comes.
            let (reopened, ()) = tokio::join!(Client::open(&site, "", Some(&last.id)), happen(&site, 40));
            client = reopened;
            for _ in 0..20 + round {
                let next = client.fact().await;
                assert_eq!(next.seq(), last.seq() + 1, "{round}");
                last = next;
            }
        }
        // The address says where the first one begins; from then on the header does.
        let mut again = Client::open(&site, &format!("?after={}", last.seq()), None).await;
        assert_eq!(again.fact().await.seq(), last.seq() + 1);
        let mut again = Client::open(&site, "?after=1", Some(&last.id)).await;
        assert_eq!(again.fact().await.seq(), last.seq() + 1);
    });
}

#[test]
fn who_can_t_go_on_is_told_so_and_hears_what_comes() {
    fleet().run(|site| async move {
        settled(&site).await;
        happen(&site, 1_100).await;
        let newest = newest(&site).await;
        let mut resyncs = Vec::new();
        for last in ["1".to_owned(), format!("{}", newest + 5), format!("{newest}.7")] {
            let mut client = Client::open(&site, "", Some(&last)).await;
            let resync = client.next().await.unwrap();
            assert_eq!((resync.name.as_str(), &resync.data["newest"]), ("resync", &json!(newest)), "{last}");
            assert_eq!(resync.data["oldest"], newest - 999);
            // It may go on from here when it comes again.
            resyncs.push((client, resync.id));
        }
        happen(&site, 1).await;
        for (mut client, id) in resyncs {
            assert_eq!(client.fact().await.seq(), newest + 1);
            let mut again = Client::open(&site, "", Some(&id)).await;
            assert_eq!(again.fact().await.seq(), newest + 1);
        }
    });
}

#[test]
fn filters_choose_and_what_can_t_fit_is_refused() {
    fleet().run(|site| async move {
        settled(&site).await;
        let run = site.post("/api/v1/agents/a/trigger", &Value::Null).await.json()["runId"].clone();
        let queries =
            ["?type=execution.*", "?agent=a,b&type=execution.queued", &format!("?run={}", run.as_str().unwrap())];
        for query in queries {
            let mut client = Client::open(&site, &format!("{query}&after=0"), None).await;
            let fact = client.fact().await;
            assert_eq!((&fact.data["type"], &fact.data["data"]["run"]), (&json!("execution.queued"), &run), "{query}");
        }
        site.ask("/api/v1/events/stream?type=agnet.failed").await.problem(422);
        for bad in ["type=agent..x", "agent=no%20name", "run=42", "after=x", "tpye=agent.*"] {
            site.ask(&format!("/api/v1/events/stream?{bad}")).await.problem(400);
        }
        let request = Request::new("GET", "/api/v1/events/stream").header("Last-Event-ID", "soon");
        site.control(&request).await.problem(400);
        assert_eq!(figure(&site, "werkpilot_event_streams_refused_total ").await, 0);
    });
}

#[test]
fn the_event_log_may_die_and_nobody_who_looks_on_notices() {
    fleet().run(|site| async move {
        settled(&site).await;
        let mut client = Client::open(&site, "", None).await;
        happen(&site, 1).await;
        let before = client.fact().await;
        site.handle.crash_event_log();
        let died = client.fact().await;
        assert_eq!((died.seq(), &died.data["type"]), (before.seq() + 1, &json!("system.actor.died")));
        happen(&site, 1).await;
        assert_eq!(client.fact().await.seq(), before.seq() + 2);
        let mut again = Client::open(&site, "", Some(&before.id)).await;
        assert_eq!(again.fact().await.seq(), before.seq() + 1);
    });
}

#[test]
fn a_stop_ends_all_streams_in_order_within_100_ms() {
    fleet().run(|site| async move {
        settled(&site).await;
        let mut clients = Vec::new();
        for _ in 0..LISTENERS {
            clients.push(Client::open(&site, "", None).await);
        }
        // Some have something to read and do not read it.
        happen(&site, QUEUE * 2).await;
        let begin = Instant::now();
        site.server.stop().await;
        let took = begin.elapsed();
        assert!(took < Duration::from_millis(100), "{took:?}");
        let mut rest = Vec::new();
        for client in &mut clients {
            client.stream.read_to_end(&mut rest).await.unwrap();
        }
    });
}

#[test]
fn idle_streams_end_in_order_when_the_server_stops() {
    fleet().run(|site| async move {
        settled(&site).await;
        let mut client = Client::open(&site, "", None).await;
        happen(&site, 1).await;
        client.fact().await;
        site.server.stop().await;
        assert!(client.next().await.is_none(), "it ends, and not in the middle of a chunk");
    });
}

#[test]
fn the_console_says_what_is_wrong_with_a_question() {
    fleet().run(|site| async move {
        settled(&site).await;
        let ask = async |body: Value| site.post("/api/v1/bus/request", &body).await;
        let unknown = ask(json!({ "agent": "b" })).await.problem(404);
        assert_eq!(unknown["type"], "urn:werkpilot:unknown-agent");
        let silent = ask(json!({ "agent": "a", "payload": { "n": 1 } })).await.problem(502);
        assert_eq!(silent["busCode"], 503);
        let nobody = ask(json!({ "subject": "orders.count" })).await.problem(502);
        assert!(nobody["detail"].as_str().unwrap().contains("nobody answers to orders.count"), "{nobody}");
        for senseless in [
            json!({}),
            json!({ "agent": "a", "subject": "b" }),
            json!({ "subject": "agent.failed" }),
            json!({ "subject": "a b" }),
            json!({ "subject": "a", "headers": { "a:b": "c" } }),
            json!({ "subject": "a", "payload": 1, "payloadBase64": "YQ==" }),
        ] {
            ask(senseless).await.problem(422);
        }
        for bad in [json!({ "subject": "a", "timeoutMs": 0 }), json!({ "subject": "a", "time": 1 }), json!([])] {
            ask(bad).await.problem(400);
        }
        let large = json!({ "subject": "a", "payload": "x".repeat(1 << 20) });
        ask(large).await.problem(413);
        let listener = site.handle.bus().unwrap().bus.messenger();
        let mut heard = listener.subscribe(&common::name("a"), "orders.*").unwrap();
        let said = json!({ "subject": "orders.new", "payload": "7 \u{fffd}", "headers": { "Color": "red" } });
        wait_for("a listener", async || {
            assert_eq!(site.post("/api/v1/bus/publish", &said).await.status, 200);
            heard
                .try_recv()
                .is_ok_and(|message| message.payload == "7 \u{fffd}".as_bytes() && message.from == "operator")
        })
        .await;
        site.post("/api/v1/bus/publish", &json!({ "subject": "execution.failed" })).await.problem(422);
        let bus = site.ask("/api/v1/bus").await.json();
        assert_eq!(bus["responders"][0]["agent"], "a");
        assert_eq!((&bus["responders"][0]["requests"], &bus["responders"][0]["errors"]), (&json!(1), &json!(1)));
        assert_eq!((&bus["recentErrors"][0]["agent"], &bus["recentErrors"][0]["code"]), (&json!("a"), &json!(503)));
        let seconds = bus["requestsPerSecond"].as_array().unwrap();
        assert_eq!((seconds.len(), seconds.iter().filter_map(Value::as_u64).sum::<u64>()), (60, 1));
    });
}

#[test]
fn an_answer_that_is_none_is_not_waited_for_longer_than_asked() {
    fleet().run(|site| async move {
        settled(&site).await;
        let listener = site.handle.bus().unwrap().bus.messenger();
        let _deaf = listener.subscribe(&common::name("a"), "orders.*").unwrap();
        let question = json!({ "subject": "orders.count", "timeoutMs": 100 });
        wait_for("a listener that says nothing", async || {
            site.post("/api/v1/bus/request", &question).await.status == 504
        })
        .await;
        let begin = Instant::now();
        let late = site.post("/api/v1/bus/request", &question).await.problem(504);
        assert!(begin.elapsed() >= Duration::from_millis(100));
        assert_eq!(late["busCode"], 408);
    });
}
