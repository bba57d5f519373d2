//! From a reference to what it names, without opening it as an image.

use super::content::Known;
use super::fetcher::Top;
use super::places::Places;
use super::registry_source::selector;
use super::settings::Settings;
use super::{Error, Fetcher, Options};
use crate::config::{Config, PullSource};
use crate::digest::Digest;
use crate::error::find;
use crate::http;
use crate::manifest::Descriptor;
use crate::reference::{DockerReference, ImageReference, Reference};
use crate::registry::{ErrorResponse, Resolution, Selector};

/// What a reference names: what is needed to write it down, and to read it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolved {
    /// The logical name with the digest, and without the tag that led there: it names the same bytes for ever.
    pub name: Reference,
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// Who said so: the physical reference of a pull source.
    pub served_by: Reference,
    /// Reads this content, and whatever else is in the repository.
    pub fetcher: Fetcher,
}

/// What a tag or a digest names, from the first pull source that says it: a manifest, or by digest any content.
///
/// One `HEAD`, where that tells enough. Otherwise the content is read, and its digest is that of its bytes; the fetcher
/// keeps them then. Of a reference with both tag and digest the digest counts. A digest that is no manifest's is looked
/// for among the blobs, once every pull source that answered has said that it has no such manifest.
///
/// ```no_run
/// use std::io::Read as _;
/// use transship::config::Config;
/// use transship::source;
///
/// let config = Config::load()?;
/// let resolved = source::resolve(&config, &"quay.io/podman/hello:latest".parse()?, &source::Options::default())?;
/// let mut manifest = Vec::new();
/// resolved.fetcher.fetch(&resolved.descriptor)?.read_to_end(&mut manifest)?;
/// println!("{} has {} bytes", resolved.name, manifest.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`open_with`](super::open_with): each pull source's error is kept. [`Error::NothingToRead`] for a name alone.
pub fn resolve(config: &Config, reference: &Reference, options: &Options) -> Result<Resolved, Error> {
    let reference = pinned(reference);
    let pull_sources = config.pull_sources(&reference)?;
    resolve_pull_sources(config, &reference, pull_sources, options)
}

/// What a reference names as [`resolve`] says it, from pull sources of the caller's own: in their order, the primary last.
/// One that may not say what a tag names is not asked that, and one that may not be pulled from is asked nothing.
pub fn resolve_pull_sources(
    config: &Config,
    reference: &Reference,
    pull_sources: Vec<PullSource>,
    options: &Options,
) -> Result<Resolved, Error> {
    let reference = pinned(reference);
    let selector = selector(&reference).ok_or_else(|| nothing_to_read(&reference))?;
    let places = Places::new(pull_sources, Settings::new(config, reference.domain(), options));
    let (index, found, is_manifest) = find_content(&places, &selector)?;
    let served_by = places.all.get(index).map_or_else(|| reference.clone(), |place| place.pull_source.physical.clone());
    let name = reference.without_tag_and_digest().with_digest(found.digest.clone());
    log::debug!("{name} is what {served_by} is");
    let descriptor = named_descriptor(found.media_type.as_str(), &found.digest, found.size)?;
    let top = Top { digest: found.digest.clone(), is_manifest, known: Known::of(index, found) };
    Ok(Resolved { name, descriptor, served_by, fetcher: Fetcher::new(places, Some(top)) })
}

/// Which place has it, what it is, and whether that is where manifests are.
fn find_content(places: &Places, selector: &Selector) -> Result<(usize, Resolution, bool), Error> {
    let manifest = places.first_resolved(selector, |client| client.resolve_manifest(selector).map_err(Error::Registry));
    let missing = match (manifest, selector) {
        (Ok((index, found)), _) => return Ok((index, found, true)),
        (Err(error), Selector::Digest(digest)) if is_no_manifest(&error) => (error, digest),
        (Err(error), _) => return Err(error),
    };
    let (error, digest) = missing;
    match find_blob(places, digest) {
        Ok((index, found)) => Ok((index, found, false)),
        // That it is no manifest either is then the better answer: manifests were looked for first.
        Err(blob_error) if blob_error.is_not_found() => Err(error),
        Err(blob_error) => Err(blob_error),
    }
}

pub(super) fn find_blob(places: &Places, digest: &Digest) -> Result<(usize, Resolution), Error> {
    places.first_trusted(|client| client.resolve_blob(digest).map_err(Error::Registry))
}

/// True when everybody who answered says that there is no such manifest, and somebody did. Whoever was out of order may
/// have it: to take a blob for it then would make a layer of a manifest.
fn is_no_manifest(error: &Error) -> bool {
    let is_unanswered =
        |error: &Error| find::<ErrorResponse>(error).is_none() && find(error).is_some_and(http::Error::is_transient);
    match error {
        Error::AllSourcesFailed(all) => {
            let mut errors = all.mirrors.iter().chain([&all.primary]).map(|attempt| &*attempt.error);
            let is_said = errors.clone().any(Error::is_not_found);
            is_said && errors.all(|error| error.is_not_found() || is_unanswered(error))
        }
        alone => alone.is_not_found(),
    }
}

/// Of both, the digest counts.
pub(super) fn pinned(reference: &Reference) -> Reference {
    match reference.digest() {
        Some(_) => reference.clone().without_tag(),
        None => reference.clone(),
    }
}

fn nothing_to_read(reference: &Reference) -> Error {
    match DockerReference::with_unknown_digest(reference.clone()) {
        Ok(docker) => Error::NothingToRead(ImageReference::Docker(docker)),
        // It has a tag or a digest then.
        Err(_) => Error::NoPullSource,
    }
}

pub(super) fn named_descriptor(media_type: &str, digest: &Digest, size: u64) -> Result<Descriptor, Error> {
    // The crate of descriptors takes every digest that is one of ours.
    let unusable =
        |source: oci_spec::OciSpecError| Error::Other { source: Box::new(source), not_found: false, transient: false };
    let digest = digest.as_str().parse::<oci_spec::image::Digest>().map_err(unusable)?;
    Ok(Descriptor::new(media_type.into(), size, digest))
}
