//! A copy that goes on where an earlier one broke off.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use transship::copy::{self, BlobKind, BlobOutcome, Event, Progress};
use transship::destination::{self, BlobInput, ImageDestination};
use transship::digest::Mismatch;
use transship::error::{find, one_line};
use transship::manifest::{Descriptor, ManifestBytes};
use transship::policy::Policy;
use transship::{Digest, ImageReference, MediaType, source};

use crate::machine::{LOGICAL, Machine, copy_to, files, noise, ranges};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::reply::Reply;

/// Large enough to be worth it.
const SIZE: usize = (1 << 20) + 12_345;
const CUT: usize = SIZE / 3;

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

/// Cuts the layer after so many bytes, and has no more of it then; the next copy finds it whole.
fn cutting(registry: Registry, bytes: usize) -> Registry {
    registry.spoil(is_layer, 1..=1, move |reply| reply.cut_after(bytes)).fault(is_layer, 2..=2, Reply::new(404))
}

/// What a copy tells of its layer: where it was resumed, how many bytes came, how often it was begun again, and how it
/// ended.
#[derive(Default)]
struct Told(Mutex<(Vec<u64>, u64, usize, Option<BlobOutcome>)>);

impl Progress for Told {
    fn event(&self, event: &Event<'_>) {
        let mut told = self.0.lock().unwrap();
        match event {
            Event::Resumed { offset, .. } => told.0.push(*offset),
            Event::Read { digest: read, bytes } if **read == digest() => told.1 += bytes,
            Event::Restarted { .. } => told.2 += 1,
            Event::Finished { kind: BlobKind::Layer, outcome, .. } => told.3 = Some((*outcome).clone()),
            _ => {}
        }
    }
}

/// The places that keep what is there of a blob.
fn places(machine: &Machine) -> [ImageReference; 2] {
    let layout = format!("oci:{}:app", machine.destination().with_extension("layout").display());
    [ImageReference::Dir(machine.destination()), layout.parse().unwrap()]
}

fn directory(place: &ImageReference) -> &Path {
    place.path().unwrap()
}

fn partial(place: &ImageReference) -> PathBuf {
    directory(place).join(format!(".transship-partial-sha256-{}", digest().encoded()))
}

/// Puts bytes where an earlier copy would have left them.
fn leave(place: &ImageReference, bytes: &[u8]) -> PathBuf {
    fs::create_dir_all(directory(place)).unwrap();
    fs::write(partial(place), bytes).unwrap();
    partial(place)
}

fn copy(machine: &Machine, place: &ImageReference, told: &Told) -> Result<(), copy::Error> {
    let options = copy::Options { progress: told, ..copy::Options::default() };
    copy_to(&*machine.open(LOGICAL).unwrap(), place, &options).map(drop)
}

/// The place has the image, and nothing that is not of it.
fn assert_whole(machine: &Machine, place: &ImageReference) {
    let clean = machine.root.path().join("clean");
    let to = place.to_string().replace(&directory(place).display().to_string(), &clean.display().to_string());
    copy(machine, &to.parse().unwrap(), &Told::default()).unwrap();
    let (names, clean_names) = (files(directory(place)), files(&clean));
    assert_eq!(names, clean_names);
    for name in names {
        let read = |directory: &Path| fs::read(find_file(directory, &name)).unwrap();
        assert!(read(directory(place)) == read(&clean), "{name}");
    }
    fs::remove_dir_all(clean).unwrap();
}

/// The file of that name, in a layout too.
fn find_file(directory: &Path, name: &str) -> PathBuf {
    let file = directory.join(name);
    if file.exists() { file } else { directory.join("blobs/sha256").join(name) }
}

