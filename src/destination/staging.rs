//! Files that appear whole or not at all.
//!
//! A file is written under a `.transship-` name, flushed to the disk and then renamed. While it is written it is
//! locked, so whoever finds one that is not locked knows that its writer is gone and removes it. What is there of a large
//! blob is kept for a while: see [`Partial`].

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::partial::{self, Partial, Turn};
use super::{BlobInput, Error, NewBlob, new_blob};
use crate::digest::{Digest, MeasuringReader, VerifyingReader};

pub(super) const PREFIX: &str = ".transship-";

const BUFFER_SIZE: usize = 256 * 1024;

const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Files all may read, less what the umask takes, as skopeo makes them.
pub(super) const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// A directory, on the file system of what is written, for files that are not whole yet.
#[derive(Debug)]
pub(super) struct Staging {
    directory: PathBuf,
    /// A blob could not be written: there is no room for others that are not whole either.
    has_failed: AtomicBool,
}

impl Staging {
    /// Removes what writers that are gone have left.
    pub(super) fn open(directory: PathBuf) -> Result<Self, Error> {
        for entry in fs::read_dir(&directory).map_err(write_error(&directory))? {
            let entry = entry.map_err(write_error(&directory))?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            // A pipe, a link or a directory of that name was not left by a writer, and opening it could take for ever.
            if is_file && is_staged(&entry.file_name()) && !partial::is_kept(&entry) {
                // Another user's may not be ours to remove. That is no reason not to write.
                sweep(&entry.path()).unwrap_or_else(|error| log::warn!("{}", crate::error::one_line(&error)));
            }
        }
        Ok(Self { directory, has_failed: AtomicBool::new(false) })
    }

    /// Puts a file with these bytes at `path`, at once.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.put_with(path, |file| file.write_all(bytes))
    }

    /// Puts a file at `path`, at once, when `write` has written it.
    pub(super) fn put_with(&self, path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Error> {
        let mut file = self.file().map_err(write_error(path))?;
        write(file.as_file_mut()).map_err(write_error(path))?;
        publish(file, path)
    }

    /// Puts a blob of `size` bytes at `path`, once `input` has given all of them. What comes of a large one serves the
    /// next try.
    pub(super) fn put_blob(
        &self,
        path: &Path,
        digest: &Digest,
        size: u64,
        input: &mut dyn BlobInput,
    ) -> Result<(), Error> {
        self.put_part(Partial::open(&self.directory, digest, size), path, digest, size, input)
    }

    /// As [`put_blob`](Self::put_blob) for who has looked already what is there of the blob.
    pub(super) fn put_part(
        &self,
        partial: Option<Partial>,
        path: &Path,
        digest: &Digest,
        size: u64,
        input: &mut dyn BlobInput,
    ) -> Result<(), Error> {
        let outcome = match partial {
            Some(partial) => partial.complete(path, digest, size, input, &self.has_failed),
            None => self.put_from(path, digest, size, input),
        };
        self.heed(outcome)
    }

    /// Whose turn it is to write a blob.
    pub(super) fn turn(&self, digest: &Digest, is_given_up: &dyn Fn() -> bool) -> Turn {
        Partial::wait(&self.directory, digest, is_given_up)
    }

    fn heed<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|error| {
            if let Error::Write { .. } = error {
                self.has_failed.store(true, Ordering::Relaxed);
            }
        })
    }

    fn put_from(&self, path: &Path, digest: &Digest, size: u64, input: &mut dyn Read) -> Result<(), Error> {
        let mut file = self.file().map_err(write_error(path))?;
        fill(file.as_file_mut(), path, digest, size, input)?;
        publish(file, path)
    }

    /// Puts a file with all that `reader` gives where `place` says, once it is known what it is.
    pub(super) fn put_new(
        &self,
        reader: &mut dyn Read,
        place: impl FnOnce(&Digest) -> Result<PathBuf, Error>,
    ) -> Result<NewBlob, Error> {
        let mut file = self.file().map_err(write_error(&self.directory))?;
        let mut measured = MeasuringReader::new(reader);
        let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(write_error(&self.directory));
        self.heed(new_blob::pour(&mut measured, &mut write))?;
        let (digest, size) = measured.finish();
        let path = place(&digest)?;
        self.heed(publish(file, &path))?;
        Ok(NewBlob { digest, size })
    }

    fn file(&self) -> io::Result<NamedTempFile> {
        self.file_called(PREFIX)
    }

    /// A file of whatever use, gone when its owner is. `prefix` begins with [`PREFIX`].
    pub(super) fn file_called(&self, prefix: &str) -> io::Result<NamedTempFile> {
        loop {
            let file = tempfile::Builder::new()
                .prefix(prefix)
                .permissions(Permissions::from_mode(FILE_MODE))
                .tempfile_in(&self.directory)?;
            supported(file.as_file().lock())?;
            // Another process may have swept it before it was locked.
            if file.as_file().metadata()?.nlink() > 0 {
                return Ok(file);
            }
        }
    }
}

