//! The signatures that containers/image and cosign made, and what containers/image makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use transship::signature::sigstore::{
    self, BUNDLE_ANNOTATION, CERTIFICATE_ANNOTATION, CHAIN_ANNOTATION, CaCertificates, ErrorKind, Fulcio, Pki,
    PublicKey, RekorKey, SIGNATURE_ANNOTATION, Signer, SigstoreSignature, Trust,
};
use transship::signature::{Payload, PayloadKind, UntrustedSignature};
use transship::{Digest, MediaType};

use crate::support::shared::shared;
use crate::support::sigstore::at;
use crate::support::tables::{table, text};
use crate::{assert_refused, reason};

const REKOR_TIME: u64 = 1_670_870_899;

fn fixtures() -> Option<PathBuf> {
    shared("fixtures/containers-image/signature/fixtures")
}

fn read(directory: &Path, name: &str) -> Vec<u8> {
    fs::read(directory.join(name)).unwrap()
}

fn keys(directory: &Path, names: &[&str], rekor: &[&str]) -> Trust {
    let keys = names.iter().map(|name| PublicKey::from_pem(&read(directory, name)).unwrap());
    let rekor = rekor.iter().map(|name| RekorKey::from_pem(&read(directory, name)).unwrap());
    Trust::Keys { keys: keys.collect(), rekor: rekor.collect() }
}

fn fulcio(directory: &Path, issuer: &str, email: &str) -> Trust {
    let authorities = CaCertificates::from_pem(&read(directory, "fulcio_v1.crt.pem")).unwrap();
    let rekor = RekorKey::from_pem(&read(directory, "rekor.pub")).unwrap();
    Trust::Fulcio(Fulcio::new(authorities, issuer, email, vec![rekor]))
}

fn pki(directory: &Path, email: Option<&str>, hostname: Option<&str>) -> Trust {
    let certificates = |name| CaCertificates::from_pem(&read(directory, name)).unwrap();
    let (roots, intermediates) = (certificates("pki_root_crts.pem"), certificates("pki_intermediate_crts.pem"));
    Trust::Pki(Pki::new(roots, Some(intermediates), email.map(Into::into), hostname.map(Into::into)).unwrap())
}

fn stored(directory: &Path, name: &str) -> SigstoreSignature {
    match UntrustedSignature::from_stored(&read(directory, name)).unwrap() {
        UntrustedSignature::Sigstore(signature) => signature,
        other => panic!("{name} is {}", other.format()),
    }
}

/// A PKI's certificates are held against the present; these are valid until 2052.
fn then() -> SystemTime {
    at(1_790_000_000)
}

#[test]
fn the_signed_images_of_containers_image_are_judged_as_there() {
    let Some(directory) = fixtures() else { return };
    for case in table("image_policy_eval", "sigstoreSigned") {
        let image = text(&case["dir"]);
        if !directory.join(&image).join("manifest.json").exists() {
            continue;
        }
        let rekor = case["rekorPublicKeyPath"].as_str();
        let trust = match (case["keyPath"].as_str(), &case["fulcio"]) {
            (Some(key), _) => keys(&directory, &[key], rekor.as_slice()),
            (None, Value::Object(_)) => {
                fulcio(&directory, &text(&case["fulcio"]["oidcIssuer"]), &text(&case["fulcio"]["subjectEmail"]))
            }
            (None, _) => keys(&directory, &["cosign.pub"], &[]),
        };
        let outcome = sigstore::verify(&stored(&directory, &format!("{image}/signature-1")), &trust, then());
        // The manifest and the name are for the policy to compare, which is what "PRE" and "other" are about.
        let is_about_the_key = text(&case["result"]) == "reject";
        assert_eq!(outcome.is_err(), is_about_the_key, "{case}: {:?}", outcome.map_err(|error| reason(&error)));
    }
}

