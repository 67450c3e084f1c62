//! Where executions stand, for `why`.

use super::super::{Rank, RunStanding};
use super::*;

fn standing(desk: &mut Desk, agent: u32) -> RunStanding {
    let now = desk.now.steady;
    desk.dispatcher.standings(AgentIndex(agent), now).pop().unwrap()
}

#[test]
fn one_that_waits_for_a_worker_knows_who_is_ahead_and_why_and_who_has_the_workers() {
    let mut desk = Desk::new(1);
    desk.define(B, |profile| profile.priority = Priority::Important);
    desk.admit(A, manual(false));
    desk.wait(Duration::from_secs(30));
    desk.due(C);
    desk.due(B);
    let place = standing(&mut desk, C).place.unwrap();
    let before = place.before.unwrap();
    assert_eq!((place.ahead, place.priority, place.level), (1, 3, 3));
    assert_eq!((before.agent.as_str(), before.by, before.priority), ("b", Rank::Priority, 2));
    assert_eq!(standing(&mut desk, B).place.map(|place| (place.ahead, place.before)), Some((0, None)));
    let holders = desk.dispatcher.holders(desk.now.steady);
    assert_eq!((holders[0].agent.as_str(), holders[0].running), ("a", Duration::from_secs(30)));
    let running = standing(&mut desk, A);
    assert!(running.live.running && running.granted.is_some() && running.place.is_none());
    // Three periods later both count as the most important, and c came first.
    desk.wait(Duration::from_mins(16));
    let place = standing(&mut desk, B).place.unwrap();
    assert_eq!((place.ahead, place.priority, place.level), (1, 2, 1));
    assert_eq!(place.before.map(|before| (before.by, before.effective_priority)), Some((Rank::Earlier, 1)));
}

#[test]
fn depth_and_age_put_one_before_another() {
    let mut desk = Desk::new(1);
    desk.define(B, |profile| profile.depth = 1);
    desk.admit(A, manual(false));
    desk.due(B);
    desk.due(C);
    let before = standing(&mut desk, B).place.unwrap().before.unwrap();
    assert_eq!((before.agent.as_str(), before.by), ("c", Rank::Depth));
    desk.define(3, |profile| profile.priority = Priority::Normal);
    desk.wait(Duration::from_mins(6));
    desk.due(3);
    let before = standing(&mut desk, 3).place.unwrap().before.unwrap();
    assert_eq!((before.agent.as_str(), before.by, before.effective_priority), ("b", Rank::Ageing, 2));
}

#[test]
fn one_that_waits_for_the_one_before_names_it_and_one_that_backs_off_its_failure() {
    let mut desk = Desk::new(3);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    desk.due(A);
    desk.due(A);
    let now = desk.now.steady;
    let both = desk.dispatcher.standings(AgentIndex(A), now);
    assert_eq!(both[1].previous.as_ref().map(|holder| holder.run), Some(both[0].live.run));
    assert_eq!(both[0].previous, None);
    let attempt = crate::dead_letters::Attempt {
        attempt: 1,
        started_at: desk.now.wall,
        duration: Duration::from_secs(2),
        exit: Exit::Code(3),
    };
    let (key, delay, reason) = (desk.key(A), Duration::from_secs(9), Reason::Exited { exit: Exit::Code(3) });
    desk.on(Event::Retry { key, delay, counted: true, attempt: Some(attempt.clone()), reason });
    let first = desk.dispatcher.standings(AgentIndex(A), now).remove(0);
    assert_eq!((first.until, first.failed, first.live.attempt), (Some(now + delay), Some(attempt), 2));
}

#[test]
fn one_that_has_to_wait_for_room_says_so_and_when_there_is_some() {
    let mut desk = Desk::with(2, 100, 1);
    desk.define(A, |profile| profile.service = true);
    desk.define(B, |profile| profile.service = true);
    for agent in [A, B] {
        let (agent, instance) = (AgentIndex(agent), 0);
        desk.on(Event::StartService { agent, instance, automatic: true, force: false });
    }
    let waiting = standing(&mut desk, B);
    assert!(waiting.wants_room && waiting.instance == Some(0), "{waiting:?}");
    let room = desk.dispatcher.restart_room(desk.now.steady);
    assert_eq!((room.used, room.max_restarts), (1, 1));
    assert_eq!(room.room_at, Some(desk.now.steady + Duration::from_mins(1)));
}
