//! An image on its way into a store.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::auth::registry_of;
use super::destination::StoreDestination;
use super::names::{Names, wanted};
use super::{AuthConfig, Error, Store};
use crate::config::Config;
use crate::copy::{self, BlobInfoCache, Progress};
use crate::destination::shared_layout::SharedLayout;
use crate::digest::Digest;
use crate::http::{ProgressWatch, Timeouts, Watched};
use crate::manifest::{ManifestBytes, PlatformChoice};
use crate::policy::Policy;
use crate::reference::{DockerReference, ImageReference, Reference};
use crate::registry::Identity;
use crate::source::{self, ImageSource, Network};

/// What to pull. To be begun with [`new`](Self::new) and `..`: there will be more fields.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The image. Without tag and digest it is `:latest`; of both, the digest counts.
    pub image: Reference,
    /// Who pulls. This counts before [`source::Options::identity`] and before the auth files, at the registry of its
    /// server address, or that of the image; mirrors elsewhere are told nothing of it.
    pub auth: Option<AuthConfig>,
    /// Of an index, the instance for this platform; what is not set is this machine's.
    pub platform: PlatformChoice,
    /// The pull is given up when no byte has come for so long while something is asked for; zero never does. 5 minutes by
    /// default. See [`ProgressWatch`].
    pub progress_timeout: Duration,
    /// Names of images that whoever makes room must leave alone. Only one that is the pulled image's own, spelled out in
    /// full, counts.
    pub pinned_images: Vec<String>,
}

impl PullRequest {
    /// An image for this machine, as whom the configuration says, with five minutes of patience.
    pub fn new(image: Reference) -> Self {
        Self {
            image,
            auth: None,
            platform: PlatformChoice::default(),
            progress_timeout: Duration::from_secs(5 * 60),
            pinned_images: Vec::new(),
        }
    }
}

/// How to pull. To be begun with `default()` and `..`: there will be more fields.
#[derive(Debug, Clone, Copy)]
pub struct PullOptions<'a> {
    /// How many blobs at a time. 6 by default, as for a copy.
    pub concurrent_downloads: NonZeroUsize,
    /// Where it is remembered which repositories have a blob; nowhere by default.
    pub blob_info: Option<&'a BlobInfoCache>,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
    /// Set from another thread, it stops the pull: see [`copy::Options::cancelled`].
    pub cancelled: &'a AtomicBool,
}

impl Default for PullOptions<'_> {
    fn default() -> Self {
        let copy::Options { parallel_copies, progress, cancelled, .. } = copy::Options::default();
        Self { concurrent_downloads: parallel_copies, blob_info: None, progress, cancelled }
    }
}

/// An image in a store, after a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulledImage {
    /// The digest of its config.
    pub id: Digest,
    /// What it is called beside that.
    pub names: Names,
    /// Its manifest as it is in the store: of the platform, in OCI's form.
    pub manifest: ManifestBytes,
}

/// A pull whose image is known: its top-level manifest has been read.
pub struct Pull<'a> {
    store: &'a Store,
    request: &'a PullRequest,
    image: Reference,
    source: Box<dyn ImageSource>,
    watch: Arc<ProgressWatch>,
    layout: SharedLayout,
}

impl fmt::Debug for Pull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull").field("image", &self.image).field("source", &self.source).finish_non_exhaustive()
    }
}

impl Store {
    /// Pulls an image: [`begin`](Self::begin), then [`Pull::finish`].
    pub fn pull(
        &self,
        config: &Config,
        policy: &Policy,
        request: &PullRequest,
        source_options: &source::Options,
        options: &PullOptions<'_>,
    ) -> Result<PulledImage, Error> {
        self.begin(config, request, source_options)?.finish(policy, options)
    }

    /// Makes sure that the store can be written, and reads the image's top-level manifest.
    pub fn begin<'a>(
        &'a self,
        config: &Config,
        request: &'a PullRequest,
        source_options: &source::Options,
    ) -> Result<Pull<'a>, Error> {
        // A store that cannot be written is found out before anything is asked for.
        let layout = SharedLayout::open(&self.path)?;
        let image = wanted(request.image.clone());
        let mut options = with_auth(&image, request.auth.as_ref(), source_options)?;
        let network = options.network.take().unwrap_or_else(|| Network::real(config, Timeouts::default()));
        let watch = Arc::new(ProgressWatch::new(Arc::clone(&network.clock), request.progress_timeout));
        let wire = Arc::new(Watched::new(Arc::clone(&network.wire), Arc::clone(&watch)));
        options.network = Some(Network { wire, ..network });
        let reference = DockerReference::try_from(image.clone()).map_err(Error::Path)?;
        let opened = source::open_with(config, &ImageReference::Docker(reference), &options);
        let source = opened.map_err(|error| stalled(&image, &watch).unwrap_or(Error::Open(error)))?;
        Ok(Pull { store: self, request, image, source, watch, layout })
    }
}

impl Pull<'_> {
    /// The image, and where it comes from.
    pub fn source(&self) -> &dyn ImageSource {
        &*self.source
    }

    /// Asks the policy, brings what is missing and gives the image its names.
    ///
    /// Signatures are judged, as for a copy, and not kept: nobody has said where a layout has them.
    pub fn finish(self, policy: &Policy, options: &PullOptions<'_>) -> Result<PulledImage, Error> {
        let target = self.source.manifest(None).map_err(Error::Open)?.digest().clone();
        let names = Names::of(&self.image, &target);
        let place = StoreDestination {
            layout: self.layout,
            reference: &self.store.reference,
            names: &names,
            pinned_images: &self.request.pinned_images,
            platform: &self.request.platform,
            cancelled: options.cancelled,
            image: Mutex::default(),
        };
        let copying = copy::Options {
            platform: self.request.platform.clone(),
            preserve_digests: true,
            remove_signatures: true,
            parallel_copies: options.concurrent_downloads,
            blob_info: options.blob_info,
            progress: options.progress,
            cancelled: options.cancelled,
            ..copy::Options::default()
        };
        copy::image(&*self.source, &place, policy, &copying)
            .map_err(|error| stalled(&self.image, &self.watch).unwrap_or(Error::Copy(error)))?;
        let no_manifest = || crate::destination::Error::NoManifest { image: self.store.reference.clone() };
        let (manifest, id) = place.image().ok_or_else(no_manifest)?;
        Ok(PulledImage { id, names, manifest })
    }
}

/// Why a pull failed that was given up because nothing came.
fn stalled(image: &Reference, watch: &ProgressWatch) -> Option<Error> {
    let waited_for = watch.waited_for()?;
    Some(Error::NoProgress { image: image.clone(), after: watch.limit(), waited_for })
}

/// Who the request says that we are, for the registry that it says that for.
fn with_auth(
    image: &Reference,
    auth: Option<&AuthConfig>,
    options: &source::Options,
) -> Result<source::Options, Error> {
    let mut options = options.clone();
    let Some(auth) = auth else { return Ok(options) };
    let bad = |source| Error::Auth { image: image.clone(), source };
    let server = auth.server_host().map_err(bad)?;
    let host = server.unwrap_or(image.domain());
    if let Some(credentials) = auth.for_host(host).map_err(bad)? {
        options.identity = Some(Identity { credentials: Some(credentials), token: None });
        options.identity_domain = Some(registry_of(host).to_owned());
        options.anonymous = false;
    }
    Ok(options)
}
