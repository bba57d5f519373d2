//! Files of local images, read with a bound.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::{BlobBody, BlobReader, Error, Served, ServedBy};
use crate::digest::{Digest, HashedPrefix};
use crate::manifest::Descriptor;
use crate::reference::ImageReference;

/// Opens a regular file; a pipe, which would never end, and a directory are none.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(file_error)?.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    File::open(path).map_err(file_error)
}

/// A whole file of no more than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(limit.saturating_add(1));
    file.read_to_end(&mut bytes).map_err(|source| Error::File { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit {
        return Err(Error::FileTooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// As [`read`]; `None` where there is no such file.
pub(crate) fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match read(path, limit) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// A file as the body of a blob, checked against its descriptor.
pub(super) fn blob(
    path: &Path,
    descriptor: &Descriptor,
    digest: Digest,
    by: &ImageReference,
) -> Result<BlobReader, Error> {
    Ok(checked(open(path)?, descriptor, digest, by))
}

/// The same behind the bytes that are known.
pub(super) fn blob_from(
    path: &Path,
    descriptor: &Descriptor,
    digest: Digest,
    prefix: HashedPrefix,
    by: &ImageReference,
) -> Result<BlobReader, Error> {
    let mut bytes = open(path)?;
    let position = SeekFrom::Start(prefix.length());
    bytes.seek(position).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let body = LocalBody { bytes, by: by.clone(), read: 0 };
    Ok(BlobReader::resumed(prefix, Box::new(body), digest, descriptor.size()))
}

/// Bytes on this machine as the body of a blob, checked against its descriptor.
pub(super) fn checked(
    bytes: impl Read + Send + 'static,
    descriptor: &Descriptor,
    digest: Digest,
    by: &ImageReference,
) -> BlobReader {
    let body = LocalBody { bytes, by: by.clone(), read: 0 };
    BlobReader::new(Box::new(body), digest, descriptor.size())
}

struct LocalBody<R> {
    bytes: R,
    by: ImageReference,
    read: u64,
}

impl<R: Read> Read for LocalBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl<R: Read + Send> BlobBody for LocalBody<R> {
    fn served(&self) -> Vec<Served> {
        vec![Served { by: ServedBy::Image(self.by.clone()), bytes: self.read }]
    }
}
