//! How programs start: with which environment, identity and input, and what is said when they cannot.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use harness::{Fixture, job, pairs, service, service_part, shell, watchdog};
use werkpilot_core::exit::SpawnFailureKind;
use werkpilot_core::spec::{ReadyCheck, Resource};
use werkpilot_core::time::Timestamp;
use werkpilot_process::{Launch, Output, ProcessEvent, WaitStatus};

#[test]
fn the_environment_is_exactly_what_is_promised() {
    let mut fixture = Fixture::new();
    let dir = fixture.dir.path().to_owned();
    std::fs::write(dir.join("env"), "# comment\nFROM_FILE=file\nBOTH=file\n").unwrap();
    std::fs::write(dir.join("secret"), "s3cret\n").unwrap();
    let mut spec = job(&["env"]);
    spec.environment.file = Some(dir.join("env"));
    spec.environment.set = BTreeMap::from([("FROM_ENV".into(), "env".into()), ("BOTH".into(), "env".into())]);
    spec.environment.secrets = BTreeMap::from([("PASSWORD".into(), dir.join("secret"))]);
    spec.environment.inherit = vec!["CARGO_PKG_N*".to_owned()];
    let mut launch = fixture.launch_of(spec);
    launch.attempt = 2;
    launch.scheduled_for = Some(Timestamp::from_millis(1_700_000_000_000));
    launch.extra_env = vec![("NATS_URL".into(), "nats://x".into())];
    let (key, run) = (launch.key, launch.run.to_string());
    fixture.host.launch(launch);
    assert_eq!(fixture.exit_of(key).status, WaitStatus::Code(0));

    let mut found = pairs(&fixture.log_texts());
    let expected = [
        ("FROM_FILE", "file"),
        ("FROM_ENV", "env"),
        ("BOTH", "env"),
        ("PASSWORD", "s3cret"),
        ("NATS_URL", "nats://x"),
        ("AGENT_NAME", "agent"),
        ("WERKPILOT_RUN_ID", run.as_str()),
        ("WERKPILOT_ATTEMPT", "2"),
        ("WERKPILOT_SCHEDULED_TIME", "2023-11-14T22:13:20.000Z"),
    ];
    for (name, value) in expected {
        assert_eq!(found.remove(name).as_deref(), Some(value), "{name}");
    }
    let always = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"];
    let of_ours: BTreeSet<String> = std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| always.contains(&name.as_str()) || name.starts_with("LC_") || name.starts_with("CARGO_PKG_N"))
        .collect();
    assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), of_ours);
    fixture.finish();
}

#[test]
fn only_a_notifying_service_gets_a_socket_and_a_watchdog() {
    let mut fixture = Fixture::new();
    let mut spec = service("env", ReadyCheck::After(Duration::ZERO));
    fixture.run(spec.clone());
    let quiet = pairs(&fixture.log_texts());
    assert!(!quiet.contains_key("NOTIFY_SOCKET") && !quiet.contains_key("WATCHDOG_USEC"));

    service_part(&mut spec).health = Some(watchdog(Duration::from_millis(2_500)));
    fixture.run(spec);
    let watched = pairs(&fixture.log_texts());
    assert_eq!(watched["WATCHDOG_USEC"], "2500000");
    assert!(!watched.contains_key("WATCHDOG_PID"));
    assert!(!std::path::Path::new(&watched["NOTIFY_SOCKET"]).exists(), "the socket is gone with its program");
    fixture.finish();
}

#[test]
fn a_command_that_cannot_be_executed_is_missing() {
    let mut fixture = Fixture::new();
    let dir = fixture.dir.path().to_owned();
    let file = |name: &str, text: &str, mode| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let cases = [
        ("no-such-command".to_owned(), "find the command `no-such-command` on the agent's PATH"),
        ("/no/such/file".to_owned(), "no such file"),
        (file("plain", "#!/bin/sh\n", 0o644), "chmod +x"),
        (file("no-format", "echo hello\n", 0o755), "bad format"),
        (file("no-interpreter", "#!/no/such/shell\n", 0o755), "the interpreter in its first line was not found"),
        (dir.display().to_string(), "it is a folder"),
    ];
    for (command, reason) in cases {
        let failure = fixture.fails(job(&[&command]));
        assert_eq!(failure.kind, SpawnFailureKind::Missing, "{failure:?}");
        assert!(failure.message.contains(reason), "{failure:?}");
    }
    fixture.finish();
}

