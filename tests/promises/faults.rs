//! Bad input and bad luck: a clear error, and nothing lost.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use serde_json::json;
use werkpilot_tests::{PATIENCE, Setup, Werkpilot, processes, wait_for, wait_until};

fn sleeper(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n{more}\n")
}

fn job(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\n{more}\n")
}

// ---- programs that can't be started ----

#[test]
fn a_command_that_is_not_there_not_executable_or_no_program_is_missing_and_not_tried_again() {
    let programs = [
        ("absent", "./absent", "no such file"),
        ("unexecutable", "./unexecutable", "ermi"),
        ("no-program", "./no-program", "format"),
    ];
    let registry: String = programs
        .map(|(name, path, _)| {
            job(name, &format!("command = [\"{path}\"]"))
                + &format!("[[agent]]\nname = \"{name}-service\"\ncommand = [\"{path}\"]\n")
        })
        .concat();
    let setup = Setup::new(&[("fleet.toml", &registry)], "");
    setup.write("registry/unexecutable", "#!/bin/sh\ntrue\n");
    setup.write("registry/no-program", "\u{7f}ELF and no more");
    fs::set_permissions(setup.dir().join("registry/no-program"), fs::Permissions::from_mode(0o755)).unwrap();
    let fleet = setup.start();
    for (name, path, said) in programs {
        let ended = fleet.run(name);
        assert_eq!((&ended["end"], &ended["attempts"]), (&json!("failed"), &json!(1)), "{ended}");
        fleet.wait_for_status(name, "missing");
        let service = format!("{name}-service");
        fleet.wait_for_status(&service, "missing");
        for agent in [name, &service] {
            let agent = fleet.agent(agent);
            assert_eq!(agent["restarts"], 0, "{agent}");
            let reason = agent["reason"].as_str().unwrap_or_default();
            assert!(reason.contains(path.trim_start_matches('.')) && reason.contains(said), "{reason}");
        }
        assert_eq!(fleet.events_of(&service, "agent.failed").len(), 1);
    }
    assert!(fleet.events("agent.restarting").is_empty());
}

#[test]
fn too_many_open_files_is_no_failure_of_the_agent_which_is_tried_again() {
    // Enough for the orchestrator and a few programs, and not for all of them at a time.
    let names: Vec<String> = (0..40).map(|n| format!("job-{n}")).collect();
    let registry: String =
        names.iter().map(|name| job(name, "shell = \"until [ -e go ]; do sleep 0.1; done\"")).collect();
    let fleet = Setup::new(&[("fleet.toml", &registry)], "[queue]\nworkers = 100\n").open_files(96).start();
    let runs: Vec<String> = names.iter().map(|name| fleet.trigger(name)).collect();
    wait_until("a shortage", || {
        let again = fleet.events("agent.restarting");
        again.iter().any(|event| event["data"]["reason"]["exit"]["kind"] == "spawn_failed")
    });
    fleet.touch("go");
    for run in runs {
        let ended = fleet.end_of(&run);
        assert_eq!((&ended["end"], &ended["attempts"]), (&json!("succeeded"), &json!(1)), "{ended}");
    }
    assert!(fleet.events("agent.failed").is_empty());
    assert_eq!(fleet.metrics()["system"]["restartsLastHour"], 0);
}

// ---- an orchestrator that can't be started ----

#[test]
fn a_registry_with_faults_starts_nothing_and_every_fault_is_told_with_its_place() {
    let setup = Setup::new(
        &[
            (
                "a.toml",
                "[[agent]]\nname = \"sales\"\ncommand = [\"touch\", \"started\"]\nstartup = true\ndependencies = [\"analitycs\"]\n",
            ),
            ("b.toml", "[[agent]]\nname = \"analytics\"\nkomand = [\"true\"]\nschedule = \"61 * * * *\"\n"),
            (
                "c.toml",
                "[[agent]]\nname = \"sales\"\ncommand = [\"true\"]\n[[agent]]\nname = \"x\"\ncommand = [\"true\"]\ndependencies = [\"y\"]\n[[agent]]\nname = \"y\"\ncommand = [\"true\"]\ndependencies = [\"x\"]\n",
            ),
        ],
        "[queue]\ncapacity = -1\n",
    );
    let outcome = setup.up().expect(78);
    for part in [
        "a.toml:5:",
        "did you mean `analytics`?",
        "b.toml:3:",
        "komand",
        "b.toml:4:",
        "c.toml:2:",
        "x → y → x",
        "werkpilot.toml:2:",
    ] {
        assert!(outcome.err.contains(part), "`{part}` is not told:\n{}", outcome.err);
    }
    assert!(outcome.err.contains("nothing was started"), "{}", outcome.err);
    assert!(!setup.dir().join("registry/started").exists());
    assert!(!setup.dir().join("state").exists(), "it has not even made its state folder");
}