#[test]
fn the_next_copy_asks_only_for_what_is_missing() {
    for position in 0..2 {
        let origin = cutting(healthy(), CUT).serve();
        let machine = Machine::of(&[&origin]);
        let place = &places(&machine)[position];
        copy(&machine, place, &Told::default()).unwrap_err();
        assert!(fs::read(partial(place)).unwrap() == noise(SIZE)[..CUT], "{place}");

        let told = Told::default();
        copy(&machine, place, &told).unwrap();
        let from = Some(format!("bytes={CUT}-"));
        assert_eq!(ranges(&origin, &digest()), [None, from.clone(), from], "the cut, its second try, the next copy");
        let (resumed, read, restarts, outcome) = told.0.into_inner().unwrap();
        assert_eq!((resumed, read, restarts), (vec![CUT as u64], (SIZE - CUT) as u64, 0));
        let Some(BlobOutcome::Copied { served, resumed_at }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((served[0].bytes, resumed_at), ((SIZE - CUT) as u64, CUT as u64));
        assert_whole(&machine, place);
    }
}

#[test]
fn wrong_bytes_of_an_earlier_copy_cost_one_reading_and_nobody_is_blamed() {
    let mut wrong = noise(SIZE)[..CUT].to_vec();
    wrong[7] ^= 1;
    for position in 0..2 {
        let origin = healthy().serve();
        let machine = Machine::of(&[&origin]);
        let place = &places(&machine)[position];
        leave(place, &wrong);
        let told = Told::default();
        copy(&machine, place, &told).unwrap();
        assert_eq!(ranges(&origin, &digest()), [Some(format!("bytes={CUT}-")), None]);
        let (resumed, _, restarts, outcome) = told.0.into_inner().unwrap();
        assert_eq!((resumed, restarts), (vec![CUT as u64], 1));
        let Some(BlobOutcome::Copied { served, resumed_at }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((served[0].bytes, resumed_at), (SIZE as u64, 0));
        assert_whole(&machine, place);
    }
}

#[test]
fn when_the_source_is_wrong_as_well_that_is_the_error_and_nothing_remains() {
    let mut wrong = noise(SIZE);
    wrong[SIZE - 1] ^= 1;
    let origin = healthy().without_ranges().fault(is_layer, .., Reply::ok(wrong)).serve();
    let machine = Machine::of(&[&origin]);
    let [place, _] = places(&machine);
    leave(&place, &noise(SIZE)[..CUT]);
    let error = copy(&machine, &place, &Told::default()).unwrap_err();
    assert!(matches!(find(&error), Some(Mismatch::Digest { .. })), "{}", one_line(&error));
    assert_eq!(ranges(&origin, &digest()).len(), 2);
    assert!(!partial(&place).exists());
}

#[test]
fn a_blob_that_only_lacked_its_name_is_not_asked_for() {
    for position in 0..2 {
        let origin = healthy().serve();
        let machine = Machine::of(&[&origin]);
        let place = &places(&machine)[position];
        leave(place, &noise(SIZE));
        let told = Told::default();
        copy(&machine, place, &told).unwrap();
        assert_eq!(told.0.into_inner().unwrap().0, [SIZE as u64]);
        assert_eq!(ranges(&origin, &digest()), []);
        assert_whole(&machine, place);
    }
}

#[test]
fn what_cannot_be_the_beginning_of_the_blob_is_read_anew() {
    let same_size = [&noise(SIZE)[..SIZE - 1], b"?"].concat();
    let too_long = [noise(SIZE), b"?".to_vec()].concat();
    for (bytes, requests) in [(same_size, 1), (too_long, 1), (Vec::new(), 1)] {
        let origin = healthy().serve();
        let machine = Machine::of(&[&origin]);
        let [place, _] = places(&machine);
        leave(&place, &bytes);
        copy(&machine, &place, &Told::default()).unwrap();
        assert_eq!(ranges(&origin, &digest()), vec![None; requests]);
        assert_whole(&machine, &place);
    }
}

#[test]
fn a_registry_without_ranges_is_asked_for_the_whole() {
    for origin in [
        healthy().without_ranges(),
        healthy().fault(is_layer, 1..=1, Reply::new(416)),
        healthy().spoil(is_layer, 1..=1, Reply::wrong_content_range),
    ] {
        let origin = origin.serve();
        let machine = Machine::of(&[&origin]);
        let [place, _] = places(&machine);
        leave(&place, &noise(SIZE)[..CUT]);
        copy(&machine, &place, &Told::default()).unwrap();
        let asked = ranges(&origin, &digest());
        assert!(asked.len() <= 2 && asked[0].is_some() && asked[1..].iter().all(Option::is_none), "{asked:?}");
        assert_whole(&machine, &place);
    }
}

#[test]
fn the_rest_may_come_from_another_mirror() {
    let (mirror, origin) = (healthy().without_blob(&digest()).serve(), healthy().serve());
    let machine = Machine::of(&[&mirror, &origin]);
    let [place, _] = places(&machine);
    leave(&place, &noise(SIZE)[..CUT]);
    copy(&machine, &place, &Told::default()).unwrap();
    assert_eq!(ranges(&origin, &digest()), [Some(format!("bytes={CUT}-"))]);
    assert_whole(&machine, &place);
}

#[test]
fn local_images_are_gone_on_with_too() {
    let origin = healthy().serve();
    let machine = Machine::of(&[&origin]);
    for kind in ["dir:from-dir", "oci:from-oci:app", "oci-archive:from.tar:app"] {
        let (transport, name) = kind.split_once(':').unwrap();
        let from: ImageReference = format!("{transport}:{}/{name}", machine.root.path().display()).parse().unwrap();
        copy(&machine, &from, &Told::default()).unwrap();
        let [_, place] = places(&machine);
        leave(&place, &noise(SIZE)[..CUT]);
        let told = Told::default();
        let options = copy::Options { progress: &told, ..copy::Options::default() };
        let config = machine.config();
        copy_to(&*source::open(&config, &from).unwrap(), &place, &options).unwrap();
        let (resumed, read, ..) = told.0.into_inner().unwrap();
        assert_eq!((resumed, read), (vec![CUT as u64], (SIZE - CUT) as u64), "{kind}");
        assert_whole(&machine, &place);
        fs::remove_dir_all(directory(&place)).unwrap();
    }
}

#[test]
fn what_another_process_writes_is_left_to_it() {
    let origin = healthy().serve();
    let machine = Machine::of(&[&origin]);
    let [_, place] = places(&machine);
    let path = leave(&place, &noise(SIZE)[..CUT]);
    let other = File::open(&path).unwrap();
    other.lock().unwrap();
    copy(&machine, &place, &Told::default()).unwrap();
    assert_eq!(ranges(&origin, &digest()), [None]);
    assert_eq!(fs::read(&path).unwrap().len(), CUT);
    fs::remove_file(path).unwrap();
    assert_whole(&machine, &place);
}

#[test]
fn what_is_not_a_file_of_our_own_is_not_written_to() {
    let origin = healthy().serve();
    let machine = Machine::of(&[&origin]);
    let [_, place] = places(&machine);
    let (path, precious) = (partial(&place), machine.root.path().join("precious"));
    let make: [&dyn Fn(); 4] = [
        &|| symlink(&precious, &path).unwrap(),
        &|| fs::hard_link(&precious, &path).unwrap(),
        &|| fs::create_dir(&path).unwrap(),
        &|| assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
    ];
    for make in make {
        fs::create_dir_all(directory(&place)).unwrap();
        fs::write(&precious, &noise(SIZE)[..CUT]).unwrap();
        make();
        copy(&machine, &place, &Told::default()).unwrap();
        assert_eq!(ranges(&origin, &digest()).last(), Some(&None));
        assert!(fs::read(&precious).unwrap() == noise(SIZE)[..CUT]);
        assert!(path.symlink_metadata().is_ok());
        fs::remove_dir_all(directory(&place)).unwrap();
    }
}

#[test]
fn a_small_blob_is_not_kept_nor_one_of_which_nothing_came() {
    let small = Image::with_layers([noise(100_000)]);
    let digest_of_small = small.layer_digest(0).to_string();
    let is_small = move |path: &str| path.ends_with(&digest_of_small);
    let cut = Registry::new()
        .image("org/app", "1", &small)
        .spoil(is_small.clone(), .., |reply| reply.cut_after(90_000))
        .fault(is_small, 2.., Reply::new(404));
    let missing = healthy().without_blob(&digest());
    for origin in [cut, missing] {
        let origin = origin.serve();
        let machine = Machine::of(&[&origin]);
        for place in places(&machine) {
            copy(&machine, &place, &Told::default()).unwrap_err();
            let left = files(directory(&place));
            assert!(!left.iter().any(|name| name.starts_with(".transship-")), "{left:?}");
        }
    }
}

#[test]
fn what_nobody_went_on_with_for_a_week_is_removed_and_the_rest_of_a_directory_with_its_next_image() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let other = Registry::new().image("org/app", "1", &Image::with_layers(["other"])).serve();
    let machine = Machine::of(&[&other]);
    let [directory, layout] = places(&machine);
    for (place, days, stays) in [(&layout, 6, true), (&layout, 8, false), (&directory, 6, false)] {
        let path = leave(place, b"some");
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - days * DAY).unwrap();
        if place == &directory {
            fs::write(directory.path().unwrap().join("version"), "Directory Transport Version: 1.1\n").unwrap();
            copy(&machine, place, &Told::default()).unwrap();
        } else {
            destination::open(place).unwrap();
        }
        assert_eq!(partial(place).exists(), stays, "{place} after {days} days");
    }
    let path = leave(&layout, b"of tomorrow");
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() + DAY).unwrap();
    destination::open(&layout).unwrap();
    assert!(path.exists());
}

