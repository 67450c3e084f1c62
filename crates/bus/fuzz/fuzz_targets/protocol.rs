//! No bytes make the parsers or the header views panic, stand still, or ask for more than the limits allow; and what
//! is delivered never has a sender that the bus did not stamp.
#![no_main]

use libfuzzer_sys::fuzz_target;
use werkpilot_bus::protocol::{Frame, Limits, Op, ProtocolError, ServerOp, headers, parse, parse_server};

const LIMITS: Limits = Limits { max_control_line: 256, max_payload: 4096 };
/// The longest verb, its space and two line ends.
const SLACK: usize = 16;
const STAMP: &[u8] = b"Werkpilot-From: sales\r\n";

fuzz_target!(|bytes: &[u8]| {
    drain(
        bytes,
        |bytes| parse(bytes, &LIMITS),
        |op| {
            if let Op::Publish(publish) = op {
                views(publish.headers);
            }
        },
    );
    drain(
        bytes,
        |bytes| parse_server(bytes, &LIMITS),
        |op| {
            if let ServerOp::Message(message) = op {
                views(message.headers);
            }
        },
    );
    views(bytes);
});

fn drain<'a, T>(mut bytes: &'a [u8], parse: impl Fn(&'a [u8]) -> Result<Frame<T>, ProtocolError>, look: impl Fn(T)) {
    loop {
        match parse(bytes) {
            Ok(Frame::Op { op, length }) => {
                assert!(length > 0 && length <= bytes.len());
                look(op);
                bytes = &bytes[length..];
            }
            Ok(Frame::Incomplete { at_least }) => {
                assert!(at_least > bytes.len());
                assert!(at_least <= LIMITS.max_control_line + LIMITS.max_payload + SLACK);
                return;
            }
            Err(error) => {
                assert!(!error.wire().is_empty());
                return;
            }
        }
    }
}

fn views(block: &[u8]) {
    let _ = (headers::get(block, "a"), headers::status(block), headers::pairs(block).count());
    let mut out = Vec::new();
    headers::restamp(block, &["werkpilot-from"], STAMP, &mut out);
    assert!(headers::is_well_formed(&out));
    let senders = headers::pairs(&out).filter(|(name, _)| name.eq_ignore_ascii_case("werkpilot-from")).count();
    assert_eq!(senders, 1);
}
