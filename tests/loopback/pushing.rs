//! Images written into a registry: in which order, where to, as whom.

use std::sync::Arc;

use transship::destination::{self, Error as DestinationError, ImageDestination};
use transship::digest::{Algorithm, Digest};
use transship::error::{find, one_line};
use transship::http::{Recorder, Replay, Wire};
use transship::manifest::ManifestBytes;
use transship::registry::Error;
use transship::source::{self, Network, Options};
use transship::{ImageReference, MediaType};

use crate::machine::{LOGICAL, Machine};
use crate::support::image::{Image, descriptor};
use crate::support::registry::Registry;
use crate::support::reply::Reply;
use crate::support::uploads::{Fault, Uploads};

fn image() -> Image {
    Image::with_layers(["one", "two"])
}

fn manifest(image: &Image) -> ManifestBytes {
    ManifestBytes::new(image.manifest(), MediaType::from(image.media_type()))
}

fn open(machine: &Machine, reference: &str) -> Result<Box<dyn ImageDestination>, DestinationError> {
    let reference: ImageReference = format!("docker://{reference}").parse().unwrap();
    destination::open_with(&machine.config(), &reference, &machine.options())
}

/// Pushes all but the commit.
fn push(to: &dyn ImageDestination, image: &Image) -> Result<(), DestinationError> {
    for instance in image.instances() {
        push_blobs(to, instance)?;
        to.put_manifest(&manifest(instance), Some(&instance.digest()))?;
    }
    push_blobs(to, image)?;
    to.put_manifest(&manifest(image), None)
}

fn push_blobs(to: &dyn ImageDestination, image: &Image) -> Result<(), DestinationError> {
    for (_, blob) in image.blobs() {
        let descriptor = descriptor(&blob, Algorithm::Sha256);
        if !to.has_blob(&descriptor)? {
            to.put_blob(&descriptor, &mut &*blob)?;
        }
    }
    Ok(())
}

#[test]
fn the_tag_is_written_last_and_with_the_commit() {
    let registry = Uploads::new().serve();
    let machine = Machine::new().insecure(&registry.authority());
    for image in [image(), image().docker(), Image::index([image(), image().platform("linux/arm64")])] {
        let start = registry.asked().len();
        let to = open(&machine, &registry.reference("org/app:1")).unwrap();
        push(&*to, &image).unwrap();
        let before = registry.asked().len();
        assert!(registry.asked()[start..].iter().all(|asked| !asked.ends_with("/manifests/1")));
        to.commit().unwrap();
        assert_eq!(registry.asked()[before..], ["PUT /v2/org/app/manifests/1"]);
        assert_eq!(registry.manifest("org/app", "1"), Some((image.media_type().to_owned(), image.manifest())));
        for instance in image.instances() {
            let stored = registry.manifest("org/app", instance.digest().as_str());
            assert_eq!(stored, Some((instance.media_type().to_owned(), instance.manifest())));
        }
    }
}

#[test]
fn a_blob_that_is_there_or_was_pushed_is_asked_for_once_and_not_sent_again() {
    let registry = Uploads::new().serve();
    let machine = Machine::new().insecure(&registry.authority());
    for posts in [4, 0] {
        let before = registry.asked().len();
        let index = Image::index([image(), image().platform("linux/arm64")]);
        push(&*open(&machine, &registry.reference("org/app:1")).unwrap(), &index).unwrap();
        let asked = &registry.asked()[before..];
        // Two layers that are the same in both, and two configs.
        assert_eq!(asked.iter().filter(|asked| asked.starts_with("HEAD ")).count(), 4, "{asked:?}");
        assert_eq!(asked.iter().filter(|asked| asked.starts_with("POST ")).count(), posts, "{asked:?}");
    }
}

#[test]
fn a_digest_is_a_place_for_that_image_only() {
    let registry = Uploads::new().serve();
    let machine = Machine::new().insecure(&registry.authority());
    let (image, other) = (image(), Image::with_layers(["other"]));
    for digest in [image.digest(), Digest::of(Algorithm::Sha512, &image.manifest())] {
        let to = open(&machine, &registry.reference(&format!("org/app@{digest}"))).unwrap();
        assert!(matches!(push(&*to, &other), Err(DestinationError::OtherDigest { .. })));
        assert!(matches!(to.commit(), Err(DestinationError::NoManifest { .. })));
        push(&*to, &image).unwrap();
        to.commit().unwrap();
        assert!(registry.manifest("org/app", digest.as_str()).is_some());
    }
    let to = open(&machine, &registry.reference("org/other@@unknown-digest@@")).unwrap();
    push(&*to, &image).unwrap();
    to.commit().unwrap();
    assert!(registry.manifest("org/other", image.digest().as_str()).is_some());
}

