//! Where an image is written.

use std::fmt;
use std::io::{self, Read};

use crate::config::Config;
use crate::digest::{self, Digest};
use crate::manifest::{Descriptor, ManifestBytes, go_json};
use crate::media_type::MediaType;
use crate::reference::{ImageReference, Name};
use crate::signature::UntrustedSignature;
use crate::source;

mod archive;
mod attachments;
mod delete;
pub mod dir;
pub mod docker_archive;
mod error;
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
pub(crate) mod shared_layout;
mod staging;

pub use delete::{DeleteError, delete};
pub use dir::DirDestination;
pub use docker_archive::{DockerArchiveDestination, DockerArchiveWriter};
pub use error::Error;
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

    /// Told from another thread that the copy has failed: a call that waits for somebody may end.
    fn give_up(&self) {}
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
