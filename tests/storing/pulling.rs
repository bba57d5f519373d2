//! What a pull makes of a store.

use std::fs;

use serde_json::json;
use transship::manifest::PlatformChoice;
use transship::policy::Policy;
use transship::store::{Error, PullRequest, Store};
use transship::{Digest, error, source};

use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::world::{World, request};

fn image(seed: &str) -> Image {
    Image::with_layers([seed, "shared"])
}

fn id(image: &Image) -> String {
    Digest::sha256(&image.config()).to_string()
}

/// Serves the one image under the tag, and from the second time on the other.
fn moving(first: &Image, second: &Image) -> RunningRegistry {
    let moved = Reply::ok(second.manifest()).header("Content-Type", second.media_type());
    let registry = Registry::new().image("org/app", "1", first).image("org/app", "2", second);
    registry.fault(|path| path.ends_with("/manifests/1"), 2.., moved).serve()
}

#[test]
fn an_image_is_there_under_its_id_its_tag_and_its_digest() {
    let (world, image) = (World::new(), image("one"));
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let pulled = world.pulled(&registry, "org/app:1");
    assert_eq!(pulled.id.to_string(), id(&image));
    let [stored] = &world.images()[..] else { panic!("{:?}", world.images()) };
    let name = |rest: &str| registry.reference(&format!("org/app{rest}"));
    assert_eq!(stored.id, pulled.id);
    assert_eq!(stored.repo_tags[0].to_string(), name(":1"));
    assert_eq!(stored.repo_digests[0].to_string(), name(&format!("@{}", image.digest())));
    assert_eq!(stored.platform.to_string(), "linux/amd64");
    let blobs: usize = image.blobs().iter().map(|(_, blob)| blob.len()).sum();
    assert_eq!(stored.size, (blobs + image.manifest().len()) as u64);
    let names: Vec<_> = world.index()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["digest"], image.digest().to_string());
            entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, [id(&image), name(":1"), name(&format!("@{}", image.digest()))]);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn the_same_image_again_changes_nothing_and_brings_nothing() {
    let (world, image) = (World::new(), image("one"));
    let registry = Registry::new().image("org/app", "1", &image).serve();
    world.pulled(&registry, "org/app:1");
    let before = fs::read(world.path("store/index.json")).unwrap();
    let asked = registry.asked().len();
    world.pulled(&registry, "org/app:1");
    assert!(fs::read(world.path("store/index.json")).unwrap() == before);
    let again = &registry.asked()[asked..];
    assert!(again.iter().all(|asked| asked.ends_with("/manifests/1")), "{again:?}");
}

#[test]
fn a_tag_that_moves_leaves_the_old_image_its_digest_until_it_is_pruned() {
    let (world, old, new) = (World::new(), image("old"), image("new"));
    let registry = moving(&old, &new);
    let tag = registry.reference("org/app:1");
    world.pulled(&registry, "org/app:1");
    world.pulled(&registry, "org/app:1");
    let images = world.images();
    assert_eq!(images.iter().map(|image| image.id.to_string()).collect::<Vec<_>>(), [id(&new), id(&old)]);
    assert_eq!((images[0].repo_tags[0].to_string(), images[1].repo_tags.len()), (tag, 0));
    assert_eq!(images[1].repo_digests[0].digest(), Some(&old.digest()));

    let pruned = world.store().prune().unwrap();
    assert_eq!(pruned.images, [images[1].id.clone()]);
    // Its manifest, its config and the layer that only it has.
    assert_eq!(pruned.blobs, 3);
    assert_eq!(world.images(), images[..1]);
}

#[test]
fn a_digest_that_was_asked_for_holds_its_image() {
    let (world, old, new) = (World::new(), image("old"), image("new"));
    let registry = moving(&old, &new);
    world.pulled(&registry, &format!("org/app@{}", old.digest()));
    world.pulled(&registry, "org/app:1");
    world.pulled(&registry, "org/app:1");
    assert_eq!(world.store().prune().unwrap().blobs, 0);
    assert_eq!(world.images().len(), 2);
}

