//! Starts a bus on an arbiter of its own, and keeps its actor alive there.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use werkpilot_bus::protocol::Info;
use werkpilot_bus::switch::{Access, Fact, Settings, Switch};

use super::actor::{BeginLameDuck, BusActor, CloseBus};
use super::board::Board;
use super::desk::{Desk, Triggered};
use super::messenger::Messenger;
use super::patience::Patience;
use super::resident::InProcess;
use super::tray::{EmptyTray, Note, Tray};
use crate::clock::Clock;
use crate::post::Post;
use crate::supervision::{ActorGone, ExitNotice, Intensity};

/// The version of nats-server whose behaviour is offered: clients look at it to know what they may use.
const PROTOCOL_VERSION: &str = "2.9.10";
/// Closing takes a second at most.
const CLOSING: Duration = Duration::from_secs(2);

/// What a bus is made of.
pub struct BusOptions {
    /// Where clients connect.
    pub listener: TcpListener,
    /// Who may.
    pub access: Access,
    /// Its bounds.
    pub settings: Settings,
    /// The one reader of clocks.
    pub clock: Clock,
    /// Takes what others want to know; called on the bus's arbiter.
    pub facts: Arc<dyn Fn(Vec<Fact>) + Send + Sync>,
    /// What a fleet adds; without it there are no agents on the bus.
    pub fleet: Option<FleetOptions>,
    /// Says whether somebody listens to the system's events.
    pub heard: Arc<AtomicBool>,
}

/// What a fleet adds to its bus. The functions are called on the bus's arbiter.
pub struct FleetOptions {
    /// Takes messages that trigger jobs; `false` if it can't take any more at the moment.
    pub triggers: Arc<dyn Fn(Triggered) -> bool + Send + Sync>,
    /// Takes the ends of in-process agents: the key of the start, and what the panic said, if it was one.
    pub ends: Arc<dyn Fn(u64, Option<String>) + Send + Sync>,
    /// The in-process agents that there are.
    pub residents: Vec<InProcess>,
}

/// Why a bus could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BusStartError {
    /// The listener can't be used.
    #[error("failed to listen for clients of the bus")]
    Listen(#[source] std::io::Error),
    /// The arbiter is gone.
    #[error("failed to start the thread of the bus")]
    Arbiter,
}

/// A running bus.
#[derive(Clone, Debug)]
pub struct Bus {
    post: Post<BusActor>,
    address: SocketAddr,
    tray: Tray,
    patience: Patience,
}

/// What clients are told of a server that listens there.
pub fn server_info(address: SocketAddr) -> Info {
    let id = uuid::Uuid::now_v7().simple().to_string().to_uppercase();
    Info {
        server_name: format!("werkpilot-{}", &id[24..]),
        server_id: id,
        version: PROTOCOL_VERSION.to_owned(),
        proto: 1,
        host: address.ip().to_string(),
        port: address.port(),
        headers: true,
        ..Info::default()
    }
}

