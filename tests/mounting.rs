//! Images that go from one repository of Debian's `docker-registry` to another, read by skopeo afterwards.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

#[allow(dead_code, reason = "other crates of tests use the rest")]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod listing;
    pub mod oci_layout;
    pub mod peers;
    pub mod token_server;
}

use std::fs;

use serde_json::Value;
use support::clients::Clients;
use support::command::{finish, run};
use support::docker_registry::{DockerRegistry, PASSWORD, USER};
use support::listing::{assert_same, contents};
use support::oci_layout::OciLayout;
use support::peers::peer;

/// An index of two images with three layers, as skopeo makes a directory of it.
fn original(clients: &Clients) {
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [(1, 10_000), (2, 9_000_000), (3, 10)].map(|(seed, size)| layout.random_layer(seed, size));
    let images = [layout.image("amd64", &layers), layout.image("arm64", &layers[1..])];
    let index = layout.index(&images);
    let reference = layout.tag("index", &index);
    run(clients.skopeo().args(["copy", "--insecure-policy", "--all", &reference, "dir:original"]));
}

/// Copies with us; what became of each blob.
fn copy(clients: &Clients, words: &[&str], from: &str, to: &str) -> Vec<String> {
    let mut command = clients.ours();
    command.args(["copy", "--insecure-policy", "--all", "--progress=json"]).args(words).args([from, to]);
    let output = finish(&mut command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let events = stderr.lines().filter(|line| line.starts_with('{'));
    let events = events.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let finished = events.filter(|event| event["event"] == "finished");
    finished.map(|event| event["outcome"].as_str().unwrap().to_owned()).collect()
}

/// Both programs read what was written.
fn assert_is_original(clients: &Clients, words: &[&str], image: &str) {
    let back = tempfile::tempdir_in(clients.path(".")).unwrap();
    for (name, mut command) in [("ours", clients.ours()), ("skopeo", clients.skopeo())] {
        let copy = back.path().join(name);
        let to = format!("dir:{}", copy.display());
        run(command.args(["copy", "--insecure-policy", "--all"]).args(words).args([image, &to]));
        assert_same(&contents(&clients.path("original")), &contents(&copy));
    }
}

const TO_HTTP: &str = "--dest-tls-verify=false";
const FROM_HTTP: &str = "--src-tls-verify=false";

/// Two configs, and three layers of which two are in both.
fn assert_no_bytes(outcomes: &[String]) {
    let count = |name: &str| outcomes.iter().filter(|outcome| *outcome == name).count();
    assert_eq!((outcomes.len(), count("mounted"), count("already-present")), (7, 5, 2), "{outcomes:?}");
}

#[test]
fn from_one_repository_to_another_no_blob_is_sent() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    for registry in
        [DockerRegistry::anonymous(&program), DockerRegistry::htpasswd(&program), DockerRegistry::token(&program)]
    {
        let [source, destination] = ["--src-creds", "--dest-creds"].map(|flag| format!("{flag}={USER}:{PASSWORD}"));
        let [one, two] = ["org/one:1", "team/two:1"].map(|path| registry.image(path));
        copy(&clients, &[TO_HTTP, &destination], "dir:original", &one);
        let outcomes = copy(&clients, &[TO_HTTP, FROM_HTTP, &source, &destination], &one, &two);
        assert_no_bytes(&outcomes);
        assert_is_original(&clients, &[FROM_HTTP, &source], &two);
    }
}

#[test]
fn a_token_names_both_repositories() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    let registry = DockerRegistry::token(&program);
    let [source, destination] = ["--src-creds", "--dest-creds"].map(|flag| format!("{flag}={USER}:{PASSWORD}"));
    let [one, two] = ["org/one:1", "team/two:1"].map(|path| registry.image(path));
    copy(&clients, &[TO_HTTP, &destination], "dir:original", &one);
    registry.token_server().take_asked();
    copy(&clients, &[TO_HTTP, FROM_HTTP, &source, &destination], &one, &two);
    let mut scopes: Vec<_> = registry.token_server().take_asked().into_iter().map(|asked| asked.scopes).collect();
    scopes.sort();
    let (push, pull) = ("repository:team/two:pull,push", "repository:org/one:pull");
    assert_eq!(scopes, [vec![pull], vec![push], vec![push, pull]]);
}

