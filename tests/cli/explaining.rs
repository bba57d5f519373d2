//! `explain`

use serde_json::{Value, json};
use transship::Digest;

use crate::program::{Outcome, Program, files};
use crate::support::image::Image;
use crate::support::registry::{Registry, RunningRegistry};
use crate::support::reply::Reply;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Explains images as JSON: the exit code, and the objects.
fn explain(program: &Program, words: &[&str]) -> (i32, Vec<Value>) {
    let outcome = program.run(&[&["explain", "--json"][..], words].concat());
    assert_eq!(outcome.stderr, "");
    (outcome.code, outcome.json_lines())
}

#[test]
fn the_line_is_that_of_the_design_member_by_member() {
    let program = Program::new();
    program.registries_conf(
        "[[registry]]\nprefix = \"quay.example/org\"\nlocation = \"origin.example/rewritten\"\n\
         [[registry.mirror]]\nlocation = \"mirror.example:5000/org\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"digests.example/org\"\npull-from-mirror = \"digest-only\"\n",
    );
    program.write("containers/auth.json", r#"{"auths": {"origin.example/rewritten": {"auth": "YWxpY2U6c2VjcmV0"}}}"#);
    program.write(
        ".config/containers/registries.d/a.yaml",
        "docker:\n  origin.example/rewritten:\n    lookaside: https://signatures.example/base\n    use-sigstore-attachments: true\n",
    );
    program.write(".config/containers/certs.d/mirror.example:5000/ca.crt", "");
    program.policy(
        &json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {"quay.example/org": [
                {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/key"}, {"type": "insecureAcceptAnything"},
            ]}},
        })
        .to_string(),
    );
    let line = program.output(&["explain", "--json", "quay.example/org/app:1"]);
    let home = program.path("");
    let home = home.to_str().unwrap().trim_end_matches('/');
    let expected = format!(
        concat!(
            r#"{{"image":"quay.example/org/app:1","logical":"quay.example/org/app:1","#,
            r#""policy":{{"identity":"quay.example/org/app:1","#,
            r#""namespaces":["quay.example/org/app","quay.example/org","quay.example","*.example"]}},"#,
            r#""registry":{{"prefix":"quay.example/org","location":"origin.example/rewritten","blocked":false,"#,
            r#""file":"{home}/registries.conf"}},"sources":["#,
            r#"{{"reference":"mirror.example:5000/org/app:1","location":"mirror.example:5000/org","insecure":true,"#,
            r#""mirror":true,"credentials":null,"#,
            r#""certs_dir":"{home}/.config/containers/certs.d/mirror.example:5000","#,
            r#""lookaside":"{lookaside}/org/app","attachments":false}},"#,
            r#"{{"reference":"origin.example/rewritten/app:1","location":"origin.example/rewritten","insecure":false,"#,
            r#""mirror":false,"credentials":{{"file":"{home}/containers/auth.json","#,
            r#""key":"origin.example/rewritten","username":"alice","kind":"basic"}},"certs_dir":null,"#,
            r#""lookaside":"https://signatures.example/base/rewritten/app","attachments":true}}],"#,
            r#""requirements":{{"scope":"docker:quay.example/org","types":["signedBy","insecureAcceptAnything"]}}}}"#,
            "\n"
        ),
        home = home,
        lookaside = default_lookaside(&line),
    );
    assert_eq!(line, expected);
}

/// The default place of signatures is the system's for root, and the user's for others.
fn default_lookaside(line: &str) -> &str {
    let start = line.find("file://").unwrap();
    let end = line[start..].find("/org/app").unwrap();
    let found = &line[start..start + end];
    assert!(found.ends_with("/containers/sigstore"), "{found}");
    found
}

