//! Ten thousand dead letters are replayed at a set rate, while other agents go on: how long these wait for a worker then,
//! beside how long they wait when nothing is replayed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use werkpilot_core::dead_letters::{LetterFilter, Pace, PlanState};
use werkpilot_core::dispatcher::{Admission, Request};
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, RunId};
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Overlap, Program};
use werkpilot_core::trigger::Trigger;
use werkpilot_runtime::Handle;
use werkpilot_runtime::work::queue::Admit;

use crate::report::Report;
use crate::support::{measure, median, name, percentile, time, with_durable_fleet};

const LETTERS: usize = 10_000;
/// Begins a second: half of what this path does at most on two cores.
const RATE: f64 = 500.0;
const ROUNDS: usize = 3;
/// Executions that are made into dead letters at a time.
const AT_ONCE: usize = 16;
/// From one burst of the other agents to the next.
const BEAT: Duration = Duration::from_millis(40);
/// Executions of a burst: twice as many as there are workers here, so that some wait for others of their kind.
const BURST: usize = 8;
/// Workers, whatever the machine has.
const WORKERS: u32 = 4;
/// Bursts while nothing is replayed.
const QUIET: usize = 250;
const ANSWER: Duration = Duration::from_secs(10);

/// Waiting times beside a replay and without; and whether the replay keeps its rate.
pub fn compare(report: &mut Report) {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| measure(&["replay", &LETTERS.to_string()])).collect();
    let (beside, alone) = (median(&rounds, "beside_p99"), median(&rounds, "alone_p99"));
    report.at_most("waiting of others at p99, 10,000 replays / none", time(beside), time(alone), beside / alone, 2.0);
    let rate = median(&rounds, "rate");
    let text = |rate: f64| format!("{rate:.0}/s");
    report.at_least("replays, rate / set rate", text(rate), text(RATE), rate / RATE, 0.99);
}

/// One round, in a process of its own.
pub fn ours(letters: usize) {
    let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the build");
    let program = folder.path().join("program");
    point(&program, "/bin/false");
    let mut fails = job("fails", program.to_str().expect("a path of text"));
    fails.job_mut().expect("a job").retry.max = 0;
    let mut settings = Settings::default();
    settings.dead_letters.capacity = u32::try_from(letters).expect("a count");
    settings.breaker.dead_letters = u32::MAX;
    settings.queue.workers = Some(WORKERS);
    let agents = vec![job("other", "/bin/true"), fails];
    with_durable_fleet(agents, settings, folder.path(), |handle| async move {
        let (other, fails) = (find(&handle, "other").await, find(&handle, "fails").await);
        make_letters(&handle, fails, letters).await;
        point(&program, "/bin/true");
        let mut alone = Vec::new();
        for _ in 0..QUIET {
            beat(&handle, other, &mut alone).await;
        }
        let mut beside = Vec::new();
        let begin = Instant::now();
        let pace = Pace::per_second(RATE, None).expect("a rate");
        let set = handle.replay_dead_letters(LetterFilter::default(), pace, false, "bench").await.expect("a replay").id;
        loop {
            beat(&handle, other, &mut beside).await;
            let view = handle.replay_of_dead_letters(set).await.expect("an answer").expect("it is remembered");
            if view.state != PlanState::Running {
                assert_eq!((view.state, view.tally.succeeded), (PlanState::Finished, letters as u64));
                break;
            }
        }
        println!("rate {}", letters as f64 / begin.elapsed().as_secs_f64());
        println!("alone_p99 {}\nbeside_p99 {}", percentile(&mut alone, 99), percentile(&mut beside, 99));
    });
}

fn job(agent: &str, program: &str) -> AgentSpec {
    let mut job = AgentSpec::job_named(name(agent), Program::Command(vec![program.to_owned()]));
    job.job_mut().expect("a job").overlap = Overlap::Allow;
    job
}

/// What is behind the name from now on.
fn point(name: &Path, program: &str) {
    let fresh = name.with_extension("new");
    symlink(program, &fresh).and_then(|()| std::fs::rename(&fresh, name)).expect("a link");
}

async fn find(handle: &Handle, agent: &'static str) -> AgentIndex {
    loop {
        match handle.consult(move |house| house.directory.borrow().find(agent)).await.expect("an answer") {
            Some(index) => return index,
            None => tokio::task::yield_now().await,
        }
    }
}

async fn make_letters(handle: &Handle, agent: AgentIndex, letters: usize) {
    let lanes = (0..AT_ONCE).map(|lane| {
        let handle = handle.clone();
        actix::spawn(async move {
            for _ in (lane..letters).step_by(AT_ONCE) {
                once(&handle, agent).await;
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.expect("the lane ends");
    }
    while handle.consult(|house| house.dead_letters.borrow().len()).await.expect("an answer") < letters {
        tokio::task::yield_now().await;
    }
}

/// A burst of another agent, a while after the last: how long each of it waited, in nanoseconds.
async fn beat(handle: &Handle, agent: AgentIndex, waited: &mut Vec<u64>) {
    tokio::time::sleep(BEAT).await;
    let burst = (0..BURST).map(|_| {
        let handle = handle.clone();
        actix::spawn(async move { once(&handle, agent).await })
    });
    for one in burst.collect::<Vec<_>>() {
        waited.push(u64::try_from(one.await.expect("it ends").as_nanos()).unwrap_or(u64::MAX));
    }
}

async fn once(handle: &Handle, agent: AgentIndex) -> Duration {
    let request = Request::new(agent, Trigger::Manual { by: "bench".to_owned(), force: false });
    let run: RunId = match handle.posts().queue.ask(Admit(request), ANSWER).await.expect("the queue answers") {
        Admission::Accepted(run) => run,
        other => panic!("not accepted: {other:?}"),
    };
    match handle.wait(run).await.expect("the end").event {
        Event::ExecutionEnded { waited, .. } => waited,
        other => panic!("not an end: {other:?}"),
    }
}
