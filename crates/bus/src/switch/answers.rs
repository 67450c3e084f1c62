//! Answers to requests: from the one who was asked, to the one who asked, once.

use std::time::Duration;

use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Clocks;

use super::delivery::STAMPED;
use super::requests::{Fact, Pending, reply_key};
use super::{ConnectionId, Switch};
use crate::cache::{FlightId, Scope};
use crate::protocol::{Publish, headers};

const CACHE_TTL: &str = "Werkpilot-Cache-Ttl";
const CACHE_SCOPE: &str = "Werkpilot-Cache-Scope";
/// The micro-services' headers for an error (ADR-32).
const ERROR: &str = "Nats-Service-Error";
const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// An answer is not kept for longer.
const MAX_TTL: Duration = Duration::from_hours(24);

/// Somebody who waits for an answer that is on its way to another.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub requester: ConnectionId,
    pub reply: Box<[u8]>,
    /// The headers of its own request.
    pub headers: Box<[u8]>,
}

impl Switch {
    pub(super) fn answer(&mut self, id: ConnectionId, publish: &Publish<'_>, token: &[u8], now: Clocks) -> bool {
        let Some(key) = reply_key(token) else { return self.deny_publish(id, publish.subject) };
        let Some(pending) = self.pending.get_mut(key) else {
            self.stats.late_replies += 1;
            return true;
        };
        let credential = self.connections[id.slot as usize].credential;
        let same_process = credential != 0 && pending.credential == credential;
        if pending.responder != id && !same_process {
            let asked = pending.agent.clone();
            self.stats.rejected_replies += 1;
            let who = self.connections[id.slot as usize].who.clone();
            self.facts.push(Fact::ForeignReply { who, asked });
            return self.deny_publish(id, publish.subject);
        }
        let Some(pending) = self.pending.cancel(key) else { return true };
        let latency = now.steady.since(pending.asked_at);
        self.facts.push(Fact::Answered { agent: pending.agent.clone(), latency });
        self.stats.answers += 1;
        if let Some(code) = headers::get(publish.headers, ERROR_CODE) {
            let text = headers::get(publish.headers, ERROR).unwrap_or_default();
            self.log.failed(&pending.agent, code.parse().unwrap_or(500), text, now.wall);
        }
        let stamped = self.stamp(id, publish.headers, STAMPED, &[]);
        if !self.deliver_own(pending.requester, Some(id), &pending.reply, &stamped, publish.payload) {
            self.stats.late_replies += 1;
        }
        self.keep(id, &pending, publish, &stamped, now);
        self.stamped = stamped;
        true
    }

    /// Remembers an answer whose sender allows it, and gives it to all who wait for the same.
    fn keep(&mut self, from: ConnectionId, pending: &Pending, publish: &Publish<'_>, stamped: &[u8], now: Clocks) {
        let ttl = headers::get(publish.headers, CACHE_TTL).and_then(ttl).filter(|ttl| !ttl.is_zero());
        let ttl = ttl.filter(|_| headers::get(publish.headers, ERROR_CODE).is_none());
        if ttl.is_none() && pending.flight.is_none() {
            return;
        }
        let scope = match headers::get(publish.headers, CACHE_SCOPE) {
            Some(scope) if scope.trim().eq_ignore_ascii_case("all") => Scope::All,
            _ => Scope::Requester,
        };
        let ttl = ttl.map(|ttl| ttl.min(MAX_TTL));
        let (flight, subject) = (pending.flight, &pending.subject);
        let landed = self.cache.answered(flight, subject, ttl, scope, stamped, publish.payload, now.steady);
        for waiter in landed.share {
            self.deliver_own(waiter.requester, Some(from), &waiter.reply, stamped, publish.payload);
        }
        for Waiter { requester, reply, headers } in landed.again {
            let (reply, payload) = (Some(reply.as_ref()), landed.request.as_ref());
            let again = Publish { subject, reply, headers: &headers, payload };
            self.ask_alone(requester, &again, now);
        }
    }

    /// Tells a requester what went wrong, as micro-services do, and remembers it.
    pub(super) fn fail_request(
        &mut self,
        agent: &AgentName,
        to: ConnectionId,
        reply: &[u8],
        code: u16,
        text: &str,
        now: Clocks,
    ) {
        self.log.failed(agent, code, text, now.wall);
        let block = headers::Headers::new().with(ERROR, text).with(ERROR_CODE, &code.to_string()).block();
        self.deliver_own(to, None, reply, &block, &[]);
    }

    /// The flight that others waited for has failed: they get the same error.
    pub(super) fn let_waiters_go(
        &mut self,
        agent: &AgentName,
        flight: Option<FlightId>,
        code: u16,
        text: &str,
        now: Clocks,
    ) {
        let Some(flight) = flight else { return };
        for waiter in self.cache.failed(flight) {
            self.fail_request(agent, waiter.requester, &waiter.reply, code, text, now);
        }
    }
}

/// `30s`, `500ms`, or seconds.
fn ttl(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3_600)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_has_a_unit_or_is_in_seconds() {
        assert_eq!(ttl("30s"), Some(Duration::from_secs(30)));
        assert_eq!(ttl(" 250ms "), Some(Duration::from_millis(250)));
        assert_eq!(ttl("5"), Some(Duration::from_secs(5)));
        assert_eq!(ttl("2m"), Some(Duration::from_mins(2)));
        for bad in ["", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(ttl(bad), None, "{bad}");
        }
    }
}
