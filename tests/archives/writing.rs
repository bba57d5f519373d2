//! What becomes of a file that is there, and of one that is never finished.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use tempfile::TempDir;
use transship::{Digest, destination};

use crate::made::{self, DOCKER, copy, error};

const TRANSPORTS: [&str; 2] = ["oci-archive", "docker-archive"];

/// An image in `from`, and names in the place of all.
fn place() -> (TempDir, impl Fn(&str) -> String) {
    let place = TempDir::new().unwrap();
    let root = place.path().to_str().unwrap().to_owned();
    let at = move |name: &str| format!("{root}/{name}");
    made::image(at("from").as_ref(), &DOCKER);
    (place, at)
}

/// The names beside the image.
fn beside(place: &TempDir) -> Vec<String> {
    let names = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "from").collect()
}

#[test]
fn an_archive_of_a_layout_is_replaced_at_the_end_and_not_before() {
    let (place, at) = place();
    fs::write(at("a.tar"), "the old one").unwrap();
    let layer = Digest::sha256(&made::layer(1, 300));
    let path = at(&format!("from/{}", layer.encoded()));
    fs::rename(&path, at("elsewhere")).unwrap();
    copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}", at("a.tar"))).unwrap_err();
    fs::rename(at("elsewhere"), &path).unwrap();
    assert_eq!(fs::read(at("a.tar")).unwrap(), b"the old one");
    assert_eq!(beside(&place), ["a.tar"]);
    copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}", at("a.tar"))).unwrap();
    assert!(made::open(&format!("oci-archive:{}", at("a.tar"))).is_ok());
    assert_eq!(beside(&place), ["a.tar"]);
    assert_eq!(fs::metadata(at("a.tar")).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_writer_that_goes_leaves_nothing() {
    let (place, at) = place();
    for transport in TRANSPORTS {
        let destination = destination::open(&format!("{transport}:{}", at("a.tar")).parse().unwrap()).unwrap();
        let descriptor = crate::support::local::descriptor(b"some", transship::digest::Algorithm::Sha256);
        destination.put_blob(&descriptor, &mut &b"some"[..]).unwrap();
        // As after a crash: the file has no name while it is written.
        assert!(beside(&place).is_empty(), "{:?}", beside(&place));
        drop(destination);
        assert!(beside(&place).is_empty());
    }
}

#[test]
fn a_file_of_docker_s_with_something_in_it_is_refused_with_the_words_of_the_field() {
    let (_place, at) = place();
    fs::write(at("a.tar"), "the old one").unwrap();
    let refused = copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap_err();
    assert!(
        error(&refused).contains("docker-archive: doesn't support modifying existing images"),
        "{}",
        error(&refused)
    );
    assert_eq!(fs::read(at("a.tar")).unwrap(), b"the old one");
    File::create(at("a.tar")).unwrap();
    copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap();
}

#[test]
fn a_link_stays_a_link() {
    let (_place, at) = place();
    fs::create_dir(at("elsewhere")).unwrap();
    File::create(at("elsewhere/a.tar")).unwrap();
    symlink("elsewhere/a.tar", at("link")).unwrap();
    for transport in TRANSPORTS {
        File::create(at("elsewhere/a.tar")).unwrap();
        copy(&format!("dir:{}", at("from")), &format!("{transport}:{}", at("link"))).unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(made::open(&format!("{transport}:{}", at("elsewhere/a.tar"))).is_ok());
    }
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_the_work() {
    let (_place, at) = place();
    fs::create_dir(at("directory")).unwrap();
    for transport in TRANSPORTS {
        for name in ["directory", "missing/a.tar", "from/version/a.tar"] {
            let refused = destination::open(&format!("{transport}:{}", at(name)).parse().unwrap()).unwrap_err();
            assert!(matches!(refused, destination::Error::Write { .. }), "{transport} {name}: {refused}");
        }
    }
}

#[test]
fn a_pipe_gets_the_archive_and_nothing_of_a_copy_that_fails() {
    let (place, at) = place();
    for transport in TRANSPORTS {
        copy(&format!("dir:{}", at("from")), &format!("{transport}:{}", at(transport))).unwrap();
        let pipe = at(&format!("{transport}-pipe"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut bytes = Vec::new();
                File::open(pipe).unwrap().read_to_end(&mut bytes).unwrap();
                bytes
            }
        });
        // Nobody has opened the pipe for this one, so the reader waits on.
        drop(destination::open(&format!("{transport}:{pipe}").parse().unwrap()).unwrap());
        copy(&format!("dir:{}", at("from")), &format!("{transport}:{pipe}")).unwrap();
        assert!(reader.join().unwrap() == fs::read(at(transport)).unwrap(), "{transport}");
        assert!(fs::metadata(&pipe).unwrap().ino() > 0 && !fs::metadata(&pipe).unwrap().is_file());
    }
    assert!(!beside(&place).iter().any(|name| name.starts_with(".transship")));
}
