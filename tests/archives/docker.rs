//! `docker-archive:`

use std::fs;
use std::io::Read as _;

use serde_json::json;
use tempfile::TempDir;
use transship::copy;
use transship::destination::{self, DockerArchiveDestination, DockerArchiveWriter, ImageDestination as _};
use transship::manifest::{ImageManifest, ManifestBytes};
use transship::policy::Policy;
use transship::source;
use transship::{Digest, ImageReference, MediaType};

use crate::made::{self, DOCKER, Form, OCI, error, open};
use crate::support::local::tree;
use crate::support::{shared, tables};

fn place() -> (TempDir, impl Fn(&str) -> String) {
    let place = TempDir::new().unwrap();
    let root = place.path().to_str().unwrap().to_owned();
    (place, move |name: &str| format!("{root}/{name}"))
}

fn layer_digests(manifest: &ManifestBytes) -> Vec<String> {
    ImageManifest::parse(manifest).unwrap().layers().iter().map(|layer| layer.digest().to_string()).collect()
}

#[test]
fn layers_lose_their_compression_on_the_way_and_the_config_stays() {
    for (name, words) in [("docker", &DOCKER), ("oci", &OCI)] {
        let (_place, at) = place();
        let layers = made::image(at("from").as_ref(), words);
        let written =
            made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}:app", at("a.tar"))).unwrap();
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
        assert_eq!(layer_digests(&written), diff_ids, "{name}");
        assert_eq!(*written.media_type(), MediaType::DOCKER_MANIFEST);
        let read = made::copy(&format!("docker-archive:{}", at("a.tar")), &format!("dir:{}", at("to"))).unwrap();
        assert_eq!(read, written, "{name}");
        let copied = tree(at("to").as_ref());
        for blob in layers.iter().chain([&made::config(&layers)]) {
            assert!(copied[std::path::Path::new(Digest::sha256(blob).encoded())].1 == *blob, "{name}");
        }
        // And once more: what has no compression has none to lose.
        made::copy(&format!("dir:{}", at("to")), &format!("docker-archive:{}:app", at("b.tar"))).unwrap();
        assert!(fs::read(at("a.tar")).unwrap() == fs::read(at("b.tar")).unwrap(), "{name}");
    }
}

