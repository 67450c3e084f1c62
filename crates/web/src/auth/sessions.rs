//! Sessions of browsers: made with a login code or a token, gone with a logout, their time, or their token.
//!
//! Invariant: never more than [`SESSIONS`]; they live in memory only, so that a restart of the orchestrator ends them all.

use std::time::Duration;

use tokio::sync::watch;
use werkpilot_core::role::Role;
use werkpilot_core::time::{Clocks, Moment, Timestamp};

use super::principal::Tenure;
use super::secret::{SecretDigest, position};

/// How long a session lasts: a working day.
pub(crate) const SESSION_LIFE: Duration = Duration::from_hours(12);
/// Sessions at a time; who was away for longest gives way. Each was opened with a right code or token.
const SESSIONS: usize = 256;

/// What is known of whoever has the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The name, without its `session:`.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// The token that the session was opened with; it ends with it.
    pub token: Option<String>,
    /// When it ends by itself.
    pub expires: Timestamp,
}

#[derive(Debug)]
struct Session {
    digest: SecretDigest,
    owner: Owner,
    until: Moment,
    used: Moment,
    /// Dropped with the session: whoever streams sees it.
    alive: watch::Sender<()>,
}

/// Those that are open.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Vec<Session>);

impl Sessions {
    /// Opens one.
    pub fn open(
        &mut self,
        digest: SecretDigest,
        name: String,
        role: Role,
        token: Option<String>,
        now: Clocks,
    ) -> Owner {
        self.0.retain(|session| session.until > now.steady);
        if self.0.len() == SESSIONS
            && let Some((longest_away, _)) = self.0.iter().enumerate().min_by_key(|(_, session)| session.used)
        {
            self.0.swap_remove(longest_away);
        }
        let owner = Owner { name, role, token, expires: now.wall + SESSION_LIFE };
        let until = now.steady + SESSION_LIFE;
        self.0.push(Session { digest, owner: owner.clone(), until, used: now.steady, alive: watch::Sender::new(()) });
        owner
    }

    /// Whose cookie it is, and for how long yet.
    pub fn find(&mut self, digest: &SecretDigest, now: Moment) -> Option<(Owner, Tenure)> {
        let index = position(self.0.iter().map(|session| &session.digest), digest)?;
        if self.0[index].until <= now {
            self.0.swap_remove(index);
            return None;
        }
        let session = &mut self.0[index];
        session.used = now;
        let tenure = Tenure { alive: session.alive.subscribe(), left: Some(session.until.since(now)) };
        Some((session.owner.clone(), tenure))
    }

    /// Ends one.
    pub fn close(&mut self, digest: &SecretDigest) {
        if let Some(index) = position(self.0.iter().map(|session| &session.digest), digest) {
            self.0.swap_remove(index);
        }
    }

    /// Ends those that were opened with a token.
    pub fn close_of(&mut self, token: &str) {
        self.0.retain(|session| session.owner.token.as_deref() != Some(token));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn at(secs: u64) -> Clocks {
        Clocks { steady: Moment::from_secs(secs), wall: Timestamp::from_secs(1_000) }
    }

    fn open(sessions: &mut Sessions, secret: &str, token: Option<&str>, now: Clocks) {
        sessions.open(SecretDigest::of(secret), secret.to_owned(), Role::Viewer, token.map(ToOwned::to_owned), now);
    }

    #[test]
    fn a_session_is_found_until_its_time_is_over() {
        let mut sessions = Sessions::default();
        open(&mut sessions, "a", None, at(1));
        let (owner, tenure) = sessions.find(&SecretDigest::of("a"), Moment::from_secs(3_601)).unwrap();
        assert_eq!((owner.name.as_str(), owner.expires), ("a", Timestamp::from_secs(1_000 + 12 * 3_600)));
        assert_eq!(tenure.left, Some(Duration::from_hours(11)));
        assert!(sessions.find(&SecretDigest::of("b"), Moment::from_secs(1)).is_none());
        assert!(sessions.find(&SecretDigest::of("a"), Moment::from_secs(1) + SESSION_LIFE).is_none());
        assert!(sessions.0.is_empty());
    }

    #[test]
    fn who_logs_out_or_loses_the_token_loses_the_open_streams_too() {
        let mut sessions = Sessions::default();
        let names = ["a", "b", "c"];
        for (name, token) in names.into_iter().zip([None, Some("t"), Some("u")]) {
            open(&mut sessions, name, token, at(1));
        }
        let mut over = names.map(|name| sessions.find(&SecretDigest::of(name), Moment::from_secs(2)).unwrap().1.over());
        sessions.close(&SecretDigest::of("a"));
        sessions.close_of("t");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ended = runtime.block_on(async { over.each_mut().map(|over| over.now_or_never().is_some()) });
        assert_eq!(ended, [true, true, false]);
        let known = names.map(|name| sessions.find(&SecretDigest::of(name), Moment::from_secs(3)).is_some());
        assert_eq!(known, [false, false, true]);
    }

    #[test]
    fn who_was_away_for_longest_gives_way_when_there_are_too_many() {
        let mut sessions = Sessions::default();
        for number in 0..SESSIONS {
            open(&mut sessions, &number.to_string(), None, at(1));
        }
        for number in (0..SESSIONS).filter(|number| *number != 7) {
            assert!(sessions.find(&SecretDigest::of(&number.to_string()), Moment::from_secs(2)).is_some());
        }
        open(&mut sessions, "new", None, at(3));
        assert_eq!(sessions.0.len(), SESSIONS);
        assert!(sessions.find(&SecretDigest::of("7"), Moment::from_secs(3)).is_none());
        assert!(sessions.find(&SecretDigest::of("new"), Moment::from_secs(3)).is_some());
    }
}
