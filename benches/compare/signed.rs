//! A policy that wants a signature, the key that it names, and the store where both programs find one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tempfile::TempDir;
use transship::signature::ImageSigner;
use transship::signature::openpgp::SigningKey;

use super::images::Image;
use super::support::command::run;
use super::support::signature_store::SignatureStore;
use super::support::signing_keys;

/// What images are signed as: the registry's port changes, and a proxy has another one.
const NAME: &str = "registry.example/app:1";

/// What the configuration's files say, and who signs.
pub struct Signed {
    files: TempDir,
    signer: ImageSigner,
}

impl Signed {
    /// A new key, and an empty store.
    pub fn new() -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let certificate = signing_keys::certificate("bench", Duration::from_secs(60));
        let key = SigningKey::from_file(&signing_keys::secret(&certificate), None, SystemTime::now()).expect("a key");
        let signed = Self { files, signer: ImageSigner::SimpleSigning(key) };
        let requirement = json!({
            "type": "signedBy",
            "keyType": "GPGKeys",
            "keyPath": signed.path("key.gpg"),
            "signedIdentity": {"type": "exactReference", "dockerReference": NAME},
        });
        let store = format!("default-docker:\n  lookaside: file://{}\n", signed.path("store").display());
        fs::create_dir(signed.path("registries.d")).expect("a directory");
        signed.write("key.gpg", &signing_keys::public(&certificate));
        signed.write("policy.json", json!({"default": [requirement]}).to_string().as_bytes());
        signed.write("registries.d/default.yaml", store.as_bytes());
        signed
    }

    /// Signs an image for every registry that has it.
    pub fn sign(&self, skopeo: &Path, image: &Image) {
        let digest = run(Command::new(skopeo).args(["inspect", "--format={{.Digest}}", &image.layout()]));
        let digest = String::from_utf8(digest).expect("a text").trim().parse().expect("a digest");
        let signature = self.signer.sign(&digest, NAME, SystemTime::now()).expect("a signature");
        SignatureStore::new().signature(image.name, &digest, signature.to_stored()).write(&self.path("store"));
    }

    /// The words for it, which both programs have.
    pub fn options(&self) -> Vec<String> {
        let option = |name: &str, file: &str| format!("--{name}={}", self.path(file).display());
        vec![option("policy", "policy.json"), option("registries.d", "registries.d")]
    }

    fn path(&self, file: &str) -> PathBuf {
        self.files.path().join(file)
    }

    fn write(&self, file: &str, content: &[u8]) {
        fs::write(self.path(file), content).expect("a file");
    }
}
