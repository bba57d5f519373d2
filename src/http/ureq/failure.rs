//! ureq's errors as ours.

use std::io;

use ureq::Timeout;

use crate::http::{Error, Phase, Timeouts};
use crate::safe_url::SafeUrl;

pub(super) fn to_error(url: &SafeUrl, timeouts: &Timeouts, error: ureq::Error) -> Error {
    let url = url.clone();
    match error {
        ureq::Error::HostNotFound => Error::HostNotFound { url },
        ureq::Error::Timeout(which) => {
            let (phase, after) = match which {
                Timeout::Resolve => (Phase::Connecting, timeouts.connect),
                // To connect to an address is a matter of `dial`, which says it in another way.
                Timeout::Connect => (Phase::Handshaking, timeouts.connect),
                Timeout::PerWrite | Timeout::SendRequest | Timeout::SendBody => (Phase::Sending, timeouts.idle),
                Timeout::RecvResponse => (Phase::Answering, timeouts.head()),
                Timeout::RecvBody => (Phase::Answering, timeouts.answer),
                _ => (Phase::Reading, timeouts.idle),
            };
            Error::Timeout { url, phase, after }
        }
        ureq::Error::Rustls(source) => Error::Tls { url, source: io::Error::new(io::ErrorKind::InvalidData, source) },
        ureq::Error::Tls(reason) => Error::Tls { url, source: io::Error::new(io::ErrorKind::InvalidData, reason) },
        ureq::Error::Io(source) => io_error(url, timeouts, source),
        ureq::Error::ConnectionFailed => Error::Connect { url, source: io::ErrorKind::NotConnected.into() },
        ureq::Error::ConnectProxyFailed(reason) => Error::Connect { url, source: io::Error::other(reason) },
        other => Error::Protocol { url, reason: other.to_string() },
    }
}

pub(super) fn io_error(url: SafeUrl, timeouts: &Timeouts, source: io::Error) -> Error {
    use io::ErrorKind as Kind;
    if is_carrying::<ureq::Error>(&source) {
        return to_error(&url, timeouts, source.into());
    }
    let is_tls = is_carrying::<rustls::Error>(&source);
    match source.kind() {
        _ if is_tls => Error::Tls { url, source },
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
            Error::Closed { url, source }
        }
        Kind::TimedOut | Kind::WouldBlock => Error::Timeout { url, phase: Phase::Connecting, after: timeouts.connect },
        _ => Error::Connect { url, source },
    }
}

fn is_carrying<E: std::error::Error + 'static>(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<E>)
}
