//! `oci-archive:path[:name]`: an image in a tar file of an
//! [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md), compressed or not.

use std::path::PathBuf;
use std::sync::Arc;

use super::archive::{Archive, Duplicates};
use super::oci_layout::{INDEX_FILE, MAX_INDEX_SIZE, blob_name, checked_manifest, choose, parse_index};
use super::{BlobReader, Error, FoundSignature, ImageSource, SignatureDemand, local};
use crate::digest::Digest;
use crate::manifest::{Descriptor, MAX_MANIFEST_SIZE, ManifestBytes};
use crate::reference::{ImageReference, OciReference};

/// An image in an archive of a layout, which is read without being unpacked.
///
/// Of files with one name the last counts, as if it were unpacked. External URLs of foreign layers are not fetched: such
/// a layer is there or it is an error.
#[derive(Debug)]
pub struct OciArchiveSource {
    reference: ImageReference,
    archive: Archive,
    manifest: Arc<ManifestBytes>,
}

impl OciArchiveSource {
    /// Goes through the archive, finds the image in its index and reads the image's top-level manifest.
    ///
    /// Without a name there must be exactly one image; `@N` is the Nth of the index, from 0.
    pub fn open(reference: OciReference) -> Result<Self, Error> {
        let archive = Archive::open(reference.path(), Duplicates::LastCounts)?;
        let index_path = archive.path().join(INDEX_FILE);
        let index = parse_index(&index_path, &archive.read(INDEX_FILE, MAX_INDEX_SIZE)?)?;
        let descriptor = choose(&index, &reference, "oci-archive")?;
        let digest: Digest =
            descriptor.digest.parse().map_err(|source| Error::IndexDigest { path: index_path, source })?;
        let manifest = read_manifest(&archive, &digest, &descriptor.media_type, Some(descriptor.size))?;
        Ok(Self { reference: ImageReference::OciArchive(reference), archive, manifest: Arc::new(manifest) })
    }
}

impl ImageSource for OciArchiveSource {
    fn logical(&self) -> &ImageReference {
        &self.reference
    }

    fn physical(&self) -> &ImageReference {
        &self.reference
    }

    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, Error> {
        match instance {
            None => Ok(Arc::clone(&self.manifest)),
            Some(digest) => read_manifest(&self.archive, digest, "", None).map(Arc::new),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let name = blob_name(&digest);
        match descriptor.urls() {
            Some(urls) if !urls.is_empty() && !self.archive.contains(&name) => {
                Err(Error::ForeignLayer { digest, urls: urls.clone(), path: path_in(&self.archive, &name) })
            }
            _ => Ok(local::checked(self.archive.reader(&name)?, descriptor, digest, &self.reference)),
        }
    }

    /// Nobody has said where a layout keeps signatures.
    fn signatures(&self, _instance: Option<&Digest>, _demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        Ok(Vec::new())
    }
}

fn read_manifest(archive: &Archive, digest: &Digest, stated: &str, size: Option<u64>) -> Result<ManifestBytes, Error> {
    let name = blob_name(digest);
    checked_manifest(archive.read(&name, MAX_MANIFEST_SIZE)?, path_in(archive, &name), digest, stated, size)
}

/// How a message names a file in an archive.
fn path_in(archive: &Archive, name: &str) -> PathBuf {
    archive.path().join(name)
}
