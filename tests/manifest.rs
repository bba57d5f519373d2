//! Manifests against the tables of containers/image and what its library was seen to do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use transship::manifest::convert::{self, image_to_oci, list_to_oci};
use transship::manifest::{Error, ImageManifest, Index, MAX_MANIFEST_SIZE, ManifestBytes};
use transship::{Digest, MediaType};

#[path = "support/shared.rs"]
mod shared;
use shared::shared;

const FIXTURES: &str = "fixtures/containers-image/internal/image/fixtures";
const TESTDATA: &str = "fixtures/containers-image/internal/manifest/testdata";

fn guess(bytes: &[u8]) -> String {
    ManifestBytes::new(bytes.to_vec(), MediaType::from("")).media_type().to_string()
}

fn parse(bytes: impl Into<Vec<u8>>, media_type: &MediaType) -> Result<(), Error> {
    let manifest = ManifestBytes::new(bytes.into(), media_type.clone());
    if media_type.is_index() { Index::parse(&manifest).map(drop) } else { ImageManifest::parse(&manifest).map(drop) }
}

/// The cases of a table; none without ../shared.
fn table(name: &str) -> Vec<Value> {
    let Some(path) = shared("tables/containers-image/manifest.json") else { return Vec::new() };
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let tables = file["tables"].as_array().unwrap();
    let cases = &tables.iter().find(|table| table["name"] == name).unwrap()["cases"];
    let cases = match cases {
        Value::Object(named) => named.values().cloned().collect(),
        cases => cases.as_array().unwrap().clone(),
    };
    assert!(!cases.is_empty(), "{name}");
    cases
}

fn testdata(file: &Value) -> Vec<u8> {
    let file = file.as_str().unwrap();
    if file.is_empty() { Vec::new() } else { fs::read(shared(&format!("{TESTDATA}/{file}")).unwrap()).unwrap() }
}

fn fixture(name: &str) -> Option<Vec<u8>> {
    Some(fs::read(shared(FIXTURES)?.join(name)).unwrap())
}

fn is_same_json(bytes: &[u8], other: &[u8]) -> bool {
    let value = |bytes| serde_json::from_slice::<Value>(bytes).unwrap();
    value(bytes) == value(other)
}

#[test]
fn a_missing_media_type_is_settled_as_containers_image_settles_it() {
    for case in table("guess_mime_type") {
        assert_eq!(guess(&testdata(&case["path"])), case["mimeType"], "{case}");
    }
}

#[test]
fn a_missing_media_type_is_settled_as_skopeo_was_seen_to_settle_it() {
    let Some(path) = shared("oracle/manifest.jsonl") else { return };
    for line in fs::read_to_string(path).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let raw = case["raw"].as_str().unwrap();
        let manifest = ManifestBytes::new(raw.into(), MediaType::from(""));
        if case["expect"]["error"].is_string() {
            // Schema 1 with a signature that is none: it is refused whole, signed or not.
            assert!(matches!(ImageManifest::parse(&manifest), Err(Error::Schema1)), "{case}");
            continue;
        }
        assert_eq!(manifest.media_type().as_str(), case["expect"]["guess"], "{case}");
        assert_eq!(manifest.media_type().is_index(), case["expect"]["is_list"], "{case}");
        // Skopeo hashes schema 1 without its signatures; here it is never used, so its digest does not matter.
        if *manifest.media_type() != MediaType::DOCKER_SCHEMA1_SIGNED {
            assert_eq!(manifest.digest().as_str(), case["expect"]["digest"], "{case}");
        }
    }
}

