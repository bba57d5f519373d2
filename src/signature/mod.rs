//! Signatures of images: bytes and values, no I/O, no clock.
//!
//! A signature says that somebody vouches for a manifest, named by its digest, under a name. Nothing in it is to be
//! believed before it was verified, which is what [`openpgp`] and [`sigstore`] do, each against the keys it is given;
//! whether the name fits the image and the key is the right one is decided in the room `policy`.
//!
//! The formats are those of
//! [containers-signature(5)](https://github.com/containers/image/blob/main/docs/containers-signature.5.md) and of
//! [cosign](https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).

mod payload;
mod signer;
mod stored;

pub mod openpgp;
pub mod sigstore;

pub use payload::{Payload, PayloadError, PayloadKind};
pub use signer::{ImageSigner, ImageSignerError};
pub use sigstore::SigstoreSignature;
pub use stored::FormatError;

/// No signature is larger: 4 MiB, the field's limit.
pub const MAX_SIGNATURE_SIZE: u64 = 4 * 1024 * 1024;

/// More signatures than this of one manifest are taken for an attack, or a broken server.
pub const MAX_SIGNATURES: usize = 128;

/// So are more bytes of signatures of one manifest: 32 MiB, a thousand times what real ones need.
pub const MAX_SIGNATURES_SIZE: u64 = 32 * 1024 * 1024;

/// A signature as it was found. It has been neither verified nor, beyond its outer form, read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UntrustedSignature {
    /// An OpenPGP message, signed inline, around a [`Payload`].
    SimpleSigning(Vec<u8>),
    /// A signature of cosign's: a payload with annotations, or a bundle.
    Sigstore(SigstoreSignature),
}

impl UntrustedSignature {
    /// How many bytes it takes in memory.
    pub fn size(&self) -> u64 {
        match self {
            Self::SimpleSigning(message) => message.len() as u64,
            Self::Sigstore(signature) => signature.size(),
        }
    }

    /// What the formats are called: in stored signatures, and in reports.
    pub fn format(&self) -> &'static str {
        match self {
            Self::SimpleSigning(_) => stored::SIMPLE_SIGNING,
            Self::Sigstore(_) => stored::SIGSTORE_JSON,
        }
    }
}
