//! `docker-archive:path[:reference]`: an image in a tar file as `docker save` and `podman save` write it.
//!
//! `manifest.json` lists the images, each with its configuration, its tags and its layers, which are files in the
//! archive. There is no manifest such as a registry has: one is made up, of a Docker schema 2 image whose layers are not
//! compressed.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::archive::{Archive, ArchiveError, Duplicates};
use super::{BlobReader, Error, FoundSignature, ImageSource, SignatureDemand, local};
use crate::compression::Decompressed;
use crate::digest::{Digest, Mismatch};
use crate::manifest::convert::docker_image;
use crate::manifest::{Descriptor, MAX_CONFIG_SIZE, ManifestBytes, diff_ids, go_json};
use crate::reference::{ArchivedImage, DockerArchiveReference, ImageReference, Reference};

/// The file that lists the images.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";

/// No list of images is longer: 4 MiB, some thousand images.
const MAX_LIST_SIZE: u64 = 4 * 1024 * 1024;

/// What `manifest.json` says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    // Go programs write an empty list as null.
    #[serde(default, deserialize_with = "go_json::null_is_empty")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "go_json::null_is_empty")]
    layers: Vec<String>,
}

/// A layer in the archive. `docker save` has them as they are; some programs compress them.
#[derive(Debug)]
struct Layer {
    name: String,
    size: u64,
}

/// An image in an archive, which is read without being unpacked.
///
/// Of files with one name the first counts, as for podman and skopeo.
#[derive(Debug)]
pub struct DockerArchiveSource {
    reference: ImageReference,
    archive: Archive,
    manifest: Arc<ManifestBytes>,
    config: Vec<u8>,
    layers: HashMap<Digest, Layer>,
}

impl DockerArchiveSource {
    /// Goes through the archive, finds the image in its list and reads the image's configuration. Layers that are
    /// compressed are read to learn how large they are.
    ///
    /// Without a reference there must be exactly one image; `@N` is the Nth of the list, from 0.
    pub fn open(reference: DockerArchiveReference) -> Result<Self, Error> {
        let archive = Archive::open(reference.path(), Duplicates::FirstCounts)?;
        let list = parse_list(&archive)?;
        let image = choose(list, &reference)?;
        let config = archive.read(&image.config, MAX_CONFIG_SIZE)?;
        let diff_ids = diff_ids(&config, image.layers.len())
            .map_err(|source| Error::ArchiveConfig { path: archive.path().join(&image.config), source })?;
        let mut layers = HashMap::new();
        for (diff_id, name) in diff_ids.iter().zip(image.layers) {
            if !layers.contains_key(diff_id) {
                let size = uncompressed_size(&archive, &name)?;
                layers.insert(diff_id.clone(), Layer { name, size });
            }
        }
        let sizes = diff_ids.iter().filter_map(|diff_id| Some((diff_id, layers.get(diff_id)?.size)));
        let manifest = docker_image(&config, sizes)
            .map_err(|source| Error::ArchiveManifest { path: archive.path().join(MANIFEST_FILE), source })?;
        let (reference, manifest) = (ImageReference::DockerArchive(reference), Arc::new(manifest));
        Ok(Self { reference, archive, manifest, config, layers })
    }

    /// The tags of all images in an archive, in the order of its list. Of `reference` only the path counts.
    pub fn tags(reference: &DockerArchiveReference) -> Result<Vec<Reference>, Error> {
        let list = parse_list(&Archive::open(reference.path(), Duplicates::FirstCounts)?)?;
        tagged(&list, reference).map(|image| Ok(image?.1)).collect()
    }

    /// The layer without its compression, where it has one.
    fn layer(&self, name: &str) -> Result<impl Read + Send + use<>, Error> {
        let unreadable = |source| self.archive.error(ArchiveError::Read { name: name.to_owned(), source });
        Decompressed::new(self.archive.reader(name)?).map_err(unreadable)
    }
}

impl ImageSource for DockerArchiveSource {
    fn logical(&self) -> &ImageReference {
        &self.reference
    }