/// Writes all that `input` gives into a file for `path`.
pub(super) fn fill(
    file: &mut File,
    path: &Path,
    digest: &Digest,
    size: u64,
    input: &mut dyn Read,
) -> Result<(), Error> {
    let mut buffer = vec![0; buffer_size(size)];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Read { digest: digest.clone(), source }),
        };
        file.write_all(buffer.get(..count).unwrap_or_default()).map_err(write_error(path))?;
    }
}

fn publish(file: NamedTempFile, path: &Path) -> Result<(), Error> {
    file.as_file().sync_data().map_err(write_error(path))?;
    file.persist(path).map(drop).map_err(|failed| write_error(path)(failed.error))
}

/// Room for the whole and for seeing its end, up to a limit.
fn buffer_size(size: u64) -> usize {
    usize::try_from(size).map_or(BUFFER_SIZE, |size| size.saturating_add(1).min(BUFFER_SIZE))
}

/// True for the name of a file that is not whole yet.
pub(super) fn is_staged(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

fn sweep(path: &Path) -> Result<(), Error> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let file = match File::open(path) {
        Err(error) if gone(&error) => return Ok(()),
        file => file.map_err(write_error(path))?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(source)) => Err(write_error(path)(source)),
        // Its writer has finished it since, or another has taken it up.
        Ok(()) if !is_at(path, &file) => Ok(()),
        Ok(()) => match fs::remove_file(path) {
            Err(error) if !gone(&error) => Err(write_error(path)(error)),
            _ => Ok(()),
        },
    }
}

/// True when this open file is the one of that name, and no link leads there.
pub(super) fn is_at(path: &Path, file: &File) -> bool {
    let (Ok(named), Ok(open)) = (fs::symlink_metadata(path), file.metadata()) else { return false };
    (named.dev(), named.ino()) == (open.dev(), open.ino())
}

/// Makes a directory and those above it.
pub(super) fn create_directory(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(write_error(path))
}

/// Makes the renames in a directory last.
pub(super) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(write_error(path))
}

/// Waits for the lock of a directory; it is held until the result is dropped.
pub(super) fn lock_directory(path: &Path) -> Result<File, Error> {
    if let Some(directory) = try_lock_directory(path)? {
        return Ok(directory);
    }
    log::warn!("{}: waiting for another process that is writing here", path.display());
    let directory = File::open(path).map_err(write_error(path))?;
    supported(directory.lock()).map_err(write_error(path))?;
    Ok(directory)
}

/// Takes the lock of a directory; `None` when another process has it.
///
/// A child that this process starts has the lock too, until it becomes another program. So a lock that was just let go may
/// seem to be taken for a moment.
pub(super) fn try_lock_directory(path: &Path) -> Result<Option<File>, Error> {
    let directory = File::open(path).map_err(write_error(path))?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => {
                return supported(Err(error)).map(|()| Some(directory)).map_err(write_error(path));
            }
            Ok(()) => return Ok(Some(directory)),
        }
    }
    Ok(None)
}

