//! Copying an image.
//!
//! The order is the whole of it: the policy first, before anything but a manifest is read; then layers and config, in
//! parallel; then the manifest and its signatures; then the commit that makes the copy visible.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::destination::ImageDestination;
use crate::digest::Digest;
use crate::manifest::edit::NewLayer;
use crate::manifest::{Index, ManifestBytes, Platform, PlatformChoice, Preference};
use crate::media_type::MediaType;
use crate::policy::Policy;
use crate::source::{ImageSource, Served};

mod blob;
mod blob_info;
mod error;
mod image;
mod index;
mod layer;
mod options;
mod plan;
mod progress;
mod reuse;
mod signatures;
mod watched;

pub use blob::read_config;
pub use blob_info::{BlobInfo, BlobInfoCache, LayerVariant};
pub use error::{Change, Error, Unchangeable};
pub use options::{ChosenInstances, Instances, LayerCompression, ManifestFormat, Options};
pub use progress::{BlobKind, BlobOutcome, Event, Progress, Silent};

use signatures::Carried;

/// Copies an image that `policy` allows, and returns the manifest as it was written.
///
/// Of an index, what is copied is what is judged: the wanted instance alone, or the index and each instance that goes
/// along.
pub fn image(
    source: &dyn ImageSource,
    destination: &dyn ImageDestination,
    policy: &Policy,
    options: &Options<'_>,
) -> Result<ManifestBytes, Error> {
    let (layers, made, served) = (run_layers(destination, options)?, Mutex::default(), Mutex::default());
    let run = Run { destination, policy, options, layers, made, served };
    let top = source.manifest(None)?;
    if !top.media_type().is_index() {
        return match &options.instances {
            Instances::System | Instances::All => image::copy(&policy.allow(source, None)?, &run, None),
            Instances::IndexOnly | Instances::Chosen(_) => Err(Error::NotAnIndex(top.digest().clone())),
        };
    }
    if options.instances == Instances::System {
        let instance = preferred_instance(&top, options)?;
        return image::copy(&policy.allow(source, Some(&instance))?, &run, None);
    }
    index::copy(&policy.allow(source, None)?, &run)
}

/// The digest of the instance for the wanted platform.
pub fn system_instance(index: &ManifestBytes, platform: &PlatformChoice) -> Result<Digest, Error> {
    chosen_instance(index, platform, Preference::Zstd)
}

fn preferred_instance(index: &ManifestBytes, options: &Options<'_>) -> Result<Digest, Error> {
    let knows_zstd = options.format != Some(ManifestFormat::V2s2);
    chosen_instance(index, &options.platform, if knows_zstd { Preference::Zstd } else { Preference::Gzip })
}

fn chosen_instance(index: &ManifestBytes, platform: &PlatformChoice, preference: Preference) -> Result<Digest, Error> {
    let index = Index::parse(index)?;
    let instance = index.choose(&platform.wanted(&Platform::host()), preference)?;
    Ok(instance.digest().clone())
}

/// One call of [`image`]: what is the same for all of its instances.
struct Run<'a> {
    destination: &'a dyn ImageDestination,
    policy: &'a Policy,
    options: &'a Options<'a>,
    layers: LayerCompression,
    /// Layers that were given another form, under what they were and what the config says they are.
    made: Mutex<HashMap<(Digest, Digest), NewLayer>>,
    /// Who delivered how much of all blobs.
    served: Mutex<Vec<Served>>,
}

impl Run<'_> {
    /// Whether an image may become another one here.
    fn may_change_images(&self) -> bool {
        let accepts_all =
            [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST].iter().all(|kind| self.destination.accepts(kind));
        !accepts_all || self.options.format.is_some() || self.layers != LayerCompression::Kept
    }

    fn made(&self) -> MutexGuard<'_, HashMap<(Digest, Digest), NewLayer>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was read for a blob.
    fn count(&self, outcome: &BlobOutcome) {
        let (BlobOutcome::Copied { served, .. } | BlobOutcome::Recompressed { served, .. }) = outcome else { return };
        let mut all = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.iter().cloned().for_each(|part| part.add_to(&mut all));
    }

    fn tell_served(&self) {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if !served.is_empty() {
            self.options.progress.event(&Event::Served { served: &served });
        }
    }

    /// Makes a manifest and puts it with its signatures, in the first of the `kinds` that the destination does not refuse.
    /// The top-level one (`instance` is false) becomes visible.
    fn publish(
        &self,
        kinds: &[MediaType],
        carried: &Carried,
        is_instance: bool,
        make: impl Fn(&MediaType) -> Result<ManifestBytes, Error>,
    ) -> Result<ManifestBytes, Error> {
        let mut attempts: Vec<(MediaType, Box<Error>)> = Vec::new();
        for kind in kinds {
            if let Some((_, refusal)) = attempts.last() {
                log::warn!("{}; trying {kind}", crate::error::one_line(&**refusal));
            }
            match make(kind).and_then(|manifest| self.put(manifest, carried, is_instance)) {
                Ok(manifest) => return Ok(manifest),
                Err(error) if error.is_about_kind() => attempts.push((kind.clone(), Box::new(error))),
                Err(error) => return Err(error),
            }
        }
        match attempts.pop() {
            Some((_, error)) if attempts.is_empty() => Err(*error),
            last => Err(Error::AllRefused { attempts: attempts.into_iter().chain(last).collect() }),
        }
    }

    fn put(&self, manifest: ManifestBytes, carried: &Carried, is_instance: bool) -> Result<ManifestBytes, Error> {
        let instance = is_instance.then(|| manifest.digest());
        self.destination.put_manifest(&manifest, instance)?;
        carried.put(&manifest, instance, self.destination, self.options)?;
        if !is_instance {
            self.options.check_cancelled()?;
            self.tell_served();
            self.options.progress.event(&Event::Committing);
            self.destination.commit()?;
        }
        Ok(manifest)
    }
}

/// What becomes of the layers at this destination.
fn run_layers(destination: &dyn ImageDestination, options: &Options<'_>) -> Result<LayerCompression, Error> {
    if options.layers.makes_zstd() && options.format == Some(ManifestFormat::V2s2) {
        return Err(Error::NoZstd);
    }
    if !destination.wants_uncompressed_layers() {
        return Ok(options.layers);
    }
    match options.layers.compressor() {
        None => Ok(LayerCompression::Decompressed),
        Some(_) => Err(Error::LayersStayPlain(destination.reference().clone())),
    }
}
