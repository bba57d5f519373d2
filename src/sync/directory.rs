//! Images in a tree of directories: where they are, and whether they are whole.

use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::manifest::{Descriptor, ImageManifest, Index, ManifestBytes};
use crate::source::dir::{blob_name, manifest_name};
use crate::source::{DirSource, ImageSource};

use super::Error;

/// The directories of images in `root`, which may be one itself, by name. Links to directories are not followed, and an
/// image has no images in it. A directory that cannot be looked into is given to `failed`, which says whether to go on.
pub(super) fn images(root: &Path, mut failed: impl FnMut(Error) -> Result<(), Error>) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        if directory.join(manifest_name(None)).is_file() {
            found.push(directory);
            continue;
        }
        match directories(&directory) {
            Ok(below) => pending.extend(below),
            Err(error) => failed(error)?,
        }
    }
    found.sort();
    Ok(found)
}

/// True when a directory is another one or below it, by whatever way. It need not be there yet.
pub(super) fn is_within(directory: &Path, other: &Path) -> bool {
    let (Ok(directory), Ok(other)) = (std::path::absolute(directory), fs::canonicalize(other)) else { return false };
    let there = directory.ancestors().find_map(|ancestor| fs::canonicalize(ancestor).ok());
    there.is_some_and(|there| there.starts_with(&other))
}

fn directories(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Directory { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_type().map_err(unreadable)?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The digest of the image in a directory, in the algorithm of `like`; `None` where there is none, or not all of it: a
/// copy that was interrupted, or files that somebody removed. Files are looked at by their size, not read.
pub(super) fn whole_image(path: &Path, like: &Digest) -> Option<Digest> {
    let source = DirSource::open(path).ok()?;
    let top = source.manifest(None).ok()?;
    is_whole(&source, path, &top)?;
    Some(Digest::of(like.algorithm(), top.bytes()))
}

fn is_whole(source: &DirSource, path: &Path, top: &ManifestBytes) -> Option<()> {
    if !top.media_type().is_index() {
        return has_blobs(path, top);
    }
    for instance in Index::parse(top).ok()?.instances() {
        has_blobs(path, &*source.manifest(Some(instance.digest())).ok()?)?;
    }
    Some(())
}

fn has_blobs(path: &Path, manifest: &ManifestBytes) -> Option<()> {
    let image = ImageManifest::parse(manifest).ok()?;
    let has = |blob: &Descriptor| {
        let digest = Digest::try_from(blob.digest()).ok()?;
        let file = fs::symlink_metadata(path.join(blob_name(&digest))).ok()?;
        (file.is_file() && file.len() == blob.size()).then_some(())
    };
    std::iter::once(image.config()).chain(image.layers()).try_for_each(|blob| has(blob).ok_or(())).ok()
}
