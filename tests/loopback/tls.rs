//! Who a server is, and who we are to it.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::CertificateError;
use transship::error::{find, one_line};
use transship::http::{Error, TlsError};
use transship::source::{self, Clients};

use crate::machine::{Machine, http_error, layer};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::server_tls::ServerTls;

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn image() -> Image {
    Image::with_layers(["a layer"])
}

/// Nothing was said before the certificate was judged.
fn assert_refused(machine: &Machine, registry: &RunningRegistry, hint: &str) -> source::Error {
    let error = machine.refusal(&registry.reference("org/app:1"));
    assert!(matches!(http_error(&error), Error::Tls { .. }), "{}", one_line(&error));
    assert!(one_line(&error).contains(hint), "{}", one_line(&error));
    assert!(registry.requests().is_empty());
    assert!(machine.clock.sleeps().is_empty(), "a bad certificate does not pass by waiting");
    error
}

fn certificate_error(error: &source::Error) -> &CertificateError {
    match find::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_authority_in_certs_d_is_trusted() {
    let tls = ServerTls::signed_by_ca();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    let source = machine.open(&registry.reference("org/app:1")).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
    assert_eq!(registry.connections(), 1, "and the connection is used again");
}

#[test]
fn an_authority_of_another_port_is_not_trusted() {
    let tls = ServerTls::signed_by_ca();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting("127.0.0.1:1", &tls);
    assert_refused(&machine, &registry, "certs.d");
}

/// The system's authorities are named by an environment variable, which only a new process can be given.
#[test]
fn the_systems_authorities_are_trusted_beside_those_of_certs_d() {
    const VARIABLE: &str = "SSL_CERT_FILE";
    const MARK: &str = "TRANSSHIP_TEST_SYSTEM_AUTHORITIES";
    #[allow(clippy::disallowed_methods, reason = "not a setting of the product")]
    let Some(system) = std::env::var_os(MARK) else {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("system.pem");
        let this = "tls::the_systems_authorities_are_trusted_beside_those_of_certs_d";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", this]).env(VARIABLE, &file).env(MARK, &file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    let (known, unknown) = (ServerTls::signed_by_ca(), ServerTls::signed_by_ca());
    fs::write(PathBuf::from(system), known.ca_pem()).unwrap();
    let servers = [registry().serve_tls(&known), registry().serve_tls(&unknown)];
    let [of_system, of_certs_d] = &servers;
    let machine = Machine::new()
        .trusting(&of_certs_d.authority(), &unknown)
        // This one's certs.d has an authority too, and it is not the one that signed.
        .trusting(&of_system.authority(), &unknown);
    for server in &servers {
        machine.open(&server.reference("org/app:1")).unwrap();
    }
}

#[test]
fn an_unknown_authority_is_refused_with_the_place_for_it() {
    let registry = registry().serve_tls(&ServerTls::signed_by_ca());
    let error = assert_refused(&Machine::new(), &registry, "put the CA certificate into certs.d/HOST:PORT/ca.crt, ");
    assert_eq!(certificate_error(&error), &CertificateError::UnknownIssuer);
}

#[test]
fn an_expired_certificate_is_refused() {
    let tls = ServerTls::expired();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    let error = assert_refused(&machine, &registry, "expired");
    assert!(matches!(certificate_error(&error), CertificateError::ExpiredContext { .. }));
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let tls = ServerTls::for_another_host();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    let error = assert_refused(&machine, &registry, "elsewhere.example");
    assert!(matches!(certificate_error(&error), CertificateError::NotValidForNameContext { .. }));
}

#[test]
fn an_authority_that_shows_itself_as_a_server_is_refused_with_the_way_out() {
    let tls = ServerTls::self_signed_ca();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    assert_refused(&machine, &registry, "make one without CA:TRUE");
}

#[test]
fn a_client_certificate_of_certs_d_opens_the_door() {
    let tls = ServerTls::requiring_client_certificate();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    let source = machine.open(&registry.reference("org/app:1")).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
}

#[test]
fn a_missing_client_certificate_is_said_to_be_missing() {
    let tls = ServerTls::requiring_client_certificate();
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    for name in ["client.cert", "client.key"] {
        fs::remove_file(machine.certs_dir(&registry.authority()).join(name)).unwrap();
    }
    assert_refused(&machine, &registry, "put yours into certs.d/HOST:PORT/client.cert and client.key");
}

#[test]
fn a_client_certificate_without_its_own_key_is_an_error_that_names_both() {
    let (tls, other) = (ServerTls::requiring_client_certificate(), ServerTls::requiring_client_certificate());
    let registry = registry().serve_tls(&tls);
    let machine = Machine::new().trusting(&registry.authority(), &tls);
    let key = machine.certs_dir(&registry.authority()).join("client.key");
    fs::write(&key, &other.client().unwrap().key).unwrap();
    let error = machine.refusal(&registry.reference("org/app:1"));
    let pair = find::<TlsError>(&error).unwrap();
    assert!(matches!(pair, TlsError::Pair { key: found, .. } if *found == key), "{pair:?}");
    assert_eq!(registry.connections(), 0);
}

#[test]
fn a_client_certificate_is_not_shown_to_another_port() {
    let tls = ServerTls::requiring_client_certificate();
    // It would accept the certificate: it trusts the same authority.
    let cdn = registry().serve_tls(&tls);
    let origin = registry().redirecting_blobs_to(&cdn.url("")).serve_tls(&tls);
    let machine = Machine::new().trusting(&origin.authority(), &tls).trusting(&cdn.authority(), &tls);
    machine.open(&cdn.reference("org/app:1")).expect("the control: shown by right, it is accepted");
    let before = cdn.requests().len();

    let source = machine.open(&origin.reference("org/app:1")).unwrap();
    let error = layer(&*source, 0).unwrap_err();
    assert!(matches!(http_error(&error), Error::Tls { .. }), "{}", one_line(&error));
    assert_eq!(cdn.requests().len(), before);
}

#[test]
fn the_authorities_of_a_registry_count_for_where_it_redirects_to() {
    let tls = ServerTls::signed_by_ca();
    let cdn = registry().serve_tls(&tls);
    let origin = registry().redirecting_blobs_to(&cdn.url("")).serve_tls(&tls);
    let machine = Machine::new().trusting(&origin.authority(), &tls);
    let source = machine.open(&origin.reference("org/app:1")).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
    assert_eq!(cdn.requests().len(), 1);
}

#[test]
fn an_insecure_registry_may_show_any_certificate_and_is_asked_for_https_once() {
    let bad =
        [ServerTls::signed_by_ca(), ServerTls::expired(), ServerTls::for_another_host(), ServerTls::self_signed_ca()];
    for tls in bad {
        let registry = registry().serve_tls(&tls);
        let machine = Machine::new().insecure(&registry.authority());
        let source = machine.open(&registry.reference("org/app:1")).unwrap();
        assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
        let probes = registry.asked().iter().filter(|asked| *asked == "GET /v2/").count();
        assert_eq!((probes, registry.connections()), (1, 1));
    }
}

#[test]
fn an_insecure_registry_without_tls_is_tried_over_https_once() {
    let registry = registry().serve();
    let machine = Machine::new().insecure(&registry.authority());
    let source = machine.open(&registry.reference("org/app:1")).unwrap();
    assert_eq!(layer(&*source, 0).unwrap(), b"a layer");
    assert_eq!(registry.connections(), 2, "one that was greeted with TLS, one for everything else");
    assert!(registry.asked().iter().all(|asked| asked != "GET /v2/"));
    assert!(machine.clock.sleeps().is_empty());
}

/// The one question whether there is https may meet a bad moment: the error tells, and a client that lives on asks again.
#[test]
fn a_registry_of_https_that_seemed_to_have_none_is_asked_for_https_again() {
    let is_question = |path: &str| path == "/v2/";
    let registry = registry().fault(is_question, 1..=1, Reply::close_without_answer());
    let registry = registry.serve_tls(&ServerTls::signed_by_ca());
    let mut machine = Machine::new().insecure(&registry.authority());
    machine.options.clients = Some(Clients::default());
    let text = one_line(&machine.refusal(&registry.reference("org/app:1")));
    for part in ["no answer over https (https://", "closed the connection", "status 400 Bad Request from http://"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    machine.open(&registry.reference("org/app:1")).unwrap();
}

#[test]
fn a_secure_registry_is_never_asked_over_http() {
    let registry = registry().serve();
    assert_refused(&Machine::new(), &registry, "is it an insecure registry?");
    // Nor when the connection breaks instead of being refused.
    let closing = Server::http(|_| unreachable!("there is no request in a TLS greeting"));
    assert!(matches!(
        http_error(&Machine::new().refusal(&format!("{}/org/app:1", closing.authority()))),
        Error::Tls { .. }
    ));
    assert!(closing.requests().is_empty());
}

#[test]
fn the_callers_word_on_verification_beats_the_configuration() {
    let (plain, tls) = (registry().serve(), registry().serve_tls(&ServerTls::signed_by_ca()));
    for registry in [&plain, &tls] {
        let mut machine = Machine::new();
        machine.options.tls_verify = Some(false);
        machine.open(&registry.reference("org/app:1")).unwrap();
    }
    for registry in [&plain, &tls] {
        let before = registry.requests().len();
        let mut machine = Machine::new().insecure(&registry.authority());
        machine.options.tls_verify = Some(true);
        let error = machine.refusal(&registry.reference("org/app:1"));
        assert!(matches!(http_error(&error), Error::Tls { .. }), "{}", one_line(&error));
        assert_eq!(registry.requests().len(), before);
    }
}

#[test]
fn a_directory_of_certificates_can_be_named_for_every_registry() {
    let tls = ServerTls::requiring_client_certificate();
    let registry = registry().serve_tls(&tls);
    let mut machine = Machine::new();
    let directory = machine.root.path().join("certificates");
    tls.write_certs_d(&directory);
    machine.options.cert_dir = Some(directory);
    machine.open(&registry.reference("org/app:1")).unwrap();
}

#[test]
fn a_server_that_hangs_up_on_a_greeting_is_a_closed_connection_and_not_asked_over_http() {
    const TLS_HANDSHAKE: u8 = 22;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let first_bytes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&first_bytes);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut greeting = [0; 1024];
            let count = stream.read(&mut greeting).unwrap();
            seen.lock().unwrap().push(greeting[..count].first().copied());
        }
    });
    let error = Machine::new().refusal(&format!("{authority}/org/app:1"));
    assert!(matches!(http_error(&error), Error::Closed { .. }), "{}", one_line(&error));
    assert!(first_bytes.lock().unwrap().iter().all(|byte| *byte == Some(TLS_HANDSHAKE)));
}
