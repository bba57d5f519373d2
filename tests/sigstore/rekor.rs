//! The promise of a log: what it must say, and what it must not.

use serde_json::{Value, json};
use transship::Digest;
use transship::signature::sigstore::{BUNDLE_ANNOTATION, ErrorKind, SIGNATURE_ANNOTATION, SigstoreSignature, Trust};

use crate::support::sigstore::{Key, Log, SIGNED_AT, at, hashedrekord, payload, to_base64, to_hex};
use crate::support::tables::table;
use crate::{assert_refused, verify};

/// A key, a log that is trusted with it, and a signature that the log has seen.
struct Story {
    key: Key,
    log: Log,
    signature: SigstoreSignature,
}

const TIME: i64 = 1_700_000_000;

impl Story {
    fn new() -> Self {
        let (key, log) = (Key::new(), Log::new());
        let mut signature = key.legacy(&payload(b"manifest", "quay.io/org/app:1"));
        log.log(&mut signature, &key.pem(), TIME);
        Self { key, log, signature }
    }

    fn trust(&self) -> Trust {
        Trust::Keys { keys: vec![self.key.public()], rekor: self.log.rekor() }
    }

    fn with_set(&self, set: &str) -> SigstoreSignature {
        let mut signature = self.signature.clone();
        signature.annotations.insert(BUNDLE_ANNOTATION.to_owned(), set.to_owned());
        signature
    }

    fn set(&self) -> Value {
        serde_json::from_str(&self.signature.annotations[BUNDLE_ANNOTATION]).unwrap()
    }

    fn entry(&self) -> Value {
        let signed = &self.signature.annotations[SIGNATURE_ANNOTATION];
        hashedrekord(&self.signature.payload, signed, &self.key.pem())
    }

    /// The signature with another entry, that the log did sign.
    fn with_entry(&self, entry: &Value) -> SigstoreSignature {
        self.with_set(&self.log.set(entry.to_string().as_bytes(), TIME).to_string())
    }
}

/// Does to `value` what a line of Go in a table does.
fn mutate(operation: &str, value: &mut Value, special: &dyn Fn(&str) -> Option<Value>) {
    let operation = operation.trim_matches(|c: char| c == '{' || c == '}' || c.is_whitespace());
    if let Some(arguments) = operation.strip_prefix("delete(") {
        let (target, key) = arguments.trim_end_matches(')').rsplit_once(", ").unwrap();
        let target = target_of(target, value).as_object_mut().unwrap();
        assert!(target.remove(key.trim_matches('"')).is_some(), "{operation}");
        return;
    }
    if let Some(value_of) = special(operation) {
        let (path, _) = operation.rsplit_once("] = ").unwrap();
        let (target, key) = last_assignment(path);
        target_of(target, value)[key] = value_of;
        return;
    }
    let (path, new) = operation.split_once("] = ").unwrap();
    let (target, key) = last_assignment(path);
    target_of(target, value)[key] = match new.trim_end_matches('}').trim_end_matches('{') {
        "nil" => Value::Null,
        "mSA" => json!({}),
        other => serde_json::from_str(other).unwrap_or_else(|_| panic!("{operation}")),
    };
}

/// `x(v, "a")["b` as the object and the key.
fn last_assignment(path: &str) -> (&str, &str) {
    let line = path.lines().last().unwrap().trim();
    let (target, key) = line.rsplit_once('[').unwrap();
    (target, key.trim_matches('"'))
}

fn target_of<'a>(target: &str, value: &'a mut Value) -> &'a mut Value {
    let keys = target.trim_start_matches("x(").trim_start_matches('v').trim_end_matches(')');
    let keys = keys.split(", ").map(|key| key.trim_matches('"')).filter(|key| !key.is_empty());
    keys.fold(value, |value, key| value.get_mut(key).unwrap_or_else(|| panic!("{target}: no {key}")))
}

fn nothing_special(_: &str) -> Option<Value> {
    None
}

#[test]
fn a_signature_that_the_log_has_seen_is_accepted_with_the_time() {
    let story = Story::new();
    let verified = verify(&story.signature, &story.trust()).unwrap();
    assert_eq!(verified.integrated_time, Some(at(SIGNED_AT)));
    assert_eq!(verify(&story.with_entry(&story.entry()), &story.trust()).unwrap(), verified);
}

#[test]
fn a_signature_without_a_promise_is_refused_where_a_log_is_wanted() {
    let story = Story::new();
    let unlogged = story.key.legacy(&story.signature.payload);
    let words = "the annotation dev.sigstore.cosign/bundle is missing";
    assert_refused(verify(&unlogged, &story.trust()), ErrorKind::Invalid, words);
    let without_log = Trust::Keys { keys: vec![story.key.public()], rekor: vec![] };
    assert_eq!(verify(&unlogged, &without_log).unwrap().integrated_time, None);
}

