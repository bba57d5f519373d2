//! One host of a file, whichever the file; and what becomes of it for an image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::base::Base;
use super::certificates;
use super::rewrite::{Rewrites, Rewritten};
use super::{Defaults, Invalid};
use crate::config::certs_d::CertsDir;
use crate::config::error::{Error, Place};
use crate::config::host::{Capabilities, Host, HostCredentials, HostHeader};
use crate::config::pull_source::PullSource;
use crate::reference::Reference;

/// A host as a file describes it. The files that it names are read when an image is asked for.
#[derive(Debug, Clone)]
pub(super) struct HostEntry {
    /// Where it is written, or where it would be.
    pub(super) place: Place,
    /// Nothing is said of it.
    pub(super) is_unsaid: bool,
    /// `None` for the registry that the image is named for.
    pub(super) base: Option<Base>,
    pub(super) capabilities: Capabilities,
    pub(super) certificates: Certificates,
    /// Whether any certificate is accepted, where that is said.
    pub(super) skip_verify: Option<bool>,
    pub(super) headers: Vec<HostHeader>,
    pub(super) dial_timeout: Option<Duration>,
    pub(super) rewrites: Rewrites,
    pub(super) credentials: Option<HostCredentials>,
}

/// The files with certificates for a host.
#[derive(Debug, Clone, Default)]
pub(super) enum Certificates {
    #[default]
    None,
    /// These.
    Files { authorities: Vec<PathBuf>, clients: Vec<ClientFiles> },
    /// Whatever is in a directory, by the names of docker's.
    Directory(PathBuf),
}

/// A client certificate. Without a key, its file has the key too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: Option<PathBuf>,
}

impl HostEntry {
    /// A host of which nothing is said, but where nothing is said.
    pub(super) fn unsaid(place: Place) -> Self {
        Self { is_unsaid: true, ..Self::at(place) }
    }

    /// A host of which nothing more is said than where it is written.
    pub(super) fn at(place: Place) -> Self {
        Self {
            place,
            is_unsaid: false,
            base: None,
            capabilities: Capabilities::ALL,
            certificates: Certificates::None,
            skip_verify: None,
            headers: Vec::new(),
            dial_timeout: None,
            rewrites: Rewrites::default(),
            credentials: None,
        }
    }

    /// The host as it is asked for images of `domain`, and where that is written.
    pub(super) fn host(&self, domain: &str, defaults: Defaults) -> Result<(Base, Host), Error> {
        let (base, is_this_machine) = self.base(domain, defaults)?;
        let skip_verify = self.skip_verify.or(is_this_machine.then_some(true));
        let certs = self.certificates.read().map_err(|source| self.invalid(Invalid::Certificates(source)))?;
        let has_tls = defaults.tls || skip_verify.is_some() || self.certificates.are_named(&certs);
        let is_https = has_tls && base.may_be_https();
        let host = Host {
            or_http: is_https && base.may_be_http(),
            capabilities: self.capabilities,
            certs,
            skip_verify: skip_verify.unwrap_or_default(),
            headers: self.headers.clone(),
            dial_timeout: self.dial_timeout,
            credentials: self.credentials.clone(),
            namespace: (!base.is_of(domain)).then(|| domain.to_owned()),
            rewrite: None,
            place: (!self.is_unsaid).then(|| self.place.clone()),
            base: if is_https { base.url.over_https() } else { base.url.clone() },
        };
        Ok((base, host))
    }

    /// Where it is for images of `domain`, and whether that is the registry itself on this machine, of which nothing is said.
    pub(super) fn base(&self, domain: &str, defaults: Defaults) -> Result<(Base, bool), Error> {
        match &self.base {
            Some(base) => Ok((base.clone(), false)),
            None => Base::of_registry(domain, defaults).map_err(|source| self.invalid(source)),
        }
    }

    fn invalid(&self, source: Invalid) -> Error {
        Error::Containerd { place: self.place.clone(), source }
    }

    fn pull_source(&self, logical: &Reference, defaults: Defaults, mirror: bool) -> Result<PullSource, Error> {
        let (base, host) = self.host(logical.domain(), defaults)?;
        let Rewritten { physical, rule } =
            self.rewrites.apply(logical, &base.registry(logical.domain()), &self.place)?;
        Ok(PullSource::at_host(physical, Host { rewrite: rule, ..host }, mirror))
    }
}

/// What the hosts are for an image: all but the last stand for it.
pub(super) fn pull_sources(
    entries: &[HostEntry],
    logical: &Reference,
    defaults: Defaults,
) -> Result<Vec<PullSource>, Error> {
    let last = entries.len().saturating_sub(1);
    let sources = entries.iter().enumerate();
    sources.map(|(index, entry)| entry.pull_source(logical, defaults, index < last)).collect()
}

impl Certificates {
    fn read(&self) -> Result<CertsDir, crate::config::certs_d::Error> {
        match self {
            Self::None => Ok(CertsDir::default()),
            Self::Files { authorities, clients } => certificates::read(authorities, clients),
            Self::Directory(directory) => certificates::read_directory(directory),
        }
    }

    /// True when files are named, or were found.
    fn are_named(&self, found: &CertsDir) -> bool {
        match self {
            Self::None => false,
            Self::Files { authorities, clients } => !authorities.is_empty() || !clients.is_empty(),
            Self::Directory(_) => !found.authorities.is_empty() || !found.clients.is_empty(),
        }
    }
}

impl ClientFiles {
    /// A file with a certificate and its key.
    pub(super) fn in_one(path: impl AsRef<Path>) -> Self {
        Self { certificate: path.as_ref().to_owned(), key: None }
    }
}
