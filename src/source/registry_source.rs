//! An image in a registry, read through pull sources.
//!
//! The image is pinned by its top-level manifest; from then on only digests are asked for, so the bytes may come from
//! any pull source. The one that works is asked first; what it cannot deliver is taken from the next, a blob from the
//! byte where it broke.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::registry_signatures::{SignatureCache, SignaturePlaces};
use super::settings::Settings;
use super::{
    BlobBody, BlobReader, Error, FailedAttempt, FoundSignature, ImageSource, Served, ServedBy, SignatureDemand,
};
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
        let body = self.external_body(descriptor, &digest);
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

    /// A layer's own URLs come first; when none of them answers, the registry may still have the layer.
    fn external_body(&self, descriptor: &Descriptor, digest: &Digest) -> Option<Box<dyn BlobBody>> {
        let urls = descriptor.urls().as_deref().filter(|urls| !urls.is_empty())?;
        if self.places.externals_distrusted.load(Ordering::Relaxed) {
            return None;
        }
        let settings = &self.places.settings;
        match external::open(&settings.wire, &settings.clock, digest, urls) {
            Ok((url, body)) => Some(Box::new(ExternalBody { body, bytes: 0, url, places: Arc::clone(&self.places) })),
            Err(error) => {
                log::warn!("{}; asking the registry", crate::error::one_line(&error));
                None
            }
        }
    }
}

fn selector(reference: &Reference) -> Option<Selector> {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => Some(Selector::Digest(digest.clone())),
        (None, Some(tag)) => Some(Selector::Tag(tag.clone())),
        (None, None) => None,
    }
}

/// The pull sources of one image, and what was learned of them.
struct Places {
    all: Vec<Place>,
    settings: Settings,
    /// The one that delivered last: it is asked first.
    working: AtomicUsize,
    /// External URLs of layers delivered wrong bytes, and are not asked any more.
    externals_distrusted: AtomicBool,
}

struct Place {
    pull_source: PullSource,
    /// Made when it is first needed: a mirror that is never asked costs nothing.
    client: OnceLock<Arc<RegistryClient>>,
    /// It delivered bytes that were not what they should be.
    is_distrusted: AtomicBool,
}

impl Places {
    fn new(pull_sources: Vec<PullSource>, settings: Settings) -> Self {
        let place = |pull_source| Place { pull_source, client: OnceLock::new(), is_distrusted: AtomicBool::new(false) };
        Self {
            all: pull_sources.into_iter().map(place).collect(),
            settings,
            working: AtomicUsize::new(0),
            externals_distrusted: AtomicBool::new(false),
        }
    }

    /// Asks each place that may say what a tag names, where that is the question.
    fn first_resolved<T>(
        &self,
        selector: &Selector,
        ask: impl Fn(&Arc<RegistryClient>) -> Result<T, Error>,
    ) -> Result<(usize, T), Error> {
        let is_fit = |pull_source: &PullSource| matches!(selector, Selector::Digest(_)) || pull_source.can_resolve();
        if let Some(last) = self.all.last().filter(|_| !self.all.iter().any(|place| is_fit(&place.pull_source))) {
            return Err(Error::NoResolver { reference: last.pull_source.physical.clone() });
        }
        self.first_success(is_fit, ask)
    }

    /// Asks each place that is fit until one succeeds, and remembers that one.
    fn first_success<T>(
        &self,
        is_fit: impl Fn(&PullSource) -> bool,
        ask: impl Fn(&Arc<RegistryClient>) -> Result<T, Error>,
    ) -> Result<(usize, T), Error> {
        let mut attempts = Vec::new();
        for index in self.order() {
            let Some(place) = self.all.get(index).filter(|place| is_fit(&place.pull_source)) else { continue };
            match self.client(index, place).and_then(|client| ask(&client)) {
                Ok(value) => {
                    self.working.store(index, Ordering::Relaxed);
                    return Ok((index, value));
                }
                Err(error) => attempts.push(place.failed(error)),
            }
        }
        Err(self.all_failed(attempts))
    }

    /// The place that works, then those behind it, then those before it.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (count, first) = (self.all.len(), self.working.load(Ordering::Relaxed));
        (0..count).map(move |step| (first + step) % count)
    }

    fn client(&self, index: usize, place: &Place) -> Result<Arc<RegistryClient>, Error> {
        if let Some(client) = place.client.get() {
            return Ok(Arc::clone(client));
        }
        let is_last = index + 1 == self.all.len();
        let client = self.settings.client(&place.pull_source, is_last)?;
        Ok(Arc::clone(place.client.get_or_init(|| client)))
    }

    fn reference_of(&self, index: usize) -> Option<ImageReference> {
        let reference = self.all.get(index)?.pull_source.physical.clone();
        DockerReference::try_from(reference).ok().map(ImageReference::Docker)
    }

    /// The error of a failed round. The primary is the last pull source, in whatever order they were asked.
    fn all_failed(&self, mut attempts: Vec<FailedAttempt>) -> Error {
        let primary = self.all.last().map(|place| &place.pull_source.physical);
        if let Some(index) = attempts.iter().position(|attempt| Some(&attempt.reference) == primary) {
            let attempt = attempts.remove(index);
            attempts.push(attempt);
        }
        // There is always a pull source: the reference itself, if nothing is configured.
        Error::of_attempts(attempts).unwrap_or(Error::NoPullSource)
    }
}

