//! How messages leave: to a webhook by the courier, to a command by the process host.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::ids::AgentName;
use werkpilot_core::notifications::{Channel, NotifyTarget};
use werkpilot_core::spec::{AgentSpec, Program};
use werkpilot_core::time::human;

use super::answer::{Answer, Fault};
use super::book::{Running, Whose};
use super::message::Message as Wire;
use super::webhook::Post;
use super::{Carried, HookEnded, Notifier};

impl Notifier {
    /// Sends a message on its way; it comes back as [`Carried`] or [`HookEnded`].
    pub(super) fn carry(&mut self, number: u64, settings: &NotifyTarget, message: Wire, ctx: &mut Context<Self>) {
        match &settings.channel {
            Channel::Url(_) => {
                let answer = self.post(settings, message, settings.timeout);
                ctx.spawn(answer.into_actor(self).map(move |answer, _, ctx| {
                    ctx.notify(Carried { target: number, answer });
                }));
            }
            Channel::Command(argv) => {
                self.start_hook(Whose::Target(number), settings, argv, &message, settings.timeout, ctx);
            }
        }
    }

    /// To a webhook.
    pub(super) fn post(
        &mut self,
        settings: &NotifyTarget,
        message: Wire,
        timeout: Duration,
    ) -> impl Future<Output = Answer> + 'static + use<> {
        let url = match &settings.channel {
            Channel::Url(url) => Some(url.clone()),
            Channel::Command(_) => None,
        };
        let secret_file = settings.secret_file.clone();
        let answer = url.map(|url| self.courier.send(Post { url, secret_file, timeout, message }));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Answer::of(Err(Fault::new("a command is not posted")), Duration::ZERO),
            }
        }
    }

    /// To a command.
    pub(super) fn start_hook(
        &mut self,
        whose: Whose,
        settings: &NotifyTarget,
        argv: &[String],
        message: &Wire,
        timeout: Duration,
        ctx: &mut Context<Self>,
    ) {
        let serial = self.house.notifications.borrow_mut().next_serial();
        let Ok(name) = AgentName::new(&settings.name) else { return };
        let mut spec = AgentSpec::job_named(name, Program::Command(argv.to_vec()));
        spec.cwd.clone_from(&settings.cwd);
        let mut variables = vec![
            ("WERKPILOT_DELIVERY".to_owned(), message.delivery.clone()),
            ("WERKPILOT_EVENT_TYPE".to_owned(), message.topic.to_owned()),
        ];
        variables.extend(message.agent.iter().map(|agent| ("WERKPILOT_EVENT_AGENT".to_owned(), agent.to_string())));
        let begun = self.house.clock.steady();
        let running = Running { whose, begun, timed_out: false };
        self.house.notifications.borrow_mut().running.insert(serial, running);
        self.house.hands.hook(serial, self.fresh_id(), Arc::new(spec), message.body.clone(), variables);
        ctx.run_later(timeout, move |this, _| {
            if let Some(running) = this.house.notifications.borrow_mut().running.get_mut(&serial) {
                running.timed_out = true;
                this.house.hands.kill_hook(serial);
            }
        });
    }

    /// A command has ended, or was killed.
    pub(super) fn hook_ended(&mut self, ended: HookEnded, ctx: &mut Context<Self>) {
        let running = self.house.notifications.borrow_mut().running.remove(&ended.serial);
        let Some(Running { whose, begun, timed_out }) = running else { return };
        let took = self.house.clock.steady().since(begun);
        let result = match ended.result {
            Ok(()) => Ok(0),
            Err(_) if timed_out => {
                let fault = Fault::new(format!("the command took longer than {} and was killed", human(took)));
                Err(fault.hint("look why it hangs, or set a longer `timeout`"))
            }
            Err((status, error)) => {
                let fault = Fault::new(error).hint("run it by hand, with an event on its stdin, to see what it says");
                Err(Fault { status, ..fault })
            }
        };
        let answer = Answer::of(result, took);
        match whose {
            Whose::Target(target) => self.carried(target, answer, ctx),
            Whose::Test(test) => {
                if let Some(told) = self.tests.remove(&test) {
                    // Who asked may have gone.
                    let _ = told.send(answer);
                }
            }
        }
    }
}
