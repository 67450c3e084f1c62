//! Limits, credentials, silence, and the end.

use std::time::Duration;

use super::world::{CONNECT, World, frames, show};
use crate::protocol::{Info, ServerOp};
use crate::switch::{Access, CloseReason, ConnectionId, Fact, Settings};

fn small() -> World {
    let settings = Settings {
        max_payload: 64,
        max_control_line: 128,
        max_connections: 3,
        max_subscriptions: 2,
        max_backlog: 1_000,
        congestion: 500,
        ..Settings::default()
    };
    World::new(settings, Access::Open)
}

#[test]
fn a_payload_over_the_limit_is_refused_before_it_has_come() {
    let mut world = small();
    let client = world.client();
    let received = world.bytes(client, b"PUB a 65\r\n");
    assert_eq!((received.consumed, received.wanted), (10, 1));
    assert_eq!(world.read(client), ["-ERR Maximum Payload Violation"]);
    assert_eq!(world.switch.closing(client), Some(CloseReason::Protocol));
    let received = world.bytes(client, b"PUB a 1\r\nx\r\n");
    assert_eq!(received.consumed, 12, "what comes afterwards is thrown away");
    assert_eq!(world.switch.stats().traffic.in_msgs, 0);
}

#[test]
fn a_control_line_over_the_limit_is_refused_before_its_end_has_come() {
    let mut world = small();
    let client = world.client();
    let _ = world.bytes(client, format!("SUB {}", "a".repeat(200)).as_bytes());
    assert_eq!(world.read(client), ["-ERR maximum control line exceeded"]);
    assert_eq!(world.switch.closing(client), Some(CloseReason::Protocol));
}

#[test]
fn what_is_no_protocol_ends_the_connection_with_a_word_why() {
    for (bytes, error) in [
        (&b"GET / HTTP/1.1\r\n"[..], "-ERR Unknown Protocol Operation"),
        (b"PUB a 1\r\nxyz", "-ERR Unknown Protocol Operation"),
        (b"SUB\ta\r\n", "-ERR Parser Error"),
        (b"CONNECT {nonsense\r\n", "-ERR Parser Error"),
    ] {
        let mut world = small();
        let client = world.client();
        let _ = world.bytes(client, bytes);
        assert_eq!(world.read(client), [error], "{}", bytes.escape_ascii());
        assert_eq!(world.switch.closing(client), Some(CloseReason::Protocol));
    }
}

