//! Thousands of connections on which nobody asks anything, and open streams whose clients read nothing: what another
//! request takes beside them, and what they cost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::fleet::{self, Fleet};
use super::{Bustle, setting, stream};
use crate::report::Report;
use crate::support::{percentile, time};

/// As many as the server lets in.
const STREAMS: usize = 64;
/// Other requests, one after the other.
const ASKED: usize = 200;
/// Fast enough to fill what the system keeps for a client that does not read.
const BEAT: Duration = Duration::from_millis(2);
/// How long it goes on before it is looked at.
const BUSY: Duration = Duration::from_secs(8);
const MIB: f64 = 1_048_576.0;

/// Beside the targets.
pub fn compare(ours: &Fleet, jobs: usize, report: &mut Report) {
    let connections = setting("WERKPILOT_BENCH_CONNECTIONS", 9_500);
    let token = ours.token("crowd", "viewer");
    let mut idle: Vec<TcpStream> =
        (0..connections).map(|_| TcpStream::connect(ours.address).expect("a place")).collect();
    let mut space = [0; 4_096];
    for stream in &mut idle {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
        assert!(stream.read(&mut space).expect("it answers") > 0);
    }
    let stalled: Vec<TcpStream> = (0..STREAMS).map(|_| stream::open(ours, &token)).collect();
    let bustle = Bustle::start(ours, jobs, BEAT);
    std::thread::sleep(BUSY);
    drop(bustle);
    let mut times: Vec<u64> = (0..ASKED)
        .map(|number| {
            let path = if number % 2 == 0 { "/livez" } else { "/api/v1/agents/job-0" };
            let begin = Instant::now();
            assert!(!fleet::get(ours.address, path, "").is_empty());
            u64::try_from(begin.elapsed().as_nanos()).expect("some nanoseconds")
        })
        .collect();
    let (p50, worst) = (percentile(&mut times, 50) as f64, percentile(&mut times, 100) as f64);
    println!("{connections} idle connections, {STREAMS} stalled streams: another request takes {} at p50", time(p50));
    let what = format!("{connections} idle, {STREAMS} stalled: another request, worst, ms");
    report.at_most(&what, time(worst), "-".to_owned(), worst / 1e6, 50.0);
    let rss = ours.rss() / MIB;
    report.at_most("RSS with them, MiB", format!("{rss:.1} MiB"), "-".to_owned(), rss, 200.0);
    drop((idle, stalled));
}
