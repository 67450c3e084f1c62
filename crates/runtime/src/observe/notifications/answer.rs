//! How a try ended, for the mailbox and for people.

use std::time::Duration;

use werkpilot_core::notifications::Outcome;

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the mailbox.
    pub outcome: Outcome,
    /// The status of the HTTP answer, or the exit code of the command.
    pub status: Option<i32>,
    /// How long it took.
    pub took: Duration,
    /// What went wrong, if it did; never has a part of the address but scheme, host and port.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

/// What went wrong, before it is known how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub outcome: Outcome,
    pub status: Option<i32>,
    pub error: String,
    pub hint: Option<&'static str>,
}

impl Fault {
    /// It may go well the next time.
    pub fn new(error: impl Into<String>) -> Self {
        let outcome = Outcome::Failed { retry_after: None };
        Self { outcome, status: None, error: error.into(), hint: None }
    }

    /// With what to do about it.
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl Answer {
    /// From what came of it.
    pub fn of(result: Result<i32, Fault>, took: Duration) -> Self {
        match result {
            Ok(status) => Self { outcome: Outcome::Delivered, status: Some(status), took, error: None, hint: None },
            Err(Fault { outcome, status, error, hint }) => Self { outcome, status, took, error: Some(error), hint },
        }
    }
}

/// What an HTTP status means.
///
/// | status | |
/// |---|---|
/// | 2xx | delivered |
/// | 400, 413, 415, 422 | this message will never be taken: dropped at once |
/// | 429, 503 | failed; not before `Retry-After` (in seconds) |
/// | any other, redirects included | failed: whoever runs the endpoint can put it right |
pub fn of_status(status: u16, retry_after: Option<&str>) -> Result<i32, Fault> {
    let code = Some(i32::from(status));
    let asked = || retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let failed = Outcome::Failed { retry_after: None };
    let (outcome, hint) = match status {
        200..=299 => return Ok(i32::from(status)),
        300..=399 => (failed, Some("it redirects, which is not followed: write the address that it redirects to")),
        400 | 413 | 415 | 422 => (
            Outcome::Rejected,
            Some("it does not take CloudEvents as JSON: put a program between that translates them"),
        ),
        401 | 403 => (failed, Some("check user, password or token in `url`, and the key in `secret_file`")),
        404 | 405 | 410 => (failed, Some("check the path of `url`: nothing there takes a POST")),
        429 | 503 => (Outcome::Failed { retry_after: asked() }, Some("it has too much to do; the next try is later")),
        500..=599 => (failed, Some("look at the log of the endpoint")),
        _ => (failed, None),
    };
    Err(Fault { outcome, status: code, error: format!("it answered {status}"), hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_another_try_has_a_chance() {
        let outcome = |status, after| of_status(status, after).map_err(|fault| fault.outcome);
        let failed = |secs: Option<u64>| Err(Outcome::Failed { retry_after: secs.map(Duration::from_secs) });
        assert_eq!((outcome(200, None), outcome(204, None)), (Ok(200), Ok(204)));
        assert_eq!((outcome(422, None), outcome(400, None)), (Err(Outcome::Rejected), Err(Outcome::Rejected)));
        assert_eq!(
            (outcome(301, None), outcome(404, None), outcome(500, Some("9"))),
            (failed(None), failed(None), failed(None))
        );
        assert_eq!((outcome(429, Some(" 7 ")), outcome(503, Some("Fri, 31 Dec"))), (failed(Some(7)), failed(None)));
    }
}
