//! `registries.d-examples/`: each file is valid, and means what its comments say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use transship::Reference;
use transship::config::{Paths, RegistriesD};

fn example(name: &str) -> RegistriesD {
    let path = directory().join(name);
    RegistriesD::parse(&fs::read(&path).unwrap(), &path).unwrap()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("registries.d-examples")
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn each_example_says_where_signatures_are() {
    for (file, image, lookaside) in [
        ("one-host.yaml", "registry.example.com/org/app:1", "https://signatures.example.com/sigstore/org/app"),
        ("one-namespace.yaml", "quay.io/example/app:1", "https://signatures.example.com/quay/example/app"),
        ("one-namespace.yaml", "quay.io/example/special/app", "https://special.example.com/quay/example/special/app"),
        ("default-with-staging.yaml", "any.example/app:1", "https://signatures.example.com/sigstore/app"),
        ("file-lookaside.yaml", "registry.example.com:5000/app:1", "file:///srv/signatures/app"),
    ] {
        assert_eq!(example(file).lookaside(&reference(image)).unwrap().to_string(), lookaside, "{file}");
    }
    let staging = example("default-with-staging.yaml").lookaside_staging(&reference("any.example/app:1")).unwrap();
    assert_eq!(staging.to_string(), "file:///srv/signatures/staging/app");
    let attachments = example("attachments.yaml");
    assert!(attachments.use_sigstore_attachments(&reference("registry.example.com/signed/app:1")));
    assert!(!attachments.use_sigstore_attachments(&reference("registry.example.com/app:1")));
}

#[test]
fn the_examples_can_be_installed_together() {
    let mut paths = Paths::isolated(Path::new("/nonexistent"));
    paths.registries_d = Some(directory());
    let together = RegistriesD::load(&paths).unwrap();
    assert_eq!(together.files().len(), 5);
}

#[test]
fn every_example_is_in_the_readme() {
    let readme = fs::read_to_string(directory().join("README.md")).unwrap();
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || readme.contains(&format!("]({name})")), "{name}");
    }
}
