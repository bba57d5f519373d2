//! Is an image at its destination already?

use std::path::Path;

use super::{Access, Pair, directory, rehearsal, signed};
use crate::copy::{self, Instances, LayerCompression};
use crate::destination;
use crate::digest::Digest;
use crate::reference::ImageReference;
use crate::source;

/// The digest of an image that a copy would leave as it is; `None` where there is something to copy, or where only the
/// copy can tell.
///
/// A registry is asked with one `HEAD`, and the source is not asked at all where the destination has nothing. Only what
/// may pass is an error: of everything else the copy tells more than an answer without a body.
pub(super) fn unchanged(pair: &Pair, to: &Access, options: &copy::Options<'_>) -> Result<Option<Digest>, copy::Error> {
    let Some(digest) = same_manifest(pair, to, options)? else { return Ok(None) };
    let is_signed = known(signed::have_come(pair, to, options))?.unwrap_or(false);
    Ok(is_signed.then_some(digest))
}

fn same_manifest(pair: &Pair, to: &Access, options: &copy::Options<'_>) -> Result<Option<Digest>, copy::Error> {
    let there = match &pair.to {
        ImageReference::Docker(place) => {
            let there = known(destination::head(&to.config, place, &to.options).map_err(copy::Error::from))?;
            let Some(there) = there.flatten() else { return Ok(None) };
            There::Registry(there.digest)
        }
        place => match place.path().filter(|path| path.exists()) {
            Some(path) => There::Directory(path),
            None => return Ok(None),
        },
    };
    let wanted = known(wanted(pair, options))?.flatten();
    Ok(wanted.filter(|wanted| there.is(wanted)))
}

/// What is at the destination.
enum There<'a> {
    Registry(Digest),
    Directory(&'a Path),
}

impl There<'_> {
    fn is(&self, wanted: &Digest) -> bool {
        match self {
            Self::Registry(digest) => digest == wanted,
            Self::Directory(path) => directory::whole_image(path, wanted).as_ref() == Some(wanted),
        }
    }
}

fn known<T>(outcome: Result<T, copy::Error>) -> Result<Option<T>, copy::Error> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            log::debug!("{}", crate::error::one_line(&error));
            Ok(None)
        }
    }
}

/// The digest of what a copy would write; `None` where only the copy can tell.
fn wanted(pair: &Pair, options: &copy::Options<'_>) -> Result<Option<Digest>, copy::Error> {
    let ImageReference::Docker(image) = &pair.from else { return rehearsed(pair, options) };
    if !keeps_manifests(options) {
        return rehearsed(pair, options);
    }
    let head = source::head(&pair.access.config, image, &pair.access.options)?;
    if head.media_type.is_image() || options.instances == Instances::All {
        return Ok(Some(head.digest));
    }
    rehearsed(pair, options)
}

/// True where what is copied of a manifest is that manifest, or of an index an instance of it.
fn keeps_manifests(options: &copy::Options<'_>) -> bool {
    let copy::Options { format, layers, instances, .. } = options;
    let takes_all_or_one = matches!(instances, Instances::System | Instances::All);
    format.is_none() && *layers == LayerCompression::Kept && takes_all_or_one
}

/// The manifest must be read: to know which instance of an index is wanted, or into what it would be changed.
fn rehearsed(pair: &Pair, options: &copy::Options<'_>) -> Result<Option<Digest>, copy::Error> {
    let source = source::open_with(&pair.access.config, &pair.from, &pair.access.options)?;
    let top = source.manifest(None)?;
    if !keeps_manifests(options) {
        return rehearsal::written(pair, &*source, options);
    }
    if top.media_type().is_index() && options.instances == Instances::System {
        return copy::system_instance(&top, &options.platform).map(Some);
    }
    Ok(Some(top.digest().clone()))
}