#[test]
fn one_subscription_too_many_is_refused_and_the_others_live_on() {
    let mut world = small();
    let client = world.client();
    world.send(client, "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB c 0\r\n\r\nPUB a 0\r\n\r\n");
    assert_eq!(world.read(client), ["-ERR maximum subscriptions exceeded", r#"a 1 """#]);
    world.send(client, "UNSUB 1\r\nSUB c 3\r\nPUB c 0\r\n\r\n");
    assert_eq!(world.read(client), [r#"c 3 """#]);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let mut world = small();
    let clients: Vec<_> = (0..3).map(|_| world.client()).collect();
    let late = world.switch.open(None, world.now.steady);
    assert_eq!(world.read(late), ["INFO", "-ERR maximum connections exceeded"]);
    assert_eq!(world.switch.closing(late), Some(CloseReason::TooMany));
    world.close(late);
    world.close(clients[0]);
    let next = world.client();
    assert_eq!(world.switch.closing(next), None);
}

#[test]
fn a_slow_consumer_gets_the_frame_in_transit_and_a_word_why_and_is_closed() {
    let mut world = small();
    let (slow, sender) = (world.client(), world.client());
    world.send(slow, "SUB a 1\r\n");
    world.publish(sender, "a", "first");
    world.switch.outbox(slow).unwrap().wrote(3);
    let mut seen = b"MSG".to_vec();
    let payload = "x".repeat(60);
    let received = (0..20).map(|_| {
        let frame = format!("PUB a 60\r\n{payload}\r\n");
        world.bytes(sender, frame.as_bytes())
    });
    assert!(received.filter(|received| received.congested).count() > 3, "the sender was told to slow down");
    assert_eq!(world.switch.closing(slow), Some(CloseReason::SlowConsumer));
    seen.extend(world.take(slow));
    let shown: Vec<String> = frames(&seen).iter().map(show).collect();
    assert_eq!(shown, [r#"a 1 "first""#, "-ERR Slow Consumer"]);
    assert_eq!(world.switch.stats().slow_consumers, 1);
    assert!(matches!(world.switch.take_facts()[..], [Fact::SlowConsumer { backlog_bytes: 1_001..1_200, .. }]));
    assert_eq!(world.switch.closing(sender), None);
    world.publish(sender, "a", "for nobody");
    assert!(world.take(slow).is_empty());
}

#[test]
fn a_member_of_a_group_that_is_being_closed_takes_no_message_from_the_others() {
    let mut world = small();
    let (bad, good, sender) = (world.client(), world.client(), world.client());
    for member in [bad, good] {
        world.send(member, "SUB jobs g 1\r\n");
    }
    let _ = world.bytes(bad, b"nonsense\r\n");
    for _ in 0..10 {
        world.publish(sender, "jobs", "x");
        assert_eq!(world.payloads(good), ["x"]);
    }
}

#[test]
fn who_only_makes_the_bus_talk_and_never_reads_is_cut_off_too() {
    for flood in ["PING\r\n", "SUB a..b 1\r\n", "PUB a..b 0\r\n\r\n"] {
        let mut world = small();
        let client = world.connected(r#"{"verbose":true,"pedantic":true}"#);
        for _ in 0..1_000 {
            world.send(client, flood);
        }
        assert_eq!(world.switch.closing(client), Some(CloseReason::SlowConsumer), "{flood}");
        assert_eq!(world.read(client), ["-ERR Slow Consumer"]);
    }
}

#[test]
fn who_does_not_introduce_itself_in_time_is_closed_where_credentials_are_asked_for() {
    let mut world = World::new(Settings::default(), Access::Token("t".to_owned()));
    let (silent, good) = (world.raw(), world.connected(r#"{"auth_token":"t","verbose":true}"#));
    assert_eq!(world.read(good), ["+OK"]);
    world.pass(Duration::from_millis(1_990));
    assert_eq!(world.switch.closing(silent), None);
    world.pass(Duration::from_millis(15));
    assert_eq!(world.read(silent), ["-ERR Authentication Timeout"]);
    assert_eq!(world.switch.closing(silent), Some(CloseReason::AuthenticationTimeout));
    assert_eq!(world.switch.closing(good), None);
}

#[test]
fn wrong_missing_and_late_credentials_are_refused() {
    let access = || Access::Password { user: "u".to_owned(), password: "p".to_owned() };
    for script in [
        "CONNECT {}\r\n",
        "CONNECT {\"user\":\"u\",\"pass\":\"x\"}\r\n",
        "CONNECT {\"auth_token\":\"p\"}\r\n",
        "PING\r\n",
        "SUB > 1\r\n",
        "PUB a 0\r\n\r\nCONNECT {\"user\":\"u\",\"pass\":\"p\"}\r\n",
    ] {
        let mut world = World::new(Settings::default(), access());
        let client = world.raw();
        world.send(client, script);
        assert_eq!(world.read(client), ["-ERR Authorization Violation"], "{script}");
        assert_eq!(world.switch.closing(client), Some(CloseReason::Authorization));
        assert_eq!((world.switch.subscriptions_len(), world.switch.stats().traffic.in_msgs), (0, 0));
    }
}

#[test]
fn a_silent_connection_is_pinged_and_is_stale_when_it_stays_silent() {
    let mut world = World::plain();
    let (dead, alive) = (world.client(), world.client());
    let interval = Settings::default().ping_interval + Duration::from_millis(10);
    for _ in 0..2 {
        world.pass(interval);
        assert_eq!(world.read(dead), ["PING"]);
        assert_eq!(world.read(alive), ["PING"]);
        world.send(alive, "PONG\r\n");
    }
    world.pass(interval);
    assert_eq!(world.read(dead), ["-ERR Stale Connection"]);
    assert_eq!(world.switch.closing(dead), Some(CloseReason::Stale));
    for _ in 0..10 {
        world.pass(interval);
        world.send(alive, "PONG\r\n");
    }
    assert_eq!(world.switch.closing(alive), None);
}

#[test]
fn who_talks_is_not_pinged_and_who_has_gone_is_forgotten_by_the_timers() {
    let mut world = World::plain();
    let (busy, gone) = (world.client(), world.client());
    world.close(gone);
    for _ in 0..100 {
        world.pass(Duration::from_secs(10));
        world.publish(busy, "a", "");
    }
    assert!(world.read(busy).is_empty());
    world.close(busy);
    assert_eq!(world.switch.next_deadline(), None);
}

#[test]
fn lame_duck_mode_is_told_to_all_who_are_open_and_later_to_newcomers() {
    let mut world = World::new(Settings::default(), Access::Token("t".to_owned()));
    let client = world.connected(&CONNECT.replace('}', r#","auth_token":"t"}"#));
    let stranger = world.raw();
    world.switch.announce_lame_duck();
    let bytes = world.take(client);
    let [ServerOp::Info(json)] = frames(&bytes)[..] else { panic!("not one INFO") };
    let info: Info = serde_json::from_slice(json).unwrap();
    assert!(info.lame_duck && info.client_id == Some(client.number()));
    assert!(world.read(stranger).is_empty());
    let late = world.switch.open(None, world.now.steady);
    assert_eq!(world.read(late), ["INFO lame duck"]);
    world.switch.close_all();
    assert_eq!(world.switch.closing(client), Some(CloseReason::Shutdown));
    assert_eq!(world.switch.closing(stranger), Some(CloseReason::Shutdown));
}

#[test]
fn what_was_closed_gets_nothing_and_its_place_is_another_connections() {
    let mut world = World::plain();
    let old = world.client();
    world.send(old, "SUB a 1\r\n");
    world.close(old);
    world.close(old);
    let new = world.client();
    assert_ne!(old, new);
    world.publish(new, "a", "x");
    assert!(world.read(new).is_empty() && world.switch.outbox(old).is_none());
    assert_eq!(world.bytes(old, b"SUB a 1\r\n").consumed, 9);
    assert_eq!(world.switch.subscriptions_len(), 0);
    assert_eq!((world.switch.closing(old), world.switch.who(old)), (None, None));
}

#[test]
fn everybody_who_has_something_to_be_written_is_named_once() {
    let mut world = World::plain();
    let (a, b, c) = (world.client(), world.client(), world.client());
    while world.switch.next_dirty().is_some() {}
    world.send(a, "SUB x 1\r\n");
    world.send(b, "SUB x 1\r\nPING\r\n");
    for _ in 0..3 {
        world.publish(c, "x", "");
    }
    world.close(b);
    let d = world.raw();
    let mut named: Vec<u64> = std::iter::from_fn(|| world.switch.next_dirty()).map(ConnectionId::number).collect();
    named.sort_unstable();
    assert_eq!(named, [a.number(), d.number()]);
    assert!(!world.switch.has_dirty());
}
