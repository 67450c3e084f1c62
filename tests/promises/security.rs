//! Tokens and logins: made with the command line, good over TCP, kept over a crash, and nowhere to be read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use werkpilot_tests::{Answer, Werkpilot, wait_for, wait_until};

const REGISTRY: &str = "[[agent]]\nname = \"service\"\nshell = \"exec sleep 1000\"\n";

fn fleet() -> Werkpilot {
    Werkpilot::start(&[("fleet.toml", REGISTRY)], "[dashboard]\nhosts = [\"ops.example.org\"]\n")
}

fn with(fleet: &Werkpilot, token: &str, method: &str, path: &str) -> Answer {
    fleet.tcp(method, path, &[("Authorization", &format!("Bearer {token}"))])
}

/// Makes a token with the command line.
fn token(fleet: &Werkpilot, name: &str, role: &str) -> String {
    let made = fleet.cli(&["token", "create", name, "--role", role]).expect(0);
    let token = made.out.trim().to_owned();
    assert!(token.starts_with("wp_") && token.len() == 46, "the token alone: {}", made.out);
    token
}

fn admin_token(fleet: &Werkpilot) -> String {
    let file = fleet.dir().join("state/admin.token");
    wait_until("the admin token", || file.exists());
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    fs::read_to_string(file).unwrap().trim().to_owned()
}

/// The files below a folder that have this text in them.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn tokens_outlive_a_crash_and_revoked_ones_stay_revoked() {
    let mut fleet = fleet();
    let admin = admin_token(&fleet);
    let (viewer, operator) = (token(&fleet, "grafana", "viewer"), token(&fleet, "ci", "operator"));
    let gone = token(&fleet, "gone", "admin");
    let gone_until = fleet.cli(&["token", "revoke", "gone"]).expect(0);
    assert!(gone_until.out.contains("revoked gone (admin)"), "{}", gone_until.out);
    let check = |fleet: &Werkpilot| {
        with(fleet, &viewer, "GET", "/api/v1/events").expect(200);
        with(fleet, &viewer, "POST", "/api/v1/pause").expect(403);
        with(fleet, &operator, "POST", "/api/v1/pause").expect(200);
        with(fleet, &operator, "GET", "/api/v1/tokens").expect(403);
        with(fleet, &admin, "GET", "/api/v1/tokens").expect(200);
        with(fleet, &gone, "GET", "/api/v1/events").expect(401);
        assert_eq!(fleet.tcp("GET", "/metrics", &[]).status, 200, "the overview is for everybody here");
        fleet.tcp("GET", "/api/v1/events", &[]).expect(401);
        fleet.tcp("GET", "/metrics", &[("Host", "ops.example.org")]).expect(401);
        fleet.tcp("GET", "/metrics", &[("Host", "evil.example")]).expect(421);
    };
    check(&fleet);
    fleet.kill_and_restart();
    assert_eq!(admin_token(&fleet), admin, "it is made once");
    check(&fleet);
    fleet.cli(&["token", "revoke", "admin"]).expect(0);
    fleet.kill_and_restart();
    with(&fleet, &admin, "GET", "/api/v1/tokens").expect(401);
    let list = fleet.cli(&["token", "list", "--json"]).expect(0).json();
    let names: Vec<(&Value, bool)> =
        list["tokens"].as_array().unwrap().iter().map(|token| (&token["name"], token["revokedAt"].is_null())).collect();
    let expected = [("ci", true), ("grafana", true), ("admin", false), ("gone", false)];
    assert_eq!(names.iter().map(|(name, good)| (name.as_str().unwrap(), *good)).collect::<Vec<_>>(), expected);
    let table = fleet.cli(&["token", "list"]).expect(0).out;
    assert!(table.contains("grafana") && !table.contains("wp_"), "{table}");
}

#[test]
fn a_token_that_can_not_be_made_says_why() {
    let fleet = fleet();
    token(&fleet, "ci", "viewer");
    let twice = fleet.cli(&["token", "create", "ci", "--role", "viewer"]).expect(75);
    assert!(
        twice.err.contains("there is a token of the name ci already") && twice.err.contains("revoke"),
        "{}",
        twice.err
    );
    let name = fleet.cli(&["token", "create", "a b", "--role", "viewer"]).expect(64);
    assert!(name.err.contains("letters, digits"), "{}", name.err);
    let role = fleet.cli(&["token", "create", "x", "--role", "root"]).expect(64);
    assert!(role.err.contains("viewer, operator and admin"), "{}", role.err);
    fleet.cli(&["token", "revoke", "nobody"]).expect(66);
}

