use super::*;
use crate::protocol::{Headers, NO_RESPONDERS};

const INFO: &[u8] = b"INFO {\"server_id\":\"x\",\"headers\":true,\"max_payload\":64}\r\n";
const INBOX: &str = "_INBOX.0000000000000000000000000000000f";

fn client() -> Client {
    let mut client = Client::new(15);
    client.receive(INFO);
    assert!(matches!(client.next_event(), Ok(Some(Event::Info(info))) if info.max_payload == 64));
    client
}

fn events(client: &mut Client, bytes: &[u8]) -> Vec<Event> {
    client.receive(bytes);
    std::iter::from_fn(|| client.next_event().unwrap()).collect()
}

fn taken(client: &mut Client) -> String {
    let bytes = client.output().to_vec();
    client.written(bytes.len());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn commands_become_lines() {
    let mut client = client();
    client.connect(&Connect::client("test"));
    assert!(taken(&mut client).starts_with("CONNECT {\"verbose\":false,"));
    let sid = client.subscribe(b"orders.*", Some(b"q")).unwrap();
    client.unsubscribe(sid, Some(3));
    client.publish(b"a.b", Some(b"c"), b"", b"x").unwrap();
    client.publish(b"a.b", None, &Headers::new().with("A", "1").block(), b"").unwrap();
    assert_eq!(client.ping(), 1);
    assert_eq!(
        taken(&mut client),
        "SUB orders.* q 2\r\nUNSUB 2 3\r\nPUB a.b c 1\r\nx\r\nHPUB a.b 18 18\r\nNATS/1.0\r\nA: 1\r\n\r\n\r\nPING\r\n"
    );
}

#[test]
fn an_answer_finds_its_request() {
    let mut client = client();
    let first = client.request(b"rpc.a", b"", b"1").unwrap();
    let second = client.request(b"rpc.b", b"", b"").unwrap();
    assert_eq!(
        taken(&mut client),
        format!("SUB {INBOX}.* 1\r\nPUB rpc.a {INBOX}.1 1\r\n1\r\nPUB rpc.b {INBOX}.2 0\r\n\r\n")
    );
    let bytes = format!("MSG {INBOX}.2 1 3\r\ntwo\r\nMSG {INBOX}.1 1 3\r\none\r\nMSG {INBOX}.x 1 0\r\n\r\n");
    let told = events(&mut client, bytes.as_bytes());
    let of = |wanted: RequestId| {
        told.iter().find_map(|event| match event {
            Event::Answer { request, message } if *request == wanted => Some(message.payload.as_slice()),
            _ => None,
        })
    };
    assert_eq!((of(first), of(second)), (Some(&b"one"[..]), Some(&b"two"[..])));
    assert!(matches!(told[2], Event::Message { .. }));
}

#[test]
fn frames_may_be_cut_anywhere() {
    let bytes = b"PING\r\nMSG a 2 r 2\r\nhi\r\n+OK\r\nPONG\r\n-ERR 'Slow Consumer'\r\n";
    let whole = events(&mut client(), bytes);
    assert_eq!(whole.len(), 3);
    for at in 0..bytes.len() {
        let mut client = client();
        let mut told = events(&mut client, &bytes[..at]);
        told.extend(events(&mut client, &bytes[at..]));
        assert_eq!(told, whole, "cut at {at}");
        assert_eq!(taken(&mut client), "PONG\r\n");
    }
}

#[test]
fn what_the_server_would_not_take_is_not_sent() {
    let mut client = client();
    assert_eq!(client.publish(b"a", None, b"", &[0; 65]), Err(SendError::TooLarge { size: 65, limit: 64 }));
    assert_eq!(client.request(b"a.*", b"", b""), Err(SendError::Subject { subject: "a.*".to_owned() }));
    assert_eq!(client.publish(b"a", Some(b"b c"), b"", b""), Err(SendError::Subject { subject: "b c".to_owned() }));
    assert_eq!(client.subscribe(b"a..b", None), Err(SendError::Pattern { pattern: "a..b".to_owned() }));
    assert_eq!(client.subscribe(b"a", Some(b"")), Err(SendError::Queue { queue: String::new() }));
    assert_eq!(taken(&mut client), "");
    client.receive(b"INFO {\"headers\":false,\"max_payload\":64}\r\n");
    client.next_event().unwrap();
    let headers = Headers::new().with("A", "1").block();
    assert_eq!(client.publish(b"a", None, &headers, b""), Err(SendError::NoHeaders));
}

#[test]
fn what_is_no_server_is_told() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"INFO nonsense\r\n", b"MSG a\r\n"] {
        let mut client = Client::new(0);
        client.receive(bytes);
        assert!(client.next_event().is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_answer_is_the_payload_or_says_why_there_is_none() {
    let received =
        |headers: Vec<u8>, payload: &[u8]| Received { headers, payload: payload.to_vec(), ..Received::default() };
    assert_eq!(received(NO_RESPONDERS.to_vec(), b"").answer(), Answer::NoResponders);
    assert_eq!(received(Vec::new(), b"x").answer(), Answer::Given);
    let error = Headers::new().with("Nats-Service-Error", "error: it exited").with("Nats-Service-Error-Code", "503");
    let wanted = Answer::Error { code: 503, message: "error: it exited".to_owned() };
    assert_eq!(received(error.block(), b"").answer(), wanted);
    let odd = Headers::new().with("nats-service-error", "no").block();
    assert_eq!(received(odd, b"").answer(), Answer::Error { code: 500, message: "no".to_owned() });
}

#[test]
fn refusals_are_told_apart() {
    let cases = [
        ("Authorization Violation", RefusalKind::Credentials),
        ("Authentication Timeout", RefusalKind::Credentials),
        ("User Authentication Expired", RefusalKind::Credentials),
        ("Permissions Violation for Publish to \"a\"", RefusalKind::Permission),
        ("Slow Consumer", RefusalKind::SlowConsumer),
        ("Maximum Payload Violation", RefusalKind::Other),
    ];
    for (text, kind) in cases {
        assert_eq!(ServerRefusal::new(text.as_bytes()).kind(), kind, "{text}");
    }
}
