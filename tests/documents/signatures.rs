//! `docs/signatures.md`, and what README.md shows of it: the examples are run, in a home of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use transship::config::{Paths, RegistriesD};
use transship::signature::{Payload, PayloadKind};

use crate::console;
use crate::page::{blocks, document, section};
use crate::support::clients::isolated;
use crate::support::command::run;
use crate::support::local::docker_image;
use crate::support::peers::peer;
use crate::support::uploads::{RunningUploads, Uploads};

const PAGE: &str = "docs/signatures.md";
const UNSIGNED: &str = "docker://registry.example.com/org/app:unsigned";

/// A home with what the page takes for granted: its policy, a registry, an image, a passphrase, and a list.
struct World {
    home: TempDir,
    gpgconf: PathBuf,
    registry: RunningUploads,
}

impl World {
    /// `None` where a program is missing that the page uses.
    fn new() -> Option<Self> {
        let [gpgconf, _gpg, _jq] = [peer("gpgconf")?, peer("gpg")?, peer("jq")?];
        let registry = Uploads::new().serve();
        let world = Self { home: tempfile::tempdir().unwrap(), gpgconf, registry };
        let home = world.home.path().to_str().unwrap();
        let page = document(PAGE);
        let policy = blocks(section(&page, "## Verify in a pipeline"), "json")[0].replace("/etc/pki/containers", home);
        world.write(".config/containers/policy.json", &policy);
        let location = world.registry.authority();
        let conf = "[[registry]]\nprefix = \"registry.example.com\"\ninsecure = true\n";
        world.write("registries.conf", &format!("{conf}location = \"{location}\"\n"));
        // Signatures are looked for where the registry really is.
        world.write(
            ".config/containers/registries.d/here.yaml",
            &format!(
                "docker:\n  {location}:\n    lookaside: file://{home}/signatures\n    use-sigstore-attachments: true\n"
            ),
        );
        world.write("passphrase", "correct horse\n");
        world.write("images.txt", &listed(&page));
        docker_image(&world.home.path().join("app"), "app", &["one"]);
        docker_image(&world.home.path().join("other"), "other", &["two"]);
        run(world.command(Path::new(env!("CARGO_BIN_EXE_transship"))).args(["copy", "--quiet", "dir:other", UNSIGNED]));
        Some(world)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program that finds ours by its name.
    fn command(&self, program: &Path) -> Command {
        let ours = Path::new(env!("CARGO_BIN_EXE_transship")).parent().unwrap();
        let mut command = isolated(program, self.home.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", ours.display()));
        command
    }

    fn run_consoles(&self, page: &str) {
        for block in blocks(page, "console") {
            console::run(block, &mut self.command(Path::new("/bin/sh")));
        }
    }
}

/// gpg leaves an agent behind.
impl Drop for World {
    fn drop(&mut self) {
        let _ = self.command(&self.gpgconf).args(["--kill", "all"]).output();
    }
}

/// What the page shows of the list of images.
fn listed(page: &str) -> String {
    let (_, rest) = page.split_once("$ cat images.txt\n").unwrap();
    rest.split_once("$ ").unwrap().0.to_owned()
}

#[test]
fn the_examples_do_what_the_page_shows() {
    let Some(world) = World::new() else { return };
    world.run_consoles(&document(PAGE));
    world.run_consoles(section(&document("README.md"), "## Verify"));
}

#[test]
fn each_key_of_registries_d_is_looked_for_by_itself() {
    let page = document(PAGE);
    let configured = RegistriesD::parse(blocks(&page, "yaml")[0].as_bytes(), Path::new("signatures.md")).unwrap();
    let tool = "registry.example.com/tools/app:1".parse().unwrap();
    let read = configured.lookaside(&tool).unwrap();
    assert_eq!(read.to_string(), "https://signatures.example.com/sigstore/tools/app");
    assert_eq!(configured.lookaside_staging(&tool).unwrap().to_string(), "file:///srv/signatures/tools/app");
    assert!(configured.use_sigstore_attachments(&tool));
    let app = "registry.example.com/org/app:1".parse().unwrap();
    let digest = transship::Digest::sha256(b"test");
    let first = configured.lookaside(&app).unwrap().signature(&digest, 0).to_string();
    let (shown, _) = page.split_once("9f86…/signature-1").unwrap();
    assert!(first.starts_with(&format!("{}9f86", shown.rsplit_once('`').unwrap().1)), "{first}");
    assert!(!configured.use_sigstore_attachments(&app));
}

#[test]
fn the_default_directory_is_where_the_page_says() {
    let page = document(PAGE);
    let mut paths = Paths::isolated(Path::new("/"));
    paths.environment.home = Some("/~".into());
    let of_user = paths.default_lookaside_dir().unwrap();
    paths.environment.uid = 0;
    for directory in [of_user, paths.default_lookaside_dir().unwrap()] {
        let shown = directory.to_str().unwrap().replace("/~", "~");
        assert!(page.contains(&format!("`{shown}`")), "{shown}");
    }
}

#[test]
fn the_payload_of_the_page_is_one() {
    let page = document(PAGE);
    let payload = Payload::parse(blocks(&page, "json")[0].as_bytes(), PayloadKind::SimpleSigning).unwrap();
    assert_eq!(payload.docker_reference, "registry.example.com/org/app:1");
}

#[test]
fn the_limits_are_those_of_the_code() {
    let page = document(PAGE);
    let size = transship::signature::MAX_SIGNATURE_SIZE / (1024 * 1024);
    assert!(page.contains(&format!("larger than {size} MiB")));
    assert!(page.contains(&format!("more than {} for one manifest", transship::signature::MAX_SIGNATURES)));
}
