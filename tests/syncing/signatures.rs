//! Signatures that came after their image.

use std::fs;

use serde_json::json;
use transship::copy::{self, Instances};
use transship::sync::{Options, Source};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::registry::signatures::Artifact;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::world::{World, image, registry, repository};

const ATTACHMENTS: &str = "default-docker: {use-sigstore-attachments: true}";

fn attached(registry: Registry, signed: &Image) -> Registry {
    registry.attachments("org/app", &signed.digest(), &Artifact::attachments([("payload", json!({"a": "b"}))]))
}

fn all<'a>() -> Options<'a> {
    let copy = copy::Options { instances: Instances::All, ..copy::Options::default() };
    Options { copy, ..Options::default() }
}

#[test]
fn an_image_that_was_signed_since_is_copied_once_more() {
    let index = Image::index([image("linux/amd64").platform("linux/amd64")]);
    for (served, signed) in [(&image("1"), &image("1")), (&index, &index), (&index, &index.instances()[0])] {
        let world = World::new();
        world.registries_d(ATTACHMENTS);
        let unsigned = Registry::new().image("org/app", "1", served);
        let (after, unsigned) = (attached(Registry::new().image("org/app", "1", served), signed), unsigned.serve());
        let after = after.serve();
        let [unsigned, after] = [&unsigned, &after].map(|registry| repository(&registry.reference("org/app:1")));
        for (from, expected) in [
            (&unsigned, "copied"),
            (&unsigned, "unchanged"),
            (&after, "copied"),
            (&after, "unchanged"),
            // Of a signature that is gone from the source nothing is made.
            (&unsigned, "unchanged"),
        ] {
            let (told, outcome) = world.sync(from, &world.dir("d"), &all());
            assert_eq!(told, format!("1/1 app:1 {expected}\n"), "{outcome:?}");
        }
    }
}

#[test]
fn of_an_index_it_is_the_signatures_of_the_instance_that_are_looked_at() {
    let platform = copy::Options::default().platform.wanted(&transship::manifest::Platform::host()).remove(0);
    let host = image("here").platform(&platform.to_string());
    let index = Image::index([host.clone()]);
    let served = attached(Registry::new().image("org/app", "1", &index), &host).serve();
    let world = World::new();
    world.registries_d(ATTACHMENTS);
    let from = repository(&served.reference("org/app:1"));
    assert_eq!(world.synced(&from, &world.dir("d")), "1/1 app:1 copied\n");
    assert_eq!(world.synced(&from, &world.dir("d")), "1/1 app:1 unchanged\n");
    fs::remove_file(world.path("d/app:1/signature-1")).unwrap();
    assert_eq!(world.synced(&from, &world.dir("d")), "1/1 app:1 copied\n");
    assert!(world.path("d/app:1/signature-1").exists());
}

#[test]
fn signatures_that_stay_behind_are_not_looked_for() {
    let served = attached(Registry::new().image("org/app", "1", &image("1")), &image("1")).serve();
    let world = World::new();
    world.registries_d(ATTACHMENTS);
    world.write_image("d/app:1", &image("1"));
    let copy = copy::Options { remove_signatures: true, ..copy::Options::default() };
    let options = Options { copy, ..Options::default() };
    let (told, _) = world.sync(&repository(&served.reference("org/app:1")), &world.dir("d"), &options);
    assert_eq!(told, "1/1 app:1 unchanged\n");
    assert_eq!(served.asked(), ["HEAD /v2/org/app/manifests/1"]);
}

#[test]
fn the_signatures_of_a_directory_are_compared_with_those_in_the_store() {
    let to = Registry::new().image("m/app", "1", &image("1")).serve();
    let message = [b"\xa3", &b"signature"[..]].concat();
    let stored = message.clone();
    let store = Server::http(move |request| {
        if request.target.ends_with("/signature-1") { Reply::ok(stored.clone()) } else { Reply::new(404) }
    });
    let world = World::new();
    world.registries_d(&format!("default-docker: {{lookaside: '{}'}}", store.url("/s")));
    world.write_image("d/app:1", &image("1"));
    let (from, to) = (Source::Dir(world.path("d")), registry(&to.reference("m")));
    let dry = Options { dry_run: true, ..Options::default() };
    assert_eq!(world.sync(&from, &to, &dry).0, "1/1 app:1 unchanged\n");
    assert!(store.requests().is_empty());
    for (signature, expected) in [(&message[..], "unchanged"), (&[&message[..], b"!"].concat(), "would copy")] {
        fs::write(world.path("d/app:1/signature-1"), signature).unwrap();
        assert_eq!(world.sync(&from, &to, &dry).0, format!("1/1 app:1 {expected}\n"));
    }
}
