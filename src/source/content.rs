//! Bytes by digest, from wherever one wants to read them.

use std::fmt;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::places::Places;
use super::registry_source::blob_body;
use super::told_size::{Teller, ToldSizeBody};
use super::{AllSourcesFailed, BlobBody, BlobReader, Error, Served, ServedBy};
use crate::digest::{Digest, Mismatch};
use crate::error::find;
use crate::http::StatusCode;
use crate::manifest::Descriptor;
use crate::registry::{ErrorResponse, RegistryClient, Resolution, Selector};

/// Where a registry has some content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Manifest,
    Blob,
}

/// The content of a descriptor, to be read from any byte on.
///
/// Nothing is asked for before the first read. A seek gives the present answer up, and the next read asks for the bytes
/// from there on, by `Range`; a server that sends others is found out. A body that breaks off is carried on, by the same
/// pull source or by another.
///
/// What is read from the first to the last byte, without a seek between, is verified: the last byte is not handed out
/// before size and digest match, and anything else is an error that carries a [`Mismatch`]. Of a part nobody can tell
/// whether it is right: see [`is_verified`](Self::is_verified). Manifests are read whole at the first read, at most 4 MiB,
/// so they are verified wherever one reads.
///
/// Every error carries an [`Error`], for [`error::find`](crate::error::find).
pub struct Content {
    places: Arc<Places>,
    kind: Kind,
    digest: Digest,
    descriptor: Descriptor,
    /// Where the next byte is read.
    position: u64,
    open: Option<Open>,
    served: Vec<Served>,
    is_verified: bool,
    /// Who said how large it is, where that is not known otherwise.
    teller: Option<Teller>,
    is_size_refuted: bool,
}

/// What is known of content before it is read.
#[derive(Clone)]
pub(super) enum Known {
    /// Its size, from whoever refers to it.
    Size,
    /// Its size, as this place has told it.
    SizeToldBy(usize, u64),
    /// All of it, from this place.
    Bytes(usize, Vec<u8>),
}

impl Known {
    pub(super) fn of(place: usize, found: Resolution) -> Self {
        found.bytes.map_or(Self::SizeToldBy(place, found.size), |bytes| Self::Bytes(place, bytes))
    }

    /// The same for who refers to it with a size: another one is theirs, and nobody else's.
    pub(super) fn referred_to(&self, size: u64) -> Self {
        let known_size = match self {
            Self::Size => size,
            Self::SizeToldBy(_, told) => *told,
            Self::Bytes(_, bytes) => bytes.len() as u64,
        };
        if known_size == size { self.clone() } else { Self::Size }
    }
}

/// Bytes that begin at the present position.
enum Open {
    /// All of them, here and verified.
    Whole(Cursor<Vec<u8>>),
    /// From the first one on.
    Verifying(Box<BlobReader>),
    /// From another one on.
    Part(Box<dyn BlobBody>),
}

impl Content {
    pub(super) fn new(places: Arc<Places>, kind: Kind, digest: Digest, descriptor: Descriptor, known: Known) -> Self {
        let teller = match known {
            Known::SizeToldBy(index, _) => Some(Teller { places: Arc::clone(&places), index, digest: digest.clone() }),
            Known::Size | Known::Bytes(..) => None,
        };
        let (open, served, is_verified, is_size_refuted) = (None, Vec::new(), false, false);
        let mut content =
            Self { places, kind, digest, descriptor, position: 0, open, served, is_verified, teller, is_size_refuted };
        if let Known::Bytes(place, bytes) = known {
            content.whole(place, &bytes);
            content.open = Some(Open::Whole(Cursor::new(bytes)));
        }
        content
    }

    /// How many bytes there are; before they are read, as the descriptor or a registry says.
    pub fn size(&self) -> u64 {
        self.descriptor.size()
    }

    /// True once all bytes from the first on were read and are those of the digest.
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Who delivered what since the last seek; of bytes that had to be read to know what they are, who did that.
    pub fn served(&self) -> Vec<Served> {
        match &self.open {
            Some(Open::Verifying(blob)) => blob.served(),
            Some(Open::Part(body)) => body.served(),
            Some(Open::Whole(_)) | None => self.served.clone(),
        }
    }

    /// True when the bytes were wrong, and it is worth reading them again from the first on: somebody else has them. Of a
    /// blob that was asked for by its digest alone the size may have been wrong; then it has to be
    /// [found](super::Fetcher::fetch_by_digest) again.
    pub fn is_worth_another_try(&self) -> bool {
        self.is_size_refuted || matches!(&self.open, Some(Open::Verifying(blob)) if blob.is_worth_another_try())
    }

    fn open(&mut self) -> Result<&mut Open, Error> {
        let open = match self.open.take() {
            Some(open) => open,
            None if self.kind == Kind::Manifest => Open::Whole(Cursor::new(self.read_manifest()?)),
            None => self.open_blob()?,
        };
        Ok(self.open.insert(open))
    }

