//! References agree with skopeo's own library and with the tables of its tests.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support {
    pub(crate) mod shared;
    pub(crate) mod tables;
}

use serde_json::Value;
use support::tables::{names, oracle, table, text};
use transship::Digest;
use transship::reference::{ParseError, Reference};

/// The tables of functions that have no counterpart, because nothing in the product would call one.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("parse_any_reference", "an image id names an image in a local storage, which is not a transport here"),
    ("familiar_match", "a glob over local images, for the `images` command of such a storage"),
];

/// The tables of the grammar inside, run beside it in `src/reference/parse.rs`.
const RUN_INSIDE: &[&str] = &[
    "parse",
    "with_name_failure",
    "split_hostname_unnormalized",
    "with_tag",
    "with_digest",
    "serialization",
    "domain_regexp",
    "name_regexp",
    "reference_regexp",
];

const RUN_HERE: &[&str] = &[
    "parse_named_canonical",
    "identifier_regexp",
    "normalized_name_valid",
    "normalized_name_invalid",
    "remote_name_valid",
    "remote_name_invalid",
    "repository_info",
    "normalized_split_hostname",
    "parse_docker_ref",
];

#[test]
fn every_table_is_run_or_has_a_reason_not_to() {
    for name in names("reference") {
        let is_excused = NOT_APPLICABLE.iter().any(|(excused, _)| *excused == name);
        assert!(is_excused || RUN_INSIDE.contains(&&*name) || RUN_HERE.contains(&&*name), "{name}");
    }
}

/// The short form that skopeo prints for these names another registry when it is read again (`foo.bar`), so ours keeps
/// `docker.io`.
const SHORT_FORM_OF_ANOTHER: [&str; 1] = [concat!(
    "index.docker.io/foo.bar/foo.bar/foo-bar",
    "@sha256:768d3705797a86cb1047db8c2b7a8912de18ead32b53e40fb73d93a3c91b089f"
)];

#[test]
fn every_text_is_judged_and_split_as_skopeo_does() {
    for (input, expect) in oracle("parse", 600) {
        let parsed = input.parse::<Reference>();
        assert_eq!(parsed.is_err(), expect.get("error").is_some(), "{input}: {parsed:?}, {expect}");
        let Ok(reference) = parsed else { continue };
        let part = |part: Option<String>| part.unwrap_or_default();
        assert_eq!(reference.name().to_string(), text(&expect["name"]), "{input}");
        assert_eq!(reference.domain(), text(&expect["domain"]), "{input}");
        assert_eq!(reference.name().path(), text(&expect["path"]), "{input}");
        assert_eq!(part(reference.tag().map(ToString::to_string)), text(&expect["tag"]), "{input}");
        assert_eq!(part(reference.digest().map(ToString::to_string)), text(&expect["digest"]), "{input}");
        if SHORT_FORM_OF_ANOTHER.contains(&&*input) {
            assert_ne!(text(&expect["familiar"]).parse().as_ref(), Ok(&reference), "{input}");
            assert_eq!(reference.familiar(), reference.to_string(), "{input}");
        } else {
            assert_eq!(reference.familiar(), text(&expect["familiar"]), "{input}");
        }
    }
}

#[test]
fn the_short_form_never_names_something_else() {
    let image_id = format!("docker.io/library/{}", "a".repeat(64));
    for full in ["docker.io/quay.io/app", "docker.io/localhost/app", "docker.io/index.docker.io/app", &image_id] {
        let reference: Reference = full.parse().unwrap();
        assert_eq!(reference.familiar(), full);
        assert_eq!(reference.familiar().parse(), Ok(reference));
    }
}

#[test]
fn the_long_and_the_short_form_read_back_as_the_same() {
    for (input, _) in oracle("parse", 600) {
        let Ok(reference) = input.parse::<Reference>() else { continue };
        assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference), "{input}");
        assert_eq!(reference.familiar().parse().as_ref(), Ok(&reference), "{input}");
    }
}

