//! Messages that make jobs run: once each, with the payload on stdin, and the answer is what the job wrote.

use serde_json::json;
use werkpilot_tests::peer::{Answer, Headers, Received, reply_subject, text};
use werkpilot_tests::{PATIENCE, Peer, Werkpilot, processes, wait_for, wait_until};

/// Somebody who asks, beside these agents.
fn fleet(registry: &str, config: &str) -> Werkpilot {
    let asker = "[[agent]]\nname = \"asker\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n";
    Werkpilot::start(&[("asker.toml", asker), ("fleet.toml", registry)], config)
}

fn job(name: &str, subject: &str, shell: &str, more: &str) -> String {
    format!(
        "[[agent]]\nname = \"{name}\"\nsubject = \"{subject}\"\nshell = '''{shell}'''\nretry = {{ max = 0 }}\n{more}\n"
    )
}

/// Code and text of an answer that is an error.
#[track_caller]
fn error(answer: &Received) -> (u16, String) {
    match answer.answer() {
        Answer::Error { code, message } => (code, message),
        other => panic!("no error: {other:?} {answer:?}"),
    }
}

/// Asks until somebody listens.
fn ask_until_heard(peer: &mut Peer, subject: &str, payload: &[u8]) -> Received {
    wait_for(&format!("somebody who listens to {subject}"), PATIENCE, || {
        Some(peer.request(subject, payload)).filter(|answer| answer.answer() != Answer::NoResponders)
    })
}

#[test]
fn a_message_runs_its_job_once_and_what_the_job_writes_is_the_answer() {
    let shell = "echo run >> runs; echo on stderr >&2; printf 'got '; cat";
    let fleet = fleet(&job("clerk", "orders.*", shell, ""), "");
    let mut asker = fleet.peer("asker");
    let answer = asker.request("orders.new", b"{\"id\": 7}");
    assert_eq!(
        (text(&answer).as_str(), answer.from(), answer.answer()),
        ("got {\"id\": 7}", Some("clerk"), Answer::Given)
    );
    let queued = fleet.wait_for_event("clerk", "execution.queued");
    assert_eq!(queued["trigger"], json!({ "kind": "subject", "subject": "orders.new" }));
    assert_eq!(fleet.wait_for_event("clerk", "execution.ended")["end"], "succeeded");

    // Binary, and nothing at all.
    assert_eq!(asker.request("orders.x", b"\0\xff\r\n").payload, b"got \0\xff\r\n");
    assert_eq!(text(&asker.request("orders.x", b"")), "got ");
    // Without an answer wanted it runs as well.
    asker.publish("orders.paid", b"8");
    wait_until("a fourth run", || fleet.read("runs").lines().count() == 4);
    wait_until("its end", || fleet.events_of("clerk", "execution.ended").len() == 4);
    // What is not its subject is not for it.
    assert_eq!(asker.request("orders", b"").answer(), Answer::NoResponders);
    assert_eq!(asker.request("orders.new.urgent", b"").answer(), Answer::NoResponders);
    assert_eq!(fleet.read("runs").lines().count(), 4);
    assert!(asker.answers().is_empty(), "one answer each");
}

#[test]
fn a_job_may_be_asked_by_its_own_name() {
    let fleet = fleet(&job("report", "rpc.report.>", "printf 'report of '; cat", ""), "");
    let mut asker = fleet.peer("asker");
    let answer = asker.request("rpc.report.month", b"May");
    assert_eq!((text(&answer).as_str(), answer.from()), ("report of May", Some("report")));
    assert_eq!(fleet.cli(&["request", "report.month", "\"June\""]).expect(0).out.trim_end(), "report of \"June\"");
}

#[test]
fn two_jobs_may_listen_to_one_subject_and_both_answer() {
    let registry = job("first", "orders.new", "printf first", "") + &job("second", "orders.*", "printf second", "");
    let fleet = fleet(&registry, "");
    let mut asker = fleet.peer("asker");
    asker.ask("orders.new", &Headers::new(), b"");
    let mut answers = Vec::new();
    wait_until("two answers", || {
        answers.extend(asker.answers().iter().map(text));
        answers.len() == 2
    });
    answers.sort_unstable();
    assert_eq!(answers, ["first", "second"]);
}

