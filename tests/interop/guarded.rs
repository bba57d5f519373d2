//! Our program, and a policy that lets in nothing but what is signed.

use std::fs;
use std::path::PathBuf;

use sequoia_openpgp::Cert;
use serde_json::json;
use transship::Digest;
use transship::signature::{Payload, PayloadKind};

use crate::program::Program;
use crate::support::image::Image;
use crate::support::registry::RunningRegistry;
use crate::support::signature_store::SignatureStore;
use crate::support::signing_keys::{DAY, certificate, public, sign};

/// Our program, whose policy wants everything signed with one key, under the image's own name. Signatures are in the
/// directory `store`, whatever the registry.
pub(crate) struct Guarded {
    pub(crate) program: Program,
    signer: Cert,
}

impl Guarded {
    pub(crate) fn new() -> Self {
        let (program, signer) = (Program::new(), certificate("good", DAY));
        let key = program.path("good.pub");
        fs::write(&key, public(&signer)).unwrap();
        let signed_by = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": key});
        program.policy(&json!({"default": [signed_by]}).to_string());
        let guarded = Self { program, signer };
        guarded.lookaside(&format!("file://{}", guarded.store().display()));
        guarded
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.program.path("store")
    }

    pub(crate) fn lookaside(&self, url: &str) {
        self.registries_d(&format!("default-docker: {{lookaside: '{url}'}}\n"));
    }

    pub(crate) fn registries_d(&self, yaml: &str) {
        self.program.write(".config/containers/registries.d/all.yaml", yaml);
    }

    pub(crate) fn insecure(&self, registry: &RunningRegistry) {
        self.program
            .registries_conf(&format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.authority()));
    }

    /// A good signature, which is the signer's word for this manifest under this name.
    pub(crate) fn message(&self, digest: &Digest, name: &str) -> Vec<u8> {
        sign(&self.signer, &Payload::new(PayloadKind::SimpleSigning, digest.clone(), name).to_json())
    }

    /// Puts a signature where those of the physical repository are.
    pub(crate) fn signed(&self, repository: &str, image: &Image, name: &str) {
        let message = self.message(&image.digest(), name);
        SignatureStore::new().signature(repository, &image.digest(), message).write(&self.store());
    }
}