impl Place {
    fn failed(&self, error: Error) -> FailedAttempt {
        let reference = self.pull_source.physical.clone();
        log::debug!("{reference}: {}", crate::error::one_line(&error));
        FailedAttempt { reference, error: Box::new(error) }
    }
}

/// A blob's bytes from the first place that has them, and from the next one where that breaks off.
struct FailoverBody {
    places: Arc<Places>,
    digest: Digest,
    size: u64,
    /// Where the first place begins.
    start: u64,
    /// Places not asked yet.
    remaining: Vec<usize>,
    /// The place that delivers, with its stream.
    current: Option<(usize, Body)>,
    /// Who delivered how much.
    served: Vec<(usize, u64)>,
    failures: Vec<FailedAttempt>,
}

impl FailoverBody {
    fn open(places: Arc<Places>, digest: Digest, size: u64, start: u64) -> Result<Self, Error> {
        let trusted =
            |index: &usize| places.all.get(*index).is_some_and(|place| !place.is_distrusted.load(Ordering::Relaxed));
        let mut remaining: Vec<usize> = places.order().filter(trusted).collect();
        // Taken from the end.
        remaining.reverse();
        let (current, served, failures) = (None, Vec::new(), Vec::new());
        let mut body = Self { places, digest, size, start, remaining, current, served, failures };
        body.connect_next()?;
        Ok(body)
    }

    fn offset(&self) -> u64 {
        self.served.iter().map(|(_, bytes)| bytes).sum::<u64>().saturating_add(self.start)
    }

    /// Opens the blob at the next place, at the byte where the last one broke off.
    fn connect_next(&mut self) -> Result<(), Error> {
        let offset = self.offset();
        while let Some(index) = self.remaining.pop() {
            let Some(place) = self.places.all.get(index) else { continue };
            let stream = self
                .places
                .client(index, place)
                .and_then(|client| client.blob(&self.digest, self.size, offset).map_err(Error::Registry));
            match stream {
                Ok(stream) => {
                    self.places.working.store(index, Ordering::Relaxed);
                    self.current = Some((index, Box::new(stream)));
                    self.served.push((index, 0));
                    return Ok(());
                }
                Err(error) => self.failures.push(place.failed(error)),
            }
        }
        self.current = None;
        Err(self.places.all_failed(std::mem::take(&mut self.failures)))
    }

    /// Notes why the current place failed, and goes on elsewhere.
    fn fail_over(&mut self, index: usize, cause: io::Error) -> Result<(), Error> {
        if let Some(place) = self.places.all.get(index) {
            let error = match cause.downcast::<crate::registry::Error>() {
                Ok(error) => Error::Registry(error),
                Err(source) => Error::Body { digest: self.digest.clone(), source },
            };
            self.failures.push(place.failed(error));
        }
        self.connect_next()
    }
}

impl Read for FailoverBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some((index, stream)) = &mut self.current else {
                let source =
                    Mismatch::TooShort { expected: self.digest.clone(), size: self.size, found: self.offset() };
                return Err(source.into());
            };
            match stream.read(buffer) {
                Ok(count) => {
                    if let Some((_, bytes)) = self.served.last_mut() {
                        *bytes += count as u64;
                    }
                    return Ok(count);
                }
                Err(cause) => {
                    let index = *index;
                    self.fail_over(index, cause).map_err(io::Error::other)?;
                }
            }
        }
    }
}

impl BlobBody for FailoverBody {
    fn served(&self) -> Vec<Served> {
        let served = |(index, bytes): &(usize, u64)| {
            Some(Served { by: ServedBy::Image(self.places.reference_of(*index)?), bytes: *bytes })
        };
        self.served.iter().filter(|(_, bytes)| *bytes > 0).filter_map(served).collect()
    }

    /// Whoever delivered wrong bytes is not asked for blobs of this image any more. Of several contributors nobody can
    /// tell whose part was wrong, so the last of them may deliver the whole, alone.
    fn reject(&mut self) -> bool {
        let mut contributors: Vec<_> = self.served.iter().filter(|(_, bytes)| *bytes > 0).collect();
        if contributors.len() > 1 {
            contributors.pop();
        }
        for place in contributors.into_iter().filter_map(|(index, _)| self.places.all.get(*index)) {
            log::warn!("{} delivered wrong bytes for {}", place.pull_source.physical, self.digest);
            place.is_distrusted.store(true, Ordering::Relaxed);
        }
        self.places.all.iter().any(|place| !place.is_distrusted.load(Ordering::Relaxed))
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
    fn reject(&mut self) -> bool {
        !self.places.externals_distrusted.swap(true, Ordering::Relaxed)
    }
}
