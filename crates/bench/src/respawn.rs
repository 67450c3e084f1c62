//! From kill -9 of a service without backoff to the `main()` of its successor.

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Backoff, Program, ReadyCheck};

use crate::references::References;
use crate::report::Report;
use crate::support::{measure, median, monotonic, name, percentile, time, with_fleet};

const KILLS: &str = "300";
const LIVE: &str = "100";
const ROUNDS: usize = 5;

/// Beside a C loop that waits for the child and starts it again, with as many other children alive.
pub fn compare(references: &References, report: &mut Report) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fifo = dir.path().join("born");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "failed to make a FIFO");
    let (fifo, program) = (fifo.to_string_lossy().into_owned(), references.program().to_string_lossy().into_owned());
    let (mut c, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        c.push(references.run(&["respawn", KILLS, LIVE, &fifo]));
        ours.push(measure(&["respawn", KILLS, LIVE, &program, &fifo]));
    }
    for (what, figure, target) in
        [("kill -9 → successor's main(), p50 / C loop", "p50", 1.5), ("the same, p99", "p99", 5.0)]
    {
        let (ours, reference) = (median(&ours, figure), median(&c, figure));
        report.at_most(what, time(ours), time(reference), ours / reference, target);
    }
}

/// Our side. The killer is a thread of its own, as a person's shell would be a process of its own.
pub fn ours(kills: usize, live: usize, program: &str, fifo: &str) {
    let service = |agent: &str, arguments: &[&str]| {
        let command = std::iter::once(program).chain(arguments.iter().copied()).map(ToOwned::to_owned).collect();
        let mut spec = AgentSpec::service_named(name(agent), Program::Command(command));
        let service = spec.service_mut().expect("a service");
        service.backoff = Backoff { initial: Duration::ZERO, cap: Duration::ZERO, jitter: 0.0, ..Backoff::default() };
        service.ready.check = ReadyCheck::After(Duration::ZERO);
        spec
    };
    let mut specs: Vec<_> = (0..live).map(|number| service(&format!("other-{number}"), &["pause"])).collect();
    specs.push(service("victim", &["beacon", fifo]));
    let mut settings = Settings::default();
    settings.breaker.max_restarts = 0;
    settings.breaker.agent_restarts = 0;
    let fifo = fifo.to_owned();
    with_fleet(specs, settings, |handle| async move {
        let (born, mut births) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            let mut pipe = File::options().read(true).write(true).open(fifo).expect("the FIFO opens");
            let mut stamp = [0; 8];
            while pipe.read_exact(&mut stamp).is_ok() && born.blocking_send(u64::from_ne_bytes(stamp)).is_ok() {}
        });
        births.recv().await.expect("a first life");
        let mut each = Vec::with_capacity(kills);
        for _ in 0..kills {
            // The pid is there once the start has been told, shortly after main() runs.
            let pid = loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let pids = handle.agent("victim").await.expect("an answer").agent.pids;
                if let [pid] = pids[..] {
                    break pid;
                }
            };
            let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
            let killed = monotonic();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is alive");
            let born = births.recv().await.expect("a next life");
            each.push(born.saturating_sub(killed));
        }
        println!("p50 {}\np99 {}", percentile(&mut each, 50), percentile(&mut each, 99));
    });
    // The reader of the FIFO never ends by itself.
    std::process::exit(0);
}
