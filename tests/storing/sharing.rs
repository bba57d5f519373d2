//! Pulls that run at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use transship::copy::{BlobOutcome, Event, Progress};
use transship::error::one_line;
use transship::http::{Clock as _, TestClock, Timeouts};
use transship::manifest::ImageManifest;
use transship::source::Network;
use transship::store::{PullOptions, PullRequest};
use transship::{Digest, destination, source};

use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::world::{World, request};

/// A registry whose shared layer waits to be let out, the first time that it is asked for.
struct Gated {
    registry: RunningRegistry,
    layer: Digest,
    asked: Receiver<()>,
    gate: Sender<()>,
}

fn gated(images: [&Image; 2], layer: Digest) -> Gated {
    gated_without(images, layer, None)
}

/// The same where another blob is missing.
fn gated_without(images: [&Image; 2], layer: Digest, missing: Option<&Digest>) -> Gated {
    let ((asking, asked), (gate, opened)) = (channel(), channel());
    let (asking, opened, path) = (Mutex::new(asking), Mutex::new(opened), layer.to_string());
    let registry = Registry::new().image("org/app", "1", images[0]).image("org/other", "1", images[1]).spoil(
        move |asked| asked.ends_with(&path),
        1..=1,
        move |reply| {
            asking.lock().unwrap().send(()).unwrap();
            let _ = opened.lock().unwrap().recv();
            reply
        },
    );
    let registry = missing.into_iter().fold(registry, Registry::without_blob).serve();
    Gated { registry, layer, asked, gate }
}

impl Gated {
    fn requests(&self) -> usize {
        self.registry.asked().iter().filter(|asked| asked.ends_with(self.layer.as_str())).count()
    }
}

/// Tells when the layer is begun, and how it ends.
struct Told {
    layer: Digest,
    begun: Mutex<Sender<()>>,
    outcome: Mutex<Option<BlobOutcome>>,
}

impl Told {
    fn new(layer: &Digest) -> (Self, Receiver<()>) {
        let (begun, receiver) = channel();
        (Self { layer: layer.clone(), begun: Mutex::new(begun), outcome: Mutex::default() }, receiver)
    }
}

impl Progress for Told {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started { digest, .. } if **digest == self.layer => self.begun.lock().unwrap().send(()).unwrap(),
            Event::Finished { digest, outcome, .. } if **digest == self.layer => {
                *self.outcome.lock().unwrap() = Some((*outcome).clone());
            }
            _ => {}
        }
    }
}

fn images() -> [Image; 2] {
    ["one", "two"].map(|seed| Image::with_layers([seed, "shared"]))
}

#[test]
fn a_layer_that_two_pulls_want_comes_once() {
    let [one, two] = images();
    let gated = gated([&one, &two], one.layer_digest(1));
    let (world, (told, begun)) = (World::new(), Told::new(&gated.layer));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.pulled(&gated.registry, "org/app:1"));
        gated.asked.recv().unwrap();
        let second = scope.spawn(|| {
            let options = PullOptions { progress: &told, ..PullOptions::default() };
            world.pull_with(&request(&gated.registry.reference("org/other:1")), &options).unwrap()
        });
        begun.recv().unwrap();
        gated.gate.send(()).unwrap();
        first.join().unwrap();
        second.join().unwrap();
    });
    assert_eq!(gated.requests(), 1);
    assert_eq!(told.outcome.into_inner().unwrap(), Some(BlobOutcome::AlreadyPresent));
    assert_eq!(world.images().len(), 2);
    assert_eq!(world.blobs().len(), 7);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn many_pulls_of_one_image_bring_each_blob_once() {
    let layers: Vec<String> = (0..10).map(|n| format!("layer {n}")).collect();
    let image = Image::with_layers(layers);
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let world = World::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| world.pulled(&registry, "org/app:1"));
        }
    });
    let mut asked: Vec<_> = registry.asked().into_iter().filter(|asked| asked.contains("/blobs/")).collect();
    let count = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!((count, asked.len()), (11, 11), "{asked:?}");
    assert_eq!(world.images().len(), 1);
}

#[test]
fn who_waits_for_another_pull_is_not_out_of_patience() {
    let [one, two] = images();
    let gated = gated([&one, &two], one.layer_digest(1));
    let (mut world, (told, begun)) = (World::new(), Told::new(&gated.layer));
    let clock = Arc::new(TestClock::default());
    let real = Network::real(&world.config(), Timeouts::default());
    world.options.network = Some(Network { clock: Arc::clone(&clock) as _, ..real });
    let world = &world;
    std::thread::scope(|scope| {
        let patient =
            PullRequest { progress_timeout: Duration::ZERO, ..request(&gated.registry.reference("org/app:1")) };
        let first = scope.spawn(move || world.pull(&patient).unwrap());
        gated.asked.recv().unwrap();
        let second = scope.spawn(|| {
            let options =
                PullOptions { progress: &told, concurrent_downloads: 1.try_into().unwrap(), ..PullOptions::default() };
            world.pull_with(&request(&gated.registry.reference("org/other:1")), &options).unwrap()
        });
        begun.recv().unwrap();
        clock.sleep(Duration::from_secs(3600));
        gated.gate.send(()).unwrap();
        first.join().unwrap();
        second.join().unwrap();
    });
    assert_eq!(gated.requests(), 1);
}

