//! The flags: what goes together, and what the messages say.

use std::fs;
use std::process::Output;

use tempfile::TempDir;

use crate::made::{self, DOCKER, OCI};
use crate::support::clients::isolated;
use crate::support::command::finish;

/// A home with an image of each kind, an index, and a place for copies.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("registries.conf"), "").unwrap();
    made::image(&home.path().join("image"), &OCI);
    made::image(&home.path().join("docker"), &DOCKER);
    made::index(&home.path().join("index"), &OCI, "application/vnd.oci.image.index.v1+json");
    home
}

fn run(home: &TempDir, words: &[&str]) -> Output {
    let mut command = isolated(env!("CARGO_BIN_EXE_transship").as_ref(), home.path());
    finish(command.args(["copy", "-q", "--insecure-policy"]).args(words))
}

fn assert_fails(home: &TempDir, words: &[&str], code: i32, expected: &[&str]) {
    let output = run(home, words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
    for expected in expected {
        assert!(stderr.contains(expected), "{words:?}: no {expected:?} in {stderr}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_wrong_usage() {
    let home = home();
    for flags in [
        "--dest-compress --dest-decompress",
        "--dest-compress-format=zstd --dest-decompress",
        "--dest-compress-level=3 --dest-decompress",
        "--all --multi-arch=all",
        "--all --platform=linux/arm64",
        "--all --instance=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "--multi-arch=index-only --platform=linux/arm64",
        "--multi-arch=some",
        "--format=v2s1",
        "--dest-compress-format=bzip2",
        "--platform=linux",
        "--platform=linux/",
        "--platform=linux/arm/v7/more",
        "--instance=e3b0",
    ] {
        let words: Vec<_> = flags.split(' ').chain(["dir:image", "dir:copy"]).collect();
        assert_fails(&home, &words, 2, &[]);
    }
    assert!(!home.path().join("copy").exists());
}

#[test]
fn a_level_is_one_of_its_format_s_and_needs_a_format() {
    let home = home();
    for (flags, expected) in [
        ("--dest-compress-format=gzip --dest-compress-level=10", "gzip has the levels 0 to 9, not 10"),
        ("--dest-compress --dest-compress-level=10", "gzip has the levels 0 to 9, not 10"),
        ("--dest-compress-format=zstd --dest-compress-level=0", "zstd has the levels 1 to 22, not 0"),
        ("--dest-compress-format=zstd --dest-compress-level=300", "300"),
        ("--dest-compress-level=3", "--dest-compress or --dest-compress-format what"),
    ] {
        let words: Vec<_> = flags.split(' ').chain(["dir:image", "dir:copy"]).collect();
        assert_fails(&home, &words, 2, &[expected]);
    }
    assert!(!home.path().join("copy").exists());
}

#[test]
fn messages_say_what_to_do() {
    let home = home();
    fs::write(home.path().join("docker/signature-1"), b"\xa3 of the image").unwrap();
    let by_digest = format!("docker://localhost:1/app@sha256:{}", "0".repeat(64));
    for (words, expected) in [
        (
            &["--format=v2s2", "dir:image", "dir:copy"][..],
            &["tar+zstd", "hint: --dest-compress-format gzip makes layers that both kinds of manifest have"][..],
        ),
        (
            &["--format=v2s2", "--dest-compress-format=zstd", "dir:image", "dir:copy"],
            &["Docker's manifests (v2s2) have no word for zstd layers", "hint: --dest-compress-format gzip"],
        ),
        (
            &["--format=oci", "dir:docker", "dir:copy"],
            &["converted to application/vnd.oci.image.manifest.v1+json", "hint: --remove-signatures"],
        ),
        (
            &["--preserve-digests", "--dest-decompress", "dir:image", "dir:copy"],
            &["compressed in another way", "hint: without --preserve-digests"],
        ),
        (
            &["--dest-decompress", "--dest-tls-verify=false", "dir:image", &by_digest],
            &["the destination names it by its digest", "hint: a destination with a tag"],
        ),
        (
            &["--dest-compress-format=gzip", "dir:image", "docker-archive:copy.tar:a"],
            &["docker-archive:copy.tar", "holds layers without compression"],
        ),
        (
            &["--multi-arch=all", "dir:index", "docker-archive:copy.tar:a"],
            &["does not take application/vnd.oci.image.index"],
        ),
        (
            &["--platform=linux/s390x", "dir:index", "dir:copy"],
            &["no instance linux/s390x", "(linux/amd64)", "(linux/arm64)"],
        ),
        (&["--platform=linux/amd64", "dir:image", "dir:copy"], &["is a single image, not an index"]),
        (&["--multi-arch=index-only", "dir:image", "dir:copy"], &["is a single image, not an index"]),
    ] {
        assert_fails(&home, words, 1, expected);
    }
    assert!(!home.path().join("copy.tar").exists());
}

#[test]
fn chosen_instances_come_with_an_index_of_them() {
    let home = home();
    let digests = instances(&home, "index");
    let list = format!("--instance={},{}", digests[1], digests[0]);
    for (flags, expected) in [
        (vec!["--platform=linux/arm64"], &digests[1..]),
        (vec!["--platform", "linux/amd64,linux/arm64"], &digests[..]),
        (vec!["--platform=linux/arm64", "--instance", &digests[0]], &digests[..]),
        (vec![&list], &digests[..]),
        (vec!["--multi-arch=all"], &digests[..]),
        (vec!["--multi-arch=index-only"], &digests[..]),
    ] {
        let output = run(&home, &[&flags[..], &["dir:index", "dir:copy"]].concat());
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(instances(&home, "copy"), expected, "{flags:?}");
        let has_manifests = flags != ["--multi-arch=index-only"];
        for digest in expected {
            let file = format!("copy/{}.manifest.json", digest.split_once(':').unwrap().1);
            assert_eq!(home.path().join(file).exists(), has_manifests, "{flags:?}");
        }
    }
}

fn instances(home: &TempDir, directory: &str) -> Vec<String> {
    let index = fs::read(home.path().join(directory).join("manifest.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let digest = |entry: &serde_json::Value| entry["digest"].as_str().unwrap().to_owned();
    index["manifests"].as_array().unwrap().iter().map(digest).collect()
}
