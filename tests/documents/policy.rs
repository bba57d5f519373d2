//! `docs/policy.md`: its JSON is valid, and its tables are true.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use transship::config::PolicyJson;
use transship::config::policy_json::{Requirement, SignedIdentity};
use transship::policy::{Policy, identity};
use transship::{ImageReference, Reference};

use crate::page::{blocks, document, rows, section};

const IDENTITIES: [&str; 6] =
    ["matchRepoDigestOrExact", "matchExact", "matchRepository", "exactReference", "exactRepository", "remapIdentity"];

fn page() -> String {
    document("docs/policy.md")
}

fn policy(json: &str) -> PolicyJson {
    PolicyJson::parse(json.as_bytes(), Path::new("policy.md")).unwrap()
}

#[test]
fn every_json_is_a_policy_or_a_part_of_one() {
    for block in blocks(&page(), "json") {
        let value: Value = serde_json::from_str(block).unwrap();
        match value["type"].as_str() {
            None => drop(policy(block)),
            Some(name) if IDENTITIES.contains(&name) => {
                assert_eq!(serde_json::from_str::<SignedIdentity>(block).unwrap().type_name(), name);
            }
            Some(name) => assert_eq!(serde_json::from_str::<Requirement>(block).unwrap().type_name(), name),
        }
    }
}

#[test]
fn the_entries_of_the_example_decide_as_the_table_says() {
    let page = page();
    let section = section(&page, "## Which part decides");
    let policy = Policy::new(policy(blocks(section, "json")[0]));
    let mut images = 0;
    for row in rows(section).iter().filter(|row| row.len() == 2) {
        let Ok(image) = row[0].parse::<ImageReference>() else { continue };
        assert_eq!(policy.requirements(&image).0.to_string(), row[1], "{image}");
        images += 1;
    }
    assert_eq!(images, 9);
}

#[test]
fn each_identity_accepts_what_its_table_says() {
    let page = page();
    for kind in IDENTITIES {
        let section = section(&page, &format!("### {kind}"));
        let rule: SignedIdentity = serde_json::from_str(blocks(section, "json")[0]).unwrap();
        assert_eq!(rule.type_name(), kind);
        let mut answers = BTreeSet::new();
        for row in rows(section) {
            let [image, signed, accepted] = row[..] else { panic!("{row:?}") };
            let image: Option<Reference> = if image.starts_with("dir:") { None } else { Some(image.parse().unwrap()) };
            assert_eq!(identity::matches(&rule, image.as_ref(), signed), accepted == "yes", "{kind}: {row:?}");
            answers.insert(accepted);
        }
        assert_eq!(answers, BTreeSet::from(["no", "yes"]), "{kind} needs an example of either");
    }
}

#[test]
fn no_kind_of_requirement_is_left_out() {
    let page = page();
    let section = section(&page, "## Requirements");
    for row in rows(section) {
        let bare = format!("{{\"type\": \"{}\"}}", row[0]);
        if let Err(error) = serde_json::from_str::<Requirement>(&bare) {
            assert!(!error.to_string().contains("unknown type"), "{error}");
        }
    }
    assert_eq!(rows(section).len(), 5);
}

#[test]
fn what_the_page_calls_an_error_is_one() {
    let reject = r#"[{"type": "reject"}]"#;
    for wrong in [
        "{}".to_owned(),
        r#"{"default": []}"#.to_owned(),
        format!(r#"{{"default": {reject}, "default": {reject}}}"#),
        format!(r#"{{"Default": {reject}}}"#),
        format!(r#"{{"default": {reject}}} {{}}"#),
        format!(r#"{{"default": {reject}, "transports": {{"dir": {{"/": {reject}}}}}}}"#),
        format!(r#"{{"default": {reject}, "transports": {{"docker-archive": {{"/a": {reject}}}}}}}"#),
        r#"{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": ""}]}"#.to_owned(),
        r#"{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "signedIdentity": null}]}"#
            .to_owned(),
        r#"{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "keyData": "YQ=="}]}"#.to_owned(),
        r#"{"default": [{"type": "sigstoreSigned", "keyData": "?"}]}"#.to_owned(),
    ] {
        assert!(PolicyJson::parse(wrong.as_bytes(), Path::new("policy.json")).is_err(), "{wrong}");
    }
}