    fn read_manifest(&mut self) -> Result<Vec<u8>, Error> {
        let selector = Selector::Digest(self.digest.clone());
        let read = |client: &Arc<RegistryClient>| client.any_manifest(&selector).map_err(Error::Registry);
        let (place, manifest) = self.places.first_success(read)?;
        let bytes = manifest.bytes().to_vec();
        if self.teller.take().is_some() {
            self.descriptor.set_size(bytes.len() as u64);
        }
        let size = self.size();
        if bytes.len() as u64 != size {
            let (expected, found) = (self.digest.clone(), bytes.len() as u64);
            let mismatch = if found < size {
                Mismatch::TooShort { expected, size, found }
            } else {
                Mismatch::TooLong { expected, size }
            };
            return Err(self.failed(mismatch.into()));
        }
        self.whole(place, &bytes);
        Ok(bytes)
    }

    /// All of them are here, and are those of the digest.
    fn whole(&mut self, place: usize, bytes: &[u8]) {
        let by = self.places.reference_of(place).map(ServedBy::Image);
        self.served = by.into_iter().map(|by| Served { by, bytes: bytes.len() as u64 }).collect();
        self.is_verified = true;
    }

    fn open_blob(&self) -> Result<Open, Error> {
        let (digest, size, start) = (self.digest.clone(), self.size(), self.position);
        let body = blob_body(&self.places, &self.descriptor, &digest, start)?;
        let body: Box<dyn BlobBody> = match self.teller.clone() {
            Some(teller) => Box::new(ToldSizeBody { body, teller }),
            None => body,
        };
        Ok(if start == 0 { Open::Verifying(Box::new(BlobReader::new(body, digest, size))) } else { Open::Part(body) })
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Body { digest: self.digest.clone(), source }
    }

    /// Reads bytes that are there: `buffer` is not empty and the position not behind the end, as far as that is known.
    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The size of a manifest may only be known once it is open.
        self.open().map_err(io::Error::other)?;
        let (size, position) = (self.size(), self.position);
        if position >= size {
            return Ok(0);
        }
        let count = match self.open().map_err(io::Error::other)? {
            Open::Whole(bytes) => {
                bytes.set_position(position);
                bytes.read(buffer)?
            }
            Open::Verifying(blob) => blob.read(buffer)?,
            Open::Part(body) => {
                let left = usize::try_from(size - position).unwrap_or(usize::MAX).min(buffer.len());
                body.read(buffer.get_mut(..left).unwrap_or_default())?
            }
        };
        if count == 0 {
            let short = Mismatch::TooShort { expected: self.digest.clone(), size, found: position };
            return Err(io::Error::other(self.failed(short.into())));
        }
        self.position += count as u64;
        self.is_verified |= self.position == size && matches!(self.open, Some(Open::Verifying(_)));
        Ok(count)
    }

    /// Who is asked for more than there is breaks off, and whoever is asked for the rest says that there is none.
    fn doubt_size(&mut self, error: &io::Error) {
        if !says_end(error) {
            return;
        }
        let has_some = !self.served().is_empty() && !self.is_worth_another_try();
        let Some(teller) = self.teller.as_ref().filter(|_| has_some) else { return };
        let (expected, size, found) = (self.digest.clone(), self.size(), self.position);
        self.is_size_refuted = teller.refute(&Mismatch::TooShort { expected, size, found });
    }

    /// Nobody needs to be asked for nothing.
    fn check_nothing(&mut self) -> io::Result<()> {
        let found = Digest::of(self.digest.algorithm(), b"");
        if found != self.digest {
            let mismatch = Mismatch::Digest { expected: self.digest.clone(), found };
            return Err(io::Error::other(self.failed(mismatch.into())));
        }
        self.is_verified = true;
        Ok(())
    }
}

/// True when somebody has said that there is nothing behind the bytes that came.
fn says_end(error: &io::Error) -> bool {
    let is_end = |error: &(dyn std::error::Error + 'static)| {
        find::<ErrorResponse>(error).is_some_and(|response| response.status == StatusCode::RANGE_NOT_SATISFIABLE)
    };
    match find::<AllSourcesFailed>(error) {
        Some(all) => all.mirrors.iter().chain([&all.primary]).any(|attempt| is_end(&*attempt.error)),
        None => is_end(error),
    }
}

impl Read for Content {
    /// Behind the end there is nothing, and nobody is asked for it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.size() == 0 && !buffer.is_empty() {
            self.check_nothing()?;
        }
        if buffer.is_empty() || self.position >= self.size() {
            return Ok(0);
        }
        self.read_on(buffer).inspect_err(|error| self.doubt_size(error))
    }
}

impl Seek for Content {
    /// Asks nobody.
    ///
    /// # Errors
    /// `InvalidInput` for a position before the first byte.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.size().checked_add_signed(distance),
        };
        let position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a position before the first byte, or beyond any")
        })?;
        if position != self.position && !matches!(self.open, Some(Open::Whole(_))) {
            self.open = None;
        }
        self.position = position;
        Ok(position)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, position, .. } = self;
        f.debug_struct("Content").field("digest", digest).field("position", position).finish_non_exhaustive()
    }
}
