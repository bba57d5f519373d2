//! `dir:` images, read and written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should panic")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use transship::copy::read_config;
use transship::destination::{self, DirDestination, ImageDestination};
use transship::manifest::{ImageManifest, Index, ManifestBytes};
use transship::signature::UntrustedSignature;
use transship::source::{self, DirSource, ImageSource, dir::Version};
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

const VERSION_1_1: &str = "Directory Transport Version: 1.1\n";

/// A source image, its reader, and a place to write.
fn image(layers: &[&str]) -> (TempDir, DirSource, std::path::PathBuf) {
    let place = TempDir::new().unwrap();
    docker_image(&place.path().join("from"), "user", layers);
    let source = DirSource::open(place.path().join("from")).unwrap();
    let to = place.path().join("to");
    (place, source, to)
}

/// Gives some bytes, then fails.
struct Broken<'a>(&'a [u8]);

impl destination::BlobInput for Broken<'_> {}

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the line went dead")),
            count => Ok(count),
        }
    }
}

#[test]
fn an_image_is_copied_whole_with_the_modes_of_skopeo() {
    let (place, source, to) = image(&["a", "b"]);
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    assert_eq!(tree(&to), tree(&place.path().join("from")));
    assert!(tree(&to).values().all(|(mode, _)| mode & 0o777 == 0o644));
    assert_eq!(names(&to).len(), 5);
}

#[test]
fn an_index_is_copied_with_its_instances() {
    let place = TempDir::new().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    docker_list(&from);
    copy(&DirSource::open(&from).unwrap(), &DirDestination::open(&to).unwrap()).unwrap();
    assert_eq!(tree(&to), tree(&from));
}

#[test]
fn the_result_is_what_skopeo_writes() {
    let Some(skopeo) = peers::peer("skopeo") else { return };
    let place = TempDir::new().unwrap();
    for (name, is_list) in [("image", false), ("list", true)] {
        let at = |suffix: &str| place.path().join(format!("{name}-{suffix}"));
        let (from, theirs, ours) = (at("from"), at("theirs"), at("ours"));
        if is_list {
            docker_list(&from);
        } else {
            docker_image(&from, "user", &["a", "b"]);
        }
        let (input, output) = (format!("dir:{}", from.display()), format!("dir:{}", theirs.display()));
        local::skopeo_copy(&skopeo, &["--all", &input, &output]);
        copy(&DirSource::open(&from).unwrap(), &DirDestination::open(&ours).unwrap()).unwrap();
        assert_eq!(tree(&ours), tree(&theirs), "{name}");
        // And the other way round: skopeo reads what was written here.
        let (input, output) = (format!("dir:{}", ours.display()), format!("dir:{}", at("again").display()));
        local::skopeo_copy(&skopeo, &["--all", &input, &output]);
        assert_eq!(tree(&at("again")), tree(&ours), "{name}");
    }
}

#[test]
fn the_old_image_stays_until_the_commit_and_goes_with_it() {
    let (place, source, to) = image(&["new", "shared"]);
    docker_image(&to, "old", &["old", "shared"]);
    fs::write(to.join("signature-1"), "of the old image").unwrap();
    let old = tree(&to);
    let new_manifest = source.manifest(None).unwrap();
    let image = ImageManifest::parse(&new_manifest).unwrap();
    {
        let interrupted = DirDestination::open(&to).unwrap();
        for blob in image.layers() {
            local::copy_blob(&source, &interrupted, blob).unwrap();
        }
        interrupted.put_manifest(&new_manifest, None).unwrap();
        let now = tree(&to);
        assert!(old.iter().all(|(name, file)| now.get(name) == Some(file)), "the old image changed");
        assert_eq!(now.len(), old.len() + 1);
    }
    let reader = DirSource::open(&to).unwrap();
    assert_ne!(reader.manifest(None).unwrap().digest(), new_manifest.digest());
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    assert_eq!(tree(&to), tree(&place.path().join("from")));
}

#[test]
fn an_interrupted_copy_is_continued_with_the_blobs_that_are_there() {
    let (_place, source, to) = image(&["a", "b"]);
    let manifest = source.manifest(None).unwrap();
    let blobs = ImageManifest::parse(&manifest).unwrap();
    let first = DirDestination::open(&to).unwrap();
    local::copy_blob(&source, &first, &blobs.layers()[0]).unwrap();
    drop(first);
    assert!(DirSource::open(&to).is_err(), "half an image can be read");
    let second = DirDestination::open(&to).unwrap();
    assert!(second.has_blob(&blobs.layers()[0]).unwrap());
    assert!(!second.has_blob(&blobs.layers()[1]).unwrap());
    copy(&source, &second).unwrap();
    assert_eq!(*DirSource::open(&to).unwrap().manifest(None).unwrap(), *manifest);
}

