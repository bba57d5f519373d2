//! `oci-archive:`

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use transship::destination::{self, OciArchiveDestination};
use transship::source::{self, ArchiveError};

use crate::made::{self, DOCKER, OCI, copy, error, open};
use crate::support::local::{names, tree};
use crate::support::{shared, tables};

/// A place, and the names of what is in it.
fn place() -> (TempDir, impl Fn(&str) -> String) {
    let place = TempDir::new().unwrap();
    let root = place.path().to_str().unwrap().to_owned();
    (place, move |name: &str| format!("{root}/{name}"))
}

fn unpack(archive: &str, directory: &str) {
    tar::Archive::new(fs::File::open(archive).unwrap()).unpack(directory).unwrap();
}

#[test]
fn an_image_goes_into_an_archive_and_back_with_all_its_bytes() {
    let (_place, at) = place();
    made::image(at("from").as_ref(), &OCI);
    copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}:name", at("a.tar"))).unwrap();
    for name in ["", ":name", ":@0"] {
        copy(&format!("oci-archive:{}{name}", at("a.tar")), &format!("dir:{}", at("to"))).unwrap();
        assert!(tree(at("to").as_ref()) == tree(at("from").as_ref()), "{name}");
    }
}

#[test]
fn an_index_goes_with_all_its_instances() {
    let (_place, at) = place();
    made::index(at("from").as_ref(), &OCI, "application/vnd.oci.image.index.v1+json");
    copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}", at("a.tar"))).unwrap();
    copy(&format!("oci-archive:{}", at("a.tar")), &format!("dir:{}", at("to"))).unwrap();
    assert!(tree(at("to").as_ref()) == tree(at("from").as_ref()));
}

#[test]
fn an_archive_has_what_a_layout_has() {
    let (_place, at) = place();
    made::image(at("image").as_ref(), &DOCKER);
    made::index(at("list").as_ref(), &DOCKER, "application/vnd.docker.distribution.manifest.list.v2+json");
    for name in ["image", "list"] {
        let (layout, archive, unpacked) =
            (at(&format!("{name}-oci")), at(&format!("{name}.tar")), at(&format!("{name}-un")));
        let written = copy(&format!("dir:{}", at(name)), &format!("oci:{layout}:n")).unwrap();
        assert_eq!(copy(&format!("dir:{}", at(name)), &format!("oci-archive:{archive}:n")).unwrap(), written);
        unpack(&archive, &unpacked);
        assert!(tree(unpacked.as_ref()) == tree(layout.as_ref()), "{name}");
    }
}

#[test]
fn equal_images_make_equal_archives() {
    let (_place, at) = place();
    made::image(at("from").as_ref(), &OCI);
    for archive in ["a.tar", "b.tar"] {
        copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}:n", at(archive))).unwrap();
    }
    assert!(fs::read(at("a.tar")).unwrap() == fs::read(at("b.tar")).unwrap());
}

#[test]
fn an_archive_that_is_compressed_is_read_the_same_in_whatever_order() {
    let (place, at) = place();
    made::image(at("from").as_ref(), &OCI);
    copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}", at("a.tar"))).unwrap();
    let plain = fs::read(at("a.tar")).unwrap();
    for (name, bytes) in [("a.tar.gz", made::gzip(&plain)), ("a.tar.zst", made::zstd(&plain))] {
        let archive = format!("oci-archive:{}", made::write(place.path(), name, &bytes));
        // Six blobs at a time, then one after the other, the last first.
        copy(&archive, &format!("dir:{}", at("to"))).unwrap();
        assert!(tree(at("to").as_ref()) == tree(at("from").as_ref()), "{name}");
        let source = open(&archive).unwrap();
        made::read_all(&*source).unwrap();
        made::read_all(&*source).unwrap();
    }
    assert!(!names(place.path()).iter().any(|name| name.starts_with(".transship")));
}

