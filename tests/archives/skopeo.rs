//! Both ways between skopeo and us.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::made::{self, DOCKER, Form, OCI, Words, copy};
use crate::support::local::{skopeo_copy, tree};
use crate::support::peers::peer;

fn place() -> (TempDir, impl Fn(&str) -> String) {
    let place = TempDir::new().unwrap();
    let root = place.path().to_str().unwrap().to_owned();
    (place, move |name: &str| format!("{root}/{name}"))
}

/// An image without zstd: the skopeo of Debian has no name for such a layer in a Docker image.
fn image(directory: &str, words: &Words) {
    let layers = [1, 2].map(|seed| made::layer(seed, 5000));
    let in_forms = [(layers[0].clone(), Form::Gzip), (layers[1].clone(), Form::Plain)];
    let manifest = made::blobs(directory.as_ref(), words, &made::config(&layers), &in_forms);
    fs::write(format!("{directory}/manifest.json"), manifest).unwrap();
}

fn unpack(archive: &str, directory: &str) {
    tar::Archive::new(fs::File::open(archive).unwrap()).unpack(directory).unwrap();
}

#[test]
fn an_archive_for_docker_is_the_one_that_skopeo_writes() {
    let Some(skopeo) = peer("skopeo") else { return };
    for (name, words) in [("docker", &DOCKER), ("oci", &OCI)] {
        let (_place, at) = place();
        image(&at("from"), words);
        let from = format!("dir:{}", at("from"));
        for tag in ["", ":app:1"] {
            let (theirs, ours) = (at(&format!("theirs{}", tag.len())), at(&format!("ours{}", tag.len())));
            let digest_file = at("digest");
            let to = format!("docker-archive:{theirs}{tag}");
            skopeo_copy(&skopeo, &["--digestfile", &digest_file, &from, &to]);
            let written = copy(&from, &format!("docker-archive:{ours}{tag}")).unwrap();
            assert_eq!(written.digest().as_str(), fs::read_to_string(&digest_file).unwrap(), "{name}{tag}");
            assert_eq!(made::entries(ours.as_ref()), made::entries(theirs.as_ref()), "{name}{tag}");
            unpack(&theirs, &at("theirs-unpacked"));
            unpack(&ours, &at("ours-unpacked"));
            assert!(tree(at("ours-unpacked").as_ref()) == tree(at("theirs-unpacked").as_ref()), "{name}{tag}");
        }
    }
}

#[test]
fn skopeo_reads_what_is_written_here() {
    let Some(skopeo) = peer("skopeo") else { return };
    let (_place, at) = place();
    made::image(at("image").as_ref(), &OCI);
    made::index(at("index").as_ref(), &OCI, "application/vnd.oci.image.index.v1+json");
    for name in ["image", "index"] {
        copy(&format!("dir:{}", at(name)), &format!("oci-archive:{}:n", at(&format!("{name}.tar")))).unwrap();
        let (from, to) =
            (format!("oci-archive:{}:n", at(&format!("{name}.tar"))), format!("dir:{}", at(&format!("{name}-back"))));
        skopeo_copy(&skopeo, &["--all", &from, &to]);
        assert!(tree(at(&format!("{name}-back")).as_ref()) == tree(at(name).as_ref()), "{name}");
    }
    let written = copy(&format!("dir:{}", at("image")), &format!("docker-archive:{}:app", at("d.tar"))).unwrap();
    skopeo_copy(&skopeo, &[&format!("docker-archive:{}:app", at("d.tar")), &format!("dir:{}", at("d-back"))]);
    let back = tree(at("d-back").as_ref());
    for blob in transship::manifest::ImageManifest::parse(&written).unwrap().layers() {
        assert!(back.contains_key(Path::new(blob.digest().digest())), "{}", blob.digest());
    }
}

#[test]
fn what_skopeo_writes_is_read_here() {
    let Some(skopeo) = peer("skopeo") else { return };
    let (_place, at) = place();
    image(&at("image"), &OCI);
    made::index(at("index").as_ref(), &OCI, "application/vnd.oci.image.index.v1+json");
    // Layers that are not compressed are compressed by skopeo on the way into a layout.
    skopeo_copy(&skopeo, &["--all", &format!("dir:{}", at("index")), &format!("oci-archive:{}:n", at("o.tar"))]);
    copy(&format!("oci-archive:{}:n", at("o.tar")), &format!("dir:{}", at("index-back"))).unwrap();
    assert!(tree(at("index-back").as_ref()) == tree(at("index").as_ref()));
    skopeo_copy(&skopeo, &[&format!("dir:{}", at("image")), &format!("docker-archive:{}:app", at("d.tar"))]);
    let read = made::open(&format!("docker-archive:{}:app", at("d.tar"))).unwrap();
    made::read_all(&*read).unwrap();
    let written = copy(&format!("dir:{}", at("image")), &format!("docker-archive:{}:app", at("ours.tar"))).unwrap();
    assert_eq!(*read.manifest(None).unwrap(), written);
}
