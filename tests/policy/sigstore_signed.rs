//! `sigstoreSigned`: what the cryptography says is compared with the image, and what a bundle does not say is missed.

use serde_json::{Value, json};
use transship::policy::Policy;
use transship::signature::{SigstoreSignature, UntrustedSignature};

use crate::made::{Made, judged, manifest, of_kind, policy};
use crate::sigstore::{
    BundleSigner, Key, Log, SIGNED_AT, attached, bundle, payload, statement, to_base64, unlogged_bundle,
};

const NAME: &str = "quay.io/org/app:1";

fn requirement(key: &Key, identity: &Value) -> Value {
    json!({"type": "sigstoreSigned", "keyData": to_base64(key.pem().as_bytes()), "signedIdentity": identity})
}

fn image(signature: SigstoreSignature) -> Made {
    Made::new(&format!("docker://{NAME}"), manifest("a"), vec![UntrustedSignature::Sigstore(signature)])
}

fn by(key: &Key, identity: &Value) -> Policy {
    policy(&json!([requirement(key, identity)]))
}

#[test]
fn a_signature_must_be_for_this_manifest_and_this_name() {
    let key = Key::new();
    let (exact, this, other) = (of_kind("matchExact"), manifest("a"), manifest("b"));
    let good = judged(&by(&key, &exact), &image(key.legacy(&payload(this.bytes(), NAME)))).unwrap();
    assert!(good.is_allowed());
    for (attack, signature, words) in [
        ("another image's", key.legacy(&payload(other.bytes(), NAME)), "it is for the manifest sha256:"),
        ("another tag's", key.legacy(&payload(this.bytes(), "quay.io/org/app:2")), "(matchExact)"),
        ("another key's", Key::new().legacy(&payload(this.bytes(), NAME)), "key"),
    ] {
        let error = judged(&by(&key, &exact), &image(signature)).expect_err(attack);
        assert!(
            error.contains("sigstoreSigned: no signature is accepted") && error.contains(words),
            "{attack}: {error}"
        );
    }
}

#[test]
fn a_log_that_the_policy_names_must_vouch() {
    let (key, log) = (Key::new(), Log::new());
    let mut logged = requirement(&key, &of_kind("matchExact"));
    logged["rekorPublicKeyData"] = json!(to_base64(log.0.pem().as_bytes()));
    let policy = policy(&json!([logged]));
    let bytes = payload(manifest("a").bytes(), NAME);
    let error = judged(&policy, &image(key.legacy(&bytes))).unwrap_err();
    assert!(error.contains("dev.sigstore.cosign/bundle"), "{error}");
    let mut signature = key.legacy(&bytes);
    log.log(&mut signature, &key.pem(), i64::try_from(SIGNED_AT).unwrap());
    assert!(judged(&policy, &image(signature)).is_ok());
}

#[test]
fn a_bundle_that_names_its_image_is_judged_by_that_name() {
    let key = Key::new();
    let named = |name: &str| {
        let mut statement = statement(manifest("a").bytes());
        statement["subject"][0]["name"] = json!(name);
        image(attached(&unlogged_bundle(statement.to_string().as_bytes(), BundleSigner::Key(&key))))
    };
    let exact = by(&key, &of_kind("matchExact"));
    assert!(judged(&exact, &named(NAME)).is_ok());
    let error = judged(&exact, &named("quay.io/org/other:1")).unwrap_err();
    assert!(error.contains("it is for \"quay.io/org/other:1\""), "{error}");
}

#[test]
fn a_bundle_that_names_none_is_enough_only_for_whom_says_so() {
    let (key, log) = (Key::new(), Log::new());
    let text = statement(manifest("a").bytes()).to_string();
    let made = || {
        let time = i64::try_from(SIGNED_AT).unwrap();
        image(attached(&bundle(text.as_bytes(), BundleSigner::Key(&key), &log, time)))
    };
    let exactly = json!({"type": "exactReference", "dockerReference": NAME});
    let repository = json!({"type": "exactRepository", "dockerRepository": "quay.io/org/app"});
    for (identity, is_enough) in [
        (of_kind("matchExact"), true),
        (of_kind("matchRepoDigestOrExact"), true),
        (of_kind("matchRepository"), true),
        (exactly, false),
        (repository, false),
    ] {
        let policy = by(&key, &identity);
        let error = judged(&policy, &made()).unwrap_err();
        assert!(error.contains("it names no image, only a digest"), "{identity}: {error}");
        let lenient = policy.accepting_unnamed_bundles();
        assert_eq!(judged(&lenient, &made()).is_ok(), is_enough, "{identity}");
    }
    // And the digest is compared in any case.
    let lenient = by(&key, &of_kind("matchExact")).accepting_unnamed_bundles();
    let other = statement(manifest("b").bytes()).to_string();
    let other = image(attached(&unlogged_bundle(other.as_bytes(), BundleSigner::Key(&key))));
    let error = judged(&lenient, &other).unwrap_err();
    assert!(error.contains("it is for the manifest sha256:"), "{error}");
}

#[test]
fn what_else_is_attached_is_no_signature() {
    let key = Key::new();
    let mut attestation = statement(manifest("a").bytes());
    attestation["predicateType"] = json!("https://slsa.dev/provenance/v1");
    let attestation = attached(&unlogged_bundle(attestation.to_string().as_bytes(), BundleSigner::Key(&key)));
    let lenient = by(&key, &of_kind("matchExact")).accepting_unnamed_bundles();
    let error = judged(&lenient, &image(attestation)).unwrap_err();
    assert!(error.contains("no signature is of the kind that is required"), "{error}");
}

#[test]
fn keys_of_the_wrong_kind_are_the_policys_fault() {
    let requirement = json!({"type": "sigstoreSigned", "keyData": to_base64(b"no key")});
    let error = judged(&policy(&json!([requirement])), &image(Key::new().legacy(b"{}"))).unwrap_err();
    assert!(
        error.starts_with("cannot tell whether") && error.contains("keyData of the policy cannot be used"),
        "{error}"
    );
}
