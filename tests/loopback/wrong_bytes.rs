//! Servers that deliver other bytes than were asked for.

use std::fs;
use std::sync::Mutex;

use transship::copy::{self, BlobKind, BlobOutcome, Event, Progress};
use transship::digest::Mismatch;
use transship::error::{find, one_line};
use transship::{Digest, ImageReference};

use crate::machine::{LOGICAL, Machine, copy_to, files, first_layer, layers, noise, ranges, read};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;

const SIZE: usize = 1000;

fn image() -> Image {
    Image::with_layers([noise(SIZE)])
}

fn healthy() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

fn digest() -> Digest {
    image().layer_digest(0)
}

fn is_layer(path: &str) -> bool {
    path.ends_with(digest().as_str())
}

/// The whole layer, one byte of it changed.
fn corrupted(at: usize) -> Reply {
    let mut bytes = noise(SIZE);
    bytes[at] ^= 1;
    Reply::ok(bytes)
}

/// Who delivered the layer, and how often it was begun again.
#[derive(Default)]
struct Told(Mutex<(Vec<(String, u64)>, usize)>);

impl Progress for Told {
    fn event(&self, event: &Event<'_>) {
        let mut told = self.0.lock().unwrap();
        match event {
            Event::Finished { kind: BlobKind::Layer, outcome: BlobOutcome::Copied { served, .. }, .. } => {
                told.0 = served.iter().map(|part| (part.by.to_string(), part.bytes)).collect();
            }
            Event::Restarted { .. } => told.1 += 1,
            _ => {}
        }
    }
}

#[test]
fn a_layer_with_one_wrong_byte_is_taken_whole_from_the_next_pull_source() {
    for at in [0, SIZE / 2, SIZE - 1] {
        let (mirror, origin) = (healthy().fault(is_layer, .., corrupted(at)).serve(), healthy().serve());
        let machine = Machine::of(&[&mirror, &origin]);
        let source = machine.open(LOGICAL).unwrap();
        let told = Told::default();
        let options = copy::Options { progress: &told, ..copy::Options::default() };
        copy_to(&*source, &ImageReference::Dir(machine.destination()), &options).unwrap();
        assert_eq!(fs::read(machine.destination().join(digest().encoded())).unwrap(), noise(SIZE));
        let (served, restarts) = told.0.into_inner().unwrap();
        assert_eq!((served.len(), served[0].1, restarts), (1, SIZE as u64, 1));
        assert!(served[0].0.contains(&origin.authority()), "{served:?}");
        assert_eq!(ranges(&mirror, &digest()), [None], "the mirror is not asked again");
        assert_eq!(ranges(&origin, &digest()), [None], "and nothing of what it gave is kept");
    }
}

/// Nobody can tell whose part was wrong; the origin can still deliver all of it.
#[test]
fn a_layer_of_two_parts_that_do_not_fit_is_taken_whole_from_the_later() {
    let wrong_and_cut = |_| corrupted(0).cut_after(SIZE / 2);
    let mirror = healthy().spoil(is_layer, 1..=1, wrong_and_cut).fault(is_layer, 2.., Reply::new(404)).serve();
    let origin = healthy().serve();
    let machine = Machine::of(&[&mirror, &origin]);
    machine.copy().unwrap_or_else(|error| panic!("{}", one_line(&error)));
    assert_eq!(fs::read(machine.destination().join(digest().encoded())).unwrap(), noise(SIZE));
    assert_eq!(ranges(&origin, &digest()), [Some(format!("bytes={}-", SIZE / 2)), None]);
}

