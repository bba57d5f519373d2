//! One image: its blobs, and the manifest to write.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::blob::{self, Item, Uncompressed};
use super::{BlobKind, Error, Options};
use crate::destination::{self, ImageDestination, UncompressedLayers};
use crate::digest::Digest;
use crate::manifest::{ImageManifest, ManifestBytes, convert, diff_ids};
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
    if let Some(kept) = destination.uncompressed_layers() {
        return copy_uncompressed(allowed, destination, kept, &image, options);
    }
    if destination.accepts(manifest.media_type()) {
        let config = Item { kind: BlobKind::Config, descriptor: image.config(), uncompressed: None };
        let config = std::iter::once(config);
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

/// The same for a place that has layers without compression. The config stays as it is: it is what says which layers
/// those are.
fn copy_uncompressed(
    allowed: &AllowedImage<'_>,
    destination: &dyn ImageDestination,
    kept: &dyn UncompressedLayers,
    image: &ImageManifest,
    options: &Options<'_>,
) -> Result<ManifestBytes, Error> {
    let config = blob::read_config(allowed.source(), image.config())?;
    let diff_ids = diff_ids(&config, image.layers().len())
        .map_err(|source| Error::DiffIds { manifest: allowed.manifest().digest().clone(), source })?;
    let mut seen = HashSet::new();
    // Two layers that are said to be one without compression are both looked at.
    let layers = image.layers().iter().zip(&diff_ids);
    let items = layers.filter(|(layer, diff_id)| seen.insert((layer.digest().clone(), *diff_id)));
    let items = items.map(|(descriptor, diff_id)| {
        let is_there = kept.layer_size(diff_id).is_some();
        let uncompressed = Some(Uncompressed { diff_id, layers: kept, is_there });
        Item { kind: BlobKind::Layer, descriptor, uncompressed }
    });
    blobs(allowed, destination, options, items)?;
    let size = |digest: &Digest| {
        let missing = || destination::Error::NoBlob { image: destination.reference().clone(), digest: digest.clone() };
        kept.layer_size(digest).ok_or_else(missing)
    };
    let sizes = diff_ids.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let manifest = convert::docker_image(&config, diff_ids.iter().zip(sizes)).map_err(Error::Json)?;
    destination.put_blob(ImageManifest::parse(&manifest)?.config(), &mut config.as_slice())?;
    Ok(manifest)
}

/// The layers, the same one only once.
fn layers(image: &ImageManifest) -> impl Iterator<Item = Item<'_>> {
    let mut seen = HashSet::new();
    let layers = image.layers().iter().filter(move |layer| seen.insert(layer.digest().clone()));
    layers.map(|descriptor| Item { kind: BlobKind::Layer, descriptor, uncompressed: None })
}

/// Copies blobs, several at a time. The first error stops the others.
fn blobs<'a>(
    allowed: &AllowedImage<'_>,
    destination: &dyn ImageDestination,
    options: &Options<'_>,
    blobs: impl Iterator<Item = Item<'a>>,
) -> Result<(), Error> {
    let queue: Vec<_> = blobs.collect();
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let source = allowed.source();
    let work = || {
        while let Some(item) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let job = blob::Job { source, destination, item: *item, stopped: &stopped, options };
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
