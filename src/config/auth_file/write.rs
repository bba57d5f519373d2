//! Changing an auth file.
//!
//! A new file is written beside the old one and renamed into its place, under the lock of the directory: a reader sees
//! the one or the other, and of two writers the second one begins with what the first one wrote.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::draft::Draft;
use super::{AuthFile, Error, MAX_SIZE};
use crate::config::bounded;
use crate::config::paths::real_path;

/// Nobody else enters where secrets are.
const DIRECTORY_MODE: u32 = 0o700;
/// The name of a file that is not whole yet, before what `tempfile` adds to it.
const PREFIX: &str = ".transship-auth-";
/// How long another writer is waited for. Nothing is asked of anybody under the lock, so it is a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
/// More links than this lead in a circle, as for the kernel.
const MAX_LINKS: usize = 40;

/// Why an auth file is not written. What was there is there still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file that is there cannot be used. Prints as its cause.
    #[error("{0}")]
    Existing(#[source] Error),
    /// The file is in the form of `.dockercfg`.
    #[error("{}: logins are not written in the form of .dockercfg; name another auth file", .0.display())]
    Legacy(PathBuf),
    /// There is no directory for what lasts until the user logs out of the machine.
    #[error("the directory for auth files, {}, does not exist (XDG_RUNTIME_DIR); name an auth file", .0.display())]
    NoDirectory(PathBuf),
    /// A pipe, a device or a directory.
    #[error("{}: not a file that could be replaced", .0.display())]
    NotAFile(PathBuf),
    /// Another writer holds the lock of the directory.
    #[error("{}: another program holds the lock of the directory", .0.display())]
    Busy(PathBuf),
    /// The file would be longer than what is read of one.
    #[error("{}: the auth file would be longer than {MAX_SIZE} bytes", .0.display())]
    TooLong(PathBuf),
    /// The system's no.
    #[error("cannot write auth file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What becomes of the file after it was looked at.
pub(in crate::config) enum Edit<T> {
    /// It stays as it is.
    Keep(T),
    /// The draft takes its place.
    Replace(T),
}

/// Looks at an auth file, which may be missing, and changes it.
///
/// Nobody else changes it meanwhile, so `change` must be quick.
pub(in crate::config) fn edit<T>(
    path: &Path,
    change: impl FnOnce(&AuthFile, &mut Draft) -> Edit<T>,
) -> Result<T, WriteError> {
    let target = followed(path);
    let failed = |source| WriteError::Write { path: path.to_owned(), source };
    let directory = target.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(failed)?;
    let _lock = lock(directory, PATIENCE).map_err(failed)?.ok_or_else(|| WriteError::Busy(path.to_owned()))?;
    let (file, mut draft) = read(path, &target)?;
    match change(&file, &mut draft) {
        Edit::Keep(outcome) => Ok(outcome),
        Edit::Replace(outcome) => {
            let bytes = draft.to_bytes().map_err(|_| WriteError::TooLong(path.to_owned()))?;
            replace(&target, directory, &bytes).map_err(failed)?;
            Ok(outcome)
        }
    }
}

/// The file that links lead to, which need not be there.
fn followed(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(link) = fs::read_link(&target) else { break };
        target = target.parent().map_or_else(|| link.clone(), |parent| parent.join(&link));
    }
    real_path(&target).unwrap_or(target)
}

/// The lock of the directory's own file descriptor, held until the result is dropped; `None` when it is not to be had.
///
/// A lock file would stay behind for ever, and the auth file itself is another one after each change.
fn lock(directory: &Path, patience: Duration) -> io::Result<Option<File>> {
    let file = File::open(directory)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            // A file system without locks is one where the administrator does without them.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= patience => return Ok(None),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

fn read(path: &Path, target: &Path) -> Result<(AuthFile, Draft), WriteError> {
    let unreadable = |source| WriteError::Existing(Error::Read { path: path.to_owned(), source });
    match fs::metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if !metadata.is_file() => return Err(WriteError::NotAFile(path.to_owned())),
        Ok(_) => {}
    }
    let bytes = bounded::read(target, MAX_SIZE).map_err(unreadable)?;
    Draft::parse(&bytes).map_err(|source| WriteError::Existing(Error::Parse { path: path.to_owned(), source }))
}

/// A temporary file is its owner's alone (0600), and so is what it becomes.
fn replace(target: &Path, directory: &Path, bytes: &[u8]) -> io::Result<()> {
    sweep(directory);
    let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|failed| failed.error)?;
    File::open(directory)?.sync_all()
}

/// Removes what writers that were killed have left: the lock is ours, so nobody is writing.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            // Another user's is not ours to remove.
            let removed = fs::remove_file(entry.path());
            log::debug!("{}: left by a writer that was stopped ({removed:?})", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::config::credentials::Credentials;

    fn add(path: &Path, key: &str) -> Result<(), WriteError> {
        edit(path, |_, draft| {
            draft.set(key, &Credentials::basic("u", "p"));
            Edit::Replace(())
        })
    }

    fn has(path: &Path, key: &str) -> bool {
        let file = AuthFile::parse(&fs::read(path).unwrap()).unwrap();
        file.credentials(&key.parse().unwrap()).unwrap().is_some()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_reads_what_is_written_whatever_was_there() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/containers/auth.json");
        add(&path, "a").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&home.path().join("new"))), (0o600, 0o700, 0o700));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        add(&path, "b").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(has(&path, "a") && has(&path, "b"));
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("elsewhere")).unwrap();
        let (link, second, file) =
            (home.path().join("link"), home.path().join("second"), home.path().join("elsewhere/auth.json"));
        symlink("second", &link).unwrap();
        symlink("elsewhere/auth.json", &second).unwrap();
        for key in ["first", "then"] {
            add(&link, key).unwrap();
            assert!(has(&file, key), "{key}");
        }
        assert!(link.is_symlink() && second.is_symlink() && !file.is_symlink());
    }

    #[test]
    fn links_in_a_circle_are_an_error() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        symlink("link", &link).unwrap();
        assert!(add(&link, "a").is_err());
        assert!(link.is_symlink());
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(add(home.path(), "a"), Err(WriteError::NotAFile(_))));
        assert!(matches!(add(Path::new("/dev/null"), "a"), Err(WriteError::NotAFile(_))));
    }

    #[test]
    fn a_file_that_cannot_be_understood_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("auth.json");
        for bytes in [&b"not JSON"[..], b"", br#"{"auths": []}"#] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(add(&path, "a"), Err(WriteError::Existing(_))));
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_by_the_next() {
        let home = tempfile::tempdir().unwrap();
        let left = home.path().join(format!("{PREFIX}left"));
        fs::write(&left, b"secret").unwrap();
        add(&home.path().join("auth.json"), "a").unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_lock_that_is_never_given_back_is_not_waited_for_in_vain() {
        let home = tempfile::tempdir().unwrap();
        let held = lock(home.path(), Duration::ZERO).unwrap();
        assert!(held.is_some());
        assert!(lock(home.path(), Duration::ZERO).unwrap().is_none());
        drop(held);
        assert!(lock(home.path(), Duration::ZERO).unwrap().is_some());
    }

    #[test]
    fn writers_at_one_time_lose_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("auth.json");
        let keys: Vec<_> = (0..16).map(|number| format!("registry{number}.example")).collect();
        thread::scope(|scope| {
            for key in &keys {
                scope.spawn(|| add(&path, key).unwrap());
            }
        });
        assert!(keys.iter().all(|key| has(&path, key)));
    }
}
