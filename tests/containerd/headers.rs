//! Headers that a file gives a host.

use std::sync::Arc;
use std::time::Duration;

use transship::http::{HeaderMap, Response, StatusCode};

use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::token::TOKEN_PATH;
use crate::tree::{LOGICAL, Script, Tree, layers};

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &Image::with_layers(["one"]))
}

fn tree(registry: &RunningRegistry) -> Tree {
    Tree::of(&format!("server = '{}'\n[header]\nX-Key = ['s3cret', 'other']\n", registry.url("")))
}

#[test]
fn they_go_to_the_host_and_to_a_token_server_of_its_own() {
    let registry = registry().requiring_token("s").serve();
    layers(&*tree(&registry).open(LOGICAL).unwrap());
    let requests = registry.requests();
    assert!(requests.iter().any(|request| request.path() == TOKEN_PATH));
    for request in requests {
        let values: Vec<_> = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-key")).collect();
        assert_eq!(values.len(), 2, "{request:?}");
    }
}

#[test]
fn they_do_not_follow_a_redirect_to_another_server() {
    let elsewhere = registry().serve();
    let registry = registry().redirecting_blobs_to(&elsewhere.url("")).serve();
    layers(&*tree(&registry).open(LOGICAL).unwrap());
    assert!(!elsewhere.requests().is_empty());
    assert!(registry.requests().iter().all(|request| request.header("x-key").is_some()));
    assert!(elsewhere.requests().iter().all(|request| request.header("x-key").is_none()), "{:?}", elsewhere.requests());
}

#[test]
fn they_do_not_go_to_a_token_server_elsewhere_nor_to_another_host() {
    let tokens = Server::http(|_| Reply::json(&serde_json::json!({"token": "t"})));
    let realm = tokens.url("/token");
    let registry = registry()
        .spoil(
            |path| path.contains("/manifests/"),
            1..=1,
            move |_| Reply::new(401).header("WWW-Authenticate", &format!("Bearer realm=\"{realm}\",service=\"s\"")),
        )
        .serve();
    let other = Registry::new().serve();
    let tree =
        Tree::of(&format!("server = '{}'\n[header]\nX-Key = 's3cret'\n[host.'{}']\n", registry.url(""), other.url("")));
    layers(&*tree.open(LOGICAL).unwrap());
    for server in [&tokens, &*other] {
        assert!(!server.requests().is_empty());
        assert!(server.requests().iter().all(|request| request.header("x-key").is_none()));
    }
}

#[test]
fn an_authorization_from_the_file_is_enough() {
    let registry = registry().requiring_basic("me", "s3cret").serve();
    let tree = Tree::of(&format!("server = '{}'\n[header]\nauthorization = 'Basic bWU6czNjcmV0'\n", registry.url("")));
    layers(&*tree.open(LOGICAL).unwrap());
}

#[test]
fn a_dial_timeout_is_the_limit_of_each_connection_to_the_host() {
    let seen = |seconds: &str| {
        let script = Script::new(|request: &transship::http::Request| {
            let limit = request.connect_timeout.map_or(0, |limit| limit.as_millis());
            let status = if limit == Duration::from_millis(1500).as_millis() { 404 } else { 500 };
            Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Box::new(std::io::empty()),
                url: request.url.clone(),
            }
        });
        let mut tree = Tree::of(&format!("server = 'https://m.example'\n{seconds}"));
        tree.wire = Some(Arc::clone(&script) as _);
        tree.refusal(LOGICAL)
    };
    assert!(seen("dial_timeout = '1.5s'").contains("404"));
    assert!(seen("").contains("500"));
}
