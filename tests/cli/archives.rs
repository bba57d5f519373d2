//! `copy`, `inspect` and `verify` with images in tar files.

use std::fs;

use serde_json::json;

use crate::program::Program;
use crate::support::local::docker_list;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image without layers, as `dir:` has it: a config that knows of none is all it takes.
fn small_image(program: &Program) {
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).to_string();
    let digest = transship::Digest::sha256(config.as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": digest.as_str(),
        },
        "layers": [],
    });
    program.write("image/version", "Directory Transport Version: 1.1\n");
    program.write(&format!("image/{}", digest.encoded()), &config);
    program.write("image/manifest.json", &manifest.to_string());
}

#[test]
fn an_archive_has_the_tags_that_it_was_given() {
    let program = Program::new();
    small_image(&program);
    let tags = ["--additional-tag=quay.io/org/app:2", "--additional-tag", "other,third:1"];
    program.output(
        &[&["copy", "-q", "--digestfile=digest"], &tags[..], &["dir:image", "docker-archive:a.tar:app:1"]].concat(),
    );
    let digest = fs::read_to_string(program.path("digest")).unwrap();
    for tag in ["", ":app:1", ":quay.io/org/app:2", ":other:latest", ":third:1", ":@0"] {
        let image = format!("docker-archive:a.tar{tag}");
        assert_eq!(program.output(&["inspect", "--format={{.Digest}}", &image]), format!("{digest}\n"));
        assert!(program.output(&["verify", &image]).contains("allowed"), "{image}");
    }
    let message = "there is no image \"app:2\"; there is: docker-archive:a.tar:docker.io/library/app:1";
    program.run(&["inspect", "docker-archive:a.tar:app:2"]).assert_fails(3, &[message]);
    program.run(&["inspect", "docker-archive:missing.tar"]).assert_fails(3, &["missing.tar: cannot read"]);
    let message = "a.tar: docker-archive: doesn't support modifying existing images";
    program.run(&["copy", "dir:image", "docker-archive:a.tar:app:2"]).assert_fails(1, &[message]);
}

#[test]
fn the_tags_of_an_archive_are_listed_as_skopeo_does() {
    let program = Program::new();
    small_image(&program);
    program.output(&["copy", "-q", "--additional-tag=quay.io/org/app:2", "dir:image", "docker-archive:a.tar:app:1"]);
    let expected =
        "{\n    \"Tags\": [\n        \"docker.io/library/app:1\",\n        \"quay.io/org/app:2\"\n    ]\n}\n";
    assert_eq!(program.output(&["list-tags", "docker-archive:a.tar"]), expected);
    program.run(&["list-tags", "docker-archive:missing.tar"]).assert_fails(3, &["missing.tar: cannot read"]);
    program.run(&["list-tags", "oci:layout"]).assert_fails(1, &["docker-archive:"]);
}

#[test]
fn an_archive_goes_to_standard_output_whole() {
    let program = Program::new();
    small_image(&program);
    for transport in ["docker-archive", "oci-archive"] {
        program.output(&["copy", "-q", "dir:image", &format!("{transport}:{transport}.tar:app")]);
        let mut command = program.command();
        let output = command.args(["copy", "dir:image", &format!("{transport}:/dev/stdout:app")]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == fs::read(program.path(&format!("{transport}.tar"))).unwrap(), "{transport}");
    }
}

#[test]
fn what_an_archive_cannot_hold_is_said_before_anything_is_written() {
    let program = Program::new();
    small_image(&program);
    docker_list(&program.path("list"));
    for to in ["dir:b", "oci:b", "oci-archive:b"] {
        let outcome = program.run(&["copy", "--additional-tag=app:1", "dir:image", to]);
        outcome.assert_fails(1, &["--additional-tag is for docker-archive: alone"]);
    }
    let outcome = program.run(&["copy", "--additional-tag=UPPER", "dir:image", "docker-archive:b"]);
    outcome.assert_fails(2, &["must be lowercase"]);
    let digest = format!("--additional-tag=app@{}", transship::Digest::sha256(b""));
    let outcome = program.run(&["copy", &digest, "dir:image", "docker-archive:b"]);
    outcome.assert_fails(1, &["cannot be a tag of an image in an archive"]);
    let outcome = program.run(&["copy", "--all", "dir:list", "docker-archive:b"]);
    outcome.assert_fails(
        1,
        &["the destination does not take application/vnd.docker.distribution.manifest.list.v2+json", "hint: leave out"],
    );
    assert!(!fs::exists(program.path("b")).unwrap());
}

#[test]
fn all_instances_go_into_an_archive_of_a_layout() {
    let program = Program::new();
    docker_list(&program.path("list"));
    program.output(&["copy", "-q", "--all", "dir:list", "oci-archive:a.tar:x"]);
    program.output(&["copy", "-q", "--all", "dir:list", "oci:layout:x"]);
    assert_eq!(
        program.output(&["inspect", "--raw", "oci-archive:a.tar:x"]),
        program.output(&["inspect", "--raw", "oci:layout:x"])
    );
    assert!(program.output(&["inspect", "--raw", "oci-archive:a.tar"]).contains(OCI_INDEX));
}

#[test]
fn a_policy_judges_an_archive_by_its_path_or_by_its_transport() {
    let program = Program::new();
    small_image(&program);
    fs::create_dir(program.path("allowed")).unwrap();
    let directory = program.path("allowed").canonicalize().unwrap();
    for place in ["oci-archive:allowed/a.tar:x", "oci-archive:a.tar:x", "docker-archive:d.tar"] {
        program.output(&["copy", "-q", "dir:image", place]);
    }
    let policy = |docker_archive: &str| {
        let accepted = json!([{"type": "insecureAcceptAnything"}]);
        let policy = json!({
            "default": [{"type": "reject"}],
            "transports": {
                "oci-archive": {directory.to_str().unwrap(): accepted}, "docker-archive": {"": [{"type": docker_archive}]},
            },
        });
        program.policy(&policy.to_string());
    };
    policy("insecureAcceptAnything");
    program.output(&["verify", "oci-archive:allowed/a.tar:x"]);
    program.output(&["verify", "docker-archive:d.tar"]);
    assert_eq!(program.run(&["verify", "oci-archive:a.tar:x"]).code, 5);
    policy("reject");
    assert_eq!(program.run(&["verify", "docker-archive:d.tar"]).code, 5);
    program.run(&["copy", "docker-archive:d.tar", "dir:out"]).assert_fails(5, &[]);
}
