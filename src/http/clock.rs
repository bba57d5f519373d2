//! Time, as something that a test can hold in its hand.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The only way this crate tells the time or waits, so that back-off and token expiry are tested without waiting.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// So that what holds a clock can be printed.
impl fmt::Debug for dyn Clock + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn sleep(&self, duration: Duration) {
        (**self).sleep(duration);
    }
}

/// The real time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A time that passes only when somebody sleeps, and remembers who did.
///
/// ```
/// use std::time::Duration;
/// use transship::http::{Clock, TestClock};
///
/// let clock = TestClock::default();
/// let start = clock.now();
/// clock.sleep(Duration::from_secs(60));
/// assert_eq!(clock.now().duration_since(start).unwrap(), Duration::from_secs(60));
/// assert_eq!(clock.sleeps(), [Duration::from_secs(60)]);
/// ```
#[derive(Debug)]
pub struct TestClock {
    start: SystemTime,
    sleeps: Mutex<Vec<Duration>>,
}

impl TestClock {
    /// A clock that shows `start` until somebody sleeps.
    pub fn starting_at(start: SystemTime) -> Self {
        Self { start, sleeps: Mutex::default() }
    }

    /// Every wait so far, in order.
    pub fn sleeps(&self) -> Vec<Duration> {
        self.sleeps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for TestClock {
    /// Starts at 2026-01-01 00:00:00 UTC.
    fn default() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.start + self.sleeps().iter().sum()
    }

    fn sleep(&self, duration: Duration) {
        self.sleeps.lock().unwrap_or_else(PoisonError::into_inner).push(duration);
    }
}
