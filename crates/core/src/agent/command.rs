//! What people ask of an agent: carried out, or refused with the reason.

use super::{Action, Agent, Body, Command};
use crate::breaker::BreakerEvent;
use crate::dispatcher::Gate;
use crate::event::Event as Fact;
use crate::reason::Reason;
use crate::status::Status;
use crate::time::Clocks;

impl Agent {
    pub(super) fn carry_out(
        &mut self,
        command: &Command,
        by: &str,
        now: Clocks,
        out: &mut Vec<Action>,
    ) -> Result<String, Reason> {
        if self.core.draining {
            return Err(Reason::ShuttingDown);
        }
        if self.core.removed {
            return Err(Reason::Removed);
        }
        let name = self.core.spec.name.clone();
        let asked = Reason::ByOperator { by: by.to_owned() };
        match command {
            Command::Start { force } => {
                self.clear_what_an_operator_may(&asked, now, out)?;
                self.core.stopped = false;
                match &mut self.body {
                    Body::Service(service) if service.all_alive() => Ok(format!("{name} runs already")),
                    Body::Service(service) => {
                        service.start_all(&self.core, false, *force, out);
                        Ok(format!("{name} is being started"))
                    }
                    Body::Job(_) => {
                        Ok(format!("{name} takes triggers again; run it at once with `werkpilot run {name}`"))
                    }
                }
            }
            Command::Stop => {
                let again = std::mem::replace(&mut self.core.stopped, true);
                if !again && !self.has_processes() {
                    let (agent, reason) = (name.clone(), asked.clone());
                    out.push(Action::Emit(Fact::AgentStopped {
                        agent,
                        instance: 0,
                        exit: None,
                        forced: false,
                        reason,
                    }));
                }
                match &mut self.body {
                    Body::Job(jobs) => jobs.end_all(&asked, out),
                    Body::Service(service) => service.stop_all(&self.core, &asked, out),
                }
                Ok(if again { format!("{name} was stopped already") } else { format!("{name} is being stopped") })
            }
            Command::Restart => {
                self.clear_what_an_operator_may(&asked, now, out)?;
                self.core.stopped = false;
                match &mut self.body {
                    Body::Service(service) => service.restart_all(&self.core, &asked, false, out),
                    Body::Job(jobs) => jobs.end_all(&asked, out),
                }
                Ok(format!("{name} is being restarted"))
            }
            Command::Enable => {
                let was = self.core.gate();
                self.core.disabled = None;
                self.core.switched_on = (!self.core.spec.enabled).then(|| by.to_owned());
                let _ = self.core.breaker(BreakerEvent::Reset, now.steady, out);
                if !matches!(was, Gate::Closed { status, .. } if status.is_disabled()) {
                    return Ok(format!("{name} was enabled already"));
                }
                out.push(Action::Emit(Fact::AgentEnabled { agent: name.clone(), reason: asked }));
                if let Body::Service(service) = &mut self.body {
                    service.start_all(&self.core, false, false, out);
                }
                Ok(format!("{name} is enabled"))
            }
            Command::Disable => {
                if matches!(self.core.disabled, Some((Status::Disabled, _))) {
                    return Ok(format!("{name} was disabled already"));
                }
                self.core.disabled = Some((Status::Disabled, asked.clone()));
                self.core.switched_on = None;
                out.push(Action::Emit(Fact::AgentDisabled { agent: name.clone(), reason: asked.clone() }));
                if let Body::Service(service) = &mut self.body {
                    service.stop_all(&self.core, &asked, out);
                }
                Ok(format!("{name} is disabled"))
            }
            Command::PrepareManualRun => {
                if matches!(self.body, Body::Service(_)) {
                    return Ok(format!("{name} is a service"));
                }
                self.clear_what_an_operator_may(&asked, now, out)?;
                Ok(String::new())
            }
        }
    }

    /// A manual start clears breakers and disabled-by states; what was switched off on purpose stays so.
    fn clear_what_an_operator_may(&mut self, asked: &Reason, now: Clocks, out: &mut Vec<Action>) -> Result<(), Reason> {
        let agent = self.core.spec.name.clone();
        if let Some((Status::Disabled, reason)) = &self.core.disabled {
            let why = format!("{reason}; switch it on with `werkpilot enable {agent}`");
            return Err(Reason::Disabled { status: Status::Disabled, why });
        }
        if self.core.disabled.is_some() || self.core.breaker_open() {
            out.push(Action::Emit(Fact::AgentEnabled { agent, reason: asked.clone() }));
        }
        self.core.disabled = None;
        let _ = self.core.breaker(BreakerEvent::Reset, now.steady, out);
        Ok(())
    }
}
