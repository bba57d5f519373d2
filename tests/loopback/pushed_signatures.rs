//! Signatures on their way to a registry: which are taken, and what becomes of those that are there.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use transship::config::Config;
use transship::destination::{self, Error, ImageDestination};
use transship::error::one_line;
use transship::manifest::ManifestBytes;
use transship::signature::{SigstoreSignature, UntrustedSignature};
use transship::{Digest, MediaType};

use crate::machine::Machine;
use crate::support::image::Image;
use crate::support::reply::Reply;
use crate::support::uploads::{Fault, RunningUploads, Uploads};

fn simple() -> UntrustedSignature {
    UntrustedSignature::SimpleSigning(b"\x90 simple".to_vec())
}

fn sigstore(media_type: MediaType) -> UntrustedSignature {
    let annotations = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    UntrustedSignature::Sigstore(SigstoreSignature { media_type, payload: b"payload".to_vec(), annotations })
}

/// A place in the registry, of whose signatures registries.d says this.
fn open(registry: &RunningUploads, registries_d: &str) -> (Machine, Box<dyn ImageDestination>) {
    let machine = Machine::new().insecure(&registry.authority());
    let directory = machine.root.path().join("signatures.d");
    fs::create_dir(&directory).unwrap();
    let store = format!("file://{}", machine.root.path().join("store").display());
    fs::write(directory.join("all.yaml"), registries_d.replace("STORE", &store)).unwrap();
    let mut paths = machine.config().paths;
    paths.registries_d = Some(directory);
    let config = Config::load_from(paths).unwrap();
    let reference = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
    let to = destination::open_with(&config, &reference, &machine.options()).unwrap();
    (machine, to)
}

fn manifest() -> ManifestBytes {
    ManifestBytes::new(Image::with_layers(["one"]).manifest(), MediaType::OCI_MANIFEST)
}

/// `sha256-…`
fn tag(suffix: &str) -> String {
    format!("sha256-{}{suffix}", manifest().digest().encoded())
}

#[test]
fn what_cannot_be_kept_is_refused_before_anything_is_sent() {
    const ATTACHMENTS: &str = "default-docker: {use-sigstore-attachments: true}\n";
    let [cosign, bundle] = [MediaType::COSIGN_PAYLOAD, MediaType::SIGSTORE_BUNDLE].map(sigstore);
    let none: fn(&Error) -> bool = |error| matches!(error, Error::NoAttachments { .. });
    let read_only: fn(&Error) -> bool = |error| matches!(error, Error::LookasideNotWritable { .. });
    let unusable: fn(&Error) -> bool = |error| matches!(error, Error::Lookaside(_));
    let staged = "default-docker: {lookaside: 'https://x.example', lookaside-staging: 'STORE'}\n";
    for (registries_d, signature, refusal) in [
        ("", &cosign, Some(none)),
        ("", &bundle, Some(none)),
        (ATTACHMENTS, &cosign, None),
        (ATTACHMENTS, &bundle, None),
        ("default-docker: {lookaside: 'STORE'}\n", &simple(), None),
        (staged, &simple(), None),
        ("default-docker: {lookaside: 'https://x.example'}\n", &simple(), Some(read_only)),
        ("default-docker: {lookaside: 'STORE', lookaside-staging: 'http://x.example'}\n", &simple(), Some(read_only)),
        ("default-docker: {lookaside: 'ftp://x.example'}\n", &simple(), Some(unusable)),
        ("default-docker: {lookaside: 'https://u:p@x.example'}\n", &simple(), Some(unusable)),
    ] {
        let registry = Uploads::new().serve();
        let (_machine, to) = open(&registry, registries_d);
        to.check_signatures(&[]).unwrap();
        let outcome = to.check_signatures(std::slice::from_ref(signature));
        assert!(registry.requests().is_empty());
        match (outcome, refusal) {
            (Ok(()), None) => {}
            (Err(error), Some(is_expected)) => {
                assert!(is_expected(&error), "{registries_d}: {}", one_line(&error));
                assert!(error.is_about_signatures() || matches!(error, Error::Lookaside(_)), "{error}");
                to.put_manifest(&manifest(), None).unwrap();
                assert!(to.put_signatures(std::slice::from_ref(signature), None).is_err());
                assert!(registry.requests().is_empty());
            }
            (outcome, _) => panic!("{registries_d}: {outcome:?}"),
        }
    }
}

#[test]
fn signatures_come_after_their_manifest() {
    let registry = Uploads::new().serve();
    let (machine, to) = open(&registry, "default-docker: {lookaside: 'STORE'}\n");
    let instance = Digest::sha256(b"unknown");
    for instance in [None, Some(&instance)] {
        assert!(matches!(to.put_signatures(&[simple()], instance), Err(Error::NoManifest { .. })));
    }
    let digest = manifest().digest().clone();
    to.put_manifest(&manifest(), Some(&digest)).unwrap();
    to.put_signatures(&[simple()], Some(&digest)).unwrap();
    let file = machine.root.path().join(format!("store/org/app@sha256={}/signature-1", digest.encoded()));
    assert_eq!(fs::read(file).unwrap(), simple().to_stored());
}

