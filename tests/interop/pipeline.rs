//! `verify` as a step of a pipeline.

use std::process::Command;

use serde_json::json;

use crate::guarded::Guarded;
use crate::program::Outcome;
use crate::support::closed_port::ClosedPort;
use crate::support::image::Image;
use crate::support::local::docker_image;
use crate::support::registry::{Registry, RunningRegistry};

/// A registry with a signed image `org/signed:1`, an unsigned one `org/unsigned:1`, and no `org/missing:1`.
struct Pipeline {
    guarded: Guarded,
    registry: RunningRegistry,
}

impl Pipeline {
    fn new() -> Self {
        let (guarded, image) = (Guarded::new(), Image::with_layers(["signed"]));
        let unsigned = Image::with_layers(["unsigned"]);
        let registry = Registry::new().image("org/signed", "1", &image).image("org/unsigned", "1", &unsigned).serve();
        guarded.insecure(&registry);
        guarded.signed("org/signed", &image, &registry.reference("org/signed:1"));
        Self { guarded, registry }
    }

    fn images(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| self.registry.reference(&format!("org/{name}:1"))).collect()
    }
}

#[test]
fn each_image_has_a_line_in_its_order_and_refused_wins_over_undecided() {
    let pipeline = Pipeline::new();
    for (names, code) in [
        (&["signed"][..], 0),
        (&["signed", "signed"], 0),
        (&["unsigned"], 5),
        (&["missing"], 6),
        (&["signed", "missing"], 6),
        (&["signed", "unsigned", "signed"], 5),
        (&["missing", "unsigned", "signed"], 5),
        (&["unsigned", "missing"], 5),
    ] {
        let images = pipeline.images(names);
        for debug in [&[][..], &["--debug"]] {
            let mut command = pipeline.guarded.program.command();
            let outcome = Outcome::of(command.args(debug).args(["verify", "--json"]).args(&images));
            assert_eq!(outcome.code, code, "{names:?}: {outcome:?}");
            assert!(outcome.stdout.ends_with("}\n"), "{outcome:?}");
            let lines = outcome.json_lines();
            let said: Vec<_> = lines.iter().map(|line| (&line["image"], &line["verdict"])).collect();
            let expected: Vec<_> = names.iter().zip(&images).map(|(name, image)| (json!(image), word(name))).collect();
            assert_eq!(said, expected.iter().map(|(image, word)| (image, word)).collect::<Vec<_>>());
        }
    }
}

fn word(name: &str) -> serde_json::Value {
    json!(match name {
        "signed" => "allowed",
        "unsigned" => "refused",
        _ => "undecided",
    })
}

#[test]
fn a_shell_reads_line_by_line_and_sees_the_code() {
    let pipeline = Pipeline::new();
    let script = "set -o pipefail\n\"$@\" | while read -r line; do echo \"<$line>\"; done\n";
    let program = pipeline.guarded.program.command();
    let mut shell = Command::new("bash");
    shell.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args(["-c", script, "bash"]).arg(program.get_program()).args(["verify", "--json"]);
    let outcome = Outcome::of(shell.args(pipeline.images(&["signed", "unsigned", "missing"])));
    assert_eq!(outcome.code, 5, "{outcome:?}");
    assert_eq!(outcome.stdout.lines().count(), 3);
    assert!(outcome.stdout.lines().all(|line| line.starts_with("<{") && line.ends_with("}>")), "{outcome:?}");
}

#[test]
fn offline_nobody_is_asked() {
    let pipeline = Pipeline::new();
    let image = pipeline.images(&["signed"]).remove(0);
    pipeline.guarded.program.output(&["copy", "-q", &format!("docker://{image}"), "dir:offline"]);
    docker_image(&pipeline.guarded.program.path("unsigned"), "seed", &["one"]);
    let (asked, closed) = (pipeline.registry.requests().len(), ClosedPort::new());
    let elsewhere = "docker://registry.example/org/signed:1";
    for (directory, image, code) in [
        ("offline", image.as_str(), 0),
        ("unsigned", &image, 5),
        // Everything is asked through the proxy, where nobody is: it would be undecided.
        ("offline", elsewhere, 5),
        ("unsigned", elsewhere, 5),
        ("nowhere", elsewhere, 6),
    ] {
        let mut command = pipeline.guarded.program.command();
        let proxy = format!("http://{}", closed.address());
        command.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
        let outcome = Outcome::of(command.args(["verify", "--json", "--offline", directory, image]));
        assert_eq!(outcome.code, code, "{directory} as {image}: {outcome:?}");
        assert_eq!(outcome.json_lines().len(), 1, "{outcome:?}");
    }
    assert_eq!(pipeline.registry.requests().len(), asked);
}
