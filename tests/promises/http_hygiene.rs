//! What HTTP does with those who are far away, slow, many, or up to something: TLS by files that may change, no plain text
//! beyond this machine, and bounds that hold for the real program.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use werkpilot_tests::{Setup, Werkpilot, fetch, wait_until};

const REGISTRY: &[(&str, &str)] =
    &[("fleet.toml", "[[agent]]\nname = \"report\"\nkind = \"job\"\ncommand = [\"true\"]\n")];

const WITH_TLS: &str = "[dashboard]\ntls_certificate = \"cert.pem\"\ntls_key = \"key.pem\"\n";

/// Writes a new certificate for localhost with its key; the certificate.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    // As tools that renew certificates do it: nobody reads half a file.
    for (name, text) in [("key.pem", made.signing_key.serialize_pem()), ("cert.pem", made.cert.pem())] {
        fs::write(folder.join("new.pem"), text).unwrap();
        fs::rename(folder.join("new.pem"), folder.join(name)).unwrap();
    }
    made.cert.der().clone()
}

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts this certificate and nothing else.
fn tls(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream =
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), TcpStream::connect(address)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A setup whose files for TLS are there.
fn setup() -> (Setup, CertificateDer<'static>) {
    let setup = Setup::new(REGISTRY, WITH_TLS);
    let certificate = certify(setup.dir());
    (setup, certificate)
}

#[test]
fn tls_is_spoken_with_the_certificate_of_the_files() {
    let (setup, certificate) = setup();
    let fleet = setup.start();
    let url = fs::read_to_string(fleet.dir().join("state/address")).unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    for version in [&TLS12, &TLS13] {
        let stream = tls(fleet.address(), &certificate, &[version]).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(fetch(stream, "/livez").unwrap().expect(200).status, 200);
    }
    let other = tempfile::tempdir().unwrap();
    let stranger = tls(fleet.address(), &certify(other.path()), &[&TLS13]).unwrap_err();
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    // Who speaks plain HTTP is told so, and gets nothing.
    let plain = fetch(TcpStream::connect(fleet.address()).unwrap(), "/metrics").unwrap().expect(400).json();
    assert_eq!(plain["detail"], "TLS is spoken here: ask with https://");
    // Over TLS there may be people in between: without a token there is no overview.
    let stream = tls(fleet.address(), &certificate, &[&TLS13]).unwrap();
    let refused = fetch(stream, "/metrics").unwrap();
    assert!([401, 403].contains(&refused.status), "{refused:?}");
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
    let (setup, first) = setup();
    let fleet = setup.start();
    let speaks = |trusted: &CertificateDer<'static>| {
        tls(fleet.address(), trusted, &[&TLS13]).is_ok_and(|stream| fetch(stream, "/livez").is_ok())
    };
    assert!(speaks(&first));
    let open = tls(fleet.address(), &first, &[&TLS13]).unwrap();
    let second = certify(fleet.dir());
    wait_until("the new certificate", || speaks(&second));
    assert!(!speaks(&first));
    assert_eq!(fetch(open, "/livez").unwrap().status, 200, "an open connection goes on");
    fleet.write("cert.pem", "half of a certi");
    wait_until("a warning that names the file", || {
        // It is looked at when somebody comes.
        speaks(&second)
            && fleet.log_text().contains("TLS: the certificate stays as it was: [dashboard] tls_certificate")
    });
    let third = certify(fleet.dir());
    wait_until("the next good certificate", || speaks(&third));
}

