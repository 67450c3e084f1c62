//! Who is who on the fleet's bus: it is proved and not claimed, and everybody hears only what is theirs to hear.

use std::os::unix::fs::PermissionsExt;

use werkpilot_tests::peer::{Answer, Headers, json, reply_subject, text};
use werkpilot_tests::{BusAccess, PATIENCE, Peer, Werkpilot, processes, wait_for, wait_until};

fn sleepers(names: &[&str]) -> Werkpilot {
    let sleeper = |name: &&str| {
        format!(
            "[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n\
             retry = {{ initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }}\n"
        )
    };
    Werkpilot::start(&[("fleet.toml", &names.iter().map(sleeper).collect::<String>())], "")
}

const VIOLATION: &str = "Authorization Violation";

#[test]
fn a_request_and_its_reply_each_say_who_sent_them_whatever_was_claimed() {
    let fleet = sleepers(&["sales", "analytics"]);
    let (mut sales, mut analytics) = (fleet.peer("sales"), fleet.peer("analytics"));
    analytics.subscribe("rpc.analytics");
    analytics.subscribe("rpc.analytics.>");
    for subject in ["rpc.analytics", "rpc.analytics.totals.month"] {
        let forged =
            Headers::new().with("Werkpilot-From", "operator").with("X-Trace", "7").with("WERKPILOT-FROM", "db");
        let asked = sales.ask(subject, &forged, b"{\"month\": 11}");
        let request = analytics.message();
        assert_eq!((request.from(), request.header("X-Trace")), (Some("sales"), Some("7")));
        let whole = String::from_utf8_lossy(&request.headers).to_lowercase();
        assert_eq!(whole.matches("werkpilot-from").count(), 1, "{whole}");
        assert_eq!((request.subject.as_slice(), json(&request)["month"].as_u64()), (subject.as_bytes(), Some(11)));
        analytics.reply_with(&request, &Headers::new().with("Werkpilot-From", "sales"), b"{\"total\": 42}");
        let answer = sales.answer(asked);
        assert_eq!((answer.from(), answer.answer()), (Some("analytics"), Answer::Given));
        assert_eq!(text(&answer), "{\"total\": 42}");
    }
}

#[test]
fn an_operator_s_credential_is_in_a_file_for_its_owner_and_the_cli_asks_with_it() {
    let fleet = sleepers(&["analytics"]);
    let file = fleet.dir().join("state/bus/operator.json");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut analytics = fleet.peer("analytics");
    analytics.subscribe("rpc.analytics");
    let _responder = analytics.answer_with(|request| {
        assert_eq!(request.from(), Some("operator"));
        [b"{\"asked\":", request.payload.as_slice(), b"}"].concat()
    });
    assert_eq!(text(&fleet.operator().request("rpc.analytics", b"1")), "{\"asked\":1}");
    let outcome = fleet.cli(&["request", "analytics", "{\"month\":11}", "--json"]).expect(0).json();
    assert_eq!((&outcome["from"], &outcome["payload"]), (&"analytics".into(), &"{\"asked\":{\"month\":11}}".into()));
    fleet.cli(&["request", "nobody", "1"]).expect(69);
}

#[test]
fn who_has_no_good_credentials_is_refused() {
    let fleet = sleepers(&["sales", "db"]);
    let (sales, db) = (BusAccess::of(fleet.wait_for_pid("sales")), BusAccess::of(fleet.wait_for_pid("db")));
    let operator = fleet.operator_access();
    assert_eq!((sales.user.as_str(), operator.user.as_str()), ("sales", "operator"));
    assert_eq!(sales.address, operator.address);
    let with = |user: &str, password: &str| BusAccess {
        user: user.to_owned(),
        password: password.to_owned(),
        ..sales.clone()
    };
    let bad = [
        with("", ""),
        with("sales", ""),
        with("sales", "wrong"),
        with("sales", &db.password),
        with("sales", &operator.password),
        with("operator", &sales.password),
        with("werkpilot", &operator.password),
        with("nobody", &sales.password),
    ];
    for access in bad {
        assert_eq!(Peer::try_connect(&access).err().as_deref(), Some(VIOLATION), "{access:?}");
    }
    let anybody = werkpilot_bus::protocol::Connect::client("nobody");
    assert_eq!(Peer::introduce(&sales.address, &anybody).err().as_deref(), Some(VIOLATION));
    // Others are not touched by it.
    Peer::connect(&sales).flush();
}

#[test]
fn credentials_end_with_their_process() {
    let fleet = sleepers(&["sales"]);
    let pid = fleet.wait_for_pid("sales");
    let access = BusAccess::of(pid);
    let mut peer = Peer::connect(&access);
    processes::signal(pid, processes::Signal::KILL);
    assert_eq!(peer.wait_for_end(), ["User Authentication Revoked"]);
    assert_eq!(Peer::try_connect(&access).err().as_deref(), Some(VIOLATION));
    let successor = BusAccess::of(fleet.wait_for_successor("sales", pid));
    assert_ne!(successor.password, access.password);
    Peer::connect(&successor).flush();
    assert_eq!(Peer::try_connect(&access).err().as_deref(), Some(VIOLATION));
}

#[test]
fn an_agent_may_not_listen_to_what_is_another_s() {
    let fleet = sleepers(&["sales", "analytics"]);
    let mut sales = fleet.peer("sales");
    for pattern in
        ["rpc.analytics", "rpc.analytics.>", "$SRV.PING.analytics", "$SRV.INFO.analytics.x1", "_R_.>", "$SYS.>"]
    {
        sales.subscribe(pattern);
        assert_eq!(sales.refusals(), [format!("Permissions Violation for Subscription to \"{pattern}\"")]);
    }
    for pattern in ["rpc.sales", "rpc.sales.>", "$SRV.PING", "$SRV.PING.sales", "orders.*", "execution.*", ">"] {
        sales.subscribe(pattern);
        assert_eq!(sales.refusals(), [""; 0], "{pattern}");
    }
    // It was not subscribed by the way.
    let mut operator = fleet.operator();
    let Answer::Error { code: 503, message } = operator.request("rpc.analytics", b"").answer() else { panic!() };
    assert_eq!(message, "running: it does not listen to rpc.analytics");
}

