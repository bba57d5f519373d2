//! What can go wrong with one endpoint.

use std::fmt;
use std::io;

use super::error_body::ErrorResponse;
use super::token::TokenError;
use crate::digest::{Digest, Mismatch};
use crate::http;
use crate::reference::Name;
use crate::safe_url;

/// What was being done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// A manifest, by tag or digest.
    ReadingManifest {
        /// The tag or the digest.
        selector: String,
        /// The repository contacted.
        name: Name,
    },
    /// A layer or a config.
    ReadingBlob {
        /// Which one.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// The list of tags.
    ListingTags {
        /// The repository contacted.
        name: Name,
    },
    /// A layer from one of the URLs that its descriptor names.
    ReadingExternalBlob {
        /// Which one.
        digest: Digest,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadingManifest { selector, name } => write!(f, "reading manifest {selector} in {name}"),
            Self::ReadingBlob { digest, name } => write!(f, "reading blob {digest} in {name}"),
            Self::ListingTags { name } => write!(f, "listing the tags of {name}"),
            Self::ReadingExternalBlob { digest } => write!(f, "reading blob {digest} from its external URLs"),
        }
    }
}

/// Why one endpoint did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No response.
    #[error("{operation}")]
    Http {
        /// What was being done.
        operation: Operation,
        /// The transport's reason.
        source: http::Error,
    },
    /// A response that is not a success.
    #[error("{operation}")]
    Response {
        /// What was being done.
        operation: Operation,
        /// What the registry said.
        source: ErrorResponse,
    },
    /// No token.
    #[error("{operation}")]
    Token {
        /// What was being done.
        operation: Operation,
        /// Why not.
        source: TokenError,
    },
    /// The bytes are not those of the digest.
    #[error("{operation}")]
    Mismatch {
        /// What was being done.
        operation: Operation,
        /// Expected and found.
        source: Mismatch,
    },
    /// The registry's host name cannot stand in a URL.
    #[error("{operation}: {host:?} is not a host")]
    Host {
        /// What was being done.
        operation: Operation,
        /// The host.
        host: String,
        /// What is wrong with it.
        source: safe_url::ParseError,
    },
    /// A body broke off, or stalled.
    #[error("{operation}: cut at byte {offset}")]
    Cut {
        /// What was being done.
        operation: Operation,
        /// How far it came.
        offset: u64,
        /// The transport's reason.
        source: io::Error,
    },
    /// A body broke off, and could not be resumed.
    #[error("{cut}, and resuming it failed")]
    ResumeFailed {
        /// How it broke off.
        cut: Box<Error>,
        /// Why it could not be resumed.
        source: Box<Error>,
    },
    /// Asked to resume, the server sent another part.
    #[error("{operation}: asked for the bytes from {offset} on, the registry answered {found:?}")]
    WrongRange {
        /// What was being done.
        operation: Operation,
        /// Where it should begin.
        offset: u64,
        /// The `Content-Range`.
        found: String,
    },
    /// Asked to resume, the server began at the beginning once too often.
    #[error("{operation}: the registry ignores Range, and beginning again to reach byte {offset} would cost too much")]
    RangeIgnored {
        /// What was being done.
        operation: Operation,
        /// Where it should begin.
        offset: u64,
    },
    /// The list of tags is not what the specification says.
    #[error("{operation}: {problem}")]
    Tags {
        /// What was being done.
        operation: Operation,
        /// What is wrong with it.
        problem: String,
    },
    /// What came for a tag is not a manifest of any kind, but the page of a proxy, say.
    #[error("{operation}: the answer is not a manifest")]
    NotAManifest {
        /// What was being done.
        operation: Operation,
        /// Where it is not even JSON.
        source: serde_json::Error,
    },
    /// None of a layer's external URLs is http or https.
    #[error("{operation}: none of them is an http or https URL")]
    NoExternalUrl {
        /// What was being done.
        operation: Operation,
    },
}

impl Error {
    /// True when the image, the blob or the repository is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Response { source, .. } if source.is_not_found())
    }

    /// True when credentials are missing, wrong, or not enough.
    pub fn is_unauthorized(&self) -> bool {
        match self {
            Self::Response { source, .. }
            | Self::Token { source: TokenError::Refused(source) | TokenError::BadCredentials(source), .. } => {
                source.is_unauthorized()
            }
            _ => false,
        }
    }

    /// True when the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http { source, .. } | Self::Token { source: TokenError::Http(source), .. } => source.is_transient(),
            Self::Response { source, .. } | Self::Token { source: TokenError::Refused(source), .. } => {
                source.is_transient()
            }
            Self::Cut { .. } | Self::ResumeFailed { .. } => true,
            _ => false,
        }
    }
}
