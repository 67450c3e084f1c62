//! Takes both listeners before any agent is started, so that a port in use is an error and not half a boot.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use werkpilot_core::role::Role;
use werkpilot_core::settings::Dashboard;

use crate::auth::Auth;
use crate::control_socket::{self, SocketFile};
use crate::port_owner::{Owner, owner_of};
use crate::tls::{Tls, TlsError};

/// Why a listener could not be taken. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The dashboard could be reached from other machines, in plain text.
    #[error(
        "{address} can be reached from other machines, where passwords and payloads would travel in plain text; set \
         [dashboard] tls_certificate and tls_key, or listen on a loopback address such as 127.0.0.1:{port} (a reverse \
         proxy can speak TLS), or start it with --insecure if the network is trusted",
        port = .address.port()
    )]
    Unencrypted {
        /// What the settings say.
        address: SocketAddr,
    },
    /// The bus could be reached from other machines.
    #[error(
        "{address} can be reached from other machines, which the bus is not made for; set [bus] listen to a loopback \
         address such as 127.0.0.1:{port}",
        port = .address.port()
    )]
    NotLoopback {
        /// What the settings say.
        address: SocketAddr,
    },
    /// Certificate or key for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Somebody listens there already.
    #[error(
        "{address} is in use{}; end it, or set another [{table}] listen (`ss -ltnp 'sport = :{port}'` shows who has it)",
        by(.owner.as_ref()),
        port = .address.port()
    )]
    InUse {
        /// Where the settings have it.
        table: &'static str,
        /// What the settings say.
        address: SocketAddr,
        /// Who has it, if that can be seen.
        owner: Option<Owner>,
    },
    /// Any other failure to listen on TCP.
    #[error("failed to listen on {address}")]
    Tcp {
        /// What the settings say.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another orchestrator answers on the control socket.
    #[error("an orchestrator{} runs already and answers on {}; `werkpilot down` ends it", pid_text(*.pid), .socket.display())]
    AlreadyRunning {
        /// The control socket.
        socket: PathBuf,
        /// The process that answers, if the kernel tells.
        pid: Option<i32>,
    },
    /// There is something else at the control socket's path.
    #[error("{} is in the way of the control socket and is no socket; move it away", .path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The short folder for control sockets can't be trusted.
    #[error("{} has to be a folder of ours with mode 0700, or others could take over the control socket; remove it", .path.display())]
    UnsafeFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Any other failure to make the control socket.
    #[error("failed to make the control socket {}", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn by(owner: Option<&Owner>) -> String {
    owner.map(|owner| format!(" by {owner}")).unwrap_or_default()
}

fn pid_text(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// What is allowed at addresses that other machines reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// TLS only.
    #[default]
    Safe,
    /// Plain text as well: the user says that the network is trusted.
    Insecure,
}

/// Both listeners, bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) tcp: TcpListener,
    pub(crate) control: UnixListener,
    pub(crate) socket_file: SocketFile,
    pub(crate) settings: Dashboard,
    pub(crate) auth: Arc<Auth>,
    pub(crate) tls: Option<Tls>,
    address: SocketAddr,
}

impl Bound {
    /// Binds the TCP listener and the control socket of this state folder, which exists. A socket that a dead
    /// orchestrator left behind is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(settings: &Dashboard, state_dir: &Path) -> Result<Self, BindError> {
        Self::bind_as(settings, state_dir, Exposure::Safe)
    }

    /// The same; with [`Exposure::Insecure`] at any address without TLS, too.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind_as(settings: &Dashboard, state_dir: &Path, exposure: Exposure) -> Result<Self, BindError> {
        let address = settings.listen;
        let tls = Tls::of(settings)?;
        if !address.ip().is_loopback() && tls.is_none() && exposure == Exposure::Safe {
            return Err(BindError::Unencrypted { address });
        }
        let tcp = bind_tcp("dashboard", address)?;
        let address = tcp.local_addr().map_err(|source| BindError::Tcp { address, source })?;
        let (control, socket_file) = control_socket::bind(state_dir)?;
        let auth = Arc::new(Auth::new(settings, address, state_dir));
        Ok(Self { tcp, control, socket_file, settings: settings.clone(), auth, tls, address })
    }

    /// A link to the dashboard that logs an admin in, once, within five minutes. It belongs on the terminal of whoever
    /// starts the orchestrator, and into no log.
    pub fn login_link(&self, by: &str) -> String {
        self.auth.login(by, Role::Admin).link
    }

    /// What a browser is pointed at.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.address)
    }

    /// Whether passwords and payloads can be read on their way from other machines.
    pub fn is_insecure(&self) -> bool {
        self.tls.is_none() && !self.address.ip().is_loopback()
    }

    /// Where HTTP is served; with the real port if the settings say port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the CLI finds the orchestrator.
    pub fn control_socket(&self) -> &Path {
        self.socket_file.path()
    }
}

/// Takes the address of the bus.
///
/// # Errors
/// [`BindError`].
pub fn bind_bus(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback { address });
    }
    bind_tcp("bus", address)
}

/// `table`: where the settings have the address.
fn bind_tcp(table: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    // The standard library sets SO_REUSEADDR, so connections of a predecessor in TIME_WAIT are not in the way.
    TcpListener::bind(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => BindError::InUse { table, address, owner: owner_of(address) },
        _ => BindError::Tcp { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(listen: SocketAddr) -> Dashboard {
        Dashboard { listen, ..Dashboard::default() }
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let error = Bound::bind(&on(([0, 0, 0, 0], 3001).into()), state.path()).unwrap_err();
        insta::assert_snapshot!(error, @"0.0.0.0:3001 can be reached from other machines, where passwords and payloads would travel in plain text; set [dashboard] tls_certificate and tls_key, or listen on a loopback address such as 127.0.0.1:3001 (a reverse proxy can speak TLS), or start it with --insecure if the network is trusted");
        let error = bind_bus(([0, 0, 0, 0], 3002).into()).unwrap_err();
        insta::assert_snapshot!(error, @"0.0.0.0:3002 can be reached from other machines, which the bus is not made for; set [bus] listen to a loopback address such as 127.0.0.1:3002");
    }

    #[test]
    fn a_port_in_use_names_who_has_it_and_how_to_find_out() {
        let state = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let text = Bound::bind(&on(address), state.path()).unwrap_err().to_string();
        let own = format!("(pid {})", std::process::id());
        assert!(text.starts_with(&format!("{address} is in use by ")) && text.contains(&own), "{text}");
        assert!(text.contains(&format!("ss -ltnp 'sport = :{}'", address.port())), "{text}");
        assert!(!control_socket::control_socket_path(state.path()).exists(), "nothing is left behind");
    }
}
