//! Who is at the other end of a connection, and what it may do.
//!
//! A bus of a fleet knows its agents: each may listen to what is its own and to what is free, nobody may speak for the
//! system, and replies go where they were asked for. A bus alone has no such rules.

use std::sync::Arc;

use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentName;

use crate::subject;

/// Whether a pattern matches some event of the system.
pub(super) fn hears_events(pattern: &[u8]) -> bool {
    let first = subject::tokens(pattern).next().unwrap_or_default();
    is_wildcard(first) || is_event(first)
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody on a bus without rules.
    Anyone,
    /// A person with the operator's credentials: sees everything but other people's replies.
    Operator,
    /// The orchestrator itself.
    System,
    /// A program or an actor of this agent.
    Agent(AgentName),
}

impl Who {
    /// The agent, if it is one.
    pub fn agent(&self) -> Option<&AgentName> {
        match self {
            Self::Agent(name) => Some(name),
            _ => None,
        }
    }

    /// How it is named in `Werkpilot-From`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Anyone => "anyone",
            Self::Operator => "operator",
            Self::System => "werkpilot",
            Self::Agent(name) => name.as_str(),
        }
    }
}

/// What kind of subject a message goes to, on the bus of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic<'a> {
    /// `rpc.<agent>` and below: a request to the agent of this name.
    Request(&'a [u8]),
    /// `_R_.<key>`: a reply to a request that went through the pending table.
    Reply(&'a [u8]),
    /// `_INBOX.<token>` and below: a reply that goes straight to who made the inbox.
    Inbox(&'a [u8]),
    /// `$SRV.…`: micro-services; with a name if it is for one service only.
    Service(Option<&'a [u8]>),
    /// What only the system says.
    System,
    /// The agents' own business.
    Free,
}

/// The first token of replies through the pending table.
pub const REPLY: &[u8] = b"_R_";

/// First tokens of the system's events, from the events themselves.
fn is_event(first: &[u8]) -> bool {
    Event::FAMILIES.iter().any(|family| family.as_bytes() == first)
}

/// Sorts a subject or a pattern by its first tokens.
pub fn topic(subject: &[u8]) -> Topic<'_> {
    let mut tokens = subject::tokens(subject);
    let first = tokens.next().unwrap_or_default();
    match first {
        b"rpc" => tokens.next().map_or(Topic::Free, Topic::Request),
        b"_INBOX" => Topic::Inbox(tokens.next().unwrap_or_default()),
        REPLY => Topic::Reply(tokens.next().unwrap_or_default()),
        b"$SRV" => Topic::Service(tokens.nth(1)),
        b"$SYS" => Topic::System,
        first if is_event(first) => Topic::System,
        _ => Topic::Free,
    }
}

fn is_wildcard(token: &[u8]) -> bool {
    matches!(token, b"*" | b">")
}

/// Whether somebody may subscribe to a pattern. Whose inbox it is, is another question. Patterns with wildcards are
/// allowed where they may match what is one's own: what is not, is filtered at delivery.
pub fn may_subscribe(who: &Who, pattern: &[u8]) -> bool {
    let Who::Agent(name) = who else { return true };
    let own = |token: &[u8]| token == name.as_str().as_bytes() || is_wildcard(token);
    match topic(pattern) {
        Topic::Request(agent) => own(agent),
        Topic::Service(service) => service.is_none_or(own),
        Topic::Reply(_) => false,
        Topic::System => !pattern.starts_with(b"$SYS"),
        Topic::Inbox(_) | Topic::Free => true,
    }
}

/// Whether a message of this subject may be delivered to somebody whose pattern matches. Requests, replies and inboxes
/// have ways of their own.
pub fn may_receive(who: &Who, topic: Topic<'_>) -> bool {
    match (who, topic) {
        (Who::Agent(name), Topic::Service(Some(service))) => service == name.as_str().as_bytes(),
        _ => true,
    }
}

/// Whether somebody may speak on this subject.
pub fn may_publish(who: &Who, topic: Topic<'_>) -> bool {
    match who {
        Who::Agent(_) | Who::Operator => topic != Topic::System,
        Who::System | Who::Anyone => true,
    }
}

/// Whether somebody may ask others to answer on this subject: not where it could not speak itself, since who answers may be
/// the system; and not as if it were the answer to a request of somebody else.
pub fn may_ask_for_reply(who: &Who, topic: Topic<'_>) -> bool {
    matches!(who, Who::System) || (may_publish(who, topic) && !matches!(topic, Topic::Reply(_)))
}

/// Somebody, by the credentials it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub who: Who,
    /// Different for each process of an agent: what was asked of one instance is answered by that one.
    pub credential: u64,
}

impl Identity {
    const ANYONE: Self = Self { who: Who::Anyone, credential: 0 };
}

/// Knows who has which credentials. Answers `None` to wrong ones.
pub trait Authenticator {
    /// Who has this user name and password.
    fn identify(&self, user: &str, password: &str) -> Option<Identity>;
}

/// Who may connect.
#[derive(Clone)]
pub enum Access {
    /// Everybody, without rules.
    Open,
    /// Who has this user name and password; without rules.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// Who has this token; without rules.
    Token(String),
    /// The agents of a fleet, by its rules.
    Fleet(Arc<dyn Authenticator + Send + Sync>),
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::Fleet(_) => "Fleet",
        })
    }
}

