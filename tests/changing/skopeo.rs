//! The same bytes as skopeo, wherever it can do the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use transship::Digest;

use crate::made::{self, DOCKER, Form, OCI, Words, blobs, config, layer};
use crate::support::clients::Clients;
use crate::support::command::{finish, run};
use crate::support::docker_registry::DockerRegistry;
use crate::support::listing::{assert_same, contents};
use crate::support::peers::peer;

const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image of layers in these forms.
fn image(directory: &Path, words: &Words, forms: &[Form]) {
    let layers: Vec<_> = (1..).zip(forms).map(|(seed, _)| layer(seed, 40_000)).collect();
    let in_forms: Vec<_> = layers.iter().cloned().zip(forms.iter().copied()).collect();
    let manifest = blobs(directory, words, &config(&layers), &in_forms);
    fs::write(directory.join("manifest.json"), manifest).unwrap();
}

/// An index with more in it than platforms.
fn rich_index(directory: &Path) {
    made::index(directory, &OCI, INDEX);
    let path = directory.join("manifest.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["annotations"] = json!({"org.example": "a < b"});
    index["manifests"][0]["annotations"] = json!({"org.example": "é"});
    index["manifests"][1]["platform"] = json!({
        "architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1", "os.features": ["f"],
    });
    fs::write(path, index.to_string()).unwrap();
}

fn images(clients: &Clients) -> Vec<&'static str> {
    image(&clients.path("oci"), &OCI, &[Form::Gzip; 2]);
    image(&clients.path("docker"), &DOCKER, &[Form::Gzip; 2]);
    image(&clients.path("oci-mixed"), &OCI, &[Form::Plain, Form::Gzip, Form::Zstd]);
    // A Docker image with zstd is one that skopeo does not read.
    image(&clients.path("docker-mixed"), &DOCKER, &[Form::Plain, Form::Gzip]);
    made::index(&clients.path("index"), &OCI, INDEX);
    made::index(&clients.path("list"), &DOCKER, LIST);
    made::index(&clients.path("list-of-oci"), &OCI, LIST);
    rich_index(&clients.path("rich"));
    vec!["oci", "docker", "oci-mixed", "docker-mixed", "index", "list", "list-of-oci", "rich"]
}

/// Copies with a program into `dir:to-…`; `None` where it says no.
fn copied(clients: &Clients, program: Program<'_>, image: &str, flags: &[&str]) -> Option<String> {
    let to = clients.path("to");
    drop(fs::remove_dir_all(&to));
    let output = finish(program.command(clients).args(flags).args([&format!("dir:{image}"), "dir:to"]));
    output.status.success().then(|| contents(&to))
}

#[derive(Clone, Copy)]
enum Program<'a> {
    Ours,
    Skopeo,
    This(&'a Path),
}

impl Program<'_> {
    fn command(self, clients: &Clients) -> Command {
        let mut command = match self {
            Self::Ours => clients.ours(),
            Self::Skopeo => clients.skopeo(),
            Self::This(path) => clients.this_skopeo(path),
        };
        command.args(["copy", "--insecure-policy", "-q", "--all"]);
        command
    }
}

/// Debian's older one cannot convert what is not decompressed yet; the newer one can.
#[test]
fn directories_have_the_same_files_in_every_format_and_without_compression() {
    let (Some(clients), Some(newer)) = (Clients::new(), peer("skopeo-sigstore")) else { return };
    let mut impossible = Vec::new();
    for image in images(&clients) {
        for flags in [
            &["--dest-decompress"][..],
            &["--format=oci"],
            &["--format=oci", "--dest-decompress"],
            &["--format=v2s2"],
            &["--format=v2s2", "--dest-decompress"],
        ] {
            let ours = copied(&clients, Program::Ours, image, flags);
            let skopeos = copied(&clients, Program::Skopeo, image, flags);
            let skopeos = skopeos.or_else(|| copied(&clients, Program::This(&newer), image, flags));
            match (ours, skopeos) {
                (Some(ours), Some(skopeos)) => assert_same(&ours, &skopeos),
                (None, None) => impossible.push((image, flags.join(" "))),
                (ours, skopeos) => panic!("{image} {flags:?}: ours {ours:?}, skopeo's {skopeos:?}"),
            }
        }
    }
    // Docker's manifests know no zstd.
    assert_eq!(impossible, [("oci-mixed", "--format=v2s2".to_owned())]);
}

#[test]
fn layouts_and_registries_get_the_same_manifests_in_every_format() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    for image in images(&clients).into_iter().filter(|image| !image.ends_with("mixed")) {
        for format in ["oci", "v2s2"] {
            let digest = |name: &str, to: &str, flags: &[&str]| {
                let mut command = if name == "ours" { clients.ours() } else { clients.skopeo() };
                run(command
                    .args(["copy", "--insecure-policy", "-q", "--all", "--digestfile=digest"])
                    .args(flags)
                    .args([&format!("dir:{image}"), to]));
                fs::read_to_string(clients.path("digest")).unwrap()
            };
            let pushed = ["ours", "skopeo"].map(|name| {
                let to = registry.image(&format!("{name}/app:{image}-{format}"));
                digest(name, &to, &["--dest-tls-verify=false", &format!("--format={format}")])
            });
            assert_eq!(pushed[0], pushed[1], "{image} {format}");
        }
        let laid_out = ["ours", "skopeo"].map(|name| {
            let mut command = if name == "ours" { clients.ours() } else { clients.skopeo() };
            let to = format!("oci:layout-{name}:{image}");
            run(command.args(["copy", "--insecure-policy", "-q", "--all"]).args([&format!("dir:{image}"), &to]));
            contents(&clients.path(&format!("layout-{name}")))
        });
        assert_same(&laid_out[0], &laid_out[1]);
    }
}

/// The newer one knows zstd better.
#[test]
fn a_newer_skopeo_agrees_about_zstd() {
    let (Some(clients), Some(newer)) = (Clients::new(), peer("skopeo-sigstore")) else { return };
    images(&clients);
    for image in ["oci-mixed", "docker-mixed", "index", "list"] {
        // Compressors differ, their readers do not: what is compared is what comes of it without compression.
        for format in ["gzip", "zstd"] {
            let (recompress, to) = (format!("--dest-compress-format={format}"), format!("{image}-{format}"));
            run(Program::Ours.command(&clients).args([&recompress, &format!("dir:{image}"), &format!("dir:{to}")]));
            let plain = [Program::Ours, Program::This(&newer)].map(|program| {
                let plain = copied(&clients, program, &to, &["--dest-decompress"]).unwrap();
                // Skopeo leaves the word zstd on instances that are zstd no more.
                let is_index = image == "index" || image == "list";
                plain
                    .lines()
                    .filter(|line| !is_index || !line.starts_with("manifest.json"))
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            assert_same(&plain[0], &plain[1]);
        }
    }
}

#[test]
fn layers_have_the_digests_that_the_config_names_when_they_are_plain() {
    let Some(clients) = Clients::new() else { return };
    let layers = made::image(&clients.path("image"), &OCI);
    run(clients.ours().args(["copy", "--insecure-policy", "-q", "--dest-decompress", "dir:image", "dir:plain"]));
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(clients.path("plain/manifest.json")).unwrap()).unwrap();
    let digests: Vec<_> = manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect();
    assert_eq!(digests, layers.iter().map(|layer| json!(Digest::sha256(layer).as_str())).collect::<Vec<_>>());
}
