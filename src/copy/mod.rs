//! Copying an image.
//!
//! The order is the whole of it: the policy first, before anything but a manifest is read; then layers and config, in
//! parallel; then the manifest and its signatures; then the commit that makes the copy visible.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::destination::{self, ImageDestination};
use crate::digest::Digest;
use crate::manifest::{self, Index, ManifestBytes, Platform, PlatformChoice, Preference, convert};
use crate::media_type::MediaType;
use crate::policy::{self, AllowedImage, Policy};
use crate::reference::{ImageReference, Reference};
use crate::signature::{ImageSigner, ImageSignerError};
use crate::source::{self, ImageSource};

mod blob;
mod image;
mod progress;
mod signatures;

pub use blob::read_config;
pub use progress::{BlobKind, BlobOutcome, Event, Progress, Silent};

use signatures::Carried;

/// How to copy. The default is what most people want: the instance for this machine, six blobs at a time, in silence.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Which instances of an index.
    pub instances: Instances,
    /// The platform to choose where one instance is wanted; what is not set is this machine's.
    pub platform: PlatformChoice,
    /// Leave the signatures of the image behind. They go along by default, and a place that cannot keep them is an error.
    pub remove_signatures: bool,
    /// Who signs what is written; nobody by default.
    pub signers: &'a [ImageSigner],
    /// The name that is signed; the destination's where this is `None` and the destination is in a registry.
    pub sign_identity: Option<Reference>,
    /// How many blobs at a time. 6 by default.
    pub parallel_copies: NonZeroUsize,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
    /// Set from another thread, it stops the copy; nothing becomes visible.
    pub cancelled: &'a AtomicBool,
}

/// Which instances of an index to copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Instances {
    /// The one for the wanted platform; the copy is a single image.
    #[default]
    System,
    /// All of them, and the index.
    All,
}

static NEVER: AtomicBool = AtomicBool::new(false);
const SIX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(5);

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            instances: Instances::System,
            platform: PlatformChoice::default(),
            remove_signatures: false,
            signers: &[],
            sign_identity: None,
            parallel_copies: SIX,
            progress: &Silent,
            cancelled: &NEVER,
        }
    }
}

impl Options<'_> {
    fn check_cancelled(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

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
    /// The destination takes other types of manifest, and this one cannot be converted.
    #[error("the destination does not take {media_type}")]
    Convert {
        /// The type of the manifest.
        media_type: MediaType,
        /// Why it cannot be converted.
        source: convert::Error,
    },
    /// The destination takes other types of manifest, and there is no conversion.
    #[error("the destination does not take {0}, and it cannot be converted")]
    NotAccepted(MediaType),
    /// The manifest had to be converted, and its signatures do not fit the new one.
    #[error(
        "the destination takes the image only converted, and its signatures are for the manifest as it was ({manifest})"
    )]
    SignaturesLost {
        /// What is signed.
        manifest: Digest,
    },
    /// A place without a name in a registry has none to sign.
    #[error("{0} has no name that can be signed")]
    NoIdentity(ImageReference),
    /// There is no new signature.
    #[error("signing the image")]
    Signing(#[from] ImageSignerError),
    /// [`Options::cancelled`] was set.
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

    fn of_source(&self) -> Option<&source::Error> {
        crate::error::find(self)
    }
}

/// Copies an image that `policy` allows, and returns the manifest as it was written.
///
/// Of an index, what is copied is what is judged: the wanted instance alone, or with [`Instances::All`] the index and each
/// instance.
pub fn image(
    source: &dyn ImageSource,
    destination: &dyn ImageDestination,
    policy: &Policy,
    options: &Options<'_>,
) -> Result<ManifestBytes, Error> {
    let top = source.manifest(None)?;
    let written = if !top.media_type().is_index() {
        single(&policy.allow(source, None)?, destination, options)?
    } else if options.instances == Instances::All {
        all_instances(&policy.allow(source, None)?, destination, policy, options)?
    } else {
        let instance = system_instance(&top, &options.platform)?;
        single(&policy.allow(source, Some(&instance))?, destination, options)?
    };
    options.check_cancelled()?;
    options.progress.event(&Event::Committing);
    destination.commit()?;
    Ok(written)
}

/// One image, which is all that the destination gets.
fn single(
    allowed: &AllowedImage<'_>,
    destination: &dyn ImageDestination,
    options: &Options<'_>,
) -> Result<ManifestBytes, Error> {
    let carried = Carried::read(allowed, destination, options)?;
    let written = image::copy(allowed, destination, options)?;
    destination.put_manifest(&written, None)?;
    carried.put(&written, None, destination, options)?;
    Ok(written)
}

/// The digest of the instance for the wanted platform.
pub fn system_instance(index: &ManifestBytes, platform: &PlatformChoice) -> Result<Digest, Error> {
    let index = Index::parse(index)?;
    let instance = index.choose(&platform.wanted(&Platform::host()), Preference::Zstd)?;
    Ok(instance.digest().clone())
}

fn all_instances(
    allowed: &AllowedImage<'_>,
    destination: &dyn ImageDestination,
    policy: &Policy,
    options: &Options<'_>,
) -> Result<ManifestBytes, Error> {
    check_index(allowed.manifest().media_type(), destination)?;
    let carried = Carried::read(allowed, destination, options)?;
    let index = Index::parse(allowed.manifest())?;
    let count = index.instances().len();
    let mut converted: BTreeMap<Digest, ManifestBytes> = BTreeMap::new();
    for (number, instance) in index.instances().iter().enumerate() {
        let digest = instance.digest();
        options.progress.event(&Event::Instance { digest, number: number + 1, count });
        let allowed_instance = policy.allow(allowed.source(), Some(digest))?;
        let carried = Carried::read(&allowed_instance, destination, options)?;
        let written = image::copy(&allowed_instance, destination, options)?;
        destination.put_manifest(&written, Some(written.digest()))?;
        carried.put(&written, Some(written.digest()), destination, options)?;
        if written.digest() != digest {
            converted.insert(digest.clone(), written);
        }
    }
    let written = written_index(allowed.manifest(), destination, &converted)?;
    destination.put_manifest(&written, None)?;
    carried.put(&written, None, destination, options)?;
    Ok(written)
}

/// Before the first blob: whether the destination takes an index of this type, or what it is converted to.
fn check_index(media_type: &MediaType, destination: &dyn ImageDestination) -> Result<(), Error> {
    if destination.accepts(media_type) || is_converted(media_type, destination) {
        return Ok(());
    }
    Err(Error::NotAccepted(media_type.clone()))
}

fn is_converted(media_type: &MediaType, destination: &dyn ImageDestination) -> bool {
    *media_type == MediaType::DOCKER_LIST && destination.accepts(&MediaType::OCI_INDEX)
}

fn written_index(
    index: &ManifestBytes,
    destination: &dyn ImageDestination,
    converted: &BTreeMap<Digest, ManifestBytes>,
) -> Result<ManifestBytes, Error> {
    let media_type = index.media_type();
    if destination.accepts(media_type) && converted.is_empty() {
        return Ok(index.clone());
    }
    if is_converted(media_type, destination) {
        return convert::list_to_oci(index, converted)
            .map_err(|source| Error::Convert { media_type: media_type.clone(), source });
    }
    Err(Error::NotAccepted(media_type.clone()))
}