#[test]
fn images_are_found_as_in_a_layout() {
    for case in tables::table("other_transports", "oci_manifest_descriptor") {
        let place = TempDir::new().unwrap();
        let index = match case["dir"].as_str().unwrap() {
            "${TMPDIR}" => None,
            fixture => shared::shared(&format!("fixtures/containers-image/oci/layout/{fixture}/index.json")),
        };
        let index = index.map(|path| fs::read(path).unwrap());
        let files: Vec<_> = index.iter().map(|index| ("./index.json", &index[..])).collect();
        let archive = made::write(place.path(), "a.tar", &made::tar(&files));
        let outcome = open(&format!("oci-archive:{archive}:{}", case["image"].as_str().unwrap()));
        // There is an index alone: the error says which manifest was looked for.
        let found = match &outcome {
            Err(source::Error::Archive { source: ArchiveError::NoFile { name }, .. }) => {
                name.strip_prefix("blobs/sha256/")
            }
            _ => None,
        };
        let expected = case["expectedDescriptor"]["Digest"].as_str().map(|digest| digest.trim_start_matches("sha256:"));
        assert_eq!(found, expected, "{case}: {:?}", outcome.as_ref().err());
    }
}

#[test]
fn an_error_says_which_images_there_are() {
    let (place, at) = place();
    let index = |names: &[&str]| {
        let entry = |name: &&str| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
                "digest": transship::Digest::sha256(name.as_bytes()).as_str(),
                "annotations": {"org.opencontainers.image.ref.name": name},
            })
        };
        let entries: Vec<_> = names.iter().map(entry).collect();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": entries}).to_string();
        made::write(place.path(), "a.tar", &made::tar(&[("index.json", index.as_bytes())]))
    };
    let message = |name: &str| error(&open(&format!("oci-archive:{}{name}", at("a.tar"))).unwrap_err());
    index(&["one", "two"]);
    let both = format!("oci-archive:{0}:one, oci-archive:{0}:two", at("a.tar"));
    assert_eq!(message(""), format!("{}: there are 2 images; choose one: {both}", at("a.tar")));
    assert_eq!(message(":three"), format!("{}: there is no image \"three\"; there is: {both}", at("a.tar")));
    assert_eq!(message(":@2"), format!("{}: there is no image @2; there are 2, counted from 0", at("a.tar")));
    index(&[]);
    assert_eq!(message(""), format!("{}: there is no image in it", at("a.tar")));
}

#[test]
fn of_files_with_one_name_the_last_counts_as_if_it_were_unpacked() {
    let (place, at) = place();
    made::image(at("from").as_ref(), &OCI);
    let written = copy(&format!("dir:{}", at("from")), &format!("oci:{}", at("layout"))).unwrap();
    let mut files: Vec<(String, Vec<u8>)> = vec![("index.json".to_owned(), b"not this one".to_vec())];
    files.extend(
        tree(at("layout").as_ref()).into_iter().map(|(name, (_, bytes))| (name.to_str().unwrap().to_owned(), bytes)),
    );
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let archive = made::write(place.path(), "a.tar", &made::tar(&files));
    assert_eq!(*open(&format!("oci-archive:{archive}")).unwrap().manifest(None).unwrap(), written);
}

#[test]
fn a_position_is_not_written_to_and_signatures_have_no_place() {
    let (_place, at) = place();
    let reference = |name: &str| match format!("oci-archive:{}{name}", at("a.tar")).parse().unwrap() {
        transship::ImageReference::OciArchive(reference) => reference,
        other => panic!("{other}"),
    };
    let refused = OciArchiveDestination::open(reference(":@0")).unwrap_err();
    assert!(matches!(refused, destination::Error::Position { .. }), "{refused}");
    made::image(at("from").as_ref(), &OCI);
    fs::write(Path::new(&at("from")).join("signature-1"), b"\x89anything").unwrap();
    let refused = copy(&format!("dir:{}", at("from")), &format!("oci-archive:{}", at("a.tar"))).unwrap_err();
    assert!(error(&refused).ends_with("an oci-archive cannot hold signatures"), "{}", error(&refused));
}
