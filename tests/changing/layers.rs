//! What becomes of one layer, and of what the manifest says of it.

use serde_json::json;
use transship::compression::{Compression, Compressor};
use transship::copy::{Error, LayerCompression, ManifestFormat, Options};
use transship::error::{find, one_line};
use transship::manifest::ManifestBytes;
use transship::{Digest, MediaType};

use crate::made::{FORMS, Form, compressed, layer};
use crate::places::{Place, Sketch, copy, described, document, layers};
use crate::support::tables::table;

const OCI: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];
const DOCKER: [&str; 2] =
    ["application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip"];

fn changed(layers: LayerCompression) -> Options<'static> {
    Options { layers, ..Options::default() }
}

fn compressor(compression: Compression) -> Compressor {
    Compressor::new(compression, None).unwrap()
}

/// Each wish, and what a layer in each form is afterwards.
fn wishes() -> [(LayerCompression, [Form; 3]); 5] {
    let (gzip, zstd) = (compressor(Compression::Gzip), compressor(Compression::Zstd));
    [
        (LayerCompression::Kept, FORMS),
        (LayerCompression::Decompressed, [Form::Plain; 3]),
        (LayerCompression::Compressed(gzip), [Form::Gzip, Form::Gzip, Form::Zstd]),
        (LayerCompression::Recompressed(gzip), [Form::Gzip; 3]),
        (LayerCompression::Recompressed(zstd), [Form::Zstd; 3]),
    ]
}

fn one_layer(kind: &MediaType, media_type: &str, bytes: &[u8], diff_id: &Digest) -> Sketch {
    Sketch::image(kind, &[(media_type, bytes)], std::slice::from_ref(diff_id))
}

#[test]
fn each_form_becomes_the_wanted_one_and_what_has_it_keeps_its_bytes() {
    let plain = layer(1, 3000);
    for (wish, results) in wishes() {
        for (form, result) in FORMS.into_iter().zip(results) {
            let bytes = compressed(&plain, form);
            let from = one_layer(&MediaType::OCI_MANIFEST, OCI[form as usize], &bytes, &Digest::sha256(&plain));
            let to = Place::new();
            let manifest = copy(&from, &to, &changed(wish)).unwrap();
            let [(media_type, digest)] = layers(&manifest).try_into().unwrap();
            assert_eq!(media_type, OCI[result as usize], "{wish:?} {form:?}");
            let written = to.blob(&digest);
            assert_eq!(written == bytes, form == result, "{wish:?} {form:?}");
            let size = document(&manifest)["layers"][0]["size"].as_u64().unwrap();
            assert_eq!(size, written.len() as u64);
            assert!(decompressed(&written) == plain);
            assert_eq!(manifest == *from.top(), form == result);
        }
    }
}

fn decompressed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut plain = Vec::new();
    match bytes {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).map(drop).unwrap(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => plain = zstd::decode_all(bytes).unwrap(),
        other => plain = other.to_vec(),
    }
    plain
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_an_error_and_nothing_is_written() {
    let plain = layer(1, 3000);
    let wrong = Digest::sha256(b"something else");
    for (wish, results) in wishes() {
        for (form, result) in FORMS.into_iter().zip(results) {
            let bytes = compressed(&plain, form);
            let from = one_layer(&MediaType::OCI_MANIFEST, OCI[form as usize], &bytes, &wrong);
            let (to, serial) = (Place::new(), std::num::NonZeroUsize::MIN);
            let outcome = copy(&from, &to, &Options { parallel_copies: serial, ..changed(wish) });
            // A plain layer that is asked to be plain has its diff id in its name.
            let is_checked = form != result || (wish == LayerCompression::Decompressed && form == Form::Plain);
            assert_eq!(outcome.is_err(), is_checked, "{wish:?} {form:?}");
            if let Err(error) = outcome {
                assert!(
                    matches!(&error, Error::Layer { digest, .. } if *digest == Digest::sha256(&bytes)),
                    "{error:?}"
                );
                assert!(one_line(&error).contains(wrong.as_str()), "{}", one_line(&error));
                assert!(to.top.lock().unwrap().is_none());
                // The config goes first; the layer is not there in any form.
                assert!(to.blobs.lock().unwrap().len() <= 1);
            }
        }
    }
}

#[test]
fn a_config_about_other_layers_is_an_error_before_the_first_blob() {
    let plain = layer(1, 100);
    let media_type = MediaType::OCI_MANIFEST;
    let from = Sketch::image(&media_type, &[(OCI[0], &plain)], &[]);
    let to = Place::new();
    let error = copy(&from, &to, &changed(wishes()[4].0)).unwrap_err();
    assert!(matches!(&error, Error::DiffIds { manifest, .. } if manifest == from.digest()), "{error:?}");
    assert!(to.is_untouched());
}

