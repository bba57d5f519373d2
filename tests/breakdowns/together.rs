//! Several copies at once.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};

use crate::program::{Program, files};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::{noise, wait_until};

const HTTP: &str = "--src-tls-verify=false";

fn image() -> Image {
    Image::with_layers([noise(3_000_000)])
}

fn copy(program: &Program, registry: &RunningRegistry, to: &str) -> Command {
    let mut command = program.command();
    command.args(["copy", "-q", HTTP, &format!("docker://{}", registry.reference("org/app:1")), to]);
    command
}

fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn two_copies_into_one_layout_at_the_same_time_both_succeed() {
    for layer_is_common in [true, false] {
        let program = Program::new();
        let images = [image(), if layer_is_common { image() } else { Image::with_layers([noise(3_000_001)]) }];
        // Nobody gets a layer before both have asked for theirs.
        let both = Arc::new(Barrier::new(2));
        let registries = images.each_ref().map(|image| {
            let (layer, both) = (image.layer_digest(0).to_string(), Arc::clone(&both));
            let held = move |reply| {
                both.wait();
                reply
            };
            Registry::new().image("org/app", "1", image).spoil(move |path| path.ends_with(&layer), 1..=1, held).serve()
        });
        let names = ["oci:layout:one", "oci:layout:two"];
        let copies = [0, 1].map(|number| {
            let mut command = copy(&program, &registries[number], names[number]);
            command.stderr(Stdio::piped()).spawn().unwrap()
        });
        for (code, stderr) in copies.map(end) {
            assert_eq!(code, Some(0), "{stderr}");
        }
        for (name, image) in names.iter().zip(&images) {
            assert_eq!(program.output(&["inspect", "--raw", name]).as_bytes(), image.manifest());
            program.output(&["copy", "-q", name, &format!("dir:{}", &name[11..])]);
        }
        let left = files(&program.path("layout"));
        assert!(!left.iter().any(|name| name.contains(".transship-")), "{left:?}");
    }
}

#[test]
fn a_directory_that_another_copy_writes_is_refused_and_that_copy_goes_on() {
    let (program, image) = (Program::new(), image());
    let held = Arc::new(Barrier::new(2));
    let (layer, until) = (image.layer_digest(0).to_string(), Arc::clone(&held));
    let wait = move |reply| {
        until.wait();
        reply
    };
    let slow =
        Registry::new().image("org/app", "1", &image).spoil(move |path| path.ends_with(&layer), .., wait).serve();
    let quick = Registry::new().image("org/app", "1", &Image::with_layers(["other"])).serve();
    let mut first = copy(&program, &slow, "dir:copy").stderr(Stdio::piped()).spawn().unwrap();
    wait_until(&mut first, || program.path("copy/version").exists());
    let second = program.run(&["copy", HTTP, &format!("docker://{}", quick.reference("org/app:1")), "dir:copy"]);
    second.assert_fails(1, &["copy: another process is writing here", "hint: wait until it is done"]);
    assert_eq!(quick.asked(), Vec::<String>::new(), "and nobody is asked for anything");
    held.wait();
    assert_eq!(end(first), (Some(0), String::new()));
    assert_eq!(program.output(&["inspect", "--raw", "dir:copy"]).as_bytes(), image.manifest());
}
