//! The address of a webhook, which is a secret by itself: whoever knows it may write there.
//!
//! Invariant: nothing but scheme, host and port is ever shown; user, password, path and query are not in `Debug`,
//! `Display` or JSON.

use std::fmt;

use serde::{Serialize, Serializer};

/// An `http://` or `https://` address.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    credentials: Option<(String, String)>,
}

/// Why a text is no address of a webhook. Never has a part of the text in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// Nothing between the slashes.
    #[error("has no host after the //")]
    NoHost,
    /// A host that can't be one.
    #[error("has a host with characters that no host name has; write international names in their xn-- form")]
    BadHost,
    /// A port that can't be one.
    #[error("has a port that is no number from 1 to 65535")]
    BadPort,
    /// Spaces, control characters, or characters beyond ASCII.
    #[error("has characters that must be written as %XX: spaces, control characters, or letters beyond ASCII")]
    BadCharacter,
    /// `%` without two digits in user or password.
    #[error("has a user or password with a % that is not followed by two hexadecimal digits")]
    BadEscape,
}

impl WebhookUrl {
    /// Takes an address apart.
    ///
    /// # Errors
    /// [`UrlError`] says what is wrong with it, without showing it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let (tls, rest) = match text {
            _ if scheme("https://") => (true, &text["https://".len()..]),
            _ if scheme("http://") => (false, &text["http://".len()..]),
            _ => return Err(UrlError::Scheme),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::BadCharacter);
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let credentials = userinfo.map(|userinfo| {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            Some((unescaped(user)?, unescaped(password)?))
        });
        let credentials = match credentials {
            Some(None) => return Err(UrlError::BadEscape),
            Some(both) => both,
            None => None,
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host: host.to_owned(), port, path, credentials })
    }

    /// Whether it is https.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` header says.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Path and query: a secret.
    pub fn secret_path(&self) -> &str {
        &self.path
    }

    /// User and password, if it has them: secrets.
    pub fn secret_credentials(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), UrlError> {
    let after_brackets = place.rfind(']').unwrap_or(0);
    let (host, port) = match place[after_brackets..].find(':') {
        Some(colon) => place.split_at(after_brackets + colon),
        None => (place, ""),
    };
    let port = match port.strip_prefix(':') {
        None | Some("") => None,
        Some(digits) => Some(digits.parse().ok().filter(|port| *port > 0).ok_or(UrlError::BadPort)?),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
    };
    match host {
        "" => Err(UrlError::NoHost),
        _ if !good => Err(UrlError::BadHost),
        host => Ok((host, port)),
    }
}

/// The text with its `%XX` replaced.
fn unescaped(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for WebhookUrl {
    /// `https://hooks.example.org/…`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.path == "/" { "" } else { "…" };
        write!(f, "{}://{}/{more}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({self})")
    }
}

impl Serialize for WebhookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://localhost", "localhost", 80, "/", "http://localhost/")]
    #[case("HTTPS://Hooks.Example.org/a/b?c=d#e", "Hooks.Example.org", 443, "/a/b?c=d", "https://Hooks.Example.org/…")]
    #[case("https://h:8443?x", "h", 8443, "/?x", "https://h:8443/…")]
    #[case("http://[::1]:8080/a", "::1", 8080, "/a", "http://[::1]:8080/…")]
    #[case("http://h:/", "h", 80, "/", "http://h/")]
    fn addresses_are_taken_apart(
        #[case] text: &str,
        #[case] host: &str,
        #[case] port: u16,
        #[case] path: &str,
        #[case] shown: &str,
    ) {
        let url = WebhookUrl::parse(text).unwrap();
        assert_eq!((url.host(), url.port(), url.secret_path(), url.to_string().as_str()), (host, port, path, shown));
    }

    #[rstest]
    #[case("ftp://h/", UrlError::Scheme)]
    #[case("hooks.example.org", UrlError::Scheme)]
    #[case("http:///x", UrlError::NoHost)]
    #[case("http://user@/x", UrlError::NoHost)]
    #[case("http://a b/", UrlError::BadCharacter)]
    #[case("http://h/\u{e9}", UrlError::BadCharacter)]
    #[case("http://h\r\nX: y/", UrlError::BadCharacter)]
    #[case("http://h:0/", UrlError::BadPort)]
    #[case("http://h:70000/", UrlError::BadPort)]
    #[case("http://h,i/", UrlError::BadHost)]
    #[case("http://[::zz]/", UrlError::BadHost)]
    #[case("http://u%4:p@h/", UrlError::BadEscape)]
    fn what_is_no_address_says_why(#[case] text: &str, #[case] error: UrlError) {
        assert_eq!(WebhookUrl::parse(text), Err(error));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let url = WebhookUrl::parse("https://canary1:canary%32@h/services/canary3?token=canary4").unwrap();
        assert_eq!(url.secret_credentials(), Some(("canary1", "canary2")));
        let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap());
        assert!(!shown.contains("canary") && shown.contains("https://h/…"), "{shown}");
    }
}
