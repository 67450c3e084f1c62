//! Somebody on a fleet's bus: the test itself, with the credentials of a real program or of an operator.
//!
//! A program of a test need not know the protocol: it sleeps, and the test reads the credentials in its environment and
//! talks in its name. Who has flushed knows all that was sent to it before.

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use werkpilot_bus::client::Client;
pub use werkpilot_bus::client::{Answer, Event, Received, RequestId, Sid};
use werkpilot_bus::protocol::Connect;
pub use werkpilot_bus::protocol::headers::Headers;
use werkpilot_core::time::Timestamp;

use crate::{PATIENCE, Werkpilot, wait_for};

/// How somebody reaches a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusAccess {
    /// Host and port.
    pub address: String,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Between two looks at whether more has come: it decides only how soon a responder notices its end.
const LOOK: Duration = Duration::from_millis(20);

/// A connection to a bus.
pub struct Peer {
    stream: TcpStream,
    client: Client,
    /// What came and nobody has asked for yet.
    events: VecDeque<Event>,
}

impl Peer {
    /// Connects, or tells the server's refusal.
    ///
    /// # Errors
    /// What the server says after `-ERR`.
    ///
    /// # Panics
    /// If there is no server.
    pub fn try_connect(access: &BusAccess) -> Result<Self, String> {
        let BusAccess { user, password, .. } = access.clone();
        let connect = Connect { user: Some(user), password: Some(password), ..Connect::client("a test") };
        Self::introduce(&access.address, &connect)
    }

