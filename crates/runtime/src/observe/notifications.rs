//! The notifier: tells targets outside of what happened. It decides nothing: each target's mailbox does; messages are
//! carried to webhooks by the courier's thread, and to commands by the process host.
//!
//! Invariant: every message that a mailbox sends comes back as ended, also when its carrier or this actor dies; a test
//! goes past the mailboxes and changes none of their counters.

mod answer;
mod book;
mod carrying;
mod courier;
mod message;
mod view;
mod webhook;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use werkpilot_core::event::{Event as Fact, Recorded};
use werkpilot_core::ids::RunId;
use werkpilot_core::notifications::{Action, Channel, Event, Loss, Mailbox, NotifyTarget};

use crate::alarm::{Alarm, Alarmed};
use crate::clock::Clock;
use crate::house::House;
use crate::supervision::ExitNotice;
use answer::{Answer, Fault};
use book::{Target, Whose};
use courier::Courier;
use message::Message as Wire;
use view::shown;

pub use book::NotificationBook;
pub use view::{LastError, NotificationView, TestResult, notifications};

/// A test waits no longer, so that who asks gets an answer.
const TEST_PATIENCE: Duration = Duration::from_secs(10);

/// Tells what is in the inbox to everybody who wants to hear it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Happened;

/// Takes the targets of the settings in effect.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retarget;

/// Sends a test to one target or all, and tells what came of it. `None`: there is no such target.
#[derive(Debug, Message)]
#[rtype(result = "Option<Vec<TestResult>>")]
pub struct TestTargets {
    /// Which one.
    pub name: Option<String>,
    /// Who asks.
    pub by: String,
}

/// Tries once what waits, drops what is still there after `patience`, and answers how many events were dropped by that.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub struct Flush {
    /// How long it may take.
    pub patience: Duration,
}

/// The command of a hook has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HookEnded {
    /// Which.
    pub serial: u32,
    /// What came of it: its exit code and, if it failed, what to say of it.
    pub result: Result<(), (Option<i32>, String)>,
}

/// Ends the actor by a panic: a drill.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// A try has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Carried {
    target: u64,
    answer: Answer,
}

