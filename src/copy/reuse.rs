//! Blobs that need not be brought, because the destination's registry has them in another repository.

use super::blob::{Item, Job};
use super::layer::NewForm;
use super::{BlobOutcome, Error, Run};
use crate::destination::NewBlob;
use crate::digest::Digest;
use crate::manifest::edit::NewLayer;
use crate::reference::{ImageReference, Name};
use crate::source::{Served, ServedBy};

/// A pull into a place on this machine remembers larger blobs only, from so many bytes on. The file that it takes would cost
/// more than it can save: whether a small blob is taken over or sent makes a request's difference.
const WORTH_REMEMBERING: u64 = 1024 * 1024;

/// Has the registry take the blob over; the repository that it came from. `None` when the bytes must be brought.
pub(super) fn mount(job: &Job<'_>, item: &Item<'_>, digest: &Digest) -> Result<Option<Name>, Error> {
    let Run { destination, options, .. } = job.run;
    let Some(to) = destination.repository() else { return Ok(None) };
    let source = repository(job.source.physical()).filter(|from| from.domain() == to.domain() && *from != to);
    let mut candidates: Vec<Name> = source.into_iter().cloned().collect();
    let known = options.blob_info.map(|cache| cache.repositories(digest, to)).unwrap_or_default();
    candidates.extend(known.into_iter().filter(|from| Some(from) != source));
    if candidates.is_empty() {
        return Ok(None);
    }
    Ok(destination.reuse_blob(item.descriptor, &candidates)?)
}

/// So many other blobs that are said to be a layer in its new form are looked for.
const MAX_VARIANTS: usize = 2;

/// The layer in its new form, which an earlier copy has made: at the destination, or taken over from another repository.
pub(super) fn made_before(job: &Job<'_>, form: &NewForm) -> Result<Option<NewLayer>, Error> {
    let Run { options, layers, .. } = job.run;
    let Some(cache) = options.blob_info.filter(|_| layers.takes_what_was_made_before()) else { return Ok(None) };
    let variants = cache.variants(&form.diff_id).into_iter().filter(|(_, compression)| *compression == layers.made());
    for (digest, compression) in variants.take(MAX_VARIANTS) {
        if let Some(size) = size_at(job, &digest)? {
            return Ok(Some(NewLayer { digest, size, compression }));
        }
    }
    Ok(None)
}

/// The size of a blob that the destination has, or now has.
fn size_at(job: &Job<'_>, digest: &Digest) -> Result<Option<u64>, Error> {
    let Run { destination, options, .. } = job.run;
    let size = destination.blob_size(digest)?;
    let (None, Some(to), Some(cache)) = (size, destination.repository(), options.blob_info) else { return Ok(size) };
    let candidates = cache.repositories(digest, to);
    let wanted = NewBlob { digest: digest.clone(), size: 0 }.descriptor()?;
    if candidates.is_empty() || destination.reuse_blob(&wanted, &candidates)?.is_none() {
        return Ok(None);
    }
    Ok(destination.blob_size(digest)?)
}

/// Remembers which repositories have the blob, and what it became.
pub(super) fn remember(
    job: &Job<'_>,
    item: &Item<'_>,
    digest: &Digest,
    outcome: &BlobOutcome,
    became: Option<&NewLayer>,
) {
    let Some(cache) = job.run.options.blob_info else { return };
    let to = job.run.destination.repository();
    if to.is_none() && item.descriptor.size() < WORTH_REMEMBERING {
        return;
    }
    let mut known: Vec<&Name> = match outcome {
        BlobOutcome::Copied { served, .. } | BlobOutcome::Recompressed { served, .. } => {
            served.iter().filter_map(served_by).collect()
        }
        BlobOutcome::Mounted { from } => vec![from],
        BlobOutcome::AlreadyPresent => Vec::new(),
        BlobOutcome::LeftElsewhere => return,
    };
    match (became, to) {
        (None, to) => known.extend(to),
        (Some(new), Some(to)) => cache.record_repositories(&new.digest, &[to]),
        (Some(_), None) => {}
    }
    known.sort();
    known.dedup();
    cache.record_repositories(digest, &known);
}

fn served_by(served: &Served) -> Option<&Name> {
    match &served.by {
        ServedBy::Image(reference) => repository(reference),
        ServedBy::Url(_) => None,
    }
}

fn repository(reference: &ImageReference) -> Option<&Name> {
    match reference {
        ImageReference::Docker(docker) => Some(docker.reference().name()),
        _ => None,
    }
}
