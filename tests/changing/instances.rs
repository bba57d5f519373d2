//! Which instances of an index are copied, and what the index becomes.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use transship::copy::{Change, ChosenInstances, Error, Instances, ManifestFormat, Options, Unchangeable};
use transship::error::one_line;
use transship::manifest::{ManifestBytes, Platform};
use transship::{Digest, MediaType};

use crate::places::{Copied, Place, Sketch, copy, document};
use crate::support::shared::shared;
use crate::support::tables::{table, text};

const FIXTURES: [&str; 2] = ["internal/manifest/testdata", "manifest/fixtures"];

fn digests(list: &Value) -> BTreeSet<Digest> {
    list.as_array().into_iter().flatten().map(|digest| text(digest).parse().unwrap()).collect()
}

fn fixture(name: &str) -> Sketch {
    let directories = FIXTURES.map(|directory| shared(&format!("fixtures/containers-image/{directory}")).unwrap());
    let path = directories.iter().map(|directory| directory.join(name)).find(|path| path.exists()).unwrap();
    Sketch::new(ManifestBytes::new(fs::read(path).unwrap(), MediaType::from(""))).with_stand_in()
}

fn chosen(digests: BTreeSet<Digest>, platforms: Vec<Platform>) -> Options<'static> {
    Options { instances: Instances::Chosen(ChosenInstances { digests, platforms }), ..Options::default() }
}

fn platform(case: &Value) -> Platform {
    Platform::new(text(&case["OS"]), text(&case["Architecture"]), None)
}

/// The digests in an index.
fn listed(index: &ManifestBytes) -> Vec<String> {
    document(index)["manifests"].as_array().unwrap().iter().map(|entry| text(&entry["digest"])).collect()
}

#[test]
fn digests_and_platforms_choose_instances_as_in_containers_image() {
    for case in table("copy", "specific_images") {
        let from = fixture(&text(&case["manifestFile"]));
        let platforms = case["instancePlatforms"].as_array().into_iter().flatten().map(platform).collect();
        let copied = Copied::default();
        let options = Options { progress: &copied, ..chosen(digests(&case["instances"]), platforms) };
        let outcome = copy(&from, &Place::new(), &options);
        if case["expectedError"].is_string() {
            assert!(matches!(outcome, Err(Error::NoSuchInstance { .. })), "{case}");
            continue;
        }
        let copied: Vec<_> = copied.0.into_inner().unwrap();
        assert_eq!(copied.iter().cloned().collect::<BTreeSet<_>>(), digests(&case["expectedDigests"]), "{case}");
        // Each once, in the order of the index, which has no others afterwards.
        let order = listed(from.top()).iter().map(|digest| digest.parse().unwrap()).collect::<Vec<Digest>>();
        let kept: Vec<_> = order.into_iter().filter(|digest| copied.contains(digest)).collect();
        assert_eq!(copied, kept);
        assert_eq!(listed(&outcome.unwrap()).len(), kept.len());
    }
}

/// Indexes with holes are not made: what is not copied is not in the index. So the rows are those that strip.
#[test]
fn what_is_not_copied_leaves_the_index() {
    let sources = table("copy", "instance_ops_sources").iter().map(text).collect::<Vec<_>>();
    for case in table("copy", "instance_ops") {
        let options = &case["options"];
        let is_chosen = options["ImageListSelection"] == "CopySpecificImages";
        if is_chosen && options["SparseManifestListAction"] != "StripSparseManifestList" {
            continue;
        }
        let all = case["instanceDigests"].as_array().unwrap();
        let entry =
            |digest: &Value| json!({"mediaType": MediaType::OCI_MANIFEST.as_str(), "digest": digest, "size": 1});
        let index = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX.as_str(),
            "manifests": all.iter().map(entry).collect::<Vec<_>>(),
        });
        let from =
            Sketch::new(ManifestBytes::new(index.to_string().into_bytes(), MediaType::OCI_INDEX)).with_stand_in();
        let copied = Copied::default();
        let wanted = match options["Instances"].as_array() {
            Some(names) if is_chosen => {
                // Go's `sourceInstances[1]`
                let index = |name: &Value| text(name).trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>();
                chosen(names.iter().map(|name| sources[index(name).unwrap()].parse().unwrap()).collect(), Vec::new())
            }
            _ => Options { instances: Instances::All, ..Options::default() },
        };
        let outcome = copy(&from, &Place::new(), &Options { progress: &copied, ..wanted });
        if case["expectedError"].is_string() {
            assert!(matches!(outcome, Err(Error::NothingChosen)), "{case}");
            continue;
        }
        let is_copy = |op: &&Value| op["op"] != "delete";
        let expected = case["expectedOps"].as_array().unwrap().iter().filter(is_copy);
        let expected: Vec<Digest> = expected.map(|op| text(&op["sourceDigest"]).parse().unwrap()).collect();
        assert_eq!(*copied.0.lock().unwrap(), expected, "{case}");
        assert_eq!(json!(expected.len()), case["expectedCopyCount"], "{case}");
        assert_eq!(listed(&outcome.unwrap()).len(), expected.len(), "{case}");
    }
}

