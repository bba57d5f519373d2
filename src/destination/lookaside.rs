//! Signatures in a lookaside store: files beside the registry, on this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::staging::{self, Staging, write_error};
use crate::config::{LookasideUrl, StorageLocation};
use crate::digest::Digest;
use crate::signature::UntrustedSignature;

/// Fails unless the store can be written.
pub(super) fn check(store: &LookasideUrl) -> Result<(), Error> {
    file(store).map(drop)
}

/// Puts the signatures of a manifest where those that were there are.
pub(super) fn replace(store: &LookasideUrl, digest: &Digest, signatures: &[&UntrustedSignature]) -> Result<(), Error> {
    for (index, signature) in signatures.iter().enumerate() {
        put(&file(&store.signature(digest, index))?, &signature.to_stored())?;
    }
    remove_from(store, digest, signatures.len())
}

/// Removes all signatures of a manifest.
pub(super) fn remove(store: &LookasideUrl, digest: &Digest) -> Result<(), Error> {
    remove_from(store, digest, 0)
}

/// Nobody reads beyond the first that is missing.
fn remove_from(store: &LookasideUrl, digest: &Digest, first: usize) -> Result<(), Error> {
    let mut index = first;
    while remove_file(&file(&store.signature(digest, index))?)? {
        index = index.saturating_add(1);
    }
    Ok(())
}

fn file(url: &LookasideUrl) -> Result<PathBuf, Error> {
    match url.location()? {
        StorageLocation::File(path) => Ok(path),
        StorageLocation::Http(_) => Err(Error::LookasideNotWritable { url: url.to_string() }),
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(path);
    staging::create_directory(directory)?;
    Staging::open(directory.to_owned())?.put(path, bytes)?;
    staging::sync_directory(directory)
}

/// False when there is none.
fn remove_file(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(write_error(path)(error)),
    }
}
