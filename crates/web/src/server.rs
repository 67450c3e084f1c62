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

use actix_http::{Extensions, HttpService, KeepAlive};
use actix_rt::Arbiter;
use actix_service::{IntoServiceFactory, Service as _, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::AppConfig;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, ResponseError};
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use werkpilot_runtime::Handle;

use crate::auth::Auth;
use crate::bind::Bound;
use crate::compress::compress;
use crate::control_socket::SocketFile;
use crate::counters::Counters;
use crate::door::{self, Listen, Refusal, Transport, Wire};
use crate::gate::{Places, gate};
use crate::idempotency::SharedKeys;
use crate::problem::Problem;
use crate::routes::{self, Listener};
use crate::snapshot::Snapshot;
use crate::tls::Tls;

/// A stop waits so long for requests in progress.
const PATIENCE: Duration = Duration::from_millis(50);
/// A TLS handshake has to be done within this time.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// The first byte of a TLS handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;
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
    pub auth: Arc<Auth>,
    pub config_report: ConfigReport,
    /// Of the TCP listener.
    pub tls: Option<Tls>,
    pub places: Arc<Places>,
    /// Of both listeners.
    pub counters: Arc<Counters>,
    /// Of both listeners.
    pub snapshot: Arc<Snapshot>,
    /// Keys of requests that are done once; of both listeners.
    pub keys: SharedKeys,
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
    let Bound { tcp, control, socket_file, settings, auth, tls, .. } = bound;
    let (stopping, stop) = watch::channel(false);
    let (cut, _) = watch::channel(false);
    let places = [Arc::new(Places::new(settings.max_requests)), Arc::new(Places::new(settings.max_requests))];
    let for_control = Shared {
        listener: Listener::ControlSocket,
        handle,
        auth,
        config_report,
        tls: tls.clone(),
        places: places[1].clone(),
        counters: Arc::default(),
        snapshot: Arc::new(Snapshot::new()),
        keys: SharedKeys::default(),
        stopping: stop,
    };
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
        let (auth, handle) = (for_tcp.auth.clone(), for_tcp.handle.clone());
        actix_rt::spawn(async move { auth.open(&handle).await });
        let tcp = tcp.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(tcp));
        open(tcp, max_connections, for_tcp, tcp_cut, async move |shared| match &tls {
            None => plain(shared).await,
            Some(tls) => encrypted(shared, tls.clone()).await,
        });
        let control = control.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(control));
        open(control, CONTROL_CONNECTIONS, for_control, control_cut, plain);
    });
    Server { thread, places, stopping, cut, socket_file }
}

/// Serves a listener, on the thread of both.
fn open<L: Listen + 'static>(
    listener: io::Result<L>,
    max_connections: usize,
    shared: Shared,
    mut cut: watch::Receiver<bool>,
    build: impl AsyncFn(Data<Shared>) -> door::Service<L::Io> + 'static,
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
        let counters = shared.counters.clone();
        door::keep(listener, max_connections, counters, async || build(shared.clone()).await, cut).await;
    });
}

/// Without TLS.
async fn plain<Io: Transport>(shared: Data<Shared>) -> door::Service<Io> {
    let speak = speak(shared).await;
    Rc::new(move |io, connection, peer| speak(Wire::new(io, connection), peer))
}

/// With TLS: the handshake first, within its time.
async fn encrypted(shared: Data<Shared>, tls: Tls) -> door::Service<TcpStream> {
    let counters = shared.counters.clone();
    let speak = speak::<TlsStream<TcpStream>>(shared).await;
    Rc::new(move |io, connection, peer| {
        let (speak, tls, counters) = (speak.clone(), tls.clone(), counters.clone());
        Box::pin(async move {
            match timeout(HANDSHAKE_TIME, shake_hands(&tls, io, &counters)).await {
                Ok(Ok(Some(io))) => speak(Wire::new(io, connection), peer).await,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => log::debug!("a TLS handshake failed: {error}"),
                Err(_) => counters.refused(Refusal::Slow),
            }
        })
    })
}

/// `None`: it was no TLS, and the client was told so.
async fn shake_hands(tls: &Tls, mut io: TcpStream, counters: &Counters) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    if io.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        counters.refused(Refusal::NotTls);
        // What was asked is read, or the system takes the answer back.
        let _ = io.read(&mut [0; 4_096]).await?;
        io.write_all(&door::answer(Refusal::NotTls)).await?;
        io.shutdown().await?;
        return Ok(None);
    }
    Ok(Some(tls.acceptor().accept(io).await?))
}

/// What speaks HTTP with clients.
type Speak<Io> = Rc<dyn Fn(Wire<Io>, Option<SocketAddr>) -> LocalBoxFuture<'static, ()>>;

/// Makes the application of a listener, and what speaks HTTP with its clients. How long they may take is the door's
/// business, so there are no timers per connection here.
async fn speak<Io: Transport>(shared: Data<Shared>) -> Speak<Io> {
    let listener = shared.listener;
    let app = App::new()
        .app_data(shared)
        .app_data(web::PathConfig::default().error_handler(|_, request| no_such_path(request)))
        .app_data(web::QueryConfig::default().error_handler(|error, _| bad_query(&error)))
        .wrap(from_fn(compress))
        .wrap(from_fn(gate))
        .configure(routes::configure)
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    let http = HttpService::build()
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(GOODBYE_TIME)
        // On the control socket, who hangs up ends what was waited for.
        .h1_allow_half_closed(listener == Listener::Tcp)
        .on_connect_ext(|wire: &Wire<Io>, data: &mut Extensions| {
            data.insert(wire.connection().clone());
        })
        .h1(map_config(app, |()| AppConfig::default()))
        .new_service(())
        .await
        .expect("nothing in it can fail");
    Rc::new(move |io: Wire<Io>, peer: Option<SocketAddr>| {
        let connection = http.call((io, peer));
        Box::pin(async move {
            if let Err(error) = connection.await {
                log::trace!("a connection ended: {error}");
            }
        })
    })
}

/// What can't be an id names nothing.
fn no_such_path(request: &HttpRequest) -> actix_web::Error {
    let text = format!("there is nothing at {}: an id in it is of the wrong form", request.path());
    told(Problem::new(StatusCode::NOT_FOUND, text))
}

fn bad_query(error: &dyn std::error::Error) -> actix_web::Error {
    let text = error.to_string();
    let what = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
    told(Problem::bad_request(format!("the query can't be read: {what}")))
}

fn told(problem: Problem) -> actix_web::Error {
    let response = problem.error_response();
    InternalError::from_response(problem, response).into()
}
