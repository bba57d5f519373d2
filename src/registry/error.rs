//! What can go wrong with one endpoint.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::error_body::ErrorResponse;
use super::token::TokenError;
use crate::digest::{Digest, Mismatch};
use crate::http::{self, StatusCode};
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
    /// Whether a registry has the signature extension.
    AskingForExtension {
        /// The repository contacted.
        name: Name,
    },
    /// The signatures that a registry with the extension keeps.
    ReadingSignatures {
        /// Of which manifest.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// A signature on its way to a registry with the extension.
    PuttingSignature {
        /// Of which manifest.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// The manifests that refer to a manifest.
    ListingReferrers {
        /// To which one.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// Whether a blob is there.
    CheckingBlob {
        /// Which one.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// A layer or a config, on its way to the registry.
    PushingBlob {
        /// Which one.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// A blob that is made on the way, so that nobody knows its digest yet.
    PushingNewBlob {
        /// The repository contacted.
        name: Name,
    },
    /// A blob that the registry has in another repository.
    MountingBlob {
        /// Which one.
        digest: Digest,
        /// The repository contacted.
        name: Name,
        /// Where the blob may be.
        from: Name,
    },
    /// A manifest, on its way to the registry.
    PuttingManifest {
        /// The tag or the digest.
        selector: String,
        /// The repository contacted.
        name: Name,
    },
    /// A manifest that is to be gone.
    DeletingManifest {
        /// Its digest.
        digest: Digest,
        /// The repository contacted.
        name: Name,
    },
    /// Whether a registry accepts somebody.
    LoggingIn {
        /// The registry.
        registry: String,
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
            Self::AskingForExtension { name } => {
                write!(f, "asking the registry of {name} whether it has the signature extension")
            }
            Self::ReadingSignatures { digest, name } => write!(f, "reading the signatures of {digest} in {name}"),
            Self::PuttingSignature { digest, name } => write!(f, "putting a signature of {digest} into {name}"),
            Self::ListingReferrers { digest, name } => write!(f, "listing the referrers of {digest} in {name}"),
            Self::CheckingBlob { digest, name } => write!(f, "checking whether blob {digest} is in {name}"),
            Self::PushingBlob { digest, name } => write!(f, "pushing blob {digest} to {name}"),
            Self::PushingNewBlob { name } => write!(f, "pushing a blob to {name}"),
            Self::MountingBlob { digest, name, from } => write!(f, "mounting blob {digest} from {from} in {name}"),
            Self::PuttingManifest { selector, name } => write!(f, "putting manifest {selector} into {name}"),
            Self::DeletingManifest { digest, name } => write!(f, "deleting manifest {digest} from {name}"),
            Self::LoggingIn { registry } => write!(f, "logging in to {registry}"),
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
    /// An endpoint that may be one of http answered neither over https nor over http.
    #[error("no answer over https ({}), and over http", crate::error::one_line(&**https))]
    NeitherScheme {
        /// Why not over https.
        https: Arc<http::Error>,
        /// Why not over http.
        source: Box<Error>,
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
    /// The list of signatures is not what the extension's specification says.
    #[error("{operation}: the answer is not a list of signatures")]
    SignatureList {
        /// What was being done.
        operation: Operation,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The list of referrers is not what the specification says.
    #[error("{operation}: {problem}")]
    Referrers {
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
    /// The registry does not say where the bytes of an upload go, or sends them where they must not go.
    #[error("{operation}: {problem}")]
    UploadLocation {
        /// What was being done.
        operation: Operation,
        /// What is wrong with the location.
        problem: String,
    },
    /// The registry says that it has another part of an upload than it was sent.
    #[error("{operation}: sent up to byte {sent}, the registry says that it has {found:?}")]
    UploadRange {
        /// What was being done.
        operation: Operation,
        /// How many bytes it must have.
        sent: u64,
        /// The `Range`.
        found: String,
    },
    /// An upload broke off, and the registry does not know it any more. The whole blob can be sent again.
    #[error("{operation}: broken off after byte {offset}, and the registry has forgotten the upload")]
    UploadLost {
        /// What was being done.
        operation: Operation,
        /// How far it came.
        offset: u64,
        /// How it broke off.
        source: Box<Error>,
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

    /// True when somebody tried to log in, and is not who they say.
    pub fn is_refused_login(&self) -> bool {
        let (Self::Response { operation, .. } | Self::Token { operation, .. }) = self else { return false };
        matches!(operation, Operation::LoggingIn { .. }) && self.is_unauthorized()
    }

    /// True when the registry takes manifests, but not one of this kind.
    pub fn is_manifest_refused(&self) -> bool {
        let Self::Response { operation: Operation::PuttingManifest { .. }, source } = self else { return false };
        let codes = ["MANIFEST_INVALID", "TAG_INVALID", "UNSUPPORTED"];
        source.status == StatusCode::UNSUPPORTED_MEDIA_TYPE || codes.iter().any(|code| source.has_code(code))
    }

    /// True when a part of the blob is not to be had, and the whole may be.
    pub(crate) fn is_range_refused(&self) -> bool {
        // Some servers are not prepared for the header.
        let refusals = [StatusCode::RANGE_NOT_SATISFIABLE, StatusCode::BAD_REQUEST, StatusCode::NOT_IMPLEMENTED];
        match self {
            Self::WrongRange { .. } => true,
            Self::Response { source, .. } => refusals.contains(&source.status),
            _ => false,
        }
    }

    /// True when the registry does not delete for anybody, as it is set up.
    pub fn is_deletion_disabled(&self) -> bool {
        let Self::Response { operation: Operation::DeletingManifest { .. }, source } = self else { return false };
        source.status == StatusCode::METHOD_NOT_ALLOWED || source.has_code("UNSUPPORTED")
    }

    /// True when the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http { source, .. } | Self::Token { source: TokenError::Http(source), .. } => source.is_transient(),
            Self::Response { source, .. } | Self::Token { source: TokenError::Refused(source), .. } => {
                source.is_transient()
            }
            Self::NeitherScheme { source, .. } => source.is_transient(),
            Self::Cut { .. } | Self::ResumeFailed { .. } | Self::UploadLost { .. } => true,
            _ => false,
        }
    }
}
