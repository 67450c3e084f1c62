//! Why bytes are not the NATS protocol, and how the other side is told.

/// Why the connection has to be closed: after any of these the place where the next frame begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The line begins with no known verb.
    #[error("the line begins with no known operation")]
    UnknownOperation,
    /// The payload is not followed by CR LF, so its size was wrong.
    #[error("the payload of {size} bytes is not followed by a line end")]
    PayloadEnd {
        /// The size that the control line stated.
        size: usize,
    },
    /// The control line states more bytes than are allowed.
    #[error("a payload of {size} bytes is over the limit of {limit}")]
    MaxPayload {
        /// The stated size of headers and payload together; the largest number where it is larger than that.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The control line is longer than is allowed, or goes on and on.
    #[error("a control line is over the limit of {limit} bytes")]
    MaxControlLine {
        /// The limit.
        limit: usize,
    },
    /// The number of arguments is wrong, or one that should be a size is none.
    #[error("wrong arguments of {verb}")]
    BadArguments {
        /// The operation.
        verb: &'static str,
    },
}

impl ProtocolError {
    /// The text of the `-ERR` line, without quotes, as nats-server words it.
    ///
    /// nats-server sends nothing for [`Self::BadArguments`] and closes; `Parser Error` is what its documentation says.
    pub fn wire(&self) -> &'static str {
        match self {
            Self::UnknownOperation | Self::PayloadEnd { .. } => "Unknown Protocol Operation",
            Self::MaxPayload { .. } => "Maximum Payload Violation",
            Self::MaxControlLine { .. } => "maximum control line exceeded",
            Self::BadArguments { .. } => "Parser Error",
        }
    }
}
