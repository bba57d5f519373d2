//! Beside a `dir:` image.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use transship::digest::Digest;
use transship::error::one_line;
use transship::signature::{MAX_SIGNATURE_SIZE, MAX_SIGNATURES, MAX_SIGNATURES_SIZE};
use transship::source::{DirSource, Error, FoundSignature, ImageSource as _, OciLayoutSource, SignatureDemand};

use crate::machine::{contents, image, simple};
use crate::support::image::Image;

fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("manifest.json"), image().manifest()).unwrap();
    directory
}

fn find(directory: &Path, instance: Option<&Digest>) -> Result<Vec<FoundSignature>, Error> {
    DirSource::open(directory).unwrap().signatures(instance, SignatureDemand::Carried)
}

fn write(directory: &TempDir, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(directory.path().join(name), bytes).unwrap();
}

#[test]
fn signatures_are_read_in_order_to_the_first_that_is_missing() {
    let directory = directory();
    assert_eq!(find(directory.path(), None).unwrap(), []);
    for (name, text) in [("signature-1", "one"), ("signature-2", "two"), ("signature-4", "four")] {
        write(&directory, name, simple(text));
    }
    let found = find(directory.path(), None).unwrap();
    assert_eq!(contents(&found), ["one", "two"]);
    assert_eq!(found[1].place.to_string(), directory.path().join("signature-2").display().to_string());
}

#[test]
fn an_instance_has_its_own_files_named_as_its_manifest_is() {
    let directory = directory();
    let (sha256, sha512) = (image().digest(), Image::with_layers(["a layer"]).sha512().digest());
    write(&directory, "signature-1", simple("of the index"));
    write(&directory, &format!("{}.signature-1", sha256.encoded()), simple("of the instance"));
    write(&directory, &format!("sha512-{}.signature-1", sha512.encoded()), simple("of the other"));
    for (instance, expected) in [(&sha256, "of the instance"), (&sha512, "of the other")] {
        assert_eq!(contents(&find(directory.path(), Some(instance)).unwrap()), [expected]);
    }
    assert_eq!(contents(&find(directory.path(), None).unwrap()), ["of the index"]);
}

#[test]
fn a_file_that_is_no_signature_is_named() {
    let directory = directory();
    for bytes in [&b""[..], b"<html>", b"\0unheard-of\nx"] {
        write(&directory, "signature-1", bytes);
        let error = find(directory.path(), None).unwrap_err();
        assert!(matches!(error, Error::NotASignature { .. }), "{error:?}");
        assert!(one_line(&error).contains("signature-1: not a signature"), "{}", one_line(&error));
    }
    fs::remove_file(directory.path().join("signature-1")).unwrap();
    fs::create_dir(directory.path().join("signature-1")).unwrap();
    assert!(matches!(find(directory.path(), None), Err(Error::NotAFile { .. })));
}

#[test]
fn there_is_an_end_to_the_bytes_of_all_of_them() {
    let directory = directory();
    let large = [simple("x"), vec![0; usize::try_from(MAX_SIGNATURE_SIZE).unwrap() - simple("x").len()]].concat();
    let fitting = MAX_SIGNATURES_SIZE / MAX_SIGNATURE_SIZE;
    for number in 1..=fitting {
        write(&directory, &format!("signature-{number}"), large.clone());
    }
    assert_eq!(find(directory.path(), None).unwrap().len() as u64, fitting);
    write(&directory, &format!("signature-{}", fitting + 1), simple("x"));
    assert!(matches!(find(directory.path(), None), Err(Error::TooManySignatures { .. })));
}

#[test]
fn there_is_an_end_to_their_number_and_to_their_size() {
    let directory = directory();
    for number in 1..=MAX_SIGNATURES {
        write(&directory, &format!("signature-{number}"), simple("x"));
    }
    assert_eq!(find(directory.path(), None).unwrap().len(), MAX_SIGNATURES);
    write(&directory, &format!("signature-{}", MAX_SIGNATURES + 1), simple("x"));
    assert!(matches!(find(directory.path(), None), Err(Error::TooManySignatures { .. })));

    let size = usize::try_from(MAX_SIGNATURE_SIZE).unwrap();
    write(&directory, "signature-1", vec![0xa3; size + 1]);
    assert!(matches!(find(directory.path(), None), Err(Error::FileTooLarge { .. })));
    write(&directory, "signature-1", vec![0xa3; size]);
    fs::remove_file(directory.path().join("signature-2")).unwrap();
    assert_eq!(find(directory.path(), None).unwrap().len(), 1);
}

#[test]
fn an_oci_layout_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path();
    let (manifest, digest) = (image().manifest(), image().digest());
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("blobs/sha256").join(digest.encoded()), &manifest).unwrap();
    let entry =
        serde_json::json!({"mediaType": image().media_type(), "digest": digest.as_str(), "size": manifest.len()});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("signature-1"), simple("stray")).unwrap();
    let transship::ImageReference::Oci(reference) = format!("oci:{}", layout.display()).parse().unwrap() else {
        panic!()
    };
    let source = OciLayoutSource::open(reference).unwrap();
    assert_eq!(source.signatures(None, SignatureDemand::Judged).unwrap(), []);
}
