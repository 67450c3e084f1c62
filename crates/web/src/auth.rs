//! Who asks: tokens for programs, sessions for browsers, codes to log in with, and the way over which they come.
//!
//! ```text
//!  control socket ────────────────────────────▶ admin
//!  Authorization: Bearer wp_… ──▶ tokens ─────▶ its role
//!  cookie werkpilot_PORT ───────▶ sessions ───▶ the role of the code or token that opened it
//!  nothing ─────────────────────▶ site ───────▶ the overview, on this machine; nothing else
//! ```
//!
//! Invariant: who shows a wrong token is nobody, not even anonymous; what a route lets in is decided in one place,
//! [`Principal::may`], from the table of routes.

mod admin_file;
mod codes;
mod failures;
mod principal;
mod secret;
mod sessions;
mod site;
mod tokens;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use tokio::sync::OnceCell;
use werkpilot_core::role::Role;
use werkpilot_core::settings::Dashboard;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::clock::Clock;
use werkpilot_runtime::{Handle, TokenRow};

use self::codes::{CODE_LIFE, Codes, Grant};
use self::failures::Failures;
pub(crate) use self::principal::{Principal, Tenure, Way};
use self::secret::{PREFIX, Secret, SecretDigest, public_id};
use self::sessions::{Owner, SESSION_LIFE, Sessions};
use self::site::Site;
pub(crate) use self::site::check_fetch_site;
use self::tokens::{Found, TOKENS, Tokens};
use crate::problem::Problem;
use crate::routes::{Access, Method, Route};

/// The header with which a page proves that a change is its own.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("werkpilot-csrf");
/// The id, and the name, of the token in the state folder.
const ADMIN: &str = "admin";
/// Characters of a token's name.
const MAX_NAME: usize = 64;

/// What both listeners know of who may come.
#[derive(Debug)]
pub(crate) struct Auth {
    site: Site,
    tls: bool,
    /// Where people get to the dashboard.
    url: String,
    cookie: String,
    state_dir: PathBuf,
    clock: Clock,
    /// Read when they are needed, and again until that works.
    tokens: OnceCell<Mutex<Tokens>>,
    sessions: Mutex<Sessions>,
    codes: Mutex<Codes>,
    failures: Failures,
}

/// A code to log in with, for the terminal of whoever asked.
pub(crate) struct Login {
    /// The code itself.
    pub code: String,
    /// The dashboard's address with the code in its fragment, which browsers send to nobody.
    pub link: String,
    /// When it is good for nothing any more.
    pub expires: Timestamp,
}

/// An open session, for whoever opened it.
pub(crate) struct Opened {
    /// What the browser is to keep.
    pub cookie: String,
    /// What the page is to send with changes.
    pub csrf: String,
    /// Whose it is.
    pub owner: Owner,
}

