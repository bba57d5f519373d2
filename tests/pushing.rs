//! Copies into Debian's `docker-registry`, read back by us and by skopeo.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test panics")]
#![allow(unreachable_pub, reason = "support is shared by several crates of tests")]

#[allow(dead_code, reason = "other crates of tests use the rest")]
mod support {
    pub mod clients;
    pub mod command;
    pub mod docker_registry;
    pub mod line;
    pub mod listing;
    pub mod local;
    pub mod oci_layout;
    pub mod peers;
    pub mod token_server;
}

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::clients::Clients;
use support::command::{finish, run};
use support::docker_registry::{DockerRegistry, PASSWORD, USER};
use support::line::Line;
use support::listing::{assert_same, contents};
use support::local::docker_list;
use support::oci_layout::OciLayout;
use support::peers::peer;
use transship::config::{Config, Paths};
use transship::destination::{self, ImageDestination};
use transship::manifest::{Descriptor, ManifestBytes};
use transship::signature::{SigstoreSignature, UntrustedSignature};
use transship::source::Options;
use transship::{Digest, ImageReference, MediaType};

const TO_HTTP: &str = "--dest-tls-verify=false";
const FROM_HTTP: &str = "--src-tls-verify=false";

/// An OCI index of two images, as skopeo makes a directory of it.
fn index(clients: &Clients) -> String {
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [1, 2].map(|seed| layout.random_layer(seed, 10_000));
    let images = [layout.image("amd64", &layers), layout.image("arm64", &layers[1..])];
    let index = layout.index(&images);
    let reference = layout.tag("index", &index);
    run(clients.skopeo().args(["copy", "--insecure-policy", "--all", &reference, "dir:index"]));
    "dir:index".to_owned()
}

/// Copies into the registry with us, and out of it with both programs; all are the same files.
fn assert_round_trip(clients: &Clients, to: &[&str], from: &[&str], original: &str, image: &str) {
    run(clients.ours().args(["copy", "--insecure-policy", "--all"]).args(to).args([original, image]));
    let back = tempfile::tempdir_in(clients.path(".")).unwrap();
    for (name, mut command) in [("ours", clients.ours()), ("skopeo", clients.skopeo())] {
        let copy = back.path().join(name);
        let copied = format!("dir:{}", copy.display());
        run(command.args(["copy", "--insecure-policy", "--all"]).args(from).args([image, &copied]));
        assert_same(&contents(&clients.path(original.strip_prefix("dir:").unwrap())), &contents(&copy));
    }
}

#[test]
fn what_is_pushed_is_what_both_programs_pull() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    docker_list(&clients.path("list"));
    for (original, tag) in [(index(&clients), "oci"), ("dir:list".to_owned(), "docker")] {
        let image = registry.image(&format!("org/app:{tag}"));
        assert_round_trip(&clients, &[TO_HTTP], &[FROM_HTTP], &original, &image);
        // Once more, when everything is there.
        assert_round_trip(&clients, &[TO_HTTP], &[FROM_HTTP], &original, &image);
    }
}

#[test]
fn a_single_image_goes_there_and_back() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let mut layout = OciLayout::create(&clients.path("layout"));
    // More than one request each.
    let layers = [1, 2].map(|seed| layout.random_layer(seed, 9_000_000));
    let descriptor = layout.image("amd64", &layers);
    let reference = layout.tag("image", &descriptor);
    run(clients.skopeo().args(["copy", "--insecure-policy", &reference, "dir:image"]));
    assert_round_trip(&clients, &[TO_HTTP], &[FROM_HTTP], "dir:image", &registry.image("org/app:1"));
    let by_digest = registry.image(&format!("org/new@{}", descriptor["digest"].as_str().unwrap()));
    assert_round_trip(&clients, &[TO_HTTP], &[FROM_HTTP], "dir:image", &by_digest);
}

