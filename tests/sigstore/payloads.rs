//! What a signature says is read strictly, after it was verified.

use transship::signature::sigstore::{ErrorKind, Trust};

use crate::support::sigstore::Key;
use crate::support::tables::{table, text};
use crate::{assert_refused, verify};

#[test]
fn a_signed_payload_is_valid_exactly_where_containers_image_says_so() {
    let key = Key::new();
    let trust = Trust::Keys { keys: vec![key.public()], rekor: vec![] };
    for case in table("signature_payload", "sigstore_payload_unmarshal") {
        let outcome = verify(&key.legacy(text(&case["json"]).as_bytes()), &trust);
        if case["valid"] == true {
            assert_eq!(outcome.unwrap().docker_reference.as_deref(), Some("reference#@!"), "{case}");
        } else {
            assert_refused(outcome, ErrorKind::Invalid, "what is signed cannot be read");
        }
    }
}

#[test]
fn what_is_not_well_signed_is_not_read() {
    let key = Key::new();
    let trust = Trust::Keys { keys: vec![Key::new().public()], rekor: vec![] };
    assert_refused(verify(&key.legacy(b"{"), &trust), ErrorKind::NotTrusted, "not made with any of the accepted keys");
    let nobody = Trust::Keys { keys: vec![], rekor: vec![] };
    assert_refused(verify(&key.legacy(b"{"), &nobody), ErrorKind::NotTrusted, "not made with any of the accepted keys");
}

#[test]
fn the_annotation_is_base64_with_padding() {
    let key = Key::new();
    let trust = Trust::Keys { keys: vec![key.public()], rekor: vec![] };
    let mut signature = key.legacy(b"{}");
    for value in ["&", "MEQ", "MEQ= "] {
        for text in signature.annotations.values_mut() {
            value.clone_into(text);
        }
        let words = "the annotation dev.cosignproject.cosign/signature is not base64";
        assert_refused(verify(&signature, &trust), ErrorKind::Invalid, words);
    }
}