#[test]
fn a_known_media_type_is_believed_and_any_other_gives_way_to_the_content() {
    let index = br#"{"schemaVersion": 2, "manifests": [{}]}"#;
    for known in table("normalized_mime_known") {
        let known = known.as_str().unwrap();
        assert_eq!(ManifestBytes::new(index.to_vec(), MediaType::from(known)).media_type().as_str(), known);
    }
    for unknown in table("normalized_mime_unknown") {
        let unknown = unknown.as_str().unwrap();
        let settled = ManifestBytes::new(index.to_vec(), MediaType::from(unknown));
        assert_eq!(*settled.media_type(), MediaType::OCI_INDEX, "{unknown:?}");
        let nothing = ManifestBytes::new(b"{}".to_vec(), MediaType::from(unknown));
        assert_eq!(nothing.media_type().as_str(), unknown);
        assert!(matches!(ImageManifest::parse(&nothing), Err(Error::NotAnImage { .. })));
        assert!(matches!(Index::parse(&nothing), Err(Error::NotAnIndex { .. })));
    }
    for case in table("mime_is_multi_image") {
        assert_eq!(MediaType::from(case["mt"].as_str().unwrap()).is_index(), case["expected"], "{case}");
    }
}

#[test]
fn digests_are_of_the_bytes_whatever_the_algorithm() {
    // Schema 1 is hashed without its signatures, by those who read it.
    let is_schema1 = |case: &Value| case["path"].as_str().unwrap().starts_with("v2s1");
    for case in table("digest").into_iter().filter(|case| !is_schema1(case)) {
        for expected in [&case["expectedSHA256"], &case["expectedSHA512"]] {
            let expected: Digest = expected.as_str().unwrap().parse().unwrap();
            let manifest = ManifestBytes::verified(testdata(&case["path"]), MediaType::from(""), &expected).unwrap();
            assert_eq!(*manifest.digest(), expected);
        }
    }
    for case in table("matches_digest").into_iter().filter(|case| !is_schema1(case)) {
        let bytes = testdata(&case["path"]);
        let expected = case["expectedDigest"].as_str().map_or_else(
            || format!("{}abc", Digest::sha256(&bytes)), // The one row that is a Go expression.
            str::to_owned,
        );
        let verified =
            expected.parse().is_ok_and(|digest| ManifestBytes::verified(bytes, MediaType::from(""), &digest).is_ok());
        assert_eq!(verified, case["result"], "{case}");
    }
    let sha384 = Digest::of(transship::digest::Algorithm::Sha384, b"{}");
    assert!(ManifestBytes::verified(b"{}".to_vec(), MediaType::from(""), &sha384).is_ok());
    assert!(ManifestBytes::verified(b"{ }".to_vec(), MediaType::from(""), &sha384).is_err());
}

#[test]
fn schema_1_is_refused_and_the_error_says_what_to_do() {
    for file in ["v2s1.manifest.json", "v2s1-unsigned.manifest.json", "v2s1-invalid-signatures.manifest.json"] {
        let Some(path) = shared(&format!("{TESTDATA}/{file}")) else { return };
        let manifest = ManifestBytes::new(fs::read(path).unwrap(), MediaType::from("text/plain"));
        let error = ImageManifest::parse(&manifest).unwrap_err();
        assert!(matches!(error, Error::Schema1), "{file}: {error}");
        assert!(error.to_string().contains("push it again"), "{error}");
        assert!(matches!(Index::parse(&manifest), Err(Error::Schema1)));
    }
}

