//! The message bus alone: no registry, no rules, no state.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use tokio::signal::unix::{SignalKind, signal};
use werkpilot_process as process;
pub use werkpilot_runtime::bus::Access;
use werkpilot_runtime::bus::{BeginLameDuck, Bus, BusOptions, BusSettings, BusStartError, CloseBus};
use werkpilot_runtime::clock::Clock;

/// Between the announcement of the end and the end, so that clients may look for another server.
const LAME_DUCK: Duration = Duration::from_millis(250);
/// The actor answers much sooner.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a bus alone is run.
#[derive(Clone, Debug)]
pub struct BusAlone {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Who may.
    pub access: Access,
    /// The largest message with its headers, bytes.
    pub max_payload: u64,
    /// A client that was silent for so long is pinged.
    pub ping_interval: Duration,
    /// Where figures are served, if at all.
    pub monitor: Option<SocketAddr>,
}

/// Where it listens, with the real ports.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// For clients.
    pub bus: SocketAddr,
    /// For monitors.
    pub monitor: Option<SocketAddr>,
}

/// Why a bus alone ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A listener could not be taken.
    #[error("failed to listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bus could not be started.
    #[error(transparent)]
    Start(#[from] BusStartError),
    /// Signals can't be caught.
    #[error("failed to catch signals")]
    Signals(#[source] std::io::Error),
    /// The event loop failed.
    #[error("failed to run the event loop")]
    EventLoop(#[source] std::io::Error),
}

/// Runs a bus until SIGTERM or SIGINT. `listening` is told once it can be used.
///
/// # Errors
/// [`BusError`].
pub fn run(alone: BusAlone, listening: impl FnOnce(&Listening)) -> Result<(), BusError> {
    crate::logging::start_plain();
    process::limits::raise_open_files();
    let listener = bind(alone.listen)?;
    let monitor = alone.monitor.map(bind).transpose()?;
    let system = System::new();
    system.block_on(async {
        let mut term = signal(SignalKind::terminate()).map_err(BusError::Signals)?;
        let mut int = signal(SignalKind::interrupt()).map_err(BusError::Signals)?;
        let max_payload = usize::try_from(alone.max_payload).unwrap_or(usize::MAX);
        let bus = Bus::start(BusOptions {
            listener,
            access: alone.access,
            settings: BusSettings { max_payload, ping_interval: alone.ping_interval, ..BusSettings::default() },
            clock: Clock::start(),
            facts: Arc::new(|_| {}),
            fleet: None,
            heard: Arc::default(),
        })?;
        let monitor = monitor.map(|listener| werkpilot_web::monitor(listener, bus.clone())).transpose();
        let monitor = monitor.map_err(BusError::EventLoop)?;
        listening(&Listening { bus: bus.address(), monitor: monitor.as_ref().map(|monitor| monitor.address) });
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        // Who does not answer any more has nothing to close.
        let _ = bus.post().ask(BeginLameDuck, PATIENCE).await;
        tokio::time::sleep(LAME_DUCK).await;
        let _ = bus.post().ask(CloseBus, PATIENCE).await;
        if let Some(monitor) = monitor {
            monitor.stop().await;
        }
        Ok(())
    })
}

fn bind(address: SocketAddr) -> Result<TcpListener, BusError> {
    TcpListener::bind(address).map_err(|source| BusError::Listen { address, source })
}