#[test]
fn wrong_bytes_of_a_lone_origin_are_an_error_and_nothing_of_them_remains() {
    let short = Reply::ok(noise(SIZE)[..SIZE - 1].to_vec());
    let long = Reply::ok([noise(SIZE), vec![0]].concat());
    for wrong in [corrupted(0), corrupted(SIZE - 1), long, short] {
        let origin = healthy().fault(is_layer, .., wrong.clone()).serve();
        let machine = Machine::of(&[&origin]);
        let error = machine.copy().unwrap_err();
        let is_cut = matches!(
            find(&error),
            Some(transship::registry::Error::Cut { .. } | transship::registry::Error::ResumeFailed { .. })
        );
        assert!(find::<Mismatch>(&error).is_some() || is_cut, "{}", one_line(&error));
        let left = files(&machine.destination());
        assert!(!left.contains(&digest().encoded().to_owned()), "{left:?}");
        assert!(!left.contains(&"manifest.json".to_owned()), "{left:?}");
        assert!(!left.iter().any(|name| name.starts_with(".transship-")), "{left:?}");
    }
}

#[test]
fn when_nobody_has_the_right_bytes_the_error_says_what_is_wrong_with_them() {
    let wrong = || healthy().fault(is_layer, .., corrupted(7)).serve();
    let (mirror, origin) = (wrong(), wrong());
    let machine = Machine::of(&[&mirror, &origin]);
    let error = machine.copy().unwrap_err();
    assert!(matches!(find(&error), Some(Mismatch::Digest { .. })), "{}", one_line(&error));
    assert_eq!((ranges(&mirror, &digest()).len(), ranges(&origin, &digest()).len()), (1, 1));
}

#[test]
fn whoever_was_given_up_for_wrong_bytes_is_named_beside_those_that_have_none() {
    let wrong = healthy().fault(is_layer, .., corrupted(0)).serve();
    let (missing, origin) = [(); 2].map(|()| healthy().fault(is_layer, .., Reply::new(404)).serve()).into();
    let error = Machine::of(&[&wrong, &missing, &origin]).copy().unwrap_err();
    let text = one_line(&error);
    let said = |from: &RunningRegistry, what: &str| {
        let name = format!("[{}/org/app:1: reading blob {} in ", from.authority(), digest());
        text.split(&name).nth(1).and_then(|rest| rest.split(']').next()).is_some_and(|said| said.contains(what))
    };
    assert!(said(&wrong, "digest did not match") && said(&missing, "status 404"), "{text}");
    assert!(error.is_not_found(), "the primary's error is the error: {text}");
}

#[test]
fn a_reader_of_wrong_bytes_never_sees_their_last_one() {
    let origin = healthy().fault(is_layer, .., corrupted(3)).serve();
    let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
    let mut blob = first_layer(&*source).unwrap();
    let (bytes, outcome) = read(&mut blob);
    assert!(matches!(find(&outcome.unwrap_err()), Some(Mismatch::Digest { .. })));
    assert!(bytes.len() < SIZE);
}

#[test]
fn a_layer_whose_external_url_has_wrong_bytes_is_taken_from_the_registry() {
    let elsewhere = Server::http(|_| corrupted(3));
    let registry = healthy().serve();
    let source = Machine::of(&[&registry]).open(LOGICAL).unwrap();
    let mut layer = layers(&*source).remove(0);
    layer.set_urls(Some(vec![elsewhere.url("/layer")]));

    let mut blob = source.blob(&layer).unwrap();
    assert!(read(&mut blob).1.is_err() && blob.is_worth_another_try());
    assert_eq!(blob.served()[0].by.to_string(), elsewhere.url("/layer"));
    let mut blob = source.blob(&layer).unwrap();
    assert_eq!(read(&mut blob).0, noise(SIZE));
    assert_eq!(elsewhere.requests().len(), 1, "and the URL is not asked again");
}

#[test]
fn of_several_layers_under_way_each_is_taken_from_the_registry() {
    let elsewhere = Server::http(|_| corrupted(3));
    let registry = healthy().serve();
    let source = Machine::of(&[&registry]).open(LOGICAL).unwrap();
    let mut layer = layers(&*source).remove(0);
    layer.set_urls(Some(vec![elsewhere.url("/layer")]));
    let under_way = [(); 2].map(|()| source.blob(&layer).unwrap());
    for mut blob in under_way {
        assert!(read(&mut blob).1.is_err() && blob.is_worth_another_try());
        assert_eq!(read(&mut source.blob(&layer).unwrap()).0, noise(SIZE));
    }
}
