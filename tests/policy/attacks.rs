//! The attack suite for signed names and manifests: every row is refused, with its own reason. Broken OpenPGP messages are
//! in `tests/simple_signing`, sigstore's in `tests/sigstore`.

use sequoia_openpgp::Cert;
use serde_json::{Value, json};
use transship::signature::{Payload, PayloadKind, UntrustedSignature};

use crate::made::{Made, judged, manifest, of_kind, policy, signed, signed_by};
use crate::signing_keys::{DAY, Signing, builder, certificate, compressed, revoked, sign};

const NAME: &str = "quay.io/org/app:1";

/// What is attempted, the kind of identity that is required, the signature, and words of the reason.
type Row = (&'static str, Value, UntrustedSignature, &'static str);

fn simple(message: Vec<u8>) -> UntrustedSignature {
    UntrustedSignature::SimpleSigning(message)
}

fn rows(alice: &Cert) -> Vec<Row> {
    let (mallory, image) = (certificate("mallory", DAY), manifest("a"));
    let exact = || of_kind("matchExact");
    let other_image = signed(alice, &manifest("b"), NAME);
    let named = |name: &str| signed(alice, &image, name);
    let payload = Payload::new(PayloadKind::SimpleSigning, image.digest().clone(), NAME).to_json();
    let text = String::from_utf8(payload.clone()).unwrap();
    let doubled = text.replace(r#""optional":{}"#, r#""optional":{"a":1,"a":2}"#);
    let twice_critical = text.replace(r#""type":"#, r#""type":"atomic container signature","type":"#);
    let as_cosign = text.replace("atomic container signature", "cosign container image signature");
    let signing = Signing::new(alice);
    let keys = [&signing.keys[0], &signing.keys[0]].map(Clone::clone).to_vec();
    let two = Signing { keys, ..Signing::new(alice) };
    let bomb = compressed(&vec![b' '; 5 * 1024 * 1024]);
    let remap = json!({"type": "remapIdentity", "prefix": "quay.io", "signedPrefix": "vendor.example"});
    let exactly = json!({"type": "exactReference", "dockerReference": "vendor.example/app:1"});
    let repository = json!({"type": "exactRepository", "dockerRepository": "vendor.example/app"});
    vec![
        ("the manifest changed after it was signed", exact(), other_image.clone(), "it is for the manifest sha256:"),
        ("the signature of another image", exact(), other_image, "it is for the manifest sha256:"),
        ("matchExact, another tag", exact(), named("quay.io/org/app:2"), "(matchExact)"),
        ("matchExact, no tag", exact(), named("quay.io/org/app"), "(matchExact)"),
        (
            "matchRepoDigestOrExact, another tag",
            of_kind("matchRepoDigestOrExact"),
            named("quay.io/org/app:2"),
            "Exact)",
        ),
        ("matchRepository, another one", of_kind("matchRepository"), named("quay.io/org/app2:1"), "(matchRepository)"),
        ("exactReference, the image's own name", exactly, named(NAME), "(exactReference)"),
        ("exactRepository, the image's own name", repository, named(NAME), "(exactRepository)"),
        ("remapIdentity, the image's own name", remap, named(NAME), "(remapIdentity)"),
        ("another key", exact(), signed(&mallory, &image, NAME), "not one of those that may sign"),
        ("two signatures in one message", exact(), simple(two.sign(&payload)), "more than one signature"),
        ("cleartext", exact(), simple(signing.cleartext(&payload)), "a cleartext-signed message"),
        ("detached", exact(), simple(signing.detached(&payload)), "a detached signature"),
        ("a payload with a key twice", exact(), simple(sign(alice, doubled.as_bytes())), "duplicate key \"a\""),
        ("a payload with a type twice", exact(), simple(sign(alice, twice_critical.as_bytes())), "duplicate field"),
        ("a payload of cosign's", exact(), simple(sign(alice, as_cosign.as_bytes())), "expected \"atomic"),
        ("a payload that is no JSON", exact(), simple(sign(alice, b"hello")), "invalid signature payload"),
        ("a compression bomb", exact(), simple(bomb), "more than 4194304 bytes"),
        ("a name that is none", exact(), named("quay.io/ORG/app:1"), "(matchExact)"),
    ]
}

#[test]
fn every_attack_is_refused_with_its_reason() {
    let alice = certificate("alice", DAY);
    for (attack, identity, signature, words) in rows(&alice) {
        let made = Made::new(&format!("docker://{NAME}"), manifest("a"), vec![signature]);
        let error = judged(&policy(&json!([signed_by(&[&alice], &identity)])), &made).expect_err(attack);
        assert!(error.contains(words), "{attack}: {error}");
        assert!(error.contains("is rejected by policy"), "{attack}: {error}");
    }
}

#[test]
fn keys_that_are_no_good_any_more_are_refused() {
    let image = manifest("a");
    let (alice, expired) =
        (certificate("alice", 2 * DAY), builder("old", 3 * DAY).set_validity_period(2 * DAY).generate().unwrap().0);
    for (attack, key, signer, words) in [
        ("an expired key", expired.clone(), &expired, "Expired on"),
        ("a revoked key", revoked(&alice), &alice, "revoked"),
    ] {
        let made = Made::new(&format!("docker://{NAME}"), image.clone(), vec![signed(signer, &image, NAME)]);
        let error = judged(&policy(&json!([signed_by(&[&key], &of_kind("matchExact"))])), &made).expect_err(attack);
        assert!(error.contains(words), "{attack}: {error}");
    }
}

#[test]
fn the_name_that_was_asked_for_is_judged_not_the_mirrors() {
    let (alice, image) = (certificate("alice", DAY), manifest("a"));
    let requirement = json!([signed_by(&[&alice], &of_kind("matchRepoDigestOrExact"))]);
    // A mirror's copy is signed under the mirror's name: that is another image than the one asked for.
    let mirrored = signed(&alice, &image, "mirror.example/org/app:1");
    let made = Made::new(&format!("docker://{NAME}"), image.clone(), vec![mirrored]);
    assert!(judged(&policy(&requirement), &made).is_err());
    // And a validly signed image of another repository does not pass for this one, even by its digest.
    let other = signed(&alice, &image, "quay.io/org/other:1");
    let by_digest = format!("docker://quay.io/org/app@{}", image.digest());
    assert!(judged(&policy(&requirement), &Made::new(&by_digest, image.clone(), vec![other])).is_err());
    let own = signed(&alice, &image, "quay.io/org/app:whatever");
    assert!(judged(&policy(&requirement), &Made::new(&by_digest, image, vec![own])).is_ok());
}

#[test]
fn a_policy_that_cannot_be_understood_is_none() {
    let parse = |text: &str| {
        let error = transship::config::PolicyJson::parse(text.as_bytes(), std::path::Path::new("/etc/policy.json"));
        transship::error::one_line(&error.unwrap_err())
    };
    let unknown = parse("{\"default\": [{\"type\": \"reject\"}],\n \"defaults\": []}");
    assert!(unknown.contains("/etc/policy.json:2") && unknown.contains("unknown field `defaults`"), "{unknown}");
    let empty = parse("{\"default\": []}");
    assert!(empty.contains("a list of requirements must not be empty"), "{empty}");
}

/// Whoever asks for a digest gets that digest, whatever source says it has it and whatever is signed.
#[test]
fn an_image_asked_for_by_digest_is_that_image_or_none() {
    let (alice, old) = (certificate("alice", DAY), manifest("old"));
    let signature = signed(&alice, &old, NAME);
    let accept = json!([{"type": "insecureAcceptAnything"}]);
    for requirement in [json!([signed_by(&[&alice], &of_kind("matchRepoDigestOrExact"))]), accept] {
        let ask = |digest: &transship::Digest| {
            let name = format!("docker://quay.io/org/app@{digest}");
            let made = Made::new(&name, old.clone(), vec![signature.clone()]);
            judged(&policy(&requirement), &made)
        };
        assert!(ask(old.digest()).is_ok());
        assert!(ask(&transship::Digest::of(transship::digest::Algorithm::Sha512, old.bytes())).is_ok());
        let error = ask(manifest("new").digest()).unwrap_err();
        assert!(error.contains(&format!("was asked for, and this is the manifest {}", old.digest())), "{error}");
    }
}

/// What an attacker writes into a signature must not look like a line of ours.
#[test]
fn words_of_a_signature_stay_inside_of_the_reason() {
    let alice = certificate("alice", DAY);
    let payload = "{\"critical\": {\"x\\n  verdict  allowed\\u202e\": 1}, \"optional\": {}}";
    let made = Made::new(&format!("docker://{NAME}"), manifest("a"), vec![simple(sign(&alice, payload.as_bytes()))]);
    let error = judged(&policy(&json!([signed_by(&[&alice], &of_kind("matchExact"))])), &made).unwrap_err();
    assert!(error.contains("\\n  verdict  allowed\\u{202e}") && !error.contains('\n'), "{error}");
}
