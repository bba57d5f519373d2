//! What a payload is, and what is none.

use serde_json::Value;
use transship::Digest;
use transship::signature::{Payload, PayloadKind};

use crate::tables::{table, text};

fn unmarshal(name: &str, kind: PayloadKind) {
    for case in table("signature_payload", name) {
        let json = case["json"].as_str().unwrap();
        let valid = case["valid"] == true;
        let outcome = Payload::parse(json.as_bytes(), kind);
        assert_eq!(outcome.is_ok(), valid, "{json}: {outcome:?}");
    }
}

#[test]
fn table_simple_signing_unmarshal() {
    unmarshal("simple_signing_unmarshal", PayloadKind::SimpleSigning);
}

#[test]
fn table_sigstore_payload_unmarshal() {
    unmarshal("sigstore_payload_unmarshal", PayloadKind::Sigstore);
}

#[test]
fn tables_marshal_byte_for_byte() {
    for (name, kind) in
        [("simple_signing_marshal", PayloadKind::SimpleSigning), ("sigstore_marshal", PayloadKind::Sigstore)]
    {
        for case in table("signature_payload", name) {
            let expected = case["expected"].as_str().unwrap();
            let input: &Value = &case["input"];
            let field = |name: &str| input.get(name).filter(|value| !value.is_null());
            let digest: Digest = text(&input["untrustedDockerManifestDigest"]).parse().unwrap();
            let mut payload = Payload::new(kind, digest, text(&input["untrustedDockerReference"]));
            payload.creator = expected.contains("creator").then(|| "CREATOR".to_owned());
            payload.timestamp = expected.contains("timestamp").then_some(1_484_683_104);
            assert!(field("untrustedDockerReference").is_some());
            assert_eq!(String::from_utf8(payload.to_json()).unwrap(), expected);
        }
    }
}

/// A payload with `critical` and `optional` as given.
fn payload(critical: &str, optional: &str) -> String {
    format!(r#"{{"critical": {critical}, "optional": {optional}}}"#)
}

const CRITICAL: &str = r#"{"type": "atomic container signature",
    "image": {"docker-manifest-digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    "identity": {"docker-reference": "quay.io/org/app:1"}}"#;

#[test]
fn optional_is_read_as_far_as_it_is_known() {
    for (optional, creator, timestamp) in [
        ("{}", None, None),
        (r#"{"creator": "atomic 1.0", "timestamp": 1458239713}"#, Some("atomic 1.0"), Some(1_458_239_713)),
        (r#"{"timestamp": 1.458239713e+09, "other": {"a": [1]}}"#, None, Some(1_458_239_713)),
        (r#"{"timestamp": -1}"#, None, Some(-1)),
    ] {
        let parsed = Payload::parse(payload(CRITICAL, optional).as_bytes(), PayloadKind::SimpleSigning).unwrap();
        assert_eq!((parsed.creator.as_deref(), parsed.timestamp), (creator, timestamp), "{optional}");
    }
}

#[test]
fn whatever_could_be_read_in_two_ways_is_refused() {
    let array = r#"["atomic container signature", {"docker-manifest-digest": "sha256:00"}, {"docker-reference": "x"}]"#;
    for (critical, optional, why) in [
        (CRITICAL, r#"{"creator": "a", "creator": "b"}"#, "a known member twice"),
        (CRITICAL, r#"{"x": 1, "x": 2}"#, "an unknown member twice"),
        (CRITICAL, r#"{"timestamp": 0.5}"#, "half a second"),
        (CRITICAL, r#"{"timestamp": 1e300}"#, "no 64-bit number"),
        (CRITICAL, r#"{"creator": null}"#, "null is no text"),
        (CRITICAL, "null", "null is no object"),
        (CRITICAL, "[]", "a list is no object"),
        (array, "{}", "a list of the values"),
        (&CRITICAL.replace("\"type\"", "\"Type\""), "{}", "another case"),
        (&CRITICAL.replace("\"type\":", "\"type\": \"atomic container signature\", \"type\":"), "{}", "type twice"),
        (&CRITICAL.replace("atomic", "cosign"), "{}", "another kind"),
    ] {
        let json = payload(critical, optional);
        assert!(Payload::parse(json.as_bytes(), PayloadKind::SimpleSigning).is_err(), "{why}: {json}");
    }
    let text = payload(CRITICAL, r#"{"other": "@"}"#);
    let (before, after) = text.split_once('@').unwrap();
    for other in [b"\xff\xff".as_slice(), b"\\ud800", b"\\x"] {
        let json = [before.as_bytes(), other, after.as_bytes()].concat();
        let outcome = Payload::parse(&json, PayloadKind::SimpleSigning);
        assert!(outcome.is_err(), "an unknown member that is no text: {other:?}");
    }
    let doubled = payload(CRITICAL, "{}").repeat(2);
    assert!(Payload::parse(doubled.as_bytes(), PayloadKind::SimpleSigning).is_err(), "two documents");
    let missing = format!(r#"{{"critical": {}}}"#, CRITICAL.replace("atomic container", "cosign container image"));
    assert!(Payload::parse(missing.as_bytes(), PayloadKind::Sigstore).is_err(), "optional is missing, not null");
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    let wrong = payload(&CRITICAL.replace("atomic", "cosign"), "{}");
    let error = Payload::parse(wrong.as_bytes(), PayloadKind::SimpleSigning).unwrap_err();
    let line = transship::error::one_line(&error);
    assert_eq!(
        line,
        "invalid signature payload: type \"cosign container signature\", expected \"atomic container signature\""
    );
    let error = Payload::parse(b"{\n  \"unknown\": 1}", PayloadKind::SimpleSigning).unwrap_err();
    let line = transship::error::one_line(&error);
    assert!(line.contains("unknown field `unknown`") && line.contains("line 2"), "{line}");
}
