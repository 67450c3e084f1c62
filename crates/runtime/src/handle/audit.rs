//! Who did what, and requests that are done once.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use werkpilot_core::audit::{Broken, Entry, Sealed, in_words, payload, told};
use werkpilot_core::dispatcher::Admission;
use werkpilot_core::idempotency::{Key, Remembered};
use werkpilot_core::ids::RunId;
use werkpilot_core::time::Timestamp;
use werkpilot_store::reader::{AuditFilter, AuditPage};
use werkpilot_store::row::idempotency::KeyRow;
use werkpilot_store::{Change, Reader, StoreError};

use super::{ControlError, Handle, RunRequest, not_kept};
use crate::agents::reload::{ReloadError, ReloadReport};
use crate::clock::Clock;
use crate::state::{ExecutionView, ReadError};
use crate::view::short_reason;

/// An entry of the audit log, as it is told.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditView {
    /// Counts from 1, without gaps.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub who: String,
    /// Over which way: `control_socket`, `token`, `session`, `anonymous`, `signal` or `file`.
    pub way: String,
    /// From where, if it came over the network.
    pub peer: Option<String>,
    /// What was asked for: method and path of the route, or `reload`.
    pub action: String,
    /// The same in words: `stopped an agent`.
    #[serde(default)]
    #[schema(required)]
    pub what: String,
    /// What it was done to.
    pub target: Option<String>,
    /// How it was before.
    pub before: Value,
    /// How it is since.
    pub after: Value,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why it was not done.
    pub detail: Option<String>,
    /// The SHA-256 of this entry and of the one before.
    pub hash: String,
    /// The hash of the entry before.
    pub prev: String,
}

impl From<Sealed> for AuditView {
    fn from(Sealed { id, entry, prev, hash }: Sealed) -> Self {
        let Entry { time, who, way, peer, action, target, before, after, status, detail } = entry;
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let (before, after) = (value(before), value(after));
        let (hash, prev) = (hash.to_string(), prev.to_string());
        let what = in_words(&action).to_owned();
        Self { id, time, who, way, peer, action, what, target, before, after, status, detail, hash, prev }
    }
}

/// A page of the audit log, as it is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AuditPageView {
    /// The entries, newest first.
    pub entries: Vec<AuditView>,
    /// Where the next page begins; null: there is none. A page with few entries may have a next one.
    pub next: Option<String>,
    /// Whether the chain holds, as far as this page looked at it.
    pub verified: bool,
    /// The first place at which it does not.
    pub broken: Option<String>,
    /// Entries that wait in memory for the disk.
    pub waiting: usize,
}

impl AuditPageView {
    /// The page, with so many entries that wait.
    pub fn of(page: AuditPage, waiting: usize) -> Self {
        Self {
            entries: page.entries.into_iter().map(AuditView::from).collect(),
            next: page.next.map(|next| next.to_string()),
            verified: page.broken.is_none(),
            broken: page.broken.as_ref().map(Broken::to_string),
            waiting,
        }
    }
}

/// What became of an execution whose id was chosen before.
#[derive(Debug)]
pub enum MadeBefore {
    /// Nobody has heard of it.
    Not,
    /// It was accepted and has not begun.
    Accepted,
    /// It is what this says.
    Known(Box<ExecutionView>),
}

/// The value of a dotted key.
fn dotted<'a>(all: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(all, |value, part| &value[part])
}

impl Handle {
    /// Writes down who did what; resolves once it is on disk, or held in memory because the disk is not well.
    pub async fn audit(&self, entry: Entry) {
        let _ = self.audit.write(entry).await;
    }

    /// Follows the chain of the audit log once the fleet is up; what is wrong with it is in the log.
    pub(crate) async fn verify_audit(self) {
        if self.booted().await {
            self.audit.verify().await;
        }
    }

    /// A page of the audit log.
    ///
    /// # Errors
    /// [`ControlError`]: the disk does not answer.
    pub async fn audit_page(&self, filter: AuditFilter) -> Result<AuditPageView, ControlError> {
        let page = match self.ledger.read(move |reader| reader.audit(&filter)).await {
            Err(ReadError::NotKept) => AuditPage::default(),
            page => page?,
        };
        Ok(AuditPageView::of(page, self.audit.waiting()))
    }

    /// How an agent stands, for the audit log; null: there is none, or nobody answers.
    pub async fn standing(&self, agent: &str) -> Value {
        let wanted = agent.to_owned();
        let standing = self.consult(move |house| {
            let index = house.directory.borrow().find(&wanted)?;
            let dispatcher = house.dispatcher.borrow();
            let status = dispatcher.status(index);
            Some(json!({ "status": status, "reason": short_reason(&dispatcher, index, status) }))
        });
        standing.await.ok().flatten().unwrap_or_default()
    }

