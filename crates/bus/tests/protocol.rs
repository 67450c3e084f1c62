//! Every operation in a table, and what is refused. The cases are those that nats-server 2.9.10 was asked.

use werkpilot_bus::protocol::encode;
use werkpilot_bus::protocol::{
    Connect, Frame, Info, Limits, Message, Op, Parsed, ProtocolError, Publish, ServerOp, parse, parse_server,
};

const LIMITS: Limits = Limits { max_control_line: 4096, max_payload: 1 << 20 };

#[track_caller]
fn one(bytes: &[u8]) -> Op<'_> {
    match parse(bytes, &LIMITS) {
        Ok(Parsed::Op { op, length }) if length == bytes.len() => op,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn publish<'a>(subject: &'a [u8], reply: Option<&'a [u8]>, headers: &'a [u8], payload: &'a [u8]) -> Op<'a> {
    Op::Publish(Publish { subject, reply, headers, payload })
}

fn subscribe<'a>(subject: &'a [u8], queue: Option<&'a [u8]>, sid: &'a [u8]) -> Op<'a> {
    Op::Subscribe { subject, queue, sid }
}

#[test]
fn every_operation_of_a_client_is_read() {
    const H: &[u8] = b"NATS/1.0\r\n\r\n";
    let cases: [(&[u8], Op<'_>); 38] = [
        (b"CONNECT {\"a\":1}\r\n", Op::Connect(b"{\"a\":1}")),
        (b"connect\t {} \r\n", Op::Connect(b"{}")),
        (b"CONNECT{}\r\n", Op::Connect(b"{}")),
        (b"CONNECT\r\n", Op::Connect(b"")),
        (b"INFO {}\r\n", Op::Info(b"{}")),
        (b"PING\r\n", Op::Ping),
        (b"ping\n", Op::Ping),
        (b"PING foo\r\n", Op::Ping),
        (b"PING\r\r\n", Op::Ping),
        (b"PONG\t\r\n", Op::Pong),
        (b"+OK\r\n", Op::Ok),
        (b"+okKK\r\n", Op::Ok),
        (b"-ERR 'x y'\r\n", Op::Err(b"x y")),
        (b"-err x\r\n", Op::Err(b"x")),
        (b"PUB a 2\r\nhi\r\n", publish(b"a", None, b"", b"hi")),
        (b"pub a 2\r\nhi\r\n", publish(b"a", None, b"", b"hi")),
        (b"Pub \t a \t r  2 \t\r\nhi\r\n", publish(b"a", Some(b"r"), b"", b"hi")),
        (b"PUB a 2\n\r\n\r\n", publish(b"a", None, b"", b"\r\n")),
        (b"PUB a 0\r\n\r\n", publish(b"a", None, b"", b"")),
        (b"PUB a 0000000000002\r\nhi\r\n", publish(b"a", None, b"", b"hi")),
        (b"PUB \xff 0\r\n\r\n", publish(b"\xff", None, b"", b"")),
        (b"PUB a\rb 0\r\n\r\n", publish(b"a", Some(b"b"), b"", b"")),
        (b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", publish(b"a", None, H, b"hi")),
        (b"hPuB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", publish(b"a", Some(b"r"), H, b"hi")),
        (b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n", publish(b"a", None, H, b"")),
        (b"HPUB a 0 2\r\nhi\r\n", publish(b"a", None, b"", b"hi")),
        (b"HPUB a 4 6\r\nxxxxhi\r\n", publish(b"a", None, b"xxxx", b"hi")),
        (b"SUB a 1\r\n", subscribe(b"a", None, b"1")),
        (b"SUB  a.>\t1 \n", subscribe(b"a.>", None, b"1")),
        (b"sub a workers xYz\r\n", subscribe(b"a", Some(b"workers"), b"xYz")),
        (b"SUB a\rb 1\r\n", subscribe(b"a", Some(b"b"), b"1")),
        (b"SUB a 1\r\r\n", subscribe(b"a", None, b"1")),
        (b"UNSUB 1\r\n", Op::Unsubscribe { sid: b"1", max: None }),
        (b"unsub 1 5\r\n", Op::Unsubscribe { sid: b"1", max: Some(5) }),
        (b"UNSUB 1 0\r\n", Op::Unsubscribe { sid: b"1", max: None }),
        (b"UNSUB 1 x\r\n", Op::Unsubscribe { sid: b"1", max: None }),
        (b"UNSUB 1 -5\r\n", Op::Unsubscribe { sid: b"1", max: None }),
        (b"UNSUB 1 12345678901234567890123\r\n", Op::Unsubscribe { sid: b"1", max: Some(u64::MAX) }),
    ];
    for (bytes, op) in cases {
        assert_eq!(one(bytes), op, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_not_the_protocol_is_refused() {
    let unknown: [&[u8]; 15] = [
        b"FOO\r\n",
        b"x",
        b"\r\n",
        b"\n",
        b" PING\r\n",
        b"PUBX a 2\r\n",
        b"PUB\r\n",
        b"SUB\r\n",
        b"UNSUB\r\n",
        b"HPUB\r\n",
        b"-ERR\r\n",
        b"MSG a 1 2\r\nhi\r\n",
        b"PUB a 2\r\nhi\nPING\r\n",
        b"PUB a 2\r\nhi\rXPING\r\n",
        b"PUB a 2\r\nhiXYPING\r\n",
    ];
    for bytes in unknown {
        let error = parse(bytes, &LIMITS).expect_err("not the protocol");
        assert_eq!(error.wire(), "Unknown Protocol Operation", "{}", bytes.escape_ascii());
    }
    let arguments: [&[u8]; 17] = [
        b"PUB \r\n",
        b"PUB a\r\n",
        b"PUB a b c 2\r\n",
        b"PUB a b c d e f 2\r\n",
        b"PUB a x\r\n",
        b"PUB a -1\r\n",
        b"PUB a +2\r\n",
        b"HPUB a 14\r\n",
        b"HPUB a b c 12 14\r\n",
        b"HPUB a x 14\r\n",
        b"HPUB a 15 14\r\n",
        b"HPUB a 99999999999999999999999 14\r\n",
        b"SUB \r\n",
        b"SUB a\r\n",
        b"SUB a b c d\r\n",
        b"UNSUB \r\n",
        b"UNSUB 1 2 3\r\n",
    ];
    for bytes in arguments {
        let error = parse(bytes, &LIMITS).expect_err("wrong arguments");
        assert!(matches!(error, ProtocolError::BadArguments { .. }), "{}: {error}", bytes.escape_ascii());
        assert_eq!(error.wire(), "Parser Error");
    }
}

#[test]
fn a_payload_over_the_limit_is_refused_before_it_is_there() {
    assert_eq!(parse(b"PUB a 1048576\r\n", &LIMITS), Ok(Parsed::Incomplete { at_least: 15 + 1_048_576 + 2 }));
    for line in ["PUB a 1048577\r\n", "HPUB a 12 1048577\r\n", "PUB a 999999999\r\n", "PUB a 99999999999999999999\r\n"]
    {
        let error = parse(line.as_bytes(), &LIMITS).expect_err("over the limit");
        assert_eq!(error.wire(), "Maximum Payload Violation", "{line}");
    }
}

#[test]
fn a_control_line_over_the_limit_is_refused_before_it_ends() {
    let line = |arguments: usize, end: &str| format!("SUB {} 1{end}", "a".repeat(arguments - 2)).into_bytes();
    assert!(matches!(parse(&line(4096, "\r\n"), &LIMITS), Ok(Parsed::Op { .. })));
    assert!(matches!(parse(&line(4096, "\n"), &LIMITS), Ok(Parsed::Op { .. })));
    assert!(matches!(parse(&line(4096, ""), &LIMITS), Ok(Parsed::Incomplete { at_least: 4101 })));
    assert!(matches!(parse(&line(4096, "\r"), &LIMITS), Ok(Parsed::Incomplete { at_least: 4102 })));
    let endless =
        [b"PING ".to_vec(), b"SUB ".to_vec(), b"CONNECT".to_vec()].map(|start| [start, vec![b' '; 5000]].concat());
    for bytes in [line(4097, "\r\n"), line(4097, "\n"), line(4098, ""), line(10_000, "")].into_iter().chain(endless) {
        let error = parse(&bytes, &LIMITS).expect_err("over the limit");
        assert_eq!(error.wire(), "maximum control line exceeded", "{} bytes", bytes.len());
    }
}

#[test]
fn only_the_first_frame_is_looked_at() {
    let bytes = b"PING\r\nFOO\r\n";
    assert_eq!(parse(bytes, &LIMITS), Ok(Parsed::Op { op: Op::Ping, length: 6 }));
    assert_eq!(parse(&bytes[6..], &LIMITS), Err(ProtocolError::UnknownOperation));
    assert_eq!(parse(b"", &LIMITS), Ok(Parsed::Incomplete { at_least: 1 }));
    assert_eq!(parse(b"hpU", &LIMITS), Ok(Parsed::Incomplete { at_least: 4 }));
}

#[test]
fn every_operation_of_a_server_is_read() {
    let message =
        |reply, headers, payload| ServerOp::Message(Message { subject: b"a.b", sid: b"7", reply, headers, payload });
    let cases: [(&[u8], ServerOp<'_>); 10] = [
        (b"INFO {\"a\":1} \r\n", ServerOp::Info(b"{\"a\":1}")),
        (b"MSG a.b 7 2\r\nhi\r\n", message(None, b"", b"hi")),
        (b"MSG a.b 7 r 2\r\nhi\r\n", message(Some(b"r"), b"", b"hi")),
        (b"msg a.b 7 0\r\n\r\n", message(None, b"", b"")),
        (b"HMSG a.b 7 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", message(None, b"NATS/1.0\r\n\r\n", b"hi")),
        (b"HMSG a.b 7 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", message(Some(b"r"), b"NATS/1.0 503\r\n\r\n", b"")),
        (b"PING\r\n", ServerOp::Ping),
        (b"PONG\r\n", ServerOp::Pong),
        (b"+OK\r\n", ServerOp::Ok),
        (b"-ERR 'Slow Consumer'\r\n", ServerOp::Err(b"Slow Consumer")),
    ];
    for (bytes, op) in cases {
        assert_eq!(
            parse_server(bytes, &Limits::CLIENT),
            Ok(Frame::Op { op, length: bytes.len() }),
            "{}",
            bytes.escape_ascii()
        );
    }
    for bytes in
        [&b"PUB a 0\r\n\r\n"[..], b"MSG a 1 2 3 4\r\n", b"MSG a 2\r\n", b"HMSG a 1 5 4\r\n", b"MSG a 1 1\r\nxyz"]
    {
        assert!(parse_server(bytes, &Limits::CLIENT).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_written_is_what_nats_server_writes() {
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("all of it is text")
    };
    assert_eq!(written(&|out| encode::message(out, b"a", b"1", None, b"hi")), "MSG a 1 2\r\nhi\r\n");
    assert_eq!(written(&|out| encode::message(out, b"a", b"1", Some(b"r"), b"")), "MSG a 1 r 0\r\n\r\n");
    let parts: [&[u8]; 3] = [b"NATS/1.0\r\n", b"A: b\r\n", b"\r\n"];
    assert_eq!(
        written(&|out| encode::message_with_headers(out, b"a", b"1", Some(b"r"), &parts, b"hi")),
        "HMSG a 1 r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"
    );
    assert_eq!(written(&|out| encode::error(out, "Slow\r\nConsumer")), "-ERR 'Slow  Consumer'\r\n");
    assert_eq!(written(&encode::ok), "+OK\r\n");
    assert_eq!(written(&encode::ping), "PING\r\n");
    assert_eq!(written(&encode::pong), "PONG\r\n");
    assert_eq!(
        written(&|out| encode::publish(out, b"a", Some(b"r"), b"", b"1234567890")),
        "PUB a r 10\r\n1234567890\r\n"
    );
    assert_eq!(
        written(&|out| encode::publish(out, b"a", None, b"NATS/1.0\r\n\r\n", b"hi")),
        "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    );
    assert_eq!(written(&|out| encode::subscribe(out, b"a.*", Some(b"q"), b"9")), "SUB a.* q 9\r\n");
    assert_eq!(written(&|out| encode::subscribe(out, b">", None, b"9")), "SUB > 9\r\n");
    assert_eq!(written(&|out| encode::unsubscribe(out, b"9", None)), "UNSUB 9\r\n");
    assert_eq!(written(&|out| encode::unsubscribe(out, b"9", Some(10_000))), "UNSUB 9 10000\r\n");
    let info = Info { server_id: "X".to_owned(), headers: true, max_payload: 9, lame_duck: true, ..Info::default() };
    assert_eq!(
        written(&|out| encode::info(out, &info)),
        "INFO {\"server_id\":\"X\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\"host\":\"\",\"port\":0,\"headers\":true,\
         \"max_payload\":9,\"ldm\":true}\r\n"
    );
}

#[test]
fn what_nats_server_says_of_itself_is_understood() {
    let line = br#"INFO {"server_id":"NA32","server_name":"NA32","version":"2.9.10","proto":1,"git_commit":"x","go":"go1.19.8",
        "host":"127.0.0.1","port":14777,"headers":true,"max_payload":1048576,"client_id":5,"client_ip":"127.0.0.1"}"#;
    let info: Info = serde_json::from_slice(&line[5..]).expect("an INFO of nats-server");
    assert_eq!((info.version.as_str(), info.port, info.client_id), ("2.9.10", 14_777, Some(5)));
    assert!(info.headers && !info.auth_required && !info.lame_duck);
}

#[test]
fn a_client_that_says_nothing_has_the_defaults_of_nats_server() {
    for json in ["{}", r#"{"verbose":null,"echo":null,"user":null,"lang":null,"jwt":"x","sig":"y","nkey":1}"#] {
        assert_eq!(serde_json::from_str::<Connect>(json).expect("a CONNECT"), Connect::default(), "{json}");
    }
    assert!(Connect::default().verbose && Connect::default().pedantic && Connect::default().echo);
    assert!(serde_json::from_str::<Connect>(r#"{"verbose":"x"}"#).is_err());
}

#[test]
fn a_connect_comes_through_and_shows_no_secret() {
    let connect = Connect {
        user: Some("sales".to_owned()),
        password: Some("geheim".to_owned()),
        auth_token: Some("geheim".to_owned()),
        ..Connect::client("werkpilot sub")
    };
    let mut out = Vec::new();
    encode::connect(&mut out, &connect);
    let Op::Connect(json) = one(&out) else { panic!("a CONNECT: {}", out.escape_ascii()) };
    assert_eq!(serde_json::from_slice::<Connect>(json).expect("its JSON"), connect);
    let shown = format!("{connect:?}");
    assert!(!shown.contains("geheim") && shown.contains("sales"), "{shown}");
}
