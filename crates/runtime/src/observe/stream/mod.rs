//! The stream of facts for those who look on live: many listeners, each with a filter and a short queue of its own.
//!
//! ```text
//!  EventLog ──record──▶ EventBook (the last 1,000, shared)
//!      └──────────────▶ Hub ──try_send──▶ queue of 256 ──▶ Subscription, on the listener's thread
//! ```
//!
//! Invariant: the event log waits for nobody and writes no text: a fact is shared, and its text is made once, by the first
//! listener that wants it, on the listener's thread. A listener gets each fact that fits once and in order, or is told
//! that there is a gap.

mod fact;
mod hub;
mod subscription;

pub use fact::Fact;
pub use hub::{Hub, StreamFigures};
pub use subscription::{Item, Subscription};
pub use werkpilot_store::reader::EventFilter;
