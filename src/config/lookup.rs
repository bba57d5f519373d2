//! What the configuration says about one image: where it is, with whose credentials and which certificates.

use super::auth_file::AuthKey;
use super::certs_d::{self, CertsDir};
use super::credential_helper::HelperRunner;
use super::credentials::{self, FoundCredentials, Origin};
use super::{Config, Error, HostCredentials, PullSource, RewriteError};
use crate::reference::Reference;

/// Why nobody can say where an image is read from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// A location of registries.conf makes no name. Prints as its cause.
    #[error("{0}")]
    Rewrite(#[from] RewriteError),
    /// A file of containerd's, which are read anew for each image, cannot be used. Prints as its cause.
    #[error("{0}")]
    File(#[from] Error),
}

impl Config {
    /// Where an image may be read from: the mirrors in their order, the primary last. Never empty.
    pub fn pull_sources(&self, logical: &Reference) -> Result<Vec<PullSource>, LookupError> {
        match &self.containerd {
            Some(registries) => Ok(registries.pull_sources(logical)?),
            None => Ok(self.registries.pull_sources(logical)?),
        }
    }

    /// Where an image is written to and deleted from: the primary of registries.conf; with containerd's files, the first
    /// host that may be pushed to. `None` where there is no such host.
    pub fn push_target(&self, logical: &Reference) -> Result<Option<PullSource>, LookupError> {
        match &self.containerd {
            Some(registries) => Ok(registries.hosts(logical)?.into_iter().find(|host| host.capabilities().push)),
            None => Ok(self.registries.pull_sources(logical)?.pop()),
        }
    }

    /// Who we are to a pull source: as the file has it that names the source, or else as the auth files have it for the
    /// repository as it is called there; `None` means to ask without any.
    pub fn credentials_at(&self, source: &PullSource) -> Result<Option<FoundCredentials>, credentials::Error> {
        let host = source.host.as_ref();
        match host.and_then(|host| Some((host, host.credentials.as_ref()?))) {
            Some((host, HostCredentials { credentials, place })) => Ok(Some(FoundCredentials {
                credentials: credentials.clone(),
                origin: Origin::HostFile(place.file().to_owned()),
                key: host.base.authority(),
            })),
            None => self.credentials(&source.physical),
        }
    }

    /// The credentials for a repository, from the auth files or a credential helper; `None` means to ask without any.
    ///
    /// The files are read anew each time: a login counts from then on.
    pub fn credentials(&self, physical: &Reference) -> Result<Option<FoundCredentials>, credentials::Error> {
        self.credentials_for(&AuthKey::from(physical.name()))
    }

    /// The same for a registry, or a part of one.
    pub fn credentials_for(&self, key: &AuthKey) -> Result<Option<FoundCredentials>, credentials::Error> {
        credentials::lookup(&self.paths.auth_files(), self.registries.credential_helpers(), key, &self.helper_runner())
    }

    pub(super) fn helper_runner(&self) -> HelperRunner {
        HelperRunner::new(self.paths.environment.search_path.clone())
    }

    /// The certificates for a registry, named by its domain with the port: `docker.io`, `localhost:5000`.
    pub fn certs(&self, domain: &str) -> Result<CertsDir, certs_d::Error> {
        CertsDir::load(&self.paths.certs_dirs(domain))
    }
}
