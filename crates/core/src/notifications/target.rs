//! A target of notifications: one `[[notify]]` of `werkpilot.toml`, with its defaults filled in.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Filter, WebhookUrl};
use crate::spec::Backoff;
use crate::time::exact;

/// Where notifications go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A POST to this address.
    Url(WebhookUrl),
    /// A program with its arguments, never through a shell; it finds the event on stdin.
    Command(Vec<String>),
}

/// How many messages may go within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// So many; at least 1.
    pub max: u32,
    /// In any such time.
    #[serde(serialize_with = "text")]
    pub per: Duration,
}

fn text<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&exact(*duration))
}

/// A target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotifyTarget {
    /// Unique name.
    pub name: String,
    /// Where it goes.
    #[serde(flatten)]
    pub channel: Channel,
    /// Where a command runs: the folder of the settings file.
    pub cwd: PathBuf,
    /// What it wants to hear.
    #[serde(flatten)]
    pub filter: Filter,
    /// How often.
    pub rate: Rate,
    /// The file with the key that signs, absolute; read at each delivery.
    pub secret_file: Option<PathBuf>,
    /// How long one try may take.
    #[serde(serialize_with = "text")]
    pub timeout: Duration,
    /// How a failed try is repeated.
    pub retry: Backoff,
    /// A message that is older when a try fails is given up.
    #[serde(serialize_with = "text")]
    pub max_age: Duration,
    /// Messages that are held at most, at least 1.
    pub queue: u32,
}

impl NotifyTarget {
    /// Enough for a burst that people can still read.
    pub const RATE: Rate = Rate { max: 60, per: Duration::from_mins(1) };
    /// Longer than an endpoint takes that works at all.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// With the delays of [`Self::RETRY_CAP`], about an hour and a half of tries.
    pub const RETRIES: u32 = 20;
    /// How soon a dead endpoint that came back is noticed.
    pub const RETRY_CAP: Duration = Duration::from_mins(5);
    /// Nobody acts on what is older than a day.
    pub const MAX_AGE: Duration = Duration::from_hours(24);
    /// About half a megabyte of events.
    pub const QUEUE: u32 = 1_000;

    /// How a failed try is repeated, unless the settings say otherwise.
    pub fn default_retry() -> Backoff {
        Backoff { max: Self::RETRIES, cap: Self::RETRY_CAP, ..Backoff::default() }
    }
}
