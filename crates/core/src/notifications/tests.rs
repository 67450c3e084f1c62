//! The mailbox: a table of what follows what, and storms that count everything.

use std::time::Duration;

use proptest::prelude::*;

use super::{Action, Channel, Content, Event, Filter, LeftOut, Loss, Mailbox, NotifyTarget, Outcome, Rate, WebhookUrl};
use crate::event::Weight;
use crate::spec::Backoff;
use crate::time::Moment;

const FAILED: Outcome = Outcome::Failed { retry_after: None };

fn target(queue: u32, max: u32) -> NotifyTarget {
    NotifyTarget {
        name: "ops".to_owned(),
        channel: Channel::Url(WebhookUrl::parse("http://localhost/").unwrap()),
        cwd: "/".into(),
        filter: Filter { events: Vec::new(), agents: Vec::new(), departments: Vec::new(), min_weight: Weight::Detail },
        rate: Rate { max, per: Duration::from_mins(1) },
        secret_file: None,
        timeout: Duration::from_secs(1),
        retry: Backoff {
            max: 2,
            initial: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_secs(100),
            jitter: 0.0,
        },
        max_age: Duration::from_secs(1_000),
        queue,
    }
}

struct World {
    mailbox: Mailbox<u64>,
    now: Moment,
}

impl World {
    fn new(queue: u32, max: u32) -> Self {
        Self { mailbox: Mailbox::new(&target(queue, max), 7), now: Moment::ZERO }
    }

    fn on(&mut self, event: Event<u64>) -> Vec<Action<u64>> {
        let mut actions = Vec::new();
        self.mailbox.on(event, self.now, &mut actions);
        actions
    }

    fn offer(&mut self, event: u64) -> Vec<Action<u64>> {
        self.on(Event::Offered(event))
    }

    fn ended(&mut self, outcome: Outcome) -> Vec<Action<u64>> {
        self.on(Event::Ended(outcome))
    }

    /// Goes to the next deadline.
    fn ring(&mut self) -> Vec<Action<u64>> {
        self.now = self.mailbox.next_deadline().expect("a deadline");
        self.on(Event::DeadlineReached)
    }

    fn secs(&self) -> u64 {
        self.now.since(Moment::ZERO).as_secs()
    }
}

fn send(id: u64, event: u64, attempt: u32) -> Action<u64> {
    Action::Send { id, content: Content::Event(event), left_out: LeftOut::default(), attempt }
}

fn with(action: Action<u64>, suppressed: u64, dropped: u64) -> Action<u64> {
    let Action::Send { id, content, attempt, .. } = action else { panic!("no message") };
    Action::Send { id, content, left_out: LeftOut { suppressed, dropped }, attempt }
}

#[test]
fn one_is_under_way_and_the_others_follow_in_order() {
    let mut world = World::new(10, 100);
    assert_eq!(world.offer(10), [send(1, 10, 1)]);
    assert!(world.offer(11).is_empty() && world.offer(12).is_empty());
    assert_eq!(world.mailbox.next_deadline(), None);
    assert_eq!(world.ended(Outcome::Delivered), [send(2, 11, 1)]);
    assert_eq!(world.ended(Outcome::Delivered), [send(3, 12, 1)]);
    assert!(world.ended(Outcome::Delivered).is_empty() && world.mailbox.is_empty());
    assert!(world.ended(Outcome::Delivered).is_empty(), "a late word is nothing");
    assert_eq!(world.mailbox.tally().sent, 3);
}

