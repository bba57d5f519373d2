//! One blob.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{BlobKind, BlobOutcome, Error, Event, Options};
use crate::compression::Decompressed;
use crate::destination::{self, BlobInput, ImageDestination, UncompressedLayers};
use crate::digest::{Digest, HashedPrefix, Hasher, Mismatch};
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

    /// Bytes that turn out wrong are read once more, from their beginning, while the source has another place to read them
    /// from, or may not be the one to blame.
    fn transfer(&self, digest: &Digest) -> Result<BlobOutcome, Error> {
        let mut may_resume = true;
        loop {
            let mut reader = WatchedReader::new(self, digest, may_resume);
            let outcome = match self.item.uncompressed {
                None => self.destination.put_blob(self.item.descriptor, &mut reader).map_err(Error::from),
                Some(uncompressed) => uncompressed.put(&mut reader),
            };
            match (outcome, reader.failure) {
                (Ok(()), _) => {
                    let served = reader.inner.map(|inner| inner.served()).unwrap_or_default();
                    return Ok(BlobOutcome::Copied { served, resumed_at: reader.resumed_at });
                }
                (Err(_), Some(_)) if reader.inner.is_some_and(|inner| inner.is_worth_another_try()) => {
                    self.options.progress.event(&Event::Restarted { digest });
                    may_resume = false;
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

/// Opens the blob when its bytes are wanted, counts them for the progress, ends early when the copy is stopped, and keeps
/// a read error apart from whatever the destination makes of it.
struct WatchedReader<'a> {
    inner: Option<BlobReader>,
    job: &'a Job<'a>,
    digest: &'a Digest,
    may_resume: bool,
    resumed_at: u64,
    failure: Option<io::Error>,
}

impl<'a> WatchedReader<'a> {
    fn new(job: &'a Job<'a>, digest: &'a Digest, may_resume: bool) -> Self {
        Self { inner: None, job, digest, may_resume, resumed_at: 0, failure: None }
    }

    fn check_stopped(&self) -> io::Result<()> {
        let is_stopped = self.job.stopped.load(Ordering::Relaxed) || self.job.options.cancelled.load(Ordering::Relaxed);
        if is_stopped { Err(io::Error::other(Stopped)) } else { Ok(()) }
    }

    fn read_watched(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check_stopped()?;
        let inner = match &mut self.inner {
            Some(inner) => inner,
            None => self.inner.insert(self.job.source.blob(self.job.item.descriptor).map_err(io::Error::other)?),
        };
        let bytes = inner.read(buffer)?;
        self.job.options.progress.event(&Event::Read { digest: self.digest, bytes: bytes as u64 });
        Ok(bytes)
    }

    fn resume_behind(&mut self, prefix: HashedPrefix) -> io::Result<()> {
        self.check_stopped()?;
        let (descriptor, offset) = (self.job.item.descriptor, prefix.length());
        let inner = if offset < descriptor.size() {
            self.job.source.blob_from(descriptor, prefix).map_err(io::Error::other)?
        } else {
            // There is nothing left to ask anybody for.
            BlobReader::resumed(prefix, Box::new(io::empty()), self.digest.clone(), descriptor.size())
        };
        self.inner = Some(inner);
        self.resumed_at = offset;
        self.job.options.progress.event(&Event::Resumed { digest: self.digest, offset });
        Ok(())
    }

    fn keep<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

impl Read for WatchedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.read_watched(buffer);
        self.keep(outcome)
    }
}

impl BlobInput for WatchedReader<'_> {
    fn resume(&mut self, known: &mut dyn Read) -> io::Result<bool> {
        if !self.may_resume {
            return Ok(false);
        }
        // What cannot be read back is as good as not there.
        let Ok(prefix) = HashedPrefix::read(self.digest.algorithm(), known) else { return Ok(false) };
        let outcome = self.resume_behind(prefix);
        self.keep(outcome).map(|()| true)
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