#[test]
fn a_blob_that_is_there_is_checked_and_not_believed() {
    let (place, source, to) = image(&["aaaa"]);
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    let manifest = source.manifest(None).unwrap();
    let blob = &ImageManifest::parse(&manifest).unwrap().layers()[0].clone();
    let path = to.join(blob.digest().digest());
    for wrong in [&local::layer("aaab")[..], b"short", b""] {
        fs::write(&path, wrong).unwrap();
        let mut read = Vec::new();
        assert!(DirSource::open(&to).unwrap().blob(blob).unwrap().read_to_end(&mut read).is_err());
        let destination = DirDestination::open(&to).unwrap();
        assert!(!destination.has_blob(blob).unwrap());
        copy(&source, &destination).unwrap();
        assert_eq!(tree(&to), tree(&place.path().join("from")));
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!DirDestination::open(&to).unwrap().has_blob(blob).unwrap());
    assert!(matches!(DirSource::open(&to).unwrap().blob(blob), Err(source::Error::NotAFile { .. })));
}

#[test]
fn bytes_that_fail_leave_nothing() {
    let place = TempDir::new().unwrap();
    let destination = DirDestination::open(place.path()).unwrap();
    let blob = descriptor(b"whole", Algorithm::Sha256);
    let error = destination.put_blob(&blob, &mut Broken(b"who")).unwrap_err();
    assert!(matches!(error, destination::Error::Read { .. }), "{error}");
    assert_eq!(names(place.path()), ["version".to_owned()].into());
    let error = destination.commit().unwrap_err();
    assert!(matches!(error, destination::Error::NoManifest { .. }), "{error}");
    assert_eq!(names(place.path()), ["version".to_owned()].into());
}

#[test]
fn what_a_dead_writer_left_is_swept_and_what_a_living_one_holds_is_not() {
    let (_place, source, to) = image(&["a"]);
    fs::create_dir(&to).unwrap();
    fs::write(to.join(".transship-dead"), "half").unwrap();
    fs::write(to.join(".transship-alive"), "half").unwrap();
    let alive = File::open(to.join(".transship-alive")).unwrap();
    alive.lock().unwrap();
    let destination = DirDestination::open(&to).unwrap();
    assert_eq!(names(&to), [".transship-alive".to_owned(), "version".to_owned()].into());
    copy(&source, &destination).unwrap();
    assert!(to.join(".transship-alive").exists());
    assert!(DirSource::open(&to).is_ok());
}

#[test]
fn one_writer_at_a_time() {
    let place = TempDir::new().unwrap();
    let first = DirDestination::open(place.path()).unwrap();
    assert!(matches!(DirDestination::open(place.path()), Err(destination::Error::Busy { .. })));
    drop(first);
    DirDestination::open(place.path()).unwrap();
}

#[test]
fn somebody_elses_directory_is_refused_and_left_alone() {
    for (name, text) in [("notes.txt", "mine"), ("version", "1.0"), ("version", "Directory Transport Version: 2.0\n")] {
        let place = TempDir::new().unwrap();
        fs::write(place.path().join(name), text).unwrap();
        fs::write(place.path().join(".transship-x"), "mine as well").unwrap();
        let before = tree(place.path());
        let error = DirDestination::open(place.path()).unwrap_err();
        assert!(matches!(error, destination::Error::NotAnImageDirectory { .. }), "{name}: {error}");
        assert_eq!(tree(place.path()), before);
    }
}

#[test]
fn a_directory_within_an_image_directory_is_left_alone() {
    let (_place, source, to) = image(&["a"]);
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    fs::create_dir(to.join("notes")).unwrap();
    fs::write(to.join("notes/mine"), "").unwrap();
    fs::write(to.join("stray"), "").unwrap();
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    assert!(to.join("notes/mine").exists());
    assert!(!to.join("stray").exists());
}

#[test]
fn an_error_names_the_file() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    let error = DirDestination::open(place.path().join("file/below")).unwrap_err();
    assert!(error.to_string().contains("file/below: cannot write"), "{error}");
    let error = DirSource::open(place.path().join("nowhere")).unwrap_err();
    assert!(error.to_string().contains("nowhere/manifest.json: cannot read"), "{error}");
}

#[test]
fn a_file_that_cannot_be_replaced_is_an_error_and_leaves_nothing() {
    let place = TempDir::new().unwrap();
    let destination = DirDestination::open(place.path()).unwrap();
    let blob = descriptor(b"whole", Algorithm::Sha256);
    let path = place.path().join(Digest::sha256(b"whole").encoded());
    fs::create_dir(&path).unwrap();
    let error = destination.put_blob(&blob, &mut &b"whole"[..]).unwrap_err();
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    assert_eq!(names(place.path()), ["version".to_owned()].into());
}

