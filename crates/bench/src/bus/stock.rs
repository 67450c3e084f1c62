//! Request and reply with the stock client, async-nats: requester and responder in two processes.

use std::time::Instant;

use async_nats::Client;
use futures_util::StreamExt;

use super::clients::{Helper, measure, ready};
use super::{Both, Sides};
use crate::report::Report;
use crate::support::percentile;

const SUBJECT: &str = "rpc.bench-stock";
/// Payload, requests in flight, requests.
const LATENCY: [usize; 3] = [100, 1, 8_000];
const SMALL: [usize; 3] = [100, 64, 100_000];
const LARGE: [usize; 3] = [10_000, 64, 20_000];

/// Against the ratios of the issue.
pub fn compare(sides: &Sides, report: &mut Report) {
    let servers = sides.start();
    let _responders: Both<Helper> = servers.map(|server| Helper::start("stock-responder", server.address(), &[]));
    let figures = |numbers: &[usize]| servers.rounds(|server| measure("stock-requester", server.address(), numbers));
    let latency = figures(&LATENCY);
    latency.median("p50").report_time(report, "bus: stock request, 100 B, one in flight, p50 / nats", 0.7);
    figures(&SMALL).median("rate").report_rate(report, "bus: stock requests, 100 B, 64 in flight / nats", 1.5);
    figures(&LARGE).median("rate").report_rate(report, "bus: stock requests, 10 kB, 64 in flight / nats", 1.2);
}

/// Runs a client on one thread: the lightest placement that the stock client has.
fn with_client<F: Future<Output = ()>>(address: &str, work: impl FnOnce(Client) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = async_nats::connect(address).await.expect("the server listens");
        work(client).await;
    });
}

/// Answers every request with its own payload.
pub fn responder(address: &str) {
    with_client(address, |client| async move {
        let mut requests = client.subscribe(SUBJECT).await.expect("a subscription");
        client.flush().await.expect("the server knows of it");
        ready();
        while let Some(request) = requests.next().await {
            let reply = request.reply.expect("a reply subject");
            client.publish(reply, request.payload).await.expect("the connection is there");
        }
    });
}

/// Asks, with so many requests in flight, each by a task of its own.
pub fn requester(address: &str, size: usize, in_flight: usize, requests: usize) {
    with_client(address, |client| async move {
        lanes(&client, size, in_flight, requests / 10).await;
        let begin = Instant::now();
        let mut each = lanes(&client, size, in_flight, requests).await;
        let rate = each.len() as f64 / begin.elapsed().as_secs_f64();
        println!("rate {rate}\np50 {}\np99 {}", percentile(&mut each, 50), percentile(&mut each, 99));
    });
}

async fn lanes(client: &Client, size: usize, in_flight: usize, requests: usize) -> Vec<u64> {
    let payload: &'static [u8] = vec![b'x'; size].leak();
    let lanes: Vec<_> = (0..in_flight)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut each = Vec::with_capacity(requests / in_flight);
                for _ in 0..requests / in_flight {
                    let begin = Instant::now();
                    let reply = client.request(SUBJECT, payload.into()).await.expect("a reply");
                    assert_eq!(reply.payload.len(), payload.len(), "an echo");
                    each.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
                each
            })
        })
        .collect();
    let mut all = Vec::new();
    for lane in lanes {
        all.extend(lane.await.expect("the lane ends"));
    }
    all
}
