//! The tokens, as they are kept, and who uses them now.
//!
//! Invariant: a token that is revoked here lets nobody in from that moment on, and its `alive` is gone, which ends what
//! streams with it.

use std::time::Duration;

use tokio::sync::watch;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::TokenRow;

use super::principal::Tenure;
use super::secret::{SecretDigest, position};

/// Tokens that are good at a time. Each request with one looks at all of them.
pub(crate) const TOKENS: usize = 1_000;
/// Revoked tokens that are remembered, as on disk.
const REVOKED: usize = 1_000;
/// How exactly it is kept when a token was used last.
const USE_STEP: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct Kept {
    row: TokenRow,
    digest: SecretDigest,
    /// When its last use was written down.
    written: Option<Timestamp>,
    /// `None`: revoked.
    alive: Option<watch::Sender<()>>,
}

/// All tokens, revoked ones too.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<Kept>);

/// What a secret turned out to be.
#[derive(Debug)]
pub(crate) enum Found {
    /// A token that is good.
    Good {
        /// It.
        row: TokenRow,
        /// Until when.
        tenure: Tenure,
        /// Whether its last use is to be written down.
        write: bool,
    },
    /// A token that was revoked.
    Revoked,
    /// None of ours.
    Unknown,
}

impl Tokens {
    /// What was kept.
    pub fn new(rows: Vec<TokenRow>) -> Self {
        let mut tokens = Self::default();
        for row in rows {
            tokens.add(row);
        }
        tokens
    }

    /// Takes one in.
    pub fn add(&mut self, row: TokenRow) {
        let alive = row.revoked_at.is_none().then(|| watch::Sender::new(()));
        self.0.push(Kept { digest: SecretDigest::from_bytes(row.hash), written: row.last_used_at, row, alive });
    }

    /// Takes one back that could not be kept.
    pub fn remove(&mut self, id: &str) {
        self.0.retain(|kept| kept.row.id != id);
    }

    /// Whose secret it is; it is used now.
    pub fn find(&mut self, secret: &SecretDigest, now: Timestamp) -> Found {
        let Some(index) = position(self.0.iter().map(|kept| &kept.digest), secret) else { return Found::Unknown };
        let kept = &mut self.0[index];
        let Some(alive) = &kept.alive else { return Found::Revoked };
        let tenure = Tenure { alive: alive.subscribe(), left: None };
        kept.row.last_used_at = Some(now);
        let write = kept.written.is_none_or(|written| now.since(written) >= USE_STEP);
        if write {
            kept.written = Some(now);
        }
        Found::Good { row: kept.row.clone(), tenure, write }
    }

    /// Revokes one, and gives it as it is to be kept; `None`: there is no such token. Twice is no more than once.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> Option<TokenRow> {
        let kept = self.0.iter_mut().find(|kept| kept.row.id == id)?;
        kept.alive = None;
        kept.row.revoked_at.get_or_insert(now);
        let row = kept.row.clone();
        let revoked = || self.0.iter().filter_map(|kept| Some((kept.row.revoked_at?, kept.row.id.clone())));
        if revoked().count() > REVOKED
            && let Some((_, oldest)) = revoked().min()
        {
            self.remove(&oldest);
        }
        Some(row)
    }

    /// All of them, those that are good first, then by name and age.
    pub fn list(&self) -> Vec<TokenRow> {
        let mut rows: Vec<TokenRow> = self.0.iter().map(|kept| kept.row.clone()).collect();
        let order = |row: &TokenRow| (row.revoked_at.is_some(), row.name.clone(), row.created_at, row.id.clone());
        rows.sort_by_cached_key(order);
        rows
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<&TokenRow> {
        self.0.iter().map(|kept| &kept.row).find(|row| row.id == id)
    }

    /// Whether a good one has this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|kept| kept.alive.is_some() && kept.row.name == name)
    }

    /// How many are good.
    pub fn good(&self) -> usize {
        self.0.iter().filter(|kept| kept.alive.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use werkpilot_core::role::Role;

    use super::*;

    fn row(id: &str, secret: &str, revoked: bool) -> TokenRow {
        TokenRow {
            id: id.to_owned(),
            name: format!("name-{id}"),
            role: Role::Viewer,
            hash: SecretDigest::of(secret).bytes(),
            created_at: Timestamp::from_secs(1),
            created_by: "cli:ada".to_owned(),
            last_used_at: None,
            revoked_at: revoked.then(|| Timestamp::from_secs(2)),
        }
    }

    fn find(tokens: &mut Tokens, secret: &str, secs: i64) -> Found {
        tokens.find(&SecretDigest::of(secret), Timestamp::from_secs(secs))
    }

    #[test]
    fn of_those_that_are_revoked_the_oldest_is_forgotten() {
        let mut tokens = Tokens::new((0..=REVOKED).map(|at| row(&at.to_string(), &at.to_string(), false)).collect());
        for at in 0..=REVOKED {
            let _ = tokens.revoke(&at.to_string(), Timestamp::from_secs(i64::try_from(at).unwrap()));
        }
        assert_eq!(tokens.list().len(), REVOKED);
        assert!(tokens.get("0").is_none() && tokens.get("1").is_some());
    }

    #[test]
    fn a_token_is_good_until_it_is_revoked_and_then_its_streams_end() {
        let mut tokens = Tokens::new(vec![row("1", "a", false), row("2", "b", true), row("3", "c", false)]);
        assert!(matches!(find(&mut tokens, "b", 5), Found::Revoked));
        assert!(matches!(find(&mut tokens, "x", 5), Found::Unknown));
        let Found::Good { row, tenure, .. } = find(&mut tokens, "a", 5) else { panic!("it is good") };
        assert_eq!((row.id.as_str(), row.last_used_at), ("1", Some(Timestamp::from_secs(5))));
        let mut over = tenure.over();
        assert!((&mut over).now_or_never().is_none());
        let revoked = tokens.revoke("1", Timestamp::from_secs(6)).unwrap();
        assert_eq!(tokens.revoke("1", Timestamp::from_secs(7)).unwrap(), revoked);
        assert!(over.now_or_never().is_some());
        assert!(matches!(find(&mut tokens, "a", 8), Found::Revoked));
        assert!(tokens.revoke("9", Timestamp::from_secs(7)).is_none());
        assert_eq!((tokens.good(), tokens.has_name("name-1"), tokens.has_name("name-3")), (1, false, true));
        assert_eq!(tokens.list().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["3", "1", "2"]);
    }

    #[test]
    fn the_last_use_is_written_down_once_a_minute() {
        let mut tokens = Tokens::new(vec![row("1", "a", false)]);
        let written: Vec<bool> = [5, 6, 64, 65, 66]
            .map(|secs| matches!(find(&mut tokens, "a", secs), Found::Good { write: true, .. }))
            .to_vec();
        assert_eq!(written, [true, false, false, true, false]);
    }
}
