//! Why an image cannot be read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{ArchiveError, SignaturePlace, dir};
use crate::digest::{self, Digest, Mismatch};
use crate::http::{self, TlsError};
use crate::media_type::MediaType;
use crate::reference::{ImageReference, Reference};
use crate::safe_url::SafeUrl;
use crate::signature::{FormatError, MAX_SIGNATURE_SIZE, MAX_SIGNATURES, MAX_SIGNATURES_SIZE};
use crate::{config, error, manifest, reference, registry};

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of an embedder's own [`ImageSource`](super::ImageSource). Prints as its cause.
    #[error("{source}")]
    Other {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What [`is_not_found`](Self::is_not_found) says.
        not_found: bool,
        /// What [`is_transient`](Self::is_transient) says.
        transient: bool,
    },
    /// The only endpoint there is did not deliver. Prints as its cause.
    #[error("{0}")]
    Registry(#[source] registry::Error),
    /// No pull source delivered. Prints as its cause.
    #[error("{0}")]
    AllSourcesFailed(#[source] AllSourcesFailed),
    /// Every pull source was tried before, or delivered wrong bytes.
    #[error("no pull source is left to read from")]
    NoPullSource,
    /// This host may be asked for content, and not what a tag names.
    #[error("not asked, for it may not say what a tag names (capability \"resolve\")")]
    MayNotResolve,
    /// The hosts that are configured may be asked for content only, and a tag is none.
    #[error("{reference}: no host is configured that may say what a tag names (capability \"resolve\")")]
    NoResolver {
        /// What was asked for.
        reference: Reference,
    },
    /// No host that is configured takes content.
    #[error("{reference}: no host is configured that takes images (capability \"push\")")]
    NoPushTarget {
        /// What was to be written.
        reference: Reference,
    },
    /// A header that is configured for a host cannot be sent.
    #[error("{reference}: the header {name:?} that is configured for its host is no HTTP header")]
    Header {
        /// What would be contacted.
        reference: Reference,
        /// The name of the header; its value may be a secret.
        name: String,
    },
    /// A blob broke off for a reason of the reader's.
    #[error("reading blob {digest}")]
    Body {
        /// Which one.
        digest: Digest,
        /// The reason.
        source: io::Error,
    },
    /// The configuration does not say where to read from. Prints as its cause.
    #[error("{0}")]
    Lookup(#[source] Box<config::LookupError>),
    /// A login is for something that is no registry. Prints as its cause.
    #[error("{0}")]
    NotARegistry(#[from] config::auth_file::KeyError),
    /// The credentials cannot be looked up.
    #[error("looking up credentials for {domain}")]
    Credentials {
        /// The registry.
        domain: String,
        /// Why not.
        source: config::credentials::Error,
    },
    /// The files of certs.d cannot be read.
    #[error("looking up certificates for {domain}")]
    Certificates {
        /// The registry.
        domain: String,
        /// Why not.
        source: config::certs_d::Error,
    },
    /// The administrator blocks this registry.
    #[error("{reference}: the registry is blocked by {by}")]
    Blocked {
        /// What would be contacted.
        reference: Reference,
        /// The prefix that blocks it, and its file.
        by: String,
    },
    /// The certificates of certs.d cannot be used.
    #[error("setting up TLS for {domain}")]
    Tls {
        /// The registry.
        domain: String,
        /// Which file, and why.
        source: TlsError,
    },
    /// A descriptor names its content in a way that cannot be checked.
    #[error("a descriptor in the manifest has an unusable digest")]
    Digest(#[source] digest::ParseError),
    /// A name to push to, without a tag or a digest to read.
    #[error("{0} has neither tag nor digest: it can be written, not read")]
    NothingToRead(ImageReference),
    /// A file or directory of a local image could not be read.
    #[error("{}: cannot read", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory or a device where a file of a local image must be.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// Which one.
        path: PathBuf,
    },
    /// A file of a local image that is larger than any of its kind.
    #[error("{}: more than {limit} bytes", path.display())]
    FileTooLarge {
        /// Which one.
        path: PathBuf,
        /// How many bytes are read at most.
        limit: u64,
    },
    /// A file of a local image is not what its name says.
    #[error("{}: damaged; copy the image again", path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// How it differs.
        source: Mismatch,
    },
    /// A `dir:` of a version that is not known.
    #[error("{}: this version of the format is not supported: {:?}", path.display(), found.to_string().trim_end())]
    DirVersion {
        /// The version file.
        path: PathBuf,
        /// What it says.
        found: dir::Version,
    },
    /// The index of an OCI layout is not one. The source says where (line and column).
    #[error("{}: not the index of an OCI layout", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The index of an OCI layout names an image by a digest that cannot be checked.
    #[error("{}: an image has an unusable digest", path.display())]
    IndexDigest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: digest::ParseError,
    },
    /// An OCI layout or an archive without any image.
    #[error("{}: there is no image in it", path.display())]
    NoImage {
        /// The layout, or the archive.
        path: PathBuf,
    },
    /// No name was given, and it is not clear which image is meant.
    #[error("{}: there are {count} images; choose one: {}", path.display(), choices(transport, path, available))]
    SeveralImages {
        /// `oci`, or that of the archive.
        transport: &'static str,
        /// The layout, or the archive.
        path: PathBuf,
        /// How many images it has.
        count: usize,
        /// The names of those that have one.
        available: Vec<String>,
    },
    /// No image of an OCI layout or an archive has this name.
    #[error("{}: there is no image {name:?}; there is: {}", path.display(), choices(transport, path, available))]
    NoSuchImage {
        /// `oci`, or that of the archive.
        transport: &'static str,
        /// The layout, or the archive.
        path: PathBuf,
        /// The name looked for.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// An OCI layout or an archive has fewer images.
    #[error("{}: there is no image @{position}; there are {count}, counted from 0", path.display())]
    NoSuchPosition {
        /// The layout, or the archive.
        path: PathBuf,
        /// The position looked for.
        position: usize,
        /// How many images there are.
        count: usize,
    },
    /// What has this name in an OCI layout is no image.
    #[error("{}: {name:?} is not an image: its media type is {media_type:?}", path.display())]
    NotAnImage {
        /// The layout.
        path: PathBuf,
        /// The name looked for.
        name: String,
        /// What it is.
        media_type: String,
    },
    /// A tar file cannot be read, or something in it.
    #[error("{}", path.display())]
    Archive {
        /// The tar file.
        path: PathBuf,
        /// What is wrong.
        source: ArchiveError,
    },
    /// What `docker save` says about an archive's images cannot be read. The source says where (line and column).
    #[error("{}: not the list of the images of an archive", path.display())]
    ArchiveManifest {
        /// The archive, and `manifest.json` in it.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// An image of an archive has a tag that is none.
    #[error("{}: the image @{position} has an unusable tag {tag:?}", path.display())]
    ArchiveTag {
        /// The archive.
        path: PathBuf,
        /// The image, counted from 0.
        position: usize,
        /// Its tag.
        tag: String,
        /// What is wrong with it.
        source: reference::ParseError,
    },
    /// The configuration of an image in an archive does not fit its layers.
    #[error("{}: the image's configuration cannot be used", path.display())]
    ArchiveConfig {
        /// The archive, and the configuration in it.
        path: PathBuf,
        /// What is wrong with it.
        source: manifest::RootFsError,
    },
    /// Some place that may have signatures of the image could not be read.
    #[error("reading the signatures of {of}")]
    Signatures {
        /// The manifest, where it was read from.
        of: Reference,
        /// Which place, and why.
        source: Box<Error>,
    },
    /// registries.d names a place for signatures that cannot be read. Prints as its cause.
    #[error("{0}")]
    Lookaside(#[source] config::LookasideError),
    /// A web server with signatures did not answer.
    #[error("reading signature {url}")]
    LookasideHttp {
        /// What was asked for.
        url: SafeUrl,
        /// Why no answer came.
        source: http::Error,
    },
    /// A web server with signatures said neither that there is one nor that there is none.
    #[error("reading signature {url}")]
    LookasideResponse {
        /// What was asked for.
        url: SafeUrl,
        /// What it said.
        source: registry::ErrorResponse,
    },
    /// What is where a signature must be is none.
    #[error("{place}: not a signature")]
    NotASignature {
        /// Where it is.
        place: SignaturePlace,
        /// What is wrong with it.
        source: FormatError,
    },
    /// More signatures of one manifest than anybody makes.
    #[error(
        "{at}: more than {MAX_SIGNATURES} signatures of one manifest, or more than {MAX_SIGNATURES_SIZE} bytes of them; no more are read"
    )]
    TooManySignatures {
        /// Where they are.
        at: String,
    },
    /// The tag where sigstore attachments are has something else.
    #[error("{reference}: sigstore attachments are in an OCI image manifest, this is {media_type:?}")]
    AttachmentType {
        /// What was read.
        reference: Reference,
        /// What it is.
        media_type: MediaType,
    },
    /// A manifest of signatures cannot be used.
    #[error("{reference}: not a manifest of signatures")]
    SignatureManifest {
        /// Which one.
        reference: Reference,
        /// Why not.
        source: manifest::Error,
    },
    /// A manifest of signatures would have us read one at URLs, whoever they belong to.
    #[error("{reference}: the signature {digest} has external URLs; signatures are read from their repository only")]
    ForeignSignature {
        /// The manifest that says so.
        reference: Reference,
        /// The layer.
        digest: Digest,
    },
    /// A manifest of signatures has one that is larger than any.
    #[error("{reference}: the signature {digest} has {size} bytes; no more than {MAX_SIGNATURE_SIZE} are read")]
    SignatureTooLarge {
        /// The manifest that says so.
        reference: Reference,
        /// The layer.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// The bytes of a foreign layer were left where they come from, and are not fetched from there.
    #[error("{}: the foreign layer {digest} is not in the layout, only at {}", path.display(), urls.join(", "))]
    ForeignLayer {
        /// Where it would be.
        path: PathBuf,
        /// The layer.
        digest: Digest,
        /// Where it comes from.
        urls: Vec<String>,
    },
}

fn choices(transport: &str, path: &Path, names: &[String]) -> String {
    let path = path.display();
    if names.is_empty() {
        return format!("{transport}:{path}:@0 for the first");
    }
    names.iter().map(|name| format!("{transport}:{path}:{name}")).collect::<Vec<_>>().join(", ")
}

/// One try at one pull source.
#[derive(Debug)]
pub struct FailedAttempt {
    /// What was contacted.
    pub reference: Reference,
    /// Why it failed.
    pub error: Box<Error>,
}

/// What every pull source said, in the order they were tried. The error is the primary's, which is the `source()`; the
/// mirrors' are beside it, with their types.
#[derive(Debug)]
pub struct AllSourcesFailed {
    /// The mirrors; never empty.
    pub mirrors: Vec<FailedAttempt>,
    /// The last one tried.
    pub primary: FailedAttempt,
}

impl fmt::Display for AllSourcesFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |attempt: &FailedAttempt| format!("[{}: {}]", attempt.reference, error::one_line(&attempt.error));
        let mirrors: Vec<_> = self.mirrors.iter().map(one).collect();
        write!(f, "(Mirrors also failed: {}): {}", mirrors.join("\n"), self.primary.reference)
    }
}

impl std::error::Error for AllSourcesFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.primary.error)
    }
}