#[test]
fn a_reload_names_a_faulty_certificate_and_is_done() {
    let (setup, first) = setup();
    let fleet = setup.start();
    let agent = |name: &str| format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\ncommand = [\"true\"]\n");
    fleet.write("cert.pem", "half of a certi");
    let stays = "TLS: the certificate stays as it was: [dashboard] tls_certificate";
    let notices = fleet.get("/api/v1/reload")["notices"].clone();
    assert!(notices[0].as_str().is_some_and(|notice| notice.starts_with(stays)), "{notices}");
    fleet.write("registry/more.toml", &agent("more"));
    let told = fleet.cli(&["reload"]).expect(0);
    assert!(told.err.contains(&format!("warning: {stays}")) && told.err.contains("cert.pem"), "{}", told.err);
    assert_eq!(fleet.get("/api/v1/agents/more")["name"], "more", "the agents are as the files have them");
    assert!(tls(fleet.address(), &first, &[&TLS13]).is_ok(), "the certificate from before is in use");
    // Another file, which counts from the next start on.
    let config = fs::read_to_string(fleet.dir().join("werkpilot.toml")).unwrap();
    fleet.write("werkpilot.toml", &config.replace("\"cert.pem\"", "\"gone.pem\""));
    let told = fleet.cli(&["reload", "--json"]).expect(0);
    let warnings = told.json()["warnings"].clone();
    assert_eq!(warnings.as_array().map(Vec::len), Some(2), "{warnings}");
    let next = warnings[1].as_str().unwrap();
    assert!(next.contains("the next start fails") && next.contains("gone.pem: No such file"), "{next}");
    assert!(!told.err.contains("warning"), "{}", told.err);
    fleet.write("werkpilot.toml", &config);
    certify(fleet.dir());
    let told = fleet.cli(&["reload"]).expect(0);
    assert_eq!(told.err, "");
    assert_eq!(fleet.get("/api/v1/reload")["notices"], serde_json::json!([]));
}

