//! Notifications: which events go to whom, and how a delivery is tried, repeated and given up.
//!
//! A [`Mailbox`] stands before each target. Its invariants: at most `queue` messages are held, the one under way
//! included; at most one is under way; messages go in the order in which they came; and every event that was taken is
//! either delivered, still held, left out by the rate, or counted as dropped. What was left out or dropped is told with
//! the next message that goes, so that nobody has to look for it.
//!
//! ```text
//!  event ──filter──▶ rate ──▶ queue ──▶ under way ──delivered──▶ sent
//!                      │        │           │ failed: again, after a pause
//!                   left out  dropped ◀─────┴─ given up
//!                      └────────┴──▶ told with the next message, or with a summary of its own
//! ```

mod filter;
mod mailbox;
mod target;
#[cfg(test)]
mod tests;
mod url;

pub use filter::{Filter, NamePattern};
pub use mailbox::{Action, Content, Event, LeftOut, Loss, Mailbox, Outcome, Tally};
pub use target::{Channel, NotifyTarget, Rate};
pub use url::{UrlError, WebhookUrl};