/// What somebody shows to log in.
pub(crate) enum Credential<'a> {
    /// A login code.
    Code(&'a str),
    /// A token.
    Token(&'a str),
}

impl Auth {
    /// For listeners at this address.
    pub fn new(settings: &Dashboard, address: SocketAddr, state_dir: &Path) -> Self {
        let tls = settings.tls_certificate.is_some();
        Self {
            site: Site::new(settings, tls),
            tls,
            url: url(address, tls),
            cookie: format!("werkpilot_{}", address.port()),
            state_dir: state_dir.to_owned(),
            clock: Clock::start(),
            tokens: OnceCell::new(),
            sessions: Mutex::default(),
            codes: Mutex::default(),
            failures: Failures::default(),
        }
    }

    /// Reads the tokens, and makes the admin token if there never was one. What goes wrong is told and tried again when
    /// somebody shows a token.
    pub async fn open(&self, handle: &Handle) {
        if let Err(problem) = self.tokens(handle).await {
            log::warn!(target: "werkpilot", "nobody can log in with a token yet: {problem}");
        }
    }

    async fn tokens(&self, handle: &Handle) -> Result<MutexGuard<'_, Tokens>, Problem> {
        let tokens = self.tokens.get_or_try_init(|| self.load(handle)).await?;
        Ok(lock(tokens))
    }

    async fn load(&self, handle: &Handle) -> Result<Mutex<Tokens>, Problem> {
        let mut rows = handle.tokens().await?;
        if !rows.iter().any(|row| row.id == ADMIN) {
            match admin_file::read_or_make(&self.state_dir) {
                Ok(secret) => {
                    let row = row(ADMIN, ADMIN, Role::Admin, &secret, "first start");
                    if let Err(error) = handle.keep_token(row.clone()).await {
                        log::warn!(target: "werkpilot", "the admin token is not kept yet, and is read from its file at the next start: {error}");
                    }
                    rows.push(row);
                }
                Err(error) => {
                    log::warn!(target: "werkpilot", "there is no admin token, its file could not be written: {error}");
                }
            }
        }
        Ok(Mutex::new(Tokens::new(rows)))
    }

    /// Checks a request's URL, name and page, whoever asks.
    pub fn check_way(&self, request: &ServiceRequest) -> Result<(), Problem> {
        site::check_url(request.uri())?;
        self.site.check_host(request.headers(), request.uri())?;
        self.site.check_origin(request.headers())
    }

    /// Checks the URL of what comes over the control socket, where names mean nothing.
    pub fn check_url(request: &ServiceRequest) -> Result<(), Problem> {
        site::check_url(request.uri())
    }

    /// Who asks over TCP. A cookie that is good no more is none; a wrong token is an error.
    pub async fn identify(&self, request: &ServiceRequest, handle: &Handle) -> Result<Principal, Problem> {
        let overview = self.is_here(request);
        if let Some(token) = bearer(request.headers()) {
            let (row, tenure) = self.token(token, handle, peer(request)).await?;
            let (name, way) = (format!("token:{}", row.name), Way::Token(row.id));
            return Ok(Principal { name, role: Some(row.role), way, overview, tenure: Some(tenure) });
        }
        let Some(session) = self.session_secret(request.headers()) else { return Ok(Principal::anonymous(overview)) };
        let found = lock(&self.sessions).find(&session.digest(), self.clock.steady());
        Ok(found.map_or_else(
            || Principal::anonymous(overview),
            |(owner, tenure)| Principal {
                name: format!("session:{}", owner.name),
                role: Some(owner.role),
                way: Way::Session,
                overview,
                tenure: Some(tenure),
            },
        ))
    }

    /// Whether a request comes from this machine, by a name of this machine, and not through anybody.
    fn is_here(&self, request: &ServiceRequest) -> bool {
        let headers = request.headers();
        !self.tls
            && peer(request).is_some_and(|peer| peer.to_canonical().is_loopback())
            && site::proxy(headers).is_none()
            && self.site.check_host(headers, request.uri()).is_ok_and(|loopback| loopback)
    }

    async fn token(&self, token: &str, handle: &Handle, peer: Option<IpAddr>) -> Result<(TokenRow, Tenure), Problem> {
        let found = self.tokens(handle).await?.find(&SecretDigest::of(token), Clock::wall());
        match found {
            Found::Good { row, tenure, write } => {
                if write {
                    handle.note_token_use(row.clone());
                }
                Ok((row, tenure))
            }
            Found::Revoked => Err(self.failed(peer, "the token was revoked")),
            Found::Unknown => Err(self.failed(peer, "the token is none of this orchestrator's")),
        }
    }

    /// The problem of a login that failed; counted, and told in the log while there are few.
    fn failed(&self, peer: Option<IpAddr>, why: &'static str) -> Problem {
        match self.failures.count(peer) {
            Ok(()) => {
                let from = peer.map_or_else(|| "somewhere".to_owned(), |peer| peer.to_string());
                log::warn!(target: "werkpilot", "A login from {from} failed: {why}");
                Problem::new(StatusCode::UNAUTHORIZED, why)
                    .of_kind("urn:werkpilot:login")
                    .hint("`werkpilot login` makes a link to log in with, `werkpilot token create` a token")
            }
            Err(wait) => {
                let text = "too many logins failed from this address; a right one is taken at any time";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, text)
                    .of_kind("urn:werkpilot:too-many-logins")
                    .retry_after(wait)
            }
        }
    }

    /// Checks that a change that comes with a cookie is the page's own.
    pub fn check_csrf(&self, principal: &Principal, route: &Route, headers: &HeaderMap) -> Result<(), Problem> {
        let logs_in = route.access == Access::Public && route.method == Method::Post;
        if principal.way != Way::Session || route.method.reads() || logs_in {
            return Ok(());
        }
        let sent = headers.get(CSRF_HEADER).map(|sent| SecretDigest::of(sent.to_str().unwrap_or_default()));
        let wanted = self.session_secret(headers).map(|session| SecretDigest::of(&secret::csrf(&session)));
        if sent.zip(wanted).is_some_and(|(sent, wanted)| sent.is(&wanted)) {
            return Ok(());
        }
        let text = format!("a change that comes with a cookie needs the header {CSRF_HEADER}");
        Err(Problem::new(StatusCode::FORBIDDEN, text)
            .of_kind("urn:werkpilot:csrf")
            .hint("send what GET /api/v1/session gives as `csrf`; programs use a token and no cookie"))
    }

    fn session_secret(&self, headers: &HeaderMap) -> Option<Secret> {
        let cookies = headers.get_all(header::COOKIE).filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, value)| Secret::given(value))
    }

    /// Makes a login code.
    pub fn login(&self, by: &str, role: Role) -> Login {
        let code = Secret::new("");
        let grant = Grant { by: by.to_owned(), role };
        lock(&self.codes).add(code.digest(), grant, self.clock.steady());
        let link = format!("{}#login={}", self.url, code.reveal());
        Login { code: code.reveal().to_owned(), link, expires: Clock::wall() + CODE_LIFE }
    }

    /// Opens a session.
    pub async fn log_in(
        &self,
        credential: Credential<'_>,
        handle: &Handle,
        request: &actix_web::HttpRequest,
    ) -> Result<Opened, Problem> {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let (name, role, token) = match credential {
            Credential::Code(code) => {
                let grant = lock(&self.codes).take(&SecretDigest::of(code), self.clock.steady());
                let unknown = "the login code was used, is older than five minutes, or never was one";
                let grant = grant.ok_or_else(|| self.failed(peer, unknown))?;
                (grant.by, grant.role, None)
            }
            Credential::Token(token) => {
                let (row, _) = self.token(token, handle, peer).await?;
                (format!("token:{}", row.name), row.role, Some(row.id))
            }
        };
        let session = Secret::new("");
        // What was there before under this cookie is replaced by it.
        self.log_out(request.headers());
        let owner = lock(&self.sessions).open(session.digest(), name, role, token, self.clock.now());
        let csrf = secret::csrf(&session);
        let cookie = self.cookie(session.reveal(), SESSION_LIFE.as_secs(), request.headers());
        Ok(Opened { cookie, csrf, owner })
    }

    /// What the page is to know of its session.
    pub fn session(&self, headers: &HeaderMap) -> Option<(Owner, String)> {
        let secret = self.session_secret(headers)?;
        let (owner, _) = lock(&self.sessions).find(&secret.digest(), self.clock.steady())?;
        Some((owner, secret::csrf(&secret)))
    }

    /// Ends the session of a cookie, and gives what makes the browser forget it.
    pub fn log_out(&self, headers: &HeaderMap) -> String {
        if let Some(secret) = self.session_secret(headers) {
            lock(&self.sessions).close(&secret.digest());
        }
        self.cookie("", 0, headers)
    }

    fn cookie(&self, value: &str, seconds: u64, headers: &HeaderMap) -> String {
        let proxied_tls = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https");
        let secure = if self.tls || proxied_tls { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", self.cookie)
    }

    /// All tokens.
    pub async fn list_tokens(&self, handle: &Handle) -> Result<Vec<TokenRow>, Problem> {
        Ok(self.tokens(handle).await?.list())
    }

    /// Makes a token; it is on disk when this resolves.
    pub async fn create_token(
        &self,
        name: &str,
        role: Role,
        by: &str,
        handle: &Handle,
    ) -> Result<(Secret, TokenRow), Problem> {
        check_name(name)?;
        let secret = Secret::new(PREFIX);
        let row = row(&public_id(), name, role, &secret, by);
        {
            let mut tokens = self.tokens(handle).await?;
            if tokens.has_name(name) {
                let text = format!("there is a token of the name {name} already");
                return Err(Problem::new(StatusCode::CONFLICT, text)
                    .of_kind("urn:werkpilot:token-name")
                    .hint("choose another name, or revoke that one first (`werkpilot token revoke`)"));
            }
            if tokens.good() >= TOKENS {
                let text = format!("there are {TOKENS} tokens already, as many as there may be");
                return Err(Problem::new(StatusCode::CONFLICT, text).hint("revoke some (`werkpilot token revoke`)"));
            }
            tokens.add(row.clone());
        }
        if let Err(error) = handle.keep_token(row.clone()).await {
            self.tokens(handle).await?.remove(&row.id);
            return Err(error.into());
        }
        Ok((secret, row))
    }

    /// Revokes a token: it lets nobody in from now on, and its sessions and streams end. Gives it as it was and as it is.
    pub async fn revoke_token(&self, id: &str, handle: &Handle) -> Result<(TokenRow, TokenRow), Problem> {
        let (before, after) = {
            let mut tokens = self.tokens(handle).await?;
            let before = tokens.get(id).cloned();
            before.zip(tokens.revoke(id, Clock::wall())).ok_or_else(|| {
                Problem::new(StatusCode::NOT_FOUND, format!("there is no token {id}"))
                    .of_kind("urn:werkpilot:unknown-token")
                    .hint("GET /api/v1/tokens, `werkpilot token list`, lists them")
            })?
        };
        lock(&self.sessions).close_of(id);
        handle.keep_token(after.clone()).await.map_err(|error| {
            Problem::from(error).hint("it lets nobody in until the next start; revoke it again when the disk is well")
        })?;
        if id == ADMIN {
            admin_file::remove(&self.state_dir);
        }
        Ok((before, after))
    }
}

