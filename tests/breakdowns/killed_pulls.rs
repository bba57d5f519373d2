//! A pull that is killed, and the next one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::Program;
use crate::support::image::Image;
use crate::support::local::tree;
use crate::support::registry::{Registry, RunningRegistry};
use crate::{noise, wait_until};

const HTTP: &str = "--src-tls-verify=false";
/// Of the layers: one is long done when the other is begun, or the other way round, or both are under way.
const SIZES: [usize; 2] = [3_000_000, 2_000_000];
const POINTS: usize = 10;
/// A read of the program at most: so much may come twice.
const CHUNK: usize = 256 * 1024;

fn image() -> Image {
    Image::with_layers(SIZES.map(noise))
}

/// How much of each layer has come when the pull is killed.
fn point(number: usize) -> [usize; 2] {
    // Neither a byte of the one nor of the other at the first, all of the one at the last.
    [SIZES[0] * number / (POINTS - 1), SIZES[1] * number * 3 / 4 / (POINTS - 1)]
}

/// Sends each layer as far as that when it is first asked for it, and then nothing more; the next time whole.
fn holding(image: &Image, point: [usize; 2]) -> RunningRegistry {
    let registry = Registry::new().image("org/app", "1", image);
    let hold = |registry: Registry, layer: usize| {
        let digest = image.layer_digest(layer).to_string();
        let is_layer = move |path: &str| path.ends_with(&digest);
        registry.spoil(is_layer, 1..=1, move |reply| reply.stall_after(point[layer]))
    };
    hold(hold(registry, 0), 1).serve()
}

/// The places of a layer, unfinished and whole.
struct Place {
    reference: &'static str,
    partial: fn(&str) -> String,
    whole: fn(&str) -> String,
}

const PLACES: [Place; 2] = [
    Place {
        reference: "dir:copy",
        partial: |digest| format!("copy/.transship-partial-sha256-{digest}"),
        whole: |digest| format!("copy/{digest}"),
    },
    Place {
        reference: "oci:copy:app",
        partial: |digest| format!("copy/.transship-partial-sha256-{digest}"),
        whole: |digest| format!("copy/blobs/sha256/{digest}"),
    },
];

fn length(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |metadata| metadata.len().try_into().unwrap())
}

/// The bytes that were sent in all answers to requests for a layer.
fn sent(registry: &RunningRegistry, image: &Image, layer: usize, held: usize) -> usize {
    let digest = image.layer_digest(layer).to_string();
    let requests = registry.requests();
    let asked = requests.iter().filter(|request| request.path().ends_with(&digest));
    let start = |range: &str| range["bytes=".len()..range.len() - 1].parse::<usize>().unwrap();
    let sent = |(number, start): (usize, usize)| if number == 0 { held } else { SIZES[layer] - start };
    asked.map(|request| request.header("range").map_or(0, start)).enumerate().map(sent).sum()
}

#[test]
fn a_pull_that_is_killed_at_ten_points_goes_on_where_it_stopped() {
    for place in PLACES {
        for number in 0..POINTS {
            let (program, image, point) = (Program::new(), image(), point(number));
            let registry = holding(&image, point);
            let from = format!("docker://{}", registry.reference("org/app:1"));
            let words = |to: &str| ["copy", "-q", HTTP, &from, to].map(str::to_owned);

            let mut child = program.command().args(words(place.reference)).spawn().unwrap();
            for (layer, expected) in point.into_iter().enumerate() {
                let digest = image.layer_digest(layer);
                let [partial, whole] = [place.partial, place.whole].map(|path| program.path(&path(digest.encoded())));
                wait_until(&mut child, || registry.asked().iter().any(|asked| asked.ends_with(digest.as_str())));
                wait_until(&mut child, || length(&partial).max(length(&whole)) >= expected);
            }
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().code(), None, "it was killed");

            program.output(&words(place.reference).each_ref().map(String::as_str));
            for (layer, held) in point.into_iter().enumerate() {
                let twice = sent(&registry, &image, layer, held).checked_sub(SIZES[layer]).unwrap();
                assert!(twice <= CHUNK, "{twice} bytes of layer {layer} came twice, killed at {point:?}");
            }
            let clean = place.reference.replace("copy", "clean");
            program.output(&words(&clean).each_ref().map(String::as_str));
            let [copied, undisturbed] = ["copy", "clean"].map(|name| tree(&program.path(name)));
            let names = |files: &std::collections::BTreeMap<PathBuf, _>| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&copied), names(&undisturbed), "killed at {point:?}");
            assert!(copied == undisturbed, "killed at {point:?}");
        }
    }
}
