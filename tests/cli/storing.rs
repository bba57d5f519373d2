//! `pull`, `images`, `rmi` and `prune`, beside the programs that read what they leave.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use transship::Digest;

use crate::program::{Outcome, Program};
use crate::support::clients::Clients;
use crate::support::command::{finish, run};
use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::image::Image;
use crate::support::oci_layout::OciLayout;
use crate::support::peers::peer;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const HTTP: &str = "--tls-verify=false";
/// The program tells of every four MiB.
const LARGE: usize = (4 << 20) + 300_000;
const ENOUGH: usize = LARGE - 100;

fn id(image: &Image) -> String {
    Digest::sha256(&image.config()).to_string()
}

fn small(seed: &str) -> Image {
    Image::with_layers([seed])
}

fn pull(program: &Program, registry: &RunningRegistry, image: &str) -> Outcome {
    program.run(&["pull", "-q", HTTP, "--store=store", &registry.reference(image)])
}

#[test]
fn a_pull_prints_the_id_and_images_lists_what_there_is() {
    let (program, image) = (Program::new(), small("one"));
    let registry = Registry::new().image("org/app", "1", &image).serve();
    program.run(&["images", "--store=store"]).assert_fails(1, &["store", "no index.json", "hint: `transship pull"]);
    let id = id(&image);
    assert_eq!(pull(&program, &registry, "org/app:1").stdout, format!("{id}\n"));
    let text = program.output(&["images", "--store", "store"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "REPOSITORY TAG DIGEST IMAGE ID SIZE PLATFORM");
    let (repository, digest) = (registry.reference("org/app"), image.digest().to_string());
    let size = image.manifest().len() + image.config().len() + image.layers()[0].len();
    assert_eq!(lines[1], [&repository[..], "1", &digest, &id[7..19], &size.to_string(), "linux/amd64"]);
    assert_eq!(lines.len(), 2);
    let listed: Value = serde_json::from_str(&program.output(&["images", "--store=store", "--json"])).unwrap();
    let expected = json!([{
        "id": id, "repo_tags": [format!("{repository}:1")], "repo_digests": [format!("{repository}@{digest}")],
        "manifest": digest, "size": size, "platform": "linux/amd64", "pinned": false,
    }]);
    assert_eq!(listed, expected);

    assert_eq!(program.output(&["rmi", "--store=store", &format!("{repository}:1")]), format!("{repository}:1\n"));
    assert!(program.output(&["images", "--store=store"]).contains("<none>"));
    let bytes = size.to_string();
    let rehearsed = program.output(&["prune", "--store=store", "--dry-run"]);
    assert_eq!(rehearsed, format!("{id}\nwould remove 1 image, 3 blobs, {bytes} bytes\n"));
    let pruned = program.output(&["prune", "--store=store"]);
    assert_eq!(pruned, format!("{id}\nremoved 1 image, 3 blobs, {bytes} bytes\n"));
    assert_eq!(program.output(&["images", "--store=store", "--json"]), "[]\n");
    program.run(&["rmi", "--store=store", "busybox"]).assert_fails(3, &["no image is called busybox", "hint: "]);
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let program = Program::new();
    let index = Image::index([small("a").platform("linux/amd64"), small("b").platform("linux/arm64")]);
    let registry = Registry::new().image("org/app", "1", &index).requiring_basic("alice", "sesame").serve();
    let image = registry.reference("org/app:1");
    let with = |words: &[&str]| program.run(&[&["pull", "-q", HTTP, "--store=store", &image], words].concat());
    with(&[]).assert_fails(4, &["hint: "]);
    with(&["--server-address=https://quay.io"]).assert_fails(2, &["--creds"]);
    with(&["--creds=alice:sesame", "--server-address=quay.io"]).assert_fails(2, &["https://quay.io"]);
    with(&["--creds=alice:sesame", "--server-address=https://quay.io"]).assert_fails(4, &[]);
    let server = registry.url("/v1/");
    let creds = ["--creds=alice:sesame", "--server-address", &server];
    with(&[&creds[..], &["--platform=linux/s390x"]].concat())
        .assert_fails(1, &["linux/s390x", "linux/arm64", "--platform"]);
    assert_eq!(with(&[&creds[..], &["--platform=linux/arm64"]].concat()).code, 0);
    assert!(program.output(&["images", "--store=store"]).contains("linux/arm64"));
}

#[test]
fn a_registry_that_says_nothing_is_given_up_in_time() {
    let (program, image) = (Program::new(), small("one"));
    let registry = Registry::new()
        .image("org/app", "1", &image)
        .fault(|path| path.contains("/blobs/"), .., Reply::stalling())
        .serve();
    let words = ["pull", "-q", HTTP, "--store=store", "--progress-timeout=1s", &registry.reference("org/app:1")];
    program
        .run(&words)
        .assert_fails(1, &["no byte came for 1 s; waited for", "/v2/org/app/blobs/", "--progress-timeout"]);
}

#[test]
fn only_what_is_in_a_registry_is_pulled() {
    let program = Program::new();
    for image in ["dir:x", "oci-archive:x", "oci:img", "docker-archive:x.tar"] {
        let outcome = program.run(&["pull", "-q", "--store=store", image]);
        outcome.assert_fails(2, &[&format!("error: \"{image}\": only docker:// is in a registry")]);
    }
    assert!(!program.path("store").exists());
}

#[test]
fn a_flag_that_changes_nothing_is_wrong_usage() {
    let program = Program::new();
    for words in [&["images"][..], &["rmi", "a:1"], &["prune"]] {
        let words = [words, &["--store=store", "--connect-timeout=5"]].concat();
        program.run(&words).assert_fails(2, &[words[0], "has no use for --connect-timeout"]);
    }
    program.run(&["images", "--store=store", "--debug"]).assert_fails(1, &["there is no image store here"]);
}

#[test]
fn what_is_not_read_is_done_all_the_same() {
    let (program, image) = (Program::new(), small("one"));
    let registry = Registry::new().image("org/app", "1", &image).image("org/app", "2", &image).serve();
    let names = ["org/app:1", "org/app:2"].map(|name| registry.reference(name));
    for name in ["org/app:1", "org/app:2"] {
        assert_eq!(pull(&program, &registry, name).code, 0);
    }
    let closed = |words: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program.command();
        command.args(words).current_dir(program.path("")).stdout(writer).stderr(Stdio::null());
        command.status().unwrap().code()
    };
    assert_eq!(closed(&["rmi", "--store=store", &names[0], &names[1]]), Some(0));
    assert_eq!(program.output(&["images", "--store=store"]).lines().count(), 2, "the digest is left");
    fs::remove_file(program.path("store/blobs/sha256").join(Digest::sha256(&image.config()).encoded())).unwrap();
    for command in ["images", "prune"] {
        assert_eq!(closed(&[command, "--store=store"]), Some(i32::from(command == "images")), "{command}");
    }
}

