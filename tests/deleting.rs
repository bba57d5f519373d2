//! `delete`: from Debian's `docker-registry`, beside skopeo, and from layouts of the reference project.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

#[allow(dead_code, reason = "other crates of tests use the rest")]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod listing;
    pub mod local;
    pub mod oci_layout;
    pub mod peers;
    pub mod shared;
    pub mod token_server;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::clients::Clients;
use support::command::{finish, run};
use support::docker_registry::{DockerRegistry, PASSWORD, USER};
use support::listing::{assert_same, contents};
use support::local::names;
use support::oci_layout::OciLayout;
use support::peers::peer;
use support::shared::shared;

const HTTP: &str = "--tls-verify=false";
const CREDS: &str = "--creds=alice:open sesame";

/// Pushes one image under several tags, and gives its digest.
fn push(clients: &Clients, registry: &DockerRegistry, repository: &str, tags: &[&str]) -> String {
    let root = tempfile::tempdir_in(clients.path(".")).unwrap();
    let mut layout = OciLayout::create(&root.path().join("layout"));
    let layer = layout.random_layer(1, 1000);
    let image = layout.image("amd64", &[layer]);
    let reference = layout.tag("image", &image);
    for tag in tags {
        let creds = format!("--dest-creds={USER}:{PASSWORD}");
        clients.push(&[&creds], &reference, &registry.image(&format!("{repository}:{tag}")));
    }
    image["digest"].as_str().unwrap().to_owned()
}

fn is_there(clients: &Clients, image: &str) -> bool {
    let output = finish(clients.skopeo().args(["inspect", "--raw", HTTP, CREDS, image]));
    output.status.success()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_fails(command: &mut Command, code: i32, words: &[&str]) {
    let output = finish(command);
    let said = stderr(&output);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn an_image_goes_with_all_its_tags_and_nothing_else_does() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let token = DockerRegistry::token(&program);
    for registry in [&DockerRegistry::anonymous(&program), &DockerRegistry::htpasswd(&program), &token] {
        for (name, by_digest) in [("by-tag", false), ("by-digest", true)] {
            let digest = push(&clients, registry, name, &["1", "2"]);
            let other = registry.image(&format!("{name}/other:1"));
            push(&clients, registry, &format!("{name}/other"), &["1"]);
            let suffix = if by_digest { format!("@{digest}") } else { ":1".to_owned() };
            let image = registry.image(&format!("{name}{suffix}"));
            let output = finish(clients.ours().args(["delete", HTTP, CREDS, &image]));
            assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
            for tag in ["1", "2"] {
                assert!(!is_there(&clients, &registry.image(&format!("{name}:{tag}"))), "{name}:{tag}");
            }
            assert!(is_there(&clients, &other));
            assert_fails(clients.ours().args(["delete", HTTP, CREDS, &image]), 3, &["manifest unknown"]);
        }
    }
    let asked = token.token_server().take_asked();
    assert!(asked.iter().any(|asked| asked.scopes == ["repository:by-tag:*"]), "{asked:?}");
}

#[test]
fn whoever_may_not_delete_is_told_so() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    for registry in [DockerRegistry::htpasswd(&program), DockerRegistry::token(&program)] {
        push(&clients, &registry, "public/app", &["1"]);
        let image = registry.image("public/app:1");
        for creds in ["--no-creds", "--creds=alice:wrong"] {
            assert_fails(clients.ours().args(["delete", HTTP, creds, &image]), 4, &["hint: "]);
        }
        assert!(is_there(&clients, &image));
    }
    let registry = DockerRegistry::without_deletion(&program);
    push(&clients, &registry, "app", &["1"]);
    let image = registry.image("app:1");
    assert_fails(clients.ours().args(["delete", HTTP, &image]), 1, &[&image, "deletion is disabled in this registry"]);
    assert!(is_there(&clients, &image));
}

/// The location of the prefix loses it, a mirror does not.
#[test]
fn only_the_primary_is_deleted_from() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let (primary, mirror) = (DockerRegistry::anonymous(&program), DockerRegistry::anonymous(&program));
    for registry in [&primary, &mirror] {
        push(&clients, registry, "org/app", &["1"]);
    }
    clients.registries_conf(&format!(
        "[[registry]]\nprefix = \"name.example\"\nlocation = \"{}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        primary.host(),
        mirror.host()
    ));
    run(clients.ours().args(["delete", "docker://name.example/org/app:1"]));
    assert!(!is_there(&clients, &primary.image("org/app:1")));
    assert!(is_there(&clients, &mirror.image("org/app:1")));
}

