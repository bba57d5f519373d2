//! Images that must stay what they are.

use serde_json::json;
use transship::compression::{Compression, Compressor};
use transship::copy::{Change, Error, Instances, LayerCompression, ManifestFormat, Options, Unchangeable};
use transship::{Digest, MediaType};

use crate::made::{gzip, layer};
use crate::places::{Place, Sketch, copy};

fn image(kind: &MediaType) -> Sketch {
    let layer = layer(1, 100);
    let media_type = if *kind == MediaType::OCI_MANIFEST {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    } else {
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    };
    Sketch::image(kind, &[(media_type, &gzip(&layer))], &[Digest::sha256(&layer)])
}

fn platform(architecture: &str) -> serde_json::Value {
    json!({"platform": {"os": "linux", "architecture": architecture}})
}

/// An OCI index: an OCI image, then one of Docker's.
fn index() -> Sketch {
    let (oci, docker) = (image(&MediaType::OCI_MANIFEST), image(&MediaType::DOCKER_MANIFEST));
    Sketch::index(&MediaType::OCI_INDEX, &[(&oci, platform("amd64")), (&docker, platform("arm64"))])
}

/// A reason: the source, the place and the options that have it.
fn with_reason(reason: Unchangeable, mut from: Sketch, options: &mut Options<'_>) -> (Sketch, Place) {
    options.preserve_digests = reason == Unchangeable::PreserveDigests;
    from.is_signed = reason == Unchangeable::Signed;
    let to = match reason {
        Unchangeable::DigestedDestination => Place::named(&format!("docker://r.example/app@{}", from.digest())),
        _ => Place::new(),
    };
    (from, to)
}

const REASONS: [Unchangeable; 3] =
    [Unchangeable::Signed, Unchangeable::DigestedDestination, Unchangeable::PreserveDigests];

fn compressed(compression: Compression) -> LayerCompression {
    LayerCompression::Recompressed(Compressor::new(compression, None).unwrap())
}

#[test]
fn each_reason_refuses_each_change_before_the_first_blob() {
    let all = Options { instances: Instances::All, ..Options::default() };
    let format = |format| Options { format: Some(format), ..all.clone() };
    let layers = |layers| Options { layers, ..all.clone() };
    let (oci, docker) = (MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST);
    for reason in REASONS {
        for (from, mut options, change) in [
            (image(&oci), format(ManifestFormat::V2s2), Change::Converted(docker.clone())),
            (image(&docker), format(ManifestFormat::Oci), Change::Converted(oci.clone())),
            (image(&oci), layers(LayerCompression::Decompressed), Change::Recompressed),
            (image(&docker), layers(compressed(Compression::Zstd)), Change::Recompressed),
            // The second instance of an index: the first can be copied, and is not.
            (index(), format(ManifestFormat::Oci), Change::Converted(oci.clone())),
            (index(), format(ManifestFormat::V2s2), Change::Converted(MediaType::DOCKER_LIST)),
            (index(), layers(LayerCompression::Decompressed), Change::Recompressed),
        ] {
            let (from, to) = with_reason(reason, from, &mut options);
            let error = copy(&from, &to, &options).unwrap_err();
            let Error::CannotChange { change: found, reason: why, .. } = &error else { panic!("{error:?}") };
            assert_eq!((found, why), (&change, &reason));
            assert!(to.is_untouched(), "{change:?} {reason:?}");
        }
    }
}

#[test]
fn a_place_that_takes_another_kind_only_is_refused_too() {
    for reason in REASONS {
        let mut options = Options { instances: Instances::All, ..Options::default() };
        let (from, mut to) = with_reason(reason, index(), &mut options);
        to.accepts = vec![MediaType::OCI_INDEX, MediaType::OCI_MANIFEST];
        let error = copy(&from, &to, &options).unwrap_err();
        assert!(matches!(error, Error::CannotChange { change: Change::Converted(_), .. }), "{error:?}");
        assert!(to.is_untouched());
    }
}

#[test]
fn what_asks_for_no_change_is_copied_as_it_is() {
    for reason in REASONS {
        for (format, layers) in [
            (None, LayerCompression::Kept),
            (Some(ManifestFormat::Oci), LayerCompression::Kept),
            (None, compressed(Compression::Gzip)),
        ] {
            let mut options = Options { format, layers, ..Options::default() };
            let (from, to) = with_reason(reason, image(&MediaType::OCI_MANIFEST), &mut options);
            assert_eq!(copy(&from, &to, &options).unwrap(), *from.top(), "{reason:?}");
        }
    }
}

#[test]
fn without_its_signatures_an_image_may_change() {
    let from = image(&MediaType::OCI_MANIFEST).signed();
    let options = Options { format: Some(ManifestFormat::V2s2), remove_signatures: true, ..Options::default() };
    assert_eq!(*copy(&from, &Place::new(), &options).unwrap().media_type(), MediaType::DOCKER_MANIFEST);
}

/// Its media type says that it need not change.
#[test]
fn a_layer_that_lies_does_not_change_a_signed_image() {
    let layer = layer(1, 100);
    let from = Sketch::image(
        &MediaType::OCI_MANIFEST,
        &[("application/vnd.oci.image.layer.v1.tar", &gzip(&layer))],
        &[Digest::sha256(&layer)],
    );
    let options = Options { layers: LayerCompression::Decompressed, ..Options::default() };
    let to = Place::new();
    let error = copy(&from.signed(), &to, &options).unwrap_err();
    assert!(matches!(error, Error::CannotChange { change: Change::Recompressed, .. }), "{error:?}");
    assert!(to.top.lock().unwrap().is_none());
}