#[test]
fn a_damaged_image_does_not_hide_the_others() {
    let (program, [one, two]) = (Program::new(), ["one", "two"].map(small));
    let registry = Registry::new().image("org/app", "1", &one).image("org/app", "2", &two).serve();
    for image in ["org/app:1", "org/app:2"] {
        assert_eq!(pull(&program, &registry, image).code, 0);
    }
    let config = id(&one).replace("sha256:", "store/blobs/sha256/");
    fs::remove_file(program.path(&config)).unwrap();
    let words = [
        "warning: ",
        &registry.reference("org/app:1"),
        &config,
        "error: store: 1 damaged image\nhint: `transship pull",
    ];
    let assert_warns = |outcome: Outcome, told: &str| {
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.stdout.contains(told), "{outcome:?}");
        assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{outcome:?}");
    };
    let listed = program.run(&["images", "--store=store"]);
    assert_eq!(listed.stdout.lines().count(), 2);
    assert_warns(listed, &id(&two)[7..19]);
    assert_warns(program.run(&["images", "--store=store", "--json"]), &id(&two));
    assert_warns(program.run(&["prune", "--store=store", "--dry-run"]), "would remove 0 images");
    assert_warns(program.run(&["prune", "--store=store"]), "removed 0 images");
    assert_eq!(pull(&program, &registry, "org/app:1").code, 0);
    assert_eq!(program.output(&["images", "--store=store"]).lines().count(), 3);
    // One that goes is not warned of.
    fs::remove_file(program.path(&config)).unwrap();
    program.output(&["rmi", "--store=store", &registry.reference("org/app:1")]);
    assert!(program.output(&["prune", "--store=store"]).contains("removed 1 image, 2 blobs"));
}

#[test]
fn a_name_that_is_unknown_does_not_keep_the_others() {
    let (program, image) = (Program::new(), small("one"));
    let registry = Registry::new().image("org/app", "1", &image).image("org/app", "2", &image).serve();
    let [one, two] = ["org/app:1", "org/app:2"].map(|name| {
        assert_eq!(pull(&program, &registry, name).code, 0);
        registry.reference(name)
    });
    let outcome = program.run(&["rmi", "--store=store", "nosuch", &one, "neither", &two]);
    assert_eq!((outcome.code, outcome.stdout), (3, format!("{one}\n{two}\n")));
    for name in ["nosuch", "neither"] {
        assert!(
            outcome.stderr.contains(&format!("error: store: no image is called {name}\nhint: ")),
            "{}",
            outcome.stderr
        );
    }
}

