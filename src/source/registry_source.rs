//! An image in a registry, read through pull sources.
//!
//! The image is pinned by its top-level manifest; from then on only digests are asked for, so the bytes may come from
//! any pull source. The one that works is asked first; what it cannot deliver is taken from the next, a blob from the
//! byte where it broke.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::failover::FailoverBody;
use super::places::Places;
use super::registry_signatures::{SignatureCache, SignaturePlaces};
use super::settings::Settings;
use super::{BlobBody, BlobReader, Error, FoundSignature, ImageSource, Remedy, Served, ServedBy, SignatureDemand};
use crate::config::PullSource;
use crate::digest::{Algorithm, Digest, HashedPrefix, Mismatch};
use crate::http::Body;
use crate::manifest::{Descriptor, ManifestBytes};
use crate::reference::{DockerReference, ImageReference, Reference};
use crate::registry::{ManifestHead, RegistryClient, Selector, external};
use crate::safe_url::SafeUrl;

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
        self.places.first_success(|_| true, read).map(|(_, manifest)| Arc::new(manifest))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let size = descriptor.size();
        let body = external_body(&self.places, descriptor, &digest);
        let body = match body {
            Some(body) => body,
            None => Box::new(FailoverBody::open(Arc::clone(&self.places), digest.clone(), size, 0)?),
        };
        Ok(BlobReader::new(body, digest, size))
    }

    fn blob_from(&self, descriptor: &Descriptor, prefix: HashedPrefix) -> Result<BlobReader, Error> {
        if descriptor.urls().as_ref().is_some_and(|urls| !urls.is_empty()) {
            return self.blob(descriptor)?.behind(prefix);
        }
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let size = descriptor.size();
        let body = FailoverBody::open(Arc::clone(&self.places), digest.clone(), size, prefix.length())?;
        Ok(BlobReader::resumed(prefix, Box::new(body), digest, size))
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

/// A layer's own URLs come first; when none of them answers, the registry may still have the layer.
pub(super) fn external_body(
    places: &Arc<Places>,
    descriptor: &Descriptor,
    digest: &Digest,
) -> Option<Box<dyn BlobBody>> {
    let urls = descriptor.urls().as_deref().filter(|urls| !urls.is_empty())?;
    if places.externals_distrusted.load(Ordering::Relaxed) {
        return None;
    }
    let settings = &places.settings;
    match external::open(&settings.wire, &settings.clock, digest, urls) {
        Ok((url, body)) => Some(Box::new(ExternalBody { body, bytes: 0, url, places: Arc::clone(places) })),
        Err(error) => {
            log::warn!("{}; asking the registry", crate::error::one_line(&error));
            None
        }
    }
}

pub(super) fn selector(reference: &Reference) -> Option<Selector> {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => Some(Selector::Digest(digest.clone())),
        (None, Some(tag)) => Some(Selector::Tag(tag.clone())),
        (None, None) => None,
    }
}

/// A layer from one of its own URLs.
struct ExternalBody {
    body: Body,
    bytes: u64,
    url: SafeUrl,
    places: Arc<Places>,
}

impl Read for ExternalBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl BlobBody for ExternalBody {
    fn served(&self) -> Vec<Served> {
        vec![Served { by: ServedBy::Url(self.url.clone()), bytes: self.bytes }]
    }

    /// The registry may have the layer too.
    fn reject(&mut self, _mismatch: &Mismatch) -> Remedy {
        let was_known = self.places.externals_distrusted.swap(true, Ordering::Relaxed);
        if was_known { Remedy::None } else { Remedy::AskAgain }
    }
}