#[test]
fn the_json_of_a_promise_is_read_strictly() {
    let story = Story::new();
    for operation in table("signature_payload", "rekor_set_invalid") {
        let mut set = story.set();
        mutate(operation.as_str().unwrap(), &mut set, &nothing_special);
        let outcome = verify(&story.with_set(&set.to_string()), &story.trust());
        assert_refused(outcome, ErrorKind::Invalid, "invalid signed entry timestamp");
    }
    for operation in table("signature_payload", "rekor_payload_invalid") {
        let mut payload = story.set()["Payload"].clone();
        mutate(operation.as_str().unwrap(), &mut payload, &nothing_special);
        let outcome = verify(&story.with_set(&story.log.signed(&payload).to_string()), &story.trust());
        assert_refused(outcome, ErrorKind::Invalid, "invalid signed entry timestamp");
    }
}

#[test]
fn a_key_given_twice_is_refused_at_every_depth() {
    let story = Story::new();
    let set = story.set().to_string();
    let entry = story.entry().to_string();
    for (key, text) in [("\"SignedEntryTimestamp\"", &set), ("\"Payload\"", &set), ("\"logIndex\":7", &set)] {
        let (_, value) = text.split_once(key).unwrap();
        let doubled = match key {
            "\"logIndex\":7" => text.replace(key, "\"logIndex\":7,\"logIndex\":7"),
            "\"Payload\"" => format!("{},\"Payload\"{}", text.trim_end_matches('}'), value),
            _ => format!("{{{key}:\"\",{}", &text[1..]),
        };
        assert_refused(verify(&story.with_set(&doubled), &story.trust()), ErrorKind::Invalid, "invalid signed entry");
    }
    for key in ["\"kind\":\"hashedrekord\"", "\"algorithm\":\"sha256\""] {
        let doubled = entry.replace(key, &format!("{key},{key}"));
        assert_ne!(doubled, entry);
        let set = story.log.set(doubled.as_bytes(), TIME).to_string();
        let outcome = verify(&story.with_set(&set), &story.trust());
        assert_refused(outcome, ErrorKind::Invalid, "duplicate field");
    }
}

#[test]
fn an_entry_that_containers_image_refuses_is_refused() {
    let story = Story::new();
    let special = |operation: &str| {
        if operation.contains("sha512.Sum512") {
            return Some(json!(Digest::of(transship::digest::Algorithm::Sha512, &story.signature.payload).encoded()));
        }
        let (_, text) = operation.split_once("base64.StdEncoding.EncodeToString(")?;
        Some(json!(to_base64(&match text.trim_end_matches(')') {
            "[]byte(\"does not match\"" => b"does not match".to_vec(),
            "[]byte(\"not PEM\"" => b"not PEM".to_vec(),
            "bytes.Repeat(cosignCertBytes, 2" => story.key.pem().repeat(2).into_bytes(),
            "otherPEM" => Key::new().pem().into_bytes(),
            other => panic!("{other}"),
        })))
    };
    for operation in table("signature_payload", "rekor_body_invalid") {
        let operation = operation.as_str().unwrap();
        let mut entry = story.entry();
        mutate(operation, &mut entry, &special);
        if operation.contains("sha512.Sum512") {
            entry["spec"]["data"]["hash"]["algorithm"] = json!("sha512");
        }
        assert_ne!(entry, story.entry(), "{operation}");
        let outcome = verify(&story.with_entry(&entry), &story.trust());
        assert_refused(outcome, ErrorKind::Invalid, "the transparency log does not vouch for the signature");
    }
}

#[test]
fn a_changed_promise_is_not_the_logs() {
    let story = Story::new();
    let other_body = story.entry().to_string().replace("sha256", "sha512");
    let changes: [(&str, Value); 4] = [
        ("body", json!(to_base64(other_body.as_bytes()))),
        ("integratedTime", json!(TIME + 1)),
        ("logIndex", json!(8)),
        ("logID", json!(to_hex(&[0; 32]))),
    ];
    for (key, value) in changes {
        let mut set = story.set();
        set["Payload"][key] = value;
        let outcome = verify(&story.with_set(&set.to_string()), &story.trust());
        assert_refused(outcome, ErrorKind::NotTrusted, "not signed with any of the accepted log keys");
    }
    let other_log = Log::new().set(story.entry().to_string().as_bytes(), TIME);
    let outcome = verify(&story.with_set(&other_log.to_string()), &story.trust());
    assert_refused(outcome, ErrorKind::NotTrusted, "not signed with any of the accepted log keys");
}

#[test]
fn the_promise_for_another_signature_does_not_help() {
    let story = Story::new();
    let mut again = story.key.legacy(&story.signature.payload);
    again.annotations.insert(BUNDLE_ANNOTATION.to_owned(), story.set().to_string());
    assert_refused(verify(&again, &story.trust()), ErrorKind::Invalid, "the log entry is for another signature");
    let mut other = story.key.legacy(&payload(b"other manifest", "quay.io/org/app:1"));
    other.annotations.insert(BUNDLE_ANNOTATION.to_owned(), story.set().to_string());
    assert_refused(verify(&other, &story.trust()), ErrorKind::Invalid, "the digest of the payload");
}

#[test]
fn a_time_that_no_clock_shows_is_refused() {
    let story = Story::new();
    for time in [-1, i64::MIN] {
        let set = story.log.set(story.entry().to_string().as_bytes(), time);
        let outcome = verify(&story.with_set(&set.to_string()), &story.trust());
        assert_refused(outcome, ErrorKind::Invalid, &format!("the log gives the time {time}"));
    }
}