#[test]
fn a_manifest_with_a_field_of_another_kind_is_ambiguous() {
    let descriptor = json!({"mediaType": "a/b", "digest": Digest::sha256(b"").as_str(), "size": 0});
    let kinds = [
        (MediaType::OCI_MANIFEST, &["config", "layers"][..]),
        (MediaType::DOCKER_MANIFEST, &["config", "layers"]),
        (MediaType::OCI_INDEX, &["manifests"]),
        (MediaType::DOCKER_LIST, &["manifests"]),
    ];
    for (media_type, allowed) in kinds {
        let mut whole = json!({"schemaVersion": 2, "mediaType": media_type.as_str()});
        for field in allowed {
            whole[field] = if *field == "config" { descriptor.clone() } else { json!([descriptor]) };
        }
        parse(whole.to_string(), &media_type).unwrap();
        for field in table("unambiguous_fields") {
            let field = field.as_str().unwrap();
            if allowed.contains(&field) {
                continue;
            }
            let mut both = whole.clone();
            both[field] = json!([]);
            let outcome = parse(both.to_string(), &media_type);
            assert!(
                matches!(&outcome, Err(Error::Ambiguous { unexpected, .. }) if *unexpected == [field]),
                "{media_type} with {field}: {outcome:?}"
            );
            both[field] = Value::Null;
            parse(both.to_string(), &media_type).unwrap();
        }
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    let twice = r#"{"schemaVersion": 2, "manifests": [], "manifests": []}"#;
    assert!(matches!(parse(twice, &MediaType::OCI_INDEX), Err(Error::Json { .. })));
}

#[test]
fn descriptors_must_have_a_digest_that_can_be_checked_and_a_size_that_can_be_true() {
    let good = Digest::sha256(b"").to_string();
    let image = |digest: &str, config: i64, layer: &Value| {
        json!({
            "config": {"mediaType": "a/b", "digest": good, "size": config},
            "layers": [{"mediaType": "a/b", "digest": digest, "size": layer}],
        })
        .to_string()
    };
    let index = |digest: &str, size: u64| {
        json!({"manifests": [{"mediaType": "a/b", "digest": digest, "size": size}]}).to_string()
    };
    let (manifest, list) = (MediaType::OCI_MANIFEST, MediaType::DOCKER_LIST);
    parse(image(&good, 4 << 20, &json!(i64::MAX)), &manifest).unwrap();
    parse(index(&good, MAX_MANIFEST_SIZE), &list).unwrap();
    let too_large = parse(image(&good, (4 << 20) + 1, &json!(1)), &manifest).unwrap_err();
    assert!(too_large.to_string().starts_with("config sha256:"), "{too_large}");
    assert!(matches!(parse(image(&good, 1, &json!(1_u64 << 63)), &manifest), Err(Error::Size { .. })));
    assert!(matches!(parse(index(&good, MAX_MANIFEST_SIZE + 1), &list), Err(Error::Size { .. })));
    for size in [json!(-1), json!(1.5), json!("1"), json!(null)] {
        assert!(matches!(parse(image(&good, 1, &size), &manifest), Err(Error::Json { .. })), "{size}");
    }
    for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", "a:b"] {
        assert!(matches!(parse(image(digest, 1, &json!(1)), &manifest), Err(Error::Digest { .. })), "{digest}");
        assert!(matches!(parse(index(digest, 1), &list), Err(Error::Digest { .. })), "{digest}");
    }
    for digest in ["", "sha256:../../etc/passwd", "sha256:ABC"] {
        assert!(parse(image(digest, 1, &json!(1)), &manifest).is_err(), "{digest}");
        assert!(parse(index(digest, 1), &list).is_err(), "{digest}");
    }
}

