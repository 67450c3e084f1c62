//! Under which names we are asked, by whose pages, and through what: against DNS rebinding, pages of other sites, and
//! tokens where they leak.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::uri::{Authority, Uri};
use actix_web::http::{Method, StatusCode};
use werkpilot_core::settings::Dashboard;

use super::secret::has_token;
use crate::problem::Problem;

/// Names of a query's fields in which people send secrets.
const SECRET_FIELDS: [&str; 8] =
    ["token", "access_token", "api_key", "apikey", "auth", "authorization", "login", "password"];
/// Says whether a browser asks for a page of ours.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What may stand in Host and Origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Besides the names of this machine.
    hosts: Vec<String>,
    /// Others reach us by our address. An address can't be rebound, a name can.
    by_address: bool,
    /// We speak TLS.
    tls: bool,
}

impl Site {
    /// As the settings have it.
    pub fn new(settings: &Dashboard, tls: bool) -> Self {
        Self { hosts: settings.hosts.clone(), by_address: !settings.listen.ip().is_loopback(), tls }
    }

    /// Checks by which name we are asked, and tells whether it is one that only this machine has.
    pub fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<bool, Problem> {
        let said = headers.get_all(header::HOST).map(|host| host.to_str().unwrap_or_default());
        let mut hosts = said.chain(uri.authority().map(Authority::as_str)).peekable();
        let named = hosts.peek().is_some();
        let mut loopback = named;
        let ours = named
            && hosts.all(|host| {
                loopback &= is_loopback(host);
                self.knows(host)
            });
        if ours {
            return Ok(loopback);
        }
        let text = "the Host header names neither this machine nor one of [dashboard] hosts";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text)
            .of_kind("urn:werkpilot:host")
            .hint("ask for localhost, 127.0.0.1 or [::1], or add the name to [dashboard] hosts in werkpilot.toml"))
    }

    fn knows(&self, host: &str) -> bool {
        is_loopback(host) || self.is_listed(host) || self.by_address && address(host).is_some()
    }

    fn is_listed(&self, host: &str) -> bool {
        let name = without_port(host);
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name))
    }

    /// Checks which page asks, where a browser says so.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if self.is_own(origin.to_str().unwrap_or_default(), host) { Ok(()) } else { Err(other_site()) }
    }

    fn is_own(&self, origin: &str, host: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        // What is not ours, and not on this machine, is behind a proxy, which may speak TLS for us.
        let good_scheme = match scheme {
            "https" => self.tls || !is_loopback(authority),
            "http" => !self.tls,
            _ => false,
        };
        good_scheme && (authority.eq_ignore_ascii_case(host) || self.is_listed(authority))
    }
}

/// Checks what browsers say of the page that asks: `page` is what anybody may open from anywhere, by a link.
pub(crate) fn check_fetch_site(headers: &HeaderMap, method: &Method, page: bool) -> Result<(), Problem> {
    let Some(site) = headers.get(SEC_FETCH_SITE) else { return Ok(()) };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match site.as_bytes() {
        b"same-origin" => Ok(()),
        // Typed, or a bookmark.
        b"none" if reads => Ok(()),
        _ if reads && page => Ok(()),
        _ => Err(other_site()),
    }
}

fn other_site() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "pages of other sites may not ask")
        .of_kind("urn:werkpilot:origin")
        .hint("open the dashboard itself; behind a proxy, add its name to [dashboard] hosts in werkpilot.toml")
}

/// The header that tells that the request came through a proxy.
pub(crate) fn proxy(headers: &HeaderMap) -> Option<&HeaderName> {
    let tells = |name: &HeaderName| {
        *name == header::FORWARDED
            || *name == header::VIA
            || name.as_str() == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    };
    headers.keys().find(|name| tells(name))
}

/// Refuses a URL with a secret in it. The text tells nothing of it.
pub(crate) fn check_url(uri: &Uri) -> Result<(), Problem> {
    let query = uri.query().unwrap_or_default();
    let field = query
        .split('&')
        .map(|field| field.split('=').next().unwrap_or_default())
        .any(|name| SECRET_FIELDS.iter().any(|secret| name.eq_ignore_ascii_case(secret)));
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if !field && !user && !has_token(query) && !has_token(uri.path()) {
        return Ok(());
    }
    let hint = "send it as `Authorization: Bearer TOKEN`; URLs end up in logs and histories, so take a token that was in \
                one back with `werkpilot token revoke`";
    Err(Problem::bad_request("a URL may not have a secret in it").of_kind("urn:werkpilot:secret-in-url").hint(hint))
}

