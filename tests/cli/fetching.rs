//! `fetch-object` and `fetch-blob`.

use std::fs;
use std::process::{Output, Stdio};

use crate::program::{Outcome, Program, files};
use crate::support::command::finish;
use crate::support::image::Image;
use crate::support::peers::peer;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const HTTP: &str = "--tls-verify=false";

fn image() -> Image {
    Image::with_layers([vec![0, 159, 146, 150, 10], (0..=250_u8).cycle().take(600_000).collect()])
}

fn bytes(program: &Program, words: &[&str]) -> Output {
    finish(program.command().args(words))
}

/// An origin with one mirror before it, both without TLS.
fn behind(mirror: &RunningRegistry, origin: &RunningRegistry) -> Program {
    let program = Program::new();
    program.registries_conf(&format!(
        "[[registry]]\nprefix = \"registry.example/org\"\nlocation = \"{}/org\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/org\"\ninsecure = true\n",
        origin.authority(),
        mirror.authority(),
    ));
    program
}

#[test]
fn what_a_reference_names_is_written_as_it_is_and_nothing_else() {
    let (program, image) = (Program::new(), image());
    let registry = Registry::new().image("org/app", "latest", &image).serve();
    let name = registry.reference("org/app");
    let manifest = image.manifest();
    for reference in [name.clone(), format!("docker://{name}:latest"), format!("{name}@{}", image.digest())] {
        let output = bytes(&program, &["fetch-object", HTTP, &reference]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &*manifest), "{reference}");
        assert_eq!(output.stderr, b"");
    }
    let both = format!("{name}:nothing@{}", image.digest());
    assert_eq!(bytes(&program, &["fetch-object", HTTP, &both]).stdout, manifest, "the digest counts");
}

#[test]
fn a_digest_may_be_that_of_any_content() {
    let (program, image) = (Program::new(), image());
    let registry = Registry::new().image("org/app", "1", &image).serve();
    for number in 0..2 {
        let reference = registry.reference(&format!("org/app@{}", image.layer_digest(number)));
        assert_eq!(bytes(&program, &["fetch-object", HTTP, &reference]).stdout, image.layers()[number]);
    }
    program
        .run(&["fetch-object", HTTP, &registry.reference(&format!("org/app@sha256:{}", "0".repeat(64)))])
        .assert_fails(3, &["404 Not Found"]);
    program.run(&["fetch-object", HTTP, &registry.reference("org/app:2")]).assert_fails(3, &["404 Not Found"]);
}

#[test]
fn several_digests_come_one_after_the_other_and_an_error_ends_it() {
    let (program, image) = (Program::new(), image());
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let reference = registry.reference("org/app:1");
    let [small, large] = [0, 1].map(|number| image.layer_digest(number).to_string());
    let missing = format!("sha256:{}", "0".repeat(64));
    let both = [image.layers()[1].clone(), image.manifest(), image.layers()[0].clone()].concat();
    let manifest = image.digest().to_string();
    for command in ["fetch-object", "fetch-blob"] {
        let words = [command, HTTP, &reference, &large, &manifest, &small];
        assert!(bytes(&program, &words).stdout == both, "{command}");
        let output = bytes(&program, &[command, HTTP, &reference, &small, &missing, &large]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(3), &*image.layers()[0]), "{command}");
    }
}

#[test]
fn fetch_blob_asks_for_no_image() {
    let (program, image) = (Program::new(), image());
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let digest = image.layer_digest(0).to_string();
    let output = bytes(&program, &["fetch-blob", HTTP, &registry.reference("org/app:none"), &digest]);
    assert_eq!(output.stdout, image.layers()[0]);
    let asked = registry.asked();
    let blob = format!("/v2/org/app/blobs/{digest}");
    assert_eq!(asked, [format!("HEAD {blob}"), format!("GET {blob}")]);

    program.run(&["fetch-blob", HTTP, &registry.reference("org/app")]).assert_fails(2, &["<DIGEST>"]);
    program.run(&["fetch-blob", HTTP, &registry.reference("org/app"), "sha256:12"]).assert_fails(2, &["sha256:12"]);
    program.run(&["fetch-blob", "dir:image", &digest]).assert_fails(2, &["docker://"]);
}

#[test]
fn a_mirror_that_breaks_off_is_followed_by_the_next_source() {
    let image = image();
    let large = image.layer_digest(1).to_string();
    let (blob, gone) = (large.clone(), large.clone());
    let mirror = Registry::new()
        .image("org/app", "1", &image)
        .spoil(move |path| path.ends_with(&blob), 2..=2, |reply| reply.cut_after(200_000))
        .fault(move |path| path.ends_with(&gone), 3.., Reply::new(404))
        .serve();
    let origin = Registry::new().image("org/app", "1", &image).serve();
    let program = behind(&mirror, &origin);
    let output = bytes(&program, &["fetch-blob", "registry.example/org/app", &large]);
    assert!(output.stdout == image.layers()[1], "{}", String::from_utf8_lossy(&output.stderr));
    let resumed = origin.requests().iter().any(|request| request.header("range") == Some("bytes=200000-"));
    assert!(resumed, "{:?}", origin.asked());
}

