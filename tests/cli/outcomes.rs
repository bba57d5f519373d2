//! Exit codes, messages, and pipes.

use std::process::Stdio;

use serde_json::json;

use crate::program::Program;
use crate::support::closed_port::ClosedPort;
use crate::support::command::finish;
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;
use crate::support::server::Server;

/// How to say that the scripted registry speaks plain http.
const HTTP: &str = "--tls-verify=false";
const FROM_HTTP: &str = "--src-tls-verify=false";

fn registry() -> RunningRegistry {
    Registry::new().image("org/app", "1", &Image::with_layers(["one", "two"])).serve()
}

#[test]
fn what_is_done_is_0() {
    let (program, registry) = (Program::new(), registry());
    let image = format!("docker://{}", registry.reference("org/app:1"));
    program.output(&["copy", FROM_HTTP, &image, "dir:d"]);
    program.output(&["inspect", "dir:d"]);
    program.output(&["list-tags", HTTP, &image.replace(":1", "")]);
    program.output(&["manifest-digest", "d/manifest.json"]);
    program.output(&["explain", &image]);
}

#[test]
fn a_dead_registry_is_1_with_the_chain_and_then_a_hint() {
    let (program, dead) = (Program::new(), ClosedPort::new());
    let outcome = program.run(&["inspect", HTTP, "--retry-times=0", "-n", &format!("docker://{}/a:1", dead.address())]);
    outcome.assert_fails(1, &["reading manifest 1 in ", "/a: http", "cannot connect: Connection refused"]);
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("hint: `transship explain IMAGE`"), "{lines:?}");
}

#[test]
fn a_failure_of_the_registry_is_1_and_asked_again_as_often_as_wanted() {
    let server = Server::http(|_| Reply::new(503));
    let image = format!("docker://{}/a:1", server.authority());
    Program::new().run(&["inspect", HTTP, "-n", "--retry-times=1", &image]).assert_fails(1, &["503"]);
    assert_eq!(server.asked(), ["GET /v2/a/manifests/1"; 2]);
}

#[test]
fn what_is_not_there_is_3() {
    let (program, registry) = (Program::new(), registry());
    let at = |rest: &str| format!("docker://{}", registry.reference(rest));
    program.output(&["copy", FROM_HTTP, &at("org/app:1"), "oci:layout:app"]);
    program.run(&["inspect", HTTP, &at("org/app:2")]).assert_fails(3, &["reading manifest 2", "404"]);
    program.run(&["inspect", HTTP, &at("org/other:1")]).assert_fails(3, &["name unknown", "404"]);
    program.run(&["copy", FROM_HTTP, &at("org/app:2"), "dir:d"]).assert_fails(3, &["reading manifest 2"]);
    program.run(&["list-tags", HTTP, &at("org/other")]).assert_fails(3, &["listing the tags"]);
    program.run(&["inspect", "dir:nowhere"]).assert_fails(3, &["nowhere/manifest.json"]);
    program.run(&["inspect", "oci:nowhere:app"]).assert_fails(3, &["nowhere"]);
    program.run(&["copy", "oci:layout:other", "dir:d"]).assert_fails(3, &["\"other\"", "oci:layout:app"]);
    program.run(&["inspect", "oci:layout:@7"]).assert_fails(3, &["@7"]);
}

#[test]
fn a_registry_that_wants_other_credentials_is_4_with_a_hint() {
    let program = Program::new();
    let image = Image::with_layers(["one"]);
    let registry = Registry::new().image("org/app", "1", &image).requiring_basic("alice", "right").serve();
    let image = format!("docker://{}", registry.reference("org/app:1"));
    for words in [&["inspect", HTTP, "-n"][..], &["inspect", HTTP, "-n", "--creds=alice:wrong"], &["list-tags", HTTP]] {
        let outcome = program.run(&[words, &[&image]].concat());
        outcome.assert_fails(4, &["401", "hint: ", "transship login"]);
        assert!(!outcome.stderr.contains("wrong"), "{outcome:?}");
    }
    program.run(&["copy", FROM_HTTP, &image, "dir:d"]).assert_fails(4, &["hint: "]);
    program.output(&["inspect", HTTP, "--creds=alice:right", &image]);
}