#[test]
fn whatever_keeps_a_job_from_succeeding_is_told_with_a_code() {
    let registry = job("fails", "fails", "echo half; exit 3", "")
        + &job("slow", "slow", "exec sleep 1000", "timeout = \"200ms\"")
        + &job("needy", "needy", "true", "dependencies = [\"broken\"]")
        + &job("off", "off", "true", "")
        + &job("killed", "killed", "kill -9 $$", "")
        + "[[agent]]\nname = \"broken\"\ncommand = [\"./absent\"]\n"
        + "[[agent]]\nname = \"nothing\"\nsubject = \"nothing\"\ncommand = [\"./absent\"]\nretry = { max = 0 }\n";
    let fleet = fleet(&registry, "");
    fleet.wait_for_status("broken", "missing");
    fleet.cli(&["disable", "off"]).expect(0);
    let mut asker = fleet.peer("asker");
    let expected = [
        ("fails", 500, "failed", "3"),
        ("killed", 500, "failed", "SIGKILL"),
        ("nothing", 500, "failed", "absent"),
        ("slow", 504, "timed_out", "200"),
        ("needy", 409, "skipped", "broken (missing)"),
        ("off", 503, "disabled: ", "asked for by cli:tester"),
    ];
    for (subject, code, end, why) in expected {
        let answer = asker.request(subject, b"");
        let told = error(&answer);
        println!("{subject}: {told:?}");
        assert_eq!((told.0, answer.from(), answer.payload.len()), (code, Some(subject), 0), "{told:?}");
        assert!(told.1.starts_with(end) && told.1.contains(why), "{subject}: {told:?}");
    }
    assert!(asker.answers().is_empty(), "one answer each");
}

#[test]
fn the_answer_is_what_the_final_attempt_wrote() {
    let shell = "if [ -e tried ]; then echo second; else touch tried; echo first; exit 1; fi";
    let registry = format!(
        "[[agent]]\nname = \"tries\"\nsubject = \"tries\"\nshell = '''{shell}'''\n\
         retry = {{ max = 1, initial = \"10ms\", jitter = 0.0 }}\n"
    );
    let fleet = fleet(&registry, "");
    assert_eq!(text(&fleet.peer("asker").request("tries", b"")), "second\n");
}

#[test]
fn messages_that_find_no_room_in_the_queue_are_refused_at_once() {
    let registry = job("long", "long", "until [ -e go ]; do sleep 0.05; done; cat", "");
    let fleet = fleet(&registry, "[queue]\nworkers = 1\ncapacity = 2\n");
    let mut asker = fleet.peer("asker");
    let first = asker.ask("long", &Headers::new(), b"1");
    fleet.wait_for_pid("long");
    let waiting: Vec<_> = ["2", "3"].map(|text| asker.ask("long", &Headers::new(), text.as_bytes())).into();
    let told = error(&asker.request("long", b"4"));
    assert!(told.0 == 503 && told.1.starts_with("refused: ") && told.1.contains("full"), "{told:?}");
    assert!(asker.answers().is_empty(), "the others wait");
    fleet.touch("go");
    assert_eq!(text(&asker.answer(first)), "1");
    let answers: Vec<_> = waiting.into_iter().map(|one| text(&asker.answer(one))).collect();
    assert_eq!(answers, ["2", "3"]);
}

#[test]
fn messages_are_worked_off_one_after_the_other_in_their_order() {
    const MESSAGES: usize = 20;
    // Two at a time would be seen: the line of the second would stand between `begin` and `end` of the first.
    let shell = "read n; echo begin $n >> log; echo end $n >> log; echo $n";
    let fleet = fleet(&job("serial", "serial", shell, ""), "[queue]\nworkers = 8\n");
    let mut asker = fleet.peer("asker");
    for number in 0..MESSAGES {
        asker.ask("serial", &Headers::new(), format!("{number}\n").as_bytes());
    }
    let mut answers = String::new();
    wait_until("all answers", || {
        answers.extend(asker.answers().iter().map(text));
        answers.lines().count() == MESSAGES
    });
    let lines = |line: &dyn Fn(usize) -> String| (0..MESSAGES).map(line).collect::<Vec<_>>().concat();
    assert_eq!(answers, lines(&|number| format!("{number}\n")));
    assert_eq!(fleet.read("log"), lines(&|number| format!("begin {number}\nend {number}\n")));
}

#[test]
fn large_messages_and_answers_are_whole_up_to_the_largest_payload() {
    let registry = job("echo", "echo", "cat", "") + &job("wordy", "wordy", "head -c 300000 /dev/zero | tr '\\0' x", "");
    let fleet = fleet(&registry, "[bus]\nmax_payload = \"128KiB\"\n");
    let mut asker = fleet.peer("asker");
    // More than a pipe holds (64 KiB), both ways.
    for size in [65_536, 131_072] {
        let payload: Vec<u8> = (0..size).map(|number: u32| number.to_le_bytes()[number as usize % 3]).collect();
        assert!(asker.request("echo", &payload).payload == payload, "{size} bytes come back as they were");
    }
    // What does not fit is cut off, and the answer says so by its length.
    let answer = asker.request("wordy", b"");
    assert_eq!((answer.payload.len(), answer.answer()), (131_072, Answer::Given));
    assert!(answer.payload.iter().all(|byte| *byte == b'x'));
    asker.flush();
}

