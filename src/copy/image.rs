//! One image: its blobs, and the manifest to write.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{BlobKind, Error, Options, blob};
use crate::destination::ImageDestination;
use crate::manifest::{Descriptor, ImageManifest, ManifestBytes, convert};
use crate::media_type::MediaType;
use crate::policy::AllowedImage;

/// Copies the blobs of an allowed image and returns the manifest to write, which is another one only where the
/// destination does not take the original's type.
pub(super) fn copy(
    allowed: &AllowedImage<'_>,
    destination: &dyn ImageDestination,
    options: &Options<'_>,
) -> Result<ManifestBytes, Error> {
    let manifest = allowed.manifest();
    let image = ImageManifest::parse(manifest)?;
    if destination.accepts(manifest.media_type()) {
        let config = std::iter::once((BlobKind::Config, image.config()));
        blobs(allowed, destination, options, config.chain(layers(&image)))?;
        return Ok((**manifest).clone());
    }
    if *manifest.media_type() != MediaType::DOCKER_MANIFEST || !destination.accepts(&MediaType::OCI_MANIFEST) {
        return Err(Error::NotAccepted(manifest.media_type().clone()));
    }
    let config = blob::read_config(allowed.source(), image.config())?;
    let converted = convert::image_to_oci(manifest, &config)
        .map_err(|source| Error::Convert { media_type: manifest.media_type().clone(), source })?;
    blobs(allowed, destination, options, layers(&image))?;
    destination.put_blob(&converted.config_descriptor, &mut converted.config.as_slice())?;
    Ok(converted.manifest)
}

/// The layers, the same one only once.
fn layers(image: &ImageManifest) -> impl Iterator<Item = (BlobKind, &Descriptor)> {
    let mut seen = HashSet::new();
    let layers = image.layers().iter();
    layers.filter(move |layer| seen.insert(layer.digest().clone())).map(|layer| (BlobKind::Layer, layer))
}

/// Copies blobs, several at a time. The first error stops the others.
fn blobs<'a>(
    allowed: &AllowedImage<'_>,
    destination: &dyn ImageDestination,
    options: &Options<'_>,
    blobs: impl Iterator<Item = (BlobKind, &'a Descriptor)>,
) -> Result<(), Error> {
    let queue: Vec<_> = blobs.collect();
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let source = allowed.source();
    let work = || {
        while let Some((kind, descriptor)) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let job = blob::Job { source, destination, descriptor, kind: *kind, stopped: &stopped, options };
            if let Err(error) = job.run() {
                // The cause first, then the word to stop: what the others say after it is only that they were stopped.
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                stopped.store(true, Ordering::Relaxed);
            }
        }
    };
    let workers = options.parallel_copies.get().min(queue.len());
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
