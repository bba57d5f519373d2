//! Registries that want a bearer token.

use std::time::Duration;

use serde_json::json;
use transship::registry::TokenError;

use crate::pull::cause;
use crate::stage::Stage;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::request::ReceivedRequest;
use crate::support::server::Server;
use crate::{APP, app, serve_image, unauthorized};

/// A registry whose tokens come from another host.
fn stage(name: &str, registry: &RunningRegistry) -> Stage {
    Stage::new(name)
        .host("https://auth.example/token", &registry.url("/token"))
        .host("https://registry.example", &registry.url(""))
}

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &app()).requiring_token("registry.example")
}

/// A registry that is told by a closure who gets in; what it answers to `/token` comes from the same closure.
fn gate(check: impl Fn(&ReceivedRequest) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::http(move |request| check(request).unwrap_or_else(|| serve_image(&app(), request)))
}

#[test]
fn a_token_is_asked_for_once_and_used_for_everything() {
    let registry = registry().serve();
    stage("bearer-anonymous", &registry).play(|pull| {
        pull.reads(APP, &app());
    });
}

#[test]
fn credentials_go_to_the_token_server_and_the_token_to_the_registry() {
    let registry = registry().token_account("alice", "open sesame").serve();
    stage("bearer", &registry).account("registry.example", "alice", "open sesame").play(|pull| {
        pull.reads(APP, &app());
    });
}

#[test]
fn credentials_that_the_token_server_refuses_are_shown_once() {
    let registry = registry().token_account("alice", "open sesame").serve();
    stage("bearer-wrong-password", &registry).account("registry.example", "alice", "wrong").play(|pull| {
        let error = pull.open_fails(APP);
        assert!(matches!(cause(&error), TokenError::BadCredentials(_)));
        assert!(error.is_unauthorized());
    });
}

#[test]
fn an_identity_token_is_posted() {
    let registry = registry().refresh_token("the identity").serve();
    let entry = json!({"auth": "MDAwMDo=", "identitytoken": "the identity"});
    stage("identity-token", &registry).auth("registry.example", entry).play(|pull| {
        pull.reads(APP, &app());
    });
}

#[test]
fn docker_hub_has_its_api_and_its_tokens_elsewhere() {
    let hub = Registry::new().image("library/busybox", "latest", &app().docker());
    let hub = hub.requiring_token("registry.docker.io").token_account("alice", "open sesame").serve();
    let stage = Stage::new("docker-hub")
        .host("https://auth.docker.io/token", &hub.url("/token"))
        .host("https://registry-1.docker.io", &hub.url(""));
    stage.account("docker.io", "alice", "open sesame").play(|pull| {
        pull.reads("docker://busybox:latest", &app().docker());
    });
}

/// The repository shares its layers with another one, and the registry says so only when it is asked for one.
#[test]
fn a_scope_that_the_registry_misses_is_asked_for_beside_the_first() {
    let narrow = "Bearer realm=\"https://auth.example/token\",service=\"r\",scope=\"repository:org/app:pull\"";
    let wide = "Bearer realm=\"https://auth.example/token\",service=\"r\",scope=\"repository:org/base:pull\",\
                error=\"insufficient_scope\"";
    let registry = gate(move |request| match (request.path(), request.header("authorization")) {
        ("/token", _) => Some(Reply::json(&json!({"token": request.query("scope").join(" and ")}))),
        (_, None) => Some(unauthorized(narrow)),
        (path, Some("Bearer repository:org/app:pull")) if path.contains("/blobs/") => Some(unauthorized(wide)),
        (_, Some("Bearer repository:org/app:pull" | "Bearer repository:org/app:pull and repository:org/base:pull")) => {
            None
        }
        (_, Some(_)) => Some(Reply::new(403)),
    });
    let stage = Stage::new("insufficient-scope")
        .host("https://auth.example", &registry.url(""))
        .host("https://registry.example", &registry.url(""));
    stage.play(|pull| {
        pull.reads(APP, &app());
    });
}

#[test]
fn a_token_that_is_refused_in_the_middle_is_renewed_once() {
    let registry = registry().tokens_good_for(2).serve();
    stage("token-refused-midway", &registry).play(|pull| {
        pull.reads(APP, &app());
    });
}

/// A registry that refuses even a fresh token is not asked for ever.
#[test]
fn a_fresh_token_that_is_refused_is_the_end() {
    let registry = registry().tokens_good_for(0).serve();
    stage("token-never-accepted", &registry).play(|pull| assert!(pull.open_fails(APP).is_unauthorized()));
}

/// The wait that the registry asks for outlives the token.
#[test]
fn a_token_that_has_ended_is_renewed_without_being_refused_first() {
    let too_many = Reply::new(429).header("Retry-After", "58");
    let registry = registry().tokens_expire_in(60).fault(|path| path.contains("/manifests/"), 1..=1, too_many).serve();
    stage("token-expired", &registry).play(|pull| {
        pull.reads(APP, &app());
        assert_eq!(pull.clock.sleeps(), [Duration::from_secs(58)]);
    });
}

#[test]
fn of_several_challenges_in_one_header_the_first_that_can_be_answered_is() {
    let challenges = "Negotiate, Basic realm=\"users\", Bearer realm=\"https://auth.example/token\" , service = \"r\"";
    let registry = gate(move |request| match (request.path(), request.header("authorization")) {
        ("/token", None) => Some(Reply::json(&json!({"token": "for everybody"}))),
        // alice:open sesame
        (_, Some("Bearer for everybody" | "Basic YWxpY2U6b3BlbiBzZXNhbWU=")) => None,
        _ => Some(unauthorized(challenges)),
    });
    for (name, account) in [("two-challenges-anonymous", None), ("two-challenges", Some(("alice", "open sesame")))] {
        let mut stage = Stage::new(name)
            .host("https://auth.example", &registry.url(""))
            .host("https://registry.example", &registry.url(""));
        if let Some((user, password)) = account {
            stage = stage.account("registry.example", user, password);
        }
        stage.play(|pull| {
            pull.reads(APP, &app());
        });
    }
}

#[test]
fn credentials_are_not_sent_to_a_realm_in_the_clear() {
    let challenge = "Bearer realm=\"http://auth.example/token\",service=\"registry.example\"";
    let registry = gate(move |_| Some(unauthorized(challenge)));
    // Whoever would be asked would have it.
    let auth = gate(|_| Some(Reply::json(&json!({"token": "a token"}))));
    let stage = Stage::new("insecure-realm")
        .host("http://auth.example", &auth.url(""))
        .host("https://registry.example", &registry.url(""));
    stage.account("registry.example", "alice", "open sesame").play(|pull| {
        let error = pull.open_fails(APP);
        assert!(matches!(cause(&error), TokenError::InsecureRealm(realm) if realm.host() == "auth.example"));
        assert!(auth.requests().is_empty());
    });
}
