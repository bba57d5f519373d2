//! What a judgement says, and what it costs.

use std::sync::atomic::Ordering;

use serde_json::json;
use transship::policy::{Error, Refusal, SignatureVerdict, Verdict};

use crate::made::{Made, judged, manifest, of_kind, policy, signed, signed_by};
use crate::signing_keys::{DAY, certificate};

const NAME: &str = "docker://quay.io/org/app:1";

#[test]
fn one_good_signature_among_others_is_enough_and_is_named() {
    let (alice, mallory) = (certificate("alice", DAY), certificate("mallory", DAY));
    let image = manifest("a");
    let signatures = vec![
        signed(&mallory, &image, "quay.io/org/app:1"),
        signed(&alice, &manifest("b"), "quay.io/org/app:1"),
        signed(&alice, &image, "quay.io/org/app:1"),
    ];
    let made = Made::new(NAME, image.clone(), signatures);
    let judgement = judged(&policy(&json!([signed_by(&[&alice], &of_kind("matchExact"))])), &made).unwrap();
    assert!(judgement.is_allowed() && !judgement.is_refused());
    assert_eq!(judgement.manifest.as_ref(), Some(image.digest()));
    let [requirement] = judgement.requirements.as_slice() else { panic!("{judgement:?}") };
    let [SignatureVerdict::Rejected(_), SignatureVerdict::Rejected(_), SignatureVerdict::Accepted(signer)] =
        requirement.signatures.as_slice()
    else {
        panic!("{requirement:?}");
    };
    assert_eq!(signer.identity.as_deref(), Some("quay.io/org/app:1"));
    assert_eq!(signer.kind.to_string(), format!("{} alice <alice@example.com>", alice.fingerprint().to_hex()));
    assert_eq!(signer.kind.fingerprint(), Some(alice.fingerprint().to_hex()));
    assert_eq!(judgement.signatures_by_accepted_author().len(), 1);
}

#[test]
fn all_requirements_must_be_met_each_by_any_signature() {
    let (alice, bob) = (certificate("alice", DAY), certificate("bob", DAY));
    let both =
        policy(&json!(
            [signed_by(&[&alice], &of_kind("matchExact")), signed_by(&[&bob], &of_kind("matchRepository")),]
        ));
    let image = manifest("a");
    let by_alice = signed(&alice, &image, "quay.io/org/app:1");
    let by_bob = signed(&bob, &image, "quay.io/org/app:2");
    let ask = |signatures| judged(&both, &Made::new(NAME, image.clone(), signatures));
    assert!(ask(vec![by_alice.clone(), by_bob.clone()]).is_ok());
    let error = ask(vec![by_alice]).unwrap_err();
    assert!(error.contains("signedBy: no signature is accepted [1: signed by the key"), "{error}");
    let error = ask(vec![by_bob]).unwrap_err();
    assert!(error.contains("not one of those that may sign"), "{error}");
}

#[test]
fn a_rejection_lists_the_reason_of_every_signature() {
    let (alice, mallory) = (certificate("alice", DAY), certificate("mallory", DAY));
    let image = manifest("a");
    let made = Made::new(
        NAME,
        image.clone(),
        vec![signed(&mallory, &image, "quay.io/org/app:1"), signed(&alice, &image, "quay.io/org/app:2")],
    );
    let error = judged(&policy(&json!([signed_by(&[&alice], &of_kind("matchExact"))])), &made).unwrap_err();
    for words in [
        "docker://quay.io/org/app:1 is rejected by policy (default): signedBy: no signature is accepted",
        "[1: signed by the key",
        "[2: it is for \"quay.io/org/app:2\", which is not accepted for docker://quay.io/org/app:1 (matchExact)]",
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_the_policy_says_without_signatures_is_said_without_asking_for_any() {
    let alice = certificate("alice", DAY);
    let verifying = signed_by(&[&alice], &of_kind("matchExact"));
    for (requirements, allowed) in [
        (json!([{"type": "insecureAcceptAnything"}]), true),
        (json!([{"type": "reject"}]), false),
        (json!([verifying.clone(), {"type": "reject"}]), false),
        (json!([{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}, verifying]), false),
        (json!([{"type": "signedBy", "keyType": "X509Certificates", "keyPath": "/k"}]), false),
    ] {
        let made = Made::new(NAME, manifest("a"), Vec::new());
        assert_eq!(policy(&requirements).allow(&made, None).is_ok(), allowed, "{requirements}");
        assert_eq!(made.asked.load(Ordering::Relaxed), 0, "{requirements}");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_no_refusal() {
    let alice = certificate("alice", DAY);
    let missing = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/no/such/key.gpg"});
    let made = || Made::new(NAME, manifest("a"), Vec::new());
    let image = made();
    let error = policy(&json!([missing])).allow(&image, None).unwrap_err();
    assert!(matches!(error, Error::Undecided { .. }), "{error:?}");
    let line = transship::error::one_line(&error);
    assert!(
        line.starts_with("cannot tell whether docker://quay.io/org/app:1 is allowed by policy (default)"),
        "{line}"
    );
    assert!(line.contains("/no/such/key.gpg: No such file"), "{line}");
    // Another requirement says no whatever is in that file.
    let refused = json!([missing, signed_by(&[&alice], &of_kind("matchExact"))]);
    assert!(matches!(policy(&refused).allow(&made(), None), Err(Error::Rejected(_))));
}

#[test]
fn no_signature_and_no_key_have_their_own_reasons() {
    let alice = certificate("alice", DAY);
    let requirement = signed_by(&[&alice], &of_kind("matchExact"));
    let refusal = |made: &Made| match policy(&json!([requirement])).allow(made, None) {
        Err(Error::Rejected(judgement)) => match &judgement.requirements[0].verdict {
            Verdict::Refused(refusal) => refusal.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&Made::new(NAME, manifest("a"), Vec::new())), Refusal::NoSignature);
    let empty = json!([{"type": "signedBy", "keyType": "GPGKeys", "keyData": ""}]);
    let image = manifest("a");
    let made = Made::new(NAME, image.clone(), vec![signed(&alice, &image, "quay.io/org/app:1")]);
    let error = judged(&policy(&empty), &made).unwrap_err();
    assert!(error.contains("there is no public key to verify with"), "{error}");
}
