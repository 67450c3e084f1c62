//! Talks to a bus: that of the running orchestrator as its operator, or any NATS server.
//!
//! Nothing here waits for ever: connecting, flushing and every request have their time, and a server that is silent for
//! too long is asked whether it is still there.

mod place;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use place::Place;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
pub use werkpilot_bus::client::{Answer, Event, Received};
use werkpilot_bus::client::{Client, RefusalKind, SendError, ServerRefusal};

use crate::commands::Context;
use crate::failure::{Code, Failure};

/// From the first packet to the server's word that we are welcome.
const CONNECT: Duration = Duration::from_secs(2);
/// The server handles what it was sent in microseconds; the rest is for a machine under load.
const FLUSH: Duration = Duration::from_secs(5);
/// After so much silence the server is asked whether it is there; after as much again it is not.
const SILENCE: Duration = Duration::from_secs(20);
/// Read at once.
const CHUNK: usize = 64 * 1_024;

/// Which bus is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerOption {
    /// Another bus than the orchestrator's, or any NATS server: nats://[user:password@]host[:port] (`NATS_URL` names it, too).
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl ServerOption {
    /// Does something with the bus. `name` is what we call ourselves there.
    pub fn with<T>(
        &self,
        context: &Context,
        name: &str,
        work: impl AsyncFnOnce(BusClient) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let places = Place::find(self.server.as_deref(), context)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Code::Internal, format!("failed to start: {error}")))?;
        runtime.block_on(async {
            let mut last = Failure::new(Code::Usage, "there is no address of a bus");
            for place in places {
                match BusClient::connect(place, name).await {
                    Ok(bus) => return work(bus).await,
                    Err(failure) => last = failure,
                }
            }
            Err(last)
        })
    }
}

/// A connection to a bus that has let us in.
pub struct BusClient {
    place: Place,
    stream: TcpStream,
    client: Client,
    chunk: Box<[u8]>,
    /// It was asked whether it is still there.
    is_doubted: bool,
    /// It said that it is about to stop.
    is_leaving: bool,
    /// To be told when next asked.
    failure: Option<Failure>,
}

impl BusClient {
    async fn connect(place: Place, name: &str) -> Result<Self, Failure> {
        let late = nobody(&place, "it does not answer");
        timeout(CONNECT, Self::introduce(place, name)).await.unwrap_or(Err(late))
    }

    async fn introduce(place: Place, name: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await;
        let stream = stream.map_err(|error| nobody(&place, &error.to_string()))?;
        // Small messages are not to wait for an acknowledgement of the one before; without it they only come later.
        let _ = stream.set_nodelay(true);
        let (client, chunk) = (Client::new(random()), vec![0; CHUNK].into_boxed_slice());
        let mut bus = Self { place, stream, client, chunk, is_doubted: false, is_leaving: false, failure: None };
        match bus.next().await? {
            Event::Info(info) if info.tls_required => return Err(nobody(&bus.place, "it wants TLS")),
            Event::Info(_) => {}
            _ => return Err(nobody(&bus.place, "it is no NATS server")),
        }
        bus.client.connect(&bus.place.introduction(name));
        bus.flush().await?;
        Ok(bus)
    }

    /// Whether it is the running orchestrator's.
    pub fn is_of_orchestrator(&self) -> bool {
        self.place.of_orchestrator
    }

    /// Whether it understands headers.
    pub fn has_headers(&self) -> bool {
        self.client.info().is_some_and(|info| info.headers)
    }

    /// Publishes a message; [`Self::flush`] tells whether the bus took it.
    pub fn publish(&mut self, to: &str, reply: Option<&str>, headers: &[u8], payload: &[u8]) -> Result<(), Failure> {
        self.client.publish(to.as_bytes(), reply.map(str::as_bytes), headers, payload).map_err(|error| not_sent(&error))
    }

    /// Subscribes, maybe for so many messages only; [`Self::flush`] tells whether the bus lets us.
    pub fn subscribe(&mut self, pattern: &str, queue: Option<&str>, count: Option<NonZeroU64>) -> Result<(), Failure> {
        let queue = queue.map(str::as_bytes);
        let sid = self.client.subscribe(pattern.as_bytes(), queue).map_err(|error| not_sent(&error))?;
        if let Some(count) = count {
            self.client.unsubscribe(sid, Some(count.get()));
        }
        Ok(())
    }

    /// Asks for an answer; `None` if there is none in time.
    pub async fn request(
        &mut self,
        to: &str,
        headers: &[u8],
        payload: &[u8],
        patience: Duration,
    ) -> Result<Option<Received>, Failure> {
        let asked = self.client.request(to.as_bytes(), headers, payload).map_err(|error| not_sent(&error))?;
        let answer = async {
            loop {
                match self.next().await? {
                    Event::Answer { request, message } if request == asked => return Ok(message),
                    _ => {}
                }
            }
        };
        timeout(patience, answer).await.ok().transpose()
    }

