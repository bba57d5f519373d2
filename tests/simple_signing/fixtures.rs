//! Every signature file of the set: which key it verifies with, or why it does not.

use std::time::SystemTime;

use transship::Digest;
use transship::signature::openpgp::Keyring;
use transship::signature::{Payload, PayloadKind, UntrustedSignature};

use crate::shared::shared;

const SUBKEY: &str = "public-key-with-subkey.gpg";
const REVOKED: &str = "public-key-with-revoked-subkey.gpg";
const KEY: &str = "public-key.gpg";

/// The file, the keys, and whether it verifies or what the refusal says.
const FILES: [(&str, &str, Result<(), &str>); 17] = [
    ("corrupt.signature", KEY, Err("is not good")),
    ("corrupt.signature-v3", KEY, Err("")),
    ("expired.signature", KEY, Err("Expired on")),
    ("image.signature", KEY, Ok(())),
    ("invalid-blob.signature", KEY, Ok(())),
    ("invalid-blob.signature-v3", KEY, Ok(())),
    ("invalid-cleartext.signature", KEY, Err("in ASCII armor or cleartext")),
    ("invalid-reference.signature", KEY, Ok(())),
    ("no-optional-fields.signature", KEY, Ok(())),
    ("subkey-revoked.signature", REVOKED, Err("")),
    ("subkey-revoked.signature-v3", REVOKED, Err("")),
    ("subkey.signature", SUBKEY, Ok(())),
    ("subkey.signature-v3", SUBKEY, Ok(())),
    ("unknown-key.signature", KEY, Err("not one of those that may sign")),
    ("unknown-key.signature-v3", KEY, Err("")),
    ("unsigned-encrypted.signature", KEY, Err("")),
    ("unsigned-literal.signature", KEY, Err("")),
];

#[test]
fn every_signature_file_of_the_set() {
    let Some(fixtures) = shared("fixtures/containers-image/signature/fixtures") else { return };
    let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".signature") && !name.contains("cosign"))
        .collect();
    names.sort();
    assert_eq!(names, FILES.map(|(name, ..)| name.to_owned()), "a file that this table does not know");
    for (name, keys, expected) in FILES {
        let mut keyring = Keyring::default();
        keyring.add(&read(keys));
        let outcome = match UntrustedSignature::from_stored(&read(name)) {
            Ok(UntrustedSignature::SimpleSigning(message)) => {
                keyring.verify(&message, SystemTime::now()).map_err(|error| error.to_string())
            }
            Ok(other) => panic!("{name}: {other:?}"),
            Err(error) => Err(error.to_string()),
        };
        match (&outcome, expected) {
            (Ok(_), Ok(())) => {}
            (Err(reason), Err(words)) => assert!(reason.contains(words), "{name}: {reason}"),
            _ => panic!("{name}: {outcome:?}"),
        }
    }
}

/// The manifest that the set's signatures are for.
#[test]
fn the_signature_of_the_set_is_for_its_manifest() {
    let Some(fixtures) = shared("fixtures/containers-image/signature/fixtures") else { return };
    let mut keyring = Keyring::default();
    keyring.add(&std::fs::read(fixtures.join(KEY)).unwrap());
    let message = std::fs::read(fixtures.join("image.signature")).unwrap();
    let verified = keyring.verify(&message, SystemTime::now()).unwrap();
    let payload = Payload::parse(&verified.content, PayloadKind::SimpleSigning).unwrap();
    let manifest = std::fs::read(fixtures.join("image.manifest.json")).unwrap();
    assert_eq!(payload.manifest_digest, Digest::sha256(&manifest));
}
