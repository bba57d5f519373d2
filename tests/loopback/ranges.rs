//! A large layer in several parts at a time.

use std::io::Read as _;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use transship::error::one_line;
use transship::http::{Recorder, Replay, Wire};
use transship::source::{Network, Options, ParallelRanges};
use transship::{Digest, copy, source};

use crate::machine::{LOGICAL, Machine, copy_to, first_layer, layers, noise, ranges, read, served};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const PART: usize = 1000;

fn image(size: usize) -> Image {
    Image::with_layers([noise(size)])
}

fn registry(size: usize) -> Registry {
    Registry::new().image("org/app", "1", &image(size))
}

fn is_blob(path: &str) -> bool {
    path.contains("/blobs/")
}

fn parallel(count: usize, spread: bool) -> ParallelRanges {
    let (ranges, size) = (NonZeroUsize::new(count).unwrap(), NonZeroU64::new(PART as u64).unwrap());
    ParallelRanges { ranges, size, spread }
}

fn machine(places: &[&RunningRegistry], parallel: ParallelRanges) -> Machine {
    let mut machine = Machine::of(places);
    machine.options.parallel_ranges = Some(parallel);
    machine
}

/// The parts that were asked for, by where they begin.
fn parts(registry: &RunningRegistry, digest: &Digest) -> Vec<Range<u64>> {
    let bounds = |text: String| {
        let (first, last) = text.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        Some(first.parse().ok()?..last.parse::<u64>().ok()? + 1)
    };
    let mut parts: Vec<_> = ranges(registry, digest).into_iter().flatten().filter_map(bounds).collect();
    parts.sort_by_key(|part| part.start);
    parts
}

type Spoil = fn(Registry) -> Registry;

/// What may be wrong with a server, and does not keep a lone one from delivering.
const HARMLESS: [(&str, Spoil); 12] = [
    ("nothing", |registry| registry),
    ("it ignores Range", Registry::without_ranges),
    ("416 at once", |registry| registry.fault(is_blob, 1..=1, Reply::new(416))),
    ("400 at once", |registry| registry.fault(is_blob, 1..=1, Reply::new(400))),
    ("501 at once", |registry| registry.fault(is_blob, 1..=1, Reply::new(501))),
    ("405 at once", |registry| registry.fault(is_blob, 1..=1, Reply::new(405))),
    ("416 later", |registry| registry.fault(is_blob, 3..=3, Reply::new(416))),
    ("another part than was asked for", |registry| registry.spoil(is_blob, 2..=2, Reply::wrong_content_range)),
    ("an answer without a Content-Range", |registry| registry.fault(is_blob, 2..=2, Reply::new(206).body(noise(PART)))),
    ("another total", |registry| {
        let lie = Reply::new(206).header("Content-Range", "bytes 1000-1999/1000000").body(noise(PART));
        registry.fault(is_blob, 2..=2, lie)
    }),
    ("503 that passes", |registry| registry.fault(is_blob, 2..=3, Reply::new(503))),
    ("cuts in parts", |registry| registry.spoil(is_blob, 2..=4, |reply| reply.cut_after(PART * 2 / 3))),
];

/// What keeps it from delivering, so that another one must.
const HARMFUL: [(&str, Spoil); 5] = [
    ("cuts at once", |registry| registry.spoil(is_blob, 2.., |reply| reply.cut_after(0))),
    ("500", |registry| registry.fault(is_blob, 2.., Reply::new(500))),
    ("404 later", |registry| registry.fault(is_blob, 3.., Reply::new(404))),
    ("404 at once", |registry| registry.fault(is_blob, .., Reply::new(404))),
    ("silence", |registry| registry.spoil(is_blob, 2.., |reply| reply.stall_after(PART / 2))),
];

#[test]
fn the_bytes_are_the_same_whatever_the_sizes_and_the_server() {
    for size in [2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART, 12_345] {
        for count in [2, 3, 16] {
            // Nothing is asked for in parts that is less than two of them.
            let faults = if size < 2 * PART { 1 } else { HARMLESS.len() };
            for (fault, spoil) in &HARMLESS[..faults] {
                let origin = spoil(registry(size)).serve();
                let machine = machine(&[&origin], parallel(count, false));
                let mut blob = first_layer(&*machine.open(LOGICAL).unwrap()).unwrap();
                let (bytes, outcome) = read(&mut blob);
                outcome.unwrap_or_else(|error| panic!("{size}, {count} parts, {fault}: {}", one_line(&error)));
                assert!(bytes == noise(size), "{size}, {count} parts, {fault}");
                assert_eq!(served(&blob), [(origin.authority(), size as u64)], "{size}, {count} parts, {fault}");
            }
        }
    }
}

