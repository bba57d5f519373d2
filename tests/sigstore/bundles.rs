//! Bundles as cosign 3 attaches them.

use serde_json::{Value, json};
use transship::Digest;
use transship::digest::Algorithm;
use transship::signature::sigstore::{ErrorKind, Fulcio, SigstoreError, Trust, Verified};

use crate::support::sigstore::{
    Authority, BundleSigner, Certified, EMAIL, HOSTNAME, ISSUER, Key, Log, SIGNED_AT, at, attached, bundle,
    fulcio_params, hashedrekord, issuer_v1, pki_params, rfc822, statement, to_base64, unlogged_bundle,
};
use crate::{assert_refused, reason, verify, verify_now};

const TIME: i64 = 1_700_000_000;

fn of(manifest: &[u8]) -> Vec<u8> {
    statement(manifest).to_string().into_bytes()
}

/// A key, a log, and what trusts both.
struct Managed {
    key: Key,
    log: Log,
}

impl Managed {
    fn new() -> Self {
        Self { key: Key::new(), log: Log::new() }
    }

    fn trust(&self) -> Trust {
        Trust::Keys { keys: vec![self.key.public()], rekor: self.log.rekor() }
    }

    fn without_log(&self) -> Trust {
        Trust::Keys { keys: vec![self.key.public()], rekor: vec![] }
    }

    fn bundle(&self, statement: &[u8]) -> Value {
        bundle(statement, BundleSigner::Key(&self.key), &self.log, TIME)
    }

    /// What becomes of a statement that is well signed and logged.
    fn judge(&self, statement: &str) -> Result<Verified, SigstoreError> {
        verify(&attached(&self.bundle(statement.as_bytes())), &self.trust())
    }
}

/// A Fulcio, a log, and somebody with a certificate.
struct Keyless {
    authority: Authority,
    log: Log,
    certified: Certified,
}

impl Keyless {
    fn new() -> Self {
        let authority = Authority::new();
        Self { certified: authority.certify(&fulcio_params()), authority, log: Log::new() }
    }

    fn bundle(&self, time: i64) -> Value {
        bundle(&of(b"manifest"), BundleSigner::Certified(&self.certified), &self.log, time)
    }

    fn trust(&self) -> Trust {
        self.authority.fulcio(&self.log)
    }
}

#[test]
fn a_bundle_is_a_signature_by_a_key() {
    let managed = Managed::new();
    let good = managed.bundle(&of(b"manifest"));
    let verified = verify(&attached(&good), &managed.trust()).unwrap();
    assert_eq!(verified.manifest_digest, Digest::sha256(b"manifest"));
    assert_eq!(verified.docker_reference, None, "cosign 3 writes no name");
    assert_eq!(verified.integrated_time, Some(at(SIGNED_AT)));
    assert_eq!(verified.signer.to_string(), managed.key.public().to_string());

    let verified = verify(&attached(&good), &managed.without_log()).unwrap();
    assert_eq!(verified.integrated_time, None, "nobody is trusted to tell the time");
    let unlogged = attached(&unlogged_bundle(&of(b"manifest"), BundleSigner::Key(&managed.key)));
    verify(&unlogged, &managed.without_log()).unwrap();
}

#[test]
fn each_version_of_the_format_is_read() {
    let managed = Managed::new();
    for media_type in [
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
    ] {
        let mut bundle = managed.bundle(&of(b"manifest"));
        bundle["mediaType"] = json!(media_type);
        verify(&attached(&bundle), &managed.trust()).unwrap();
    }
    let mut bundle = managed.bundle(&of(b"manifest"));
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v9+json");
    assert_refused(verify(&attached(&bundle), &managed.trust()), ErrorKind::Invalid, "invalid bundle");
}

#[test]
fn a_second_generation_log_gives_no_time_and_is_enough_for_keys() {
    let managed = Managed::new();
    let statement = of(b"manifest");
    let mut bundle = unlogged_bundle(&statement, BundleSigner::Key(&managed.key));
    let payload_type = "application/vnd.in-toto+json";
    let pae = [format!("DSSEv1 28 {payload_type} {} ", statement.len()).as_bytes(), &statement].concat();
    let digest = Digest::sha256(&pae);
    let digest: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&digest.encoded()[2 * at..][..2], 16).unwrap()).collect();
    let body = json!({
        "apiVersion": "0.0.2", "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": to_base64(&digest)},
            "signature": {
                "content": bundle["dsseEnvelope"]["signatures"][0]["sig"],
                "verifier": {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "publicKey": {"rawBytes": to_base64(managed.key.public().spki())},
                },
            },
        }},
    });
    bundle["verificationMaterial"]["tlogEntries"] = json!([managed.log.entry("hashedrekord", "0.0.2", &body, None)]);
    let verified = verify(&attached(&bundle), &managed.trust()).unwrap();
    assert_eq!(verified.integrated_time, None);
}