/// Signatures of an index alone cannot be left behind here.
#[test]
fn a_signed_index_loses_instances_only_with_its_signatures() {
    for case in table("copy", "strip_sparse_signature_handling") {
        if case["options"]["RemoveListSignatures"] == true {
            continue;
        }
        let mut from = two_platforms();
        from.is_signed = case["addSignature"] == true;
        let wanted = listed(from.top())[0].parse().unwrap();
        let remove_signatures = case["options"]["RemoveSignatures"] == true;
        let options = Options { remove_signatures, ..chosen(BTreeSet::from([wanted]), Vec::new()) };
        let (to, is_error) = (Place::new(), case["expectedError"] != "");
        let outcome = copy(&from, &to, &options);
        assert_eq!(outcome.is_err(), is_error, "{case}");
        if let Err(error) = outcome {
            let (change, reason) = (Change::Thinned, Unchangeable::Signed);
            assert!(
                matches!(&error, Error::CannotChange { change: c, reason: r, .. } if (c, *r) == (&change, reason)),
                "{error:?}"
            );
            assert!(to.is_untouched());
        }
    }
}

fn image(platform: &str) -> Sketch {
    let layer = crate::made::layer(platform.len() as u64, 100);
    let gzip = crate::made::gzip(&layer);
    Sketch::image(
        &MediaType::OCI_MANIFEST,
        &[("application/vnd.oci.image.layer.v1.tar+gzip", &gzip)],
        &[Digest::sha256(&layer)],
    )
}

fn stated(platform: &str) -> Value {
    let words: Vec<_> = platform.split('/').collect();
    let mut stated = json!({"os": words[0], "architecture": words[1]});
    if let Some(variant) = words.get(2) {
        stated["variant"] = json!(variant);
    }
    json!({"platform": stated})
}

fn index(platforms: &[&str]) -> Sketch {
    let images: Vec<_> = platforms.iter().map(|platform| (image(platform), stated(platform))).collect();
    let entries: Vec<_> = images.iter().map(|(image, members)| (image, members.clone())).collect();
    Sketch::index(&MediaType::OCI_INDEX, &entries)
}

fn two_platforms() -> Sketch {
    index(&["linux/arm64", "linux/s390x!"])
}

#[test]
fn a_choice_that_keeps_all_changes_nothing() {
    let from = two_platforms().signed();
    let all = listed(from.top()).iter().map(|digest| digest.parse().unwrap()).collect();
    let options = Options { preserve_digests: true, ..chosen(all, Vec::new()) };
    assert_eq!(copy(&from, &Place::new(), &options).unwrap(), *from.top());
}

#[test]
fn a_choice_that_finds_nothing_says_what_there_is() {
    let from = index(&["linux/arm/v7", "linux/amd64"]);
    for (digests, platforms) in [
        (BTreeSet::new(), vec!["linux/arm64".parse().unwrap()]),
        (BTreeSet::new(), vec!["linux/amd64".parse().unwrap(), "linux/arm/v6".parse().unwrap()]),
        (BTreeSet::from([Digest::sha256(b"")]), Vec::new()),
    ] {
        let to = Place::new();
        let error = copy(&from, &to, &chosen(digests, platforms)).unwrap_err();
        let Error::NoSuchInstance { available, .. } = &error else { panic!("{error:?}") };
        let described = listed(from.top()).into_iter().zip(["linux/arm/v7", "linux/amd64"]);
        assert_eq!(
            *available,
            described.map(|(digest, platform)| format!("{digest} ({platform})")).collect::<Vec<_>>()
        );
        assert!(to.is_untouched());
    }
}

#[test]
fn a_platform_without_a_variant_means_all_variants() {
    let from = index(&["linux/arm/v6", "linux/arm/v7!", "linux/amd64"]);
    let count = |text: &str| {
        listed(&copy(&from, &Place::new(), &chosen(BTreeSet::new(), vec![text.parse().unwrap()])).unwrap()).len()
    };
    assert_eq!((count("linux/arm"), count("linux/arm/v6"), count("linux/amd64")), (2, 1, 1));
}

#[test]
fn one_image_has_no_instances_to_choose_from() {
    let from = image("linux/amd64");
    for instances in [Instances::IndexOnly, Instances::Chosen(ChosenInstances::default())] {
        let error = copy(&from, &Place::new(), &Options { instances, ..Options::default() }).unwrap_err();
        assert!(matches!(error, Error::NotAnIndex(_)), "{error:?}");
        assert!(one_line(&error).contains(from.digest().as_str()));
    }
}

#[test]
fn the_index_alone_is_written_without_looking_at_its_instances() {
    let from = two_platforms();
    let options = Options { instances: Instances::IndexOnly, ..Options::default() };
    let to = Place::new();
    assert_eq!(copy(&from, &to, &options).unwrap(), *from.top());
    assert!(to.blobs.lock().unwrap().is_empty() && to.instances.lock().unwrap().is_empty());

    let list = copy(&from, &to, &Options { format: Some(ManifestFormat::V2s2), ..options }).unwrap();
    assert_eq!((list.media_type(), listed(&list)), (&MediaType::DOCKER_LIST, listed(from.top())));
}