/// Stops the copy when some of the layer has come.
struct Stopping<'a>(&'a AtomicBool);

impl Progress for Stopping<'_> {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Read { digest: read, .. } if **read == digest()) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_cancelled_copy_can_be_gone_on_with() {
    let origin = healthy().serve();
    let machine = Machine::of(&[&origin]);
    for place in places(&machine) {
        let cancelled = AtomicBool::new(false);
        let options =
            copy::Options { progress: &Stopping(&cancelled), cancelled: &cancelled, ..copy::Options::default() };
        let source = machine.open(LOGICAL).unwrap();
        assert!(matches!(copy_to(&*source, &place, &options), Err(copy::Error::Cancelled)));
        let length = fs::metadata(partial(&place)).unwrap().len();
        copy(&machine, &place, &Told::default()).unwrap();
        assert_eq!(ranges(&origin, &digest()).last(), Some(&Some(format!("bytes={length}-"))));
        assert_whole(&machine, &place);
    }
}

/// Says the same wrong bytes each time, as a place that cannot remove them would.
struct Stubborn(Box<dyn ImageDestination>, AtomicUsize);

impl ImageDestination for Stubborn {
    fn reference(&self) -> &ImageReference {
        self.0.reference()
    }

    fn accepts_foreign_layers(&self) -> bool {
        false
    }