#[test]
fn who_waits_for_another_pull_can_be_stopped() {
    let [one, two] = images();
    let gated = gated([&one, &two], one.layer_digest(1));
    let (world, (told, begun), stopped) = (World::new(), Told::new(&gated.layer), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.pulled(&gated.registry, "org/app:1"));
        gated.asked.recv().unwrap();
        let second = scope.spawn(|| {
            let options = PullOptions { progress: &told, cancelled: &stopped, ..PullOptions::default() };
            world.pull_with(&request(&gated.registry.reference("org/other:1")), &options).unwrap_err()
        });
        begun.recv().unwrap();
        stopped.store(true, Ordering::Relaxed);
        // The other is still at it.
        assert!(one_line(&second.join().unwrap()).contains("cancelled"));
        gated.gate.send(()).unwrap();
        first.join().unwrap();
    });
    assert_eq!(world.images().len(), 1);
}

#[test]
fn a_pull_that_fails_hands_its_turn_on() {
    let [one, two] = images();
    let layer = one.layer_digest(1);
    let ((asking, asked), (gate, opened)) = (channel(), channel::<()>());
    let (asking, opened, path) = (Mutex::new(asking), Mutex::new(opened), layer.to_string());
    let registry = Registry::new()
        .image("org/app", "1", &one)
        .image("org/other", "1", &two)
        .spoil(
            move |asked| asked.ends_with(&path),
            1..=1,
            move |reply| {
                asking.lock().unwrap().send(()).unwrap();
                let _ = opened.lock().unwrap().recv();
                reply.status(404)
            },
        )
        .serve();
    let (world, (told, begun)) = (World::new(), Told::new(&layer));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.pull(&request(&registry.reference("org/app:1"))).map(drop));
        asked.recv().unwrap();
        let second = scope.spawn(|| {
            let options = PullOptions { progress: &told, ..PullOptions::default() };
            world.pull_with(&request(&registry.reference("org/other:1")), &options).unwrap()
        });
        begun.recv().unwrap();
        gate.send(()).unwrap();
        first.join().unwrap().unwrap_err();
        second.join().unwrap();
    });
    assert!(matches!(told.outcome.into_inner().unwrap(), Some(BlobOutcome::Copied { .. })));
    assert_eq!(world.images().len(), 1);
}

/// Lets `take_away` remove an image of which a pull has found a layer.
fn take_away_under_a_pull(take_away: impl Fn(&World, &str)) {
    let [one, two] = images();
    let gated = gated([&one, &two], one.layer_digest(1));
    let world = World::new();
    // The layer that both have is nobody's any more once the pull has found it.
    let old = Image::with_layers(["old", "one"]);
    let registry = Registry::new().image("org/old", "1", &old).serve();
    world.pulled(&registry, "org/old:1");
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| {
            let options = PullOptions { concurrent_downloads: 1.try_into().unwrap(), ..PullOptions::default() };
            world.pull_with(&request(&gated.registry.reference("org/app:1")), &options).unwrap()
        });
        gated.asked.recv().unwrap();
        take_away(&world, &registry.reference("org/old:1"));
        gated.gate.send(()).unwrap();
        let pulled = pull.join().unwrap();
        let reference = format!("oci:{}:{}", world.path("store").display(), pulled.id).parse().unwrap();
        let source = source::open(&world.config(), &reference).unwrap();
        let manifest = ImageManifest::parse(&pulled.manifest).unwrap();
        for blob in manifest.layers().iter().chain([manifest.config()]) {
            std::io::copy(&mut source.blob(blob).unwrap(), &mut std::io::sink()).unwrap();
        }
    });
}

#[test]
fn what_a_pull_counts_on_is_not_pruned_under_it() {
    take_away_under_a_pull(|world, name| {
        world.store().remove(name).unwrap();
        // Of the old image only its own go: manifest, config, layer.
        assert_eq!(world.store().prune().unwrap().blobs, 3);
    });
}

#[test]
fn nor_is_it_deleted() {
    take_away_under_a_pull(|world, _| {
        let store = world.path("store");
        while let Ok(image) = format!("oci:{}:@0", store.display()).parse() {
            if destination::delete(&world.config(), &image, &source::Options::default()).is_err() {
                break;
            }
        }
        assert_eq!(world.images().len(), 0);
    });
}

#[test]
fn who_waits_can_be_cancelled_and_who_has_failed_does_not_wait() {
    let [one, two] = images();
    for is_cancelled in [true, false] {
        let layer = one.layer_digest(1);
        let Gated { registry, layer, asked, gate } = if is_cancelled {
            gated([&one, &two], layer)
        } else {
            gated_without([&one, &two], layer, Some(&two.layer_digest(0)))
        };
        let (world, (told, begun)) = (World::new(), Told::new(&layer));
        let cancelled = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| world.pulled(&registry, "org/app:1"));
            asked.recv().unwrap();
            let second = scope.spawn(|| {
                let options = PullOptions { progress: &told, cancelled: &cancelled, ..PullOptions::default() };
                world.pull_with(&request(&registry.reference("org/other:1")), &options).map(drop)
            });
            begun.recv().unwrap();
            cancelled.store(is_cancelled, Ordering::Relaxed);
            // The first pull has not moved.
            let error = second.join().unwrap().unwrap_err();
            assert_eq!(error.is_not_found(), !is_cancelled, "{}", one_line(&error));
            gate.send(()).unwrap();
            first.join().unwrap();
        });
        assert_eq!(world.images().len(), 1);
    }
}
