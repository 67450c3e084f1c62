//! An address that survives the restart of the actor behind it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::*;

/// Who is behind a post now. Cheap to clone; may be used from any thread.
pub struct Post<A: Actor>(Arc<Mutex<Option<Addr<A>>>>);

/// The actor did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nobody is at the post: the actor has died and is about to be started again, or the orchestrator is gone.
    #[error("the orchestrator's {0} is not there at the moment; try again")]
    Vacant(&'static str),
    /// The actor took too long.
    #[error("the orchestrator's {0} did not answer within {1:?}; try again")]
    TimedOut(&'static str, Duration),
}

impl<A: Actor> Post<A> {
    /// A post that nobody holds yet.
    pub fn vacant() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Puts an actor at the post.
    pub fn fill(&self, addr: Addr<A>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(addr);
    }

    /// Empties the post.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The actor at the post, if it is alive.
    pub fn addr(&self) -> Option<Addr<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(Addr::connected)
    }

    /// Whether both are the same post.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Tells a fact. It is lost if nobody is there, which is for facts that can be missed or are found out otherwise.
    pub fn tell<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        if let Some(addr) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            addr.do_send(message);
        }
    }

    /// Asks, and waits at most so long.
    ///
    /// # Errors
    /// [`Unavailable`] if nobody is there or no answer comes in time.
    pub async fn ask<M>(&self, message: M, timeout: Duration) -> Result<M::Result, Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let name = std::any::type_name::<A>().rsplit("::").next().unwrap_or("actor");
        let addr = self.addr().ok_or(Unavailable::Vacant(name))?;
        addr.send(message).timeout(timeout).await.map_err(|error| match error {
            MailboxError::Closed => Unavailable::Vacant(name),
            MailboxError::Timeout => Unavailable::TimedOut(name, timeout),
        })
    }
}

impl<A: Actor> Clone for Post<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> fmt::Debug for Post<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("filled", &self.addr().is_some()).finish()
    }
}
