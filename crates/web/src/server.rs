//! The two servers: one application, two listeners, a worker thread each.
//!
//! A stop closes everything within [`PATIENCE`] and a few milliseconds, whoever is connected: streams and waits are told,
//! requests in progress may finish, then the rest is cut off.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::error::InternalError;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer, ResponseError};
use tokio::sync::watch;
use werkpilot_runtime::Handle;

use crate::bind::Bound;
use crate::control_socket::SocketFile;
use crate::gate::{Places, gate};
use crate::problem::Problem;
use crate::routes::{self, Listener};

/// A stop waits so long for requests in progress.
const PATIENCE: Duration = Duration::from_millis(50);
/// A request's head has to come within this time (slow loris).
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A client that is told to go has this time to read the rest.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// Threads that read log files, per listener.
const READERS: usize = 2;
/// Connections of the control socket: all who may wait, and room for those who do not.
const CONTROL_CONNECTIONS: usize = 2_048;

/// Gives every setting with its value and where it came from; the binary's business.
pub type ConfigReport = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What the handlers of one listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub listener: Listener,
    pub handle: Handle,
    pub config_report: ConfigReport,
    pub places: Arc<Places>,
    pub stopping: watch::Receiver<bool>,
}

impl Shared {
    /// Resolves when the server stops.
    pub fn stopped(&self) -> impl Future<Output = ()> + 'static {
        let mut stopping = self.stopping.clone();
        async move {
            // The sender is gone: so is the server.
            let _ = stopping.wait_for(|stop| *stop).await;
        }
    }
}

/// Both servers, running.
pub struct Server {
    handles: [ServerHandle; 2],
    places: [Arc<Places>; 2],
    stopping: watch::Sender<bool>,
    socket_file: SocketFile,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("control_socket", &self.socket_file.path()).finish_non_exhaustive()
    }
}

impl Server {
    /// Stops both within 100 ms, even with open streams. Resolves when they are closed and the control socket is gone.
    pub async fn stop(self) {
        // Nobody listens if nobody is connected.
        let _ = self.stopping.send(true);
        let [tcp, control] = &self.places;
        let _ = tokio::time::timeout(PATIENCE, async { tokio::join!(tcp.idle(), control.idle()) }).await;
        let [tcp, control] = &self.handles;
        tokio::join!(tcp.stop(false), control.stop(false));
        drop(self.socket_file);
    }
}

/// Serves both listeners. Has to be called inside an actix `System`.
///
/// # Panics
/// If a listener that was just bound has no address any more.
pub fn serve(bound: Bound, handle: Handle, config_report: ConfigReport) -> Server {
    let Bound { tcp, control, socket_file, settings, .. } = bound;
    let (stopping, stop) = watch::channel(false);
    let places = [Arc::new(Places::new(settings.max_requests)), Arc::new(Places::new(settings.max_requests))];
    let for_control =
        Shared { listener: Listener::ControlSocket, handle, config_report, places: places[1].clone(), stopping: stop };
    let for_tcp = Shared { listener: Listener::Tcp, places: places[0].clone(), ..for_control.clone() };
    // One macro, because the type of an app can't be named.
    macro_rules! server {
        ($shared:expr) => {{
            let shared = Data::new($shared);
            HttpServer::new(move || {
                let listener = shared.listener;
                App::new()
                    .app_data(shared.clone())
                    .app_data(web::PathConfig::default().error_handler(|error, _| bad_request(&error)))
                    .app_data(web::QueryConfig::default().error_handler(|error, _| bad_request(&error)))
                    .wrap(from_fn(gate))
                    .configure(|config| routes::configure(config, listener))
            })
            .workers(1)
            .worker_max_blocking_threads(READERS)
            .client_request_timeout(HEAD_TIME)
            .client_disconnect_timeout(GOODBYE_TIME)
            .shutdown_timeout(1)
            .disable_signals()
        }};
    }
    let tcp = server!(for_tcp)
        .max_connections(usize::try_from(settings.max_connections).unwrap_or(usize::MAX))
        .listen(tcp)
        .expect("a listener that was just bound")
        .run();
    // Who hangs up ends what was waited for.
    let control = server!(for_control)
        .max_connections(CONTROL_CONNECTIONS)
        .h1_allow_half_closed(false)
        .listen_uds(control)
        .expect("a listener that was just bound")
        .run();
    let handles = [tcp.handle(), control.handle()];
    for (name, server) in [("TCP", tcp), ("control socket", control)] {
        actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                log::error!(target: "werkpilot", "the HTTP server ({name}) ended: {error}");
            }
        });
    }
    Server { handles, places, stopping, socket_file }
}

fn bad_request(error: &dyn std::error::Error) -> actix_web::Error {
    let problem = Problem::bad_request(error.to_string());
    let response = problem.error_response();
    InternalError::from_response(problem, response).into()
}
