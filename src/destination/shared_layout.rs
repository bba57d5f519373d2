//! An OCI layout as the content of a store: several pulls write into it at the same time, and what nobody needs goes.
//!
//! Three things keep them apart. Who writes a blob has its partial file locked, and the others wait for that: so each blob
//! comes once, and when its writer dies the next one goes on where it was. Who changes the index has the directory
//! locked. And each pull has a lease: a file, locked as long as the pull lives, with the digests that it counts on though
//! no index names them yet.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use super::oci_delete::{needed_by, remove};
use super::oci_layout::{place, put_layout_file, read_index, sync_blobs, write_index};
use super::partial::{Partial, Turn};
use super::staging::{self, Staging, write_error};
use super::{BlobInput, DeleteError, Error};
use crate::digest::{Digest, Mismatch};
use crate::manifest::document::Index;
use crate::source::local;
use crate::source::oci_layout::{INDEX_FILE, blob_path};

/// What the names of leases begin with.
const LEASE: &str = ".transship-lease-";

/// No lease is longer, in bytes: a hundred thousand digests.
const MAX_LEASE_SIZE: u64 = 8 * 1024 * 1024;

/// A layout, as one pull has it open.
#[derive(Debug)]
pub(crate) struct SharedLayout {
    path: PathBuf,
    staging: Staging,
    lease: NamedTempFile,
    /// Set when the pull has failed: nothing is waited for any more.
    is_given_up: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The blobs that were written or found whole.
    blobs: HashSet<Digest>,
    /// Those whose turn is ours and that were not brought yet.
    turns: HashMap<Digest, Partial>,
}

/// What was removed from a layout, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// The blobs with their sizes in bytes.
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

impl SharedLayout {
    /// Opens the layout for a pull, and makes it where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        staging::create_directory(path)?;
        // An index that cannot be read is better known before the work than after it.
        read_index(path)?;
        let staging = Staging::open(path.to_owned())?;
        let lease = staging.file_called(LEASE).map_err(write_error(path))?;
        Ok(Self { path: path.to_owned(), staging, lease, is_given_up: AtomicBool::new(false), state: Mutex::default() })
    }

    /// Ends every wait for another pull.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when a blob is there, whole. Waits for another pull that is bringing it, until `cancelled`; where it is not there
    /// then, others wait until [`put_blob`](Self::put_blob) is done with it, or this is dropped.
    pub(crate) fn has_blob(&self, digest: &Digest, size: u64, cancelled: &AtomicBool) -> Result<bool, Error> {
        if self.state().blobs.contains(digest) {
            return Ok(true);
        }
        self.lease(digest)?;
        let path = place(&self.path, digest)?;
        let is_whole = || staging::is_whole(&path, digest, size);
        let mut is_there = is_whole();
        if !is_there {
            let turn = self.turn(digest, cancelled)?;
            is_there = is_whole();
            match turn {
                Some(partial) if is_there => partial.discard(),
                Some(partial) => drop(self.state().turns.insert(digest.clone(), partial)),
                None => {}
            }
        }
        if is_there {
            self.state().blobs.insert(digest.clone());
        }
        Ok(is_there)
    }

    fn turn(&self, digest: &Digest, cancelled: &AtomicBool) -> Result<Option<Partial>, Error> {
        let is_given_up = || self.is_given_up.load(Ordering::Relaxed) || cancelled.load(Ordering::Relaxed);
        match self.staging.turn(digest, &is_given_up) {
            Turn::Ours(partial) => Ok(Some(partial)),
            Turn::Nobodys => Ok(None),
            Turn::GivenUp => Err(Error::GivenUp { digest: digest.clone() }),
        }
    }

    /// Takes a blob in that [is not there](Self::has_blob).
    pub(crate) fn put_blob(&self, digest: &Digest, size: u64, input: &mut dyn BlobInput) -> Result<(), Error> {
        let turn = self.state().turns.remove(digest);
        self.staging.put_part(turn, &place(&self.path, digest)?, digest, size, input)?;
        self.state().blobs.insert(digest.clone());
        Ok(())
    }

    /// Takes a document in.
    pub(crate) fn put_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        self.lease(digest)?;
        self.staging.put(&place(&self.path, digest)?, bytes)?;
        self.state().blobs.insert(digest.clone());
        Ok(())
    }

    /// The bytes of a document that was brought.
    pub(crate) fn document(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        document(&self.path, digest, limit).map_err(Error::Existing)
    }

    /// Changes the index at once, for good, when everything it will name is on the disk.
    pub(crate) fn commit(&self, change: impl FnOnce(&mut Index)) -> Result<(), Error> {
        sync_blobs(&self.path, &self.state().blobs)?;
        let _lock = staging::lock_directory(&self.path)?;
        let mut index = read_index(&self.path)?;
        let before = index.clone();
        change(&mut index);
        put_layout_file(&self.path, &self.staging)?;
        let is_there = self.path.join(INDEX_FILE).exists();
        if is_there && index == before { Ok(()) } else { write_index(&self.path, &self.staging, &index) }
    }

    /// From here on the blob is not removed, unless it was before: under the lock, so that who removes has seen it or is
    /// done.
    fn lease(&self, digest: &Digest) -> Result<(), Error> {
        let _lock = staging::lock_directory(&self.path)?;
        self.lease.as_file().write_all(format!("{digest}\n").as_bytes()).map_err(write_error(self.lease.path()))
    }
}

