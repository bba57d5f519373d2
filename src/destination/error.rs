//! What can go wrong.

use std::io;
use std::path::PathBuf;

use crate::config::LookasideError;
use crate::digest::{self, Digest};
use crate::manifest;
use crate::media_type::MediaType;
use crate::reference::{self, ImageReference, Reference};
use crate::{registry as api, source};

/// Why an image cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of an embedder's own [`ImageDestination`](super::ImageDestination). Prints as its cause.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A registry cannot be opened without the administrator's configuration.
    #[error("{0}: a registry is opened with a configuration (open_with)")]
    NoConfiguration(ImageReference),
    /// The registry did not take something, or cannot be asked. Prints as its cause.
    #[error("{0}")]
    Registry(#[source] source::Error),
    /// The registry takes manifests, but not of this kind.
    #[error("the registry refuses the manifest of type {media_type:?}")]
    ManifestRefused {
        /// The kind.
        media_type: MediaType,
        /// What the registry said.
        source: api::Error,
    },
    /// A kind of manifest that is not pushed to any registry.
    #[error("{image}: a manifest of type {media_type:?} is not pushed to a registry")]
    NotPushed {
        /// The place.
        image: ImageReference,
        /// What it was given.
        media_type: MediaType,
    },
    /// A place named by a digest takes only the image with that digest.
    #[error("{image}: the image that would be written has another digest, {found}; give a tag instead of the digest")]
    OtherDigest {
        /// The place.
        image: ImageReference,
        /// The digest of the image.
        found: Digest,
    },
    /// A layout has no place for signatures, nor has an archive.
    #[error("{image}: {} cannot hold signatures", kind(image))]
    NoSignatures {
        /// The place.
        image: ImageReference,
    },
    /// The administrator does not want sigstore signatures in this registry.
    #[error(
        "{image}: sigstore signatures are not written there, because registries.d does not say use-sigstore-attachments: \
         true"
    )]
    NoAttachments {
        /// The place.
        image: ImageReference,
    },
    /// Simple signatures are written to files.
    #[error("signatures cannot be written to {url}; configure a lookaside-staging with a file: URL in registries.d")]
    LookasideNotWritable {
        /// The store.
        url: String,
    },
    /// The configured signature store cannot be used. Prints as its cause.
    #[error("{0}")]
    Lookaside(#[from] LookasideError),
    /// What is where signatures are kept in the registry is something else.
    #[error("{image}: cannot add to the signatures that are there")]
    ExistingSignatures {
        /// The tag.
        image: String,
        /// What is wrong with it.
        source: manifest::Error,
    },
    /// A digest that makes no tag. No algorithm that is known has such digests.
    #[error("the digest makes no tag for its signatures")]
    Tag(#[source] reference::ParseError),
    /// A file or directory could not be written. Nothing of it remains.
    #[error("{}: cannot write", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The bytes of a blob that is made on the way did not come. Nothing of them remains.
    #[error("cannot read the blob")]
    ReadNew(#[source] io::Error),
    /// A blob that is made on the way could not wait in a temporary file.
    #[error("cannot write to a temporary file")]
    TemporaryFile(#[source] io::Error),
    /// The bytes of a blob did not come, or were not those of its descriptor. Nothing of them remains.
    #[error("cannot read blob {digest}")]
    Read {
        /// Which one.
        digest: Digest,
        /// The reader's reason.
        source: io::Error,
    },
    /// What is at the place already cannot be read.
    #[error("cannot add to what is there")]
    Existing(#[source] source::Error),
    /// The blobs of a layout are in another directory, where others may need them.
    #[error("{}: a link, and other layouts may need what is there; nothing is removed", path.display())]
    BlobsElsewhere {
        /// The link.
        path: PathBuf,
    },
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
    /// A blob that another copy is writing was waited for, until this copy failed or was cancelled.
    #[error("blob {digest} was waited for, which another copy is writing, until this one was given up")]
    GivenUp {
        /// Which one.
        digest: Digest,
    },
    /// An image in a layout or an archive is read by its position, and written by its name.
    #[error("{}: cannot write to a position (@N); give the image a name", path.display())]
    Position {
        /// The layout, or the archive.
        path: PathBuf,
    },
    /// What `docker save` writes is not added to.
    #[error("{}: docker-archive: doesn't support modifying existing images; remove the file, or choose another", path.display())]
    ExistingArchive {
        /// The archive.
        path: PathBuf,
    },
    /// The path of an archive, or a tag in it, that cannot be written down.
    #[error("the archive cannot be named")]
    Reference(#[source] reference::ImageReferenceError),
    /// A tag of an image in an archive that is none.
    #[error("{0} cannot be a tag of an image in an archive, which has a name and a tag and no digest")]
    ArchiveTag(Reference),
    /// The configuration of an image does not fit its layers.
    #[error("{image}: the image's configuration cannot be used")]
    Config {
        /// The place.
        image: ImageReference,
        /// What is wrong with it.
        source: manifest::RootFsError,
    },
    /// A layer of an image that is not what the configuration says.
    #[error("{image}: the layer {layer} is compressed, or not the one with the diff id {diff_id}")]
    NotTheDiffId {
        /// The place.
        image: ImageReference,
        /// The digest of the layer.
        layer: Digest,
        /// What the configuration calls it.
        diff_id: Digest,
    },
    /// A manifest came before all of its blobs were there.
    #[error("{image}: the blob {digest} is not there")]
    NoBlob {
        /// The place.
        image: ImageReference,
        /// Which one.
        digest: Digest,
    },
    /// The manifest cannot be used.
    #[error("writing the manifest")]
    Manifest(#[from] manifest::Error),
    /// A layout has only OCI documents, and what `docker save` writes has only Docker's.
    #[error("{image}: {} cannot hold a manifest of type {media_type:?}", kind(image))]
    MediaType {
        /// The place.
        image: ImageReference,
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
    #[error("{image}: the image has no manifest yet")]
    NoManifest {
        /// The place.
        image: ImageReference,
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

impl Error {
    /// True when the place cannot keep the signatures of an image, and could take it without them.
    pub fn is_about_signatures(&self) -> bool {
        matches!(self, Self::NoSignatures { .. } | Self::NoAttachments { .. } | Self::LookasideNotWritable { .. })
    }

    /// True when credentials are missing, wrong, or not enough.
    pub fn is_unauthorized(&self) -> bool {
        crate::error::find::<api::Error>(self).is_some_and(api::Error::is_unauthorized)
    }

    /// True when the same may succeed later.
    pub fn is_transient(&self) -> bool {
        crate::error::find::<api::Error>(self).is_some_and(api::Error::is_transient)
    }
}

/// What a place is, for a message about what it cannot have.
fn kind(image: &ImageReference) -> &'static str {
    match image {
        ImageReference::Docker(_) => "a registry",
        ImageReference::Dir(_) => "a directory",
        ImageReference::Oci(_) => "an OCI layout",
        ImageReference::OciArchive(_) => "an oci-archive",
        ImageReference::DockerArchive(_) => "a docker-archive",
    }
}

/// What the registry said no to.
pub(super) fn failed(error: api::Error) -> Error {
    Error::Registry(source::Error::Registry(error))
}
