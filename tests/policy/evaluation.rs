//! The evaluation table of containers/image, over its signed `dir:` images.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use transship::ImageReference;
use transship::policy::{Error, Policy};
use transship::source::{DirSource, ImageSource as _};

use crate::made::{self, policy};
use crate::shared::shared;
use crate::tables::{table, text};

fn fixtures() -> Option<PathBuf> {
    shared("fixtures/containers-image/signature/fixtures")
}

/// What became of an image: the table's words.
fn outcome(policy: &Policy, directory: &Path, reference: &str) -> String {
    let image: ImageReference = format!("docker://{reference}").parse().unwrap();
    let source = match DirSource::open(directory) {
        Ok(source) => source.standing_for(image),
        Err(error) => return format!("reject(other) {error}"),
    };
    assert_eq!(source.physical().to_string(), format!("dir:{}", directory.display()));
    match policy.allow(&source, None) {
        Ok(_) => "allow".to_owned(),
        Err(Error::Rejected(judgement)) => format!("reject(PRE) {judgement}"),
        Err(error) => format!("reject(other) {}", transship::error::one_line(&error)),
    }
}

#[test]
fn table_signed_by() {
    let Some(fixtures) = fixtures() else { return };
    let mut checked = 0;
    for case in table("image_policy_eval", "signedBy") {
        let directory = fixtures.join(text(&case["dir"]));
        let keyring = case.get("keyring").map_or_else(|| "public-key.gpg".to_owned(), text);
        let requirement = json!([{
            "type": "signedBy", "keyType": "GPGKeys", "keyPath": fixtures.join(keyring),
            "signedIdentity": {"type": "matchExact"},
        }]);
        let temporary = tempfile::tempdir().unwrap();
        let (directory, reference) = if directory.is_dir() {
            (directory, text(&case["ref"]))
        } else if text(&case["dir"]).contains("unreadable") {
            std::fs::copy(fixtures.join("dir-img-valid/manifest.json"), temporary.path().join("manifest.json"))
                .unwrap();
            std::os::unix::fs::symlink("signature-1", temporary.path().join("signature-1")).unwrap();
            (temporary.path().to_owned(), "testing/manifest:latest".to_owned())
        } else {
            continue;
        };
        let outcome = outcome(&policy(&requirement), &directory, &reference);
        assert!(outcome.starts_with(&text(&case["result"])), "{case}: {outcome}");
        checked += 1;
    }
    assert!(checked >= 6, "{checked}");
}