#[test]
fn what_a_good_signature_says_is_told() {
    let Some(directory) = fixtures() else { return };
    let signature = stored(&directory, "dir-img-cosign-valid/signature-1");
    let verified =
        sigstore::verify(&signature, &keys(&directory, &["cosign2.pub", "cosign.pub"], &[]), then()).unwrap();
    let manifest = read(&directory, "dir-img-cosign-valid/manifest.json");
    assert_eq!(verified.manifest_digest, Digest::sha256(&manifest));
    assert_eq!(verified.docker_reference.as_deref(), Some("192.168.64.2:5000/cosign-signed-single-sample"));
    assert_eq!(verified.signer, Signer::Key(PublicKey::from_pem(&read(&directory, "cosign.pub")).unwrap()));
    assert_eq!(verified.integrated_time, None);
}

#[test]
fn any_of_several_keys_and_logs_will_do() {
    let Some(directory) = fixtures() else { return };
    let signature = stored(&directory, "dir-img-cosign-key-rekor-valid/signature-1");
    for (names, rekor) in [
        (["cosign.pub", "cosign2.pub"], ["rekor.pub", "cosign.pub"]),
        (["cosign2.pub", "cosign.pub"], ["cosign.pub", "rekor.pub"]),
    ] {
        let verified = sigstore::verify(&signature, &keys(&directory, &names, &rekor), then()).unwrap();
        assert!(verified.integrated_time.is_some());
    }
    let outcome = sigstore::verify(&signature, &keys(&directory, &["cosign.pub"], &["rekor.pub"]), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "not made with any of the accepted keys (ECDSA P-256 key sha256:");
    let outcome = sigstore::verify(&signature, &keys(&directory, &["cosign2.pub"], &["cosign.pub"]), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "not signed with any of the accepted log keys (sha256:");
}

#[test]
fn fulcio_vouches_for_one_identity_only() {
    let Some(directory) = fixtures() else { return };
    let (issuer, email) = ("https://github.com/login/oauth", "mitr@redhat.com");
    let signature = stored(&directory, "dir-img-cosign-fulcio-rekor-valid/signature-1");
    let verified = sigstore::verify(&signature, &fulcio(&directory, issuer, email), then()).unwrap();
    assert_eq!(verified.signer.to_string(), "mitr@redhat.com (says https://github.com/login/oauth)");
    assert_eq!(verified.integrated_time, Some(at(1_674_247_893)));

    let outcome = sigstore::verify(&signature, &fulcio(&directory, issuer, "MITR@redhat.com"), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "the required email \"MITR@redhat.com\" is not in the certificate");
    let outcome = sigstore::verify(&signature, &fulcio(&directory, "https://accounts.google.com", email), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "expected \"https://accounts.google.com\"");

    for missing in [SIGNATURE_ANNOTATION, BUNDLE_ANNOTATION, CERTIFICATE_ANNOTATION] {
        let mut signature = signature.clone();
        signature.annotations.remove(missing);
        let outcome = sigstore::verify(&signature, &fulcio(&directory, issuer, email), then());
        assert_refused(outcome, ErrorKind::Invalid, &format!("the annotation {missing} is missing"));
    }
    let mut signature = signature;
    signature.annotations.remove(CHAIN_ANNOTATION);
    let outcome = sigstore::verify(&signature, &fulcio(&directory, issuer, email), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "not issued by a trusted authority");
}

#[test]
fn an_own_pki_vouches_for_its_subjects() {
    let Some(directory) = fixtures() else { return };
    let signature = stored(&directory, "dir-img-cosign-pki-valid/signature-1");
    let (email, hostname) = ("qiwan@redhat.com", "myhost.example.com");
    for (email, hostname) in [(Some(email), Some(hostname)), (Some(email), None), (None, Some(hostname))] {
        let verified = sigstore::verify(&signature, &pki(&directory, email, hostname), then()).unwrap();
        let wanted: Vec<_> = email.into_iter().chain(hostname).collect();
        assert_eq!(verified.signer.to_string(), wanted.join(", "));
    }
    let outcome = sigstore::verify(&signature, &pki(&directory, Some("x@redhat.com"), Some(hostname)), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "email \"x@redhat.com\" is not in the certificate");
    let outcome = sigstore::verify(&signature, &pki(&directory, Some(email), Some("example.com")), then());
    assert_refused(outcome, ErrorKind::NotTrusted, "hostname \"example.com\" is not in the certificate");
    for (time, words) in [(1_700_000_000, "not valid at 2023-"), (2_600_000_000, "not valid at 2052-")] {
        let outcome = sigstore::verify(&signature, &pki(&directory, Some(email), None), at(time));
        assert_refused(outcome, ErrorKind::NotTrusted, words);
    }
    let outcome = sigstore::verify(&signature, &fulcio(&directory, "https://x", email), then());
    assert_refused(outcome, ErrorKind::Invalid, "the annotation dev.sigstore.cosign/bundle is missing");
}

