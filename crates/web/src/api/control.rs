//! The orchestrator itself: settings, pause, reload, shutdown.

use std::path::PathBuf;

use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, IF_MATCH};
use actix_web::web::{self, Data};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use werkpilot_core::settings::Dashboard;
use werkpilot_runtime::Handle;
use werkpilot_runtime::agents::reload::{ReloadPreview, ReloadReport};

use super::{by, message};
use crate::audit::note;
use crate::etag;
use crate::openapi::{Answered, Changed, Contradiction, Message};
use crate::problem::Problem;
use crate::server::Shared;
use crate::tls;

/// A setting; the binary makes them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what the binary answers")]
struct Setting {
    /// As the settings file has it, with dots: `queue.workers`.
    key: String,
    /// What is in effect after the next start or reload.
    value: Value,
    /// Where it comes from: `from` is `default`, `file` (with `path` and `line`) or `environment` (with `name`).
    #[schema(value_type = Object)]
    origin: Value,
    /// `at_once` or `after_restart`.
    applies: String,
    /// What it does.
    effect: String,
}

/// Every setting with its value and where it came from.
///
/// The entity tag is what `If-Match` of a reload compares.
#[utoipa::path(
    get, path = "/api/v1/config", operation_id = "getConfig", tag = "orchestrator",
    params(("If-None-Match" = Option<String>, Header, description = "Entity tags of what is known already.")),
    responses(
        (status = 200, description = "The settings.", body = Vec<Setting>, headers(("ETag" = String, description = "Of them."))),
        (status = 304, description = "They are as the client knows them.")
    )
)]
pub(crate) async fn config(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let settings = (shared.config_report)();
    let tag = tag(&settings, shared.handle.config_version().await?);
    Ok(etag::json(&request, &tag, &settings))
}

/// Pauses all triggers but explicit ones.
#[utoipa::path(post, path = "/api/v1/pause", operation_id = "pauseTriggers", tag = "orchestrator", responses(Answered))]
pub(crate) async fn pause(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    pause_or_resume(&shared, &request, true).await?;
    Ok(message("triggers are paused; what runs goes on, and manual runs are taken"))
}

/// Resumes the triggers that were paused.
#[utoipa::path(
    post,
    path = "/api/v1/resume",
    operation_id = "resumeTriggers",
    tag = "orchestrator",
    responses(Answered)
)]
pub(crate) async fn resume(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    pause_or_resume(&shared, &request, false).await?;
    Ok(message("triggers are resumed"))
}

async fn pause_or_resume(shared: &Shared, request: &HttpRequest, paused: bool) -> Result<(), Problem> {
    let before = shared.handle.consult(|house| house.dispatcher.borrow().is_paused()).await?;
    note(request, "triggers", json!({ "paused": before }), json!({ "paused": paused }));
    Ok(shared.handle.pause(paused, &by(request)).await?)
}

/// A reload that was done.
#[derive(Serialize, ToSchema)]
struct Reloaded {
    #[serde(flatten)]
    report: ReloadReport,
    /// What is faulty and did not hinder it: files for TLS, whose certificate stays as it was.
    warnings: Vec<String>,
}

/// Reads the files again and applies the difference, or nothing.
///
/// Files for TLS that are faulty hinder nobody: they are in `warnings`.
#[utoipa::path(
    post, path = "/api/v1/reload", operation_id = "reload", tag = "orchestrator",
    params(("If-Match" = Option<String>, Header, description = "The entity tag of /api/v1/config that was looked at.")),
    responses(
        (status = 200, description = "What is new.", body = Reloaded),
        Changed,
        Contradiction
    )
)]
pub(crate) async fn reload(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    // Looked at here and again when the files have been read: meanwhile others may have taken effect.
    let version = shared.handle.config_version().await?;
    etag::require(&request, &tag(&(shared.config_report)(), version))?;
    let expected = request.headers().contains_key(IF_MATCH).then_some(version);
    let (report, before, after) = shared.handle.reload_told(&by(&request), false, expected).await;
    note(&request, "configuration", before, after);
    let report = report?;
    let warnings = match shared.handle.settings().await {
        Ok(settings) => tls_warnings(&shared, settings.dashboard.clone()).await,
        // It is on its way down: nobody will use them.
        Err(_) => Vec::new(),
    };
    Ok(HttpResponse::Ok().json(Reloaded { report, warnings }))
}

/// What is wrong with the files for TLS, if these settings are those of the next start.
async fn tls_warnings(shared: &Shared, settings: Dashboard) -> Vec<String> {
    let in_use = shared.tls.clone();
    web::block(move || tls::warnings(in_use.as_ref(), &settings)).await.unwrap_or_default()
}

/// What a reload would change, and what was wrong with the last one; nothing is changed.
///
/// The entity tag is that of `/api/v1/config`, for `If-Match` of the reload. Files for TLS that are faulty are in
/// `notices`.
#[utoipa::path(
    get, path = "/api/v1/reload", operation_id = "previewReload", tag = "orchestrator",
    responses((
        status = 200, description = "The difference between the files and what is in effect.", body = ReloadPreview,
        headers(("ETag" = String, description = "Of what is in effect."))
    ))
)]
pub(crate) async fn preview(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let (mut preview, version) = shared.handle.preview_reload().await?;
    let settings = wanted(&shared.handle.settings().await?.dashboard, &preview);
    preview.notices.extend(tls_warnings(&shared, settings).await);
    let tag = tag(&(shared.config_report)(), version);
    let mut answer = HttpResponse::Ok();
    answer.insert_header((ETAG, tag.to_string())).insert_header((CACHE_CONTROL, "no-cache"));
    Ok(answer.json(preview))
}

/// The settings with the files for TLS that they would have after the reload.
fn wanted(now: &Dashboard, preview: &ReloadPreview) -> Dashboard {
    let after = |key: &str, now: &Option<PathBuf>| {
        let change = preview.settings.iter().find(|change| change.key == key);
        // As the settings file has it: an empty text is none.
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        change.map_or_else(|| now.clone(), |change| change.after.as_str().and_then(path))
    };
    let tls_certificate = after("dashboard.tls_certificate", &now.tls_certificate);
    let tls_key = after("dashboard.tls_key", &now.tls_key);
    Dashboard { tls_certificate, tls_key, ..now.clone() }
}

/// The tag of what is in effect: the settings with their origins, and the version of registry and settings together.
fn tag(settings: &Value, version: u64) -> EntityTag {
    etag::of(format!("{version:x} {settings}").as_bytes())
}

/// Begins the shutdown when the request is done with: it is in the audit log then, and its answer on its way. A fleet
/// without agents is down so soon that the answer would be cut off.
struct ShutDown {
    handle: Handle,
    reason: String,
}

impl Drop for ShutDown {
    fn drop(&mut self) {
        self.handle.shut_down(&self.reason);
    }
}

/// Shuts the orchestrator down.
#[utoipa::path(
    post, path = "/api/v1/shutdown", operation_id = "shutDown", tag = "orchestrator",
    responses((status = 202, description = "It has begun.", body = Message))
)]
pub(crate) async fn shutdown(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    note(&request, "orchestrator", Value::Null, json!({ "shuttingDown": true }));
    let begin = ShutDown { handle: shared.handle.clone(), reason: format!("werkpilot down by {}", by(&request)) };
    request.extensions_mut().insert(begin);
    HttpResponse::Accepted().json(Message { message: "the orchestrator is shutting down".to_owned() })
}
