//! `[[notify]]`: what it becomes, what is told when it is wrong, and that nothing secret is.

use std::time::Duration;

use werkpilot_config::{Loaded, Sources, settings_difference};
use werkpilot_core::event::Weight;
use werkpilot_core::notifications::{Channel, NotifyTarget, Rate};

use crate::support::Folder;

const AGENT: &str = "[[agent]]\nname = \"a\"\ncommand = [\"true\"]\n";

fn folder(settings: &str) -> Folder {
    Folder::with(&[("a.toml", AGENT), ("werkpilot.toml", settings)])
}

fn loaded(settings: &str) -> (Folder, Loaded) {
    let folder = folder(settings);
    let loaded = folder.load().unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    (folder, loaded)
}

fn faults(settings: &str) -> String {
    folder(settings).faults()
}

const FULL: &str = r#"
[[notify]]
name = "ops"
url = "https://canary1:canary2@hooks.example.org:8443/services/canary3?token=canary4#canary5"
events = ["agent.failed", "dlq.*", "memory.>"]
agents = ["agent-*"]
departments = ["sales", "data"]
min_weight = "warning"
rate = { max = 10, per = "1m" }
secret_file = "secrets/hook"
timeout = "5s"
retry = { max = 5, initial = "2s", cap = "1m" }
max_age = "2h"
queue = 50

[[notify]]
name = "page"
command = ["./page.sh", "--loud"]
events = [">"]
"#;

#[test]
fn a_target_is_read_with_its_defaults() {
    let (folder, loaded) = loaded(FULL);
    let [ops, page] = &loaded.settings.notify[..] else { panic!("{:?}", loaded.settings.notify) };
    let Channel::Url(url) = &ops.channel else { panic!("{ops:?}") };
    assert_eq!(
        (url.host(), url.port(), url.secret_path()),
        ("hooks.example.org", 8443, "/services/canary3?token=canary4")
    );
    assert_eq!(url.secret_credentials(), Some(("canary1", "canary2")));
    let names = |patterns: &[werkpilot_core::notifications::NamePattern]| {
        patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&ops.filter.agents), names(&ops.filter.departments)),
        (vec!["agent-*".into()], vec!["sales".into(), "data".into()])
    );
    assert_eq!((ops.filter.min_weight, ops.rate), (Weight::Warning, Rate { max: 10, per: Duration::from_mins(1) }));
    assert_eq!(ops.secret_file, Some(folder.root().join("secrets/hook")));
    assert_eq!((ops.timeout, ops.max_age, ops.queue), (Duration::from_secs(5), Duration::from_hours(2), 50));
    assert_eq!((ops.retry.max, ops.retry.initial, ops.retry.cap), (5, Duration::from_secs(2), Duration::from_mins(1)));

    assert_eq!(page.channel, Channel::Command(vec!["./page.sh".to_owned(), "--loud".to_owned()]));
    assert_eq!(
        (page.cwd.as_path(), &page.retry, page.rate),
        (folder.root(), &NotifyTarget::default_retry(), NotifyTarget::RATE)
    );
    assert_eq!(
        (page.timeout, page.max_age, page.queue),
        (NotifyTarget::TIMEOUT, NotifyTarget::MAX_AGE, NotifyTarget::QUEUE)
    );
    assert_eq!(page.retry.max, NotifyTarget::RETRIES);
}

fn sources(sources: &Sources, folder: &Folder) -> String {
    let rows = sources.0.iter().filter(|source| source.key.starts_with("notify."));
    let rows = rows.map(|source| folder.tidy(&format!("{} = {} ({})\n", source.key, source.value, source.origin)));
    rows.collect()
}

#[test]
fn the_settings_in_effect_show_targets_without_what_is_secret() {
    let (folder, loaded) = loaded(FULL);
    let shown = sources(&loaded.sources, &folder);
    insta::assert_snapshot!(shown);
    let everything = format!("{:?} {}", loaded.settings, serde_json::to_string(&loaded.settings).unwrap());
    assert!(!shown.contains("canary") && !everything.contains("canary"), "{everything}");
}