#[test]
fn what_one_source_does_not_deliver_comes_from_another_from_the_byte_where_it_broke() {
    const SIZE: usize = 12_345;
    for spread in [false, true] {
        for (fault, spoil) in HARMLESS.into_iter().chain(HARMFUL) {
            let (mirror, origin) = (spoil(registry(SIZE)).serve(), registry(SIZE).serve());
            let machine = machine(&[&mirror, &origin], parallel(3, spread)).impatient(
                &mirror,
                "/blobs/",
                Duration::from_millis(200),
            );
            let mut blob = first_layer(&*machine.open(LOGICAL).unwrap()).unwrap();
            let (bytes, outcome) = read(&mut blob);
            outcome.unwrap_or_else(|error| panic!("{fault}, spread {spread}: {}", one_line(&error)));
            assert!(bytes == noise(SIZE), "{fault}, spread {spread}");
            let sum: u64 = served(&blob).iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(sum, SIZE as u64, "{fault}, spread {spread}");
        }
    }
}

#[test]
fn parts_are_off_unless_they_are_asked_for_and_worth_it() {
    let digest = image(5 * PART).layer_digest(0);
    let origin = registry(5 * PART).serve();
    let mut blob = first_layer(&*Machine::of(&[&origin]).open(LOGICAL).unwrap()).unwrap();
    read(&mut blob).1.unwrap();
    assert_eq!(ranges(&origin, &digest), [None]);
    for (size, count, is_in_parts) in [(2 * PART - 1, 4, false), (2 * PART, 4, true), (2 * PART, 1, false)] {
        let origin = registry(size).serve();
        let machine = machine(&[&origin], parallel(count, false));
        read(&mut first_layer(&*machine.open(LOGICAL).unwrap()).unwrap()).1.unwrap();
        let asked = ranges(&origin, &image(size).layer_digest(0));
        assert_eq!(asked.iter().all(Option::is_some), is_in_parts, "{size}, {count}");
        assert_eq!(asked.len(), if is_in_parts { 2 } else { 1 }, "{size}, {count}");
    }
}

#[test]
fn a_source_is_asked_for_each_part_once_and_not_for_more_than_there_is_room() {
    const SIZE: usize = 20 * PART;
    const COUNT: usize = 4;
    let origin = registry(SIZE).serve();
    let digest = image(SIZE).layer_digest(0);
    let machine = machine(&[&origin], parallel(COUNT, false));
    let mut blob = first_layer(&*machine.open(LOGICAL).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 100];
    loop {
        let count = blob.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..count]);
        let asked = parts(&origin, &digest).last().map_or(0, |part| part.end);
        let begun = bytes.len() / PART * PART;
        assert!(asked <= (begun + COUNT * PART) as u64, "{asked} after {} bytes", bytes.len());
        if count == 0 {
            break;
        }
    }
    assert!(bytes == noise(SIZE));
    let expected: Vec<_> = (0..20).map(|part| part * 1000..(part + 1) * 1000_u64).collect();
    assert_eq!(parts(&origin, &digest), expected);
    // One found out that there is no https.
    assert!(origin.connections() <= 1 + COUNT, "{}", origin.connections());
}

#[test]
fn blobs_of_an_image_share_what_is_beyond_one_part_each_and_none_waits_for_one_that_nobody_reads() {
    const SIZE: usize = 10 * PART;
    const COUNT: usize = 3;
    let image = Image::with_layers((0..3).map(|number| noise(SIZE + number)));
    let origin = Registry::new().image("org/app", "1", &image).serve();
    let machine = machine(&[&origin], parallel(COUNT, false));
    let source = machine.open(LOGICAL).unwrap();
    let mut blobs: Vec<_> = layers(&*source).iter().map(|layer| source.blob(layer).unwrap()).collect();
    for number in [2, 0, 1] {
        assert!(read(&mut blobs[number]).0 == noise(SIZE + number), "{number}");
        let unread: usize = (0..3)
            .filter(|other| blobs[*other].served().is_empty())
            .map(|other| parts(&origin, &image.layer_digest(other)).len())
            .sum();
        assert!(unread < 2 + COUNT, "{unread}");
    }
}

#[test]
fn a_blob_that_nobody_wants_any_more_gives_its_room_back() {
    let image = Image::with_layers((0..2).map(|number| noise(10 * PART + number)));
    let origin = Registry::new().image("org/app", "1", &image).serve();
    let machine = machine(&[&origin], parallel(3, false));
    let source = machine.open(LOGICAL).unwrap();
    for (number, layer) in layers(&*source).iter().enumerate() {
        // Nothing is read, so no part makes room for another.
        let blob = source.blob(layer).unwrap();
        while parts(&origin, &image.layer_digest(number)).len() < 3 {
            std::thread::yield_now();
        }
        drop(blob);
    }
}

#[test]
fn parts_are_spread_over_all_sources_where_that_is_wanted() {
    const SIZE: usize = 12 * PART;
    for spread in [true, false] {
        let [one, two, origin] = [(); 3].map(|()| registry(SIZE).serve());
        let machine = machine(&[&one, &two, &origin], parallel(3, spread));
        let mut blob = first_layer(&*machine.open(LOGICAL).unwrap()).unwrap();
        assert!(read(&mut blob).0 == noise(SIZE));
        let mut served = served(&blob);
        served.sort();
        let share = |registry: &RunningRegistry| (registry.authority(), SIZE as u64 / 3);
        let mut expected =
            if spread { vec![share(&one), share(&two), share(&origin)] } else { vec![(one.authority(), SIZE as u64)] };
        expected.sort();
        assert_eq!(served, expected);
    }
}

