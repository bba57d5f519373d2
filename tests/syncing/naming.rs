//! How images are called where they go. What skopeo makes of the same is compared in the tests of the program.

use std::fs;
use std::os::unix::fs::symlink;

use transship::sync::{Error, Naming, Options, RegistryPrefix, Source};

use crate::support::registry::Registry;
use crate::world::{World, image, registry, repository, tagged};

/// The places of a dry run.
fn places(world: &World, source: &Source, prefix: &str, naming: &Naming) -> Result<Vec<String>, Error> {
    struct Places(std::sync::Mutex<Vec<String>>);
    impl transship::sync::Progress for Places {
        fn event(&self, event: &transship::sync::Event<'_>) {
            if let transship::sync::Event::Done { image, .. } = event {
                self.0.lock().unwrap().push(image.to.to_string());
            }
        }
    }
    let places = Places(std::sync::Mutex::default());
    let options = Options { naming: naming.clone(), dry_run: true, progress: &places, ..Options::default() };
    let access = transship::sync::Access::new(world.config(), world.from.clone());
    transship::sync::images(source, &access, &registry(prefix), &access, &world.policy, &options)?;
    Ok(places.0.into_inner().unwrap())
}

#[test]
fn a_directory_is_called_by_its_path_below_the_source_however_that_is_written() {
    let to = Registry::new().serve();
    let prefix = to.reference("m");
    let world = World::new();
    for name in ["tree/a/app:1", "tree/b", "tree/b.d/app:2"] {
        world.write_image(name, &image(name));
    }
    // An image has no images in it, and links to directories are not followed.
    world.write_image("tree/b/inner:1", &image("inner"));
    symlink(world.path("tree/a"), world.path("tree/link")).unwrap();
    fs::write(world.path("tree/file"), b"").unwrap();
    let at = |names: &[&str]| names.iter().map(|name| format!("docker://{prefix}/{name}")).collect::<Vec<_>>();
    let (plain, scoped) = (Naming::default(), Naming { scoped: true, ..Naming::default() });
    for root in ["tree", "tree/", "tree/.", "./tree", "a-link"] {
        let _ = symlink(world.path("tree"), world.path("a-link"));
        let source = Source::Dir(world.path(root));
        assert_eq!(places(&world, &source, &prefix, &plain).unwrap(), at(&["app:1", "b:latest", "app:2"]), "{root}");
        let names = at(&["a/app:1", "b:latest", "b.d/app:2"]);
        assert_eq!(places(&world, &source, &prefix, &scoped).unwrap(), names, "{root}");
    }
    for root in ["tree/a/app:1", "tree/a/app:1/", "tree/a/app:1/."] {
        let source = Source::Dir(world.path(root));
        for naming in [&plain, &scoped] {
            assert_eq!(places(&world, &source, &prefix, naming).unwrap(), at(&["app:1"]), "{root}");
        }
    }
}

#[test]
fn a_suffix_goes_behind_the_tag_and_must_be_of_one() {
    let source = tagged(Registry::new(), "org/app", &["1"]).serve();
    let to = Registry::new().serve();
    let world = World::new();
    let from = repository(&source.reference("org/app"));
    let suffixed = |suffix: &str| Naming { append_suffix: suffix.to_owned(), ..Naming::default() };
    let named = places(&world, &from, &to.authority(), &suffixed("-x86_64")).unwrap();
    assert_eq!(named, [format!("docker://{}", to.reference("app:1-x86_64"))]);
    for suffix in ["/x", ":x", "@x", "x y"] {
        let outcome = places(&world, &from, &to.authority(), &suffixed(suffix));
        assert!(matches!(outcome, Err(Error::Suffix(_))), "{outcome:?}");
    }
    let by_digest = repository(&source.reference(&format!("org/app@{}", image("1").digest())));
    let outcome = places(&world, &by_digest, &to.authority(), &suffixed("-x"));
    assert!(matches!(outcome, Err(Error::Name { .. })), "{outcome:?}");
}

#[test]
fn a_registry_to_write_to_is_never_guessed() {
    for good in ["quay.io", "quay.io/", "localhost", "localhost:5000/a/b", "docker.io", "docker.io/org", "[::1]:5000"] {
        // Addresses in brackets are no domains by the grammar of names.
        assert_eq!(good.parse::<RegistryPrefix>().is_ok(), !good.starts_with('['), "{good}");
    }
    for bad in ["", "/", "org", "org/app", "docker://quay.io", "quay.io/org:1", "quay.io/Org", "quay.io//a"] {
        assert!(bad.parse::<RegistryPrefix>().is_err(), "{bad}");
    }
}
