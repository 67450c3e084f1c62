//! How long an event is on its way to an open page: from the time that is written in it until it has been read.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use super::Bustle;
use super::fleet::Fleet;
use crate::report::Report;
use crate::support::{percentile, time};

/// Events are looked at for so long.
const LOOK: Duration = Duration::from_secs(5);
/// A hundred events a second and some more, at three an execution.
const BEAT: Duration = Duration::from_millis(25);

/// Beside the target.
pub fn compare(ours: &Fleet, jobs: usize, report: &mut Report) {
    let token = ours.token("bench", "viewer");
    let mut stream = open(ours, &token);
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
    let bustle = Bustle::start(ours, jobs, BEAT);
    let (mut times, mut begin) = (Vec::new(), None);
    while begin.is_none_or(|begin: Instant| begin.elapsed() < LOOK) {
        let line = lines.next().expect("an open stream").expect("text");
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        let fact: serde_json::Value = serde_json::from_str(data).expect("JSON");
        // The first ones are of the time before.
        let Some(at) = fact["time"].as_str().and_then(millis_of_minute) else { continue };
        let now = u64::try_from(now.as_millis() % 60_000).expect("a minute");
        let took = (now + 60_000 - at) % 60_000;
        if took < 30_000 && begin.is_some() {
            times.push(took * 1_000_000);
        }
        begin.get_or_insert_with(Instant::now);
    }
    drop(bustle);
    let _ = stream.flush();
    let rate = times.len() as f64 / LOOK.as_secs_f64();
    let (p50, p99) = (percentile(&mut times, 50) as f64, percentile(&mut times, 99) as f64);
    println!("event stream: {rate:.0} events/s, p50 {}", time(p50));
    report.at_most("an event reaches an open page, p99, ms", time(p99), "-".to_owned(), (p99 / 1e6).max(0.5), 50.0);
}

/// An open stream of events.
pub fn open(ours: &Fleet, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(ours.address).expect("the server listens");
    let request = format!(
        "GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

/// Of `2026-11-21T08:40:07.123Z`.
fn millis_of_minute(time: &str) -> Option<u64> {
    let (_, seconds) = time.trim_end_matches('Z').rsplit_once(':')?;
    let (seconds, millis) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let millis: u64 = format!("{millis:0<3}").get(..3)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()? * 1_000 + millis)
}
