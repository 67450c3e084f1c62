//! What people read when something is wrong. The snapshots are the texts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use werkpilot_config::{Overrides, load};

use crate::support::{Folder, env, faults_of};

/// An agent with these lines added, a job that runs every minute.
fn job(lines: &str) -> String {
    faults_of(&format!("[[agent]]\nname = \"a\"\ncommand = [\"true\"]\nevery = \"1m\"\n{lines}\n"))
}

fn service(lines: &str) -> String {
    faults_of(&format!("[[agent]]\nname = \"a\"\ncommand = [\"true\"]\n{lines}\n"))
}

fn all(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().collect::<Vec<_>>().join("\n")
}

#[test]
fn everything_that_is_wrong_is_told_in_one_go() {
    let folder = Folder::with(&[
        (
            "10-sales.toml",
            r#"
[[agent]]
name = "agent-sales"
prioritty = 1
command = ["python3", "agents/sales.py"]
schedule = "*/5 * * * 9"
timezone = "Europe/Zürich"
dependencies = ["agent-analytic", "agent-db"]
retry = { max = -1, initial = "5 minutes" }

[[agent]]
name = "Agent Sales"
command = "python3 agents/sales.py"
shell = "python3 agents/sales.py | tee log"
priority = 7

[[agent]]
department = "sales"
"#,
        ),
        (
            "20-data.toml",
            r#"
[[agent]]
name = "agent-analytics"
command = ["sleep", "60"]
dependencies = ["agent-db"]

[[agent]]
name = "agent-db"
command = ["sleep", "60"]
dependencies = ["agent-analytics"]
timeout = "10s"

[[agent]]
name = "agent-sales"
command = ["true"]
every = "0s"
"#,
        ),
        ("30-broken.toml", "[[agent]]\nname = \"agent-late\"\ncommand = [\"true\"\n"),
        (
            "agent-registry.json",
            "[ { \"name\": \"agent-old\", \"file\": \"a.js\", \"prio\": 1 },\n  { \"name\": \"x\" } ]\n",
        ),
        ("departments.toml", "[department.sales]\nstrategy = \"all_for_one\"\n"),
        ("werkpilot.toml", "[queue]\nworkers = \"many\"\ncapacty = 5\n[memory]\nwarning_percent = 95\n"),
    ]);
    insta::assert_snapshot!(folder.faults_with(&env(&[("WERKPILOT_DASHBOARD_LISTEN", "localhost:3001")])));
}

#[test]
fn a_missing_program_or_name_is_told() {
    insta::assert_snapshot!(all([
        faults_of("[[agent]]\ncommand = [\"true\"]\n"),
        faults_of("[[agent]]\nname = \"a\"\n"),
        faults_of("[[agent]]\nname = \"a\"\ncommand = [\"true\"]\nshell = \"true\"\n"),
        faults_of("[[agent]]\nname = \"a\"\ncommand = \"sh -c 'x y'\"\n"),
        faults_of("[[agent]]\nname = \"a\"\ncommand = []\n"),
        faults_of("[[agent]]\nname = \"a\"\ncommand = [\"\", 5]\n"),
        faults_of("[[agent]]\nname = \"a\"\nshell = \" \"\ncwd = \"~/x\"\n"),
    ]));
}

#[test]
fn a_bad_name_comes_with_a_good_one() {
    let name = |name: &str| faults_of(&format!("[[agent]]\nname = {name}\ncommand = [\"true\"]\n"));
    insta::assert_snapshot!(all([
        name("\"Agent Sales\""),
        name("\"\""),
        name("7"),
        name("\"_x\""),
        name(&format!("\"{}\"", "a".repeat(64)))
    ]));
}

#[test]
fn a_name_that_is_taken_is_told_with_both_places() {
    let agent = "[[agent]]\nname = \"a\"\ncommand = [\"true\"]\n";
    let one_file = faults_of(&format!("{agent}\n{agent}"));
    let two_files = Folder::with(&[("a.toml", agent), ("b.toml", agent)]).faults();
    insta::assert_snapshot!(all([one_file, two_files]));
}

#[test]
fn references_to_nobody_to_oneself_and_twice_are_told() {
    let folder = Folder::with(&[(
        "a.toml",
        r#"
[[agent]]
name = "agent-sales"
command = ["true"]
after = "agent-sales"
dependencies = ["agent-sales", "agent-bd", "somebody", "agent-db", { agent = "agent-db", condition = "started" }]

[[agent]]
name = "agent-db"
command = ["true"]
dependencies = [{ condition = "started" }, { agent = "agent-sales", condition = "alive" }, 5]

[[agent]]
name = "agent-late"
command = ["true"]
after = "agent-db"
"#,
    )]);
    insta::assert_snapshot!(folder.faults());
}

