//! Bodies as they arrive.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::failure::io_error;
use crate::http::{Error, Pace, Phase, StatusCode, Timeouts};
use crate::safe_url::SafeUrl;

/// A body whose errors are ours, and which must make progress.
pub(super) struct CheckedBody<R> {
    inner: R,
    url: SafeUrl,
    timeouts: Timeouts,
    /// `None` for a body whose limit ureq knows.
    limit: Option<Limit>,
    /// What came in the present piece of time.
    progress: Progress,
}

/// What must come in which time, and how it is said that it did not.
pub(super) struct Limit {
    pace: Pace,
    phase: Phase,
}

impl Limit {
    /// For the answer to a request for something large: it has as long as it wants only if it is that.
    pub(super) fn of_large(status: StatusCode, timeouts: &Timeouts) -> Self {
        if status.is_success() {
            return Self { pace: timeouts.slowest, phase: Phase::Trickling };
        }
        Self { pace: Pace { bytes: u64::MAX, time: timeouts.answer }, phase: Phase::Answering }
    }
}

/// Bytes, and the time that they were waited for.
#[derive(Default)]
struct Progress {
    bytes: u64,
    waited: Duration,
}

impl<R: Read> CheckedBody<R> {
    pub(super) fn new(inner: R, url: SafeUrl, timeouts: Timeouts, limit: Option<Limit>) -> Self {
        Self { inner, url, timeouts, limit, progress: Progress::default() }
    }

    /// The limit that was missed, when too little has come for too long.
    fn missed(&mut self, bytes: usize, waited: Duration) -> Option<&Limit> {
        let limit = self.limit.as_ref()?;
        let progress = &mut self.progress;
        progress.bytes = progress.bytes.saturating_add(bytes as u64);
        progress.waited = progress.waited.saturating_add(waited);
        if progress.waited < limit.pace.time {
            return None;
        }
        // A read may have taken several of these times.
        (std::mem::take(progress).bytes < limit.pace.bytes).then_some(limit)
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
        if count > 0
            && let Some(Limit { pace, phase }) = self.missed(count, began.elapsed())
        {
            let (phase, after) = (*phase, pace.time);
            let error = Error::Timeout { url: self.url.clone(), phase, after };
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        Ok(count)
    }
}
