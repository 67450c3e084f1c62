//! TLS of the TCP listener: certificate and key from PEM files, read again when they change.
//!
//! Invariant: there is always a certificate that works. Files that changed and are faulty are told of once in the log, and
//! to everybody who reloads; the certificate before them stays until they are in order.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio_rustls::TlsAcceptor;
use werkpilot_core::settings::Dashboard;

/// Changed files are noticed with the first handshake after this time.
const LOOK: Duration = Duration::from_secs(1);
/// Files of more bytes are no certificates.
const MAX_FILE: u64 = 1 << 20;

/// What is wrong with the files for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("failed to read [dashboard] {setting}, {}", path.display())]
    Read {
        /// The key in the settings.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it has to be.
    #[error("[dashboard] {setting}, {}, {what}", path.display())]
    Content {
        /// The key in the settings.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key is not that of the certificate.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Only one of both files is set.
    #[error("[dashboard] tls_certificate and tls_key are set together or not at all")]
    Half,
}

/// How TLS is spoken; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    files: Arc<Files>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// What the settings say; `None`: plain HTTP.
    pub fn of(settings: &Dashboard) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = match (&settings.tls_certificate, &settings.tls_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            _ => return Err(TlsError::Half),
        };
        let provider = Arc::new(ring::default_provider());
        let files = Arc::new(Files { certificate, key, provider: provider.clone() });
        let (read, state) = files.read()?;
        let known = Known { key: Arc::new(read), state, looked: Instant::now() };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("the provider speaks both")
            .with_no_client_auth();
        let watched = Watched { files: files.clone(), known: Mutex::new(known) };
        let mut config = config.with_cert_resolver(Arc::new(watched));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(config)), files }))
    }

    /// Who shakes hands.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

/// What is not in order with the files for TLS: with those in use, whose certificate stays, and with those that the
/// settings name for the next start. They are read, and nothing changes: a handshake takes what is new.
pub(crate) fn warnings(in_use: Option<&Tls>, settings: &Dashboard) -> Vec<String> {
    let mut found = Vec::new();
    let files = in_use.map(|tls| &*tls.files);
    if let Some(Err(error)) = files.map(Files::read) {
        found.push(stays(&error));
    }
    if !files.is_some_and(|files| files.are_those_of(settings))
        && let Err(error) = Tls::of(settings)
    {
        found.push(format!("TLS: with these settings the next start fails: {}", with_cause(&error)));
    }
    found
}

/// For log and answers alike.
fn stays(error: &TlsError) -> String {
    format!("TLS: the certificate stays as it was: {}; mended files are taken by themselves", with_cause(error))
}

fn with_cause(error: &TlsError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
}

/// How files looked from outside when they were read: renamed, written over, with other rights, or not.
type State = [Option<(u64, u64, i64, i64)>; 2];

impl Files {
    fn read(&self) -> Result<(CertifiedKey, State), TlsError> {
        let state = self.state();
        let chain = contents("tls_certificate", &self.certificate)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| not_pem("tls_certificate", &self.certificate, &error))?;
        if chain.is_empty() {
            return Err(fault("tls_certificate", &self.certificate, "has no certificate in PEM form"));
        }
        let key = contents("tls_key", &self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| not_pem("tls_key", &self.key, &error))?;
        let key = self.provider.key_provider.load_private_key(key);
        let key =
            key.map_err(|error| fault("tls_key", &self.key, &format!("has a key that can't be used: {error}")))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok((certified, state)),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() })
            }
            Err(error) => {
                let what = format!("has a certificate that can't be used: {error}");
                Err(fault("tls_certificate", &self.certificate, &what))
            }
        }
    }

    fn are_those_of(&self, settings: &Dashboard) -> bool {
        let wanted = (settings.tls_certificate.as_ref(), settings.tls_key.as_ref());
        wanted == (Some(&self.certificate), Some(&self.key))
    }

    fn state(&self) -> State {
        let of = |meta: Metadata| (meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec());
        [&self.certificate, &self.key].map(|path| fs::metadata(path).ok().map(of))
    }
}

fn contents(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = fs::metadata(path).and_then(|meta| {
        if meta.is_file() && meta.len() <= MAX_FILE { fs::read(path) } else { Err(ErrorKind::InvalidInput.into()) }
    });
    read.map_err(|source| match source.kind() {
        ErrorKind::InvalidInput => fault(setting, path, "is no file of at most a megabyte"),
        _ => TlsError::Read { setting, path: path.to_owned(), source },
    })
}

fn fault(setting: &'static str, path: &Path, what: &str) -> TlsError {
    TlsError::Content { setting, path: path.to_owned(), what: what.to_owned() }
}

fn not_pem(setting: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    match error {
        pem::Error::NoItemsFound => fault(setting, path, "has no private key in PEM form"),
        error => fault(setting, path, &format!("is not in PEM form: {error}")),
    }
}

/// A certificate and when it was looked after.
#[derive(Debug)]
struct Known {
    key: Arc<CertifiedKey>,
    state: State,
    looked: Instant,
}

#[derive(Debug)]
struct Watched {
    files: Arc<Files>,
    known: Mutex<Known>,
}

impl Watched {
    fn current(&self) -> Arc<CertifiedKey> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.elapsed() < LOOK {
            return known.key.clone();
        }
        known.looked = Instant::now();
        let state = self.files.state();
        if state == known.state {
            return known.key.clone();
        }
        known.state = state;
        match self.files.read() {
            Ok((key, state)) => {
                log::info!(target: "werkpilot", "TLS: the certificate in {} was read again", self.files.certificate.display());
                (known.key, known.state) = (Arc::new(key), state);
            }
            Err(error) => log::warn!(target: "werkpilot", "{}", stays(&error)),
        }
        known.key.clone()
    }
}

