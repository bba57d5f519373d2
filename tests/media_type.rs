//! Media types.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support {
    pub(crate) mod shared;
    pub(crate) mod tables;
}

use support::tables::{table, text};
use transship::MediaType;

#[test]
fn a_content_type_is_read_without_its_parameters() {
    for case in table("docker_http", "simplify_content_type") {
        assert_eq!(MediaType::from_content_type(&text(&case["input"])).as_str(), text(&case["expected"]), "{case}");
    }
}

#[test]
fn a_content_type_is_the_same_in_any_case_and_with_broken_parameters() {
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    for stated in
        [manifest.to_uppercase(), format!(" {manifest}\t; "), format!("{manifest};charset"), format!("{manifest};=")]
    {
        assert_eq!(MediaType::from_content_type(&stated), MediaType::OCI_MANIFEST, "{stated:?}");
    }
    for stated in ["", ";", "application", "/json", "a/b c", "é/é"] {
        assert_eq!(MediaType::from_content_type(stated).as_str(), "", "{stated:?}");
    }
}

#[test]
fn an_index_is_what_containers_image_calls_several_images() {
    for case in table("copy", "is_multi_image") {
        assert_eq!(MediaType::from(text(&case["mt"]).as_str()).is_index(), case["expected"], "{case}");
    }
}

#[test]
fn a_media_type_is_of_one_kind() {
    let kinds = |media_type: &MediaType| [media_type.is_image(), media_type.is_index(), media_type.is_schema1()];
    for (media_type, expected) in [
        (MediaType::OCI_MANIFEST, [true, false, false]),
        (MediaType::DOCKER_MANIFEST, [true, false, false]),
        (MediaType::OCI_INDEX, [false, true, false]),
        (MediaType::DOCKER_LIST, [false, true, false]),
        (MediaType::DOCKER_SCHEMA1, [false, false, true]),
        (MediaType::DOCKER_SCHEMA1_SIGNED, [false, false, true]),
        (MediaType::OCI_CONFIG, [false, false, false]),
        (MediaType::from("text/plain"), [false, false, false]),
    ] {
        assert_eq!(kinds(&media_type), expected, "{media_type}");
    }
}
