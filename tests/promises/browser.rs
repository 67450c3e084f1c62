//! The dashboard, in a real Chromium against the real binary: tests/browser has what is played, and starts the orchestrator.
//!
//! A spec is a test here, so that a failure is named and none takes longer than a test may. Each fails on whatever a browser
//! complains about: a broken policy, an error on the console, an exception, a request to another host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use werkpilot_tests::nats::tool;
use werkpilot_tests::{MARK, built};

/// Each spec has a test of its name.
macro_rules! specs {
    ($($test:ident $spec:literal)*) => {
        $(
            #[test]
            fn $test() {
                play($spec);
            }
        )*

        const SPECS: &[&str] = &[$($spec),*];
    };
}

specs! {
    the_overview_says_what_needs_attention "overview"
    agents_are_listed_live_and_acted_upon "agents"
    an_agent_is_explained_with_all_that_belongs_to_it "agent"
    an_agent_fits_every_screen "agent-screens"
    a_login_comes_by_link_or_token "login"
    the_shell_has_a_palette_help_and_themes "shell"
    the_graph_tells_who_needs_whom_and_what_would_follow "graph"
    the_schedule_tells_what_is_due_and_what_would_happen_if "schedule"
    the_queue_tells_what_waits_and_why "queue"
    dead_letters_are_understood_replayed_and_discarded "dead-letters"
    the_bus_is_watched_and_asked "bus"
    memory_tells_how_short_it_is_and_what_happens_next "memory"
    events_and_executions_are_followed_and_found "events"
    the_audit_log_tells_who_changed_what "audit"
    settings_are_explained_reloaded_and_handed_out "settings"
    reports_are_read_and_decisions_undone "reports"
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Runs one spec, and shows what it said if it fails.
fn play(spec: &str) {
    let modules = tool("browser/node_modules");
    let run = Command::new("node")
        .arg(Path::new(&modules).join("@playwright/test/cli.js"))
        .args(["test", "-c", "playwright.config.js", &format!("specs/{spec}.spec.js")])
        .current_dir(folder())
        .env("NODE_PATH", &modules)
        .env("WERKPILOT_BIN", built("werkpilot"))
        .env("BROWSER_RUN", spec)
        .env(MARK, format!("browser-{spec}"))
        .output()
        .expect("node is installed");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains(" passed"), "{said}");
}

#[test]
fn every_spec_is_run() {
    let files = std::fs::read_dir(folder().join("specs")).expect("the specs are there");
    let there: BTreeSet<String> =
        files.map(|file| file.expect("its name").file_name().to_string_lossy().replace(".spec.js", "")).collect();
    assert_eq!(there, SPECS.iter().map(|spec| (*spec).to_owned()).collect());
}

#[test]
fn what_the_views_compute_is_right() {
    let folder = folder().join("unit");
    let run = Command::new("node").arg("--test").current_dir(&folder).output().expect("node is installed");
    assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}