#[test]
fn an_instance_that_is_there_twice_is_copied_once_and_changed_in_both_places() {
    let image = image("linux/amd64");
    let entries = [(&image, stated("linux/amd64")), (&image, stated("linux/amd64/v2"))];
    let from = Sketch::index(&MediaType::OCI_INDEX, &entries);
    let copied = Copied::default();
    let options = Options {
        instances: Instances::All,
        format: Some(ManifestFormat::V2s2),
        progress: &copied,
        ..Options::default()
    };
    let to = Place::new();
    let list = document(&copy(&from, &to, &options).unwrap());
    assert_eq!(copied.0.lock().unwrap().len(), 1);
    let [one, other] = list["manifests"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!((&one["digest"], &one["size"]), (&other["digest"], &other["size"]));
    assert_eq!(one["mediaType"], MediaType::DOCKER_MANIFEST.as_str());
    assert_eq!(other["platform"]["variant"], "v2");
    let instances = to.instances.lock().unwrap();
    assert_eq!(instances.keys().map(Digest::as_str).collect::<Vec<_>>(), [one["digest"].as_str().unwrap()]);
}

#[test]
fn what_an_entry_says_of_the_old_bytes_goes_with_them() {
    let image = image("linux/amd64");
    let members = json!({
        "platform": {"os": "linux", "architecture": "amd64"}, "data": "e30=", "urls": ["https://example.com/old"],
        "annotations": {"org.example": "kept", "io.github.containers.compression.zstd": "true"},
    });
    let from = Sketch::index(&MediaType::OCI_INDEX, &[(&image, members)]);
    let plain = Options {
        instances: Instances::All,
        layers: transship::copy::LayerCompression::Decompressed,
        ..Options::default()
    };
    let entry = document(&copy(&from, &Place::new(), &plain).unwrap())["manifests"][0].clone();
    assert_eq!(entry["annotations"], json!({"org.example": "kept"}));
    assert_eq!((entry.get("data"), entry.get("urls")), (None, None));
    assert_ne!(entry["digest"], json!(image.digest().as_str()));
}

#[test]
fn an_index_in_an_index_is_an_error_that_names_it() {
    let inner = two_platforms();
    let from = Sketch::index(&MediaType::OCI_INDEX, &[(&inner, json!({}))]);
    let to = Place::new();
    let error = copy(&from, &to, &Options { instances: Instances::All, ..Options::default() }).unwrap_err();
    let line = one_line(&error);
    assert!(line.contains(inner.digest().as_str()) && line.contains(MediaType::OCI_INDEX.as_str()), "{line}");
    assert!(to.top.lock().unwrap().is_none());
}

#[test]
fn attestations_go_along_as_they_are_while_images_change() {
    let image = image("linux/amd64");
    let statement = br#"{"_type": "https://in-toto.io/Statement/v0.1"}"#;
    let attestation = Sketch::image(
        &MediaType::OCI_MANIFEST,
        &[("application/vnd.in-toto+json", statement)],
        &[Digest::sha256(statement)],
    );
    let refers = json!({
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    });
    let from = Sketch::index(&MediaType::OCI_INDEX, &[(&image, stated("linux/amd64")), (&attestation, refers.clone())]);
    let all = Options { instances: Instances::All, ..Options::default() };
    let plain = Options { layers: transship::copy::LayerCompression::Decompressed, ..all.clone() };
    let index = document(&copy(&from, &Place::new(), &plain).unwrap());
    assert_ne!(index["manifests"][0]["digest"], json!(image.digest().as_str()));
    let entry = &index["manifests"][1];
    assert_eq!(entry["digest"], json!(attestation.digest().as_str()));
    assert_eq!((&entry["platform"], &entry["annotations"]), (&refers["platform"], &refers["annotations"]));

    // Docker has no such layers.
    let to = Place::new();
    let error = copy(&from, &to, &Options { format: Some(ManifestFormat::V2s2), ..all }).unwrap_err();
    let line = one_line(&error);
    assert!(line.contains(attestation.digest().as_str()) && line.contains("application/vnd.in-toto+json"), "{line}");
    assert!(to.top.lock().unwrap().is_none());
}

/// Go takes it for the machine's own.
#[test]
fn an_instance_without_a_platform_has_none_in_a_list_either() {
    let image = image("linux/amd64");
    let from = Sketch::index(&MediaType::OCI_INDEX, &[(&image, json!({}))]);
    let format = Some(ManifestFormat::V2s2);
    let list = copy(&from, &Place::new(), &Options { instances: Instances::All, format, ..Options::default() });
    assert_eq!(document(&list.unwrap())["manifests"][0]["platform"], json!({"architecture": "", "os": ""}));
}
