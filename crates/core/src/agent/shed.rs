//! When memory is short: an agent takes part in nothing until the memory monitor, or a person, lets it.
//!
//! What was disabled for another reason stays so: this one neither takes its place nor ends it.

use super::{Action, Agent, Body};
use crate::dispatcher::Gate;
use crate::event::Event as Fact;
use crate::reason::Reason;
use crate::status::Status;

impl Agent {
    /// No new executions, and a service is stopped; the run of a job goes on.
    pub(super) fn shed(&mut self, reason: &Reason, out: &mut Vec<Action>) {
        if self.core.leaves() || matches!(self.core.gate(), Gate::Closed { .. }) {
            return;
        }
        self.core.disabled = Some((Status::DisabledByMemory, reason.clone()));
        out.push(Action::Emit(Fact::AgentDisabled { agent: self.core.spec.name.clone(), reason: reason.clone() }));
        if let Body::Service(service) = &mut self.body {
            service.stop_all(&self.core, reason, out);
        }
    }

    /// It takes part again. Its start is no restart after a failure: it does not count.
    pub(super) fn unshed(&mut self, reason: &Reason, out: &mut Vec<Action>) {
        if self.core.leaves() || !matches!(self.core.disabled, Some((Status::DisabledByMemory, _))) {
            return;
        }
        self.core.disabled = None;
        out.push(Action::Emit(Fact::AgentEnabled { agent: self.core.spec.name.clone(), reason: reason.clone() }));
        if let Body::Service(service) = &mut self.body {
            service.start_all_because(&self.core, reason, false, false, out);
        }
    }
}
