//! What an image of a store is called.

use crate::digest::Digest;
use crate::reference::{ParseError, Reference};

/// The names under which a pull puts an image into a store, beside its id.
///
/// They are of the *logical* reference: what was asked for, spelled out in full, whatever mirror it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `docker.io/library/busybox:1`; `None` where the image was asked for by its digest.
    pub repo_tag: Option<Reference>,
    /// `docker.io/library/busybox@sha256:…`: the digest of the top-level manifest, that of the index where there is one.
    pub repo_digest: Reference,
}

impl Names {
    /// The names of what was asked for as `image`, once it is known that its top-level manifest has the digest `target`.
    pub fn of(image: &Reference, target: &Digest) -> Self {
        let image = wanted(image.clone());
        let repo_digest = match image.digest() {
            Some(_) => image.clone(),
            None => image.clone().without_tag().with_digest(target.clone()),
        };
        Self { repo_tag: image.tag().map(|_| image.clone()), repo_digest }
    }
}

/// A name as CRI reads one: with a tag or with a digest. Without either it is `:latest`; of both, the digest counts.
///
/// ```
/// use transship::store::parse_image;
///
/// assert_eq!(parse_image("busybox")?.to_string(), "docker.io/library/busybox:latest");
/// # Ok::<(), transship::reference::ParseError>(())
/// ```
pub fn parse_image(text: &str) -> Result<Reference, ParseError> {
    Ok(wanted(text.parse()?))
}

pub(super) fn wanted(image: Reference) -> Reference {
    if image.digest().is_some() { image.without_tag() } else { image.with_default_tag() }
}

/// Tells tags from digests among the names of an image. An id is neither, and so is what is not spelled out in full.
pub fn classify<'a>(names: impl IntoIterator<Item = &'a str>) -> (Vec<Reference>, Vec<Reference>) {
    let is_whole = |reference: &Reference| reference.tag().is_some() != reference.digest().is_some();
    let references = names.into_iter().filter_map(|name| Reference::parse_canonical(name).ok());
    references.filter(is_whole).partition(|reference| reference.tag().is_some())
}
