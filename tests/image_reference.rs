//! Image references agree with skopeo's own library and with the tables of its tests.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support {
    pub(crate) mod shared;
    pub(crate) mod tables;
}

use std::path::Path;

use serde_json::Value;
use support::tables::{names, oracle, table, text};
use transship::ImageReference;
use transship::reference::{ArchivedImage, DockerArchiveReference, DockerReference, OciImage, OciName, OciReference};

const RUN_HERE: &[&str] = &[
    "parse_reference",
    "string_within_transport",
    "tag_or_digest",
    "policy_configuration_namespaces",
    "policy_configuration_suffixes",
    "policy_identity_errors",
];

/// What is about policy.json, or about registries.conf, belongs to other rooms' tests.
const OF_OTHER_ROOMS: &[&str] = &["validate_policy_scope_ok", "mirror_redirection_reference"];

#[test]
fn every_table_is_run_or_has_a_reason_not_to() {
    for name in names("docker_transport") {
        assert!(RUN_HERE.contains(&&*name) || OF_OTHER_ROOMS.contains(&&*name), "{name}");
    }
}

fn parse(text: &str) -> ImageReference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn is_error(text: &str) -> bool {
    text.parse::<ImageReference>().is_err()
}

fn within_transport(image: &ImageReference) -> String {
    image.to_string().split_once(':').unwrap().1.to_owned()
}

fn docker(image: &ImageReference) -> &DockerReference {
    match image {
        ImageReference::Docker(docker) => docker,
        other => panic!("{other}"),
    }
}

#[test]
fn every_text_means_to_a_policy_what_it_means_to_skopeo() {
    for (input, expect) in oracle("image", 376) {
        let parsed = input.parse::<ImageReference>();
        assert_eq!(parsed.is_err(), expect.get("error").is_some(), "{input}: {parsed:?}, {expect}");
        let Ok(image) = parsed else { continue };
        assert_eq!(image.transport(), text(&expect["transport"]), "{input}");
        assert_eq!(within_transport(&image), text(&expect["within"]), "{input}");
        assert_eq!(image.policy_identity().unwrap_or_default(), text(&expect["identity"]), "{input}");
        assert_eq!(Value::from(image.policy_namespaces()), expect["namespaces"], "{input}");
        if let ImageReference::Docker(docker) = &image {
            assert_eq!(docker.reference().to_string(), text(&expect["docker_reference"]), "{input}");
        }
        assert_eq!(parse(&image.to_string()), image, "{input}");
    }
}

#[test]
fn a_docker_reference_is_read_with_what_it_implies() {
    for case in table("docker_transport", "parse_reference") {
        let input = format!("docker:{}", text(&case["input"]));
        let expected = text(&case["expected"]);
        assert_eq!(is_error(&input), expected.is_empty(), "{case}");
        if !expected.is_empty() {
            let image = parse(&input);
            assert_eq!(docker(&image).reference().to_string(), expected, "{case}");
            assert_eq!(Value::from(docker(&image).is_unknown_digest()), case["expectedUnknownDigest"], "{case}");
        }
    }
}

#[test]
fn a_docker_reference_is_written_in_the_short_form() {
    for case in table("docker_transport", "string_within_transport") {
        let image = parse(&format!("docker://{}", text(&case["input"])));
        assert_eq!(within_transport(&image), text(&case["stringWithinTransport"]), "{case}");
        assert_eq!(docker(&image).reference().to_string(), text(&case["dockerRef"]), "{case}");
        assert_eq!(Value::from(docker(&image).is_unknown_digest()), case["expectedUnknownDigest"], "{case}");
        assert_eq!(parse(&image.to_string()), image, "{case}");
    }
}

#[test]
fn a_docker_reference_has_a_tag_or_a_digest_not_both() {
    for case in table("docker_transport", "tag_or_digest") {
        let image = parse(&format!("docker:{}", text(&case[0])));
        let reference = docker(&image).reference();
        let parts = [reference.tag().map(ToString::to_string), reference.digest().map(ToString::to_string)];
        assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>(), [text(&case[1])], "{case}");
    }
}

