//! Manifests: bytes and values, no I/O.
//!
//! The bytes of a manifest are what signatures and digests speak of, so [`ManifestBytes`] keeps them as they came and
//! nothing here ever writes them out anew under the old digest. [`ImageManifest`] and [`Index`] are views of them;
//! [`convert`] makes new documents, under new digests.

use std::fmt;

use crate::digest::{self, Digest, Mismatch};
use crate::media_type::MediaType;

mod artifact;
pub mod convert;
pub(crate) mod document;
pub(crate) mod edit;
pub(crate) mod go_json;
mod guess;
mod image;
mod index;
pub(crate) mod layer_type;
mod platform;
mod rootfs;

pub(crate) use artifact::Artifact;
pub use image::ImageManifest;
pub use index::{Index, Instance, Preference};
/// What a manifest says of a blob or of another manifest, in the words of the crate `oci_spec`, whose digests may be of
/// any algorithm: `Digest::try_from(descriptor.digest())` makes one of ours.
pub use oci_spec::image::Descriptor;
pub use platform::{Platform, PlatformChoice, PlatformParseError};
pub use rootfs::RootFsError;
pub(crate) use rootfs::diff_ids;

/// No manifest is larger: 4 MiB, the field's limit.
pub const MAX_MANIFEST_SIZE: u64 = 4 * 1024 * 1024;

/// No image configuration is larger: 4 MiB, the field's limit.
pub const MAX_CONFIG_SIZE: u64 = 4 * 1024 * 1024;

/// A manifest or an index exactly as it was stored, with its media type and its digest.
///
/// ```
/// use transship::MediaType;
/// use transship::manifest::ManifestBytes;
///
/// let bytes = br#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;
/// let manifest = ManifestBytes::new(bytes.to_vec(), MediaType::from("text/plain"));
/// assert_eq!(*manifest.media_type(), MediaType::OCI_INDEX);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ManifestBytes {
    bytes: Vec<u8>,
    media_type: MediaType,
    digest: Digest,
}

impl ManifestBytes {
    /// Takes bytes as they are; the digest is computed.
    ///
    /// A `stated` media type that is not one of a manifest (missing, `text/plain`, `application/json`, anything a
    /// content distribution network makes up) gives way to what the content is. Content that is nothing known keeps
    /// the stated type, and [`ImageManifest`] and [`Index`] refuse it.
    pub fn new(bytes: Vec<u8>, stated: MediaType) -> Self {
        let digest = Digest::sha256(&bytes);
        Self::settled(bytes, stated, digest)
    }

    /// Takes bytes that must have the digest `expected`, of whatever algorithm; otherwise as [`new`](Self::new).
    pub fn verified(bytes: Vec<u8>, stated: MediaType, expected: &Digest) -> Result<Self, Mismatch> {
        let digest = Digest::of(expected.algorithm(), &bytes);
        if digest != *expected {
            return Err(Mismatch::Digest { expected: expected.clone(), found: digest });
        }
        Ok(Self::settled(bytes, stated, digest))
    }

    fn settled(bytes: Vec<u8>, stated: MediaType, digest: Digest) -> Self {
        let is_known = stated.is_image() || stated.is_index() || stated.is_schema1();
        let media_type = if is_known { stated } else { guess::media_type(&bytes).unwrap_or(stated) };
        Self { bytes, media_type, digest }
    }

    /// The bytes, as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the registry or the descriptor called it; a missing or vague type is settled from the content.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The document, when it is small enough to parse and has none of the fields of another kind of manifest.
    fn document<'a, T: serde::Deserialize<'a>>(&'a self, allowed: &[&str]) -> Result<T, Error> {
        let (media_type, size) = (self.media_type.clone(), self.size());
        if size > MAX_MANIFEST_SIZE {
            return Err(Error::TooLarge { digest: self.digest.clone(), size });
        }
        let json = |source| Error::Json { media_type: media_type.clone(), digest: self.digest.clone(), source };
        let unexpected = guess::fields_beyond(allowed, &self.bytes).map_err(json)?;
        if !unexpected.is_empty() {
            return Err(Error::Ambiguous { media_type, unexpected });
        }
        serde_json::from_slice(&self.bytes).map_err(json)
    }
}

impl fmt::Debug for ManifestBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestBytes")
            .field("digest", &self.digest)
            .field("media_type", &self.media_type)
            .field("size", &self.bytes.len())
            .finish()
    }
}

/// Why the bytes are not a manifest that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Docker's manifest format from before 2015, which names layers but neither a config nor sizes.
    #[error(
        "the image has a Docker schema 1 manifest, which is not supported; rebuild it or push it again with a current \
         tool, which writes schema 2 or OCI"
    )]
    Schema1,
    /// An image manifest was wanted.
    #[error("{digest} is not an image manifest: its media type is {media_type:?}")]
    NotAnImage {
        /// What it is.
        media_type: MediaType,
        /// Which one.
        digest: Digest,
    },
    /// An index was wanted.
    #[error("{digest} is neither an image index nor a manifest list: its media type is {media_type:?}")]
    NotAnIndex {
        /// What it is.
        media_type: MediaType,
        /// Which one.
        digest: Digest,
    },
    /// More than [`MAX_MANIFEST_SIZE`] bytes.
    #[error("manifest {digest} has {size} bytes; no more than {MAX_MANIFEST_SIZE} are read")]
    TooLarge {
        /// Which one.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// Not JSON, or not the document that its media type says. The source says where (line and column).
    #[error("{digest} is not a valid {media_type}")]
    Json {
        /// What it should be.
        media_type: MediaType,
        /// Which one.
        digest: Digest,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// It could be read as two kinds of manifest, so that two readers would see two images (CVE-2021-41190).
    #[error("ambiguous manifest: unexpected {} in a supposed {media_type}", unexpected.join(", "))]
    Ambiguous {
        /// What it was said to be.
        media_type: MediaType,
        /// The fields that belong to other kinds.
        unexpected: Vec<&'static str>,
    },
    /// A descriptor whose digest cannot be checked.
    #[error("the manifest names its {part} by an unusable digest")]
    Digest {
        /// What it describes.
        part: Part,
        /// What is wrong with it.
        source: digest::ParseError,
    },
    /// A descriptor with a size that nothing of its kind has.
    #[error("{part} {digest} is said to have {size} bytes; no more than {limit} are read")]
    Size {
        /// What it describes.
        part: Part,
        /// Which one.
        digest: Digest,
        /// The size stated.
        size: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// No instance of an index suits any wanted platform.
    #[error("no image for {wanted} in the index; it has {}", listed(available))]
    NoInstance {
        /// The platform wanted most.
        wanted: Platform,
        /// Those of the index, in order.
        available: Vec<Platform>,
    },
}

/// What a descriptor describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// An image configuration.
    Config,
    /// A layer.
    Layer,
    /// An instance of an index.
    Instance,
}

impl Part {
    const fn size_limit(self) -> u64 {
        match self {
            Self::Config => MAX_CONFIG_SIZE,
            // What a signed 64-bit size, as every other tool has, can state.
            Self::Layer => i64::MAX as u64,
            Self::Instance => MAX_MANIFEST_SIZE,
        }
    }

    fn check(self, descriptor: &Descriptor) -> Result<Digest, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(|source| Error::Digest { part: self, source })?;
        let (size, limit) = (descriptor.size(), self.size_limit());
        if size > limit { Err(Error::Size { part: self, digest, size, limit }) } else { Ok(digest) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Instance => "instance",
        })
    }
}

fn listed(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none".to_owned();
    }
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
