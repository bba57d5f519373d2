//! A mirror that fails in one way or another, and the source behind it.

use std::time::Duration;

use transship::Digest;

use crate::pull::read_layer;
use crate::stage::Stage;
use crate::support::closed_port::ClosedPort;
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::{APP, app, with_mirrors};

const MIRRORED: &str = "docker://mirror.example/org/app:1";

fn registry() -> Registry {
    Registry::new().image("org/app", "1", &app())
}

/// A mirror, and an origin that wants a token: so a mirror that sees it shows in the recording.
fn stage(name: &str, mirror: &str, origin: &RunningRegistry) -> Stage {
    Stage::new(name)
        .host("https://mirror.example", mirror)
        .host("https://auth.example/token", &origin.url("/token"))
        .host("https://registry.example", &origin.url(""))
        .registries_conf(&with_mirrors(&["mirror.example"]))
        .account("registry.example", "alice", "open sesame")
}

fn origin() -> RunningRegistry {
    registry().requiring_token("registry.example").token_account("alice", "open sesame").serve()
}

/// The mirror cannot deliver the manifest: everything comes from the origin, after these waits.
fn falls_back(name: &str, mirror: &str, image: &str, waits: &[Duration]) {
    stage(name, mirror, &origin()).play(|pull| {
        let source = pull.reads(image, &app());
        assert_eq!(source.physical().to_string(), image, "{name}");
        assert_eq!(pull.waits(), waits, "{name}");
    });
}

const SOON: Duration = Duration::from_millis(100);

#[test]
fn a_mirror_that_works_is_all_that_is_asked() {
    let mirror = registry().serve();
    stage("mirror-works", &mirror.url(""), &origin()).play(|pull| {
        let source = pull.reads(APP, &app());
        assert_eq!(source.physical().to_string(), MIRRORED);
    });
}

#[test]
fn a_mirror_without_the_image_is_passed_over_at_once() {
    falls_back("mirror-404", &Registry::new().serve().url(""), APP, &[]);
}

#[test]
fn a_mirror_that_fails_gets_one_more_try() {
    let mirror = registry().fault(|_| true, .., Reply::new(500)).serve();
    falls_back("mirror-500", &mirror.url(""), APP, &[SOON]);
}

#[test]
fn a_mirror_that_refuses_connections_gets_one_more_try() {
    let mirror = ClosedPort::new();
    falls_back("mirror-refused", &format!("http://{}", mirror.address()), APP, &[SOON]);
}

#[test]
fn a_mirror_that_has_no_address_is_passed_over_at_once() {
    stage("mirror-not-found", "http://nobody", &origin()).registries_conf(&with_mirrors(&["gone.example"])).play(
        |pull| {
            pull.reads(APP, &app());
            assert!(pull.clock.sleeps().is_empty());
        },
    );
}

#[test]
fn a_mirror_that_wants_to_be_waited_for_is_not() {
    let too_many = Reply::new(429).header("Retry-After", "30");
    let mirror = registry().fault(|_| true, .., too_many).serve();
    falls_back("mirror-429", &mirror.url(""), APP, &[]);
}

#[test]
fn a_mirror_that_wants_credentials_does_not_get_those_of_the_origin() {
    let mirror = registry().requiring_basic("alice", "open sesame").serve();
    falls_back("mirror-401", &mirror.url(""), APP, &[]);
}

#[test]
fn a_mirror_with_garbage_for_a_manifest_is_passed_over() {
    let portal = Reply::ok("<html>Please log in to the wireless network</html>").header("Content-Type", "text/html");
    let mirror = registry().fault(|_| true, .., portal).serve();
    falls_back("mirror-garbage", &mirror.url(""), APP, &[]);
}

#[test]
fn a_mirror_with_another_manifest_than_was_asked_for_is_passed_over() {
    let spoil = |reply: Reply| reply.body(Image::with_layers(["evil"]).manifest());
    let mirror = registry().spoil(|path| path.contains("/manifests/"), .., spoil).serve();
    let pinned = format!("docker://registry.example/org/app@{}", app().digest());
    falls_back("mirror-wrong-digest", &mirror.url(""), &pinned, &[]);
}

#[test]
fn a_mirror_with_another_manifest_than_it_states_is_passed_over() {
    let other = Digest::sha256(b"other");
    let mirror = registry()
        .spoil(|path| path.contains("/manifests/"), .., move |r| r.with_header("Docker-Content-Digest", other.as_str()))
        .serve();
    falls_back("mirror-wrong-stated-digest", &mirror.url(""), APP, &[]);
}

#[test]
fn a_layer_that_the_mirror_lacks_comes_from_the_origin() {
    let mirror = registry().without_blob(&app().layer_digest(1)).serve();
    stage("mirror-lacks-a-layer", &mirror.url(""), &origin()).play(|pull| {
        let source = pull.reads(APP, &app());
        assert_eq!(source.physical().to_string(), MIRRORED);
    });
}

#[test]
fn a_layer_with_wrong_bytes_is_read_again_from_the_origin() {
    let digest = app().layer_digest(0);
    let mirror = registry()
        .spoil(move |path| path.ends_with(digest.encoded()), .., |reply| reply.body("THE LOWER LAYER"))
        .serve();
    stage("mirror-wrong-layer", &mirror.url(""), &origin()).play(|pull| {
        let source = pull.open(APP).unwrap();
        let written = pull.copy(&*source).unwrap();
        assert_eq!(*written.digest(), app().digest());
        let layer = pull.home.path().join("copy").join(app().layer_digest(0).encoded());
        assert_eq!(std::fs::read(layer).unwrap(), app().layers()[0]);
    });
}

/// The mirror is asked to go on where it broke off; when that breaks off too, the origin goes on there.
#[test]
fn a_layer_that_breaks_off_goes_on_at_that_byte_elsewhere() {
    let mirror = registry().spoil(|path| path.contains("/blobs/"), .., |reply| reply.cut_after(4)).serve();
    stage("mirror-cut", &mirror.url(""), &origin()).play(|pull| {
        let source = pull.open(APP).unwrap();
        let (bytes, served) = read_layer(&*source, 0).unwrap();
        assert_eq!(bytes, app().layers()[0]);
        let served: Vec<_> = served.iter().map(|part| (part.by.to_string(), part.bytes)).collect();
        assert_eq!(served, [(MIRRORED.to_owned(), 8), (APP.to_owned(), bytes.len() as u64 - 8)]);
    });
}
