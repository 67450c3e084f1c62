use std::time::Duration;

use proptest::prelude::*;
use werkpilot_core::time::Moment;

use super::*;

const TTL: Option<Duration> = Some(Duration::from_secs(10));
const LIMITS: CacheLimits = CacheLimits { entries: 100, bytes: 100_000 };

/// A cache that knows the subject `rpc.a` as one whose answers are kept, with this scope, and has no answers.
fn warm(scope: Scope) -> Cache<&'static str> {
    let mut cache = Cache::new(LIMITS);
    assert_eq!(cache.answered(None, b"rpc.a", TTL, scope, b"", b"", Moment::ZERO), nobody());
    cache
}

fn nobody<W>() -> Landed<W> {
    Landed { share: Vec::new(), again: Vec::new(), request: Box::default() }
}

fn lead(asked: Asked<'_>) -> FlightId {
    match asked {
        Asked::Lead(flight) => flight,
        other => panic!("{other:?} instead of a flight"),
    }
}

#[test]
fn the_second_request_gets_the_answer_to_the_first_until_it_expires() {
    let mut cache = Cache::new(LIMITS);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", (), Moment::ZERO));
    let landed = cache.answered(Some(flight), b"rpc.a", TTL, Scope::Requester, b"H", b"one", Moment::from_secs(1));
    assert_eq!(landed, nobody());
    let hit = Asked::Hit { headers: b"H", payload: b"one" };
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", (), Moment::from_millis(10_999)), hit);
    lead(cache.ask(b"rpc.a", b"2", "sales", (), Moment::from_secs(2)));
    lead(cache.ask(b"rpc.a", b"1", "other", (), Moment::from_secs(2)));
    lead(cache.ask(b"rpc.a", b"1", "sales", (), Moment::from_secs(11)));
    assert!(cache.is_empty());
}

#[test]
fn requests_on_a_subject_whose_answers_were_never_to_be_kept_are_not_joined() {
    let mut cache = Cache::new(LIMITS);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", 1, Moment::ZERO));
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", 2, Moment::ZERO), Asked::Pass);
    assert_eq!(cache.answered(Some(flight), b"rpc.a", None, Scope::All, b"", b"x", Moment::ZERO), nobody());
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", 3, Moment::ZERO), Asked::Pass);
}

#[test]
fn after_a_failed_first_flight_the_next_request_is_a_first_one_again() {
    let mut cache = Cache::new(LIMITS);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", (), Moment::ZERO));
    assert!(cache.failed(flight).is_empty());
    lead(cache.ask(b"rpc.a", b"1", "sales", (), Moment::ZERO));
}

#[test]
fn one_flight_per_question_carries_all_who_ask() {
    let mut cache = warm(Scope::All);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO));
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", "t", Moment::ZERO), Asked::Join);
    assert_eq!(cache.ask(b"rpc.a", b"1", "other", "o", Moment::ZERO), Asked::Join);
    let landed = cache.answered(Some(flight), b"rpc.a", TTL, Scope::All, b"", b"one", Moment::ZERO);
    assert_eq!(landed, Landed { share: vec!["t", "o"], ..nobody() });
    let hit = Asked::Hit { headers: b"", payload: b"one" };
    assert_eq!(cache.ask(b"rpc.a", b"1", "third", "x", Moment::ZERO), hit);
}

#[test]
fn an_answer_for_its_requester_only_is_not_shown_to_others_who_joined() {
    let mut cache = warm(Scope::All);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO));
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", "t", Moment::ZERO), Asked::Join);
    assert_eq!(cache.ask(b"rpc.a", b"1", "other", "o", Moment::ZERO), Asked::Join);
    let landed = cache.answered(Some(flight), b"rpc.a", TTL, Scope::Requester, b"", b"one", Moment::ZERO);
    assert_eq!(landed, Landed { share: vec!["t"], again: vec!["o"], request: b"1".as_slice().into() });
    lead(cache.ask(b"rpc.a", b"1", "other", "o", Moment::ZERO));
    assert!(matches!(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO), Asked::Hit { .. }));
}

#[test]
fn an_answer_that_may_not_be_kept_is_not_given_to_others() {
    let mut cache = warm(Scope::Requester);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO));
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", "t", Moment::ZERO), Asked::Join);
    let landed = cache.answered(Some(flight), b"rpc.a", None, Scope::Requester, b"", b"error", Moment::ZERO);
    assert_eq!(landed, Landed { share: vec![], again: vec!["t"], request: b"1".as_slice().into() });
    assert!(cache.is_empty());
}

#[test]
fn a_subject_is_given_up_after_eight_answers_in_a_row_that_may_not_be_kept() {
    let mut cache = warm(Scope::Requester);
    for _ in 0..7 {
        assert_eq!(cache.answered(None, b"rpc.a", None, Scope::All, b"", b"", Moment::ZERO), nobody());
    }
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO));
    assert_eq!(cache.answered(Some(flight), b"rpc.a", None, Scope::All, b"", b"", Moment::ZERO), nobody());
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO), Asked::Pass);
}

