//! The bus as its clients see it: `werkpilot bus` beside nats-server, in one run, with the same clients and payloads.
//!
//! Every client is a process of its own, nothing is pinned to a core, and the sides take turns. What the servers are
//! asked for is in the files of this folder, one question each. And as in-process agents see it (`inside`).

mod clients;
mod fanout;
mod flood;
mod inside;
mod memory;
mod raw;
mod server;
mod stock;
mod wire;

use crate::report::Report;
use crate::support::Figures;

pub use clients::client;
use server::{Program, Server};

/// Rounds per figure: the median of five is steady within a few per cent where a single run is not.
const ROUNDS: usize = 5;

/// All questions, against the ratios of the issue.
pub fn compare(report: &mut Report) {
    inside::compare(report);
    let Some(peer) = Program::peer() else {
        println!("bus: there is no nats-server on the PATH or in target/tools: the bus is left out (run `make setup`)");
        return;
    };
    let Some(ours) = Program::ours() else {
        println!("bus: target/release/werkpilot is not built: the bus is left out (run `make build`)");
        return;
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("bus: {ours} beside {peer}; clients are processes of their own, free placement on {cores} cores");
    println!("bus: stock = async-nats, one tokio thread per client; raw = blocking sockets, pipelined in one write");
    println!("bus: fan-out publishers wait for the slowest subscriber's progress, so that no slow consumer is cut off");
    let sides = Sides { ours, peer };
    stock::compare(&sides, report);
    raw::compare(&sides, report);
    fanout::compare(&sides, report);
    flood::compare(&sides, report);
    memory::compare(&sides, report);
}

/// What is compared.
struct Sides {
    ours: Program,
    peer: Program,
}

/// A value of each side.
struct Both<T> {
    ours: T,
    peer: T,
}

impl Sides {
    /// Starts a fresh server on each side.
    fn start(&self) -> Both<Server> {
        Both { ours: self.ours.start(), peer: self.peer.start() }
    }
}

impl<T> Both<T> {
    /// The same for each side.
    fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> Both<U> {
        Both { ours: make(&self.ours), peer: make(&self.peer) }
    }

    /// Measures both sides in turns; who begins changes from round to round.
    fn rounds(&self, mut measure: impl FnMut(&T) -> Figures) -> Both<Vec<Figures>> {
        let mut all = Both { ours: Vec::new(), peer: Vec::new() };
        for round in 0..ROUNDS {
            let ours_first = round % 2 == 0;
            if ours_first {
                all.ours.push(measure(&self.ours));
            }
            all.peer.push(measure(&self.peer));
            if !ours_first {
                all.ours.push(measure(&self.ours));
            }
        }
        all
    }
}

impl Both<Vec<Figures>> {
    /// The medians of one figure.
    fn median(&self, figure: &str) -> Both<f64> {
        self.map(|rounds| crate::support::median(rounds, figure))
    }
}

impl Both<f64> {
    fn ratio(&self) -> f64 {
        self.ours / self.peer
    }

    /// Durations: the smaller, the better.
    fn report_time(&self, report: &mut Report, what: &str, target: f64) {
        let text = self.map(|nanos| crate::support::time(*nanos));
        report.at_most(what, text.ours, text.peer, self.ratio(), target);
    }

    /// Rates: the larger, the better.
    fn report_rate(&self, report: &mut Report, what: &str, target: f64) {
        let text = self.map(|per_second| format!("{per_second:.0}/s"));
        report.at_least(what, text.ours, text.peer, self.ratio(), target);
    }
}