/// The index of a layout that must be there.
pub(crate) fn index(layout: &Path) -> Result<Index, crate::source::Error> {
    super::oci_delete::read_index(layout)
}

/// Changes the index of a layout that is there; what `change` fails with changes nothing.
pub(crate) fn edit<T, E>(layout: &Path, change: impl FnOnce(&mut Index) -> Result<T, E>) -> Result<T, E>
where
    E: From<crate::source::Error> + From<Error>,
{
    let _lock = staging::lock_directory(layout)?;
    let mut index = index(layout)?;
    let done = change(&mut index)?;
    write_index(layout, &Staging::open(layout.to_owned())?, &index)?;
    Ok(done)
}

/// Takes the entries out that `forget` takes out, and then the blobs that neither those that stay nor a pull under way
/// need. With `is_rehearsal`, nothing is written, and the result is the same.
pub(crate) fn prune<T>(
    layout: &Path,
    is_rehearsal: bool,
    forget: impl FnOnce(&mut Index) -> T,
) -> Result<(T, Removed), DeleteError> {
    let _lock = staging::lock_directory(layout).map_err(DeleteError::Write)?;
    let mut index = index(layout)?;
    let before = index.clone();
    let forgotten = forget(&mut index);
    check_whole(layout, &index)?;
    let mut needed = needed_by(layout, &index.manifests)?;
    needed.extend(leased(layout)?);
    let mut removed = Removed { blobs: stored(layout).map_err(DeleteError::Write)? };
    removed.blobs.retain(|digest, _| !needed.contains(digest));
    if is_rehearsal {
        return Ok((forgotten, removed));
    }
    let staging = Staging::open(layout.to_owned()).map_err(DeleteError::Write)?;
    if index != before {
        write_index(layout, &staging, &index).map_err(DeleteError::Write)?;
    }
    removed.blobs.keys().try_for_each(|digest| remove(&blob_path(layout, digest))).map_err(DeleteError::Write)?;
    Ok((forgotten, removed))
}

/// Of an image without a manifest nobody knows what else is of it.
fn check_whole(layout: &Path, index: &Index) -> Result<(), DeleteError> {
    for (position, entry) in index.manifests.iter().enumerate() {
        let digest: Digest = entry.digest.parse().map_err(|source| {
            DeleteError::Source(crate::source::Error::IndexDigest { path: layout.join(INDEX_FILE), source })
        })?;
        let path = blob_path(layout, &digest);
        if !path.exists() {
            let name = entry.name().map_or_else(|| format!("@{position}"), str::to_owned);
            return Err(DeleteError::Missing { path, name });
        }
    }
    Ok(())
}

/// What pulls under way count on.
pub(super) fn leased(layout: &Path) -> Result<BTreeSet<Digest>, DeleteError> {
    let mut leased = BTreeSet::new();
    for entry in fs::read_dir(layout).map_err(|error| DeleteError::Write(write_error(layout)(error)))? {
        let entry = entry.map_err(|error| DeleteError::Write(write_error(layout)(error)))?;
        let is_lease = entry.file_name().as_encoded_bytes().starts_with(LEASE.as_bytes());
        if !is_lease || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        match local::read_if_there(&path, MAX_LEASE_SIZE)? {
            Some(bytes) if is_held(&path) => {
                let text = String::from_utf8_lossy(&bytes);
                leased.extend(text.lines().filter_map(|line| line.parse::<Digest>().ok()));
            }
            _ => {}
        }
    }
    Ok(leased)
}

/// True while whoever made the file has it, and where there are no locks.
fn is_held(path: &Path) -> bool {
    match File::open(path).map(|file| file.try_lock_shared()) {
        Ok(Ok(())) => false,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The blobs that are there, with their sizes. What is not named as a blob is not ours to touch.
fn stored(layout: &Path) -> Result<BTreeMap<Digest, u64>, Error> {
    let (mut stored, blobs) = (BTreeMap::new(), layout.join("blobs"));
    if blobs.is_symlink() {
        return Err(Error::BlobsElsewhere { path: blobs });
    }
    for algorithm in listed(&blobs)? {
        if !algorithm.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        for blob in listed(&algorithm.path())? {
            let name = format!("{}:{}", algorithm.file_name().display(), blob.file_name().display());
            let Ok(digest) = name.parse::<Digest>() else { continue };
            match blob.metadata() {
                Ok(metadata) if metadata.is_file() => drop(stored.insert(digest, metadata.len())),
                _ => {}
            }
        }
    }
    Ok(stored)
}

fn listed(directory: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(directory).and_then(Iterator::collect) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        outcome => outcome.map_err(write_error(directory)),
    }
}

/// The bytes of a document of a layout, checked.
pub(crate) fn document(layout: &Path, digest: &Digest, limit: u64) -> Result<Vec<u8>, crate::source::Error> {
    let path = blob_path(layout, digest);
    let bytes = local::read(&path, limit)?;
    check(&path, digest, &bytes)?;
    Ok(bytes)
}

/// That the bytes of a file are those of its digest.
pub(super) fn check(path: &Path, digest: &Digest, bytes: &[u8]) -> Result<(), crate::source::Error> {
    let found = Digest::of(digest.algorithm(), bytes);
    if found == *digest {
        return Ok(());
    }
    let source = Mismatch::Digest { expected: digest.clone(), found };
    Err(crate::source::Error::Damaged { path: path.to_owned(), source })
}
