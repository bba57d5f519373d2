//! `registries.d-examples/`: each file is valid, and means what its comments say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use transship::Reference;
use transship::config::{Paths, RegistriesD};

#[allow(unreachable_pub, reason = "support is shared by several crates of tests")]
#[path = "support/peers.rs"]
mod peers;

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

#[test]
fn nginx_understands_what_is_shown_for_it() {
    let Some(nginx) = peers::peer("nginx") else { return };
    let readme = fs::read_to_string(directory().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```nginx\n").unwrap();
    let location = rest.split_once("```").unwrap().0;
    let place = tempfile::tempdir().unwrap();
    let [conf, log] = ["nginx.conf", "log"].map(|name| place.path().join(name).display().to_string());
    let server = format!("server {{ listen unix:{}/socket; access_log off; {location} }}", place.path().display());
    let text = format!("pid {}/pid; error_log {log}; events {{}} http {{ {server} }}", place.path().display());
    fs::write(&conf, text).unwrap();
    let output = Command::new(nginx).args(["-t", "-q", "-e", &log, "-c", &conf]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_store_that_nginx_serves_is_that_of_the_two_examples() {
    let readme = fs::read_to_string(directory().join("README.md")).unwrap();
    for (file, image, path) in [
        ("one-host.yaml", "registry.example.com/app", "https://signatures.example.com/sigstore"),
        ("file-lookaside.yaml", "registry.example.com:5000/app", "/srv/signatures"),
    ] {
        let lookaside = example(file).lookaside(&reference(image)).unwrap();
        assert_eq!(lookaside.configured().trim_start_matches("file://"), path);
        assert!(readme.contains(&format!("`{path}`")), "{path}");
    }
}