#[test]
fn a_manifest_has_a_largest_size_and_a_largest_depth() {
    let padded = format!("{}{{}}", " ".repeat(usize::try_from(MAX_MANIFEST_SIZE).unwrap()));
    assert!(matches!(parse(padded, &MediaType::OCI_INDEX), Err(Error::TooLarge { .. })));
    let deep = format!(r#"{{"manifests": {}"#, "[".repeat(1 << 20));
    assert!(matches!(parse(deep, &MediaType::OCI_INDEX), Err(Error::Json { .. })));
}

#[test]
fn an_image_manifest_is_read_with_its_urls_and_annotations() {
    let Some(path) = shared("fixtures/containers-image/manifest/fixtures/ociv1.everything.json") else { return };
    let manifest = ManifestBytes::new(fs::read(path).unwrap(), MediaType::from(""));
    let image = ImageManifest::parse(&manifest).unwrap();
    assert_eq!(image.annotations()["top"], "0");
    assert!(!image.layers().is_empty());
    let null_lists = json!({
        "config": {"mediaType": "a/b", "digest": Digest::sha256(b"").as_str(), "size": 0, "urls": ["https://a"]},
        "layers": null,
        "annotations": null,
    });
    let manifest = ManifestBytes::new(null_lists.to_string().into(), MediaType::OCI_MANIFEST);
    let image = ImageManifest::parse(&manifest).unwrap();
    assert!(image.layers().is_empty());
    assert_eq!(image.config().urls().as_deref(), Some(&["https://a".to_owned()][..]));
}

#[test]
fn a_schema_2_image_becomes_the_oci_image_that_containers_image_makes_of_it() {
    let Some(config) = fixture("schema2-config.json") else { return };
    for (from, to) in [
        ("schema2.json", "schema2-to-oci1.json"),
        ("schema2-all-media-types.json", "schema2-all-media-types-to-oci1.json"),
    ] {
        let manifest = ManifestBytes::new(fixture(from).unwrap(), MediaType::DOCKER_MANIFEST);
        let made = image_to_oci(&manifest, &config).unwrap();
        // The expected manifest names the config by digest and size, which pins the config's bytes.
        assert!(is_same_json(made.manifest.bytes(), &fixture(to).unwrap()), "{from}");
        assert!(is_same_json(&made.config, &fixture("schema2-to-oci1-config.json").unwrap()));
        assert_eq!(Digest::sha256(&made.config).as_str(), made.config_descriptor.digest().as_ref());
        assert_eq!(*made.manifest.media_type(), MediaType::OCI_MANIFEST);
    }
}

#[test]
fn what_oci_has_no_name_for_is_not_converted() {
    let Some(config) = fixture("schema2-config.json") else { return };
    let docker = |name: &str| ManifestBytes::new(fixture(name).unwrap(), MediaType::DOCKER_MANIFEST);
    let error = image_to_oci(&docker("schema2-invalid-media-type.json"), &config).unwrap_err();
    assert!(error.to_string().contains("diff.tar.invalid"), "{error}");
    let error = image_to_oci(&docker("schema2.json"), b"not json").unwrap_err();
    assert!(matches!(error, convert::Error::Config { .. }), "{error}");
    let oci = ManifestBytes::new(fixture("oci1.json").unwrap(), MediaType::OCI_MANIFEST);
    assert!(matches!(image_to_oci(&oci, &config), Err(convert::Error::MediaType { .. })));
}

#[test]
fn a_manifest_list_becomes_an_index_with_the_converted_instances() {
    let Some(path) = shared(&format!("{TESTDATA}/schema2list.json")) else { return };
    let list = ManifestBytes::new(fs::read(path).unwrap(), MediaType::from(""));
    let first = Index::parse(&list).unwrap().instances()[0].digest().clone();
    let new = ManifestBytes::new(br#"{"schemaVersion": 2}"#.to_vec(), MediaType::OCI_MANIFEST);
    let index = list_to_oci(&list, &BTreeMap::from([(first, new.clone())])).unwrap();
    let (was, is) = (Index::parse(&list).unwrap(), Index::parse(&index).unwrap());
    assert_eq!(is.instances()[0].digest(), new.digest());
    assert_eq!(is.instances()[0].descriptor().size(), new.size());
    assert_eq!(was.instances()[1..], is.instances()[1..]);
    let platforms = |index: &Index| index.instances().iter().map(|i| i.platform().cloned()).collect::<Vec<_>>();
    assert_eq!(platforms(&was), platforms(&is));
    assert!(matches!(list_to_oci(&index, &BTreeMap::new()), Err(convert::Error::MediaType { .. })));
}

/// What it parses it can parse again, and nothing panics: every manifest of the fixtures, cut at every length.
#[test]
fn a_cut_manifest_is_an_error_and_never_a_panic() {
    let Some(directory) = shared(TESTDATA) else { return };
    let mut whole = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let media_type = MediaType::from(guess(&bytes).as_str());
        if parse(bytes.clone(), &media_type).is_ok() {
            whole.insert(name(&path));
            let end = bytes.iter().rposition(|byte| *byte == b'}').unwrap();
            for length in (0..end).step_by(7) {
                assert!(parse(&bytes[..length], &media_type).is_err(), "{} cut at {length}", path.display());
            }
        }
    }
    assert!(whole.len() > 10, "{whole:?}");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
