//! The memory monitor: what a check of a thousand process trees costs, and what it costs others meanwhile.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use werkpilot_core::agent::ProcessKey;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::settings::Settings;
use werkpilot_process::quiet::quietly;
use werkpilot_runtime::bus::{AgentError, InProcess, Query};
use werkpilot_runtime::observe::memory::{ProcSource, SampleSource, Watched};

use crate::references::References;
use crate::report::Report;
use crate::support::{Figures, measure, median, name, percentile, time, with_residents};

const TREES: &str = "1000";
const ROUNDS: usize = 3;
/// Checks in a row; the first one has all shares to read.
const CHECKS: usize = 12;
/// Requests per turn, one after the other, each timed alone.
const REQUESTS: usize = 20_000;
/// Turns with and without checks.
const TURNS: usize = 5;
const PATIENCE: Duration = Duration::from_mins(1);

/// Against the targets of the issue.
pub fn compare(references: &References, report: &mut Report) {
    let program = references.program().to_string_lossy().into_owned();
    let rounds: Vec<Figures> = (0..ROUNDS).map(|_| measure(&["memory", TREES, &program])).collect();
    let figure = |name: &str| median(&rounds, name);
    for (what, figure_name) in [
        ("memory: first check of 1,000 process trees, CPU ms", "first"),
        ("memory: slowest of the next eleven, CPU ms", "next"),
    ] {
        let nanos = figure(figure_name);
        report.at_most(what, time(nanos), "-".to_owned(), nanos / 1e6, 50.0);
    }
    let (during, without) = (figure("p99-during"), figure("p99-without"));
    let what = "memory: bus p99 during checks / without";
    report.at_most(what, time(during), time(without), figure("ratio"), 1.2);
}

/// Gives back what it gets.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, AgentError>")]
struct Ping(u64);

impl Query for Ping {
    type Response = u64;
    const ENDPOINT: &'static str = "";
}

struct Echo;

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Handler<Ping> for Echo {
    type Result = Result<u64, AgentError>;
    fn handle(&mut self, Ping(number): Ping, _: &mut Self::Context) -> Self::Result {
        Ok(number)
    }
}

/// Our side: so many programs, each with a shell above it.
pub fn ours(trees: usize, program: &str) {
    let children: Vec<Child> = (0..trees).map(|_| tree(program)).collect();
    // All shells have started their program.
    std::thread::sleep(Duration::from_secs(3));
    let watched: Vec<Watched> = (0..).zip(&children).map(|(agent, child)| watch(agent, child)).collect();
    costs(&watched);
    latencies(&watched);
    for mut child in children {
        // The shell ends with its program.
        end_children_of(child.id());
        let _ = child.wait();
    }
}

fn tree(program: &str) -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "\"$0\" pause; :", program]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a shell starts")
}

fn watch(agent: u32, child: &Child) -> Watched {
    let process = ProcessKey { agent: AgentIndex(agent), serial: 1 };
    Watched { process, pid: i32::try_from(child.id()).expect("a pid") }
}

fn end_children_of(pid: u32) {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in list.split_whitespace().filter_map(|text| rustix::process::Pid::from_raw(text.parse().ok()?)) {
        let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
}

fn cpu_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// CPU time of whole checks, on the thread that makes them.
fn costs(watched: &[Watched]) {
    let watched = watched.to_vec();
    let checks = move || {
        let source = ProcSource::default();
        let check = |_| {
            let begin = cpu_nanos();
            let look = source.look(&watched);
            assert_eq!(look.trees.len(), watched.len(), "all are seen");
            cpu_nanos() - begin
        };
        (0..CHECKS).map(check).collect::<Vec<u64>>()
    };
    let costs = quietly("memory", checks).expect("a thread").join().expect("figures");
    println!("first {}", costs[0]);
    println!("next {}", costs[1..].iter().max().expect("some"));
}

/// Requests on the bus, in turns with checks all the time and without.
fn latencies(watched: &[Watched]) {
    let watched = watched.to_vec();
    let agents = vec![InProcess::service(name("echo"), |_| Echo).answers::<Ping>().build()];
    with_residents(agents, Settings::default(), |handle| async move {
        let messenger = handle.bus().expect("started with a bus").bus.messenger();
        let (from, to) = (name("bench"), name("echo"));
        while messenger.request(&from, &to, Ping(0), PATIENCE).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let source = Arc::new(ProcSource::default());
        let (mut during, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            for checking in [false, true] {
                let stop = Arc::new(AtomicBool::new(!checking));
                let (source, watched, stopped) = (source.clone(), watched.clone(), stop.clone());
                let checks = move || {
                    while !stopped.load(Ordering::Relaxed) {
                        let _ = source.look(&watched);
                    }
                };
                let checker = quietly("memory", checks).expect("a thread");
                let mut each = Vec::with_capacity(REQUESTS);
                for number in 0..REQUESTS as u64 {
                    let begin = Instant::now();
                    let _ = messenger.request(&from, &to, Ping(number), PATIENCE).await;
                    each.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
                stop.store(true, Ordering::Relaxed);
                checker.join().expect("it ends");
                let p99 = percentile(&mut each, 99);
                if checking { during.push(p99) } else { without.push(p99) }
            }
            ratios.push(during[during.len() - 1] as f64 / without[without.len() - 1] as f64);
        }
        ratios.sort_by(f64::total_cmp);
        println!("p99-during {}", percentile(&mut during, 50));
        println!("p99-without {}", percentile(&mut without, 50));
        println!("ratio {}", ratios[TURNS / 2]);
    });
}
