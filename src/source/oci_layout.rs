//! `oci:path[:name]`: an image in an
//! [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BlobReader, Error, FoundSignature, ImageSource, SignatureDemand, local};
use crate::digest::{Digest, HashedPrefix, Mismatch};
use crate::manifest::document::{self, Index};
use crate::manifest::{Descriptor, MAX_MANIFEST_SIZE, ManifestBytes};
use crate::media_type::MediaType;
use crate::reference::{ImageReference, OciImage, OciReference};

/// The file that lists the images of a layout.
pub(crate) const INDEX_FILE: &str = "index.json";

/// No list of images is longer: 32 MiB, some hundred thousand images.
pub(crate) const MAX_INDEX_SIZE: u64 = 32 * 1024 * 1024;

/// An image in a layout.
///
/// External URLs of foreign layers are not fetched: such a layer is there or it is an error.
#[derive(Debug)]
pub struct OciLayoutSource {
    reference: ImageReference,
    path: PathBuf,
    manifest: Arc<ManifestBytes>,
}

impl OciLayoutSource {
    /// Opens the layout, finds the image in its index and reads the image's top-level manifest.
    ///
    /// Without a name there must be exactly one image; `@N` is the Nth of the index, from 0.
    pub fn open(reference: OciReference) -> Result<Self, Error> {
        let path = reference.path().to_owned();
        let index_path = path.join(INDEX_FILE);
        let index = parse_index(&index_path, &local::read(&index_path, MAX_INDEX_SIZE)?)?;
        let descriptor = choose(&index, &reference, "oci")?;
        let digest: Digest =
            descriptor.digest.parse().map_err(|source| Error::IndexDigest { path: index_path, source })?;
        let manifest = read_manifest(&path, &digest, &descriptor.media_type, Some(descriptor.size))?;
        Ok(Self { reference: ImageReference::Oci(reference), path, manifest: Arc::new(manifest) })
    }

    fn blob_file(&self, descriptor: &Descriptor) -> Result<(Digest, PathBuf), Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let path = blob_path(&self.path, &digest);
        match descriptor.urls() {
            Some(urls) if !urls.is_empty() && !path.exists() => {
                Err(Error::ForeignLayer { digest, urls: urls.clone(), path })
            }
            _ => Ok((digest, path)),
        }
    }
}

impl ImageSource for OciLayoutSource {
    fn logical(&self) -> &ImageReference {
        &self.reference
    }

    fn physical(&self) -> &ImageReference {
        &self.reference
    }

    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, Error> {
        match instance {
            None => Ok(Arc::clone(&self.manifest)),
            Some(digest) => read_manifest(&self.path, digest, "", None).map(Arc::new),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let (digest, path) = self.blob_file(descriptor)?;
        local::blob(&path, descriptor, digest, &self.reference)
    }

    fn blob_from(&self, descriptor: &Descriptor, prefix: HashedPrefix) -> Result<BlobReader, Error> {
        let (digest, path) = self.blob_file(descriptor)?;
        local::blob_from(&path, descriptor, digest, prefix, &self.reference)
    }

    /// Nobody has said where a layout keeps signatures.
    fn signatures(&self, _instance: Option<&Digest>, _demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        Ok(Vec::new())
    }
}

/// The file of a blob or a manifest. A digest is letters, digits and a colon, so this never leaves the layout.
pub(crate) fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join(blob_name(digest))
}

/// The name of a blob or a manifest in a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.encoded())
}

pub(crate) fn parse_index(path: &Path, bytes: &[u8]) -> Result<Index, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Index { path: path.to_owned(), source })
}

/// A manifest that was read from `path`, checked against its digest, and its size where that is stated.
pub(super) fn checked_manifest(
    bytes: Vec<u8>,
    path: PathBuf,
    digest: &Digest,
    stated: &str,
    size: Option<u64>,
) -> Result<ManifestBytes, Error> {
    let manifest = check_size(digest, bytes.len() as u64, size)
        .and_then(|()| ManifestBytes::verified(bytes, MediaType::from(stated), digest));
    manifest.map_err(|source| Error::Damaged { path, source })
}

fn read_manifest(layout: &Path, digest: &Digest, stated: &str, size: Option<u64>) -> Result<ManifestBytes, Error> {
    let path = blob_path(layout, digest);
    checked_manifest(local::read(&path, MAX_MANIFEST_SIZE)?, path, digest, stated, size)
}

fn check_size(digest: &Digest, found: u64, expected: Option<u64>) -> Result<(), Mismatch> {
    let expected_digest = digest.clone();
    match expected {
        Some(size) if found < size => Err(Mismatch::TooShort { expected: expected_digest, size, found }),
        Some(size) if found > size => Err(Mismatch::TooLong { expected: expected_digest, size }),
        _ => Ok(()),
    }
}

/// The image that is meant, among those of the index of a layout or of an archive of one, as `transport` says.
pub(crate) fn choose<'a>(
    index: &'a Index,
    reference: &OciReference,
    transport: &'static str,
) -> Result<&'a document::Descriptor, Error> {
    let path = || reference.path().to_owned();
    let available = || index.manifests.iter().filter_map(|entry| entry.name()).map(str::to_owned).collect();
    match (reference.image(), index.manifests.as_slice()) {
        (OciImage::Only, [only]) => Ok(only),
        (OciImage::Only, []) => Err(Error::NoImage { path: path() }),
        (OciImage::Only, entries) => {
            Err(Error::SeveralImages { transport, path: path(), count: entries.len(), available: available() })
        }
        (OciImage::Index(position), entries) => entries.get(*position).ok_or_else(|| Error::NoSuchPosition {
            path: path(),
            position: *position,
            count: entries.len(),
        }),
        (OciImage::Named(name), entries) => {
            let name = name.as_str();
            let mut named = entries.iter().filter(|entry| entry.name() == Some(name)).peekable();
            let other = named.peek().map(|entry| entry.media_type.clone());
            let no_image = || match other {
                Some(media_type) => Error::NotAnImage { path: path(), name: name.to_owned(), media_type },
                None => Error::NoSuchImage { transport, path: path(), name: name.to_owned(), available: available() },
            };
            named.find(|entry| is_manifest(&entry.media_type)).ok_or_else(no_image)
        }
    }
}

pub(crate) fn is_manifest(media_type: &str) -> bool {
    let media_type = MediaType::from(media_type);
    media_type.is_image() || media_type.is_index()
}