/// A file system without locks is one where the administrator does without them.
fn supported(locked: io::Result<()>) -> io::Result<()> {
    locked.or_else(|error| if error.kind() == io::ErrorKind::Unsupported { Ok(()) } else { Err(error) })
}

/// The size of the file at `path`, if it is whole.
pub(super) fn whole_size(path: &Path, digest: &Digest) -> Option<u64> {
    let size = fs::symlink_metadata(path).ok()?.len();
    is_whole(path, digest, size).then_some(size)
}

/// True when the file at `path` has exactly these bytes. A file that cannot be read does not: it will be written.
pub(super) fn is_whole(path: &Path, digest: &Digest, size: u64) -> bool {
    let is_right_size = |metadata: fs::Metadata| metadata.is_file() && metadata.len() == size;
    if !fs::symlink_metadata(path).is_ok_and(is_right_size) {
        return false;
    }
    let Ok(file) = File::open(path) else { return false };
    let mut reader = VerifyingReader::new(file, digest.clone(), size);
    let mut buffer = vec![0; buffer_size(size)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// What went wrong with the file at `path`.
pub(super) fn write_error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_that_was_given_its_final_name_is_not_at_its_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        let file = File::create(&old).unwrap();
        assert!(is_at(&old, &file));
        fs::rename(&old, &new).unwrap();
        assert!(!is_at(&old, &file));
        symlink(&new, &old).unwrap();
        assert!(!is_at(&old, &file));
        fs::remove_file(&old).unwrap();
        fs::write(&old, b"another writer's").unwrap();
        assert!(!is_at(&old, &file) && is_at(&new, &file));
    }

    struct Dead;

    impl Read for Dead {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    #[test]
    fn when_one_blob_cannot_be_written_nothing_of_the_others_is_kept() {
        const SIZE: u64 = 1024 * 1024;
        for is_new in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let staging = Staging::open(directory.path().to_owned()).unwrap();
            let break_off = || {
                let mut bytes: Box<dyn Read> = Box::new(b"some".chain(Dead));
                let outcome = staging.put_blob(&directory.path().join("a"), &Digest::sha256(b"a"), SIZE, &mut bytes);
                assert!(matches!(outcome, Err(Error::Read { .. })));
                fs::read_dir(directory.path()).unwrap().count()
            };
            assert_eq!(break_off(), 1);
            let (nowhere, mut whole) = (directory.path().join("no directory/b"), &b"whole"[..]);
            let outcome = if is_new {
                staging.put_new(&mut whole, |_| Ok(nowhere)).map(drop)
            } else {
                staging.put_blob(&nowhere, &Digest::sha256(b"b"), SIZE, &mut whole)
            };
            assert!(matches!(outcome, Err(Error::Write { .. })));
            assert_eq!(break_off(), 0);
        }
    }

    #[test]
    fn only_files_that_a_writer_left_are_swept() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(format!("{PREFIX}{name}"));
        let is_there = |name: &str| path(name).symlink_metadata().is_ok();
        fs::write(path("left"), b"half").unwrap();
        fs::write(path("locked"), b"half").unwrap();
        let locked = File::open(path("locked")).unwrap();
        locked.lock().unwrap();
        fs::create_dir(path("directory")).unwrap();
        fs::write(directory.path().join("elsewhere"), b"").unwrap();
        symlink("elsewhere", path("link")).unwrap();
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        // With a writer, so that a broken sweep fails instead of waiting for one.
        let _writer = File::options().read(true).write(true).open(path("pipe")).unwrap();

        Staging::open(directory.path().to_owned()).unwrap();

        assert!(!is_there("left"));
        for name in ["locked", "directory", "link", "pipe"] {
            assert!(is_there(name), "{name}");
        }
    }
}