#[test]
fn a_circle_is_told_with_its_path() {
    let agent = |name: &str, keys: &str| format!("[[agent]]\nname = \"{name}\"\ncommand = [\"true\"]\n{keys}\n");
    let two = [agent("a", "dependencies = [\"b\"]"), agent("b", "dependencies = [\"a\"]")].concat();
    let shared = [
        agent("a", "dependencies = [\"b\", \"c\"]"),
        agent("b", "dependencies = [\"a\"]"),
        agent("c", "dependencies = [\"d\"]"),
        agent("d", "dependencies = [\"a\"]"),
    ]
    .concat();
    let triggers = [agent("a", "after = \"b\""), agent("b", "after = \"a\"")].concat();
    let long: String =
        (0..30).map(|i| agent(&format!("n{i:02}"), &format!("dependencies = [\"n{:02}\"]", (i + 1) % 30))).collect();
    insta::assert_snapshot!(all([faults_of(&two), faults_of(&shared), faults_of(&triggers), faults_of(&long)]));
}

#[test]
fn bad_times_are_told() {
    insta::assert_snapshot!(all([
        service("schedule = \"* * *\""),
        service("schedule = \"61 * * * *\""),
        service("schedule = \"@often\""),
        service("schedule = \"0 0 30 2 *\""),
        service("schedule = 5"),
        service("schedule = \"@daily\"\ntimezone = \"Europe/Zurch\""),
        service("schedule = \"@daily\"\ntimezone = \"CEST\""),
        job("timeout = 90"),
        job("timeout = \"90\""),
        job("timeout = \"1.5h\""),
        job("timeout = \"0s\""),
        job("timeout = true"),
    ]));
}

#[test]
fn keys_without_meaning_are_told() {
    insta::assert_snapshot!(all([
        service("timeout = \"10s\""),
        service("kind = \"service\"\nevery = \"10s\"\nstartup = false"),
        job("restart = \"always\""),
        job("health = { tcp = \"127.0.0.1:80\" }"),
        job("instances = 2"),
        job("timezone = \"UTC\""),
        service("kind = \"job\"\njitter = \"5s\"\ncatch_up_window = \"2h\""),
        service("kind = \"deamon\""),
    ]));
}

#[test]
fn bad_values_of_an_agent_are_told() {
    insta::assert_snapshot!(all([
        service("priority = \"1\"\nlayer = -1\nenabled = \"yes\"\ndescription = 5\ndepartment = \"\""),
        service("success_codes = []\nmemory_max = \"10M\"\norphan_ttl = \"1 week\"\non_lost = \"retry\""),
        service("stop = { signal = \"SIGTREM\", timeout = \"10\", grace = \"1s\" }"),
        service("stop = { signal = 99 }"),
        service("user = \"no body\"\ngroup = -1\nnice = 20"),
        service("umask = 22"),
        service("umask = \"0999\""),
        service("limits = { nofiles = 10, core = -1, as = \"lots\", nproc = true }"),
        service("env = { \"1A\" = \"x\", B = 5, C = true }\nenv_inherit = [\"A-*\"]\nenv_file = \"\""),
        service("env = { A = \"x\" }\nsecrets = { A = \"secrets/a\" }"),
        service("env = [\"A=x\"]"),
        service("retry = { max = 2.5, factor = 0.5, jitter = 2, initial = \"10m\" }"),
        service("retry = 3"),
        job("overlap = \"queue\"\non_unhealthy_dependency = \"fail\""),
        job("subject = \"a..b\""),
    ]));
}

#[test]
fn bad_checks_are_told() {
    insta::assert_snapshot!(all([
        service("ready = { timeout = \"5s\" }"),
        service("ready = { notify = true, tcp = \"127.0.0.1:80\" }"),
        service("ready = { notify = false }"),
        service("ready = { http = \"https://localhost/\" }"),
        service("ready = { http = \"localhost:80\" }"),
        service("ready = { tcp = \"localhost\" }"),
        service("ready = { log = \"listening (on\" }"),
        service("ready = { after = \"1m\" }"),
        service("health = { exec = \"pg_isready\" }"),
        service("health = { intervall = \"5s\", http = \"http://localhost:99999/\", failures = 0 }"),
    ]));
}

#[test]
fn the_form_of_the_file_is_told() {
    insta::assert_snapshot!(all([
        faults_of("[agent]\nname = \"a\"\n"),
        faults_of("[[agents]]\nname = \"a\"\n"),
        faults_of("name = \"a\"\ncommand = [\"true\"]\n"),
        faults_of("[[agent]]\nname = \"a\"\nname = \"b\"\n"),
        faults_of("[[agent]\n"),
        faults_of("agent = 5\n"),
        faults_of("[department.sales]\nstrategie = \"one_for_all\"\n"),
        faults_of("# nothing\n"),
    ]));
}

