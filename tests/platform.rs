//! Which platforms are wanted, and which instance of an index is taken.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should panic")]

use std::fs;

use serde_json::Value;
use transship::MediaType;
use transship::manifest::{Error, Index, ManifestBytes, Platform, PlatformChoice, Preference};

#[path = "support/shared.rs"]
mod shared;
use shared::shared;

const TESTDATA: &str = "fixtures/containers-image/internal/manifest/testdata";

fn table(file: &str, name: &str) -> Vec<Value> {
    let Some(path) = shared(&format!("tables/containers-image/{file}")) else { return Vec::new() };
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let tables = file["tables"].as_array().unwrap();
    let cases = tables.iter().find(|table| table["name"] == name).unwrap()["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{name}");
    cases.clone()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn linux(architecture: &Value, variant: &Value) -> PlatformChoice {
    PlatformChoice { os: Some("linux".to_owned()), architecture: text(architecture), variant: text(variant) }
}

fn list(case: &Value) -> Index {
    let bytes = fs::read(shared(&format!("{TESTDATA}/{}", case["listFile"].as_str().unwrap())).unwrap()).unwrap();
    Index::parse(&ManifestBytes::new(bytes, MediaType::from(""))).unwrap()
}

fn check_choices(case: &Value) {
    let index = list(case);
    for row in case["matchedInstances"].as_array().unwrap() {
        let preference = if row[3] == true { Preference::Gzip } else { Preference::Zstd };
        let wanted = linux(&row[0], &row[1]).wanted(&Platform::host());
        let instance = index.choose(&wanted, preference).unwrap();
        assert_eq!(instance.digest().as_str(), row[2], "{} {row}", case["listFile"]);
    }
    for architecture in case["unmatchedInstances"].as_array().into_iter().flatten() {
        let wanted = linux(architecture, &Value::Null).wanted(&Platform::host());
        let outcome = index.choose(&wanted, Preference::Zstd);
        assert!(matches!(outcome, Err(Error::NoInstance { .. })), "{} {architecture}", case["listFile"]);
    }
}

#[test]
fn the_wanted_platforms_are_those_of_containers_image() {
    for case in table("platform.json", "wanted_platforms") {
        let (choice, expected) = (&case["ctx"], case["expected"].as_array().unwrap());
        let choice = PlatformChoice {
            os: text(&choice["OSChoice"]),
            architecture: text(&choice["ArchitectureChoice"]),
            variant: text(&choice["VariantChoice"]),
        };
        let platform = |row: &Value| {
            Platform::new(text(&row["OS"]).unwrap(), text(&row["Architecture"]).unwrap(), text(&row["Variant"]))
        };
        let expected: Vec<_> = expected.iter().map(platform).collect();
        assert_eq!(choice.wanted(&Platform::host()), expected, "{case}");
    }
}

#[test]
fn the_hosts_variant_counts_only_where_no_architecture_was_chosen() {
    let host = Platform::new("linux", "arm", Some("v6".to_owned()));
    let shown = |choice: PlatformChoice| choice.wanted(&host).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(PlatformChoice::default()), ["linux/arm/v6", "linux/arm/v5", "linux/arm"]);
    let arm = PlatformChoice { architecture: Some("arm".to_owned()), ..PlatformChoice::default() };
    assert_eq!(shown(arm)[0], "linux/arm");
    let v5 = PlatformChoice { variant: Some("v5".to_owned()), ..PlatformChoice::default() };
    assert_eq!(shown(v5), ["linux/arm/v5", "linux/arm"]);
    let empty = PlatformChoice { architecture: Some(String::new()), ..PlatformChoice::default() };
    assert_eq!(shown(empty)[0], "linux/arm/v6");
}

#[test]
fn an_instance_is_chosen_as_containers_image_chooses_it() {
    for case in table("manifest.json", "choose_instance") {
        check_choices(&case);
    }
}

#[test]
fn compression_decides_among_instances_of_one_platform() {
    for case in table("manifest.json", "choose_instance_by_compression") {
        check_choices(&case);
    }
}

#[test]
fn an_instance_is_chosen_as_skopeo_was_seen_to_choose_it() {
    let Some(path) = shared("oracle/instance.jsonl") else { return };
    let mut count = 0;
    for line in fs::read_to_string(path).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let media_type = MediaType::from(case["media_type"].as_str().unwrap());
        let raw = case["raw"].as_str().unwrap();
        let choice = PlatformChoice {
            os: text(&case["os"]),
            architecture: text(&case["arch"]),
            variant: text(&case["variant"]),
        };
        let index = Index::parse(&ManifestBytes::new(raw.into(), media_type)).unwrap();
        match index.choose(&choice.wanted(&Platform::host()), Preference::Zstd) {
            Ok(instance) => assert_eq!(instance.digest().as_str(), case["expect"]["instance"], "{case}"),
            Err(Error::NoInstance { .. }) => assert!(case["expect"]["error"].is_string(), "{case}"),
            Err(error) => panic!("{error}: {case}"),
        }
        count += 1;
    }
    assert_eq!(count, 180);
}

#[test]
fn the_error_names_what_was_wanted_and_what_there_is() {
    let Some(case) = table("manifest.json", "choose_instance").into_iter().next() else { return };
    let wanted = [Platform::new("plan9", "amd64", None)];
    let error = list(&case).choose(&wanted, Preference::Zstd).unwrap_err().to_string();
    assert!(error.starts_with("no image for plan9/amd64 in the index; it has linux/amd64, linux/"), "{error}");
}
