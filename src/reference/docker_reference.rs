//! `docker://`: an image in a registry.

use std::fmt;
use std::str::FromStr;

use super::{ImageReferenceError, Reference};

const UNKNOWN_DIGEST: &str = "@@unknown-digest@@";

/// An image in a registry, by tag or by digest, never by both.
///
/// With neither it is a place to push to by a digest that is not known yet, written `name@@unknown-digest@@`; nothing
/// can be read from there.
///
/// ```
/// use transship::reference::DockerReference;
///
/// let pushed: DockerReference = "quay.io/org/app@@unknown-digest@@".parse()?;
/// assert!(pushed.is_unknown_digest());
/// assert_eq!(pushed.reference().to_string(), "quay.io/org/app");
/// # Ok::<(), transship::reference::ImageReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DockerReference(Reference);

impl DockerReference {
    /// A place to push to by a digest that is not known yet.
    ///
    /// # Errors
    /// [`KnownDigest`](ImageReferenceError::KnownDigest) when `reference` has a tag or a digest.
    pub fn with_unknown_digest(reference: Reference) -> Result<Self, ImageReferenceError> {
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(ImageReferenceError::KnownDigest(reference));
        }
        Ok(Self(reference))
    }

    /// The name, and the tag or the digest.
    pub fn reference(&self) -> &Reference {
        &self.0
    }

    /// True when this has neither tag nor digest, and so can only be pushed to.
    pub fn is_unknown_digest(&self) -> bool {
        self.0.tag().is_none() && self.0.digest().is_none()
    }
}

impl TryFrom<Reference> for DockerReference {
    type Error = ImageReferenceError;

    /// Adds `:latest` where neither tag nor digest is given; refuses both together.
    fn try_from(reference: Reference) -> Result<Self, ImageReferenceError> {
        if reference.tag().is_some() && reference.digest().is_some() {
            return Err(ImageReferenceError::TagAndDigest(reference));
        }
        Ok(Self(reference.with_default_tag()))
    }
}

impl FromStr for DockerReference {
    type Err = ImageReferenceError;

    /// Reads what stands after `docker://`.
    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        match text.strip_suffix(UNKNOWN_DIGEST) {
            Some(name) => Self::with_unknown_digest(name.parse()?),
            None => Self::try_from(text.parse::<Reference>()?),
        }
    }
}

impl fmt::Display for DockerReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.familiar())?;
        if self.is_unknown_digest() { f.write_str(UNKNOWN_DIGEST) } else { Ok(()) }
    }
}
