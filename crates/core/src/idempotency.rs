//! Requests that are made again under the same key are done once: what is to happen with one, and what is remembered of it.
//!
//! Before a request is done, its key is kept with a digest of the request and the id under which its execution will run.
//! So whoever asks again after a crash goes on with that id, and an id is accepted once. Never reads a clock.

use std::time::Duration;

use crate::digest::{Digest, Parts};
use crate::ids::RunId;
use crate::time::Timestamp;

/// How long a key is remembered.
pub const KEEP: Duration = Duration::from_hours(24);
/// Keys that are remembered, however young.
pub const KEYS: u64 = 10_000;
/// Characters of a key at most.
pub const LONGEST: usize = 128;
/// Bytes of an answer that is remembered at most. Answers of what takes keys have some hundred.
pub const ANSWER: usize = 64 << 10;

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to 128 visible ASCII characters, for example a UUID")]
pub struct BadKey;

/// A key of somebody: the same text of another one is another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Digest);

impl Key {
    /// The key that `who` gave.
    ///
    /// # Errors
    /// [`BadKey`]
    pub fn new(who: &str, text: &str) -> Result<Self, BadKey> {
        let good = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let parts = || Parts::of("werkpilot idempotency key 1").bytes(who.as_bytes()).bytes(text.as_bytes());
        if good { Ok(Self(parts().finish())) } else { Err(BadKey) }
    }

    /// The key as it is kept.
    pub const fn digest(self) -> Digest {
        self.0
    }
}

/// What tells two requests apart: method, path with query, and body.
pub fn fingerprint(method: &str, path: &str, body: &[u8]) -> Digest {
    Parts::of("werkpilot request 1").bytes(method.as_bytes()).bytes(path.as_bytes()).bytes(body).finish()
}

/// What is remembered of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Since when.
    pub at: Timestamp,
    /// Of the request.
    pub request: Digest,
    /// The id of its execution.
    pub run: RunId,
    /// How it was answered; `None`: that is not known.
    pub answer: Option<Answer>,
}

/// An answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its JSON.
    pub body: String,
}

/// What is to be done with a request.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is new: keep it, then do it.
    Begin,
    /// It was begun and cut off at this time: do it with the id that was chosen then.
    Resume {
        /// The id.
        run: RunId,
        /// When it was begun.
        since: Timestamp,
    },
    /// It was done: this was the answer.
    Repeat(Answer),
    /// It is being done.
    InProgress,
    /// The key belongs to another request.
    Mismatch,
}

/// Decides. `in_progress`: a request of this key is being done at the moment.
pub fn decide(remembered: Option<&Remembered>, request: Digest, in_progress: bool, now: Timestamp) -> Verdict {
    let known = remembered.filter(|known| now.since(known.at) < KEEP);
    match known {
        Some(known) if known.request != request => Verdict::Mismatch,
        _ if in_progress => Verdict::InProgress,
        None => Verdict::Begin,
        Some(Remembered { answer: Some(answer), .. }) => Verdict::Repeat(answer.clone()),
        Some(Remembered { run, at, .. }) => Verdict::Resume { run: *run, since: *at },
    }
}

/// What is done with a key once its request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// The answer is given again from now on.
    Remember,
    /// Nothing was done, and the next time may go better: the key is new again.
    Forget,
    /// Whether something was done is not known: the next time goes on with the same id.
    Keep,
}

