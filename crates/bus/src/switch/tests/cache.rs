//! Answers that are given again, and requests that wait for the answer of another.

use std::time::Duration;

use werkpilot_core::status::Status;

use super::world::World;
use crate::switch::ConnectionId;

const TTL: (&str, &str) = ("Werkpilot-Cache-Ttl", "10s");
const ALL: (&str, &str) = ("Werkpilot-Cache-Scope", "all");

/// `sales` and `mail` ask, `db` answers; its first answer has told that answers may be kept.
fn learned(scope: &[(&str, &str)]) -> (World, ConnectionId, ConnectionId, ConnectionId) {
    let mut world = World::fleet();
    let (sales, mail) = (world.requester("sales#1"), world.requester("mail#1"));
    let responder = world.responder("db#1");
    ask(&mut world, sales, "sales#1", "warm up");
    answer(&mut world, responder, scope, "warm");
    assert_eq!(world.payloads(sales), ["warm"]);
    (world, sales, mail, responder)
}

fn ask(world: &mut World, from: ConnectionId, user: &str, payload: &str) {
    world.publish(from, &format!("rpc.db.get _INBOX.{user}.1"), payload);
}

fn answer(world: &mut World, responder: ConnectionId, lines: &[(&str, &str)], payload: &str) {
    let reply = world.asked(responder);
    world.publish_with(responder, &reply, lines, payload);
}

#[test]
fn an_answer_is_given_again_to_who_asked_until_its_time_is_over() {
    let (mut world, sales, mail, responder) = learned(&[TTL]);
    ask(&mut world, sales, "sales#1", "warm up");
    assert_eq!(world.read(sales), [r#"_INBOX.sales#1.1 in "warm" [Werkpilot-From: db] [Werkpilot-Cache-Ttl: 10s]"#]);
    assert!(world.read(responder).is_empty());
    ask(&mut world, sales, "sales#1", "something else");
    answer(&mut world, responder, &[TTL], "else");
    ask(&mut world, mail, "mail#1", "warm up");
    answer(&mut world, responder, &[TTL], "for mail");
    assert_eq!((world.payloads(sales), world.payloads(mail)), (vec!["else".to_owned()], vec!["for mail".to_owned()]));
    assert_eq!(world.switch.stats().cache_hits, 1);
    world.pass(Duration::from_secs(10));
    ask(&mut world, sales, "sales#1", "warm up");
    answer(&mut world, responder, &[TTL], "fresh");
    assert_eq!(world.payloads(sales), ["fresh"]);
}

#[test]
fn an_answer_for_all_is_given_to_all() {
    let (mut world, _, mail, responder) = learned(&[TTL, ALL]);
    ask(&mut world, mail, "mail#1", "warm up");
    assert_eq!(world.payloads(mail), ["warm"]);
    assert!(world.read(responder).is_empty());
}

#[test]
fn an_answer_without_time_to_live_and_an_error_are_never_kept() {
    let (mut world, sales, _, responder) = learned(&[TTL]);
    for lines in [
        &[][..],
        &[TTL, ("Nats-Service-Error-Code", "500")],
        &[("Werkpilot-Cache-Ttl", "0")],
        &[("Werkpilot-Cache-Ttl", "soon")],
    ] {
        ask(&mut world, sales, "sales#1", "q");
        answer(&mut world, responder, lines, "a");
        assert_eq!(world.payloads(sales), ["a"]);
    }
    assert_eq!(world.switch.stats().cache_hits, 0);
}

#[test]
fn the_same_question_in_flight_is_asked_once_and_answered_to_all_who_wait() {
    let (mut world, sales, mail, responder) = learned(&[TTL, ALL]);
    for _ in 0..3 {
        ask(&mut world, sales, "sales#1", "q");
        ask(&mut world, mail, "mail#1", "q");
    }
    answer(&mut world, responder, &[TTL, ALL], "a");
    assert_eq!(world.payloads(sales), ["a", "a", "a"]);
    assert_eq!(world.payloads(mail), ["a", "a", "a"]);
    assert_eq!(world.switch.pending_len(), 0);
}

#[test]
fn an_answer_that_turns_out_to_be_for_one_only_is_not_shown_to_others() {
    let (mut world, sales, mail, responder) = learned(&[TTL, ALL]);
    ask(&mut world, sales, "sales#1", "q");
    world.publish_with(mail, "rpc.db.get _INBOX.mail#1.1", &[("Color", "red")], "q");
    answer(&mut world, responder, &[TTL], "only for sales");
    assert_eq!(world.payloads(sales), ["only for sales"]);
    assert!(world.read(mail).is_empty());
    let again = world.read(responder);
    assert_eq!(again.len(), 1);
    assert!(again[0].ends_with(r#""q" [Werkpilot-From: mail] [Werkpilot-Hops: 1] [Color: red]"#), "{}", again[0]);
    let reply = again[0].split(' ').nth(2).unwrap().to_owned();
    world.publish(responder, &reply, "for mail");
    assert_eq!(world.payloads(mail), ["for mail"]);
}

#[test]
fn who_waits_for_another_ones_request_fails_with_it_when_the_responder_dies() {
    let (mut world, sales, mail, responder) = learned(&[TTL, ALL]);
    ask(&mut world, sales, "sales#1", "q");
    ask(&mut world, mail, "mail#1", "q");
    world.close(responder);
    for asker in [sales, mail] {
        let got = world.read(asker);
        assert!(got.len() == 1 && got[0].contains("stopped: db ended before it answered"), "{got:?}");
    }
    world.set("db", Some((Status::BackingOff, "exited with code 1")));
    ask(&mut world, mail, "mail#1", "q");
    assert!(world.read(mail)[0].contains("backing_off: exited with code 1"));
}

#[test]
fn who_waits_is_answered_although_the_one_who_asked_first_has_gone() {
    let (mut world, sales, mail, responder) = learned(&[TTL, ALL]);
    ask(&mut world, sales, "sales#1", "q");
    ask(&mut world, mail, "mail#1", "q");
    world.close(sales);
    answer(&mut world, responder, &[TTL, ALL], "a");
    assert_eq!(world.payloads(mail), ["a"]);
}

#[test]
fn who_waits_is_told_when_the_answer_does_not_come() {
    let (mut world, sales, mail, responder) = learned(&[TTL, ALL]);
    ask(&mut world, sales, "sales#1", "q");
    ask(&mut world, mail, "mail#1", "q");
    assert_eq!(world.read(responder).len(), 1);
    world.pass(Duration::from_secs(301));
    let got = world.read(mail);
    assert!(got.len() == 1 && got[0].ends_with("[Nats-Service-Error-Code: 408]"), "{got:?}");
    ask(&mut world, mail, "mail#1", "q");
    assert_eq!(world.read(responder).len(), 1, "the next one is asked anew");
}

#[test]
fn requests_on_a_subject_that_never_allowed_it_are_all_sent() {
    let mut world = World::fleet();
    let (sales, responder) = (world.requester("sales#1"), world.responder("db#1"));
    for _ in 0..5 {
        ask(&mut world, sales, "sales#1", "add one");
    }
    assert_eq!(world.payloads(responder).len(), 5);
}
