//! Debian's `docker-registry`, skopeo and umoci: copies out of a real registry, held against skopeo's.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

#[allow(dead_code, reason = "the benchmarks use the rest")]
mod support {
    pub mod clients;
    pub mod closed_port;
    pub mod command;
    pub mod docker_registry;
    pub mod listing;
    pub mod oci_layout;
    pub mod peers;
    pub mod rootfs;
    pub mod token_server;
}

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::clients::Clients;
use support::closed_port::ClosedPort;
use support::command::{finish, run};
use support::docker_registry::{DockerRegistry, PASSWORD, USER};
use support::listing::{assert_same, listing};
use support::oci_layout::{Layer, OciLayout};
use support::peers::peer;
use support::rootfs::{debian_image, unpack};
use support::token_server::SERVICE;

const HTTP: &str = "--src-tls-verify=false";

#[test]
fn from_an_anonymous_registry_the_copy_has_skopeos_bytes() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let image = registry.image("org/app:1");
    clients.push(&[], &small_image(&clients), &image);
    let copies = clients.assert_same_copies(&[HTTP], &image);

    let digest = support::oci_layout::digest(&copies.path("dir", "ours").join("manifest.json"));
    clients.assert_same_copies(&[HTTP], &registry.image(&format!("org/app@{digest}")));
}

#[test]
fn over_tls_the_certificate_authority_comes_from_the_certificate_directory() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::tls(&program);
    let image = registry.image("org/app:1");
    clients.push(&[], &small_image(&clients), &image);
    let certs = registry.certs_dir();
    clients.assert_same_copies(&["--src-cert-dir", certs.to_str().unwrap()], &image);
    assert_fails_and_leaves_nothing(&clients, &[], &image);
}

#[test]
fn a_registry_with_htpasswd_takes_the_account_of_the_auth_file() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::htpasswd(&program);
    let image = registry.image("org/app:1");
    let auth = clients.auth_file(registry.host(), USER, PASSWORD);
    let authfile = ["--authfile", auth.to_str().unwrap()];
    clients.push(&authfile, &small_image(&clients), &image);
    clients.assert_same_copies(&[HTTP, authfile[0], authfile[1]], &image);
    clients.assert_same_copies(&[HTTP, &format!("--src-creds={USER}:{PASSWORD}")], &image);

    assert_fails_and_leaves_nothing(&clients, &[HTTP], &image);
    clients.auth_file(registry.host(), USER, "not the password");
    assert_fails_and_leaves_nothing(&clients, &[HTTP, authfile[0], authfile[1]], &image);
}

#[test]
fn a_registry_with_tokens_gets_a_token_for_the_account_of_the_auth_file() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::token(&program);
    let (private, public) = (registry.image("org/app:1"), registry.image("public/app:1"));
    let auth = clients.auth_file(registry.host(), USER, PASSWORD);
    let authfile = ["--authfile", auth.to_str().unwrap()];
    let image = small_image(&clients);
    clients.push(&authfile, &image, &private);
    clients.push(&authfile, &image, &public);
    clients.assert_same_copies(&[HTTP, authfile[0], authfile[1]], &private);
    clients.assert_same_copies(&[HTTP], &public);

    let server = registry.token_server();
    server.take_asked();
    assert_fails_and_leaves_nothing(&clients, &[HTTP], &private);
    run(clients.ours().args(["copy", "--insecure-policy", HTTP, authfile[0], authfile[1], &private, "dir:once"]));
    for asked in server.take_asked() {
        assert_eq!(asked.service.as_deref(), Some(SERVICE));
        assert!(!asked.scopes.is_empty() && asked.scopes.iter().all(|scope| scope == "repository:org/app:pull"));
    }
    clients.auth_file(registry.host(), USER, "not the password");
    assert_fails_and_leaves_nothing(&clients, &[HTTP, authfile[0], authfile[1]], &private);
}