#[test]
fn files_that_cannot_be_read_are_told_and_hide_no_others() {
    let folder = Folder::with(&[
        ("a.toml", ""),
        ("z.toml", "[[agent]]\nname = \"z\"\ncommand = [\"true\"]\ndependencies = [\"a\"]\n"),
    ]);
    fs::write(folder.path("a.toml"), b"# ok\n# caf\xe9\n").unwrap();
    fs::create_dir(folder.path("b.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path("c.toml")).unwrap();
    fs::write(folder.path(".hidden.toml"), "nonsense").unwrap();
    fs::write(folder.path("notes.txt"), "nonsense").unwrap();
    insta::assert_snapshot!(folder.faults());
}

#[test]
fn a_file_without_permission_is_told() {
    let folder = Folder::with(&[("a.toml", "")]);
    fs::set_permissions(folder.path("a.toml"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything; then the file is only empty.
    let root = fs::read(folder.path("a.toml")).is_ok();
    let expected = if root { "has no agents" } else { "let the user that runs werkpilot read it" };
    assert!(folder.faults().contains(expected));
}

#[test]
fn a_missing_or_empty_registry_says_how_to_begin() {
    let empty = Folder::with(&[]);
    let missing = load(Some(&empty.root().join("nowhere")), None, &Overrides::default()).unwrap_err();
    let beside = Folder::with(&[]);
    fs::write(beside.root().join("agent-registry.json"), "[]").unwrap();
    let old = load(Some(&beside.root().join("agents")), None, &Overrides::default()).unwrap_err();
    insta::assert_snapshot!(all(
        [empty.faults(), empty.tidy(&missing.render(false)), beside.tidy(&old.render(false)),]
    ));
}

#[test]
fn faults_are_machine_readable() {
    let folder = Folder::with(&[
        ("a.toml", "[[agent]]\nname = \"a\"\ncommand = [\"true\"]\npriorty = 1\n"),
        ("b.toml", "[[agent]]\nname = \"a\"\ncommand = [\"true\"]\n"),
    ]);
    let faults = folder.load().unwrap_err();
    insta::assert_snapshot!(folder.tidy(&serde_json::to_string_pretty(&faults).unwrap()));
    assert_eq!(faults.count(), 2);
    assert_eq!(folder.tidy(&faults.to_string()), "2 faults in 2 files");
    assert_eq!(
        folder.tidy(&faults.as_slice()[0].to_string()),
        "registry/a.toml:4:1: a.priorty: unknown key `priorty` (did you mean `priority`?)"
    );
}

#[test]
fn colour_is_given_on_request_only() {
    let folder = Folder::with(&[("a.toml", "x = 1\n")]);
    let faults = folder.load().unwrap_err();
    assert!(!faults.render(false).contains('\u{1b}'));
    assert!(faults.render(true).contains('\u{1b}'));
}

#[test]
fn a_file_cannot_talk_to_the_terminal() {
    let shown = faults_of("x = \"\u{1b}[2J\"\ny\u{1b} = 1\n");
    assert!(!shown.contains('\u{1b}') && shown.contains("x = \"?[2J\""), "{shown}");
}

#[test]
fn a_line_of_a_megabyte_is_not_printed() {
    let text = format!("[{{\"name\": \"a\", \"file\": \"{}\", \"prioty\": 1}}]", "x".repeat(1_000_000));
    let folder = Folder::with(&[("agent-registry.json", text.as_str())]);
    let shown = folder.faults();
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    assert!(shown.contains("agent-registry.json:1:1000028: a.prioty: unknown key"), "{shown}");
}

#[test]
fn no_fault_of_a_registry_shows_the_value_of_a_variable() {
    let broken = [
        "env = \"canary\"",
        "env = { A = 3, B = \"canary\" }",
        "env = { \"B=C\" = \"canary\" }",
        "env = { B = [\"canary\"] }",
        "enf = { B = \"canary\" }",
        "env = { B = \"canary\", B = \"canary\" }",
        "env = { B = \"canary\" ",
        "env = { B = \"canary }",
        "env.B = \"canary\" oops",
        "  env={B='canary'} oops",
        "[agent.env]\nB = \"canary\" oops",
        "env = {\n  B = \"\"\"\ncanary\"\"\",\n  C = = \"canary\"\n}",
        "name = \"twice\" env = { B = \"canary\" }",
    ];
    for lines in broken {
        let text = format!("[[agent]]\nname = \"a\"\nshell = \"true\"\n{lines}\n");
        let faults = Folder::with(&[("a.toml", &text)]).load().expect_err(lines);
        let shown =
            format!("{} {} {:?}", faults.render(true), serde_json::to_string(&faults).unwrap(), faults.as_slice());
        assert!(!shown.contains("canary"), "{lines}\n{shown}");
        assert!(shown.contains("a.toml"), "{shown}");
    }
    let json = "{ \"agents\": [\n{ \"name\": \"a\", \"env\": { \"B\": \"canary\" } oops }] }";
    let faults = Folder::with(&[("agent-registry.json", json)]).load().expect_err(json);
    assert!(!faults.render(true).contains("canary"), "{}", faults.render(false));
}
