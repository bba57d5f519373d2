//! Where in a pull a fault is.

use crate::support::request::ReceivedRequest;
use crate::world::{DIGESTS, IMAGE};

/// In the order in which a pull with one connection comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// `GET /v2/`, which an insecure registry is asked first.
    Ping,
    Manifest,
    Config,
    FirstLayer,
    MiddleOfALayer,
    LastByte,
}

pub(crate) const POSITIONS: [Position; 6] = [
    Position::Ping,
    Position::Manifest,
    Position::Config,
    Position::FirstLayer,
    Position::MiddleOfALayer,
    Position::LastByte,
];

/// The request that meets a fault, and the byte of its body.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    /// The end of its path.
    pub(crate) path: String,
    /// The first byte that has it, counted from 0; `None` for the answer as a whole.
    pub(crate) byte: Option<usize>,
    /// Nothing is asked before it.
    pub(crate) is_first: bool,
}

impl Position {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::FirstLayer => "first layer",
            Self::MiddleOfALayer => "middle of a layer",
            Self::LastByte => "last byte",
        }
    }

    pub(crate) fn spot(self) -> Spot {
        let blob = |index: usize| format!("/blobs/{}", DIGESTS[index]);
        let layer = |index: usize| (blob(index + 1), IMAGE.layers()[index].len());
        let whole = |path: String| Spot { path, byte: None, is_first: false };
        match self {
            Self::Ping => Spot { is_first: true, ..whole("/v2/".to_owned()) },
            // Without a ping, it is what is asked first.
            Self::Manifest => Spot { is_first: true, ..whole("/manifests/1".to_owned()) },
            Self::Config => whole(blob(0)),
            Self::FirstLayer => whole(blob(1)),
            Self::MiddleOfALayer => {
                let (path, size) = layer(1);
                Spot { byte: Some(size / 2), ..whole(path) }
            }
            Self::LastByte => {
                let (path, size) = layer(2);
                Spot { byte: Some(size - 1), ..whole(path) }
            }
        }
    }
}

impl Spot {
    /// Whether the answer to this request has the fault.
    pub(crate) fn is_in(&self, request: &ReceivedRequest) -> bool {
        request.path().ends_with(&self.path) && self.byte.is_none_or(|byte| byte <= asked(request).1)
    }

    /// The byte in the answer's body.
    pub(crate) fn byte_in(&self, request: &ReceivedRequest) -> Option<usize> {
        self.byte.map(|byte| byte.saturating_sub(asked(request).0))
    }
}

/// The first and the last byte of `bytes=5-` or `bytes=5-7`.
fn asked(request: &ReceivedRequest) -> (usize, usize) {
    let Some(range) = request.header("range") else { return (0, usize::MAX) };
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    (start.parse().unwrap(), end.parse().unwrap_or(usize::MAX))
}
