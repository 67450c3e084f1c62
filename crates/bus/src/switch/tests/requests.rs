//! Requests to agents: one instance, one answer, and a reason for everybody who can't get one.

use std::time::Duration;

use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_core::time::Timestamp;

use super::world::{World, name, patient};
use crate::switch::{Fact, Settings, Who};

/// What the only request that a requester made was answered with by the bus.
fn error(code: u16, text: &str) -> [String; 1] {
    [format!(r#"_INBOX.sales#1.1 in "" [Nats-Service-Error: {text}] [Nats-Service-Error-Code: {code}]"#)]
}

#[test]
fn a_request_goes_to_the_agent_with_another_reply_subject_and_its_answer_comes_back() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.responder("db#1"));
    world.publish_with(asker, "rpc.db.find _INBOX.sales#1.1", &[("Color", "red")], "?");
    let got = world.read(responder);
    assert_eq!(got.len(), 1);
    let words: Vec<&str> = got[0].splitn(4, ' ').collect();
    assert_eq!(words[..2], ["rpc.db.find", "r"]);
    assert!(words[2].starts_with("_R_.") && words[2].len() == 20, "{}", words[2]);
    assert_eq!(words[3], r#""?" [Werkpilot-From: sales] [Werkpilot-Hops: 1] [Color: red]"#);
    world.pass(Duration::from_millis(7));
    world.publish_with(responder, words[2], &[("Size", "1")], "!");
    assert_eq!(world.read(asker), [r#"_INBOX.sales#1.1 in "!" [Werkpilot-From: db] [Size: 1]"#]);
    let latency = Duration::from_millis(7);
    assert_eq!(world.switch.take_facts(), [Fact::Answered { agent: name("db"), latency }]);
    assert_eq!((world.switch.stats().requests, world.switch.stats().answers, world.switch.pending_len()), (1, 1, 0));
}

#[test]
fn one_instance_gets_a_request_and_all_have_their_turn() {
    let mut world = World::fleet();
    let asker = world.requester("sales#1");
    let instances: Vec<_> = (1..=3).map(|number| world.responder(&format!("db#{number}"))).collect();
    let other = (world.responder("mail#1"), world.responder("mail#2"));
    let mut shares = [0; 3];
    for number in 0..300 {
        world.publish(asker, &format!("rpc.db _INBOX.sales#1.{number}"), "?");
        world.publish(asker, "rpc.mail", "in between");
        for (share, instance) in shares.iter_mut().zip(&instances) {
            *share += world.read(*instance).len();
        }
    }
    assert_eq!(shares.iter().sum::<usize>(), 300);
    assert!(shares.iter().all(|share| (95..=105).contains(share)), "{shares:?}");
    let mails = (world.read(other.0).len(), world.read(other.1).len());
    assert!(mails.0 + mails.1 == 300 && mails.0.abs_diff(mails.1) <= 10, "{mails:?}");
}

#[test]
fn an_instance_that_is_behind_is_spared_as_long_as_another_is_not() {
    let mut world = World::fleet_with(Settings { congestion: 100, ..Settings::default() });
    let (slow, quick, asker) = (world.responder("db#1"), world.responder("db#2"), world.requester("sales#1"));
    world.send(slow, "SUB flood 1\r\n");
    world.publish(asker, "flood", &"x".repeat(200));
    for number in 0..20 {
        world.publish(asker, &format!("rpc.db _INBOX.sales#1.{number}"), "?");
        assert_eq!(world.payloads(quick), ["?"]);
    }
    assert_eq!(world.payloads(slow).len(), 1);
    world.publish(asker, "flood", &"x".repeat(200));
    world.close(quick);
    world.read(asker);
    world.publish(asker, "rpc.db _INBOX.sales#1.last", "?");
    assert_eq!(world.payloads(slow).len(), 2, "rather late than never");
}

#[test]
fn only_who_was_asked_may_answer_and_the_first_answer_wins() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.responder("db#1"));
    let strangers = [world.user("db#2"), world.user("mail#1"), world.user("operator"), asker];
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    let reply = world.asked(responder);
    for stranger in strangers {
        world.publish(stranger, &reply, "!");
        assert_eq!(world.read(stranger), [format!("-ERR Permissions Violation for Publish to \"{reply}\"")]);
    }
    assert_eq!(world.switch.stats().rejected_replies, 4);
    let foreign = |fact: &Fact| matches!(fact, Fact::ForeignReply { asked, .. } if asked.as_str() == "db");
    assert_eq!(world.switch.take_facts().iter().filter(|fact| foreign(fact)).count(), 4);
    world.publish(responder, &reply, "first");
    world.publish(responder, &reply, "second");
    assert_eq!(world.payloads(asker), ["first"]);
    assert_eq!((world.switch.stats().answers, world.switch.stats().late_replies), (1, 1));
    assert!(world.read(responder).is_empty());
}

#[test]
fn another_connection_of_the_same_process_may_answer() {
    let mut world = World::fleet();
    let (asker, responder, second) = (world.requester("sales#1"), world.responder("db#7"), world.user("db#7"));
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    let reply = world.asked(responder);
    world.publish(second, &reply, "!");
    assert_eq!(world.payloads(asker), ["!"]);
}

#[test]
fn made_up_reply_subjects_reach_nobody() {
    let mut world = World::fleet();
    let responder = world.responder("db#1");
    for subject in ["_R_", "_R_.", "_R_.x", "_R_.zzzzzzzzzzzzzzzz"] {
        world.publish(responder, subject, "!");
        assert_eq!(world.read(responder).len(), 1, "{subject}");
    }
    world.publish(responder, "_R_.ffffffffffffffff", "!");
    assert_eq!(world.switch.stats().late_replies, 1);
}

#[test]
fn an_unknown_name_has_no_responders_at_once() {
    let mut world = World::fleet();
    let asker = world.requester("sales#1");
    for target in ["rpc.nobody", "rpc.nobody.x", "rpc.*", "rpc.>", "rpc.", "rpc.\u{e4}"] {
        world.publish(asker, &format!("{target} _INBOX.sales#1.1"), "?");
        assert_eq!(world.read(asker), [r#"_INBOX.sales#1.1 in "" 503"#], "{target}");
    }
    world.set("db", None);
    let _responder = world.responder("db#1");
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    assert_eq!(world.read(asker), [r#"_INBOX.sales#1.1 in "" 503"#], "it was taken out of the registry");
}

#[test]
fn a_known_agent_that_is_down_is_answered_for_with_its_status_and_reason() {
    let mut world = World::fleet();
    let asker = world.requester("sales#1");
    for (status, reason, text) in [
        (Status::Disabled, "disabled by an operator", "disabled: disabled by an operator"),
        (Status::BackingOff, "exited with code 1", "backing_off: exited with code 1"),
        (Status::Running, "", "running: it does not listen to rpc.db.x"),
    ] {
        world.set("db", Some((status, reason)));
        world.publish(asker, "rpc.db.x _INBOX.sales#1.1", "?");
        assert_eq!(world.read(asker), error(503, text));
    }
    assert_eq!((world.switch.stats().unavailable, world.switch.pending_len()), (3, 0));
    world.publish(asker, "rpc.db.x", "tell");
    assert_eq!(world.switch.stats().undelivered_requests, 1);
    assert!(world.read(asker).is_empty(), "who does not ask is not answered");
}

#[test]
fn a_target_that_dies_with_a_thousand_requests_pending_fails_them_all_in_the_same_call() {
    let mut world = World::fleet();
    let askers: Vec<_> = (1..=10).map(|number| world.requester(&format!("sales#{number}"))).collect();
    let (dead, alive) = (world.responder("db#1"), world.responder("mail#1"));
    for number in 0..1_000 {
        let user = number % 10;
        world.publish(askers[user], &format!("rpc.db _INBOX.sales#{}.{number}", user + 1), "?");
    }
    world.publish(askers[0], "rpc.mail _INBOX.sales#1.mail", "?");
    world.now.steady = world.now.steady + Duration::from_millis(20);
    world.close(dead);
    let answers: Vec<String> = askers.iter().flat_map(|asker| world.read(*asker)).collect();
    assert_eq!(answers.len(), 1_000);
    let text = "[Nats-Service-Error: stopped: db ended before it answered, 20ms after the request]";
    assert!(answers.iter().all(|answer| answer.contains(text) && answer.ends_with("[Nats-Service-Error-Code: 503]")));
    assert_eq!(world.switch.pending_len(), 1, "what another was asked goes on");
    let reply = world.asked(alive);
    world.publish(alive, &reply, "!");
    assert_eq!(world.payloads(askers[0]), ["!"]);
}

#[test]
fn an_answer_to_who_has_gone_is_dropped_and_counted_and_nobody_in_its_place_gets_it() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.responder("db#1"));
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    let reply = world.asked(responder);
    world.close(asker);
    let next = world.requester("sales#1");
    world.publish(responder, &reply, "!");
    assert!(world.read(next).is_empty());
    assert_eq!((world.switch.stats().late_replies, world.switch.pending_len()), (1, 0));
}

#[test]
fn pending_requests_are_bounded_and_one_more_is_told_so() {
    let mut world = World::fleet_with(Settings { max_pending_requests: 2, ..patient() });
    let (asker, responder) = (world.requester("sales#1"), world.responder("db#1"));
    for number in [3, 2, 1] {
        world.publish(asker, &format!("rpc.db _INBOX.sales#1.{number}"), "?");
    }
    assert_eq!(world.read(asker), error(429, "2 requests wait for answers already"));
    assert_eq!((world.read(responder).len(), world.switch.stats().overloads), (2, 1));
    world.pass(Duration::from_mins(6));
    assert_eq!((world.switch.pending_len(), world.switch.stats().timeouts), (0, 2));
    world.publish(asker, "rpc.db _INBOX.sales#1.4", "?");
    assert_eq!(world.read(responder).len(), 1);
}

#[test]
fn a_deadline_is_kept_to_and_one_that_is_over_or_nonsense_does_no_harm() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.responder("db#1"));
    let at = |world: &World, millis: i64| Timestamp::from_millis(world.now.wall.as_millis() + millis).to_string();
    let ask = |world: &mut World, deadline: &str| {
        world.publish_with(asker, "rpc.db _INBOX.sales#1.1", &[("werkpilot-deadline", deadline)], "?");
    };
    let (past, soon, far) = (at(&world, -1), at(&world, 100), at(&world, 100_000_000));
    ask(&mut world, &past);
    assert_eq!(world.read(asker), error(408, "the deadline was over before the request was delivered"));
    assert!(world.read(responder).is_empty());
    ask(&mut world, &soon);
    let reply = world.asked(responder);
    world.pass(Duration::from_millis(110));
    world.publish(responder, &reply, "late");
    assert!(world.read(asker).is_empty());
    assert_eq!((world.switch.stats().late_replies, world.switch.pending_len()), (1, 0));
    for odd in ["", "tomorrow", "9999-99-99T99:99:99Z", "99999999999999", far.as_str()] {
        ask(&mut world, odd);
        let reply = world.asked(responder);
        world.pass(Duration::from_secs(299));
        world.publish(responder, &reply, "!");
        assert_eq!(world.payloads(asker), ["!"], "{odd:?}: the reply window");
        ask(&mut world, odd);
        world.read(responder);
        world.pass(Duration::from_secs(301));
        assert_eq!(world.switch.pending_len(), 0, "{odd:?}: not longer than the reply window");
    }
}

#[test]
fn every_hop_is_counted_once_and_a_chain_may_be_sixteen_long() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.responder("db#1"));
    for (given, delivered) in [("0", "1"), ("7", "8"), ("15", "16"), ("x", "1"), ("-1", "1")] {
        world.publish_with(asker, "rpc.db _INBOX.sales#1.1", &[("werkpilot-HOPS", given)], "?");
        let got = world.read(responder);
        assert!(
            got[0].ends_with(&format!(r#""?" [Werkpilot-From: sales] [Werkpilot-Hops: {delivered}]"#)),
            "{}",
            got[0]
        );
        world.publish_with(asker, "rpc.db", &[("Werkpilot-Hops", given)], "go");
        let got = world.read(responder);
        assert!(
            got[0].ends_with(&format!(r#""go" [Werkpilot-From: sales] [Werkpilot-Hops: {delivered}]"#)),
            "{}",
            got[0]
        );
    }
    for given in ["16", "4294967295"] {
        world.switch.take_facts();
        world.publish_with(asker, "rpc.db _INBOX.sales#1.1", &[("Werkpilot-Hops", given)], "?");
        assert_eq!(world.read(asker), error(508, "a chain of 16 requests: do agents ask each other in a circle?"));
        world.publish_with(asker, "rpc.db", &[("Werkpilot-Hops", given)], "go");
        assert!(world.read(responder).is_empty());
        let fact = Fact::TooManyHops { from: "sales".to_owned(), agent: name("db") };
        assert_eq!(world.switch.take_facts(), [fact.clone(), fact]);
    }
}

#[test]
fn agents_that_wait_for_each_other_are_named_when_their_requests_are_given_up() {
    for together in [true, false] {
        let mut world = World::fleet();
        let (a, b) = (world.requester("sales#1"), world.requester("db#1"));
        world.send(a, "SUB rpc.sales 1\r\n");
        world.send(b, "SUB rpc.db 1\r\n");
        let deadline =
            |world: &World, millis: i64| (world.now.wall + Duration::from_millis(millis.unsigned_abs())).to_string();
        let (first, second) = (deadline(&world, 100), deadline(&world, if together { 100 } else { 500 }));
        world.publish_with(a, "rpc.db _INBOX.sales#1.1", &[("Werkpilot-Deadline", &first)], "?");
        world.publish_with(b, "rpc.sales _INBOX.db#1.1", &[("Werkpilot-Deadline", &second)], "?");
        world.pass(Duration::from_secs(1));
        let facts = world.switch.take_facts();
        let [Fact::Circle { agents }] = facts.as_slice() else { panic!("not one circle: {facts:?}") };
        let mut names: Vec<&str> = agents.iter().map(AgentName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["db", "sales"], "together: {together}");
        assert_eq!(world.switch.stats().timeouts, 2);
    }
}

#[test]
fn operators_see_requests_but_never_answer_them() {
    let mut world = World::fleet();
    let (asker, responder, operator) = (world.requester("sales#1"), world.responder("db#1"), world.user("operator"));
    world.send(operator, "SUB rpc.> w\r\n");
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    assert_eq!(world.read(operator), [r#"rpc.db w "?" [Werkpilot-From: sales] [Werkpilot-Hops: 1]"#]);
    let reply = world.asked(responder);
    world.publish(responder, &reply, "!");
    assert!(world.read(operator).is_empty());
    assert_eq!(world.payloads(asker), ["!"]);
    world.close(responder);
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    assert_eq!(world.read(asker), error(503, "running: it does not listen to rpc.db"), "a watcher is no responder");
    assert_eq!(world.switch.who(operator), Some(&Who::Operator));
}

#[test]
fn a_responder_may_ask_for_one_request_only() {
    let mut world = World::fleet();
    let (asker, responder) = (world.requester("sales#1"), world.user("db#1"));
    world.send(responder, "SUB rpc.db workers 1\r\nUNSUB 1 1\r\n");
    world.publish(asker, "rpc.db _INBOX.sales#1.0", "?");
    world.publish(asker, "rpc.db _INBOX.sales#1.1", "?");
    let reply = world.asked(responder);
    assert_eq!(world.read(asker), error(503, "running: it does not listen to rpc.db"));
    world.publish(responder, &reply, "!");
    assert_eq!(world.payloads(asker), ["!"]);
}
