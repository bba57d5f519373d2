//! In a registry that keeps signatures of its own accord.

use serde_json::json;
use transship::config::credentials::Credentials;
use transship::error::{find, one_line};
use transship::http;
use transship::registry;
use transship::registry::Identity;
use transship::signature::MAX_SIGNATURES;
use transship::source::{Error, SignatureDemand};

use crate::machine::{Machine, contents, image, judged, signed, simple};
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::signature_store::SignatureStore;

fn script() -> Registry {
    let registry = Registry::new().image("org/app", "1", &image()).keeping_signatures();
    registry.kept_signature("org/app", &signed(), "kept@1", &simple("kept"))
}

/// What was asked about signatures.
fn questions(registry: &RunningRegistry) -> Vec<String> {
    registry.asked().into_iter().filter(|asked| !asked.contains("/manifests/")).collect()
}

fn extension() -> String {
    format!("GET /extensions/v2/org/app/signatures/{}", signed())
}

#[test]
fn they_are_found_instead_of_those_in_the_default_directory() {
    let registry = script().serve();
    let machine = Machine::insecure(&[&registry]);
    SignatureStore::new().signature("org/app", &signed(), simple("stored")).write(&machine.default_store());
    let place = format!("{} (signature extension, kept@1)", registry.reference("org/app"));
    assert_eq!(machine.found(&registry), [("kept".to_owned(), place)]);
    assert_eq!(questions(&registry), ["GET /v2/".to_owned(), extension()]);
}

#[test]
fn a_registry_without_the_extension_is_asked_once() {
    let registry = Registry::new().image("org/app", "1", &image()).serve();
    let machine = Machine::insecure(&[&registry]);
    let source = machine.open(&registry.reference("org/app:1"));
    assert_eq!(judged(&*source).unwrap(), []);
    assert_eq!(source.signatures(Some(&signed()), SignatureDemand::Judged).unwrap(), []);
    let other = transship::Digest::sha256(b"another");
    assert_eq!(source.signatures(Some(&other), SignatureDemand::Judged).unwrap(), []);
    assert_eq!(questions(&registry), ["GET /v2/"]);
}

#[test]
fn it_is_not_asked_where_another_place_is_configured() {
    let nowhere = Server::http(|_| Reply::new(404));
    let nowhere = nowhere.url("/signatures");
    for text in [
        format!("default-docker: {{lookaside: '{nowhere}'}}"),
        "default-docker: {lookaside: 'file:///nonexistent'}".to_owned(),
        "default-docker: {use-sigstore-attachments: true}".to_owned(),
    ] {
        let registry = script().serve();
        let server = Server::http(|_| Reply::new(404));
        let text = text.replace(&nowhere, &server.url("/signatures"));
        assert_eq!(Machine::insecure(&[&registry]).registries_d(&text).found(&registry), [], "{text}");
        let asked = questions(&registry);
        assert!(!asked.contains(&"GET /v2/".to_owned()) && !asked.contains(&extension()), "{text}: {asked:?}");
    }
}

#[test]
fn it_is_asked_only_to_judge() {
    let registry = script().serve();
    let source = Machine::insecure(&[&registry]).open(&registry.reference("org/app:1"));
    assert_eq!(source.signatures(None, SignatureDemand::Carried).unwrap(), []);
    assert_eq!(questions(&registry), [""; 0]);
    assert_eq!(contents(&judged(&*source).unwrap()), ["kept"]);
    assert_eq!(
        contents(&source.signatures(None, SignatureDemand::Carried).unwrap()),
        ["kept"],
        "what is known is carried"
    );
    assert_eq!(questions(&registry).len(), 2);
}

#[test]
fn the_registry_knows_who_asks() {
    let identity = Identity { credentials: Some(Credentials::basic("me", "secret")), token: None };
    let scripts: [fn(Registry) -> Registry; 2] = [
        |registry| registry.requiring_basic("me", "secret"),
        |registry| registry.requiring_token("registry").token_account("me", "secret"),
    ];
    for require in scripts {
        let registry = require(script()).serve();
        let mut machine = Machine::insecure(&[&registry]);
        machine.options.identity = Some(identity.clone());
        assert_eq!(machine.found(&registry).len(), 1);
    }
}

