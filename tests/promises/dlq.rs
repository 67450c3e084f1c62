//! The dead-letter desk: letters outlive the orchestrator, are replayed once at a time, and never vanish in silence.

use serde_json::{Value, json};
use werkpilot_tests::{PATIENCE, Setup, Werkpilot, wait_for, wait_until};

/// Fails unless a file is there; says on stdout what it got, and writes it down.
const MENDABLE: &str = "[[agent]]\nname = \"orders\"\nkind = \"job\"\nretry = { max = 0 }\n\
                        shell = \"p=$(cat); echo \\\"got $p\\\"; echo $p >> tried; [ -e mended ]\"\n";
const MANY: &str = "[breaker]\ndead_letters = 1000\n";

fn run_with(fleet: &Werkpilot, agent: &str, payload: &str) -> String {
    let path = format!("/api/v1/agents/{agent}/trigger");
    let answer = fleet.request("POST", &path, Some(&json!({ "payload": payload }))).expect(202).json();
    answer["runId"].as_str().expect("a run id").to_owned()
}

/// Makes a dead letter of each of these payloads, in this order.
fn letters_of(fleet: &Werkpilot, agent: &str, payloads: &[&str]) {
    let before = total(fleet);
    for (number, payload) in (1..).zip(payloads) {
        run_with(fleet, agent, payload);
        wait_until("the dead letter", || total(fleet) == before + number);
    }
}

fn total(fleet: &Werkpilot) -> u64 {
    list(fleet, "")["total"].as_u64().expect("a number")
}

fn list(fleet: &Werkpilot, query: &str) -> Value {
    fleet.get(&format!("/api/v1/dead-letters{query}"))
}

fn ids(fleet: &Werkpilot, query: &str) -> Vec<u64> {
    let list = list(fleet, query);
    list["deadLetters"].as_array().into_iter().flatten().filter_map(|letter| letter["id"].as_u64()).collect()
}

fn letter(fleet: &Werkpilot, id: u64) -> Value {
    fleet.get(&format!("/api/v1/dead-letters/{id}"))
}

fn wait_for_state(fleet: &Werkpilot, id: u64, state: &str) -> Value {
    wait_for(&format!("letter {id} is {state}"), PATIENCE, || {
        Some(letter(fleet, id)).filter(|letter| letter["state"] == state)
    })
}

fn post(fleet: &Werkpilot, path: &str, body: &Value) -> (u16, Value) {
    let answer = fleet.request("POST", &format!("/api/v1/dead-letters/{path}"), Some(body));
    (answer.status, answer.json())
}

#[test]
fn a_letter_has_its_whole_case_and_outlives_the_orchestrator() {
    let registry = format!(
        "{MENDABLE}department = \"sales\"\n[[agent]]\nname = \"db\"\ncommand = [\"sleep\", \"1000\"]\nready = {{ after = \"10ms\" }}\n"
    )
    .replace("kind = \"job\"\n", "kind = \"job\"\ndependencies = [\"db\"]\n")
    .replace("max = 0", "max = 1, initial = \"10ms\"");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], MANY);
    let run = run_with(&fleet, "orders", "order 17");
    wait_until("the dead letter", || total(&fleet) == 1);
    let before = letter(&fleet, 1);
    assert_eq!(before["agentName"], "orders");
    assert_eq!(before["runId"], run);
    assert_eq!((&before["restartCount"], &before["state"]), (&json!(2), &json!("open")));
    let data = &before["executionData"];
    assert_eq!((&data["payload"], &data["trigger"]["kind"]), (&json!("order 17"), &json!("manual")));
    assert_eq!(data["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(data["dependencies"], json!([{ "agent": "db", "status": "running" }]));
    assert!(data["logTail"].to_string().contains("got order 17"), "{data}");
    // Neither a crash nor a shutdown changes anything of it.
    fleet.kill_and_restart();
    assert_eq!(letter(&fleet, 1), before);
    fleet.restart();
    assert_eq!(letter(&fleet, 1), before);
    assert_eq!((total(&fleet), fleet.metrics()["system"]["deadLetterQueueSize"].as_u64()), (1, Some(1)));
    let shown = fleet.cli(&["dlq", "show", "1"]).expect(0).out;
    assert!(shown.contains("order 17") && shown.contains("open"), "{shown}");
}

#[test]
fn a_replay_knows_its_origin_never_makes_a_second_letter_and_is_counted_across_restarts() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", MENDABLE)], MANY);
    letters_of(&fleet, "orders", &["one"]);
    let answer = fleet.cli(&["dlq", "replay", "1", "--json"]).expect(0).json();
    let run = answer["runId"].as_str().expect("a run id").to_owned();
    let end = fleet.end_of(&run);
    assert_eq!((&end["end"], &end["trigger"]), (&json!("failed"), &json!({ "kind": "replay", "dead_letter": 1 })));
    let open = wait_for_state(&fleet, 1, "open");
    assert_eq!((&open["replays"], &open["replayRun"]), (&json!(1), &json!(run)));
    assert_eq!(total(&fleet), 1, "no second letter");
    fleet.kill_and_restart();
    assert_eq!(letter(&fleet, 1)["replays"], 1);
    fleet.touch("mended");
    fleet.cli(&["dlq", "replay", "1"]).expect(0);
    let replayed = wait_for_state(&fleet, 1, "replayed");
    assert_eq!(replayed["replays"], 2);
    assert_eq!(fleet.read("tried"), "one\none\none\n");
    // What was replayed with success is replayed again on explicit demand only.
    let (status, problem) = post(&fleet, "1/replay", &json!({}));
    assert_eq!((status, &problem["detail"]), (409, &json!("dead letter 1 was replayed with success already")));
    fleet.cli(&["dlq", "replay", "1"]).expect(75);
    fleet.cli(&["dlq", "replay", "1", "--force"]).expect(0);
    wait_until("it was tried again", || fleet.read("tried").lines().count() == 4);
    fleet.cli(&["dlq", "replay", "99"]).expect(66);
}