    fn accepts(&self, _media_type: &MediaType) -> bool {
        true
    }

    fn has_blob(&self, _descriptor: &Descriptor) -> Result<bool, destination::Error> {
        Ok(false)
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), destination::Error> {
        assert!(self.1.fetch_add(1, Ordering::Relaxed) < 5, "there is no end to it");
        let digest = Digest::try_from(descriptor.digest()).unwrap();
        let read = |source| destination::Error::Read { digest: digest.clone(), source };
        let is_resumed = input.resume(&mut &b"wrong"[..]).map_err(read)?;
        let mut bytes = if is_resumed { b"wrong".to_vec() } else { Vec::new() };
        input.read_to_end(&mut bytes).map_err(read)?;
        self.0.put_blob(descriptor, &mut &bytes[..])
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), destination::Error> {
        self.0.put_manifest(manifest, instance)
    }

    fn commit(&self) -> Result<(), destination::Error> {
        self.0.commit()
    }
}

#[test]
fn a_place_that_cannot_let_go_of_wrong_bytes_is_not_asked_for_them_again() {
    let origin = healthy().serve();
    let machine = Machine::of(&[&origin]);
    let [place, _] = places(&machine);
    let to = Stubborn(destination::open(&place).unwrap(), AtomicUsize::default());
    let (source, policy) = (machine.open(LOGICAL).unwrap(), Policy::insecure_accept_anything());
    copy::image(&*source, &to, &policy, &copy::Options::default()).unwrap();
    assert_whole(&machine, &place);
}
