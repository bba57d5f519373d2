//! `inspect`, `list-tags` and `manifest-digest`, beside skopeo on the same image.

use serde_json::{Value, json};

use crate::program::Program;
use crate::support::clients::Clients;
use crate::support::command::{finish, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::image::Image;
use crate::support::local::{docker_image, docker_list};
use crate::support::oci_layout::OciLayout;
use crate::support::peers::peer;
use crate::support::registry::Registry;

/// Two images and two indexes that differ in all that is printed, in a directory and a layout of the clients' home.
fn local_images(clients: &Clients) -> Vec<String> {
    docker_image(&clients.path("docker"), "seed", &["one", "two"]);
    docker_list(&clients.path("list"));
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [layout.random_layer(1, 100), layout.random_layer(2, 100)];
    let images = [layout.image("amd64", &layers), layout.image("arm64", &layers)];
    let index = layout.index(&images);
    let named = [layout.tag("image", &images[0]), layout.tag("index", &index)];
    let local = ["docker", "list"].map(|name| format!("dir:{}", clients.path(name).display()));
    local.into_iter().chain(named).collect()
}

/// The same words for both; ours without what Debian's skopeo is too old to print.
fn assert_same_bytes(clients: &Clients, words: &[&str]) {
    let [ours, skopeos] = [clients.ours(), clients.skopeo()].map(|mut command| run(command.args(words)));
    let ours = without_layers_data(&String::from_utf8(ours).unwrap());
    // Go has short forms of these two from 1.22 on.
    let skopeos = String::from_utf8(skopeos).unwrap().replace("\\u0008", "\\b").replace("\\u000c", "\\f");
    assert_eq!(ours, skopeos, "{words:?}");
}

/// skopeo 1.10 began to print `LayersData`.
fn without_layers_data(text: &str) -> String {
    match text.split_once("    \"LayersData\": [\n") {
        Some((before, rest)) => before.to_owned() + rest.split_once("\n    ],\n").unwrap().1,
        None => text.to_owned(),
    }
}

#[test]
fn local_images_are_described_with_skopeos_bytes() {
    let Some(clients) = Clients::new() else { return };
    for image in local_images(&clients) {
        for flags in [&[][..], &["--raw"], &["--config"], &["--config", "--raw"], &["-n"], &["--format=json"]] {
            let platform = ["--override-os=linux", "--override-arch=amd64", "--override-variant=v7"];
            assert_same_bytes(&clients, &[&platform[..], &["inspect"], flags, &[&image]].concat());
        }
    }
}

#[test]
fn images_in_a_registry_are_described_with_skopeos_bytes() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    for (number, image) in local_images(&clients).iter().enumerate() {
        let pushed = registry.image(&format!("org/app:{number}"));
        clients.push(&["--all"], image, &pushed);
    }
    let platform = ["--override-os=linux", "--override-arch=amd64", "--override-variant=v7"];
    for number in 0..4 {
        let image = registry.image(&format!("org/app:{number}"));
        for flags in [&[][..], &["--raw"], &["--config"], &["--config", "--raw"], &["-n"]] {
            assert_same_bytes(
                &clients,
                &[&platform[..], &["inspect", "--tls-verify=false"], flags, &[&image]].concat(),
            );
        }
    }
    assert_same_bytes(&clients, &["list-tags", "--tls-verify=false", &registry.image("org/app")]);
}

#[test]
fn manifests_have_the_digest_that_skopeo_gives_them() {
    let Some(clients) = Clients::new() else { return };
    local_images(&clients);
    for name in ["docker/manifest.json", "list/manifest.json", "layout/index.json"] {
        assert_same_bytes(&clients, &["manifest-digest", clients.path(name).to_str().unwrap()]);
    }
}

