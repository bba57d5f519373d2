//! What a layer is called in its new form: the tables of containers/image.

use std::fs;

use serde_json::Value;
use transship::compression::{Compression, Compressor};
use transship::copy::{Error, LayerCompression, ManifestFormat, Options};
use transship::manifest::ManifestBytes;
use transship::{Digest, MediaType};

use crate::made::{Form, compressed, layer};
use crate::places::{Place, Sketch, copy, layers};
use crate::support::shared::shared;
use crate::support::tables::{table, text};

fn recompressed(compression: Compression) -> LayerCompression {
    LayerCompression::Recompressed(Compressor::new(compression, None).unwrap())
}

/// The types of the layers of an image of this kind, whose layers are what their types say, afterwards. It is a kind that
/// must do.
fn renamed(kind: &MediaType, types: &[String], wish: LayerCompression) -> Result<Vec<String>, Error> {
    let plain = layer(1, 1000);
    let form = |media_type: &String| match media_type {
        zstd if zstd.ends_with("zstd") => Form::Zstd,
        gzip if gzip.ends_with("gzip") => Form::Gzip,
        _ => Form::Plain,
    };
    let bytes: Vec<_> = types.iter().map(|media_type| compressed(&plain, form(media_type))).collect();
    let described: Vec<_> = types.iter().map(String::as_str).zip(bytes.iter().map(Vec::as_slice)).collect();
    let from = Sketch::image(kind, &described, &vec![Digest::sha256(&plain); types.len()]);
    let manifest =
        copy(&from, &Place::accepting(std::slice::from_ref(kind)), &Options { layers: wish, ..Options::default() })?;
    Ok(layers(&manifest).into_iter().map(|(media_type, _)| media_type).collect())
}

fn is_docker(case: &Value) -> bool {
    case["compression"].to_string().contains("vnd.docker")
}

fn kind(is_docker: bool) -> MediaType {
    if is_docker { MediaType::DOCKER_MANIFEST } else { MediaType::OCI_MANIFEST }
}

fn assert_renamed(cases: Vec<Value>, wish: LayerCompression) {
    for case in cases {
        let new = renamed(&kind(is_docker(&case)), &[text(&case["mimeType"])], wish).unwrap();
        assert_eq!(new, [text(&case["updatedType"])], "{case}");
    }
}

/// What is no layer there is one of unknown type here, and nobody knows how to give it another form.
fn assert_kept(cases: Vec<Value>, wish: LayerCompression) {
    for case in cases {
        let types = [text(&case["mimeType"])];
        assert_eq!(renamed(&kind(is_docker(&case)), &types, wish).unwrap(), types, "{case}");
    }
}

#[test]
fn the_type_of_a_layer_follows_its_form() {
    assert_kept(table("manifest", "updated_mime_preserve"), LayerCompression::Kept);
    assert_renamed(table("manifest", "updated_mime_decompressSuccess"), LayerCompression::Decompressed);
    assert_kept(table("manifest", "updated_mime_decompressFailure"), LayerCompression::Decompressed);
    assert_renamed(table("manifest", "updated_mime_compressGzipSuccess"), recompressed(Compression::Gzip));
    assert_kept(table("manifest", "updated_mime_compressGzipFailure"), recompressed(Compression::Gzip));
    assert_renamed(table("manifest", "updated_mime_compressZstdSuccess"), recompressed(Compression::Zstd));
    let is_layer = |case: &Value| text(&case["mimeType"]).contains("diff.tar");
    let failures = table("manifest", "updated_mime_compressZstdFailure");
    let (docker, unknown): (Vec<_>, Vec<_>) = failures.into_iter().partition(is_layer);
    assert_kept(unknown, recompressed(Compression::Zstd));
    for case in docker {
        let outcome = renamed(&kind(true), &[text(&case["mimeType"])], recompressed(Compression::Zstd));
        assert!(matches!(outcome, Err(Error::NotAccepted(_))), "{case}");
    }
}

/// Without the rows about encryption, which is not done here, and about what cannot be said here.
#[test]
fn all_layers_of_a_manifest_get_their_new_types() {
    for (is_docker, cases) in
        [(true, table("manifest", "schema2_update_layers")), (false, table("manifest", "oci_update_layers"))]
    {
        for case in cases {
            let update = &case["updates"][0];
            if !update["CryptoOperation"].is_null() || text(&case["name"]).starts_with("invalid") {
                continue;
            }
            let wish = match text(&update["CompressionAlgorithm"]).as_str() {
                "gzip" => recompressed(Compression::Gzip),
                "zstd" => recompressed(Compression::Zstd),
                _ => LayerCompression::Decompressed,
            };
            let outcome = renamed(&kind(is_docker), &types(&case["sourceFixture"], is_docker), wish);
            match text(&case["expectedFixture"]).as_str() {
                "" => assert!(matches!(outcome, Err(Error::NotAccepted(_))), "{case}"),
                _ => assert_eq!(outcome.unwrap(), types(&case["expectedFixture"], is_docker), "{case}"),
            }
        }
    }
}

fn types(fixture: &Value, is_docker: bool) -> Vec<String> {
    let path = shared("fixtures/containers-image/manifest/fixtures").unwrap().join(text(fixture));
    let manifest = ManifestBytes::new(fs::read(path).unwrap(), kind(is_docker));
    layers(&manifest).into_iter().map(|(media_type, _)| media_type).collect()
}

#[test]
fn only_what_everybody_reads_goes_into_docker_s_manifests() {
    let universal = table("manifest", "compression_universally_supported");
    for (compression, name) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let from = Sketch::image(&MediaType::OCI_MANIFEST, &[], &[]);
        let format = Some(ManifestFormat::V2s2);
        let options = Options { format, layers: recompressed(compression), ..Options::default() };
        let is_universal = universal.iter().any(|case| case == name);
        assert!(universal.is_empty() || copy(&from, &Place::new(), &options).is_ok() == is_universal, "{name}");
    }
}