/// The table lost its expectations, so they are spelled out here after containers-policy.json(5).
fn expected_namespaces(name: &str) -> &'static [&'static str] {
    match name {
        "repo" | "library/repo" | "docker.io/repo" => {
            &["docker.io/library/repo", "docker.io/library", "docker.io", "*.io"]
        }
        "localhost/repo" => &["localhost/repo", "localhost"],
        "localhost/ns/repo" => &["localhost/ns/repo", "localhost/ns", "localhost"],
        "notlocalhost/repo" => &["docker.io/notlocalhost/repo", "docker.io/notlocalhost", "docker.io", "*.io"],
        "example.com/repo" => &["example.com/repo", "example.com", "*.com"],
        "example.com/ns/repo" => &["example.com/ns/repo", "example.com/ns", "example.com", "*.com"],
        "yet.another.example.com:8443/ns/repo" => &[
            "yet.another.example.com:8443/ns/repo",
            "yet.another.example.com:8443/ns",
            "yet.another.example.com:8443",
            "*.another.example.com",
            "*.example.com",
            "*.com",
        ],
        other => panic!("a new case: {other}"),
    }
}

#[test]
fn a_policy_s_namespaces_go_from_the_name_to_the_top_domain() {
    for case in table("docker_transport", "policy_configuration_namespaces") {
        let expected = expected_namespaces(case.as_str().unwrap());
        for suffix in table("docker_transport", "policy_configuration_suffixes") {
            let image = parse(&format!("docker://{}{}", text(&case), text(&suffix[0])));
            assert_eq!(image.policy_identity(), Some(format!("{}{}", expected[0], text(&suffix[1]))), "{case}");
            assert_eq!(image.policy_namespaces(), expected, "{case}");
        }
        let unknown = parse(&format!("docker://{}@@unknown-digest@@", text(&case)));
        assert_eq!(unknown.policy_identity().as_deref(), Some(expected[0]), "{case}");
        assert_eq!(unknown.policy_namespaces(), expected[1..], "{case}");
    }
}

/// Where Go's policy finds a name without tag and digest, or with both, and fails, no such image reference can be made.
#[test]
fn what_a_policy_could_not_judge_cannot_be_made() {
    let cases = table("docker_transport", "policy_identity_errors");
    assert!(cases.is_empty() || cases.len() == 2, "a new case: {cases:?}");
    let bare: DockerReference = "busybox".parse().unwrap();
    assert_eq!(bare.reference().to_string(), "docker.io/library/busybox:latest");
    let both = format!("busybox:tag@{}", transship::Digest::sha256(b""));
    assert!(both.parse::<DockerReference>().is_err());
}

fn oci(text: &str) -> OciReference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn oci_name(image: &OciImage) -> &str {
    match image {
        OciImage::Named(name) => name.as_str(),
        OciImage::Only | OciImage::Index(_) => "",
    }
}

fn oci_index(image: &OciImage) -> Value {
    match image {
        OciImage::Index(index) => Value::from(*index),
        OciImage::Only | OciImage::Named(_) => Value::from(-1),
    }
}

#[test]
fn a_layout_s_path_ends_at_the_first_colon() {
    for case in table("other_transports", "oci_split") {
        let layout = oci(&text(&case["ref"]));
        assert_eq!(layout.path(), Path::new(&text(&case["dir"])), "{case}");
        assert_eq!(oci_name(layout.image()), text(&case["image"]), "{case}");
    }
    for case in table("other_transports", "oci_parse_suffix") {
        let layout = oci(&format!("/tmp/layout{}", text(&case["suffix"])));
        assert_eq!(layout.path(), Path::new("/tmp/layout"), "{case}");
        assert_eq!(oci_name(layout.image()), text(&case["image"]), "{case}");
        assert_eq!(oci_index(layout.image()), case["sourceIndex"], "{case}");
    }
}

#[test]
fn an_image_of_a_layout_is_named_or_counted() {
    for case in table("other_transports", "oci_ref_valid") {
        let layout = oci(&format!("/x:{}", text(&case["ref"])));
        assert_eq!(oci_name(layout.image()), text(&case["image"]), "{case}");
        assert_eq!(oci_index(layout.image()), case["index"], "{case}");
    }
    for case in table("other_transports", "oci_ref_invalid") {
        for transport in ["oci", "oci-archive", "docker-archive"] {
            assert!(is_error(&format!("{transport}:/x:{}", text(&case))), "{transport} {case}");
        }
    }
}

