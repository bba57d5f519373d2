//! Bodies as they arrive.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::failure::io_error;
use crate::http::{Error, Phase, Timeouts};
use crate::safe_url::SafeUrl;

/// A body whose errors are ours, and which must make progress.
pub(super) struct CheckedBody<R> {
    inner: R,
    url: SafeUrl,
    timeouts: Timeouts,
    /// What came in the present piece of time; `None` for a body that has a limit for the whole.
    progress: Option<Progress>,
}

/// Bytes, and the time that they were waited for.
#[derive(Default)]
struct Progress {
    bytes: u64,
    waited: Duration,
}

impl<R: Read> CheckedBody<R> {
    pub(super) fn new(inner: R, url: SafeUrl, timeouts: Timeouts, is_large: bool) -> Self {
        Self { inner, url, timeouts, progress: is_large.then(Progress::default) }
    }

    /// True when too little has come for too long.
    fn is_too_slow(&mut self, bytes: usize, waited: Duration) -> bool {
        let Some(progress) = &mut self.progress else { return false };
        progress.bytes = progress.bytes.saturating_add(bytes as u64);
        progress.waited = progress.waited.saturating_add(waited);
        if progress.waited < self.timeouts.slowest.time {
            return false;
        }
        // A read may have taken several of these times.
        let due = self.timeouts.slowest.bytes;
        std::mem::take(progress).bytes < due
    }
}

impl<R: Read> Read for CheckedBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        let count = self.inner.read(buffer).map_err(|source| {
            let kind = source.kind();
            let error = match io_error(self.url.clone(), &self.timeouts, source) {
                Error::Closed { url, source } | Error::Connect { url, source } => Error::Body { url, source },
                other => other,
            };
            io::Error::new(kind, error)
        })?;
        if count > 0 && self.is_too_slow(count, began.elapsed()) {
            let after = self.timeouts.slowest.time;
            let error = Error::Timeout { url: self.url.clone(), phase: Phase::Trickling, after };
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        Ok(count)
    }
}
