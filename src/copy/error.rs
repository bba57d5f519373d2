//! What can go wrong.

use std::fmt;
use std::io;

use crate::digest::Digest;
use crate::manifest::{self, convert};
use crate::media_type::MediaType;
use crate::reference::ImageReference;
use crate::signature::ImageSignerError;
use crate::{destination, policy, source};

/// Why a copy failed. The destination is as it was before, but for blobs that are whole and serve the next try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy does not allow the image, or could not be asked.
    #[error("source image")]
    Policy(#[from] policy::Error),
    /// The image could not be read.
    #[error("reading the image")]
    Source(#[from] source::Error),
    /// A blob could not be read, for a reason that has no type.
    #[error("reading blob {digest}")]
    Read {
        /// Which one.
        digest: Digest,
        /// The reason.
        source: io::Error,
    },
    /// The image's config is larger than anything sensible.
    #[error("the config {digest} has {size} bytes, at most {limit} are read")]
    ConfigTooLarge {
        /// Which one.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A layer that must lose its compression on the way is damaged, or is not what the config says.
    #[error("decompressing layer {digest}")]
    Layer {
        /// Which one.
        digest: Digest,
        /// The reason.
        source: io::Error,
    },
    /// The config does not say what the layers are without compression.
    #[error("the config of image {manifest} cannot be used")]
    DiffIds {
        /// Which image.
        manifest: Digest,
        /// What is wrong with it.
        source: manifest::RootFsError,
    },
    /// The new manifest could not be written down.
    #[error("cannot write the manifest")]
    Json(#[source] serde_json::Error),
    /// The image could not be written.
    #[error("writing the image")]
    Destination(#[from] destination::Error),
    /// The manifest is not one that can be copied.
    #[error("source image")]
    Manifest(#[from] manifest::Error),
    /// The manifest has to become one of another kind, and cannot.
    #[error("{manifest} cannot be given another kind of manifest than {media_type}")]
    Convert {
        /// Which image or index.
        manifest: Digest,
        /// The kind that it has.
        media_type: MediaType,
        /// Why it cannot be converted.
        source: convert::Error,
    },
    /// The destination takes other kinds of manifest, and there is no conversion.
    #[error("the destination does not take {0}, and it cannot be converted")]
    NotAccepted(MediaType),
    /// The image would have to be changed, and must not be. Nothing was written.
    #[error("the image would have to be {change}, and must not be changed: {reason}")]
    CannotChange {
        /// The manifest that would become another one.
        manifest: Digest,
        /// What would have to be done.
        change: Change,
        /// Why it must not be.
        reason: Unchangeable,
    },
    /// The registry takes none of the kinds of manifest that the image can be given.
    #[error("the registry refuses the manifest in every form: {}", listed(attempts))]
    AllRefused {
        /// Each form with the reason; the first is the preferred one.
        attempts: Vec<(MediaType, Box<Error>)>,
    },
    /// A choice of instances that the index does not have.
    #[error("the index has no instance {wanted}; it has {}", available.join(", "))]
    NoSuchInstance {
        /// The digest or the platform that was asked for.
        wanted: String,
        /// The digests and the platforms that there are.
        available: Vec<String>,
    },
    /// A choice of instances that chooses none: the index would be empty.
    #[error("no instance of the index was chosen")]
    NothingChosen,
    /// A choice of instances, and the image has none.
    #[error("{0} is a single image, not an index that instances could be chosen from")]
    NotAnIndex(Digest),
    /// zstd was asked for together with Docker's manifests.
    #[error("Docker's manifests (v2s2) have no word for zstd layers, OCI's have")]
    NoZstd,
    /// Compressed layers were asked for where layers are without compression.
    #[error("{0} holds layers without compression")]
    LayersStayPlain(ImageReference),
    /// A place without a name in a registry has none to sign.
    #[error("{0} has no name that can be signed")]
    NoIdentity(ImageReference),
    /// There is no new signature.
    #[error("signing the image")]
    Signing(#[from] ImageSignerError),
    /// [`Options::cancelled`](super::Options::cancelled) was set.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// True when the image is not there.
    pub fn is_not_found(&self) -> bool {
        // A repository that is not there to push to is another matter.
        !matches!(self, Self::Destination(_)) && self.of_source().is_some_and(source::Error::is_not_found)
    }

    /// True when credentials are missing, wrong, or not enough.
    pub fn is_unauthorized(&self) -> bool {
        self.of_source().is_some_and(source::Error::is_unauthorized)
    }

    /// True when the same may succeed later.
    pub fn is_transient(&self) -> bool {
        self.of_source().is_some_and(source::Error::is_transient)
    }

    /// True when another kind of manifest may do.
    pub(super) fn is_about_kind(&self) -> bool {
        matches!(self, Self::Destination(destination::Error::ManifestRefused { .. }) | Self::Convert { .. })
    }

    fn of_source(&self) -> Option<&source::Error> {
        crate::error::find(self)
    }
}

/// What would have to be done to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Its manifest is given another media type.
    Converted(MediaType),
    /// Its layers are compressed in another way.
    Recompressed,
    /// Instances are left out of an index.
    Thinned,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converted(media_type) => write!(f, "converted to {media_type}"),
            Self::Recompressed => f.write_str("compressed in another way"),
            Self::Thinned => f.write_str("an index of fewer instances"),
        }
    }
}

/// Why an image must stay as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unchangeable {
    /// It is signed, and the signatures go along.
    Signed,
    /// The destination names it by its digest.
    DigestedDestination,
    /// That was asked for.
    PreserveDigests,
}

impl fmt::Display for Unchangeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "its signatures are for the image as it is",
            Self::DigestedDestination => "the destination names it by its digest",
            Self::PreserveDigests => "digests are to be preserved",
        })
    }
}

fn listed(attempts: &[(MediaType, Box<Error>)]) -> String {
    let attempts =
        attempts.iter().map(|(media_type, error)| format!("{media_type}: {}", crate::error::one_line(error)));
    attempts.collect::<Vec<_>>().join("; ")
}
