use proptest::prelude::*;
use rstest::rstest;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

fn secs(secs: u64) -> Moment {
    Moment::from_secs(secs)
}

// ---- all agents ----

#[test]
fn room_comes_back_exactly_one_window_after_the_restart_that_took_it() {
    let mut breaker = RestartWindow::new(2, MINUTE);
    assert_eq!(breaker.try_take(secs(0)), Ok(()));
    assert_eq!(breaker.try_take(secs(10)), Ok(()));
    assert_eq!(breaker.try_take(secs(20)), Err(secs(60)));
    assert_eq!(breaker.room_at(secs(59)), Some(secs(60)));
    assert_eq!(breaker.room_at(secs(60)), None);
    assert_eq!(breaker.try_take(secs(60)), Ok(()));
    assert_eq!(breaker.try_take(secs(60)), Err(secs(70)));
    assert_eq!(breaker.count(secs(60)), 2);
}

#[test]
fn restarts_from_before_the_start_count_until_their_window_is_over() {
    let mut breaker = RestartWindow::new(3, MINUTE);
    breaker.restore([50, 61, 10].map(Duration::from_secs), secs(1));
    assert_eq!(breaker.count(secs(1)), 2);
    assert_eq!(breaker.total(), 0);
    assert_eq!(breaker.try_take(secs(2)), Ok(()));
    assert_eq!(breaker.room_at(secs(2)), Some(secs(11)));
    assert_eq!(breaker.try_take(secs(11)), Ok(()));
    assert_eq!(breaker.room_at(secs(12)), Some(secs(51)));
    assert_eq!((breaker.count_within(secs(12), 60 * MINUTE), breaker.total()), (5, 2));
}

#[test]
fn zero_is_unlimited_and_still_counts_in_bounded_memory() {
    let mut breaker = RestartWindow::new(0, MINUTE);
    for _ in 0..50_000 {
        assert_eq!(breaker.try_take(secs(1)), Ok(()));
    }
    assert!((10_000..=10_001).contains(&breaker.count(secs(1))));
    assert_eq!(breaker.count(secs(61)), 0);
}

#[test]
fn the_last_hour_is_counted_although_the_window_is_shorter() {
    let mut breaker = RestartWindow::new(1, SECOND);
    for minute in 0..120 {
        assert_eq!(breaker.try_take(secs(minute * 60)), Ok(()));
    }
    let now = secs(119 * 60);
    assert_eq!(breaker.count(now), 1);
    assert_eq!(breaker.count_within(now, 60 * MINUTE), 60);
    assert_eq!(breaker.count_within(now, 10 * MINUTE), 10);
}

#[test]
fn a_smaller_limit_waits_until_there_is_room_under_it() {
    let mut breaker = RestartWindow::new(3, MINUTE);
    for at in [0, 1, 2] {
        assert_eq!(breaker.try_take(secs(at)), Ok(()));
    }
    breaker.configure(1, MINUTE);
    assert_eq!(breaker.room_at(secs(3)), Some(secs(62)));
    breaker.configure(0, MINUTE);
    assert_eq!(breaker.room_at(secs(3)), None);
}

proptest! {
    #[test]
    fn never_more_than_the_limit_in_any_window(
        max in 1_u32..6,
        window in 1_u64..50,
        steps in prop::collection::vec(0_u64..20, 1..300),
    ) {
        let mut breaker = RestartWindow::new(max, Duration::from_secs(window));
        let mut now = 0;
        let mut taken: Vec<u64> = Vec::new();
        for step in steps {
            now += step;
            let room = breaker.room_at(secs(now));
            match breaker.try_take(secs(now)) {
                Ok(()) => {
                    prop_assert_eq!(room, None);
                    taken.push(now);
                }
                Err(at) => {
                    prop_assert_eq!(room, Some(at));
                    prop_assert!(at > secs(now));
                    prop_assert_eq!(breaker.clone().try_take(at), Ok(()), "room is there when it was promised");
                    prop_assert!(breaker.clone().try_take(at - Duration::from_nanos(1)).is_err(), "and not before");
                }
            }
        }
        for from in &taken {
            let inside = taken.iter().filter(|at| (*from..from + window).contains(*at)).count();
            prop_assert!(inside <= max as usize);
        }
    }
}