#[test]
fn the_bytes_decide_what_a_layer_is_and_not_its_media_type() {
    let plain = layer(1, 3000);
    for (stated, actual) in [(Form::Plain, Form::Gzip), (Form::Gzip, Form::Zstd), (Form::Zstd, Form::Plain)] {
        let bytes = compressed(&plain, actual);
        for (wish, results) in wishes() {
            let from = one_layer(&MediaType::OCI_MANIFEST, OCI[stated as usize], &bytes, &Digest::sha256(&plain));
            let to = Place::new();
            let manifest = copy(&from, &to, &changed(wish)).unwrap();
            let result = results[actual as usize];
            let [(media_type, digest)] = layers(&manifest).try_into().unwrap();
            let written = to.blob(&digest);
            assert!(decompressed(&written) == plain);
            assert_eq!(written == bytes, result == actual, "{wish:?} {stated:?}");
            // What keeps its bytes keeps its descriptor.
            let described = if result == actual { stated } else { result };
            assert_eq!(media_type, OCI[described as usize], "{wish:?} {stated:?}");
        }
    }
}

#[test]
fn damaged_layers_and_forms_that_are_not_read_are_named() {
    let plain = layer(1, 3000);
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 5].to_vec();
    for (bytes, words) in [
        (cut(compressed(&plain, Form::Gzip)), ""),
        (cut(compressed(&plain, Form::Zstd)), ""),
        ([compressed(&plain, Form::Gzip), b"more".to_vec()].concat(), ""),
        (b"BZh91AY&SY and so on".to_vec(), "bzip2"),
        (b"\xfd7zXZ\0 and so on".to_vec(), "xz"),
    ] {
        let from = one_layer(&MediaType::OCI_MANIFEST, OCI[1], &bytes, &Digest::sha256(&plain));
        let error = copy(&from, &Place::new(), &changed(LayerCompression::Decompressed)).unwrap_err();
        let line = one_line(&error);
        assert!(line.contains(Digest::sha256(&bytes).as_str()) && line.contains(words), "{line}");
        // As it is, anything goes.
        assert!(copy(&from, &Place::new(), &Options::default()).is_ok());
    }
}

#[test]
fn annotations_of_the_compressed_bytes_go_with_them_and_others_stay() {
    let plain = layer(1, 100);
    let gzip = compressed(&plain, Form::Gzip);
    let mut descriptor = described(OCI[1], &gzip);
    descriptor["annotations"] = json!({
        "test-annotation-2": "two",
        "io.github.containers.zstd-chunked.manifest-checksum": "sha256:0",
        "io.github.containers.zstd-chunked.manifest-position": "1:2:3:1",
        "containerd.io/snapshot/stargz/toc.digest": "sha256:0",
        "io.containers.estargz.uncompressed-size": "1",
    });
    descriptor["urls"] = json!(["https://layer.url"]);
    descriptor["data"] = json!("e30=");
    let config = json!({"rootfs": {"diff_ids": [Digest::sha256(&plain).as_str()]}});
    let from = Sketch::of_descriptors(&MediaType::OCI_MANIFEST, &config, &[(descriptor.clone(), &gzip)]);
    let kept = document(&copy(&from, &Place::new(), &changed(wishes()[3].0)).unwrap());
    assert_eq!(kept["layers"][0], descriptor);
    let written = document(&copy(&from, &Place::new(), &changed(wishes()[4].0)).unwrap());
    let layer = &written["layers"][0];
    assert_eq!(layer["annotations"], json!({"test-annotation-2": "two"}));
    assert_eq!((layer.get("urls"), layer.get("data"), &layer["mediaType"]), (None, None, &json!(OCI[2])));
    // What a layer is after an upload, in containers/image: the same, with other bytes.
    for case in table("copy", "updated_info_from_upload") {
        assert_eq!(
            (&case["expected"]["Annotations"], &case["expected"]["URLs"]),
            (&layer["annotations"], &json!(null))
        );
    }
}

#[test]
fn a_foreign_layer_stays_where_it_is_at_a_registry_and_comes_along_elsewhere() {
    let plain = layer(1, 100);
    let gzip = compressed(&plain, Form::Gzip);
    let mut descriptor = described("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", &gzip);
    descriptor["urls"] = json!(["https://layer.url"]);
    let config = json!({"rootfs": {"diff_ids": [Digest::sha256(&plain).as_str()]}});
    let from = Sketch::of_descriptors(&MediaType::DOCKER_MANIFEST, &config, &[(descriptor, &gzip)]);
    let mut registry = Place::new();
    registry.is_registry = true;
    // Nothing changes, so nothing stands against it.
    let options = Options { preserve_digests: true, ..changed(LayerCompression::Decompressed) };
    assert_eq!(copy(&from, &registry, &options).unwrap(), *from.top());
    assert_eq!(registry.blobs.lock().unwrap().len(), 1);

    let to = Place::new();
    let manifest = copy(&from, &to, &changed(LayerCompression::Decompressed)).unwrap();
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    assert_eq!(layers(&manifest), [(foreign.to_owned(), Digest::sha256(&plain).to_string())]);
    assert_eq!(document(&manifest)["layers"][0].get("urls"), None);
}

