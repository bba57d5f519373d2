//! Transport errors as a recording keeps them, and back.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::find;
use crate::http::{Error, Phase};
use crate::safe_url::SafeUrl;

/// An [`Error`] without its URL, and with the text of its cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Failure {
    HostNotFound,
    Connect {
        io: String,
        text: String,
    },
    Tls {
        io: String,
        text: String,
    },
    Timeout {
        phase: RecordedPhase,
        milliseconds: u64,
    },
    Closed {
        io: String,
        text: String,
    },
    Protocol {
        text: String,
    },
    /// A body that broke off for a reason without a type of ours.
    Body {
        io: String,
        text: String,
    },
    /// Not the server's doing: the recorder was told to keep no more than this of a body.
    RecordingLimit {
        bytes: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RecordedPhase {
    Connecting,
    Handshaking,
    Reading,
    Sending,
    Answering,
    Trickling,
}

impl Failure {
    /// What to record of `error`; `None` for what went wrong on this side of the wire.
    pub(super) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::HostNotFound { .. } => Self::HostNotFound,
            Error::Connect { source, .. } => Self::Connect { io: kind_name(source), text: source.to_string() },
            Error::Tls { source, .. } => Self::Tls { io: kind_name(source), text: source.to_string() },
            Error::Timeout { phase, after, .. } => {
                let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                Self::Timeout { phase: (*phase).into(), milliseconds }
            }
            Error::Closed { source, .. } => Self::Closed { io: kind_name(source), text: source.to_string() },
            Error::Protocol { reason, .. } => Self::Protocol { text: reason.clone() },
            Error::Body { source, .. } => Self::of_body(source),
            Error::BadProxy { .. }
            | Error::BodyTooLarge { .. }
            | Error::Encoding { .. }
            | Error::BadRedirect { .. }
            | Error::TooManyRedirects { .. }
            | Error::Cancelled { .. }
            | Error::NoProgress { .. }
            | Error::Har { .. } => return None,
        })
    }

    /// What to record of an error while a body was read.
    pub(super) fn of_body(error: &io::Error) -> Self {
        find::<Error>(error)
            .and_then(Self::of)
            .unwrap_or_else(|| Self::Body { io: kind_name(error), text: error.to_string() })
    }

    /// From the free text in other programs' files.
    pub(super) fn from_text(text: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| text.to_ascii_uppercase().contains(word));
        let text = text.to_owned();
        if has(&["NAME_NOT_RESOLVED", "UNKNOWN_HOST"]) {
            Self::HostNotFound
        } else if has(&["REFUSED"]) {
            Self::Connect { io: "ConnectionRefused".to_owned(), text }
        } else if has(&["CERT_", "SSL_", "TLS", "CERTIFICATE"]) {
            Self::Tls { io: "Other".to_owned(), text }
        } else {
            Self::Closed { io: "ConnectionAborted".to_owned(), text }
        }
    }

    /// The error again, for a request that got no answer.
    pub(super) fn to_error(&self, url: SafeUrl) -> Error {
        match self.clone() {
            Self::HostNotFound => Error::HostNotFound { url },
            Self::Connect { io, text } => Error::Connect { url, source: io_error(&io, text) },
            Self::Tls { io, text } => Error::Tls { url, source: io_error(&io, text) },
            Self::Timeout { phase, milliseconds } => {
                Error::Timeout { url, phase: phase.into(), after: Duration::from_millis(milliseconds) }
            }
            Self::Closed { io, text } => Error::Closed { url, source: io_error(&io, text) },
            Self::Protocol { text } => Error::Protocol { url, reason: text },
            Self::Body { .. } | Self::RecordingLimit { .. } => {
                let source = self.to_io_error(&url);
                Error::Body { url, source }
            }
        }
    }

    /// The error again, for a body that breaks off here.
    pub(super) fn to_io_error(&self, url: &SafeUrl) -> io::Error {
        match self {
            Self::Body { io, text } => io_error(io, text.clone()),
            Self::RecordingLimit { bytes } => io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("the recording keeps only {bytes} bytes of this body"),
            ),
            Self::Timeout { .. } => io::Error::new(io::ErrorKind::TimedOut, self.to_error(url.clone())),
            other => io::Error::other(other.to_error(url.clone())),
        }
    }

    /// The text in it that a server may have had a word in.
    pub(super) fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Connect { text, .. }
            | Self::Tls { text, .. }
            | Self::Closed { text, .. }
            | Self::Protocol { text }
            | Self::Body { text, .. } => Some(text),
            Self::HostNotFound | Self::Timeout { .. } | Self::RecordingLimit { .. } => None,
        }
    }
}

impl From<Phase> for RecordedPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Connecting => Self::Connecting,
            Phase::Reading => Self::Reading,
            Phase::Sending => Self::Sending,
            Phase::Handshaking => Self::Handshaking,
            Phase::Answering => Self::Answering,
            Phase::Trickling => Self::Trickling,
        }
    }
}

impl From<RecordedPhase> for Phase {
    fn from(phase: RecordedPhase) -> Self {
        match phase {
            RecordedPhase::Connecting => Self::Connecting,
            RecordedPhase::Reading => Self::Reading,
            RecordedPhase::Sending => Self::Sending,
            RecordedPhase::Handshaking => Self::Handshaking,
            RecordedPhase::Answering => Self::Answering,
            RecordedPhase::Trickling => Self::Trickling,
        }
    }
}

/// The kinds that a connection ends with. Any other is recorded by its name too, and comes back as `Other`:
/// `Interrupted` above all, which every reader would try again for ever.
const KINDS: [io::ErrorKind; 14] = [
    io::ErrorKind::AddrNotAvailable,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::InvalidData,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::NotConnected,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::TimedOut,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::WouldBlock,
];

fn kind_name(error: &io::Error) -> String {
    format!("{:?}", error.kind())
}

fn io_error(name: &str, text: String) -> io::Error {
    let kind = KINDS.into_iter().find(|kind| format!("{kind:?}") == name).unwrap_or(io::ErrorKind::Other);
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_survives_the_way_into_an_error_and_back() {
        let url: SafeUrl = "https://r.example/".parse().unwrap();
        let (io, text) = ("ConnectionReset".to_owned(), "reset".to_owned());
        for failure in [
            Failure::HostNotFound,
            Failure::Connect { io: io.clone(), text: text.clone() },
            Failure::Tls { io: io.clone(), text: text.clone() },
            Failure::Timeout { phase: RecordedPhase::Sending, milliseconds: 1500 },
            Failure::Closed { io: io.clone(), text: text.clone() },
            Failure::Protocol { text: text.clone() },
            Failure::Body { io, text },
        ] {
            assert_eq!(Failure::of(&failure.to_error(url.clone())), Some(failure.clone()));
            assert_eq!(Failure::of_body(&failure.to_io_error(&url)), failure);
        }
    }

    #[test]
    fn free_text_is_understood_as_far_as_it_goes() {
        assert_eq!(Failure::from_text("net::ERR_NAME_NOT_RESOLVED"), Failure::HostNotFound);
        assert!(matches!(Failure::from_text("net::ERR_CONNECTION_REFUSED"), Failure::Connect { .. }));
        assert!(matches!(Failure::from_text("Client TLS handshake failed"), Failure::Tls { .. }));
        assert!(matches!(Failure::from_text("server closed connection"), Failure::Closed { .. }));
    }
}