#[test]
fn the_log_must_have_seen_the_bundle_where_a_log_is_wanted() {
    let managed = Managed::new();
    let unlogged = unlogged_bundle(&of(b"manifest"), BundleSigner::Key(&managed.key));
    for entries in [Value::Null, json!([])] {
        let mut bundle = unlogged.clone();
        if entries.is_array() {
            bundle["verificationMaterial"]["tlogEntries"] = entries;
        }
        let outcome = verify(&attached(&bundle), &managed.trust());
        assert_refused(outcome, ErrorKind::Invalid, "the bundle does not verify");
    }
    let good = managed.bundle(&of(b"manifest"));
    for (changes, words) in [
        (vec![("inclusionPromise", None), ("inclusionProof", None)], "does not verify"),
        (vec![("inclusionProof", None)], "does not verify"),
    ] {
        let mut bundle = good.clone();
        let entry = bundle["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => drop(entry.insert(key.to_owned(), value)),
                None => drop(entry.remove(key).unwrap()),
            }
        }
        assert_refused(verify(&attached(&bundle), &managed.trust()), ErrorKind::Invalid, words);
    }
    let other = bundle(&of(b"manifest"), BundleSigner::Key(&managed.key), &Log::new(), TIME);
    assert_refused(verify(&attached(&other), &managed.trust()), ErrorKind::Invalid, "No matching Rekor key");
}

