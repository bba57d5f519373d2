//! Images in memory with signatures of the tests' own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sequoia_openpgp::Cert;
use serde_json::{Value, json};
use transship::config::PolicyJson;
use transship::manifest::{Descriptor, ManifestBytes};
use transship::policy::{Error, Judgement, Policy};
use transship::signature::{Payload, PayloadKind, UntrustedSignature};
use transship::source::{self, BlobReader, FoundSignature, ImageSource, SignatureDemand, SignaturePlace};
use transship::{Digest, ImageReference, MediaType};

use crate::signing_keys::{public, sign};

/// An image under a name, with signatures found in files `1`, `2`, and so on.
pub(crate) struct Made {
    reference: ImageReference,
    manifest: Arc<ManifestBytes>,
    signatures: Vec<UntrustedSignature>,
    /// How often the signatures were asked for.
    pub(crate) asked: AtomicUsize,
}

pub(crate) fn manifest(seed: &str) -> ManifestBytes {
    let document =
        json!({"schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST.as_str(), "annotations": {"a": seed}});
    ManifestBytes::new(document.to_string().into_bytes(), MediaType::OCI_MANIFEST)
}

impl Made {
    pub(crate) fn new(reference: &str, manifest: ManifestBytes, signatures: Vec<UntrustedSignature>) -> Self {
        let reference = reference.parse().unwrap();
        Self { reference, manifest: Arc::new(manifest), signatures, asked: AtomicUsize::new(0) }
    }
}

impl ImageSource for Made {
    fn logical(&self) -> &ImageReference {
        &self.reference
    }

    fn physical(&self) -> &ImageReference {
        &self.reference
    }

    fn manifest(&self, _instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, source::Error> {
        Ok(Arc::clone(&self.manifest))
    }

    fn blob(&self, _descriptor: &Descriptor) -> Result<BlobReader, source::Error> {
        Err(source::Error::NoPullSource)
    }

    fn signatures(
        &self,
        _instance: Option<&Digest>,
        _demand: SignatureDemand,
    ) -> Result<Vec<FoundSignature>, source::Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self.signatures.iter().enumerate().map(|(index, signature)| {
            let place = SignaturePlace::File(PathBuf::from((index + 1).to_string()));
            FoundSignature::new(signature.clone(), place)
        });
        Ok(found.collect())
    }
}

/// A simple signature of `manifest` for `name`.
pub(crate) fn signed(by: &Cert, manifest: &ManifestBytes, name: &str) -> UntrustedSignature {
    let payload = Payload::new(PayloadKind::SimpleSigning, manifest.digest().clone(), name);
    UntrustedSignature::SimpleSigning(sign(by, &payload.to_json()))
}

pub(crate) fn policy(requirements: &Value) -> Policy {
    let document = json!({"default": requirements}).to_string();
    Policy::new(PolicyJson::parse(document.as_bytes(), Path::new("policy.json")).unwrap())
}

/// `signedBy` the certificates, with this kind of identity.
pub(crate) fn signed_by(certificates: &[&Cert], identity: &Value) -> Value {
    use base64::Engine as _;
    let keys: Vec<u8> = certificates.iter().flat_map(|certificate| public(certificate)).collect();
    let data = base64::prelude::BASE64_STANDARD.encode(keys);
    json!({"type": "signedBy", "keyType": "GPGKeys", "keyData": data, "signedIdentity": identity})
}

pub(crate) fn of_kind(kind: &str) -> Value {
    json!({"type": kind})
}

/// The policy's answer: why it is allowed, or the whole error in one line.
pub(crate) fn judged(policy: &Policy, image: &dyn ImageSource) -> Result<Judgement, String> {
    let outcome = policy.allow(image, None);
    outcome.map(|allowed| allowed.judgement().clone()).map_err(|error: Error| transship::error::one_line(&error))
}
