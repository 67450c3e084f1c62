//! Tokens of the API: kept here, judged by the web server.

use werkpilot_store::Change;
use werkpilot_store::row::token::TokenRow;

use super::{ControlError, Handle, not_kept};

impl Handle {
    /// All tokens, revoked ones too; none where nothing is kept.
    ///
    /// # Errors
    /// If they can't be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, ControlError> {
        if !self.ledger.is_kept() {
            return Ok(Vec::new());
        }
        Ok(self.ledger.read(werkpilot_store::Reader::tokens).await?)
    }

    /// Keeps a token, in place of the one of its id; on disk when this resolves.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub async fn keep_token(&self, row: TokenRow) -> Result<(), ControlError> {
        self.ledger.kept(vec![Change::PutToken(Box::new(row))]).await.map_err(not_kept)
    }

    /// Keeps when a token was used last; nobody waits for it. In line with [`Self::keep_token`], so that it never undoes
    /// a revocation that came after it.
    pub fn note_token_use(&self, row: TokenRow) {
        self.ledger.record(vec![Change::PutToken(Box::new(row))]);
    }
}
