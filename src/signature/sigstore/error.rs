//! Why a signature is not accepted, in words for the administrator.

use super::bundle::BundleError;
use super::certificate::CertificateError;
use super::public_key::PublicKey;
use super::rekor::RekorError;
use crate::media_type::MediaType;
use crate::signature::payload::PayloadError;

/// Why a signature is not accepted; [`kind`](Self::kind) sorts the reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigstoreError {
    /// Something that nobody here verifies.
    #[error("unsupported signature of the media type {0:?}")]
    UnsupportedMediaType(MediaType),
    /// A bundle that is no signature of an image: an attestation, say.
    #[error("unsupported bundle: {0}")]
    UnsupportedBundle(String),
    /// More bytes than a signature has.
    #[error("a signature of {size} bytes, at most {limit} are read", limit = crate::signature::MAX_SIGNATURE_SIZE)]
    TooLarge {
        /// How many.
        size: u64,
    },
    /// What vouches for the signature is not there.
    #[error("the annotation {0} is missing")]
    AnnotationMissing(&'static str),
    /// An annotation that is not what it must be.
    #[error("the annotation {annotation} is not base64")]
    AnnotationBase64 {
        /// Which one.
        annotation: &'static str,
        /// Where it is wrong.
        source: base64::DecodeError,
    },
    /// An annotation that is not what it must be.
    #[error("the certificates in the annotation {annotation} cannot be read")]
    AnnotationCertificate {
        /// Which one.
        annotation: &'static str,
        /// Why not.
        source: CertificateError,
    },
    /// It was made with another key, or is of other bytes.
    #[error("the signature was not made with any of the accepted keys ({0})")]
    NotByKey(String),
    /// It was made with another key than the certificate's, or is of other bytes.
    #[error("the signature was not made with the key of its certificate")]
    NotByCertificate,
    /// What vouches for the key is of another sort than what is trusted.
    #[error("the bundle is signed with {found}, expected {expected}")]
    OtherMaterial {
        /// What the policy trusts.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// The signature is good; what it signs cannot be read.
    #[error("what is signed cannot be read")]
    Payload(#[source] PayloadError),
    /// The log does not vouch for it.
    #[error("the transparency log does not vouch for the signature")]
    Rekor(#[source] RekorError),
    /// The certificate is not one that is trusted.
    #[error("the signature's certificate is not accepted")]
    Certificate(#[source] CertificateError),
    /// The bundle is damaged, or does not hold together.
    #[error("the bundle is not accepted")]
    Bundle(#[source] BundleError),
}

/// What sort of reason a [`SigstoreError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It is not a signature that can be verified here: to be passed over.
    Unsupported,
    /// It is damaged, incomplete or forged.
    Invalid,
    /// It is somebody else's than whom the policy wants.
    NotTrusted,
}

impl SigstoreError {
    /// What sort of reason this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnsupportedMediaType(_) | Self::UnsupportedBundle(_) => ErrorKind::Unsupported,
            Self::Certificate(error) => certificate_kind(error),
            Self::NotByKey(_)
            | Self::OtherMaterial { .. }
            | Self::Rekor(RekorError::NotByLog(_))
            | Self::Bundle(BundleError::Verification(sigstore_verify::Error::Certificate(_))) => ErrorKind::NotTrusted,
            _ => ErrorKind::Invalid,
        }
    }

    pub(super) fn not_by_key(keys: &[PublicKey]) -> Self {
        Self::NotByKey(keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

fn certificate_kind(error: &CertificateError) -> ErrorKind {
    match error {
        CertificateError::NotIssued(_)
        | CertificateError::NoAuthorityAt { .. }
        | CertificateError::NotValidAt { .. }
        | CertificateError::NotForCodeSigning
        | CertificateError::Issuer { .. }
        | CertificateError::Email { .. }
        | CertificateError::Hostname { .. } => ErrorKind::NotTrusted,
        _ => ErrorKind::Invalid,
    }
}
