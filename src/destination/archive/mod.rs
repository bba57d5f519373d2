//! Tar files that images are written to.
//!
//! A tar file has one blob behind the other, each behind its size, while blobs come several at a time, and those that are
//! decompressed on the way without one. So they go into a [`Spool`] first, and into the archive when all are there: in
//! an order of ours, which makes equal archives of equal images.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

mod spool;

use super::Error;
use super::staging::{self, Staging, write_error};
pub(super) use spool::{Spool, Spooled};

const BUFFER_SIZE: usize = 256 * 1024;

/// Where an archive goes.
#[derive(Debug)]
pub(super) enum Target {
    /// A file, which is replaced at once; what was there stays until then.
    File { path: PathBuf, staging: Staging },
    /// A pipe, or whatever else is no file: it is written to, once everything is there.
    Stream(PathBuf),
}

impl Target {
    /// Looks at what is there, and removes what interrupted writers have left beside it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let is_file = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            metadata => {
                let kind = metadata.map_err(write_error(path))?.file_type();
                if kind.is_dir() {
                    return Err(write_error(path)(io::ErrorKind::IsADirectory.into()));
                }
                kind.is_file()
            }
        };
        if !is_file || is_descriptor(path) {
            return Ok(Self::Stream(path.to_owned()));
        }
        // The file itself is replaced, not a link to it.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let staging = Staging::open(directory(&path).to_owned())?;
        Ok(Self::File { path, staging })
    }

    /// A place for blobs that are on their way into the archive.
    pub(super) fn spool(&self) -> Result<Spool, Error> {
        match self {
            Self::File { path, .. } => Spool::beside(directory(path)),
            Self::Stream(path) => Spool::of_stream(path),
        }
    }

    /// Writes the archive: `put_files` puts the files in.
    pub(super) fn write(&self, put_files: impl FnOnce(&mut TarWriter<'_>) -> io::Result<()>) -> Result<(), Error> {
        match self {
            Self::File { path, staging } => {
                staging.put_with(path, |file| write_archive(file, put_files))?;
                staging::sync_directory(directory(path))
            }
            Self::Stream(path) => {
                let written = File::options().write(true).truncate(true).open(path);
                written.and_then(|mut stream| write_archive(&mut stream, put_files)).map_err(write_error(path))
            }
        }
    }
}

/// True for a name of something that is open already, such as `/dev/stdout`: a file behind it belongs to whoever opened
/// it, and would not be found where it was replaced.
fn is_descriptor(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|opened| path.starts_with(opened))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_archive(file: &mut File, put_files: impl FnOnce(&mut TarWriter<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut writer = TarWriter { archive: tar::Builder::new(BufWriter::with_capacity(BUFFER_SIZE, file)) };
    put_files(&mut writer)?;
    writer.archive.into_inner()?.flush()
}

/// An archive being written. Everything in it belongs to root and is of 1970, so that it says nothing of where and when
/// it was made.
pub(super) struct TarWriter<'a> {
    archive: tar::Builder<BufWriter<&'a mut File>>,
}

impl TarWriter<'_> {
    pub(super) fn directory(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.archive.append_data(&mut header(EntryType::Directory, mode, 0), name, io::empty())
    }

    pub(super) fn file(&mut self, name: &str, mode: u32, size: u64, content: impl Read) -> io::Result<()> {
        self.archive.append_data(&mut header(EntryType::Regular, mode, size), name, content)
    }

    pub(super) fn bytes(&mut self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.file(name, mode, bytes.len() as u64, bytes)
    }

    pub(super) fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        self.archive.append_link(&mut header(EntryType::Symlink, LINK_MODE, 0), name, target)
    }
}

/// What podman gives links.
const LINK_MODE: u32 = 0;

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
