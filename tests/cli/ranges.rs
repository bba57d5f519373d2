//! `--parallel-ranges`: large layers in parts.

use crate::program::Program;
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};

const MIB: usize = 1 << 20;
const TOLD: &[&str] = &["--parallel-ranges=2"];

fn image(size: usize) -> Image {
    Image::with_layers([(0..=250_u8).cycle().take(size).collect::<Vec<_>>()])
}

/// What the latest requests have asked for of a layer, sorted.
fn asked(registry: &RunningRegistry, before: usize, layer: &str) -> Vec<Option<String>> {
    let requests = registry.requests().into_iter().skip(before);
    let asked = requests.filter(|request| request.path().ends_with(layer));
    let mut ranges: Vec<_> = asked.map(|request| request.header("range").map(str::to_owned)).collect();
    ranges.sort();
    ranges
}

#[test]
fn copy_sync_and_pull_fetch_a_large_layer_in_parts_where_they_are_told_to() {
    let parts = ["bytes=0-8388607", "bytes=8388608-16777215"].map(|part| Some(part.to_owned()));
    let (large, small) = (image(16 * MIB), image(16 * MIB - 1));
    let layers = [&large, &small].map(|image| image.layer_digest(0).to_string());
    let registry = Registry::new().image("org/app", "large", &large).image("org/app", "small", &small).serve();
    let names = ["large", "small"].map(|tag| registry.reference(&format!("org/app:{tag}")));
    for (command, at, flags, expected) in [
        ("copy", 0, TOLD, &parts[..]),
        ("sync", 0, TOLD, &parts),
        ("pull", 0, TOLD, &parts),
        ("copy", 0, &[TOLD[0], "--spread-ranges"], &parts),
        ("copy", 0, &[], &[None]),
        ("copy", 1, TOLD, &[None]),
    ] {
        let (name, before) = (&names[at], registry.requests().len());
        let source = format!("docker://{name}");
        let words = match command {
            "copy" => vec!["copy", "-q", "--src-tls-verify=false", &source, "dir:out"],
            "sync" => vec!["sync", "--src-tls-verify=false", "--src=docker", "--dest=dir", name, "out"],
            _ => vec!["pull", "-q", "--tls-verify=false", "--store=store", name],
        };
        Program::new().output(&[&words[..], flags].concat());
        assert_eq!(asked(&registry, before, &layers[at]), expected, "{command} {flags:?} {name}");
    }
}

#[test]
fn a_number_of_parts_that_makes_no_sense_is_wrong_usage() {
    for flags in [&["--parallel-ranges=1"][..], &["--parallel-ranges=65"], &["--spread-ranges"]] {
        let outcome = Program::new().run(&[&["copy", "dir:a", "dir:b"], flags].concat());
        outcome.assert_fails(2, &["--parallel-ranges"]);
    }
}