#[test]
fn what_is_in_an_archive_is_written_into_a_layout_with_true_media_types() {
    let (_place, at) = place();
    made::image(at("from").as_ref(), &DOCKER);
    made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap();
    let written = made::copy(&format!("docker-archive:{}", at("a.tar")), &format!("oci:{}", at("layout"))).unwrap();
    for layer in ImageManifest::parse(&written).unwrap().layers() {
        assert_eq!(layer.media_type().to_string(), MediaType::OCI_LAYER.as_str());
    }
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused_and_nothing_is_written() {
    let (place, at) = place();
    let layers = [made::layer(1, 1000), made::layer(2, 1000)];
    let in_forms = |form| layers.clone().map(|layer| (layer, form));
    let wrong = made::config(&[layers[0].clone(), layers[0].clone()]);
    let short = made::config(&layers[..1]);
    let artifact = b"{}".to_vec();
    for (config, form, message) in [
        (&wrong, Form::Gzip, "digest did not match: expected"),
        (&wrong, Form::Plain, "digest did not match: expected"),
        (&short, Form::Gzip, "it has 1 diff ids, and the image has 2 layers"),
        (&artifact, Form::Gzip, "it has 0 diff ids, and the image has 2 layers"),
    ] {
        let manifest = made::blobs(at("from").as_ref(), &OCI, config, &in_forms(form));
        fs::write(at("from/manifest.json"), manifest).unwrap();
        let refused =
            made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap_err();
        assert!(error(&refused).contains(message), "{}", error(&refused));
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_layer_is_told_from_one_that_was_always_bad() {
    let (_place, at) = place();
    made::image(at("from").as_ref(), &OCI);
    let manifest = ManifestBytes::new(fs::read(at("from/manifest.json")).unwrap(), MediaType::OCI_MANIFEST);
    let zipped = layer_digests(&manifest)[1].clone();
    let path = at(&format!("from/{}", zipped.trim_start_matches("sha256:")));
    let whole = fs::read(&path).unwrap();
    let copied = || made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap_err();
    let mut bytes = Vec::new();
    // A checksum is wrong at the end; or nothing can be made of the beginning, and only the digest knows why.
    for damage in [1000, 10] {
        bytes.clone_from(&whole);
        bytes[damage] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        let damaged = copied();
        assert!(matches!(damaged, copy::Error::Read { .. }), "{}", error(&damaged));
        let message = format!("digest did not match: expected {zipped}");
        assert!(error(&damaged).contains(&message), "{}", error(&damaged));
    }

    let made_bad = Digest::sha256(&bytes);
    fs::write(at(&format!("from/{}", made_bad.encoded())), &bytes).unwrap();
    let text = fs::read_to_string(at("from/manifest.json")).unwrap().replace(&zipped, made_bad.as_str());
    fs::write(at("from/manifest.json"), text).unwrap();
    let bad = copied();
    assert!(matches!(&bad, copy::Error::Layer { digest, .. } if *digest == made_bad), "{}", error(&bad));
}

#[test]
fn layers_that_are_compressed_in_the_archive_are_read_without_it() {
    let (place, _at) = place();
    let layers = [made::layer(1, 1000), made::layer(2, 300_000)];
    for form in made::FORMS {
        let stored = layers.clone().map(|layer| made::compressed(&layer, form));
        let bytes = made::docker_save(&[("a/layer.tar", &stored[0]), ("b.tar", &stored[1])], &made::config(&layers));
        let source = open(&format!("docker-archive:{}", made::write(place.path(), "a.tar", &bytes))).unwrap();
        let image = ImageManifest::parse(&source.manifest(None).unwrap()).unwrap();
        for (descriptor, layer) in image.layers().iter().zip(&layers) {
            let mut read = Vec::new();
            source.blob(descriptor).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == *layer, "{form:?}");
        }
        made::read_all(&*source).unwrap();
    }
}

#[test]
fn a_layer_has_the_diff_id_that_containers_image_computes() {
    for case in tables::table("copy", "compute_diff_id") {
        let file = tables::text(&case["filename"]);
        let layer = fs::read(shared::shared(&format!("fixtures/containers-image/copy/{file}")).unwrap()).unwrap();
        let result: Digest = tables::text(&case["result"]).parse().unwrap();
        if case["decompressor"].is_null() {
            assert_eq!(Digest::sha256(&layer), result, "{case}");
            if made::uncompressed(&layer) != layer {
                continue;
            }
        }
        let (_place, at) = place();
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [result.as_str()]}});
        // The bytes say what compresses them, and not the media type.
        let manifest = made::blobs(at("from").as_ref(), &OCI, config.to_string().as_bytes(), &[(layer, Form::Plain)]);
        fs::write(at("from/manifest.json"), manifest).unwrap();
        let written = made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap();
        assert_eq!(layer_digests(&written), [result.to_string()], "{case}");
    }
}

#[test]
fn the_archive_that_docker_once_saved_is_read() {
    let Some(fixture) = shared::shared("fixtures/containers-image/docker/archive/fixtures/almostempty.tar") else {
        return;
    };
    for name in ["", ":emptyimage:latest", ":emptyimage", ":@0"] {
        made::read_all(&*open(&format!("docker-archive:{}{name}", fixture.display())).unwrap()).unwrap();
    }
}

#[test]
fn references_of_the_table_are_looked_for() {
    let (place, _at) = place();
    let layer = made::layer(1, 10);
    let archive = made::write(
        place.path(),
        "path",
        &made::docker_save(&[("l", &layer)], &made::config(std::slice::from_ref(&layer))),
    );
    for case in tables::table("other_transports", "docker_archive_string") {
        let text = tables::text(&case["input"]);
        let (_, rest) = text.split_once("path").unwrap();
        let outcome = open(&format!("docker-archive:{archive}{}", rest.trim_start_matches("only")));
        match (tables::text(&case["dockerRef"]).as_str(), case["sourceIndex"].as_i64().unwrap()) {
            ("", -1 | 0) => assert!(outcome.is_ok(), "{text}: {outcome:?}"),
            ("", _) => assert!(matches!(outcome, Err(source::Error::NoSuchPosition { count: 1, .. })), "{text}"),
            _ => assert!(matches!(outcome, Err(source::Error::NoSuchImage { .. })), "{text}"),
        }
    }
}