    /// The same with any introduction.
    ///
    /// # Errors
    /// What the server says after `-ERR`.
    ///
    /// # Panics
    /// If there is no server.
    pub fn introduce(address: &str, connect: &Connect) -> Result<Self, String> {
        let stream = TcpStream::connect(address).expect("there is a bus");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(LOOK)).expect("a socket");
        let random = UNIX_EPOCH.elapsed().expect("a time after 1970").as_nanos();
        let mut peer = Self { stream, client: Client::new(random), events: VecDeque::new() };
        peer.client.connect(connect);
        peer.client.ping();
        match peer.wait("a welcome", |event| matches!(event, Event::Pong(_) | Event::Refused(_))) {
            Event::Refused(refusal) => Err(refusal.text().to_owned()),
            _ => Ok(peer),
        }
    }

    /// Connects.
    ///
    /// # Panics
    /// If it is not let in.
    #[track_caller]
    pub fn connect(access: &BusAccess) -> Self {
        Self::try_connect(access).unwrap_or_else(|refusal| panic!("{} is refused: {refusal}", access.user))
    }

    // ---- telling ----

    /// Subscribes, and waits until the server knows.
    ///
    /// # Panics
    /// If the pattern is none. Whether the server likes it, [`Self::refusals`] tells.
    pub fn subscribe(&mut self, pattern: &str) -> Sid {
        let sid = self.client.subscribe(pattern.as_bytes(), None).expect("a pattern");
        self.flush();
        sid
    }

    /// Publishes a message.
    ///
    /// # Panics
    /// If it is none.
    pub fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.publish_with(subject, None, &Headers::new(), payload);
    }

    /// Publishes a message with a reply subject, or with headers.
    ///
    /// # Panics
    /// If it is none.
    pub fn publish_with(&mut self, subject: &str, reply: Option<&str>, headers: &Headers, payload: &[u8]) {
        let block = block(headers);
        self.client.publish(subject.as_bytes(), reply.map(str::as_bytes), &block, payload).expect("a message");
        self.write();
    }

    /// Answers a request.
    ///
    /// # Panics
    /// If it wants no answer.
    pub fn reply(&mut self, request: &Received, payload: &[u8]) {
        self.reply_with(request, &Headers::new(), payload);
    }

    /// The same with headers.
    ///
    /// # Panics
    /// If it wants no answer.
    pub fn reply_with(&mut self, request: &Received, headers: &Headers, payload: &[u8]) {
        self.publish_with(reply_subject(request), None, headers, payload);
    }

    /// Asks, and does not wait for the answer.
    ///
    /// # Panics
    /// If the question is none.
    pub fn ask(&mut self, subject: &str, headers: &Headers, payload: &[u8]) -> RequestId {
        let request = self.client.request(subject.as_bytes(), &block(headers), payload).expect("a request");
        self.write();
        request
    }

    /// Asks, and waits for the answer.
    #[track_caller]
    pub fn request(&mut self, subject: &str, payload: &[u8]) -> Received {
        let request = self.ask(subject, &Headers::new(), payload);
        self.answer(request)
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If they can't be sent.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the bus takes bytes");
    }

    // ---- hearing ----

    /// Waits for the answer to a question.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn answer(&mut self, asked: RequestId) -> Received {
        match self.wait("an answer", |event| matches!(event, Event::Answer { request, .. } if *request == asked)) {
            Event::Answer { message, .. } => message,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits for a message of a subscription.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn message(&mut self) -> Received {
        match self.wait("a message", |event| matches!(event, Event::Message { .. })) {
            Event::Message { message, .. } => message,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits for an event of the system of this type, and throws away what came before it.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn event(&mut self, topic: &str) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let message = self.message();
            if message.subject == topic.as_bytes() {
                return json(&message);
            }
        }
        panic!("waited in vain for {topic}");
    }

    /// Waits until the server has handled all that was sent.
    ///
    /// # Panics
    /// If it does not say so.
    #[track_caller]
    pub fn flush(&mut self) {
        let number = self.client.ping();
        self.wait("a pong", |event| matches!(event, Event::Pong(pong) if *pong == number));
    }

    /// All messages of subscriptions that came by now and were not asked for yet.
    #[track_caller]
    pub fn messages(&mut self) -> Vec<Received> {
        self.flush();
        self.take(|event| match event {
            Event::Message { message, .. } => Ok(message),
            other => Err(other),
        })
    }

    /// All answers that came by now and were not asked for yet.
    #[track_caller]
    pub fn answers(&mut self) -> Vec<Received> {
        self.flush();
        self.take(|event| match event {
            Event::Answer { message, .. } => Ok(message),
            other => Err(other),
        })
    }

    /// What the server did not like by now.
    #[track_caller]
    pub fn refusals(&mut self) -> Vec<String> {
        self.flush();
        self.take(refusal)
    }

    /// Waits until the server ends the connection: what it did not like.
    ///
    /// # Panics
    /// If it does not end it.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Vec<String> {
        wait_for("the end of the connection", PATIENCE, || (!self.read()).then_some(()));
        self.take(refusal)
    }

    /// Whether the server has said that it goes.
    #[track_caller]
    pub fn wait_for_lame_duck(&mut self) {
        self.wait("lame duck", |event| matches!(event, Event::Info(info) if info.lame_duck));
    }

    /// Waits for something, and leaves everything else for later.
    #[track_caller]
    fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        self.write();
        let begun = Instant::now();
        let mut seen = 0;
        loop {
            if let Some(index) = self.events.iter().skip(seen).position(&wanted) {
                return self.events.remove(seen + index).expect("it was found there");
            }
            seen = self.events.len();
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}; there is {:?}", self.events);
            if !self.read() {
                let late = self.events.iter().skip(seen).position(&wanted);
                let index = late.unwrap_or_else(|| panic!("the bus went before {what}: {:?}", self.events));
                return self.events.remove(seen + index).expect("it was found there");
            }
        }
    }

    fn take<T>(&mut self, pick: impl Fn(Event) -> Result<T, Event>) -> Vec<T> {
        let mut taken = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match pick(event) {
                Ok(found) => taken.push(found),
                Err(other) => self.events.push_back(other),
            }
        }
        taken
    }

    fn write(&mut self) {
        let output = self.client.output();
        let length = output.len();
        // One that the server has closed is noticed when it is read from.
        let _ = self.stream.write_all(output);
        self.client.written(length);
    }

    /// Reads what is there, and waits a little if nothing is. Whether the server is still there.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 * 1_024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => self.client.receive(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
            Err(_) => return false,
        }
        while let Some(event) = self.client.next_event().expect("the bus speaks the protocol") {
            self.events.push_back(event);
        }
        // Pings of the server are answered.
        self.write();
        true
    }

    /// Answers everything that comes, in a thread of its own, until the [`Responder`] is dropped.
    pub fn answer_with(mut self, answer: impl Fn(&Received) -> Vec<u8> + Send + 'static) -> Responder {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) && self.read() {
                let requests = self.take(|event| match event {
                    Event::Message { message, .. } => Ok(message),
                    other => Err(other),
                });
                for request in requests.iter().filter(|request| request.reply.is_some()) {
                    let payload = answer(request);
                    self.reply(request, &payload);
                }
            }
        });
        Responder { over, thread: Some(thread) }
    }

    /// Makes it a micro-service that says that it is there, as ADR-32 has it.
    pub fn answer_pings(mut self, agent: &str) -> Responder {
        self.subscribe(&format!("$SRV.PING.{agent}"));
        let pong = serde_json::json!({
            "type": "io.nats.micro.v1.ping_response", "name": agent, "id": "x1", "version": "1.0.0", "metadata": {}
        });
        self.answer_with(move |_| pong.to_string().into_bytes())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A peer that answers in a thread of its own; dropping it ends its connection.
#[derive(Debug)]
pub struct Responder {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, None | Some(Ok(()))), "the responder panicked");
    }
}

