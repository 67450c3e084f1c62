//! HTTP: what a page and a scraper ask again and again, beside a bare actix-web server that sends the same bytes; how long
//! an event is on its way to an open page; thousands of idle connections and clients that do not read; PM2 and supervisord.
//!
//! The orchestrator has one core, the clients the other one. `WERKPILOT_BENCH_AGENTS`, `WERKPILOT_BENCH_CONNECTIONS` and
//! `WERKPILOT_BENCH_SECONDS` make it smaller, to see that it works.

mod bare;
mod crowd;
mod fleet;
mod load;
mod peers;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bare::Bare;
use fleet::{Fleet, be_the_client};
use load::Load;

use crate::orchestrator::binary;
use crate::references::References;
use crate::report::Report;
use crate::support::time;

pub use bare::serve;

const ROUNDS: usize = 3;
/// Of the guide's machine: what is wanted there, over what bare prebuilt bytes reach there.
const SHARE_OF_BARE: f64 = 15_000.0 / 36_218.0;
/// Nanoseconds from question to answer at one connection.
const ONE: f64 = 150_000.0;
/// Jobs that come and go while it is measured.
const JOBS: usize = 20;
/// From one execution to the next: each makes a few events, so the snapshot is always an old one.
const BEAT: Duration = Duration::from_millis(50);

/// A number from the environment.
fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// All of it.
pub fn compare(references: &References, report: &mut Report) {
    let Some(binary) = binary() else {
        println!("werkpilot is not built: HTTP is left out (run `make build`)");
        return;
    };
    werkpilot_process::limits::raise_open_files();
    be_the_client();
    let agents = setting("WERKPILOT_BENCH_AGENTS", 1_000);
    let ours = Fleet::start(&binary, references.program(), agents, JOBS);
    println!("HTTP: {agents} services run");
    lists(&ours, agents, report);
    scrapes(&ours, agents, report);
    stream::compare(&ours, JOBS, report);
    crowd::compare(&ours, JOBS, report);
    drop(ours);
    peers::compare(&binary, references, report);
}

/// Somebody works meanwhile: executions come and go until this is dropped.
struct Bustle {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Bustle {
    fn start(fleet: &Fleet, jobs: usize, beat: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (stop, door) = (over.clone(), fleet.door());
        let thread = std::thread::spawn(move || {
            for number in (0..jobs).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                door.post(&format!("/api/v1/agents/job-{number}/trigger"), "");
                std::thread::sleep(beat);
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Bustle {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Throughput at 64 connections and time at one, of both lists, as they are and compressed.
fn lists(ours: &Fleet, agents: usize, report: &mut Report) {
    let seconds = Duration::from_secs(setting("WERKPILOT_BENCH_SECONDS", 2) as u64);
    for (path, headers, what) in [
        ("/metrics", "Accept-Encoding: gzip\r\n", "/metrics, gzip"),
        ("/api/v1/agents", "Accept-Encoding: gzip\r\n", "agents, gzip"),
        ("/metrics", "", "/metrics"),
        ("/api/v1/agents", "", "agents"),
    ] {
        let body = ours.folder().join("body");
        std::fs::write(&body, fleet::get(ours.address, path, headers)).expect("the body");
        let (mut loads, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bares.push(both(|connections| bare(&body, connections, seconds)));
            let _bustle = Bustle::start(ours, JOBS, BEAT);
            loads.push(both(|connections| load::run(ours.address, path, headers, connections, seconds)));
        }
        let middle = |rounds: &[[Load; 2]], of: fn(&[Load; 2]) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (rate, bare_rate) = (middle(&loads, |load| load[0].rate), middle(&bares, |load| load[0].rate));
        let (p50, bare_p50) = (middle(&loads, |load| load[1].p50 as f64), middle(&bares, |load| load[1].p50 as f64));
        let last = loads[ROUNDS - 1][0];
        println!(
            "{what}: {} kB of {agents} agents; {rate:.0}/s, p99 {}; bare {bare_rate:.0}/s",
            last.bytes / 1_000,
            time(last.p99 as f64)
        );
        let name = format!("{what}: {agents} agents, 64 connections / bare bytes");
        let (text, reference) = (format!("{rate:.0}/s"), format!("{bare_rate:.0}/s"));
        report.at_least(&name, text, reference, rate / bare_rate, (SHARE_OF_BARE * 100.0).round() / 100.0);
        if headers.is_empty() {
            let name = format!("{what}: p50 at one connection / bare bytes");
            report.at_most(&name, time(p50), time(bare_p50), p50 / bare_p50, 2.0);
        } else {
            report.at_most(
                &format!("{what}: p50 at one connection, ms"),
                time(p50),
                time(bare_p50),
                p50 / 1e6,
                ONE / 1e6,
            );
        }
    }
}

/// At 64 connections, and at one.
fn both(run: impl Fn(usize) -> Load) -> [Load; 2] {
    [run(64), run(1)]
}

fn bare(body: &Path, connections: usize, seconds: Duration) -> Load {
    let bare = Bare::start(body);
    load::run(bare.address, "/", "", connections, seconds)
}

/// What a scrape takes, from question to answer.
fn scrapes(ours: &Fleet, agents: usize, report: &mut Report) {
    let seconds = Duration::from_secs(setting("WERKPILOT_BENCH_SECONDS", 2) as u64);
    let load = load::run(ours.address, "/metrics", "Accept: application/openmetrics-text\r\n", 1, seconds);
    println!("OpenMetrics: {} kB, p99 {}", load.bytes / 1_000, time(load.p99 as f64));
    let took = load.p50 as f64;
    report.at_most(&format!("OpenMetrics of {agents} agents, p50, ms"), time(took), "-".to_owned(), took / 1e6, 10.0);
}