#[test]
fn an_error_says_which_images_there_are() {
    let (place, at) = place();
    let layer = made::layer(1, 10);
    let entry = |tags: &[&str]| json!({"Config": "c", "RepoTags": tags, "Layers": ["l"]});
    let put = |list: serde_json::Value| {
        let (list, config) = (list.to_string(), made::config(std::slice::from_ref(&layer)));
        made::write(
            place.path(),
            "a.tar",
            &made::tar(&[("l", &layer), ("c", &config), ("manifest.json", list.as_bytes())]),
        )
    };
    let message = |name: &str| error(&open(&format!("docker-archive:{}{name}", at("a.tar"))).unwrap_err());
    put(json!([entry(&["app:1", "quay.io/org/app:2"]), entry(&[]), entry(&["localhost/b:3"])]));
    let all = ["app:1", "quay.io/org/app:2", "localhost/b:3"]
        .map(|tag| format!("docker-archive:{}:{tag}", at("a.tar")))
        .join(", ");
    assert_eq!(message(""), format!("{}: there are 3 images; choose one: {all}", at("a.tar")));
    assert_eq!(message(":app:2"), format!("{}: there is no image \"app:2\"; there is: {all}", at("a.tar")));
    assert_eq!(message(":@3"), format!("{}: there is no image @3; there are 3, counted from 0", at("a.tar")));
    for name in [":app:1", ":quay.io/org/app:2", ":@1", ":localhost/b:3"] {
        open(&format!("docker-archive:{}{name}", at("a.tar"))).unwrap();
    }
    put(json!([entry(&["UPPER:1"]), entry(&["app:1"])]));
    assert!(message(":app:1").contains("the image @0 has an unusable tag \"UPPER:1\""), "{}", message(":app:1"));
    put(json!([]));
    assert_eq!(message(""), format!("{}: there is no image in it", at("a.tar")));
    put(serde_json::Value::Null);
    assert!(message("").contains("not the list of the images of an archive"), "{}", message(""));
}

#[test]
fn of_files_with_one_name_the_first_counts_as_for_podman() {
    let (place, _at) = place();
    let layer = made::layer(1, 10);
    let config = made::config(std::slice::from_ref(&layer));
    let bytes = made::docker_save(&[("l", &layer), ("config.json", &config), ("l", b"not this one")], b"nor this one");
    // The list in front names the layer alone.
    let list = json!([{"Config": "config.json", "RepoTags": null, "Layers": ["l"]}]).to_string();
    let bytes = [made::tar(&[("manifest.json", list.as_bytes())])[..1024].to_vec(), bytes].concat();
    made::read_all(&*open(&format!("docker-archive:{}", made::write(place.path(), "a.tar", &bytes))).unwrap()).unwrap();
}

#[test]
fn an_index_is_refused_before_the_first_blob() {
    let (_place, at) = place();
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    made::index(at("from").as_ref(), &DOCKER, list);
    for blob in fs::read_dir(at("from")).unwrap().map(|entry| entry.unwrap().path()) {
        if blob.extension().is_none() && !blob.ends_with("version") {
            fs::remove_file(blob).unwrap();
        }
    }
    let refused = made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap_err();
    assert!(matches!(refused, copy::Error::NotAccepted(_)), "{}", error(&refused));
}

fn destination(archive: &str) -> Result<DockerArchiveDestination, destination::Error> {
    match format!("docker-archive:{archive}").parse().unwrap() {
        ImageReference::DockerArchive(reference) => DockerArchiveDestination::open(reference),
        other => panic!("{other}"),
    }
}