#[test]
fn a_manifest_that_the_registry_refuses_is_told_from_other_failures() {
    let errors = |code: &str| format!(r#"{{"errors": [{{"code": "{code}", "message": "no"}}]}}"#);
    for (reply, is_refused) in [
        (Reply::new(415), true),
        (Reply::new(400).body(errors("MANIFEST_INVALID")), true),
        (Reply::new(400).body(errors("UNSUPPORTED")), true),
        (Reply::new(404).body(errors("MANIFEST_BLOB_UNKNOWN")), false),
        (Reply::new(403).body(errors("DENIED")), false),
    ] {
        let registry = Uploads::new().fault("PUT", 1, Fault::Answer(reply)).serve();
        let machine = Machine::new().insecure(&registry.authority());
        let to = open(&machine, &registry.reference("org/app:1")).unwrap();
        to.put_manifest(&manifest(&image()), None).unwrap();
        let error = to.commit().unwrap_err();
        assert_eq!(matches!(error, DestinationError::ManifestRefused { .. }), is_refused, "{}", one_line(&error));
        assert!(matches!(find::<Error>(&error), Some(Error::Response { .. })));
    }
    let other = Digest::sha256(b"other").to_string();
    let registry = Uploads::new().fault("PUT", 1, Fault::Header("Docker-Content-Digest", other)).serve();
    let machine = Machine::new().insecure(&registry.authority());
    let to = open(&machine, &registry.reference("org/app:1")).unwrap();
    to.put_manifest(&manifest(&image()), None).unwrap();
    let error = to.commit().unwrap_err();
    assert!(matches!(find::<Error>(&error), Some(Error::Mismatch { .. })), "{}", one_line(&error));
}

#[test]
fn schema_1_and_wrong_instances_are_not_pushed() {
    let registry = Uploads::new().serve();
    let to = open(&Machine::new().insecure(&registry.authority()), &registry.reference("org/app:1")).unwrap();
    let schema1 = ManifestBytes::new(b"{}".to_vec(), MediaType::DOCKER_SCHEMA1_SIGNED);
    assert!(!to.accepts(schema1.media_type()));
    assert!(matches!(to.put_manifest(&schema1, None), Err(DestinationError::NotPushed { .. })));
    let other = Digest::sha256(b"other");
    let wrong = to.put_manifest(&manifest(&image()), Some(&other));
    assert!(matches!(wrong, Err(DestinationError::Instance { .. })));
    assert!(registry.requests().is_empty());
}

#[test]
fn only_the_primary_is_written_at_its_location() {
    let (mirror, origin) = (Uploads::new().serve(), Uploads::new().serve());
    let machine = Machine::new().registries_conf(&format!(
        "[[registry]]\nprefix = \"registry.example/org\"\nlocation = \"{}/there\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/org\"\ninsecure = true\n",
        origin.authority(),
        mirror.authority(),
    ));
    let to = open(&machine, LOGICAL).unwrap();
    push(&*to, &image()).unwrap();
    to.commit().unwrap();
    assert_eq!(to.reference().to_string(), format!("docker://{LOGICAL}"));
    assert!(origin.manifest("there/app", "1").is_some());
    assert!(mirror.requests().is_empty());
}

#[test]
fn a_blocked_registry_is_not_written() {
    let registry = Uploads::new().serve();
    let machine = Machine::new().registries_conf(&format!(
        "[[registry]]\nlocation = \"{}\"\nblocked = true\ninsecure = true\n",
        registry.authority()
    ));
    let error = open(&machine, &registry.reference("org/app:1")).unwrap_err();
    assert!(matches!(find(&error), Some(source::Error::Blocked { .. })), "{}", one_line(&error));
    assert!(registry.requests().is_empty());
}

#[test]
fn a_token_is_asked_for_that_allows_both() {
    // It can only be read, which is known after the token.
    let registry = Registry::new().image("org/app", "1", &image()).requiring_token("registry.example").serve();
    let machine = Machine::new().insecure(&registry.authority());
    let to = open(&machine, &registry.reference("org/app:1")).unwrap();
    let blob = &image().blobs()[0].1;
    assert!(to.has_blob(&descriptor(blob, Algorithm::Sha256)).unwrap());
    let error = to.put_blob(&descriptor(blob, Algorithm::Sha256), &mut &**blob).unwrap_err();
    assert!(matches!(find(&error), Some(Error::Response { source, .. }) if source.has_code("UNSUPPORTED")));
    let scopes: Vec<_> = registry.token_requests().iter().map(|request| request.query("scope")).collect();
    assert_eq!(scopes, [["repository:org/app:pull,push"]]);
}

#[test]
fn a_registry_needs_a_configuration() {
    let reference: ImageReference = "docker://registry.example/app:1".parse().unwrap();
    assert!(matches!(destination::open(&reference), Err(DestinationError::NoConfiguration(_))));
}

#[test]
fn a_push_is_recorded_without_its_bytes_and_can_be_replayed() {
    let layer = vec![b'a'; 100_000];
    let image = Image::with_layers([layer.clone()]);
    let registry = Uploads::new().serve();
    let machine = Machine::new().insecure(&registry.authority());
    let reference: ImageReference = format!("docker://{}", registry.reference("org/app:1")).parse().unwrap();
    let push_over = |wire: Arc<dyn Wire>| {
        let network = Network::new(wire, machine.clock.clone());
        let options = Options { network: Some(network), ..machine.options.clone() };
        let to = destination::open_with(&machine.config(), &reference, &options).unwrap();
        push(&*to, &image).unwrap();
        to.commit().unwrap();
    };
    let file = machine.root.path().join("push.har");
    let recorder = Arc::new(Recorder::new(machine.options().network.unwrap().wire, &file));
    push_over(Arc::clone(&recorder) as _);
    recorder.finish().unwrap();

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.len() < 50_000, "{}", text.len());
    let har: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    let of_layer = entries.iter().find(|entry| entry["request"]["bodySize"] == 100_000).unwrap();
    assert_eq!(of_layer["request"]["postData"]["_digest"], Digest::sha256(&layer).as_str());
    assert_eq!(of_layer["request"]["postData"]["text"], "");
    // A manifest is worth reading.
    let of_manifest = entries.iter().find(|entry| entry["request"]["url"].as_str().unwrap().ends_with("/manifests/1"));
    assert_eq!(of_manifest.unwrap()["request"]["postData"]["text"], String::from_utf8(image.manifest()).unwrap());

    drop(registry);
    let replay = Arc::new(Replay::from_file(&file).unwrap());
    push_over(Arc::clone(&replay) as _);
    replay.finish().unwrap();
}
