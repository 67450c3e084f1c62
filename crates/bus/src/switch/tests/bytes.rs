//! Whatever bytes come, and however they are cut: no panic, bounded memory, and the same is done.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::world::{CONNECT, World, book};
use crate::cache::CacheLimits;
use crate::switch::{Access, ConnectionId, Settings};

const SETTINGS: Settings = Settings {
    max_payload: 100,
    max_control_line: 300,
    max_pending_requests: 10,
    max_backlog: 2_000,
    congestion: 1_000,
    burst: 150,
    max_connections: 10,
    max_subscriptions: 10,
    cache: CacheLimits { entries: 10, bytes: 10_000 },
    reply_window: std::time::Duration::from_mins(5),
    ping_interval: std::time::Duration::from_mins(2),
    max_pings_out: 2,
    authentication_timeout: std::time::Duration::from_secs(2),
    resolution: std::time::Duration::from_millis(5),
};
/// What one frame can add to a backlog beyond its bound: the message and its line, and what the bus adds.
const ONE_FRAME: usize = 1_000;
/// The longest frame that a client can send: line, payload, line ends.
const LONGEST: usize = 300 + 100 + 16;

/// Bytes that look like the protocol, and some that do not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let frame = select(vec![
        "SUB > 1\r\n",
        "SUB a 2\r\n",
        "SUB a q 3\r\n",
        "SUB rpc.sales r\r\n",
        "SUB _INBOX.x.* in\r\n",
        "UNSUB 1\r\n",
        "UNSUB 2 1\r\n",
        "PUB a 2\r\nhi\r\n",
        "PUB a b 2\r\nhi\r\n",
        "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        "HPUB rpc.sales _INBOX.x.1 36 36\r\nNATS/1.0\r\nWerkpilot-From: boss\r\n\r\n\r\n",
        "PUB rpc.sales _INBOX.x.1 0\r\n\r\n",
        "PUB rpc.db _INBOX.x.2 0\r\n\r\n",
        "PUB _R_.0000000000000000 0\r\n\r\n",
        "PUB _R_.0000000100000000 1\r\nx\r\n",
        "PUB _INBOX.x.1 1\r\nx\r\n",
        "PUB agent.started 0\r\n\r\n",
        "PUB a 100000\r\n",
        "PING\r\n",
        "PONG\r\n",
        "CONNECT {}\r\n",
        "CONNECT {\"verbose\":true,\"pedantic\":true,\"headers\":true,\"user\":\"sales#1\",\"pass\":\"right\"}\r\n",
        "INFO {}\r\n",
        "+OK\r\n",
        "-ERR 'x'\r\n",
        "SUB a..b 1\r\n",
        "SUB ",
        "PUB ",
        " 9999999999999999999999 ",
        "\r\n",
    ]);
    let piece = prop_oneof![20 => frame.prop_map(|frame| frame.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..12)];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A connection that keeps what was not consumed, as a session does.
struct Session {
    id: ConnectionId,
    buffer: Vec<u8>,
    wanted: usize,
}

impl Session {
    fn feed(&mut self, world: &mut World, bytes: &[u8]) -> Result<(), TestCaseError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < self.wanted {
            return Ok(());
        }
        let received = world.bytes(self.id, &self.buffer);
        prop_assert!(received.consumed <= self.buffer.len());
        self.buffer.drain(..received.consumed);
        prop_assert!(received.wanted > self.buffer.len(), "asks for what it has");
        prop_assert!(received.wanted <= LONGEST, "asks for {} bytes", received.wanted);
        self.wanted = received.wanted;
        Ok(())
    }
}

fn world(fleet: bool) -> (World, Session, ConnectionId) {
    let mut world = World::new(SETTINGS, if fleet { book() } else { Access::Open });
    if fleet {
        world.set("sales", Some((werkpilot_core::status::Status::Running, "")));
    }
    let inside = world.switch.open_local(crate::switch::Who::System, world.now.steady);
    world.switch.subscribe_local(inside, 1, b">", None);
    let id = world.connected(&CONNECT.replace('}', r#","user":"sales#1","pass":"right"}"#));
    (world, Session { id, buffer: Vec::new(), wanted: 1 }, inside)
}

fn bounded(world: &mut World, id: ConnectionId, fed: usize) -> Result<(), TestCaseError> {
    let backlog = world.switch.outbox(id).map_or(0, |outbox| outbox.len());
    prop_assert!(backlog <= SETTINGS.max_backlog + ONE_FRAME, "{backlog} bytes wait");
    prop_assert!(world.switch.subscriptions_len() <= SETTINGS.max_subscriptions + 1);
    prop_assert!(world.switch.pending_len() <= SETTINGS.max_pending_requests);
    // At most one of each per frame, and no frame is shorter than this.
    let frames = fed / 6 + 1;
    prop_assert!(world.switch.take_deliveries().len() <= frames && world.switch.take_facts().len() <= frames * 2);
    Ok(())
}

proptest! {
    #[test]
    fn the_same_is_done_however_the_bytes_are_cut(bytes in bytes(), cuts in vec(1_usize..40, 1..40), fleet: bool) {
        let (mut one, mut whole, _) = world(fleet);
        whole.feed(&mut one, &bytes)?;
        bounded(&mut one, whole.id, bytes.len())?;
        let (mut two, mut cut, _) = world(fleet);
        let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
        while let Some(at) = cuts.next().filter(|_| !rest.is_empty()) {
            let (piece, later) = rest.split_at(rest.len().min(*at));
            cut.feed(&mut two, piece)?;
            rest = later;
        }
        bounded(&mut two, cut.id, bytes.len())?;
        prop_assert_eq!(one.switch.closing(whole.id), two.switch.closing(cut.id));
        prop_assert_eq!(one.switch.stats(), two.switch.stats());
        let (one, two) = (one.take(whole.id), two.take(cut.id));
        prop_assert_eq!(one.escape_ascii().to_string(), two.escape_ascii().to_string());
    }

    #[test]
    fn no_bytes_do_harm_to_others(bytes in bytes(), noise in vec(any::<u8>(), 0..300), fleet: bool) {
        let (mut world, mut bad, inside) = world(fleet);
        let good = world.user("mail#1");
        world.send(good, "SUB quiet 1\r\n");
        for piece in [bytes.as_slice(), noise.as_slice(), bytes.as_slice()] {
            bad.feed(&mut world, piece)?;
            bounded(&mut world, bad.id, bytes.len() * 2 + noise.len())?;
            if world.switch.closing(bad.id).is_some() {
                world.close(bad.id);
                bad = Session { id: world.raw(), buffer: Vec::new(), wanted: 1 };
            }
        }
        world.take(good);
        world.publish(good, "quiet", "still here");
        prop_assert_eq!(world.payloads(good), ["still here"]);
        prop_assert_eq!(world.switch.who(inside), Some(&crate::switch::Who::System));
        world.close(bad.id);
        world.close(good);
        world.close(inside);
        prop_assert_eq!(world.switch.subscriptions_len(), 0);
        world.pass(std::time::Duration::from_hours(1));
        prop_assert_eq!((world.switch.pending_len(), world.switch.next_deadline()), (0, None));
    }
}
