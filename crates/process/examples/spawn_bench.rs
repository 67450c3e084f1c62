//! The cost of an execution: a C-style loop of `posix_spawn`, pipes and waitpid beside the [`Host`], interleaved.
//!
//! `cargo run --release -p werkpilot-process --example spawn_bench [executions per round]`
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::settings::Logs;
use werkpilot_core::spec::{
    AgentSpec, Backoff, Environment, Identity, JobSpec, Kind, OnLost, Priority, Program, StopPolicy, Triggers,
};
use werkpilot_process::{Host, HostOptions, Launch, ProcessEvent, ProcessKey};

const ROUNDS: usize = 5;

fn main() {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let folder = std::env::temp_dir().join(format!("spawn-bench-{}", std::process::id()));
    let (send, events) = channel();
    let options = HostOptions {
        logs_dir: folder.join("logs"),
        runtime_dir: folder.join("run"),
        state_dir: Some(folder.clone()),
        logs: Logs::default(),
    };
    let host = Host::start(options, Box::new(move |event| drop(send.send(event)))).expect("the host starts");
    let mut bench = Bench { host, events, spec: Arc::new(spec()), next: 0 };

    let names = ["C loop", "Host, 1 at a time", "Host, 4 at a time", "Host, all at once"];
    let mut figures = [const { Vec::new() }; 4];
    let mut single = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        figures[0].push(per_execution(count, || c_loop(count)));
        figures[1].push(per_execution(count, || bench.run(count, 1)));
        figures[2].push(per_execution(count, || bench.run(count, 4)));
        figures[3].push(per_execution(count, || bench.run(count, count)));
    }
    // One by one in turn: what else the machine does hits both alike.
    for _ in 0..count {
        single[0].push(per_execution(1, || c_loop(1)));
        single[1].push(per_execution(1, || bench.run(1, 1)));
    }
    let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
    println!("{count} x /bin/true, {ROUNDS} rounds interleaved: medians");
    for (name, median) in names.iter().zip(&medians) {
        println!("{name:20} {median:8.1} us  {:7.0}/s  {:5.2} x C", 1e6 / median, median / medians[0]);
    }
    let single = single.map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        [10, 50, 90].map(|percent| figures[figures.len() * percent / 100])
    });
    println!("single executions in turn: p10, p50, p90");
    for (name, [p10, p50, p90]) in names.iter().zip(single) {
        let [c10, c50, c90] = single[0];
        println!(
            "{name:20} {p10:8.1} {p50:8.1} {p90:8.1} us  {:5.2} {:5.2} {:5.2} x C",
            p10 / c10,
            p50 / c50,
            p90 / c90
        );
    }
    services(&mut bench, count);
    bench.host.shutdown(Duration::from_secs(5));
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

/// Starts so many programs that stay, and stops them; beside a C loop that starts and kills as many.
fn services(bench: &mut Bench, count: u64) {
    werkpilot_process::limits::raise_open_files();
    let mut spec = spec();
    spec.program = Program::Command(vec!["/bin/sleep".to_owned(), "600".to_owned()]);
    let (spec, first, before) = (Arc::new(spec), bench.next, werkpilot_process::memory::own_rss());
    let mut started = 0;
    let boot = per_execution(1, || {
        for _ in 0..count {
            bench.launch(&spec);
        }
        while started < count {
            started += u64::from(matches!(bench.events.recv(), Ok(ProcessEvent::Started { .. })));
        }
    });
    let memory = (werkpilot_process::memory::own_rss() - before) / count;
    let mut ended = 0;
    let stop = per_execution(1, || {
        for key in first + 1..=bench.next {
            bench.host.stop(ProcessKey(key), StopPolicy::default());
        }
        while ended < count {
            ended += u64::from(bench.events.recv().is_ok_and(|event| event.is_last()));
        }
    });
    let mut pids = Vec::new();
    let c_boot = per_execution(1, || pids.extend((0..count).map(|_| c_spawn("/bin/sleep", Some("600"), None))));
    let c_stop = per_execution(1, || {
        for pid in &pids {
            // SAFETY: kill takes no pointers.
            unsafe { libc::kill(*pid, libc::SIGTERM) };
        }
        for pid in &pids {
            c_wait(*pid);
        }
    });
    println!(
        "{count} services: start {:.0} ms ({:.2} x C), stop {:.0} ms ({:.2} x C), {memory} bytes of RSS each",
        boot / 1e3,
        boot / c_boot,
        stop / 1e3,
        stop / c_stop
    );
}

