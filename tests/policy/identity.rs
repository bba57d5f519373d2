//! `signedIdentity`: which signed name is the image's.

use serde_json::{Value, json};
use transship::Reference;
use transship::config::PolicyJson;
use transship::config::policy_json::{Requirement, SignedIdentity};
use transship::policy::identity::matches;

use crate::tables::{table, text};

/// The identity as a policy has it; `None` when a policy cannot have it.
fn identity(value: &Value) -> Option<SignedIdentity> {
    let requirement = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", "signedIdentity": value});
    let document = json!({"default": [requirement]}).to_string();
    let policy = PolicyJson::parse(document.as_bytes(), std::path::Path::new("policy.json")).ok()?;
    match policy.requirements_for("docker", None, &[]).1 {
        [Requirement::SignedBy(signed_by)] => Some(signed_by.signed_identity.clone()),
        other => panic!("{other:?}"),
    }
}

fn of_type(name: &str) -> SignedIdentity {
    identity(&json!({"type": name})).unwrap()
}

/// An image whose name is no reference cannot even be asked for.
fn is_match(identity: &SignedIdentity, image: &str, signed: &str) -> bool {
    image.parse::<Reference>().is_ok_and(|image| matches(identity, Some(&image), signed))
}

/// Each row of a symmetric table, both ways round: image, signature, result.
fn both_ways(name: &str) -> Vec<(String, String, bool)> {
    let rows = table("policy_identity_matching", name).into_iter().flat_map(|case| {
        let (a, b, result) = (text(&case["refA"]), text(&case["refB"]), case["result"] == true);
        [(a.clone(), b.clone(), result), (b, a, result)]
    });
    rows.collect()
}

#[test]
fn table_match_exact() {
    for (image, signed, result) in both_ways("match_exact") {
        assert_eq!(is_match(&of_type("matchExact"), &image, &signed), result, "{image} {signed}");
    }
}

#[test]
fn table_match_repository() {
    for (image, signed, result) in both_ways("match_repository") {
        assert_eq!(is_match(&of_type("matchRepository"), &image, &signed), result, "{image} {signed}");
    }
}

#[test]
fn table_match_repo_digest_or_exact() {
    let rule = of_type("matchRepoDigestOrExact");
    for case in table("policy_identity_matching", "match_repo_digest_or_exact") {
        let (image, signed) = (text(&case["imageRef"]), text(&case["sigRef"]));
        assert_eq!(is_match(&rule, &image, &signed), case["result"] == true, "{case}");
    }
    for (image, signed, result) in both_ways("match_exact") {
        if image.parse::<Reference>().is_ok_and(|image| image.tag().is_some()) {
            assert_eq!(is_match(&rule, &image, &signed), result, "{image} {signed}");
        }
    }
    for (image, signed, result) in both_ways("match_repository") {
        let is_precise = |reference: Reference| reference.tag().is_some() || reference.digest().is_some();
        let by_digest = image.parse::<Reference>().is_ok_and(|image| image.tag().is_none() && image.digest().is_some());
        if by_digest && signed.parse().is_ok_and(is_precise) {
            assert_eq!(is_match(&rule, &image, &signed), result, "{image} {signed}");
        }
    }
}

#[test]
fn table_remap_match() {
    for case in table("policy_identity_matching", "remap_match") {
        let (prefix, signed_prefix) = (text(&case["prefix"]), text(&case["signedPrefix"]));
        let rule = json!({"type": "remapIdentity", "prefix": prefix, "signedPrefix": signed_prefix});
        // A prefix that can match nothing is refused with the policy, or matches nothing.
        let result =
            identity(&rule).is_some_and(|rule| is_match(&rule, &text(&case["imageRef"]), &text(&case["sigRef"])));
        assert_eq!(result, case["result"] == true, "{case}");
    }
}

/// What the prefix rules are about, seen from outside: a signature for the rewritten name matches, one for any other
/// does not.
#[test]
fn tables_of_remapped_names() {
    let remap = |prefix: &str, signed: &str| json!({"type": "remapIdentity", "prefix": prefix, "signedPrefix": signed});
    for case in table("policy_identity_matching", "remap_rewrite") {
        let Some(rule) = identity(&remap(&text(&case["prefix"]), &text(&case["signedPrefix"]))) else { continue };
        let image: Reference = text(&case["ref"]).parse::<Reference>().unwrap().with_default_tag();
        let expected = text(&case["expected"]);
        let expected = expected.parse::<Reference>().map(|reference| reference.with_default_tag().to_string());
        match expected {
            Ok(expected) => assert!(matches(&rule, Some(&image), &expected), "{case}"),
            Err(_) => assert!(!matches(&rule, Some(&image), &image.to_string()), "{case}"),
        }
    }
    for case in table("policy_identity_matching", "remap_prefix_match") {
        let (prefix, image) = (text(&case["prefix"]), text(&case["ref"]));
        let image: Reference = image.parse::<Reference>().unwrap().with_default_tag();
        let Some(rule) = identity(&remap(&prefix, "signed.example/by")) else { panic!("{case}") };
        // Only where the prefix does not match, the image's own name is what must be signed.
        assert_eq!(!matches(&rule, Some(&image), &image.to_string()), case["expected"] == true, "{case}");
    }
}

#[test]
fn exact_kinds_look_at_the_signature_alone() {
    let reference = identity(&json!({"type": "exactReference", "dockerReference": "quay.io/org/app:1"})).unwrap();
    let repository = identity(&json!({"type": "exactRepository", "dockerRepository": "quay.io/org/app"})).unwrap();
    for image in [None, Some("docker.io/library/other:2".parse::<Reference>().unwrap())] {
        assert!(matches(&reference, image.as_ref(), "quay.io/org/app:1"));
        assert!(!matches(&reference, image.as_ref(), "quay.io/org/app:2"));
        assert!(!matches(&reference, image.as_ref(), "quay.io/org/app"));
        assert!(matches(&repository, image.as_ref(), "quay.io/org/app:2"));
        assert!(matches(&repository, image.as_ref(), "quay.io/org/app"));
        assert!(!matches(&repository, image.as_ref(), "quay.io/org/app2:1"));
    }
}

#[test]
fn an_image_without_a_name_or_a_signature_without_one_matches_nothing_else() {
    for kind in ["matchExact", "matchRepository", "matchRepoDigestOrExact"] {
        assert!(!matches(&of_type(kind), None, "quay.io/org/app:1"), "{kind}");
    }
    for case in table("policy_identity_matching", "unparsable_references") {
        let (image, signed) = (text(&case[0]), text(&case[1]));
        for kind in ["matchExact", "matchRepository", "matchRepoDigestOrExact"] {
            assert!(!is_match(&of_type(kind), &image, &signed), "{kind}: {case}");
        }
    }
}
