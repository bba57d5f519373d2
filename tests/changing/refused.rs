//! A registry that does not know a kind of manifest.

use serde_json::json;
use transship::copy::{Error, Instances, ManifestFormat, Options};
use transship::destination;
use transship::manifest::{ImageManifest, ManifestBytes};
use transship::{Digest, MediaType};

use crate::made::{gzip, layer};
use crate::places::{Sketch, copy, layers, open};
use crate::support::uploads::{RunningUploads, Uploads};

const OCI: [&str; 2] = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"];
const DOCKER: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

fn refusing(kinds: &[&'static str], status: u16, code: &'static str) -> Uploads {
    kinds.iter().fold(Uploads::new(), |registry, kind| registry.refusing(kind, status, code))
}

fn image(kind: &MediaType, seed: u64) -> Sketch {
    let layer = layer(seed, 100);
    let media_type = if *kind == MediaType::OCI_MANIFEST {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    } else {
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    };
    Sketch::image(kind, &[(media_type, &gzip(&layer))], &[Digest::sha256(&layer)])
}

fn index(kind: &MediaType, instances: &MediaType) -> Sketch {
    let images = [1, 2].map(|seed| image(instances, seed));
    let platform = |architecture: &str| json!({"platform": {"os": "linux", "architecture": architecture}});
    Sketch::index(kind, &[(&images[0], platform("amd64")), (&images[1], platform("arm64"))])
}

/// What the registry has under the tag.
fn tagged(registry: &RunningUploads) -> Option<ManifestBytes> {
    let (media_type, bytes) = registry.manifest("org/app", "1")?;
    Some(ManifestBytes::new(bytes, MediaType::from(media_type.as_str())))
}

/// That all blobs of an image are there.
fn assert_whole(registry: &RunningUploads, manifest: &ManifestBytes) {
    let image = ImageManifest::parse(manifest).unwrap();
    for blob in image.layers().iter().chain([image.config()]) {
        let digest = Digest::try_from(blob.digest()).unwrap();
        assert_eq!(registry.blob(&digest).unwrap().len() as u64, blob.size(), "{digest}");
    }
}

#[test]
fn an_image_is_given_the_other_kind_where_its_own_is_refused() {
    for (kind, refused, result) in [
        (MediaType::OCI_MANIFEST, OCI, MediaType::DOCKER_MANIFEST),
        (MediaType::DOCKER_MANIFEST, DOCKER, MediaType::OCI_MANIFEST),
    ] {
        for (status, code) in [(400, "MANIFEST_INVALID"), (404, "TAG_INVALID"), (400, "UNSUPPORTED"), (415, "ANYTHING")]
        {
            let registry = refusing(&refused, status, code).serve();
            let written = copy(&image(&kind, 1), &*open(&registry), &Options::default()).unwrap();
            assert_eq!(*written.media_type(), result, "{status} {code}");
            assert_eq!(tagged(&registry).unwrap(), written);
            assert_whole(&registry, &written);
        }
    }
}

#[test]
fn an_index_follows_its_instances() {
    for (kinds, refused, results) in [
        (
            [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST],
            &OCI[..],
            [MediaType::DOCKER_LIST, MediaType::DOCKER_MANIFEST],
        ),
        (
            [MediaType::DOCKER_LIST, MediaType::DOCKER_MANIFEST],
            &DOCKER,
            [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST],
        ),
        ([MediaType::OCI_INDEX, MediaType::OCI_MANIFEST], &OCI[1..], [MediaType::DOCKER_LIST, MediaType::OCI_MANIFEST]),
        (
            [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST],
            &OCI[..1],
            [MediaType::OCI_INDEX, MediaType::DOCKER_MANIFEST],
        ),
    ] {
        let registry = refusing(refused, 400, "MANIFEST_INVALID").serve();
        let options = Options { instances: Instances::All, ..Options::default() };
        let written = copy(&index(&kinds[0], &kinds[1]), &*open(&registry), &options).unwrap();
        assert_eq!((written.media_type(), &tagged(&registry).unwrap()), (&results[0], &written));
        let entries = crate::places::document(&written)["manifests"].clone();
        for entry in entries.as_array().unwrap() {
            assert_eq!(entry["mediaType"], results[1].as_str());
            let (_, bytes) = registry.manifest("org/app", entry["digest"].as_str().unwrap()).unwrap();
            assert_eq!(entry["size"], bytes.len());
            assert_whole(&registry, &ManifestBytes::new(bytes, results[1].clone()));
        }
    }
}

#[test]
fn a_registry_that_refuses_both_is_an_error_with_both_and_nothing_is_tagged() {
    let registry = refusing(&[OCI, DOCKER].concat(), 400, "MANIFEST_INVALID").serve();
    for from in [image(&MediaType::OCI_MANIFEST, 1), index(&MediaType::DOCKER_LIST, &MediaType::DOCKER_MANIFEST)] {
        let options = Options { instances: Instances::All, ..Options::default() };
        let error = copy(&from, &*open(&registry), &options).unwrap_err();
        let Error::AllRefused { attempts } = &error else { panic!("{error:?}") };
        assert_eq!(attempts.len(), 2);
        let text = error.to_string();
        assert!(text.contains(OCI[0]) && text.contains(DOCKER[0]) && text.contains("manifest invalid"), "{text}");
        assert!(tagged(&registry).is_none());
    }
}

#[test]
fn what_must_not_change_is_not_given_another_kind() {
    let kept = Options { preserve_digests: true, ..Options::default() };
    let forced = Options { format: Some(ManifestFormat::Oci), ..Options::default() };
    for options in [kept, forced] {
        let registry = refusing(&OCI, 400, "MANIFEST_INVALID").serve();
        let error = copy(&image(&MediaType::OCI_MANIFEST, 1), &*open(&registry), &options).unwrap_err();
        assert!(matches!(error, Error::Destination(destination::Error::ManifestRefused { .. })), "{error:?}");
        assert_eq!(registry.methods("/manifests/"), ["PUT"]);
        assert!(tagged(&registry).is_none());
    }
}

#[test]
fn what_is_not_about_the_kind_is_no_reason_to_convert() {
    for (status, code) in [(400, "MANIFEST_BLOB_UNKNOWN"), (403, "DENIED"), (413, "SIZE_INVALID")] {
        let registry = refusing(&OCI, status, code).serve();
        let error = copy(&image(&MediaType::OCI_MANIFEST, 1), &*open(&registry), &Options::default()).unwrap_err();
        assert!(!matches!(error, Error::AllRefused { .. }), "{error:?}");
        assert_eq!(registry.methods("/manifests/"), ["PUT"], "{code}");
    }
}

#[test]
fn what_cannot_be_converted_says_why_after_the_refusal() {
    let registry = refusing(&OCI, 400, "MANIFEST_INVALID").serve();
    let plain = layer(1, 100);
    let zstd = crate::made::zstd(&plain);
    let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    let from = Sketch::image(&MediaType::OCI_MANIFEST, &[(media_type, &zstd)], &[Digest::sha256(&plain)]);
    assert_eq!(layers(from.top())[0].0, media_type);
    let error = copy(&from, &*open(&registry), &Options::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("manifest invalid") && text.contains(media_type), "{text}");
}