#[test]
fn a_login_link_opens_one_session_in_a_browser() {
    let fleet = fleet();
    let link = fleet.cli(&["login", "--role", "operator"]).expect(0).out;
    let start = format!("http://{}/#login=", fleet.address());
    let code = link.trim().strip_prefix(&start).unwrap_or_else(|| panic!("{link} does not begin with {start}"));
    let shown = json!({ "code": code });
    let answer = fleet.tcp_with("POST", "/api/v1/session", &[], Some(&shown)).expect(200);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let csrf = answer.json()["csrf"].as_str().unwrap().to_owned();
    fleet.tcp("POST", "/api/v1/pause", &[("Cookie", &cookie)]).expect(403);
    fleet.tcp("POST", "/api/v1/pause", &[("Cookie", &cookie), ("Werkpilot-Csrf", &csrf)]).expect(200);
    fleet.tcp("POST", "/api/v1/shutdown", &[("Cookie", &cookie), ("Werkpilot-Csrf", &csrf)]).expect(403);
    fleet.tcp_with("POST", "/api/v1/session", &[], Some(&shown)).expect(401);
    // No code is made over TCP, not even for an admin.
    with(&fleet, &admin_token(&fleet), "POST", "/api/v1/login-codes").expect(403);
}

#[test]
fn the_start_shows_a_login_link_on_a_terminal() {
    let mut fleet = fleet();
    fleet.terminate();
    let up = fleet.cli_command(&["up", "--set", "dashboard.listen=127.0.0.1:0", "--set", "bus.listen=127.0.0.1:0"]);
    let words = std::iter::once(up.get_program()).chain(up.get_args()).map(|word| word.to_str().unwrap());
    let typed = words.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qfec", &typed, "/dev/null"]).current_dir(up.get_current_dir().unwrap());
    script.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let seen = fs::File::create(fleet.dir().join("terminal")).unwrap();
    let mut terminal = script.stdin(Stdio::null()).stdout(seen).stderr(Stdio::null()).spawn().unwrap();
    let link = wait_for("a link on the terminal", Duration::from_secs(20), || {
        let text = fs::read_to_string(fleet.dir().join("terminal")).unwrap();
        text.lines().find_map(|line| line.split_once("log in").map(|(_, link)| link.trim().to_owned()))
    });
    wait_until("the address", || fleet.dir().join("state/address").exists());
    let (url, code) = link.split_once("#login=").unwrap();
    assert_eq!(url, format!("http://{}/", fleet.address()));
    let session = fleet.tcp_with("POST", "/api/v1/session", &[], Some(&json!({ "code": code }))).expect(200);
    assert_eq!(session.json()["role"], "admin");
    fleet.cli(&["down"]).expect(0);
    terminal.wait().unwrap();
    assert_eq!(files_with(&fleet.dir().join("state"), code), Vec::<String>::new(), "not into the log");
}

#[test]
fn no_secret_is_in_the_log_nor_in_the_state() {
    let mut fleet = fleet();
    let admin = admin_token(&fleet);
    let ci = token(&fleet, "ci", "operator");
    let link = fleet.cli(&["login"]).expect(0).out;
    let code = link.trim().split("#login=").nth(1).unwrap().to_owned();
    let session = fleet.tcp_with("POST", "/api/v1/session", &[], Some(&json!({ "code": code }))).expect(200);
    let cookie = session.header("set-cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    with(&fleet, &ci, "POST", "/api/v1/agents/service/restart").expect(200);
    let wrong = format!("wp_{}", "x".repeat(43));
    with(&fleet, &wrong, "GET", "/metrics").expect(401);
    fleet.tcp_with("POST", "/api/v1/session", &[], Some(&json!({ "token": wrong }))).expect(401);
    fleet.tcp("GET", &format!("/metrics?token={ci}"), &[]).expect(400);
    fleet.tcp("POST", &format!("/api/v1/agents/{ci}/start"), &[]).expect(400);
    fleet.request("POST", &format!("/api/v1/agents/x/start?y={ci}"), None).expect(400);
    fleet.wait_for_log("A login from 127.0.0.1 failed");
    fleet.cli(&["token", "revoke", "ci"]).expect(0);
    with(&fleet, &ci, "GET", "/metrics").expect(401);
    fleet.terminate();
    assert!(!fleet.log_text().contains("login="), "the link of the start is for terminals");
    let state = fleet.dir().join("state");
    for secret in [&ci, &code, &cookie, &wrong] {
        assert!(!fleet.log_text().contains(secret.as_str()));
        assert_eq!(files_with(&state, secret), Vec::<String>::new());
    }
    let files = files_with(&state, &admin);
    assert!(files.len() == 1 && files[0].ends_with("admin.token"), "{files:?}");
}
