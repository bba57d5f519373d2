//! What a registry sends: in time or later, right or wrong.

use std::time::Duration;

use serde_json::json;
use transship::copy::{self, system_instance};
use transship::digest::Mismatch;
use transship::http;
use transship::manifest::{self, MAX_MANIFEST_SIZE, PlatformChoice};
use transship::registry;
use transship::{Digest, MediaType};

use crate::pull::{assert_holds, cause};
use crate::stage::Stage;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::{APP, REGISTRY, app};

const HOST: &str = "https://registry.example";

#[test]
fn the_last_hope_is_given_the_time_it_asks_for() {
    let too_many = || Reply::new(429).header("Retry-After", "7");
    let registry = Registry::new()
        .image("org/app", "1", &app())
        .fault(|path| path.contains("/manifests/"), 1..=1, too_many())
        .fault(|path| path.contains("/blobs/"), 2..=2, Reply::new(503))
        .serve();
    Stage::new("too-many-requests").host(HOST, &registry.url("")).play(|pull| {
        pull.reads(APP, &app());
        assert_eq!(pull.waits(), [Duration::from_secs(7), Duration::from_millis(500)]);
    });
}

#[test]
fn patience_ends() {
    let registry = Registry::new().image("org/app", "1", &app()).fault(|_| true, 1.., Reply::new(429)).serve();
    Stage::new("too-many-requests-for-ever").host(HOST, &registry.url("")).play(|pull| {
        let error = pull.open_fails(APP);
        assert!(error.is_transient() && !error.is_not_found());
        assert_eq!(pull.clock.sleeps().len(), 3);
    });
}

#[test]
fn an_instance_of_an_index_is_read_by_its_digest() {
    let [amd64, arm] = ["linux/amd64", "linux/arm/v7"].map(|name| Image::with_layers([name]).platform(name));
    let index = Image::index([amd64, arm.clone()]);
    let registry = Registry::new().image("org/app", "1", &index).serve();
    Stage::new("index").host(HOST, &registry.url("")).play(|pull| {
        let source = pull.open(APP).unwrap();
        let manifest = source.manifest(None).unwrap();
        assert_eq!((manifest.bytes(), manifest.media_type()), (&*index.manifest(), &MediaType::OCI_INDEX));
        let wanted = |os: &str, architecture: &str| PlatformChoice {
            os: Some(os.to_owned()),
            architecture: Some(architecture.to_owned()),
            variant: None,
        };
        let instance = system_instance(&manifest, &wanted("linux", "arm")).unwrap();
        assert_eq!(instance, arm.digest());
        assert_holds(&*source, Some(&instance), &arm);
        let error = system_instance(&manifest, &wanted("linux", "s390x")).unwrap_err();
        assert!(matches!(error, copy::Error::Manifest(manifest::Error::NoInstance { .. })));
    });
}

#[test]
fn a_manifest_with_another_digest_than_the_registry_states_is_refused() {
    let other = Digest::sha256(b"something else");
    let spoiled = other.clone();
    let registry = Registry::new()
        .image("org/app", "1", &app())
        .spoil(
            |path| path.contains("/manifests/"),
            ..,
            move |r| r.with_header("Docker-Content-Digest", spoiled.as_str()),
        )
        .serve();
    Stage::new("docker-content-digest").host(HOST, &registry.url("")).play(|pull| {
        let error = pull.open_fails(APP);
        assert!(matches!(cause(&error), Mismatch::Digest { expected, found }
            if *expected == other && *found == app().digest()));
    });
}

#[test]
fn a_manifest_with_another_digest_than_was_asked_for_is_refused() {
    let spoil = |reply: Reply| reply.body(Image::with_layers(["evil"]).manifest());
    let registry =
        Registry::new().image("org/app", "1", &app()).spoil(|p| p.contains("/manifests/"), .., spoil).serve();
    let pinned = format!("docker://registry.example/org/app@{}", app().digest());
    Stage::new("digest-pin").host(HOST, &registry.url("")).play(|pull| {
        let error = pull.open_fails(&pinned);
        assert!(matches!(cause(&error), Mismatch::Digest { expected, .. } if *expected == app().digest()));
    });
}

#[test]
fn a_manifest_that_is_no_json_is_refused() {
    let portal = Reply::ok("<html>Please log in to the wireless network</html>").header("Content-Type", "text/html");
    let registry = Registry::new().fault(|_| true, .., portal).serve();
    Stage::new("garbage-manifest").host(HOST, &registry.url("")).play(|pull| {
        let error = pull.open_fails(APP);
        assert!(matches!(cause(&error), registry::Error::NotAManifest { .. }));
    });
}

/// Too large for a recording that everybody downloads.
#[test]
fn a_manifest_beyond_every_limit_is_refused() {
    let size = usize::try_from(MAX_MANIFEST_SIZE).unwrap() + 1;
    let registry = Registry::new().manifest("org/app", "1", "application/json", vec![b' '; size]).serve();
    Stage::new("(none)").host(HOST, &registry.url("")).play_unrecorded(|pull| {
        let error = pull.open_fails(APP);
        assert!(matches!(cause(&error), http::Error::BodyTooLarge { limit: MAX_MANIFEST_SIZE, .. }));
    });
}

#[test]
fn a_schema_1_manifest_is_called_that() {
    let manifest = json!({
        "schemaVersion": 1, "name": "org/app", "tag": "1", "architecture": "amd64",
        "fsLayers": [{"blobSum": Digest::sha256(b"").as_str()}], "history": [{"v1Compatibility": "{}"}],
    });
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let registry = Registry::new().manifest("org/app", "1", media_type, manifest.to_string()).serve();
    Stage::new("schema-1").host(HOST, &registry.url("")).registries_conf(REGISTRY).play(|pull| {
        let source = pull.open(APP).unwrap();
        let error = pull.copy(&*source).unwrap_err();
        assert!(matches!(cause(&error), manifest::Error::Schema1));
        assert!(!pull.home.path().join("copy/manifest.json").exists());
    });
}
