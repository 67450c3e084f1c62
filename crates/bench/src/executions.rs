//! `/bin/true` through the whole path: queue, dependency check, process, captured output, result, percentiles, event.

use std::process::Stdio;
use std::time::Instant;

use werkpilot_core::dispatcher::{Admission, Request};
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Condition, Dependency, Overlap, Program};
use werkpilot_core::trigger::Trigger;
use werkpilot_runtime::Handle;
use werkpilot_runtime::work::queue::Admit;

use crate::references::References;
use crate::report::Report;
use crate::support::{measure, median, name, percentile, time, with_durable_fleet, with_fleet};

const RUNS: &str = "1000";
const ROUNDS: usize = 7;

/// One at a time beside the C loop, four at a time beside tokio on two threads.
pub fn compare(references: &References, report: &mut Report) {
    let (mut c, mut one, mut four, mut tokio) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        c.push(references.run(&["exec", RUNS]));
        one.push(measure(&["executions", RUNS, "1"]));
        tokio.push(measure(&["tokio", RUNS, "4"]));
        four.push(measure(&["executions", RUNS, "4"]));
    }
    let (ours, reference) = (median(&one, "mean"), median(&c, "mean"));
    report.at_most("execution, one at a time / C posix_spawn+wait", time(ours), time(reference), ours / reference, 1.2);
    let (ours, reference) = (1e9 / median(&four, "mean"), 1e9 / median(&tokio, "mean"));
    let rate = |per_second: f64| format!("{per_second:.0}/s");
    report.at_least(
        "executions, four at a time / tokio with capture",
        rate(ours),
        rate(reference),
        ours / reference,
        0.95,
    );
}

/// What it costs to keep every execution on disk, beside what the disk itself takes for it: an intent before each start,
/// and an end, each with an `fdatasync`; with several at a time one serves them all.
pub fn compare_durable(report: &mut Report) {
    for at_once in [1_u8, 4] {
        let lanes = at_once.to_string();
        let (mut plain, mut kept, mut disk) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            plain.push(measure(&["executions", RUNS, &lanes]));
            kept.push(measure(&["durable", RUNS, &lanes]));
            disk.push(measure(&["fdatasync", RUNS]));
        }
        let steps = STEPS / f64::from(at_once);
        let (ours, allowed) = (median(&kept, "mean"), median(&plain, "mean") + steps * median(&disk, "mean"));
        let what = format!("durable execution, {at_once} at a time / without + {steps} fdatasync");
        report.at_most(&what, time(ours), time(allowed), ours / allowed, 1.1);
    }
}

/// Durable steps of an execution: intent and end.
const STEPS: f64 = 2.0;

/// What the disk takes to have 4 KiB for certain.
pub fn fdatasync(times: usize) {
    use std::io::Write;
    let mut file = tempfile::tempfile_in(".").expect("a file on the disk of the build");
    let begin = Instant::now();
    for _ in 0..times {
        file.write_all(&[0; 4_096]).and_then(|()| file.sync_data()).expect("the disk takes it");
    }
    println!("mean {}", begin.elapsed().as_nanos() as f64 / times as f64);
}

/// Our side, with nothing kept on disk.
pub fn ours(runs: usize, at_once: usize) {
    with_fleet(fleet(), Settings::default(), |handle| run(handle, runs, at_once));
}

/// Our side, with everything kept on disk.
pub fn durable(runs: usize, at_once: usize) {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the build");
    with_durable_fleet(fleet(), Settings::default(), folder.path(), |handle| run(handle, runs, at_once));
}

fn fleet() -> Vec<AgentSpec> {
    let mut job = AgentSpec::job_named(name("true"), Program::Command(vec!["/bin/true".to_owned()]));
    job.job_mut().expect("a job").overlap = Overlap::Allow;
    // A healthy dependency, so that the check has something to look at.
    let before = AgentSpec::job_named(name("before"), Program::Command(vec!["/bin/true".to_owned()]));
    job.dependencies = vec![Dependency { agent: name("before"), condition: Condition::Healthy }];
    vec![before, job]
}

async fn run(handle: Handle, runs: usize, at_once: usize) {
    let index = loop {
        let found = handle.consult(|house| house.directory.borrow().find("true")).await.expect("an answer");
        match found {
            Some(index) => break index,
            None => tokio::task::yield_now().await,
        }
    };
    for _ in 0..20 {
        once(&handle, index).await;
    }
    let begin = Instant::now();
    let lanes = (0..at_once).map(|_| {
        let handle = handle.clone();
        actix::spawn(async move {
            let mut each = Vec::with_capacity(runs / at_once);
            for _ in 0..runs / at_once {
                let start = Instant::now();
                once(&handle, index).await;
                each.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            each
        })
    });
    let mut each = Vec::new();
    for lane in lanes.collect::<Vec<_>>() {
        each.extend(lane.await.expect("the lane ends"));
    }
    let total = begin.elapsed().as_nanos() as f64;
    println!("mean {}\np50 {}", total / each.len() as f64, percentile(&mut each, 50));
}

async fn once(handle: &Handle, agent: werkpilot_core::ids::AgentIndex) {
    let trigger = Trigger::Manual { by: "bench".to_owned(), force: false };
    let request = Request::new(agent, trigger);
    let answer = handle.posts().queue.ask(Admit(request), std::time::Duration::from_secs(5)).await;
    match answer.expect("the queue answers") {
        Admission::Accepted(run) => handle.wait(run).await.expect("the end"),
        other => panic!("not accepted: {other:?}"),
    };
}

/// The reference: tokio's process on two threads, output captured.
pub fn tokio_loop(runs: usize, at_once: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let begin = Instant::now();
        let lanes: Vec<_> = (0..at_once)
            .map(|_| {
                tokio::spawn(async move {
                    for _ in 0..runs / at_once {
                        let mut command = tokio::process::Command::new("/bin/true");
                        let output = command.stdin(Stdio::null()).output().await.expect("it runs");
                        assert!(output.status.success());
                    }
                })
            })
            .collect();
        for lane in lanes {
            lane.await.expect("the lane ends");
        }
        println!("mean {}", begin.elapsed().as_nanos() as f64 / runs as f64);
    });
}
