//! Disks that are full, or that nobody may write to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::noise;
use crate::program::{Program, files};
use crate::support::command::{finish, run};
use crate::support::image::Image;
use crate::support::local::tree;
use crate::support::peers::skip;
use crate::support::registry::Registry;

/// A disk of 4 MiB in a program's home, as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where nothing can be mounted, except with `CI=true`.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted = finish(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&path));
        if !mounted.status.success() {
            skip("nothing can be mounted");
            return None;
        }
        Some(Self(path))
    }

    fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

/// Puts an image into `dir:` and the name.
fn put(program: &Program, name: &str, image: &Image) {
    let registry = Registry::new().image("org/app", "1", image).serve();
    let from = format!("docker://{}", registry.reference("org/app:1"));
    program.output(&["copy", "-q", "--src-tls-verify=false", &from, &format!("dir:{name}")]);
}

/// The places with an older image, and one that is empty: a docker-archive is not written over.
const PLACES: [&str; 4] =
    ["dir:disk/d", "oci:disk/o:app", "oci-archive:disk/a.tar:app", "docker-archive:disk/b.tar:app:1"];

fn is_new(place: &str) -> bool {
    place.starts_with("docker-archive:")
}

fn with_old_images() -> Option<(Program, SmallDisk)> {
    let program = Program::new();
    put(&program, "old", &Image::with_layers(["old"]));
    let disk = SmallDisk::mount(program.path("disk"))?;
    for place in PLACES.iter().filter(|place| !is_new(place)) {
        program.output(&["copy", "-q", "dir:old", place]);
    }
    Some((program, disk))
}

/// Nothing but whole blobs has come, and the image is the old one.
fn assert_untouched(program: &Program, place: &str, before: &[String]) {
    let after = files(&program.path("disk"));
    assert!(before.iter().all(|name| after.contains(name)), "{place}: {before:?} {after:?}");
    let is_blob = |name: &String| Path::new(name).file_name().unwrap().len() == 64;
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name) && !is_blob(name)).collect();
    assert!(new.is_empty(), "{place}: {new:?}");
    if !is_new(place) {
        assert_eq!(program.output(&["inspect", "--raw", place]), program.output(&["inspect", "--raw", "dir:old"]));
        program.output(&["copy", "-q", place, "dir:whole"]);
        fs::remove_dir_all(program.path("whole")).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_of_and_the_old_image_stays_whole() {
    // Two layers that come together and do not fit; one that fits once, and not a second time into an archive.
    let images = [Image::with_layers([noise(3_000_000), noise(3_000_001)]), Image::with_layers([noise(2_200_000)])];
    let Some((program, _disk)) = with_old_images() else { return };
    for (image, name) in images.iter().zip(["large", "middle"]) {
        put(&program, name, image);
        for place in PLACES.iter().filter(|place| name == "large" || place.contains("archive")) {
            let before = files(&program.path("disk"));
            let outcome = program.run(&["copy", "-q", &format!("dir:{name}"), place]);
            outcome.assert_fails(1, &["disk", "No space left on device", "hint: make room there"]);
            assert_untouched(&program, place, &before);
            // Room for the next.
            for name in files(&program.path("disk")).iter().filter(|name| !before.contains(name)) {
                fs::remove_file(program.path("disk").join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_told_of_before_anything_is_read() {
    let Some((program, disk)) = with_old_images() else { return };
    disk.make_read_only();
    let registry = Registry::new().image("org/app", "1", &Image::with_layers([noise(3_000_000)])).serve();
    let from = format!("docker://{}", registry.reference("org/app:1"));
    for place in PLACES.into_iter().chain(["dir:disk/new", "oci:disk/new:app"]) {
        let before = tree(&program.path("disk"));
        let outcome = program.run(&["copy", "-q", "--src-tls-verify=false", &from, place]);
        outcome.assert_fails(1, &["disk", "cannot write", "Read-only file system", "hint: choose a place"]);
        assert!(tree(&program.path("disk")) == before, "{place}");
        assert!(!registry.asked().iter().any(|asked| asked.contains("/blobs/")), "{place}");
    }
}
