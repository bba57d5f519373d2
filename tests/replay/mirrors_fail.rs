//! Mirrors that fail with everything behind them.

use std::error::Error as _;

use transship::error::one_line;
use transship::http;
use transship::registry::ErrorResponse;
use transship::source::{AllSourcesFailed, Error};

use crate::pull::{Pull, cause, read_layer};
use crate::stage::Stage;
use crate::support::closed_port::ClosedPort;
use crate::support::registry::Registry;
use crate::{APP, app, with_mirrors};

fn all_failed(pull: &Pull) -> Error {
    let error = pull.open_fails(APP);
    assert!(matches!(error, Error::AllSourcesFailed(_)), "{error:?}");
    error
}

fn attempts(error: &Error) -> &AllSourcesFailed {
    let Error::AllSourcesFailed(attempts) = error else { panic!("{error:?}") };
    attempts
}

#[test]
fn every_error_is_kept_and_the_primary_s_is_the_error() {
    let empty = Registry::new().serve();
    let refusing = ClosedPort::new();
    let origin = Registry::new().requiring_basic("alice", "open sesame").serve();
    let stage = Stage::new("all-fail")
        .host("https://one.example", &empty.url(""))
        .host("https://two.example", &format!("http://{}", refusing.address()))
        .host("https://registry.example", &origin.url(""))
        .registries_conf(&with_mirrors(&["one.example", "two.example/copies"]));
    stage.play(|pull| {
        let error = all_failed(pull);
        let AllSourcesFailed { mirrors, primary, .. } = attempts(&error);
        let contacted: Vec<_> = mirrors.iter().chain([primary]).map(|attempt| attempt.reference.to_string()).collect();
        assert_eq!(contacted, ["one.example/org/app:1", "two.example/copies/org/app:1", "registry.example/org/app:1"]);
        assert!(mirrors[0].error.is_not_found());
        assert!(matches!(cause(&*mirrors[1].error), http::Error::Connect { .. }));
        assert!(primary.error.is_unauthorized());

        assert!(error.is_unauthorized() && !error.is_not_found() && !error.is_transient());
        let source = attempts(&error).source().unwrap();
        assert_eq!(source.to_string(), primary.error.to_string());
        assert!(cause::<ErrorResponse>(source).is_unauthorized());
    });
}

#[test]
fn the_text_names_every_place_and_the_primary_s_reason_last() {
    let [one, two, origin] = [(); 3].map(|()| Registry::new().serve());
    let stage = Stage::new("all-fail-text")
        .host("https://one.example", &one.url(""))
        .host("https://two.example", &two.url(""))
        .host("https://registry.example", &origin.url(""))
        .registries_conf(&with_mirrors(&["one.example", "two.example"]));
    stage.play(|pull| {
        let reason = |host: &str| {
            format!(
                "{host}.example/org/app:1: reading manifest 1 in {host}.example/org/app: \
                 name unknown: repository name not known to registry (status 404)"
            )
        };
        let expected =
            format!("(Mirrors also failed: [{}]\n[{}]): {}", reason("one"), reason("two"), reason("registry"));
        assert_eq!(one_line(&all_failed(pull)), expected);
    });
}

#[test]
fn a_mirror_of_a_blocked_registry_is_used_and_the_registry_is_not() {
    let mirror = Registry::new().image("org/app", "1", &app()).without_blob(&app().layer_digest(0)).serve();
    let origin = Registry::new().image("org/app", "1", &app()).serve();
    let conf = with_mirrors(&["mirror.example"]).replacen('\n', "\nblocked = true\n", 1);
    let stage = Stage::new("blocked-with-mirror")
        .host("https://mirror.example", &mirror.url(""))
        .host("https://registry.example", &origin.url(""))
        .registries_conf(&conf);
    stage.play(|pull| {
        let source = pull.open(APP).unwrap();
        assert_eq!(source.physical().to_string(), "docker://mirror.example/org/app:1");
        assert_eq!(read_layer(&*source, 1).unwrap().0, app().layers()[1]);
        let error = read_layer(&*source, 0).unwrap_err();
        let AllSourcesFailed { mirrors, primary, .. } = attempts(&error);
        assert!(mirrors[0].error.is_not_found());
        assert!(matches!(*primary.error, Error::Blocked { .. }));
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_blocked_registry_without_a_mirror_is_not_contacted() {
    let origin = Registry::new().image("org/app", "1", &app()).serve();
    let conf = "[[registry]]\nlocation = \"registry.example\"\nblocked = true\n";
    let stage = Stage::new("blocked").host("https://registry.example", &origin.url("")).registries_conf(conf);
    stage.play(|pull| {
        assert!(matches!(pull.open_fails(APP), Error::Blocked { by, .. } if by.contains("registry.example")));
        assert!(origin.requests().is_empty());
    });
}
