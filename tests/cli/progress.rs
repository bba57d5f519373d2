//! What `copy` shows.

use serde_json::{Value, json};

use crate::program::{Outcome, Program};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};

const HTTP: &str = "--src-tls-verify=false";

fn served() -> (Image, RunningRegistry, String) {
    let image = Image::with_layers(["one", "twofold"]);
    let registry = Registry::new().image("org/app", "1", &image).serve();
    let reference = format!("docker://{}", registry.reference("org/app:1"));
    (image, registry, reference)
}

fn events(outcome: &Outcome) -> Vec<Value> {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
    outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn json_is_an_object_a_line_that_tells_who_served_what() {
    let (program, (image, _registry, reference)) = (Program::new(), served());
    let words = ["copy", HTTP, "--progress=json", &reference, "dir:d"];
    let first = events(&program.run(&words));
    assert_eq!(first[0], json!({"event": "source", "logical": reference, "physical": reference}));
    assert_eq!(first.last(), Some(&json!({"event": "committing"})));
    assert_eq!(with(&first, "started").len(), 3);
    for (digest, bytes) in image.blobs() {
        let kind = if bytes == image.config() { "config" } else { "layer" };
        let (digest, size) = (digest.as_str(), bytes.len());
        assert!(first.contains(&json!({"event": "started", "digest": digest, "kind": kind, "size": size})));
        let served = json!([{"by": reference, "bytes": size}]);
        let finished = json!({"event": "finished", "digest": digest, "outcome": "copied", "served": served});
        assert!(first.contains(&finished), "{finished} in {first:?}");
    }
    let second = events(&program.run(&words));
    let outcomes: Vec<_> = with(&second, "finished").iter().map(|event| event["outcome"].clone()).collect();
    assert_eq!(outcomes, ["already-present"; 3]);
}

#[test]
fn json_tells_that_a_mirror_left_a_blob_to_the_origin() {
    let (program, (image, origin, _)) = (Program::new(), served());
    let lacking = image.layer_digest(1);
    let mirror = Registry::new().image("org/app", "1", &image).without_blob(&lacking).serve();
    program.registries_conf(&format!(
        "[[registry]]\nprefix = \"app.example/org\"\nlocation = \"{}/org\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/org\"\ninsecure = true\n",
        origin.authority(),
        mirror.authority(),
    ));
    let events = events(&program.run(&["copy", "--progress=json", "docker://app.example/org/app:1", "dir:d"]));
    let [from_origin, from_mirror] = [&origin, &mirror].map(|from| format!("docker://{}", from.reference("org/app:1")));
    let logical = "docker://app.example/org/app:1";
    assert_eq!(events[0], json!({"event": "source", "logical": logical, "physical": from_mirror}));
    for event in with(&events, "finished") {
        let by = if event["digest"] == lacking.as_str() { &from_origin } else { &from_mirror };
        assert_eq!(event["served"][0]["by"], **by, "{event}");
    }
    let plain = program.run(&["copy", logical, "dir:plain"]);
    assert!(plain.stderr.contains(&format!("7 bytes (7 bytes from {from_origin})")), "{plain:?}");
}

#[test]
fn json_tells_the_instances_of_an_index() {
    let program = Program::new();
    let images = ["linux/amd64", "linux/arm64"].map(|platform| Image::with_layers([platform]).platform(platform));
    let registry = Registry::new().image("org/app", "1", &Image::index(images.clone())).serve();
    let reference = format!("docker://{}", registry.reference("org/app:1"));
    let events = events(&program.run(&["copy", HTTP, "--all", "--progress=json", &reference, "dir:d"]));
    let expected = [1, 2].map(|number| {
        json!({"event": "instance", "digest": images[number - 1].digest().as_str(), "number": number, "count": 2})
    });
    assert_eq!(with(&events, "instance"), expected.iter().collect::<Vec<_>>());
}

#[test]
fn into_a_pipe_go_plain_lines_unless_told_otherwise() {
    let (program, (image, _registry, reference)) = (Program::new(), served());
    let outcome = program.run(&["copy", HTTP, "--image-parallel-copies=1", &reference, "dir:d"]);
    let line = |kind: &str, digest: &str, size: usize| format!("Copying {kind} {}: {size} bytes\n", &digest[..12]);
    let blobs = image.blobs();
    let [config, one, two] = [0, 1, 2].map(|number| (blobs[number].0.encoded(), blobs[number].1.len()));
    let expected = line("config", config.0, config.1)
        + &line("blob", one.0, one.1)
        + &line("blob", two.0, two.1)
        + "Writing manifest to image destination\n";
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr), (0, "", expected.clone()));
    let chosen = program.run(&["copy", HTTP, "--image-parallel-copies=1", "--progress=plain", &reference, "oci:o:1"]);
    assert_eq!(chosen.stderr, expected);
    let again = program.run(&["copy", HTTP, &reference, "dir:d"]);
    assert_eq!(again.stderr.matches(": already there\n").count(), 3, "{again:?}");
}

#[test]
fn a_quiet_copy_says_nothing_at_all() {
    let (program, (_, _registry, reference)) = (Program::new(), served());
    for flag in ["-q", "--quiet", "--progress=none"] {
        let outcome = program.run(&["copy", HTTP, flag, &reference, "dir:d"]);
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "", ""), "{flag}");
    }
}

#[test]
fn bars_are_for_terminals_alone() {
    let (program, (_, _registry, reference)) = (Program::new(), served());
    for words in [&["--progress=bars"][..], &["--progress=plain"], &["--progress=json"], &[]] {
        let outcome = program.run(&[&["copy", HTTP, &reference, "dir:d"][..], words].concat());
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(!outcome.stderr.contains(['\x1b', '\r']), "{outcome:?}");
    }
}

#[test]
fn a_warning_is_a_line_of_its_own_between_json() {
    let (program, (_, _registry, reference)) = (Program::new(), served());
    let mut command = program.command();
    command.env("XDG_RUNTIME_DIR", program.path("nowhere"));
    let outcome = Outcome::of(command.args(["copy", HTTP, "--progress=json", &reference, "dir:d"]));
    assert!(outcome.stderr.lines().any(|line| line.starts_with("warning: XDG_RUNTIME_DIR")), "{outcome:?}");
    let objects = outcome.stderr.lines().filter(|line| line.starts_with('{'));
    assert!(objects.map(serde_json::from_str::<Value>).all(|object| object.is_ok()), "{outcome:?}");
}