#[test]
fn the_attachment_keeps_what_others_wrote_into_it() {
    let registry = Uploads::new().serve();
    let (_machine, to) = open(&registry, "default-docker: {use-sigstore-attachments: true}\n");
    to.put_manifest(&manifest(), None).unwrap();
    to.put_signatures(&[sigstore(MediaType::COSIGN_PAYLOAD)], None).unwrap();
    let (media_type, bytes) = registry.manifest("org/app", &tag(".sig")).unwrap();
    assert_eq!(media_type, MediaType::OCI_MANIFEST.as_str());
    let mut document: Value = serde_json::from_slice(&bytes).unwrap();
    let payload = Digest::sha256(b"payload");
    let layer = json!({
        "mediaType": MediaType::COSIGN_PAYLOAD.as_str(), "size": 7, "digest": payload.as_str(), "annotations": {"a": "1"},
    });
    assert_eq!(document["layers"], json!([layer]));
    let config: Value = serde_json::from_slice(&config(&registry, &document)).unwrap();
    let expected = json!({
        "architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": [payload.as_str()]},
    });
    assert_eq!(config, expected);

    document["annotations"] = json!({"theirs": "kept"});
    put_manifest(&registry, &tag(".sig"), &document);
    to.put_signatures(&[sigstore(MediaType::from("a/b"))], None).unwrap();
    let (_, bytes) = registry.manifest("org/app", &tag(".sig")).unwrap();
    let now: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(now["annotations"], document["annotations"]);
    assert_eq!(now["layers"][0], layer);
    assert_eq!(now["layers"][1]["mediaType"], "a/b");
}

fn config(registry: &RunningUploads, document: &Value) -> Vec<u8> {
    registry.blob(&document["config"]["digest"].as_str().unwrap().parse().unwrap()).unwrap()
}

/// As another program would.
fn put_manifest(registry: &RunningUploads, tag: &str, document: &Value) {
    let to = Machine::new().insecure(&registry.authority());
    let reference = format!("docker://{}", registry.reference(&format!("org/app:{tag}"))).parse().unwrap();
    let to = destination::open_with(&to.config(), &reference, &to.options()).unwrap();
    to.put_manifest(&ManifestBytes::new(document.to_string().into(), MediaType::OCI_MANIFEST), None).unwrap();
    to.commit().unwrap();
}

#[test]
fn nothing_is_written_over_what_is_no_attachment() {
    let text = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;
    let index = Reply::ok(text).header("Content-Type", MediaType::OCI_INDEX.as_str());
    let image = Reply::ok(manifest().bytes()).header("Content-Type", MediaType::OCI_MANIFEST.as_str());
    let docker = Image::with_layers(["one"]).docker();
    let docker = Reply::ok(docker.manifest()).header("Content-Type", docker.media_type());
    for (suffix, media_type, there) in [
        (".sig", MediaType::COSIGN_PAYLOAD, index),
        (".sig", MediaType::COSIGN_PAYLOAD, docker),
        ("", MediaType::SIGSTORE_BUNDLE, image),
    ] {
        // The https try of an insecure registry reaches nobody, so the first GET is that of the tag.
        let registry = Uploads::new().fault("GET", 1, Fault::Answer(there)).serve();
        let (_machine, to) = open(&registry, "default-docker: {use-sigstore-attachments: true}\n");
        to.put_manifest(&manifest(), None).unwrap();
        let error = to.put_signatures(&[sigstore(media_type)], None).unwrap_err();
        assert!(matches!(error, Error::ExistingSignatures { .. }), "{}", one_line(&error));
        assert!(error.to_string().contains(&tag(suffix)), "{error}");
        assert_eq!(registry.manifest("org/app", &tag(suffix)), None);
    }
}

#[test]
fn a_failure_that_is_not_absence_writes_nothing_over_what_may_be_there() {
    for status in [500, 403] {
        let mut uploads = Uploads::new();
        for nth in 1..=4 {
            uploads = uploads.fault("GET", nth, Fault::Answer(Reply::new(status)));
        }
        let registry = uploads.serve();
        let (_machine, to) = open(&registry, "default-docker: {use-sigstore-attachments: true}\n");
        to.put_manifest(&manifest(), None).unwrap();
        let error = to.put_signatures(&[sigstore(MediaType::COSIGN_PAYLOAD)], None).unwrap_err();
        assert_eq!((error.is_transient(), error.is_unauthorized()), (status == 500, status == 403));
        assert_eq!(registry.manifest("org/app", &tag(".sig")), None);
    }
}

#[test]
fn a_registry_that_lists_referrers_needs_no_tag_for_them() {
    for knows in [true, false] {
        let uploads = if knows { Uploads::new().knowing_referrers() } else { Uploads::new() };
        let registry = uploads.serve();
        let (_machine, to) = open(&registry, "default-docker: {use-sigstore-attachments: true}\n");
        to.put_manifest(&manifest(), None).unwrap();
        to.put_signatures(&[sigstore(MediaType::SIGSTORE_BUNDLE)], None).unwrap();
        let listed = registry.manifest("org/app", &tag(""));
        assert_eq!(listed.is_none(), knows);
        if let Some((media_type, bytes)) = listed {
            assert_eq!(media_type, MediaType::OCI_INDEX.as_str());
            let index: Value = serde_json::from_slice(&bytes).unwrap();
            let entry = &index["manifests"][0];
            assert_eq!(entry["artifactType"], MediaType::SIGSTORE_BUNDLE.as_str());
            assert_eq!(entry["annotations"], json!({"a": "1"}));
        }
    }
}
