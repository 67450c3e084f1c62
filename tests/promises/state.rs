//! The state folder: checked, backed up, restored; damaged, too new, in use; on a disk that is full.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use werkpilot_tests::{Setup, Werkpilot, wait_until};

const REGISTRY: &str = "[[agent]]\nname = \"job\"\nkind = \"job\"\ncommand = [\"true\"]\n\
                        [[agent]]\nname = \"tick\"\nevery = \"500ms\"\nshell = \"printf %05000d 0; echo; echo x >> ticks\"\n\
                        [[agent]]\nname = \"service\"\nshell = \"exec sleep 1000\"\nrestart = \"always\"\n\
                        retry = { initial = \"10ms\", jitter = 0.0 }\n";

fn ran(fleet: &Werkpilot) -> String {
    let run = fleet.trigger("job");
    fleet.end_of(&run);
    run
}

fn file(fleet: &Werkpilot) -> PathBuf {
    fleet.dir().join("state/werkpilot.db")
}

#[track_caller]
fn runs(fleet: &Werkpilot) -> Vec<String> {
    let answer = fleet.cli(&["history", "--agent", "job", "--json"]).expect(0).json();
    let executions = answer["executions"].as_array().expect("a list").iter();
    executions.map(|execution| execution["runId"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_backup_is_made_while_it_runs_and_put_back_when_it_does_not() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    let first = ran(&fleet);
    let checked = fleet.cli(&["state", "check", "--json"]).expect(0).json();
    assert_eq!(checked["problems"], json!([]));
    runs(&fleet);
    fleet.cli(&["state", "backup", "backup.db"]).expect(0);
    let again = fleet.cli(&["state", "backup", "backup.db"]).expect(73);
    assert!(again.err.contains("is there already"), "{}", again.err);
    let second = ran(&fleet);
    assert_eq!(runs(&fleet), [second.clone(), first.clone()]);

    let running = fleet.cli(&["state", "restore", "backup.db"]).expect(75);
    assert!(running.err.contains(&format!("pid {}", fleet.pid())), "{}", running.err);
    fleet.cli(&["state", "vacuum"]).expect(75);

    assert!(fleet.terminate().success());
    let restored = fleet.cli(&["state", "restore", "backup.db", "--json"]).expect(0).json();
    let kept = PathBuf::from(restored["kept"].as_str().expect("what was there is kept"));
    assert!(fleet.dir().join(kept).is_file(), "{restored}");
    fleet.cli(&["state", "vacuum"]).expect(0);
    assert_eq!(runs(&fleet), std::slice::from_ref(&first));
    fleet.start_again();
    fleet.wait_for_boot();
    assert_eq!(runs(&fleet), [first]);
}

#[test]
fn a_damaged_file_is_recognised_at_start_and_the_way_back_is_told() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    let run = ran(&fleet);
    fleet.cli(&["state", "backup", "backup.db"]).expect(0);
    assert!(fleet.terminate().success());
    let bytes = fs::metadata(file(&fleet)).unwrap().len();
    let database = OpenOptions::new().write(true).open(file(&fleet)).unwrap();
    for page in 1..bytes / 4_096 {
        database.write_all_at(&[0xa5; 64], page * 4_096 + 2_000).unwrap();
    }
    drop(database);
    let refused = fleet.cli_command(&["up", "--registry", "registry", "--config", "werkpilot.toml"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(65), "{told}");
    assert!(told.contains("damaged") && told.contains("werkpilot state restore"), "{told}");
    let check = fleet.cli(&["state", "check"]).expect(65);
    assert!(check.err.contains("werkpilot state restore"), "{}", check.err);

    fleet.cli(&["state", "restore", "backup.db"]).expect(0);
    fleet.start_again();
    fleet.wait_for_boot();
    assert!(runs(&fleet).contains(&run));
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    assert!(fleet.terminate().success());
    // The schema's number (user_version, SQLite's file format, 1.3.12).
    let database = OpenOptions::new().write(true).open(file(&fleet)).unwrap();
    database.write_all_at(&999_u32.to_be_bytes(), 60).unwrap();
    let before = fs::read(file(&fleet)).unwrap();
    let refused = fleet.cli_command(&["up", "--registry", "registry", "--config", "werkpilot.toml"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(65), "{told}");
    assert!(told.contains("999") && told.contains("werkpilot state restore"), "{told}");
    assert_eq!(fs::read(file(&fleet)).unwrap(), before);
}

#[test]
fn the_second_orchestrator_ends_within_a_second_and_names_the_first() {
    let fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    let begun = Instant::now();
    let second = fleet.cli_command(&["up", "--registry", "registry", "--config", "werkpilot.toml"]).output().unwrap();
    let took = begun.elapsed();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(75), "{told}");
    assert!(told.contains(&format!("pid {}, since 2", fleet.pid())), "{told}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// A folder on a file system of its own, with little room.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: this user may not mount.
    fn on(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"]).arg(folder);
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes until there is no room for a byte.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).expect("a file");
    for size in [64 << 10, 1 << 10, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

/// Files of the orchestrator, and of programs that it starts from now on, can't grow beyond so many bytes; `None`: as large as they like.
fn limit_files(fleet: &Werkpilot, bytes: Option<u64>) {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let mut prlimit = Command::new("prlimit");
    let status = prlimit.args([format!("--pid={}", fleet.pid()), format!("--fsize={limit}:")]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit");
}

/// A disk that does not take what it is given, and then does again.
fn drill(fleet: &Werkpilot, break_it: impl FnOnce(&Werkpilot), mend_it: impl FnOnce(&Werkpilot)) {
    let before = ran(fleet);
    runs(fleet);
    break_it(fleet);
    // Something is written every half second, so that it is found out.
    wait_until("a degraded store", || fleet.get("/readyz")["store"]["state"] == "degraded");
    wait_until("its event", || !fleet.events("store.degraded").is_empty());
    assert_eq!(fleet.request("GET", "/healthz", None).status, 503);
    assert_eq!(fleet.request("GET", "/livez", None).status, 200);

    // What would be promised is refused, with the reason.
    let refused = fleet.request("POST", "/api/v1/agents/job/trigger", Some(&json!({})));
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("can't be kept"), "{}", refused.body);
    let refused = fleet.cli(&["run", "job"]).expect(75);
    assert!(refused.err.contains("can't be kept"), "{}", refused.err);

    let status = fleet.cli(&["status"]).expect(0).out;
    assert!(status.contains("NOT KEPT ON DISK"), "{status}");

    // Supervision and what is scheduled go on.
    let pid = fleet.pids("service")[0];
    werkpilot_tests::processes::signal(pid, werkpilot_tests::processes::Signal::KILL);
    fleet.wait_for_successor("service", pid);
    let ticks = fleet.read("ticks").lines().count();
    wait_until("scheduled work goes on", || fleet.read("ticks").lines().count() > ticks + 1);

    mend_it(fleet);
    wait_until("a healthy store", || fleet.get("/readyz")["store"]["state"] == "ok");
    wait_until("its event", || !fleet.events("store.recovered").is_empty());
    assert_eq!(fleet.request("GET", "/healthz", None).status, 200);
    let after = ran(fleet);
    let told = runs(fleet);
    assert!(told.contains(&before) && told.contains(&after), "{told:?}");
    assert_eq!(fleet.events("store.degraded").len(), 1, "an illness is told once");
    fleet.cli(&["state", "check"]).expect(0);
}

#[test]
fn a_full_disk_stops_no_agent_refuses_what_it_cannot_keep_and_heals() {
    let setup = Setup::new(&[("fleet.toml", REGISTRY)], "");
    let state = setup.dir().join("state");
    let Some(disk) = SmallDisk::on(&state) else {
        eprintln!("this user may not mount a file system: the same with a limit of the size of files");
        let fleet = setup.survive_file_size_limit().start();
        return drill(&fleet, |fleet| limit_files(fleet, Some(4_096)), |fleet| limit_files(fleet, None));
    };
    let mut fleet = setup.start();
    wait_until("a word about the small disk", || !fleet.events("system.disk.low").is_empty());
    let health = fleet.get("/healthz");
    let disk_part = health["parts"].as_array().unwrap().iter().find(|part| part["part"] == "disk").cloned().unwrap();
    assert_eq!((&disk_part["state"], &disk_part["trouble"]["code"]), (&json!("warning"), &json!("disk_low")));
    let ballast = state.join("ballast");
    drill(&fleet, |_| fill(&ballast), |_| fs::remove_file(&ballast).expect("ballast is thrown off"));
    assert!(fleet.log_text().contains("cannot write the log of tick"), "lost lines are told");
    assert!(fleet.terminate().success());
    assert!(!fleet.socket().exists(), "the control socket is left");
    drop(disk);
    drop(fleet);
}

#[test]
fn a_disk_that_fails_to_write_is_no_end_either() {
    let fleet = Setup::new(&[("fleet.toml", REGISTRY)], "").survive_file_size_limit().start();
    drill(&fleet, |fleet| limit_files(fleet, Some(4_096)), |fleet| limit_files(fleet, None));
}
