//! What holds for all bytes: no panic, bounded appetite, progress; cut frames and round trips; no forged header.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use werkpilot_bus::protocol::headers::{self, is_well_formed, restamp};
use werkpilot_bus::protocol::{
    Frame, Headers, Limits, Message, Op, Parsed, ParsedServer, ProtocolError, Publish, ServerOp, encode, parse,
    parse_server,
};

const SMALL: Limits = Limits { max_control_line: 64, max_payload: 256 };
/// The longest verb, its space and two line ends.
const SLACK: usize = 16;

/// Bytes that look much like the protocol.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let words = select(vec![
        "PUB ",
        "hpub ",
        "SUB",
        "UNSUB ",
        "PING",
        "PONG",
        "CONNECT ",
        "INFO ",
        "+OK",
        "-ERR ",
        "MSG ",
        "HMSG ",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "a",
        "a.b",
        "1",
        "2",
        "12 14",
        "0",
        "300",
        "99999999999999999999",
        "-1",
        "NATS/1.0",
        ":",
        "{}",
        "hi",
    ]);
    let word = prop_oneof![8 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..8)];
    vec(word, 0..40).prop_map(|words| words.concat())
}

/// Parses to the end; what is consumed must be positive and there, what is asked for must be more than there is, and bounded.
fn drain<'a, T>(
    mut bytes: &'a [u8],
    parse: impl Fn(&'a [u8]) -> Result<Frame<T>, ProtocolError>,
) -> Result<(), TestCaseError> {
    loop {
        match parse(bytes) {
            Ok(Frame::Op { length, .. }) => {
                prop_assert!(length > 0 && length <= bytes.len());
                bytes = &bytes[length..];
            }
            Ok(Frame::Incomplete { at_least }) => {
                prop_assert!(at_least > bytes.len());
                prop_assert!(at_least <= SMALL.max_control_line + SMALL.max_payload + SLACK, "{at_least}");
                return Ok(());
            }
            Err(_) => return Ok(()),
        }
    }
}

/// An operation that owns its bytes.
#[derive(Clone, Debug)]
enum Owned {
    Ping,
    Pong,
    Connect(Vec<u8>),
    Publish(Vec<u8>, Option<Vec<u8>>, Vec<u8>, Vec<u8>),
    Subscribe(Vec<u8>, Option<Vec<u8>>, Vec<u8>),
    Unsubscribe(Vec<u8>, Option<u64>),
}

impl Owned {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ping => encode::ping(out),
            Self::Pong => encode::pong(out),
            Self::Connect(json) => out.extend([b"CONNECT ", &json[..], b"\r\n"].concat()),
            Self::Publish(subject, reply, headers, payload) => {
                encode::publish(out, subject, reply.as_deref(), headers, payload);
            }
            Self::Subscribe(subject, queue, sid) => encode::subscribe(out, subject, queue.as_deref(), sid),
            Self::Unsubscribe(sid, max) => encode::unsubscribe(out, sid, *max),
        }
    }

    fn borrow(&self) -> Op<'_> {
        match self {
            Self::Ping => Op::Ping,
            Self::Pong => Op::Pong,
            Self::Connect(json) => Op::Connect(json),
            Self::Publish(subject, reply, headers, payload) => {
                Op::Publish(Publish { subject, reply: reply.as_deref(), headers, payload })
            }
            Self::Subscribe(subject, queue, sid) => Op::Subscribe { subject, queue: queue.as_deref(), sid },
            Self::Unsubscribe(sid, max) => Op::Unsubscribe { sid, max: *max },
        }
    }
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![0x21_u8..0x7f, 0x80_u8..=0xff], 1..12)
}

fn block() -> impl Strategy<Value = Vec<u8>> {
    vec(("[A-Za-z-]{1,10}", "[ -~]{0,12}"), 0..4).prop_map(|pairs| {
        if pairs.is_empty() {
            return Vec::new();
        }
        pairs.iter().fold(Headers::new(), |headers, (name, value)| headers.with(name, value)).block()
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..100), Just(b"\r\nPING\r\n".to_vec())]
}

fn op() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::Ping),
        Just(Owned::Pong),
        Just(Owned::Connect(br#"{"verbose":false}"#.to_vec())),
        (word(), option::of(word()), block(), payload()).prop_map(|(s, r, h, p)| Owned::Publish(s, r, h, p)),
        (word(), option::of(word()), word()).prop_map(|(s, q, i)| Owned::Subscribe(s, q, i)),
        (word(), option::of(1_u64..)).prop_map(|(i, m)| Owned::Unsubscribe(i, m)),
    ]
}

/// Header blocks that try to smuggle `Werkpilot-From` in.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    let parts = select(vec![
        "NATS/1.0",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        ":",
        ": ",
        "Werkpilot-From",
        "werkpilot-from: boss",
        "WERKPILOT-FROM : boss",
        "A",
        "A: b",
        " c",
        "503",
        "\u{b}",
        "\0",
        "\u{a0}",
        "\u{85}",
        "\u{feff}",
    ]);
    let part = prop_oneof![9 => parts.prop_map(|part| part.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..4)];
    let body = vec(part, 0..20).prop_map(|parts| parts.concat());
    (any::<bool>(), body).prop_map(|(proper, body)| if proper { [b"NATS/1.0\r\n", &body[..]].concat() } else { body })
}

