//! What is known of all targets. Outlives the actor.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::notifications::{Mailbox, NotifyTarget};
use werkpilot_core::time::{Moment, Timestamp};

use super::message::Message;
use crate::directory::Directory;

/// One target: what waits for it, and how it went.
#[derive(Debug)]
pub(super) struct Target {
    /// Unique: a name may be given to another one after a reload.
    pub number: u64,
    pub settings: Arc<NotifyTarget>,
    pub mailbox: Mailbox<Arc<Recorded>>,
    /// What is under way, as it goes over the wire.
    pub message: Option<Message>,
    pub last_error: Option<(Timestamp, String)>,
    pub last_success: Option<Timestamp>,
}

impl Target {
    fn wants(&self, event: &Event, directory: &Directory) -> bool {
        if let Event::NotificationsDropped { target, .. } | Event::NotificationsRecovered { target, .. } = event
            && *target == self.settings.name
        {
            // It would be told of its own silence.
            return false;
        }
        let agent = event.agent().map(werkpilot_core::ids::AgentName::as_str);
        let department = || Some(directory.get(directory.find(agent?)?)?.spec.department.clone());
        self.settings.filter.wants(event.topic(), event.weight(), agent, department)
    }
}

/// Whose command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// That of a target's mailbox.
    Target(u64),
    /// That of a test.
    Test(u64),
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub whose: Whose,
    pub begun: Moment,
    pub timed_out: bool,
}

/// All targets, in the order of the settings. Changed by the notifier, but for its inbox.
#[derive(Debug, Default)]
pub struct NotificationBook {
    pub(super) targets: Vec<Target>,
    pub(super) running: HashMap<u32, Running>,
    /// Filled by the event log, emptied by the notifier: what is on its way must not die with an actor's mailbox.
    inbox: VecDeque<Arc<Recorded>>,
    last_number: u64,
    last_serial: u32,
}

impl NotificationBook {
    /// Whether anybody is to be told of anything.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Takes in what somebody is to be told of. `true`: the notifier has to be woken.
    pub(crate) fn put(&mut self, recorded: Arc<Recorded>) -> bool {
        self.inbox.push_back(recorded);
        self.inbox.len() == 1
    }

    pub(super) fn take(&mut self) -> Option<Arc<Recorded>> {
        self.inbox.pop_front()
    }

    /// Whether anybody is to be told of this.
    pub(crate) fn wants(&self, event: &Event, directory: &Directory) -> bool {
        self.targets.iter().any(|target| target.wants(event, directory))
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.targets.iter().all(|target| target.mailbox.is_empty())
    }

    /// Who is to be told of this.
    pub(super) fn listeners(&self, event: &Event, directory: &Directory) -> Vec<u64> {
        let wanting = self.targets.iter().filter(|target| target.wants(event, directory));
        wanting.map(|target| target.number).collect()
    }

    pub(super) fn target(&mut self, number: u64) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.number == number)
    }

    /// A number for a target or a test.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A number for a command.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.last_serial = self.last_serial.wrapping_add(1);
        self.last_serial
    }

    /// The first moment at which something is to be done.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.targets.iter().filter_map(|target| target.mailbox.next_deadline()).min()
    }
}