#[test]
fn a_failed_try_is_repeated_with_growing_pauses_and_given_up_after_its_last() {
    let mut world = World::new(10, 100);
    assert_eq!(world.offer(10), [send(1, 10, 1)]);
    assert!(world.offer(11).is_empty());
    assert!(world.ended(FAILED).is_empty());
    assert!(world.on(Event::DeadlineReached).is_empty(), "too early");
    assert_eq!((world.ring(), world.secs()), (vec![send(1, 10, 2)], 1));
    assert!(world.ended(FAILED).is_empty());
    assert_eq!((world.ring(), world.secs()), (vec![send(1, 10, 3)], 3));
    // The target is as dead for the next one: the pause grows on.
    assert_eq!(world.ended(FAILED), [Action::LossBegan(Loss::GivenUp { attempts: 3 })]);
    assert_eq!((world.ring(), world.secs()), (vec![with(send(2, 11, 1), 0, 1)], 7));
    let ended = Action::LossEnded { after: Duration::from_secs(4), dropped: 1 };
    assert_eq!(world.ended(Outcome::Delivered), [ended]);
    let tally = world.mailbox.tally();
    assert_eq!((tally.offered, tally.sent, tally.failed, tally.dropped), (2, 1, 3, 1));
}

#[test]
fn an_old_message_is_given_up_whatever_the_number_of_its_tries() {
    let mut world = World::new(10, 100);
    let _ = world.offer(10);
    world.now = Moment::from_secs(1_000);
    assert_eq!(world.ended(FAILED), [Action::LossBegan(Loss::GivenUp { attempts: 1 })]);
}

#[test]
fn a_target_may_ask_for_time_up_to_the_longest_pause() {
    let mut world = World::new(10, 100);
    let _ = world.offer(10);
    assert!(world.ended(Outcome::Failed { retry_after: Some(Duration::from_secs(30)) }).is_empty());
    assert_eq!((world.ring(), world.secs()), (vec![send(1, 10, 2)], 30));
    assert!(world.ended(Outcome::Failed { retry_after: Some(Duration::from_hours(30)) }).is_empty());
    assert_eq!((world.ring(), world.secs()), (vec![send(1, 10, 3)], 130));
}

#[test]
fn what_a_target_will_never_take_is_dropped_and_the_next_one_goes_at_once() {
    let mut world = World::new(10, 100);
    let _ = world.offer(10);
    let _ = world.offer(11);
    let actions = world.ended(Outcome::Rejected);
    assert_eq!(actions, [Action::LossBegan(Loss::Rejected), with(send(2, 11, 1), 0, 1)]);
}

#[test]
fn of_too_many_the_oldest_goes_but_never_the_one_under_way() {
    let mut world = World::new(2, 100);
    assert_eq!(world.offer(10), [send(1, 10, 1)]);
    assert!(world.offer(11).is_empty());
    assert_eq!(world.offer(12), [Action::LossBegan(Loss::QueueFull)]);
    assert!(world.offer(13).is_empty(), "it is told once");
    assert!(world.ended(FAILED).is_empty());
    // Between two tries the first one is no better than the others.
    assert!(world.offer(14).is_empty());
    assert_eq!(world.ring(), [with(send(4, 13, 1), 0, 3)]);
    let ended = Action::LossEnded { after: Duration::from_secs(1), dropped: 3 };
    assert_eq!(world.ended(Outcome::Delivered), [ended, send(5, 14, 1)]);
}

#[test]
fn a_queue_of_one_drops_the_newcomer_while_its_message_is_under_way() {
    let mut world = World::new(1, 100);
    assert_eq!(world.offer(10), [send(1, 10, 1)]);
    assert_eq!(world.offer(11), [Action::LossBegan(Loss::QueueFull)]);
    assert_eq!(world.mailbox.len(), 1);
}

#[test]
fn what_the_rate_leaves_out_is_told_with_the_next_one() {
    let mut world = World::new(10, 2);
    assert_eq!(world.offer(10), [send(1, 10, 1)]);
    let _ = world.ended(Outcome::Delivered);
    assert_eq!(world.offer(11), [send(2, 11, 1)]);
    let _ = world.ended(Outcome::Delivered);
    world.now = Moment::from_secs(30);
    assert!(world.offer(12).is_empty() && world.offer(13).is_empty());
    world.now = Moment::from_secs(60);
    assert_eq!(world.offer(14), [with(send(3, 14, 1), 2, 0)]);
    let _ = world.ended(Outcome::Delivered);
    assert_eq!(world.mailbox.next_deadline(), None, "there is nothing left to tell");
}

