//! Deleting an image.

use std::path::PathBuf;

use super::{lookaside, oci_delete};
use crate::config::{Config, LookasideError};
use crate::digest::Digest;
use crate::reference::{DockerReference, ImageReference};
use crate::registry::{self as api, Selector};
use crate::source::{self, Options};

/// Why an image was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// Images of this transport are not deleted.
    #[error("{image}: images are not deleted from {transport}: (they are from docker:// and oci:)", image = .0, transport = .0.transport())]
    Transport(ImageReference),
    /// What is to be deleted is not there or cannot be read, or the registry does not let us. Prints as its cause.
    #[error("{0}")]
    Source(#[from] source::Error),
    /// The registry is set up not to delete.
    #[error("{image}: deletion is disabled in this registry (for docker's registry: storage.delete.enabled)")]
    Disabled {
        /// What was to be deleted.
        image: ImageReference,
        /// What the registry said.
        source: api::Error,
    },
    /// The image is deleted, and the files of its signatures cannot be.
    #[error("the image is deleted, its signatures are not")]
    Signatures(#[source] super::Error),
    /// The signature store cannot be used. Nothing was deleted. Prints as its cause.
    #[error("{0}")]
    Lookaside(#[from] LookasideError),
    /// Which blobs the other images of a layout need cannot be told. Nothing was deleted.
    #[error("{}: cannot tell what other images need of it", path.display())]
    Unreadable {
        /// The manifest of one of them.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The same, because the manifest of one of them is not there. Nothing was deleted.
    #[error("{}: the manifest of {name} is not there, so nobody can tell what is needed of it: pull it again, or remove it (rmi; delete oci:… where another program has put it there)", path.display())]
    Missing {
        /// The manifest.
        path: PathBuf,
        /// What the image is called; `@N` with its position in the index for one without a name.
        name: String,
    },
    /// The layout cannot be written. Prints as its cause.
    #[error("{0}")]
    Write(#[source] super::Error),
}

/// Deletes an image, and returns the digest of the manifest that is gone.
///
/// In a registry, a manifest goes with every tag that names it, from the registry itself and never from a mirror; then
/// the signatures in the lookaside store, where that is on this machine. The registry's blobs, and the signatures that
/// it keeps itself, are its own matter.
///
/// In a layout, the name goes from the index, and then the blobs that no other image of the layout needs.
pub fn delete(config: &Config, image: &ImageReference, options: &Options) -> Result<Digest, DeleteError> {
    match image {
        ImageReference::Docker(docker) => delete_from_registry(config, docker, options),
        ImageReference::Oci(layout) => oci_delete::delete(layout),
        other => Err(DeleteError::Transport(other.clone())),
    }
}

fn delete_from_registry(config: &Config, image: &DockerReference, options: &Options) -> Result<Digest, DeleteError> {
    let (client, physical) = source::delete_client(config, image.reference(), options)?;
    let selector = match (physical.digest(), physical.tag()) {
        (Some(digest), _) => Selector::Digest(digest.clone()),
        (None, Some(tag)) => Selector::Tag(tag.clone()),
        (None, None) => return Err(source::Error::NothingToRead(ImageReference::Docker(image.clone())).into()),
    };
    let store = config.registries_d.lookaside_staging(&physical)?;
    let digest = client.manifest(&selector).map_err(source::Error::Registry)?.digest().clone();
    match client.delete_manifest(&digest) {
        Ok(()) => {}
        Err(source) if source.is_deletion_disabled() => {
            return Err(DeleteError::Disabled { image: ImageReference::Docker(image.clone()), source });
        }
        Err(error) => return Err(source::Error::Registry(error).into()),
    }
    match lookaside::remove(&store, &digest) {
        Err(super::Error::LookasideNotWritable { url }) => {
            log::warn!("signatures of the image stay in {url}, if there are any: only files can be deleted");
            Ok(digest)
        }
        outcome => outcome.map(|()| digest).map_err(DeleteError::Signatures),
    }
}
