//! Logging in and out, and the codes for it.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use werkpilot_core::role::Role;
use werkpilot_core::time::Timestamp;

use super::by;
use crate::audit::{note, note_as};
use crate::auth::{Credential, Opened, Principal};
use crate::body;
use crate::openapi::{Answered, Contradiction, Message};
use crate::problem::Problem;
use crate::server::Shared;

/// Bytes of a body here: a code or a token, and some room.
const LIMIT: usize = 4 * 1024;

/// What somebody logs in with: one of the two.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Credentials)]
struct Shown {
    /// A code of `werkpilot login`; it is used up with this.
    code: Option<String>,
    /// A token.
    token: Option<String>,
}

/// A session that was opened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenedSession)]
struct OpenedView {
    /// Whose it is.
    name: String,
    /// What it may.
    role: Role,
    /// What to send as `Werkpilot-Csrf` with each change.
    csrf: String,
    /// When it ends by itself.
    expires: Timestamp,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    /// `cli:ada`, `token:ci`, `session:ada` or `anonymous`.
    name: String,
    /// What they may; null: what needs no login.
    role: Option<Role>,
    /// What to send as `Werkpilot-Csrf` with each change; null where there is no session.
    csrf: Option<String>,
    /// When the session ends by itself; null where there is none.
    expires: Option<Timestamp>,
    /// Whether the overview is served without a login, as on this machine.
    loopback: bool,
}

/// Who asks, and what they may.
#[utoipa::path(
    get, path = "/api/v1/session", operation_id = "getSession", tag = "session",
    responses((status = 200, description = "Also without a login.", body = SessionView))
)]
pub(crate) async fn show(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    let who = request.extensions().get::<Principal>().cloned();
    let who = who.unwrap_or_else(|| Principal::anonymous(false));
    let session = shared.auth.session(request.headers()).filter(|_| who.way == crate::auth::Way::Session);
    let (expires, csrf) = session.map(|(owner, csrf)| (owner.expires, csrf)).unzip();
    HttpResponse::Ok().json(SessionView { name: who.name, role: who.role, csrf, expires, loopback: who.overview })
}

/// Logs in.
///
/// The answer sets a cookie, which scripts can't read.
#[utoipa::path(
    post, path = "/api/v1/session", operation_id = "logIn", tag = "session",
    request_body(content = Shown, description = "A code or a token."),
    responses((status = 200, description = "The session.", body = OpenedView), Contradiction)
)]
pub(crate) async fn log_in(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let shown = read(body::json(payload, LIMIT).await?)?;
    let credential = match (&shown.code, &shown.token) {
        (Some(code), None) => Credential::Code(code.trim()),
        (None, Some(token)) => Credential::Token(token.trim()),
        _ => {
            let hint = "`werkpilot login` makes a link with a code; a token is made by `werkpilot token create`";
            let text = "a code or a token is needed, and only one of them";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text).hint(hint));
        }
    };
    let Opened { cookie, csrf, owner } = shared.auth.log_in(credential, &shared.handle, &request).await?;
    let after = serde_json::json!({ "role": owner.role, "expires": owner.expires });
    note_as(&request, format!("session:{}", owner.name), "session", after);
    let view = OpenedView { name: format!("session:{}", owner.name), role: owner.role, csrf, expires: owner.expires };
    Ok(with_cookie(HttpResponse::Ok().json(view), &cookie))
}

/// Not told what is wrong: that could repeat a secret.
fn read(body: serde_json::Value) -> Result<Shown, Problem> {
    serde_json::from_value(body)
        .map_err(|_| Problem::bad_request("the body has to be { \"code\": TEXT } or { \"token\": TEXT }"))
}

/// Logs out.
///
/// What streams with the session ends.
#[utoipa::path(delete, path = "/api/v1/session", operation_id = "logOut", tag = "session", responses(Answered))]
pub(crate) async fn log_out(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    let cookie = shared.auth.log_out(request.headers());
    with_cookie(HttpResponse::Ok().json(Message { message: "logged out".to_owned() }), &cookie)
}

fn with_cookie(mut response: HttpResponse, cookie: &str) -> HttpResponse {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// What a login is to be able to do.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = LoginWish)]
struct Wish {
    /// Null: admin.
    role: Option<Role>,
}

/// A code to log in with.
#[derive(Debug, Serialize, ToSchema)]
struct LoginCode {
    /// The code: good once, for five minutes.
    code: String,
    /// The dashboard with the code in the fragment, which browsers send to nobody.
    link: String,
    /// What the session will be able to do.
    role: Role,
    /// Until when it is good.
    expires: Timestamp,
}

/// Makes a code to log in with.
///
/// Over the control socket only.
#[utoipa::path(
    post, path = "/api/v1/login-codes", operation_id = "createLoginCode", tag = "session",
    request_body(content = Option<Wish>, description = "For which role."),
    responses((status = 201, description = "The code.", body = LoginCode))
)]
pub(crate) async fn create_code(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let wish: Wish = body::json(payload, LIMIT).await?;
    let role = wish.role.unwrap_or(Role::Admin);
    let by = by(&request);
    let login = shared.auth.login(by.strip_prefix("cli:").unwrap_or(&by), role);
    note(
        &request,
        "login code",
        serde_json::Value::Null,
        serde_json::json!({ "role": role, "expires": login.expires }),
    );
    let view = LoginCode { code: login.code, link: login.link, role, expires: login.expires };
    Ok(HttpResponse::Created().json(view))
}
