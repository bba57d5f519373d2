//! Keys as gpg keeps them, and how they change with time.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use tempfile::TempDir;
use transship::signature::openpgp::{Keyring, VerifyError};

use crate::peers::peer;
use crate::signing_keys::DAY;

const CONTENT: &[u8] = b"{\"critical\": 1}";

/// A home of gpg's own; `None` where gpg is not installed.
struct Gpg {
    program: std::path::PathBuf,
    home: TempDir,
}

impl Gpg {
    fn new() -> Option<Self> {
        Some(Self { program: peer("gpg")?, home: tempfile::Builder::new().prefix("gpg").tempdir().unwrap() })
    }

    /// Runs gpg as if it were some days ago.
    fn run(&self, days_ago: u32, words: &[&str]) {
        let date = jiff::Timestamp::try_from(SystemTime::now() - days_ago * DAY).unwrap();
        let date = date.strftime("%Y%m%dT%H%M%S").to_string();
        let output = Command::new(&self.program)
            .env("GNUPGHOME", self.home.path())
            .args([
                "--batch",
                "--quiet",
                "--yes",
                "--pinentry-mode=loopback",
                "--passphrase=",
                "--faked-system-time",
                &date,
            ])
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// A message that was signed some days ago.
    fn sign(&self, days_ago: u32) -> Vec<u8> {
        std::fs::write(self.path("content"), CONTENT).unwrap();
        let (content, signed) = (self.path("content"), self.path("signed"));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        self.run(days_ago, &["--output", &text(&signed), "--sign", &text(&content)]);
        std::fs::read(signed).unwrap()
    }

    /// The fingerprint and the keyring.
    fn export(&self, name: &str) -> (String, Keyring) {
        let path = self.path("exported");
        self.run(0, &["--output", path.to_str().unwrap(), "--export", name]);
        let mut keyring = Keyring::default();
        keyring.add(&std::fs::read(path).unwrap());
        (keyring.fingerprints()[0].clone(), keyring)
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").env("GNUPGHOME", self.home.path()).args(["--kill", "all"]).output();
    }
}

#[test]
fn a_key_whose_expiry_was_put_off_keeps_its_signatures() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.run(60, &["--quick-generate-key", "alice@example.com", "ed25519", "sign", "40d"]);
    let message = gpg.sign(50);
    let (fingerprint, keyring) = gpg.export("alice@example.com");
    let error = keyring.verify(&message, SystemTime::now()).unwrap_err();
    assert!(matches!(&error, VerifyError::BadKey { reason, .. } if reason.contains("Expired on")), "{error}");

    gpg.run(0, &["--quick-set-expire", &fingerprint, "1y"]);
    let (_, renewed) = gpg.export("alice@example.com");
    let verified = renewed.verify(&message, SystemTime::now()).unwrap();
    assert_eq!((verified.certificate, verified.content), (fingerprint, CONTENT.to_vec()));
    let bent: Vec<u8> = message.iter().rev().enumerate().map(|(index, byte)| byte ^ u8::from(index == 3)).collect();
    let bent: Vec<u8> = bent.into_iter().rev().collect();
    assert!(renewed.verify(&bent, SystemTime::now()).is_err());
}

#[test]
fn a_renewed_subkey_keeps_its_signatures_too_and_a_revoked_one_loses_them() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.run(60, &["--quick-generate-key", "bob@example.com", "ed25519", "cert", "1y"]);
    let (fingerprint, _) = gpg.export("bob@example.com");
    gpg.run(59, &["--quick-add-key", &fingerprint, "ed25519", "sign", "30d"]);
    let message = gpg.sign(50);
    let (_, before) = gpg.export("bob@example.com");
    assert!(before.verify(&message, SystemTime::now()).is_err(), "the subkey has expired");
    gpg.run(35, &["--quick-set-expire", &fingerprint, "1y", "*"]);
    let (_, renewed) = gpg.export("bob@example.com");
    let verified = renewed.verify(&message, SystemTime::now()).unwrap();
    assert_eq!(verified.certificate, fingerprint);
    assert_ne!(verified.key, fingerprint);

    gpg.run(0, &["--import", gpg.revocation(&fingerprint).to_str().unwrap()]);
    let (_, revoked) = gpg.export("bob@example.com");
    let error = revoked.verify(&message, SystemTime::now()).unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
}

impl Gpg {
    /// The revocation that gpg prepares with each key, made usable: a `:` before its armor keeps it from being imported by
    /// accident.
    fn revocation(&self, fingerprint: &str) -> std::path::PathBuf {
        let prepared = self.path(&format!("openpgp-revocs.d/{fingerprint}.rev"));
        let text = std::fs::read_to_string(prepared).unwrap().replace(":-----BEGIN", "-----BEGIN");
        let path = self.path("revocation");
        std::fs::write(&path, text).unwrap();
        path
    }
}