#[test]
fn a_name_without_transport_says_what_to_write() {
    let program = Program::new();
    for command in ["inspect", "list-tags"] {
        program.run(&[command, "busybox"]).assert_fails(1, &["write docker://busybox"]);
    }
    program.run(&["copy", "busybox", "dir:d"]).assert_fails(1, &["write docker://busybox"]);
    program.run(&["copy", "dir:d", "out"]).assert_fails(1, &["write dir:out or oci:out, or docker://out"]);
    let path = program.run(&["copy", "dir:d", "/tmp/out"]);
    path.assert_fails(1, &["write dir:/tmp/out or oci:/tmp/out"]);
    assert!(!path.stderr.contains("docker://"), "{}", path.stderr);
    program.run(&["list-tags", "dir:d"]).assert_fails(1, &["docker://"]);
}

#[test]
fn what_is_missing_at_the_destination_is_not_the_image() {
    let (program, registry) = (Program::new(), registry());
    let image = format!("docker://{}", registry.reference("org/app:1"));
    program.write("file", "");
    program.run(&["copy", FROM_HTTP, &image, "dir:file/below"]).assert_fails(1, &["file/below"]);
    program.write("full/of", "somebody's files");
    program.run(&["copy", FROM_HTTP, &image, "dir:full"]).assert_fails(1, &["full: not empty"]);
}

#[test]
fn a_broken_configuration_is_1_with_file_and_line() {
    let program = Program::new();
    program.registries_conf("unqualified-search-registries = []\n[[registry\n");
    for words in [&["inspect", "docker://a/b"][..], &["list-tags", "docker://a/b"], &["copy", "docker://a/b", "dir:d"]]
    {
        program.run(words).assert_fails(1, &["registries.conf:2:"]);
    }
}

#[test]
fn tags_that_cannot_be_listed_are_left_out_with_a_warning() {
    let image = Image::with_layers(["one"]);
    let registry = Registry::new().image("org/app", "1", &image);
    let registry = registry.fault(|path| path.ends_with("/tags/list"), .., Reply::new(403)).serve();
    let image = format!("docker://{}", registry.reference("org/app:1"));
    let outcome = Program::new().run(&["inspect", HTTP, &image]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.starts_with("warning: the tags are left out: listing the tags of "), "{outcome:?}");
    let described: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(described["RepoTags"], json!([]));
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    // More than any pipe holds: the program is still writing when the reader goes.
    let manifest = format!("{{\"schemaVersion\": 2, \"padding\": \"{}\"}}", "x".repeat(3 << 20));
    let registry = Registry::new().manifest("a", "1", "application/vnd.oci.image.manifest.v1+json", manifest).serve();
    let image = format!("docker://{}", registry.reference("a:1"));
    let program = Program::new();
    let mut command = program.command();
    command.args(["inspect", "--raw", HTTP, &image]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let program = Program::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = finish(program.command().args(["explain", "--json", "busybox"]).stdout(full));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: standard output: No space left"));
}

#[test]
fn debug_tells_more_and_never_on_standard_output() {
    let (program, registry) = (Program::new(), registry());
    let image = format!("docker://{}", registry.reference("org/app:1"));
    let quiet = program.run(&["inspect", HTTP, &image]);
    let loud = program.run(&["--debug", "inspect", HTTP, &image]);
    assert_eq!(quiet.stdout, loud.stdout);
    assert_eq!(quiet.stderr, "");
    assert!(loud.stderr.lines().all(|line| line.starts_with("debug: ")) && !loud.stderr.is_empty(), "{loud:?}");
}
