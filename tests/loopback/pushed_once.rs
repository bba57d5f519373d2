//! A blob that an image has twice, or several images of an index have.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use transship::copy::{self, Instances};
use transship::destination;
use transship::policy::Policy;
use transship::{Digest, ImageReference, MediaType};

use crate::machine::Machine;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::uploads::Uploads;

/// Copies `org/app:1` of a scripted registry, six blobs at a time, and counts what the destination was asked for each blob:
/// whether it is there, and how often it was sent.
fn counted(registry: Registry) -> BTreeMap<Digest, (usize, usize)> {
    let (from, to) = (registry.serve(), Uploads::new().serve());
    let place = |place: &str| format!("[[registry]]\nlocation = \"{place}\"\ninsecure = true\n");
    let conf = [place(&from.authority()), place(&to.authority())].concat();
    let machine = Machine::new().registries_conf(&conf);
    let source = machine.open(&from.reference("org/app:1")).unwrap();
    let reference: ImageReference = format!("docker://{}", to.reference("org/app:1")).parse().unwrap();
    let destination = destination::open_with(&machine.config(), &reference, &machine.options()).unwrap();
    let options = copy::Options { instances: Instances::All, ..copy::Options::default() };
    copy::image(&*source, &*destination, &Policy::insecure_accept_anything(), &options).unwrap();
    let mut counts: BTreeMap<Digest, (usize, usize)> = BTreeMap::new();
    for request in to.requests() {
        if let Some(digest) = request.path().strip_prefix("/v2/org/app/blobs/sha256:") {
            counts.entry(format!("sha256:{digest}").parse().unwrap()).or_default().0 += 1;
        }
        for digest in request.query("digest") {
            counts.entry(digest.parse().unwrap()).or_default().1 += 1;
        }
    }
    counts
}

fn assert_once(counts: &BTreeMap<Digest, (usize, usize)>, blobs: usize) {
    assert_eq!(counts.len(), blobs);
    assert!(counts.values().all(|count| *count == (1, 1)), "{counts:?}");
}

#[test]
fn a_layer_that_is_there_twice_is_asked_for_and_sent_once() {
    let layers = ["same", "other", "same", "same", "other", "same"];
    assert_once(&counted(Registry::new().image("org/app", "1", &Image::with_layers(layers))), 3);
    assert_once(&counted(Registry::new().image("org/app", "1", &Image::with_layers(layers).docker())), 3);
}

#[test]
fn a_layer_of_several_instances_is_asked_for_and_sent_once() {
    let instance = |platform: &str| Image::with_layers(["base", "base", "more"]).platform(platform);
    let index = Image::index(["linux/amd64", "linux/arm64", "linux/arm/v7"].map(instance));
    assert_once(&counted(Registry::new().image("org/app", "1", &index)), 5);
}

/// As artifacts have it that are nothing but a manifest.
#[test]
fn a_layer_that_is_the_config_too_is_asked_for_and_sent_once() {
    let empty = Image::with_layers(["{}"]);
    let blob = json!({"mediaType": MediaType::OCI_EMPTY.as_str(), "size": 2, "digest": empty.layer_digest(0).as_str()});
    let manifest: Value = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "artifactType": "application/vnd.example",
        "config": blob, "layers": [blob],
    });
    let (media_type, bytes) = (empty.media_type(), manifest.to_string());
    let registry = Registry::new().image("org/app", "empty", &empty);
    assert_once(&counted(registry.manifest("org/app", "1", media_type, bytes)), 1);
}
