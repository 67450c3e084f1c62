//! The conformance script of a bare socket: which bytes come back for which bytes.

mod lines;
mod moments;
mod socket;

use crate::stage::Stage;

pub use moments::{silence, slow_consumer};
pub use socket::Socket;

/// All of it.
pub fn play(stage: &mut Stage) {
    moments::introduction(stage);
    lines::play(stage);
    moments::in_single_bytes(stage);
    moments::between_two(stage);
    moments::authentication_takes_too_long(stage);
    moments::lame_duck(stage);
}