#[test]
fn one_token_serves_a_whole_copy() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::token(&program);
    let image = registry.image("org/app:1");
    let auth = clients.auth_file(registry.host(), USER, PASSWORD);
    let authfile = ["--authfile", auth.to_str().unwrap()];
    clients.push(&authfile, &small_image(&clients), &image);
    registry.token_server().take_asked();
    run(clients.ours().args(["copy", "--insecure-policy", HTTP, authfile[0], authfile[1], &image, "dir:once"]));
    let asked = registry.token_server().take_asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.authenticated));
}

#[test]
fn debian_comes_through_a_dead_mirror_whole() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let (Some(debian), Some(umoci)) = (debian_image(), peer("umoci")) else { return };
    let (registry, dead) = (DockerRegistry::anonymous(&program), ClosedPort::new());
    clients.push(&[], &debian.reference(), &registry.image("os/debian:12"));
    clients.registries_conf(&format!(
        "[[registry]]\nprefix = \"debian.example\"\nlocation = \"{}/os\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/mirrored\"\ninsecure = true\n",
        registry.host(),
        dead.address(),
    ));
    let copies = clients.assert_same_copies(&[], "docker://debian.example/debian:12");

    for program in ["ours", "skopeo"] {
        let bundle = clients.path(&format!("bundle-{program}"));
        let reference = copies.reference("oci", program);
        unpack(&umoci, reference.strip_prefix("oci:").unwrap(), &bundle);
        assert_same(&listing(&bundle.join("rootfs")), &debian.listing());
    }
    for transport in ["dir", "oci"] {
        let inspected = run(clients.skopeo().arg("inspect").arg(copies.reference(transport, "ours")));
        let inspected: Value = serde_json::from_slice(&inspected).unwrap();
        assert_eq!(inspected["Layers"].as_array().map(Vec::len), Some(3), "{inspected}");
    }
}

#[test]
fn debian_goes_round_in_every_compression_and_goes_away() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let (Some(debian), Some(umoci)) = (debian_image(), peer("umoci")) else { return };
    let account = format!("{USER}:{PASSWORD}");
    for (name, registry) in [
        ("anonymous", DockerRegistry::anonymous(&program)),
        ("htpasswd", DockerRegistry::htpasswd(&program)),
        ("token", DockerRegistry::token(&program)),
    ] {
        let [zstd, gzip] = ["os/debian:zstd", "os/debian:gzip"].map(|path| registry.image(path));
        let ours = |words: &[&str]| run(clients.ours().args(["copy", "--insecure-policy"]).args(words));
        let (to, from) = (["--dest-tls-verify=false", "--dest-creds", &account], [HTTP, "--src-creds", &account]);
        let layout = |form: &str| format!("oci:{name}-{form}:debian");
        ours(&[&to[..], &["--dest-compress-format=zstd", &debian.reference(), &zstd]].concat());
        ours(&[&to[..], &from[..], &["--dest-compress-format=gzip", &zstd, &gzip]].concat());
        // Both lead back to the files, and each layer was held to its diff id on the way.
        ours(&[&from[..], &["--dest-decompress", &zstd, &layout("plain")]].concat());
        ours(&[&from[..], &[&gzip, &layout("gzip")]].concat());
        for form in ["plain", "gzip"] {
            let bundle = clients.path(&format!("bundle-{name}-{form}"));
            let image = clients.path(layout(form).strip_prefix("oci:").unwrap());
            unpack(&umoci, image.to_str().unwrap(), &bundle);
            assert_same(&listing(&bundle.join("rootfs")), &debian.listing());
        }
        let delete = ["delete", "--tls-verify=false", "--creds", &account, &gzip];
        run(clients.ours().args(delete));
        assert_eq!(finish(clients.ours().args(delete)).status.code(), Some(3));
        ours(&[&from[..], &[&zstd, &format!("dir:{name}-zstd")]].concat());
    }
}