impl Bus {
    /// Starts a bus on a new arbiter.
    ///
    /// # Errors
    /// [`BusStartError`].
    pub fn start(options: BusOptions) -> Result<Self, BusStartError> {
        let address = options.listener.local_addr().map_err(BusStartError::Listen)?;
        options.listener.set_nonblocking(true).map_err(BusStartError::Listen)?;
        let arbiter = Arbiter::new();
        let (sender, receiver) = mpsc::channel();
        let (post, tray, patience) = (Post::vacant(), Tray::default(), Patience::default());
        let (for_guardian, notes) = (Messenger::new(post.clone(), patience.clone()), tray.clone());
        let spawned = arbiter.spawn_fn({
            let post = post.clone();
            move || {
                // Who asked has gone if this fails; then nobody wants a bus.
                let _ = sender.send(Guardian::launch(options, post, notes, for_guardian));
            }
        });
        if !spawned {
            return Err(BusStartError::Arbiter);
        }
        receiver.recv().map_err(|_| BusStartError::Arbiter)?.map_err(BusStartError::Listen)?;
        Ok(Self { post, address, tray, patience })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells clients to look for another server, and closes: who reads on gets what is meant for it.
    pub async fn close(&self) {
        // Who does not answer any more has nothing to close.
        let _ = self.post.ask(BeginLameDuck, CLOSING).await;
        let _ = self.post.ask(CloseBus, CLOSING).await;
    }

    /// The way to the bus for programs written in Rust.
    pub fn messenger(&self) -> Messenger {
        Messenger::new(self.post.clone(), self.patience.clone())
    }

    /// How long a request waits for its answer if the asker names no time, from now on.
    pub fn set_request_timeout(&self, timeout: Duration) {
        self.patience.set(timeout);
    }

    /// Tells the bus actor something that it gets even if it is just being started again.
    pub(crate) fn leave(&self, note: Note) {
        if self.tray.put(note) {
            self.post.tell(EmptyTray);
        }
    }

    /// Where the bus actor stands.
    pub fn post(&self) -> &Post<BusActor> {
        &self.post
    }
}

/// Starts the bus actor, and starts it again on the same board when it dies.
struct Guardian {
    board: Rc<Board>,
    desk: Option<Rc<Desk>>,
    listener: Rc<tokio::net::TcpListener>,
    post: Post<BusActor>,
    tray: Tray,
    intensity: Intensity,
}

impl Guardian {
    fn launch(options: BusOptions, post: Post<BusActor>, tray: Tray, messenger: Messenger) -> std::io::Result<()> {
        let listener = Rc::new(tokio::net::TcpListener::from_std(options.listener)?);
        let info = server_info(listener.local_addr()?);
        let (facts, fleet) = (options.facts, options.fleet);
        let switch = Switch::new(options.settings, options.access, info);
        let facts = Box::new(move |batch| facts(batch));
        let board = Rc::new(Board::new(switch, options.clock, facts, options.heard));
        messenger.settle(&board);
        let desk = fleet.map(|FleetOptions { triggers, ends, residents }| {
            board.residents.define(residents);
            let sink = Box::new(move |triggered| triggers(triggered));
            Desk::new(board.clone(), sink, messenger, Rc::new(move |key, panicked| ends(key, panicked)))
        });
        // The post is filled before anybody is told that there is a bus: what the fleet says at once would be lost.
        Self::create(|ctx| {
            let mut guardian = Self { board, desk, listener, post, tray, intensity: Intensity::default() };
            guardian.raise(ctx);
            guardian
        });
        Ok(())
    }

    fn raise(&mut self, ctx: &mut Context<Self>) {
        let notice = ExitNotice::new(ctx.address().recipient(), 0);
        let (board, desk, listener) = (self.board.clone(), self.desk.clone(), self.listener.clone());
        let actor = BusActor::new(board, self.tray.clone(), desk, Some(listener), notice);
        self.post.fill(actor.start());
    }
}

impl Actor for Guardian {
    type Context = Context<Self>;
}

impl Handler<ActorGone> for Guardian {
    type Result = ();
    fn handle(&mut self, gone: ActorGone, ctx: &mut Self::Context) {
        let why = gone.panicked.unwrap_or_else(|| "it stopped".to_owned());
        if let Some(delay) = self.intensity.on_death(self.board.clock.steady()) {
            log::error!(target: "werkpilot", "the bus actor died and is started again: {why}");
            ctx.run_later(delay, Self::raise);
        } else {
            log::error!(target: "werkpilot", "the bus actor died too often and stays down: {why}");
            self.tray.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_that_was_started_hears_what_it_is_told_at_once() {
        System::new().block_on(async {
            for _ in 0..20 {
                let bus = Bus::start(BusOptions {
                    listener: TcpListener::bind("127.0.0.1:0").unwrap(),
                    access: Access::Open,
                    settings: Settings::default(),
                    clock: Clock::start(),
                    facts: Arc::new(|_| {}),
                    fleet: None,
                    heard: Arc::default(),
                });
                assert!(bus.unwrap().post().addr().is_some(), "what is told now would be lost");
            }
        });
    }
}
