//! A door: accepts the connections of one listener and serves them.
//!
//! Invariant: never more than `max_connections` are open: for who comes when all places are taken, those that have been
//! idle for longest are closed, and while none is idle, it waits. What a client may take its time for is bounded
//! ([`connection`]), and so is what it may say ([`framing`]). With nobody connected for [`LINGER`] there is no service, and
//! with it no timer: actix-http's keeps the date up to date twice a second, whether anybody asks or not. The next
//! connection makes a new one.

mod connection;
mod framing;
mod roll;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::counters::Counters;
use roll::Roll;

pub(crate) use connection::{Answering, Connection};
pub(crate) use framing::Refusal;
pub(crate) use wire::{Transport, Wire, answer};

/// The service is kept so long after the last connection: for pages that ask for their style sheet, and shells that ask
/// one thing after the other.
const LINGER: Duration = Duration::from_secs(5);
/// When no connection can be accepted (descriptors or memory are short), it is tried again after this, and whenever a
/// connection ended.
const BACK_OFF: Duration = Duration::from_millis(500);
/// How often all connections are looked at: ten thousand take less than a millisecond.
const SWEEP: Duration = Duration::from_millis(500);

/// Where connections come from.
pub(crate) trait Listen {
    /// A connection.
    type Io: Transport;

    /// For the log.
    const NAME: &'static str;

    /// The next connection, and whose it is. Nothing is lost when this is dropped.
    async fn accept(&self) -> io::Result<(Self::Io, Option<SocketAddr>)>;
}

impl Listen for TcpListener {
    type Io = TcpStream;

    const NAME: &'static str = "TCP";

    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        // Without it answers may wait for the client's acknowledgements.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(peer)))
    }
}

impl Listen for UnixListener {
    type Io = UnixStream;

    const NAME: &'static str = "control socket";

    async fn accept(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }
}

/// Serves a connection until its end.
pub(crate) type Service<Io> = Rc<dyn Fn(Io, Rc<Connection>, Option<SocketAddr>) -> LocalBoxFuture<'static, ()>>;

/// Accepts and serves until `cut` resolves; then all connections are closed, and the listener with them.
pub(crate) async fn keep<L: Listen>(
    listener: L,
    max_connections: usize,
    counters: Arc<Counters>,
    build: impl AsyncFn() -> Service<L::Io>,
    cut: impl Future<Output = ()>,
) {
    let mut accepting = Accepting { listener, told: false };
    let mut service: Option<Service<L::Io>> = None;
    let (mut tasks, mut roll) = (JoinSet::new(), Roll::default());
    // Who was accepted and has no place yet.
    let mut newcomer: Option<(L::Io, Option<SocketAddr>)> = None;
    let idle_again = Rc::new(Notify::new());
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(cut);
    loop {
        if newcomer.is_some()
            && (roll.len() < max_connections || roll.make_room(&counters))
            && let Some((io, peer)) = newcomer.take()
        {
            let service = match &mut service {
                Some(service) => service,
                none => none.insert(build().await),
            };
            let connection = Connection::new(idle_again.clone(), counters.clone());
            let task = tasks.spawn_local(service(io, connection.clone(), peer));
            roll.enter(connection, task);
            counters.connections(1);
        }
        let lingers = service.is_some() && tasks.is_empty() && newcomer.is_none();
        tokio::select! {
            accepted = accepting.next(), if newcomer.is_none() => newcomer = Some(accepted),
            Some(ended) = tasks.join_next_with_id() => {
                counters.connections(-1);
                match ended {
                    Ok((id, ())) => roll.strike(id),
                    Err(error) => {
                        // A panic is in the log already.
                        if error.is_panic() {
                            counters.panicked();
                        }
                        roll.strike(error.id());
                    }
                }
            }
            () = idle_again.notified(), if newcomer.is_some() => {}
            _ = sweep.tick(), if !roll.is_empty() => roll.sweep(Instant::now(), &counters),
            () = sleep(LINGER), if lingers => service = None,
            () = &mut cut => break,
        }
    }
    tasks.shutdown().await;
}

/// A listener that is never given up.
struct Accepting<L> {
    listener: L,
    /// That nothing can be accepted is in the log.
    told: bool,
}

