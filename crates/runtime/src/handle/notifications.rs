//! Targets of notifications, seen from outside the arbiter.

use std::time::Duration;

use super::{ANSWER, ControlError, Handle};
use crate::observe::notifications::{Crash, NotificationView, TestResult, TestTargets, notifications};

/// Tests wait for their targets up to 10 s, all at once.
const TESTS: Duration = Duration::from_secs(13);

impl Handle {
    /// All targets with their counters.
    ///
    /// # Errors
    /// If the orchestrator does not answer.
    pub async fn notifications(&self) -> Result<Vec<NotificationView>, ControlError> {
        self.consult(notifications).await
    }

    /// Ends the notifier's actor by a panic: a drill. What waits goes on waiting, its successor takes over.
    pub fn crash_notifier(&self) {
        self.posts.notifier.tell(Crash);
    }

    /// Sends a test to one target, or to all, and tells what came of it.
    ///
    /// # Errors
    /// [`ControlError::UnknownTarget`], or the orchestrator does not answer.
    pub async fn test_notifications(&self, name: Option<&str>, by: &str) -> Result<Vec<TestResult>, ControlError> {
        let test = TestTargets { name: name.map(ToOwned::to_owned), by: by.to_owned() };
        if let Some(results) = self.posts.notifier.ask(test, TESTS.max(ANSWER)).await? {
            return Ok(results);
        }
        let wanted = name.unwrap_or_default().to_owned();
        let known: Vec<String> = self.notifications().await?.into_iter().map(|target| target.name).collect();
        let suggestion = werkpilot_core::suggest::closest(&wanted, known.iter().map(String::as_str));
        Err(ControlError::UnknownTarget { suggestion: suggestion.map(ToOwned::to_owned), name: wanted })
    }
}