#[test]
fn wrong_bytes_never_become_a_file() {
    let image = image();
    let large = image.layer_digest(1).to_string();
    let spoilt = |count| {
        let blob = large.clone();
        Registry::new()
            .image("org/app", "1", &image)
            .spoil(move |path| path.ends_with(&blob), ..count, |reply| reply.body(vec![1; 600_000]))
            .serve()
    };
    let (wrong, right) = (spoilt(100), spoilt(1));
    let program = behind(&wrong, &right);
    let words = ["fetch-blob", "registry.example/org/app", &large, "--output", "layer"];
    let outcome = Outcome::of(program.command().current_dir(program.path("")).args(words));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(fs::read(program.path("layer")).unwrap() == image.layers()[1]);
    assert!(outcome.stderr.contains("delivered wrong bytes"), "{outcome:?}");

    let program = behind(&wrong, &wrong);
    let outcome = Outcome::of(program.command().current_dir(program.path("")).args(words));
    outcome.assert_fails_after_warnings(1, &["digest did not match"]);
    assert!(!files(&program.path("")).iter().any(|name| name.contains("layer") || name.contains("transship-")));
    // Where it goes is seen as it comes; the last of it is held back.
    let output = bytes(&program, &words[..3]);
    assert!(output.status.code() == Some(1) && output.stdout.len() < 600_000);
}

#[test]
fn a_timeout_is_for_all_of_it() {
    let image = image();
    let blob = image.layer_digest(1).to_string();
    let registry = Registry::new()
        .image("org/app", "1", &image)
        .spoil(move |path| path.ends_with(&blob), 2.., |reply| reply.stall_after(300_000))
        .serve();
    let program = Program::new();
    let (reference, digest) = (registry.reference("org/app"), image.layer_digest(1).to_string());
    let words = ["fetch-blob", HTTP, "--timeout=500ms", &reference, &digest, "--output", "layer"];
    let outcome = Outcome::of(program.command().current_dir(program.path("")).args(words));
    outcome.assert_fails(1, &["not fetched within 0.5 s", "--timeout"]);
    assert!(!files(&program.path("")).iter().any(|name| name.contains("layer") || name.contains("transship-")));
    program.output(&["fetch-object", HTTP, "--timeout=10m", &registry.reference("org/app:1")]);
    program.output(&["fetch-object", HTTP, "--timeout=0", &registry.reference("org/app:1")]);
}

/// Runs a command on a terminal of its own, and gives what is seen there.
fn on_a_terminal(script: &std::path::Path, program: &Program, words: &[&str]) -> (Option<i32>, String) {
    let command = [&[Program::PATH], words].concat().join(" ");
    let mut script = program.by(script.to_str().unwrap());
    let output = finish(script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()));
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_terminal_is_shown_manifests_and_no_blobs() {
    let Some(script) = peer("script") else { return };
    let (program, image) = (Program::new(), image());
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let (reference, blob) = (registry.reference("org/app:1"), image.layer_digest(0).to_string());
    let (code, seen) = on_a_terminal(&script, &program, &["fetch-object", HTTP, &reference]);
    assert!(code == Some(0) && seen.contains("schemaVersion"), "{seen}");
    let (code, seen) = on_a_terminal(&script, &program, &["fetch-blob", HTTP, &reference, &blob]);
    assert!(code == Some(1) && seen.contains("not written to a terminal") && seen.contains("--output"), "{seen}");
    assert!(!seen.contains('\u{fffd}'), "{seen}");
    let asked = |flag| on_a_terminal(&script, &program, &["fetch-blob", HTTP, &reference, &blob, flag]);
    assert_eq!(asked("--output=-").0, Some(0));
    let (code, seen) = asked("--media-type=text/plain");
    assert!(code == Some(1) && seen.contains("control characters"), "{seen}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (program, image) = (Program::new(), image());
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let line = format!(
        "{} fetch-blob {HTTP} {} {} | head -c 10 | wc -c; echo ${{PIPESTATUS[0]}}",
        Program::PATH,
        registry.reference("org/app"),
        image.layer_digest(1),
    );
    let output = finish(program.by("/bin/bash").args(["-c", &line]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "10\n0\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_size_that_a_mirror_tells_spoils_no_other_source() {
    let image = image();
    let (layer, right) = (image.layer_digest(1).to_string(), image.layers()[1].clone());
    let told = |size: usize| Reply::new(200).body(vec![7; size]);
    for size in [5, 700_000] {
        for (what, then) in [
            ("and has nothing", Reply::new(404)),
            ("and sends as much", told(size)),
            ("and sends the right bytes", Reply::new(200).body(right.clone())),
            ("and breaks off", told(size).cut_after(3)),
        ] {
            let is_layer = |layer: &str| {
                let layer = layer.to_owned();
                move |path: &str| path.ends_with(&layer)
            };
            let mirror = Registry::new()
                .image("org/app", "1", &image)
                .fault(is_layer(&layer), 2.., then)
                .fault(is_layer(&layer), ..=1, told(size))
                .serve();
            let origin = Registry::new().image("org/app", "1", &image).serve();
            let program = behind(&mirror, &origin);
            let words = ["fetch-blob", "registry.example/org/app", &layer, "--output=layer"];
            let outcome = Outcome::of(program.command().current_dir(program.path("")).args(words));
            assert_eq!(outcome.code, 0, "{size} {what}: {outcome:?}");
            assert!(fs::read(program.path("layer")).unwrap() == right, "{size} {what}");
        }
    }
}

#[test]
fn a_wrong_size_of_a_manifest_is_corrected_by_its_bytes() {
    let image = image();
    for size in [5, 700_000] {
        let is_manifest = |path: &str| path.contains("/manifests/");
        let told = Reply::new(200)
            .header("Content-Type", image.media_type())
            .header("Docker-Content-Digest", image.digest().as_str())
            .body(vec![7; size]);
        let registry = Registry::new().image("org/app", "1", &image).fault(is_manifest, ..=1, told).serve();
        let output = bytes(&Program::new(), &["fetch-object", HTTP, &registry.reference("org/app:1")]);
        assert_eq!((output.status.code(), output.stdout), (Some(0), image.manifest()), "{size}");
    }
}