#[test]
fn a_letter_that_is_being_replayed_is_in_nobody_elses_hands() {
    let registry = "[[agent]]\nname = \"slow\"\nkind = \"job\"\nretry = { max = 0 }\n\
                    shell = \"[ -e first ] || { touch first; exit 1; }; while [ ! -e go ]; do sleep 0.02; done\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], MANY);
    letters_of(&fleet, "slow", &["x"]);
    let (status, answer) = post(&fleet, "1/replay", &json!({}));
    assert_eq!(status, 202, "{answer}");
    for (path, body) in
        [("1/replay", json!({ "force": true })), ("1/edit", json!({ "payload": "y" })), ("1/discard", json!({}))]
    {
        let (status, problem) = post(&fleet, path, &body);
        assert_eq!(status, 409, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("is being replayed as"), "{problem}");
    }
    let (_, passed_over) = post(&fleet, "discard", &json!({ "all": true }));
    assert_eq!(passed_over, json!({ "discarded": 0, "passedOver": 1 }));
    // Cut off by a crash, it is open again; its replay is not counted as a kill, and it does not run by itself.
    wait_until("it runs", || !fleet.pids("slow").is_empty());
    fleet.kill_and_restart();
    let open = wait_for_state(&fleet, 1, "open");
    assert_eq!((&open["replays"], &open["kills"]), (&json!(1), &json!(0)));
    fleet.touch("go");
    fleet.cli(&["dlq", "replay", "1"]).expect(0);
    wait_for_state(&fleet, 1, "replayed");
}

#[test]
fn a_replay_that_waits_in_the_queue_at_a_shutdown_comes_after_the_next_start() {
    let registry = format!(
        "{MENDABLE}[[agent]]\nname = \"hog\"\nkind = \"job\"\nshell = \"while [ ! -e go ]; do sleep 0.02; done\"\n"
    );
    let config = format!("{MANY}[queue]\nworkers = 1\n[shutdown]\ngrace = \"1s\"\n");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], &config);
    letters_of(&fleet, "orders", &["one"]);
    fleet.trigger("hog");
    wait_until("the only worker is busy", || !fleet.pids("hog").is_empty());
    fleet.cli(&["dlq", "replay", "1"]).expect(0);
    fleet.touch("mended");
    fleet.restart();
    let replayed = wait_for_state(&fleet, 1, "replayed");
    assert_eq!(fleet.read("tried"), "one\none\n", "{replayed}");
}