#[test]
fn a_config_is_used_when_it_has_its_digest() {
    for case in tables::table("manifest", "validate_blob_against_digest") {
        let blob = case["blob"].as_str().unwrap().as_bytes();
        let digest = match case["name"].as_str().unwrap() {
            // Two rows are Go expressions.
            "digest mismatch" => Digest::sha256(b"different data").to_string(),
            "sha512 digest success" => Digest::of(Algorithm::Sha512, blob).to_string(),
            _ => case["expectedDigest"].as_str().unwrap().to_owned(),
        };
        let place = TempDir::new().unwrap();
        let manifest = json!({
            "schemaVersion": 2, "layers": [],
            "config": {"mediaType": MediaType::OCI_CONFIG.as_str(), "digest": digest, "size": blob.len()},
        });
        fs::write(place.path().join("manifest.json"), manifest.to_string()).unwrap();
        if let Ok(digest) = digest.parse::<Digest>() {
            let name = if digest.algorithm() == Algorithm::Sha256 {
                digest.encoded()
            } else {
                &digest.to_string().replace(':', "-")
            };
            fs::write(place.path().join(name), blob).unwrap();
        }
        let source = DirSource::open(place.path()).unwrap();
        let manifest = source.manifest(None).unwrap();
        let config = ImageManifest::parse(&manifest).ok().and_then(|image| read_config(&source, image.config()).ok());
        assert_eq!(config.as_deref(), (case["expectError"] == false).then_some(blob), "{case}");
    }
}

#[test]
fn version_files_are_those_of_containers_image() {
    for case in tables::table("other_transports", "dir_version_parse") {
        let parsed = case["input"].as_str().unwrap().parse::<Version>();
        assert_eq!(parsed.is_err(), case["shouldError"] == true, "{case}");
        if let Ok(version) = parsed {
            assert_eq!(version.to_string(), case["input"]);
        }
    }
    for case in tables::table("other_transports", "dir_version_assignment") {
        let place = TempDir::new().unwrap();
        let destination = DirDestination::open(place.path()).unwrap();
        for name in case["algorithms"].as_array().unwrap() {
            let algorithm = if name == "sha512" { Algorithm::Sha512 } else { Algorithm::Sha256 };
            destination.put_blob(&descriptor(b"x", algorithm), &mut &b"x"[..]).unwrap();
        }
        destination.put_manifest(&ManifestBytes::new(b"{}".to_vec(), MediaType::OCI_INDEX), None).unwrap();
        destination.commit().unwrap();
        let (major, minor) = (&case["expectedVersion"]["major"], &case["expectedVersion"]["minor"]);
        let expected = format!("Directory Transport Version: {major}.{minor}\n");
        assert_eq!(fs::read_to_string(place.path().join("version")).unwrap(), expected, "{case}");
    }
}

#[test]
fn a_lower_version_comes_back_with_an_image_that_needs_no_higher() {
    let (_place, source, to) = image(&["a"]);
    let first = DirDestination::open(&to).unwrap();
    first.put_blob(&descriptor(b"x", Algorithm::Sha512), &mut &b"x"[..]).unwrap();
    first.put_manifest(&ManifestBytes::new(b"{}".to_vec(), MediaType::OCI_INDEX), None).unwrap();
    first.commit().unwrap();
    drop(first);
    let second = DirDestination::open(&to).unwrap();
    assert_eq!(fs::read_to_string(to.join("version")).unwrap(), "Directory Transport Version: 1.2\n");
    copy(&source, &second).unwrap();
    assert_eq!(fs::read_to_string(to.join("version")).unwrap(), VERSION_1_1);
}

#[test]
fn a_directory_is_read_with_any_version_that_is_not_known_to_be_another() {
    let (_place, source, to) = image(&["a"]);
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    for text in ["Directory Transport Version: 1.9\n", "", "hand-made"] {
        fs::write(to.join("version"), text).unwrap();
        DirSource::open(&to).unwrap();
    }
    fs::remove_file(to.join("version")).unwrap();
    DirSource::open(&to).unwrap();
    fs::write(to.join("version"), "Directory Transport Version: 2.0\n").unwrap();
    let error = DirSource::open(&to).unwrap_err();
    assert!(matches!(error, source::Error::DirVersion { .. }), "{error}");
    assert!(error.to_string().ends_with("\"Directory Transport Version: 2.0\""), "{error}");
}

