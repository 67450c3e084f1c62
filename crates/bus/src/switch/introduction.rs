//! CONNECT: who somebody is, and what it wishes.

use werkpilot_core::time::Moment;

use super::connection::{About, Stage, Wishes};
use super::identity::{Access, Identity, Who};
use super::{CloseReason, ConnectionId, Switch};
use crate::protocol::Connect;

/// The line that the bus adds to what somebody sends; empty on a bus that does not know who is who.
pub(super) fn stamp(access: &Access, who: &Who) -> Box<[u8]> {
    if access.is_fleet() { format!("Werkpilot-From: {}\r\n", who.as_str()).into_bytes().into() } else { Box::default() }
}

impl Switch {
    pub(super) fn introduce(&mut self, id: ConnectionId, json: &[u8], now: Moment) {
        let Ok(connect) = serde_json::from_slice::<Connect>(json) else {
            return self.refuse(id.slot, "Parser Error", CloseReason::Protocol);
        };
        let (user, password) = (connect.user.as_deref(), connect.password.as_deref());
        let Some(Identity { who, credential }) = self.access.identify(user, password, connect.auth_token.as_deref())
        else {
            return self.refuse(id.slot, "Authorization Violation", CloseReason::Authorization);
        };
        let stamp = stamp(&self.access, &who);
        let Some(connection) = self.get_mut(id) else { return };
        connection.wishes = Wishes {
            verbose: connect.verbose,
            pedantic: connect.pedantic,
            echo: connect.echo,
            headers: connect.headers,
            no_responders: connect.no_responders && connect.headers,
        };
        if connect.no_responders && !connect.headers {
            return self.refuse(id.slot, "no responders requires headers support", CloseReason::Protocol);
        }
        connection.stage = Stage::Open;
        connection.who = who;
        connection.credential = credential;
        connection.stamp = stamp;
        connection.user = connect.user.map(String::into_boxed_str);
        connection.about = Some(Box::new(About {
            name: connect.name.unwrap_or_default(),
            lang: connect.lang,
            version: connect.version,
        }));
        self.arm_ping(id, now);
        self.acknowledge(id.slot);
    }
}
