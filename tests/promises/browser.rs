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
    a_login_comes_by_link_or_token "login"
    the_shell_has_a_palette_help_and_themes "shell"
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
