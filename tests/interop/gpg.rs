//! gpg with a home of its own, which is where skopeo looks for keys too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::clients::isolated;
use crate::support::command::{finish, run};
use crate::support::peers::peer;

/// What is `.gnupg` of a home. Its agent ends with it.
pub(crate) struct Gpg {
    program: PathBuf,
    home: PathBuf,
}

impl Gpg {
    /// `None` where gpg is missing.
    pub(crate) fn new(home: &Path) -> Option<Self> {
        let gpg = Self { program: peer("gpg")?, home: home.to_owned() };
        let directory = home.join(".gnupg");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        Some(gpg)
    }

    /// Nobody is asked for anything, a passphrase included.
    pub(crate) fn command(&self) -> Command {
        let mut command = isolated(&self.program, &self.home);
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase="]);
        command
    }

    /// Makes a key that signs, and gives its fingerprint.
    pub(crate) fn key(&self, name: &str, algorithm: &str) -> String {
        self.key_with(name, &[], &[algorithm, "sign", "never"])
    }

    /// The same with other options, and with what follows the name.
    pub(crate) fn key_with(&self, name: &str, options: &[&str], words: &[&str]) -> String {
        let user_id = format!("{name} {}", address(name));
        run(self.command().args(options).args(["--quick-gen-key", &user_id]).args(words));
        self.fingerprints(name).remove(0)
    }

    /// The fingerprints of a key and its subkeys.
    pub(crate) fn fingerprints(&self, name: &str) -> Vec<String> {
        let listed = run(self.command().args(["--with-colons", "--list-keys", &address(name)]));
        let listed = String::from_utf8(listed).unwrap();
        let fields = listed.lines().map(|line| line.split(':').collect::<Vec<_>>());
        fields.filter(|fields| fields[0] == "fpr").map(|fields| fields[9].to_owned()).collect()
    }

    /// Writes the public key of that name, and gives the file.
    pub(crate) fn public(&self, name: &str) -> PathBuf {
        self.export(name, "--export", &[], "pub")
    }

    /// Writes the secret key of that name; a passphrase stays on it.
    pub(crate) fn secret(&self, name: &str, options: &[&str]) -> PathBuf {
        self.export(name, "--export-secret-keys", options, "key")
    }

    /// The same without the secret of the primary key, which its owner keeps elsewhere.
    pub(crate) fn secret_subkeys(&self, name: &str) -> PathBuf {
        self.export(name, "--export-secret-subkeys", &[], "subkeys")
    }

    /// Revokes the key of that name, with the certificate that gpg made together with it.
    pub(crate) fn revoke(&self, name: &str) {
        let fingerprint = self.fingerprints(name).remove(0);
        let made = self.home.join(format!(".gnupg/openpgp-revocs.d/{fingerprint}.rev"));
        // A colon keeps it from being imported by mistake.
        let ready = fs::read_to_string(made).unwrap().replace(":-----BEGIN", "-----BEGIN");
        let path = self.home.join("revocation");
        fs::write(&path, ready).unwrap();
        run(self.command().arg("--import").arg(path));
    }

    /// True when gpg finds the signature of an inline-signed message good.
    pub(crate) fn verifies(&self, message: &Path) -> bool {
        finish(self.command().arg("--verify").arg(message)).status.success()
    }

    fn export(&self, name: &str, what: &str, options: &[&str], suffix: &str) -> PathBuf {
        let path = self.home.join(format!("{name}.{suffix}"));
        fs::write(&path, run(self.command().args(options).args([what, &address(name)]))).unwrap();
        path
    }
}

/// Which key is meant: a name alone is a part of other names.
fn address(name: &str) -> String {
    format!("<{name}@example.com>")
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let kill = self.program.with_file_name("gpgconf");
        drop(isolated(&kill, &self.home).args(["--kill", "all"]).output());
    }
}