#[test]
fn only_the_system_speaks_for_the_system() {
    let fleet = sleepers(&["sales", "db"]);
    let (mut sales, mut listener, mut operator) = (fleet.peer("sales"), fleet.peer("db"), fleet.operator());
    listener.subscribe(">");
    for subject in ["agent.started", "execution.succeeded", "dlq.added", "boot.completed", "bus.x", "$SYS.REQ"] {
        for peer in [&mut sales, &mut operator] {
            peer.publish(subject, b"{}");
            assert_eq!(peer.refusals(), [format!("Permissions Violation for Publish to \"{subject}\"")]);
        }
    }
    sales.publish("agents.are.free", b"");
    sales.flush();
    let heard: Vec<_> = listener.messages().into_iter().filter(|message| message.from() != Some("werkpilot")).collect();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].subject, b"agents.are.free");
}

#[test]
fn an_inbox_belongs_to_who_subscribed_first_and_is_written_to_by_who_was_asked() {
    let fleet = sleepers(&["sales", "db", "spy"]);
    let (mut sales, mut db, mut spy) = (fleet.peer("sales"), fleet.peer("db"), fleet.peer("spy"));
    sales.subscribe("_INBOX.mine.>");
    spy.subscribe("_INBOX.mine.*");
    assert_eq!(spy.refusals(), ["Permissions Violation for Subscription to \"_INBOX.mine.*\""]);
    spy.publish("_INBOX.mine.1", b"forged");
    assert_eq!(spy.refusals(), ["Permissions Violation for Publish to \"_INBOX.mine.1\""]);
    assert!(sales.messages().is_empty());

    // A question to whoever listens may be answered by all of them, and by nobody else.
    db.subscribe("prices.get");
    let question = Headers::new();
    sales.publish_with("prices.get", Some("_INBOX.mine.1"), &question, b"");
    let request = db.message();
    assert_eq!((reply_subject(&request), request.from()), ("_INBOX.mine.1", Some("sales")));
    db.reply(&request, b"12");
    db.reply(&request, b"13");
    spy.publish("_INBOX.mine.1", b"forged");
    spy.flush();
    db.flush();
    let answers = sales.messages();
    assert_eq!(answers.iter().map(text).collect::<Vec<_>>(), ["12", "13"]);
    assert!(answers.iter().all(|answer| answer.from() == Some("db")));

    // Once its owner has gone, it is free.
    drop(sales);
    wait_until("the inbox is free", || {
        spy.subscribe("_INBOX.mine.*");
        spy.refusals().is_empty()
    });
}

#[test]
fn who_listens_to_everything_hears_neither_requests_nor_replies_of_others() {
    let fleet = sleepers(&["sales", "analytics", "spy"]);
    let (mut sales, mut analytics) = (fleet.peer("sales"), fleet.peer("analytics"));
    let (mut spy, mut operator) = (fleet.peer("spy"), fleet.operator());
    for pattern in [">", "*.*", "rpc.*", "rpc.>", "_INBOX.>", "_INBOX.*.*", "*.>", "$SRV.>"] {
        spy.subscribe(pattern);
        assert_eq!(spy.refusals(), [""; 0], "{pattern}");
    }
    operator.subscribe(">");
    analytics.subscribe("rpc.analytics");
    analytics.subscribe("$SRV.PING.analytics");
    for subject in ["rpc.analytics", "$SRV.PING.analytics"] {
        let asked = sales.ask(subject, &Headers::new(), b"secret question");
        let request = analytics.message();
        analytics.reply(&request, b"secret answer");
        assert_eq!(text(&sales.answer(asked)), "secret answer");
    }
    sales.publish("prices.new", b"for all");
    sales.flush();
    let mine = |message: &werkpilot_tests::peer::Received| message.from() != Some("werkpilot");
    let heard: Vec<_> = spy.messages().into_iter().filter(mine).map(|message| text(&message)).collect();
    assert_eq!(heard, ["for all"; 3], "by >, *.* and *.>");
    // Operators see what is asked, and never what is answered.
    let mut seen: Vec<_> = operator.messages().into_iter().filter(mine).map(|message| text(&message)).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["for all", "secret question", "secret question"]);
}

#[test]
fn a_job_has_credentials_for_as_long_as_it_runs() {
    let registry = "[[agent]]\nname = \"report\"\nkind = \"job\"\nshell = \"until [ -e go ]; do sleep 0.05; done\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let run = fleet.trigger("report");
    let access = BusAccess::of(fleet.wait_for_pid("report"));
    let mut report = Peer::connect(&access);
    report.subscribe("rpc.report");
    let mut operator = fleet.operator();
    let asked = operator.ask("rpc.report", &Headers::new(), b"how far?");
    let request = report.message();
    report.reply(&request, b"half");
    assert_eq!(text(&operator.answer(asked)), "half");
    fleet.touch("go");
    assert_eq!(report.wait_for_end(), ["User Authentication Revoked"]);
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    assert_eq!(Peer::try_connect(&access).err().as_deref(), Some(VIOLATION));
    let told = wait_for("idle again", PATIENCE, || match operator.request("rpc.report", b"").answer() {
        Answer::Error { code: 503, message } if message.starts_with("idle: ") => Some(message),
        _ => None,
    });
    assert_eq!(told, "idle: it is not connected");
}
