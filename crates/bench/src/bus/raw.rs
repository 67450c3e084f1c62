//! Request and reply with the lean client, in two processes: what is left is what the server takes.

use std::time::Instant;

use super::clients::{Helper, measure, ready};
use super::wire::{Frame, Wire, publication};
use super::{Both, Sides};
use crate::report::Report;
use crate::support::percentile;

const SUBJECT: &str = "rpc.bench-raw";
/// Payload, requests in flight, requests.
pub const LATENCY: [usize; 3] = [100, 1, 10_000];
const SMALL: [usize; 3] = [100, 64, 200_000];
/// No run takes longer, however slow the answers are.
const LONGEST_MS: u128 = 1_500;
/// Digits of a request's number in its reply subject.
const DIGITS: usize = 8;

/// Against the ratios of the issue.
pub fn compare(sides: &Sides, report: &mut Report) {
    let servers = sides.start();
    let _responders: Both<Helper> = servers.map(|server| Helper::start("raw-responder", server.address(), &[]));
    let figures = |numbers: &[usize]| servers.rounds(|server| measure("raw-requester", server.address(), numbers));
    let latency = figures(&LATENCY);
    latency.median("p50").report_time(report, "bus: raw request, 100 B, one in flight, p50 / nats", 0.5);
    figures(&SMALL).median("rate").report_rate(report, "bus: raw requests, 100 B, 64 in flight / nats", 2.0);
}

/// Answers every request with its own payload; all that came with one read in one write.
pub fn responder(address: &str) {
    let mut wire = Wire::connect(address);
    wire.send(format!("SUB {SUBJECT} 1\r\n").as_bytes());
    wire.sync();
    ready();
    let mut out = Vec::new();
    // The size as text, made anew only when it changes.
    let (mut size, mut size_text) = (0, String::new());
    loop {
        wire.receive(|frame| {
            if let Frame::Message { reply, payload } = frame {
                if size_text.is_empty() || size != payload.len() {
                    size = payload.len();
                    size_text = format!(" {size}\r\n");
                }
                out.extend_from_slice(b"PUB ");
                out.extend_from_slice(reply);
                out.extend_from_slice(size_text.as_bytes());
                out.extend_from_slice(payload);
                out.extend_from_slice(b"\r\n");
            }
        });
        if !out.is_empty() {
            wire.send(&out);
            out.clear();
        }
    }
}

/// Asks, with so many requests in flight; as many as were answered with one read follow in one write. Each has a reply
/// subject of its own, as with stock clients.
pub fn requester(address: &str, size: usize, in_flight: usize, requests: usize) {
    let mut wire = Wire::connect(address);
    let inbox = format!("_INBOX.bench{}", std::process::id());
    wire.send(format!("SUB {inbox}.* 1\r\n").as_bytes());
    wire.sync();
    let mut asker = Asker::new(wire, &inbox, size);
    asker.run(in_flight, requests / 10);
    let begin = Instant::now();
    let mut each = asker.run(in_flight, requests);
    let rate = each.len() as f64 / begin.elapsed().as_secs_f64();
    println!("rate {rate}\np50 {}\np99 {}", percentile(&mut each, 50), percentile(&mut each, 99));
}

struct Asker {
    wire: Wire,
    /// A request with the number zero, and where the number stands in it.
    template: Vec<u8>,
    number_at: usize,
    next_number: usize,
    out: Vec<u8>,
}

impl Asker {
    fn new(wire: Wire, inbox: &str, size: usize) -> Self {
        let template = publication(SUBJECT, &format!("{inbox}.{:0DIGITS$}", 0), size);
        let number_at = format!("PUB {SUBJECT} {inbox}.").len();
        Self { wire, template, number_at, next_number: 0, out: Vec::new() }
    }

    /// Asks so often, and returns the time from each write to the answers that followed it.
    fn run(&mut self, in_flight: usize, requests: usize) -> Vec<u64> {
        let begin = Instant::now();
        let mut each = Vec::with_capacity(requests);
        let mut asked = in_flight.min(requests);
        self.ask(asked);
        let mut written = Instant::now();
        let mut pending = asked;
        while pending > 0 {
            let mut answers = 0;
            self.wire.receive(|frame| answers += usize::from(matches!(frame, Frame::Message { .. })));
            let took = u64::try_from(written.elapsed().as_nanos()).unwrap_or(u64::MAX);
            each.extend(std::iter::repeat_n(took, answers));
            let late = begin.elapsed().as_millis() > LONGEST_MS;
            let more = if late { 0 } else { answers.min(requests - asked) };
            if more > 0 {
                written = Instant::now();
                self.ask(more);
            }
            asked += more;
            pending = pending + more - answers;
        }
        each
    }

    fn ask(&mut self, requests: usize) {
        self.out.clear();
        for _ in 0..requests {
            let begin = self.out.len() + self.number_at;
            self.out.extend_from_slice(&self.template);
            let mut number = self.next_number;
            for digit in self.out[begin..begin + DIGITS].iter_mut().rev() {
                *digit = b"0123456789"[number % 10];
                number /= 10;
            }
            self.next_number += 1;
        }
        self.wire.send(&self.out);
    }
}
