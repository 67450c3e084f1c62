//! The notifier in a running house: it may die at any time, and nothing that it was given is lost or told twice over.

mod common;

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use werkpilot_core::event::{TopicPattern, Weight};
use werkpilot_core::ids::AgentName;
use werkpilot_core::notifications::{Channel, Filter, NotifyTarget, Rate, WebhookUrl};
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Backoff, Program};
use werkpilot_runtime::observe::notifications::NotificationView;
use werkpilot_runtime::{ControlError, Handle, RunRequest};

use common::{patient, wait_for, with_kept_fleet};

fn target(name: &str, channel: Channel) -> NotifyTarget {
    let soon = Duration::from_millis(10);
    NotifyTarget {
        name: name.to_owned(),
        channel,
        cwd: "/".into(),
        filter: Filter {
            events: vec![TopicPattern::new("execution.succeeded").unwrap(), TopicPattern::new("system.>").unwrap()],
            agents: Vec::new(),
            departments: Vec::new(),
            min_weight: Weight::Detail,
        },
        rate: Rate { max: 1_000, per: Duration::from_mins(1) },
        secret_file: None,
        timeout: Duration::from_secs(5),
        retry: Backoff { max: 1_000, initial: soon, factor: 1.0, cap: soon, jitter: 0.0 },
        max_age: Duration::from_hours(1),
        queue: 1_000,
    }
}

fn job() -> AgentSpec {
    AgentSpec::job_named(AgentName::new("good").unwrap(), Program::Command(vec!["true".to_owned()]))
}

async fn run(handle: &Handle) {
    handle
        .run(RunRequest { agent: "good".to_owned(), payload: None, force: false, by: "test".to_owned() })
        .await
        .unwrap();
}

async fn shown(handle: &Handle, name: &str) -> NotificationView {
    let all = handle.notifications().await.unwrap();
    all.into_iter().find(|target| target.name == name).unwrap()
}

fn settings(targets: Vec<NotifyTarget>) -> Settings {
    Settings { notify: targets, ..patient() }
}

fn lines(folder: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_actor_may_die_and_everything_arrives_in_order() {
    let folder = TempDir::new().unwrap();
    let script = format!("echo \"$(cat)\" >> {}/told", folder.path().display());
    let hook = target("hook", Channel::Command(vec!["sh".to_owned(), "-c".to_owned(), script]));
    with_kept_fleet(vec![job()], settings(vec![hook]), |handle| async move {
        assert!(handle.booted().await);
        for number in 0..12 {
            run(&handle).await;
            if number % 4 == 1 {
                handle.crash_notifier();
            }
        }
        // Each death is an event that is told, too.
        wait_for("all of them", || async {
            lines(&folder).iter().filter(|line| line.contains("execution.succeeded")).count() >= 12
        })
        .await;
        wait_for("an empty queue", || async { shown(&handle, "hook").await.queued == 0 }).await;
        let told = lines(&folder);
        let ids = told.iter().map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["id"].as_str().unwrap().parse::<u64>().unwrap()
        });
        let mut ids: Vec<u64> = ids.collect();
        assert!(ids.is_sorted(), "{ids:?}");
        ids.dedup();
        let hook = shown(&handle, "hook").await;
        assert_eq!((hook.sent, hook.dropped), (u64::try_from(ids.len()).unwrap(), 0), "{hook:?}");
    });
}

#[test]
fn nobody_waits_for_an_endpoint_that_hangs() {
    with_silent_endpoint(|url, connected| {
        let silent = target("silent", Channel::Url(url));
        with_kept_fleet(vec![job()], settings(vec![silent]), |handle| async move {
            assert!(handle.booted().await);
            run(&handle).await;
            wait_for("a connection", || async { connected.load(Ordering::SeqCst) }).await;
            for _ in 0..20 {
                run(&handle).await;
            }
            wait_for("all to be queued", || async { shown(&handle, "silent").await.queued >= 21 }).await;
            let silent = shown(&handle, "silent").await;
            assert_eq!((silent.sent, silent.failed), (0, 0), "one is under way and has not failed yet");
        });
    });
}

/// Accepts, reads and says nothing.
fn with_silent_endpoint(test: impl FnOnce(WebhookUrl, Arc<AtomicBool>)) {
    let connected = Arc::new(AtomicBool::new(false));
    let (listener, seen) = (TcpListener::bind("127.0.0.1:0").unwrap(), connected.clone());
    let address = listener.local_addr().unwrap();
    let endpoint = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        seen.store(true, Ordering::SeqCst);
        let mut bytes = [0; 1_024];
        while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
    });
    test(WebhookUrl::parse(&format!("http://{address}/")).unwrap(), connected);
    endpoint.join().unwrap();
}

#[test]
fn a_test_of_nobody_says_who_may_be_meant() {
    let hook = target("ops", Channel::Command(vec!["true".to_owned()]));
    with_kept_fleet(vec![job()], settings(vec![hook]), |handle| async move {
        assert!(handle.booted().await);
        let unknown = handle.test_notifications(Some("opps"), "test").await;
        assert!(matches!(unknown, Err(ControlError::UnknownTarget { suggestion: Some(name), .. }) if name == "ops"));
        let results = handle.test_notifications(None, "test").await.unwrap();
        assert_eq!((results.len(), results[0].ok, results[0].status), (1, true, Some(0)));
    });
}
