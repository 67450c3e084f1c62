//! The bus actor: owns the switchboard, takes in connections, and does what others ask of the bus.
//!
//! Invariant: the board outlives this actor, so that a panic here costs no connection.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tokio::net::{TcpListener, TcpStream};
use werkpilot_bus::protocol::Info;
use werkpilot_bus::switch::{ConnectionView, Stats};
use werkpilot_core::ids::AgentName;
use werkpilot_core::requests::{Counts, Failure};

use super::board::Board;
use super::desk::Desk;
use super::session::Session;
use super::tray::Tray;
use crate::supervision::ExitNotice;

/// Without a free file descriptor, accepting is tried again after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a monitor wants to know.
#[derive(Clone, Debug)]
pub struct BusReport {
    /// Figures since the start.
    pub stats: Stats,
    /// Connections at the moment.
    pub connections: usize,
    /// Subscriptions at the moment.
    pub subscriptions: usize,
    /// Requests that wait for an answer, those to in-process agents included.
    pub pending: usize,
    /// Messages for jobs that were not taken because too many of them wait; who wanted an answer was told.
    pub triggers_dropped: u64,
    /// Connections at most.
    pub max_connections: usize,
    /// What clients are told.
    pub info: Info,
}

/// Figures of the bus.
#[derive(Debug, Message)]
#[rtype(result = "BusReport")]
pub struct GetBusReport;

/// What is remembered of requests to agents.
#[derive(Clone, Debug, Default)]
pub struct RequestFigures {
    /// Requests in each second of the last minute, the oldest first; the last one is not over yet.
    pub last_minute: Vec<u32>,
    /// Who was asked, and how often, since the start.
    pub responders: Vec<(AgentName, Counts)>,
    /// The last failures, the newest first.
    pub failures: Vec<Failure>,
}

/// What became of requests to agents.
#[derive(Debug, Message)]
#[rtype(result = "RequestFigures")]
pub struct GetRequests;

/// Who is connected.
#[derive(Debug, Message)]
#[rtype(result = "Vec<ConnectionView>")]
pub struct GetConnections;

/// Takes no new connections, tells clients to look for another server, and closes after a while.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BeginLameDuck;

/// Closes all connections once what is meant for them is written. Answers when they are closed, or at the latest after
/// a second.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CloseBus;

/// Ends the actor by a panic: a drill.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// The actor of the bus.
pub struct BusActor {
    board: Rc<Board>,
    tray: Tray,
    desk: Option<Rc<Desk>>,
    listener: Option<Rc<TcpListener>>,
    accepting: Option<SpawnHandle>,
    _notice: ExitNotice,
}

impl BusActor {
    /// An actor for the board, which listens where it is told.
    /// Without a desk it does nothing for a fleet.
    pub(super) fn new(
        board: Rc<Board>,
        tray: Tray,
        desk: Option<Rc<Desk>>,
        listener: Option<Rc<TcpListener>>,
        notice: ExitNotice,
    ) -> Self {
        Self { board, tray, desk, listener, accepting: None, _notice: notice }
    }

    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    pub(super) fn board_rc(&self) -> &Rc<Board> {
        &self.board
    }

    pub(super) fn tray(&self) -> &Tray {
        &self.tray
    }

    pub(super) fn desk(&self) -> Option<&Rc<Desk>> {
        self.desk.as_ref()
    }

    fn take_in(&self, stream: TcpStream, peer: SocketAddr) {
        // Only a socket that is gone already refuses this.
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        let id = self.board.with(|switch| switch.open(Some(peer), self.board.clock.steady()));
        let session = Session::new(self.board.clone(), id, read).start();
        self.board.attach(id, write, session);
    }

    fn accept(&mut self, ctx: &mut Context<Self>) {
        let Some(listener) = self.listener.clone() else { return };
        let accepted = async move {
            let accepted = listener.accept().await;
            if let Err(error) = &accepted {
                log::warn!(target: "werkpilot", "the bus failed to take in a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            accepted
        };
        let handle = ctx.spawn(accepted.into_actor(self).map(|accepted, this, ctx| {
            if let Ok((stream, peer)) = accepted {
                this.take_in(stream, peer);
            }
            this.accept(ctx);
        }));
        self.accepting = Some(handle);
    }
}

impl Actor for BusActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(4_096);
        ctx.spawn(self.board.clone().postman().into_actor(self));
        self.accept(ctx);
        self.empty_tray();
    }
}

impl Handler<GetBusReport> for BusActor {
    type Result = MessageResult<GetBusReport>;
    fn handle(&mut self, _: GetBusReport, _: &mut Self::Context) -> Self::Result {
        let switch = self.board.switch.borrow();
        MessageResult(BusReport {
            stats: switch.stats(),
            connections: switch.connections_len(),
            subscriptions: switch.subscriptions_len(),
            pending: switch.pending_len() + self.board.waits.borrow().len(),
            triggers_dropped: self.desk.as_ref().map_or(0, |desk| desk.triggers_dropped()),
            max_connections: switch.settings().max_connections,
            info: switch.info().clone(),
        })
    }
}

impl Handler<GetRequests> for BusActor {
    type Result = MessageResult<GetRequests>;
    fn handle(&mut self, _: GetRequests, _: &mut Self::Context) -> Self::Result {
        let switch = self.board.switch.borrow();
        let requests = switch.requests();
        MessageResult(RequestFigures {
            last_minute: requests.last_minute(self.board.clock.coarse()),
            responders: requests.responders().map(|(agent, counts)| (agent.clone(), counts)).collect(),
            failures: requests.failures().cloned().collect(),
        })
    }
}

impl Handler<GetConnections> for BusActor {
    type Result = MessageResult<GetConnections>;
    fn handle(&mut self, _: GetConnections, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.board.switch.borrow().connection_views(self.board.clock.steady()))
    }
}

impl Handler<BeginLameDuck> for BusActor {
    type Result = ();
    fn handle(&mut self, _: BeginLameDuck, ctx: &mut Self::Context) {
        self.listener = None;
        if let Some(accepting) = self.accepting.take() {
            ctx.cancel_future(accepting);
        }
        self.board.with(werkpilot_bus::switch::Switch::announce_lame_duck);
    }
}

impl Handler<CloseBus> for BusActor {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: CloseBus, _: &mut Self::Context) -> Self::Result {
        const PATIENCE: Duration = Duration::from_secs(1);
        const LOOK: Duration = Duration::from_millis(5);
        let board = self.board.clone();
        board.with(werkpilot_bus::switch::Switch::close_all);
        Box::pin(async move {
            let closed = async {
                while board.switch.borrow().connections_len() > 0 {
                    tokio::time::sleep(LOOK).await;
                }
            };
            let _ = tokio::time::timeout(PATIENCE, closed).await;
        })
    }
}

impl Handler<Crash> for BusActor {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of the bus");
    }
}
