//! The agents that the tests talk to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use serde::{Deserialize, Serialize, Serializer};
use werkpilot_core::spec::Backoff;
use werkpilot_runtime::bus::{AgentError, InProcess, InProcessBuilder, Messenger, Query, RequestError};

use crate::support::{PATIENCE, name};

/// How often a question was made JSON.
pub static SERIALISED: AtomicUsize = AtomicUsize::new(0);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over so")]
fn counted<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    SERIALISED.fetch_add(1, Ordering::SeqCst);
    serializer.serialize_u64(*number)
}

macro_rules! query {
    ($(#[$doc:meta])* $query:ident { $($(#[$of_field:meta])* $field:ident: $type:ty),* } = $endpoint:literal -> $response:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $query { $($(#[$of_field])* pub $field: $type),* }

        impl Message for $query {
            type Result = Result<$response, AgentError>;
        }

        impl Query for $query {
            type Response = $response;
            const ENDPOINT: &'static str = $endpoint;
        }
    };
}

query!(/// Twice as much.
    Double { #[serde(serialize_with = "counted")] n: u64 } = "double" -> u64);
query!(/// One more, since the agent was started.
    Count {} = "count" -> u64);
query!(/// Panics, in the handler or in the future that it leaves behind.
    Panic { later: bool } = "panic" -> u64);
query!(/// An error.
    Fail { code: u16 } = "fail" -> u64);
query!(/// Never answered.
    Wait { padding: String } = "wait" -> u64);
query!(/// Asks another agent to double, and passes its answer on.
    Relay { to: String, n: u64 } = "relay" -> u64);
query!(/// Asks the agents of the way, one after the other.
    Round { way: Vec<String>, timeout_ms: u64 } = "round" -> u64);
query!(/// Says something on a subject.
    Say { subject: String, text: String } = "say" -> u64);
query!(/// Nobody knows this one.
    Riddle {} = "riddle" -> u64);

/// Answers all of them.
pub struct Worker {
    messenger: Messenger,
    name: &'static str,
    count: u64,
    lives: Arc<AtomicUsize>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.lives.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Double> for Worker {
    type Result = Result<u64, AgentError>;
    fn handle(&mut self, Double { n }: Double, _: &mut Self::Context) -> Self::Result {
        Ok(n * 2)
    }
}

impl Handler<Count> for Worker {
    type Result = Result<u64, AgentError>;
    fn handle(&mut self, _: Count, _: &mut Self::Context) -> Self::Result {
        self.count += 1;
        Ok(self.count)
    }
}

impl Handler<Panic> for Worker {
    type Result = ResponseFuture<Result<u64, AgentError>>;
    fn handle(&mut self, Panic { later }: Panic, _: &mut Self::Context) -> Self::Result {
        assert!(later, "the handler fell");
        Box::pin(async {
            tokio::task::yield_now().await;
            panic!("the handler's future fell")
        })
    }
}

impl Handler<Fail> for Worker {
    type Result = Result<u64, AgentError>;
    fn handle(&mut self, Fail { code }: Fail, _: &mut Self::Context) -> Self::Result {
        Err(AgentError::new(code, "as was asked for"))
    }
}

impl Handler<Wait> for Worker {
    type Result = ResponseActFuture<Self, Result<u64, AgentError>>;
    fn handle(&mut self, _: Wait, _: &mut Self::Context) -> Self::Result {
        Box::pin(std::future::pending::<()>().into_actor(self).map(|(), _, _| Ok(0)))
    }
}

impl Handler<Relay> for Worker {
    type Result = ResponseFuture<Result<u64, AgentError>>;
    fn handle(&mut self, Relay { to, n }: Relay, _: &mut Self::Context) -> Self::Result {
        let (messenger, from) = (self.messenger.clone(), name(self.name));
        Box::pin(async move { messenger.request(&from, &name(&to), Double { n }, PATIENCE).await.map_err(passed_on) })
    }
}

impl Handler<Round> for Worker {
    type Result = ResponseFuture<Result<u64, AgentError>>;
    fn handle(&mut self, Round { mut way, timeout_ms }: Round, _: &mut Self::Context) -> Self::Result {
        let (messenger, from) = (self.messenger.clone(), name(self.name));
        Box::pin(async move {
            if way.is_empty() {
                return std::future::pending().await;
            }
            let next = name(&way.remove(0));
            let timeout = Duration::from_millis(timeout_ms);
            messenger.request(&from, &next, Round { way, timeout_ms }, timeout).await.map_err(passed_on)
        })
    }
}

impl Handler<Say> for Worker {
    type Result = Result<u64, AgentError>;
    fn handle(&mut self, Say { subject, text }: Say, _: &mut Self::Context) -> Self::Result {
        self.messenger.publish(&name(self.name), &subject, text.into_bytes()).map(|()| 0).map_err(passed_on)
    }
}

fn passed_on(error: RequestError) -> AgentError {
    match error {
        RequestError::Agent(error) => error,
        RequestError::Timeout => AgentError::new(408, "a time-out"),
        other => AgentError::new(500, other.to_string()),
    }
}

/// An agent of that name; `lives` counts its actors.
pub fn counted_worker(agent: &'static str, lives: &Arc<AtomicUsize>) -> InProcessBuilder<Worker> {
    let lives = lives.clone();
    let soon = Duration::from_millis(500);
    let make = move |messenger: &Messenger| {
        lives.fetch_add(1, Ordering::SeqCst);
        Worker { messenger: messenger.clone(), name: agent, count: 0, lives: lives.clone() }
    };
    InProcess::service(name(agent), make)
        .description("answers the tests")
        .backoff(Backoff { max: 0, initial: soon, factor: 1.0, cap: soon, jitter: 0.0 })
        .answers::<Double>()
        .answers::<Count>()
        .answers::<Panic>()
        .answers::<Fail>()
        .answers::<Wait>()
        .answers::<Relay>()
        .answers::<Round>()
        .answers::<Say>()
}

/// An agent of that name.
pub fn worker(agent: &'static str) -> InProcess {
    counted_worker(agent, &Arc::default()).build()
}

/// A program: a shell that speaks the protocol of the bus. It doubles, fails, relays a question to an actor, and waits.
pub const SHELL: &str = r#"
[[agent]]
name = "shell"
ready = { after = "0s" }
command = ["bash", "shell.sh"]
"#;

/// What the program does.
pub const SHELL_SCRIPT: &str = r#"
address=${NATS_SERVER#nats://}
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
say() { printf '%s\r\n' "$@" >&3; }
publish() { say "PUB $1 $2${2:+ }${#3}" "$3"; }
say "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"user\":\"$NATS_USER\",\"pass\":\"$NATS_PASSWORD\"}"
say "SUB rpc.shell.> 1" "SUB _INBOX.shell.* 2" PING
teapot=$'NATS/1.0\r\nNats-Service-Error: a teapot\r\nNats-Service-Error-Code: 418\r\n\r\n'
while IFS= read -r line <&3; do
    line=${line%$'\r'}
    set -- $line
    case $1 in
    PING) say PONG; continue ;;
    HMSG) while IFS= read -r header <&3; header=${header%$'\r'}; [ -n "$header" ]; do last=$header; done ;;
    MSG) ;;
    *) continue ;;
    esac
    IFS= read -r payload <&3
    payload=${payload%$'\r'}
    number=${payload//[^0-9]/}
    case $2 in
    rpc.shell.double) publish "$4" "" "$((number * 2))" ;;
    rpc.shell.fail) say "HPUB $4 ${#teapot} ${#teapot}" "$teapot" ;;
    rpc.shell.relay) asker=$4; publish rpc.actor.double _INBOX.shell.1 "{\"n\":$number}" ;;
    rpc.shell.round) publish rpc.actor.round _INBOX.shell.2 '{"way":[],"timeout_ms":5000}' ;;
    rpc.shell.panic) asker=$4; publish rpc.actor.panic _INBOX.shell.3 '{"later":false}' ;;
    _INBOX.shell.1) publish "$asker" "" "$payload" ;;
    _INBOX.shell.3) publish "$asker" "" 7; publish shell.heard "" "$last" ;;
    esac
done
"#;
