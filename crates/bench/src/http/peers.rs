//! What a list takes with PM2 and supervisord, where `scripts/bench-peers.sh` can install them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::bare::quietly;
use super::fleet::{Fleet, on_core, wait_for};
use super::{load, setting};
use crate::references::References;
use crate::report::Report;
use crate::support::{figures, time};

/// Processes of each: PM2 takes minutes and gigabytes for a thousand (`WERKPILOT_BENCH_PEERS` sets it).
const PROCESSES: usize = 100;

/// Beside ours with as many.
pub fn compare(binary: &Path, references: &References, report: &mut Report) {
    let processes = setting("WERKPILOT_BENCH_PEERS", PROCESSES);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bench-peers.sh");
    let tools = match Command::new(&script).stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => {
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => return println!("PM2 and supervisord are left out: {} did not install them", script.display()),
    };
    println!("PM2 and supervisord: {processes} processes each, as ours here");
    let ours = Fleet::start(binary, references.program(), processes, 0);
    let p50 = load::run(ours.address, "/api/v1/agents", "", 1, Duration::from_secs(1)).p50 as f64;
    drop(ours);
    for (name, took, target) in [
        ("PM2", pm2(&tools, references.program(), processes), 0.1),
        ("supervisord", supervisord(&tools, references.program(), processes), 0.02),
    ] {
        match took {
            Some(took) => {
                let what = format!("list of {processes} processes, p50 / {name}");
                report.at_most(&what, time(p50), time(took), p50 / took, target);
            }
            None => println!("{name} is left out: it is not installed, or did not start"),
        }
    }
}

/// Nanoseconds of a list over its own socket, as its command line asks for it.
fn pm2(tools: &Path, pause: &Path, processes: usize) -> Option<f64> {
    let module = tools.join("node_modules/pm2");
    if !module.exists() {
        return None;
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let apps: Vec<_> = (0..processes)
        .map(|number| {
            serde_json::json!({
                "name": format!("service-{number}"), "script": pause, "args": ["pause"], "interpreter": "none",
                "exec_mode": "fork", "autorestart": false,
            })
        })
        .collect();
    std::fs::write(home.path().join("apps.json"), serde_json::json!({ "apps": apps }).to_string()).expect("a file");
    std::fs::write(home.path().join("list.js"), PM2_LIST).expect("a file");
    let in_home = |program: &str| {
        let mut command = Command::new(program);
        command.env("PM2_HOME", home.path()).env("PM2_MODULE", &module).current_dir(home.path());
        command
    };
    let bin = module.join("bin/pm2");
    let mut start = in_home("node");
    start.arg(&bin).args(["start", "apps.json", "--silent"]);
    let started = quietly(&mut start);
    let listed = started.then(|| figures(in_home("node").arg("list.js"))["p50"]);
    quietly(in_home("node").arg(&bin).args(["kill", "--silent"]));
    listed
}

const PM2_LIST: &str = r"
const pm2 = require(process.env.PM2_MODULE);
const list = () => new Promise((done, fail) => pm2.list((error, all) => (error ? fail(error) : done(all))));
pm2.connect(async (error) => {
    if (error) { console.error(error); process.exit(1); }
    const times = [];
    for (let i = 0; i < 30; i++) {
        const begin = process.hrtime.bigint();
        await list();
        times.push(Number(process.hrtime.bigint() - begin));
    }
    times.sort((a, b) => a - b);
    console.log(`p50 ${times[15]}`);
    pm2.disconnect();
    process.exit(0);
});
";

/// Ended when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Nanoseconds of a list over its XML-RPC.
fn supervisord(tools: &Path, pause: &Path, processes: usize) -> Option<f64> {
    let program = tools.join("venv/bin/supervisord");
    if !program.exists() {
        return None;
    }
    let home = tempfile::tempdir().expect("a temporary folder");
    let socket = home.path().join("supervisor.sock");
    let mut text = format!(
        "[supervisord]\nnodaemon=true\nlogfile={home}/log\npidfile={home}/pid\nchildlogdir={home}\n\
         [unix_http_server]\nfile={}\n\
         [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
        socket.display(),
        home = home.path().display(),
    );
    for number in 0..processes {
        let _ = write!(
            text,
            "[program:service-{number}]\ncommand={} pause\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n",
            pause.display()
        );
    }
    let config = home.path().join("supervisord.conf");
    std::fs::write(&config, text).expect("a file");
    std::fs::write(home.path().join("list.py"), SUPERVISOR_LIST).expect("a file");
    let mut command = on_core(0, &program);
    command.arg("-n").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn().ok()?);
    wait_for("supervisord's socket", || socket.exists().then_some(()));
    let python = tools.join("venv/bin/python");
    let told = figures(Command::new(python).arg(home.path().join("list.py")).arg(&socket).arg(processes.to_string()));
    drop(daemon);
    Some(told["p50"])
}

const SUPERVISOR_LIST: &str = r#"
import sys, time, xmlrpc.client
from supervisor.xmlrpc import SupervisorTransport
server = xmlrpc.client.ServerProxy("http://127.0.0.1", SupervisorTransport(None, None, "unix://" + sys.argv[1]))
while sum(p["statename"] == "RUNNING" for p in server.supervisor.getAllProcessInfo()) < int(sys.argv[2]):
    time.sleep(0.2)
times = []
for _ in range(15):
    begin = time.monotonic_ns()
    server.supervisor.getAllProcessInfo()
    times.append(time.monotonic_ns() - begin)
print("p50", sorted(times)[7])
"#;
