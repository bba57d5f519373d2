//! One blob.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{BlobKind, BlobOutcome, Error, Event, Options};
use crate::destination::ImageDestination;
use crate::digest::Digest;
use crate::manifest::{Descriptor, MAX_CONFIG_SIZE};
use crate::source::{self, BlobReader, ImageSource};

/// The copy of one blob.
pub(super) struct Job<'a> {
    pub(super) source: &'a dyn ImageSource,
    pub(super) destination: &'a dyn ImageDestination,
    pub(super) descriptor: &'a Descriptor,
    pub(super) kind: BlobKind,
    /// Set when another blob of the image failed.
    pub(super) stopped: &'a AtomicBool,
    pub(super) options: &'a Options<'a>,
}

impl Job<'_> {
    /// Copies the blob unless it is there already, or may stay elsewhere.
    pub(super) fn run(&self) -> Result<(), Error> {
        let digest = Digest::try_from(self.descriptor.digest()).map_err(source::Error::Digest)?;
        let started = Event::Started { digest: &digest, kind: self.kind, size: self.descriptor.size() };
        self.options.progress.event(&started);
        let is_foreign = self.descriptor.urls().as_ref().is_some_and(|urls| !urls.is_empty());
        let outcome = if is_foreign && self.destination.accepts_foreign_layers() {
            BlobOutcome::LeftElsewhere
        } else if self.destination.has_blob(self.descriptor)? {
            BlobOutcome::AlreadyPresent
        } else {
            self.transfer(&digest)?
        };
        self.options.progress.event(&Event::Finished { digest: &digest, kind: self.kind, outcome: &outcome });
        Ok(())
    }

    /// Bytes that turn out wrong are read once more while the source has another place to read them from.
    fn transfer(&self, digest: &Digest) -> Result<BlobOutcome, Error> {
        loop {
            let inner = self.source.blob(self.descriptor)?;
            let mut reader = WatchedReader { inner, job: self, digest, failure: None };
            let outcome = self.destination.put_blob(self.descriptor, &mut reader);
            match (outcome, reader.failure) {
                (Ok(()), _) => return Ok(BlobOutcome::Copied { served: reader.inner.served() }),
                (Err(_), Some(_)) if reader.inner.is_worth_another_try() => {
                    self.options.progress.event(&Event::Restarted { digest });
                }
                (Err(_), Some(failure)) => return Err(read_error(digest, failure)),
                (Err(error), None) => return Err(error.into()),
            }
        }
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
