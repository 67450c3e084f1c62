//! Tokens, keys of requests, and the audit log, whose entries get their place in the chain here: where the order is made.

use rusqlite::{OptionalExtension, params};
use werkpilot_core::audit::Entry;
use werkpilot_core::digest::Digest;
use werkpilot_core::idempotency;

use super::Applier;
use crate::error::StoreError;
use crate::row::idempotency::KeyRow;
use crate::row::token::TokenRow;
use crate::row::{audit, whole};

/// Revoked tokens that are kept, for who asks who had which.
const REVOKED: u32 = 1_000;
/// Keys whose age is looked at with each new one, oldest first.
const AGED: i64 = 64;

impl Applier {
    pub(super) fn add_audit(&self, entry: &Entry) -> Result<(), StoreError> {
        let sealed = audit::end(&self.conn, audit::HEAD)?.seal(entry.clone());
        audit::insert(&self.conn, &sealed)?;
        audit::put_end(&self.conn, audit::HEAD, sealed.link())?;
        Ok(())
    }

    pub(super) fn put_token(&self, row: &TokenRow) -> Result<(), StoreError> {
        row.put(&self.conn)?;
        let sql = "DELETE FROM tokens WHERE revoked_ms IS NOT NULL AND id NOT IN
                   (SELECT id FROM tokens WHERE revoked_ms IS NOT NULL ORDER BY revoked_ms DESC, id LIMIT ?1)";
        self.run_sql(sql, params![REVOKED])
    }

    pub(super) fn put_key(&self, row: &KeyRow) -> Result<(), StoreError> {
        let id = "SELECT id FROM idempotency WHERE key = ?1";
        let known = self.conn.prepare_cached(id)?.query_row([row.key.as_bytes()], |row| row.get::<_, i64>(0));
        if let Some(id) = known.optional()? {
            row.put(&self.conn, id)?;
            return Ok(());
        }
        let newest: i64 =
            self.conn.prepare_cached("SELECT ifnull(max(id), 0) FROM idempotency")?.query_row([], |row| row.get(0))?;
        row.put(&self.conn, newest + 1)?;
        let most = whole(idempotency::KEYS);
        self.run_sql("DELETE FROM idempotency WHERE id <= ?1", params![newest + 1 - most])?;
        let keep = i64::try_from(idempotency::KEEP.as_millis()).unwrap_or(i64::MAX);
        let before = row.remembered.at.as_millis().saturating_sub(keep);
        let sql =
            "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency ORDER BY id LIMIT ?1) AND at_ms <= ?2";
        self.run_sql(sql, params![AGED, before])
    }

    pub(super) fn drop_key(&self, key: Digest) -> Result<(), StoreError> {
        self.run_sql("DELETE FROM idempotency WHERE key = ?1", params![key.as_bytes()])
    }
}