#[test]
fn of_an_index_the_wanted_instance_comes_and_the_digest_is_that_of_the_index() {
    let world = World::new();
    let [amd64, arm] = ["linux/amd64", "linux/arm/v7"].map(|platform| image(platform).platform(platform));
    let index = Image::index([amd64, arm.clone()]);
    let registry = Registry::new().image("org/app", "1", &index).serve();
    let platform = |architecture: &str| PlatformChoice {
        os: Some("linux".to_owned()),
        architecture: Some(architecture.to_owned()),
        variant: None,
    };
    let wanted = request(&registry.reference("org/app:1"));
    let pulled = world.pull(&PullRequest { platform: platform("arm"), ..wanted.clone() }).unwrap();
    assert_eq!((pulled.id.to_string(), pulled.manifest.digest()), (id(&arm), &arm.digest()));
    assert_eq!(pulled.names.repo_digest.digest(), Some(&index.digest()));
    let stored = world.images().remove(0);
    assert_eq!((stored.manifest, stored.platform.to_string()), (arm.digest(), "linux/arm/v7".to_owned()));
    assert_eq!(stored.tagged.into_values().collect::<Vec<_>>(), [index.digest()]);

    let error = world.pull(&PullRequest { platform: platform("riscv64"), ..wanted }).unwrap_err();
    let text = error::one_line(&error);
    assert!(["linux/riscv64", "linux/amd64", "linux/arm/v7"].iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn an_image_of_dockers_keeps_its_id_and_is_readable_as_oci() {
    let world = World::new();
    let image = Image::with_layers([b"\x1f\x8bgzip".to_vec()]).docker();
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let pulled = world.pulled(&registry, "org/app:1");
    assert_eq!(pulled.id.to_string(), id(&image));
    assert_eq!(pulled.names.repo_digest.digest(), Some(&image.digest()));
    let reference = format!("oci:{}:{}", world.path("store").display(), pulled.id).parse().unwrap();
    let opened = source::open(&world.config(), &reference).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(opened.manifest(None).unwrap().bytes()).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    assert_eq!(manifest["config"]["digest"], id(&image));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(world.store().prune().unwrap().blobs, 0);
}

#[test]
fn a_layer_that_has_urls_comes_into_the_store_too() {
    let (world, image) = (World::new(), image("foreign"));
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest()).unwrap();
    manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:1/layer"]);
    let reply = Reply::ok(manifest.to_string().into_bytes()).header("Content-Type", image.media_type());
    let registry = Registry::new().image("org/app", "1", &image);
    let registry = registry.fault(|path| path.contains("/manifests/"), .., reply).serve();
    world.pulled(&registry, "org/app:1");
    assert!(world.blobs().contains(image.layer_digest(0).as_str()));
}

#[test]
fn what_is_no_image_is_refused() {
    let (world, config) = (World::new(), b"{}");
    let digest = Digest::sha256(config);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.example+json", "digest": digest.to_string(), "size": 2}, "layers": [],
    });
    let registry = Registry::new()
        .manifest("org/app", "1", "application/vnd.oci.image.manifest.v1+json", manifest.to_string())
        .fault(|path| path.contains("/blobs/"), .., Reply::ok(config))
        .serve();
    let error = world.pull(&request(&registry.reference("org/app:1"))).unwrap_err();
    assert!(error::one_line(&error).contains("application/vnd.example+json"), "{}", error::one_line(&error));
    assert!(matches!(world.store().images(), Err(Error::NoStore { .. })));
}

