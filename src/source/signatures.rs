//! Where the signatures of an image were found.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use super::Error;
use crate::digest::Digest;
use crate::reference::{Name, Reference};
use crate::safe_url::SafeUrl;
use crate::signature::{MAX_SIGNATURES, MAX_SIGNATURES_SIZE, UntrustedSignature};

/// What signatures are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureDemand {
    /// A policy judges by them: every place that may have some is asked.
    Judged,
    /// They only go along with a copy: a registry is not asked whether it keeps some of its own accord.
    Carried,
}

/// A signature, and where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundSignature {
    /// The signature.
    pub signature: UntrustedSignature,
    /// Where it was.
    pub place: SignaturePlace,
}

/// Where a signature was. Printed so that it can be looked up there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignaturePlace {
    /// A file: of a lookaside store on this machine, or beside a `dir:` image.
    File(PathBuf),
    /// A lookaside store on a web server.
    Lookaside(SafeUrl),
    /// A registry with the `X-Registry-Supports-Signatures` extension.
    Extension {
        /// The repository.
        name: Name,
        /// What the registry calls the signature.
        signature: String,
    },
    /// A sigstore attachment: a layer of the image under a tag `sha256-….sig`.
    Attachment {
        /// That tag.
        reference: Reference,
        /// The layer.
        layer: Digest,
    },
    /// An artifact that says that it refers to the image.
    Referrer(Reference),
    /// A place of an embedder's own [`ImageSource`](super::ImageSource), in its words.
    Other(String),
}

impl FoundSignature {
    /// Of an embedder's own [`ImageSource`](super::ImageSource).
    pub fn new(signature: UntrustedSignature, place: SignaturePlace) -> Self {
        Self { signature, place }
    }
}

impl fmt::Display for SignaturePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Lookaside(url) => url.fmt(f),
            Self::Extension { name, signature } => {
                write!(f, "{name} (signature extension, ")?;
                // The registry's word, which is not to move the cursor.
                let mut write =
                    |c: char| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) };
                signature.chars().try_for_each(&mut write)?;
                f.write_char(')')
            }
            Self::Attachment { reference, layer } => write!(f, "{reference} (layer {layer})"),
            Self::Referrer(reference) => reference.fmt(f),
            Self::Other(place) => place.fmt(f),
        }
    }
}

/// Signatures that are kept in files with numbers: from the first, which has the index 0, to the one before the first
/// that `read` does not find.
///
/// # Errors
/// When there are too many `at` that place ([`MAX_SIGNATURES`], [`MAX_SIGNATURES_SIZE`]), or one of the files is no signature.
pub(super) fn numbered(
    at: &dyn fmt::Display,
    read: impl Fn(usize) -> Result<Option<(SignaturePlace, Vec<u8>)>, Error>,
) -> Result<Vec<FoundSignature>, Error> {
    let mut found = Vec::new();
    while let Some((place, bytes)) = read(found.len())? {
        expect_room(at, &found)?;
        match UntrustedSignature::from_stored(&bytes) {
            Ok(signature) => found.push(FoundSignature { signature, place }),
            Err(source) => return Err(Error::NotASignature { place, source }),
        }
    }
    Ok(found)
}

/// An error when there are as many signatures as there may be, and one more; or too many bytes of them.
pub(super) fn expect_room(at: &dyn fmt::Display, found: &[FoundSignature]) -> Result<(), Error> {
    expect_count(at, found.len())?;
    let size = found.iter().map(|found| found.signature.size()).fold(0, u64::saturating_add);
    if size < MAX_SIGNATURES_SIZE { Ok(()) } else { Err(Error::TooManySignatures { at: at.to_string() }) }
}

/// The same before any is read.
pub(super) fn expect_count(at: &dyn fmt::Display, count: usize) -> Result<(), Error> {
    if count < MAX_SIGNATURES { Ok(()) } else { Err(Error::TooManySignatures { at: at.to_string() }) }
}
