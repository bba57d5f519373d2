//! Where an image is written.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use crate::digest::{self, Digest};
use crate::manifest::{Descriptor, ManifestBytes};
use crate::media_type::MediaType;
use crate::reference::ImageReference;
use crate::source;

pub mod dir;
pub mod oci_layout;
mod staging;

pub use dir::DirDestination;
pub use oci_layout::OciLayoutDestination;

/// A place that takes an image: blobs in any order and from several threads, then manifests, then [`commit`](Self::commit).
///
/// Until the commit, a reader of the place sees what was there before.
pub trait ImageDestination: Send + Sync {
    /// The place.
    fn reference(&self) -> &ImageReference;

    /// True when a layer that has `urls` may be left where they point.
    fn accepts_foreign_layers(&self) -> bool;

    /// True when a manifest of this media type can be stored as it is.
    fn accepts(&self, media_type: &MediaType) -> bool;

    /// True when the blob is there already, whole; its bytes are checked, not believed.
    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error>;

    /// Takes a blob in. `reader` fails unless the bytes are those of `descriptor`; then nothing remains of them.
    fn put_blob(&self, descriptor: &Descriptor, reader: &mut dyn Read) -> Result<(), Error>;

    /// Takes a manifest in: that of an instance, or the top-level one for `None`.
    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error>;

    /// Makes the image visible.
    fn commit(&self) -> Result<(), Error>;
}

/// So that `unwrap_err` of an opened place compiles in a test.
impl fmt::Debug for dyn ImageDestination + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageDestination").field("reference", self.reference()).finish_non_exhaustive()
    }
}

/// Opens a place to write an image to. What is there stays readable until the commit.
pub fn open(reference: &ImageReference) -> Result<Box<dyn ImageDestination>, Error> {
    match reference {
        ImageReference::Dir(path) => Ok(Box::new(DirDestination::open(path)?)),
        ImageReference::Oci(layout) => Ok(Box::new(OciLayoutDestination::open(layout.clone())?)),
        other @ (ImageReference::Docker(_) | ImageReference::OciArchive(_) | ImageReference::DockerArchive(_)) => {
            Err(Error::Transport(other.clone()))
        }
    }
}

/// Why an image cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No images are written to this transport.
    #[error("{image}: images cannot be written to {transport}: (they can to dir: and oci:)", image = .0, transport = .0.transport())]
    Transport(ImageReference),
    /// A file or directory could not be written. Nothing of it remains.
    #[error("{}: cannot write", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes of a blob did not come, or were not those of its descriptor. Nothing of them remains.
    #[error("cannot read blob {digest}")]
    Read {
        /// Which one.
        digest: Digest,
        /// The reader's reason.
        source: std::io::Error,
    },
    /// What is at the place already cannot be read.
    #[error("cannot add to what is there")]
    Existing(#[source] source::Error),
    /// A directory with files in it that were not written as a `dir:` image.
    #[error("{}: not empty, and not an image directory; choose another, or empty it", path.display())]
    NotAnImageDirectory {
        /// Which one.
        path: PathBuf,
    },
    /// Another process writes an image into this directory.
    #[error("{}: another process is writing here", path.display())]
    Busy {
        /// Which one.
        path: PathBuf,
    },
    /// An image in a layout is read by its position, and written by its name.
    #[error("{}: cannot write to a position (@N); give the image a name", path.display())]
    Position {
        /// The layout.
        path: PathBuf,
    },
    /// A layout has only OCI documents.
    #[error("{}: an OCI layout cannot hold a manifest of type {media_type:?}; convert it to OCI", path.display())]
    MediaType {
        /// The layout.
        path: PathBuf,
        /// What it was given.
        media_type: MediaType,
    },
    /// A descriptor whose digest cannot be checked.
    #[error("the blob's digest is unusable")]
    Digest(#[source] digest::ParseError),
    /// The manifest given for an instance is that of another.
    #[error("the manifest of instance {instance} has the digest {found}")]
    Instance {
        /// Which one it should be.
        instance: Digest,
        /// Which one it is.
        found: Digest,
    },
    /// A commit before the top-level manifest was given.
    #[error("{}: the image has no manifest yet", path.display())]
    NoManifest {
        /// The place.
        path: PathBuf,
    },
    /// A document could not be put into words.
    #[error("{}: cannot write JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
}

/// An instance is stored under its digest, whatever the algorithm.
fn check_instance(manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
    let Some(instance) = instance else { return Ok(()) };
    let found = Digest::of(instance.algorithm(), manifest.bytes());
    if found == *instance { Ok(()) } else { Err(Error::Instance { instance: instance.clone(), found }) }
}