fn row(id: &str, name: &str, role: Role, secret: &Secret, by: &str) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        name: name.to_owned(),
        role,
        hash: secret.digest().bytes(),
        created_at: Clock::wall(),
        created_by: by.to_owned(),
        last_used_at: None,
        revoked_at: None,
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(good) && !name.starts_with('-') {
        return Ok(());
    }
    let text = format!("a token's name has 1 to {MAX_NAME} letters, digits and -_.@, and does not begin with -");
    Err(Problem::bad_request(text).hint("name it after who uses it, such as ci or ada-laptop"))
}

/// The token of an Authorization header. Other schemes are the business of a proxy.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn peer(request: &ServiceRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}

/// Where a browser on this machine finds us.
fn url(address: SocketAddr, tls: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}/", SocketAddr::new(ip, address.port()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearers_are_tokens() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header::HeaderValue::from_static(value));
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(of("Bearer wp_1"), Some("wp_1".to_owned()));
        assert_eq!(of("bearer  wp_1 "), Some("wp_1".to_owned()));
        assert_eq!(of("Basic d3A="), None);
        assert_eq!(of("Bearer"), None);
    }

    #[test]
    fn names_of_tokens_are_plain() {
        for good in ["ci", "ada@laptop", "a.b-c_d", &"x".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-r", "a b", "é", "a\n", &"x".repeat(65), "<script>"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_link_is_one_that_works_on_this_machine() {
        let of = |address: &str, tls| url(address.parse().unwrap(), tls);
        assert_eq!(of("127.0.0.1:3001", false), "http://127.0.0.1:3001/");
        assert_eq!(of("0.0.0.0:3001", true), "https://127.0.0.1:3001/");
        assert_eq!(of("[::]:3001", false), "http://[::1]:3001/");
        assert_eq!(of("192.168.1.2:80", true), "https://192.168.1.2:80/");
    }
}