#[test]
fn an_image_of_a_layout_is_written_with_its_colon() {
    for case in table("other_transports", "oci_string") {
        assert_eq!(oci(&text(&case["input"])).to_string(), text(&case["result"]), "{case}");
    }
}

fn archive_parts(archive: &DockerArchiveReference) -> (String, i64) {
    match archive.image() {
        ArchivedImage::Only => (String::new(), -1),
        ArchivedImage::Tagged(reference) => (reference.to_string(), -1),
        ArchivedImage::Index(index) => (String::new(), i64::try_from(*index).unwrap()),
    }
}

#[test]
fn an_image_of_a_docker_archive_is_named_by_tag_or_counted() {
    for case in table("other_transports", "docker_archive_parse") {
        let parsed = text(&case["input"]).parse::<DockerArchiveReference>();
        let path = text(&case["expectedPath"]);
        assert_eq!(parsed.is_err(), path.is_empty(), "{case}");
        let Ok(archive) = parsed else { continue };
        assert_eq!(archive.path(), Path::new(&path), "{case}");
        let (reference, index) = archive_parts(&archive);
        assert_eq!(reference, text(&case["expectedRef"]), "{case}");
        assert_eq!(Value::from(index), case["expectedSourceIndex"], "{case}");
    }
}

#[test]
fn an_image_of_a_docker_archive_is_written_in_full() {
    for case in table("other_transports", "docker_archive_string") {
        let archive: DockerArchiveReference = text(&case["input"]).parse().unwrap();
        assert_eq!(archive.to_string(), text(&case["stringWithinTransport"]), "{case}");
        assert_eq!(archive_parts(&archive).0, text(&case["dockerRef"]), "{case}");
        assert_eq!(Value::from(archive_parts(&archive).1), case["sourceIndex"], "{case}");
        assert_eq!(archive.to_string().parse(), Ok(archive), "{case}");
    }
}

/// An index below zero cannot be written in our types; in text it is refused.
#[test]
fn an_image_of_a_docker_archive_is_made_from_its_parts() {
    for case in table("other_transports", "docker_archive_new_ref") {
        let reference = text(&case["ref"]);
        let image = match reference.as_str() {
            "" => ArchivedImage::Only,
            reference => ArchivedImage::Tagged(reference.parse().unwrap()),
        };
        assert_eq!(Value::from(DockerArchiveReference::new("/x", image).is_ok()), case["ok"], "{case}");
    }
    for case in table("other_transports", "docker_archive_index") {
        assert_eq!(Value::from(!is_error(&format!("docker-archive:/x:@{}", case["index"]))), case["ok"], "{case}");
    }
}

#[test]
fn what_is_no_image_reference_is_refused() {
    for case in table("other_transports", "alltransports_invalid") {
        assert!(is_error(&text(&case)), "{case}");
    }
    for text in ["dir:", "oci:", "oci-archive::name", "docker-archive:", "docker-archive:/x:", "oci:/x:-"] {
        assert!(is_error(text), "{text}");
    }
}

#[test]
fn an_image_reference_reads_back_as_it_is_written() {
    for case in table("other_transports", "alltransports_roundtrip") {
        let transport = text(&case["transport"]);
        let image = parse(&format!("{transport}:{}", text(&case["input"])));
        assert_eq!(image.to_string(), format!("{transport}:{}", text(&case["roundtrip"])), "{case}");
        assert_eq!(parse(&image.to_string()), image, "{case}");
    }
}

#[test]
fn a_place_on_this_machine_can_be_made_without_text() {
    let name: OciName = "app:1".parse().unwrap();
    let layout = OciReference::new("/srv/layout", OciImage::Named(name)).unwrap();
    assert_eq!(ImageReference::Oci(layout).to_string(), "oci:/srv/layout:app:1");
    let archive = DockerArchiveReference::new("/srv/x.tar", ArchivedImage::Tagged("app".parse().unwrap())).unwrap();
    let image = ImageReference::DockerArchive(archive);
    assert_eq!(image.to_string(), "docker-archive:/srv/x.tar:docker.io/library/app:latest");
    assert_eq!(image.policy_identity(), None);
}