/// A pull that tells what it does.
struct Pulling {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Pulling {
    fn start(program: &Program, image: &str) -> Self {
        let mut command = program.command();
        command.args(["pull", HTTP, "--store=store", "--progress=json", "--max-concurrent-downloads=1", image]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it tells of this event.
    fn until(&mut self, event: &str, digest: &Digest) {
        let is_it = |line: String| {
            let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            told["event"] == event && told["digest"] == digest.as_str()
        };
        assert!(self.lines.any(|line| is_it(line.unwrap())), "the pull ended without {event}");
    }

    fn finish(mut self) {
        let rest: Vec<_> = self.lines.map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success(), "{rest:?}");
    }
}

fn large(seed: &str) -> Image {
    Image::with_layers([seed.as_bytes().to_vec(), (0..=250_u8).cycle().take(LARGE).collect()])
}

fn ranges(registry: &RunningRegistry, digest: &Digest) -> Vec<Option<String>> {
    let requests = registry.requests();
    let asked = requests.iter().filter(|request| request.path().ends_with(digest.as_str()));
    asked.map(|request| request.header("range").map(str::to_owned)).collect()
}

#[test]
fn two_processes_bring_a_layer_once() {
    let (program, [one, two]) = (Program::new(), ["one", "two"].map(large));
    let layer = one.layer_digest(1);
    let ((asking, asked), (gate, opened)) = (channel(), channel::<()>());
    let (asking, opened, path) = (Mutex::new(asking), Mutex::new(opened), layer.to_string());
    let registry = Registry::new().image("org/app", "1", &one).image("org/app", "2", &two);
    let wait = move |reply| {
        asking.lock().unwrap().send(()).unwrap();
        let _ = opened.lock().unwrap().recv();
        reply
    };
    let registry = registry.spoil(move |asked| asked.ends_with(&path), 1..=1, wait).serve();
    let first = Pulling::start(&program, &registry.reference("org/app:1"));
    asked.recv().unwrap();
    let mut second = Pulling::start(&program, &registry.reference("org/app:2"));
    second.until("started", &layer);
    gate.send(()).unwrap();
    first.finish();
    second.finish();
    assert_eq!(ranges(&registry, &layer), [None]);
    let listed: Value = serde_json::from_str(&program.output(&["images", "--store=store", "--json"])).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
}

/// Sends all but the end of the large layer, and then nothing more, when it is first asked for it.
fn stalling(registry: Registry, layer: &Digest) -> RunningRegistry {
    let path = layer.to_string();
    registry.spoil(move |asked| asked.ends_with(&path), 1..=1, |reply| reply.stall_after(ENOUGH)).serve()
}

#[test]
fn when_a_process_is_killed_the_one_that_waits_goes_on() {
    let (program, image) = (Program::new(), large("one"));
    let layer = image.layer_digest(1);
    let registry = stalling(Registry::new().image("org/app", "1", &image), &layer);
    let mut first = Pulling::start(&program, &registry.reference("org/app:1"));
    first.until("read", &layer);
    let mut second = Pulling::start(&program, &registry.reference("org/app:1"));
    second.until("started", &layer);
    // As `kill -9`.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    second.finish();
    let [None, Some(range)] = &ranges(&registry, &layer)[..] else { panic!("{:?}", ranges(&registry, &layer)) };
    let offset: usize =
        range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap();
    assert!((4 << 20..=ENOUGH).contains(&offset), "{range}");
}

#[test]
fn a_pull_that_was_killed_leaves_the_old_images_and_the_next_goes_on() {
    let (program, [old, new]) = (Program::new(), [small("old"), large("new")]);
    let layer = new.layer_digest(1);
    let registry = Registry::new().image("org/app", "1", &old).image("org/app", "2", &new);
    let registry = stalling(registry, &layer);
    assert_eq!(pull(&program, &registry, "org/app:1").code, 0);
    let before = program.output(&["images", "--store=store", "--json"]);
    let mut killed = Pulling::start(&program, &registry.reference("org/app:2"));
    killed.until("read", &layer);
    // Beside the pull, what it has brought so far stays.
    assert!(program.output(&["prune", "--store=store"]).contains(", 0 blobs,"));
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert_eq!(program.output(&["images", "--store=store", "--json"]), before);
    // Config and first layer are nobody's now; what there is of the large one serves the next pull.
    assert!(program.output(&["prune", "--store=store"]).contains(", 2 blobs,"));
    assert_eq!(pull(&program, &registry, "org/app:2").code, 0);
    assert!(matches!(&ranges(&registry, &layer)[..], [None, Some(_)]));
    let names: Vec<_> = fs::read_dir(program.path("store")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".transship")), "{names:?}");
}

