//! The targets as API and CLI show them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use werkpilot_core::notifications::Channel;
use werkpilot_core::time::{Timestamp, as_ms};

use super::answer::Answer;
use super::book::Target;
use crate::house::House;

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: String,
}

/// A target with its counters, which count from the start of the orchestrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationView {
    /// Its name.
    pub name: String,
    /// `webhook` or `command`.
    pub kind: String,
    /// Where it goes: scheme, host and port of a webhook, the program of a command.
    pub to: String,
    /// Types of events that it wants.
    pub events: Vec<String>,
    /// Whether what it is sent is signed.
    pub signed: bool,
    /// Events delivered.
    pub sent: u64,
    /// Summaries of what was left out, delivered.
    pub summaries: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Events left out by the rate.
    pub suppressed: u64,
    /// Events lost: by the bound of the queue, or given up.
    pub dropped: u64,
    /// Messages that wait, the one under way included.
    pub queued: u64,
    /// Tries in a row that failed.
    pub failures_in_a_row: u32,
    /// What went wrong last.
    pub last_error: Option<LastError>,
    /// When one was delivered last.
    pub last_success: Option<Timestamp>,
    /// When the next try is, if it waits for one.
    pub next_try: Option<Timestamp>,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// Of which target.
    pub name: String,
    /// Where it went.
    pub to: String,
    /// Whether it arrived.
    pub ok: bool,
    /// The status of the HTTP answer, or the exit code of the command.
    pub status: Option<i32>,
    /// How long it took.
    pub latency_ms: f64,
    /// What went wrong.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl TestResult {
    pub(super) fn of(name: String, to: String, answer: Answer) -> Self {
        Self {
            name,
            to,
            ok: answer.error.is_none(),
            status: answer.status,
            latency_ms: as_ms(answer.took),
            error: answer.error,
            hint: answer.hint.map(ToOwned::to_owned),
        }
    }
}

/// Where a target's messages go, as it may be shown.
pub(super) fn shown(channel: &Channel) -> String {
    match channel {
        Channel::Url(url) => url.to_string(),
        // Its arguments may have a token.
        Channel::Command(argv) => argv.first().cloned().unwrap_or_default(),
    }
}

/// All targets.
pub fn notifications(house: &House) -> Vec<NotificationView> {
    let now = house.now();
    let view = |target: &Target| {
        let (tally, settings) = (target.mailbox.tally(), &target.settings);
        NotificationView {
            name: settings.name.clone(),
            kind: if matches!(settings.channel, Channel::Url(_)) { "webhook" } else { "command" }.to_owned(),
            to: shown(&settings.channel),
            events: settings.filter.events.iter().map(ToString::to_string).collect(),
            signed: settings.secret_file.is_some(),
            sent: tally.sent,
            summaries: tally.summaries,
            failed: tally.failed,
            suppressed: tally.suppressed,
            dropped: tally.dropped,
            queued: u64::try_from(target.mailbox.len()).unwrap_or(u64::MAX),
            failures_in_a_row: target.mailbox.failures_in_a_row(),
            last_error: target.last_error.clone().map(|(at, message)| LastError { at, message }),
            last_success: target.last_success,
            next_try: target.mailbox.next_deadline().map(|at| now.wall + at.since(now.steady)),
        }
    };
    house.notifications.borrow().targets.iter().map(view).collect()
}
