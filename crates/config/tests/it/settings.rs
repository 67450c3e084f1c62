//! `werkpilot.toml`, the environment and the command line.

use std::path::PathBuf;

use rstest::rstest;
use werkpilot_config::{Origin, Overrides, load_settings};
use werkpilot_core::settings::Settings;

use crate::support::{Folder, env, owned};

const AGENT: (&str, &str) = ("a.toml", "[[agent]]\nname = \"a\"\ncommand = [\"x\"]\n");

#[test]
fn without_a_file_everything_has_its_default() {
    let (settings, sources, notices) = load_settings(None, &Overrides::default()).unwrap();
    assert_eq!(settings, Settings::default());
    assert!(sources.0.iter().all(|source| source.origin == Origin::Default));
    assert!(notices.is_empty());
    let shown: Vec<String> = sources.0.iter().map(|s| format!("{} = {} ({})", s.key, s.value, s.origin)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_command_line_goes_before_the_environment_before_the_file() {
    let folder = Folder::with(&[AGENT, ("werkpilot.toml", "[queue]\nworkers = 1\ncapacity = 1\nageing = \"1s\"\n")]);
    let overrides = Overrides {
        env: owned(&[("WERKPILOT_QUEUE_WORKERS", "2"), ("WERKPILOT_QUEUE_CAPACITY", "2"), ("PATH", "/bin")]),
        cli: owned(&[("queue.workers", "3")]),
        ..Overrides::default()
    };
    let loaded = folder.load_with(&overrides).unwrap();
    let origin = |key: &str| folder.tidy(&loaded.sources.get(key).unwrap().origin.to_string());
    assert_eq!((loaded.settings.queue.workers, origin("queue.workers")), (Some(3), "command line".to_owned()));
    assert_eq!((loaded.settings.queue.capacity, origin("queue.capacity")), (2, "$WERKPILOT_QUEUE_CAPACITY".to_owned()));
    assert_eq!((loaded.settings.queue.ageing.as_secs(), origin("queue.ageing")), (1, "werkpilot.toml:4".to_owned()));
    assert_eq!(origin("boot.layer_timeout"), "default");
}

#[rstest]
#[case("WERKPILOT_DASHBOARD_LISTEN", "127.0.0.1:9", "dashboard.listen", "\"127.0.0.1:9\"")]
#[case(
    "WERKPILOT_DASHBOARD_HOSTS",
    "Ops.example.org, [::1]:8443",
    "dashboard.hosts",
    "[\"ops.example.org\",\"[::1]:8443\"]"
)]
#[case("WERKPILOT_QUEUE_WORKERS", "auto", "queue.workers", "\"auto\"")]
#[case("WERKPILOT_DEAD_LETTERS_CAPACITY", "5", "dead_letters.capacity", "5")]
#[case("WERKPILOT_MEMORY_BUDGET", "1GiB", "memory.budget", "\"1GiB\"")]
#[case("WERKPILOT_LOGS_MAX_FILE", "4096", "logs.max_file", "\"4KiB\"")]
#[case("WERKPILOT_LOGS_FORMAT", "json", "logs.format", "\"json\"")]
#[case("WERKPILOT_OPTIMIZER_APPLY", "true", "optimizer.apply", "true")]
#[case("WERKPILOT_STATE_DIR", "/s", "state.dir", "\"/s\"")]
#[case("WERKPILOT_SHUTDOWN_GRACE", "90s", "shutdown.grace", "\"1m30s\"")]
#[case("WERKPILOT_QUEUE_CAPACITY", "", "queue.capacity", "10000")]
fn every_type_comes_from_the_environment_too(
    #[case] variable: &str,
    #[case] text: &str,
    #[case] key: &str,
    #[case] value: &str,
) {
    let (_, sources, _) = load_settings(None, &env(&[(variable, text)])).unwrap();
    assert_eq!(sources.get(key).unwrap().value.to_string(), value);
}