#[test]
fn the_policy_is_asked_as_for_a_copy() {
    let mut world = World::new();
    let registry = Registry::new().image("org/app", "1", &image("one")).serve();
    world.policy = Policy::new(serde_json_policy(r#"{"default": [{"type": "reject"}]}"#, &world));
    let error = world.pull(&request(&registry.reference("org/app:1"))).unwrap_err();
    assert!(error::find::<transship::policy::Error>(&error).is_some_and(transship::policy::Error::is_refused));
    assert!(!registry.asked().iter().any(|asked| asked.contains("/blobs/")));
}

fn serde_json_policy(text: &str, world: &World) -> transship::config::PolicyJson {
    let path = world.path("policy.json");
    fs::write(&path, text).unwrap();
    let mut config = world.config();
    config.paths.policy_json = Some(path);
    config.policy().unwrap()
}

#[test]
fn a_pull_that_fails_leaves_the_store_as_it_was() {
    let (world, good, bad) = (World::new(), image("good"), image("bad"));
    let registry = Registry::new()
        .image("org/app", "1", &good)
        .image("org/app", "2", &bad)
        .without_blob(&bad.layer_digest(0))
        .serve();
    world.pulled(&registry, "org/app:1");
    let before = world.index();
    world.pull(&request(&registry.reference("org/app:2"))).unwrap_err();
    assert_eq!(world.index(), before);
    assert_eq!(world.leftovers(), [""; 0]);
    world.store().prune().unwrap();
    assert_eq!(world.blobs().len(), 4);
}

#[test]
fn a_store_that_cannot_be_one_is_told_before_anything_is_asked_for() {
    let world = World::new();
    assert!(matches!(Store::at("a:b"), Err(Error::Path(_))));
    let registry = Registry::new().image("org/app", "1", &image("one")).serve();
    fs::create_dir(world.path("store")).unwrap();
    for broken in ["{", "[]", "\"x\""] {
        fs::write(world.path("store/index.json"), broken).unwrap();
        let error = world.pull(&request(&registry.reference("org/app:1"))).unwrap_err();
        assert!(error::one_line(&error).contains("store/index.json"), "{}", error::one_line(&error));
        for error in [world.store().images().map(drop).unwrap_err(), world.store().prune().map(drop).unwrap_err()] {
            assert!(error::one_line(&error).contains("store/index.json"), "{}", error::one_line(&error));
        }
    }
    assert_eq!(registry.asked(), [""; 0]);
}

#[test]
fn what_no_store_could_list_is_not_taken_in() {
    let long = format!(r#"{{"os":"{}","architecture":"amd64"}}"#, "o".repeat(70_000));
    for (config, taken) in [
        (r#"{"os":"linux","architecture":"amd64"}"#, true),
        (r#"{"os":"linux","architecture":null}"#, false),
        (r#"{"architecture":"amd64"}"#, false),
        (r#"{"os":5,"architecture":"amd64"}"#, false),
        (&long, false),
        ("[]", false),
        ("no JSON", false),
    ] {
        let config = config.to_owned();
        let digest = Digest::sha256(config.as_bytes()).to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": &digest, "size": config.len(),
            },
            "layers": [],
        });
        let registry = Registry::new()
            .manifest("org/app", "1", "application/vnd.oci.image.manifest.v1+json", manifest.to_string())
            .fault(move |path| path.ends_with(&digest), .., Reply::new(200).body(config.clone().into_bytes()))
            .serve();
        let world = World::new();
        let outcome = world.pull(&request(&registry.reference("org/app:1")));
        assert_eq!(outcome.is_ok(), taken, "{config}: {outcome:?}");
        match world.store().images() {
            Ok(images) => assert_eq!((taken, images.whole.len()), (true, 1), "{config}"),
            Err(error) => assert!(!taken && matches!(error, Error::NoStore { .. }), "{config}: {error:?}"),
        }
        assert!(outcome.err().is_none_or(|error| error::one_line(&error).contains("does not say what it runs on")));
    }
}

#[test]
fn an_image_for_another_platform_is_refused_where_one_was_asked_for() {
    let image = Image::with_layers(["one"]).platform("linux/arm64");
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let (world, name) = (World::new(), registry.reference("org/app:1"));
    let wanted = |architecture: &str| PlatformChoice {
        os: Some("linux".to_owned()),
        architecture: Some(architecture.to_owned()),
        ..PlatformChoice::default()
    };
    let asked = PullRequest { platform: wanted("amd64"), ..request(&name) };
    let error = error::one_line(&world.pull(&asked).unwrap_err());
    assert!(error.contains("for linux/arm64, and one for linux/amd64 was asked for"), "{error}");
    world.pull(&PullRequest { platform: wanted("arm64"), ..request(&name) }).unwrap();
    world.pull(&request(&name)).unwrap();
}

#[test]
fn what_docker_has_beside_images_is_refused_too() {
    let config = "{}";
    let digest = Digest::sha256(config.as_bytes()).to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.plugin.v1+json", "digest": &digest, "size": config.len()},
        "layers": [],
    });
    let registry = Registry::new()
        .manifest("org/app", "1", "application/vnd.docker.distribution.manifest.v2+json", manifest.to_string())
        .fault(move |path| path.ends_with(&digest), .., Reply::new(200).body(config.as_bytes().to_vec()))
        .serve();
    let error = World::new().pull(&request(&registry.reference("org/app:1"))).unwrap_err();
    assert!(error::one_line(&error).contains("docker.plugin"), "{}", error::one_line(&error));
}

#[test]
fn what_was_said_of_a_name_stays_true_when_the_tag_moves() {
    let (world, [old, new]) = (World::new(), ["old", "new"].map(image));
    let registry = moving(&old, &new);
    let name = registry.reference("org/app:1");
    world.pull(&PullRequest { pinned_images: vec![name.clone()], ..request(&name) }).unwrap();
    world.pulled(&registry, "org/app:1");
    let images = world.images();
    let tagged = images.iter().find(|image| !image.repo_tags.is_empty()).unwrap();
    assert_eq!((tagged.id.to_string(), tagged.pinned), (id(&new), true));
}