fn refusal(event: Event) -> Result<String, Event> {
    match event {
        Event::Refused(refusal) => Ok(refusal.text().to_owned()),
        other => Err(other),
    }
}

fn block(headers: &Headers) -> Vec<u8> {
    if headers.is_empty() { Vec::new() } else { headers.block() }
}

/// Where a request wants its answer.
///
/// # Panics
/// If it wants none.
pub fn reply_subject(request: &Received) -> &str {
    std::str::from_utf8(request.reply.as_deref().expect("a reply subject")).expect("a subject is text")
}

/// The payload as JSON.
///
/// # Panics
/// If it is none.
pub fn json(message: &Received) -> Value {
    serde_json::from_slice(&message.payload).expect("JSON")
}

/// The payload as text.
pub fn text(message: &Received) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// The header of a request that has to be answered within this time.
///
/// # Panics
/// If the clock is before 1970.
pub fn deadline_in(time: Duration) -> Headers {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970") + time;
    let at = Timestamp::from_millis(i64::try_from(since.as_millis()).expect("a time"));
    Headers::new().with("Werkpilot-Deadline", &at.to_string())
}

impl BusAccess {
    /// How the program with this pid reaches the bus: what is in its environment.
    ///
    /// # Panics
    /// If that is nothing.
    #[track_caller]
    pub fn of(pid: i32) -> Self {
        // Between fork and exec it has its parent's environment.
        wait_for("the bus in the environment of a program", PATIENCE, || {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let entries = environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
            let entries: Vec<_> = entries.filter_map(|entry| entry.split_once('=')).collect();
            let value = |name: &str| entries.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            Some(Self {
                address: value("NATS_SERVER")?.strip_prefix("nats://")?.to_owned(),
                user: value("NATS_USER")?.to_owned(),
                password: value("NATS_PASSWORD")?.to_owned(),
            })
        })
    }
}

impl Werkpilot {
    /// Connects in the name of an agent's only process.
    #[track_caller]
    pub fn peer(&self, agent: &str) -> Peer {
        Peer::connect(&BusAccess::of(self.wait_for_pid(agent)))
    }

    /// How an operator reaches the bus, by what the state folder says.
    ///
    /// # Panics
    /// If it says nothing.
    #[track_caller]
    pub fn operator_access(&self) -> BusAccess {
        let file = self.dir().join("state/bus/operator.json");
        wait_for("the operator's access", PATIENCE, || {
            let access: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            Some(BusAccess {
                address: access["url"].as_str()?.strip_prefix("nats://")?.to_owned(),
                user: access["user"].as_str()?.to_owned(),
                password: access["password"].as_str()?.to_owned(),
            })
        })
    }

    /// Connects as an operator.
    #[track_caller]
    pub fn operator(&self) -> Peer {
        Peer::connect(&self.operator_access())
    }
}
