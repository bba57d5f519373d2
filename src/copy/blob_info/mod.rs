//! What earlier copies have learned of blobs.
//!
//! A directory with a small JSON file for each blob. Where a blob was seen is not believed: the repository is asked whether
//! it has it. What a layer is in another form cannot be asked, and is believed of files that nobody else can have written.
//! So a file that is old, broken or somebody else's costs a request at most, and nothing that goes wrong here is an error.
//! Several processes may use one directory; where two write a file at the same time, one of them has the last word.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::NamedTempFile;

use crate::compression::Compression;
use crate::config::{effective_uid, read_bounded};
use crate::digest::Digest;
use crate::reference::Name;

mod info;

pub use info::{BlobInfo, LayerVariant};

/// No file is larger, in bytes.
const MAX_FILE_SIZE: u64 = 64 * 1024;
/// A file is in the directory of the first two digits of its digest. There are 256 of them, each with at most so many files.
const MAX_FILES: usize = 64;
/// When there are more, so many of the newest stay.
const KEPT_FILES: usize = 48;
/// So many repositories are asked whether they have a blob.
const MAX_CANDIDATES: usize = 5;
/// What was written less than a day ago is not written again only to say that it was seen.
const FRESH_SECONDS: u64 = 24 * 60 * 60;

/// What the name of a file begins with until it is whole.
const STAGED: &str = ".transship-";
/// Whose names are in it is nobody else's business.
const DIRECTORY_MODE: u32 = 0o700;
/// The bits of a mode by which others than the owner may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// A file, and the directories of its first two digits, of its algorithm, and of all.
const LEVELS: usize = 4;

/// Remembers where blobs were seen and what they are without their compression, from one copy to the next.
///
/// ```no_run
/// use transship::copy::{self, BlobInfoCache};
///
/// let cache = BlobInfoCache::new("/var/cache/my-program/blob-info");
/// let options = copy::Options { blob_info: Some(&cache), ..copy::Options::default() };
/// ```
#[derive(Debug, Clone)]
pub struct BlobInfoCache {
    directory: PathBuf,
}

impl BlobInfoCache {
    /// What is in `directory`, which is created when there is something to write.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Other repositories of the registry of `to` that have had the blob: the one that was seen last first, 5 at most.
    pub fn repositories(&self, digest: &Digest, to: &Name) -> Vec<Name> {
        let known = self.read(digest).unwrap_or_default();
        let others = known.repositories().filter(|name| name.domain() == to.domain() && *name != to);
        others.take(MAX_CANDIDATES).cloned().collect()
    }

    /// The blob was seen in these repositories just now.
    pub fn record_repositories(&self, digest: &Digest, names: &[&Name]) {
        if !names.is_empty() {
            self.change(digest, |info, now| info.see_in(names, now, FRESH_SECONDS));
        }
    }

    /// What a blob is without its compression, and how it is compressed (`None`: not at all). Nothing where another user
    /// can have written that.
    pub fn uncompressed(&self, digest: &Digest) -> Option<(Digest, Option<Compression>)> {
        self.read_own(digest)?.uncompressed().cloned()
    }

    /// The blobs that are the layer `diff_id` when they are decompressed: the one that was learned last first. None where
    /// another user can have written that.
    pub fn variants(&self, diff_id: &Digest) -> Vec<(Digest, Option<Compression>)> {
        let info = self.read_own(diff_id).unwrap_or_default();
        info.variants().iter().map(|variant| (variant.digest.clone(), variant.compression)).collect()
    }

    /// The blob `digest` is `diff_id` without its compression. Only for bytes of which both digests were computed: whoever
    /// is told otherwise gives one layer for another.
    pub fn record_compressed(&self, diff_id: &Digest, digest: &Digest, compression: Option<Compression>) {
        self.change(digest, |info, _| info.is_without_compression(diff_id, compression));
        if digest != diff_id {
            self.change(diff_id, |info, now| info.has_variant(digest, compression, now, FRESH_SECONDS));
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let (algorithm, encoded) = (digest.algorithm().to_string(), digest.encoded());
        let bucket = encoded.get(..2).unwrap_or_default();
        self.directory.join(algorithm).join(bucket).join(format!("{encoded}.json"))
    }

    /// `None` where there is nothing, or nothing that can be read.
    fn read(&self, digest: &Digest) -> Option<BlobInfo> {
        let path = self.path(digest);
        let read = read_bounded(&path, MAX_FILE_SIZE).and_then(|bytes| Ok(BlobInfo::parse(&bytes)?));
        match read {
            Ok(info) => Some(info),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                log::debug!("{}: {}", path.display(), crate::error::one_line(&error));
                None
            }
        }
    }

    /// The same without what is not to be believed: one layer would be taken for another on somebody else's word.
    fn read_own(&self, digest: &Digest) -> Option<BlobInfo> {
        let is_alone = self.is_alone(digest);
        let mut info = self.read(digest)?;
        if !is_alone {
            log::debug!("{}: others may write it", self.path(digest).display());
            info.forget_forms();
        }
        Some(info)
    }

    /// True when nobody else can write the file or the directories that it is in.
    fn is_alone(&self, digest: &Digest) -> bool {
        let (path, own) = (self.path(digest), effective_uid(None));
        let is_own = |found: &fs::Metadata| found.uid() == own && found.mode() & WRITABLE_BY_OTHERS == 0;
        path.ancestors().take(LEVELS).all(|path| fs::metadata(path).is_ok_and(|found| is_own(&found)))
    }

    /// Writes the file when `change` says that it has changed something, at this time in seconds since 1970.
    fn change(&self, digest: &Digest, change: impl FnOnce(&mut BlobInfo, u64) -> bool) {
        let before = self.read_own(digest);
        let is_new = before.is_none();
        let mut info = before.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if !change(&mut info, now) {
            return;
        }
        let path = self.path(digest);
        let written = write(&path, &info.to_json());
        let written = if is_new { written.and_then(|()| prune(path.parent().unwrap_or(&path))) } else { written };
        if let Err(error) = written {
            log::debug!("{}: {}", path.display(), crate::error::one_line(&error));
        }
    }
}

fn staged(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(STAGED).tempfile_in(directory)
}

/// At once. It is not flushed to the disk: what a crash takes is learned again.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let file = match staged(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
            staged(directory)
        }
        file => file,
    };
    let mut file = file?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Removes the oldest files when there are too many, those that a process left when it was killed among them, and nothing
/// that is not ours.
fn prune(directory: &Path) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.retain(|entry| is_ours(&entry.file_name()));
    if entries.len() <= MAX_FILES {
        return Ok(());
    }
    let age = |entry: &fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
    let mut by_age: Vec<_> = entries.iter().map(|entry| (age(entry), entry.path())).collect();
    by_age.sort();
    let too_many = by_age.len().saturating_sub(KEPT_FILES);
    for (_, path) in by_age.into_iter().take(too_many) {
        match fs::remove_file(path) {
            // Another process does the same.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_digest = |stem: &str| stem.len() >= 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with(STAGED) || name.strip_suffix(".json").is_some_and(is_digest)
}