#[test]
fn there_is_a_line_for_each_image_in_order_and_1_when_one_has_an_error() {
    let program = Program::new();
    let images = ["busybox", "UPPER/case", "dir:somewhere", "docker://a/b@sha256:short", "quay.io/x:1"];
    let (code, lines) = explain(&program, &images);
    assert_eq!(code, 1);
    let told: Vec<_> = lines.iter().map(|line| line["image"].as_str().unwrap()).collect();
    assert_eq!(told, images);
    for (line, has_error) in lines.iter().zip([false, true, false, true, false]) {
        let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        if has_error {
            assert_eq!(keys, ["image", "error"]);
            assert!(!line["error"].as_str().unwrap().is_empty());
        } else {
            assert_eq!(keys, ["image", "logical", "policy", "registry", "sources", "requirements"]);
        }
    }
    assert_eq!(explain(&program, &["busybox", "quay.io/x:1"]).0, 0);
}

#[test]
fn names_are_completed_as_docker_does_with_and_without_the_transport() {
    let (_, lines) = explain(
        &Program::new(),
        &["busybox", "docker://busybox", "org/app:1", "localhost:5000/a", "foo:bar", &format!("a/b@{DIGEST}")],
    );
    let logical: Vec<_> = lines.iter().map(|line| line["logical"].as_str().unwrap()).collect();
    let pinned = format!("docker.io/a/b@{DIGEST}");
    assert_eq!(
        logical,
        [
            "docker.io/library/busybox:latest",
            "docker.io/library/busybox:latest",
            "docker.io/org/app:1",
            "localhost:5000/a:latest",
            "docker.io/library/foo:bar",
            &pinned,
        ]
    );
    assert_eq!(
        lines[0]["policy"]["namespaces"],
        json!(["docker.io/library/busybox", "docker.io/library", "docker.io", "*.io"])
    );
    assert_eq!(lines[0]["registry"], Value::Null);
    assert_eq!(lines[0]["sources"][0]["location"], "");
}

#[test]
fn a_name_with_tag_and_digest_is_an_error_that_says_how_to_write_either() {
    let (code, lines) = explain(&Program::new(), &[&format!("quay.io/a:1@{DIGEST}")]);
    let error = lines[0]["error"].as_str().unwrap();
    assert_eq!(code, 1);
    assert!(
        error.contains(&format!("docker://quay.io/a@{DIGEST}")) && error.contains("docker://quay.io/a:1 "),
        "{error}"
    );
}

