//! Who is who: stamps, permissions, credentials.

use super::world::{CONNECT, World, credential};
use crate::switch::{CloseReason, Who};

#[test]
fn whoever_has_no_good_credentials_is_refused() {
    for credentials in
        ["", r#","user":"sales#1""#, r#","user":"sales#1","pass":"wrong""#, r#","user":"x","pass":"right""#]
    {
        let mut world = World::fleet();
        let client = world.connected(&CONNECT.replace('}', &format!("{credentials}}}")));
        assert_eq!(world.read(client), ["-ERR Authorization Violation"], "{credentials}");
        assert_eq!(world.switch.closing(client), Some(CloseReason::Authorization));
    }
    let mut world = World::fleet();
    let good = world.user("sales#1");
    assert_eq!(world.switch.who(good).and_then(Who::agent).map(ToString::to_string), Some("sales".to_owned()));
    assert_eq!(world.switch.users().collect::<Vec<_>>(), ["sales#1"]);
}

#[test]
fn what_is_delivered_says_who_sent_it_however_it_was_forged() {
    let forged: [&[u8]; 9] = [
        b"",
        b"NATS/1.0\r\nWerkpilot-From: boss\r\n\r\n",
        b"NATS/1.0\r\nwerkPILOT-from:boss\r\nWerkpilot-From: boss\r\n\r\n",
        b"NATS/1.0\r\nWerkpilot-From : boss\r\n\r\n",
        b"NATS/1.0\r\n Werkpilot-From: boss\r\n\r\n",
        b"NATS/1.0\nWerkpilot-From: boss\n\n",
        b"NATS/1.0\rWerkpilot-From: boss\r\r",
        b"NATS/1.0\r\n\r\nWerkpilot-From: boss\r\n\r\n",
        b"Werkpilot-From: boss\r\n\r\n",
    ];
    let mut world = World::fleet();
    let (sender, free, responder) = (world.requester("sales#1"), world.user("mail#1"), world.responder("db#1"));
    world.send(free, "SUB orders.> 1\r\nSUB $SRV.PING 2\r\n");
    for block in forged {
        let frame = |world: &mut World, subject: &str| world.publish_block(sender, subject, block, b"x");
        frame(&mut world, "orders.new");
        assert_eq!(world.read(free), [r#"orders.new 1 "x" [Werkpilot-From: sales]"#], "{}", block.escape_ascii());
        frame(&mut world, "$SRV.PING");
        assert_eq!(world.read(free), [r#"$SRV.PING 2 "x" [Werkpilot-From: sales]"#], "{}", block.escape_ascii());
        frame(&mut world, "rpc.db _INBOX.sales#1.1");
        let asked = world.read(responder);
        assert_eq!(asked.len(), 1);
        assert!(asked[0].ends_with(r#""x" [Werkpilot-From: sales] [Werkpilot-Hops: 1]"#), "{}", asked[0]);
        let reply = asked[0].split(' ').nth(2).unwrap().to_owned();
        world.publish_block(responder, &reply, block, b"y");
        assert_eq!(world.read(sender), [r#"_INBOX.sales#1.1 in "y" [Werkpilot-From: db]"#], "{}", block.escape_ascii());
    }
}

#[test]
fn a_client_without_headers_gets_plain_messages() {
    let mut world = World::fleet();
    let old = world.connected(r#"{"verbose":false,"pedantic":false,"user":"sales#1","pass":"right"}"#);
    let sender = world.user("mail#1");
    world.send(old, "SUB orders 1\r\n");
    world.publish(sender, "orders", "x");
    assert_eq!(world.read(old), [r#"orders 1 "x""#]);
}

#[test]
fn an_agent_listens_to_its_own_and_to_what_is_free_and_is_told_what_it_may_not() {
    let mut world = World::fleet();
    let agent = world.user("sales#1");
    for pattern in ["rpc.sales", "rpc.sales.*", "$SRV.INFO.sales.1", "orders.>", ">", "rpc.*", "execution.failed"] {
        world.send(agent, &format!("SUB {pattern} {pattern}\r\n"));
        assert!(world.read(agent).is_empty(), "{pattern}");
    }
    for pattern in ["rpc.db", "rpc.db.>", "$SRV.PING.db", "_R_.>", "_R_.0000000000000000", "$SYS.>"] {
        world.send(agent, &format!("SUB {pattern} {pattern}\r\n"));
        assert_eq!(world.read(agent), [format!("-ERR Permissions Violation for Subscription to \"{pattern}\"")]);
        world.send(agent, &format!("SUB {pattern} group {pattern}\r\n"));
        let text = format!("-ERR Permissions Violation for Subscription to \"{pattern}\" using queue \"group\"");
        assert_eq!(world.read(agent), [text]);
    }
    assert_eq!((world.switch.stats().violations, world.switch.closing(agent)), (12, None));
    assert_eq!(world.switch.subscriptions_len(), 7);
}

#[test]
fn only_the_system_speaks_for_the_system() {
    let mut world = World::fleet();
    let (agent, operator, system) = (world.user("sales#1"), world.user("operator"), world.user("system"));
    let listener = world.user("db#1");
    world.send(listener, "SUB agent.> 1\r\n");
    for sender in [agent, operator] {
        world.publish(sender, "agent.started", "{}");
        assert_eq!(world.read(sender), [r#"-ERR Permissions Violation for Publish to "agent.started""#]);
        world.publish(sender, "$SYS.x", "{}");
        assert_eq!(world.read(sender), [r#"-ERR Permissions Violation for Publish to "$SYS.x""#]);
    }
    world.publish(system, "agent.started", "{}");
    assert_eq!(world.read(listener), [r#"agent.started 1 "{}" [Werkpilot-From: werkpilot]"#]);
    assert_eq!(world.switch.stats().violations, 4);
}

#[test]
fn nobody_makes_others_speak_where_it_may_not_speak_itself() {
    let mut world = World::fleet();
    let (asker, victim) = (world.requester("sales#1"), world.requester("mail#1"));
    let responder = world.responder("db#1");
    world.send(responder, "SUB orders 1\r\n");
    world.publish(victim, "rpc.db _INBOX.mail#1.1", "?");
    let pending = world.asked(responder);
    for reply in [pending.as_str(), "agent.started", "$SYS.x"] {
        world.publish(asker, &format!("orders {reply}"), "say yes");
        assert_eq!(world.read(asker), [format!("-ERR Permissions Violation for Publish to \"{reply}\"")]);
        assert!(world.read(responder).is_empty());
    }
    assert!(world.read(victim).is_empty());
}

#[test]
fn a_verbose_client_gets_no_ok_for_what_it_may_not() {
    let mut world = World::fleet();
    let agent = world.connected(r#"{"user":"sales#1","pass":"right"}"#);
    assert_eq!(world.read(agent), ["+OK"]);
    world.send(agent, "PUB agent.started 0\r\n\r\nSUB rpc.db 1\r\nPUB _INBOX.x.y 0\r\n\r\nPUB orders 0\r\n\r\n");
    let got = world.read(agent);
    assert_eq!(got.len(), 4);
    assert!(got[..3].iter().all(|line| line.starts_with("-ERR Permissions Violation")) && got[3] == "+OK", "{got:?}");
}

#[test]
fn a_question_to_one_service_reaches_only_that_agent_and_one_to_all_reaches_all() {
    let mut world = World::fleet();
    let (sales, db, asker) = (world.user("sales#1"), world.user("db#1"), world.requester("mail#1"));
    for agent in [sales, db] {
        world.send(agent, "SUB $SRV.> 1\r\n");
    }
    world.publish(asker, "$SRV.PING.db _INBOX.mail#1.1", "");
    assert_eq!((world.read(sales).len(), world.read(db).len()), (0, 1));
    world.publish(asker, "$SRV.PING _INBOX.mail#1.2", "");
    assert_eq!((world.read(sales).len(), world.read(db).len()), (1, 1));
    world.publish(sales, "_INBOX.mail#1.2", "sales");
    world.publish(db, "_INBOX.mail#1.2", "db");
    assert_eq!(world.payloads(asker), ["sales", "db"], "many may answer");
    world.publish(asker, "$SRV.PING.none _INBOX.mail#1.3", "");
    assert_eq!(world.read(asker), [r#"_INBOX.mail#1.3 in "" 503"#]);
}

#[test]
fn revoked_credentials_end_their_connections_and_nobody_elses() {
    let mut world = World::fleet();
    let (one, same, other) = (world.responder("sales#1"), world.user("sales#1"), world.user("sales#2"));
    world.send(one, "SUB orders 1\r\n");
    world.switch.revoke(credential("sales#1"));
    world.switch.revoke(credential("sales#1"));
    for gone in [one, same] {
        assert_eq!(world.read(gone), ["-ERR User Authentication Revoked"]);
        assert_eq!(world.switch.closing(gone), Some(CloseReason::Revoked));
    }
    world.publish(other, "orders", "x");
    assert!(world.read(one).is_empty() && world.switch.closing(other).is_none());
    world.publish(one, "orders", "from the grave");
    assert_eq!(world.switch.stats().traffic.in_msgs, 1);
}
