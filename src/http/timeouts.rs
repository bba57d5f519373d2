//! How long a server may take.

use std::time::Duration;

/// How long to wait for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS handshake included, over all addresses of a host, and as long before that to look up what
    /// these are. 30 s by default.
    pub connect: Duration,
    /// For the next bytes, of the head or of a body: a server that stalls longer is an error. 60 s by default.
    pub idle: Duration,
    /// For the whole body of an answer that is [not large](super::Request::is_large) by nature, counted from its head: a
    /// manifest, a token, a list of tags, an error. 60 s by default. The whole head may take as much more than
    /// [`idle`](Self::idle).
    pub answer: Duration,
    /// What a large body must bring while it is waited for, however often a few bytes come, and the pace at which a
    /// server must take one in. 12 KiB a minute by default, so that six at a time need no more than a line of 1.2 KiB a
    /// second.
    pub slowest: Pace,
}

/// So many bytes in each so much time. The time that the reader takes between two reads does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many bytes; 0 allows any pace.
    pub bytes: u64,
    /// In which time.
    pub time: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const MINUTE: Duration = Duration::from_secs(60);

impl Timeouts {
    /// What is used where nothing is said.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(30),
        idle: MINUTE,
        answer: MINUTE,
        slowest: Pace { bytes: 12 * 1024, time: MINUTE },
    };

    /// For a head, from the last byte of the request on.
    pub(super) fn head(&self) -> Duration {
        self.idle.saturating_add(self.answer)
    }

    /// For the sending of a body of so many bytes. A server that takes nothing in is given up after [`idle`](Self::idle).
    pub(super) fn sending(&self, bytes: usize) -> Duration {
        let Pace { bytes: at_least, time } = self.slowest;
        let times = (bytes as u64).checked_div(at_least).unwrap_or(u64::MAX);
        time.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX)).saturating_add(self.idle)
    }
}
