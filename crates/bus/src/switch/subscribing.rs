//! SUB and UNSUB.

use std::rc::Rc;

use hashbrown::HashTable;

use super::identity::{self, Topic};
use super::subscriptions::SubscriptionId;
use super::{ConnectionId, Switch};
use crate::protocol::encode;
use crate::subject;

impl Switch {
    /// Subscribes; tells the client if it may not. Whether it worked.
    pub(super) fn subscribe(&mut self, id: ConnectionId, pattern: &[u8], queue: Option<&[u8]>, sid: &[u8]) -> bool {
        if !subject::is_valid_pattern(pattern) {
            self.write(id.slot, |out| encode::error(out, "Invalid Subject"));
            return false;
        }
        if !self.may_subscribe(id, pattern) {
            let (pattern, queue) = (String::from_utf8_lossy(pattern), queue.map(String::from_utf8_lossy));
            let group = queue.map(|queue| format!(" using queue \"{queue}\"")).unwrap_or_default();
            let text = format!("Permissions Violation for Subscription to \"{pattern}\"{group}");
            self.stats.violations += 1;
            self.write(id.slot, |out| encode::error(out, &text));
            return false;
        }
        let connection = &mut self.connections[id.slot as usize];
        if connection.subscriptions.len() >= self.settings.max_subscriptions {
            // It lives on with those that it has, as on nats-server.
            self.write(id.slot, |out| encode::error(out, "maximum subscriptions exceeded"));
            return false;
        }
        let pattern: Rc<[u8]> = Rc::from(pattern);
        let own = &mut connection.subscriptions;
        // A sid that is in use stays what it is, as on nats-server.
        if let Some(subscription) = self.subscriptions.insert(own, id, pattern.clone(), queue, sid) {
            self.table.insert(&pattern, queue, subscription);
            self.event_listeners += usize::from(identity::hears_events(&pattern));
        }
        true
    }

    fn may_subscribe(&mut self, id: ConnectionId, pattern: &[u8]) -> bool {
        if !self.access.is_fleet() {
            return true;
        }
        let who = &self.connections[id.slot as usize].who;
        if !identity::may_subscribe(who, pattern) {
            return false;
        }
        match identity::topic(pattern) {
            Topic::Inbox(token) if !matches!(token, b"*" | b">" | b"") => self.inboxes.claim(token, id),
            _ => true,
        }
    }

    pub(super) fn unsubscribe(&mut self, id: ConnectionId, sid: &[u8], max: Option<u64>) {
        let connection = &self.connections[id.slot as usize];
        let Some(found) = self.subscriptions.find(&connection.subscriptions, sid) else { return };
        let subscription = self.subscriptions.get_mut(found);
        match max {
            Some(max) if max > subscription.delivered => subscription.max = max,
            _ => self.end_subscription(found),
        }
    }

    /// Takes a subscription out.
    pub(super) fn end_subscription(&mut self, subscription: SubscriptionId) {
        let slot = self.subscriptions.get(subscription).connection.slot as usize;
        let mut own = std::mem::replace(&mut self.connections[slot].subscriptions, HashTable::new());
        self.forget(&mut own, subscription);
        self.connections[slot].subscriptions = own;
    }

    pub(super) fn forget(&mut self, own: &mut HashTable<u32>, subscription: SubscriptionId) {
        let (gone, queue) = self.subscriptions.remove(own, subscription);
        self.table.remove(&gone.pattern, queue.as_deref(), subscription);
        self.event_listeners -= usize::from(identity::hears_events(&gone.pattern));
    }

    /// Subscribes somebody inside the process. `number` comes back in each [`super::Delivery`].
    ///
    /// # Panics
    /// If the pattern is not valid: it is a constant of ours, or was checked before.
    pub fn subscribe_local(&mut self, id: ConnectionId, number: u32, pattern: &[u8], queue: Option<&[u8]>) {
        assert!(subject::is_valid_pattern(pattern), "a pattern for ourselves");
        self.subscribe(id, pattern, queue, number.to_string().as_bytes());
    }

    /// Ends such a subscription.
    pub fn unsubscribe_local(&mut self, id: ConnectionId, number: u32) {
        if self.get(id).is_some() {
            self.unsubscribe(id, number.to_string().as_bytes(), None);
        }
    }
}
