//! What can be wrong with a registry.

use std::time::Duration;

use crate::support::reply::{Door, Reply};
use crate::world::WRONG_TLS;

/// A fault. Each lasts: whoever asks again at its position meets it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Refuse,
    Blackhole,
    Reset,
    Stall,
    Drip,
    Truncated,
    TruncatedWithoutLength,
    CorruptedByte,
    WrongRange,
    Status(u16),
    /// 429 with `Retry-After`.
    ToldToWait,
    RedirectLoop,
    TlsFailure,
}

pub(crate) const FAULTS: [Fault; 18] = [
    Fault::Refuse,
    Fault::Blackhole,
    Fault::Reset,
    Fault::Stall,
    Fault::Drip,
    Fault::Truncated,
    Fault::TruncatedWithoutLength,
    Fault::CorruptedByte,
    Fault::WrongRange,
    Fault::Status(401),
    Fault::Status(403),
    Fault::Status(404),
    Fault::ToldToWait,
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(503),
    Fault::RedirectLoop,
    Fault::TlsFailure,
];

/// How many bytes of an answer come before a fault in its midst, where the position says no more.
const SOME: usize = 2;

/// A fatal alert, `handshake_failure`.
const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";

impl Fault {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Refuse => "connection refused".to_owned(),
            Self::Blackhole => "blackhole: accepts, never answers".to_owned(),
            Self::Reset => "reset after N bytes".to_owned(),
            Self::Stall => "stall after N bytes".to_owned(),
            Self::Drip => "slow drip".to_owned(),
            Self::Truncated => "truncated, with `Content-Length`".to_owned(),
            Self::TruncatedWithoutLength => "truncated, without `Content-Length`".to_owned(),
            Self::CorruptedByte => "corrupted byte".to_owned(),
            Self::WrongRange => "wrong range".to_owned(),
            Self::Status(429) => "429 without `Retry-After`".to_owned(),
            Self::Status(status) => status.to_string(),
            Self::ToldToWait => "429 with `Retry-After`".to_owned(),
            Self::RedirectLoop => "redirect loop".to_owned(),
            Self::TlsFailure => "TLS failure".to_owned(),
        }
    }

    /// What an error says of it: at least one of these.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Refuse => &["refused"],
            Self::Blackhole | Self::Stall | Self::Drip => &["timed out"],
            Self::Reset | Self::Truncated => &["Peer disconnected"],
            Self::TruncatedWithoutLength => &["cut at byte", "not a manifest"],
            Self::CorruptedByte => &["did not match", "not a manifest"],
            Self::WrongRange => &["asked for the bytes from", "status 206"],
            Self::Status(401) => &["status 401"],
            Self::Status(403) => &["status 403"],
            Self::Status(404) => &["status 404"],
            Self::Status(429) | Self::ToldToWait => &["status 429"],
            Self::Status(500) => &["status 500"],
            Self::Status(503) => &["status 503"],
            Self::Status(_) => &[],
            Self::RedirectLoop => &["more than 10 redirects"],
            Self::TlsFailure => &["TLS failed"],
        }
    }

    /// True when only a timeout ends it.
    pub(crate) fn is_silence(self) -> bool {
        matches!(self, Self::Blackhole | Self::Stall | Self::Drip)
    }

    /// What whoever connects meets, if the fault is met there already. Without verification a certificate is as good as any
    /// other, so then TLS itself fails.
    pub(crate) fn door(self, is_verified: bool) -> Option<Door> {
        match self {
            Self::Refuse => Some(Door::Closed),
            Self::Blackhole => Some(Door::Silent),
            Self::TlsFailure if is_verified => Some(Door::showing(&WRONG_TLS)),
            Self::TlsFailure => Some(Door::Saying(ALERT)),
            _ => None,
        }
    }

    /// The answer with the fault: at this byte of its body, or in the answer as a whole for `None`.
    pub(crate) fn spoil(self, reply: Reply, byte: Option<usize>, target: &str) -> Reply {
        let length = reply.content().len();
        let offset = byte.unwrap_or(SOME.min(length - 1));
        match self {
            Self::Reset => reply.reset_after(offset),
            Self::Stall => reply.stall_after(offset),
            Self::Drip => reply.drip_after(offset, 1, PAUSE),
            Self::Truncated => reply.cut_after(offset),
            Self::TruncatedWithoutLength => reply.until_close().cut_after(offset),
            Self::CorruptedByte => {
                let mut body = reply.content().to_vec();
                body[offset] ^= 1;
                reply.body(body)
            }
            // What is wrong with the answer as a whole hits whoever asks for the rest.
            _ if byte.is_some_and(|byte| byte > 0) => self.spoil_new_connections(reply.cut_after(offset)),
            Self::WrongRange => reply.wrong_content_range(),
            Self::Status(status) => refusal(status),
            Self::ToldToWait => refusal(429).header("Retry-After", "7"),
            Self::RedirectLoop => Reply::redirect(307, target),
            Self::Blackhole => self.spoil_new_connections(Reply::stalling()),
            Self::Refuse | Self::TlsFailure => self.spoil_new_connections(Reply::close_without_answer()),
        }
    }

    fn spoil_new_connections(self, reply: Reply) -> Reply {
        match self.door(true) {
            Some(door) => reply.then(door),
            None => reply,
        }
    }
}

/// Between two bytes of a drip: no silence, but a megabyte takes half a day.
const PAUSE: Duration = Duration::from_millis(50);

fn refusal(status: u16) -> Reply {
    let reply = Reply::new(status);
    if status == 401 { reply.header("WWW-Authenticate", "Basic realm=\"here\"") } else { reply }
}
