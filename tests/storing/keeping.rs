//! What goes, and what stays.

use std::fs;
use std::path::Path;

use serde_json::json;
use transship::store::{Error, PullRequest};
use transship::{Digest, error};

use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::tables::containerd_table;
use crate::world::{World, request};

fn id(image: &Image) -> String {
    Digest::sha256(&image.config()).to_string()
}

#[test]
fn a_name_that_is_removed_takes_nothing_with_it_until_the_store_is_pruned() {
    let (world, image) = (World::new(), Image::with_layers(["one"]));
    let registry = Registry::new().image("org/app", "1", &image).image("org/app", "2", &image).serve();
    world.pulled(&registry, "org/app:1");
    world.pulled(&registry, "org/app:2");
    let tags = ["org/app:1", "org/app:2"].map(|tag| registry.reference(tag));
    assert_eq!(world.store().remove(&tags[0]).unwrap(), [tags[0].clone()]);
    assert_eq!(world.store().prune().unwrap().blobs, 0);
    assert_eq!(world.images()[0].repo_tags[0].to_string(), tags[1]);
    world.store().remove(&tags[1]).unwrap();
    assert_eq!(world.images()[0].repo_tags, []);
    assert_eq!(world.blobs().len(), 3);

    let rehearsed = world.store().what_prune_would_remove().unwrap();
    assert_eq!((world.images().len(), world.blobs().len()), (1, 3));
    let pruned = world.store().prune().unwrap();
    assert_eq!(pruned, rehearsed);
    let bytes = image.manifest().len() + image.config().len() + image.layers()[0].len();
    assert_eq!((pruned.images[0].to_string(), pruned.blobs, pruned.bytes), (id(&image), 3, bytes as u64));
    assert_eq!((world.images().len(), world.blobs().len()), (0, 0));
}

#[test]
fn an_id_takes_all_names_along_and_goes_with_the_last_of_them() {
    let (world, image) = (World::new(), Image::with_layers(["one"]));
    let registry = Registry::new().image("org/app", "1", &image).image("org/app", "2", &image).serve();
    let id = id(&image);
    for name in [&id[..], &id["sha256:".len()..], &id["sha256:".len()..20], &id[..20]] {
        world.pulled(&registry, "org/app:1");
        world.pulled(&registry, "org/app:2");
        assert_eq!(world.store().remove(name).unwrap().len(), 4, "{name}");
        assert_eq!(world.images(), []);
    }
    world.pulled(&registry, "org/app:1");
    world.store().remove(&registry.reference("org/app:1")).unwrap();
    let digest = registry.reference(&format!("org/app@{}", image.digest()));
    assert_eq!(world.store().remove(&digest).unwrap(), [digest, id]);
    assert_eq!(world.index()["manifests"], json!([]));
}

#[test]
fn what_means_nothing_or_too_much_is_not_removed() {
    let world = World::new();
    let images: Vec<_> = (0..20).map(|n| Image::with_layers([n.to_string()])).collect();
    let registry = images
        .iter()
        .enumerate()
        .fold(Registry::new(), |registry, (n, image)| registry.image("org/app", &n.to_string(), image));
    let registry = registry.serve();
    assert!(matches!(world.store().remove("x"), Err(Error::NoStore { .. })));
    for n in 0..images.len() {
        world.pulled(&registry, &format!("org/app:{n}"));
    }
    let before = world.index();
    for name in ["busybox", "", "sha256:", "G", "org/app:1", &"f".repeat(64)] {
        let error = world.store().remove(name).unwrap_err();
        assert!(matches!(error, Error::NoSuchImage { .. }) && error.is_not_found(), "{name}: {error}");
    }
    // Of twenty ids two begin alike.
    let ids: Vec<_> = world.images().iter().map(|image| image.id.encoded()[..1].to_owned()).collect();
    let twice = ids.iter().find(|first| ids.iter().filter(|other| other == first).count() > 1).unwrap();
    let error = world.store().remove(twice).unwrap_err();
    assert!(matches!(error, Error::AmbiguousId { count: 2.., .. }), "{error}");
    assert_eq!(world.index(), before);
}

#[test]
fn what_other_tools_have_put_there_stays() {
    let (world, ours, theirs) = (World::new(), Image::with_layers(["ours"]), Image::with_layers(["theirs"]));
    let registry = Registry::new().image("org/app", "1", &ours).image("org/app", "2", &theirs).serve();
    world.pulled(&registry, "org/app:1");
    world.pulled(&registry, "org/app:2");
    let name = registry.reference("org/app:1");
    // As skopeo or umoci write an entry: under a name of ours, and under none.
    let mut index = world.index();
    let mut entries = index["manifests"].as_array().unwrap().clone();
    entries.retain(|entry| entry["annotations"]["transship.image.id"] == id(&ours));
    let their = json!({"mediaType": theirs.media_type(), "digest": theirs.digest().to_string(), "size": theirs.manifest().len()});
    for annotations in [json!({"org.opencontainers.image.ref.name": name, "theirs": "1"}), json!({"theirs": "2"})] {
        let mut entry = their.clone();
        entry["annotations"] = annotations;
        entries.push(entry);
    }
    index["manifests"] = json!(entries);
    world.write_index(&index);

    assert_eq!(world.images().len(), 1);
    assert_eq!(world.store().prune().unwrap().blobs, 0);
    assert_eq!(world.store().remove(&name).unwrap(), std::slice::from_ref(&name));
    world.pulled(&registry, "org/app:1");
    let theirs: Vec<_> = world.index()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| !entry["annotations"]["theirs"].is_null())
        .cloned()
        .collect();
    // The name was given to ours; the entry is there all the same.
    assert_eq!(
        theirs.iter().map(|entry| entry["annotations"].clone()).collect::<Vec<_>>(),
        [json!({"theirs": "1"}), json!({"theirs": "2"})]
    );
    world.store().remove(&id(&ours)).unwrap();
    assert_eq!(world.store().prune().unwrap().blobs, 3);
    assert_eq!(world.blobs().len(), 3);
}

