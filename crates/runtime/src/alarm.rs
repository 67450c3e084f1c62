//! The alarm of an actor that feeds a machine: it rings at the machine's next deadline.
//!
//! Invariant: an actor has at most one timer pending, and that for the deadline which it asked for last.

use actix::prelude::*;
use werkpilot_core::time::Moment;

use crate::clock::Clock;

/// When it rings, if it is set. Belongs to one actor for its whole life.
#[derive(Debug, Default)]
pub struct Alarm(Option<(Moment, SpawnHandle)>);

/// An actor with an alarm.
pub trait Alarmed: Actor<Context = Context<Self>> {
    /// Its alarm.
    fn alarm(&mut self) -> &mut Alarm;
    /// The deadline is over. The alarm is not set any more.
    fn ring(&mut self, ctx: &mut Context<Self>);
}

impl Alarm {
    /// When it rings, if it is set.
    pub fn deadline(&self) -> Option<Moment> {
        self.0.map(|(at, _)| at)
    }

    /// Sets the alarm of this actor to `deadline`, or switches it off. Costs nothing if it is set so already.
    pub fn set<A: Alarmed>(actor: &mut A, deadline: Option<Moment>, clock: Clock, ctx: &mut Context<A>) {
        let Self(set) = actor.alarm();
        if set.map(|(at, _)| at) == deadline {
            return;
        }
        if let Some((_, handle)) = set.take() {
            ctx.cancel_future(handle);
        }
        *set = deadline.map(|at| {
            let handle = ctx.run_later(at.since(clock.steady()), |actor: &mut A, ctx| {
                actor.alarm().0 = None;
                actor.ring(ctx);
            });
            (at, handle)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Writes down when it rings.
    struct Sleeper {
        alarm: Alarm,
        clock: Clock,
        rang: Vec<u64>,
    }

    impl Actor for Sleeper {
        type Context = Context<Self>;
    }

    impl Alarmed for Sleeper {
        fn alarm(&mut self) -> &mut Alarm {
            &mut self.alarm
        }

        fn ring(&mut self, _: &mut Context<Self>) {
            self.rang.push(self.clock.steady().since(Moment::ZERO).as_secs());
        }
    }

    #[derive(Message)]
    #[rtype(result = "Vec<u64>")]
    struct Wake(Option<u64>);

    impl Handler<Wake> for Sleeper {
        type Result = MessageResult<Wake>;
        fn handle(&mut self, Wake(at): Wake, ctx: &mut Self::Context) -> Self::Result {
            let clock = self.clock;
            Alarm::set(self, at.map(Moment::from_secs), clock, ctx);
            MessageResult(self.rang.clone())
        }
    }

    #[actix::test]
    async fn it_rings_once_and_only_at_the_deadline_that_was_asked_for_last() {
        tokio::time::pause();
        let sleeper = Sleeper { alarm: Alarm::default(), clock: Clock::start(), rang: Vec::new() }.start();
        for at in [Some(10), Some(20), Some(5), Some(5)] {
            assert!(sleeper.send(Wake(at)).await.unwrap().is_empty());
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(sleeper.send(Wake(Some(40))).await.unwrap(), [5]);
        assert_eq!(sleeper.send(Wake(None)).await.unwrap(), [5]);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(sleeper.send(Wake(Some(60))).await.unwrap(), [5], "switched off is silent");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(sleeper.send(Wake(Some(60))).await.unwrap(), [5, 60], "a deadline that is over rings at once");
    }
}
