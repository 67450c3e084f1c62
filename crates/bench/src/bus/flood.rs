//! A flooding agent: what the requests of others take while it publishes as fast as it can.

use super::clients::{Helper, measure, ready};
use super::raw::LATENCY;
use super::server::Server;
use super::wire::{Wire, publication};
use super::{Both, Sides};
use crate::report::Report;
use crate::support::{Figures, time};

/// Nobody listens there.
const SUBJECT: &str = "bench.flood.nobody";
/// Messages in one write: 64 KiB.
const BATCH: usize = 512;

/// Against the target of the issue; nats-server's ratio stands beside.
pub fn compare(sides: &Sides, report: &mut Report) {
    let servers = sides.start();
    let _responders: Both<Helper> = servers.map(|server| Helper::start("raw-responder", server.address(), &[]));
    // Both in the same round, so that what else the machine does concerns both.
    let p99 = |server: &Server| measure("raw-requester", server.address(), &LATENCY)["p99"];
    let figures = servers.rounds(|server| {
        let calm = p99(server);
        let _flooder = Helper::start("flooder", server.address(), &[]);
        let flooded = p99(server);
        Figures::from([("flooded".to_owned(), flooded), ("ratio".to_owned(), flooded / calm)])
    });
    let (flooded, ratio) = (figures.median("flooded"), figures.median("ratio"));
    let text = |p99: f64, ratio: f64| format!("{} ×{ratio:.1}", time(p99));
    let (ours, peer) = (text(flooded.ours, ratio.ours), text(flooded.peer, ratio.peer));
    report.at_most("bus: p99 of a request beside a flooding agent / without", ours, peer, ratio.ours, 2.0);
}

/// Publishes 100 B messages as fast as the server reads.
pub fn flooder(address: &str) {
    let mut wire = Wire::connect(address);
    let batch = publication(SUBJECT, "", 100).repeat(BATCH);
    ready();
    loop {
        wire.send(&batch);
    }
}
