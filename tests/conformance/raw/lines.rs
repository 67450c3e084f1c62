//! What comes back at once for what is sent at once.

use serde_json::{Value, json};
use werkpilot_tests::nats::Bus;

use super::socket::Socket;
use crate::stage::Stage;

const VERBOSE: &str = "CONNECT {\"verbose\":true}\r\n";
const PEDANTIC: &str = "CONNECT {\"verbose\":false,\"pedantic\":true}\r\n";
const QUIET: &str = "CONNECT {\"verbose\":false}\r\n";
const HEADERS: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// Steps of which each is a name and what is sent after [`QUIET`].
const QUIETLY: &[(&str, &str)] = &[
    ("pub and sub", "SUB a 1\r\nPUB a 5\r\nhello\r\n"),
    ("pub with reply", "SUB a 1\r\nPUB a b.c 5\r\nhello\r\n"),
    ("empty payload", "SUB a 1\r\nPUB a 0\r\n\r\n"),
    ("payload with line ends", "SUB a 1\r\nPUB a 6\r\n\r\nP\r\nQ\r\n"),
    ("lower case", "sub a 1\r\npub a 2\r\nhi\r\nunsub 1\r\npub a 2\r\nhi\r\n"),
    ("mixed case", "sUb a 1\r\nPuB a 2\r\nhi\r\n"),
    ("spaces and tabs", "SUB   a \t 1  \r\nPUB\ta\t\t2 \r\nhi\r\n"),
    ("line feeds alone", "SUB a 1\nPUB a 2\r\nhi\r\n"),
    ("word as sid", "SUB a my-sid.1\r\nPUB a 2\r\nhi\r\n"),
    ("queue", "SUB a q 1\r\nSUB a q 2\r\nUNSUB 2\r\nPUB a 2\r\nhi\r\n"),
    ("two subscriptions", "SUB a 1\r\nSUB a 2\r\nUNSUB 1\r\nPUB a 2\r\nhi\r\n"),
    ("same sid again", "SUB a 1\r\nSUB b 1\r\nPUB a 1\r\nA\r\nPUB b 1\r\nB\r\n"),
    ("same sid, same subject", "SUB a 1\r\nSUB a 1\r\nPUB a 1\r\nA\r\n"),
    ("unsubscribe after 2", "SUB a 1\r\nUNSUB 1 2\r\nPUB a 1\r\nA\r\nPUB a 1\r\nB\r\nPUB a 1\r\nC\r\n"),
    ("unsubscribe after 0", "SUB a 1\r\nUNSUB 1 0\r\nPUB a 1\r\nA\r\n"),
    ("unsubscribe after as many as came", "SUB a 1\r\nPUB a 1\r\nA\r\nUNSUB 1 1\r\nPUB a 1\r\nB\r\n"),
    ("a higher limit later", "SUB a 1\r\nUNSUB 1 1\r\nUNSUB 1 2\r\nPUB a 1\r\nA\r\nPUB a 1\r\nB\r\nPUB a 1\r\nC\r\n"),
    ("unsubscribe the unknown", "UNSUB 77\r\n"),
    ("unsubscribe after a word", "SUB a 1\r\nUNSUB 1 x\r\nPUB a 1\r\nA\r\n"),
    ("unsubscribe after less than nothing", "SUB a 1\r\nUNSUB 1 -1\r\nPUB a 1\r\nA\r\n"),
    ("wildcard in the middle", "SUB a.*.c 1\r\nPUB a.b.c 1\r\nA\r\nPUB a.b.d 1\r\nB\r\nPUB a.c 1\r\nC\r\n"),
    ("full wildcard", "SUB a.> 1\r\nPUB a.b.c 1\r\nA\r\nPUB a 1\r\nB\r\n"),
    ("stars within tokens are letters", "SUB a.b* 1\r\nPUB a.bc 1\r\nA\r\nPUB a.b* 1\r\nB\r\n"),
    ("greater-than within a token is a letter", "SUB a.>b 1\r\nPUB a.>b 1\r\nA\r\nPUB a.c 1\r\nB\r\n"),
    ("publish to a wildcard", "SUB a.* 1\r\nSUB a.b 2\r\nUNSUB 2\r\nPUB a.* 1\r\nA\r\n"),
    ("subject with bytes beyond ASCII", "SUB grüße.* 1\r\nPUB grüße.x 1\r\nA\r\n"),
    ("subscribe to an empty token", "SUB a..b 1\r\n"),
    ("subscribe to a leading dot", "SUB .a 1\r\n"),
    ("subscribe to a trailing dot", "SUB a. 1\r\n"),
    ("subscribe beyond the full wildcard", "SUB a.>.b 1\r\n"),
    ("publish to an empty token", "SUB > 1\r\nPUB a..b 1\r\nA\r\n"),
    ("publish to a leading dot", "SUB > 1\r\nPUB .a 1\r\nA\r\n"),
    ("publish to a trailing dot", "SUB > 1\r\nPUB a. 1\r\nA\r\n"),
    ("publish with a bad reply", "SUB a 1\r\nPUB a b..c 1\r\nA\r\n"),
    ("no_responders without headers", "CONNECT {\"no_responders\":true,\"headers\":false,\"verbose\":false}\r\n"),
    ("connect twice", "CONNECT {\"verbose\":true}\r\nSUB a 1\r\n"),
    ("ping with an argument", "PING x\r\n"),
    ("pong without a ping", "PONG\r\nPONG\r\n"),
    ("empty line", "\r\n"),
    ("info from a client", "INFO {}\r\n"),
    ("ok from a client", "+OK\r\n"),
    ("message from a client", "MSG a 1 1\r\nA\r\n"),
    ("error from a client", "-ERR 'x'\r\n"),
    ("unknown operation", "JUMP a 1\r\n"),
    ("unknown letter", "Q\r\n"),
    ("known beginning", "PUX a 1\r\n"),
    ("sub without anything", "SUB\r\n"),
    ("sub without sid", "SUB a\r\n"),
    ("sub with too much", "SUB a q 1 2\r\n"),
    ("unsub without sid", "UNSUB\r\n"),
    ("unsub with too much", "UNSUB 1 2 3\r\n"),
    ("pub without size", "PUB a\r\n"),
    ("pub without anything", "PUB\r\n"),
    ("pub with a word for its size", "PUB a b c\r\n"),
    ("pub with a negative size", "PUB a -1\r\n"),
    ("pub with a signed size", "SUB a 1\r\nPUB a +1\r\nA\r\n"),
    ("pub with leading zeros", "SUB a 1\r\nPUB a 0002\r\nhi\r\n"),
    ("pub with a huge size", "PUB a 99999999999999999999\r\n"),
    ("pub with too much", "PUB a b 1 2\r\nA\r\n"),
    ("payload longer than said", "SUB a 1\r\nPUB a 1\r\nhello\r\n"),
    ("payload without its line end", "SUB a 1\r\nPUB a 1\r\nAxxPING\r\n"),
    ("headers though none were agreed on", "SUB a 1\r\nHPUB a 22 24\r\nNATS/1.0\r\nA: b\r\nC:d\r\n\r\nhi\r\n"),
];

