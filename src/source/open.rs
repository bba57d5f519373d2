//! From a logical reference to the pull source that works.

use std::path::PathBuf;
use std::sync::Arc;

use super::registry_source::RegistrySource;
use super::settings::Settings;
use super::{Clients, Error, Health, ImageSource, ParallelRanges};
use crate::config::{Config, PullSource};
use crate::http::{Clock, Proxies, RetryPolicy, SystemClock, Timeouts, UreqWire, Wire};
use crate::reference::{DockerReference, ImageReference, Reference};
use crate::registry::{Identity, ManifestHead, RegistryClient};

/// How requests are sent, and what time it is. Share one among images, so that they share
/// connections, and what was learned of mirrors that do not work.
#[derive(Debug, Clone)]
pub struct Network {
    /// The wire: real sockets, or recorded traffic.
    pub wire: Arc<dyn Wire>,
    /// The clock of back-off and token expiry.
    pub clock: Arc<dyn Clock>,
    /// Which endpoints do not work at present: they are asked last.
    pub health: Health,
}

impl Network {
    /// A network of which nothing is known yet.
    pub fn new(wire: Arc<dyn Wire>, clock: Arc<dyn Clock>) -> Self {
        Self { wire, clock, health: Health::default() }
    }

    /// Real sockets, through the environment's proxies.
    pub fn real(config: &Config, timeouts: Timeouts) -> Self {
        let user_agent = concat!("transship/", env!("CARGO_PKG_VERSION"));
        let wire = UreqWire::new(timeouts, proxies(config), user_agent);
        Self::new(Arc::new(wire), Arc::new(SystemClock))
    }
}

fn proxies(config: &Config) -> Proxies {
    let environment = &config.paths.environment;
    Proxies {
        http: environment.http_proxy.clone(),
        https: environment.https_proxy.clone(),
        no_proxy: environment.no_proxy.clone().unwrap_or_default(),
    }
}

/// What the caller asks for beside the administrator's configuration. The default asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How requests are sent; real sockets with default timeouts for `None`.
    pub network: Option<Network>,
    /// Credentials and token given explicitly. They are for the logical reference's domain: a mirror on another one
    /// never sees them.
    pub identity: Option<Identity>,
    /// The registry that `identity` is for, where that is not the logical reference's.
    pub identity_domain: Option<String>,
    /// Use no credentials at all, not even configured ones.
    pub anonymous: bool,
    /// Whether certificates are verified and plain http is refused; the configuration decides for `None`.
    pub tls_verify: Option<bool>,
    /// The certificates of every registry, instead of the configured ones: a directory such as certs.d has for one.
    pub cert_dir: Option<PathBuf>,
    /// Patience with the last pull source; mirrors before it get less. [`RetryPolicy::PATIENT`] for `None`.
    pub retry: Option<RetryPolicy>,
    /// Clients of repositories to use again; each image has its own for `None`.
    pub clients: Option<Clients>,
    /// How a large blob is fetched in several parts at a time; in one for `None`.
    pub parallel_ranges: Option<ParallelRanges>,
}

impl Options {
    /// Who the caller said that we are where `physical` is asked for, for an image of the registry `logical_domain`; `None`
    /// where that is for the configuration to say. Nobody is somebody too.
    pub fn explicit_identity(&self, logical_domain: &str, physical: &Reference) -> Option<Identity> {
        if self.anonymous {
            return Some(Identity::default());
        }
        let domain = self.identity_domain.as_deref().unwrap_or(logical_domain);
        self.identity.clone().filter(|_| physical.domain() == domain)
    }
}

/// Opens an image with the machine's network and no further wishes. See [`open_with`].
pub fn open(config: &Config, reference: &ImageReference) -> Result<Box<dyn ImageSource>, Error> {
    open_with(config, reference, &Options::default())
}

/// Opens an image: reads its top-level manifest, from the first pull source that has it.
///
/// # Errors
/// A lone pull source's error is returned as it is. Of several, [`Error::AllSourcesFailed`] holds every one, and the
/// primary's is its `source()`.
pub fn open_with(
    config: &Config,
    reference: &ImageReference,
    options: &Options,
) -> Result<Box<dyn ImageSource>, Error> {
    match reference {
        ImageReference::Docker(docker) => {
            let logical = docker.reference();
            open_pull_sources(config, docker, config.pull_sources(logical)?, options)
        }
        ImageReference::Dir(path) => Ok(Box::new(super::dir::DirSource::open(path.clone())?)),
        ImageReference::Oci(layout) => Ok(Box::new(super::oci_layout::OciLayoutSource::open(layout.clone())?)),
        ImageReference::OciArchive(archive) => {
            Ok(Box::new(super::oci_archive::OciArchiveSource::open(archive.clone())?))
        }
        ImageReference::DockerArchive(archive) => {
            Ok(Box::new(super::docker_archive::DockerArchiveSource::open(archive.clone())?))
        }
    }
}

/// Opens an image in a registry as [`open_with`] does, from pull sources of the caller's own: in their order, the primary
/// last. What they contact is checked against the logical reference's digest, where it has one, and never decides what
/// the image is called.
pub fn open_pull_sources(
    config: &Config,
    image: &DockerReference,
    pull_sources: Vec<PullSource>,
    options: &Options,
) -> Result<Box<dyn ImageSource>, Error> {
    let logical = image.reference();
    let settings = Settings::new(config, logical.domain(), options);
    let reference = ImageReference::Docker(image.clone());
    Ok(Box::new(RegistrySource::open(reference, logical, pull_sources, settings)?))
}

/// What a registry says of an image without sending its manifest: the first pull source that has it. One
/// `HEAD`, where the registry answers it as it should.
pub fn head(config: &Config, image: &DockerReference, options: &Options) -> Result<ManifestHead, Error> {
    let logical = image.reference();
    let settings = Settings::new(config, logical.domain(), options);
    RegistrySource::head(image, config.pull_sources(logical)?, settings)
}

/// A client for the registry itself, as far as mirrors are concerned: for what only the origin knows, such as the tags. With
/// containerd's files, that is the last host that may say what a tag names.
pub fn registry_client(
    config: &Config,
    reference: &Reference,
    options: &Options,
) -> Result<Arc<RegistryClient>, Error> {
    let mut sources = config.pull_sources(reference)?;
    sources.retain(PullSource::can_resolve);
    let origin = sources.pop().ok_or_else(|| Error::NoResolver { reference: reference.clone() })?;
    Settings::new(config, reference.domain(), options).client(&origin, true)
}

/// A client that writes to the place for that ([`Config::push_target`]), and the reference there.
pub(crate) fn push_client(
    config: &Config,
    reference: &Reference,
    options: &Options,
) -> Result<(Arc<RegistryClient>, Reference), Error> {
    let primary = push_target(config, reference)?;
    let client = Settings::new(config, reference.domain(), options).push_client(&primary)?;
    Ok((client, primary.physical))
}

/// A client that deletes from the same place, and the reference there.
pub(crate) fn delete_client(
    config: &Config,
    reference: &Reference,
    options: &Options,
) -> Result<(Arc<RegistryClient>, Reference), Error> {
    let primary = push_target(config, reference)?;
    let client = Settings::new(config, reference.domain(), options).delete_client(&primary)?;
    Ok((client, primary.physical))
}

fn push_target(config: &Config, reference: &Reference) -> Result<PullSource, Error> {
    config.push_target(reference)?.ok_or_else(|| Error::NoPushTarget { reference: reference.clone() })
}
