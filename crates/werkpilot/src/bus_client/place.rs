//! Which bus is meant, and who we are there.

use std::io;
use std::path::Path;

use reqwest::Url;
use serde::Deserialize;
use werkpilot_bus::protocol::Connect;

use crate::client::Client;
use crate::commands::Context;
use crate::failure::{Code, Failure};
use crate::find;

/// Where the running orchestrator leaves the operator's credential, in its state folder.
const OPERATOR: &str = "bus/operator.json";
/// What NATS servers listen on if nobody says otherwise.
const PORT: u16 = 4222;

/// A server, and how we introduce ourselves there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub host: String,
    pub port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    /// It is the running orchestrator's bus.
    pub of_orchestrator: bool,
}

/// For people; the credentials are left out.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "nats://{open}{}{close}:{}", self.host, self.port)
    }
}

/// The same: logs and test reports are read by people, too.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What the orchestrator writes.
#[derive(Deserialize)]
struct Operator {
    url: String,
    user: String,
    password: String,
}

impl Place {
    /// The servers to try: those that are named by `--server`, else the orchestrator's of a state folder that is named
    /// by `--state-dir` or `--config`, else those of `NATS_URL`, else the orchestrator's that is found.
    pub fn find(server: Option<&str>, context: &Context) -> Result<Vec<Self>, Failure> {
        let of_variable = || std::env::var("NATS_URL").ok().filter(|urls| !urls.trim().is_empty());
        let named = match server {
            Some(urls) => Some(("--server", urls.to_owned())),
            None if context.options.names_orchestrator() => None,
            None => of_variable().map(|urls| ("NATS_URL", urls)),
        };
        match named {
            Some((source, urls)) => urls.split(',').map(|url| Self::parse(url.trim(), source)).collect(),
            None => Ok(vec![Self::of_orchestrator(&find::state_dir(&context.options)?)?]),
        }
    }

    fn of_orchestrator(state_dir: &Path) -> Result<Self, Failure> {
        let file = state_dir.join(OPERATOR);
        let text = std::fs::read_to_string(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_bus(state_dir),
            io::ErrorKind::PermissionDenied => {
                let what = format!("not allowed to use the bus of the orchestrator of {}", state_dir.display());
                Failure::new(Code::NoPermission, what).hint("its user, or root, may")
            }
            _ => Failure::new(Code::Io, format!("failed to read {}: {error}", file.display())),
        })?;
        let operator: Operator = serde_json::from_str(&text).map_err(|error| {
            Failure::new(Code::Internal, format!("failed to read {}: {error}", file.display()))
                .hint("command and orchestrator may be of different versions; restart the orchestrator")
        })?;
        let place = Self::parse(&operator.url, OPERATOR)?;
        let (user, password) = (Some(operator.user), Some(operator.password));
        Ok(Self { user, password, of_orchestrator: true, ..place })
    }

    /// `nats://[user:password@]host[:port]`, `nats://token@host`, or `host:port`. `source` is where it comes from.
    pub(super) fn parse(text: &str, source: &str) -> Result<Self, Failure> {
        const FORM: &str = "it is written nats://[user:password@]host[:port], or nats://token@host[:port]";
        // The text may hold a password, so it is not repeated.
        let bad = |why: &str| Failure::new(Code::Usage, format!("{source} is no address of a bus: {why}")).hint(FORM);
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
        let url = Url::parse(&with_scheme).map_err(|error| bad(&error.to_string()))?;
        match url.scheme() {
            "nats" => {}
            "tls" => return Err(bad("TLS is not spoken here")),
            other => return Err(bad(&format!("{other}:// is something else"))),
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = Some(decoded(url.username())).filter(|name| !name.is_empty());
        let password = url.password().map(decoded);
        let (user, token) = if password.is_some() { (name, None) } else { (None, name) };
        Ok(Self { host, port: url.port().unwrap_or(PORT), user, password, token, of_orchestrator: false })
    }

    /// What is said to the server first.
    pub fn introduction(&self, name: &str) -> Connect {
        Connect {
            user: self.user.clone(),
            password: self.password.clone(),
            auth_token: self.token.clone(),
            ..Connect::client(name)
        }
    }
}

fn no_bus(state_dir: &Path) -> Failure {
    match Client::connect(state_dir) {
        Ok(_) => Failure::new(Code::Unavailable, format!("the orchestrator of {} has no bus", state_dir.display()))
            .hint("its log tells why; --server nats://HOST:PORT names another bus"),
        Err(failure) if failure.code == Code::Unavailable => failure.hint(
            "start one with `werkpilot up`, say which one is meant with --state-dir DIR, or name a bus with --server nats://HOST:PORT",
        ),
        Err(failure) => failure,
    }
}

/// Without percent-encoding (RFC 3986, 2.1); what is none stays as it is.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_carry_credentials() {
        let place = Place::parse("nats://op%40x:p%3Aw@127.0.0.1:3002", "--server").unwrap();
        let connect = place.introduction("test");
        assert_eq!((connect.user.as_deref(), connect.password.as_deref()), (Some("op@x"), Some("p:w")));
        assert_eq!(place.to_string(), "nats://127.0.0.1:3002");
        let place = Place::parse("nats://s3cret@localhost", "--server").unwrap();
        assert_eq!((place.token.as_deref(), place.port), (Some("s3cret"), 4222));
        let place = Place::parse("[::1]:4333", "--server").unwrap();
        assert_eq!((place.host.as_str(), place.port, place.user.clone()), ("::1", 4333, None));
        assert_eq!(place.to_string(), "nats://[::1]:4333");
        assert_eq!(decoded("100%_%4"), "100%_%4");
    }

    #[test]
    fn what_is_no_address_is_told_without_its_password() {
        let told: Vec<String> = ["tls://h", "http://u:secret@h", "nats://", "nats://u:secret@h:99999999"]
            .iter()
            .map(|url| Place::parse(url, "NATS_URL").map_err(|failure| failure.what).unwrap_err())
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        NATS_URL is no address of a bus: TLS is not spoken here
        NATS_URL is no address of a bus: http:// is something else
        NATS_URL is no address of a bus: it has no host
        NATS_URL is no address of a bus: invalid port number
        ");
    }

    #[test]
    fn the_operators_credential_is_in_the_state_folder() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Place::of_orchestrator(dir.path()).map(|place| place.to_string()).unwrap_err();
        assert_eq!(failure.code, Code::Unavailable);
        assert!(failure.what.starts_with("no orchestrator is running on "), "{failure}");
        std::fs::create_dir(dir.path().join("bus")).unwrap();
        let json = r#"{"url":"nats://127.0.0.1:3002","user":"operator","password":"p:@w"}"#;
        std::fs::write(dir.path().join(OPERATOR), json).unwrap();
        let connect = Place::of_orchestrator(dir.path()).map(|place| place.introduction("test")).unwrap();
        assert_eq!((connect.user.as_deref(), connect.password.as_deref()), (Some("operator"), Some("p:@w")));
    }
}