impl<L: Listen> Accepting<L> {
    /// The next connection. Nothing is lost when this is dropped.
    async fn next(&mut self) -> (L::Io, Option<SocketAddr>) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    if std::mem::take(&mut self.told) {
                        log::info!(target: "werkpilot", "HTTP ({}): connections are accepted again", L::NAME);
                    }
                    return accepted;
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.told, true) {
                        log::error!(target: "werkpilot", "HTTP ({}): connections wait, as none can be accepted: {error}", L::NAME);
                    }
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// The client has gone before it was accepted; the next one may be there.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Weak;

    use rustix::io::Errno;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::{Mutex, mpsc, oneshot};
    use tokio::time::{Instant, timeout};

    use super::*;

    impl Transport for DuplexStream {
        fn bound_send_buffer(&self, _: usize) {}
    }

    const LONG: Duration = Duration::from_hours(1);

    /// A listener without a network.
    struct Fake(Mutex<mpsc::UnboundedReceiver<io::Result<DuplexStream>>>);

    impl Listen for Fake {
        type Io = DuplexStream;

        const NAME: &'static str = "test";

        async fn accept(&self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
            self.0.lock().await.recv().await.expect("a test that goes on").map(|stream| (stream, None))
        }
    }

    /// The street before the door.
    struct Street {
        clients: mpsc::UnboundedSender<io::Result<DuplexStream>>,
        /// The services that were made, alive or not.
        services: Rc<Cell<Vec<Weak<()>>>>,
        cut: oneshot::Sender<()>,
        door: tokio::task::JoinHandle<()>,
    }

    impl Street {
        fn client(&self) -> DuplexStream {
            let (ours, theirs) = duplex(64);
            self.clients.send(Ok(theirs)).unwrap();
            ours
        }

        fn services(&self) -> (usize, usize) {
            let all = self.services.take();
            let counts = (all.len(), all.iter().filter(|service| service.strong_count() > 0).count());
            self.services.set(all);
            counts
        }
    }

    /// Runs a test on a street whose door echoes bytes, and panics at a `!`. No time passes but where all wait for it.
    fn run<F: Future<Output = ()>>(max_connections: usize, test: impl FnOnce(Street) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let (clients, accepted) = mpsc::unbounded_channel();
            let services = Rc::new(Cell::new(Vec::new()));
            let made = services.clone();
            let build = async move || {
                let token = Rc::new(());
                let mut all = made.take();
                all.push(Rc::downgrade(&token));
                made.set(all);
                Rc::new(move |io, connection: Rc<Connection>, _| echo(io, connection, token.clone()))
                    as Service<DuplexStream>
            };
            let (cut, cutting) = oneshot::channel();
            let cutting = async { cutting.await.unwrap() };
            let door = tokio::task::spawn_local(async move {
                keep(Fake(Mutex::new(accepted)), max_connections, Arc::default(), build, cutting).await;
            });
            test(Street { clients, services, cut, door }).await;
        });
    }

    /// A `?` is a question whose answer never comes.
    fn echo(mut io: DuplexStream, connection: Rc<Connection>, service: Rc<()>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            let mut asked = Vec::new();
            while let Ok(byte) = io.read_u8().await {
                assert_ne!(byte, b'!', "a connection that panics");
                if byte == b'?' {
                    asked.push(connection.answer());
                } else {
                    io.write_u8(byte).await.unwrap();
                }
            }
            drop(service);
        })
    }

    async fn is_served(client: &mut DuplexStream) -> bool {
        client.write_u8(b'a').await.unwrap();
        timeout(LONG, client.read_u8()).await.is_ok_and(|answer| answer.unwrap() == b'a')
    }

    /// Shorter than an idle connection is kept.
    const A_WHILE: Duration = Duration::from_mins(1);

    #[test]
    fn the_service_is_there_while_somebody_is_connected_and_a_little_longer() {
        run(9, |street| async move {
            sleep(LONG).await;
            assert_eq!(street.services(), (0, 0), "nobody has come");
            let mut first = street.client();
            assert!(is_served(&mut first).await);
            sleep(A_WHILE).await;
            assert_eq!(street.services(), (1, 1));
            drop(first);
            sleep(LINGER / 2).await;
            let mut second = street.client();
            assert!(is_served(&mut second).await);
            assert_eq!(street.services(), (1, 1), "it was still there");
            drop(second);
            sleep(LINGER * 2).await;
            assert_eq!(street.services(), (1, 0));
            assert!(is_served(&mut street.client()).await);
            assert_eq!(street.services(), (2, 1));
        });
    }

    async fn is_closed(client: &mut DuplexStream) -> bool {
        timeout(LONG, client.read_u8()).await.is_ok_and(|answer| answer.is_err())
    }

    #[test]
    fn for_who_comes_when_all_places_are_taken_the_one_that_is_idle_for_longest_is_closed() {
        run(2, |street| async move {
            let (mut first, mut second) = (street.client(), street.client());
            assert!(is_served(&mut first).await && is_served(&mut second).await);
            first.write_u8(b'?').await.unwrap();
            sleep(BACK_OFF).await;
            let mut third = street.client();
            assert!(is_served(&mut third).await);
            assert!(is_closed(&mut second).await);
            assert!(is_served(&mut first).await, "it waits for an answer");
        });
    }

    #[test]
    fn who_comes_when_all_places_are_taken_and_busy_waits_for_one() {
        run(2, |street| async move {
            let (mut first, mut second) = (street.client(), street.client());
            for busy in [&mut first, &mut second] {
                busy.write_u8(b'?').await.unwrap();
            }
            assert!(is_served(&mut first).await && is_served(&mut second).await);
            let mut third = street.client();
            third.write_u8(b'a').await.unwrap();
            assert!(timeout(A_WHILE, third.read_u8()).await.is_err());
            drop(first);
            assert_eq!(timeout(LONG, third.read_u8()).await.unwrap().unwrap(), b'a');
        });
    }

    #[test]
    fn who_asks_nothing_for_long_is_closed() {
        run(9, |street| async move {
            let mut idle = street.client();
            assert!(is_served(&mut idle).await);
            let begin = Instant::now();
            assert!(is_closed(&mut idle).await);
            assert!(begin.elapsed() >= A_WHILE && begin.elapsed() < A_WHILE * 2, "{:?}", begin.elapsed());
        });
    }

    #[test]
    fn an_accept_that_fails_is_tried_again_after_a_while_and_not_in_a_loop() {
        run(9, |street| async move {
            let begin = Instant::now();
            for _ in 0..3 {
                street.clients.send(Err(Errno::MFILE.into())).unwrap();
            }
            assert!(is_served(&mut street.client()).await);
            assert_eq!(begin.elapsed().as_millis(), (BACK_OFF * 3).as_millis());
            let begin = Instant::now();
            street.clients.send(Err(Errno::CONNABORTED.into())).unwrap();
            assert!(is_served(&mut street.client()).await);
            assert_eq!(begin.elapsed(), Duration::ZERO, "that was the client's fault");
        });
    }

    #[test]
    fn a_descriptor_that_comes_free_is_used_at_once() {
        run(9, |street| async move {
            let mut first = street.client();
            assert!(is_served(&mut first).await);
            street.clients.send(Err(Errno::MFILE.into())).unwrap();
            tokio::task::yield_now().await;
            let begin = Instant::now();
            let mut second = street.client();
            drop(first);
            assert!(is_served(&mut second).await);
            assert!(begin.elapsed() < BACK_OFF);
        });
    }

    #[test]
    fn a_connection_that_panics_takes_no_other_along() {
        run(2, |street| async move {
            let mut calm = street.client();
            for _ in 0..3 {
                let mut wild = street.client();
                wild.write_u8(b'!').await.unwrap();
                assert!(wild.read_u8().await.is_err());
                assert!(is_served(&mut calm).await);
            }
        });
    }

    #[test]
    fn a_cut_closes_every_connection_before_it_is_done() {
        run(9, |street| async move {
            let mut clients = [street.client(), street.client()];
            assert!(is_served(&mut clients[0]).await && is_served(&mut clients[1]).await);
            street.cut.send(()).unwrap();
            street.door.await.unwrap();
            assert!(street.clients.is_closed());
            let all = street.services.take();
            assert!(all.iter().all(|service| service.strong_count() == 0));
            for mut client in clients {
                assert!(client.read_u8().await.is_err());
            }
        });
    }
}