impl From<config::LookupError> for Error {
    fn from(error: config::LookupError) -> Self {
        Self::Lookup(Box::new(error))
    }
}

impl Error {
    /// One attempt's error bare, several together, the last being the primary's. `None` when there was no attempt.
    pub(crate) fn of_attempts(mut attempts: Vec<FailedAttempt>) -> Option<Self> {
        let primary = attempts.pop()?;
        Some(if attempts.is_empty() {
            *primary.error
        } else {
            Self::AllSourcesFailed(AllSourcesFailed { mirrors: attempts, primary })
        })
    }

    /// True when the image is not there. A signature that is missing where one must be does not make it so.
    pub fn is_not_found(&self) -> bool {
        if matches!(self, Self::Signatures { .. }) {
            return false;
        }
        error::find::<registry::Error>(self).is_some_and(registry::Error::is_not_found)
            || matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
            || matches!(self, Self::Other { not_found: true, .. })
            || matches!(self, Self::NoSuchImage { .. } | Self::NoSuchPosition { .. } | Self::NoImage { .. })
            || matches!(self, Self::Archive { source: ArchiveError::NoFile { .. }, .. })
    }

    /// True when credentials are missing, wrong, or not enough.
    pub fn is_unauthorized(&self) -> bool {
        error::find::<registry::Error>(self).is_some_and(registry::Error::is_unauthorized)
    }

    /// True when the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Other { transient, .. } => *transient,
            Self::Signatures { source, .. } => source.is_transient(),
            Self::LookasideHttp { source, .. } => source.is_transient(),
            Self::LookasideResponse { source, .. } => source.is_transient(),
            _ => error::find::<registry::Error>(self).is_some_and(registry::Error::is_transient),
        }
    }
}