/// Decides what an answer means for its key.
///
/// | answer | why | key |
/// |---|---|---|
/// | 2xx | it was done | remembered |
/// | 409 | it was decided: refused, skipped, in the wrong state | remembered |
/// | other 4xx | it was not understood, or nobody of that name is there | forgotten |
/// | 5xx, `undone` | it was refused without any effect: the queue or the disk is full | forgotten |
/// | other 5xx | the orchestrator did not say in time | kept |
pub const fn after(status: u16, undone: bool) -> Afterwards {
    match status {
        200..=299 | 409 => Afterwards::Remember,
        400..=499 => Afterwards::Forget,
        _ if undone => Afterwards::Forget,
        _ => Afterwards::Keep,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn run() -> RunId {
        RunId::from_parts(1_000, 7)
    }

    fn remembered(answer: Option<Answer>) -> Remembered {
        Remembered { at: Timestamp::from_secs(100), request: Digest::of(b"one"), run: run(), answer }
    }

    fn accepted() -> Answer {
        Answer { status: 202, body: "{}".to_owned() }
    }

    #[rstest]
    #[case::new(None, b"one", false, 100, Verdict::Begin)]
    #[case::at_the_same_time(None, b"one", true, 100, Verdict::InProgress)]
    #[case::cut_off(Some(remembered(None)), b"one", false, 200, Verdict::Resume { run: run(), since: Timestamp::from_secs(100) })]
    #[case::being_done(Some(remembered(None)), b"one", true, 200, Verdict::InProgress)]
    #[case::done(Some(remembered(Some(accepted()))), b"one", false, 200, Verdict::Repeat(accepted()))]
    #[case::another(Some(remembered(Some(accepted()))), b"two", false, 200, Verdict::Mismatch)]
    #[case::another_meanwhile(Some(remembered(None)), b"two", true, 200, Verdict::Mismatch)]
    #[case::the_last_moment(Some(remembered(Some(accepted()))), b"one", false, 86_499, Verdict::Repeat(accepted()))]
    #[case::forgotten(Some(remembered(Some(accepted()))), b"two", false, 86_500, Verdict::Begin)]
    #[case::the_clock_was_set_back(Some(remembered(None)), b"one", false, 1, Verdict::Resume { run: run(), since: Timestamp::from_secs(100) })]
    fn a_request_is_begun_once(
        #[case] known: Option<Remembered>,
        #[case] request: &[u8],
        #[case] in_progress: bool,
        #[case] now: i64,
        #[case] verdict: Verdict,
    ) {
        assert_eq!(decide(known.as_ref(), Digest::of(request), in_progress, Timestamp::from_secs(now)), verdict);
    }

    #[rstest]
    #[case(200, false, Afterwards::Remember)]
    #[case(202, false, Afterwards::Remember)]
    #[case(409, false, Afterwards::Remember)]
    #[case(404, false, Afterwards::Forget)]
    #[case(413, false, Afterwards::Forget)]
    #[case(503, true, Afterwards::Forget)]
    #[case(503, false, Afterwards::Keep)]
    #[case(500, false, Afterwards::Keep)]
    fn what_was_decided_is_remembered(#[case] status: u16, #[case] undone: bool, #[case] then: Afterwards) {
        assert_eq!(after(status, undone), then);
    }

    #[rstest]
    #[case("4f7c1b2e-0000-7000-8000-000000000000", true)]
    #[case("a", true)]
    #[case("", false)]
    #[case("two words", false)]
    #[case("umlaut-ü", false)]
    #[case("line\nend", false)]
    fn a_key_is_visible_text(#[case] text: &str, #[case] good: bool) {
        assert_eq!(Key::new("ada", text).is_ok(), good);
    }

    #[test]
    fn a_key_has_its_bound_and_its_owner() {
        assert!(Key::new("ada", &"k".repeat(LONGEST)).is_ok());
        assert_eq!(Key::new("ada", &"k".repeat(LONGEST + 1)), Err(BadKey));
        assert_ne!(Key::new("ada", "k"), Key::new("bob", "k"));
        assert_ne!(Key::new("ada", "kk"), Key::new("adak", "k"));
    }

    proptest! {
        /// Whatever is answered and cut off, in whatever order: an id is chosen once as long as the key is remembered.
        #[test]
        fn a_key_has_one_id_until_it_is_forgotten(steps in proptest::collection::vec((0..4_u8, 0..50_000_i64), 1..60)) {
            let request = Digest::of(b"one");
            let (mut kept, mut now, mut begun) = (None::<Remembered>, 0, 0_u128);
            for (step, pause) in steps {
                now += pause;
                let at = Timestamp::from_secs(now);
                let run = match decide(kept.as_ref(), request, false, at) {
                    Verdict::Begin => {
                        begun += 1;
                        let fits = kept.as_ref().is_none_or(|kept| at.since(kept.at) >= KEEP);
                        prop_assert!(fits, "an id is chosen only where none is remembered");
                        let run = RunId::from_parts(1, begun << 4);
                        kept = Some(Remembered { at, request, run, answer: None });
                        run
                    }
                    Verdict::Resume { run, .. } => run,
                    Verdict::Repeat(answer) => {
                        prop_assert_eq!(Some(answer), kept.as_ref().and_then(|kept| kept.answer.clone()));
                        continue;
                    }
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert_eq!(kept.as_ref().map(|kept| kept.run), Some(run));
                match step {
                    0 => {} // Cut off.
                    1 => kept.as_mut().expect("it was begun").answer = Some(accepted()),
                    _ => match after([404, 503][usize::from(step - 2)], false) {
                        Afterwards::Forget => kept = None,
                        Afterwards::Keep => {}
                        Afterwards::Remember => return Err(TestCaseError::fail("nothing was done")),
                    },
                }
            }
        }
    }
}
