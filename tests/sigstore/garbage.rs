//! Whatever comes from outside: no panic, and nothing is accepted that was not signed.

use std::time::Duration;

use transship::Secret;
use transship::signature::sigstore::{
    CaCertificates, ErrorKind, PrivateKey, PublicKey, RekorKey, SigstoreSignature, Trust,
};

use crate::support::sigstore::{
    Authority, BundleSigner, EMAIL, Key, Log, attached, bundle, fulcio_params, payload, pki_params, statement,
};
use crate::{assert_refused, verify, verify_now};

const TIME: i64 = 1_700_000_000;

/// Changes of every sort, the same in each run.
fn mutations(bytes: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..count).map(move |_| {
        let mut changed = bytes.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..changed.len().max(1));
            match random.u8(..4) {
                0 => changed.truncate(at),
                1 if at < changed.len() => changed[at] = random.u8(..),
                2 if at < changed.len() => drop(changed.remove(at)),
                _ => changed.insert(at.min(changed.len()), *random.choice(b"\"{}[],:0=\n\x00\xff").unwrap()),
            }
        }
        changed
    })
}

/// Good signatures of each form, with what trusts them.
fn stories() -> Vec<(SigstoreSignature, Trust)> {
    let (key, log, authority) = (Key::new(), Log::new(), Authority::new());
    let payload = payload(b"manifest", "quay.io/org/app:1");
    let statement = statement(b"manifest").to_string().into_bytes();
    let by_key = Trust::Keys { keys: vec![key.public()], rekor: log.rekor() };
    let (keyless, own) = (authority.certify(&fulcio_params()), authority.certify(&pki_params()));
    let mut legacy = [key.legacy(&payload), keyless.legacy(&payload, &authority)];
    log.log(&mut legacy[0], &key.pem(), TIME);
    log.log(&mut legacy[1], &keyless.pem, TIME);
    let [logged, with_certificate] = legacy;
    let bundled = |signer| attached(&bundle(&statement, signer, &log, TIME));
    vec![
        (bundled(BundleSigner::Key(&key)), by_key.clone()),
        (bundled(BundleSigner::Certified(&keyless)), authority.fulcio(&log)),
        (bundled(BundleSigner::Certified(&own)), authority.pki(Some(EMAIL), None)),
        (own.legacy(&payload, &authority), authority.pki(Some(EMAIL), None)),
        (with_certificate, authority.fulcio(&log)),
        (logged, by_key),
    ]
}

#[test]
fn a_damaged_signature_says_nothing_new_and_does_not_panic() {
    for (good, trust) in stories() {
        let expected = verify_now(&good, &trust).unwrap();
        for payload in mutations(&good.payload, 300) {
            let changed = SigstoreSignature { payload, ..good.clone() };
            if let Ok(verified) = verify_now(&changed, &trust) {
                assert_eq!(verified.manifest_digest, expected.manifest_digest);
            }
        }
        for name in good.annotations.keys() {
            for value in mutations(good.annotations[name].as_bytes(), 100) {
                let mut changed = good.clone();
                changed.annotations.insert(name.clone(), String::from_utf8_lossy(&value).into_owned());
                if let Ok(verified) = verify_now(&changed, &trust) {
                    assert_eq!(verified.manifest_digest, expected.manifest_digest);
                }
            }
        }
    }
}

#[test]
fn a_truncated_signature_is_refused_at_every_length() {
    for (good, trust) in stories() {
        for length in (0..good.payload.len()).step_by(7) {
            let truncated = SigstoreSignature { payload: good.payload[..length].to_vec(), ..good.clone() };
            verify_now(&truncated, &trust).unwrap_err();
        }
    }
}

#[test]
fn a_signature_has_a_size() {
    let key = Key::new();
    let trust = Trust::Keys { keys: vec![key.public()], rekor: vec![] };
    let mut large = key.legacy(&vec![b' '; 4 * 1024 * 1024]);
    assert_refused(verify(&large, &trust), ErrorKind::Invalid, "at most 4194304 are read");
    large.payload.clear();
    large.annotations.insert("any".to_owned(), "x".repeat(4 * 1024 * 1024));
    assert_refused(verify(&large, &trust), ErrorKind::Invalid, "at most 4194304 are read");
}

#[test]
fn deep_json_is_an_error() {
    let (good, trust) = stories().remove(0);
    for payload in [b"[".repeat(100_000), b"{\"a\":".repeat(100_000)] {
        verify_now(&SigstoreSignature { payload, ..good.clone() }, &trust).unwrap_err();
    }
}

#[test]
fn more_log_entries_than_anybody_needs_are_refused() {
    let (good, trust) = stories().remove(0);
    let mut bundle: serde_json::Value = serde_json::from_slice(&good.payload).unwrap();
    let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
    *entries = vec![entries[0].clone(); 17];
    assert_refused(verify_now(&attached(&bundle), &trust), ErrorKind::Invalid, "has 17 log entries");
}

#[test]
fn damaged_keys_and_certificates_do_not_panic() {
    let authority = Authority::new();
    let certificate = pem::parse(authority.chain()).unwrap();
    for der in mutations(certificate.contents(), 1000) {
        drop(CaCertificates::from_pem(pem::encode(&pem::Pem::new("CERTIFICATE", der)).as_bytes()));
    }
    let key = Key::new();
    for der in mutations(key.public().spki(), 1000) {
        let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der));
        drop((PublicKey::from_pem(pem.as_bytes()), RekorKey::from_pem(pem.as_bytes())));
    }
    for pem in mutations(key.pem().as_bytes(), 300) {
        drop((PublicKey::from_pem(&pem), CaCertificates::from_pem(&pem)));
    }
    let passphrase = Secret::new("passphrase".to_owned());
    let written = PrivateKey::generate().unwrap().to_encrypted_pem(&passphrase).unwrap();
    let document = pem::parse(written).unwrap();
    for json in mutations(document.contents(), 30) {
        let pem = pem::encode(&pem::Pem::new("ENCRYPTED SIGSTORE PRIVATE KEY", json));
        drop(PrivateKey::from_pem(pem.as_bytes(), &passphrase));
    }
}

#[test]
fn a_clock_before_1970_is_no_excuse() {
    let (good, trust) = stories().remove(3);
    let before = std::time::SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let outcome = transship::signature::sigstore::verify(&good, &trust, before);
    assert_refused(outcome, ErrorKind::NotTrusted, "the certificate is not valid at");
}
