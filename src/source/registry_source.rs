//! An image in a registry, read through pull sources.
//!
//! The image is pinned by its top-level manifest; from then on only digests are asked for, so the bytes may come from
//! any pull source. The one that works is asked first; what it cannot deliver is taken from the next, a blob from the
//! byte where it broke.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::external::ExternalBody;
use super::places::Places;
use super::registry_signatures::{SignatureCache, SignaturePlaces};
use super::settings::Settings;
use super::told_size::PlacedBody;
use super::{BlobReader, Error, FoundSignature, ImageSource, SignatureDemand, ranges};
use crate::config::PullSource;
use crate::digest::{Algorithm, Digest, HashedPrefix};
use crate::manifest::{Descriptor, ManifestBytes};
use crate::reference::{DockerReference, ImageReference, Reference};
use crate::registry::{ManifestHead, RegistryClient, Selector};

/// An image whose top-level manifest has been read.
pub(super) struct RegistrySource {
    logical: ImageReference,
    physical: ImageReference,
    manifest: Arc<ManifestBytes>,
    places: Arc<Places>,
    /// Which of them served the manifest: the signatures are there.
    served_by: usize,
    signatures: SignatureCache,
}

impl RegistrySource {
    /// Tries the pull sources in order; the first that serves the top-level manifest wins.
    pub(super) fn open(
        logical: ImageReference,
        reference: &Reference,
        pull_sources: Vec<PullSource>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let places = Places::new(pull_sources, settings);
        let selector = selector(reference).ok_or_else(|| Error::NothingToRead(logical.clone()))?;
        // Whatever a rewrite does, the bytes are those that the logical reference names.
        let (index, manifest) =
            places.first_resolved(&selector, |client| client.manifest(&selector).map_err(Error::Registry))?;
        let physical = places.reference_of(index).unwrap_or_else(|| logical.clone());
        log::debug!("{logical} is read from {physical}");
        let (manifest, places, signatures) = (Arc::new(manifest), Arc::new(places), SignatureCache::default());
        Ok(Self { logical, physical, manifest, places, served_by: index, signatures })
    }

    /// What the pull source that [`open`](Self::open) would read says of the top-level manifest.
    pub(super) fn head(
        logical: &DockerReference,
        pull_sources: Vec<PullSource>,
        settings: Settings,
    ) -> Result<ManifestHead, Error> {
        let nothing = || Error::NothingToRead(ImageReference::Docker(logical.clone()));
        let selector = selector(logical.reference()).ok_or_else(nothing)?;
        let places = Places::new(pull_sources, settings);
        let (_, head) =
            places.first_resolved(&selector, |client| client.manifest_head(&selector).map_err(Error::Registry))?;
        Ok(head)
    }
}

impl ImageSource for RegistrySource {
    fn logical(&self) -> &ImageReference {
        &self.logical
    }

    fn physical(&self) -> &ImageReference {
        &self.physical
    }

    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, Error> {
        let Some(digest) = instance else {
            return Ok(Arc::clone(&self.manifest));
        };
        let selector = Selector::Digest(digest.clone());
        let read = |client: &Arc<RegistryClient>| client.manifest(&selector).map_err(Error::Registry);
        self.places.first_success(read).map(|(_, manifest)| Arc::new(manifest))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let body = blob_body(&self.places, descriptor, &digest, 0)?;
        Ok(BlobReader::new(body, digest, descriptor.size()))
    }

    fn blob_from(&self, descriptor: &Descriptor, prefix: HashedPrefix) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let body = blob_body(&self.places, descriptor, &digest, prefix.length())?;
        Ok(BlobReader::resumed(prefix, body, digest, descriptor.size()))
    }

    fn signatures(&self, instance: Option<&Digest>, demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        let digest = instance.map_or_else(|| self.signed_digest(), Digest::clone);
        let place = self.places.all.get(self.served_by).ok_or(Error::NoPullSource)?;
        self.signatures.get(&digest, demand, || {
            let client = &self.places.client(self.served_by, place)?;
            let (pull_source, settings) = (&place.pull_source, &self.places.settings);
            SignaturePlaces { pull_source, client, settings }.find(&digest, demand)
        })
    }
}

impl RegistrySource {
    /// What the signatures of the top-level manifest are kept under: its SHA-256, whatever algorithm it is named by.
    fn signed_digest(&self) -> Digest {
        match self.manifest.digest() {
            digest if digest.algorithm() == Algorithm::Sha256 => digest.clone(),
            _ => Digest::sha256(self.manifest.bytes()),
        }
    }
}

/// The bytes of a blob from `start` on. A layer's own URLs come first; when none of them answers, the registry may still
/// have the layer.
pub(super) fn blob_body(
    places: &Arc<Places>,
    descriptor: &Descriptor,
    digest: &Digest,
    start: u64,
) -> Result<Box<dyn PlacedBody>, Error> {
    let size = descriptor.size();
    let urls = descriptor.urls().as_deref().filter(|urls| !urls.is_empty());
    if let Some(urls) = urls.filter(|_| !places.externals_distrusted.load(Ordering::Relaxed)) {
        match ExternalBody::open(places, digest, size, start, urls) {
            Ok(body) => return Ok(Box::new(body)),
            Err(error) => log::warn!("{}; asking the registry", crate::error::one_line(&error)),
        }
    }
    ranges::open(places, digest, size, start)
}

pub(super) fn selector(reference: &Reference) -> Option<Selector> {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => Some(Selector::Digest(digest.clone())),
        (None, Some(tag)) => Some(Selector::Tag(tag.clone())),
        (None, None) => None,
    }
}
