//! In-process agents: actors that live on the bus's arbiter, and how they are described.

use std::any::{Any, TypeId};
use std::rc::Rc;

use actix::prelude::*;
use tokio::sync::oneshot;
use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{AgentSpec, Dependency, Priority, Program, Ready, ReadyCheck, RestartPolicy};

use super::messenger::Messenger;
use super::query::{AgentError, Query};
use crate::supervision;

/// Hands a JSON question to an actor; the answer is JSON, too.
pub(super) type JsonHandler = Rc<dyn Fn(&[u8]) -> JsonAnswer>;
/// An answer that is on its way. It does not come if the actor ends.
pub(super) type JsonAnswer = std::pin::Pin<Box<dyn Future<Output = Result<Answered, MailboxError>>>>;
/// JSON, or why there is none.
pub(super) type Answered = Result<Vec<u8>, AgentError>;

/// One question that an actor answers.
pub(super) struct Route {
    pub query: TypeId,
    /// A `Recipient<Q>`.
    pub recipient: Rc<dyn Any>,
    pub endpoint: &'static str,
    pub json: JsonHandler,
}

/// A running actor of an in-process agent.
pub(super) struct Running {
    pub routes: Vec<Route>,
    /// Stops it when sent to, or dropped.
    pub stop: oneshot::Sender<()>,
}

type Make = Box<dyn Fn(&Messenger, ExitGuard) -> Running + Send>;

/// Tells of the end of an actor, also when a panic unwinds: what the panic said, if it was one.
pub(super) struct ExitGuard(pub Option<Box<dyn FnOnce(Option<String>)>>);

impl Drop for ExitGuard {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(std::thread::panicking().then(supervision::last_panic));
        }
    }
}

/// Lives in the actor's context: ends with it, and ends it when it is to stop.
struct Leash {
    stop: oneshot::Receiver<()>,
    _guard: ExitGuard,
}

impl<A: Actor<Context = Context<A>>> fut::ActorFuture<A> for Leash {
    type Output = ();

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut A,
        ctx: &mut Context<A>,
        task: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        let stop = std::pin::pin!(&mut self.get_mut().stop);
        if stop.poll(task).is_ready() {
            ctx.stop();
        }
        // It goes with the context.
        std::task::Poll::Pending
    }
}

/// An in-process agent: its definition, and how its actor is made at each start.
pub struct InProcess {
    pub(crate) spec: AgentSpec,
    pub(super) make: Make,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl InProcess {
    /// An agent whose actor `make` makes, at its first start and after each end. It runs as a service: a panic in a
    /// handler is its failure, after which it is started again as its policy says.
    ///
    /// It shares a thread with the bus and all other in-process agents: a handler must not block.
    pub fn service<A: Actor<Context = Context<A>>>(
        name: AgentName,
        make: impl Fn(&Messenger) -> A + Send + 'static,
    ) -> InProcessBuilder<A> {
        let mut spec = AgentSpec::service_named(name, Program::InProcess);
        if let Some(service) = spec.service_mut() {
            // An actor answers as soon as it is there.
            service.ready = Ready { check: ReadyCheck::After(std::time::Duration::ZERO), ..service.ready.clone() };
        }
        InProcessBuilder { spec, make: Box::new(make), routes: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> &AgentName {
        &self.spec.name
    }

    /// Its definition.
    pub fn spec(&self) -> &AgentSpec {
        &self.spec
    }
}

/// Makes the route of one question to an actor.
type MakeRoute<A> = Box<dyn Fn(&Addr<A>) -> Route + Send>;

/// Describes an in-process agent.
pub struct InProcessBuilder<A: Actor<Context = Context<A>>> {
    spec: AgentSpec,
    make: Box<dyn Fn(&Messenger) -> A + Send>,
    routes: Vec<MakeRoute<A>>,
}

impl<A: Actor<Context = Context<A>>> std::fmt::Debug for InProcessBuilder<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcessBuilder").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl<A: Actor<Context = Context<A>>> InProcessBuilder<A> {
    /// It answers this question, from actors and from programs.
    #[must_use]
    pub fn answers<Q: Query>(mut self) -> Self
    where
        A: Handler<Q>,
    {
        self.routes.push(Box::new(|actor| {
            let recipient = actor.clone().recipient::<Q>();
            Route {
                query: TypeId::of::<Q>(),
                recipient: Rc::new(recipient.clone()),
                endpoint: Q::ENDPOINT,
                json: Rc::new(move |payload| json_answer(&recipient, payload)),
            }
        }));
        self
    }

    /// The department that it belongs to.
    #[must_use]
    pub fn department(mut self, department: impl Into<String>) -> Self {
        self.spec.department = department.into();
        self
    }

    /// What it is for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.spec.description = description.into();
        self
    }

    /// How important it is.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.spec.priority = priority;
        self
    }

    /// It is started once this one is healthy.
    #[must_use]
    pub fn depends_on(mut self, dependency: Dependency) -> Self {
        self.spec.dependencies.push(dependency);
        self
    }

    /// When it is started again.
    #[must_use]
    pub fn restart(mut self, restart: RestartPolicy) -> Self {
        if let Some(service) = self.spec.service_mut() {
            service.restart = restart;
        }
        self
    }

    /// How long it waits before it is started again.
    #[must_use]
    pub fn backoff(mut self, backoff: werkpilot_core::spec::Backoff) -> Self {
        if let Some(service) = self.spec.service_mut() {
            service.backoff = backoff;
        }
        self
    }

    /// Done.
    pub fn build(self) -> InProcess {
        let Self { spec, make, routes } = self;
        let make: Make = Box::new(move |messenger, guard| {
            let (stop, stopped) = oneshot::channel();
            let addr = A::create(|ctx| {
                // What waits for it is bounded where it is asked.
                ctx.set_mailbox_capacity(0);
                ctx.spawn(Leash { stop: stopped, _guard: guard });
                make(messenger)
            });
            Running { routes: routes.iter().map(|route| route(&addr)).collect(), stop }
        });
        InProcess { spec, make }
    }
}

fn json_answer<Q: Query>(recipient: &Recipient<Q>, payload: &[u8]) -> JsonAnswer {
    // Without a payload a question without fields is asked.
    let payload = if payload.is_empty() { b"null" } else { payload };
    let question = match serde_json::from_slice::<Q>(payload) {
        Ok(question) => question,
        Err(error) => {
            let error = AgentError::new(400, format!("the question is not what is expected: {error}"));
            return Box::pin(async { Ok(Err(error)) });
        }
    };
    let sent = recipient.send(question);
    Box::pin(async move {
        let unwritable = |error| AgentError::new(500, format!("its answer can't be written as JSON: {error}"));
        Ok(sent.await?.and_then(|response| serde_json::to_vec(&response).map_err(unwritable)))
    })
}