#[test]
fn what_cannot_be_set_up_is_said_with_the_file_and_what_to_do() {
    let mut fixture = Fixture::new();
    let dir = fixture.dir.path().to_owned();
    std::fs::write(dir.join("garbled"), "A=1\nnonsense\n").unwrap();
    let mut cases = Vec::new();
    let mut case = |reason: &'static str, change: &dyn Fn(&mut werkpilot_core::spec::AgentSpec)| {
        let mut spec = job(&["/bin/true"]);
        change(&mut spec);
        cases.push((spec, reason));
    };
    case("no/such/folder`", &|spec| spec.cwd = "/no/such/folder".into());
    case("no/env`: No such file", &|spec| spec.environment.file = Some("/no/env".into()));
    case("garbled`: line 2 has no `=`", &|spec| spec.environment.file = Some(dir.join("garbled")));
    case("the secret `KEY` from `/no/key`", &|spec| {
        spec.environment.secrets = BTreeMap::from([("KEY".into(), "/no/key".into())]);
    });
    case("find user `no-such-user`", &|spec| spec.identity.user = Some("no-such-user".to_owned()));
    case("it has a NUL byte", &|spec| spec.program = job(&["/bin/true", "a\0b"]).program);
    case("its value has a NUL byte", &|spec| spec.environment.set = BTreeMap::from([("A".into(), "a\0b".into())]));
    case("are too long together", &|spec| {
        spec.program = job(&["/bin/true", &"x".repeat(200_000)]).program;
    });
    for (spec, reason) in cases {
        let failure = fixture.fails(spec);
        assert_eq!(failure.kind, SpawnFailureKind::Other, "{failure:?}");
        assert!(failure.message.contains(reason), "{failure:?}");
    }
    fixture.finish();
}

#[test]
fn a_shortage_of_descriptors_is_transient_and_passes() {
    let mut fixture = Fixture::new();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let open = u64::try_from(std::fs::read_dir("/proc/self/fd").unwrap().count()).unwrap();
    let low = rustix::process::Rlimit { current: Some(open), maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
    let failure = fixture.fails(job(&["/bin/true"]));
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    assert_eq!(failure.kind, SpawnFailureKind::Transient, "{failure:?}");
    assert!(failure.message.contains("ulimit -n"), "{failure:?}");
    assert_eq!(fixture.run(job(&["/bin/true"])).status, WaitStatus::Code(0));
    fixture.finish();
}

#[test]
fn a_payload_of_any_size_arrives_on_stdin_and_without_one_stdin_is_empty() {
    let mut fixture = Fixture::new();
    for size in [0, 10, 64 * 1024, 1_000_000] {
        let mut launch = fixture.launch_of(shell("sleep 0.05; wc -c"));
        launch.payload = Some(Arc::from(vec![b'x'; size]));
        let key = launch.key;
        fixture.host.launch(launch);
        assert_eq!(fixture.exit_of(key).status, WaitStatus::Code(0));
        assert_eq!(fixture.log_texts().last().unwrap().trim(), size.to_string());
    }
    fixture.run(shell("wc -c"));
    assert_eq!(fixture.log_texts().last().unwrap().trim(), "0");
    fixture.finish();
}

#[test]
fn a_program_that_does_not_read_its_payload_harms_nobody() {
    let mut fixture = Fixture::new();
    let mut launch = fixture.launch_of(job(&["/bin/true"]));
    launch.payload = Some(Arc::from(vec![b'x'; 1_000_000]));
    let key = launch.key;
    fixture.host.launch(launch);
    assert_eq!(fixture.exit_of(key).status, WaitStatus::Code(0));
    fixture.finish();
}

#[test]
fn session_umask_nice_limits_signals_and_privileges_are_as_the_spec_says() {
    let mut fixture = Fixture::new();
    werkpilot_process::limits::raise_open_files();
    let mut spec = shell(
        "echo sid=$(cut -d' ' -f6 /proc/$$/stat) pid=$$; echo umask=$(umask); echo nice=$(nice); \
         echo core=$(ulimit -c); grep -E 'SigBlk|SigIgn|NoNewPrivs' /proc/self/status; ls -l /proc/self/fd | wc -l; pwd",
    );
    spec.identity.umask = Some(0o027);
    spec.identity.nice = Some(5);
    spec.identity.limits = BTreeMap::from([(Resource::Core, 0)]);
    spec.cwd = "/usr".into();
    fixture.run(spec);
    let lines = fixture.log_texts();
    let ids: Vec<&str> = lines[0].split(['=', ' ']).collect();
    assert_eq!(ids[1], ids[3], "it leads its session");
    assert_eq!(lines[1..4], ["umask=0027", "nice=5", "core=0"]);
    // The total line, 0, 1, 2 and the listing's own.
    assert_eq!(lines[4..], ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "NoNewPrivs:\t1", "5", "/usr"]);
    fixture.finish();
}

