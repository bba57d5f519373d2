//! Several threads, and how they end together.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use transship::copy::{self, Error, Event, Progress};
use transship::error::{find, one_line};
use transship::{ImageReference, http, registry};

use crate::machine::{LOGICAL, Machine, copy_to, files, first_layer, layer, layers, noise, read, served};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;

const LAYERS: usize = 40;
const THREADS: usize = 8;

fn image() -> Image {
    Image::with_layers((0..LAYERS).map(|number| noise(1000 + number)))
}

fn healthy() -> Registry {
    Registry::new().image("org/app", "1", &image())
}

#[test]
fn threads_share_one_source_and_its_connections() {
    for origin in [healthy(), healthy().requiring_token("registry.example")] {
        let origin = origin.serve();
        let source = Machine::of(&[&origin]).open(LOGICAL).unwrap();
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= LAYERS {
                            return;
                        }
                        assert_eq!(layer(&*source, number).unwrap(), noise(1000 + number));
                    }
                });
            }
        });
        let most = 1 + THREADS;
        assert!(origin.connections() <= most, "{} connections, one of them greeted with TLS", origin.connections());
        assert!(origin.token_requests().len() <= 1, "threads that need a token wait for the one question");
    }
}

#[test]
fn threads_that_begin_together_ask_an_insecure_registry_for_https_once() {
    let origin = Arc::new(healthy().serve());
    let machine = Machine::new().insecure(&origin.authority());
    let reference = origin.reference("org/app:1").parse().unwrap();
    let client = transship::source::registry_client(&machine.config(), &reference, &machine.options()).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| assert_eq!(client.tags().unwrap().len(), 1));
        }
    });
    assert!(origin.connections() <= 1 + THREADS, "{}", origin.connections());
    assert!(machine.clock.sleeps().is_empty());
}

#[test]
fn when_the_mirror_dies_after_the_manifest_all_layers_come_from_the_origin() {
    let (mirror, origin) = (healthy().serve(), healthy().serve());
    let machine = Machine::of(&[&mirror, &origin]);
    let source = machine.open(LOGICAL).unwrap();
    assert!(source.physical().to_string().contains(&mirror.authority()));
    drop(mirror);
    copy_to(&*source, &ImageReference::Dir(machine.destination()), &copy::Options::default()).unwrap();
    assert_eq!(files(&machine.destination()).len(), LAYERS + 1 + 2, "layers, config, manifest and version");
    let mut blob = first_layer(&*source).unwrap();
    let (bytes, outcome) = read(&mut blob);
    outcome.unwrap();
    assert_eq!((bytes, served(&blob)), (noise(1000), vec![(origin.authority(), 1000)]));
}

/// Its neighbours would take many minutes.
#[test]
fn an_error_in_one_blob_stops_the_others() {
    let missing = image().layer_digest(1);
    let slow = |reply: Reply| reply.drip(1, Duration::from_millis(10));
    let others = image().blobs().into_iter().map(|(digest, _)| digest).filter(|digest| *digest != missing);
    let others: Vec<_> = others.map(|digest| digest.to_string()).collect();
    let is_other = move |path: &str| others.iter().any(|digest| path.ends_with(digest));
    for parallel in [1, 6] {
        let origin = healthy().without_blob(&missing).spoil(is_other.clone(), 3.., slow).serve();
        let machine = Machine::of(&[&origin]);
        let source = machine.open(LOGICAL).unwrap();
        let options =
            copy::Options { parallel_copies: NonZeroUsize::new(parallel).unwrap(), ..copy::Options::default() };
        let outcome = copy_to(&*source, &ImageReference::Dir(machine.destination()), &options);
        let error = outcome.unwrap_err();
        assert!(find::<registry::Error>(&error).is_some_and(registry::Error::is_not_found), "{}", one_line(&error));
        let left = files(&machine.destination());
        assert!(left.len() <= 1 + 2, "the version, and the blobs that were not slow: {left:?}");
        assert!(origin.requests().len() <= 1 + 8, "{:?}", origin.asked());
    }
}

/// Whichever thread comes first: the error is the cause, never that the others were stopped for it.
#[test]
fn the_error_of_a_copy_is_that_of_the_blob_that_failed() {
    let broken = healthy().fault(|path| path.contains("/blobs/"), 5.., Reply::new(403)).serve();
    let machine = Machine::of(&[&broken]);
    for _ in 0..20 {
        let source = machine.open(LOGICAL).unwrap();
        let options =
            copy::Options { parallel_copies: NonZeroUsize::new(THREADS).unwrap(), ..copy::Options::default() };
        let error = copy_to(&*source, &ImageReference::Dir(machine.destination()), &options).unwrap_err();
        assert!(find::<registry::Error>(&error).is_some(), "{}", one_line(&error));
    }
}

/// Sets the flag as soon as bytes come.
struct Cancels<'a>(&'a AtomicBool);

impl Progress for Cancels<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::Read { .. } = event {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_cancelled_copy_ends_at_once_and_makes_nothing_visible() {
    let slow = |reply: Reply| reply.drip(1, Duration::from_millis(10));
    let origin = healthy().spoil(|path| path.contains("/blobs/"), .., slow).serve();
    for to in ["dir:", "oci:"] {
        let machine = Machine::of(&[&origin]);
        let source = machine.open(LOGICAL).unwrap();
        let cancelled = AtomicBool::new(false);
        let progress = Cancels(&cancelled);
        let options = copy::Options { progress: &progress, cancelled: &cancelled, ..copy::Options::default() };
        let to: ImageReference = format!("{to}{}", machine.destination().display()).parse().unwrap();
        let error = copy_to(&*source, &to, &options).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{}", one_line(&error));
        let left = files(&machine.destination());
        assert!(left.is_empty() || left == ["version"], "{left:?}");
    }
}

#[test]
fn a_failed_copy_leaves_whole_blobs_and_nothing_else() {
    let cut = |reply: Reply| reply.cut_after(500);
    let last = image().layer_digest(LAYERS - 1);
    let origin = healthy().spoil(move |path| path.ends_with(last.as_str()), .., cut).serve();
    let whole: Vec<_> = image().blobs().into_iter().map(|(digest, _)| digest.encoded().to_owned()).collect();
    for to in ["dir:", "oci:"] {
        let machine = Machine::of(&[&origin]);
        let source = machine.open(LOGICAL).unwrap();
        let to: ImageReference = format!("{to}{}", machine.destination().display()).parse().unwrap();
        let error = copy_to(&*source, &to, &copy::Options::default()).unwrap_err();
        assert!(find::<http::Error>(&error).is_some(), "{}", one_line(&error));
        let left = files(&machine.destination());
        assert!(left.iter().all(|name| name == "version" || whole.contains(name)), "{left:?}");
        assert!(!left.contains(&image().layer_digest(LAYERS - 1).encoded().to_owned()));
        assert_eq!(layers(&*source).len(), LAYERS);
    }
}