#[test]
fn a_failed_flight_lets_its_waiters_go_once() {
    let mut cache = warm(Scope::Requester);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO));
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", "t", Moment::ZERO), Asked::Join);
    assert_eq!(cache.failed(flight), ["t"]);
    assert!(cache.failed(flight).is_empty());
    let second = lead(cache.ask(b"rpc.a", b"1", "sales", "u", Moment::ZERO));
    assert_eq!(cache.ask(b"rpc.a", b"1", "sales", "v", Moment::ZERO), Asked::Join);
    assert_eq!(cache.answered(Some(flight), b"rpc.a", TTL, Scope::Requester, b"", b"late", Moment::ZERO), nobody());
    assert!(cache.is_empty());
    assert_eq!(cache.failed(second), ["v"]);
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let mut cache = Cache::new(CacheLimits { entries: 2, ..LIMITS });
    let keep = |cache: &mut Cache<()>, request: &[u8]| {
        let flight = lead(cache.ask(b"rpc.a", request, "sales", (), Moment::ZERO));
        assert_eq!(cache.answered(Some(flight), b"rpc.a", TTL, Scope::All, b"", request, Moment::ZERO), nobody());
    };
    keep(&mut cache, b"1");
    keep(&mut cache, b"2");
    assert!(matches!(cache.ask(b"rpc.a", b"1", "sales", (), Moment::ZERO), Asked::Hit { .. }));
    keep(&mut cache, b"3");
    assert!(matches!(cache.ask(b"rpc.a", b"1", "sales", (), Moment::ZERO), Asked::Hit { .. }));
    lead(cache.ask(b"rpc.a", b"2", "sales", (), Moment::ZERO));
    assert_eq!(cache.len(), 2);
    cache.clear();
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
}

#[test]
fn what_is_too_big_is_not_kept_and_a_cache_without_entries_is_off() {
    let mut cache = warm(Scope::All);
    assert_eq!(cache.ask(b"rpc.a", &vec![0; LONGEST_REQUEST_BYTES + 1], "sales", "s", Moment::ZERO), Asked::Pass);
    let flight = lead(cache.ask(b"rpc.a", b"1", "sales", "s", Moment::ZERO));
    let landed = cache.answered(Some(flight), b"rpc.a", TTL, Scope::All, b"", &vec![0; 100_000], Moment::ZERO);
    assert_eq!((landed, cache.len()), (nobody(), 0));

    let mut off = Cache::new(CacheLimits { entries: 0, ..LIMITS });
    assert_eq!(off.answered(None, b"rpc.a", TTL, Scope::All, b"", b"", Moment::ZERO), nobody());
    assert_eq!(off.ask(b"rpc.a", b"1", "sales", (), Moment::ZERO), Asked::Pass);
}

#[test]
fn expired_answers_are_swept_by_new_ones_and_subjects_are_bounded() {
    let mut cache = Cache::new(LIMITS);
    for second in 0..1_000_u64 {
        let (subject, now) = (format!("rpc.{second}"), Moment::from_secs(second));
        let flight = lead(cache.ask(subject.as_bytes(), b"", "sales", (), now));
        let landed = cache.answered(Some(flight), subject.as_bytes(), TTL, Scope::All, b"", b"", now);
        assert_eq!(landed, nobody());
        assert!(cache.len() <= 40 && cache.subjects.len() <= 101, "{}", cache.len());
    }
}

proptest! {
    /// Every request ends in one way: hit, passed, its flight's end, or as a waiter of one that has ended. Nobody sees the
    /// answer to another requester's question unless it is for all, and no answer outlives its time to live.
    #[test]
    fn every_waiter_comes_out_once_and_answers_reach_only_those_they_are_for(
        steps in prop::collection::vec((0..4_u8, 0..2_u8, 0..3_u8, 0..3_u8, any::<prop::sample::Index>()), 0..200)
    ) {
        let mut cache = Cache::new(CacheLimits { entries: 3, bytes: 800 });
        let mut flying: Vec<(FlightId, String, u8)> = Vec::new();
        let (mut joined, mut freed) = (0, 0);
        for (second, (action, subject, request, who, index)) in (0_u64..).zip(steps) {
            let now = Moment::from_secs(second);
            let (subject, requester) = ([b's', subject], format!("agent-{who}"));
            if action < 2 || flying.is_empty() {
                let waiter = (requester.clone(), request);
                match cache.ask(&subject, &[request], &requester, waiter, now) {
                    Asked::Hit { headers, payload } => {
                        let text = std::str::from_utf8(headers).unwrap_or_default();
                        let (scope, rest) = text.split_once(' ').unwrap_or_default();
                        let (owner, until) = rest.split_once(' ').unwrap_or_default();
                        prop_assert!(scope == "All" || owner == requester, "{text}");
                        prop_assert!(until.parse::<u64>().unwrap_or(0) > second);
                        prop_assert_eq!(payload, [subject[1], request]);
                    }
                    Asked::Join => joined += 1,
                    Asked::Lead(flight) => flying.push((flight, format!("{}{requester}", subject[1]), request)),
                    Asked::Pass => {}
                }
            } else {
                let (flight, owner, request) = flying.swap_remove(index.index(flying.len()));
                let (of, owner) = owner.split_at(1);
                let subject = [b's', of.parse().unwrap_or(0)];
                if action == 3 && who == 0 {
                    freed += cache.failed(flight).len();
                } else {
                    let scope = if request == 0 { Scope::All } else { [Scope::Requester, Scope::All][usize::from(who > 1)] };
                    let ttl = (who > 0 || request < 2).then(|| Duration::from_secs(20));
                    let headers = format!("{scope:?} {owner} {}", second + 20);
                    let landed =
                        cache.answered(Some(flight), &subject, ttl, scope, headers.as_bytes(), &[subject[1], request], now);
                    prop_assert!(landed.share.iter().all(|it| it.1 == request && (scope == Scope::All || it.0 == owner)));
                    prop_assert!(landed.again.is_empty() || *landed.request == [request]);
                    freed += landed.share.len() + landed.again.len();
                }
            }
            prop_assert!(cache.len() <= 3 && cache.bytes() <= 800);
        }
        for (flight, ..) in flying {
            freed += cache.failed(flight).len();
        }
        prop_assert_eq!(joined, freed);
        prop_assert!(cache.flights.is_empty());
    }
}