// ---- one agent ----

fn limits() -> settings::Breaker {
    settings::Breaker { agent_restarts: 2, cooldown: MINUTE, ..settings::Breaker::default() }
}

/// A breaker in each state, at second 100. The open one is so until second 160.
fn in_state(name: &str) -> AgentBreaker {
    let mut breaker = AgentBreaker::new(&limits());
    if name != "closed" {
        for _ in 0..3 {
            let _ = breaker.on(BreakerEvent::DeadLetter, secs(100));
        }
    }
    if name == "half-open" {
        let _ = breaker.on(BreakerEvent::DeadlineReached, secs(160));
    }
    breaker
}

fn name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open { .. } => "open",
        BreakerState::HalfOpen { .. } => "half-open",
    }
}

#[rstest]
#[case("closed", BreakerEvent::DeadLetter, "closed")]
#[case("closed", BreakerEvent::Restarted, "closed")]
#[case("closed", BreakerEvent::Succeeded, "closed")]
#[case("closed", BreakerEvent::HealthyFor, "closed")]
#[case("closed", BreakerEvent::DeadlineReached, "closed")]
#[case("closed", BreakerEvent::Reset, "closed")]
#[case("open", BreakerEvent::DeadLetter, "open")]
#[case("open", BreakerEvent::Restarted, "open")]
#[case("open", BreakerEvent::Succeeded, "open")]
#[case("open", BreakerEvent::HealthyFor, "open")]
#[case("open", BreakerEvent::DeadlineReached, "half-open")]
#[case("open", BreakerEvent::Trial, "half-open")]
#[case("half-open", BreakerEvent::Trial, "half-open")]
#[case("closed", BreakerEvent::Trial, "closed")]
#[case("open", BreakerEvent::Reset, "closed")]
#[case("half-open", BreakerEvent::DeadLetter, "open")]
#[case("half-open", BreakerEvent::Restarted, "open")]
#[case("half-open", BreakerEvent::Succeeded, "closed")]
#[case("half-open", BreakerEvent::HealthyFor, "closed")]
#[case("half-open", BreakerEvent::DeadlineReached, "half-open")]
#[case("half-open", BreakerEvent::Reset, "closed")]
fn every_event_in_every_state(#[case] from: &str, #[case] event: BreakerEvent, #[case] to: &str) {
    let mut breaker = in_state(from);
    assert_eq!(name(breaker.state()), from);
    let action = breaker.on(event, secs(160));
    assert_eq!(name(breaker.state()), to);
    assert_eq!(action == BreakerAction::None, from == to);
}

#[test]
fn so_many_dead_letters_in_a_row_open_it() {
    let mut breaker = AgentBreaker::new(&limits());
    for event in [BreakerEvent::DeadLetter, BreakerEvent::DeadLetter, BreakerEvent::Succeeded, BreakerEvent::DeadLetter]
    {
        assert_eq!(breaker.on(event, secs(1)), BreakerAction::None);
    }
    assert_eq!(breaker.on(BreakerEvent::DeadLetter, secs(2)), BreakerAction::None);
    let opened = BreakerAction::Opened { reason: Reason::TooManyDeadLetters { count: 3 }, cooldown: MINUTE };
    assert_eq!(breaker.on(BreakerEvent::DeadLetter, secs(3)), opened);
    assert_eq!(breaker.next_deadline(), Some(secs(63)));
    assert_eq!(breaker.on(BreakerEvent::DeadlineReached, secs(62)), BreakerAction::None, "too early");
}

#[test]
fn more_restarts_than_allowed_within_the_window_open_it() {
    let mut breaker = AgentBreaker::new(&limits());
    for at in [0, 300, 600, 1_000] {
        assert_eq!(breaker.on(BreakerEvent::Restarted, secs(at)), BreakerAction::None);
    }
    let reason = Reason::TooManyRestarts { restarts: 3, window: 10 * MINUTE };
    assert_eq!(breaker.on(BreakerEvent::Restarted, secs(1_199)), BreakerAction::Opened { reason, cooldown: MINUTE });
}

