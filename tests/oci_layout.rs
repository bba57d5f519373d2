//! `oci:` images, read and written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should panic")]

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;
use transship::destination::{self, ImageDestination, OciLayoutDestination};
use transship::manifest::{Descriptor, ImageManifest, Index, ManifestBytes};
use transship::reference::OciReference;
use transship::source::{self, DirSource, ImageSource, OciLayoutSource};
use transship::{Digest, MediaType, digest::Algorithm};

#[path = "support/local.rs"]
mod local;
#[path = "support/peers.rs"]
#[allow(unreachable_pub, unused_attributes, clippy::print_stderr, reason = "other tests' support as well")]
mod peers;
#[path = "support/shared.rs"]
mod shared;
#[path = "support/tables.rs"]
mod tables;
use local::{copy, descriptor, docker_image, docker_list, names, tree};

/// The fixture whose blobs the tables speak of.
const WITH_BLOBS: &str = "fixtures/containers-image/oci/layout/fixtures/delete_image_multiple_images";

fn reference(path: &Path, name: &str) -> OciReference {
    format!("{}:{name}", path.display()).parse().unwrap()
}

fn destination(path: &Path, name: &str) -> OciLayoutDestination {
    OciLayoutDestination::open(reference(path, name)).unwrap()
}

fn open(path: &Path, name: &str) -> Result<OciLayoutSource, source::Error> {
    OciLayoutSource::open(reference(path, name))
}

/// A Docker image to read and a layout to write.
fn image(layers: &[&str]) -> (TempDir, DirSource, PathBuf) {
    let place = TempDir::new().unwrap();
    let from = place.path().join("from");
    docker_image(&from, "user", layers);
    let to = place.path().join("to");
    (place, DirSource::open(from).unwrap(), to)
}

fn index(layout: &Path) -> Value {
    serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap()
}