#[test]
fn with_all_every_instance_of_an_index_is_copied() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let (oci, docker) = (registry.image("org/many:oci"), registry.image("org/many:docker"));
    let index = small_index(&clients);
    clients.push(&["--all"], &index, &oci);
    clients.push(&["--all", "--format=v2s2"], &index, &docker);
    for image in [&oci, &docker] {
        let copies = clients.assert_same_copies(&[HTTP, "--all"], image);
        let manifests = manifests_in(&copies.path("dir", "ours"));
        assert_eq!(manifests, 3, "the index and its two instances");
        clients.assert_same_copies(&[HTTP, "--override-arch=arm64"], image);
    }
}

#[test]
fn a_docker_image_is_kept_in_a_directory_and_converted_in_a_layout() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let image = registry.image("org/app:docker");
    clients.push(&["--format=v2s2"], &small_image(&clients), &image);
    let copies = clients.assert_same_copies(&[HTTP], &image);

    let manifest = fs::read_to_string(copies.path("dir", "ours").join("manifest.json")).unwrap();
    assert!(manifest.contains("application/vnd.docker.distribution.manifest.v2+json"), "{manifest}");
    let manifest = run(clients.skopeo().args(["inspect", "--raw"]).arg(copies.reference("oci", "ours")));
    let manifest = String::from_utf8(manifest).unwrap();
    assert!(manifest.contains("application/vnd.oci.image.config.v1+json"), "{manifest}");
}

#[test]
fn inspect_and_list_tags_tell_what_skopeo_tells() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let (image, index) = (registry.image("org/app:1"), registry.image("org/app:many"));
    clients.push(&[], &small_image(&clients), &image);
    clients.push(&["--all"], &small_index(&clients), &index);
    for words in [&["inspect"][..], &["inspect", "-n"], &["inspect", "--config"], &["inspect", "--raw"]] {
        for image in [&image, &index] {
            assert_tells_the_same(&clients, words, image);
        }
    }
    assert_tells_the_same(&clients, &["list-tags"], &registry.image("org/app"));
}

/// Later versions of skopeo tell more than Debian's, and so may we.
fn assert_tells_the_same(clients: &Clients, words: &[&str], image: &str) {
    let [ours, skopeos] = [clients.ours(), clients.skopeo()].map(|mut command| -> Value {
        let told = run(command.args(words).args(["--tls-verify=false", image]));
        serde_json::from_slice(&told).unwrap()
    });
    for (key, value) in skopeos.as_object().unwrap() {
        assert_eq!(ours.get(key), Some(value), "{key} of {words:?} {image}");
    }
}

fn assert_fails_and_leaves_nothing(clients: &Clients, options: &[&str], image: &str) {
    for (transport, tag) in [("dir", ""), ("oci", ":copy")] {
        let to = clients.path(&format!("refused-{transport}"));
        let mut command = clients.ours();
        let copy = command.args(["copy", "--insecure-policy"]).args(options).arg(image);
        let output = finish(copy.arg(format!("{transport}:{}{tag}", to.display())));
        assert!(!output.status.success(), "{copy:?}");
        assert!(!output.stderr.is_empty(), "{copy:?}");
        assert!(!to.join("manifest.json").exists() && !to.join("index.json").exists(), "{copy:?}");
    }
}

/// Three layers of which two are the same.
fn small_image(clients: &Clients) -> String {
    let mut layout = OciLayout::create(&clients.path("small"));
    let layers = small_layers(&layout);
    let image = layout.image("amd64", &layers);
    layout.tag("small", &image)
}

/// Images for two architectures that share a layer.
fn small_index(clients: &Clients) -> String {
    let mut layout = OciLayout::create(&clients.path("many"));
    let layers = small_layers(&layout);
    let images = [layout.image("amd64", &layers), layout.image("arm64", &layers[1..])];
    let index = layout.index(&images);
    layout.tag("many", &index)
}

fn small_layers(layout: &OciLayout) -> [Layer; 3] {
    let [first, second] = [1, 2].map(|seed| layout.random_layer(seed, 10_000));
    [first.clone(), second, first]
}

/// The documents with media type of a manifest or an index in a `dir:` directory.
fn manifests_in(directory: &Path) -> usize {
    let manifests = fs::read_dir(directory).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with("manifest.json")
    });
    manifests.count()
}