#[test]
fn a_port_in_use_is_told_with_who_has_it_before_any_agent_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let registry = job("early", "startup = true\ncommand = [\"touch\", \"started\"]");
    let setup = Setup::new(&[("fleet.toml", &registry.replace("kind = \"job\"\n", ""))], "").listen(&address);
    let outcome = setup.up().expect(69);
    let own = format!("(pid {})", std::process::id());
    assert!(outcome.err.contains(&format!("{address} is in use by ")) && outcome.err.contains(&own), "{}", outcome.err);
    assert!(outcome.err.contains("ss -ltnp"), "{}", outcome.err);
    assert!(!setup.dir().join("registry/started").exists());
    assert!(!setup.dir().join("state/control.sock").exists());
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let setup = Setup::new(&[("fleet.toml", &sleeper("a", ""))], "").listen("0.0.0.0:0");
    let outcome = setup.up().expect(78);
    assert!(outcome.err.contains("can be reached from other machines"), "{}", outcome.err);
}

#[test]
fn a_second_orchestrator_on_the_same_state_folder_is_refused_and_the_first_one_named() {
    let fleet = Werkpilot::start(&[("fleet.toml", &sleeper("db", ""))], "");
    let pids = fleet.pids("db");
    let second = fleet
        .cli(&[
            "up",
            "--registry",
            "registry",
            "--set",
            "dashboard.listen=127.0.0.1:0",
            "--set",
            "bus.listen=127.0.0.1:0",
        ])
        .expect(75);
    assert!(second.err.contains(&format!("(pid {}, since ", fleet.pid())), "{}", second.err);
    assert_eq!(fleet.pids("db"), pids);
}

// ---- programs that behave badly ----

#[test]
fn a_program_that_ignores_sigterm_is_killed_when_its_time_is_over() {
    let registry = "[[agent]]\nname = \"deaf\"\nready = { log = \"up\" }\nstop = { timeout = \"300ms\" }\n\
                    shell = \"trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let pid = fleet.wait_for_pid("deaf");
    fleet.cli(&["stop", "deaf"]).expect(0);
    fleet.wait_for_status("deaf", "stopped");
    let stopped = fleet.wait_for_event("deaf", "agent.stopped");
    assert_eq!(stopped["forced"], true, "{stopped}");
    assert!(!processes::alive(pid));
    wait_until("the end of its children, too", || fleet.leftovers().is_empty());
}

#[test]
fn a_program_that_is_stopped_by_sigstop_ends_when_it_is_asked_to() {
    let fleet = Werkpilot::start(&[("fleet.toml", &sleeper("frozen", ""))], "");
    let pid = fleet.wait_for_pid("frozen");
    processes::signal(pid, processes::Signal::STOP);
    wait_until("it is frozen", || processes::stat(pid).is_some_and(|stat| stat.state == 'T'));
    fleet.cli(&["stop", "frozen"]).expect(0);
    fleet.wait_for_status("frozen", "stopped");
    let stopped = fleet.wait_for_event("frozen", "agent.stopped");
    assert_eq!(stopped["forced"], false, "it was woken up to end by itself: {stopped}");
}

#[test]
fn what_a_program_leaves_in_the_background_ends_with_it() {
    let registry = job(
        "forking",
        "shell = \"sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; exit 0\"",
    ) + "[[agent]]\nname = \"daemon\"\nready = { after = \"10ms\" }\nstop = { timeout = \"2s\" }\n\
           shell = \"(setsid sh -c 'trap : TERM; while :; do sleep 1; done' &); exec sleep 1000\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    assert_eq!(fleet.run("forking")["end"], "succeeded");
    fleet.wait_for_status("daemon", "running");
    wait_until("only the daemon is left", || {
        let sessions: Vec<i32> =
            fleet.leftovers().iter().filter_map(|pid| processes::stat(*pid)).map(|stat| stat.session).collect();
        let daemon = fleet.pids("daemon");
        !sessions.is_empty() && sessions.iter().any(|session| daemon.contains(session)) && fleet.leftovers().len() <= 3
    });
    fleet.cli(&["stop", "daemon"]).expect(0);
    fleet.wait_for_status("daemon", "stopped");
    wait_until("nothing is left", || fleet.leftovers().is_empty());
}

