//! Layers from their own URLs that break off.

use transship::error::{find, one_line};
use transship::manifest::Descriptor;
use transship::registry;
use transship::source::{BlobReader, ImageSource};

use crate::machine::{LOGICAL, Machine, layers, noise, ranges, read};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const SIZE: usize = 1000;
const CUT: usize = 400;

fn image() -> Image {
    Image::with_layers([noise(SIZE)])
}

fn healthy() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn is_layer(path: &str) -> bool {
    path.ends_with(image().layer_digest(0).as_str())
}

/// Has the layer once, up to a byte; afterwards what `rest` makes of it.
fn cutting(rest: impl FnOnce(Registry) -> Registry) -> RunningRegistry {
    rest(healthy().spoil(is_layer, 1..=1, |reply| reply.cut_after(CUT))).serve()
}

fn url(server: &RunningRegistry) -> String {
    server.url(&format!("/v2/org/app/blobs/{}", image().layer_digest(0)))
}

fn layer_at(source: &dyn ImageSource, servers: &[&RunningRegistry]) -> Descriptor {
    let mut layer = layers(source).remove(0);
    layer.set_urls(Some(servers.iter().map(|server| url(server)).collect()));
    layer
}

fn served(blob: &BlobReader) -> Vec<(String, u64)> {
    blob.served().iter().map(|part| (part.by.to_string(), part.bytes)).collect()
}

#[test]
fn a_url_is_asked_for_the_rest() {
    let (elsewhere, origin) = (cutting(|registry| registry), healthy().serve());
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let mut blob = source.blob(&layer_at(&*source, &[&elsewhere])).unwrap();
    assert_eq!(read(&mut blob).0, noise(SIZE));
    assert_eq!(served(&blob), [(url(&elsewhere), SIZE as u64)]);
    assert_eq!(ranges(&elsewhere, &image().layer_digest(0)), [None, Some(format!("bytes={CUT}-"))]);
}

#[test]
fn the_next_url_goes_on_at_the_byte_where_the_one_before_broke_and_then_the_registry() {
    let gone = |registry: Registry| registry.fault(is_layer, 2.., Reply::new(404));
    let [one, two] = [(); 2].map(|()| cutting(gone));
    let whole = healthy().serve();
    let origin = healthy().serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let from = |asked: &RunningRegistry| ranges(asked, &image().layer_digest(0)).pop().flatten();
    let (first, rest) = (CUT as u64, (SIZE - CUT) as u64);

    let mut blob = source.blob(&layer_at(&*source, &[&one, &whole])).unwrap();
    assert_eq!(read(&mut blob).0, noise(SIZE));
    assert_eq!(served(&blob), [(url(&one), first), (url(&whole), rest)]);
    assert_eq!(from(&whole), Some(format!("bytes={CUT}-")));

    let mut blob = source.blob(&layer_at(&*source, &[&two])).unwrap();
    assert_eq!(read(&mut blob).0, noise(SIZE));
    let by_registry = format!("docker://{}", origin.reference("org/app:1"));
    assert_eq!(served(&blob), [(url(&two), first), (by_registry, rest)]);
    assert_eq!(from(&origin), Some(format!("bytes={CUT}-")));
}

#[test]
fn where_the_registry_has_nothing_either_the_error_is_that_of_the_url() {
    let elsewhere = cutting(|registry| registry.fault(is_layer, 2.., Reply::new(404)));
    let origin = healthy().without_blob(&image().layer_digest(0)).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let mut blob = source.blob(&layer_at(&*source, &[&elsewhere])).unwrap();
    let (bytes, outcome) = read(&mut blob);
    assert_eq!(bytes, noise(SIZE)[..CUT]);
    let error = outcome.unwrap_err();
    let is_cut = matches!(find(&error), Some(registry::Error::ResumeFailed { .. }));
    assert!(is_cut, "{}", one_line(&error));
}