/// The names in a layout's index, in order; an empty one where there is none.
fn entries(layout: &Path) -> Vec<String> {
    let name = |entry: &Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default().to_owned()
    };
    index(layout)["manifests"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn the_result_is_what_skopeo_writes() {
    let Some(skopeo) = peers::peer("skopeo") else { return };
    let place = TempDir::new().unwrap();
    let (one, two, list) = (place.path().join("1"), place.path().join("2"), place.path().join("list"));
    docker_image(&one, "user", &["a", "b"]);
    docker_image(&two, "other", &["a"]);
    docker_list(&list);
    // A name, the same name for another image, no name, the name of an unnamed one, the same again, a list.
    let steps =
        [(&one, "n"), (&two, "n"), (&one, ""), (&two, ""), (&one, "x:y"), (&one, "x:y"), (&two, "m"), (&list, "l")];
    let (theirs, ours) = (place.path().join("theirs"), place.path().join("ours"));
    for (step, (from, name)) in steps.into_iter().enumerate() {
        let (input, output) = (format!("dir:{}", from.display()), format!("oci:{}:{name}", theirs.display()));
        local::skopeo_copy(&skopeo, &["--all", &input, output.trim_end_matches(':')]);
        copy(&DirSource::open(from).unwrap(), &destination(&ours, name)).unwrap();
        assert_eq!(tree(&ours), tree(&theirs), "step {step}");
    }
    // And the other way round: skopeo reads what was written here.
    let (input, output) =
        (format!("oci:{}:l", ours.display()), format!("oci:{}:l", place.path().join("again").display()));
    local::skopeo_copy(&skopeo, &["--all", &input, &output]);
    copy(&open(&ours, "l").unwrap(), &destination(&place.path().join("mine"), "l")).unwrap();
    assert_eq!(tree(&place.path().join("mine")), tree(&place.path().join("again")));
}

#[test]
fn an_image_is_found_by_its_name_its_position_or_being_alone() {
    let (_place, source, to) = image(&["a"]);
    copy(&source, &destination(&to, "one")).unwrap();
    let manifest = open(&to, "").unwrap().manifest(None).unwrap();
    assert_eq!(*manifest.media_type(), MediaType::OCI_MANIFEST);
    let other = ManifestBytes::new(br#"{"schemaVersion": 2, "manifests": []}"#.to_vec(), MediaType::OCI_INDEX);
    let second = destination(&to, "two@1");
    second.put_manifest(&other, None).unwrap();
    second.commit().unwrap();
    assert_eq!(open(&to, "one").unwrap().manifest(None).unwrap(), manifest);
    assert_eq!(*open(&to, "two@1").unwrap().manifest(None).unwrap(), other);
    assert_eq!(open(&to, "@0").unwrap().manifest(None).unwrap(), manifest);
    assert_eq!(*open(&to, "@1").unwrap().manifest(None).unwrap(), other);
    let error = open(&to, "").unwrap_err();
    assert!(matches!(error, source::Error::SeveralImages { count: 2, .. }), "{error}");
    assert!(error.to_string().ends_with(&format!("oci:{0}:one, oci:{0}:two@1", to.display())), "{error}");
    let error = open(&to, "three").unwrap_err();
    assert!(matches!(error, source::Error::NoSuchImage { .. }), "{error}");
    assert!(matches!(open(&to, "@2"), Err(source::Error::NoSuchPosition { count: 2, .. })));
    let error = OciLayoutDestination::open(reference(&to, "@0")).unwrap_err();
    assert!(matches!(error, destination::Error::Position { .. }), "{error}");
}

/// Some fixtures are an index alone: there the error says which manifest was looked for.
fn manifest_looked_for(outcome: &Result<OciLayoutSource, source::Error>) -> Option<String> {
    match outcome {
        Ok(source) => Some(source.manifest(None).unwrap().digest().encoded().to_owned()),
        Err(source::Error::File { path, .. } | source::Error::Damaged { path, .. })
            if path.parent().unwrap().ends_with("blobs/sha256") =>
        {
            Some(path.file_name().unwrap().to_string_lossy().into_owned())
        }
        Err(_) => None,
    }
}

#[test]
fn images_are_found_as_containers_image_finds_them() {
    for case in tables::table("other_transports", "oci_manifest_descriptor") {
        let directory = case["dir"].as_str().unwrap();
        let empty = TempDir::new().unwrap();
        let original = match directory {
            "${TMPDIR}" => empty.path().to_owned(),
            fixture => shared::shared(&format!("fixtures/containers-image/oci/layout/{fixture}")).unwrap(),
        };
        let outcome = open(&original, case["image"].as_str().unwrap());
        let expected = &case["expectedDescriptor"];
        let found = manifest_looked_for(&outcome);
        let expected = expected["Digest"].as_str().map(|digest| digest.trim_start_matches("sha256:").to_owned());
        assert_eq!(found, expected, "{case}: {:?}", outcome.err());
    }
}

#[test]
fn images_have_the_positions_and_names_that_containers_image_lists() {
    for case in tables::table("other_transports", "oci_list") {
        let path = case["path"].as_str().unwrap();
        let fixture = shared::shared(&format!("fixtures/containers-image/oci/layout/{path}")).unwrap();
        let digests = case["digests"].as_array().unwrap();
        for (position, digest) in digests.iter().enumerate() {
            let name = case["names"][position.to_string()].as_str().unwrap();
            let by_name = (!name.is_empty()).then_some(name.to_owned());
            for image in [format!("@{position}")].into_iter().chain(by_name) {
                let outcome = open(&fixture, &image);
                // A name is for an image or an index, and one of the fixtures is neither.
                if !matches!(outcome, Err(source::Error::NotAnImage { .. })) {
                    let found = manifest_looked_for(&outcome).unwrap_or_else(|| panic!("{path}:{image}: {outcome:?}"));
                    assert_eq!(format!("sha256:{found}"), digest.as_str().unwrap(), "{path}:{image}");
                }
            }
        }
        let behind = open(&fixture, &format!("@{}", digests.len()));
        assert!(matches!(behind, Err(source::Error::NoSuchPosition { .. })), "{path}");
    }
}

#[test]
fn blobs_are_found_by_a_digest_and_nothing_else() {
    let Some(fixture) = shared::shared(WITH_BLOBS) else { return };
    let (_place, image, layout) = image(&["a"]);
    copy(&image, &destination(&layout, "")).unwrap();
    for file in fs::read_dir(fixture.join("blobs/sha256")).unwrap() {
        let file = file.unwrap();
        fs::write(layout.join("blobs/sha256").join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
    }
    let source = open(&layout, "").unwrap();
    let blob = |digest: &Value| {
        let path = layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
        let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        serde_json::from_value(json!({"mediaType": "a/b", "digest": digest, "size": size}))
    };
    for digest in tables::table("other_transports", "oci_local_blob_ok") {
        let mut reader = source.blob(&blob(&digest).unwrap()).unwrap();
        io::copy(&mut reader, &mut io::sink()).unwrap();
    }
    for digest in tables::table("other_transports", "oci_local_blob_bad") {
        let refused = blob(&digest).map_or(true, |descriptor: Descriptor| source.blob(&descriptor).is_err());
        assert!(refused, "{digest}");
    }
}

#[test]
fn a_foreign_layer_is_not_fetched_and_the_error_says_where_it_is() {
    let (_place, source, to) = image(&["a"]);
    copy(&source, &destination(&to, "")).unwrap();
    let mut layer = descriptor(b"far away", Algorithm::Sha256);
    layer.set_urls(Some(vec!["https://example.com/layer".to_owned()]));
    let layout = open(&to, "").unwrap();
    let Err(error) = layout.blob(&layer) else { panic!("there is no such file") };
    assert!(error.to_string().ends_with("only at https://example.com/layer"), "{error}");
    let writer = destination(&to, "");
    assert!(writer.accepts_foreign_layers());
    writer.put_blob(&layer, &mut &b"far away"[..]).unwrap();
    io::copy(&mut layout.blob(&layer).unwrap(), &mut io::sink()).unwrap();
}

#[test]
fn only_oci_documents_are_taken() {
    let (_place, source, to) = image(&["a"]);
    let writer = destination(&to, "");
    let docker = source.manifest(None).unwrap();
    assert!(!writer.accepts(docker.media_type()));
    let error = writer.put_manifest(&docker, None).unwrap_err();
    assert!(matches!(error, destination::Error::MediaType { .. }), "{error}");
    assert!(matches!(writer.commit(), Err(destination::Error::NoManifest { .. })));
    assert_eq!(names(&to), [].into());
}

#[test]
fn the_index_is_as_before_until_the_commit() {
    let (place, source, to) = image(&["a"]);
    copy(&source, &destination(&to, "n")).unwrap();
    let old = tree(&to);
    docker_image(&place.path().join("other"), "other", &["b"]);
    let other = DirSource::open(place.path().join("other")).unwrap();
    let interrupted = destination(&to, "n");
    let blobs = ImageManifest::parse(&other.manifest(None).unwrap()).unwrap();
    local::copy_blob(&other, &interrupted, &blobs.layers()[0]).unwrap();
    let manifest = ManifestBytes::new(br#"{"schemaVersion": 2, "manifests": []}"#.to_vec(), MediaType::OCI_INDEX);
    interrupted.put_manifest(&manifest, None).unwrap();
    drop(interrupted);
    let now = tree(&to);
    assert!(old.iter().all(|(name, file)| now.get(name) == Some(file)), "the old image changed");
    assert_eq!(now.len(), old.len() + 2);
    let again = destination(&to, "n");
    assert!(again.has_blob(&blobs.layers()[0]).unwrap());
    copy(&other, &again).unwrap();
    assert_eq!(entries(&to), ["", "n"]);
}

#[test]
fn many_writers_into_one_layout_all_succeed() {
    let (_place, source, to) = image(&["a", "b"]);
    let expected: Vec<_> = (0..8).map(|number| format!("n{number}")).collect();
    thread::scope(|scope| {
        for name in &expected {
            let (source, to) = (&source, &to);
            scope.spawn(move || {
                for _ in 0..5 {
                    copy(source, &destination(to, name)).unwrap();
                }
            });
        }
    });
    let mut found = entries(&to);
    found.sort();
    assert_eq!(found, expected);
    assert!(names(&to).iter().all(|name| !name.contains(".transship-")), "{:?}", names(&to));
    for name in &expected {
        let image = open(&to, name).unwrap();
        for layer in ImageManifest::parse(&image.manifest(None).unwrap()).unwrap().layers() {
            io::copy(&mut image.blob(layer).unwrap(), &mut io::sink()).unwrap();
        }
    }
}

#[test]
fn a_blob_that_is_there_is_checked_and_not_believed() {
    let (_place, source, to) = image(&["aaaa"]);
    copy(&source, &destination(&to, "n")).unwrap();
    let whole = tree(&to);
    let blob = ImageManifest::parse(&source.manifest(None).unwrap()).unwrap().layers()[0].clone();
    let path = to.join("blobs/sha256").join(blob.digest().digest());
    for wrong in [&local::layer("aaab")[..], b"short", b""] {
        fs::write(&path, wrong).unwrap();
        let mut read = Vec::new();
        assert!(open(&to, "n").unwrap().blob(&blob).unwrap().read_to_end(&mut read).is_err());
        assert!(!destination(&to, "n").has_blob(&blob).unwrap());
        copy(&source, &destination(&to, "n")).unwrap();
        assert_eq!(tree(&to), whole);
    }
}

#[test]
fn a_damaged_manifest_is_an_error() {
    let (_place, source, to) = image(&["a"]);
    copy(&source, &destination(&to, "n")).unwrap();
    let digest = index(&to)["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let path = to.join("blobs").join(digest.replace(':', "/"));
    let bytes = fs::read(&path).unwrap();
    for wrong in [[&bytes[..], b" "].concat(), bytes[1..].to_vec(), [b" ", &bytes[1..]].concat()] {
        fs::write(&path, wrong).unwrap();
        assert!(matches!(open(&to, "n"), Err(source::Error::Damaged { .. })));
    }
}

#[test]
fn bytes_that_fail_leave_nothing() {
    let place = TempDir::new().unwrap();
    let writer = destination(place.path(), "n");
    let blob = descriptor(b"whole", Algorithm::Sha256);
    let body = transship::digest::VerifyingReader::new(&b"wrong"[..], Digest::sha256(b"whole"), 5);
    let error = writer.put_blob(&blob, &mut { body }).unwrap_err();
    assert!(matches!(error, destination::Error::Read { .. }), "{error}");
    assert_eq!(names(place.path()), [].into());
}

#[test]
fn an_index_that_cannot_be_read_is_an_error_before_the_work_and_is_kept() {
    for text in ["{", "[]", r#"{"schemaVersion": 2, "manifests": [{"digest": 1}]}"#] {
        let place = TempDir::new().unwrap();
        fs::write(place.path().join("index.json"), text).unwrap();
        let error = OciLayoutDestination::open(reference(place.path(), "n")).unwrap_err();
        assert!(matches!(error, destination::Error::Existing(source::Error::Index { .. })), "{error}");
        assert!(matches!(open(place.path(), "n"), Err(source::Error::Index { .. })));
        assert_eq!(fs::read_to_string(place.path().join("index.json")).unwrap(), text);
    }
    let place = TempDir::new().unwrap();
    let escaping = json!({"schemaVersion": 2, "manifests": [{"digest": "sha256:../../etc", "size": 1}]});
    fs::write(place.path().join("index.json"), escaping.to_string()).unwrap();
    assert!(matches!(open(place.path(), ""), Err(source::Error::IndexDigest { .. })));
    fs::write(place.path().join("index.json"), r#"{"schemaVersion": 2, "manifests": null}"#).unwrap();
    assert!(matches!(open(place.path(), ""), Err(source::Error::NoImage { .. })));
}

#[test]
fn what_others_wrote_into_the_index_is_kept() {
    let (_place, source, to) = image(&["a"]);
    fs::create_dir(&to).unwrap();
    let other = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::sha256(b"").as_str(), "size": 0,
        "annotations": {"a": "<b>", "org.opencontainers.image.ref.name": "theirs"},
        "platform": {"architecture": "arm", "os": "linux", "os.version": "1", "variant": "v7"},
        "artifactType": "x/y", "data": "e30=", "urls": ["https://example.com"],
    });
    let whole = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(), "manifests": [other],
        "annotations": {"c": "d"}});
    fs::write(to.join("index.json"), whole.to_string()).unwrap();
    fs::write(to.join("oci-layout"), r#"{ "imageLayoutVersion":"1.0.0" }"#).unwrap();
    copy(&source, &destination(&to, "ours")).unwrap();
    let mut now = index(&to);
    now["manifests"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(now, whole);
    assert_eq!(fs::read_to_string(to.join("oci-layout")).unwrap(), r#"{ "imageLayoutVersion":"1.0.0" }"#);
}

#[test]
fn an_index_with_other_algorithms_is_read_back() {
    let place = TempDir::new().unwrap();
    let instance = ManifestBytes::new(br#"{"schemaVersion": 2}"#.to_vec(), MediaType::OCI_MANIFEST);
    let digest = Digest::of(Algorithm::Sha512, instance.bytes());
    let list = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": MediaType::OCI_MANIFEST.as_str(), "digest": digest.as_str(), "size": instance.size()},
    ]});
    let writer = destination(place.path(), "n");
    writer.put_manifest(&instance, Some(&digest)).unwrap();
    writer.put_manifest(&ManifestBytes::new(list.to_string().into(), MediaType::OCI_INDEX), None).unwrap();
    writer.commit().unwrap();
    assert!(place.path().join("blobs/sha512").join(digest.encoded()).is_file());
    let source = open(place.path(), "n").unwrap();
    let index = Index::parse(&source.manifest(None).unwrap()).unwrap();
    assert_eq!(source.manifest(Some(index.instances()[0].digest())).unwrap().bytes(), instance.bytes());
}

#[test]
fn an_error_names_the_file() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("blobs"), "in the way").unwrap();
    let blob = descriptor(b"x", Algorithm::Sha256);
    let error = destination(place.path(), "n").put_blob(&blob, &mut &b"x"[..]).unwrap_err();
    assert!(error.to_string().ends_with("/blobs/sha256: cannot write"), "{error}");
    let error = open(place.path(), "n").unwrap_err();
    assert!(error.to_string().ends_with("/index.json: cannot read"), "{error}");
}

#[test]
fn a_layout_refuses_signatures_and_says_what_to_do() {
    let place = TempDir::new().unwrap();
    let to = destination(place.path(), "n");
    to.check_signatures(&[]).unwrap();
    to.put_signatures(&[], None).unwrap();
    let signatures = [transship::signature::UntrustedSignature::SimpleSigning(b"\x90".to_vec())];
    for outcome in [to.check_signatures(&signatures), to.put_signatures(&signatures, None)] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, destination::Error::NoSignatures { .. }), "{error}");
        assert!(error.is_about_signatures(), "{error}");
    }
}
