//! The server: two applications, two listeners, one thread for both.
//!
//! A stop closes everything within [`PATIENCE`] and a few milliseconds, whoever is connected: streams and waits are told,
//! requests in progress may finish, then the rest is cut off. While nobody is connected the thread sleeps: see
//! [`crate::door`].

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_rt::Arbiter;
use actix_service::{IntoServiceFactory, Service as _, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::AppConfig;
use actix_web::error::InternalError;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, ResponseError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use werkpilot_runtime::Handle;

use crate::bind::Bound;
use crate::control_socket::SocketFile;
use crate::door::{self, Listen};
use crate::gate::{Places, gate};
use crate::problem::Problem;
use crate::routes::{self, Listener};

/// A stop waits so long for requests in progress.
const PATIENCE: Duration = Duration::from_millis(50);
/// A request's head has to come within this time (slow loris).
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A client that is told to go has this time to read the rest.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// Threads that read log files.
const READERS: usize = 2;
/// Connections of the control socket: all who may wait, and room for those who do not.
const CONTROL_CONNECTIONS: usize = 2_048;
/// The thread's name, as `ps -L` and `top -H` show it.
const THREAD: &std::ffi::CStr = c"http";

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

/// Both listeners, served.
pub struct Server {
    thread: Arbiter,
    places: [Arc<Places>; 2],
    stopping: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    socket_file: SocketFile,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("control_socket", &self.socket_file.path()).finish_non_exhaustive()
    }
}

impl Server {
    /// Stops within 100 ms, even with open streams. Resolves when all is closed and the control socket is gone.
    pub async fn stop(self) {
        // Nobody listens if nobody is connected.
        let _ = self.stopping.send(true);
        let [tcp, control] = &self.places;
        let _ = tokio::time::timeout(PATIENCE, async { tokio::join!(tcp.idle(), control.idle()) }).await;
        let _ = self.cut.send(true);
        // Each listener has a receiver, and drops it when its last connection is closed.
        self.cut.closed().await;
        // The thread is not waited for: it may be reading a log file.
        self.thread.stop();
        drop(self.socket_file);
    }
}

/// Serves both listeners. Has to be called inside an actix `System`.
///
/// # Panics
/// If no thread can be started.
pub fn serve(bound: Bound, handle: Handle, config_report: ConfigReport) -> Server {
    let Bound { tcp, control, socket_file, settings, .. } = bound;
    let (stopping, stop) = watch::channel(false);
    let (cut, _) = watch::channel(false);
    let places = [Arc::new(Places::new(settings.max_requests)), Arc::new(Places::new(settings.max_requests))];
    let for_control =
        Shared { listener: Listener::ControlSocket, handle, config_report, places: places[1].clone(), stopping: stop };
    let for_tcp = Shared { listener: Listener::Tcp, places: places[0].clone(), ..for_control.clone() };
    let max_connections = usize::try_from(settings.max_connections).unwrap_or(usize::MAX);
    let thread = Arbiter::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().max_blocking_threads(READERS).build().expect("an event loop")
    });
    let (tcp_cut, control_cut) = (cut.subscribe(), cut.subscribe());
    thread.spawn_fn(move || {
        // Without the name it works as well.
        let _ = rustix::thread::set_name(THREAD);
        let tcp = tcp.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(tcp));
        open(tcp, max_connections, for_tcp, tcp_cut);
        let control = control.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(control));
        open(control, CONTROL_CONNECTIONS, for_control, control_cut);
    });
    Server { thread, places, stopping, cut, socket_file }
}

/// Serves a listener, on the thread of both.
fn open<L: Listen + 'static>(
    listener: io::Result<L>,
    max_connections: usize,
    shared: Shared,
    mut cut: watch::Receiver<bool>,
) {
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return log::error!(target: "werkpilot", "HTTP ({}) is not served: {error}", L::NAME),
    };
    let shared = Data::new(shared);
    actix_rt::spawn(async move {
        let cut = async {
            if cut.wait_for(|cut| *cut).await.is_err() {
                // The server was dropped and not stopped: it goes on until the thread ends.
                std::future::pending::<()>().await;
            }
        };
        door::keep(listener, max_connections, async || service(shared.clone()).await, cut).await;
    });
}

/// Makes the application of a listener, and what speaks HTTP with its clients.
async fn service<Io: AsyncRead + AsyncWrite + Unpin + 'static>(shared: Data<Shared>) -> door::Service<Io> {
    let listener = shared.listener;
    let app = App::new()
        .app_data(shared)
        .app_data(web::PathConfig::default().error_handler(|error, _| bad_request(&error)))
        .app_data(web::QueryConfig::default().error_handler(|error, _| bad_request(&error)))
        .wrap(from_fn(gate))
        .configure(|config| routes::configure(config, listener))
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    let http = HttpService::build()
        .client_request_timeout(HEAD_TIME)
        .client_disconnect_timeout(GOODBYE_TIME)
        // On the control socket, who hangs up ends what was waited for.
        .h1_allow_half_closed(listener == Listener::Tcp)
        .h1(map_config(app, |()| AppConfig::default()))
        .new_service(())
        .await
        .expect("nothing in it can fail");
    Rc::new(move |io: Io, peer: Option<SocketAddr>| {
        let connection = http.call((io, peer));
        Box::pin(async move {
            if let Err(error) = connection.await {
                log::trace!("a connection ended: {error}");
            }
        })
    })
}

fn bad_request(error: &dyn std::error::Error) -> actix_web::Error {
    let problem = Problem::bad_request(error.to_string());
    let response = problem.error_response();
    InternalError::from_response(problem, response).into()
}