#[test]
fn the_state_folder_is_found_in_this_order() {
    let in_file = Folder::with(&[AGENT, ("werkpilot.toml", "[state]\ndir = \"state\"\n")]);
    let without = Folder::with(&[AGENT, ("werkpilot.toml", "")]);
    let systemd = env(&[("STATE_DIRECTORY", "/var/lib/werkpilot:/var/lib/other")]);
    let dir = |folder: &Folder, overrides: &Overrides| folder.load_with(overrides).unwrap().settings.state.dir;
    assert_eq!(dir(&in_file, &systemd), in_file.root().join("state"));
    assert_eq!(dir(&without, &systemd), PathBuf::from("/var/lib/werkpilot"));
    assert_eq!(dir(&without, &Overrides::default()), without.root().join(".werkpilot"));
    assert_eq!(dir(&in_file, &env(&[("WERKPILOT_STATE_DIR", "here")])), PathBuf::from("here"));
    let loaded = without.load_with(&systemd).unwrap();
    assert_eq!(loaded.sources.get("state.dir").unwrap().origin.to_string(), "$STATE_DIRECTORY");
}

#[test]
fn variables_that_are_no_settings_are_noticed() {
    let overrides =
        env(&[("WERKPILOT_QUEUE_WORKER", "4"), ("WERKPILOT_RUN_ID", "x"), ("WERKPILOT_COLOUR_OF_SKY", "blue")]);
    let (_, _, notices) = load_settings(None, &overrides).unwrap();
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "environment: WERKPILOT_QUEUE_WORKER: is no setting and is not read; did you mean WERKPILOT_QUEUE_WORKERS?",
            "environment: WERKPILOT_COLOUR_OF_SKY: is no setting and is not read",
        ]
    );
}

#[test]
fn nobody_is_told_that_a_setting_does_nothing_since_all_do_something() {
    let overrides = Overrides {
        env: owned(&[("WERKPILOT_MEMORY_WARNING_PERCENT", "85")]),
        cli: owned(&[("memory.critical_percent", "95")]),
        ..Overrides::default()
    };
    let (_, _, notices) = load_settings(None, &overrides).unwrap();
    assert!(notices.is_empty(), "{notices:?}");
}

#[test]
fn what_is_wrong_with_the_settings_is_told() {
    let text = r#"
colour = true
workers = 4
bus = "off"

[dashbord]
listen = "x"

[dashboard]
listen = "localhost:3001"
max_requests = 0
hosts = ["https://ops.example.org/", 3, "ops.example.org:0"]

[queue]
workers = "four"
ageing = -1

[schedule]
timezone = "Zurich"

[memory]
warning_percent = 90
recover_percent = 101
budget = "half"

[percentiles]
samples = 1001

[optimizer]
schedule = "0 25 * * *"
apply = "yes"

[logs]
format = "xml"
max_file = "2GiB"

[shutdown]
grace = "30"
gracee = "30s"
"#;
    insta::assert_snapshot!(Folder::with(&[AGENT, ("werkpilot.toml", text)]).faults());
}

#[test]
fn what_is_wrong_with_overrides_is_told() {
    let overrides = Overrides {
        env: owned(&[("WERKPILOT_QUEUE_WORKERS", "four"), ("WERKPILOT_OPTIMIZER_APPLY", "maybe")]),
        cli: owned(&[("queue.worker", "4"), ("memory.critical_percent", "70")]),
        ..Overrides::default()
    };
    insta::assert_snapshot!(Folder::with(&[AGENT]).faults_with(&overrides));
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let faults = load_settings(Some(&PathBuf::from("nowhere/werkpilot.toml")), &Overrides::default()).unwrap_err();
    insta::assert_snapshot!(faults.render(false));
}

#[test]
fn agents_take_their_defaults_from_the_settings() {
    let folder = Folder::with(&[
        (
            "a.toml",
            "[[agent]]\nname = \"a\"\ncommand = [\"x\"]\nhealth = { tcp = \"a:1\" }\n[[agent]]\nname = \"b\"\ncommand = [\"x\"]\nschedule = \"@daily\"\n",
        ),
        ("werkpilot.toml", "[health]\ninterval = \"7s\"\ntimeout = \"2s\"\n[schedule]\ntimezone = \"Asia/Tokyo\"\n"),
    ]);
    let agents = folder.load().unwrap().registry.agents;
    let health = agents[0].service().unwrap().health.clone().unwrap();
    assert_eq!((health.interval.as_secs(), health.timeout.as_secs()), (7, 2));
    assert_eq!(agents[1].job().unwrap().triggers.timezone, "Asia/Tokyo");
}
