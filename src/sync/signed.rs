//! Are the signatures that a copy would carry along at the destination already?
//!
//! An image is often signed after it was pushed. A synchronisation in between must not be the last word, or the mirror
//! would have the image without its signature for ever. They are compared only where some may be, so that everybody
//! else's comparison stays one request.

use std::path::Path;

use super::{Access, Pair};
use crate::config::{LookasideError, StorageLocation};
use crate::copy::{self, Instances};
use crate::digest::Digest;
use crate::manifest::{Index, ManifestBytes};
use crate::reference::{ImageReference, Reference};
use crate::source::{self, ImageSource, SignatureDemand};

/// True when every signature that would go along with the image is there, which has the manifest that the source has.
pub(super) fn have_come(pair: &Pair, to: &Access, options: &copy::Options<'_>) -> Result<bool, copy::Error> {
    if options.remove_signatures || !may_have_some(pair)? {
        return Ok(true);
    }
    let source = source::open_with(&pair.access.config, &pair.from, &pair.access.options)?;
    let mut place: Option<Box<dyn ImageSource>> = None;
    for manifest in manifests(&*source.manifest(None)?, options)? {
        let wanted = source.signatures(manifest.from.as_ref(), SignatureDemand::Carried)?;
        if wanted.is_empty() {
            continue;
        }
        let opened = match place.take() {
            Some(opened) => opened,
            None => source::open_with(&to.config, &pair.to, &to.options)?,
        };
        let there = opened.signatures(manifest.to.as_ref(), SignatureDemand::Carried)?;
        if !wanted.iter().all(|wanted| there.iter().any(|there| there.signature == wanted.signature)) {
            return Ok(false);
        }
        place = Some(opened);
    }
    Ok(true)
}

/// A manifest that is copied: which instance it is of the source, and of the copy.
#[derive(Default)]
struct Copied {
    from: Option<Digest>,
    to: Option<Digest>,
}

fn manifests(top: &ManifestBytes, options: &copy::Options<'_>) -> Result<Vec<Copied>, copy::Error> {
    if !top.media_type().is_index() {
        return Ok(vec![Copied::default()]);
    }
    if options.instances == Instances::System {
        let instance = copy::system_instance(top, &options.platform)?;
        return Ok(vec![Copied { from: Some(instance), to: None }]);
    }
    if options.instances != Instances::All {
        return Ok(vec![Copied::default()]);
    }
    let index = Index::parse(top)?;
    let instances = index.instances().iter().map(|instance| Some(instance.digest().clone()));
    let instances = instances.map(|instance| Copied { from: instance.clone(), to: instance });
    Ok(std::iter::once(Copied::default()).chain(instances).collect())
}

/// Nobody is asked for this.
fn may_have_some(pair: &Pair) -> Result<bool, copy::Error> {
    let ImageReference::Docker(image) = &pair.from else { return Ok(true) };
    let config = &pair.access.config;
    let pull_sources = config.pull_sources(image.reference()).map_err(source::Error::from)?;
    Ok(pull_sources.iter().any(|pull_source| has_a_place(pair, &pull_source.physical)))
}

fn has_a_place(pair: &Pair, physical: &Reference) -> bool {
    let registries_d = &pair.access.config.registries_d;
    if registries_d.use_sigstore_attachments(physical) {
        return true;
    }
    match registries_d.lookaside(physical).and_then(|store| store.location()) {
        Ok(StorageLocation::File(repository)) => repository.parent().is_some_and(Path::exists),
        Err(LookasideError::NoHome) => false,
        // Whatever is wrong with it is told by the copy.
        Ok(StorageLocation::Http(_)) | Err(_) => true,
    }
}
