//! Blobs on their way into an archive: in one file that has no name, and so is gone when its writer is.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::staging::write_error;
use super::super::{Error, NewBlob};
use crate::digest::{Digest, MeasuringReader};

/// A blob takes room in pieces of this size. The end of its last piece is a hole, which costs nothing.
const PIECE_SIZE: u64 = 1024 * 1024;

const BUFFER_SIZE: usize = 256 * 1024;

/// Takes blobs in, several at a time, whether or not their sizes are known.
#[derive(Debug)]
pub(in crate::destination) struct Spool {
    file: Arc<File>,
    /// Where it is, for messages.
    path: PathBuf,
    /// Where the next piece begins.
    end: AtomicU64,
}

/// A whole blob in a spool.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Spooled {
    file: Arc<File>,
    pieces: Vec<u64>,
    size: u64,
}

impl Spool {
    /// In this directory, which has room for the archive.
    pub(super) fn beside(directory: &Path) -> Result<Self, Error> {
        Self::new(tempfile::tempfile_in(directory), directory)
    }

    /// Where temporary files are, for an archive that goes into no file.
    pub(super) fn of_stream(path: &Path) -> Result<Self, Error> {
        Self::new(tempfile::tempfile(), path)
    }

    fn new(file: io::Result<File>, path: &Path) -> Result<Self, Error> {
        let file = Arc::new(file.map_err(write_error(path))?);
        Ok(Self { file, path: path.to_owned(), end: AtomicU64::new(0) })
    }

    /// Takes all that `reader` gives.
    pub(in crate::destination) fn take_in(&self, digest: &Digest, reader: &mut dyn Read) -> Result<Spooled, Error> {
        self.take_all(reader, |source| Error::Read { digest: digest.clone(), source })
    }

    /// Takes a blob that is made on the way.
    pub(in crate::destination) fn take_in_new(&self, reader: &mut dyn Read) -> Result<(NewBlob, Spooled), Error> {
        let mut measured = MeasuringReader::new(reader);
        let spooled = self.take_all(&mut measured, Error::ReadNew)?;
        let (digest, size) = measured.finish();
        Ok((NewBlob { digest, size }, spooled))
    }

    fn take_all(&self, reader: &mut dyn Read, unreadable: impl Fn(io::Error) -> Error) -> Result<Spooled, Error> {
        let mut spooled = Spooled { file: Arc::clone(&self.file), pieces: Vec::new(), size: 0 };
        let mut buffer = vec![0; BUFFER_SIZE];
        loop {
            let left = spooled.left_in_piece();
            if left == 0 {
                spooled.pieces.push(self.end.fetch_add(PIECE_SIZE, Ordering::Relaxed));
                continue;
            }
            let room = usize::try_from(left).unwrap_or(BUFFER_SIZE).min(BUFFER_SIZE);
            let count = match reader.read(buffer.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return Ok(spooled),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            self.file.write_all_at(bytes, spooled.end()).map_err(write_error(&self.path))?;
            spooled.size += count as u64;
        }
    }
}

impl Spooled {
    pub(in crate::destination) fn size(&self) -> u64 {
        self.size
    }

    /// The blob from its beginning.
    pub(in crate::destination) fn reader(&self) -> impl Read {
        SpoolReader { blob: self, position: 0 }
    }

    fn left_in_piece(&self) -> u64 {
        (self.pieces.len() as u64 * PIECE_SIZE).saturating_sub(self.size)
    }

    /// Where the next byte goes, in a piece that has room.
    fn end(&self) -> u64 {
        self.offset(self.size)
    }

    fn offset(&self, position: u64) -> u64 {
        let piece = usize::try_from(position / PIECE_SIZE).ok().and_then(|piece| self.pieces.get(piece));
        piece.copied().unwrap_or_default() + position % PIECE_SIZE
    }
}

struct SpoolReader<'a> {
    blob: &'a Spooled,
    position: u64,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let in_piece = PIECE_SIZE - self.position % PIECE_SIZE;
        let left = in_piece.min(self.blob.size - self.position);
        let room = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
        let wanted = buffer.get_mut(..room).unwrap_or_default();
        let count = self.blob.file.read_at(wanted, self.blob.offset(self.position))?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_that_come_at_the_same_time_are_kept_apart() {
        let spool = Spool::beside(&std::env::temp_dir()).unwrap();
        let blob = |seed: u8, size: u64| (0..size).map(|at| seed.wrapping_add((at % 251) as u8)).collect::<Vec<_>>();
        let sizes = [0, 1, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE + 7];
        let blobs: Vec<_> = (0..).zip(sizes).map(|(seed, size)| blob(seed, size)).collect();
        std::thread::scope(|scope| {
            let take_in = |bytes: &Vec<u8>| spool.take_in(&Digest::sha256(bytes), &mut &**bytes).unwrap();
            let taken: Vec<_> = blobs.iter().map(|bytes| scope.spawn(move || take_in(bytes))).collect();
            for (bytes, spooled) in blobs.iter().zip(taken) {
                let (spooled, mut read) = (spooled.join().unwrap(), Vec::new());
                spooled.reader().read_to_end(&mut read).unwrap();
                assert_eq!(spooled.size(), bytes.len() as u64);
                assert!(read == *bytes, "{} bytes", bytes.len());
            }
        });
    }
}