    /// Waits until the bus has handled all that was sent; what came meanwhile is handed out.
    pub async fn flush(&mut self) -> Result<Vec<Event>, Failure> {
        let ping = self.client.ping();
        let mut meanwhile = Vec::new();
        let flushed = async {
            loop {
                match self.next().await? {
                    Event::Pong(number) if number >= ping => return Ok(()),
                    event => meanwhile.push(event),
                }
            }
        };
        match timeout(FLUSH, flushed).await {
            Ok(flushed) => flushed.map(|()| meanwhile),
            Err(_) => Err(nobody(&self.place, "it does not answer any more")),
        }
    }

    /// Waits for something that the bus says, and appends it with all that has come with it. May be given up at any
    /// time without loss.
    pub async fn next_all(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        events.push(self.next().await?);
        loop {
            match self.ready() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return Ok(()),
                // What came before it is not to be lost.
                Err(failure) => {
                    self.failure = Some(failure);
                    return Ok(());
                }
            }
        }
    }

    /// The next thing that the bus says. May be given up at any time without loss.
    async fn next(&mut self) -> Result<Event, Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        loop {
            if let Some(event) = self.ready()? {
                return Ok(event);
            }
            self.write().await?;
            let read = match timeout(SILENCE, self.stream.read(&mut self.chunk)).await {
                Ok(read) => read.map_err(|error| self.gone(&error))?,
                Err(_) if self.is_doubted => return Err(nobody(&self.place, "it does not answer any more")),
                Err(_) => {
                    self.is_doubted = true;
                    self.client.ping();
                    continue;
                }
            };
            if read == 0 {
                return Err(self.gone(&io::ErrorKind::UnexpectedEof.into()));
            }
            self.is_doubted = false;
            self.client.receive(&self.chunk[..read]);
        }
    }

    /// What the bus has said already, without waiting.
    fn ready(&mut self) -> Result<Option<Event>, Failure> {
        let event =
            self.client.next_event().map_err(|error| nobody(&self.place, &format!("it is no NATS server: {error}")))?;
        match event {
            Some(Event::Refused(refusal)) => Err(refused(&self.place, &refusal)),
            Some(Event::Info(info)) => {
                self.is_leaving = info.lame_duck;
                Ok(Some(Event::Info(info)))
            }
            other => Ok(other),
        }
    }

    async fn write(&mut self) -> Result<(), Failure> {
        while !self.client.output().is_empty() {
            match timeout(SILENCE, self.stream.write(self.client.output())).await {
                Ok(Ok(written)) => self.client.written(written),
                // It may have said why before it hung up, and that is read next.
                Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Ok(Err(error)) => return Err(self.gone(&error)),
                Err(_) => return Err(nobody(&self.place, "it does not read what it is sent")),
            }
        }
        Ok(())
    }

    fn gone(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            _ if self.is_leaving => "it was shut down".to_owned(),
            io::ErrorKind::UnexpectedEof => "it hung up".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(Code::Unavailable, format!("the bus at {} is gone: {why}", self.place))
    }
}

fn nobody(place: &Place, why: &str) -> Failure {
    let failure = Failure::new(Code::Unavailable, format!("no bus at {place}: {why}"));
    if place.of_orchestrator {
        failure.hint("the orchestrator may have ended; `werkpilot status` tells")
    } else {
        failure.hint("`werkpilot bus` runs one; without --server and NATS_URL it is the running orchestrator's")
    }
}

fn not_sent(error: &SendError) -> Failure {
    let failure = Failure::of(Code::Usage, error);
    match error {
        SendError::TooLarge { .. } => failure.hint("max_payload in [bus] of the settings is the limit; or send less"),
        SendError::Pattern { .. } => failure.hint("in a shell, patterns have to be quoted: 'orders.>'"),
        SendError::Subject { .. } | SendError::Queue { .. } | SendError::NoHeaders => failure,
    }
}

fn refused(place: &Place, refusal: &ServerRefusal) -> Failure {
    match refusal.kind() {
        RefusalKind::Credentials => {
            let hint = if place.of_orchestrator {
                "the credential is of an orchestrator that has ended; `werkpilot status` tells"
            } else {
                "write them into the address: nats://user:password@host:port, or nats://token@host:port"
            };
            let what = format!("the bus at {place} does not accept the credentials: {refusal}");
            Failure::new(Code::NoPermission, what).hint(hint)
        }
        RefusalKind::Permission => Failure::new(Code::NoPermission, format!("the bus does not allow it: {refusal}")),
        RefusalKind::SlowConsumer => {
            let what = format!("the bus at {place} has cut us off, as we do not read as fast as messages come");
            Failure::new(Code::Unavailable, what).hint("a narrower pattern, or a faster reader of our output, helps")
        }
        RefusalKind::Other => Failure::new(Code::Unavailable, format!("the bus at {place} refused: {refusal}")),
    }
}

/// The name of an inbox, which is not to be guessed: the standard library's hash keys are the system's randomness.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

#[cfg(test)]
mod tests;