#[test]
fn a_payload_that_kills_its_agent_three_times_is_parked_until_it_is_edited() {
    let registry = "[[agent]]\nname = \"parser\"\nkind = \"job\"\nretry = { max = 0 }\n\
                    shell = \"p=$(cat); [ $p = good ] && exit 0; [ $p = poison ] && kill -SEGV $$; exit 1\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], MANY);
    letters_of(&fleet, "parser", &["poison", "merely-bad"]);
    for kills in 1..=3 {
        fleet.cli(&["dlq", "replay", "1"]).expect(0);
        let state = if kills < 3 { "open" } else { "parked" };
        wait_until("the replay is counted", || {
            letter(&fleet, 1)["kills"] == kills && letter(&fleet, 1)["state"] == state
        });
        fleet.cli(&["dlq", "replay", "2"]).expect(0);
        wait_until("the other one failed", || {
            letter(&fleet, 2)["replays"] == kills && letter(&fleet, 2)["state"] == "open"
        });
    }
    assert_eq!(letter(&fleet, 2)["kills"], 0, "an exit code kills nobody");
    let parked = fleet.wait_for_event("parser", "dlq.parked");
    assert_eq!(parked, json!({ "id": 1, "agent": "parser", "kills": 3 }));
    fleet.kill_and_restart();
    let (status, problem) = post(&fleet, "1/replay", &json!({}));
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["detail"], "dead letter 1 is parked: its payload killed its agent 3 times");
    let outcome = fleet.cli(&["dlq", "edit", "1", "--payload", "good", "--replay"]).expect(0);
    assert!(outcome.out.contains("another payload"), "{}", outcome.out);
    let replayed = wait_for_state(&fleet, 1, "replayed");
    assert_eq!((&replayed["kills"], &replayed["executionData"]["payload"]), (&json!(0), &json!("good")));
}

