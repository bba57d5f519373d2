//! A copy that is killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use transship::Digest;

use crate::program::{Program, files};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};

const HTTP: &str = "--src-tls-verify=false";
/// The program tells of every four MiB.
const LARGE: usize = (4 << 20) + 300_000;
const ENOUGH: usize = LARGE - 100;

/// A small layer, and a large one.
fn image() -> Image {
    Image::with_layers([b"small".to_vec(), (0..=250_u8).cycle().take(LARGE).collect()])
}

/// Sends all but the end of the large layer, and then nothing more, when it is first asked for it.
fn stalling(image: &Image) -> RunningRegistry {
    let large = image.layer_digest(1).to_string();
    let registry = Registry::new().image("org/app", "1", image);
    registry.spoil(move |path| path.ends_with(&large), 1..=1, |reply| reply.stall_after(ENOUGH)).serve()
}

/// Copies until some of the large layer was read, and kills the program then.
fn copy_and_kill(program: &Program, from: &str, to: &str) {
    let mut command = program.command();
    command.args(["copy", HTTP, "--progress=json", "--image-parallel-copies=1", from, to]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let is_read = |line: String| serde_json::from_str::<Value>(&line).unwrap()["event"] == "read";
    assert!(lines.any(|line| is_read(line.unwrap())), "the copy ended by itself");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was killed");
}

fn requests_for(registry: &RunningRegistry, digest: &Digest) -> usize {
    registry.asked().iter().filter(|asked| asked.ends_with(digest.as_str())).count()
}

/// Kills a copy into an empty place, and copies again.
fn kill_and_continue(to: &str, root: &str, visible: &str, blob: impl Fn(&Digest) -> String) {
    let (program, image) = (Program::new(), image());
    let registry = stalling(&image);
    let from = format!("docker://{}", registry.reference("org/app:1"));
    let (small, large) = (image.layer_digest(0), image.layer_digest(1));
    copy_and_kill(&program, &from, to);

    let names = files(&program.path(root));
    assert!(!names.contains(&visible.to_owned()), "{names:?}");
    assert!(names.contains(&blob(&small)) && !names.contains(&blob(&large)), "{names:?}");
    assert_eq!(names.iter().filter(|name| is_unfinished(name)).count(), 1, "{names:?}");
    program.run(&["inspect", to]).assert_fails(3, &[root]);

    program.output(&["copy", "-q", HTTP, &from, to]);
    assert_eq!((requests_for(&registry, &small), requests_for(&registry, &large)), (1, 2));
    let clean = to.replace(root, "clean");
    program.output(&["copy", "-q", HTTP, &from, &clean]);
    let trees = [root, "clean"].map(|name| crate::support::local::tree(&program.path(name)));
    assert!(trees[0] == trees[1], "{:?}", trees.each_ref().map(|tree| tree.keys().cloned().collect::<Vec<_>>()));
}

fn is_unfinished(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|name| name.to_string_lossy().starts_with(".transship-"))
}

#[test]
fn a_killed_copy_into_a_directory_leaves_no_image_and_the_next_goes_on() {
    kill_and_continue("dir:copy", "copy", "manifest.json", |digest| digest.encoded().to_owned());
}

#[test]
fn a_killed_copy_into_a_layout_leaves_no_image_and_the_next_goes_on() {
    kill_and_continue("oci:copy:app", "copy", "index.json", |digest| format!("blobs/sha256/{}", digest.encoded()));
}

#[test]
fn a_killed_copy_leaves_the_image_that_was_there() {
    let (program, image) = (Program::new(), image());
    let old = Image::with_layers(["old"]);
    let before = Registry::new().image("org/app", "1", &old).serve();
    for to in ["dir:d", "oci:o:app"] {
        program.output(&["copy", "-q", HTTP, &format!("docker://{}", before.reference("org/app:1")), to]);
        let registry = stalling(&image);
        copy_and_kill(&program, &format!("docker://{}", registry.reference("org/app:1")), to);
        assert_eq!(program.output(&["inspect", "--raw", to]).as_bytes(), old.manifest());
        program.output(&["copy", "-q", to, "dir:whole"]);
    }
}
