//! The bytes of a connection: what comes is framed before the parser gets it, what goes is watched.
//!
//! Invariant: after the first byte that is refused nothing more is read. The parser finds the end of the connection
//! there, answers what was asked before, and closes; then the client is told why.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::http::StatusCode;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::connection::Connection;
use super::framing::{Framing, HEAD_LIMIT, MOST_HEADERS, Place, Refusal};
use crate::problem::Problem;

/// What a client may ask ahead of its answers, beside the request that is being answered; more stays with the system.
const AHEAD: usize = 32 * 1024;
/// The send buffer of a stream; the system doubles it for its own books (socket(7)).
const STREAM_BUFFER: usize = 64 * 1024;
/// What is read and thrown away of a client that is told to go, so that it gets to read why.
const DRAINED: usize = 256 * 1024;

/// A connection as the system gives it.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Bounds what the system keeps for a client that does not read.
    fn bound_send_buffer(&self, bytes: usize);
}

impl Transport for TcpStream {
    fn bound_send_buffer(&self, bytes: usize) {
        // With the system's own bound it works as well.
        let _ = set_socket_send_buffer_size(self, bytes);
    }
}

impl Transport for UnixStream {
    fn bound_send_buffer(&self, bytes: usize) {
        let _ = set_socket_send_buffer_size(self, bytes);
    }
}

impl<T: Transport> Transport for TlsStream<T> {
    fn bound_send_buffer(&self, bytes: usize) {
        self.get_ref().0.bound_send_buffer(bytes);
    }
}

/// See the module.
pub(crate) struct Wire<Io> {
    io: Io,
    connection: Rc<Connection>,
    framing: Framing,
    /// Bytes of requests that have to wait.
    ahead: usize,
    /// What is left to say at the end; `None`: the end has not come.
    goodbye: Option<Vec<u8>>,
    /// The refusal was of a body: its request is answered by its handler.
    in_body: bool,
}

impl<Io> Wire<Io> {
    pub fn new(io: Io, connection: Rc<Connection>) -> Self {
        Self { io, connection, framing: Framing::new(), ahead: 0, goodbye: None, in_body: false }
    }

    /// Whose bytes these are.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }
}

impl<Io: Transport> AsyncRead for Wire<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.connection.refusal().is_some() {
            this.in_body |= this.framing.place() == Place::Body;
            return Poll::Ready(Ok(()));
        }
        let waits = this.connection.is_answering() && this.framing.place() != Place::Body;
        if waits && this.ahead >= AHEAD {
            // Who is answered reads on: the end of an answer polls the whole connection.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if Pin::new(&mut this.io).poll_read(cx, buf)?.is_pending() {
            this.connection.waits(cx.waker());
            return Poll::Pending;
        }
        let came = buf.filled().len() - before;
        if came == 0 {
            return Poll::Ready(Ok(()));
        }
        this.ahead = if waits { this.ahead + came } else { 0 };
        let place = this.framing.place();
        if let Err(refused) = this.framing.take(&buf.filled()[before..]) {
            this.in_body = this.framing.place() == Place::Body;
            this.connection.refuse(refused.refusal);
            buf.set_filled(before + refused.whole);
        } else if place != this.framing.place() || place != Place::Between {
            this.connection.is_at(this.framing.place());
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: Transport> AsyncWrite for Wire<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.connection.begins_to_stream() {
            this.io.bound_send_buffer(STREAM_BUFFER);
        }
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        match &written {
            Poll::Ready(Ok(_)) => this.connection.sent_some(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => this.connection.sent(false),
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.connection.sent(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let refusal = this.connection.refusal().filter(|_| !this.in_body);
        let goodbye = this.goodbye.get_or_insert_with(|| refusal.map(answer).unwrap_or_default());
        while !goodbye.is_empty() {
            let written = ready!(Pin::new(&mut this.io).poll_write(cx, goodbye))?;
            if written == 0 {
                break;
            }
            goodbye.drain(..written);
        }
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if this.connection.refusal().is_some() {
            drain(&mut this.io, cx);
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// With unread bytes the system would take back what was just said (a reset instead of an end).
fn drain(io: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) {
    let (mut space, mut drained) = ([0; 8_192], 0);
    while drained < DRAINED {
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut *io).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => drained += buf.filled().len(),
            _ => return,
        }
    }
}

/// A whole answer: the connection ends with it.
pub(crate) fn answer(refusal: Refusal) -> Vec<u8> {
    let (status, detail) = match refusal {
        Refusal::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("the request's head has more than {HEAD_LIMIT} bytes, or more than {MOST_HEADERS} headers"),
        ),
        Refusal::Malformed(what) => (StatusCode::BAD_REQUEST, format!("the request is refused: {what}")),
        Refusal::Slow => (StatusCode::REQUEST_TIMEOUT, "the request did not come in time".to_owned()),
        Refusal::NotTls => (StatusCode::BAD_REQUEST, "TLS is spoken here: ask with https://".to_owned()),
    };
    let body = serde_json::to_string(&Problem::new(status, detail)).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    );
    (head + &body).into_bytes()
}
