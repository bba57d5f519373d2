//! Which instance of an index is meant.

use serde_json::Value;

use crate::program::{Program, files};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};

const HTTP: &str = "--tls-verify=false";
const FROM_HTTP: &str = "--src-tls-verify=false";
const PLATFORMS: [&str; 5] = ["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64"];

fn index() -> Image {
    Image::index(PLATFORMS.map(|platform| Image::with_layers([platform, "shared"]).platform(platform)))
}

fn served(index: &Image) -> (RunningRegistry, String) {
    let registry = Registry::new().image("org/app", "1", index).serve();
    let image = format!("docker://{}", registry.reference("org/app:1"));
    (registry, image)
}

#[test]
fn overrides_choose_the_instance() {
    let (program, index) = (Program::new(), index());
    let (_registry, image) = served(&index);
    for (number, overrides) in [
        (0, &["--override-os=linux", "--override-arch=amd64"][..]),
        (1, &["--override-os=linux", "--override-arch=arm64"]),
        (2, &["--override-os=linux", "--override-arch=arm", "--override-variant=v6"]),
        (3, &["--override-os=linux", "--override-arch=arm", "--override-variant=v7"]),
        (4, &["--override-os=windows", "--override-arch=amd64"]),
    ] {
        let described = program.output(&[&["inspect", HTTP, &image][..], overrides].concat());
        let described: Value = serde_json::from_str(&described).unwrap();
        let platform: Vec<_> = PLATFORMS[number].split('/').collect();
        assert_eq!((&described["Os"], &described["Architecture"]), (&platform[0].into(), &platform[1].into()));
        assert_eq!(described["Digest"], index.digest().as_str(), "the digest is that of what was asked for");

        let directory = format!("dir:{number}");
        program
            .output(&[&["copy", "-q", FROM_HTTP, "--digestfile=digest", &image, &directory][..], overrides].concat());
        let digest = program.output(&["manifest-digest", &format!("{number}/manifest.json")]);
        assert_eq!(digest.trim_end(), index.instances()[number].digest().as_str());
        assert_eq!(std::fs::read_to_string(program.path("digest")).unwrap(), digest.trim_end());
    }
}

#[test]
fn a_platform_that_is_not_there_is_an_error_that_names_those_that_are() {
    let (program, index) = (Program::new(), index());
    let (_registry, image) = served(&index);
    let wanted = "--override-arch=s390x";
    for words in [&["inspect", HTTP, "-n", wanted, &image][..], &["copy", FROM_HTTP, wanted, &image, "dir:d"]] {
        let outcome = program.run(words);
        outcome.assert_fails(1, &["s390x", "linux/arm/v7", "hint: choose another platform with --override-os"]);
    }
    assert!(!program.path("d/manifest.json").exists());
}

#[test]
fn all_instances_are_copied_into_a_directory_and_a_layout() {
    let (program, index) = (Program::new(), index());
    let (_registry, image) = served(&index);
    for all in ["--all", "-a", "--multi-arch=all"] {
        program.output(&["copy", "-q", FROM_HTTP, all, "--digestfile=digest", &image, "dir:all"]);
        assert_eq!(std::fs::read_to_string(program.path("digest")).unwrap(), index.digest().as_str());
        let names = files(&program.path("all"));
        for instance in index.instances() {
            assert!(names.contains(&format!("{}.manifest.json", instance.digest().encoded())), "{names:?}");
        }
        std::fs::remove_dir_all(program.path("all")).unwrap();
    }
    program.output(&["copy", "-q", FROM_HTTP, "--all", &image, "oci:layout:app"]);
    let names = files(&program.path("layout"));
    let blobs = index.instances().iter().flat_map(|instance| instance.blobs().into_iter().map(|(digest, _)| digest));
    for digest in blobs.chain(index.instances().iter().map(Image::digest)).chain([index.digest()]) {
        assert!(names.contains(&format!("blobs/sha256/{}", digest.encoded())), "{digest}: {names:?}");
    }
    let raw = program.output(&["inspect", "--raw", "oci:layout:app"]);
    assert_eq!(raw.as_bytes(), index.manifest());
}

#[test]
fn an_image_that_is_no_index_is_taken_whatever_its_platform() {
    let program = Program::new();
    let image = Image::with_layers(["one"]).platform("plan9/mips");
    let (_registry, image) = served(&image);
    program.output(&["copy", "-q", FROM_HTTP, &image, "dir:d"]);
}
