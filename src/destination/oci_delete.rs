//! Deleting an image from an OCI layout.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::oci_layout::write_index;
use super::staging::{self, Staging, write_error};
use super::{DeleteError, Error, shared_layout};
use crate::digest::Digest;
use crate::manifest::MAX_MANIFEST_SIZE;
use crate::manifest::document::{self, Index};
use crate::reference::OciReference;
use crate::source::local;
use crate::source::oci_layout::{INDEX_FILE, MAX_INDEX_SIZE, blob_path, choose, is_manifest, parse_index};

/// What a manifest or an index of any kind needs.
#[derive(Deserialize)]
struct Document {
    config: Option<Item>,
    layers: Option<Vec<Item>>,
    blobs: Option<Vec<Item>>,
    manifests: Option<Vec<Item>>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    digest: String,
    #[serde(default)]
    media_type: String,
}

/// The index loses the image first: what is deleted then is nobody's, whenever that is interrupted.
pub(super) fn delete(image: &OciReference) -> Result<Digest, DeleteError> {
    let layout = image.path();
    // What is not there is better told than that it cannot be locked.
    choose(&read_index(layout)?, image, "oci")?;
    let _lock = staging::lock_directory(layout).map_err(DeleteError::Write)?;
    let mut index = read_index(layout)?;
    let chosen = choose(&index, image, "oci")?;
    let digest: Digest = chosen
        .digest
        .parse()
        .map_err(|source| crate::source::Error::IndexDigest { path: layout.join(INDEX_FILE), source })?;
    let position = index.manifests.iter().position(|entry| std::ptr::eq(entry, chosen)).unwrap_or_default();
    let removed = index.manifests.remove(position);
    let (removed, mut kept) = (needed_by(layout, &[removed])?, needed_by(layout, &index.manifests)?);
    kept.extend(shared_layout::leased(layout)?);
    let staging = Staging::open(layout.to_owned()).map_err(DeleteError::Write)?;
    write_index(layout, &staging, &index).map_err(DeleteError::Write)?;
    removed.difference(&kept).try_for_each(|blob| remove(&blob_path(layout, blob))).map_err(DeleteError::Write)?;
    Ok(digest)
}

/// The blobs that these images consist of, their manifests included.
pub(super) fn needed_by(layout: &Path, entries: &[document::Descriptor]) -> Result<BTreeSet<Digest>, DeleteError> {
    let item =
        |entry: &document::Descriptor| Item { digest: entry.digest.clone(), media_type: entry.media_type.clone() };
    needed(layout, entries.iter().map(item).collect())
}

pub(super) fn read_index(layout: &Path) -> Result<Index, crate::source::Error> {
    let path = layout.join(INDEX_FILE);
    parse_index(&path, &local::read(&path, MAX_INDEX_SIZE)?)
}

/// The blobs that these manifests and indexes consist of, themselves included.
///
/// An index may be in a layout without some of its instances. A digest that is none names no blob.
fn needed(layout: &Path, manifests: Vec<Item>) -> Result<BTreeSet<Digest>, DeleteError> {
    let (mut needed, mut read, mut open) = (BTreeSet::new(), BTreeSet::new(), manifests);
    while let Some(item) = open.pop() {
        let Ok(digest) = item.digest.parse::<Digest>() else { continue };
        needed.insert(digest.clone());
        // What is a layer of one may be the manifest of another, so `needed` does not tell what was read.
        if !read.insert(digest.clone()) {
            continue;
        }
        let Some(document) = read_document(layout, &digest, is_manifest(&item.media_type))? else { continue };
        let blobs = [document.layers, document.blobs].into_iter().flatten().flatten().chain(document.config);
        needed.extend(blobs.filter_map(|blob| blob.digest.parse::<Digest>().ok()));
        open.extend(document.manifests.into_iter().flatten());
    }
    Ok(needed)
}

/// `None` for what is not there, and for what is no document: an index may list anything. A manifest must be one, and
/// undamaged.
fn read_document(layout: &Path, digest: &Digest, is_manifest: bool) -> Result<Option<Document>, DeleteError> {
    let path = blob_path(layout, digest);
    let bytes = match local::read_if_there(&path, MAX_MANIFEST_SIZE) {
        Err(crate::source::Error::FileTooLarge { .. }) if !is_manifest => None,
        outcome => outcome?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let document = match serde_json::from_slice(&bytes) {
        Err(source) if is_manifest => return Err(DeleteError::Unreadable { path, source }),
        outcome => outcome.ok(),
    };
    if is_manifest {
        shared_layout::check(&path, digest, &bytes)?;
    }
    Ok(document)
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(path)(error)),
        _ => Ok(()),
    }
}