/// An image with a layer for each of these contents, to push.
fn layout(clients: &Clients, name: &str, contents: &[&str]) -> String {
    let mut layout = OciLayout::create(&clients.path(name));
    let layers: Vec<_> = contents.iter().map(|content| layout.layer(content.as_bytes(), Some(1))).collect();
    let image = layout.image("amd64", &layers);
    layout.tag(name, &image)
}

/// What umoci makes of an image of a layout.
fn unpacked(umoci: &Path, layout: &Path, name: &str, bundle: &Path) -> Vec<String> {
    let image = format!("{}:{name}", layout.display());
    run(std::process::Command::new(umoci).args(["unpack", "--rootless", "--image", &image]).arg(bundle));
    let files = fs::read_dir(bundle.join("rootfs")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn skopeo_and_umoci_read_the_store_by_every_name() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let Some(umoci) = peer("umoci") else { return };
    let registry = DockerRegistry::htpasswd(&program);
    let auth = clients.auth_file(registry.host(), USER, PASSWORD);
    let authfile = ["--authfile", auth.to_str().unwrap()];
    let pushed = layout(&clients, "image", &["one", "two"]);
    for format in ["oci", "v2s2"] {
        let options = [&authfile[..], &["--format", format]].concat();
        clients.push(&options, &pushed, &registry.image(&format!("org/app:{format}")));
    }
    for format in ["oci", "v2s2"] {
        let image = format!("{}/org/app:{format}", registry.host());
        let creds = format!("--creds={USER}:{PASSWORD}");
        let words = ["pull", "-q", "--insecure-policy", HTTP, "--store=store", &creds, &image];
        let id = String::from_utf8(run(clients.ours().args(words))).unwrap().trim().to_owned();
        let digest = format!("{}/org/app@{}", registry.host(), registry.tagged("org/app", format));
        for (number, name) in [&image, &id, &digest].into_iter().enumerate() {
            let reference = format!("oci:store:{name}");
            let inspected = run(clients.skopeo().args(["inspect", &reference]));
            let inspected: Value = serde_json::from_slice(&inspected).unwrap();
            assert_eq!(inspected["Layers"].as_array().map(Vec::len), Some(2), "{inspected}");
            run(clients.skopeo().args(["copy", "--insecure-policy", &reference, &format!("dir:{format}{number}")]));
            let bundle = clients.path(&format!("bundle-{format}{number}"));
            assert!(!unpacked(&umoci, &clients.path("store"), name, &bundle).is_empty());
        }
    }
    let listed = run(std::process::Command::new(&umoci).args(["ls", "--layout"]).arg(clients.path("store")));
    assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 5, "one id, and a tag and a digest of each kind");
    // umoci's own collection of garbage finds none, and ours none after skopeo has written there.
    let before = fs::read_dir(clients.path("store/blobs/sha256")).unwrap().count();
    run(std::process::Command::new(&umoci).args(["gc", "--layout"]).arg(clients.path("store")));
    run(clients.skopeo().args(["copy", "--insecure-policy", &pushed, "oci:store:theirs"]));
    let pruned = run(clients.ours().args(["prune", "--store=store"]));
    assert!(String::from_utf8(pruned).unwrap().contains(", 0 blobs,"));
    assert!(fs::read_dir(clients.path("store/blobs/sha256")).unwrap().count() >= before);
    run(clients.skopeo().args(["inspect", "oci:store:theirs"]));
}

#[test]
fn a_tag_of_a_real_registry_that_moves_is_followed() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let image = format!("{}/org/app:1", registry.host());
    let mut ids = Vec::new();
    for (name, layers) in [("old", &["shared"][..]), ("new", &["shared", "more"])] {
        clients.push(&[], &layout(&clients, name, layers), &format!("docker://{image}"));
        let words = ["pull", "-q", "--insecure-policy", HTTP, "--store=store", &image];
        ids.push(String::from_utf8(run(clients.ours().args(words))).unwrap().trim().to_owned());
    }
    let listed = run(clients.ours().args(["images", "--store=store", "--json"]));
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    let found: Vec<_> =
        listed.as_array().unwrap().iter().map(|image| (image["id"].clone(), image["repo_tags"].clone())).collect();
    assert_eq!(found, [(json!(ids[1]), json!([image])), (json!(ids[0]), json!([]))]);
    run(clients.ours().args(["rmi", "--store=store", &ids[0]]));
    run(clients.ours().args(["prune", "--store=store"]));
    let inspected = finish(clients.skopeo().args(["inspect", &format!("oci:store:{}", ids[0])]));
    assert!(!inspected.status.success());
    run(clients.skopeo().args(["inspect", &format!("oci:store:{image}")]));
}