#[test]
fn table_sigstore_signed() {
    let Some(fixtures) = fixtures() else { return };
    let mut checked = 0;
    for case in table("image_policy_eval", "sigstoreSigned") {
        let directory = fixtures.join(text(&case["dir"]));
        if !directory.is_dir() {
            continue;
        }
        let file = |name: &Value| fixtures.join(text(name));
        let mut requirement = json!({"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}});
        if let Some(kind) = case.get("signedIdentity") {
            requirement["signedIdentity"]["type"] = kind.clone();
        }
        for key in ["keyPath", "rekorPublicKeyPath"] {
            if let Some(name) = case.get(key) {
                requirement[key] = json!(file(name));
            }
        }
        if let Some(fulcio) = case.get("fulcio") {
            requirement["fulcio"] = fulcio.clone();
            requirement["fulcio"]["caPath"] = json!(file(&fulcio["caPath"]));
        }
        let missing = ["keyPath", "rekorPublicKeyPath"]
            .into_iter()
            .filter_map(|key| case.get(key))
            .any(|name| !file(name).exists());
        if missing {
            continue;
        }
        let reference = case.get("ref").map_or_else(|| "testing/manifest:latest".to_owned(), text);
        let outcome = outcome(&policy(&json!([requirement])), &directory, &reference);
        // docs/differences.md: a digest is that of the bytes, also of schema 1, so there is always one to compare with.
        let is_schema1 = text(&case["dir"]).ends_with("manifest-digest-error");
        let expected = if is_schema1 { "reject(PRE)".to_owned() } else { text(&case["result"]) };
        assert!(outcome.starts_with(&expected), "{case}: {outcome}");
        checked += 1;
    }
    assert!(checked >= 4, "{checked}");
}

/// The images of the set that no table names.
#[test]
fn other_signed_images_of_the_set() {
    let Some(fixtures) = fixtures() else { return };
    let key = |name: &str| {
        json!([{"type": "sigstoreSigned", "keyPath": fixtures.join(name),
        "signedIdentity": {"type": "matchRepository"}}])
    };
    let name = "192.168.64.2:5000/cosign-signed-single-sample";
    for (directory, expected) in [
        ("dir-img-cosign-valid", "allow"),
        ("dir-img-cosign-valid-2", "allow"),
        ("dir-img-cosign-mixed", "allow"),
        ("dir-img-cosign-other-attachment", "reject(PRE) sigstoreSigned: no signature is of the kind"),
        ("dir-img-unsigned", "reject(PRE) sigstoreSigned: a signature is required, and there is none"),
        ("dir-img-cosign-modified-manifest", "reject(PRE) sigstoreSigned: no signature is accepted"),
        ("dir-img-valid", "reject(PRE) sigstoreSigned: no signature is of the kind that is required"),
        ("dir-img-no-manifest", "reject(other)"),
    ] {
        let outcome = outcome(&policy(&key("cosign.pub")), &fixtures.join(directory), name);
        assert!(outcome.starts_with(expected), "{directory}: {outcome}");
    }
    let pki = |email: &str| {
        json!([{"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}, "pki": {
            "caRootsPath": fixtures.join("pki_root_crts.pem"),
            "caIntermediatesPath": fixtures.join("pki_intermediate_crts.pem"),
            "subjectEmail": email, "subjectHostname": "myhost.example.com",
        }}])
    };
    let directory = fixtures.join("dir-img-cosign-pki-valid");
    assert_eq!(outcome(&policy(&pki("qiwan@redhat.com")), &directory, "localhost:5000/test"), "allow");
    let other = outcome(&policy(&pki("other@redhat.com")), &directory, "localhost:5000/test");
    assert!(other.starts_with("reject(PRE)") && other.contains("qiwan@redhat.com"), "{other}");
    let rsa = outcome(&policy(&key("some-rsa-key.pub")), &fixtures.join("dir-img-cosign-valid"), name);
    assert!(rsa.contains("reject(PRE)"), "{rsa}");
    let pgp = outcome(&policy(&key("public-key.gpg")), &fixtures.join("dir-img-cosign-valid"), name);
    assert!(pgp.starts_with("reject(other)") && pgp.contains("cannot be used as a public key"), "{pgp}");
}

#[test]
fn table_policy_context() {
    let Some(fixtures) = fixtures() else { return };
    let requirement = |words: &str| match words {
        "signedBy" | "signedBy ok" => json!({
            "type": "signedBy", "keyType": "GPGKeys", "keyPath": fixtures.join("public-key.gpg"),
            "signedIdentity": {"type": "matchExact"},
        }),
        "unknown" => json!({"type": "insecureAcceptAnything"}),
        kind => json!({"type": kind}),
    };
    for case in table("image_policy_eval", "policy_context") {
        let words = case.get("requirements").or(case.get("getSignaturesWithAcceptedAuthor")).unwrap();
        let requirements: Vec<Value> = words.as_array().unwrap().iter().map(|word| requirement(&text(word))).collect();
        if requirements.is_empty() {
            // Such a policy cannot be made: it is refused when it is read.
            let document = json!({"default": []}).to_string();
            let error = transship::config::PolicyJson::parse(document.as_bytes(), Path::new("p")).unwrap_err();
            assert!(transship::error::one_line(&error).contains("must not be empty"), "{case}");
            continue;
        }
        let mut policy = policy(&Value::Array(requirements));
        if case.get("RequireSignatureVerification").is_some_and(|required| required == true) {
            policy = policy.requiring_signatures();
        }
        let source = DirSource::open(fixtures.join("dir-img-valid")).unwrap();
        let source = source.standing_for("docker://testing/manifest:latest".parse().unwrap());
        let outcome = policy.allow(&source, None);
        if let Some(result) = case.get("result") {
            assert_eq!(outcome.is_ok(), result == "allow", "{case}: {outcome:?}");
        }
        if let Some(count) = case.get("signatures") {
            let judgement = match &outcome {
                Ok(allowed) => allowed.judgement(),
                Err(Error::Rejected(judgement)) => judgement,
                Err(error) => panic!("{case}: {error}"),
            };
            assert_eq!(
                judgement.signatures_by_accepted_author().len(),
                usize::try_from(count.as_u64().unwrap()).unwrap()
            );
        }
    }
}

#[test]
fn nothing_that_verifies_is_not_enough_where_signatures_are_required() {
    let image = made::Made::new("docker://quay.io/org/app:1", made::manifest("a"), Vec::new());
    let accept = policy(&json!([{"type": "insecureAcceptAnything"}]));
    assert!(accept.allow(&image, None).is_ok());
    let error = accept.requiring_signatures().allow(&image, None).unwrap_err();
    assert!(error.to_string().ends_with("signatures must be verified, and nothing in the policy does that"), "{error}");
}