#[test]
fn what_is_wrong_with_a_target_is_told_in_one_go() {
    insta::assert_snapshot!(faults(
        r#"
[[notify]]
name = "ops"
url = "hooks.example.org/canary"
events = ["agents.failed", "agent.f*", "dlq.added", 5, "weather.bad"]
min_weight = "loud"
rate = "10/m"
timeout = "5m"
retry = { max = -1, initial = "10m" }
queue = 0
secret = "canary"

[[notify]]
name = "ops"
command = []
events = []
secret_file = "key"
max_age = "0s"

[[notify]]
name = "Ops Team"
url = "https://u:canary%4@h/"
command = ["x"]
rate = { max = 0, pre = "1m" }
agents = "agent-a"

[[notify]]
"#
    ));
}

#[test]
fn an_address_that_is_none_says_why_without_being_shown() {
    let urls =
        ["ftp://canary/", "https:///canary", "https://h:99999/canary", "https://h/a canary", "https://h,canary/"];
    let shown: Vec<String> = urls
        .iter()
        .map(|url| faults(&format!("[[notify]]\nname = \"ops\"\nevents = [\">\"]\nurl = \"{url}\"\n")))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert!(!shown.concat().contains("canary"));
}

#[test]
fn the_form_of_the_list_is_told() {
    insta::assert_snapshot!(
        [
            faults("[notify]\nname = \"ops\"\nurl = \"https://h/canary\"\n"),
            faults("notify = 5\n"),
            faults("notify = [{ name = \"ops\", url = \"https://h/canary\", events = [\"dlq.added\"], colour = \"canary\" }]\n"),
            faults("[[notfy]]\nname = \"ops\"\n"),
        ]
        .join("\n")
    );
}

#[test]
fn no_fault_anywhere_shows_a_secret() {
    let broken = [
        "[[notify]]\nname = \"ops\"\nurl = \"https://canary@h/canary\nevents = [\">\"]\n",
        "[[notify]]\nname = \"ops\"\nurl = \"https://canary@h/canary\"\nurl = \"https://h/canary\"\n",
        "[[notify]]\nsecret = \"canary\" oops\n",
        "[[notify]]\nname = \"ops\" url = 'https://h/canary'\n",
        "[[notify]]\nname = \"ops\"\nurl = 'https://canary:canary@h/canary?canary' # x\nevnts = []\nsecret = 'canary'\n",
        "[[notify]]\nname = \"ops\"\nurl = [\"https://h/canary\"]\nevents = [\">\"]\n",
        "notify = [{ name = \"Ops\", url = \"https://h/canary\", events = [\">\"] }]\n",
    ];
    for settings in broken {
        let faults = folder(settings).load().expect_err(settings);
        let shown =
            format!("{} {} {:?}", faults.render(true), serde_json::to_string(&faults).unwrap(), faults.as_slice());
        assert!(!shown.contains("canary"), "{settings}\n{shown}");
    }
}

#[test]
fn a_password_that_goes_unencrypted_is_worth_a_notice() {
    let notices = |url: &str| {
        let (_, loaded) = loaded(&format!("[[notify]]\nname = \"ops\"\nevents = [\">\"]\nurl = \"{url}\"\n"));
        loaded.notices.iter().map(ToString::to_string).collect::<String>()
    };
    let told = notices("http://u:canary@hooks.example.org/");
    assert!(
        told.contains("notify.ops.url: sends its user and password unencrypted") && !told.contains("canary"),
        "{told}"
    );
    assert_eq!(notices("http://u:p@127.0.0.1/") + &notices("https://u:p@h/") + &notices("http://h/"), "");
}

#[test]
fn a_changed_secret_part_is_a_change_that_is_not_shown() {
    let settings = |token: &str| {
        let text = format!("[[notify]]\nname = \"ops\"\nevents = [\">\"]\nurl = \"https://h/canary{token}\"\n");
        loaded(&text).1.settings
    };
    let (old, mut new) = (settings("1"), settings("2"));
    new.state.dir.clone_from(&old.state.dir);
    new.notify[0].cwd.clone_from(&old.notify[0].cwd);
    let changes = settings_difference(&old, &new);
    assert_eq!(changes.iter().map(|change| change.key).collect::<Vec<_>>(), ["notify"]);
    assert!(!serde_json::to_string(&changes).unwrap().contains("canary"));
}