#[test]
fn a_flood_of_output_exhausts_neither_memory_nor_disk_nor_stops_the_program() {
    // No newline, no UTF-8, and more than the pipes and the log may hold.
    let registry = job("flood", "shell = \"head -c 300000000 /dev/zero | tr '\\\\000' '\\\\377'; touch done\"");
    let config = "[logs]\nmax_file = \"1MiB\"\nfiles = 3\n";
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], config);
    assert_eq!(fleet.run("flood")["end"], "succeeded");
    assert!(fleet.file("done").exists());
    let peak = processes::peak_rss(fleet.pid());
    assert!(peak < 200 << 20, "it had {} MiB resident", peak >> 20);
    let files = fs::read_dir(fleet.dir().join("state/logs/flood")).unwrap();
    let bytes: u64 = files.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum();
    assert!(bytes > 0 && bytes < 5 << 20, "{bytes} bytes of log");
    fleet.cli(&["logs", "flood", "-n", "1"]).expect(0);
}

// ---- crashes of the orchestrator ----

#[test]
fn what_outlived_a_crash_is_ended_before_anything_is_started_again() {
    let registry = sleeper("db", "")
        + "[[agent]]\nname = \"tree\"\nready = { log = \"up\" }\n\
           shell = \"trap '' HUP; setsid sleep 1000 & echo up; while :; do sleep 1; done\"\n"
        + &job("report", "shell = \"echo ran >> runs; sleep 1000\"");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[shutdown]\ngrace = \"1s\"\n");
    fleet.wait_for_status("tree", "running");
    fleet.wait_for_status("db", "running");
    fleet.trigger("report");
    let report = fleet.wait_for_pid("report");
    wait_until("the whole tree", || fleet.leftovers().len() >= 5);
    let before = fleet.leftovers();
    fleet.kill9();
    assert!(processes::alive(report), "a crash of the orchestrator ends nobody by itself");
    assert!(fleet.socket().exists(), "a crash leaves the control socket");

    fleet.start_again();
    fleet.wait_for_boot();
    for pid in before {
        assert!(!processes::alive(pid), "{pid} {} is still there", processes::command_line(pid));
    }
    assert!(fleet.log_text().contains("The last orchestrator did not shut down"), "{}", fleet.log_text());
    fleet.wait_for_status("db", "running");
    fleet.wait_for_status("tree", "running");
    assert_eq!(fleet.pids("db").len(), 1);
    assert_eq!(fleet.read("runs"), "ran\n");
}

#[test]
fn nobody_else_s_processes_are_touched_after_a_crash() {
    let other = Werkpilot::start(&[("fleet.toml", &sleeper("db", ""))], "");
    let bystander = other.wait_for_pid("db");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &sleeper("db", ""))], "");
    let own = fleet.wait_for_pid("db");
    fleet.kill9();
    fleet.start_again();
    assert!(!processes::alive(own));
    assert!(processes::alive(bystander));
    assert_eq!(other.pids("db"), [bystander]);
}

#[test]
fn a_stale_control_socket_is_replaced() {
    let setup = Setup::new(&[("fleet.toml", &sleeper("db", ""))], "");
    fs::create_dir(setup.dir().join("state")).unwrap();
    drop(UnixListener::bind(setup.dir().join("state/control.sock")).unwrap());
    let fleet = setup.start();
    fleet.wait_for_status("db", "running");
}

#[test]
fn a_state_folder_that_can_not_be_made_is_told() {
    let setup = Setup::new(&[("fleet.toml", &sleeper("db", ""))], "");
    setup.write("state", "a file is in the way");
    let outcome = setup.up().expect(73);
    assert!(outcome.err.contains("state"), "{}", outcome.err);
}

#[test]
fn an_orchestrator_whose_terminal_is_gone_goes_on() {
    // Its stderr is a pipe that nobody reads and that is closed: a write to it is an error and no reason to end.
    let setup = Setup::new(
        &[("fleet.toml", &job("tick", "every = \"100ms\"\ncommand = [\"true\"]").replace("kind = \"job\"\n", ""))],
        "",
    );
    let fleet = setup.start_without_stderr();
    let runs = || fleet.metrics()["metrics"]["tick"]["count"].as_u64().unwrap_or(0);
    wait_for("it works on", PATIENCE, || (runs() >= 3).then_some(()));
}
