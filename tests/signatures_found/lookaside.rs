//! In a lookaside store.

use std::sync::atomic::{AtomicBool, Ordering};

use transship::error::{find, one_line};
use transship::http;
use transship::signature::{FormatError, MAX_SIGNATURES};
use transship::source::Error;

use crate::machine::{Machine, image, signed, simple};
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::request::ReceivedRequest;
use crate::support::server::Server;
use crate::support::signature_store::{SignatureStore, directory};

fn registry() -> RunningRegistry {
    Registry::new().image("org/app", "1", &image()).serve()
}

fn store(texts: &[&str]) -> SignatureStore {
    texts.iter().fold(SignatureStore::new(), |store, text| store.signature("org/app", &signed(), simple(text)))
}

/// `/signatures/org/app@sha256=…/signature-N`
fn path(number: usize) -> String {
    format!("/signatures/{}signature-{number}", directory("org/app", &signed()))
}

/// A web server with this store, which answers its requests for the nth signature otherwise.
fn server(texts: &[&str], number: usize, reply: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Server {
    let store = store(texts);
    let odd = path(number);
    Server::http(move |request| {
        let answer = store.answer(request);
        if request.target == odd { reply(answer) } else { answer }
    })
}

#[test]
fn the_default_directory_is_read_where_nothing_is_configured() {
    let registry = registry();
    let machine = Machine::insecure(&[&registry]);
    assert_eq!(machine.found(&registry), []);
    store(&["one", "two"]).write(&machine.default_store());
    let place =
        |number| machine.default_store().join(directory("org/app", &signed())).join(format!("signature-{number}"));
    let expected =
        [("one", 1), ("two", 2)].map(|(text, number)| (text.to_owned(), place(number).display().to_string()));
    assert_eq!(machine.found(&registry), expected);
}

#[test]
fn a_directory_that_is_configured_is_read_instead() {
    let registry = registry();
    let machine = Machine::insecure(&[&registry]);
    let own = machine.root.path().join("own store");
    let machine = machine.lookaside(&format!("file://{}", own.display()));
    store(&["not asked for"]).write(&machine.default_store());
    assert_eq!(machine.found(&registry), []);
    store(&["one"]).write(&own);
    assert_eq!(machine.found(&registry)[0].0, "one");
}

#[test]
fn a_web_server_is_asked_to_the_first_that_is_missing() {
    let registry = registry();
    let server = server(&["one", "two"], 0, |reply| reply);
    let machine = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures"));
    let expected = [("one", 1), ("two", 2)].map(|(text, number)| (text.to_owned(), server.url(&path(number))));
    assert_eq!(machine.found(&registry), expected);
    assert_eq!(server.asked(), [1, 2, 3].map(|number| format!("GET {}", path(number))));
    assert_eq!(server.connections(), 1);
    assert_eq!(registry.asked(), ["GET /v2/org/app/manifests/1"], "and the registry is not asked for signatures");
}

#[test]
fn only_404_says_that_there_is_none() {
    let registry = registry();
    for status in [204, 401, 403, 410, 429, 500, 503] {
        for number in [1, 2] {
            let server = server(&["one", "two"], number, move |reply| reply.status(status));
            let error = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures")).refusal(&registry);
            let Some(Error::LookasideResponse { url, source }) = causes(&error) else { panic!("{error:?}") };
            assert_eq!((url.to_string(), source.status.as_u16()), (server.url(&path(number)), status));
            assert_eq!(error.is_transient(), status == 429 || status >= 500);
            assert!(!error.is_unauthorized(), "no login would help");
        }
    }
}

/// The error below [`Error::Signatures`].
fn causes(error: &Error) -> Option<&Error> {
    match error {
        Error::Signatures { source, .. } => Some(source),
        _ => None,
    }
}

#[test]
fn a_server_that_fails_once_is_asked_again() {
    let registry = registry();
    let store = store(&["one"]);
    let failed = AtomicBool::new(false);
    let server =
        Server::http(
            move |request| {
                if failed.swap(true, Ordering::SeqCst) { store.answer(request) } else { Reply::new(503) }
            },
        );
    let machine = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures"));
    assert_eq!(machine.found(&registry)[0].0, "one");
}

#[test]
fn a_server_that_does_not_answer_is_an_error() {
    let registry = registry();
    let dropped = Server::http(|_| Reply::new(404)).url("/signatures");
    let error = Machine::insecure(&[&registry]).lookaside(&dropped).refusal(&registry);
    assert!(matches!(find::<http::Error>(&error), Some(http::Error::Connect { .. })), "{error:?}");
    assert!(error.is_transient());
    assert!(one_line(&error).contains("reading signature"), "{}", one_line(&error));
}

#[test]
fn a_page_for_people_is_no_signature_but_its_type_alone_decides_nothing() {
    let registry = registry();
    let html = |reply: Reply| reply.with_header("Content-Type", "text/html; charset=utf-8");
    let server_ = server(&["one"], 1, html);
    let machine = Machine::insecure(&[&registry]).lookaside(&server_.url("/signatures"));
    assert_eq!(machine.found(&registry).len(), 1);

    let server = server(&["one", "two"], 2, move |reply| html(reply).body("<html>Log in</html>"));
    let error = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures")).refusal(&registry);
    assert!(matches!(find::<FormatError>(&error), Some(FormatError::FirstByte(b'<'))), "{error:?}");
    assert!(one_line(&error).contains(&server.url(&path(2))), "{}", one_line(&error));
}

#[test]
fn a_body_without_end_is_refused_at_the_limit() {
    let registry = registry();
    let server = server(&["one"], 1, |_| Reply::endless());
    let error = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures")).refusal(&registry);
    assert!(matches!(find::<http::Error>(&error), Some(http::Error::BodyTooLarge { .. })), "{error:?}");
}

#[test]
fn a_hundred_and_twenty_eight_are_read_and_one_more_is_refused() {
    let registry = registry();
    let texts = vec!["x"; MAX_SIGNATURES];
    let full = server(&texts, 0, |reply| reply);
    let machine = Machine::insecure(&[&registry]).lookaside(&full.url("/signatures"));
    assert_eq!(machine.found(&registry).len(), MAX_SIGNATURES);

    let beyond = server(&texts, MAX_SIGNATURES + 1, |_| Reply::ok(simple("x")));
    let error = Machine::insecure(&[&registry]).lookaside(&beyond.url("/signatures")).refusal(&registry);
    assert!(matches!(causes(&error), Some(Error::TooManySignatures { .. })), "{error:?}");
    assert_eq!(beyond.requests().len(), MAX_SIGNATURES + 1);
}

#[test]
fn a_redirect_is_followed_and_nothing_is_brought_along() {
    let registry = registry();
    let target = server(&["one"], 0, |reply| reply);
    let base = target.url("");
    let server = Server::http(move |request| Reply::redirect(302, &format!("{base}{}", request.target)));
    let machine = Machine::insecure(&[&registry]).lookaside(&server.url("/signatures"));
    assert_eq!(machine.found(&registry)[0].0, "one");
    let sent =
        |request: &ReceivedRequest| request.headers.iter().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>();
    for request in server.requests().iter().chain(&target.requests()) {
        let beyond: Vec<_> = sent(request)
            .into_iter()
            .filter(|name| !["host", "user-agent", "accept", "accept-encoding"].contains(&name.as_str()))
            .collect();
        assert_eq!(beyond, [""; 0]);
    }
}

#[test]
fn a_store_that_nobody_can_read_is_an_error() {
    let registry = registry();
    for url in ["ftp://store.example/x", "/var/lib/store", "s3://bucket"] {
        let error = Machine::insecure(&[&registry]).lookaside(url).refusal(&registry);
        assert!(matches!(causes(&error), Some(Error::Lookaside(_))), "{error:?}");
        assert!(one_line(&error).contains("unsupported signature storage"), "{}", one_line(&error));
    }
}

#[test]
fn a_user_without_a_home_has_no_default_directory() {
    let registry = registry();
    let mut machine = Machine::insecure(&[&registry]);
    machine.paths.environment.home = None;
    assert_eq!(machine.found(&registry), []);
}
