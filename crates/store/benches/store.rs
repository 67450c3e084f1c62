//! What the store takes and answers, beside the disk's fdatasync measured in the same run. Prints a table.
//!
//! `cargo bench -p werkpilot-store --bench store`; `BENCH_EXECUTIONS` (1,000,000) makes it shorter, a name
//! (`durable`, `offered`, `million`) picks a part. `STORE_BENCH_DIR` says
//! on which disk (the folder for temporary files).

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::reader::{HistoryFilter, LetterFilter};
use werkpilot_store::row::event::EventRow;
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState, ProcessMark, Why};
use werkpilot_store::row::letter::{LetterRow, LetterState};
use werkpilot_store::{Change, Class, ExecutionEnd, ExecutionStart, FILE, Json, Reader, Store};

const EPOCH: i64 = 1_767_225_600_000;
const AGENTS: u64 = 50;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(EPOCH + i64::try_from(ms).unwrap_or(0))
}

fn run(number: u64) -> RunId {
    // Spread like random ids of one millisecond would be.
    RunId::from_parts(EPOCH.unsigned_abs() + number / 10, u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C))
}

fn agent(number: u64) -> AgentName {
    AgentName::new(&format!("agent-{}", number % AGENTS)).expect("a name")
}

fn attempts() -> Json {
    let attempt = serde_json::json!({
        "attempt": 1, "startedAt": "2026-01-01T00:00:00.000Z", "durationMs": 12.345, "exit": {"kind": "clean"},
    });
    Json::of(&[attempt])
}

fn ended(number: u64) -> ExecutionRow {
    let failed = number.is_multiple_of(20);
    let why = || Why { text: format!("all 4 attempts failed, number {number}"), data: Json::of(&"retries_exhausted") };
    ExecutionRow {
        state: ExecutionState::Ended(if failed { End::Failed } else { End::Succeeded }),
        started_at: Some(at(number + 1)),
        ended_at: Some(at(number + 13)),
        attempt: 1,
        attempts: Some(attempts()),
        waited: Some(Duration::from_micros(90)),
        duration: Some(Duration::from_micros(12_345)),
        exit: Some(if failed { Exit::Code(1) } else { Exit::Clean }),
        why: failed.then(why),
        peak_bytes: Some(3_000_000 + number),
        ..ExecutionRow::intent(run(number), agent(number), Trigger::Schedule, at(number))
    }
}

fn letter(id: u64) -> LetterRow {
    LetterRow {
        id,
        agent: agent(id),
        run: run(id * 20),
        at: at(id),
        error: format!("all 4 attempts failed, the last one exited with code {}", id % 7),
        signature: format!(
            "all <n> attempts failed in case {}",
            ["a", "b", "c", "d"][usize::try_from(id % 4).unwrap_or(0)]
        ),
        restart_count: 4,
        context: Json::of(&serde_json::json!({"department": "sales", "logTail": vec!["a line of output"; 10]})),
        payload: Some(vec![b'x'; 200]),
        origin: None,
        state: LetterState::Open,
        replay_run: None,
        waits_for: None,
        replays: 0,
        kills: 0,
        updated_at: at(id),
    }
}

fn event(seq: u64, topic: &str, number: u64) -> Change {
    let data = Json::of(&serde_json::json!({"agent": agent(number).as_str(), "run": run(number), "attempt": 1}));
    let (agent, run) = (Some(agent(number)), Some(run(number)));
    Change::AddEvent(Box::new(EventRow { seq, at: at(number), topic: topic.to_owned(), agent, run, data }))
}