#[test]
fn a_blocked_registry_says_so_and_a_digest_opens_the_mirrors_for_digests() {
    let program = Program::new();
    program.registries_conf(
        "[[registry]]\nprefix = \"*.blocked.example\"\nblocked = true\n\
         [[registry]]\nlocation = \"quay.example\"\n\
         [[registry.mirror]]\nlocation = \"digests.example\"\npull-from-mirror = \"digest-only\"\n",
    );
    let (_, lines) =
        explain(&program, &["x.blocked.example/a", "quay.example/a:1", &format!("quay.example/a@{DIGEST}")]);
    assert_eq!(lines[0]["registry"]["blocked"], true);
    assert_eq!(lines[0]["registry"]["prefix"], "*.blocked.example");
    let references = |line: &Value| {
        let sources = line["sources"].as_array().unwrap();
        sources.iter().map(|source| source["reference"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(references(&lines[1]), ["quay.example/a:1"]);
    assert_eq!(references(&lines[2]), [format!("digests.example/a@{DIGEST}"), format!("quay.example/a@{DIGEST}")]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_every_images_error() {
    let program = Program::new();
    program.registries_conf("[[registry");
    let images = ["busybox", "dir:x", "not an image"];
    let (code, lines) = explain(&program, &images);
    assert_eq!((code, lines.len()), (1, 3));
    for (line, image) in lines.iter().zip(images) {
        assert_eq!(line["image"], image);
        assert!(line["error"].as_str().unwrap().contains("registries.conf:1:"), "{line}");
    }
    program.registries_conf("");
    program.policy("[]");
    let (_, lines) = explain(&program, &["busybox"]);
    assert!(lines[0]["error"].as_str().unwrap().contains("policy.json"), "{lines:?}");
}

#[test]
fn whatever_the_text_of_an_image_it_is_one_line() {
    let images = [
        "",
        " ",
        "\n",
        "a\nb",
        "\"",
        "a\"b'c",
        "\\",
        "docker://",
        "docker:///",
        "dir:",
        "oci:",
        "{}",
        "\u{1}",
        "é",
        "\u{2028}",
        "-",
        "a b",
        "docker://a\r\n",
        "https://quay.io/a",
        "dir:a\nb",
    ];
    let mut words = vec!["--"];
    words.extend(images);
    let (code, lines) = explain(&Program::new(), &words);
    assert_eq!(code, 1);
    let told: Vec<_> = lines.iter().map(|line| line["image"].as_str().unwrap()).collect();
    assert_eq!(told, images);
}

#[test]
fn no_secret_is_ever_told() {
    const CANARY: &str = "c4n4ry-s3cr3t";
    let program = Program::new();
    program.registries_conf(
        "credential-helpers = [\"containers-auth.json\", \"canary\"]\n\
         [[registry]]\nlocation = \"helped.example\"\n[[registry.mirror]]\nlocation = \"basic.example\"\n",
    );
    let basic = "YWxpY2U6YzRuNHJ5LXMzY3IzdA=="; // alice:c4n4ry-s3cr3t
    program.write(
        "containers/auth.json",
        &json!({"auths": {
            "basic.example": {"auth": basic},
            "token.example": {"auth": basic, "identitytoken": CANARY},
            "broken.example": {"auth": format!("!{CANARY}")},
        }})
        .to_string(),
    );
    let helper = format!("#!/bin/sh\necho '{{\"Username\": \"bob\", \"Secret\": \"{CANARY}\"}}'\n");
    let helper = program.write("bin/docker-credential-canary", &helper);
    crate::support::command::run(std::process::Command::new("chmod").arg("755").arg(helper));
    program.write(
        ".config/containers/registries.d/a.yaml",
        &format!(
            "docker:\n  signed.example:\n    lookaside: https://bob:{CANARY}@signatures.example/x?token={CANARY}\n"
        ),
    );
    let images = [
        "basic.example/a",
        "token.example/a",
        "helped.example/a",
        "broken.example/a",
        "signed.example/a",
        "https://bob:c4n4ry-s3cr3t@quay.example/a",
        "busybox",
    ];
    let creds = format!("--creds=carol:{CANARY}");
    let token = format!("--registry-token={CANARY}");
    let mut kinds = Vec::new();
    for extra in [&[][..], &[creds.as_str()], &[token.as_str()], &["--debug"]] {
        for form in [&["explain"][..], &["explain", "--json"]] {
            let mut command = program.command();
            command.env("PATH", format!("{}:/usr/bin:/bin", program.path("bin").display()));
            command.env("HTTPS_PROXY", format!("http://bob:{CANARY}@proxy.example"));
            // What the user has typed is repeated as it was typed; this one is only for the library to hide.
            let outcome = Outcome::of(command.args(form).args(extra).args(images));
            let typed = format!("https://bob:{CANARY}@quay.example/a");
            let told = format!("{}{}", outcome.stdout, outcome.stderr).replace(&typed, "");
            assert!(!told.contains(CANARY) && !told.contains(&basic[..basic.len() - 2]), "{form:?} {extra:?}: {told}");
            if form.len() == 2 {
                let sources = outcome.json_lines().into_iter().filter_map(|line| line["sources"].as_array().cloned());
                kinds.extend(sources.flatten().map(|source| source["credentials"]["kind"].clone()));
            }
        }
    }
    for kind in ["basic", "identity-token", "helper", "token"] {
        assert!(kinds.contains(&kind.into()), "{kind}: {kinds:?}");
    }
}

#[test]
fn explicit_credentials_are_for_the_domain_that_was_asked_for() {
    let program = Program::new();
    program.registries_conf(
        "[[registry]]\nlocation = \"quay.example\"\n[[registry.mirror]]\nlocation = \"mirror.example\"\n",
    );
    let explicit = json!({"file": null, "key": null, "username": "alice", "kind": "basic"});
    for creds in ["--creds=alice:x", "--creds=alice:x:y", "--creds=alice"] {
        let (_, lines) = explain(&program, &[creds, "quay.example/a"]);
        assert_eq!(lines[0]["sources"][0]["credentials"], Value::Null);
        assert_eq!(lines[0]["sources"][1]["credentials"], explicit, "nobody is asked for a password");
    }
    program.write("containers/auth.json", r#"{"auths": {"quay.example": {"auth": "YWxpY2U6c2VjcmV0"}}}"#);
    let (_, lines) = explain(&program, &["--no-creds", "quay.example/a"]);
    assert_eq!(lines[0]["sources"][1]["credentials"], Value::Null);
}

#[test]
fn flags_change_what_is_explained() {
    let program = Program::new();
    program.write("other.conf", "[[registry]]\nlocation = \"quay.example\"\ninsecure = true\n");
    program.write("certs/ca.crt", "");
    program.policy(r#"{"default": [{"type": "reject"}]}"#);
    let words = ["--registries-conf=other.conf", "--cert-dir=certs", "--insecure-policy", "quay.example/a"];
    let (_, lines) = explain(&program, &words);
    assert_eq!(lines[0]["registry"]["file"], "other.conf");
    assert_eq!(
        (&lines[0]["sources"][0]["insecure"], &lines[0]["sources"][0]["certs_dir"]),
        (&json!(true), &json!("certs"))
    );
    assert_eq!(lines[0]["requirements"], json!({"scope": "default", "types": ["insecureAcceptAnything"]}));
    let (_, lines) = explain(&program, &[&words[..], &["--tls-verify"]].concat());
    assert_eq!(lines[0]["sources"][0]["insecure"], false);
}

#[test]
fn the_page_for_people_has_the_same_in_words() {
    let program = Program::new();
    program.registries_conf(
        "[[registry]]\nlocation = \"quay.example\"\n[[registry.mirror]]\nlocation = \"mirror.example:5000/q\"\ninsecure = true\n",
    );
    program.write("containers/auth.json", r#"{"auths": {"quay.example": {"auth": "YWxpY2U6c2VjcmV0"}}}"#);
    program
        .write(".config/containers/registries.d/a.yaml", "default-docker:\n  lookaside: https://signatures.example\n");
    let outcome = program.run(&["explain", "quay.example/a", "two\nlines"]);
    let home = program.path("");
    let home = home.to_str().unwrap().trim_end_matches('/');
    let expected = format!(
        "quay.example/a\n\
         \x20 logical       quay.example/a:latest\n\
         \x20 policy        insecureAcceptAnything (scope default)\n\
         \x20 registry      prefix quay.example, in {home}/registries.conf\n\
         \x20 mirror        mirror.example:5000/q/a:latest (insecure)\n\
         \x20               signatures at https://signatures.example/q/a\n\
         \x20 origin        quay.example/a:latest\n\
         \x20               as alice (basic, from {home}/containers/auth.json)\n\
         \x20               signatures at https://signatures.example/a\n\
         \x20 order         as above; who does not connect, stalls or answers 5xx is asked last for a while\n\
         \n\
         \"two\\nlines\"\n\
         \x20 error         "
    );
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
    assert!(outcome.stdout.starts_with(&expected), "{}\n{expected}", outcome.stdout);
}

/// A program that is told of mirrors.
fn mirrored(mirrors: &[&RunningRegistry], origin: &RunningRegistry) -> Program {
    let program = Program::new();
    let place = |what: &str, registry: &RunningRegistry| {
        format!("[[{what}]]\nlocation = \"{}\"\ninsecure = true\n", registry.authority())
    };
    let mirrors: String = mirrors.iter().map(|mirror| place("registry.mirror", mirror)).collect();
    program.registries_conf(&(place("registry", origin) + &mirrors));
    program
}

#[test]
fn fetching_tells_who_delivered_which_bytes_and_leaves_nothing() {
    let image = Image::with_layers([b"layer".to_vec()]);
    let registry = || Registry::new().image("org/app", "1", &image);
    let (mirror, origin) = (registry().without_blob(&image.layer_digest(0)).serve(), registry().serve());
    let program = mirrored(&[&mirror], &origin);
    let (name, before) = (origin.reference("org/app:1"), files(&program.path("")));
    let (code, lines) = explain(&program, &["--fetch", &name]);
    let by = [mirror.reference("org/app:1"), name.clone()].map(|name| format!("docker://{name}"));
    let part = |kind: &str, digest: &str, bytes: usize, by: &str| json!({"kind": kind, "digest": digest, "size": bytes, "served": [{"by": by, "bytes": bytes}]});
    let (manifest, config) = (image.manifest().len(), image.config().len());
    let config_digest = Digest::sha256(&image.config()).to_string();
    let expected = json!({
        "parts": [
            part("manifest", image.digest().as_str(), manifest, &by[0]),
            part("config", &config_digest, config, &by[0]),
            part("layer", image.layer_digest(0).as_str(), 5, &by[1]),
        ],
        "served": [{"by": by[0], "bytes": manifest + config}, {"by": by[1], "bytes": 5}],
        "error": null,
    });
    assert_eq!((code, &lines[0]["fetched"]), (0, &expected));
    let page = program.output(&["explain", "--fetch", &name]);
    let told = [
        format!("  fetched       layer {}: 5 bytes from {}\n", image.layer_digest(0), by[1]),
        format!("  in all        {} bytes from {}, 5 bytes from {}\n", manifest + config, by[0], by[1]),
    ];
    assert!(told.iter().all(|line| page.contains(line)), "{page}");
    assert_eq!(files(&program.path("")), before);
}

#[test]
fn of_an_index_the_instance_is_fetched_that_is_for_the_platform() {
    let instances = ["linux/amd64", "linux/arm64"]
        .map(|platform| Image::with_layers([platform.as_bytes().to_vec()]).platform(platform));
    let layer = instances[1].layer_digest(0).to_string();
    let registry = Registry::new().image("org/app", "1", &Image::index(instances)).serve();
    let words = ["--fetch", "--tls-verify=false", "--override-arch=arm64", "--override-os=linux"];
    let (code, lines) = explain(&Program::new(), &[&words[..], &[&registry.reference("org/app:1")]].concat());
    let parts = lines[0]["fetched"]["parts"].as_array().unwrap();
    let kinds: Vec<_> = parts.iter().map(|part| part["kind"].as_str().unwrap()).collect();
    assert_eq!((code, &kinds[..]), (0, &["index", "manifest", "config", "layer"][..]));
    assert_eq!(parts[3]["digest"], layer);
}

#[test]
fn what_cannot_be_fetched_is_told_with_what_came_before_and_is_an_error() {
    let image = Image::with_layers([b"layer".to_vec()]);
    let layer = image.layer_digest(0);
    let registry = Registry::new().image("org/app", "1", &image).without_blob(&layer).serve();
    let (code, lines) =
        explain(&Program::new(), &["--fetch", "--tls-verify=false", &registry.reference("org/app:1"), "dir:here"]);
    let fetched = &lines[0]["fetched"];
    assert_eq!((code, fetched["parts"].as_array().unwrap().len()), (1, 2), "{fetched}");
    assert!(fetched["error"].as_str().unwrap().contains(layer.as_str()), "{fetched}");
    assert_eq!(lines[1]["fetched"], Value::Null, "what is here comes from nobody else");
}

#[test]
fn wrong_bytes_are_fetched_again_from_somebody_else() {
    let image = Image::with_layers([b"layer".to_vec()]);
    let layer = image.layer_digest(0).to_string();
    let wrong = move |path: &str| path.ends_with(&layer);
    let wrong_bytes = || Reply::new(200).body(b"wrong".to_vec());
    let serve = || Registry::new().image("org/app", "1", &image);
    let mirrors = [(); 2].map(|()| serve().fault(wrong.clone(), .., wrong_bytes()).serve());
    let origin = serve().serve();
    let program = mirrored(&mirrors.each_ref(), &origin);
    let name = origin.reference("org/app:1");
    let value: Value = serde_json::from_str(&program.run(&["explain", "--json", "--fetch", &name]).stdout).unwrap();
    let expected = json!([{"by": format!("docker://{name}"), "bytes": 5}]);
    assert_eq!(value["fetched"]["parts"][2]["served"], expected, "{value}");
    let outcome = program.run(&["fetch-blob", &name, image.layer_digest(0).as_str(), "--output=layer"]);
    assert_eq!((outcome.code, std::fs::read(program.path("layer")).unwrap()), (0, b"layer".to_vec()));
}
