//! How to copy.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{BlobInfoCache, Error, Progress, Silent};
use crate::compression::{Compression, Compressor};
use crate::digest::Digest;
use crate::manifest::{Platform, PlatformChoice};
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::signature::ImageSigner;

/// How to copy. The default is what most people want: the instance for this machine, its bytes as they are, six blobs at a
/// time, in silence.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Which instances of an index.
    pub instances: Instances,
    /// The platform to choose where one instance is wanted; what is not set is this machine's.
    pub platform: PlatformChoice,
    /// The kind of manifest to write. Without a choice it is the image's own kind where the destination takes it, and
    /// another one otherwise.
    pub format: Option<ManifestFormat>,
    /// What becomes of the layers' compression.
    pub layers: LayerCompression,
    /// Fail rather than write a manifest with another digest than the source's. The choice of an instance is no change.
    pub preserve_digests: bool,
    /// Leave the signatures of the image behind. They go along by default, and a place that cannot keep them is an error.
    pub remove_signatures: bool,
    /// Who signs what is written; nobody by default.
    pub signers: &'a [ImageSigner],
    /// The name that is signed; the destination's where this is `None` and the destination is in a registry.
    pub sign_identity: Option<Reference>,
    /// How many blobs at a time. 6 by default.
    pub parallel_copies: NonZeroUsize,
    /// What earlier copies learned of blobs, for this one to add to: then a blob that the destination's registry has in
    /// another repository is taken over from there. Nothing is remembered by default.
    pub blob_info: Option<&'a BlobInfoCache>,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
    /// Set from another thread, it stops the copy; nothing becomes visible. It is looked at before each read. So that a wait
    /// for the next attempt ends too, and nothing more is asked for, [`http::Cancellable`](crate::http::Cancellable) gives the
    /// same flag to [`source::Options::network`](crate::source::Options::network).
    pub cancelled: &'a AtomicBool,
}

/// Which instances of an index to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instances {
    /// The one for the wanted platform; the copy is a single image.
    #[default]
    System,
    /// All of them, and the index.
    All,
    /// The index alone: its instances are, or will be, at the destination already.
    IndexOnly,
    /// Some of them, and an index of these.
    Chosen(ChosenInstances),
}

/// Instances of an index. Each choice must find at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChosenInstances {
    /// Those with these digests.
    pub digests: BTreeSet<Digest>,
    /// All for these platforms, be they several in different compressions.
    pub platforms: Vec<Platform>,
}

/// A kind of manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestFormat {
    /// [OCI image manifests](https://github.com/opencontainers/image-spec/blob/main/manifest.md) and indexes.
    Oci,
    /// Docker's, version 2 schema 2, and manifest lists. They know no zstd.
    V2s2,
}

impl ManifestFormat {
    pub(super) fn image(self) -> MediaType {
        match self {
            Self::Oci => MediaType::OCI_MANIFEST,
            Self::V2s2 => MediaType::DOCKER_MANIFEST,
        }
    }

    pub(super) fn index(self) -> MediaType {
        match self {
            Self::Oci => MediaType::OCI_INDEX,
            Self::V2s2 => MediaType::DOCKER_LIST,
        }
    }
}

/// What becomes of the compression of layers that are tar files; all others keep their bytes. A layer whose compression
/// changes is checked against its diff id in the image's config.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerCompression {
    /// Layers keep their bytes.
    #[default]
    Kept,
    /// Those without compression get it; the others stay.
    Compressed(Compressor),
    /// Those that are compressed in another way, or not at all, are compressed anew.
    Recompressed(Compressor),
    /// All lose it.
    Decompressed,
}

impl LayerCompression {
    /// True when a layer with this compression may stay as it is.
    pub(super) fn is_met_by(self, compression: Option<Compression>) -> bool {
        match self {
            Self::Kept => true,
            Self::Compressed(_) => compression.is_some(),
            Self::Recompressed(compressor) => compression == Some(compressor.compression()),
            Self::Decompressed => compression.is_none(),
        }
    }

    /// What makes a layer that is to change; `None` where it loses its compression.
    pub(super) fn compressor(self) -> Option<Compressor> {
        match self {
            Self::Compressed(compressor) | Self::Recompressed(compressor) => Some(compressor),
            Self::Kept | Self::Decompressed => None,
        }
    }

    /// How a layer that is to change is compressed afterwards.
    pub(super) fn made(self) -> Option<Compression> {
        self.compressor().map(Compressor::compression)
    }

    /// True when any blob of this compression will do: nobody has said how hard to try.
    pub(super) fn takes_what_was_made_before(self) -> bool {
        self.compressor().is_some_and(Compressor::is_usual)
    }

    /// True when a layer may end up as zstd.
    pub(super) fn makes_zstd(self) -> bool {
        self.made() == Some(Compression::Zstd)
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);
const SIX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(5);

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            instances: Instances::System,
            platform: PlatformChoice::default(),
            format: None,
            layers: LayerCompression::Kept,
            preserve_digests: false,
            remove_signatures: false,
            signers: &[],
            sign_identity: None,
            parallel_copies: SIX,
            blob_info: None,
            progress: &Silent,
            cancelled: &NEVER,
        }
    }
}

impl Options<'_> {
    pub(super) fn check_cancelled(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}
