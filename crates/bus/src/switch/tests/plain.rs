//! A bus alone: what nats-server does. (Where it says nothing else, the answers were tried on nats-server 2.9.10.)

use super::world::{CONNECT, World};
use crate::switch::{Access, CloseReason, Settings};

#[test]
fn a_message_goes_to_everybody_whose_pattern_matches_and_to_nobody_else() {
    let mut world = World::plain();
    let (a, b) = (world.client(), world.client());
    world.send(a, "SUB orders.new 1\r\nSUB orders.* 2\r\nSUB > 3\r\nSUB orders.*.x 4\r\nSUB other.> 5\r\n");
    world.publish(b, "orders.new", "7");
    let mut got = world.read(a);
    got.sort();
    assert_eq!(got, [r#"orders.new 1 "7""#, r#"orders.new 2 "7""#, r#"orders.new 3 "7""#]);
    assert!(world.read(b).is_empty());
}

#[test]
fn own_messages_come_back_unless_the_client_does_not_want_its_echo() {
    let mut world = World::plain();
    for (echo, wanted) in [("true", 1), ("false", 0)] {
        let client = world.connected(&CONNECT.replace('}', &format!(r#","echo":{echo}}}"#)));
        world.send(client, "SUB a 1\r\n");
        world.publish(client, "a", "x");
        assert_eq!(world.read(client).len(), wanted, "echo {echo}");
        world.close(client);
    }
}

#[test]
fn a_verbose_client_gets_an_ok_for_everything_but_pings() {
    let mut world = World::plain();
    let client = world.connected(r#"{"verbose":true,"pedantic":false}"#);
    world.send(client, "SUB a 1\r\nSUB a 1\r\nPUB b 0\r\n\r\nUNSUB 1\r\nUNSUB 9\r\nPING\r\n");
    assert_eq!(world.read(client), ["+OK", "+OK", "+OK", "+OK", "+OK", "+OK", "PONG"]);
    world.send(client, "SUB a..b 2\r\nPUB a 0\r\n\r\n");
    assert_eq!(world.read(client), ["-ERR Invalid Subject", "+OK"]);
}

#[test]
fn who_says_nothing_of_itself_is_verbose_and_served_all_the_same() {
    let mut world = World::plain();
    let client = world.raw();
    world.send(client, "SUB foo 1\r\nPUB foo 2\r\nhi\r\nPING\r\n");
    assert_eq!(world.read(client), ["+OK", r#"foo 1 "hi""#, "+OK", "PONG"]);
}

#[test]
fn a_pedantic_client_is_told_of_odd_subjects_but_its_messages_go_out() {
    let mut world = World::plain();
    let client = world.connected(r#"{"verbose":false,"pedantic":true}"#);
    world.send(client, "SUB foo.> 1\r\n");
    world.publish(client, "foo.*", "hi");
    assert_eq!(world.read(client), ["-ERR Invalid Publish Subject", r#"foo.* 1 "hi""#]);
    world.publish(client, "foo..b", "hi");
    assert_eq!(world.read(client), ["-ERR Invalid Publish Subject"]);
}

#[test]
fn a_sid_that_is_in_use_stays_what_it_is_and_one_that_was_ended_may_be_used_again() {
    let mut world = World::plain();
    let client = world.client();
    world.send(client, "SUB a 1\r\nSUB b 1\r\n");
    world.publish(client, "a", "x");
    world.publish(client, "b", "y");
    assert_eq!(world.payloads(client), ["x"]);
    world.send(client, "UNSUB 1\r\nSUB b 1\r\n");
    world.publish(client, "a", "x");
    world.publish(client, "b", "y");
    assert_eq!(world.payloads(client), ["y"]);
    let other = world.client();
    world.send(other, "SUB a 1\r\nUNSUB 1\r\n");
    world.publish(other, "b", "z");
    assert_eq!(world.payloads(client), ["z"], "sids of two connections have nothing to do with each other");
}

#[test]
fn an_unsubscription_after_so_many_counts_from_the_beginning() {
    let mut world = World::plain();
    let client = world.client();
    world.send(client, "SUB a 1\r\nUNSUB 1 2\r\n");
    for payload in ["1", "2", "3"] {
        world.publish(client, "a", payload);
    }
    assert_eq!(world.payloads(client), ["1", "2"]);
    assert_eq!(world.switch.subscriptions_len(), 0);
    world.send(client, "SUB a 1\r\n");
    world.publish(client, "a", "1");
    world.publish(client, "a", "2");
    world.send(client, "UNSUB 1 2\r\n");
    world.publish(client, "a", "3");
    assert_eq!(world.payloads(client), ["1", "2"], "the number was reached already");
    assert_eq!(world.switch.subscriptions_len(), 0);
}

#[test]
fn subscriptions_that_end_with_a_message_do_not_disturb_the_others_of_the_same_message() {
    let mut world = World::plain();
    let (many, sender) = (world.client(), world.client());
    for sid in 0..50 {
        let pattern = ["a", "*", ">"][sid % 3];
        world.send(many, &format!("SUB {pattern} {sid}\r\n"));
        if sid % 2 == 0 {
            world.send(many, &format!("UNSUB {sid} 1\r\n"));
        }
    }
    world.publish(sender, "a", "1");
    assert_eq!(world.read(many).len(), 50);
    world.publish(sender, "a", "2");
    assert_eq!(world.read(many).len(), 25);
}

#[test]
fn one_member_of_each_queue_group_gets_a_message() {
    let mut world = World::plain();
    let clients: Vec<_> = (0..6).map(|_| world.client()).collect();
    for (at, client) in clients.iter().enumerate() {
        let (pattern, group) = (["jobs", "*"][at % 2], ["g", "h"][at / 3]);
        world.send(*client, &format!("SUB {pattern} {group} 1\r\n"));
    }
    let sender = world.client();
    let mut shares = [0; 6];
    for _ in 0..600 {
        world.publish(sender, "jobs", "x");
        for (share, client) in shares.iter_mut().zip(&clients) {
            *share += world.read(*client).len();
        }
    }
    assert_eq!(shares[..3].iter().sum::<usize>(), 600, "group g");
    assert_eq!(shares[3..].iter().sum::<usize>(), 600, "group h");
    assert!(
        shares.iter().all(|share| (190..=210).contains(share)),
        "evenly, whatever other groups there are: {shares:?}"
    );
}

#[test]
fn a_member_of_a_group_that_is_behind_is_spared() {
    let settings = Settings { congestion: 100, ..Settings::default() };
    let mut world = World::new(settings, Access::Open);
    let (slow, quick, sender) = (world.client(), world.client(), world.client());
    world.send(slow, "SUB jobs g 1\r\nSUB flood 2\r\n");
    world.send(quick, "SUB jobs g 1\r\n");
    world.publish(sender, "flood", &"x".repeat(200));
    for _ in 0..20 {
        world.publish(sender, "jobs", "x");
        assert_eq!(world.payloads(quick), ["x"]);
    }
    assert_eq!(world.read(slow).len(), 1);
}

#[test]
fn who_asks_nobody_is_told_so_if_it_wants_to_be() {
    let mut world = World::plain();
    let asker = world.client();
    world.send(asker, "SUB in.* 1\r\n");
    world.publish(asker, "nobody in.x", "?");
    assert_eq!(world.read(asker), [r#"in.x 1 "" 503"#]);
    world.publish(asker, "nobody", "?");
    assert!(world.read(asker).is_empty(), "no reply was asked for");
    let shy = world.connected(r#"{"verbose":false,"pedantic":false,"headers":true}"#);
    world.send(shy, "SUB in.* 1\r\n");
    world.publish(shy, "nobody in.y", "?");
    assert!(world.read(shy).is_empty());
    assert_eq!(world.read(asker).len(), 0, "only who asked is told");
    let odd = world.connected(r#"{"verbose":false,"pedantic":false,"no_responders":true}"#);
    assert_eq!(world.read(odd), ["-ERR no responders requires headers support"]);
    assert_eq!(world.switch.closing(odd), Some(CloseReason::Protocol));
}

#[test]
fn an_own_echo_that_is_not_wanted_is_nobody_who_listens() {
    let mut world = World::plain();
    let client = world.connected(&CONNECT.replace('}', r#","echo":false}"#));
    world.send(client, "SUB in.* 1\r\nSUB q 2\r\n");
    world.publish(client, "q in.x", "?");
    assert_eq!(world.read(client), [r#"in.x 1 "" 503"#]);
}

#[test]
fn headers_reach_only_those_who_understand_them() {
    let mut world = World::plain();
    let (new, old) = (world.client(), world.connected(r#"{"verbose":false,"pedantic":false}"#));
    world.send(new, "SUB a 1\r\n");
    world.send(old, "SUB a 1\r\n");
    world.publish_with(new, "a back", &[("Color", "red"), ("Werkpilot-From", "who cares")], "x");
    assert_eq!(world.read(new), [r#"a 1 back "x" [Color: red] [Werkpilot-From: who cares]"#]);
    assert_eq!(world.read(old), [r#"a 1 back "x""#]);
    let _ = world.bytes(old, b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    assert_eq!(world.switch.closing(old), Some(CloseReason::Protocol));
}

#[test]
fn messages_of_one_sender_on_one_subject_keep_their_order() {
    let mut world = World::plain();
    let (a, b) = (world.client(), world.client());
    world.send(a, "SUB > 1\r\n");
    let sent: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let script: Vec<_> = sent.iter().map(|number| format!("PUB a {}\r\n{number}\r\n", number.len())).collect();
    world.send(b, &script.concat());
    assert_eq!(world.payloads(a), sent);
}

#[test]
fn figures_count_what_went_through() {
    let mut world = World::plain();
    let (a, b) = (world.connected(&CONNECT.replace('}', r#","name":"me","lang":"go"}"#)), world.client());
    world.send(a, "SUB x 1\r\nSUB x 2\r\n");
    world.publish_with(b, "x", &[("A", "1")], "hello");
    let traffic = world.switch.stats().traffic;
    assert_eq!((traffic.in_msgs, traffic.in_bytes, traffic.out_msgs, traffic.out_bytes), (1, 23, 2, 46));
    let views = world.switch.connection_views(world.now.steady);
    assert_eq!((views[0].name.as_str(), views[0].lang.as_str(), views[0].subscriptions), ("me", "go", 2));
    assert_eq!((views[0].traffic.out_msgs, views[1].traffic.in_msgs), (2, 1));
    assert!(views[0].pending_bytes > 0 && views[1].pending_bytes == 0);
    assert_eq!((world.switch.connections_len(), world.switch.subscriptions_len()), (2, 2));
}