impl ResolvesServerCert for Watched {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// A certificate and its key.
        fn write(&self) -> Vec<u8> {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
            fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
            made.cert.der().to_vec()
        }

        fn files(&self) -> Arc<Files> {
            let provider = Arc::new(ring::default_provider());
            Arc::new(Files { certificate: self.path("cert.pem"), key: self.path("key.pem"), provider })
        }

        fn settings(&self) -> Dashboard {
            Dashboard {
                tls_certificate: Some(self.path("cert.pem")),
                tls_key: Some(self.path("key.pem")),
                ..Dashboard::default()
            }
        }

        fn fault(&self) -> String {
            self.tidy(&Tls::of(&self.settings()).unwrap_err().to_string())
        }

        fn tidy(&self, text: &str) -> String {
            text.replace(self.0.path().to_str().unwrap(), "DIR")
        }
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told_with_their_names() {
        let folder = Folder::new();
        assert_eq!(folder.fault(), "failed to read [dashboard] tls_certificate, DIR/cert.pem");
        folder.write();
        fs::write(folder.path("cert.pem"), "hello").unwrap();
        assert_eq!(folder.fault(), "[dashboard] tls_certificate, DIR/cert.pem, has no certificate in PEM form");
        folder.write();
        fs::remove_file(folder.path("key.pem")).unwrap();
        assert_eq!(folder.fault(), "failed to read [dashboard] tls_key, DIR/key.pem");
        fs::write(folder.path("key.pem"), "hello").unwrap();
        assert_eq!(folder.fault(), "[dashboard] tls_key, DIR/key.pem, has no private key in PEM form");
        fs::remove_file(folder.path("key.pem")).unwrap();
        fs::create_dir(folder.path("key.pem")).unwrap();
        assert_eq!(folder.fault(), "[dashboard] tls_key, DIR/key.pem, is no file of at most a megabyte");
        fs::remove_dir(folder.path("key.pem")).unwrap();
        folder.write();
        let other = Folder::new();
        other.write();
        fs::copy(other.path("key.pem"), folder.path("key.pem")).unwrap();
        assert_eq!(folder.fault(), "the key in DIR/key.pem does not belong to the certificate in DIR/cert.pem");
    }

    #[test]
    fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = Folder::new();
        let first = folder.write();
        let files = folder.files();
        let (key, state) = files.read().unwrap();
        let long_ago = Instant::now().checked_sub(LOOK * 2).unwrap();
        let watched = Watched { files, known: Mutex::new(Known { key: Arc::new(key), state, looked: long_ago }) };
        let now = |watched: &Watched| {
            watched.known.lock().unwrap().looked = long_ago;
            watched.current().cert[0].to_vec()
        };
        assert_eq!(now(&watched), first);
        fs::write(folder.path("cert.pem"), "in the middle of being written").unwrap();
        assert_eq!(now(&watched), first);
        let second = folder.write();
        assert_eq!(now(&watched), second);
        assert_ne!(first, second);
    }

    #[test]
    fn files_with_other_rights_are_looked_at_again() {
        let folder = Folder::new();
        folder.write();
        let files = folder.files();
        let before = files.state();
        wait_for_the_next_tick(&folder);
        fs::set_permissions(folder.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(files.state(), before);
    }

    /// The kernel's clock for files is a coarse one: until it tells another time, a change may look like none.
    fn wait_for_the_next_tick(folder: &Folder) {
        let written = || {
            fs::write(folder.path("clock"), "").unwrap();
            let meta = fs::metadata(folder.path("clock")).unwrap();
            (meta.ctime(), meta.ctime_nsec())
        };
        let begin = written();
        while written() == begin {
            std::thread::yield_now();
        }
    }

    #[test]
    fn warnings_name_what_is_faulty_now_and_what_would_be_at_the_next_start() {
        let folder = Folder::new();
        folder.write();
        let settings = folder.settings();
        let tls = Tls::of(&settings).unwrap();
        let warnings = |in_use: Option<&Tls>, wanted: &Dashboard| folder.tidy(&warnings(in_use, wanted).join("\n"));
        assert_eq!(warnings(tls.as_ref(), &settings), "");
        assert_eq!(warnings(None, &Dashboard::default()), "");
        fs::write(folder.path("key.pem"), "hello").unwrap();
        let other = Dashboard { tls_certificate: Some(folder.path("other.pem")), ..settings.clone() };
        insta::assert_snapshot!(warnings(tls.as_ref(), &settings), @"TLS: the certificate stays as it was: [dashboard] tls_key, DIR/key.pem, has no private key in PEM form; mended files are taken by themselves");
        insta::assert_snapshot!(warnings(tls.as_ref(), &other), @r"
        TLS: the certificate stays as it was: [dashboard] tls_key, DIR/key.pem, has no private key in PEM form; mended files are taken by themselves
        TLS: with these settings the next start fails: failed to read [dashboard] tls_certificate, DIR/other.pem: No such file or directory (os error 2)
        ");
        insta::assert_snapshot!(warnings(None, &settings), @"TLS: with these settings the next start fails: [dashboard] tls_key, DIR/key.pem, has no private key in PEM form");
        // TLS is to end with the next start: until then its files count.
        insta::assert_snapshot!(warnings(tls.as_ref(), &Dashboard::default()), @"TLS: the certificate stays as it was: [dashboard] tls_key, DIR/key.pem, has no private key in PEM form; mended files are taken by themselves");
        folder.write();
        assert_eq!(warnings(tls.as_ref(), &settings), "");
    }
}
