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
use crate::support::request::ReceivedRequest;
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

/// What the registry keeps, as we read it.
fn kept(machine: &Machine, registry: &RunningUploads) -> Vec<UntrustedSignature> {
    let by_digest = format!("org/app@{}", manifest().digest());
    let source = machine.open(&registry.reference(&by_digest)).unwrap();
    let found = source.signatures(None, transship::source::SignatureDemand::Judged).unwrap();
    found.into_iter().map(|found| found.signature).collect()
}

#[test]
fn a_registry_that_keeps_signatures_is_given_each_once_and_before_the_tag() {
    let registry = Uploads::new().keeping_signatures().serve();
    let (machine, to) = open(&registry, "");
    to.check_signatures(&[simple()]).unwrap();
    to.put_manifest(&manifest(), None).unwrap();
    to.put_signatures(&[simple()], None).unwrap();
    assert_eq!(registry.manifest("org/app", "1"), None);
    let other = UntrustedSignature::SimpleSigning(b"\x90 other".to_vec());
    to.put_signatures(&[other.clone(), simple(), other.clone()], None).unwrap();
    to.commit().unwrap();
    assert_eq!(registry.asked().iter().filter(|asked| *asked == "GET /v2/").count(), 1);
    assert_eq!(kept(&machine, &registry), [simple(), other]);
    let puts = registry.requests().into_iter().filter(|request| request.method == "PUT");
    let puts: Vec<_> = puts.filter(|request| request.path().starts_with("/extensions/")).collect();
    let expected = format!("/extensions/v2/org/app/signatures/{}", manifest().digest());
    assert_eq!(puts.iter().map(ReceivedRequest::path).collect::<Vec<_>>(), [&expected; 2]);
    for (put, content) in puts.iter().zip(["kCBzaW1wbGU=", "kCBvdGhlcg=="]) {
        let signature: Value = serde_json::from_slice(&put.body).unwrap();
        let name = signature["name"].as_str().unwrap().split_once('@').unwrap();
        assert_eq!((name.0, name.1.len()), (manifest().digest().as_str(), 32));
        let rest = json!([signature["schemaVersion"], signature["type"], signature["content"]]);
        assert_eq!(rest, json!([2, "atomic", content]));
    }
}

#[test]
fn the_signatures_of_an_instance_go_to_the_registry_too() {
    let registry = Uploads::new().keeping_signatures().serve();
    let (machine, to) = open(&registry, "");
    let digest = manifest().digest().clone();
    to.put_manifest(&manifest(), Some(&digest)).unwrap();
    to.put_signatures(&[simple()], Some(&digest)).unwrap();
    assert_eq!(kept(&machine, &registry), [simple()]);
    let puts = registry.asked().into_iter().filter(|asked| asked.contains("/manifests/"));
    assert_eq!(puts.filter(|asked| asked.starts_with("PUT")).count(), 1, "it is there already");
}

/// In the same order as they are looked for.
#[test]
fn a_place_that_is_configured_comes_before_the_registry() {
    for (registries_d, is_asked) in [
        ("default-docker: {lookaside: 'STORE'}\n", false),
        ("default-docker: {lookaside-staging: 'STORE'}\n", false),
        ("default-docker: {use-sigstore-attachments: true}\n", false),
        ("docker: {elsewhere.example: {lookaside: 'STORE'}}\n", true),
        ("", true),
    ] {
        let registry = Uploads::new().keeping_signatures().serve();
        let (_machine, to) = open(&registry, registries_d);
        to.check_signatures(&[sigstore(MediaType::COSIGN_PAYLOAD)]).unwrap_or_default();
        to.check_signatures(&[]).unwrap();
        assert!(registry.asked().is_empty(), "{registries_d}");
        to.check_signatures(&[simple()]).unwrap();
        assert_eq!(registry.asked() == ["GET /v2/"], is_asked, "{registries_d}");
        to.put_manifest(&manifest(), None).unwrap();
        to.put_signatures(&[simple()], None).unwrap();
        let is_kept = registry.asked().iter().any(|asked| asked.starts_with("PUT /extensions/"));
        assert_eq!(is_kept, is_asked, "{registries_d}");
    }
}

#[test]
fn a_registry_without_the_extension_leaves_signatures_to_the_default_store() {
    let registry = Uploads::new().serve();
    let (machine, to) = open(&registry, "");
    to.put_manifest(&manifest(), None).unwrap();
    to.put_signatures(&[simple()], None).unwrap();
    assert_eq!(registry.asked(), ["GET /v2/"]);
    let stored = crate::machine::files(&machine.root.path().join("home"));
    assert_eq!(stored, ["signature-1"]);
}

#[test]
fn a_signature_whose_answer_was_lost_is_kept_and_a_refused_one_is_an_error() {
    // The first PUT is that of the manifest.
    let registry = Uploads::new().keeping_signatures().fault("PUT", 2, Fault::Mute).serve();
    let (machine, to) = open(&registry, "");
    to.put_manifest(&manifest(), None).unwrap();
    to.put_signatures(&[simple()], None).unwrap();
    assert_eq!(kept(&machine, &registry), [simple()]);
    for status in [200, 202, 403, 404, 409] {
        let refused = Fault::Answer(Reply::new(status));
        let registry = Uploads::new().keeping_signatures().fault("PUT", 2, refused).serve();
        let (machine, to) = open(&registry, "");
        to.put_manifest(&manifest(), None).unwrap();
        let error = to.put_signatures(&[simple()], None).unwrap_err();
        assert!(one_line(&error).contains("putting a signature of sha256:"), "{}", one_line(&error));
        assert_eq!(kept(&machine, &registry), []);
    }
}
