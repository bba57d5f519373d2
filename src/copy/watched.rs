//! The bytes of a blob on their way through a copy.

use std::io::{self, Read};
use std::sync::atomic::Ordering;

use super::blob::Job;
use super::{Error, Event};
use crate::destination::BlobInput;
use crate::digest::{Digest, HashedPrefix};
use crate::manifest::Descriptor;
use crate::source::{self, BlobReader, Served};

/// Opens the blob when its bytes are wanted, counts them for the progress, ends early when the copy is stopped, and keeps
/// a read error apart from whatever the destination makes of it.
pub(super) struct WatchedReader<'a> {
    inner: Option<BlobReader>,
    job: &'a Job<'a>,
    descriptor: &'a Descriptor,
    digest: &'a Digest,
    may_resume: bool,
    resumed_at: u64,
    failure: Option<io::Error>,
}

impl<'a> WatchedReader<'a> {
    pub(super) fn new(job: &'a Job<'a>, descriptor: &'a Descriptor, digest: &'a Digest, may_resume: bool) -> Self {
        Self { inner: None, job, descriptor, digest, may_resume, resumed_at: 0, failure: None }
    }

    /// Who delivered what, so far.
    pub(super) fn served(&self) -> Vec<Served> {
        self.inner.as_ref().map(BlobReader::served).unwrap_or_default()
    }

    /// How many bytes were at the place already.
    pub(super) fn resumed_at(&self) -> u64 {
        self.resumed_at
    }

    /// Why the bytes did not come, if they did not.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// True when reading failed because the bytes were wrong, and others may be right.
    pub(super) fn is_worth_another_try(&self) -> bool {
        self.inner.as_ref().is_some_and(BlobReader::is_worth_another_try)
    }

    fn check_stopped(&self) -> io::Result<()> {
        let is_stopped =
            self.job.stopped.load(Ordering::Relaxed) || self.job.run.options.cancelled.load(Ordering::Relaxed);
        if is_stopped { Err(io::Error::other(Stopped)) } else { Ok(()) }
    }

    fn read_watched(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check_stopped()?;
        let inner = match &mut self.inner {
            Some(inner) => inner,
            None => self.inner.insert(self.job.source.blob(self.descriptor).map_err(io::Error::other)?),
        };
        let bytes = inner.read(buffer)?;
        self.job.run.options.progress.event(&Event::Read { digest: self.digest, bytes: bytes as u64 });
        Ok(bytes)
    }

    fn resume_behind(&mut self, prefix: HashedPrefix) -> io::Result<()> {
        self.check_stopped()?;
        let (descriptor, offset) = (self.descriptor, prefix.length());
        let inner = if offset < descriptor.size() {
            self.job.source.blob_from(descriptor, prefix).map_err(io::Error::other)?
        } else {
            // There is nothing left to ask anybody for.
            BlobReader::resumed(prefix, Box::new(io::empty()), self.digest.clone(), descriptor.size())
        };
        self.inner = Some(inner);
        self.resumed_at = offset;
        self.job.run.options.progress.event(&Event::Resumed { digest: self.digest, offset });
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

pub(super) fn read_error(digest: &Digest, failure: io::Error) -> Error {
    if crate::error::find::<Stopped>(&failure).is_some() {
        return Error::Cancelled;
    }
    match failure.downcast::<source::Error>() {
        Ok(error) => Error::Source(error),
        Err(source) => Error::Read { digest: digest.clone(), source },
    }
}