fn per_execution(count: u64, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e6 / count as f64
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

struct Bench {
    host: Host,
    events: Receiver<ProcessEvent>,
    spec: Arc<AgentSpec>,
    next: u64,
}

impl Bench {
    fn launch(&mut self, spec: &Arc<AgentSpec>) {
        self.next += 1;
        let run = RunId::from_parts(self.next, u128::from(self.next) << 16);
        self.host.launch(Launch::new(ProcessKey(self.next), run, spec.clone()));
    }

    /// Runs `count` executions, so many at a time.
    fn run(&mut self, count: u64, at_a_time: u64) {
        let (mut launched, mut ended) = (0, 0);
        while ended < count {
            while launched < count && launched - ended < at_a_time {
                self.launch(&self.spec.clone());
                launched += 1;
            }
            match self.events.recv().expect("the host lives") {
                ProcessEvent::SpawnFailed { failure, .. } => panic!("{}", failure.message),
                event => ended += u64::from(event.is_last()),
            }
        }
    }
}

fn spec() -> AgentSpec {
    AgentSpec {
        name: AgentName::new("bench").expect("a name"),
        department: "default".to_owned(),
        description: String::new(),
        program: Program::Command(vec!["/bin/true".to_owned()]),
        cwd: PathBuf::from("/"),
        environment: Environment::default(),
        kind: Kind::Job(JobSpec {
            triggers: Triggers::default(),
            overlap: werkpilot_core::spec::Overlap::Allow,
            catch_up: werkpilot_core::spec::CatchUp::None,
            catch_up_window: Duration::ZERO,
            jitter: Duration::ZERO,
            on_unhealthy_dependency: werkpilot_core::spec::OnUnhealthyDependency::Skip,
            timeout: None,
            retry: Backoff::default(),
        }),
        priority: Priority::Normal,
        layer: None,
        dependencies: Vec::new(),
        success_codes: vec![0],
        stop: StopPolicy::default(),
        memory_max: None,
        identity: Identity::default(),
        on_lost: OnLost::DeadLetter,
        orphan_ttl: Duration::from_mins(10),
        enabled: true,
    }
}

/// `posix_spawn` with stdout and stderr captured, read to their end, waitpid: one at a time.
fn c_loop(count: u64) {
    for _ in 0..count {
        // SAFETY: plain C calls with valid pointers, checked where they can fail.
        unsafe {
            let (mut out, mut err) = ([0; 2], [0; 2]);
            assert_eq!(libc::pipe2(out.as_mut_ptr(), libc::O_CLOEXEC), 0);
            assert_eq!(libc::pipe2(err.as_mut_ptr(), libc::O_CLOEXEC), 0);
            let pid = c_spawn("/bin/true", None, Some([out[1], err[1]]));
            libc::close(out[1]);
            libc::close(err[1]);
            let mut buffer = [0_u8; 4096];
            for end in [out[0], err[0]] {
                while libc::read(end, buffer.as_mut_ptr().cast(), buffer.len()) > 0 {}
                libc::close(end);
            }
            assert_eq!(c_wait(pid), 0);
        }
    }
}

/// `posix_spawn` with at most one argument; `outputs` become stdout and stderr.
fn c_spawn(path: &str, argument: Option<&str>, outputs: Option<[i32; 2]>) -> i32 {
    let path = CString::new(path).expect("no NUL");
    let argument = argument.map(|text| CString::new(text).expect("no NUL"));
    let argument = argument.as_ref().map_or(std::ptr::null_mut(), |text| text.as_ptr().cast_mut());
    let argv = [path.as_ptr().cast_mut(), argument, std::ptr::null_mut()];
    // SAFETY: plain C calls with valid pointers, checked where they can fail.
    unsafe {
        let mut actions = std::mem::zeroed();
        libc::posix_spawn_file_actions_init(&raw mut actions);
        for (end, target) in outputs.into_iter().flatten().zip(1..) {
            libc::posix_spawn_file_actions_adddup2(&raw mut actions, end, target);
        }
        let (mut pid, path) = (0, path.as_ptr());
        let failed =
            libc::posix_spawn(&raw mut pid, path, &raw const actions, std::ptr::null(), argv.as_ptr(), environ);
        assert_eq!(failed, 0);
        libc::posix_spawn_file_actions_destroy(&raw mut actions);
        pid
    }
}

unsafe extern "C" {
    /// Our own environment, as C has it.
    static environ: *const *mut libc::c_char;
}

fn c_wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the pointer is valid for writes.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}
