//! Tokens of programs: made, listed, revoked. The secret is in the answer that makes one, and nowhere else.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use werkpilot_core::role::Role;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::TokenRow;

use super::by;
use crate::audit::note;
use crate::body;
use crate::openapi::{Conflict, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// Bytes of a body here: a name and a role.
const LIMIT: usize = 4 * 1024;

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
struct TokenView {
    /// Its public id.
    id: String,
    /// What people call it.
    name: String,
    /// What it may do.
    role: Role,
    /// When it was made.
    created_at: Timestamp,
    /// Who made it.
    created_by: String,
    /// When it was used last, to the minute; null: never.
    last_used_at: Option<Timestamp>,
    /// From when on it is good for nothing; null: it is good.
    revoked_at: Option<Timestamp>,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            created_at: row.created_at,
            created_by: row.created_by,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
struct TokenList {
    /// Those that are good first, then by name.
    tokens: Vec<TokenView>,
    /// Always null: there are at most 1,000 good ones and 1,000 revoked ones.
    next: Option<String>,
}

/// What is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenWish)]
struct Wish {
    /// 1 to 64 letters, digits and `-_.@`; no other good token has it.
    #[schema(pattern = "^[A-Za-z0-9_.@][A-Za-z0-9_.@-]{0,63}$")]
    name: String,
    /// What it may do.
    role: Role,
}

/// A token with its secret.
#[derive(Debug, Serialize, ToSchema)]
struct NewToken {
    /// The secret: what programs send as bearer. It is shown this once.
    token: String,
    /// What is kept of it.
    #[serde(flatten)]
    kept: TokenView,
}

/// All tokens, revoked ones too; without their secrets.
#[utoipa::path(
    get, path = "/api/v1/tokens", operation_id = "listTokens", tag = "tokens",
    responses((status = 200, description = "The tokens.", body = TokenList))
)]
pub(crate) async fn list(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let tokens = shared.auth.list_tokens(&shared.handle).await?;
    let tokens = tokens.into_iter().map(TokenView::from).collect();
    Ok(HttpResponse::Ok().json(TokenList { tokens, next: None }))
}

/// Makes a token.
///
/// It is on disk when this answers.
#[utoipa::path(
    post, path = "/api/v1/tokens", operation_id = "createToken", tag = "tokens",
    request_body(content = Wish, description = "Its name and role."),
    responses((status = 201, description = "The token, with its secret.", body = NewToken), Conflict)
)]
pub(crate) async fn create(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let wish: Option<Wish> = body::json(payload, LIMIT).await?;
    let wish = wish.ok_or_else(|| {
        Problem::bad_request("a name and a role are needed").hint("send { \"name\": \"ci\", \"role\": \"viewer\" }")
    })?;
    let (secret, row) = shared.auth.create_token(&wish.name, wish.role, &by(&request), &shared.handle).await?;
    let kept = TokenView::from(row);
    note(&request, format!("token {}", kept.name), Value::Null, json!(kept));
    Ok(HttpResponse::Created().json(NewToken { token: secret.reveal().to_owned(), kept }))
}

/// Revokes a token.
///
/// It lets nobody in from then on, and what streams with it ends. Twice is no more than once.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", operation_id = "revokeToken", tag = "tokens",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The token as it is now.", body = TokenView), Missing)
)]
pub(crate) async fn revoke(
    shared: Data<Shared>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (before, after) = shared.auth.revoke_token(&id, &shared.handle).await?;
    let (before, after) = (TokenView::from(before), TokenView::from(after));
    note(&request, format!("token {}", after.name), json!(before), json!(after));
    Ok(HttpResponse::Ok().json(after))
}