#[test]
fn from_one_registry_to_another() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let (one, other) = (DockerRegistry::htpasswd(&program), DockerRegistry::token(&program));
    let source = format!("--src-creds={USER}:{PASSWORD}");
    let destination = format!("--dest-creds={USER}:{PASSWORD}");
    let original = index(&clients);
    let (first, second) = (one.image("org/app:1"), other.image("org/app:1"));
    assert_round_trip(&clients, &[TO_HTTP, &destination], &[FROM_HTTP, &source], &original, &first);
    run(clients
        .ours()
        .args(["copy", "--insecure-policy", "--all", FROM_HTTP, TO_HTTP, &source, &destination])
        .args([&first, &second]));
    assert_round_trip(&clients, &[TO_HTTP, &destination], &[FROM_HTTP, &source], &original, &second);
    let asked = other.token_server().take_asked();
    assert!(asked.iter().any(|asked| asked.scopes == ["repository:org/app:pull,push"]), "{asked:?}");
}

#[test]
fn over_tls_the_authority_comes_from_the_destination_s_directory() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::tls(&program);
    let certs = registry.certs_dir();
    let [to, from] = ["--dest-cert-dir", "--src-cert-dir"].map(|flag| [flag, certs.to_str().unwrap()]);
    let (original, image) = (index(&clients), registry.image("org/app:1"));
    assert_round_trip(&clients, &to, &from, &original, &image);
    let output = finish(clients.ours().args(["copy", "-q", "--insecure-policy", &original, &image]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn auth_files_are_for_one_side_or_for_both_and_wrong_accounts_have_their_exit_code() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    for registry in [DockerRegistry::htpasswd(&program), DockerRegistry::token(&program)] {
        let (original, image) = (index(&clients), registry.image("org/app:1"));
        let right = clients.auth_file(registry.host(), USER, PASSWORD);
        let right = right.to_str().unwrap();
        fs::write(clients.path("none.json"), "{}").unwrap();
        let wrong = format!("--dest-creds={USER}:wrong");
        for (words, code) in [
            (&["--authfile", right][..], 0),
            (&["--dest-authfile", right], 0),
            (&["--authfile", "none.json", "--dest-authfile", right], 0),
            (&["--src-authfile", "none.json", "--authfile", right], 0),
            (&[], 4),
            (&["--src-authfile", right], 4),
            (&["--authfile", right, "--dest-no-creds"], 4),
            (&[&wrong], 4),
        ] {
            let mut command = clients.ours();
            let copy = command.args(["copy", "-q", "--insecure-policy", "--all", TO_HTTP]).args(words);
            let output = finish(copy.args([&original, &image]));
            assert_eq!(output.status.code(), Some(code), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            fs::remove_dir_all(clients.path("index")).unwrap();
            index_again(&clients);
        }
        fs::remove_dir_all(clients.path("layout")).unwrap();
        fs::remove_dir_all(clients.path("index")).unwrap();
    }
}

fn index_again(clients: &Clients) {
    let layout = format!("oci:{}:index", clients.path("layout").display());
    run(clients.skopeo().args(["copy", "--insecure-policy", "--all", &layout, "dir:index"]));
}

/// The distribution project's registry cannot go on in the middle of a chunk: it takes its own word for the offset. So the
/// first chunk of a blob is sent anew, and a later one is an error after which the next copy succeeds.
#[test]
fn a_line_that_is_cut_costs_a_chunk_or_a_second_run() {
    let (Some(clients), Some(program)) = (Clients::new(), peer("docker-registry")) else { return };
    let registry = DockerRegistry::anonymous(&program);
    let mut layout = OciLayout::create(&clients.path("layout"));
    let layers = [layout.random_layer(1, 12_000_000)];
    let descriptor = layout.image("amd64", &layers);
    let reference = layout.tag("image", &descriptor);
    run(clients.skopeo().args(["copy", "--insecure-policy", &reference, "dir:image"]));
    for (bytes, code) in [(4_000_000, 0), (10_000_000, 1)] {
        let line = Line::cut(registry.host(), bytes);
        let image = format!("docker://{}/cut/at-{bytes}:1", line.authority);
        let copy = || {
            let mut command = clients.ours();
            command.args([
                "copy",
                "-q",
                "--insecure-policy",
                "--image-parallel-copies=1",
                TO_HTTP,
                "dir:image",
                &image,
            ]);
            finish(&mut command)
        };
        let output = copy();
        assert!(line.is_broken());
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(copy().status.code(), Some(0));
        assert_round_trip(&clients, &[TO_HTTP], &[FROM_HTTP], "dir:image", &image);
    }
}

/// A registry with signatures, and what reads them.
struct Signed {
    clients: Clients,
    registry: DockerRegistry,
    registries_d: PathBuf,
    manifest: ManifestBytes,
}

impl Signed {
    /// An image of no layers; registries.d says this of the registry.
    fn new(registries_d: &dyn Fn(&Path) -> String) -> Option<Self> {
        let (clients, program) = (Clients::new()?, peer("docker-registry")?);
        let registry = DockerRegistry::anonymous(&program);
        let directory = clients.path("registries.d");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("all.yaml"), registries_d(&clients.path("store"))).unwrap();
        let mut layout = OciLayout::create(&clients.path("layout"));
        let layers = [layout.random_layer(1, 1000)];
        let descriptor = layout.image("amd64", &layers);
        let reference = layout.tag("image", &descriptor);
        run(clients.skopeo().args(["copy", "--insecure-policy", &reference, "dir:image"]));
        let image = registry.image("org/app:1");
        run(clients.ours().args(["copy", "-q", "--insecure-policy", TO_HTTP, "dir:image", &image]));
        let bytes = fs::read(clients.path("image/manifest.json")).unwrap();
        let manifest = ManifestBytes::new(bytes, MediaType::OCI_MANIFEST);
        Some(Self { clients, registry, registries_d: directory, manifest })
    }

    fn destination(&self) -> Box<dyn ImageDestination> {
        let mut paths = Paths::isolated(&self.clients.path("."));
        paths.registries_d = Some(self.registries_d.clone());
        let config = Config::load_from(paths).unwrap();
        let options = Options { tls_verify: Some(false), ..Options::default() };
        let reference: ImageReference = self.registry.image("org/app:1").parse().unwrap();
        let to = destination::open_with(&config, &reference, &options).unwrap();
        to.put_manifest(&self.manifest, None).unwrap();
        to
    }

    fn sign(&self, signatures: &[UntrustedSignature]) {
        let to = self.destination();
        to.check_signatures(signatures).unwrap();
        to.put_signatures(signatures, None).unwrap();
        to.commit().unwrap();
    }

    /// What skopeo finds, as it writes it into files.
    fn found_by_skopeo(&self) -> Vec<Vec<u8>> {
        let copy = self.clients.path("found");
        drop(fs::remove_dir_all(&copy));
        let mut command = self.clients.skopeo();
        command.arg("--registries.d").arg(&self.registries_d).args(["copy", "-q", "--insecure-policy", FROM_HTTP]);
        run(command.arg(self.registry.image("org/app:1")).arg(format!("dir:{}", copy.display())));
        let file = |n: usize| fs::read(copy.join(format!("signature-{n}"))).ok();
        (1..).map_while(file).collect()
    }
}

fn simple(text: &str) -> UntrustedSignature {
    UntrustedSignature::SimpleSigning([b"\x90", text.as_bytes()].concat())
}

fn sigstore(text: &str, annotation: &str) -> UntrustedSignature {
    UntrustedSignature::Sigstore(SigstoreSignature {
        media_type: MediaType::COSIGN_PAYLOAD,
        payload: text.as_bytes().to_vec(),
        annotations: BTreeMap::from([("dev.cosignproject.cosign/signature".to_owned(), annotation.to_owned())]),
    })
}

fn stored(signatures: &[UntrustedSignature]) -> Vec<Vec<u8>> {
    signatures.iter().map(UntrustedSignature::to_stored).collect()
}

#[test]
fn simple_signatures_are_files_of_the_staging_store_that_skopeo_reads() {
    let yaml = |store: &Path| {
        format!("default-docker: {{lookaside: 'file://{0}', lookaside-staging: 'file://{0}'}}\n", store.display())
    };
    let Some(signed) = Signed::new(&yaml) else { return };
    for signatures in [&["one", "two", "three"][..], &["four"], &["five", "six"]] {
        let signatures: Vec<_> = signatures.iter().map(|text| simple(text)).collect();
        signed.sign(&signatures);
        assert_eq!(signed.found_by_skopeo(), stored(&signatures));
    }
    let directory = format!("store/org/app@sha256={}", signed.manifest.digest().encoded());
    let mut names: Vec<_> =
        fs::read_dir(signed.clients.path(&directory)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["signature-1", "signature-2"]);
    // None at all change nothing.
    signed.sign(&[]);
    assert_eq!(signed.found_by_skopeo().len(), 2);
}

#[test]
fn sigstore_signatures_are_added_to_those_that_skopeo_reads() {
    let yaml = |_: &Path| "default-docker: {use-sigstore-attachments: true}\n".to_owned();
    let Some(signed) = Signed::new(&yaml) else { return };
    let [one, other, two] = [sigstore("one", "a"), sigstore("one", "b"), sigstore("two", "a")];
    signed.sign(std::slice::from_ref(&one));
    assert_eq!(signed.found_by_skopeo(), stored(std::slice::from_ref(&one)));
    // The same again, one with another annotation, and a new one twice.
    signed.sign(&[one.clone(), other.clone(), two.clone(), two.clone()]);
    assert_eq!(signed.found_by_skopeo(), stored(&[one, other, two]));
}

#[test]
fn skopeo_adds_to_our_signatures_and_we_to_skopeo_s() {
    let yaml = |_: &Path| "default-docker: {use-sigstore-attachments: true}\n".to_owned();
    let Some(signed) = Signed::new(&yaml) else { return };
    let signatures = [sigstore("one", "a"), sigstore("two", "b"), sigstore("three", "c")];
    signed.sign(&signatures[..1]);
    fs::write(signed.clients.path("image/signature-1"), signatures[1].to_stored()).unwrap();
    let mut command = signed.clients.skopeo();
    command.arg("--registries.d").arg(&signed.registries_d).args(["copy", "-q", "--insecure-policy", TO_HTTP]);
    run(command.args(["dir:image", &signed.registry.image("org/app:1")]));
    signed.sign(&signatures[2..]);
    assert_eq!(signed.found_by_skopeo(), stored(&signatures));
}

#[test]
fn a_bundle_refers_to_the_image_in_a_registry_that_knows_nothing_of_it() {
    let yaml = |_: &Path| "default-docker: {use-sigstore-attachments: true}\n".to_owned();
    let Some(signed) = Signed::new(&yaml) else { return };
    let bundle = |text: &str| {
        UntrustedSignature::Sigstore(SigstoreSignature {
            media_type: MediaType::SIGSTORE_BUNDLE,
            payload: text.as_bytes().to_vec(),
            annotations: BTreeMap::new(),
        })
    };
    for bundles in [&[bundle("one")][..], &[bundle("one"), bundle("two")]] {
        signed.sign(bundles);
    }
    let subject = signed.manifest.digest();
    let raw = |rest: &str| -> Value {
        let image = signed.registry.image(&format!("org/app{rest}"));
        serde_json::from_slice(&run(signed.clients.skopeo().args(["inspect", "--raw", "--tls-verify=false", &image])))
            .unwrap()
    };
    let index = raw(&format!(":sha256-{}", subject.encoded()));
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for (entry, text) in entries.iter().zip(["one", "two"]) {
        assert_eq!(entry["artifactType"], MediaType::SIGSTORE_BUNDLE.as_str());
        let manifest = raw(&format!("@{}", entry["digest"].as_str().unwrap()));
        assert_eq!(manifest["artifactType"], MediaType::SIGSTORE_BUNDLE.as_str());
        assert_eq!(manifest["subject"]["digest"], subject.as_str());
        assert_eq!(manifest["subject"]["size"], signed.manifest.size());
        assert_eq!(manifest["layers"][0]["digest"], Digest::sha256(text.as_bytes()).as_str());
        let config: Descriptor = serde_json::from_value(manifest["config"].clone()).unwrap();
        assert_eq!((config.size(), config.media_type().to_string().as_str()), (2, "application/vnd.oci.empty.v1+json"));
    }
}
