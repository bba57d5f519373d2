//! Which kinds of manifest to write, and whether an image may be changed at all: rules, without doing anything.

use super::error::{Change, Unchangeable};
use super::{Error, Options};
use crate::digest::Digest;
use crate::media_type::MediaType;
use crate::reference::ImageReference;

/// Why what is written must be what was read; `None` where it may change.
pub(super) fn unchangeable(
    options: &Options<'_>,
    destination: &ImageReference,
    carries_signatures: bool,
) -> Option<Unchangeable> {
    let names_digest = match destination {
        ImageReference::Docker(docker) => docker.reference().digest().is_some(),
        _ => false,
    };
    // In the order in which somebody can do something about it.
    [
        (carries_signatures, Unchangeable::Signed),
        (names_digest, Unchangeable::DigestedDestination),
        (options.preserve_digests, Unchangeable::PreserveDigests),
    ]
    .into_iter()
    .find_map(|(holds, reason)| holds.then_some(reason))
}

/// What decides about the kind of a manifest.
pub(super) struct Kinds<'a> {
    /// The kind that it has.
    pub(super) own: &'a MediaType,
    /// What the destination takes.
    pub(super) accepts: &'a dyn Fn(&MediaType) -> bool,
    /// The only kind that will do.
    pub(super) forced: Option<MediaType>,
    /// Docker's kinds will not do.
    pub(super) needs_oci: bool,
    pub(super) unchangeable: Option<Unchangeable>,
}

/// What can be written, best first; the others are for a registry that refuses it.
///
/// The image's own kind comes first, then the one that everybody reads. An image that must not change has only its own.
pub(super) fn kinds(manifest: &Digest, choice: &Kinds<'_>) -> Result<Vec<MediaType>, Error> {
    let Kinds { own, forced, unchangeable, .. } = choice;
    let others = if own.is_index() {
        [MediaType::DOCKER_LIST, MediaType::OCI_INDEX]
    } else {
        [MediaType::DOCKER_MANIFEST, MediaType::OCI_MANIFEST]
    };
    let is_oci = |kind: &MediaType| [MediaType::OCI_MANIFEST, MediaType::OCI_INDEX].contains(kind);
    let will_do = |kind: &MediaType| {
        forced.as_ref().is_none_or(|forced| forced == kind)
            && (is_oci(kind) || !choice.needs_oci)
            && (choice.accepts)(kind)
    };
    let mut kinds: Vec<_> = others.into_iter().filter(|kind| will_do(kind)).collect();
    // Stable: what is not the image's own kind keeps its order.
    kinds.sort_by_key(|kind| kind != *own);
    let best = kinds.first().ok_or_else(|| Error::NotAccepted(forced.clone().unwrap_or_else(|| (*own).clone())))?;
    match unchangeable {
        None => Ok(kinds),
        Some(_) if best == *own => Ok(vec![(*own).clone()]),
        Some(reason) => Err(Error::CannotChange {
            manifest: manifest.clone(),
            change: Change::Converted(best.clone()),
            reason: *reason,
        }),
    }
}
