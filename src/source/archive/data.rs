//! The bytes of an archive from any offset on.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::{Error, local};
use crate::compression::{Compression, Decompressed, skip};

/// How many readers of a compressed archive wait for the next blob: as many as are read at a time, by default.
const MAX_WAITING: usize = 6;

/// An archive, compressed as a whole or not.
#[derive(Debug)]
pub(super) enum Data {
    Plain { file: Arc<File>, length: u64 },
    Compressed(Arc<Compressed>),
}

/// An archive that can only be read from its beginning on.
#[derive(Debug)]
pub(in crate::source) struct Compressed {
    file: Arc<File>,
    waiting: Mutex<Vec<Stream>>,
}

/// A reader of the file that does not move it for others.
#[derive(Debug)]
pub(in crate::source) struct FileAt {
    file: Arc<File>,
    position: u64,
}

/// A decompressed archive, read as far as `position`.
#[derive(Debug)]
pub(in crate::source) struct Stream {
    bytes: Decompressed<FileAt>,
    position: u64,
}

/// One file in an archive.
#[derive(Debug)]
pub(in crate::source) enum FileReader {
    Plain(io::Take<FileAt>),
    Compressed { archive: Arc<Compressed>, stream: Option<Stream>, remaining: u64 },
}

impl Data {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = local::open(path)?;
        let unreadable = |source| Error::File { path: path.to_owned(), source };
        let length = file.metadata().map_err(unreadable)?.len();
        let file = Arc::new(file);
        let stream = Stream::new(&file).map_err(unreadable)?;
        Ok(match stream.compression() {
            None => Self::Plain { file, length },
            Some(_) => Self::Compressed(Arc::new(Compressed { file, waiting: Mutex::new(vec![stream]) })),
        })
    }

    /// `size` bytes from `offset` on.
    pub(super) fn reader(&self, offset: u64, size: u64) -> io::Result<FileReader> {
        match self {
            Self::Plain { file, .. } => {
                let file = FileAt { file: Arc::clone(file), position: offset };
                Ok(FileReader::Plain(file.take(size)))
            }
            Self::Compressed(archive) => {
                let stream = Some(archive.stream_at(offset)?);
                Ok(FileReader::Compressed { archive: Arc::clone(archive), stream, remaining: size })
            }
        }
    }
}

impl Compressed {
    /// The stream that has the shortest way to `offset`, or a new one.
    pub(super) fn stream_at(&self, offset: u64) -> io::Result<Stream> {
        let mut stream = match self.take_waiting(offset) {
            Some(stream) => stream,
            None => Stream::new(&self.file)?,
        };
        stream.advance_to(offset)?;
        Ok(stream)
    }

    fn take_waiting(&self, offset: u64) -> Option<Stream> {
        let mut waiting = self.waiting();
        let usable = waiting.iter().enumerate().filter(|(_, stream)| stream.position <= offset);
        let (nearest, _) = usable.max_by_key(|(_, stream)| stream.position)?;
        Some(waiting.swap_remove(nearest))
    }

    fn give_back(&self, stream: Stream) {
        let mut waiting = self.waiting();
        if waiting.len() < MAX_WAITING {
            waiting.push(stream);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn new(file: &Arc<File>) -> io::Result<Self> {
        Ok(Self { bytes: Decompressed::new(FileAt { file: Arc::clone(file), position: 0 })?, position: 0 })
    }

    fn compression(&self) -> Option<Compression> {
        self.bytes.compression()
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes forward; a stream has no way back.
    pub(super) fn advance_to(&mut self, position: u64) -> io::Result<()> {
        let distance = position.checked_sub(self.position).ok_or(io::ErrorKind::Unsupported)?;
        skip(&mut self.bytes, distance)?;
        self.position = position;
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl FileAt {
    pub(super) fn new(file: &Arc<File>) -> Self {
        Self { file: Arc::clone(file), position: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn set_position(&mut self, position: u64) {
        self.position = position;
    }
}

impl Read for FileAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Compressed { stream: None, .. } => Ok(0),
            Self::Compressed { stream: Some(stream), remaining, .. } => {
                let count = stream.take(*remaining).read(buffer)?;
                *remaining -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        if let Self::Compressed { archive, stream, .. } = self
            && let Some(stream) = stream.take()
        {
            archive.give_back(stream);
        }
    }
}