#[test]
fn what_was_pushed_once_is_not_sent_to_another_repository() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    let registry = DockerRegistry::anonymous(&program);
    let [one, two] = ["org/one:1", "team/two:1"].map(|path| registry.image(path));
    copy(&clients, &[TO_HTTP], "dir:original", &one);
    assert_no_bytes(&copy(&clients, &[TO_HTTP], "dir:original", &two));
    assert_is_original(&clients, &[FROM_HTTP], &two);
}

#[test]
fn what_was_pulled_once_and_is_large_is_not_sent_to_another_repository() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    let registry = DockerRegistry::anonymous(&program);
    let [one, two] = ["org/one:1", "team/two:1"].map(|path| registry.image(path));
    run(clients.skopeo().args(["copy", "--insecure-policy", "--all", TO_HTTP, "dir:original", &one]));
    copy(&clients, &[FROM_HTTP], &one, "oci:pulled:1");
    let outcomes = copy(&clients, &[TO_HTTP], "oci:pulled:1", &two);
    let count = |name: &str| outcomes.iter().filter(|outcome| *outcome == name).count();
    assert_eq!((count("mounted"), count("copied"), count("already-present")), (1, 4, 2), "{outcomes:?}");
    assert_is_original(&clients, &[FROM_HTTP], &two);
}

/// What is remembered is tried and not believed: another registry has come to the same address, say.
#[test]
fn what_is_not_there_any_more_is_sent() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    let registry = DockerRegistry::anonymous(&program);
    copy(&clients, &[TO_HTTP], "dir:original", &registry.image("org/one:1"));
    // The files of the cache say org/one; now they say something that never was.
    let mut directories = vec![clients.path("cache/transship/blob-info")];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.contains("/org/one\""), "{text}");
                fs::write(&path, text.replace("/org/one\"", "/org/gone\"")).unwrap();
                files += 1;
            }
        }
    }
    assert_eq!(files, 5);
    let two = registry.image("team/two:1");
    let outcomes = copy(&clients, &[TO_HTTP], "dir:original", &two);
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "copied").count(), 5, "{outcomes:?}");
    assert_is_original(&clients, &[FROM_HTTP], &two);
}

#[test]
fn lines_and_json_tell_where_a_blob_was_taken_from() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    let registry = DockerRegistry::anonymous(&program);
    copy(&clients, &[TO_HTTP], "dir:original", &registry.image("org/one:1"));
    for (form, expected) in [
        ("plain", format!(": taken over from {}/org/one\n", registry.host())),
        ("json", format!("\"outcome\":\"mounted\",\"served\":[],\"from\":\"{}/org/one\"", registry.host())),
    ] {
        let to = registry.image(&format!("team/{form}:1"));
        let words = ["copy", "--insecure-policy", FROM_HTTP, TO_HTTP, "--progress", form];
        let output = finish(clients.ours().args(words).args([&registry.image("org/one:1"), &to]));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && stderr.contains(&expected), "{stderr}");
    }
}

#[test]
fn a_layer_that_was_compressed_once_is_not_compressed_again_unless_a_level_is_asked_for() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    original(&clients);
    let registry = DockerRegistry::anonymous(&program);
    let to_zstd = |path: &str, words: &[&str]| {
        let words = [&[TO_HTTP, "--dest-compress-format=zstd"], words].concat();
        let outcomes = copy(&clients, &words, "dir:original", &registry.image(path));
        outcomes.iter().filter(|outcome| *outcome == "recompressed").count()
    };
    assert_eq!(to_zstd("org/one:1", &[]), 3);
    assert_eq!(to_zstd("org/one:1", &[]), 0);
    assert_eq!(to_zstd("team/two:1", &[]), 0);
    assert_eq!(to_zstd("team/two:2", &["--dest-compress-level=7"]), 3);
    let manifest = |path: &str| {
        let image = registry.image(path);
        run(clients.skopeo().args(["inspect", "--raw", "--tls-verify=false", &image]))
    };
    assert_eq!(manifest("org/one:1"), manifest("team/two:1"));
    let to = clients.path("back");
    let from = registry.image("team/two:1");
    run(clients
        .skopeo()
        .args(["copy", "--insecure-policy", "--all", FROM_HTTP, &from])
        .arg(format!("dir:{}", to.display())));
}
