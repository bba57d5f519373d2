//! Who a web server with signatures is, and who we are to it.

use transship::error::find;
use transship::http;

use crate::machine::{Machine, image, signed, simple};
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::server_tls::ServerTls;
use crate::support::signature_store::SignatureStore;

fn registry(tls: &ServerTls) -> RunningRegistry {
    Registry::new().image("org/app", "1", &image()).serve_tls(tls)
}

fn server(tls: &ServerTls) -> Server {
    let store = SignatureStore::new().signature("org/app", &signed(), simple("one"));
    Server::https(move |request| store.answer(request), tls)
}

fn assert_found(machine: &Machine, registry: &RunningRegistry) {
    assert_eq!(machine.found(registry).into_iter().map(|(text, _)| text).collect::<Vec<_>>(), ["one"]);
}

fn assert_refused(machine: &Machine, registry: &RunningRegistry, server: &Server) {
    let error = machine.refusal(registry);
    let found = find::<http::Error>(&error);
    // Whether a server that misses a certificate says so before it closes is its own affair.
    let is_refused =
        matches!(found, Some(http::Error::Tls { .. } | http::Error::Closed { .. } | http::Error::Connect { .. }));
    assert!(is_refused, "{error:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn the_registry_s_authorities_are_trusted() {
    let tls = ServerTls::signed_by_ca();
    let (registry, server) = (registry(&tls), server(&tls));
    let machine = Machine::new().trusting(&registry.authority(), &tls).lookaside(&server.url("/signatures"));
    assert_found(&machine, &registry);
}

#[test]
fn so_are_those_for_the_server_itself_and_no_others() {
    let (of_registry, of_server) = (ServerTls::signed_by_ca(), ServerTls::signed_by_ca());
    let (registry, server) = (registry(&of_registry), server(&of_server));
    let machine = Machine::new().trusting(&registry.authority(), &of_registry).lookaside(&server.url("/signatures"));
    assert_refused(&machine, &registry, &server);
    let machine = machine.trusting("127.0.0.1:1", &of_server);
    assert_refused(&machine, &registry, &server);
    assert_found(&machine.trusting(&server.authority(), &of_server), &registry);
}

#[test]
fn the_server_of_an_insecure_registry_may_show_any_certificate() {
    let (registry, server) = (registry(&ServerTls::signed_by_ca()), server(&ServerTls::signed_by_ca()));
    assert_found(&Machine::insecure(&[&registry]).lookaside(&server.url("/signatures")), &registry);
}

#[test]
fn a_client_certificate_is_shown_to_whom_it_is_for() {
    let tls = ServerTls::requiring_client_certificate();
    let (registry, server) = (registry(&tls), server(&tls));
    let machine = Machine::new().trusting(&registry.authority(), &tls).lookaside(&server.url("/signatures"));
    assert_refused(&machine, &registry, &server);
    assert_found(&machine.trusting(&server.authority(), &tls), &registry);
}

#[test]
fn one_directory_for_every_registry_has_authorities_for_the_server_but_no_identity() {
    let tls = ServerTls::requiring_client_certificate();
    for server_tls in [&tls, &ServerTls::signed_by_ca()] {
        let (registry, server) = (registry(&tls), server(server_tls));
        let mut machine = Machine::new().lookaside(&server.url("/signatures"));
        let directory = machine.root.path().join("certs");
        tls.write_certs_d(&directory);
        std::fs::write(directory.join("more.crt"), server_tls.ca_pem()).unwrap();
        machine.options.cert_dir = Some(directory);
        if std::ptr::eq(server_tls, &raw const tls) {
            assert_refused(&machine, &registry, &server);
        } else {
            assert_found(&machine, &registry);
        }
    }
}

#[test]
fn a_store_on_the_registry_itself_sees_what_the_registry_sees() {
    let tls = ServerTls::requiring_client_certificate();
    let is_first = |path: &str| path.starts_with("/signatures/") && path.ends_with("/signature-1");
    let registry = Registry::new().image("org/app", "1", &image()).fault(is_first, .., Reply::ok(simple("one")));
    let registry = registry.serve_tls(&tls);
    let mut machine = Machine::new().trusting(&registry.authority(), &tls).lookaside(&registry.url("/signatures"));
    assert_found(&machine, &registry);
    let directory = machine.root.path().join("certs");
    tls.write_certs_d(&directory);
    machine.options.cert_dir = Some(directory);
    assert_found(&machine, &registry);
}