#[test]
fn children_get_the_limit_of_open_files_that_we_had() {
    let mut fixture = Fixture::new();
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    rustix::process::setrlimit(resource, rustix::process::Rlimit { current: Some(777), maximum: limit.maximum })
        .unwrap();
    let (before, after) = werkpilot_process::limits::raise_open_files();
    assert_eq!(before, 777);
    assert_eq!(Some(after), limit.maximum.or(Some(u64::MAX)));
    fixture.run(shell("ulimit -n"));
    assert_eq!(fixture.log_texts(), ["777"]);
    let mut spec = shell("ulimit -n");
    spec.identity.limits = BTreeMap::from([(Resource::Nofile, 99)]);
    fixture.run(spec);
    assert_eq!(fixture.log_texts().last().unwrap(), "99");
    fixture.finish();
}

#[test]
fn root_can_start_a_program_as_somebody_else_with_their_home() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut fixture = Fixture::new();
    let mut spec = shell("id -un; id -gn; echo $HOME $USER");
    spec.identity.user = Some("nobody".to_owned());
    assert_eq!(fixture.run(spec).status, WaitStatus::Code(0));
    assert_eq!(fixture.log_texts(), ["nobody", "nogroup", "/nonexistent nobody"]);
    fixture.finish();
}

#[test]
fn a_probe_runs_another_command_without_a_trace_in_the_log() {
    let mut fixture = Fixture::new();
    let spec = Arc::new(service("exec sleep 60", ReadyCheck::Notify));
    let main = fixture.launch_of((*spec).clone());
    let (main_key, run) = (main.key, main.run);
    fixture.host.launch(main);
    fixture.started();
    let key = fixture.launch_of((*spec).clone()).key;
    let argv = ["sh", "-c", "echo $WERKPILOT_RUN_ID ${NOTIFY_SOCKET-none}; exit 3"].map(str::to_owned);
    let mut probe = Launch::probe(key, run, spec, argv.to_vec());
    probe.capture_stdout_max = Some(1_000);
    assert_eq!(probe.output, Output::Discard);
    fixture.host.launch(probe);
    let report = fixture.exit_of(key);
    assert_eq!(report.status, WaitStatus::Code(3));
    assert_eq!(report.stdout.as_deref(), Some(format!("{run} none\n").as_bytes()));
    assert_eq!(fixture.log(), []);
    fixture.host.kill(main_key);
    assert!(fixture.exit_of(main_key).forced);
    fixture.finish();
}

#[test]
fn two_hundred_launches_at_once_all_start_and_end() {
    let mut fixture = Fixture::new();
    let keys: Vec<_> = (0..200).map(|_| fixture.launch(shell("echo hello")).0).collect();
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    while ended.len() < keys.len() {
        match fixture.event() {
            ProcessEvent::Started { key, .. } => assert!(started.insert(key)),
            ProcessEvent::Exited { key, report } => {
                assert!(started.contains(&key) && ended.insert(key));
                assert_eq!(report.status, WaitStatus::Code(0));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fixture.log_texts(), vec!["hello"; 200]);
    fixture.finish();
}
