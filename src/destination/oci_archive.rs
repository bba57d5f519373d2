//! `oci-archive:path[:name]`: an image in a tar file of an
//! [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md), for
//! [`OciArchiveSource`](crate::source::OciArchiveSource).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::archive::{Spool, Spooled, TarWriter, Target};
use super::oci_layout::{LAYOUT, LAYOUT_FILE, descriptor};
use super::{BlobInput, Error, ImageDestination, NewBlob};
use crate::digest::Digest;
use crate::manifest::document::{self, Index};
use crate::manifest::{Descriptor, ManifestBytes, go_json};
use crate::media_type::MediaType;
use crate::reference::{ImageReference, OciImage, OciReference};
use crate::source::oci_layout::{INDEX_FILE, blob_name};

/// The modes of what is in the archive, those of skopeo's.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// A tar file that takes one image, in place of whatever is in it.
///
/// What was there stays until the [`commit`](ImageDestination::commit), which writes the archive. A pipe gets nothing
/// before that.
#[derive(Debug)]
pub struct OciArchiveDestination {
    reference: ImageReference,
    name: Option<String>,
    target: Target,
    spool: Spool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<Digest, Spooled>,
    top: Option<document::Descriptor>,
}

impl OciArchiveDestination {
    /// Looks at what is there. A position (`@N`) is not a name to write to.
    pub fn open(reference: OciReference) -> Result<Self, Error> {
        let name = match reference.image() {
            OciImage::Only => None,
            OciImage::Named(name) => Some(name.as_str().to_owned()),
            OciImage::Index(_) => return Err(Error::Position { path: reference.path().to_owned() }),
        };
        let target = Target::open(reference.path())?;
        let spool = target.spool()?;
        Ok(Self { reference: ImageReference::OciArchive(reference), name, target, spool, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, digest: Digest, reader: &mut dyn Read) -> Result<(), Error> {
        let spooled = self.spool.take_in(&digest, reader)?;
        self.state().blobs.insert(digest, spooled);
        Ok(())
    }
}

impl ImageDestination for OciArchiveDestination {
    fn reference(&self) -> &ImageReference {
        &self.reference
    }

    fn accepts_foreign_layers(&self) -> bool {
        true
    }

    fn accepts(&self, media_type: &MediaType) -> bool {
        [MediaType::OCI_MANIFEST, MediaType::OCI_INDEX].contains(media_type)
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        Ok(self.state().blobs.contains_key(&digest))
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error> {
        self.take_in(Digest::try_from(descriptor.digest()).map_err(Error::Digest)?, input)
    }

    fn put_new_blob(&self, reader: &mut dyn Read) -> Result<NewBlob, Error> {
        let (blob, spooled) = self.spool.take_in_new(reader)?;
        self.state().blobs.insert(blob.digest.clone(), spooled);
        Ok(blob)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.state().blobs.get(digest).map(Spooled::size))
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
        super::check_manifest(self, manifest, instance)?;
        let digest = instance.unwrap_or(manifest.digest());
        self.take_in(digest.clone(), &mut manifest.bytes())?;
        if instance.is_none() {
            self.state().top = Some(descriptor(manifest, self.name.as_deref()));
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let state = self.state();
        let top = state.top.clone().ok_or_else(|| Error::NoManifest { image: self.reference.clone() })?;
        let index = Index { schema_version: 2, manifests: vec![top], ..Index::default() };
        let json = |source| Error::Json { path: INDEX_FILE.into(), source };
        let index = go_json::to_vec(&index).map_err(json)?;
        self.target.write(|archive| write_layout(archive, &state.blobs, &index))
    }
}

/// In the order of the names, as skopeo has them.
fn write_layout(archive: &mut TarWriter<'_>, blobs: &BTreeMap<Digest, Spooled>, index: &[u8]) -> io::Result<()> {
    archive.directory("blobs/", DIRECTORY_MODE)?;
    let mut algorithm = None;
    for (digest, blob) in blobs {
        if algorithm.replace(digest.algorithm()) != Some(digest.algorithm()) {
            archive.directory(&format!("blobs/{}/", digest.algorithm()), DIRECTORY_MODE)?;
        }
        archive.file(&blob_name(digest), FILE_MODE, blob.size(), blob.reader())?;
    }
    archive.bytes(INDEX_FILE, FILE_MODE, index)?;
    archive.bytes(LAYOUT_FILE, FILE_MODE, LAYOUT)
}