/// Whether a Host is this machine, whatever its port (it may be an SSH tunnel's).
pub(crate) fn is_loopback(host: &str) -> bool {
    without_port(host).eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.is_loopback())
}

/// The address that a Host is.
fn address(host: &str) -> Option<IpAddr> {
    let name = without_port(host);
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(Into::into),
        None => name.parse::<Ipv4Addr>().ok().map(Into::into),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(listen: &str, hosts: &[&str], tls: bool) -> Site {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        Site::new(&Dashboard { listen: listen.parse().unwrap(), hosts, ..Dashboard::default() }, tls)
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LocalHost:3001", "127.0.0.1:3001", "127.0.0.2", "[::1]", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        let others = [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:3001",
            "127.0.0.1.evil.example",
            "[::2]:1",
            "localhost:",
            "localhost:80x",
            "127.0.0.1@evil.example",
            "localhost:1:2",
            ":3001",
        ];
        for host in others {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_host_is_known_by_its_name_or_where_it_can_be_reached_by_its_address() {
        let here = site("127.0.0.1:3001", &["ops.example.org", "b.example.org:8443"], false);
        for host in ["localhost:3001", "ops.example.org", "OPS.example.org:443", "b.example.org:8443"] {
            assert!(here.knows(host), "{host}");
        }
        for host in ["evil.example", "b.example.org", "b.example.org:1", "192.168.1.2:3001", "x.ops.example.org"] {
            assert!(!here.knows(host), "{host}");
        }
        let open = site("0.0.0.0:3001", &[], true);
        assert!(open.knows("192.168.1.2:3001") && open.knows("[2001:db8::1]") && !open.knows("evil.example"));
    }

    #[test]
    fn a_page_is_ours_if_it_is_of_the_same_origin_or_of_a_listed_host() {
        let here = site("127.0.0.1:3001", &["ops.example.org"], false);
        let ours = [
            ("http://localhost:3001", "localhost:3001"),
            ("http://[::1]:3001", "[::1]:3001"),
            ("https://ops.example.org", "ops.example.org"),
            ("https://ops.example.org", "127.0.0.1:3001"),
        ];
        for (origin, host) in ours {
            assert!(here.is_own(origin, host), "{origin} {host}");
        }
        let others = [
            ("http://localhost:8080", "localhost:3001"),
            ("https://localhost:3001", "localhost:3001"),
            ("http://evil.example", "localhost:3001"),
            ("http://localhost:3001.evil.example", "localhost:3001"),
            ("null", "localhost:3001"),
            ("", ""),
            ("file://", "localhost:3001"),
        ];
        for (origin, host) in others {
            assert!(!here.is_own(origin, host), "{origin} {host}");
        }
        let tls = site("0.0.0.0:3001", &[], true);
        assert!(tls.is_own("https://10.0.0.1:3001", "10.0.0.1:3001"));
        assert!(!tls.is_own("http://10.0.0.1:3001", "10.0.0.1:3001"));
    }

    #[test]
    fn other_sites_may_link_to_the_page_and_no_more() {
        let check = |site: &'static str, method: &Method, page| {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_FETCH_SITE, header::HeaderValue::from_static(site));
            check_fetch_site(&headers, method, page).is_ok()
        };
        for (site, expected) in [
            ("same-origin", [true, true, true, true]),
            ("none", [true, true, false, false]),
            ("same-site", [true, false, false, false]),
            ("cross-site", [true, false, false, false]),
            ("nonsense", [true, false, false, false]),
        ] {
            let found = [
                check(site, &Method::GET, true),
                check(site, &Method::GET, false),
                check(site, &Method::POST, true),
                check(site, &Method::DELETE, false),
            ];
            assert_eq!(found, expected, "{site}");
        }
    }

    #[test]
    fn a_secret_in_the_url_is_refused_and_not_repeated() {
        let token = format!("wp_{}", "s3cret_-".repeat(6));
        for bad in [
            "/metrics?token=abc".to_owned(),
            "/metrics?limit=1&Access_Token=abc".to_owned(),
            "/?login=abc".to_owned(),
            format!("/metrics?x={token}"),
            format!("/api/v1/agents/{token}"),
            "http://user:abc@localhost/metrics".to_owned(),
        ] {
            let problem = check_url(&bad.parse().unwrap()).unwrap_err();
            let shown = serde_json::to_string(&problem).unwrap();
            assert!(!shown.contains("abc") && !shown.contains("s3cret"), "{shown}");
        }
        for good in ["/metrics", "/api/v1/agents?status=error&cursor=wp_1", "/api/v1/tokens"] {
            assert!(check_url(&good.parse().unwrap()).is_ok(), "{good}");
        }
    }
}