#[test]
fn a_reload_adds_changes_and_removes_subjects() {
    let fleet = fleet(&job("stays", "stays", "echo stays", ""), "");
    let mut asker = fleet.peer("asker");
    assert_eq!(asker.request("new", b"").answer(), Answer::NoResponders);
    let reload = |registry: &str| {
        fleet.write("registry/fleet.toml", registry);
        fleet.cli(&["reload"]).expect(0);
    };
    let stays = job("stays", "stays", "echo stays", "");
    reload(&(stays.clone() + &job("new", "new", "echo first", "")));
    assert_eq!(text(&ask_until_heard(&mut asker, "new", b"")), "first\n");
    // The same job on another subject, with another command.
    reload(&(stays.clone() + &job("new", "newer.>", "echo second", "")));
    assert_eq!(text(&ask_until_heard(&mut asker, "newer.x", b"")), "second\n");
    assert_eq!(asker.request("new", b"").answer(), Answer::NoResponders);
    // A job that is gone, and one that has no subject any more.
    reload("[[agent]]\nname = \"stays\"\nkind = \"job\"\nshell = \"echo stays\"\n");
    for subject in ["newer.x", "stays"] {
        wait_until(&format!("nobody on {subject}"), || asker.request(subject, b"").answer() == Answer::NoResponders);
    }
    assert_eq!(fleet.run("stays")["end"], "succeeded");
}

#[test]
fn who_asked_and_has_gone_costs_nothing_and_nobody_else_gets_the_answer() {
    let fleet = fleet(&job("long", "long", "until [ -e go ]; do sleep 0.05; done; echo secret", ""), "");
    let (mut asker, mut spy) = (fleet.peer("asker"), fleet.operator());
    spy.subscribe(">");
    asker.ask("long", &Headers::new(), b"");
    asker.flush();
    let seen =
        wait_for("the question", PATIENCE, || spy.messages().into_iter().find(|message| message.subject == b"long"));
    let inbox = reply_subject(&seen).to_owned();
    drop(asker);
    fleet.touch("go");
    wait_until("the end", || !fleet.events_of("long", "execution.succeeded").is_empty());
    spy.flush();
    assert!(spy.messages().iter().all(|message| message.subject != inbox.as_bytes()));
}

#[test]
fn an_operator_s_stop_and_the_shutdown_are_answers_too() {
    let registry = job("long", "long", "exec sleep 1000", "");
    let mut fleet = fleet(&registry, "");
    let mut asker = fleet.peer("asker");
    let stopped = asker.ask("long", &Headers::new(), b"");
    fleet.wait_for_pid("long");
    fleet.cli(&["stop", "long"]).expect(0);
    let told = error(&asker.answer(stopped));
    assert!(told.0 == 503 && told.1.starts_with("cancelled"), "{told:?}");

    fleet.cli(&["start", "long"]);
    let mut operator = fleet.operator();
    let cut_off = operator.ask("long", &Headers::new(), b"");
    let waiting = operator.ask("long", &Headers::new(), b"");
    fleet.wait_for_pid("long");
    wait_until("the one behind it waits", || fleet.events_of("long", "execution.queued").len() == 3);
    // The second signal ends what runs.
    fleet.signal(processes::Signal::TERM);
    fleet.wait_for_log("[3/6]");
    fleet.signal(processes::Signal::TERM);
    let told = [waiting, cut_off].map(|asked| error(&operator.answer(asked)));
    println!("{told:?}");
    assert!(told[0].0 == 503 && told[0].1.starts_with("cancelled"), "{told:?}");
    assert!(told[1].0 == 503 && told[1].1.starts_with("interrupted"), "{told:?}");
    assert!(fleet.wait_for_end().success());
}

#[test]
fn a_message_that_is_to_be_kept_is_answered_when_it_is_on_disk_and_survives_a_crash() {
    let shell = "until [ -e go ]; do sleep 0.05; done; p=$(cat); echo $p >> done";
    let mut fleet = fleet(&job("clerk", "orders.new", shell, "on_lost = \"rerun\""), "");
    let mut asker = fleet.peer("asker");
    let durable = Headers::new().with("Werkpilot-Ack", "durable");
    let sent = asker.ask("orders.new", &durable, b"7");
    let ack: serde_json::Value = serde_json::from_slice(&asker.answer(sent).payload).expect("JSON");
    assert!(ack["run"].is_string(), "it is answered before it has run: {ack}");
    fleet.kill_and_restart();
    fleet.touch("go");
    wait_until("it is done", || fleet.file("done").exists() && fleet.read("done") == "7\n");
    wait_until("its end", || fleet.events_of("clerk", "execution.ended").iter().any(|end| end["end"] == "succeeded"));
    assert_eq!(fleet.read("done"), "7\n");
}
