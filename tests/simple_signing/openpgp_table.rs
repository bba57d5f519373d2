//! OpenPGP against the fixtures of containers/image.

use std::path::PathBuf;
use std::time::SystemTime;

use transship::signature::openpgp::{Keyring, SignedMessage};
use transship::signature::{Payload, PayloadKind};

use crate::shared::shared;
use crate::tables::{table, text};

fn fixtures() -> Option<PathBuf> {
    shared("fixtures/containers-image")
}

/// `None` for a file that the set beside the checkout leaves out.
fn read(path: &str) -> Option<Vec<u8>> {
    std::fs::read(fixtures()?.join(path)).ok()
}

fn keyring(file: &str) -> Option<Keyring> {
    let mut keyring = Keyring::default();
    keyring.add(&read(file)?);
    Some(keyring)
}

#[test]
fn table_keyrings() {
    let mut checked = 0;
    for case in table("openpgp", "keyrings") {
        let bytes = match case.get("file") {
            Some(file) => read(file.as_str().unwrap()),
            None => Some(text(&case["bytes"]).into_bytes()),
        };
        let Some(bytes) = bytes else { continue };
        let mut keyring = Keyring::default();
        keyring.add(&bytes);
        let expected: Vec<_> = case["fingerprints"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(keyring.fingerprints(), expected, "{case}");
        assert!(keyring.skipped().is_empty(), "{case}: {:?}", keyring.skipped());
        checked += 1;
    }
    assert!(checked >= 4 || fixtures().is_none(), "{checked}");
}

#[test]
fn table_verify() {
    let mut checked = 0;
    for case in table("openpgp", "verify") {
        let name = text(&case["sig"]);
        let bytes = if name.starts_with('(') { Some(b"invalid signature".to_vec()) } else { read(&name) };
        let keys = case.get("keyring").map_or_else(|| "public-key.gpg".to_owned(), text);
        let (Some(bytes), Some(keyring)) = (bytes, keyring(&format!("signature/fixtures/{keys}"))) else { continue };
        let outcome = keyring.verify(&bytes, SystemTime::now());
        assert_eq!(outcome.is_ok(), case["ok"] == true, "{case}: {outcome:?}");
        checked += 1;
        let Ok(verified) = outcome else { continue };
        if let Some(key) = case.get("key") {
            assert_eq!(verified.certificate, text(key), "{case}");
        }
        if let Some(content) = case.get("content") {
            assert_eq!(verified.content, text(content).into_bytes(), "{case}");
        }
        if let Some(expected) = case.get("payload") {
            let payload = Payload::parse(&verified.content, PayloadKind::SimpleSigning).unwrap();
            assert_eq!(payload.docker_reference, text(&expected["docker-reference"]));
            assert_eq!(payload.manifest_digest.to_string(), text(&expected["docker-manifest-digest"]));
            assert_eq!(payload.creator.as_deref(), expected["creator"].as_str());
            assert_eq!(payload.timestamp, expected["timestamp"].as_i64());
        }
    }
    assert!(checked >= 8 || fixtures().is_none(), "{checked}");
}

#[test]
fn table_untrusted_peek() {
    for case in table("openpgp", "untrusted_peek") {
        let name = text(&case["sig"]);
        let bytes = if name == "(empty)" { Some(Vec::new()) } else { read(&name) };
        let Some(bytes) = bytes else { continue };
        let outcome = SignedMessage::parse(&bytes);
        assert_eq!(outcome.is_ok(), case.get("ok").is_none_or(|ok| ok == true), "{case}: {outcome:?}");
        let Ok(signed) = outcome else { continue };
        if let Some(content) = case.get("content") {
            assert_eq!(signed.content, text(content).into_bytes(), "{case}");
        }
        if let Some(id) = case.get("shortKeyID") {
            assert_eq!(Some(signed.issuer.as_str()), id.as_str(), "{case}");
        }
    }
}