    /// The same of a dead letter: of its payload, length and digest.
    pub async fn standing_of_letter(&self, id: u64) -> Value {
        let Ok(letter) = self.dead_letter(id).await else { return Value::Null };
        json!({
            "agent": letter.agent,
            "signature": letter.signature,
            "state": letter.standing.state,
            "payload": payload(letter.execution.payload.as_deref()),
        })
    }

    /// Reads the files again as [`Handle::reload`] does; answers with it what is different: how it was, and how it is since.
    pub async fn reload_told(
        &self,
        by: &str,
        quiet: bool,
        expected: Option<u64>,
    ) -> (Result<ReloadReport, ControlError>, Value, Value) {
        let settings = async || self.settings().await.ok().and_then(|settings| serde_json::to_value(&*settings).ok());
        let before = settings().await.unwrap_or_default();
        let report = match self.reload_if(by, quiet, expected).await {
            Ok(report) => report,
            Err(error) => return (Err(error), Value::Null, Value::Null),
        };
        let after = settings().await.unwrap_or_default();
        let of_settings = |all: &Value| {
            let value = |key: &String| (key.clone(), dotted(all, key).clone());
            Value::Object(report.settings.iter().map(value).collect())
        };
        let told = json!({ "added": report.added, "removed": report.removed, "changed": report.changed });
        let before = json!({ "settings": of_settings(&before) });
        let after = json!({ "agents": told, "settings": of_settings(&after) });
        (Ok(report), before, after)
    }

    /// The same for what no route asks for, a signal or a changed file: it is written down here. Nothing is, where nothing
    /// changed.
    pub async fn reload_by_itself(&self, by: &str, way: &str, quiet: bool) {
        let time = Clock::wall();
        let (result, before, after) = self.reload_told(by, quiet, None).await;
        let detail = match &result {
            Ok(report) if report.is_nothing() => return,
            Ok(_) => None,
            Err(ControlError::Reload(ReloadError::Faults(fault))) => {
                Some(format!("{} faults; {}", fault.count, fault.first))
            }
            Err(error) => Some(error.to_string()),
        };
        let (before, after) = if result.is_ok() { (told(&before), told(&after)) } else { (None, None) };
        let entry = Entry {
            time,
            who: by.to_owned(),
            way: way.to_owned(),
            action: "reload".to_owned(),
            before,
            after,
            detail,
            ..Entry::default()
        };
        self.audit(entry).await;
    }

    /// What is remembered of a key on disk.
    ///
    /// # Errors
    /// [`ControlError`]: the disk does not answer.
    pub async fn remembered(&self, key: Key) -> Result<Option<Remembered>, ControlError> {
        match self.ledger.read(move |reader| reader.key(key.digest())).await {
            Err(ReadError::NotKept) => Ok(None),
            row => Ok(row?.map(|row| row.remembered)),
        }
    }

    /// Remembers something of a key; it is on disk then.
    ///
    /// # Errors
    /// [`ControlError::NotKept`]
    pub async fn remember(&self, key: Key, remembered: Remembered) -> Result<(), ControlError> {
        let row = KeyRow { key: key.digest(), remembered };
        self.ledger.kept(vec![Change::PutKey(Box::new(row))]).await.map_err(not_kept)
    }

    /// The same where nobody waits for it: with the next commit, or when the disk is well again.
    pub fn remember_soon(&self, key: Key, remembered: Remembered) {
        let row = KeyRow { key: key.digest(), remembered };
        self.ledger.post(vec![Change::PutKey(Box::new(row))]);
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`ControlError::NotKept`]
    pub async fn forget_key(&self, key: Key) -> Result<(), ControlError> {
        self.ledger.kept(vec![Change::DropKey(key.digest())]).await.map_err(not_kept)
    }

    /// What became of an execution that was to have this id.
    ///
    /// # Errors
    /// [`ControlError`]: nobody answers.
    pub async fn made_before(&self, run: RunId) -> Result<MadeBefore, ControlError> {
        match self.execution(run).await {
            Ok(view) => return Ok(MadeBefore::Known(Box::new(view))),
            Err(ControlError::ForgottenRun(_)) => {}
            Err(error) => return Err(error),
        }
        let knows = move |reader: &Reader| -> Result<bool, StoreError> { reader.knows_run(run) };
        match self.ledger.read(knows).await {
            Ok(true) => Ok(MadeBefore::Accepted),
            Ok(false) | Err(ReadError::NotKept) => Ok(MadeBefore::Not),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for an execution by hand under an id that was chosen before, as [`Handle::run`] does. An id is accepted once.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn run_as(&self, request: RunRequest, run: RunId) -> Result<Admission, ControlError> {
        self.run_with(request, Some(run)).await
    }
}
