//! One connection from outside: reads, and sees to it that its end is told.
//!
//! Invariant: its connection in the switch lives exactly as long as this actor.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::fut::ActorFuture;
use actix::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use werkpilot_bus::switch::ConnectionId;

use super::board::Board;

/// Bytes that are taken in one turn: some hundred small messages, so that nobody else waits long for a sender that
/// never stops.
const TURN: usize = 16 * 1_024;
/// The same for a sender of large messages.
const LONG_TURN: usize = 128 * 1_024;
/// Messages are large if a full turn has fewer than so many.
const FEW: usize = 32;
/// How long a sender pauses whose receivers are behind. nats-server stalls for 2 to 10 ms.
const PAUSE: Duration = Duration::from_millis(2);
/// A connection that is to be closed has this time to take what is left for it.
const LINGER: Duration = Duration::from_secs(1);

/// Until its turn comes again: the others', and what the sockets of the others have; or those that are behind.
type Pause = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// What is read goes here first, for all connections of the arbiter: an idle one holds no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; LONG_TURN]);
}

/// What became of the bytes for this connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Undelivered {
    /// The socket takes no more for the moment.
    Blocked,
    /// The connection is over.
    Ended,
}

/// The actor of one connection.
pub struct Session {
    board: Rc<Board>,
    id: ConnectionId,
    read: OwnedReadHalf,
    /// The beginning of a frame that has not come whole yet; shorter than `wanted`.
    rest: Vec<u8>,
    /// So many bytes make the next call worthwhile.
    wanted: usize,
    /// Bytes of the next turn.
    turn: usize,
    /// What it waits for before it reads on.
    pause: Option<Pause>,
}

impl Session {
    /// A session for a connection that the switch knows.
    pub fn new(board: Rc<Board>, id: ConnectionId, read: OwnedReadHalf) -> Self {
        Self { board, id, read, rest: Vec::new(), wanted: 1, turn: TURN, pause: None }
    }

    /// Reads once. `Ready` with how many bytes came; 0 is the end.
    fn poll_read(&mut self, task: &mut TaskContext<'_>) -> Poll<io::Result<usize>> {
        if self.wanted > LONG_TURN {
            return self.poll_read_large(task);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let have = self.rest.len();
            scratch[..have].copy_from_slice(&self.rest);
            let mut buffer = ReadBuf::new(&mut scratch[..self.turn.max(self.wanted)]);
            buffer.set_filled(have);
            std::task::ready!(Pin::new(&mut self.read).poll_read(task, &mut buffer))?;
            let filled = buffer.filled();
            self.rest.clear();
            let is_full = filled.len() >= self.turn;
            if is_full {
                self.pause = Some(Box::pin(tokio::task::yield_now()));
            }
            let frames = self.feed(filled);
            self.turn = if is_full && frames < FEW { LONG_TURN } else { TURN };
            Poll::Ready(Ok(filled.len() - have))
        })
    }

    /// The same for a frame that does not fit into the scratch buffer.
    fn poll_read_large(&mut self, task: &mut TaskContext<'_>) -> Poll<io::Result<usize>> {
        self.rest.reserve(self.wanted - self.rest.len());
        let stream: &TcpStream = self.read.as_ref();
        loop {
            std::task::ready!(stream.poll_read_ready(task))?;
            match stream.try_read_buf(&mut self.rest) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    if self.rest.len() >= self.wanted {
                        let bytes = std::mem::take(&mut self.rest);
                        self.pause = Some(Box::pin(tokio::task::yield_now()));
                        self.feed(&bytes);
                    }
                    return Poll::Ready(read);
                }
            }
        }
    }

    /// Hands bytes to the switch. How many frames they were.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        let received = self.board.receive(self.id, bytes);
        self.wanted = received.wanted;
        let rest = &bytes[received.consumed..];
        if rest.is_empty() {
            // An idle connection holds no buffer.
            self.rest = Vec::new();
        } else {
            self.rest.extend_from_slice(rest);
        }
        if received.congested {
            self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
        }
        received.frames
    }
}

/// Reads for as long as the other end speaks, one turn at a time.
struct ReadLoop;

impl ActorFuture<Session> for ReadLoop {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut Session,
        ctx: &mut Context<Session>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        loop {
            if let Some(pause) = &mut session.pause {
                std::task::ready!(pause.as_mut().poll(task));
                session.pause = None;
            }
            if let Ok(0) | Err(_) = std::task::ready!(session.poll_read(task)) {
                ctx.stop();
                return Poll::Ready(());
            }
        }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(ReadLoop);
    }
}

impl Drop for Session {
    /// Also when a panic unwinds.
    fn drop(&mut self) {
        self.board.close(self.id);
    }
}

impl Handler<Undelivered> for Session {
    type Result = ();
    fn handle(&mut self, what: Undelivered, ctx: &mut Self::Context) {
        match what {
            Undelivered::Ended => ctx.stop(),
            Undelivered::Blocked => {
                if self.board.switch.borrow().closing(self.id).is_some() {
                    ctx.run_later(LINGER, |_, ctx| ctx.stop());
                }
                let Some(socket) = self.board.socket(self.id) else { return };
                let writable = async move {
                    // An error shows at the next write.
                    let _ = socket.half.writable().await;
                    socket.blocked.set(false);
                };
                ctx.spawn(writable.into_actor(self).map(|(), this, _| this.board.write_out(this.id)));
            }
        }
    }
}
