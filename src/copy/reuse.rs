//! Blobs that need not be brought, because the destination's registry has them in another repository.

use super::Error;
use super::blob::{Item, Job};
use crate::reference::{ImageReference, Name};

/// Has the registry take the blob over; the repository that it came from. `None` when the bytes must be brought.
pub(super) fn mount(job: &Job<'_>, item: &Item<'_>) -> Result<Option<Name>, Error> {
    let Some(to) = job.run.destination.repository() else { return Ok(None) };
    let source = repository(job.source.physical()).filter(|from| from.domain() == to.domain() && *from != to);
    let Some(from) = source else { return Ok(None) };
    Ok(job.run.destination.reuse_blob(item.descriptor, std::slice::from_ref(from))?)
}

fn repository(reference: &ImageReference) -> Option<&Name> {
    match reference {
        ImageReference::Docker(docker) => Some(docker.reference().name()),
        _ => None,
    }
}