#[test]
fn a_set_is_replayed_in_order_at_its_rate_until_too_many_fail() {
    let registry = "[[agent]]\nname = \"orders\"\nkind = \"job\"\noverlap = \"queue_all\"\nretry = { max = 0 }\n\
                    shell = \"p=$(cat); echo $p >> tried; case $p in bad*) exit 1;; esac; [ -e mended ]\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], MANY);
    letters_of(&fleet, "orders", &["a", "b", "bad-1", "c", "bad-2", "d", "e"]);
    fleet.touch("mended");
    fleet.write("registry/tried", "");
    let dry = fleet.cli(&["dlq", "replay", "--agent", "orders", "--dry-run"]).expect(0).out;
    assert_eq!(dry.trim(), "7 dead letters would be replayed: 1 2 3 4 5 6 7");
    let begun = std::time::Instant::now();
    let outcome = fleet.cli(&["dlq", "replay", "--agent", "orders", "--rate", "10/s", "--stop-after", "2"]).expect(1);
    let took = begun.elapsed();
    assert_eq!(outcome.out.trim(), "replay 1: 7 dead letters, 3 succeeded, 2 failed, 2 left; stopped, too many failed");
    assert!(took.as_millis() >= 400, "five begins at 10/s took {took:?}");
    assert_eq!(fleet.read("tried"), "a\nb\nbad-1\nc\nbad-2\n");
    assert_eq!(ids(&fleet, "?state=open"), [3, 5, 6, 7]);
    // By text, in the payloads, which are on disk only.
    assert_eq!(ids(&fleet, "?text=BAD-"), [3, 5]);
    let text = fleet.cli(&["dlq", "replay", "--text", "bad-", "--rate", "1000/s", "--stop-after", "0"]).expect(1).out;
    assert_eq!(text.trim(), "replay 2: 2 dead letters, 2 failed");
    fleet.cli(&["dlq", "replay"]).expect(64);
    let rest =
        fleet.cli(&["dlq", "replay", "--all", "--rate", "1000/s", "--stop-after", "0", "--json"]).expect(1).json();
    assert_eq!((&rest["total"], &rest["succeeded"], &rest["failed"]), (&json!(4), &json!(2), &json!(2)));
    assert_eq!(ids(&fleet, "?state=replayed"), [1, 2, 4, 6, 7]);
    let all = fleet.cli(&["dlq", "replays", "--json"]).expect(0).json();
    assert_eq!(all["replays"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_replay_of_a_set_can_be_cancelled() {
    let fleet = Werkpilot::start(&[("fleet.toml", MENDABLE)], MANY);
    letters_of(&fleet, "orders", &["a", "b", "c"]);
    fleet.touch("mended");
    let (status, view) = post(&fleet, "replay", &json!({ "filter": { "agent": "orders" }, "rate": 0.01 }));
    assert_eq!((status, &view["total"]), (202, &json!(3)));
    wait_for_state(&fleet, 1, "replayed");
    let outcome = fleet.cli(&["dlq", "replays", "1", "--cancel"]).expect(0).out;
    assert_eq!(outcome.trim(), "replay 1: 3 dead letters, 1 succeeded, 2 left; cancelled");
    assert_eq!(fleet.request("GET", "/api/v1/dead-letters/replay/1", None).json()["over"], true);
    assert_eq!(fleet.request("GET", "/api/v1/dead-letters/replay/9", None).status, 404);
    assert_eq!(post(&fleet, "replay", &json!({})).0, 422, "an empty filter is a mistake");
}

#[test]
fn letters_wait_for_an_agent_to_be_healthy_across_a_restart() {
    let db = "[[agent]]\nname = \"db\"\nshell = \"while [ ! -e mended ]; do sleep 0.02; done; echo up; exec sleep 1000\"\n\
              ready = { log = \"^up\", timeout = \"1h\" }\n";
    let mut fleet = Werkpilot::start(
        &[("fleet.toml", &format!("{MENDABLE}{db}"))],
        &format!("{MANY}[boot]\nlayer_timeout = \"1s\"\n"),
    );
    letters_of(&fleet, "orders", &["a", "b"]);
    let said = fleet.cli(&["dlq", "replay", "--agent", "orders", "--when-healthy", "db"]).expect(0).out;
    assert_eq!(said.trim(), "2 dead letters will be replayed once db is healthy");
    assert_eq!(letter(&fleet, 2)["waitsFor"], "db");
    fleet.cli(&["dlq", "replay", "2", "--stop-waiting"]).expect(0);
    assert_eq!(letter(&fleet, 2)["state"], "open");
    fleet.cli(&["dlq", "replay", "1", "--when-healthy", "nobody"]).expect(66);
    fleet.kill_and_restart();
    assert_eq!((&letter(&fleet, 1)["state"], &letter(&fleet, 1)["waitsFor"]), (&json!("waiting"), &json!("db")));
    fleet.touch("mended");
    wait_for_state(&fleet, 1, "replayed");
    assert_eq!(letter(&fleet, 2)["state"], "open");
}

#[test]
fn letters_are_thrown_away_by_number_and_by_filter_and_that_is_told() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", MENDABLE)], MANY);
    letters_of(&fleet, "orders", &["a", "b", "c", "d"]);
    fleet.cli(&["dlq", "discard", "2"]).expect(0);
    fleet.cli(&["dlq", "discard", "2"]).expect(66);
    fleet.cli(&["dlq", "discard"]).expect(64);
    let out = fleet.cli(&["dlq", "discard", "--text", "got d"]).expect(0).out;
    assert_eq!(out.trim(), "1 dead letter thrown away");
    assert_eq!(ids(&fleet, ""), [1, 3]);
    let told: Vec<Value> =
        fleet.events_of("orders", "dlq.discarded").into_iter().map(|data| data["id"].clone()).collect();
    assert_eq!(told, [2, 4]);
    fleet.kill_and_restart();
    assert_eq!(ids(&fleet, ""), [1, 3]);
    letters_of(&fleet, "orders", &["e"]);
    assert_eq!(ids(&fleet, ""), [1, 3, 5], "a number is never used twice");
    fleet.cli(&["dlq", "discard", "--all"]).expect(0);
    assert_eq!(ids(&fleet, ""), [0; 0]);
}

#[test]
fn what_gives_way_by_count_or_age_is_counted_and_told() {
    let config = format!("{MANY}[dead_letters]\ncapacity = 3\n");
    let mut fleet = Werkpilot::start(&[("fleet.toml", MENDABLE)], &config);
    letters_of(&fleet, "orders", &["a", "b", "c", "d", "e"]);
    wait_until("the oldest gave way", || ids(&fleet, "") == [3, 4, 5]);
    let evicted = |fleet: &Werkpilot| list(fleet, "")["evicted"].as_u64().expect("a number");
    assert_eq!(evicted(&fleet), 2);
    fleet.restart();
    assert_eq!((ids(&fleet, ""), evicted(&fleet), total(&fleet)), (vec![3, 4, 5], 2, 5));
    // Thresholds are turned while it runs.
    fleet.write("werkpilot.toml", &format!("{MANY}[dead_letters]\ncapacity = 3\nmax_age = \"1s\"\n"));
    fleet.cli(&["reload"]).expect(0);
    wait_until("they are too old", || ids(&fleet, "").is_empty());
    assert_eq!(evicted(&fleet), 5);
    let told = fleet.events_of("orders", "dlq.discarded");
    assert!(told.iter().all(|data| data["evicted"] == true), "{told:?}");
    fleet.kill_and_restart();
    assert_eq!((ids(&fleet, "").len(), evicted(&fleet), total(&fleet)), (0, 5, 5));
}

#[test]
fn errors_that_are_the_same_are_one_group() {
    let registry = ["a", "b"].map(|name| {
        format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\nretry = {{ max = 0 }}\nshell = \"exit $(cat)\"\n")
    });
    let fleet = Werkpilot::start(&[("fleet.toml", &registry.concat())], MANY);
    letters_of(&fleet, "a", &["3", "4"]);
    letters_of(&fleet, "b", &["5"]);
    let groups = fleet.cli(&["dlq", "groups", "--json"]).expect(0).json();
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups}");
    assert_eq!((&groups[0]["count"], &groups[0]["agents"]), (&json!(3), &json!(["a", "b"])));
    let signature = groups[0]["signature"].as_str().expect("a text");
    let same = fleet.cli(&["dlq", "list", "--signature", signature, "--json"]).expect(0).json();
    assert_eq!(same["matching"], 3);
    let page = list(&fleet, "?limit=2");
    assert_eq!((ids(&fleet, "?limit=2"), &page["next"], &page["matching"]), (vec![2, 3], &json!(2), &json!(3)));
    assert_eq!(ids(&fleet, "?limit=2&before=2"), [1]);
    assert_eq!(fleet.request("GET", "/api/v1/dead-letters?state=lost", None).status, 400);
}