    fn physical(&self) -> &ImageReference {
        &self.reference
    }

    /// There are no instances: the archive has no index.
    fn manifest(&self, instance: Option<&Digest>) -> Result<Arc<ManifestBytes>, Error> {
        match instance {
            Some(digest) if digest != self.manifest.digest() => {
                let (expected, found) = (digest.clone(), self.manifest.digest().clone());
                let path = self.archive.path().to_owned();
                Err(Error::Damaged { path, source: Mismatch::Digest { expected, found } })
            }
            _ => Ok(Arc::clone(&self.manifest)),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        match self.layers.get(&digest) {
            Some(layer) => Ok(local::checked(self.layer(&layer.name)?, descriptor, digest, &self.reference)),
            // The one other blob that the manifest names. Asked for another, these are the wrong bytes, and say so.
            None => Ok(local::checked(io::Cursor::new(self.config.clone()), descriptor, digest, &self.reference)),
        }
    }

    /// There is no place for them in such an archive.
    fn signatures(&self, _instance: Option<&Digest>, _demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        Ok(Vec::new())
    }
}

fn parse_list(archive: &Archive) -> Result<Vec<Listed>, Error> {
    let bytes = archive.read(MANIFEST_FILE, MAX_LIST_SIZE)?;
    let path: PathBuf = archive.path().join(MANIFEST_FILE);
    serde_json::from_slice(&bytes).map_err(|source| Error::ArchiveManifest { path, source })
}

fn choose(mut list: Vec<Listed>, reference: &DockerArchiveReference) -> Result<Listed, Error> {
    let path = || reference.path().to_owned();
    let count = list.len();
    let position = match reference.image() {
        ArchivedImage::Only if count == 0 => return Err(Error::NoImage { path: path() }),
        ArchivedImage::Only if count > 1 => {
            let available = tags(&list);
            return Err(Error::SeveralImages { transport: "docker-archive", path: path(), count, available });
        }
        ArchivedImage::Only => 0,
        ArchivedImage::Index(position) => *position,
        ArchivedImage::Tagged(wanted) => find(&list, wanted, reference)?,
    };
    if position >= count {
        return Err(Error::NoSuchPosition { path: path(), position, count });
    }
    Ok(list.swap_remove(position))
}

/// The position of the first image with this tag. A tag that cannot be read could be the one, so it is an error.
fn find(list: &[Listed], wanted: &Reference, reference: &DockerArchiveReference) -> Result<usize, Error> {
    for image in tagged(list, reference) {
        let (position, tag) = image?;
        if tag == *wanted {
            return Ok(position);
        }
    }
    let (name, available) = (wanted.familiar(), tags(list));
    Err(Error::NoSuchImage { transport: "docker-archive", path: reference.path().to_owned(), name, available })
}

/// Every tag, with the position of its image.
fn tagged<'a>(
    list: &'a [Listed],
    reference: &'a DockerArchiveReference,
) -> impl Iterator<Item = Result<(usize, Reference), Error>> + 'a {
    let tags =
        list.iter().enumerate().flat_map(|(position, image)| image.repo_tags.iter().map(move |tag| (position, tag)));
    tags.map(|(position, tag)| {
        let unusable =
            |source| Error::ArchiveTag { path: reference.path().to_owned(), position, tag: tag.clone(), source };
        Ok((position, tag.parse().map_err(unusable)?))
    })
}

fn tags(list: &[Listed]) -> Vec<String> {
    list.iter().flat_map(|image| image.repo_tags.clone()).collect()
}

fn uncompressed_size(archive: &Archive, name: &str) -> Result<u64, Error> {
    let unreadable = |source| archive.error(ArchiveError::Read { name: name.to_owned(), source });
    let mut layer = Decompressed::new(archive.reader(name)?).map_err(unreadable)?;
    match layer.compression() {
        None => archive.size(name),
        Some(_) => io::copy(&mut layer, &mut io::sink()).map_err(unreadable),
    }
}
