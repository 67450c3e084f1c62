//! The two JSON documents of the protocol: what a server says of itself, and what a client says of itself.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// What a server says first, and again when something changes (INFO). Field names and order are nats-server's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Unique for each start of a server.
    pub server_id: String,
    /// A name for people.
    pub server_name: String,
    /// Of the NATS protocol's reference server whose behaviour is offered, as clients look at it to enable features.
    pub version: String,
    /// 1: the client may be sent further INFO lines.
    pub proto: i32,
    /// The Go version of nats-server; some clients print it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go: Option<String>,
    /// The address that the server listens on.
    pub host: String,
    /// The port that the server listens on.
    pub port: u16,
    /// Headers are understood.
    pub headers: bool,
    /// Credentials are needed.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// TLS is needed.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// The largest headers and payload together, in bytes.
    pub max_payload: usize,
    /// Persistence is offered.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// The connection's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<u64>,
    /// The address that the client comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// To be signed by clients that use keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The name of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Other servers of the cluster that a client may connect to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// Lame-duck mode: the server is about to stop, connect elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    pub lame_duck: bool,
}

/// What a client says of itself and wants (CONNECT). Unknown fields (`jwt`, `nkey`, `sig` among them) are ignored.
///
/// [`Default`] is what nats-server takes for granted of a client that says nothing: verbose, pedantic and echo are on.
/// A client of ours begins with [`Connect::client`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connect {
    /// Every operation is acknowledged with `+OK`.
    #[serde(deserialize_with = "or_true")]
    pub verbose: bool,
    /// Subjects of messages are checked.
    #[serde(deserialize_with = "or_true")]
    pub pedantic: bool,
    /// The client insists on TLS.
    #[serde(deserialize_with = "or_default")]
    pub tls_required: bool,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(rename = "pass", skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A token instead of user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The language of the client.
    #[serde(deserialize_with = "or_default")]
    pub lang: String,
    /// The version of the client.
    #[serde(deserialize_with = "or_default")]
    pub version: String,
    /// 1: the client understands further INFO lines.
    #[serde(deserialize_with = "or_default")]
    pub protocol: i32,
    /// The client's own messages come back to its own subscriptions.
    #[serde(deserialize_with = "or_true")]
    pub echo: bool,
    /// The client understands headers.
    #[serde(deserialize_with = "or_default")]
    pub headers: bool,
    /// A request that nobody listens to is to be answered with status 503; needs `headers`.
    #[serde(deserialize_with = "or_default")]
    pub no_responders: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            tls_required: false,
            user: None,
            password: None,
            auth_token: None,
            name: None,
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            echo: true,
            headers: false,
            no_responders: false,
        }
    }
}

impl Connect {
    /// What a client of ours says: neither verbose nor pedantic, with headers and no-responders.
    pub fn client(name: impl Into<String>) -> Self {
        Self {
            verbose: false,
            pedantic: false,
            name: Some(name.into()),
            lang: "rust".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: 1,
            headers: true,
            no_responders: true,
            ..Self::default()
        }
    }
}

/// Names who connects, and never shows the secrets.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("name", &self.name)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| ".."))
            .field("auth_token", &self.auth_token.as_ref().map(|_| ".."))
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("verbose", &self.verbose)
            .field("pedantic", &self.pedantic)
            .field("echo", &self.echo)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// `null` is as good as nothing, as it is to nats-server.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn or_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(true))
}