#[test]
fn a_long_healthy_life_lets_the_counts_start_afresh() {
    let mut breaker = AgentBreaker::new(&limits());
    for event in [BreakerEvent::Restarted, BreakerEvent::Restarted, BreakerEvent::HealthyFor, BreakerEvent::Restarted] {
        assert_eq!(breaker.on(event, secs(1)), BreakerAction::None);
    }
}

#[test]
fn a_failed_trial_doubles_the_cooldown_up_to_a_day_and_a_good_one_resets_it() {
    let mut breaker = in_state("half-open");
    let mut now = secs(160);
    let mut cooldowns = Vec::new();
    for failure in [BreakerEvent::DeadLetter, BreakerEvent::Restarted].into_iter().cycle().take(12) {
        let BreakerAction::Opened { cooldown, reason } = breaker.on(failure, now) else { panic!("it stayed closed") };
        assert_eq!(reason, Reason::TrialFailed, "nothing was counted");
        cooldowns.push(cooldown.as_secs() / 60);
        now = now + cooldown;
        assert_eq!(breaker.next_deadline(), Some(now));
        assert_eq!(breaker.on(BreakerEvent::DeadlineReached, now), BreakerAction::HalfOpened);
    }
    assert_eq!(cooldowns, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440]);
    assert_eq!(breaker.on(BreakerEvent::Succeeded, now), BreakerAction::Closed(Reason::TrialSucceeded));
    for _ in 0..2 {
        assert_eq!(breaker.on(BreakerEvent::DeadLetter, now), BreakerAction::None, "counts afresh");
    }
    let opened = breaker.on(BreakerEvent::DeadLetter, now);
    assert!(matches!(opened, BreakerAction::Opened { cooldown: MINUTE, .. }));
}

#[test]
fn a_limit_of_zero_never_opens_it() {
    let unlimited = settings::Breaker { dead_letters: 0, agent_restarts: 0, ..limits() };
    let mut breaker = AgentBreaker::new(&unlimited);
    for _ in 0..1_000 {
        assert_eq!(breaker.on(BreakerEvent::DeadLetter, secs(1)), BreakerAction::None);
        assert_eq!(breaker.on(BreakerEvent::Restarted, secs(1)), BreakerAction::None);
    }
    assert!(breaker.restarts.capacity() == 0);
    breaker.configure(&limits());
    assert!(matches!(breaker.on(BreakerEvent::DeadLetter, secs(1)), BreakerAction::Opened { .. }));
}

#[test]
fn an_idle_breaker_is_small() {
    assert!(size_of::<AgentBreaker>() <= 112, "{} bytes", size_of::<AgentBreaker>());
}

proptest! {
    #[test]
    fn a_closed_breaker_never_has_more_restarts_in_any_window_than_allowed(
        steps in prop::collection::vec((0_u64..120, 0_u8..8), 1..300),
    ) {
        let allowed = limits().agent_restarts as usize;
        let mut breaker = AgentBreaker::new(&limits());
        let mut now = 0;
        let mut since_reset: Vec<u64> = Vec::new();
        for (step, kind) in steps {
            now += step;
            let event = match kind {
                0 => BreakerEvent::HealthyFor,
                1 => BreakerEvent::Reset,
                2 => BreakerEvent::DeadlineReached,
                _ => BreakerEvent::Restarted,
            };
            let was_closed = breaker.state() == BreakerState::Closed;
            let action = breaker.on(event, secs(now));
            match event {
                BreakerEvent::Restarted if was_closed && action == BreakerAction::None => since_reset.push(now),
                BreakerEvent::DeadlineReached if action == BreakerAction::None => {}
                _ => since_reset.clear(),
            }
            let inside = since_reset.iter().filter(|at| *at + 600 > now).count();
            prop_assert!(inside <= allowed);
            prop_assert_eq!(breaker.next_deadline().is_some(), name(breaker.state()) == "open");
        }
    }
}