/// A chart, a module: the config is not one of an image, though the layers may be tar files.
#[test]
fn the_layers_of_an_artifact_keep_their_bytes() {
    let plain = layer(1, 100);
    let gzip = compressed(&plain, Form::Gzip);
    for (config_type, layer_type) in [
        ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
        ("application/vnd.oci.empty.v1+json", OCI[1]),
        (MediaType::OCI_CONFIG.as_str(), "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
    ] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "artifactType": "a/b",
            "config": described(config_type, b"{}"), "layers": [described(layer_type, &gzip)],
        });
        let manifest = ManifestBytes::new(manifest.to_string().into_bytes(), MediaType::OCI_MANIFEST);
        let from = Sketch::new(manifest).with_blobs(&[b"{}", &gzip]);
        for (wish, _) in wishes() {
            assert_eq!(copy(&from, &Place::new(), &changed(wish)).unwrap(), *from.top(), "{layer_type} {wish:?}");
            // Docker has nothing but images.
            let to = Place::accepting(&[MediaType::DOCKER_MANIFEST]);
            let outcome = copy(&from, &to, &changed(wish));
            assert!(matches!(outcome, Err(Error::Convert { .. } | Error::NotAccepted(_))), "{layer_type} {outcome:?}");
            assert!(to.is_untouched(), "{layer_type} {wish:?}");
        }
    }
}

#[test]
fn an_image_without_layers_changes_its_kind_alone() {
    let from = Sketch::image(&MediaType::DOCKER_MANIFEST, &[], &[]);
    for (wish, _) in wishes() {
        let options = Options { format: Some(ManifestFormat::Oci), ..changed(wish) };
        let manifest = copy(&from, &Place::new(), &options).unwrap();
        assert_eq!(document(&manifest)["layers"], json!([]));
        assert_eq!(*manifest.media_type(), MediaType::OCI_MANIFEST);
    }
}

#[test]
fn zstd_layers_cannot_be_docker_s_unless_they_change() {
    let plain = layer(1, 100);
    let zstd = compressed(&plain, Form::Zstd);
    let from = one_layer(&MediaType::OCI_MANIFEST, OCI[2], &zstd, &Digest::sha256(&plain));
    let docker = |wish| Options { format: Some(ManifestFormat::V2s2), ..changed(wish) };
    let to = Place::new();
    let error = copy(&from, &to, &docker(LayerCompression::Kept)).unwrap_err();
    assert!(find::<transship::manifest::convert::Error>(&error).is_some(), "{error:?}");
    assert!(to.is_untouched());
    for (wish, media_type) in [(wishes()[1].0, DOCKER[0]), (wishes()[3].0, DOCKER[1])] {
        assert_eq!(layers(&copy(&from, &Place::new(), &docker(wish)).unwrap())[0].0, media_type);
    }
}

#[test]
fn digests_of_another_algorithm_are_checked_and_new_blobs_have_sha256() {
    use transship::digest::Algorithm::Sha512;
    let plain = layer(1, 3000);
    for (form, wish) in [(Form::Gzip, wishes()[1].0), (Form::Plain, wishes()[4].0)] {
        let bytes = compressed(&plain, form);
        let digest = Digest::of(Sha512, &bytes);
        for (diff_id, is_right) in [(Digest::of(Sha512, &plain), true), (Digest::of(Sha512, b"another"), false)] {
            let mut descriptor = described(OCI[form as usize], &bytes);
            descriptor["digest"] = json!(digest.as_str());
            let config = json!({"rootfs": {"diff_ids": [diff_id.as_str()]}});
            let from = Sketch::of_descriptors(&MediaType::OCI_MANIFEST, &config, &[(descriptor, &bytes)])
                .with_damaged(digest.clone(), bytes.clone());
            let to = Place::new();
            match copy(&from, &to, &changed(wish)) {
                Ok(manifest) if is_right => {
                    let new = layers(&manifest)[0].1.clone();
                    assert!(new.starts_with("sha256:") && decompressed(&to.blob(&new)) == plain);
                }
                Err(Error::Layer { digest: of, .. }) if !is_right => assert_eq!(of, digest),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn the_same_bytes_as_a_tar_file_and_as_something_else_change_once() {
    let plain = layer(1, 3000);
    let (bytes, other) = (compressed(&plain, Form::Gzip), "application/vnd.example");
    let diff_ids = [Digest::sha256(&plain), Digest::sha256(&plain)];
    let from = Sketch::image(&MediaType::OCI_MANIFEST, &[(OCI[1], &bytes), (other, &bytes)], &diff_ids);
    let manifest = copy(&from, &Place::new(), &changed(LayerCompression::Decompressed)).unwrap();
    let [plain, gzip] = [Digest::sha256(&plain), Digest::sha256(&bytes)].map(|digest| digest.to_string());
    assert_eq!(layers(&manifest), [(OCI[0].to_owned(), plain), (other.to_owned(), gzip)]);
}
