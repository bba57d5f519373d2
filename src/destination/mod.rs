//! Where an image is written.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::config::{Config, LookasideError};
use crate::digest::{self, Digest};
use crate::manifest::{self, Descriptor, ManifestBytes, go_json};
use crate::media_type::MediaType;
use crate::reference::{self, ImageReference, Name, Reference};
use crate::signature::UntrustedSignature;
use crate::{registry as api, source};

mod archive;
mod attachments;
mod delete;
pub mod dir;
pub mod docker_archive;
mod extension;
mod head;
mod lookaside;
mod new_blob;
pub mod oci_archive;
mod oci_delete;
pub mod oci_layout;
mod partial;
mod referrers;
pub mod registry;
mod registry_signatures;
mod staging;

pub use delete::{DeleteError, delete};
pub use dir::DirDestination;
pub use docker_archive::{DockerArchiveDestination, DockerArchiveWriter};
pub use head::head;
pub use oci_archive::OciArchiveDestination;
pub use oci_layout::OciLayoutDestination;
pub use registry::RegistryDestination;

/// A place that takes an image: blobs in any order and from several threads, then manifests, each followed by its
/// signatures, then [`commit`](Self::commit).
///
/// Until the commit, a reader of the place sees what was there before.
pub trait ImageDestination: Send + Sync {
    /// The place.
    fn reference(&self) -> &ImageReference;

    /// True when a layer that has `urls` may be left where they point.
    fn accepts_foreign_layers(&self) -> bool;

    /// True when a manifest of this media type can be stored as it is.
    fn accepts(&self, media_type: &MediaType) -> bool;

    /// True when the blob is there already, whole. The bytes on this machine are checked, not believed; a registry is
    /// believed.
    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error>;

    /// The repository that blobs can be taken over into, as it is contacted; `None` for a place that is not in a registry.
    fn repository(&self) -> Option<&Name> {
        None
    }

    /// Has the registry take a blob over from another of its repositories: the first of `candidates` that works is
    /// returned. `None` when the bytes must be brought, because none works, or the place is not in their registry.
    fn reuse_blob(&self, _descriptor: &Descriptor, _candidates: &[Name]) -> Result<Option<Name>, Error> {
        Ok(None)
    }

    /// Takes a blob in. `input` fails unless the bytes are those of `descriptor`; then nothing remains of them that
    /// anybody could take for the blob.
    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error>;

    /// Takes a blob in that is made on the way, so that nobody knows its size yet, nor its digest. `reader` fails when
    /// something is wrong with what it is made of; then nothing remains of it.
    ///
    /// Unless a place knows better, the blob waits in a temporary file until both are known.
    fn put_new_blob(&self, reader: &mut dyn Read) -> Result<NewBlob, Error> {
        new_blob::put_by_way_of_a_file(self, reader)
    }

    /// The size of a blob that is there already, whole; `None` where it is not, or where that is not known.
    fn blob_size(&self, _digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// True for a place that has layers without compression only.
    fn wants_uncompressed_layers(&self) -> bool {
        false
    }

    /// Takes a manifest in: that of an instance, or the top-level one for `None`.
    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error>;

    /// Whether signatures such as these can be kept here: asked before the first blob, so that a copy that must fail fails
    /// early. None at all are always fine.
    ///
    /// # Errors
    /// Why not, and what can be done. A place that says nothing about signatures keeps none.
    fn check_signatures(&self, signatures: &[UntrustedSignature]) -> Result<(), Error> {
        without_signatures(self.reference(), signatures)
    }

    /// Takes the signatures of a manifest in, after the manifest: that of an instance, or the top-level one for `None`.
    ///
    /// Where the place keeps signatures with the image, these are all that the image will have. Where it keeps them beside
    /// it, they replace those of the same manifest (a lookaside store), or are added to them (attachments in a registry).
    fn put_signatures(&self, signatures: &[UntrustedSignature], _instance: Option<&Digest>) -> Result<(), Error> {
        without_signatures(self.reference(), signatures)
    }

    /// Makes the image visible.
    fn commit(&self) -> Result<(), Error>;
}

/// The bytes of a blob on their way to a place, checked: an error of kind `InvalidData` says that they are wrong.
pub trait BlobInput: Read {
    /// Told before the first read that the first bytes are at the place already, from an earlier try: all that `known`
    /// gives. They are believed only as the digest of the whole is.
    ///
    /// True when reading goes on behind them. Otherwise it begins at the beginning, and the place forgets them.
    fn resume(&mut self, _known: &mut dyn Read) -> io::Result<bool> {
        Ok(false)
    }
}

impl BlobInput for &[u8] {}
impl BlobInput for Box<dyn Read + '_> {}
impl BlobInput for source::BlobReader {}
impl<R: Read> BlobInput for digest::VerifyingReader<R> {}

/// A blob that a place has taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// Its SHA-256 digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// So that `unwrap_err` of an opened place compiles in a test.
impl fmt::Debug for dyn ImageDestination + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageDestination").field("reference", self.reference()).finish_non_exhaustive()
    }
}

/// Opens a place on this machine to write an image to. What is there stays readable until the commit.
pub fn open(reference: &ImageReference) -> Result<Box<dyn ImageDestination>, Error> {
    match reference {
        ImageReference::Dir(path) => Ok(Box::new(DirDestination::open(path)?)),
        ImageReference::Oci(layout) => Ok(Box::new(OciLayoutDestination::open(layout.clone())?)),
        ImageReference::Docker(_) => Err(Error::NoConfiguration(reference.clone())),
        ImageReference::OciArchive(archive) => Ok(Box::new(OciArchiveDestination::open(archive.clone())?)),
        ImageReference::DockerArchive(archive) => Ok(Box::new(DockerArchiveDestination::open(archive.clone())?)),
    }
}

/// Opens a place to write an image to, which may be in a registry. Nothing is sent yet.
///
/// The options are for a registry, and mean what they mean for a source. What is pushed goes to the registry that the
/// administrator's configuration leads to, never to one of its mirrors.
pub fn open_with(
    config: &Config,
    reference: &ImageReference,
    options: &source::Options,
) -> Result<Box<dyn ImageDestination>, Error> {
    match reference {
        ImageReference::Docker(docker) => Ok(Box::new(RegistryDestination::open(config, docker.clone(), options)?)),
        local => open(local),
    }
}

/// Why an image cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of an embedder's own [`ImageDestination`]. Prints as its cause.
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

/// A document that is made here, for the repository `name`.
fn json_bytes(name: &Name, document: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    go_json::to_vec(document).map_err(|source| Error::Json { path: name.to_string().into(), source })
}

/// Signatures are never lost in silence.
fn without_signatures(place: &ImageReference, signatures: &[UntrustedSignature]) -> Result<(), Error> {
    if signatures.is_empty() { Ok(()) } else { Err(Error::NoSignatures { image: place.clone() }) }
}

/// What every place with one format of manifests asks of one before it takes it in.
fn check_manifest(
    place: &dyn ImageDestination,
    manifest: &ManifestBytes,
    instance: Option<&Digest>,
) -> Result<(), Error> {
    check_instance(manifest, instance)?;
    if place.accepts(manifest.media_type()) {
        return Ok(());
    }
    Err(Error::MediaType { image: place.reference().clone(), media_type: manifest.media_type().clone() })
}

/// An instance is stored under its digest, whatever the algorithm.
fn check_instance(manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
    let Some(instance) = instance else { return Ok(()) };
    let found = Digest::of(instance.algorithm(), manifest.bytes());
    if found == *instance { Ok(()) } else { Err(Error::Instance { instance: instance.clone(), found }) }
}
