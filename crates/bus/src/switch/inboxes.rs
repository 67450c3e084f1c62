//! Who owns which inbox: the first to subscribe to `_INBOX.<token>`, for as long as it is connected.

use hashbrown::HashMap;

use super::ConnectionId;

/// Inboxes of one connection. Stock clients make one or two, or one per request.
const PER_CONNECTION: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Inboxes {
    owners: HashMap<Box<[u8]>, ConnectionId>,
    tokens: HashMap<ConnectionId, Vec<Box<[u8]>>>,
}

impl Inboxes {
    /// Makes an inbox somebody's, if it is nobody's. Whether it is its now.
    pub fn claim(&mut self, token: &[u8], id: ConnectionId) -> bool {
        if let Some(owner) = self.owners.get(token) {
            return *owner == id;
        }
        let tokens = self.tokens.entry(id).or_default();
        if tokens.len() >= PER_CONNECTION {
            // Old style: a new inbox per request. The oldest is long answered; whoever still wants it asks again.
            let oldest = tokens.remove(0);
            self.owners.remove(&oldest);
        }
        tokens.push(token.into());
        self.owners.insert(token.into(), id);
        true
    }

    /// Who owns an inbox.
    pub fn owner(&self, token: &[u8]) -> Option<ConnectionId> {
        self.owners.get(token).copied()
    }

    /// A connection has gone, and with it its inboxes.
    pub fn release(&mut self, id: ConnectionId) {
        for token in self.tokens.remove(&id).unwrap_or_default() {
            self.owners.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_subscribe_owns_an_inbox_until_it_goes() {
        let (a, b) = (ConnectionId { slot: 0, generation: 1 }, ConnectionId { slot: 1, generation: 2 });
        let mut inboxes = Inboxes::default();
        assert!(inboxes.claim(b"x", a));
        assert!(inboxes.claim(b"x", a));
        assert!(!inboxes.claim(b"x", b));
        assert_eq!(inboxes.owner(b"x"), Some(a));
        inboxes.release(a);
        assert_eq!(inboxes.owner(b"x"), None);
        assert!(inboxes.claim(b"x", b));
    }
}
