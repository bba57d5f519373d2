//! An image store: images under their ids, their tags and their digests, as the Container Runtime Interface (CRI) of
//! Kubernetes and containerd have them.
//!
//! The store is an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md): whoever
//! reads one reads it. Its index has an entry for each name, with the name as `org.opencontainers.image.ref.name`. What
//! other tools have put into the layout stays as it is.

use std::path::{Path, PathBuf};

use crate::destination::shared_layout::{self, Removed};
use crate::digest::Digest;
use crate::manifest::document::Index;
use crate::reference::{ImageReference, OciImage, OciReference};
use crate::source;

mod auth;
mod destination;
mod entry;
mod error;
mod list;
mod names;
mod pull;
mod remove;

pub use auth::{AuthConfig, AuthError};
pub use entry::labels;
pub use error::Error;
pub use list::{DamagedImage, Images, StoredImage};
pub use names::{Names, classify, parse_image};
pub use pull::{Pull, PullOptions, PullRequest, PulledImage};

/// An image store on this machine.
///
/// Pulls, removals and pruning may happen at the same time, in threads and in other processes: an image comes whole or
/// not at all, and each blob comes once.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    reference: ImageReference,
}

/// What [`Store::prune`] removed, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// The ids of images that nobody has asked for under a name that is still there.
    pub images: Vec<Digest>,
    /// How many blobs.
    pub blobs: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

impl Store {
    /// The store in a directory. Nothing is looked at yet; the first pull makes what is not there.
    ///
    /// # Errors
    /// [`Error::Path`] for a path with a `:` in it: nobody could name the layout to another tool.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let layout = OciReference::new(path.clone(), OciImage::Only).map_err(Error::Path)?;
        Ok(Self { path, reference: ImageReference::Oci(layout) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The images. A damaged one does not hide the others.
    pub fn images(&self) -> Result<Images, Error> {
        let mut index = self.index()?;
        loop {
            let images = list::images(&self.path, &index);
            if images.damaged.is_empty() {
                return Ok(images);
            }
            // What is damaged may have been removed meanwhile: an index loses an image before its content goes.
            let now = self.index()?;
            if now == index {
                return Ok(images);
            }
            index = now;
        }
    }

    /// Removes a name, and returns what was removed; the content stays until [`prune`](Self::prune).
    ///
    /// `name` is one with a tag or a digest, or an id or so much of it that it means one image: then all of its names
    /// go. An id goes with the last other name.
    pub fn remove(&self, name: &str) -> Result<Vec<String>, Error> {
        self.index()?;
        shared_layout::edit(&self.path, |index| remove::remove(&self.path, index, name))
    }

    /// Removes what no name holds: images of which only the id is left, or a digest that came with a tag that is gone or
    /// leads elsewhere now; and all blobs that no image in the layout needs. What pulls are bringing at the same time
    /// stays.
    ///
    /// # Errors
    /// Nothing is removed where it cannot be told what an image needs.
    pub fn prune(&self) -> Result<Pruned, Error> {
        self.pruned(false)
    }

    /// What [`prune`](Self::prune) would remove now. Nothing is removed.
    ///
    /// # Errors
    /// Those of [`prune`](Self::prune).
    pub fn what_prune_would_remove(&self) -> Result<Pruned, Error> {
        self.pruned(true)
    }

    fn pruned(&self, is_rehearsal: bool) -> Result<Pruned, Error> {
        self.index()?;
        let (images, Removed { blobs }) = shared_layout::prune(&self.path, is_rehearsal, remove::forget_unheld)?;
        Ok(Pruned { images, blobs: blobs.len(), bytes: blobs.values().sum() })
    }

    fn index(&self) -> Result<Index, Error> {
        let is_missing = |error: &source::Error| matches!(error, source::Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
        shared_layout::index(&self.path).map_err(|error| match error {
            error if is_missing(&error) => Error::NoStore { path: self.path.clone() },
            error => Error::Read(error),
        })
    }
}
