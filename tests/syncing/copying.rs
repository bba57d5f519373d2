//! Images that come to a registry or a directory.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use transship::copy::{self, Instances};
use transship::sync::{self, Access, Error, Event, Options, Outcome, Progress, Source};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::uploads::Uploads;
use crate::world::{World, image, registry, repository, tagged};

#[test]
fn a_repository_goes_to_a_registry_and_through_a_directory_to_another_one() {
    let source = tagged(Registry::new(), "org/app", &["1", "2"]).image("org/app", "3", &Image::index([image("x")]));
    let source = source.serve();
    let [direct, through] = [Uploads::new().serve(), Uploads::new().serve()];
    let world = World::new();
    let all =
        Options { copy: copy::Options { instances: Instances::All, ..copy::Options::default() }, ..Options::default() };
    let from = repository(&source.reference("org/app"));
    for (from, to) in [
        (&from, &registry(&direct.reference("m"))),
        (&from, &world.dir("d")),
        (&Source::Dir(world.path("d")), &registry(&through.reference("m"))),
    ] {
        let (told, outcome) = world.sync(from, to, &all);
        assert_eq!(outcome.unwrap().copied, 3, "{told}");
        assert_eq!(told, "1/3 app:1 copied\n2/3 app:2 copied\n3/3 app:3 copied\n");
        let report = world.sync(from, to, &all).1.unwrap();
        assert_eq!((report.copied, report.unchanged), (0, 3));
    }
    for to in [&direct, &through] {
        for (tag, image) in [("1", image("1")), ("2", image("2")), ("3", Image::index([image("x")]))] {
            assert_eq!(to.manifest("m/app", tag).unwrap().1, image.manifest());
        }
    }
}

#[test]
fn a_directory_goes_to_another_one_and_never_into_itself() {
    let world = World::new();
    for name in ["from/x/app:1", "from/tool:2"] {
        world.write_image(name, &image(name));
    }
    let (from, options) = (Source::Dir(world.path("from")), Options::default());
    for expected in [(2, 0), (0, 2)] {
        let (told, outcome) = world.sync(&from, &world.dir("to"), &options);
        let report = outcome.unwrap();
        assert_eq!((report.copied, report.unchanged), expected, "{told}");
    }
    for (copy, original) in [("to/app:1", "from/x/app:1"), ("to/tool:2", "from/tool:2")] {
        let files = [copy, original].map(|image| fs::read(world.path(image).join("manifest.json")).unwrap());
        assert_eq!(files[0], files[1], "{copy}");
    }
    std::os::unix::fs::symlink(world.path("from"), world.path("link")).unwrap();
    for within in ["from", "from/new/deeper", "to/../from/new", "link/new"] {
        let error = world.sync(&from, &world.dir(within), &options).1.unwrap_err();
        assert!(matches!(error, Error::WithinSource { .. }), "{within}: {error:?}");
    }
    assert_eq!(fs::read_dir(world.path("from")).unwrap().count(), 2);
}

#[test]
fn a_list_names_registries_tags_digests_patterns_and_versions() {
    let one = tagged(Registry::new(), "org/app", &["1", "2", "latest"]);
    let one = tagged(one, "org/tool", &["1.0.0", "1.2.0", "2.0.0"]);
    let one = tagged(one, "org/web", &["1-alpine", "1-debian", "2-alpine"]).serve();
    let two = tagged(Registry::new(), "lib", &["a", "b"]).serve();
    let digest = image("latest").digest();
    let list = World::list(&format!(
        "{}:\n  images:\n    org/app: [1, \"{digest}\"]\n  images-by-tag-regex:\n    org/web: ^1-\n  images-by-semver:\n    \
         org/tool: ^1\n{}:\n  images:\n    lib: []\n",
        one.authority(),
        two.authority()
    ));
    let to = Uploads::new().serve();
    let world = World::new();
    let told = world.synced(&list, &registry(&to.authority()));
    let names = [
        "app:1".to_owned(),
        format!("app@{digest}"),
        "web:1-alpine".to_owned(),
        "web:1-debian".to_owned(),
        "tool:1.0.0".to_owned(),
        "tool:1.2.0".to_owned(),
        "lib:a".to_owned(),
        "lib:b".to_owned(),
    ];
    let expected: Vec<_> =
        names.iter().enumerate().map(|(index, name)| format!("{}/8 {name} copied", index + 1)).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let asked = one.asked();
    assert!(!asked.iter().any(|asked| asked.contains("/org/app/tags/list")), "{asked:?}");
}

