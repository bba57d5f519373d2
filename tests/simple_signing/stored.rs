//! Signatures in files.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use transship::MediaType;
use transship::signature::{SigstoreSignature, UntrustedSignature};

use crate::shared::shared;
use crate::tables::table;

#[test]
fn table_blob_format_invalid() {
    for case in table("signature_payload", "blob_format_invalid") {
        let bytes = match &case {
            Value::String(text) => text.as_bytes().to_vec(),
            encoded => BASE64_STANDARD.decode(encoded["_base64"].as_str().unwrap()).unwrap(),
        };
        assert!(UntrustedSignature::from_stored(&bytes).is_err(), "{case}");
    }
}

#[test]
fn fixtures_of_files_are_told_apart() {
    let Some(fixtures) = shared("fixtures/containers-image/signature/fixtures") else { return };
    for (file, format) in [
        ("dir-img-valid/signature-1", "simple-signing"),
        ("corrupt.signature", "simple-signing"),
        ("dir-img-cosign-valid/signature-1", "sigstore-json"),
        ("dir-img-cosign-fulcio-rekor-valid/signature-1", "sigstore-json"),
    ] {
        let bytes = std::fs::read(fixtures.join(file)).unwrap();
        assert_eq!(UntrustedSignature::from_stored(&bytes).unwrap().format(), format, "{file}");
    }
}

fn sigstore() -> UntrustedSignature {
    let annotations = [("b", "2"), ("a", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    UntrustedSignature::Sigstore(SigstoreSignature {
        media_type: MediaType::COSIGN_PAYLOAD,
        payload: b"{\x00payload}".to_vec(),
        annotations: BTreeMap::from(annotations),
    })
}

#[test]
fn what_is_stored_reads_back() {
    let openpgp = UntrustedSignature::SimpleSigning(vec![0xa3, 1, 2]);
    assert_eq!(openpgp.to_stored(), [0xa3, 1, 2], "as it is, for every reader there ever was");
    let odd = UntrustedSignature::SimpleSigning(b"odd".to_vec());
    for signature in [openpgp, odd, sigstore()] {
        assert_eq!(UntrustedSignature::from_stored(&signature.to_stored()).unwrap(), signature);
    }
}

#[test]
fn a_broken_file_is_named_by_what_is_wrong() {
    let stored = |text: &[u8]| {
        let error = UntrustedSignature::from_stored(text).unwrap_err();
        transship::error::one_line(&error)
    };
    assert_eq!(stored(b""), "empty signature");
    assert!(stored(b"-----BEGIN PGP SIGNED MESSAGE-----").contains("in ASCII armor or cleartext"));
    assert!(stored(b"-----BEGIN").contains("0x2d"));
    assert!(stored(b"\0sigstore-json").contains("no line end"));
    assert!(stored(b"\0sig\xffstore\n").contains("0xff"));
    assert!(stored(b"\0other\n").contains("unknown signature format \"other\""));
    let json = stored(b"\0sigstore-json\n{\"mimeType\": \"x\", \"payload\": \"!\", \"annotations\": {}}");
    assert!(json.contains("invalid base64"), "{json}");
    let twice =
        stored(b"\0sigstore-json\n{\"mimeType\":\"x\",\"payload\":\"\",\"annotations\":{\"a\":\"1\",\"a\":\"2\"}}");
    assert!(twice.contains("duplicate key \"a\""), "{twice}");
}
