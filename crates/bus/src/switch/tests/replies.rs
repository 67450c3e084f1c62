//! Inboxes: whose they are, and who may answer there.

use std::time::Duration;

use super::world::World;

#[test]
fn the_first_subscriber_owns_an_inbox_until_it_goes() {
    let mut world = World::fleet();
    let (owner, thief) = (world.user("sales#1"), world.user("db#1"));
    world.send(owner, "SUB _INBOX.abc.* 1\r\n");
    for pattern in ["_INBOX.abc.*", "_INBOX.abc.x", "_INBOX.abc", "_INBOX.abc.>"] {
        world.send(thief, &format!("SUB {pattern} 1\r\n"));
        assert_eq!(world.read(thief), [format!("-ERR Permissions Violation for Subscription to \"{pattern}\"")]);
    }
    world.send(owner, "SUB _INBOX.abc.more 2\r\nUNSUB 1\r\n");
    assert!(world.read(owner).is_empty());
    world.close(owner);
    world.send(thief, "SUB _INBOX.abc.* 1\r\n");
    assert!(world.read(thief).is_empty());
}

#[test]
fn only_who_was_told_of_an_inbox_may_answer_there() {
    let mut world = World::fleet();
    let (asker, responder, other) = (world.requester("sales#1"), world.user("db#1"), world.user("mail#1"));
    world.send(responder, "SUB questions 1\r\n");
    world.publish(asker, "questions _INBOX.sales#1.7", "?");
    assert_eq!(world.asked(responder), "_INBOX.sales#1.7");
    for (sender, subject) in
        [(other, "_INBOX.sales#1.7"), (responder, "_INBOX.sales#1.8"), (responder, "_INBOX.sales#1")]
    {
        world.publish(sender, subject, "psst");
        assert_eq!(world.read(sender), [format!("-ERR Permissions Violation for Publish to \"{subject}\"")]);
    }
    assert!(world.read(asker).is_empty());
    assert_eq!((world.switch.stats().rejected_replies, world.switch.stats().late_replies), (3, 0));
    world.publish(responder, "_INBOX.sales#1.7", "!");
    world.publish(responder, "_INBOX.sales#1.7", "and");
    assert_eq!(world.payloads(asker), ["!", "and"]);
}

#[test]
fn a_reply_is_possible_for_the_reply_window_and_not_for_ever() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.user("db#1"));
    world.send(responder, "SUB questions 1\r\n");
    world.publish(asker, "questions _INBOX.sales#1.7", "?");
    assert_eq!(world.read(responder).len(), 1);
    world.pass(Duration::from_secs(299));
    world.publish(responder, "_INBOX.sales#1.7", "!");
    assert_eq!(world.switch.stats().rejected_replies, 0);
    world.pass(Duration::from_secs(400));
    world.publish(responder, "_INBOX.sales#1.7", "!");
    assert_eq!(world.switch.stats().rejected_replies, 1);
}

#[test]
fn a_reply_to_an_inbox_that_has_gone_is_dropped_and_counted() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.user("db#1"));
    world.send(responder, "SUB questions 1\r\n");
    world.publish(asker, "questions _INBOX.sales#1.7", "?");
    world.publish(asker, "questions _INBOX.sales#1.8", "?");
    world.send(asker, "UNSUB in\r\n");
    world.publish(responder, "_INBOX.sales#1.7", "!");
    world.close(asker);
    world.publish(responder, "_INBOX.sales#1.8", "!");
    assert_eq!(world.switch.stats().late_replies, 2);
    assert_eq!(world.read(responder).len(), 2, "the questions, and no word of blame");
}

#[test]
fn wildcards_see_neither_others_replies_nor_others_requests() {
    let mut world = World::fleet();
    let (asker, responder, spy) = (world.requester("sales#1"), world.responder("db#1"), world.user("mail#1"));
    world.send(responder, "SUB questions 1\r\n");
    for (sid, pattern) in [">", "*.>", "_INBOX.>", "_INBOX.*.*", "rpc.*", "rpc.>", "*.db", "*.*.*"].iter().enumerate() {
        world.send(spy, &format!("SUB {pattern} {sid}\r\nSUB {pattern} group g{sid}\r\n"));
    }
    assert!(world.read(spy).is_empty(), "all of these are allowed");
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    let reply = world.asked(responder);
    world.publish(responder, &reply, "!");
    world.publish(asker, "rpc.db", "do it");
    world.publish(asker, "rpc.none _INBOX.sales#1.2", "?");
    assert_eq!(world.read(asker).len(), 2);
    assert!(world.read(spy).is_empty(), "not a byte of it");
    world.send(spy, "UNSUB 0\r\nUNSUB g0\r\n");
    world.publish(asker, "questions _INBOX.sales#1.3", "?");
    world.publish(responder, "_INBOX.sales#1.3", "!");
    assert_eq!(world.payloads(asker), ["!"]);
    assert!(world.read(spy).is_empty());
}

#[test]
fn who_listens_to_everything_still_gets_its_answers_in_its_inbox() {
    let mut world = World::fleet();
    let asker = world.user("sales#1");
    world.send(asker, "SUB > all\r\nSUB _INBOX.sales#1.* in\r\n");
    let responder = world.responder("db#1");
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    let reply = world.asked(responder);
    world.publish(responder, &reply, "!");
    let mut got = world.read(asker);
    got.sort();
    let wanted = ["all", "in"].map(|sid| format!(r#"_INBOX.sales#1.1 {sid} "!" [Werkpilot-From: db]"#));
    assert_eq!(got, wanted);
}

#[test]
fn an_inbox_per_request_ends_with_its_answer() {
    let mut world = World::fleet();
    let (asker, responder) = (world.user("sales#1"), world.responder("db#1"));
    for number in 0..20 {
        world.send(asker, &format!("SUB _INBOX.old{number} {number}\r\nUNSUB {number} 1\r\n"));
        world.publish(asker, &format!("rpc.db _INBOX.old{number}"), "?");
        let reply = world.asked(responder);
        world.publish(responder, &reply, "!");
        assert_eq!(world.read(asker), [format!(r#"_INBOX.old{number} {number} "!" [Werkpilot-From: db]"#)]);
    }
    assert_eq!((world.switch.subscriptions_len(), world.switch.pending_len()), (2, 0));
}