#[test]
fn a_handshake_has_its_time_too() {
    let (setup, certificate) = setup();
    let fleet = setup.start();
    let begin = Instant::now();
    let mut silent = TcpStream::connect(fleet.address()).unwrap();
    silent.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
    assert!(tls(fleet.address(), &certificate, &[&TLS13]).is_ok(), "others are not kept waiting");
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let ended = silent.read(&mut [0; 64]);
    assert!(matches!(ended, Ok(0)) || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn files_for_tls_that_are_no_good_are_named_and_nothing_is_started() {
    let faulty = |config: &str, change: &dyn Fn(&Path)| {
        let setup = Setup::new(REGISTRY, config);
        certify(setup.dir());
        change(setup.dir());
        let outcome = setup.up().expect(78);
        assert!(!outcome.err.contains("is started"), "{}", outcome.err);
        outcome.err
    };
    let nothing = |_: &Path| {};
    let missing = faulty(WITH_TLS, &|folder| fs::remove_file(folder.join("cert.pem")).unwrap());
    assert!(missing.contains("tls_certificate") && missing.contains("cert.pem"), "{missing}");
    let no_key = faulty(WITH_TLS, &|folder| fs::write(folder.join("key.pem"), "hello").unwrap());
    assert!(no_key.contains("key.pem, has no private key in PEM form"), "{no_key}");
    let mixed = faulty(WITH_TLS, &|folder| {
        let other = tempfile::tempdir().unwrap();
        certify(other.path());
        fs::copy(other.path().join("key.pem"), folder.join("key.pem")).unwrap();
    });
    assert!(mixed.contains("does not belong to the certificate"), "{mixed}");
    let half = faulty("[dashboard]\ntls_key = \"key.pem\"\n", &nothing);
    assert!(half.contains("set tls_certificate and tls_key in [dashboard], or neither"), "{half}");
}

#[test]
fn nobody_beyond_this_machine_is_served_in_plain_text_unless_it_is_said() {
    let everywhere = || Setup::new(REGISTRY, "").listen("0.0.0.0:0");
    let refused = everywhere().up().expect(78).err;
    for help in ["tls_certificate", "127.0.0.1:", "--insecure"] {
        assert!(refused.contains(help), "{refused}");
    }
    let fleet = everywhere().arg("--insecure").start();
    fleet.wait_for_log("can be reached from other machines in plain text (--insecure)");
    drop(fleet);
    let (setup, certificate) = setup();
    let fleet = setup.listen("0.0.0.0:0").start();
    let address = SocketAddr::from(([127, 0, 0, 1], fleet.address().port()));
    assert!(tls(address, &certificate, &[&TLS13]).is_ok());
    assert!(!fleet.log_text().contains("plain text"));
    drop(fleet);
    let bus = Setup::new(REGISTRY, "").arg("--set").arg("bus.listen=0.0.0.0:0").up().expect(78).err;
    assert!(bus.contains("[bus] listen"), "--insecure is not for the bus: {bus}");
}

/// Opens so many connections and says this on each.
fn crowd(fleet: &Werkpilot, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let streams = (0..count).map(|_| {
        let mut stream = TcpStream::connect(fleet.address()).unwrap();
        stream.write_all(words).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    });
    streams.collect()
}

fn rss_mib(fleet: &Werkpilot) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", fleet.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[test]
fn clients_that_never_finish_their_requests_keep_nobody_out() {
    let fleet = Werkpilot::start(REGISTRY, "[dashboard]\nmax_connections = 300\n");
    let begin = Instant::now();
    // Twice as many as there are places; half of them have begun to say something.
    let loris = crowd(&fleet, 250, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ");
    let _silent = crowd(&fleet, 350, b"");
    for _ in 0..20 {
        assert_eq!(fleet.tcp("GET", "/livez", &[]).status, 200);
        assert_eq!(fleet.request("GET", "/livez", None).status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}: it was waited for nobody", begin.elapsed());
    let mut refused = 0;
    for mut stream in loris {
        let mut told = String::new();
        match stream.read_to_string(&mut told) {
            Ok(_) => assert!(told.starts_with("HTTP/1.1 408 "), "{told}"),
            // Its first words had not been read when places were needed: it counted as idle.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        refused += usize::from(!told.is_empty());
    }
    assert!(refused >= 200, "{refused} of 250 were told why");
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    let scrape = fleet.tcp("GET", "/metrics", &[("Accept", "application/openmetrics-text")]).body;
    assert!(scrape.contains(&format!("werkpilot_http_refused_total{{reason=\"slow\"}} {refused}")), "{scrape}");
}

#[test]
fn thousands_of_idle_connections_cost_little_and_keep_nobody_waiting() {
    let fleet = Werkpilot::start(REGISTRY, "");
    let before = rss_mib(&fleet);
    let mut idle = crowd(&fleet, 2_000, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for stream in &mut idle {
        assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let begin = Instant::now();
        assert_eq!(fleet.tcp("GET", "/livez", &[]).status, 200);
        slowest = slowest.max(begin.elapsed());
    }
    // A tenth of that in a release build: see `make bench`.
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    let after = rss_mib(&fleet);
    assert!(after < before + 60, "{before} MiB, and with 2,000 connections {after} MiB");
}

#[test]
fn clients_that_do_not_read_cost_little_and_keep_nobody_waiting() {
    let agents = "[[agent]]\nname = \"chatty\"\nkind = \"job\"\n\
        shell = \"i=0; while [ $i -lt 200000 ]; do echo a line of some length that nobody reads $i; i=$((i+1)); done\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", agents)], "");
    let made = fleet.cli(&["token", "create", "reader", "--role", "viewer", "--json"]).expect(0).json();
    let token = made["token"].as_str().unwrap().to_owned();
    let before = rss_mib(&fleet);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let followers = crowd(&fleet, 40, ask("/api/v1/agents/chatty/logs?follow=true").as_bytes());
    let listeners = crowd(&fleet, 24, ask("/api/v1/events/stream").as_bytes());
    let run = fleet.trigger("chatty");
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    let begin = Instant::now();
    assert_eq!(fleet.tcp("GET", "/livez", &[]).status, 200);
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    let after = rss_mib(&fleet);
    assert!(after < before + 60, "{before} MiB, and with 64 clients that do not read {after} MiB");
    drop((followers, listeners));
}
