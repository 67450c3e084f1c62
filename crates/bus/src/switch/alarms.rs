//! What happens to a connection when nothing happens: it has to introduce itself in time, and to answer pings.

use werkpilot_core::time::{Clocks, Moment};

use super::circles::Edge;
use super::connection::Stage;
use super::{CloseReason, ConnectionId, Switch};
use crate::protocol::encode;

/// Why a connection is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    Introduction(ConnectionId),
    Ping(ConnectionId),
}

impl Switch {
    /// When [`Self::on_deadline`] wants to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        [self.alarms.next_deadline(), self.pending.next_deadline()].into_iter().flatten().min()
    }

    /// Carries out what is due.
    pub fn on_deadline(&mut self, now: Clocks) {
        self.on_deadline_among(now, Vec::new(), Vec::new);
    }

    /// Carries out what is due, where agents inside the process ask each other without the switch: `late` are those of
    /// them that gave up just now, `waiting` those that wait on. Circles may lead through both kinds.
    pub fn on_deadline_among(&mut self, now: Clocks, mut late: Vec<Edge>, waiting: impl FnOnce() -> Vec<Edge>) {
        let mut due = Vec::new();
        self.alarms.expired(now.steady, &mut due);
        for (_, alarm) in due {
            match alarm {
                Alarm::Introduction(id) => self.introduction_is_late(id),
                Alarm::Ping(id) => self.ping(id, now.steady),
            }
        }
        late.extend(self.expire_requests(now));
        if !late.is_empty() {
            self.tell_circles(&late, waiting());
        }
    }

    pub(super) fn arm_introduction(&mut self, id: ConnectionId, now: Moment) {
        if self.access.asks() {
            self.arm(id, now + self.settings.authentication_timeout, Alarm::Introduction(id));
        } else {
            self.arm_ping(id, now);
        }
    }

    /// To be pinged, if nothing more is heard of it than was at this moment.
    pub(super) fn arm_ping(&mut self, id: ConnectionId, heard: Moment) {
        self.arm(id, heard + self.settings.ping_interval, Alarm::Ping(id));
    }

    fn arm(&mut self, id: ConnectionId, at: Moment, alarm: Alarm) {
        let key = self.alarms.insert(at, alarm);
        if let Some(connection) = self.get_mut(id)
            && let Some(old) = connection.alarm.replace(key)
        {
            self.alarms.cancel(old);
        }
    }

    fn introduction_is_late(&mut self, id: ConnectionId) {
        if self.get(id).is_some_and(|connection| connection.stage == Stage::Introducing) {
            self.refuse(id.slot, "Authentication Timeout", CloseReason::AuthenticationTimeout);
        }
    }

    fn ping(&mut self, id: ConnectionId, now: Moment) {
        let (interval, most) = (self.settings.ping_interval, self.settings.max_pings_out);
        self.spare.clear_if_quiet(self.stats.traffic.in_msgs);
        let Some(connection) = self.get_mut(id) else { return };
        if matches!(connection.stage, Stage::Closing(_)) {
            return;
        }
        let heard = connection.last_heard;
        if now.since(heard) < interval {
            return self.arm_ping(id, heard);
        }
        if connection.pings_unanswered >= most {
            return self.refuse(id.slot, "Stale Connection", CloseReason::Stale);
        }
        connection.pings_unanswered += 1;
        self.write(id.slot, encode::ping);
        self.arm_ping(id, now);
    }
}