#[test]
fn a_replay_of_an_agent_that_takes_nothing_is_refused_and_its_letter_stays_open() {
    let fleet = Werkpilot::start(&[("fleet.toml", MENDABLE)], MANY);
    letters_of(&fleet, "orders", &["a"]);
    fleet.cli(&["disable", "orders"]).expect(0);
    let outcome = fleet.cli(&["dlq", "replay", "1"]).expect(75);
    let told = "dead letter 1 can't be replayed now, the queue did not take it: asked for by cli:tester";
    assert!(outcome.err.contains(told), "{}", outcome.err);
    wait_for_state(&fleet, 1, "open");
    fleet.cli(&["enable", "orders"]).expect(0);
    fleet.touch("mended");
    fleet.cli(&["dlq", "replay", "1"]).expect(0);
    wait_for_state(&fleet, 1, "replayed");
}

/// Nothing gets larger from now on, as on a full disk; or everything may again.
fn limit_files(fleet: &Werkpilot, is_full: bool) {
    let limit = if is_full { "0:" } else { "unlimited:" };
    let arguments = [format!("--pid={}", fleet.pid()), format!("--fsize={limit}")];
    let status = std::process::Command::new("prlimit").args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit");
}

#[test]
fn a_full_disk_refuses_what_is_done_about_letters_and_takes_new_ones_in_when_it_is_back() {
    let mut fleet = Setup::new(&[("fleet.toml", MENDABLE)], MANY).survive_file_size_limit().start();
    letters_of(&fleet, "orders", &["a", "b"]);
    let failing = fleet.trigger("orders");
    fleet.end_of(&failing);
    wait_until("the third letter", || total(&fleet) == 3);
    limit_files(&fleet, true);
    for (path, body) in [("1/replay", json!({})), ("1/edit", json!({ "payload": "x" })), ("2/discard", json!({}))] {
        let (status, problem) = post(&fleet, path, &body);
        assert_eq!((status, &problem["type"]), (503, &json!("urn:werkpilot:not-kept")), "{path}: {problem}");
    }
    assert_eq!(ids(&fleet, "?state=open"), [1, 2, 3], "nothing of it is done");
    limit_files(&fleet, false);
    let (status, _) = wait_for("the disk is back", PATIENCE, || {
        Some(post(&fleet, "2/discard", &json!({}))).filter(|(status, _)| *status != 503)
    });
    assert_eq!(status, 200);
    fleet.kill_and_restart();
    assert_eq!(ids(&fleet, "?state=open"), [1, 3]);
    assert_eq!(letter(&fleet, 1)["executionData"]["payload"], "a");
}

#[test]
fn a_letter_that_a_full_disk_does_not_take_waits_and_is_there_when_it_is_back() {
    let registry = "[[agent]]\nname = \"orders\"\nkind = \"job\"\nretry = { max = 0 }\n\
                    shell = \"while [ ! -e fail ]; do sleep 0.02; done; exit 1\"\n";
    let mut fleet = Setup::new(&[("fleet.toml", registry)], MANY).survive_file_size_limit().start();
    let run = fleet.trigger("orders");
    wait_until("it runs", || !fleet.pids("orders").is_empty());
    limit_files(&fleet, true);
    fleet.touch("fail");
    wait_until("it waits for the disk", || list(&fleet, "")["waitingForDisk"] == 1);
    assert_eq!(ids(&fleet, ""), [0; 0], "what is not on disk is told nobody");
    assert!(fleet.events_of("orders", "dlq.added").is_empty());
    limit_files(&fleet, false);
    let added = fleet.wait_for_event("orders", "dlq.added");
    let id = added["id"].as_u64().expect("a number");
    assert_eq!(letter(&fleet, id)["runId"], run);
    fleet.kill_and_restart();
    assert_eq!(ids(&fleet, ""), [id]);
}