/// The same after [`HEADERS`].
const WITH_HEADERS: &[(&str, &str)] = &[
    ("headers", "SUB a 1\r\nHPUB a 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
    ("headers and reply", "SUB a 1\r\nHPUB a b.c 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
    ("headers alone", "SUB a 1\r\nHPUB a 18 18\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n"),
    ("no line of headers", "SUB a 1\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
    ("headers that are none", "SUB a 1\r\nHPUB a 5 7\r\nhellohi\r\n"),
    ("a status in headers", "SUB a 1\r\nHPUB a 20 20\r\nNATS/1.0 100 Idle\r\n\r\n\r\n"),
    ("headers in lower case", "SUB a 1\r\nhpub a 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
    ("headers of no bytes", "SUB a 1\r\nHPUB a 0 2\r\nhi\r\n"),
    ("headers larger than all", "SUB a 1\r\nHPUB a 20 18\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
    ("headers of negative size", "HPUB a -1 2\r\nhi\r\n"),
    ("hpub without the second size", "HPUB a 12\r\n"),
    ("hpub with too much", "HPUB a b 1 2 3\r\n"),
    ("message without headers", "SUB a 1\r\nPUB a 2\r\nhi\r\n"),
    ("no responders", "SUB _INBOX.x 1\r\nPUB nobody _INBOX.x 2\r\nhi\r\n"),
    ("no responders to headers", "SUB _INBOX.x 1\r\nHPUB nobody _INBOX.x 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n"),
    ("no responders through a wildcard", "SUB _INBOX.x.* 1\r\nPUB nobody _INBOX.x.7 0\r\n\r\n"),
    ("no responders, no inbox", "PUB nobody _INBOX.x 2\r\nhi\r\n"),
    ("a responder", "SUB a 1\r\nSUB _INBOX.x 2\r\nPUB a _INBOX.x 2\r\nhi\r\n"),
    ("no responders and a queue", "SUB _INBOX.x 1\r\nSUB a q 2\r\nUNSUB 2\r\nPUB a _INBOX.x 2\r\nhi\r\n"),
];

/// Steps with an introduction of their own.
const OTHERS: &[(&str, &str, &str)] = &[
    ("verbose", VERBOSE, "SUB a 1\r\nPUB a 2\r\nhi\r\nUNSUB 1\r\nPONG\r\n"),
    ("verbose, bad subject", VERBOSE, "SUB a..b 1\r\nPUB a..b 0\r\n\r\n"),
    ("verbose, limit", VERBOSE, "SUB a 1\r\nUNSUB 1 1\r\nPUB a 0\r\n\r\nUNSUB 1\r\n"),
    ("pedantic, publish to an empty token", PEDANTIC, "SUB > 1\r\nPUB a..b 1\r\nA\r\n"),
    ("pedantic, publish to a wildcard", PEDANTIC, "SUB > 1\r\nPUB a.* 1\r\nA\r\n"),
    ("pedantic, publish to a trailing dot", PEDANTIC, "SUB > 1\r\nPUB a. 1\r\nA\r\n"),
    ("pedantic, bad reply", PEDANTIC, "SUB > 1\r\nPUB a b..c 1\r\nA\r\n"),
    ("pedantic, subscribe to an empty token", PEDANTIC, "SUB a..b 1\r\n"),
    ("pedantic, all is well", PEDANTIC, "SUB a.b 1\r\nPUB a.b 1\r\nA\r\n"),
    ("no introduction", "", "SUB a 1\r\nPUB a 2\r\nhi\r\n"),
    ("introduction of nothing", "CONNECT {}\r\n", "SUB a 1\r\n"),
    ("introduction without JSON", "CONNECT hello\r\n", "SUB a 1\r\n"),
    ("introduction without anything", "CONNECT\r\n", "SUB a 1\r\n"),
    ("introduction with a wrong type", "CONNECT {\"verbose\":\"yes\"}\r\n", "SUB a 1\r\n"),
    ("introduction with unknown keys", "CONNECT {\"verbose\":true,\"colour\":\"red\"}\r\n", "SUB a 1\r\n"),
    ("introduction in lower case", "connect {\"verbose\":true}\r\n", "SUB a 1\r\n"),
    ("introduction with an unknown protocol", "CONNECT {\"verbose\":true,\"protocol\":7}\r\n", "SUB a 1\r\n"),
    ("no echo", "CONNECT {\"verbose\":false,\"echo\":false}\r\n", "SUB a 1\r\nPUB a 2\r\nhi\r\n"),
];

pub fn play(stage: &mut Stage) {
    for (name, text) in QUIETLY {
        let result = exchange(&stage.open, QUIET, text);
        stage.tell(name, result);
    }
    for (name, text) in WITH_HEADERS {
        let result = exchange(&stage.open, HEADERS, text);
        stage.tell(name, result);
    }
    for (name, introduction, text) in OTHERS {
        let result = exchange(&stage.open, introduction, text);
        stage.tell(name, result);
    }
    long_lines(stage);
    payloads(stage);
    credentials(stage);
}

/// Sends all at once with a PING behind it, and reads until its PONG or the end.
fn exchange(bus: &Bus, introduction: &str, text: &str) -> Value {
    let mut socket = Socket::open(bus).0;
    socket.send(format!("{introduction}{text}PING\r\n").as_bytes());
    // A ping that is part of the step is answered as well.
    let pings = text.lines().filter(|line| line.starts_with("PING")).count();
    socket.read_pongs(1 + pings);
    // What else it may still say and do: the end is asked for, and comes.
    socket.shut();
    let open = !socket.is_closed();
    socket.read_to_end();
    json!({ "bytes": socket.take(), "open": open })
}

fn long_lines(stage: &mut Stage) {
    for length in [3_000, 4_000, 4_096, 4_097, 5_000, 100_000] {
        let subject = "a".repeat(length - "SUB  1".len());
        let result = exchange(&stage.open, QUIET, &format!("SUB {subject} 1\r\n"));
        stage.tell(&format!("control line of {length} bytes"), result);
    }
    let unended = exchange(&stage.open, QUIET, &format!("SUB {}", "a".repeat(10_000)));
    stage.tell("control line without an end", unended);
}

fn payloads(stage: &mut Stage) {
    for (name, text) in [
        ("payload of the limit", format!("SUB a 1\r\nPUB a 1024\r\n{}\r\n", "x".repeat(1_024))),
        ("payload beyond the limit", "PUB a 1025\r\n".to_owned()),
        ("payload beyond the limit, sent with it", format!("PUB a 1025\r\n{}\r\n", "x".repeat(1_025))),
        ("payload far beyond the limit", "PUB a 1000000000\r\n".to_owned()),
    ] {
        let result = exchange(&stage.small, QUIET, &text);
        stage.tell(name, result);
    }
    for (name, size) in [("headers and payload of the limit", 1_024), ("headers and payload beyond the limit", 1_025)] {
        let body = "x".repeat(size - 18);
        let text = format!("SUB a 1\r\nHPUB a 18 {size}\r\nNATS/1.0\r\nA: b\r\n\r\n{body}\r\n");
        let result = exchange(&stage.small, HEADERS, &text);
        stage.tell(name, result);
    }
}

fn credentials(stage: &mut Stage) {
    for (name, introduction) in [
        ("password", "{\"verbose\":true,\"user\":\"alice\",\"pass\":\"secret\"}"),
        ("wrong password", "{\"user\":\"alice\",\"pass\":\"guess\"}"),
        ("wrong password, verbose", "{\"verbose\":true,\"user\":\"alice\",\"pass\":\"guess\"}"),
        ("password for a longer one", "{\"user\":\"alice\",\"pass\":\"secretsecret\"}"),
        ("empty password", "{\"user\":\"alice\",\"pass\":\"\"}"),
        ("user alone", "{\"user\":\"alice\"}"),
        ("password alone", "{\"pass\":\"secret\"}"),
        ("no credentials", "{}"),
        ("token for a password", "{\"auth_token\":\"secret\"}"),
    ] {
        let result = exchange(&stage.password, &format!("CONNECT {introduction}\r\n"), "SUB a 1\r\n");
        stage.tell(&format!("login: {name}"), result);
    }
    for (name, introduction) in [
        ("token", "{\"verbose\":true,\"auth_token\":\"s3cr3t\"}"),
        ("wrong token", "{\"auth_token\":\"guess\"}"),
        ("no token", "{}"),
        ("token as a password", "{\"user\":\"alice\",\"pass\":\"s3cr3t\"}"),
        ("token as a user", "{\"user\":\"s3cr3t\"}"),
    ] {
        let result = exchange(&stage.token, &format!("CONNECT {introduction}\r\n"), "SUB a 1\r\n");
        stage.tell(&format!("login: {name} where a token is wanted"), result);
    }
    for (name, text) in [
        ("ping", ""),
        ("sub", "SUB a 1\r\n"),
        ("pub", "PUB a 0\r\n\r\n"),
        ("unknown operation", "JUMP\r\n"),
        ("long line", &format!("CONNECT {}", "x".repeat(20_000))),
    ] {
        let result = exchange(&stage.password, "", text);
        stage.tell(&format!("login: {name} first"), result);
    }
    // Letting somebody in twice is nothing new; who was let in may not become somebody else.
    let twice = "CONNECT {\"verbose\":true,\"user\":\"alice\",\"pass\":\"secret\"}\r\n";
    let result = exchange(&stage.password, twice, twice);
    stage.tell("login: twice", result);
    let result = exchange(&stage.password, twice, "CONNECT {\"user\":\"alice\",\"pass\":\"guess\"}\r\n");
    stage.tell("login: wrong the second time", result);
}