#[test]
fn templates_for_skopeo_print_what_they_print_there() {
    let Some(clients) = Clients::new() else { return };
    let images = local_images(&clients);
    let templates = [
        "{{.Name}}|{{.Digest}}|{{.Tag}}|{{.Architecture}}|{{.Os}}|{{.DockerVersion}}",
        "{{.Created}}",
        "{{.Labels}} {{.Env}} {{.RepoTags}} {{.Layers}}",
        r#"{{index .Labels "org.example.architecture"}}"#,
        r"{{range .Layers}}{{.}}\n{{end}}",
        "{{range .Env}}{{println .}}{{end}}",
        r#"{{if eq .Os "linux"}}l{{else}}o{{end}}{{len .Layers}}{{index .Layers 0}}"#,
        "Name: {{.Name}} Digest: {{.Digest}}",
        "json",
        "{{json .}}",
        "{{ json . }}",
    ];
    let config_templates = [
        "{{.Created}}|{{.Architecture}}|{{.OS}}|{{.Variant}}|{{.RootFS.Type}}",
        "{{.Config.Env}} {{.Config.Cmd}} {{.Config.Entrypoint}} {{.Config.Labels}} {{.Config.ExposedPorts}}",
        "{{.Config.User}}|{{.Config.WorkingDir}}|{{.Config.StopSignal}}|{{.RootFS.DiffIDs}}",
        "{{range .History}}{{.CreatedBy}}|{{.Comment}}|{{.EmptyLayer}};{{end}}",
        r"{{range $no}}",
    ];
    for image in [&images[0], &images[2]] {
        for template in templates {
            assert_same_bytes(&clients, &["inspect", "--format", template, image]);
        }
        for template in config_templates {
            let words = ["inspect", "--config", "--format", template, image];
            if template.contains('$') {
                let codes =
                    [clients.ours(), clients.skopeo()].map(|mut command| finish(command.args(words)).status.code());
                assert_eq!(codes, [Some(1), Some(1)], "{template}");
            } else {
                assert_same_bytes(&clients, &words);
            }
        }
    }
}

#[test]
fn layers_are_described_with_type_size_and_annotations() {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    let described: Value = serde_json::from_str(&program.output(&["inspect", "dir:image"])).unwrap();
    let layer = described["LayersData"][0].as_object().unwrap();
    assert_eq!(layer.keys().collect::<Vec<_>>(), ["MIMEType", "Digest", "Size", "Annotations"]);
    assert_eq!(layer["MIMEType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    assert_eq!((&layer["Size"], &layer["Annotations"]), (&json!(7), &Value::Null));
    assert_eq!(layer["Digest"], described["Layers"][0]);
}

#[test]
fn a_template_that_does_not_fit_says_what_there_is() {
    let program = Program::new();
    docker_image(&program.path("image"), "seed", &["one"]);
    program
        .run(&["inspect", "--format={{.Nmae}}", "dir:image"])
        .assert_fails(1, &["\"Nmae\"", "Digest, ", "LayersData"]);
    program.run(&["inspect", "--config", "--format={{.Cnofig}}", "dir:image"]).assert_fails(1, &["Config", "RootFS"]);
    program.run(&["inspect", "--format={{.Name", "dir:nowhere"]).assert_fails(1, &["--format: {{ without }}"]);
    program
        .run(&["inspect", "--format={{with .Name}}{{end}}", "dir:image"])
        .assert_fails(1, &["{{with .Name}}", "range"]);
}

#[test]
fn the_config_of_what_is_no_image_is_shown_as_it_is() {
    let program = Program::new();
    let digest = |text: &str| transship::Digest::sha256(text.as_bytes());
    for (media_type, config, code) in
        [("application/vnd.example.chart+json", r#"{"name": "chart", "n": [1]}"#, 0), ("text/plain", "text", 1)]
    {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
            "config": {"mediaType": media_type, "digest": digest(config).as_str(), "size": config.len()},
        });
        program.write("d/version", "Directory Transport Version: 1.1\n");
        program.write("d/manifest.json", &manifest.to_string());
        program.write(&format!("d/{}", digest(config).encoded()), config);
        assert_eq!(program.output(&["inspect", "--config", "--raw", "dir:d"]), config);
        let outcome = program.run(&["inspect", "--config", "dir:d"]);
        if code == 0 {
            assert_eq!(outcome.stdout, "{\n    \"name\": \"chart\",\n    \"n\": [\n        1\n    ]\n}\n");
        } else {
            outcome.assert_fails(1, &["text/plain", "--config --raw prints it"]);
        }
    }
}

#[test]
fn one_question_each_for_manifest_config_and_tags_and_none_for_tags_that_nobody_wants() {
    let image = Image::with_layers(["one"]);
    let program = Program::new();
    for (flags, expected) in [(&[][..], 3), (&["-n"], 2), (&["--config"], 2), (&["--raw"], 1)] {
        let registry = Registry::new().image("org/app", "1", &image).serve();
        let reference = format!("docker://{}", registry.reference("org/app:1"));
        program.output(&[&["inspect", "--tls-verify=false", &reference][..], flags].concat());
        let asked = registry.asked().into_iter().filter(|asked| !asked.ends_with("/v2/")).collect::<Vec<_>>();
        assert_eq!(asked.len(), expected, "{flags:?}: {asked:?}");
    }
}
