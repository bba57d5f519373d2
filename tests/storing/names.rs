//! What images are called.

use transship::Digest;
use transship::store::{Names, classify, labels, parse_image};

use crate::tables::containerd_table;

/// What the tables call D.
const TARGET: &str = "sha256:e6693c20186f837fc393390135d8a598a96a833917917789d63766cab6c59582";

#[test]
fn a_name_is_spelled_out_as_cri_does_and_has_a_tag_or_a_digest() {
    let target: Digest = TARGET.parse().unwrap();
    for case in containerd_table("cri_docker_reference") {
        let input = case["input"].as_str().unwrap();
        let parsed = parse_image(input);
        // Registries in capitals, and IPv6 addresses, are names to containerd alone: podman and skopeo refuse them, and so
        // do we.
        let is_containerds = input.starts_with("Foo/") || input.starts_with("FOO/") || input.starts_with('[');
        if !case["error"].is_null() || is_containerds {
            assert!(parsed.is_err(), "{case}");
            continue;
        }
        let parsed = parsed.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(parsed.to_string(), case["normalized"], "{case}");
        assert_eq!(
            (parsed.domain(), parsed.name().path()),
            (case["domain"].as_str().unwrap(), case["path"].as_str().unwrap())
        );
        let names = Names::of(&parsed, &target);
        assert_eq!(names.repo_tag.map(|tag| tag.to_string()).unwrap_or_default(), case["repo_tag"], "{case}");
        assert_eq!(names.repo_digest.to_string(), case["repo_digest_when_target_is_D"], "{case}");
    }
}

#[test]
fn tags_are_told_from_digests_and_an_id_is_neither() {
    for case in containerd_table("cri_image_refs") {
        let list =
            |key: &str| case[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
        let (tags, digests) = classify(list("refs"));
        let text = |names: Vec<transship::Reference>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(tags), list("repo_tags"));
        assert_eq!(text(digests), list("repo_digests"));
    }
}

#[test]
fn an_image_is_pinned_under_its_own_name_alone() {
    for case in containerd_table("cri_pinned_labels") {
        let pinned: Vec<String> = serde_json::from_value(case["pinned_images"].clone()).unwrap();
        let labels = labels(&parse_image(case["pull"].as_str().unwrap()).unwrap(), &pinned);
        let labels: serde_json::Map<_, _> =
            labels.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        assert_eq!(serde_json::Value::Object(labels), case["labels"], "{case}");
    }
}