#[test]
fn the_entry_of_another_bundle_does_not_help() {
    let (managed, other_key) = (Managed::new(), Key::new());
    let elsewhere = managed.bundle(&of(b"other manifest"));
    let by_another = bundle(&of(b"manifest"), BundleSigner::Key(&other_key), &managed.log, TIME);
    let again = managed.bundle(&of(b"manifest"));
    for borrowed in [elsewhere, by_another, again] {
        let mut bundle = unlogged_bundle(&of(b"manifest"), BundleSigner::Key(&managed.key));
        bundle["verificationMaterial"]["tlogEntries"] = borrowed["verificationMaterial"]["tlogEntries"].clone();
        let outcome = verify(&attached(&bundle), &managed.trust());
        assert_refused(outcome, ErrorKind::Invalid, "log entry does not match the bundle");
    }
    // The other form of a signature, of the same bytes as the envelope.
    let good = managed.bundle(&of(b"manifest"));
    let signed = good["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
    let body = hashedrekord(&of(b"manifest"), signed, &managed.key.pem());
    let mut bundle = good.clone();
    bundle["verificationMaterial"]["tlogEntries"] =
        json!([managed.log.entry("hashedrekord", "0.0.1", &body, Some(TIME))]);
    assert_refused(verify(&attached(&bundle), &managed.trust()), ErrorKind::Invalid, "incompatible with a DSSE");
}

#[test]
fn what_is_changed_after_signing_is_refused() {
    let managed = Managed::new();
    let good = managed.bundle(&of(b"manifest"));
    let entry = "/verificationMaterial/tlogEntries/0";
    for (pointer, value) in [
        ("/inclusionProof/hashes/0", json!(to_base64(&[0; 32]))),
        ("/inclusionProof/rootHash", json!(to_base64(&[0; 32]))),
        ("/inclusionProof/treeSize", json!("3")),
        ("/inclusionProof/logIndex", json!("1")),
        ("/inclusionPromise/signedEntryTimestamp", json!(to_base64(b"x"))),
        ("/integratedTime", json!((TIME + 1).to_string())),
        ("/logIndex", json!("1")),
        ("/logId/keyId", json!(to_base64(&[0; 32]))),
        ("/canonicalizedBody", json!(to_base64(b"{}"))),
        ("/kindVersion/version", json!("0.0.3")),
    ] {
        let mut bundle = good.clone();
        *bundle.pointer_mut(&format!("{entry}{pointer}")).unwrap() = value;
        let error = verify(&attached(&bundle), &managed.trust()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{pointer}: {}", reason(&error));
    }
    for (pointer, value) in [
        ("/dsseEnvelope/payload", json!(to_base64(&of(b"other manifest")))),
        ("/dsseEnvelope/signatures/0/sig", json!(to_base64(b"x"))),
    ] {
        let mut bundle = good.clone();
        *bundle.pointer_mut(pointer).unwrap() = value;
        for trust in [managed.trust(), managed.without_log()] {
            let words = "not made with any of the accepted keys";
            assert_refused(verify(&attached(&bundle), &trust), ErrorKind::NotTrusted, words);
        }
    }
}

#[test]
fn another_key_or_a_certificate_is_not_the_wanted_key() {
    let (managed, other, keyless) = (Managed::new(), Managed::new(), Keyless::new());
    let bundle = managed.bundle(&of(b"manifest"));
    let words = "not made with any of the accepted keys";
    assert_refused(verify(&attached(&bundle), &other.trust()), ErrorKind::NotTrusted, words);
    let words = "the bundle is signed with a certificate, expected a key";
    assert_refused(verify(&attached(&keyless.bundle(TIME)), &managed.trust()), ErrorKind::NotTrusted, words);
    let words = "the bundle is signed with a key, expected a certificate";
    assert_refused(verify(&attached(&bundle), &keyless.trust()), ErrorKind::NotTrusted, words);
    let pki = keyless.authority.pki(Some(EMAIL), None);
    assert_refused(verify(&attached(&bundle), &pki), ErrorKind::NotTrusted, words);
}

#[test]
fn an_attestation_is_no_signature() {
    let managed = Managed::new();
    for predicate_type in
        ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document", "", "https://sigstore.dev/cosign/sign/v2"]
    {
        let mut statement = statement(b"manifest");
        statement["predicateType"] = json!(predicate_type);
        let words = format!("it is an attestation ({predicate_type}), not a signature");
        assert_refused(managed.judge(&statement.to_string()), ErrorKind::Unsupported, &words);
    }
    let mut bundle = managed.bundle(&of(b"manifest"));
    bundle["dsseEnvelope"]["payloadType"] = json!("text/plain");
    assert_refused(
        verify(&attached(&bundle), &managed.trust()),
        ErrorKind::Unsupported,
        "its payload is \"text/plain\"",
    );
    let bundle = bundle.as_object_mut().unwrap();
    bundle.remove("dsseEnvelope");
    bundle.insert("messageSignature".to_owned(), json!({"signature": to_base64(b"x")}));
    let words = "it signs bytes, not a statement about an image";
    assert_refused(verify(&attached(&json!(bundle)), &managed.trust()), ErrorKind::Unsupported, words);
}

#[test]
fn a_statement_is_about_one_image_by_one_digest() {
    let managed = Managed::new();
    let mut named = statement(b"manifest");
    named["subject"][0]["name"] = json!("quay.io/org/app:1");
    named.as_object_mut().unwrap().remove("predicate");
    let verified = managed.judge(&named.to_string()).unwrap();
    assert_eq!(verified.docker_reference.as_deref(), Some("quay.io/org/app:1"));
    named["subject"][0]["name"] = json!("");
    assert_eq!(managed.judge(&named.to_string()).unwrap().docker_reference, None);

    let digest = Digest::of(Algorithm::Sha512, b"manifest");
    named["subject"][0]["digest"] = json!({"sha512": digest.encoded(), "gitCommit": "1234"});
    assert_eq!(managed.judge(&named.to_string()).unwrap().manifest_digest, digest);

    let (sha256, sha384) = (Digest::sha256(b"manifest"), Digest::of(Algorithm::Sha384, b"manifest"));
    for (subject, words) in [
        (json!([]), "the statement has 0 subjects"),
        (json!([{"digest": {"sha256": sha256.encoded()}}, {"digest": {"sha256": sha256.encoded()}}]), "2 subjects"),
        (json!([{"digest": {}}]), "0 digests of supported algorithms"),
        (json!([{"digest": {"sha384": sha384.encoded()}}]), "0 digests of supported algorithms"),
        (json!([{"digest": {"sha256": sha256.encoded(), "sha512": digest.encoded()}}]), "2 digests"),
        (json!([{"digest": {"sha256": "../.."}}]), "invalid digest of the statement's subject"),
        (json!([{"digest": {"sha256": sha256.encoded().to_uppercase()}}]), "invalid digest"),
        (json!([{"name": "quay.io/org/app:1"}]), "invalid in-toto statement"),
        (json!([{"name": 1, "digest": {"sha256": sha256.encoded()}}]), "invalid in-toto statement"),
        (json!({"digest": {"sha256": sha256.encoded()}}), "invalid in-toto statement"),
    ] {
        let mut statement = statement(b"manifest");
        statement["subject"] = subject;
        assert_refused(managed.judge(&statement.to_string()), ErrorKind::Invalid, words);
    }
    let mut other = statement(b"manifest");
    other["_type"] = json!("https://in-toto.io/Statement/v0.1");
    assert_refused(managed.judge(&other.to_string()), ErrorKind::Invalid, "a statement of the type");
}

#[test]
fn a_key_given_twice_is_refused_at_every_depth() {
    let managed = Managed::new();
    let good = statement(b"manifest").to_string();
    let other = Digest::sha256(b"other").encoded().to_owned();
    for (from, to) in [
        ("\"sha256\":", format!("\"sha256\":\"{other}\",\"sha256\":")),
        ("\"predicateType\":", "\"predicateType\":\"x\",\"predicateType\":".to_owned()),
        ("\"subject\":", "\"subject\":[],\"subject\":".to_owned()),
        ("\"digest\":", "\"digest\":{},\"digest\":".to_owned()),
        ("\"predicate\":{}", "\"predicate\":{\"a\":1,\"a\":2}".to_owned()),
    ] {
        let doubled = good.replacen(from, &to, 1);
        assert_ne!(doubled, good);
        assert_refused(managed.judge(&doubled), ErrorKind::Invalid, "duplicate key");
    }
    let good = managed.bundle(&of(b"manifest")).to_string();
    for key in ["\"dsseEnvelope\":", "\"verificationMaterial\":", "\"publicKey\":", "\"logIndex\":", "\"sig\":"] {
        let doubled = good.replacen(key, &format!("{key}null,{key}"), 1);
        assert_ne!(doubled, good);
        let mut signature = attached(&Value::Null);
        signature.payload = doubled.into_bytes();
        assert_refused(verify(&signature, &managed.trust()), ErrorKind::Invalid, "duplicate key");
    }
}

#[test]
fn fulcio_vouches_for_a_bundle() {
    let keyless = Keyless::new();
    let good = keyless.bundle(TIME);
    let verified = verify(&attached(&good), &keyless.trust()).unwrap();
    assert_eq!(verified.manifest_digest, Digest::sha256(b"manifest"));
    assert_eq!(verified.signer.to_string(), format!("{EMAIL} (says {ISSUER})"));
    assert_eq!(verified.integrated_time, Some(at(SIGNED_AT)));

    let fulcio = |issuer: &str, email: &str, log: &Log| {
        Trust::Fulcio(Fulcio::new(keyless.authority.all(), issuer, email, log.rekor()))
    };
    let outcome = verify(&attached(&good), &fulcio("https://other.example", EMAIL, &keyless.log));
    assert_refused(outcome, ErrorKind::NotTrusted, "the OIDC issuer is \"https://issuer.example/oauth\", expected");
    let outcome = verify(&attached(&good), &fulcio(ISSUER, "other@example.com", &keyless.log));
    assert_refused(
        outcome,
        ErrorKind::NotTrusted,
        "the required email \"other@example.com\" is not in the certificate",
    );
    let outcome = verify(&attached(&good), &fulcio(ISSUER, EMAIL, &Log::new()));
    assert_refused(outcome, ErrorKind::Invalid, "the bundle does not verify");
    let outcome = verify(&attached(&good), &Keyless::new().authority.fulcio(&keyless.log));
    assert_refused(outcome, ErrorKind::NotTrusted, "certificate chain validation failed");
}

#[test]
fn any_of_the_addresses_of_a_certificate_will_do() {
    let mut keyless = Keyless::new();
    let mut params = fulcio_params();
    params.subject_alt_names = [rfc822("a@example.com"), rfc822(EMAIL)].to_vec();
    keyless.certified = keyless.authority.certify(&params);
    verify(&attached(&keyless.bundle(TIME)), &keyless.trust()).unwrap();

    params.custom_extensions.push(issuer_v1("another"));
    keyless.certified = keyless.authority.certify(&params);
    let outcome = verify(&attached(&keyless.bundle(TIME)), &keyless.trust());
    assert_refused(outcome, ErrorKind::Invalid, "duplicate extension");
}

#[test]
fn the_time_of_the_log_must_be_within_the_life_of_the_certificate() {
    let keyless = Keyless::new();
    for time in [TIME - 300, TIME + 300] {
        verify(&attached(&keyless.bundle(time)), &keyless.trust()).unwrap();
    }
    for time in [1, TIME - 301, TIME + 301, TIME + 3600, 99_999_999_999] {
        let error = verify(&attached(&keyless.bundle(time)), &keyless.trust()).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Unsupported, "{time}: {}", reason(&error));
    }
    // Without a time, or a promise that signs it, there is none to hold the certificate against.
    for missing in ["inclusionPromise", "integratedTime"] {
        let mut bundle = keyless.bundle(TIME);
        bundle["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap().remove(missing).unwrap();
        assert_refused(verify(&attached(&bundle), &keyless.trust()), ErrorKind::Invalid, "No verified timestamp");
    }
}

#[test]
fn time_stamps_of_other_authorities_prove_nothing_and_do_no_harm() {
    let (keyless, managed) = (Keyless::new(), Managed::new());
    let stamps = json!({"rfc3161Timestamps": [{"signedTimestamp": to_base64(b"whoever")}]});
    for (mut bundle, trust) in [
        (keyless.bundle(TIME), keyless.trust()),
        (managed.bundle(&of(b"manifest")), managed.trust()),
        (managed.bundle(&of(b"manifest")), managed.without_log()),
    ] {
        bundle["verificationMaterial"]["timestampVerificationData"] = stamps.clone();
        verify(&attached(&bundle), &trust).unwrap();
    }
    let mut bundle = unlogged_bundle(&of(b"manifest"), BundleSigner::Certified(&keyless.certified));
    bundle["verificationMaterial"]["timestampVerificationData"] = stamps;
    assert_refused(verify(&attached(&bundle), &keyless.trust()), ErrorKind::Invalid, "does not verify");
}

#[test]
fn the_key_of_the_certificate_must_have_signed() {
    let keyless = Keyless::new();
    let other = keyless.authority.certify(&fulcio_params());
    let mut bundle = keyless.bundle(TIME);
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!(to_base64(&other.der));
    assert_refused(verify(&attached(&bundle), &keyless.trust()), ErrorKind::Invalid, "the bundle does not verify");
    let words = "not made with the key of its certificate";
    let other = keyless.authority.certify(&pki_params());
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!(to_base64(&other.der));
    let pki = keyless.authority.pki(Some(EMAIL), None);
    assert_refused(verify_now(&attached(&bundle), &pki), ErrorKind::Invalid, words);
}

#[test]
fn an_own_pki_vouches_for_a_bundle_at_present() {
    let authority = Authority::new();
    let certified = authority.certify(&pki_params());
    let bundle = attached(&unlogged_bundle(&of(b"manifest"), BundleSigner::Certified(&certified)));
    let verified = verify_now(&bundle, &authority.pki(Some(EMAIL), Some(HOSTNAME))).unwrap();
    assert_eq!(verified.signer.to_string(), format!("{EMAIL}, {HOSTNAME}"));
    assert_eq!(verified.manifest_digest, Digest::sha256(b"manifest"));
    let outcome = verify_now(&bundle, &authority.pki(Some("other@example.com"), None));
    assert_refused(outcome, ErrorKind::NotTrusted, "the required email");
    let outcome = verify_now(&bundle, &Authority::new().pki(Some(EMAIL), None));
    assert_refused(outcome, ErrorKind::NotTrusted, "not issued by a trusted authority");

    let expired = authority.certify(&fulcio_params());
    let bundle = attached(&unlogged_bundle(&of(b"manifest"), BundleSigner::Certified(&expired)));
    let outcome = verify_now(&bundle, &authority.pki(Some(EMAIL), None));
    assert_refused(outcome, ErrorKind::NotTrusted, "the present time: it is from 2023-11-14T");
}

#[test]
fn the_intermediate_may_come_with_a_bundle_of_an_older_version() {
    let keyless = Keyless::new();
    let mut bundle = keyless.bundle(TIME);
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    material.remove("certificate");
    let intermediate = pem::parse(keyless.authority.chain()).unwrap();
    let certificates = [&keyless.certified.der, intermediate.contents()].map(|der| json!({"rawBytes": to_base64(der)}));
    material.insert("x509CertificateChain".to_owned(), json!({"certificates": certificates}));
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let trust = Trust::Fulcio(Fulcio::new(keyless.authority.root(), ISSUER, EMAIL, keyless.log.rekor()));
    verify(&attached(&bundle), &trust).unwrap();
    // A bundle of version 0.3 has the leaf alone.
    let outcome = verify(&attached(&keyless.bundle(TIME)), &trust);
    assert_refused(outcome, ErrorKind::NotTrusted, "UnknownIssuer");
}
