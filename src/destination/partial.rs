//! The first bytes of a blob whose rest has not come: the next try goes on behind them, be it of another process.
//!
//! They are in a file that is named for the blob's digest, so they are found, and that is locked while it is written, so
//! they are nobody else's. Nothing says that they are right but the digest of the whole: when that is another, they go.

use std::fs::{DirEntry, File, Metadata, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::staging::{FILE_MODE, PREFIX, fill, is_at, write_error};
use super::{BlobInput, Error};
use crate::digest::Digest;

/// What follows [`PREFIX`] in the name of such a file.
const NAME: &str = "partial-";

/// A smaller blob has come again before this has paid.
const MIN_SIZE: u64 = 1024 * 1024;

/// What nobody has gone on with for so long is not waited for any more.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Who waits for another writer looks so often whether that one is done.
const GLANCE: Duration = Duration::from_millis(20);
/// Who waits so long may want to know for whom.
const TOLD_AFTER: Duration = Duration::from_secs(5);
const MOST_LOOKS: u32 = 100;

/// Whose turn it is to write a blob that several may want.
#[derive(Debug)]
pub(super) enum Turn {
    /// Ours: the others wait until this is dropped.
    Ours(Partial),
    /// There are no turns: another user has the file, or there are no locks.
    Nobodys,
    /// We do not want it any more.
    GivenUp,
}

/// A blob that is being written, and what is there of it already.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    length: u64,
    /// Unset, the file is removed in the end.
    is_kept: bool,
}

impl Partial {
    /// Opens what is there of a blob, or begins it. `None` where that is not to be had, for whatever reason: the blob is
    /// small, another process is writing it, there are no locks.
    pub(super) fn open(directory: &Path, digest: &Digest, size: u64) -> Option<Self> {
        if size < MIN_SIZE {
            return None;
        }
        let path = Self::path(directory, digest);
        let (file, is_new) = open_or_create(directory, &path)?;
        if let Err(error) = file.try_lock() {
            forget_without_locks(&error, is_new, &path);
            return None;
        }
        Self::locked(file, path)
    }

    /// Waits until nobody else is writing the blob, of whatever size, and takes up what is there of it.
    ///
    /// Another writer may have put the blob at its place meanwhile: that is to be looked at then.
    pub(super) fn wait(directory: &Path, digest: &Digest, is_given_up: &dyn Fn() -> bool) -> Turn {
        let path = Self::path(directory, digest);
        // A file that is gone between two looks was finished; many times in a row it is something else.
        for _ in 0..MOST_LOOKS {
            let Some((file, is_new)) = open_or_create(directory, &path) else {
                if path.symlink_metadata().is_ok() {
                    return Turn::Nobodys;
                }
                continue;
            };
            let mut waited = Duration::ZERO;
            while let Err(error) = file.try_lock() {
                if let TryLockError::Error(_) = error {
                    forget_without_locks(&error, is_new, &path);
                    return Turn::Nobodys;
                }
                if is_given_up() {
                    return Turn::GivenUp;
                }
                thread::sleep(GLANCE);
                let before = waited;
                waited = waited.saturating_add(GLANCE);
                if before < TOLD_AFTER && waited >= TOLD_AFTER {
                    log::warn!("{digest}: waiting for another copy that is bringing it to {}", directory.display());
                }
            }
            if let Some(mut partial) = Self::locked(file, path.clone()) {
                partial.is_kept = partial.length > 0;
                return Turn::Ours(partial);
            }
        }
        Turn::Nobodys
    }

    /// Removes what is there of the blob: it is at its place.
    pub(super) fn discard(mut self) {
        self.is_kept = false;
    }

    fn path(directory: &Path, digest: &Digest) -> PathBuf {
        directory.join(format!("{PREFIX}{NAME}{}-{}", digest.algorithm(), digest.encoded()))
    }

    /// Only who has the lock renames or removes it, and it may have been another until now.
    fn locked(file: File, path: PathBuf) -> Option<Self> {
        let length = file.metadata().ok().filter(|_| is_at(&path, &file))?.len();
        Some(Self { file, path, length, is_kept: false })
    }

    /// Takes in what is missing and puts the blob at `place`. What has come of a large blob stays when no more comes,
    /// unless it is wrong or `is_hopeless`.
    pub(super) fn complete(
        mut self,
        place: &Path,
        digest: &Digest,
        size: u64,
        input: &mut dyn BlobInput,
        is_hopeless: &AtomicBool,
    ) -> Result<(), Error> {
        let outcome = self.take_in(place, digest, size, input);
        self.is_kept = match &outcome {
            // The name may be another process's by now.
            Ok(()) => true,
            Err(Error::Read { source, .. }) => {
                let is_wrong = source.kind() == io::ErrorKind::InvalidData;
                let is_empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
                !is_wrong && !is_empty && size >= MIN_SIZE && !is_hopeless.load(Ordering::Relaxed)
            }
            Err(_) => false,
        };
        outcome
    }

    fn take_in(&mut self, place: &Path, digest: &Digest, size: u64, input: &mut dyn BlobInput) -> Result<(), Error> {
        let write_error = write_error(place);
        let mut known = (&self.file).take(self.length);
        let is_resumed = self.length > 0
            && self.length <= size
            && input.resume(&mut known).map_err(|source| Error::Read { digest: digest.clone(), source })?;
        let position = if is_resumed { self.length } else { 0 };
        if position < self.length {
            self.file.set_len(position).map_err(&write_error)?;
        }
        self.file.seek(SeekFrom::Start(position)).map_err(&write_error)?;
        fill(&mut self.file, place, digest, size, input)?;
        self.file.sync_data().map_err(&write_error)?;
        std::fs::rename(&self.path, place).map_err(write_error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::debug!("{}: {error}", self.path.display());
        }
    }
}

/// The file, and whether it is a new one.
fn open_or_create(directory: &Path, path: &Path) -> Option<(File, bool)> {
    match File::options().read(true).write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(file) => Some((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some((reopen(directory, path)?, false)),
        Err(_) => None,
    }
}

fn forget_without_locks(error: &TryLockError, is_new: bool, path: &Path) {
    if is_new && matches!(error, TryLockError::Error(_)) {
        let _ = std::fs::remove_file(path);
    }
}

/// What another try has left. A file that is somebody else's as well would not stay as it was checked.
fn reopen(directory: &Path, path: &Path) -> Option<File> {
    // Before it is opened, which could take for ever.
    let found = std::fs::symlink_metadata(path).ok()?;
    let own = tempfile::tempfile_in(directory).and_then(|file| file.metadata()).ok()?;
    let is_ours = |file: &Metadata| file.is_file() && file.uid() == own.uid() && file.nlink() == 1;
    if !is_ours(&found) {
        return None;
    }
    let file = File::options().read(true).write(true).open(path).ok()?;
    // It may have been exchanged since.
    file.metadata().is_ok_and(|opened| is_ours(&opened)).then_some(file)
}

/// True for the name of a file with the first bytes of a blob.
pub(super) fn is_partial(name: &std::ffi::OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(PREFIX.as_bytes());
    rest.is_some_and(|rest| rest.starts_with(NAME.as_bytes()))
}

/// True for one that may still serve.
pub(super) fn is_kept(entry: &DirEntry) -> bool {
    let modified = || entry.metadata().and_then(|metadata| metadata.modified());
    // One that is of the future is not old.
    is_partial(&entry.file_name())
        && modified().is_ok_and(|time| SystemTime::now().duration_since(time).map_or(true, |age| age <= KEPT_FOR))
}
