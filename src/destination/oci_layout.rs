//! `oci:path[:name]`: an image added to an
//! [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md), for
//! [`OciLayoutSource`](crate::source::OciLayoutSource).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::staging::{self, Staging};
use super::{BlobInput, Error, ImageDestination, NewBlob};
use crate::digest::Digest;
use crate::manifest::document::{self, Index, REF_NAME};
use crate::manifest::{Descriptor, ManifestBytes, go_json};
use crate::media_type::MediaType;
use crate::reference::{ImageReference, OciImage, OciReference};
use crate::source::local;
use crate::source::oci_layout::{INDEX_FILE, MAX_INDEX_SIZE, blob_path, parse_index};

/// The file that says that a directory is a layout.
pub(super) const LAYOUT_FILE: &str = "oci-layout";
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion": "1.0.0"}"#;

/// A layout that takes an image beside those it has.
///
/// Blobs are only ever added. [`commit`](ImageDestination::commit) replaces the index at once, under a lock on the
/// directory's own file descriptor, so several processes may write into one layout.
#[derive(Debug)]
pub struct OciLayoutDestination {
    reference: ImageReference,
    path: PathBuf,
    name: Option<String>,
    staging: Staging,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The blobs that were written or found whole.
    blobs: HashSet<Digest>,
    top: Option<document::Descriptor>,
}

impl OciLayoutDestination {
    /// Opens the layout, and makes it where there is none. A position (`@N`) is not a name to write to.
    pub fn open(reference: OciReference) -> Result<Self, Error> {
        let path = reference.path().to_owned();
        let name = match reference.image() {
            OciImage::Only => None,
            OciImage::Named(name) => Some(name.as_str().to_owned()),
            OciImage::Index(_) => return Err(Error::Position { path }),
        };
        staging::create_directory(&path)?;
        // An index that cannot be read is better known before the work than after it.
        read_index(&path)?;
        let staging = Staging::open(path.clone())?;
        Ok(Self { reference: ImageReference::Oci(reference), path, name, staging, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, digest: &Digest) -> Result<PathBuf, Error> {
        place(&self.path, digest)
    }
}

impl ImageDestination for OciLayoutDestination {
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
        let is_whole = self.state().blobs.contains(&digest)
            || staging::is_whole(&blob_path(&self.path, &digest), &digest, descriptor.size());
        if is_whole {
            self.state().blobs.insert(digest);
        }
        Ok(is_whole)
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        self.staging.put_blob(&self.place(&digest)?, &digest, descriptor.size(), input)?;
        self.state().blobs.insert(digest);
        Ok(())
    }

    fn put_new_blob(&self, reader: &mut dyn Read) -> Result<NewBlob, Error> {
        let blob = self.staging.put_new(reader, |digest| self.place(digest))?;
        self.state().blobs.insert(blob.digest.clone());
        Ok(blob)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(staging::whole_size(&blob_path(&self.path, digest), digest).inspect(|_| {
            self.state().blobs.insert(digest.clone());
        }))
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
        super::check_manifest(self, manifest, instance)?;
        let digest = instance.unwrap_or(manifest.digest());
        self.staging.put(&self.place(digest)?, manifest.bytes())?;
        self.state().blobs.insert(digest.clone());
        if instance.is_none() {
            self.state().top = Some(descriptor(manifest, self.name.as_deref()));
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let top = self.state().top.clone().ok_or_else(|| Error::NoManifest { image: self.reference.clone() })?;
        sync_blobs(&self.path, &self.state().blobs)?;
        let _lock = staging::lock_directory(&self.path)?;
        // Read anew: another process may have added its image since.
        let mut index = read_index(&self.path)?;
        add(&mut index, top);
        put_layout_file(&self.path, &self.staging)?;
        write_index(&self.path, &self.staging, &index)
    }
}

/// The file of a blob, in a directory that is there.
pub(super) fn place(layout: &Path, digest: &Digest) -> Result<PathBuf, Error> {
    let path = blob_path(layout, digest);
    path.parent().map_or(Ok(()), staging::create_directory)?;
    Ok(path)
}

/// The index must not name what a power cut can still take away.
pub(super) fn sync_blobs(layout: &Path, blobs: &HashSet<Digest>) -> Result<(), Error> {
    let directory = |digest: &Digest| blob_path(layout, digest).parent().map(Path::to_owned);
    let directories: BTreeSet<_> = blobs.iter().filter_map(directory).collect();
    directories.into_iter().try_for_each(|path| staging::sync_directory(&path))
}

pub(super) fn put_layout_file(layout: &Path, staging: &Staging) -> Result<(), Error> {
    let path = layout.join(LAYOUT_FILE);
    if path.exists() { Ok(()) } else { staging.put(&path, LAYOUT) }
}

/// Replaces the index at once, for good.
pub(super) fn write_index(layout: &Path, staging: &Staging, index: &Index) -> Result<(), Error> {
    let path = layout.join(INDEX_FILE);
    let bytes = go_json::to_vec(index).map_err(|source| Error::Json { path: path.clone(), source })?;
    staging.put(&path, &bytes)?;
    staging::sync_directory(layout)
}

/// The index as it is; an empty one where there is none.
pub(super) fn read_index(layout: &Path) -> Result<Index, Error> {
    let path = layout.join(INDEX_FILE);
    match local::read_if_there(&path, MAX_INDEX_SIZE).map_err(Error::Existing)? {
        Some(bytes) => parse_index(&path, &bytes).map_err(Error::Existing),
        None => Ok(Index { schema_version: 2, ..Index::default() }),
    }
}

pub(super) fn descriptor(manifest: &ManifestBytes, name: Option<&str>) -> document::Descriptor {
    let annotations = name.map(|name| (REF_NAME.to_owned(), name.to_owned()));
    document::Descriptor {
        media_type: manifest.media_type().to_string(),
        digest: manifest.digest().to_string(),
        size: manifest.size(),
        annotations: annotations.into_iter().collect::<BTreeMap<_, _>>(),
        ..document::Descriptor::default()
    }
}

/// The image that had the name keeps its place without one; an unnamed entry of the same image becomes the new one.
fn add(index: &mut Index, new: document::Descriptor) {
    if let Some(name) = new.name() {
        for entry in index.manifests.iter_mut().filter(|entry| entry.name() == Some(name)) {
            entry.annotations.remove(REF_NAME);
        }
    }
    let same = index.manifests.iter_mut().find(|entry| entry.digest == new.digest && entry.name().is_none());
    match same {
        Some(entry) => *entry = new,
        None => index.manifests.push(new),
    }
}