/// A part of the benchmark and its name.
type Part = (&'static str, fn(&Path));

/// Nearest rank, of a sorted list.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

fn line(what: &str, value: &str) {
    println!("{what:<64} {value}");
}

fn spread(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let p99 = percentile(&times, 99);
    line(what, &format!("p50 {:>10.1?}  p99 {p99:>10.1?}  n {}", percentile(&times, 50), times.len()));
    p99
}

fn repeat(times: usize, mut action: impl FnMut(usize)) -> Vec<Duration> {
    let mut one = |index| {
        let begun = Instant::now();
        action(index);
        begun.elapsed()
    };
    (0..times).map(&mut one).collect()
}

fn fdatasync(dir: &Path, bytes: usize) -> Vec<Duration> {
    let mut file = File::create(dir.join("sync")).expect("a file");
    let page = vec![7_u8; bytes];
    repeat(3_000, |_| {
        file.write_all(&page).expect("a write");
        file.sync_data().expect("a sync");
    })
}

fn durable(dir: &Path) {
    let sync = spread("fdatasync after appending 4 KiB", fdatasync(dir, 4_096));
    let store = Store::open(&dir.join("durable"), at(0)).expect("a store");
    let intent = |number| ExecutionRow::intent(run(number), agent(number), Trigger::Schedule, at(number));
    let keep = |index: usize| {
        let row = intent(index as u64);
        store.writer().keep(vec![Change::InsertExecution(Box::new(row))]).expect("kept");
    };
    let ack = spread("durable acknowledgement, one at a time", repeat(3_000, keep));
    let wide = spread("fdatasync after appending 16 KiB (a commit's four pages)", fdatasync(dir, 16_384));
    line(
        "  ratio of p99 to fdatasync of 4 KiB, of 16 KiB",
        &format!("{:.2}  {:.2}", ratio(ack, sync), ratio(ack, wide)),
    );
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let writer = store.writer();
        let threads = (1..=4).map(|thread| {
            scope.spawn(move || {
                repeat(3_000, |index| {
                    let row = intent(thread * 10_000 + index as u64);
                    writer.keep(vec![Change::InsertExecution(Box::new(row))]).expect("kept");
                })
            })
        });
        threads.collect::<Vec<_>>().into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
    });
    spread("durable acknowledgement, four at a time", times);
    let stats = store.writer().stats();
    line("  batches to a commit, over both", &format!("{:.2}", stats.batches as f64 / stats.commits as f64));
    store.close(Duration::from_mins(1)).expect("closed");
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// One execution: its intent is durable; start, end, four events and a sample are lazy.
fn offered(dir: &Path) {
    const SECONDS: u64 = 5;
    const RATE: u64 = 10_000;
    let store = Store::open(&dir.join("offered"), at(0)).expect("a store");
    let (acks, heard) = mpsc::channel();
    let (ends, finished) = mpsc::channel();
    let begun = Instant::now();
    let mut full = 0_u64;
    for number in 0..SECONDS * RATE {
        let due = Duration::from_micros(number * 1_000_000 / RATE);
        while begun.elapsed() < due {
            std::thread::sleep(Duration::from_micros(200));
        }
        let process = Some(ProcessMark { pid: 4_711, start_time: number, boot_id: "5a4f3d2c-boot".to_owned() });
        let row = ExecutionRow::intent(run(number), agent(number), Trigger::Schedule, at(number));
        let intent = vec![Change::InsertExecution(Box::new(row)), event(number * 4 + 1, "execution.queued", number)];
        let start = ExecutionStart { run: run(number), at: at(number + 1), attempt: 1, process, log: None };
        let end = ExecutionEnd {
            attempts: Some(attempts()),
            waited: Some(Duration::from_micros(90)),
            duration: Some(Duration::from_millis(12)),
            exit: Some(Exit::Clean),
            ..ExecutionEnd::new(run(number), at(number + 13), End::Succeeded)
        };
        let start = vec![
            Change::StartExecution(start),
            event(number * 4 + 2, "agent.started", number),
            event(number * 4 + 3, "execution.started", number),
        ];
        let end = vec![
            Change::EndExecution(Box::new(end)),
            event(number * 4 + 4, "execution.succeeded", number),
            Change::AddSample { agent: agent(number), duration: Duration::from_millis(12) },
        ];
        for (batch, class) in [(intent, Class::Durable), (start, Class::Lazy), (end, Class::Lazy)] {
            let (submitted, acks, ends) = (Instant::now(), acks.clone(), ends.clone());
            let mut batch = batch;
            let mut done: werkpilot_store::Done = Box::new(move |result: Result<(), _>| {
                result.expect("kept");
                let sender = if class == Class::Durable { acks } else { ends };
                let _ = sender.send(submitted.elapsed());
            });
            while let Err(back) = store.writer().submit(batch, class, done) {
                full += 1;
                (batch, done) = (back.batch, back.done);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    let offered = begun.elapsed();
    drop((acks, ends));
    store.writer().flush().expect("flushed");
    let behind = begun.elapsed().saturating_sub(offered);
    let total = SECONDS * RATE;
    line(
        "10,000 executions/s offered for 5 s: all on disk after",
        &format!("{behind:?} (offering took {offered:.2?})"),
    );
    line("  times the queue was full", &full.to_string());
    spread("  durable acknowledgement under this load", heard.iter().collect());
    spread("  lazy changes on disk after", finished.iter().collect());
    let stats = store.writer().stats();
    line("  changes to a commit", &format!("{:.1}", stats.changes as f64 / stats.commits as f64));
    store.close(Duration::from_mins(1)).expect("closed");
    let bytes = std::fs::metadata(dir.join("offered").join(FILE)).expect("a file").len();
    line("  bytes per execution with its four events", &format!("{}", bytes / total));
}

fn million(dir: &Path) {
    let count: u64 = std::env::var("BENCH_EXECUTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let state = dir.join("million");
    let store = Store::open(&state, at(0)).expect("a store");
    let begun = Instant::now();
    for first in (0..count).step_by(1_000) {
        let rows = (first..first + 1_000).map(|number| Change::InsertExecution(Box::new(ended(number))));
        store.writer().keep(rows.collect()).expect("kept");
    }
    let took = begun.elapsed();
    line("executions written, 1,000 to a batch", &format!("{:.0}/s", count as f64 / took.as_secs_f64()));
    store.close(Duration::from_mins(1)).expect("closed");
    let bytes = std::fs::metadata(state.join(FILE)).expect("a file").len();
    line("file of so many executions: bytes per execution", &format!("{count}: {}", bytes / count));
    let store = Store::open(&state, at(0)).expect("a store");
    for first in (1..=10_000).step_by(1_000) {
        let letters = (first..first + 1_000).map(|id| Change::AddLetter(Box::new(letter(id))));
        store.writer().keep(letters.collect()).expect("kept");
        let samples = (0..1_000 * AGENTS)
            .map(|number| Change::AddSample { agent: agent(number), duration: Duration::from_micros(number) });
        store.writer().keep(samples.take(1_000 * 5).collect()).expect("kept");
    }
    store.close(Duration::from_mins(1)).expect("closed");
    let opened = repeat(10, |_| {
        Store::open(&state, at(0)).expect("a store").close(Duration::from_mins(1)).expect("closed");
    });
    spread("open and close with this file and 10,000 dead letters", opened);
    queries(&Reader::open(&state).expect("a reader"));
}

fn queries(reader: &Reader) {
    let history = |filter: &HistoryFilter| {
        std::hint::black_box(reader.history(filter).expect("a page"));
    };
    let of = |index: usize| HistoryFilter { agent: Some(agent(index as u64)), limit: 50, ..HistoryFilter::default() };
    spread("history --agent X --limit 50", repeat(500, |index| history(&of(index))));
    let failed = |index| HistoryFilter { ends: vec![End::Failed, End::Lost], ..of(index) };
    spread("history --agent X --state failed,lost --limit 50", repeat(500, |index| history(&failed(index))));
    let middle = |index| HistoryFilter { until: Some(at(500_000)), ..of(index) };
    spread("history --agent X --until (the middle) --limit 50", repeat(500, |index| history(&middle(index))));
    let text = |index| HistoryFilter { text: Some("not there".to_owned()), ..of(index) };
    spread("history --agent X --text (none has it), one page", repeat(50, |index| history(&text(index))));
    let letters = |filter: &LetterFilter| {
        std::hint::black_box(reader.letters(filter).expect("a page"));
    };
    let of = |index: usize| LetterFilter { agent: Some(agent(index as u64)), limit: 50, ..LetterFilter::default() };
    spread("dead letters of an agent, 50", repeat(500, |index| letters(&of(index))));
    let signature = Some("all <n> attempts failed in case c".to_owned());
    let signature = LetterFilter { signature, limit: 50, ..LetterFilter::default() };
    spread("dead letters of a signature, 50", repeat(500, |_| letters(&signature)));
    let text = LetterFilter { text: Some("not there".to_owned()), limit: 50, ..LetterFilter::default() };
    spread("dead letters with a text (none has it), one page", repeat(50, |_| letters(&text)));
    let groups = repeat(50, |_| {
        std::hint::black_box(reader.letter_groups().expect("groups"));
    });
    spread("dead letters by signature", groups);
    let samples = repeat(50, |_| {
        std::hint::black_box(reader.samples().expect("samples"));
    });
    spread("samples of all agents", samples);
}

fn main() {
    let dir = match std::env::var_os("STORE_BENCH_DIR") {
        Some(place) => tempfile::tempdir_in(place),
        None => tempfile::tempdir(),
    };
    let dir = dir.expect("a folder");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [Part; 3] = [("durable", durable), ("offered", offered), ("million", million)];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            part(dir.path());
        }
    }
}