/// Signatures go up to the first that is missing, from the store that is written to, and so do skopeo's.
#[test]
fn the_signatures_in_the_staging_store_go_with_the_image() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let url = |name: &str| format!("file://{}", clients.path(name).display());
    for (name, mut command) in [("ours", clients.ours()), ("skopeos", clients.skopeo())] {
        let digest = push(&clients, &registry, name, &["1"]);
        let directory = format!("{name}@{}", digest.replace(':', "="));
        for (store, numbers) in [("read", &[1][..]), ("staging", &[1, 2, 4])] {
            let directory = clients.path(store).join(&directory);
            fs::create_dir_all(&directory).unwrap();
            for number in numbers {
                fs::write(directory.join(format!("signature-{number}")), b"s").unwrap();
            }
        }
        let yaml = format!("lookaside: {}\n  lookaside-staging: {}", url("read"), url("staging"));
        let yaml = if name == "ours" { yaml } else { yaml.replace("lookaside", "sigstore") };
        fs::create_dir_all(clients.path("registries.d")).unwrap();
        fs::write(clients.path("registries.d/default.yaml"), format!("default-docker:\n  {yaml}\n")).unwrap();
        run(command.args(["--registries.d", "registries.d", "delete", HTTP, &registry.image(&format!("{name}:1"))]));
        assert_eq!(names(&clients.path("staging").join(&directory)), BTreeSet::from(["signature-4".to_owned()]));
        assert_eq!(names(&clients.path("read").join(&directory)).len(), 1);
    }
}

/// The image is gone by then: that it cannot be done is no reason to say that nothing was done.
#[test]
fn signatures_on_a_web_server_stay_with_a_warning() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    push(&clients, &registry, "app", &["1"]);
    fs::create_dir_all(clients.path("registries.d")).unwrap();
    fs::write(clients.path("registries.d/d.yaml"), "default-docker:\n  lookaside: https://sigs.example\n").unwrap();
    let words = ["--registries.d", "registries.d", "delete", HTTP, &registry.image("app:1")];
    let output = finish(clients.ours().args(words));
    assert!(output.status.success() && stderr(&output).contains("warning: signatures"), "{output:?}");
    assert!(!is_there(&clients, &registry.image("app:1")));
}

#[test]
fn what_cannot_be_deleted_is_told_before_anything_is_asked() {
    let Some(clients) = Clients::new() else { return };
    for (image, code, words) in [
        ("dir:x", 1, "not deleted from dir:"),
        ("docker-archive:x", 1, "not deleted from docker-archive:"),
        ("oci:x:y", 3, "x/index.json"),
        ("docker://nowhere.example/app@@unknown-digest@@", 1, "neither tag nor digest"),
        ("app", 1, "docker://"),
    ] {
        assert_fails(clients.ours().args(["delete", image]), code, &[words]);
    }
}

#[test]
fn a_lone_image_leaves_an_empty_layout() {
    let Some(clients) = Clients::new() else { return };
    for (name, image) in [("delete_image_only_one_image", ":latest"), ("delete_image_only_one_image", "")] {
        let Some(layout) = fixture(&clients, name) else { return };
        run(clients.ours().args(["delete", &format!("oci:{}{image}", layout.display())]));
        assert_eq!(blobs(&layout), BTreeSet::new());
        assert_eq!(named(&layout), [""; 0]);
        assert!(layout.join("oci-layout").exists());
        assert_fails(clients.ours().args(["delete", &format!("oci:{}:latest", layout.display())]), 3, &["latest"]);
        fs::remove_dir_all(&layout).unwrap();
    }
}

/// Seven names of indexes and images with blobs in common; not every blob is there, nor as it was.
#[test]
fn blobs_that_others_need_stay() {
    let Some(clients) = Clients::new() else { return };
    let Some(layout) = fixture(&clients, "delete_image_multiple_images") else { return };
    let all = blobs(&layout);
    let mut left = named(&layout);
    while let Some(name) = left.pop() {
        run(clients.ours().args(["delete", &format!("oci:{}:{name}", layout.display())]));
        assert_eq!(named(&layout), left);
        let needed: BTreeSet<_> = needed(&layout).intersection(&all).cloned().collect();
        assert_eq!(blobs(&layout), needed, "without {name}");
    }
    assert_eq!(blobs(&layout), BTreeSet::new());
}

