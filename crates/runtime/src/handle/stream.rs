//! What happens, live.

use werkpilot_core::stream::Place;
use werkpilot_store::reader::EventFilter;

use super::{ANSWER, ControlError, Handle};
use crate::observe::events::Subscribe;
use crate::observe::stream::Subscription;

impl Handle {
    /// Listens to the facts that fit, after the `last` one that the listener has, else from now on.
    ///
    /// # Errors
    /// [`ControlError::TooManyStreams`], or that the event log does not answer.
    pub async fn stream(&self, filter: EventFilter, last: Option<Place>) -> Result<Subscription, ControlError> {
        let subscription = self.posts.events.ask(Subscribe { filter, last }, ANSWER).await?;
        subscription.ok_or(ControlError::TooManyStreams)
    }
}