#[test]
fn after_a_flood_a_summary_goes_by_itself() {
    let mut world = World::new(10, 1);
    let _ = world.offer(10);
    let _ = world.ended(Outcome::Delivered);
    world.now = Moment::from_secs(30);
    assert!(world.offer(11).is_empty() && world.offer(12).is_empty());
    let left_out = LeftOut { suppressed: 2, dropped: 0 };
    let summary = |attempt| Action::Send { id: 2, content: Content::Summary, left_out, attempt };
    assert_eq!((world.ring(), world.secs()), (vec![summary(1)], 90));
    assert!(world.ended(FAILED).is_empty());
    assert_eq!(world.ring(), [summary(2)]);
    let _ = world.ended(Outcome::Delivered);
    assert_eq!((world.mailbox.tally().summaries, world.mailbox.tally().sent), (1, 1));
    assert_eq!(world.mailbox.next_deadline(), None);
}

#[test]
fn closing_tries_everything_once_and_the_first_failure_ends_it() {
    let mut world = World::new(10, 100);
    for event in 10..14 {
        let _ = world.offer(event);
    }
    let _ = world.ended(FAILED);
    assert_eq!(world.on(Event::Closing), [send(1, 10, 2)], "the pause is over");
    assert_eq!(world.ended(Outcome::Delivered), [send(2, 11, 1)]);
    assert_eq!(world.ended(FAILED), [Action::LossBegan(Loss::Closing)]);
    assert!(world.mailbox.is_empty() && world.mailbox.next_deadline().is_none());
    assert_eq!((world.mailbox.tally().sent, world.mailbox.tally().dropped), (1, 3));
}

#[test]
fn what_is_still_under_way_in_the_end_is_counted_as_dropped() {
    let mut world = World::new(10, 100);
    let _ = world.offer(10);
    let _ = world.on(Event::Closing);
    assert_eq!(world.on(Event::Closed), [Action::LossBegan(Loss::Closing)]);
    assert!(world.ended(Outcome::Delivered).is_empty());
    assert_eq!((world.mailbox.tally().sent, world.mailbox.tally().dropped), (0, 1));
}

#[test]
fn a_message_whose_carrier_died_is_tried_again() {
    let mut world = World::new(10, 100);
    let _ = world.offer(10);
    assert!(world.on(Event::Lost).is_empty());
    assert_eq!(world.ring(), [send(1, 10, 2)]);
    assert!(World::new(1, 1).on(Event::Lost).is_empty());
}

#[test]
fn new_bounds_hold_at_once_and_end_a_pause() {
    let mut world = World::new(10, 100);
    for event in 10..15 {
        let _ = world.offer(event);
    }
    let _ = world.ended(FAILED);
    let mut actions = Vec::new();
    world.mailbox.configure(&target(2, 100), world.now, &mut actions);
    assert_eq!(actions, [Action::LossBegan(Loss::QueueFull), with(send(4, 13, 1), 0, 3)]);
    assert_eq!(world.mailbox.len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Offer,
    Delivered,
    Failed,
    Rejected,
    Lost,
    Pass(u64),
    Configure(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Offer),
        3 => Just(Step::Delivered),
        2 => Just(Step::Failed),
        1 => Just(Step::Rejected),
        1 => Just(Step::Lost),
        3 => (0_u64..40).prop_map(Step::Pass),
        1 => (1_u32..6, 1_u32..6).prop_map(|(queue, max)| Step::Configure(queue, max)),
    ]
}