#[test]
fn files_of_other_algorithms_have_its_name() {
    let place = TempDir::new().unwrap();
    let destination = DirDestination::open(place.path()).unwrap();
    let instance = ManifestBytes::new(br#"{"schemaVersion": 2}"#.to_vec(), MediaType::OCI_MANIFEST);
    let digest = Digest::of(Algorithm::Sha512, instance.bytes());
    let layer = descriptor(b"layer", Algorithm::Sha384);
    destination.put_blob(&layer, &mut &b"layer"[..]).unwrap();
    destination.put_manifest(&instance, Some(&digest)).unwrap();
    destination.put_manifest(&instance, None).unwrap();
    destination.commit().unwrap();
    let sha384 = Digest::of(Algorithm::Sha384, b"layer");
    let expected = [
        "manifest.json".to_owned(),
        "version".to_owned(),
        format!("sha384-{}", sha384.encoded()),
        format!("sha512-{}.manifest.json", digest.encoded()),
    ];
    assert_eq!(names(place.path()), expected.into());
    let source = DirSource::open(place.path()).unwrap();
    assert_eq!(source.manifest(Some(&digest)).unwrap().bytes(), instance.bytes());
    let mut read = Vec::new();
    let mut reader = source.blob(&layer).unwrap();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"layer");
    assert_eq!(reader.served()[0].bytes, 5);
}

#[test]
fn an_instance_is_checked_when_written_and_when_read() {
    let place = TempDir::new().unwrap();
    docker_list(place.path());
    let source = DirSource::open(place.path()).unwrap();
    let index = Index::parse(&source.manifest(None).unwrap()).unwrap();
    let [first, second] = [index.instances()[0].digest(), index.instances()[1].digest()];
    let file = |digest: &Digest| place.path().join(format!("{}.manifest.json", digest.encoded()));
    fs::copy(file(second), file(first)).unwrap();
    assert!(matches!(source.manifest(Some(first)), Err(source::Error::Damaged { .. })));
    let other = source.manifest(Some(second)).unwrap();
    let destination = DirDestination::open(place.path().join("to")).unwrap();
    let error = destination.put_manifest(&other, Some(first)).unwrap_err();
    assert!(matches!(error, destination::Error::Instance { .. }), "{error}");
}

#[test]
fn a_manifest_is_read_up_to_its_largest_size() {
    let place = TempDir::new().unwrap();
    let file = File::create(place.path().join("manifest.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(DirSource::open(place.path()), Err(source::Error::FileTooLarge { .. })));
    assert!(matches!(DirSource::open(Path::new("/dev/null").parent().unwrap()), Err(source::Error::File { .. })));
}

fn signature(text: &str) -> UntrustedSignature {
    UntrustedSignature::SimpleSigning([b"\x90", text.as_bytes()].concat())
}

#[test]
fn signatures_are_files_that_come_and_go_with_their_image() {
    let (_place, source, to) = image(&["a"]);
    let manifest = source.manifest(None).unwrap();
    let instance = Digest::sha256(b"instance");
    let other = Digest::of(Algorithm::Sha512, b"instance");
    let first = DirDestination::open(&to).unwrap();
    first.check_signatures(&[signature("1")]).unwrap();
    first.put_signatures(&[signature("gone")], None).unwrap();
    first.put_signatures(&[signature("1"), signature("2")], None).unwrap();
    first.put_signatures(&[signature("3")], Some(&instance)).unwrap();
    first.put_signatures(&[signature("4")], Some(&other)).unwrap();
    assert_eq!(names(&to), ["version".to_owned()].into());
    copy(&source, &first).unwrap();
    drop(first);
    let now = |name: &str| fs::read(to.join(name)).unwrap();
    assert_eq!(now("signature-1"), signature("1").to_stored());
    assert_eq!(now("signature-2"), signature("2").to_stored());
    assert_eq!(now(&format!("{}.signature-1", instance.encoded())), signature("3").to_stored());
    assert_eq!(now(&format!("sha512-{}.signature-1", other.encoded())), signature("4").to_stored());

    // The next image has one signature less, and until the commit the old one keeps all of its own.
    let old = tree(&to);
    let second = DirDestination::open(&to).unwrap();
    second.put_manifest(&manifest, None).unwrap();
    second.put_signatures(&[signature("new")], None).unwrap();
    assert_eq!(tree(&to), old);
    copy(&source, &second).unwrap();
    drop(second);
    assert_eq!(now("signature-1"), signature("new").to_stored());
    assert!(names(&to).iter().all(|name| name == "signature-1" || !name.contains("signature-")));

    // One that says nothing of signatures has none.
    copy(&source, &DirDestination::open(&to).unwrap()).unwrap();
    assert!(names(&to).iter().all(|name| !name.contains("signature-")));
}
