//! Giving up because somebody asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::{Clock, Error, Method, Request, Response, Wire};

/// A wait looks so often whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

/// A wire or a clock that stops when a flag is set: nothing more is asked for, and nothing waited for.
///
/// What is under way comes to its end first. `DELETE` is sent all the same: so uploads are taken back. A copy is told by
/// the same flag ([`copy::Options::cancelled`](crate::copy::Options::cancelled)).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::AtomicBool;
/// use std::time::Duration;
/// use transship::http::{Cancellable, Clock, TestClock};
///
/// let cancelled = Arc::new(AtomicBool::new(true));
/// Cancellable::new(TestClock::default(), cancelled).sleep(Duration::from_secs(3600));
/// ```
#[derive(Debug)]
pub struct Cancellable<T> {
    inner: T,
    cancelled: Arc<AtomicBool>,
}

impl<T> Cancellable<T> {
    /// Decorates `inner`.
    pub fn new(inner: T, cancelled: Arc<AtomicBool>) -> Self {
        Self { inner, cancelled }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl<W: Wire> Wire for Cancellable<W> {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        if self.is_cancelled() && request.method != Method::DELETE {
            return Err(Error::Cancelled { url: request.url.clone() });
        }
        self.inner.send(request)
    }
}

impl<C: Clock> Clock for Cancellable<C> {
    fn now(&self) -> SystemTime {
        self.inner.now()
    }

    fn sleep(&self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() && !self.is_cancelled() {
            let step = left.min(GLANCE);
            self.inner.sleep(step);
            left -= step;
        }
    }
}
