//! Why a command was not sent, and what a server does not like.

use std::fmt;

/// Why a command was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A message can't have this subject.
    #[error("`{subject}` is no subject: it is words with dots between them, without spaces and wildcards")]
    Subject {
        /// What was given.
        subject: String,
    },
    /// This can't be subscribed to.
    #[error(
        "`{pattern}` is no pattern: it is words with dots between them, where * stands for a word and > for the rest"
    )]
    Pattern {
        /// What was given.
        pattern: String,
    },
    /// A queue group can't have this name.
    #[error("`{queue}` is no name of a queue group: it has no spaces and is not empty")]
    Queue {
        /// What was given.
        queue: String,
    },
    /// The server would close the connection.
    #[error("a message of {size} bytes, its headers included, is over the bus's limit of {limit}")]
    TooLarge {
        /// Headers and payload, in bytes.
        size: usize,
        /// What the server takes, in bytes.
        limit: usize,
    },
    /// The server does not know headers.
    #[error("the bus does not understand headers")]
    NoHeaders,
}

/// What a server said with `-ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRefusal {
    text: String,
}

/// What kind of refusal it is, as far as one can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The credentials are wrong, missing, or not valid any more. The connection ends.
    Credentials,
    /// This subject is not for this client. The connection goes on.
    Permission,
    /// The client does not read as fast as it is written to. The connection ends.
    SlowConsumer,
    /// Anything else.
    Other,
}

impl ServerRefusal {
    pub(super) fn new(text: &[u8]) -> Self {
        Self { text: String::from_utf8_lossy(text).into_owned() }
    }

    /// The text without quotes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its kind, by nats-server's wording. Case does not count, as servers differ in it.
    pub fn kind(&self) -> RefusalKind {
        let text = self.text.to_ascii_lowercase();
        let begins = |words: &str| text.starts_with(words);
        if begins("permissions violation") {
            RefusalKind::Permission
        } else if begins("slow consumer") {
            RefusalKind::SlowConsumer
        } else if ["authorization ", "authentication ", "user authentication ", "account authentication "]
            .iter()
            .any(|words| begins(words))
        {
            RefusalKind::Credentials
        } else {
            RefusalKind::Other
        }
    }
}

impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