/// How many lines some parser might take for a `Werkpilot-From`: the name at the beginning of a line, whatever ends a
/// line, with anything around it that is not a letter.
fn senders(block: &[u8]) -> usize {
    block
        .split(|&byte| byte == b'\r' || byte == b'\n' || (0x0b..=0x1f).contains(&byte))
        .filter_map(|line| line.split_once_colon())
        .filter(|name| {
            let name: Vec<u8> = name.iter().copied().filter(u8::is_ascii_graphic).collect();
            name.eq_ignore_ascii_case(b"werkpilot-from")
        })
        .count()
}

trait SplitOnceColon {
    fn split_once_colon(&self) -> Option<&[u8]>;
}

impl SplitOnceColon for [u8] {
    fn split_once_colon(&self) -> Option<&[u8]> {
        self.iter().position(|&byte| byte == b':').map(|colon| &self[..colon])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_bytes_make_a_parser_panic_or_ask_for_much(bytes in prop_oneof![nearly(), vec(any::<u8>(), 0..400)]) {
        drain(&bytes, |bytes| parse(bytes, &SMALL))?;
        drain(&bytes, |bytes| parse_server(bytes, &SMALL))?;
    }

    #[test]
    fn frames_cut_anywhere_are_the_same_frames(ops in vec(op(), 1..5)) {
        let limits = Limits::default();
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for op in &ops {
            op.write(&mut bytes);
            ends.push(bytes.len());
        }
        let mut begin = 0;
        for (op, end) in ops.iter().zip(ends) {
            for cut in begin..end {
                let found = parse(&bytes[begin..cut], &limits);
                let asked = matches!(found, Ok(Parsed::Incomplete { at_least }) if at_least > cut - begin && at_least <= end - begin);
                prop_assert!(asked, "{}: {found:?}", bytes[begin..cut].escape_ascii());
            }
            for cut in [end, bytes.len()] {
                prop_assert_eq!(parse(&bytes[begin..cut], &limits), Ok(Parsed::Op { op: op.borrow(), length: end - begin }));
            }
            begin = end;
        }
    }

    #[test]
    fn messages_come_through_to_clients(
        subject in word(), sid in word(), reply in option::of(word()), block in block(), payload in payload(),
    ) {
        let mut bytes = Vec::new();
        if block.is_empty() {
            encode::message(&mut bytes, &subject, &sid, reply.as_deref(), &payload);
        } else {
            let (one, two) = block.split_at(block.len() / 2);
            encode::message_with_headers(&mut bytes, &subject, &sid, reply.as_deref(), &[one, two], &payload);
        }
        let message = Message { subject: &subject, sid: &sid, reply: reply.as_deref(), headers: &block, payload: &payload };
        for cut in 0..bytes.len() {
            let found = parse_server(&bytes[..cut], &Limits::CLIENT);
            let asked = matches!(found, Ok(ParsedServer::Incomplete { at_least }) if at_least > cut && at_least <= bytes.len());
            prop_assert!(asked, "{found:?}");
        }
        let wanted = ParsedServer::Op { op: ServerOp::Message(message), length: bytes.len() };
        prop_assert_eq!(parse_server(&bytes, &Limits::CLIENT), Ok(wanted));
    }

    #[test]
    fn headers_come_through(pairs in vec(("[!-9;-~]{1,10}", "[ -~äß]{0,12}"), 0..6)) {
        let headers = pairs.iter().fold(Headers::new(), |headers, (name, value)| headers.with(name, value));
        let block = headers.block();
        prop_assert!(is_well_formed(&block));
        let mut stamped = Vec::new();
        restamp(&block, &["werkpilot-from"], b"X-Stamp: 1\r\n", &mut stamped);
        for (block, skip) in [(&block, 0), (&stamped, 1)] {
            let found: Vec<_> = headers::pairs(block).skip(skip).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let wanted: Vec<_> = pairs.iter().map(|(n, v)| (n.clone(), v.trim().to_owned())).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_forged_sender_never_gets_through(block in forged()) {
        let mut out = b"before".to_vec();
        restamp(&block, &["Werkpilot-From"], b"Werkpilot-From: sales\r\n", &mut out);
        let out = out.strip_prefix(b"before").expect("what was there stays");
        prop_assert!(is_well_formed(out), "{}", out.escape_ascii());
        prop_assert_eq!(headers::get(out, "werkpilot-from"), Some("sales"));
        prop_assert_eq!(senders(out), 1, "{}", out.escape_ascii());
        let mut again = Vec::new();
        restamp(out, &["Werkpilot-From"], b"Werkpilot-From: sales\r\n", &mut again);
        prop_assert_eq!(&again[..], out);
        let mut removed = Vec::new();
        restamp(&block, &["werkpilot-FROM"], b"", &mut removed);
        prop_assert_eq!(senders(&removed), 0, "{}", removed.escape_ascii());
    }

    #[test]
    fn no_block_makes_the_views_panic(block in prop_oneof![forged(), vec(any::<u8>(), 0..100)]) {
        let _ = (headers::status(&block), headers::get(&block, "a"), headers::pairs(&block).count(), is_well_formed(&block));
    }
}