/// The actor of the notifications.
pub struct Notifier {
    house: Rc<House>,
    courier: Courier,
    tests: HashMap<u64, oneshot::Sender<Answer>>,
    /// Tells how many messages wait, for who waits for the last one.
    waiting: watch::Sender<usize>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl Notifier {
    /// An actor for the house's targets.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            courier: Courier::default(),
            tests: HashMap::new(),
            waiting: watch::Sender::new(0),
            alarm: Alarm::default(),
            _notice: notice,
        }
    }

    /// The one path from an event of a mailbox to its effects.
    fn drive(&mut self, target: u64, event: Event<Arc<Recorded>>, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        let mut actions = Vec::new();
        if let Some(target) = self.house.notifications.borrow_mut().target(target) {
            target.mailbox.on(event, now, &mut actions);
        }
        self.perform_all(target, actions, ctx);
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let (deadline, waiting) = {
            let book = self.house.notifications.borrow();
            (book.next_deadline(), book.targets.iter().map(|target| target.mailbox.len()).sum())
        };
        self.waiting.send_replace(waiting);
        let clock = self.house.clock;
        Alarm::set(self, deadline, clock, ctx);
    }

    fn perform_all(&mut self, target: u64, actions: Vec<Action<Arc<Recorded>>>, ctx: &mut Context<Self>) {
        for action in actions {
            self.perform(target, action, ctx);
        }
    }

    fn perform(&mut self, number: u64, action: Action<Arc<Recorded>>, ctx: &mut Context<Self>) {
        let book = &self.house.notifications;
        match action {
            Action::Send { content, left_out, attempt, .. } => {
                let (settings, message) = {
                    let (delivery, now) = (self.fresh_id(), Clock::wall());
                    let mut book = book.borrow_mut();
                    let Some(target) = book.target(number) else { return };
                    if attempt == 1 || target.message.is_none() {
                        target.message = Some(Wire::new(&content, left_out, delivery.to_string(), now));
                    }
                    (target.settings.clone(), target.message.clone())
                };
                if let Some(message) = message {
                    self.carry(number, &settings, message, ctx);
                }
            }
            Action::LossBegan(loss) => {
                let mut book = book.borrow_mut();
                let Some(target) = book.target(number) else { return };
                let reason = why_lost(loss, target);
                self.house.emit(Fact::NotificationsDropped { target: target.settings.name.clone(), reason });
            }
            Action::LossEnded { after, dropped } => {
                let mut book = book.borrow_mut();
                let Some(target) = book.target(number) else { return };
                let target = target.settings.name.clone();
                self.house.emit(Fact::NotificationsRecovered { target, after, dropped });
            }
        }
    }

    fn fresh_id(&self) -> RunId {
        let millis = u64::try_from(Clock::wall().as_millis()).unwrap_or(0);
        let random = u128::from(self.house.next_seed()) << 64 | u128::from(self.house.next_seed());
        RunId::from_parts(millis, random)
    }

    fn carried(&mut self, number: u64, answer: Answer, ctx: &mut Context<Self>) {
        if let Some(target) = self.house.notifications.borrow_mut().target(number) {
            match answer.error {
                None => target.last_success = Some(Clock::wall()),
                Some(error) => {
                    // Told in the log once per outage; the others are for who looks closely.
                    let level =
                        if target.mailbox.failures_in_a_row() == 0 { log::Level::Warn } else { log::Level::Debug };
                    let name = &target.settings.name;
                    log::log!(target: "werkpilot", level, "Notification to \"{name}\" failed: {error}");
                    target.last_error = Some((Clock::wall(), error));
                }
            }
        }
        self.drive(number, Event::Ended(answer.outcome), ctx);
    }

    fn empty_inbox(&mut self, ctx: &mut Context<Self>) {
        loop {
            let Some(recorded) = self.house.notifications.borrow_mut().take() else { return };
            let listeners = {
                let directory = self.house.directory.borrow();
                self.house.notifications.borrow().listeners(&recorded.event, &directory)
            };
            for number in listeners {
                self.drive(number, Event::Offered(recorded.clone()), ctx);
            }
        }
    }

    /// By name: a target whose settings changed keeps what waits for it.
    fn retarget(&mut self, ctx: &mut Context<Self>) {
        let settings = self.house.settings.borrow().clone();
        let now = self.house.clock.steady();
        let mut all = Vec::new();
        {
            let mut book = self.house.notifications.borrow_mut();
            let mut before = std::mem::take(&mut book.targets);
            for new in &settings.notify {
                let known = before.iter().position(|target| target.settings.name == new.name);
                let mut actions = Vec::new();
                let mut target = match known.map(|index| before.remove(index)) {
                    Some(known) => known,
                    None => Target {
                        number: book.next_number(),
                        settings: Arc::new(new.clone()),
                        mailbox: Mailbox::new(new, self.house.next_seed()),
                        message: None,
                        last_error: None,
                        last_success: None,
                    },
                };
                if *target.settings != *new {
                    target.settings = Arc::new(new.clone());
                    target.mailbox.configure(new, now, &mut actions);
                }
                all.push((target.number, actions));
                book.targets.push(target);
            }
            for gone in before.iter().filter(|gone| !gone.mailbox.is_empty()) {
                let (name, count) = (&gone.settings.name, gone.mailbox.len());
                log::warn!(target: "werkpilot", "Target \"{name}\" is gone, and {count} notifications with it");
            }
        }
        for (number, actions) in all {
            self.perform_all(number, actions, ctx);
        }
        self.arm(ctx);
    }

    /// What was under way when this actor's predecessor died.
    fn take_over(&mut self, ctx: &mut Context<Self>) {
        let (serials, numbers) = {
            let mut book = self.house.notifications.borrow_mut();
            let serials: Vec<u32> = book.running.drain().map(|(serial, _)| serial).collect();
            (serials, book.targets.iter().map(|target| target.number).collect::<Vec<_>>())
        };
        for serial in serials {
            self.house.hands.kill_hook(serial);
        }
        for number in numbers {
            self.drive(number, Event::Lost, ctx);
        }
    }

    /// Sends each of these a test.
    fn test(
        &mut self,
        targets: Vec<Arc<NotifyTarget>>,
        by: &str,
        ctx: &mut Context<Self>,
    ) -> Vec<oneshot::Receiver<Answer>> {
        let mut answers = Vec::with_capacity(targets.len());
        for settings in targets {
            let message = Wire::test(&settings.name, by, self.fresh_id().to_string(), Clock::wall());
            let timeout = settings.timeout.min(TEST_PATIENCE);
            let (told, answer) = oneshot::channel();
            answers.push(answer);
            match &settings.channel {
                Channel::Url(_) => {
                    let carried = self.post(&settings, message, timeout);
                    ctx.spawn(carried.into_actor(self).map(|answer, _, _| {
                        // Who asked may have gone.
                        let _ = told.send(answer);
                    }));
                }
                Channel::Command(argv) => {
                    let test = self.house.notifications.borrow_mut().next_number();
                    self.tests.insert(test, told);
                    self.start_hook(Whose::Test(test), &settings, argv, &message, timeout, ctx);
                }
            }
        }
        answers
    }

    fn all(&self) -> Vec<u64> {
        self.house.notifications.borrow().targets.iter().map(|target| target.number).collect()
    }

    fn dropped(&self) -> u64 {
        self.house.notifications.borrow().targets.iter().map(|target| target.mailbox.tally().dropped).sum()
    }
}

