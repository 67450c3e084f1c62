//! Talks to a running orchestrator over its control socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use werkpilot_store::Holder;

use crate::failure::{Code, Failure};

/// The orchestrator answers within 5 s or says that it can't; the rest is for a machine under load.
const ANSWER: Duration = Duration::from_secs(15);
/// It takes a minute at most to read its files again.
const RELOAD: Duration = Duration::from_secs(75);
/// It takes ten minutes at most to look back at a week and to tidy.
const OPTIMIZE: Duration = Duration::from_secs(615);

/// A connection to the orchestrator of a state folder.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    state_dir: PathBuf,
}

impl Client {
    /// Looks whether an orchestrator is there.
    pub fn connect(state_dir: &Path) -> Result<Self, Failure> {
        let dir = state_dir.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => not_allowed(state_dir),
            _ => nobody(state_dir),
        })?;
        let socket = werkpilot_web::control_socket_path(&dir);
        if let Err(error) = UnixStream::connect(&socket) {
            return Err(match error.kind() {
                io::ErrorKind::PermissionDenied => not_allowed(&dir),
                _ => nobody(&dir),
            });
        }
        let mut headers = reqwest::header::HeaderMap::new();
        if let Ok(by) = format!("cli:{}", user()).parse() {
            headers.insert("Werkpilot-By", by);
        }
        let client = reqwest::Client::builder().unix_socket(socket).default_headers(headers).build();
        let http =
            client.map_err(|error| Failure::of(Code::Internal, &Describe("failed to make an HTTP client", error)))?;
        Ok(Self { http, state_dir: dir })
    }

    /// The state folder.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Who runs there.
    pub fn holder(&self) -> Option<Holder> {
        Holder::of(&self.state_dir)
    }

    /// A `GET`, as JSON. `path` is split at `/`; each part may have any characters.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let response = self.send(Method::GET, path, query, None, Some(ANSWER)).await?;
        json(accepted(response).await?).await
    }

    /// A `GET`, as text.
    pub async fn get_text(&self, path: &[&str], query: &[(&str, String)]) -> Result<String, Failure> {
        let response = accepted(self.send(Method::GET, path, query, None, Some(ANSWER)).await?).await?;
        response.text().await.map_err(|error| cut_off(&error))
    }

    /// A `GET` that may take for ever: the answer's body is read as it comes.
    pub async fn follow(&self, path: &[&str], query: &[(&str, String)]) -> Result<Response, Failure> {
        accepted(self.send(Method::GET, path, query, None, None).await?).await
    }

    /// A `POST`, as JSON.
    pub async fn post(&self, path: &[&str], body: Option<Value>) -> Result<Value, Failure> {
        let time = match path.last() {
            Some(&"reload") => RELOAD,
            Some(&"optimize") => OPTIMIZE,
            _ => ANSWER,
        };
        let response = self.send(Method::POST, path, &[], body, Some(time)).await?;
        json(accepted(response).await?).await
    }

    /// A `DELETE`, as JSON.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        let response = self.send(Method::DELETE, path, &[], None, Some(ANSWER)).await?;
        json(accepted(response).await?).await
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Value>,
        time: Option<Duration>,
    ) -> Result<Response, Failure> {
        // The name of the host means nothing on a Unix socket; this one passes every check of it.
        let mut url = Url::parse("http://localhost/").expect("it is one");
        url.path_segments_mut().expect("http has a path").clear().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(time) = time {
            request = request.timeout(time);
        }
        request.send().await.map_err(|error| {
            if error.is_timeout() {
                let what = "the orchestrator did not answer in time";
                return Failure::new(Code::Unavailable, what).hint("try again; `werkpilot status` tells how it is");
            }
            cut_off(&error)
        })
    }
}

/// The user who asks, as far as the environment and the list of users tell.
pub fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let uid = rustix::process::getuid().as_raw();
    let listed = || name_of(&std::fs::read_to_string("/etc/passwd").ok()?, uid);
    named.or_else(listed).unwrap_or_else(|| format!("uid {uid}"))
}

/// The name of a user in the form of passwd(5).
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, listed) = (fields.next()?, fields.nth(1)?);
        (listed.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn nobody(state_dir: &Path) -> Failure {
    Failure::new(Code::Unavailable, format!("no orchestrator is running on {}", state_dir.display()))
        .hint("start one with `werkpilot up`, or say which one is meant with --state-dir DIR or --config FILE")
}

fn not_allowed(state_dir: &Path) -> Failure {
    Failure::new(Code::NoPermission, format!("not allowed to talk to the orchestrator of {}", state_dir.display()))
        .hint("its user, or root, may")
}

fn cut_off(error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::new(Code::Unavailable, format!("the orchestrator closed the connection: {cause}"))
        .hint("it may be shutting down; `werkpilot status` tells")
}

async fn json(response: Response) -> Result<Value, Failure> {
    response.json().await.map_err(|error| cut_off(&error))
}

/// Reads an answer into a type.
pub fn parse<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| {
        Failure::new(Code::Internal, format!("failed to read the orchestrator's answer: {error}"))
            .hint("command and orchestrator may be of different versions; restart the orchestrator")
    })
}

/// The response if it is a success, else the failure that it tells of.
async fn accepted(response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    Err(problem(status, &body))
}

fn problem(status: StatusCode, body: &Value) -> Failure {
    let field = |name: &str| body.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let what = field("detail").or_else(|| field("message")).or_else(|| field("title"));
    let kind = field("type").unwrap_or_default();
    let code = match status {
        _ if kind == "urn:werkpilot:not-a-job" => Code::Usage,
        StatusCode::BAD_REQUEST => Code::Usage,
        StatusCode::NOT_FOUND => Code::NoInput,
        StatusCode::FORBIDDEN => Code::NoPermission,
        StatusCode::UNPROCESSABLE_ENTITY => Code::Config,
        StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Code::Refused,
        _ => Code::Internal,
    };
    let what = what.unwrap_or_else(|| format!("the orchestrator answered {status}"));
    let hint = match kind.as_str() {
        "urn:werkpilot:unknown-agent" => Some("`werkpilot agents` lists them".to_owned()),
        _ => field("hint"),
    };
    Failure { code, what, report: None, hint }
}

/// An error with what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Describe(&'static str, #[source] reqwest::Error);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_has_the_name_of_the_list() {
        let list = "root:x:0:0:root:/root:/bin/sh\n# no line\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_of(list, 1_000).as_deref(), Some("ada"));
        assert_eq!(name_of(list, 7), None);
    }

    #[test]
    fn a_problem_becomes_a_failure_with_its_code() {
        let body = json!({ "title": "Not Found", "detail": "there is no agent x", "hint": "`werkpilot agents`" });
        let failure = problem(StatusCode::NOT_FOUND, &body);
        assert_eq!((failure.code, failure.what.as_str()), (Code::NoInput, "there is no agent x"));
        assert_eq!(failure.hint.as_deref(), Some("`werkpilot agents`"));
        assert_eq!(problem(StatusCode::SERVICE_UNAVAILABLE, &Value::Null).code, Code::Refused);
    }

    #[test]
    fn without_an_orchestrator_the_failure_says_how_to_start_one() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Client::connect(dir.path()).unwrap_err();
        assert_eq!(failure.code, Code::Unavailable);
        assert!(failure.hint.unwrap().contains("werkpilot up"));
    }
}