#[test]
fn a_place_takes_only_what_it_can_hold() {
    let (_place, at) = place();
    made::image(at("from").as_ref(), &DOCKER);
    let source = open(&format!("dir:{}", at("from"))).unwrap();
    let manifest = source.manifest(None).unwrap();
    let image = ImageManifest::parse(&manifest).unwrap();
    let writer = destination(&at("a.tar")).unwrap();
    assert!(!writer.accepts_foreign_layers());
    assert!(!writer.accepts(&MediaType::OCI_MANIFEST) && !writer.accepts(&MediaType::DOCKER_LIST));
    let index = ManifestBytes::new(br#"{"schemaVersion": 2, "manifests": []}"#.to_vec(), MediaType::OCI_INDEX);
    assert!(matches!(writer.put_manifest(&index, None), Err(destination::Error::MediaType { .. })));
    assert!(matches!(writer.put_manifest(&manifest, None), Err(destination::Error::NoBlob { .. })));
    for blob in image.layers().iter().chain([image.config()]) {
        assert!(!writer.has_blob(blob).unwrap());
        writer.put_blob(blob, &mut source.blob(blob).unwrap()).unwrap();
        assert!(writer.has_blob(blob).unwrap());
    }
    // The second layer is compressed, so its digest is not its diff id.
    assert!(matches!(writer.put_manifest(&manifest, None), Err(destination::Error::NotTheDiffId { .. })));
    assert!(matches!(writer.commit(), Err(destination::Error::NoManifest { .. })));
    assert!(!fs::exists(at("a.tar")).unwrap());
    let refused = destination(&at("a.tar:@0")).unwrap_err();
    assert!(matches!(refused, destination::Error::Position { .. }), "{refused}");
}

#[test]
fn signatures_have_no_place() {
    let (_place, at) = place();
    made::image(at("from").as_ref(), &DOCKER);
    fs::write(at("from/signature-1"), b"\x89anything").unwrap();
    let refused = made::copy(&format!("dir:{}", at("from")), &format!("docker-archive:{}", at("a.tar"))).unwrap_err();
    assert!(error(&refused).ends_with("a docker-archive cannot hold signatures"), "{}", error(&refused));
}

#[test]
fn several_images_share_an_archive_and_their_layers() {
    let (_place, at) = place();
    let shared = made::layer(1, 1000);
    let archive = DockerArchiveWriter::create(at("a.tar")).unwrap();
    for (name, tags) in
        [("one", &["app:1", "app:latest"][..]), ("two", &["quay.io/org/app:2", "app"]), ("one", &["again:1"])]
    {
        let layers = [shared.clone(), made::layer(name.len() as u64 + u64::from(name.as_bytes()[0]), 1000)];
        let from = at(&format!("from-{name}"));
        let manifest =
            made::blobs(from.as_ref(), &OCI, &made::config(&layers), &layers.map(|layer| (layer, Form::Gzip)));
        fs::write(format!("{from}/manifest.json"), manifest).unwrap();
        let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let destination = archive.image(tags).unwrap();
        let source = open(&format!("dir:{from}")).unwrap();
        copy::image(&*source, &destination, &Policy::insecure_accept_anything(), &copy::Options::default()).unwrap();
        assert!(!fs::exists(at("a.tar")).unwrap());
    }
    let refused = archive.image(vec![format!("app@{}", Digest::sha256(b"")).parse().unwrap()]).unwrap_err();
    assert!(error(&refused).contains("have tags only"), "{}", error(&refused));
    archive.finish().unwrap();

    let image = |name: &str| open(&format!("docker-archive:{}:{name}", at("a.tar"))).unwrap().manifest(None).unwrap();
    assert_eq!(image("app:1"), image("@0"));
    assert_eq!(image("again:1"), image("@0"));
    // The later image has the tag.
    assert_eq!(image("app:latest"), image("@1"));
    assert_eq!(image("quay.io/org/app:2"), image("@1"));
    assert!(open(&format!("docker-archive:{}:@2", at("a.tar"))).is_err());
    let entries = made::entries(at("a.tar").as_ref());
    let is_layer = |name: &str| name.split_once('.').is_some_and(|(id, kind)| !id.contains('/') && kind == "tar");
    assert_eq!(entries.iter().filter(|(_, _, name, _)| is_layer(name)).count(), 3);
    let mut names: Vec<_> = entries.iter().map(|(_, _, name, _)| name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "a name stands twice");
}