fn why_lost(loss: Loss, target: &Target) -> String {
    let after = target.last_error.as_ref().map(|(_, error)| format!("; the last try: {error}")).unwrap_or_default();
    let queue = target.settings.queue;
    match loss {
        Loss::QueueFull => format!("{queue} wait, as many as `queue` lets, and the oldest give way{after}"),
        Loss::GivenUp { attempts: 1 } => format!("one was given up after its first try{after}"),
        Loss::GivenUp { attempts } => format!("one was given up after {attempts} tries{after}"),
        Loss::Rejected => format!("it does not take one{after}"),
        Loss::Closing => format!("the orchestrator goes down before they could go{after}"),
    }
}

impl Actor for Notifier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.retarget(ctx);
        self.take_over(ctx);
        self.empty_inbox(ctx);
    }
}

impl Alarmed for Notifier {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        for number in self.all() {
            self.drive(number, Event::DeadlineReached, ctx);
        }
    }
}

impl Handler<Happened> for Notifier {
    type Result = ();
    fn handle(&mut self, _: Happened, ctx: &mut Self::Context) {
        self.empty_inbox(ctx);
    }
}

impl Handler<Carried> for Notifier {
    type Result = ();
    fn handle(&mut self, Carried { target, answer }: Carried, ctx: &mut Self::Context) {
        self.carried(target, answer, ctx);
    }
}

impl Handler<HookEnded> for Notifier {
    type Result = ();
    fn handle(&mut self, ended: HookEnded, ctx: &mut Self::Context) {
        self.hook_ended(ended, ctx);
    }
}

impl Handler<Crash> for Notifier {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("a drill");
    }
}

impl Handler<Retarget> for Notifier {
    type Result = ();
    fn handle(&mut self, _: Retarget, ctx: &mut Self::Context) {
        self.retarget(ctx);
    }
}

impl Handler<TestTargets> for Notifier {
    type Result = ResponseFuture<Option<Vec<TestResult>>>;
    fn handle(&mut self, TestTargets { name, by }: TestTargets, ctx: &mut Self::Context) -> Self::Result {
        let all: Vec<_> =
            self.house.notifications.borrow().targets.iter().map(|target| target.settings.clone()).collect();
        let wanted: Vec<_> =
            all.into_iter().filter(|target| name.as_ref().is_none_or(|name| *name == target.name)).collect();
        if name.is_some() && wanted.is_empty() {
            return Box::pin(async { None });
        }
        let answers = self.test(wanted.clone(), &by, ctx);
        Box::pin(async move {
            let mut results = Vec::with_capacity(answers.len());
            for (target, answer) in wanted.iter().zip(answers) {
                let gone = |_| Answer::of(Err(Fault::new("the notifier died meanwhile; try again")), Duration::ZERO);
                let answer = answer.await.unwrap_or_else(gone);
                results.push(TestResult::of(target.name.clone(), shown(&target.channel), answer));
            }
            Some(results)
        })
    }
}

impl Handler<Flush> for Notifier {
    type Result = ResponseActFuture<Self, u64>;
    fn handle(&mut self, Flush { patience }: Flush, ctx: &mut Self::Context) -> Self::Result {
        self.empty_inbox(ctx);
        let before = self.dropped();
        for number in self.all() {
            self.drive(number, Event::Closing, ctx);
        }
        let mut waiting = self.waiting.subscribe();
        let flushed = async move {
            let all_gone = async { waiting.wait_for(|waiting| *waiting == 0).await.is_ok() };
            // Whether or not: what is left is dropped.
            let _ = tokio::time::timeout(patience, all_gone).await;
        };
        Box::pin(flushed.into_actor(self).map(move |(), this, ctx| {
            for number in this.all() {
                this.drive(number, Event::Closed, ctx);
            }
            this.dropped() - before
        }))
    }
}