/// Another way to find them than the program's: whatever has the form of a digest, in whatever is JSON.
fn needed(layout: &Path) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut texts = vec![fs::read_to_string(layout.join("index.json")).unwrap()];
    while let Some(text) = texts.pop() {
        for digest in text.split("\"sha256:").skip(1).filter_map(|rest| rest.get(..64)) {
            let file = layout.join("blobs/sha256").join(digest);
            if needed.insert(digest.to_owned()) && file.metadata().is_ok_and(|metadata| metadata.len() < 10_000) {
                texts.extend(fs::read_to_string(file).ok().filter(|text| text.contains("schemaVersion")));
            }
        }
    }
    needed
}

#[test]
fn of_two_images_with_one_name_the_first_goes() {
    let Some(clients) = Clients::new() else { return };
    let Some(layout) = fixture(&clients, "delete_image_two_identical_references") else { return };
    assert_eq!((blobs(&layout).len(), named(&layout).len()), (6, 2));
    for left in [1, 0] {
        run(clients.ours().args(["delete", &format!("oci:{}:1.0.0", layout.display())]));
        assert_eq!((blobs(&layout).len(), named(&layout).len()), (3 * left, left));
    }
}

/// An image that is also an instance of an index, or has a second name.
#[test]
fn an_image_that_is_needed_elsewhere_loses_its_name_only() {
    let Some(clients) = Clients::new() else { return };
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [1, 2].map(|seed| layout.random_layer(seed, 100));
    let image = layout.image("amd64", &layers);
    let index = layout.index(std::slice::from_ref(&image));
    layout.tag("image", &image);
    layout.tag("index", &index);
    layout.tag("again", &image);
    let before = contents(&clients.path("layout/blobs"));
    for name in ["again", "image"] {
        run(clients.ours().args(["delete", &format!("oci:layout:{name}")]));
        assert_same(&contents(&clients.path("layout/blobs")), &before);
    }
    run(clients.ours().args(["delete", "oci:layout:index"]));
    assert_eq!(blobs(&clients.path("layout")), BTreeSet::new());
}

/// The layer of one image is the manifest of another, whose own blobs must not be forgotten over that.
#[test]
fn a_blob_may_be_a_layer_and_a_manifest() {
    let Some(clients) = Clients::new() else { return };
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [1, 2, 3].map(|seed| layout.random_layer(seed, 100));
    let [inner, gone] = [&layers[..1], &layers[..2]].map(|layers| layout.image("amd64", layers));
    let outer = layout.artifact(&inner);
    layout.tag("gone", &gone);
    // The last is looked at first, by whoever goes through them from the end.
    layout.tag("inner", &inner);
    layout.tag("outer", &outer);
    run(clients.ours().args(["delete", "oci:layout:gone"]));
    run(clients.ours().args(["copy", "-q", "--insecure-policy", "oci:layout:inner", "dir:copy"]));
}

#[test]
fn a_layout_whose_other_images_cannot_be_read_loses_nothing() {
    let Some(clients) = Clients::new() else { return };
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [1, 2].map(|seed| layout.random_layer(seed, 100));
    let [first, second] = [0, 1].map(|number| layout.image("amd64", &layers[number..=number]));
    layout.tag("first", &first);
    layout.tag("second", &second);
    let blob = clients.path("layout/blobs").join(second["digest"].as_str().unwrap().replace(':', "/"));
    let whole = fs::read(&blob).unwrap();
    fs::write(&blob, b"damaged").unwrap();
    let before = contents(&clients.path("layout"));
    assert_fails(clients.ours().args(["delete", "oci:layout:first"]), 1, &["cannot tell what other images need"]);
    assert_same(&contents(&clients.path("layout")), &before);
    fs::write(&blob, whole).unwrap();
    run(clients.ours().args(["delete", "oci:layout:first"]));
    assert_eq!(blobs(&clients.path("layout")).len(), 3);
}

/// A copy of a layout of the reference project.
fn fixture(clients: &Clients, name: &str) -> Option<std::path::PathBuf> {
    let from = shared(&format!("fixtures/containers-image/oci/layout/fixtures/{name}"))?;
    run(Command::new("cp").arg("-rL").arg(from).arg(clients.path(name)));
    run(Command::new("chmod").args(["-R", "u+w"]).arg(clients.path(name)));
    Some(clients.path(name))
}

fn blobs(layout: &Path) -> BTreeSet<String> {
    names(&layout.join("blobs/sha256"))
}

fn named(layout: &Path) -> Vec<String> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name = |entry: &serde_json::Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default().to_owned()
    };
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}
