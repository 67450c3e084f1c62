//! Publish and subscribe: one publisher, many subscribers, and how many deliveries a second come of it.
//!
//! The publisher keeps a window: it is told how far the slowest subscriber has got, and is never further ahead than that,
//! so that the rate is what the server can deliver, and no side cuts off a subscriber or loses a message.

use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::Sides;
use super::clients::{Helper, measure, ready};
use super::wire::{Frame, Wire, publication};
use crate::report::Report;

const SUBJECT: &str = "bench.fanout.prices";
const PROGRESS: &str = "bench.progress";
const SIZE: usize = 100;
/// Messages in one write of the publisher: 32 KiB.
const BATCH: usize = 256;
/// Reports of progress per window.
const STEPS: usize = 8;

/// Subscribers, messages, and the window in messages: at most 1 MiB on the way to a subscriber, 14 MB to all.
const SHAPES: [(usize, usize, usize); 3] = [(1, 294_912, 8_192), (10, 98_304, 4_096), (100, 20_480, 1_024)];

/// Against the ratio of the issue.
pub fn compare(sides: &Sides, report: &mut Report) {
    for (subscribers, messages, window) in SHAPES {
        let servers = sides.start();
        let numbers = [subscribers, window / STEPS];
        let _subscribers = servers.map(|server| Helper::start("subscribers", server.address(), &numbers));
        let numbers = [subscribers, messages, window];
        let figures = servers.rounds(|server| measure("publisher", server.address(), &numbers));
        let what = format!("bus: fan-out 1 → {subscribers}, 100 B, deliveries / nats");
        figures.median("rate").report_rate(report, &what, 1.0);
    }
}

/// Publishes with the window, and tells how many deliveries a second that made.
pub fn publisher(address: &str, subscribers: usize, messages: usize, window: usize) {
    let mut wire = Wire::connect(address);
    wire.send(format!("SUB {PROGRESS} 1\r\n").as_bytes());
    wire.sync();
    publish(&mut wire, 2 * window, window);
    let begin = Instant::now();
    publish(&mut wire, messages, window);
    println!("rate {}", (subscribers * messages) as f64 / begin.elapsed().as_secs_f64());
}

fn publish(wire: &mut Wire, messages: usize, window: usize) {
    let frame = publication(SUBJECT, "", SIZE);
    let batch = frame.repeat(BATCH);
    let (mut sent, mut arrived) = (0, 0);
    while arrived < messages {
        let room = (arrived + window - sent).min(messages - sent).min(BATCH);
        if room > 0 {
            wire.send(&batch[..room * frame.len()]);
            sent += room;
        } else {
            wire.receive(|frame| arrived += usize::from(matches!(frame, Frame::Message { .. })) * window / STEPS);
        }
    }
}

/// So many connections on one thread; whenever all of them have got another `step` messages, the publisher is told.
pub fn subscribers(address: &str, connections: usize, step: usize) {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll descriptor");
    let subscribe = |index| {
        let mut wire = Wire::connect(address);
        wire.send(format!("SUB {SUBJECT} 1\r\n").as_bytes());
        wire.sync();
        epoll::add(&poll, &wire, epoll::EventData::new_u64(index), epoll::EventFlags::IN).expect("it is polled");
        wire
    };
    let mut wires: Vec<Wire> = (0..connections as u64).map(subscribe).collect();
    let mut teller = Wire::connect(address);
    let mut progress = Progress::new(connections, step);
    let told = publication(PROGRESS, "", 0);
    let mut events = Vec::with_capacity(connections);
    ready();
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None).expect("events");
        for event in events.drain(..) {
            let index = usize::try_from(event.data.u64()).expect("an index");
            let mut messages = 0;
            wires[index].receive(|frame| messages += usize::from(matches!(frame, Frame::Message { .. })));
            let steps = progress.arrived(index, messages);
            if steps > 0 {
                teller.send(&told.repeat(steps));
            }
        }
    }
}

/// How far the slowest of many subscribers has got.
struct Progress {
    step: usize,
    each: Vec<usize>,
    complete: usize,
}

impl Progress {
    fn new(subscribers: usize, step: usize) -> Self {
        Self { step, each: vec![0; subscribers], complete: 0 }
    }

    /// The steps that all have completed by this, and had not before.
    fn arrived(&mut self, index: usize, messages: usize) -> usize {
        let before = self.each[index] / self.step;
        self.each[index] += messages;
        // Only who was the slowest can move the slowest.
        if before > self.complete || self.each[index] / self.step == before {
            return 0;
        }
        let slowest = self.each.iter().min().map_or(0, |least| least / self.step);
        let steps = slowest - self.complete;
        self.complete = slowest;
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_that_of_the_slowest() {
        let mut progress = Progress::new(2, 10);
        assert_eq!(progress.arrived(0, 25), 0);
        assert_eq!(progress.arrived(1, 9), 0);
        assert_eq!(progress.arrived(1, 1), 1);
        assert_eq!(progress.arrived(1, 30), 1);
        assert_eq!(progress.arrived(0, 15), 2);
    }
}
