//! Health: what a thousand HTTP probes within ten seconds cost the orchestrator, and what a thousand agents cost it while
//! nothing happens and all monitors look.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::orchestrator::{Running, binary};
use crate::references::References;
use crate::report::Report;
use crate::support::measure;

/// Two rounds of probes.
const PROBED_TIME: Duration = Duration::from_secs(20);
/// Two slices of the overall check, twenty beats of the vitals.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Against the absolute targets of the issue. `WERKPILOT_BENCH_AGENTS` makes it smaller, to see that it works.
pub fn compare(references: &References, report: &mut Report) {
    let Some(binary) = binary() else {
        println!("werkpilot is not built: what its health monitor costs is left out (run `make build`)");
        return;
    };
    let agents = std::env::var("WERKPILOT_BENCH_AGENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let server = Server::start();
    let probed = Running::start(&binary, &fleet(references.program(), agents, Some(server.address)), agents);
    let bare = measure(&["bare_probes", &server.address.to_string()])["cpu_per_second"];
    let before = server.answered.load(Ordering::Relaxed);
    let cpu = probed.cpu_per_second(PROBED_TIME);
    let answered = server.answered.load(Ordering::Relaxed) - before;
    drop(probed);
    let wanted = agents as u64 * PROBED_TIME.as_secs() / INTERVAL.as_secs();
    println!(
        "{answered} probes in {} s, {:.0} µs of CPU each",
        PROBED_TIME.as_secs(),
        cpu * 20_000.0 / answered as f64
    );
    assert!(answered.abs_diff(wanted) <= wanted / 5 + 2, "{answered} probes came, {wanted} were wanted");
    let what = format!("CPU of {agents} http probes in 10 s, % of a core");
    // What the kernel takes for as many connections, whoever makes them.
    report.at_most(&what, format!("{cpu:.2} ms/s"), format!("{bare:.2} ms/s"), cpu / 10.0, 2.0);

    let idle = Running::start(&binary, &fleet(references.program(), agents, None), agents);
    let cpu = idle.cpu_per_second(IDLE_TIME);
    let what = format!("idle CPU, {agents} agents, all monitors on, % of a core");
    report.at_most(&what, format!("{cpu:.3} ms/s"), "-".to_owned(), cpu / 10.0, 0.5);
}

/// The reference: a blocking loop that asks as often as a thousand probes in ten seconds do, and does nothing else.
pub fn bare_probes(address: &str) {
    let begin = Instant::now();
    let mut answer = [0; 1_024];
    for number in 1..=BARE {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
        let _ = stream.read(&mut answer).expect("it answers");
        drop(stream);
        std::thread::sleep((begin + number * BEAT).saturating_duration_since(Instant::now()));
    }
    let own = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the scheduler's figures");
    let nanos: f64 = own.split_whitespace().next().and_then(|text| text.parse().ok()).expect("nanoseconds");
    println!("cpu_per_second {}", nanos / 1e6 / begin.elapsed().as_secs_f64());
}

/// Of the reference: from one to the next, and how many.
const BEAT: Duration = Duration::from_millis(10);
const BARE: u32 = 500;

/// Of each service's probe.
const INTERVAL: Duration = Duration::from_secs(10);

/// Services that pause; probed every ten seconds, or with watchers of silence only.
fn fleet(program: &Path, agents: usize, probed_at: Option<SocketAddr>) -> String {
    let mut text = String::new();
    for number in 0..agents {
        let watched = probed_at.map_or_else(
            || "max_silence = \"1h\"".to_owned(),
            |address| format!("health = {{ http = \"http://{address}/health\", interval = \"10s\" }}"),
        );
        let _ = writeln!(
            text,
            "[[agent]]\nname = \"service-{number}\"\ncommand = [\"{}\", \"pause\"]\nready = {{ after = \"100ms\" }}\n{watched}\n",
            program.display()
        );
    }
    text
}

/// Answers every request with 200, and counts.
struct Server {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let answered = Arc::new(AtomicU64::new(0));
        let counter = answered.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut request = [0; 1_024];
                let done = stream.read(&mut request).and_then(|_| {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                });
                counter.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
            }
        });
        Self { address, answered }
    }
}
