//! Signing an image, in whichever format.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Payload, PayloadKind, SigstoreSignature, UntrustedSignature, openpgp, sigstore};
use crate::digest::Digest;
use crate::media_type::MediaType;

/// Who signs, and so in which format.
///
/// With the feature `openpgp-rust`, and with an OpenPGP key only, the time that signing takes depends on the secret key:
/// do not sign where a stranger can measure that.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImageSigner {
    /// Simple signing with an OpenPGP key.
    SimpleSigning(openpgp::SigningKey),
    /// cosign's format, with a key.
    Sigstore(sigstore::PrivateKey),
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageSignerError {
    /// The OpenPGP key did not sign. Prints as its cause.
    #[error("{0}")]
    OpenPgp(#[from] openpgp::SigningError),
    /// The sigstore key did not sign. Prints as its cause.
    #[error("{0}")]
    Sigstore(#[from] sigstore::SignError),
}

impl ImageSigner {
    /// Signs a manifest under a name; `made` goes into the signature for people to see.
    pub fn sign(
        &self,
        manifest: &Digest,
        docker_reference: &str,
        made: SystemTime,
    ) -> Result<UntrustedSignature, ImageSignerError> {
        let payload = |kind| Payload {
            creator: Some(concat!("transship ", env!("CARGO_PKG_VERSION")).to_owned()),
            timestamp: made.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok()),
            ..Payload::new(kind, manifest.clone(), docker_reference)
        };
        Ok(match self {
            Self::SimpleSigning(key) => {
                UntrustedSignature::SimpleSigning(key.sign(&payload(PayloadKind::SimpleSigning))?)
            }
            Self::Sigstore(key) => UntrustedSignature::Sigstore(key.sign(&payload(PayloadKind::Sigstore))?),
        })
    }

    /// A signature of nothing, in the format of this signer's: to ask whether a place could keep one.
    pub fn sample(&self) -> UntrustedSignature {
        match self {
            Self::SimpleSigning(_) => UntrustedSignature::SimpleSigning(Vec::new()),
            Self::Sigstore(_) => UntrustedSignature::Sigstore(SigstoreSignature {
                media_type: MediaType::COSIGN_PAYLOAD,
                payload: Vec::new(),
                annotations: BTreeMap::new(),
            }),
        }
    }
}
