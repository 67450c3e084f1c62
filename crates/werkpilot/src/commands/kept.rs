//! What is on disk, for commands that work without a running orchestrator, too.

use werkpilot_core::time::Timestamp;
use werkpilot_store::{FILE, Reader, StoreError};

use super::{Context, now};
use crate::client::Client;
use crate::failure::{Code, Failure};
use crate::find;

impl Context {
    /// Asks the running orchestrator; where none runs, the disk.
    pub fn online_or_kept<T>(
        &self,
        online: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
        kept: impl FnOnce(&Reader) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let dir = find::state_dir(&self.options)?;
        // Only where nobody is: one that is there and does not answer is told as it is.
        match Client::connect(&dir) {
            Err(failure) if failure.code == Code::Unavailable && dir.join(FILE).is_file() => {
                kept(&Reader::open(&dir).map_err(unreadable)?)
            }
            _ => self.online(async |client| online(&client).await),
        }
    }
}

/// The disk could not be read.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn unreadable(error: StoreError) -> Failure {
    let damaged = matches!(error, StoreError::Damaged { .. });
    let failure = Failure::of(if damaged { Code::Data } else { Code::Io }, &error);
    let what = format!("failed to {}", failure.what);
    let failure = Failure { what, ..failure };
    if damaged {
        failure.hint("`werkpilot state check` tells how far, `werkpilot state restore FILE` brings back a backup")
    } else {
        failure
    }
}

/// Reads a time in the past as people write it: `2h` (ago), `2026-11-21`, `2026-11-21T08:40:00Z`.
pub fn past(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = werkpilot_config::parse_duration(text) {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(Timestamp::from_millis(now().as_millis().saturating_sub(ago)));
    }
    let is_day = text.len() == "2026-11-21".len();
    let time = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = serde_json::from_value::<Timestamp>(serde_json::Value::String(time));
    time.map_err(|_| {
        "write how long ago (\"2h\", \"7d\"), a day (2026-11-21, UTC) or a time (2026-11-21T08:40:00Z)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_written_as_people_say_it() {
        assert_eq!(past("2026-11-21"), Ok(Timestamp::from_millis(1_795_219_200_000)));
        assert_eq!(past("2026-11-21T08:40:00+01:00"), Ok(Timestamp::from_millis(1_795_246_800_000)));
        let ago = now().as_millis() - past("2h").unwrap().as_millis();
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        assert!(past("yesterday").is_err());
    }
}