#[test]
fn the_credentials_of_a_list_are_for_their_registry_alone() {
    let private = tagged(Registry::new(), "app", &["1"]).requiring_basic("alice", "secret").serve();
    let public = tagged(Registry::new(), "tool", &["1"]).serve();
    let list = World::list(&format!(
        "{}:\n  images: {{app: []}}\n  credentials: {{username: alice, password: secret}}\n{}:\n  images: {{tool: []}}\n",
        private.authority(),
        public.authority()
    ));
    let world = World::new();
    assert_eq!(world.synced(&list, &world.dir("d")), "1/2 app:1 copied\n2/2 tool:1 copied\n");
    assert!(public.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_list_says_for_each_registry_whether_it_is_verified() {
    let registry = tagged(Registry::new(), "app", &["1"]).serve();
    let list = |verify: &str| {
        World::list(&format!("{}:\n  images: {{app: [1]}}\n  tls-verify: {verify}\n", registry.authority()))
    };
    let mut world = World::new();
    assert!(world.sync(&list("true"), &world.dir("d"), &Options::default()).1.is_err());
    world.from.tls_verify = Some(true);
    assert_eq!(world.synced(&list("false"), &world.dir("d")), "1/1 app:1 copied\n");
}

#[test]
fn an_image_that_is_listed_twice_is_copied_once() {
    let registry = tagged(Registry::new(), "app", &["1", "2"]).serve();
    let text = "images: {app: [1]}, images-by-tag-regex: {app: .}";
    let world = World::new();
    let told = world.synced(&World::list(&format!("{}: {{{text}}}", registry.authority())), &world.dir("d"));
    assert_eq!(told, "1/2 app:1 copied\n2/2 app:2 copied\n");
}

#[test]
fn a_dry_run_writes_nothing() {
    let source = tagged(Registry::new(), "org/app", &["1", "2"]).serve();
    let to = Uploads::new().serve();
    let world = World::new();
    let dry = Options { dry_run: true, ..Options::default() };
    let from = repository(&source.reference("org/app"));
    for to in [&registry(&to.reference("m")), &world.dir("d")] {
        let (told, outcome) = world.sync(&from, to, &dry);
        assert_eq!(told, "1/2 app:1 would copy\n2/2 app:2 would copy\n");
        assert_eq!(outcome.unwrap().would_copy, 2);
    }
    assert!(!world.path("d").exists());
    assert!(to.requests().iter().all(|request| request.method == "HEAD"), "{:?}", to.asked());
}

/// Cancels as soon as the first image is done, and remembers what it heard.
#[derive(Default)]
struct Canceller {
    cancelled: AtomicBool,
    heard: Mutex<usize>,
}

impl Progress for Canceller {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Done { outcome: Outcome::Copied { .. }, .. }) {
            self.cancelled.store(true, Ordering::Relaxed);
            *self.heard.lock().unwrap() += 1;
        }
    }
}

#[test]
fn nothing_is_begun_after_a_cancellation_whatever_keeps_going() {
    let source = tagged(Registry::new(), "org/app", &["1", "2", "3"]).serve();
    let world = World::new();
    let canceller = Canceller::default();
    let options = Options {
        keep_going: true,
        copy: copy::Options { cancelled: &canceller.cancelled, ..copy::Options::default() },
        progress: &canceller,
        ..Options::default()
    };
    let access = Access::new(world.config(), world.from.clone());
    let from = repository(&source.reference("org/app"));
    let outcome = sync::images(&from, &access, &world.dir("d"), &access, &world.policy, &options);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert_eq!(*canceller.heard.lock().unwrap(), 1);
    assert!(!world.path("d/app:2").exists());
}

/// Each copy has a listener of its own.
struct Listener(Mutex<Vec<String>>);

struct Blobs<'a>(&'a Listener, String);

impl Progress for Listener {
    fn event(&self, _event: &Event<'_>) {}

    fn of_copy(&self, source: &dyn transship::source::ImageSource) -> Box<dyn copy::Progress + '_> {
        Box::new(Blobs(self, source.logical().to_string()))
    }
}

impl copy::Progress for Blobs<'_> {
    fn event(&self, event: &copy::Event<'_>) {
        if matches!(event, copy::Event::Committing) {
            self.0.0.lock().unwrap().push(self.1.clone());
        }
    }
}

#[test]
fn the_blobs_of_each_copy_are_told_to_whom_the_progress_names() {
    let source = tagged(Registry::new(), "org/app", &["1", "2"]).serve();
    let world = World::new();
    let listener = Listener(Mutex::default());
    let options = Options { progress: &listener, ..Options::default() };
    let access = Access::new(world.config(), world.from.clone());
    let from = repository(&source.reference("org/app"));
    sync::images(&from, &access, &world.dir("d"), &access, &world.policy, &options).unwrap();
    let names = ["1", "2"].map(|tag| format!("docker://{}", source.reference(&format!("org/app:{tag}"))));
    assert_eq!(*listener.0.lock().unwrap(), names);
}
