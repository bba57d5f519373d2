//! Who we are to a registry: nobody, or somebody with a password.

use transship::http::StatusCode;
use transship::registry::ErrorResponse;

use crate::pull::{cause, read_layer};
use crate::stage::Stage;
use crate::support::registry::Registry;
use crate::support::server::Server;
use crate::{APP, app, serve_image, unauthorized};

const REGISTRY: &str = "https://registry.example";

#[test]
fn an_open_registry_is_asked_once_for_each_thing() {
    let registry = Registry::new().image("org/app", "1", &app()).serve();
    Stage::new("anonymous").host(REGISTRY, &registry.url("")).play(|pull| {
        let source = pull.reads(APP, &app());
        assert_eq!(source.physical().to_string(), APP);
        assert!(pull.clock.sleeps().is_empty());
    });
}

#[test]
fn credentials_are_shown_when_they_are_asked_for_and_then_always() {
    let registry = Registry::new().image("org/app", "1", &app()).requiring_basic("alice", "open sesame").serve();
    let stage = Stage::new("basic").host(REGISTRY, &registry.url(""));
    stage.account("registry.example", "alice", "open sesame").play(|pull| {
        pull.reads(APP, &app());
    });
}

#[test]
fn without_credentials_a_401_is_the_answer() {
    let registry = Registry::new().image("org/app", "1", &app()).requiring_basic("alice", "open sesame").serve();
    Stage::new("basic-without-credentials").host(REGISTRY, &registry.url("")).play(|pull| {
        assert!(pull.open_fails(APP).is_unauthorized());
    });
}

#[test]
fn a_wrong_password_is_shown_once() {
    let registry = Registry::new().image("org/app", "1", &app()).requiring_basic("alice", "open sesame").serve();
    let stage = Stage::new("basic-wrong-password").host(REGISTRY, &registry.url(""));
    stage.account("registry.example", "alice", "wrong").play(|pull| {
        let error = pull.open_fails(APP);
        assert!(error.is_unauthorized() && !error.is_not_found() && !error.is_transient());
        assert!(cause::<ErrorResponse>(&error).has_code("UNAUTHORIZED"));
        assert!(pull.clock.sleeps().is_empty());
    });
}

/// A CDN wants a signature in the URL, and refuses what has an `Authorization` beside it.
#[test]
fn credentials_do_not_follow_a_redirect_to_a_cdn() {
    let cdn = Registry::new().image("org/app", "1", &app()).serve();
    let registry = Registry::new()
        .image("org/app", "1", &app())
        .requiring_basic("alice", "open sesame")
        .redirecting_blobs_to("https://cdn.example")
        .serve();
    let stage =
        Stage::new("redirect-to-cdn").host(REGISTRY, &registry.url("")).host("https://cdn.example", &cdn.url(""));
    stage.account("registry.example", "alice", "open sesame").play(|pull| {
        pull.reads(APP, &app());
    });
}

#[test]
fn a_redirect_target_that_asks_who_we_are_is_not_told() {
    let challenge = "Basic realm=\"cdn\", Bearer realm=\"https://cdn.example/token\",service=\"cdn\"";
    let cdn = Server::http(move |_| unauthorized(challenge));
    let registry = Server::http(|request| match request.header("authorization") {
        None => unauthorized("Basic realm=\"registry\""),
        Some(_) if request.path().contains("/blobs/") => {
            crate::Reply::redirect(307, &format!("https://cdn.example{}", request.path()))
        }
        Some(_) => serve_image(&app(), request),
    });
    let stage =
        Stage::new("redirect-target-401").host(REGISTRY, &registry.url("")).host("https://cdn.example", &cdn.url(""));
    // Not even what the auth file has for the CDN: nobody asked for an image there.
    let stage = stage.account("registry.example", "alice", "open sesame").account("cdn.example", "alice", "other");
    stage.play(|pull| {
        let source = pull.open(APP).unwrap();
        let error = read_layer(&*source, 0).unwrap_err();
        assert!(error.is_unauthorized());
        let answer = cause::<ErrorResponse>(&error);
        assert_eq!((answer.status, answer.url.host().as_str()), (StatusCode::UNAUTHORIZED, "cdn.example"));
    });
}
