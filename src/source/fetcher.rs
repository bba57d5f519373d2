//! Reads whatever a repository has, by descriptor or by digest.

use std::fmt;
use std::sync::Arc;

use super::content::{Content, Kind, Known};
use super::places::Places;
use super::resolve::{find_blob, named_descriptor, pinned};
use super::settings::Settings;
use super::{Error, Options};
use crate::config::{Config, PullSource};
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::registry::{Resolution, Selector};

/// What is asked for by digest when nobody says what it is.
const ANY_CONTENT: &str = "application/octet-stream";

/// Reads content of one repository, through its pull sources. Clones share what was learned of those; it can be used from
/// several threads.
///
/// An [`ImageSource`](super::ImageSource) is for images: it has the manifest, and blobs that cannot end unverified. This
/// one is for whoever has descriptors of any kind and may want a part of what they describe.
#[derive(Clone)]
pub struct Fetcher {
    places: Arc<Places>,
    top: Option<Arc<Top>>,
}

/// What the fetcher was made for.
pub(super) struct Top {
    pub(super) digest: Digest,
    /// It is where manifests are, whatever its media type.
    pub(super) is_manifest: bool,
    pub(super) known: Known,
}

/// A fetcher for the repository of a reference. Nothing is asked yet.
pub fn fetcher(config: &Config, reference: &Reference, options: &Options) -> Result<Fetcher, Error> {
    Ok(fetcher_pull_sources(config, reference, config.pull_sources(&pinned(reference))?, options))
}

/// A fetcher as [`fetcher`] makes it, from pull sources of the caller's own: in their order, the primary last. Those that
/// may not be pulled from are left out.
pub fn fetcher_pull_sources(
    config: &Config,
    reference: &Reference,
    pull_sources: Vec<PullSource>,
    options: &Options,
) -> Fetcher {
    Fetcher::new(Places::new(pull_sources, Settings::new(config, reference.domain(), options)), None)
}

impl Fetcher {
    pub(super) fn new(places: Places, top: Option<Top>) -> Self {
        Self { places: Arc::new(places), top: top.map(Arc::new) }
    }

    /// The content of a descriptor, which nobody is asked for before its first byte is read.
    ///
    /// Manifests and indexes are asked for where manifests are, everything else where blobs are. The descriptor's own
    /// URLs come first, and the registry where they do not deliver.
    ///
    /// # Errors
    /// [`Error::Digest`] where the digest of the descriptor cannot be checked. Everything else is an error of reading.
    pub fn fetch(&self, descriptor: &Descriptor) -> Result<Content, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let media_type = MediaType::from(descriptor.media_type());
        let top = self.top.as_ref().filter(|top| top.digest == digest);
        let kind = match top {
            Some(top) if top.is_manifest => Kind::Manifest,
            Some(_) => Kind::Blob,
            None => kind(&media_type),
        };
        let known = top.map_or(Known::Size, |top| top.known.referred_to(descriptor.size()));
        Ok(Content::new(Arc::clone(&self.places), kind, digest, descriptor.clone(), known))
    }

    /// Any content of the repository by its digest alone, and a descriptor of it.
    ///
    /// It is looked for among the blobs, and among the manifests when it is not there; the other way round where
    /// `media_type` is that of a manifest. The descriptor's media type is `media_type`, else `application/octet-stream`:
    /// a digest does not say what its bytes are.
    pub fn fetch_by_digest(
        &self,
        digest: &Digest,
        media_type: Option<&MediaType>,
    ) -> Result<(Descriptor, Content), Error> {
        let (kind, (place, found)) = match media_type.map_or(Kind::Blob, kind) {
            first @ Kind::Blob => self.find_among(first, Kind::Manifest, digest)?,
            first @ Kind::Manifest => self.find_among(first, Kind::Blob, digest)?,
        };
        let media_type = media_type.map_or(ANY_CONTENT, MediaType::as_str);
        let descriptor = named_descriptor(media_type, digest, found.size)?;
        let known = Known::of(place, found);
        let content = Content::new(Arc::clone(&self.places), kind, digest.clone(), descriptor.clone(), known);
        Ok((descriptor, content))
    }

    /// Bytes are checked against the digest wherever they come from, so any failure of the first place leads to the second.
    fn find_among(&self, first: Kind, second: Kind, digest: &Digest) -> Result<(Kind, (usize, Resolution)), Error> {
        let error = match self.find(first, digest) {
            Ok(found) => return Ok((first, found)),
            Err(error) => error,
        };
        match self.find(second, digest) {
            Ok(found) => Ok((second, found)),
            Err(other) if error.is_not_found() && !other.is_not_found() => Err(other),
            Err(_) => Err(error),
        }
    }

    /// What there is, and which place says so.
    fn find(&self, kind: Kind, digest: &Digest) -> Result<(usize, Resolution), Error> {
        let selector = Selector::Digest(digest.clone());
        match kind {
            Kind::Blob => find_blob(&self.places, digest),
            Kind::Manifest => self
                .places
                .first_resolved(&selector, |client| client.resolve_manifest(&selector).map_err(Error::Registry)),
        }
    }
}

/// Where a registry has content of this type.
fn kind(media_type: &MediaType) -> Kind {
    let is_manifest = media_type.is_image() || media_type.is_index() || media_type.is_schema1();
    if is_manifest { Kind::Manifest } else { Kind::Blob }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.places.all.iter().map(|place| &place.pull_source.physical).collect();
        f.debug_struct("Fetcher").field("sources", &sources).finish_non_exhaustive()
    }
}
