//! One blob.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{BlobKind, BlobOutcome, Error, Event, Options};
use crate::compression::Decompressed;
use crate::destination::{self, ImageDestination, UncompressedLayers};
use crate::digest::{Digest, Hasher, Mismatch};
use crate::manifest::{Descriptor, MAX_CONFIG_SIZE};
use crate::source::{self, BlobReader, ImageSource};

/// A blob of an image.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) kind: BlobKind,
    pub(super) descriptor: &'a Descriptor,
    /// For a layer that loses its compression on the way.
    pub(super) uncompressed: Option<Uncompressed<'a>>,
}

/// What a layer is without its compression, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Uncompressed<'a> {
    pub(super) diff_id: &'a Digest,
    pub(super) layers: &'a dyn UncompressedLayers,
    /// Set for one that was there before the copy began.
    pub(super) is_there: bool,
}

/// The copy of one blob.
pub(super) struct Job<'a> {
    pub(super) source: &'a dyn ImageSource,
    pub(super) destination: &'a dyn ImageDestination,
    pub(super) item: Item<'a>,
    /// Set when another blob of the image failed.
    pub(super) stopped: &'a AtomicBool,
    pub(super) options: &'a Options<'a>,
}

impl Job<'_> {
    /// Copies the blob unless it is there already, or may stay elsewhere.
    pub(super) fn run(&self) -> Result<(), Error> {
        let Item { kind, descriptor, .. } = self.item;
        let digest = Digest::try_from(descriptor.digest()).map_err(source::Error::Digest)?;
        self.options.progress.event(&Event::Started { digest: &digest, kind, size: descriptor.size() });
        let is_foreign = descriptor.urls().as_ref().is_some_and(|urls| !urls.is_empty());
        let outcome = if is_foreign && self.destination.accepts_foreign_layers() {
            BlobOutcome::LeftElsewhere
        } else if self.is_there()? {
            BlobOutcome::AlreadyPresent
        } else {
            self.transfer(&digest)?
        };
        self.options.progress.event(&Event::Finished { digest: &digest, kind, outcome: &outcome });
        Ok(())
    }

    fn is_there(&self) -> Result<bool, destination::Error> {
        match self.item.uncompressed {
            None => self.destination.has_blob(self.item.descriptor),
            Some(uncompressed) => Ok(uncompressed.is_there),
        }
    }

    /// Bytes that turn out wrong are read once more while the source has another place to read them from.
    fn transfer(&self, digest: &Digest) -> Result<BlobOutcome, Error> {
        loop {
            let inner = self.source.blob(self.item.descriptor)?;
            let mut reader = WatchedReader { inner, job: self, digest, failure: None };
            let outcome = match self.item.uncompressed {
                None => self.destination.put_blob(self.item.descriptor, &mut reader).map_err(Error::from),
                Some(uncompressed) => uncompressed.put(&mut reader),
            };
            match (outcome, reader.failure) {
                (Ok(()), _) => return Ok(BlobOutcome::Copied { served: reader.inner.served() }),
                (Err(_), Some(_)) if reader.inner.is_worth_another_try() => {
                    self.options.progress.event(&Event::Restarted { digest });
                }
                (Err(_), Some(failure)) => return Err(read_error(digest, failure)),
                (Err(error), None) => return Err(error),
            }
        }
    }
}

impl Uncompressed<'_> {
    /// Hands the layer over without its compression.
    fn put(self, compressed: &mut WatchedReader<'_>) -> Result<(), Error> {
        let outcome = self.put_from(&mut *compressed);
        if matches!(outcome, Err(Error::Layer { .. })) && compressed.failure.is_none() {
            // Bytes that are not those of the layer cannot be decompressed either. Its digest tells, at the end.
            let _ = io::copy(compressed, &mut io::sink());
        }
        outcome
    }

    fn put_from(self, compressed: &mut WatchedReader<'_>) -> Result<(), Error> {
        let digest = compressed.digest;
        let damaged = |source| Error::Layer { digest: digest.clone(), source };
        let stream = Decompressed::new(compressed).map_err(damaged)?;
        let hasher = Hasher::new(self.diff_id.algorithm());
        let mut reader = DiffIdReader { stream, hasher, diff_id: self.diff_id, failure: None };
        let outcome = self.layers.put_layer(self.diff_id, &mut reader);
        match reader.failure {
            Some(failure) => Err(damaged(failure)),
            None => Ok(outcome.map(drop)?),
        }
    }
}

/// A layer without its compression, whose end comes only when it is the one with this diff id.
struct DiffIdReader<'a, R: Read> {
    stream: Decompressed<R>,
    hasher: Hasher,
    diff_id: &'a Digest,
    failure: Option<io::Error>,
}

impl<R: Read> DiffIdReader<'_, R> {
    fn read_checked(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        if count == 0 && !buffer.is_empty() {
            let (expected, found) = (self.diff_id.clone(), self.hasher.clone().finish());
            if expected != found {
                return Err(Mismatch::Digest { expected, found }.into());
            }
        }
        Ok(count)
    }
}

impl<R: Read> Read for DiffIdReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_checked(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

/// Counts bytes for the progress, ends early when the copy is stopped, and keeps a read error apart from whatever the
/// destination makes of it.
struct WatchedReader<'a> {
    inner: BlobReader,
    job: &'a Job<'a>,
    digest: &'a Digest,
    failure: Option<io::Error>,
}

impl Read for WatchedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let options = self.job.options;
        let outcome = if self.job.stopped.load(Ordering::Relaxed) || options.cancelled.load(Ordering::Relaxed) {
            Err(io::Error::other(Stopped))
        } else {
            self.inner.read(buffer)
        };
        match outcome {
            Ok(bytes) => {
                options.progress.event(&Event::Read { digest: self.digest, bytes: bytes as u64 });
                Ok(bytes)
            }
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

fn read_error(digest: &Digest, failure: io::Error) -> Error {
    if crate::error::find::<Stopped>(&failure).is_some() {
        return Error::Cancelled;
    }
    match failure.downcast::<source::Error>() {
        Ok(error) => Error::Source(error),
        Err(source) => Error::Read { digest: digest.clone(), source },
    }
}

/// The bytes of an image's config, verified.
pub fn read_config(source: &dyn ImageSource, config: &Descriptor) -> Result<Vec<u8>, Error> {
    let digest = Digest::try_from(config.digest()).map_err(source::Error::Digest)?;
    if config.size() > MAX_CONFIG_SIZE {
        return Err(Error::ConfigTooLarge { digest, size: config.size(), limit: MAX_CONFIG_SIZE });
    }
    loop {
        let mut reader = source.blob(config)?;
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => return Ok(bytes),
            Err(_) if reader.is_worth_another_try() => {}
            Err(error) => return Err(read_error(&digest, error)),
        }
    }
}
