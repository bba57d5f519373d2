//! What a copy changes on the way is compared with what it was changed into.

use std::num::NonZeroUsize;

use transship::compression::{Compression, Compressor};
use transship::copy::{self, ChosenInstances, Instances, LayerCompression, ManifestFormat};
use transship::sync::{Options, Source};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::uploads::Uploads;
use crate::world::{World, image, registry, repository};

fn with(copy: copy::Options<'_>) -> Options<'_> {
    Options { copy, ..Options::default() }
}

/// The outcomes of these runs, one after the other, of one image that goes to a registry and to a directory.
fn outcomes(served: &Image, runs: &[copy::Options<'_>]) -> Vec<Vec<String>> {
    let source = Registry::new().image("org/app", "1", served).serve();
    let to = Uploads::new().serve();
    let world = World::new();
    world.write_image("tree/app:1", served);
    let (remote, local) = (repository(&source.reference("org/app:1")), Source::Dir(world.path("tree")));
    let destinations = [
        (&remote, registry(&to.reference("one"))),
        (&local, registry(&to.reference("two"))),
        (&remote, world.dir("d")),
    ];
    let outcome = |from: &Source, to: &transship::sync::Destination, run: &copy::Options<'_>| {
        let (told, outcome) = world.sync(from, to, &with(run.clone()));
        assert!(outcome.is_ok(), "{outcome:?}");
        told.trim_end().rsplit(' ').next().unwrap().to_owned()
    };
    destinations.iter().map(|(from, to)| runs.iter().map(|run| outcome(from, to, run)).collect()).collect()
}

fn assert_outcomes(served: &Image, runs: &[copy::Options<'_>], expected: &[&str]) {
    for outcomes in outcomes(served, runs) {
        assert_eq!(outcomes, expected);
    }
}

#[test]
fn another_kind_of_manifest_is_compared_with_what_it_becomes() {
    let oci = copy::Options { format: Some(ManifestFormat::Oci), ..copy::Options::default() };
    let kept = copy::Options::default();
    let runs = [oci.clone(), oci.clone(), kept.clone(), kept, oci];
    // Docker's description of a layer must say how it is compressed.
    let layer = || b"\x1f\x8b\x08\x00 not looked at".to_vec();
    let docker = Image::with_layers([layer()]).docker();
    assert_outcomes(&docker, &runs, &["copied", "unchanged", "copied", "unchanged", "copied"]);
    assert_outcomes(
        &Image::with_layers([layer()]),
        &runs,
        &["copied", "unchanged", "unchanged", "unchanged", "unchanged"],
    );
}

#[test]
fn chosen_instances_are_compared_with_the_index_of_them() {
    let index = Image::index(["linux/amd64", "linux/arm64"].map(|platform| image(platform).platform(platform)));
    let platforms = vec!["linux/arm64".parse().unwrap()];
    let chosen = Instances::Chosen(ChosenInstances { platforms, ..ChosenInstances::default() });
    let arm = copy::Options { instances: chosen, ..copy::Options::default() };
    let all = copy::Options { instances: Instances::All, ..copy::Options::default() };
    let runs = [arm.clone(), arm.clone(), all.clone(), all, arm];
    assert_outcomes(&index, &runs, &["copied", "unchanged", "copied", "unchanged", "copied"]);
}

#[test]
fn layers_that_would_have_to_be_made_are_copied_again_and_those_that_fit_are_not() {
    let compressor = Compressor::new(Compression::Gzip, None).unwrap();
    let compressed = copy::Options {
        layers: LayerCompression::Compressed(compressor),
        parallel_copies: NonZeroUsize::MIN,
        ..copy::Options::default()
    };
    let runs = [compressed.clone(), compressed];
    assert_outcomes(&image("plain"), &runs, &["copied", "copied"]);
    let gzip = Image::with_layers([b"\x1f\x8b\x08\x00 not looked at".to_vec()]);
    assert_outcomes(&gzip, &runs, &["copied", "unchanged"]);
}

#[test]
fn to_know_what_becomes_of_an_image_no_layer_is_read() {
    let docker = Image::with_layers([b"\x1f\x8b\x08\x00 not looked at".to_vec()]).docker();
    let source = Registry::new().image("org/app", "1", &docker).serve();
    let world = World::new();
    let oci = with(copy::Options { format: Some(ManifestFormat::Oci), ..copy::Options::default() });
    let from = repository(&source.reference("org/app:1"));
    world.sync(&from, &world.dir("d"), &oci).1.unwrap();
    let before = source.asked().len();
    assert_eq!(world.sync(&from, &world.dir("d"), &oci).0, "1/1 app:1 unchanged\n");
    let config = format!("GET /v2/org/app/blobs/{}", docker.blobs()[0].0);
    assert_eq!(source.asked()[before..], ["GET /v2/org/app/manifests/1".to_owned(), config]);
}
