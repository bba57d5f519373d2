//! A blob's bytes, from one pull source after the other.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::SystemTime;

use super::places::{Failure, Place, Places};
use super::told_size::PlacedBody;
use super::{BlobBody, Error, Remedy, Served, ServedBy};
use crate::digest::{Digest, Mismatch};
use crate::http::Body;

/// A blob's bytes from the first place that has them, and from the next one where that breaks off.
pub(super) struct FailoverBody {
    places: Arc<Places>,
    digest: Digest,
    size: u64,
    /// Where the first place begins.
    start: u64,
    /// Places not asked yet.
    remaining: Vec<usize>,
    /// The place that delivers, with its stream.
    current: Option<(usize, Body)>,
    /// When it was asked.
    began: SystemTime,
    /// Who delivered how much.
    served: Vec<(usize, u64)>,
    failures: Vec<Failure>,
}

impl FailoverBody {
    pub(super) fn open(places: Arc<Places>, digest: Digest, size: u64, start: u64) -> Result<Self, Error> {
        let (_, mut remaining) = places.trusted();
        // Taken from the end.
        remaining.reverse();
        let (began, current, served, failures) = (places.now(), None, Vec::new(), Vec::new());
        let mut body = Self { places, digest, size, start, remaining, current, began, served, failures };
        body.connect_next()?;
        Ok(body)
    }

    fn offset(&self) -> u64 {
        self.served.iter().map(|(_, bytes)| bytes).sum::<u64>().saturating_add(self.start)
    }

    /// Opens the blob at the next place, at the byte where the last one broke off.
    fn connect_next(&mut self) -> Result<(), Error> {
        let offset = self.offset();
        while let Some(index) = self.remaining.pop() {
            let Some(place) = self.places.all.get(index) else { continue };
            self.began = self.places.now();
            let stream = self
                .places
                .client(index, place)
                .and_then(|client| client.blob(&self.digest, self.size, offset).map_err(Error::Registry));
            match stream {
                Ok(stream) => {
                    self.places.delivered(index, self.began);
                    self.current = Some((index, Box::new(stream)));
                    self.served.push((index, 0));
                    return Ok(());
                }
                Err(error) => {
                    self.places.note_failure(place, self.began, &error);
                    self.failures.push((index, error));
                }
            }
        }
        self.current = None;
        Err(self.places.nobody_left(std::mem::take(&mut self.failures)))
    }

    /// Notes why the current place failed, and goes on elsewhere.
    fn fail_over(&mut self, index: usize, cause: io::Error) -> Result<(), Error> {
        if let Some(place) = self.places.all.get(index) {
            let error = match cause.downcast::<crate::registry::Error>() {
                Ok(error) => Error::Registry(error),
                Err(source) => Error::Body { digest: self.digest.clone(), source },
            };
            self.places.note_failure(place, self.began, &error);
            self.failures.push((index, error));
        }
        self.connect_next()
    }
}

impl Read for FailoverBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some((index, stream)) = &mut self.current else {
                let source =
                    Mismatch::TooShort { expected: self.digest.clone(), size: self.size, found: self.offset() };
                return Err(source.into());
            };
            match stream.read(buffer) {
                Ok(count) => {
                    if let Some((_, bytes)) = self.served.last_mut() {
                        *bytes += count as u64;
                    }
                    return Ok(count);
                }
                Err(cause) => {
                    let index = *index;
                    self.fail_over(index, cause).map_err(io::Error::other)?;
                }
            }
        }
    }
}

impl BlobBody for FailoverBody {
    fn served(&self) -> Vec<Served> {
        let served = |(index, bytes): &(usize, u64)| {
            Some(Served { by: ServedBy::Image(self.places.reference_of(*index)?), bytes: *bytes })
        };
        self.served.iter().filter(|(_, bytes)| *bytes > 0).filter_map(served).collect()
    }

    /// Whoever delivered wrong bytes is not asked for blobs of this image any more. Of several contributors nobody can
    /// tell whose part was wrong, so the last of them may deliver the whole, alone.
    fn reject(&mut self, mismatch: &Mismatch) -> Remedy {
        let mut contributors: Vec<_> = self.served.iter().filter(|(_, bytes)| *bytes > 0).collect();
        if contributors.len() > 1 {
            contributors.pop();
        }
        for place in contributors.into_iter().filter_map(|(index, _)| self.places.all.get(*index)) {
            place.distrust(&self.digest, mismatch);
        }
        if self.places.all.iter().any(Place::is_trusted) {
            return Remedy::AskAgain;
        }
        Remedy::NobodyLeft(Box::new(self.places.nobody_left(std::mem::take(&mut self.failures))))
    }
}

impl PlacedBody for FailoverBody {
    fn is_from_only(&self, place: usize) -> bool {
        self.served.iter().all(|(by, bytes)| *by == place || *bytes == 0)
    }
}
