//! `sync`, beside skopeo's.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Outcome, Program};
use crate::support::clients::Clients;
use crate::support::command::{finish, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::image::Image;
use crate::support::listing::{assert_same, contents};
use crate::support::local::docker_image;
use crate::support::peers::peer;
use crate::support::registry::{Registry, RunningRegistry};

const SRC_HTTP: &str = "--src-tls-verify=false";
const DEST_HTTP: &str = "--dest-tls-verify=false";

/// Both programs and a registry with these images, each another one.
fn beside_skopeo(images: &[&str]) -> Option<(Clients, DockerRegistry)> {
    let (clients, program) = (Clients::new()?, peer("docker-registry")?);
    let registry = DockerRegistry::anonymous(&program);
    for name in images {
        docker_image(&clients.path("image"), name, &[name]);
        clients.push(&[], "dir:image", &registry.image(name));
    }
    Some((clients, registry))
}

fn sync(mut command: Command, words: &[&str]) -> Command {
    command.args(["sync", "--insecure-policy", SRC_HTTP, DEST_HTTP]).args(words);
    command
}

fn tags(clients: &Clients, image: &str) -> BTreeSet<String> {
    let output = finish(clients.skopeo().args(["list-tags", "--tls-verify=false", image]));
    let Ok(list) = serde_json::from_slice::<Value>(&output.stdout) else { return BTreeSet::new() };
    list["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[test]
fn directories_are_called_as_skopeo_calls_them() {
    let Some((clients, registry)) = beside_skopeo(&["org/app:1", "org/app:2", "deep/er/tool:v1.2"]) else { return };
    let host = registry.host();
    let digest = {
        let output = run(clients.skopeo().args(["inspect", "--tls-verify=false", &registry.image("org/app:1")]));
        serde_json::from_slice::<Value>(&output).unwrap()["Digest"].as_str().unwrap().to_owned()
    };
    fs::write(
        clients.path("list.yaml"),
        json!({host: {"images": {"org/app": ["2"], "deep/er/tool": []}, "tls-verify": false}}).to_string(),
    )
    .unwrap();
    for (number, (kind, source)) in [
        ("docker", format!("{host}/org/app")),
        ("docker", format!("{host}/org/app:2")),
        ("docker", format!("{host}/org/app@{digest}")),
        ("docker", format!("{host}/deep/er/tool")),
        ("yaml", "list.yaml".to_owned()),
    ]
    .iter()
    .enumerate()
    {
        for scoped in [&[][..], &["--scoped"]] {
            let names = ["ours", "skopeos"].map(|name| format!("{name}-{number}-{}", scoped.len()));
            for (to, program) in names.iter().zip([clients.ours(), clients.skopeo()]) {
                let words = [&["--src", kind, "--dest", "dir", source, to][..], scoped].concat();
                run(&mut sync(program, &words));
            }
            let [ours, skopeos] = names.map(|name| contents(&clients.path(&name)));
            assert!(!ours.is_empty());
            assert_same(&ours, &skopeos);
        }
    }
}

#[test]
fn images_in_registries_are_called_as_skopeo_calls_them() {
    let Some((clients, registry)) = beside_skopeo(&[]) else { return };
    for name in ["tree/one/app:1", "tree/two/tool:1", "tree/two/tool:2", "tree/plain"] {
        docker_image(&clients.path(name), name, &[name]);
    }
    let repositories = ["app", "tool", "plain", "one/app", "two/tool"];
    for (number, source) in ["tree", "tree/two", "tree/one/app:1", "tree/plain"].iter().enumerate() {
        for flags in [&[][..], &["--scoped"]] {
            let prefixes = ["ours", "skopeos"].map(|name| format!("{name}-{number}-{}", flags.len()));
            for (prefix, program) in prefixes.iter().zip([clients.ours(), clients.skopeo()]) {
                let to = format!("{}/{prefix}/", registry.host());
                run(&mut sync(program, &[&["-s", "dir", "-d", "docker", source, &to][..], flags].concat()));
            }
            let found = prefixes.map(|prefix| {
                repositories.map(|repository| tags(&clients, &registry.image(&format!("{prefix}/{repository}"))))
            });
            assert!(found[0].iter().any(|tags| !tags.is_empty()));
            assert_eq!(found[0], found[1], "{source} {flags:?}");
        }
    }
}

#[test]
fn a_name_that_no_registry_can_have_is_refused_as_by_skopeo() {
    let Some((clients, registry)) = beside_skopeo(&[]) else { return };
    docker_image(&clients.path("tree/127.0.0.1:5000/app:1"), "one", &["one"]);
    for program in [clients.ours(), clients.skopeo()] {
        let to = format!("{}/m", registry.host());
        let output = finish(&mut sync(program, &["--scoped", "-s", "dir", "-d", "docker", "tree", &to]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

#[test]
fn each_program_goes_on_with_what_the_other_has_written() {
    let Some((clients, registry)) = beside_skopeo(&["org/app:1", "org/app:2"]) else { return };
    let host = registry.host();
    let app = format!("{host}/org/app");
    run(&mut sync(clients.ours(), &["-s", "docker", "-d", "dir", &app, "ours"]));
    run(&mut sync(clients.skopeo(), &["-s", "docker", "-d", "dir", &app, "skopeos"]));
    let [by_ours, by_skopeo] = ["by-ours", "by-skopeo"].map(|name| format!("{host}/{name}"));
    run(&mut sync(clients.ours(), &["-s", "dir", "-d", "docker", "skopeos", &by_ours]));
    run(&mut sync(clients.skopeo(), &["-s", "dir", "-d", "docker", "ours", &by_skopeo]));
    for repository in ["by-ours/app", "by-skopeo/app"] {
        assert_eq!(tags(&clients, &registry.image(repository)), ["1", "2"].map(str::to_owned).into());
    }
    // All of it is the same.
    for words in [
        ["-s", "docker", "-d", "dir", app.as_str(), "skopeos"],
        ["-s", "dir", "-d", "docker", "skopeos", &by_skopeo],
        ["-s", "docker", "-d", "docker", &app, &by_ours],
        ["-s", "docker", "-d", "docker", &app, &by_skopeo],
    ] {
        let outcome = Outcome::of(&mut sync(clients.ours(), &words));
        assert!(outcome.code == 0 && outcome.stderr.ends_with("Synchronised: 2 unchanged\n"), "{outcome:?}");
    }
}

#[test]
fn fifty_unchanged_images_are_one_request_each_for_a_real_registry() {
    let Some((clients, registry)) = beside_skopeo(&["org/app:1"]) else { return };
    let client = |image: &str| format!("{}/{image}", registry.host());
    let names: Vec<String> = (0..50).map(|number| format!("tree/app:{number:02}")).collect();
    for name in &names {
        docker_image(&clients.path(name), "one", &["one"]);
    }
    for prefix in ["a", "b"] {
        run(&mut sync(clients.ours(), &["-q", "-s", "dir", "-d", "docker", "tree", &client(prefix)]));
    }
    let before = registry.log().lines().count();
    let outcome =
        Outcome::of(&mut sync(clients.ours(), &["-s", "docker", "-d", "docker", &client("a/app"), &client("b")]));
    assert!(outcome.stderr.ends_with("Synchronised: 50 unchanged\n"), "{outcome:?}");
    // Each request is a line of the log of this registry.
    let log = registry.log();
    let requests: Vec<_> = log.lines().skip(before).filter(|line| line.contains("http.request.method")).collect();
    let of = |method: &str, part: &str| {
        let method = format!("http.request.method={method} ");
        requests.iter().filter(|line| line.contains(&method) && line.contains(part)).count()
    };
    assert_eq!((of("HEAD", "/v2/a/app/manifests/"), of("HEAD", "/v2/b/app/manifests/")), (50, 50), "{log}");
    assert_eq!((of("GET", "/v2/a/app/tags/list"), requests.len()), (1, 101), "{log}");
}

#[test]
fn the_file_of_digests_is_that_of_skopeo() {
    let Some((clients, registry)) = beside_skopeo(&["org/app:1", "org/app:2"]) else { return };
    // The older one has no such file.
    let Some(skopeo) = peer("skopeo-sigstore") else { return };
    let (app, to) = (format!("{}/org/app", registry.host()), format!("{}/m", registry.host()));
    let words = |file| ["-s", "docker", "-d", "docker", "--digestfile", file, &app, &to].map(str::to_owned);
    let lines = |file: &str| {
        let text = fs::read_to_string(clients.path(file)).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    for file in ["copied", "unchanged"] {
        run(sync(clients.ours(), &[]).args(words(file)));
        run(sync(clients.this_skopeo(&skopeo), &[]).args(words("skopeos")));
        assert_eq!(lines(file), lines("skopeos"));
        assert_eq!(lines(file).len(), 2);
    }
}

/// But for those that `differences.md` names.
#[test]
fn constraints_of_versions_mean_what_they_mean_to_skopeo() {
    let versions = [
        "0.0.0",
        "0.0.1",
        "0.1.0",
        "0.1.5",
        "1",
        "1.0.1",
        "1.2",
        "1.2.3-alpha.1",
        "1.2.3",
        "v1.2.5",
        "01.3.0",
        "1.9.9",
        "2.0.0-beta",
        "2.0.0",
        "2.1.0",
        "11.1.0",
        "12",
        "latest",
        "1.2.3.4",
        "1.x",
        "1.2.3-01",
        "1.2-alpine",
        "V3",
    ];
    let Some((clients, registry)) = beside_skopeo(&[]) else { return };
    let Some(skopeo) = peer("skopeo-sigstore") else { return };
    for version in versions {
        docker_image(&clients.path(&format!("tree/app:{version}")), "one", &["one"]);
    }
    run(&mut sync(clients.ours(), &["-q", "-s", "dir", "-d", "docker", "tree", registry.host()]));
    for constraint in [
        "*",
        ">= 1.2, < 2",
        ">=1.2 <2",
        "=>1.2,=<1.2",
        "~1.2",
        "~>1.2.3",
        "~1",
        "^1.2",
        "^0",
        "^0.1",
        "^0.0",
        "^0.0.1",
        "1",
        "1.x.3",
        "=1.2.3",
        "v1.2.3",
        ">11",
        ">11.0",
        "<=1",
        "1.0 - 1.2.3",
        "1 - 2 || 11",
        "^0.1 || 12",
        "!=1.2, ^1",
        "!=1",
        "!=1.2.3",
        "~1.2.3-0",
        ">=1.2.3-0, <2",
        ">=2.0.0-alpha",
        "1.2-alpine",
        "<1.2",
        ">*",
        "<*",
        "latest",
        "1,,2",
        "1 -2",
        "1.2.3-01",
        "",
    ] {
        let list = json!({registry.host(): {"images-by-semver": {"app": constraint}, "tls-verify": false}}).to_string();
        fs::write(clients.path("list.yaml"), list).unwrap();
        let chosen = |program| {
            let to = format!("{}/m", registry.host());
            let words = ["--dry-run", "-s", "yaml", "-d", "docker", "list.yaml", &to];
            let output = finish(&mut sync(program, &words));
            let said = String::from_utf8(output.stderr).unwrap();
            let image = format!("docker://{}/app:", registry.host());
            let of_app = said.split(&image).skip(1);
            of_app.map(|rest| rest.split([' ', '"']).next().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(chosen(clients.ours()), chosen(clients.this_skopeo(&skopeo)), "{constraint}");
    }
}

fn served() -> (Program, RunningRegistry) {
    let registry = ["1", "2"]
        .iter()
        .fold(Registry::new(), |registry, tag| registry.image("org/app", tag, &Image::with_layers([*tag])));
    (Program::new(), registry.without_blob(&Image::with_layers(["2"]).layer_digest(0)).serve())
}

fn words<'a>(flags: &[&'a str], source: &'a str) -> Vec<&'a str> {
    [&["sync", SRC_HTTP, "-s", "docker", "-d", "dir"][..], flags, &[source, "d"]].concat()
}

#[test]
fn a_line_for_each_image_and_a_sum_go_to_standard_error() {
    let (program, registry) = served();
    let (one, app) = (registry.reference("org/app:1"), registry.reference("org/app"));
    let outcome = program.run(&words(&["--dry-run"], &one));
    let place = "to dir:d/app:1\n";
    let line = |what: &str| format!("{what} image 1/1: docker://{one} {place}");
    assert_eq!(outcome.stderr, line("Would copy") + "Synchronised: 1 would be copied\n");
    assert!(!program.path("d").exists());
    let outcome = program.run(&words(&[], &one));
    assert!(outcome.stderr.starts_with(&line("Copying")), "{outcome:?}");
    assert!(outcome.stderr.contains("Writing manifest to image destination\n"), "{outcome:?}");
    assert!(outcome.stderr.ends_with(&(line("Copied") + "Synchronised: 1 copied\n")), "{outcome:?}");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""));
    let outcome = program.run(&words(&["--keep-going", "--progress=plain"], &app));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    let failure = format!("docker://{}2 to dir:d/app:2: ", one.strip_suffix('1').unwrap());
    let first = format!("Unchanged image 1/2: docker://{one} {place}");
    assert!(outcome.stderr.starts_with(&first), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("\nFailed: {failure}")), "{outcome:?}");
    let end = format!("\nSynchronised: 1 unchanged, 1 failed\nerror: 1 of 2 failed\n  {failure}");
    assert!(outcome.stderr.contains(&end), "{outcome:?}");
    for flag in ["-q", "--progress=none"] {
        let outcome = program.run(&words(&[flag], &one));
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "", ""), "{flag}");
    }
}

#[test]
fn json_tells_of_each_image_between_what_it_tells_of_its_blobs() {
    let (program, registry) = served();
    let app = registry.reference("org/app");
    let outcome = program.run(&words(&["--keep-going", "--progress=json"], &app));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    let objects = outcome.stderr.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = objects.map(|line| serde_json::from_str(line).unwrap()).collect();
    let [from_one, from_two] = ["1", "2"].map(|tag| format!("docker://{app}:{tag}"));
    let digest = Image::with_layers(["1"]).digest();
    let with = |event: &str, number: u64, from: &str| json!({"event": event, "number": number, "count": 2, "from": from, "to": format!("dir:d/app:{number}")});
    let mut copied = with("image", 1, &from_one);
    copied["outcome"] = json!("copied");
    copied["digest"] = json!(digest.as_str());
    assert_eq!(events[0], with("copying", 1, &from_one));
    assert_eq!(events[1], json!({"event": "source", "logical": from_one, "physical": from_one}));
    assert!(events.contains(&copied) && events.contains(&with("copying", 2, &from_two)), "{events:?}");
    let failed = events.iter().find(|event| event["outcome"] == "failed").unwrap();
    assert_eq!((&failed["number"], &failed["from"]), (&json!(2), &json!(from_two)));
    assert!(failed["error"].as_str().unwrap().contains("blob unknown"), "{failed}");
    let summary = json!({"event": "summary", "copied": 1, "unchanged": 0, "would-copy": 0, "failed": 1});
    assert_eq!(events.last(), Some(&summary));
}

#[test]
fn the_exit_code_tells_what_went_wrong_with_the_image_that_was_the_end() {
    let (program, registry) = served();
    let (one, gone) = (registry.reference("org/app:1"), registry.reference("org/gone"));
    program.run(&words(&[], &gone)).assert_fails_after_warnings(3, &["/org/gone: "]);
    program.run(&words(&[], &registry.reference("org/app:3"))).assert_fails_after_warnings(3, &["app:3"]);
    program.policy(r#"{"default": [{"type": "reject"}]}"#);
    program.run(&words(&[], &one)).assert_fails_after_warnings(5, &["rejected by policy"]);
    program.run(&words(&["--keep-going"], &one)).assert_fails_after_warnings(1, &["1 of 1 failed", "policy"]);
}

#[test]
fn what_makes_no_sense_is_told_before_anybody_is_asked() {
    let program = Program::new();
    program.write("list.yaml", "quay.io:\n  imges: {}\n");
    for (words, expected) in [
        (["-s", "dir", "-d", "docker", ".", "org/app"], "does not begin with a registry"),
        (["-s", "docker", "-d", "dir", "docker://quay.io/app", "d"], "does not belong in the name of an image"),
        (["-s", "yaml", "-d", "dir", "list.yaml", "d"], "list.yaml:2:3: unknown field `imges`"),
    ] {
        let outcome = program.run(&[&["sync", SRC_HTTP][..], &words].concat());
        assert!(outcome.code == 1 && outcome.stderr.contains(expected), "{outcome:?}");
    }
}

#[test]
fn credentials_for_one_registry_are_not_told_to_all_of_a_list() {
    let program = Program::new();
    let listed =
        |second: &str| format!("127.0.0.1:1:\n  images: {{one: [a]}}\n127.0.0.1:2:\n  images: {{two: [a]}}\n{second}");
    let words = ["sync", SRC_HTTP, "-s", "yaml", "-d", "dir", "--src-creds", "me:secret", "list.yaml", "copies"];
    program.write("list.yaml", &listed(""));
    let refused = program.run(&words);
    assert!(refused.code == 2 && refused.stderr.contains("told to 2 registries of the list"), "{refused:?}");
    assert!(!refused.stderr.contains("secret"), "{refused:?}");
    // The other one has its own.
    program.write("list.yaml", &listed("  credentials: {username: other, password: word}\n"));
    let asked = program.run(&words);
    assert!(asked.code == 1 && asked.stderr.contains("127.0.0.1:1/one"), "{asked:?}");
}