#[test]
fn a_source_whose_blob_changes_its_etag_is_not_asked_for_more_parts() {
    const SIZE: usize = 12 * PART;
    let other = |reply: Reply| reply.header("ETag", "\"other\"");
    let same = |reply: Reply| reply.header("ETag", "\"one\"");
    let mirror = registry(SIZE).spoil(is_blob, 1..=1, same).spoil(is_blob, 2.., other).serve();
    let origin = registry(SIZE).spoil(is_blob, .., same).serve();
    let machine = machine(&[&mirror, &origin], parallel(2, false));
    let mut blob = first_layer(&*machine.open(LOGICAL).unwrap()).unwrap();
    assert!(read(&mut blob).0 == noise(SIZE));
    let part = PART as u64;
    assert_eq!(served(&blob), [(mirror.authority(), part), (origin.authority(), SIZE as u64 - part)]);
}

#[test]
fn wrong_bytes_of_one_source_are_found_out_and_the_layer_comes_from_another() {
    const SIZE: usize = 12 * PART;
    for spread in [false, true] {
        for is_mirror_wrong in [true, false] {
            let wrong = || registry(SIZE).spoil(is_blob, .., |reply| reply.corrupt(500));
            let mirror = if is_mirror_wrong { wrong() } else { registry(SIZE) }.serve();
            let origin = if is_mirror_wrong { registry(SIZE) } else { wrong() }.serve();
            let mut machine = machine(&[&mirror, &origin], parallel(3, spread));
            machine.options.tls_verify = Some(false);
            // The config would be wrong too.
            let source = machine.open(LOGICAL).unwrap();
            let layer = &layers(&*source)[0];
            let mut tries = 0;
            let bytes = loop {
                tries += 1;
                let mut blob = source.blob(layer).unwrap();
                let (bytes, outcome) = read(&mut blob);
                match outcome {
                    Ok(()) => break bytes,
                    Err(error) => assert!(blob.is_worth_another_try() && tries < 4, "{}", one_line(&error)),
                }
            };
            assert!(bytes == noise(SIZE), "spread {spread}, mirror wrong {is_mirror_wrong}");
        }
    }
}

#[test]
fn a_copy_goes_on_in_parts_behind_what_is_there() {
    const SIZE: usize = (1 << 20) + 12_345;
    let origin = registry(SIZE).serve();
    let mut machine = machine(&[&origin], parallel(4, false));
    machine.options.parallel_ranges.as_mut().unwrap().size = NonZeroU64::new(100_000).unwrap();
    let digest = image(SIZE).layer_digest(0);
    std::fs::create_dir_all(machine.destination()).unwrap();
    let partial = machine.destination().join(format!(".transship-partial-sha256-{}", digest.encoded()));
    std::fs::write(partial, &noise(SIZE)[..400_000]).unwrap();
    machine.copy().unwrap_or_else(|error| panic!("{}", one_line(&error)));
    assert!(std::fs::read(machine.destination().join(digest.encoded())).unwrap() == noise(SIZE));
    let asked = parts(&origin, &digest);
    assert_eq!((asked[0].clone(), asked.last().unwrap().end), (400_000..500_000, SIZE as u64));
}

#[test]
fn parts_are_recorded_and_replayed() {
    const SIZE: usize = 12 * PART;
    let origin = registry(SIZE).serve();
    let machine = machine(&[&origin], parallel(3, false));
    let copy_over = |wire: Arc<dyn Wire>, to: &str| {
        let network = Some(Network::new(wire, machine.clock.clone()));
        let options = Options { network, ..machine.options() };
        let reference = format!("docker://{LOGICAL}").parse().unwrap();
        let source = source::open_with(&machine.config(), &reference, &options).unwrap();
        let to = format!("dir:{}", machine.root.path().join(to).display()).parse().unwrap();
        copy_to(&*source, &to, &copy::Options::default()).unwrap().digest().clone()
    };
    let file = machine.root.path().join("parts.har");
    let recorder = Arc::new(Recorder::new(machine.options().network.unwrap().wire, &file));
    let live = copy_over(Arc::clone(&recorder) as _, "live");
    recorder.finish().unwrap();
    let sent = origin.requests().len();
    let replay = Arc::new(Replay::from_file(&file).unwrap());
    assert_eq!(copy_over(Arc::clone(&replay) as _, "replayed"), live);
    replay.finish().unwrap();
    assert_eq!(origin.requests().len(), sent);
    let layer = image(SIZE).layer_digest(0);
    assert!(std::fs::read(machine.root.path().join("replayed").join(layer.encoded())).unwrap() == noise(SIZE));
}
