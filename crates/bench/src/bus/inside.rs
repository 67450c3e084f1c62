//! In process: a typed request from one agent to another by name, beside a bare `Addr::send` of the same message to the
//! same kind of actor on the same arbiter, in turns in one process.

use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use serde::{Deserialize, Serialize};
use werkpilot_core::ids::AgentName;
use werkpilot_core::settings::Settings;
use werkpilot_runtime::bus::{AgentError, InProcess, Messenger, Query};

use crate::report::Report;
use crate::support::{Figures, figures, median, name, percentile, time, with_residents};

/// Processes: how memory is laid out differs from one to the next.
const PROCESSES: usize = 5;
/// Turns within a process.
const TURNS: usize = 7;
/// Requests one after the other that are timed together, so that reading the clock costs nothing.
const BATCH: u32 = 100;
const BATCHES: usize = 500;
const IN_FLIGHT: usize = 64;
/// Requests of each of those in flight.
const EACH: usize = 3_000;
const PATIENCE: Duration = Duration::from_mins(1);

/// Against the targets of the issue. The rate's target is absolute; its ratio to bare sends is told beside.
pub fn compare(report: &mut Report) {
    let one = |_| figures(Command::new(std::env::current_exe().expect("our own path")).args(["client", "inside", "-"]));
    let all: Vec<Figures> = (0..PROCESSES).map(one).collect();
    let figure = |name: &str| median(&all, name);
    let (ours, bare) = (figure("bus-p50"), figure("bare-p50"));
    let what = "bus: typed request in process, one in flight, p50 / send";
    report.at_most(what, time(ours), time(bare), figure("p50-ratio"), 1.4);
    let (ours, bare) = (figure("bus-rate"), figure("bare-rate"));
    let text = |rate: f64| format!("{rate:.0}/s");
    let what = "bus: typed requests in process, 64 in flight, million/s";
    report.at_least(what, text(ours), text(bare), ours / 1e6, 2.2);
    let ratio = figure("rate-ratio");
    println!(
        "bus: typed requests in process, 64 in flight: {} beside {} bare sends: {ratio:.2} ×",
        text(ours),
        text(bare)
    );
}

/// 100 bytes, there and back.
#[derive(Clone, Message, Serialize, Deserialize)]
#[rtype(result = "Result<Payload, AgentError>")]
struct Payload([[u8; 25]; 4]);

impl Query for Payload {
    type Response = Self;
    const ENDPOINT: &'static str = "";
}

/// Gives back what it gets.
struct Echo;

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Handler<Payload> for Echo {
    type Result = Result<Payload, AgentError>;
    fn handle(&mut self, payload: Payload, _: &mut Self::Context) -> Self::Result {
        Ok(payload)
    }
}

/// Measures, and answers with the figures' names and values.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<Vec<(String, f64)>, AgentError>")]
struct Measure;

impl Query for Measure {
    type Response = Vec<(String, f64)>;
    const ENDPOINT: &'static str = "measure";
}

/// The agent that asks.
struct Asker(Messenger);

impl Actor for Asker {
    type Context = Context<Self>;
}

impl Handler<Measure> for Asker {
    type Result = ResponseFuture<Result<Vec<(String, f64)>, AgentError>>;
    fn handle(&mut self, _: Measure, _: &mut Self::Context) -> Self::Result {
        let by_name = ByName(Rc::new((self.0.clone(), name("asker"), name("echo"))));
        Box::pin(async move {
            let mut turns = Vec::new();
            for _ in 0..TURNS {
                turns.push(turn(&by_name).await);
            }
            Ok(turns[0].keys().map(|name| (name.clone(), median(&turns, name))).collect())
        })
    }
}

/// A way to have a payload echoed.
trait Way: Clone + 'static {
    fn ask(&self, payload: Payload) -> impl Future<Output = Payload>;
}

impl Way for Addr<Echo> {
    async fn ask(&self, payload: Payload) -> Payload {
        self.send(payload).await.expect("it lives").expect("an echo")
    }
}

/// By name: the bus, who asks, and whom.
#[derive(Clone)]
struct ByName(Rc<(Messenger, AgentName, AgentName)>);

impl Way for ByName {
    async fn ask(&self, payload: Payload) -> Payload {
        let (messenger, from, to) = &*self.0;
        messenger.request(from, to, payload, PATIENCE).await.expect("an echo")
    }
}

async fn turn(by_name: &ByName) -> Figures {
    let echo = Echo.start();
    let (bare_p50, bus_p50) = (p50(&echo).await, p50(by_name).await);
    let (bare_rate, bus_rate) = (rate(&echo).await, rate(by_name).await);
    let figures = [
        ("bare-p50", bare_p50),
        ("bus-p50", bus_p50),
        ("p50-ratio", bus_p50 / bare_p50),
        ("bare-rate", bare_rate),
        ("bus-rate", bus_rate),
        ("rate-ratio", bus_rate / bare_rate),
    ];
    figures.map(|(name, value)| (name.to_owned(), value)).into()
}

async fn p50(way: &impl Way) -> f64 {
    let mut each = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begin = Instant::now();
        for _ in 0..BATCH {
            way.ask(Payload([[7; 25]; 4])).await;
        }
        each.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    percentile(&mut each, 50) as f64 / f64::from(BATCH)
}

async fn rate(way: &impl Way) -> f64 {
    let begin = Instant::now();
    let asking = (0..IN_FLIGHT).map(|_| {
        let way = way.clone();
        actix::spawn(async move {
            for _ in 0..EACH {
                way.ask(Payload([[7; 25]; 4])).await;
            }
        })
    });
    for asker in asking.collect::<Vec<_>>() {
        asker.await.expect("it ends");
    }
    (IN_FLIGHT * EACH) as f64 / begin.elapsed().as_secs_f64()
}

/// A fleet with two in-process agents, one of which asks the other.
pub fn inside() {
    let agents = vec![
        InProcess::service(name("asker"), |messenger| Asker(messenger.clone())).answers::<Measure>().build(),
        InProcess::service(name("echo"), |_| Echo).answers::<Payload>().build(),
    ];
    with_residents(agents, Settings::default(), |handle| async move {
        let messenger = handle.bus().expect("started with a bus").bus.messenger();
        let (from, to) = (name("bench"), name("asker"));
        let echo = name("echo");
        while messenger.request(&from, &echo, Payload([[7; 25]; 4]), PATIENCE).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for (figure, value) in messenger.request(&from, &to, Measure, PATIENCE).await.expect("figures") {
            println!("{figure} {value}");
        }
    });
}
