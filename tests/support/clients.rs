//! Our program and skopeo, run with the same words in the same surroundings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tempfile::TempDir;

use super::command::run;
use super::listing::{assert_same, contents};
use super::peers::peer;

/// Two programs, and a directory that is their home and holds what they write.
pub struct Clients {
    skopeo: PathBuf,
    home: TempDir,
}

impl Clients {
    /// `None` where skopeo is missing.
    pub fn new() -> Option<Self> {
        let clients = Self { skopeo: peer("skopeo")?, home: tempfile::tempdir().unwrap() };
        clients.registries_conf("");
        Some(clients)
    }

    pub fn ours(&self) -> Command {
        self.command(Path::new(env!("CARGO_BIN_EXE_transship")))
    }

    pub fn skopeo(&self) -> Command {
        self.this_skopeo(&self.skopeo)
    }

    /// No skopeo of Debian's reads `CONTAINERS_REGISTRIES_CONF`.
    pub fn this_skopeo(&self, program: &Path) -> Command {
        let mut command = self.command(program);
        command.arg("--registries-conf").arg(self.path("registries.conf"));
        command
    }

    /// What both read as registries.conf from now on.
    pub fn registries_conf(&self, text: &str) {
        fs::write(self.path("registries.conf"), text).unwrap();
    }

    /// An auth file with one account.
    pub fn auth_file(&self, host: &str, user: &str, password: &str) -> PathBuf {
        let path = self.path("auth.json");
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        fs::write(&path, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
        path
    }

    /// A path in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Has skopeo write an image into a registry.
    pub fn push(&self, options: &[&str], from: &str, to: &str) {
        run(self
            .skopeo()
            .args(["copy", "--insecure-policy", "--dest-tls-verify=false"])
            .args(options)
            .args([from, to]));
    }

    /// Has both copy an image into `dir:` and into `oci:`, and finds the same files with the same bytes.
    pub fn assert_same_copies(&self, options: &[&str], from: &str) -> Copies {
        let copies = Copies { root: tempfile::tempdir_in(self.home.path()).unwrap() };
        for transport in ["dir", "oci"] {
            for (program, mut command) in [("ours", self.ours()), ("skopeo", self.skopeo())] {
                let to = copies.reference(transport, program);
                run(command.args(["copy", "--insecure-policy"]).args(options).args([from, &to]));
            }
            let [ours, skopeos] = ["ours", "skopeo"].map(|program| contents(&copies.path(transport, program)));
            assert_same(&ours, &skopeos);
        }
        copies
    }

    /// Nothing of the machine's or the user's own configuration.
    fn command(&self, program: &Path) -> Command {
        isolated(program, self.home.path())
    }
}

/// A program with an empty home, which has its registries.conf too: nothing of this machine is configured.
pub fn isolated(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("CONTAINERS_REGISTRIES_CONF", home.join("registries.conf"))
        .env("CONTAINERS_REGISTRIES_CONF_DIR", home.join("no registries.conf.d"))
        .current_dir(home);
    command
}

/// What [`Clients::assert_same_copies`] has made.
pub struct Copies {
    root: TempDir,
}

impl Copies {
    /// Transport `dir` or `oci`, program `ours` or `skopeo`.
    pub fn path(&self, transport: &str, program: &str) -> PathBuf {
        self.root.path().join(format!("{transport}-{program}"))
    }

    /// The same as the programs name it.
    pub fn reference(&self, transport: &str, program: &str) -> String {
        let tag = if transport == "oci" { ":copy" } else { "" };
        format!("{transport}:{}{tag}", self.path(transport, program).display())
    }
}