proptest! {
    #[test]
    fn nothing_is_uncounted_out_of_order_or_beyond_the_bounds(
        queue in 1_u32..6, max in 1_u32..6, steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut world = World::new(queue, max);
        let (mut bound, mut rate) = (queue as usize, max as usize);
        let (mut offered, mut under_way, mut last_id) = (0_u64, None::<(u64, LeftOut, bool)>, 0);
        let (mut told, mut losing) = (LeftOut::default(), false);
        let mut passed: Vec<Moment> = Vec::new();
        let mut rejected = false;
        for step in steps {
            let mut actions = Vec::new();
            let before = world.mailbox.tally();
            match &step {
                Step::Offer => {
                    offered += 1;
                    actions = world.offer(offered);
                    if world.mailbox.tally().suppressed == before.suppressed {
                        passed.push(world.now);
                        let recent = passed.iter().filter(|at| world.now.since(**at) < Duration::from_mins(1));
                        prop_assert!(recent.count() <= rate.max(max as usize), "the rate is exceeded");
                    }
                }
                Step::Delivered | Step::Failed | Step::Rejected | Step::Lost => {
                    let was = under_way.take();
                    rejected |= matches!(step, Step::Rejected);
                    if let (Some((_, left_out, _)), Step::Delivered) = (was, &step) {
                        told.suppressed += left_out.suppressed;
                        told.dropped += left_out.dropped;
                    }
                    actions = world.on(match step {
                        Step::Delivered => Event::Ended(Outcome::Delivered),
                        Step::Failed => Event::Ended(FAILED),
                        Step::Rejected => Event::Ended(Outcome::Rejected),
                        _ => Event::Lost,
                    });
                }
                Step::Pass(secs) => {
                    world.now = world.now + Duration::from_secs(*secs);
                    actions = world.on(Event::DeadlineReached);
                }
                Step::Configure(queue, max) => {
                    bound = *queue as usize;
                    // What passed at the old rate has passed.
                    rate = rate.max(*max as usize);
                    world.mailbox.configure(&target(*queue, *max), world.now, &mut actions);
                }
            }
            for action in actions {
                match action {
                    Action::Send { id, left_out, attempt, .. } => {
                        prop_assert!(under_way.is_none(), "two are under way");
                        prop_assert!(if attempt == 1 { id > last_id } else { id == last_id }, "out of order");
                        last_id = id;
                        under_way = Some((id, left_out, attempt == 1));
                    }
                    Action::LossBegan(_) => prop_assert!(!std::mem::replace(&mut losing, true), "told twice"),
                    Action::LossEnded { dropped, .. } => {
                        prop_assert!(std::mem::replace(&mut losing, false) && dropped > 0);
                    }
                }
            }
            let (tally, held) = (world.mailbox.tally(), world.mailbox.len());
            prop_assert!(held <= bound.max(1));
            prop_assert_eq!(tally.offered, offered);
            let held_events = tally.offered - tally.sent - tally.suppressed - tally.dropped;
            prop_assert!(held_events <= held as u64 && held as u64 - held_events <= 1, "at most one summary is held");
            prop_assert!(held == 0 || under_way.is_some() || world.mailbox.next_deadline().is_some(), "stuck");
        }
        // In the end everything that was left out is told.
        let mut rounds = 0;
        while under_way.is_some() || world.mailbox.next_deadline().is_some() {
            rounds += 1;
            prop_assert!(rounds < 100, "it does not come to rest");
            let actions = if let Some((_, left_out, _)) = under_way.take() {
                told.suppressed += left_out.suppressed;
                told.dropped += left_out.dropped;
                world.ended(Outcome::Delivered)
            } else {
                world.ring()
            };
            for action in actions {
                if let Action::Send { id, left_out, attempt, .. } = action {
                    under_way = Some((id, left_out, attempt == 1));
                }
            }
        }
        let tally = world.mailbox.tally();
        prop_assert_eq!(tally.offered, tally.sent + tally.suppressed + tally.dropped);
        let untold = world.mailbox.untold();
        prop_assert_eq!(told.suppressed + untold.suppressed, tally.suppressed);
        prop_assert_eq!(told.dropped + untold.dropped, tally.dropped);
        prop_assert!(rejected || untold.is_none(), "nobody asks again who took nothing");
    }
}