#[test]
fn nothing_is_pruned_where_it_cannot_be_told_what_an_image_needs() {
    let registry = Registry::new().image("org/app", "1", &Image::with_layers(["one"])).serve();
    let damage: [fn(&Path); 3] = [
        |manifest| fs::write(manifest, b"damaged").unwrap(),
        |manifest| fs::write(manifest, b"{}").unwrap(),
        |manifest| fs::remove_file(manifest).unwrap(),
    ];
    for damage in damage {
        let world = World::new();
        let pulled = world.pulled(&registry, "org/app:1");
        fs::write(world.path("store/blobs/sha256").join("0".repeat(64)), b"nobody's").unwrap();
        let manifest = world.path("store/blobs/sha256").join(pulled.manifest.digest().encoded());
        damage(&manifest);
        let blobs = world.blobs();
        let error = world.store().prune().unwrap_err();
        assert!(error::one_line(&error).contains(manifest.to_str().unwrap()), "{}", error::one_line(&error));
        let images = world.store().images().unwrap();
        let [damaged] = &images.damaged[..] else { panic!("{images:?}") };
        assert!(error::one_line(&damaged.error).contains(manifest.to_str().unwrap()));
        assert_eq!((&damaged.id, damaged.names.len(), images.whole.len()), (&pulled.id, 3, 0));
        assert_eq!(world.blobs(), blobs);
        // The next pull makes it whole.
        world.pulled(&registry, "org/app:1");
        assert_eq!(world.store().prune().unwrap().blobs, 1);
        assert_eq!(world.images().len(), 1);
    }
}

#[test]
fn a_pinned_image_is_told_so_and_stays_so_without_a_tag() {
    let (world, image) = (World::new(), Image::with_layers(["one"]));
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let name = registry.reference("org/app:1");
    world.pull(&PullRequest { pinned_images: vec![name.clone()], ..request(&name) }).unwrap();
    // Once said, it is not taken back by a pull that does not say it.
    world.pulled(&registry, "org/app:1");
    assert!(world.images()[0].pinned);
    world.store().remove(&name).unwrap();
    assert_eq!(world.store().prune().unwrap().blobs, 0);
}

#[test]
fn the_repositories_of_an_image_are_listed_once_and_in_order() {
    let (world, image) = (World::new(), Image::with_layers(["one"]));
    for case in containerd_table("distribution_source_label") {
        let [existing, repo, result] = ["existing", "repo", "result"].map(|key| case[key].as_str().unwrap());
        // A pull is always of some repository.
        if repo.is_empty() {
            continue;
        }
        let registry = Registry::new().image(repo, "1", &image).serve();
        let key = format!("containerd.io/distribution.source.{}", registry.authority());
        world.pulled(&registry, &format!("{repo}:1"));
        let mut index = world.index();
        for entry in index["manifests"].as_array_mut().unwrap() {
            entry["annotations"][&key] = json!(existing);
        }
        world.write_index(&index);
        world.pulled(&registry, &format!("{repo}:1"));
        let index = world.index();
        let name = registry.reference(&format!("{repo}:1"));
        let entry = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name);
        assert_eq!(entry.unwrap()["annotations"][&key], result, "{case}");
        fs::remove_dir_all(world.path("store")).unwrap();
    }
}

#[test]
fn an_index_that_names_no_digest_and_blobs_that_are_elsewhere_keep_everything() {
    let registry = Registry::new().image("org/app", "1", &Image::with_layers(["one"])).serve();
    let world = World::new();
    let pulled = world.pulled(&registry, "org/app:1");
    let (index, blobs) = (world.path("store/index.json"), world.blobs());
    let right = fs::read_to_string(&index).unwrap();
    fs::write(&index, right.replace(pulled.manifest.digest().as_str(), "sha256:12")).unwrap();
    assert!(error::one_line(&world.store().prune().unwrap_err()).contains("index.json"));
    assert_eq!(world.blobs(), blobs);
    fs::write(&index, right).unwrap();

    // Another layout's.
    fs::create_dir(world.path("other")).unwrap();
    fs::rename(world.path("store/blobs"), world.path("other/blobs")).unwrap();
    std::os::unix::fs::symlink("../other/blobs", world.path("store/blobs")).unwrap();
    world.store().remove(&pulled.id.to_string()).unwrap();
    assert!(error::one_line(&world.store().prune().unwrap_err()).contains("a link"));
    assert_eq!(world.blobs(), blobs);
}
