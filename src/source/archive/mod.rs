//! Tar files with images in them, read where they are: nothing is unpacked.
//!
//! An archive is gone through once, when it is opened, to learn where its files are. One that is compressed as a whole
//! can only be read from its beginning on, so it is read again for what is asked for later; readers that have reached
//! their end stay where they are, for the next that wants something behind it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

mod data;
mod index;

use self::data::Data;
use self::index::{Content, Index};
use super::Error;
pub(super) use data::FileReader;
pub(super) use index::Duplicates;

/// No file is behind more links than these.
const MAX_LINKS: usize = 16;

/// Why a tar file cannot be read, or something in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is no tar file, or is damaged.
    #[error("not a tar archive, or a damaged one")]
    Tar(#[source] io::Error),
    /// It ends too early, in the middle of a file.
    #[error("the archive is cut off: the file {name:?} does not end in it")]
    CutOff {
        /// The file that should have been there whole.
        name: String,
    },
    /// A name that leads out of the archive. Whoever unpacks it writes elsewhere.
    #[error("the archive has a file named {name:?}, which leads out of it")]
    Outside {
        /// The name.
        name: String,
    },
    /// More files than any image has.
    #[error("the archive has too many files, or too long names")]
    TooManyFiles,
    /// There is no such file in it.
    #[error("there is no {name:?} in the archive")]
    NoFile {
        /// What was looked for.
        name: String,
    },
    /// A link that ends at no file.
    #[error("{name:?} in the archive is a link that leads to no file")]
    Link {
        /// What was looked for.
        name: String,
    },
    /// A directory or a device where a file must be.
    #[error("{name:?} in the archive is not a regular file")]
    NotAFile {
        /// What was looked for.
        name: String,
    },
    /// A file that is larger than any of its kind.
    #[error("{name:?} in the archive has {size} bytes, no more than {limit} are read")]
    TooLarge {
        /// Which one.
        name: String,
        /// Its size.
        size: u64,
        /// How many bytes are read at most.
        limit: u64,
    },
    /// The archive could not be read although its file could be opened.
    #[error("cannot read {name:?} in the archive")]
    Read {
        /// Which file in it.
        name: String,
        /// The reason.
        source: io::Error,
    },
}

/// A tar file and where the files in it are.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    data: Data,
    index: Index,
}

impl Archive {
    /// Goes through the archive once. Of files with one name, `duplicates` says which one counts.
    pub(super) fn open(path: &Path, duplicates: Duplicates) -> Result<Self, Error> {
        let data = Data::open(path)?;
        let in_archive = |source| Error::Archive { path: path.to_owned(), source };
        let index = Index::read(&data, duplicates).map_err(in_archive)?;
        Ok(Self { path: path.to_owned(), data, index })
    }

    /// The tar file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// True when there is something of that name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.index.get(name).is_some()
    }

    /// The size of a file, behind whatever links.
    pub(super) fn size(&self, name: &str) -> Result<u64, Error> {
        self.find(name).map(|(_, size)| size)
    }

    /// A file, behind whatever links.
    pub(super) fn reader(&self, name: &str) -> Result<FileReader, Error> {
        let (offset, size) = self.find(name)?;
        let read = |source| self.error(ArchiveError::Read { name: name.to_owned(), source });
        self.data.reader(offset, size).map_err(read)
    }

    /// A whole file of no more than `limit` bytes.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let size = self.size(name)?;
        if size > limit {
            return Err(self.error(ArchiveError::TooLarge { name: name.to_owned(), size, limit }));
        }
        let mut bytes = Vec::new();
        let read = |source| self.error(ArchiveError::Read { name: name.to_owned(), source });
        self.reader(name)?.read_to_end(&mut bytes).map_err(read)?;
        Ok(bytes)
    }

    /// What is wrong with this archive.
    pub(super) fn error(&self, source: ArchiveError) -> Error {
        Error::Archive { path: self.path.clone(), source }
    }

    fn find(&self, name: &str) -> Result<(u64, u64), Error> {
        let asked_for = || name.to_owned();
        let mut content = self.index.get(name).ok_or_else(|| self.error(ArchiveError::NoFile { name: asked_for() }))?;
        for _ in 0..MAX_LINKS {
            match content {
                Content::File { offset, size } => return Ok((*offset, *size)),
                Content::Other => return Err(self.error(ArchiveError::NotAFile { name: asked_for() })),
                Content::Link(target) => match target.as_deref().and_then(|target| self.index.get(target)) {
                    Some(behind) => content = behind,
                    None => break,
                },
            }
        }
        Err(self.error(ArchiveError::Link { name: asked_for() }))
    }
}
