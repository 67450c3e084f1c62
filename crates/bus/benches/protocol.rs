//! How long the codec takes per message.
//!
//! `cargo bench -p werkpilot-bus --bench protocol`. Targets: a message of 100 B is written in at most 30 ns; parsing does
//! not depend on the size of the payload.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use werkpilot_bus::protocol::{Headers, Limits, encode, headers, parse, parse_server};

const SUBJECT: &[u8] = b"rpc.agent-analytics";
const REPLY: &[u8] = b"_INBOX.Hb4nQ2xkT0c7PZ1sYd9GmE.42";
const SIZES: [(&str, usize); 2] = [("100B", 100), ("10kB", 10_000)];

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    let limits = Limits::default();
    let block =
        Headers::new().with("Werkpilot-Deadline", "2026-11-21T12:00:00.000Z").with("Werkpilot-Hops", "1").block();
    for (name, size) in SIZES {
        let payload = vec![b'x'; size];
        let mut bytes = Vec::new();
        encode::publish(&mut bytes, SUBJECT, Some(REPLY), b"", &payload);
        group.bench_function(format!("PUB/{name}"), |b| b.iter(|| parse(black_box(&bytes), &limits)));
        bytes.clear();
        encode::publish(&mut bytes, SUBJECT, Some(REPLY), &block, &payload);
        group.bench_function(format!("HPUB/{name}"), |b| b.iter(|| parse(black_box(&bytes), &limits)));
        bytes.clear();
        encode::message(&mut bytes, SUBJECT, b"1", Some(REPLY), &payload);
        group.bench_function(format!("MSG/{name}"), |b| b.iter(|| parse_server(black_box(&bytes), &limits)));
    }
    group.finish();
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    let mut out = Vec::with_capacity(1 << 16);
    for (name, size) in SIZES {
        let payload = vec![b'x'; size];
        group.bench_function(format!("MSG/{name}"), |b| {
            b.iter(|| {
                out.clear();
                encode::message(&mut out, black_box(SUBJECT), b"1", Some(black_box(REPLY)), black_box(&payload));
                black_box(&out);
            });
        });
    }
    let stamp = Headers::new().with("Werkpilot-From", "agent-sales");
    let block = stamp.block();
    group.bench_function("HMSG/100B", |b| {
        b.iter(|| {
            out.clear();
            encode::message_with_headers(&mut out, black_box(SUBJECT), b"1", Some(REPLY), &[&block], &[b'x'; 100]);
            black_box(&out);
        });
    });
    group.finish();
}

fn stamping(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers");
    let drop = ["Werkpilot-From"];
    let stamp = Headers::new().with("Werkpilot-From", "agent-sales");
    let two = Headers::new().with("Werkpilot-Deadline", "2026-11-21T12:00:00.000Z").with("Werkpilot-Hops", "1").block();
    let mut out = Vec::with_capacity(1 << 10);
    for (name, block) in [("none", &b""[..]), ("two", &two)] {
        group.bench_function(format!("restamp/{name}"), |b| {
            b.iter(|| {
                out.clear();
                headers::restamp(black_box(block), &drop, stamp.lines(), &mut out);
                black_box(&out);
            });
        });
    }
    group.bench_function("get", |b| b.iter(|| headers::get(black_box(&two), "werkpilot-hops")));
    group.finish();
}

criterion_group!(benches, parsing, encoding, stamping);
criterion_main!(benches);
