//! Which kinds of manifest are written, in which order: the rules of containers/image, without schema 1.

use serde_json::Value;
use transship::MediaType;
use transship::compression::{Compression, Compressor};
use transship::copy::{Error, LayerCompression, ManifestFormat, Options};
use transship::destination;
use transship::manifest::ManifestBytes;

use crate::made::{Form, compressed, layer};
use crate::places::{KINDS, Place, Sketch, copy};
use crate::support::tables::{table, text};
use transship::Digest;

fn is_schema1(kind: &str) -> bool {
    kind.starts_with("application/vnd.docker.distribution.manifest.v1")
}

/// The kinds of a JSON list; all where there is none.
fn kinds(list: &Value) -> Vec<MediaType> {
    let Some(list) = list.as_array() else { return KINDS.to_vec() };
    let known = list.iter().map(text).filter(|kind| !is_schema1(kind));
    known.map(|kind| MediaType::from(kind.as_str())).collect()
}

/// An image with one layer.
fn image(kind: &str, form: Form) -> Option<Sketch> {
    let kind = MediaType::from(kind);
    let types = if kind == MediaType::OCI_MANIFEST {
        ["", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"]
    } else if kind == MediaType::DOCKER_MANIFEST {
        let docker = "application/vnd.docker.image.rootfs.diff.tar";
        ["", &format!("{docker}.gzip"), &format!("{docker}.zstd")].map(|text| &*text.to_owned().leak())
    } else {
        return None;
    };
    let layer = layer(1, 100);
    let bytes = compressed(&layer, form);
    Some(Sketch::image(&kind, &[(types[form as usize], &bytes)], &[Digest::sha256(&layer)]))
}

/// What is tried at a place that refuses everything, best first; `None` where nothing can be written.
fn tried(from: &Sketch, accepts: &[MediaType], options: &Options<'_>) -> Option<Vec<MediaType>> {
    let to = Place::accepting(accepts).refusing(&KINDS);
    match copy(from, &to, options).unwrap_err() {
        Error::AllRefused { attempts } => Some(attempts.into_iter().map(|(kind, _)| kind).collect()),
        Error::Destination(destination::Error::ManifestRefused { media_type, .. }) => Some(vec![media_type]),
        Error::CannotChange { .. } | Error::NotAccepted(_) | Error::NoZstd => {
            assert!(to.is_untouched());
            None
        }
        other => panic!("{other:?}"),
    }
}

fn expected(case: &Value) -> Option<Vec<MediaType>> {
    let expected = case["expected"].as_object().filter(|expected| !expected.is_empty())?;
    let preferred = MediaType::from(text(&expected["preferredMIMEType"]).as_str());
    Some([vec![preferred], kinds(&expected["otherMIMETypeCandidates"])].concat())
}

fn with_input(input: &Value) -> Options<'static> {
    let format = match text(&input["forceManifestMIMEType"]).as_str() {
        "" => None,
        kind if kind == MediaType::OCI_MANIFEST.as_str() => Some(ManifestFormat::Oci),
        _ => Some(ManifestFormat::V2s2),
    };
    Options { format, preserve_digests: !input["cannotModifyManifestReason"].is_null(), ..Options::default() }
}

#[test]
fn an_image_keeps_its_kind_where_it_can_and_then_comes_what_everybody_reads() {
    let mut count = 0;
    for case in table("copy", "manifest_conversion_cases") {
        let (Some(from), accepts) = (image(&text(&case["sourceType"]), Form::Gzip), kinds(&case["destTypes"])) else {
            continue;
        };
        if accepts.is_empty() {
            continue; // Takes nothing but schema 1.
        }
        assert_eq!(tried(&from, &accepts, &Options::default()), expected(&case), "{case}");
        count += 1;

        // Whatever must not change is written as it is, or not at all.
        let own = from.top().media_type().clone();
        let preserved = Options { preserve_digests: true, ..Options::default() };
        assert_eq!(tried(&from, &accepts, &preserved), accepts.contains(&own).then(|| vec![own]), "{case}");

        // What is forced is all that will do.
        let forced = Options { format: Some(ManifestFormat::Oci), ..Options::default() };
        let oci = accepts.contains(&MediaType::OCI_MANIFEST).then(|| vec![MediaType::OCI_MANIFEST]);
        assert_eq!(tried(&from, &accepts, &forced), oci, "{case}");
    }
    assert!(count == 3 || table("copy", "manifest_conversion_cases").is_empty(), "{count}");
}

#[test]
fn zstd_is_for_oci_alone() {
    let zstd = LayerCompression::Recompressed(Compressor::new(Compression::Zstd, None).unwrap());
    for case in table("copy", "manifest_conversion_range#4") {
        // It is zstd already, so that it need not change.
        let from = image(&text(&case["in"]["srcMIMEType"]), Form::Zstd).unwrap();
        let options = Options { layers: zstd, ..with_input(&case["in"]) };
        let accepts = kinds(&case["in"]["destSupportedManifestMIMETypes"]);
        assert_eq!(tried(&from, &accepts, &options), expected(&case), "{case}");
    }
}

#[test]
fn gzip_is_for_both_so_it_decides_nothing() {
    let gzip = LayerCompression::Recompressed(Compressor::new(Compression::Gzip, None).unwrap());
    for case in table("copy", "manifest_conversion_range#6") {
        let from = image(&text(&case["in"]["srcMIMEType"]), Form::Gzip).unwrap();
        let plain = with_input(&case["in"]);
        let accepts = kinds(&case["in"]["destSupportedManifestMIMETypes"]);
        let options = Options { layers: gzip, ..plain.clone() };
        assert_eq!(tried(&from, &accepts, &options), tried(&from, &accepts, &plain), "{case}");
    }
}

#[test]
fn an_index_keeps_its_kind_too() {
    let mut count = 0;
    for case in table("copy", "list_conversion_cases") {
        let own = MediaType::from(text(&case["sourceType"]).as_str());
        if !own.is_index() {
            continue;
        }
        let index = format!(r#"{{"schemaVersion": 2, "mediaType": "{own}", "manifests": []}}"#);
        let from = Sketch::new(ManifestBytes::new(index.into_bytes(), own.clone()));
        let options = Options { instances: transship::copy::Instances::All, ..Options::default() };
        let first = Some(text(&case["expectedUpdate"])).filter(|update| !update.is_empty());
        let first = first.map_or(own, |update| MediaType::from(update.as_str()));
        let expected = [vec![first], kinds(&case["expectedOtherCandidates"])].concat();
        assert_eq!(tried(&from, &kinds(&case["destTypes"]), &options), Some(expected), "{case}");
        count += 1;
    }
    assert!(count == 6 || table("copy", "list_conversion_cases").is_empty(), "{count}");
}