#[test]
fn a_canonical_reference_has_nothing_implied() {
    for case in table("reference", "parse_named_canonical") {
        match Reference::parse_canonical(&text(&case["input"])) {
            Ok(reference) => {
                assert!(case.get("err").is_none(), "{case}");
                assert_eq!(reference.domain(), text(&case["domain"]), "{case}");
                assert_eq!(reference.name().path(), text(&case["name"]), "{case}");
            }
            Err(error) => {
                assert!(case.get("err").is_some(), "{case}: {error}");
                assert!(matches!(error, ParseError::NotCanonical { .. }), "{case}: {error}");
            }
        }
    }
}

#[test]
fn an_image_id_is_no_name() {
    for case in table("reference", "identifier_regexp") {
        let is_image_id = matches!(text(&case["input"]).parse::<Reference>(), Err(ParseError::ImageId(_)));
        assert_eq!(Value::from(is_image_id), case["match"], "{case}");
    }
}

#[test]
fn a_typed_name_is_valid_or_not() {
    for (name, is_valid) in [
        ("normalized_name_valid", true),
        ("normalized_name_invalid", false),
        ("remote_name_valid", true),
        ("remote_name_invalid", false),
    ] {
        for case in table("reference", name) {
            assert_eq!(text(&case).parse::<Reference>().is_ok(), is_valid, "{name}: {case}");
        }
    }
}

#[test]
fn each_spelling_of_a_name_is_the_same_name() {
    for case in table("reference", "repository_info") {
        for spelling in ["FamiliarName", "FullName", "AmbiguousName"].map(|key| text(&case[key])) {
            if spelling.is_empty() {
                continue;
            }
            let reference: Reference = spelling.parse().unwrap();
            assert_eq!(reference.name().to_string(), text(&case["FullName"]), "{case}");
            assert_eq!(reference.name().path(), text(&case["RemoteName"]), "{case}");
            assert_eq!(reference.domain(), text(&case["Domain"]), "{case}");
            assert_eq!(reference.familiar(), text(&case["FamiliarName"]), "{case}");
        }
    }
}

#[test]
fn docker_io_and_library_are_implied() {
    for case in table("reference", "normalized_split_hostname") {
        let reference: Reference = text(&case["input"]).parse().unwrap();
        assert_eq!(reference.domain(), text(&case["domain"]), "{case}");
        assert_eq!(reference.name().path(), text(&case["name"]), "{case}");
    }
}

/// Go has a function that also drops the tag of a name with both. Here that is a decision of the caller, in the open.
#[test]
fn latest_is_implied_without_tag_and_digest_only() {
    for case in table("reference", "parse_docker_ref") {
        let reference: Reference = text(&case["input"]).parse().unwrap();
        assert_eq!(reference.with_default_tag().to_string(), text(&case["expected"]), "{case}");
    }
    let digest = Digest::sha256(b"");
    let by_digest = format!("docker.io/library/busybox@{digest}");
    let both: Reference = format!("busybox:1@{digest}").parse().unwrap();
    assert_eq!(both.clone().without_tag().with_default_tag().to_string(), by_digest);
    assert_eq!(both.without_digest().to_string(), "docker.io/library/busybox:1");
}

#[test]
fn the_length_limit_is_on_the_spelled_out_name() {
    let name = |length: usize| "a".repeat(length);
    let implied = "docker.io/library/".len();
    assert!(name(255 - implied).parse::<Reference>().is_ok());
    assert_eq!(name(256 - implied).parse::<Reference>(), Err(ParseError::TooLong(256)));
    assert!(format!("{}:{}", name(255 - implied), "t".repeat(128)).parse::<Reference>().is_ok());
    assert!(matches!(format!("a:{}", "t".repeat(129)).parse::<Reference>(), Err(ParseError::Tag(_))));
}