impl Access {
    /// Whether credentials are asked for.
    pub fn asks(&self) -> bool {
        !matches!(self, Self::Open)
    }

    /// Whether the rules of a fleet apply.
    pub fn is_fleet(&self) -> bool {
        matches!(self, Self::Fleet(_))
    }

    /// Who it is that connects so; `None` if the credentials are wrong or missing.
    pub fn identify(&self, user: Option<&str>, password: Option<&str>, token: Option<&str>) -> Option<Identity> {
        match self {
            Self::Open => Some(Identity::ANYONE),
            Self::Password { user: wanted, password: secret } => {
                let both = same(user?, wanted) & same(password?, secret);
                both.then_some(Identity::ANYONE)
            }
            Self::Token(secret) => same(token?, secret).then_some(Identity::ANYONE),
            Self::Fleet(book) => book.identify(user?, password?),
        }
    }
}

/// Compares secrets in a time that does not tell where they differ.
pub fn same(given: &str, secret: &str) -> bool {
    use subtle::ConstantTimeEq;
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> Who {
        Who::Agent(AgentName::new(name).unwrap())
    }

    #[test]
    fn an_agent_listens_to_its_own_and_to_what_is_free() {
        let sales = agent("sales");
        for pattern in [
            "rpc.sales",
            "rpc.sales.>",
            "rpc.*",
            ">",
            "*.sales",
            "orders.new",
            "_INBOX.abc.*",
            "$SRV.PING",
            "$SRV.PING.sales",
            "$SRV.INFO.sales.x1",
            "$SRV.>",
            "agent.started",
            "execution.>",
        ] {
            assert!(may_subscribe(&sales, pattern.as_bytes()), "{pattern}");
        }
        for pattern in ["rpc.db", "rpc.db.>", "$SRV.PING.db", "$SRV.STATS.db.x1", "_R_.1", "_R_.>", "$SYS.>"] {
            assert!(!may_subscribe(&sales, pattern.as_bytes()), "{pattern}");
        }
    }

    #[test]
    fn only_the_system_speaks_for_the_system() {
        for subject in ["agent.started", "execution.failed", "dlq.added", "boot.completed", "$SYS.ACCOUNT"] {
            assert!(!may_publish(&agent("sales"), topic(subject.as_bytes())), "{subject}");
            assert!(!may_publish(&Who::Operator, topic(subject.as_bytes())), "{subject}");
            assert!(may_publish(&Who::System, topic(subject.as_bytes())), "{subject}");
        }
        for subject in ["orders.new", "agents.x", "rpc.db", "$SRV.PING"] {
            assert!(may_publish(&agent("sales"), topic(subject.as_bytes())), "{subject}");
        }
    }

    #[test]
    fn a_ping_for_one_service_reaches_only_that_agent() {
        assert!(may_receive(&agent("sales"), topic(b"$SRV.PING")));
        assert!(may_receive(&agent("sales"), topic(b"$SRV.PING.sales")));
        assert!(!may_receive(&agent("sales"), topic(b"$SRV.PING.db")));
    }

    #[test]
    fn wrong_and_missing_credentials_are_nobody() {
        let access = Access::Password { user: "u".to_owned(), password: "p".to_owned() };
        assert_eq!(access.identify(Some("u"), Some("p"), None), Some(Identity::ANYONE));
        assert_eq!(access.identify(Some("u"), Some("x"), None), None);
        assert_eq!(access.identify(None, None, Some("p")), None);
        assert_eq!(Access::Token("t".to_owned()).identify(None, None, Some("t")), Some(Identity::ANYONE));
        assert_eq!(Access::Open.identify(None, None, None), Some(Identity::ANYONE));
    }
}
