//! Signatures as cosign makes them, verified against keys, Fulcio's certificates or an own PKI.
//!
//! ```
//! use std::time::SystemTime;
//! use transship::Digest;
//! use transship::signature::sigstore::{self, PrivateKey, PublicKey, Trust};
//! use transship::signature::{Payload, PayloadKind};
//!
//! let key = PrivateKey::generate()?;
//! let payload = Payload::new(PayloadKind::Sigstore, Digest::sha256(b"manifest"), "quay.io/org/app:1");
//! let signature = key.sign(&payload)?;
//!
//! let public = PublicKey::from_pem(key.public_key().to_pem().as_bytes())?;
//! let trust = Trust::Keys { keys: vec![public], rekor: vec![] };
//! let verified = sigstore::verify(&signature, &trust, SystemTime::now())?;
//! assert_eq!(verified.manifest_digest, Digest::sha256(b"manifest"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::media_type::MediaType;
use crate::signature::MAX_SIGNATURE_SIZE;

mod bundle;
mod certificate;
mod error;
mod fulcio;
mod legacy;
mod pem_blocks;
mod pki;
mod private_key;
mod provider;
mod public_key;
mod rekor;
mod statement;

pub use bundle::BundleError;
pub use certificate::{CaCertificates, CertificateError, Clock};
pub use error::{ErrorKind, SigstoreError};
pub use fulcio::Fulcio;
pub use pem_blocks::PemError;
pub use pki::{Pki, PkiError};
pub use private_key::{PrivateKey, PrivateKeyError, SignError};
pub use public_key::{BadSignature, KeyError, PublicKey};
pub use rekor::{RekorError, RekorKey};
pub use statement::StatementError;

/// The annotation with the signature itself, in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// The annotation with the promise of the transparency log, in JSON.
pub const BUNDLE_ANNOTATION: &str = "dev.sigstore.cosign/bundle";

/// The annotation with the certificate of the key, in PEM.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";

/// The annotation with the certificates from there to the authority, in PEM.
pub const CHAIN_ANNOTATION: &str = "dev.sigstore.cosign/chain";

/// A payload with annotations: the layer of an attachment manifest, or the `sigstore-json` of a file.
///
/// A bundle of cosign 3 is one too: its media type is [`MediaType::SIGSTORE_BUNDLE`], and its payload is the bundle's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSignature {
    /// What the payload is: [`MediaType::COSIGN_PAYLOAD`], [`MediaType::SIGSTORE_BUNDLE`], or something that nobody here
    /// verifies.
    pub media_type: MediaType,
    /// The bytes that were signed, or the bundle.
    pub payload: Vec<u8>,
    /// The signature itself, and what vouches for its key.
    pub annotations: BTreeMap<String, String>,
}

impl SigstoreSignature {
    /// The bytes of payload and annotations.
    pub fn size(&self) -> u64 {
        let annotations = self.annotations.iter().map(|(key, value)| key.len().saturating_add(value.len()));
        annotations.fold(self.payload.len(), usize::saturating_add) as u64
    }
}

/// Whose signatures are accepted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those that any of these keys made.
    Keys {
        /// The keys; none accepts nothing.
        keys: Vec<PublicKey>,
        /// The logs of which one must vouch for the signature; with none, no log is asked for.
        rekor: Vec<RekorKey>,
    },
    /// Those of an identity that Fulcio vouches for.
    Fulcio(Fulcio),
    /// Those of a subject that an own PKI vouches for.
    Pki(Pki),
}

/// What a good signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The manifest that is signed.
    pub manifest_digest: Digest,
    /// The name that it is signed under. Nobody has checked that it is a reference; cosign 3 writes none.
    pub docker_reference: Option<String>,
    /// Whose signature it is.
    pub signer: Signer,
    /// When a trusted log saw it.
    pub integrated_time: Option<SystemTime>,
}

/// Who made a signature, as far as that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signer {
    /// Whoever has this key.
    Key(PublicKey),
    /// Whom an OpenID Connect issuer knows under an e-mail address.
    Fulcio {
        /// The address.
        email: String,
        /// The issuer.
        issuer: String,
    },
    /// The subject of a certificate of an own PKI.
    Pki {
        /// Its e-mail address or hostname, or both, as far as they were wanted.
        subject: Vec<String>,
    },
}

/// Verifies a signature: who made it, and what it says. Whether that fits an image is for the caller to compare.
///
/// `now` is for the certificates of an own PKI.
pub fn verify(signature: &SigstoreSignature, trust: &Trust, now: SystemTime) -> Result<Verified, SigstoreError> {
    let size = signature.size();
    if size > MAX_SIGNATURE_SIZE {
        return Err(SigstoreError::TooLarge { size });
    }
    if signature.media_type == MediaType::COSIGN_PAYLOAD {
        legacy::verify(signature, trust, now)
    } else if signature.media_type == MediaType::SIGSTORE_BUNDLE {
        bundle::verify(&signature.payload, trust, now)
    } else {
        Err(SigstoreError::UnsupportedMediaType(signature.media_type.clone()))
    }
}

impl Signer {
    fn fulcio(fulcio: &Fulcio) -> Self {
        Self::Fulcio { email: fulcio.email().to_owned(), issuer: fulcio.issuer().to_owned() }
    }

    fn pki(pki: &Pki) -> Self {
        Self::Pki { subject: pki.subject() }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => fmt::Display::fmt(key, f),
            Self::Fulcio { email, issuer } => write!(f, "{email} (says {issuer})"),
            Self::Pki { subject } => f.write_str(&subject.join(", ")),
        }
    }
}