/// The signature whose parts are files of their own.
fn loose(directory: &Path) -> SigstoreSignature {
    let text = |name| String::from_utf8(read(directory, name)).unwrap();
    let annotations = [
        (SIGNATURE_ANNOTATION, text("rekor-sig").trim().to_owned()),
        (BUNDLE_ANNOTATION, text("rekor-set")),
        (CERTIFICATE_ANNOTATION, text("fulcio-cert")),
        (CHAIN_ANNOTATION, text("fulcio-chain")),
    ];
    SigstoreSignature {
        media_type: MediaType::COSIGN_PAYLOAD,
        payload: read(directory, "rekor-payload"),
        annotations: annotations.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

#[test]
fn the_log_vouches_for_this_payload_this_signature_and_this_certificate() {
    let Some(directory) = fixtures() else { return };
    let case = &table("signature_payload", "rekor_set_ok")[0];
    let trust = fulcio(&directory, "https://github.com/login/oauth", "mitr@redhat.com");
    let good = loose(&directory);
    let verified = sigstore::verify(&good, &trust, then()).unwrap();
    assert_eq!(verified.integrated_time, Some(at(REKOR_TIME)));
    assert_eq!(case["time"], REKOR_TIME);

    let changed = |name: &str, change: &dyn Fn(&str) -> String| {
        let mut signature = good.clone();
        let value = signature.annotations.get_mut(name).unwrap();
        *value = change(value);
        sigstore::verify(&signature, &trust, then())
    };
    let twice = |text: &str| format!("{text}\n{text}");
    assert_refused(changed(CERTIFICATE_ANNOTATION, &twice), ErrorKind::Invalid, "2 PEM blocks, expected one");
    let not_pem = |_: &str| "not PEM".to_owned();
    assert_refused(changed(CERTIFICATE_ANNOTATION, &not_pem), ErrorKind::Invalid, "no PEM block");
    assert_refused(changed(CERTIFICATE_ANNOTATION, &|_| String::new()), ErrorKind::Invalid, "no PEM block");
    let other = |_: &str| {
        stored(&directory, "dir-img-cosign-fulcio-rekor-valid/signature-1").annotations[CERTIFICATE_ANNOTATION].clone()
    };
    assert_refused(changed(CERTIFICATE_ANNOTATION, &other), ErrorKind::Invalid, "for another key or certificate");
    let truncated = |text: &str| text[..text.len() - 4].to_owned();
    assert_refused(changed(SIGNATURE_ANNOTATION, &truncated), ErrorKind::Invalid, "for another signature");

    let mut other_payload = good.clone();
    other_payload.payload = read(&directory, "rekor-sig");
    let outcome = sigstore::verify(&other_payload, &trust, then());
    assert_refused(outcome, ErrorKind::Invalid, "the log entry is for sha256:0fd1e9832cc5a5f502e800fe9cdeefbd3");
}

#[test]
fn payloads_are_written_as_containers_image_writes_them() {
    for case in table("signature_payload", "sigstore_marshal") {
        let input = &case["input"];
        let digest = text(&input["untrustedDockerManifestDigest"]).parse().unwrap();
        let mut payload = Payload::new(PayloadKind::Sigstore, digest, text(&input["untrustedDockerReference"]));
        payload.creator = input["untrustedCreatorID"].as_str().map(str::to_owned);
        payload.timestamp = input["untrustedTimestamp"].as_i64();
        assert_eq!(String::from_utf8(payload.to_json()).unwrap(), text(&case["expected"]));
    }
}

#[test]
fn another_media_type_is_no_signature() {
    let Some(directory) = fixtures() else { return };
    let signature = stored(&directory, "dir-img-cosign-other-attachment/signature-1");
    let outcome = sigstore::verify(&signature, &keys(&directory, &["cosign.pub"], &[]), then());
    assert_refused(outcome, ErrorKind::Unsupported, "unsupported signature of the media type");
}
