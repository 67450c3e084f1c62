//! The cost of an execution: a C-style loop of posix_spawn, pipes and waitpid beside the [`Host`], interleaved.
//!
//! `cargo run --release -p werkpilot-process --example spawn_bench [executions per round]`
#![expect(unsafe_code, reason = "the reference is written as C would have it")]

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
    for _ in 0..ROUNDS {
        figures[0].push(per_execution(count, || c_loop(count)));
        figures[1].push(per_execution(count, || bench.run(count, 1)));
        figures[2].push(per_execution(count, || bench.run(count, 4)));
        figures[3].push(per_execution(count, || bench.run(count, count)));
    }
    let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
    println!("{count} x /bin/true, {ROUNDS} rounds interleaved: medians");
    for (name, median) in names.iter().zip(&medians) {
        println!("{name:20} {median:8.1} us  {:7.0}/s  {:5.2} x C", 1e6 / median, median / medians[0]);
    }
    bench.host.shutdown(Duration::from_secs(5));
    std::fs::remove_dir_all(folder).expect("the folder is ours");
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
    /// Runs `count` executions, so many at a time.
    fn run(&mut self, count: u64, at_a_time: u64) {
        let (mut launched, mut ended) = (0, 0);
        while ended < count {
            while launched < count && launched - ended < at_a_time {
                self.next += 1;
                let run = RunId::from_parts(self.next, u128::from(self.next) << 16);
                self.host.launch(Launch::new(ProcessKey(self.next), run, self.spec.clone()));
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
        orphan_ttl: Duration::from_secs(600),
        enabled: true,
    }
}

/// posix_spawn with stdout and stderr captured, read to their end, waitpid: one at a time.
fn c_loop(count: u64) {
    let path = CString::new("/bin/true").expect("no NUL");
    let argv = [path.as_ptr().cast_mut(), std::ptr::null_mut()];
    let env: Vec<CString> =
        std::env::vars().filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok()).collect();
    let envp: Vec<*mut libc::c_char> =
        env.iter().map(|entry| entry.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect();
    for _ in 0..count {
        // SAFETY: plain C calls with valid pointers, checked where they can fail.
        unsafe {
            let (mut out, mut err) = ([0; 2], [0; 2]);
            assert_eq!(libc::pipe2(out.as_mut_ptr(), libc::O_CLOEXEC), 0);
            assert_eq!(libc::pipe2(err.as_mut_ptr(), libc::O_CLOEXEC), 0);
            let mut actions = std::mem::zeroed();
            libc::posix_spawn_file_actions_init(&raw mut actions);
            libc::posix_spawn_file_actions_adddup2(&raw mut actions, out[1], 1);
            libc::posix_spawn_file_actions_adddup2(&raw mut actions, err[1], 2);
            let mut pid = 0;
            let (path, argv, envp) = (path.as_ptr(), argv.as_ptr(), envp.as_ptr());
            let failed = libc::posix_spawn(&raw mut pid, path, &raw const actions, std::ptr::null(), argv, envp);
            assert_eq!(failed, 0);
            libc::posix_spawn_file_actions_destroy(&raw mut actions);
            libc::close(out[1]);
            libc::close(err[1]);
            let mut buffer = [0_u8; 4096];
            for end in [out[0], err[0]] {
                while libc::read(end, buffer.as_mut_ptr().cast(), buffer.len()) > 0 {}
                libc::close(end);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
            assert_eq!(status, 0);
        }
    }
}
