//! How long a server may take.

use std::time::Duration;

/// How long to wait for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS handshake included, over all addresses of a host. 30 s by default.
    pub connect: Duration,
    /// For the next bytes, of the head or of a body: a server that stalls longer is an error. 60 s by default.
    pub idle: Duration,
    /// For the whole body of an answer that is [not large](super::Request::is_large) by nature, counted from its head: a
    /// manifest, a token, a list of tags, an error. 60 s by default. The whole head may take as much more than
    /// [`idle`](Self::idle).
    pub answer: Duration,
    /// What a large body must bring while it is waited for, however often a few bytes come. 12 KiB a minute by default: a slow line has room for many.
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
/// What a server must take in of a body that is sent to it. A body is a chunk at most, so a stall must not last for as long
/// as the slowest answer may.
const SLOWEST_SENDING: Pace = Pace { bytes: 60 * 1024, time: MINUTE };

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

    /// For the sending of a body of so many bytes.
    pub(super) fn sending(&self, bytes: usize) -> Duration {
        let Pace { bytes: at_least, time } = SLOWEST_SENDING;
        let times = (bytes as u64).checked_div(at_least).unwrap_or(u64::MAX);
        time.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX)).saturating_add(self.idle)
    }
}