#[test]
fn the_header_counts_whatever_we_may_do_there() {
    for status in [200, 401, 404] {
        let registry = script().spoil(|path| path == "/v2/", .., move |reply| reply.status(status)).serve();
        assert_eq!(Machine::insecure(&[&registry]).found(&registry).len(), 1, "{status}");
    }
    for status in [403, 500, 429] {
        let registry = script().spoil(|path| path == "/v2/", .., move |reply| reply.status(status)).serve();
        let error = Machine::insecure(&[&registry]).refusal(&registry);
        assert!(one_line(&error).contains("signature extension"), "{}", one_line(&error));
    }
    for value in ["0", "", "true"] {
        let header = move |reply: Reply| reply.with_header("X-Registry-Supports-Signatures", value);
        let registry = script().spoil(|path| path == "/v2/", .., header).serve();
        assert_eq!(Machine::insecure(&[&registry]).found(&registry), [], "{value:?}");
    }
}

#[test]
fn only_what_is_known_is_read() {
    let content = "o25vdCByZWFk";
    let mut registry = script();
    for entry in [
        json!({"schemaVersion": 3, "name": "a", "type": "atomic", "content": content}),
        json!({"schemaVersion": 2, "name": "a", "type": "manifold", "content": {"new": true}}),
        json!({"schemaVersion": "2", "name": "a", "type": "atomic", "content": content}),
        json!({"name": "a"}),
    ] {
        registry = registry.kept_signature_entry("org/app", &signed(), entry);
    }
    let registry = registry.kept_signature("org/app", &signed(), "last\u{1b}[2J", &simple("last")).serve();
    let found = Machine::insecure(&[&registry]).found(&registry);
    assert_eq!(found.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), ["kept", "last"]);
    assert!(!found[1].1.contains('\u{1b}'), "a registry's words cannot command a terminal");
}

#[test]
fn an_empty_list_is_none() {
    let registry = Registry::new().image("org/app", "1", &image()).keeping_signatures().serve();
    assert_eq!(Machine::insecure(&[&registry]).found(&registry), []);
    assert_eq!(questions(&registry).len(), 2);
}

#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    let list = |path: &str| path.starts_with("/extensions/");
    let bad = json!({"schemaVersion": 2, "name": "a", "type": "atomic", "content": "not base64"});
    for reply in [
        Reply::new(404),
        Reply::new(403),
        Reply::new(500),
        Reply::ok("<html>"),
        Reply::ok("[]"),
        Reply::json(&json!({"signatures": [bad]})),
        Reply::endless(),
    ] {
        let registry = script().fault(list, .., reply.clone()).serve();
        let error = Machine::insecure(&[&registry]).refusal(&registry);
        let found = find::<registry::Error>(&error).unwrap();
        assert!(one_line(found).starts_with("reading the signatures of sha256:"), "{}", one_line(&error));
    }
    let registry = script().fault(list, .., Reply::endless()).serve();
    let error = Machine::insecure(&[&registry]).refusal(&registry);
    assert!(matches!(find(&error), Some(http::Error::BodyTooLarge { .. })), "{error:?}");
}

#[test]
fn a_hundred_and_twenty_eight_are_taken_and_one_more_is_refused() {
    let full = |count: usize| {
        let registry = Registry::new().image("org/app", "1", &image()).keeping_signatures();
        (0..count)
            .fold(registry, |registry, _| registry.kept_signature("org/app", &signed(), "x", &simple("x")))
            .serve()
    };
    let registry = full(MAX_SIGNATURES);
    assert_eq!(Machine::insecure(&[&registry]).found(&registry).len(), MAX_SIGNATURES);
    let registry = full(MAX_SIGNATURES + 1);
    let error = Machine::insecure(&[&registry]).refusal(&registry);
    let Error::Signatures { source, .. } = error else { panic!() };
    assert!(matches!(*source, Error::TooManySignatures { .. }));
}
