//! From a pull source to a client for it: certificates, credentials, patience.

use std::sync::Arc;

use super::clients::{Key, Purpose};
use super::{Error, Health, Network, Options, ParallelRanges};
use crate::config::certs_d::CertsDir;
use crate::config::{Config, Host, HostHeader, PullSource};
use crate::http::{Clock, HeaderMap, HeaderName, HeaderValue, RetryPolicy, Timeouts, Tls, Wire};
use crate::reference::Reference;
use crate::registry::{Address, Endpoint, Identity, RegistryClient};
use crate::safe_url::SafeUrl;

/// What is needed to make a client for any of an image's pull sources.
pub(super) struct Settings {
    pub(super) wire: Arc<dyn Wire>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Health,
    pub(super) config: Config,
    logical_domain: String,
    options: Options,
}

impl Settings {
    pub(super) fn new(config: &Config, logical_domain: &str, options: &Options) -> Self {
        let network = options.network.clone().unwrap_or_else(|| Network::real(config, Timeouts::default()));
        Self {
            wire: network.wire,
            clock: network.clock,
            health: network.health,
            config: config.clone(),
            logical_domain: logical_domain.to_owned(),
            options: options.clone(),
        }
    }

    /// A client for one pull source; `is_last` says whether nobody stands behind it.
    pub(super) fn client(&self, pull_source: &PullSource, is_last: bool) -> Result<Arc<RegistryClient>, Error> {
        self.kept(Purpose::Pull, pull_source, is_last)
    }

    /// A client that also writes to the primary.
    pub(super) fn push_client(&self, primary: &PullSource) -> Result<Arc<RegistryClient>, Error> {
        self.kept(Purpose::Push, primary, true)
    }

    /// A client that also deletes from the primary.
    pub(super) fn delete_client(&self, primary: &PullSource) -> Result<Arc<RegistryClient>, Error> {
        self.kept(Purpose::Delete, primary, true)
    }

    fn kept(&self, purpose: Purpose, pull_source: &PullSource, is_last: bool) -> Result<Arc<RegistryClient>, Error> {
        let name = pull_source.physical.name();
        let make = || Ok(Arc::new(purpose.client(name.clone(), self.endpoint(pull_source, is_last)?)));
        let Some(clients) = &self.options.clients else { return make() };
        check_blocked(pull_source)?;
        let key = Key {
            purpose,
            insecure: self.is_insecure(pull_source),
            retry: self.patience(is_last),
            identity: self.options.explicit_identity(&self.logical_domain, &pull_source.physical),
            cert_dir: self.options.cert_dir.clone(),
            host: pull_source.host.clone(),
        };
        clients.get(name, key, make)
    }

    /// Who we are to the registry of `physical`, whatever the name is rewritten to.
    pub(super) fn login_endpoint(&self, physical: Reference) -> Result<Endpoint, Error> {
        self.endpoint(&self.config.registries.as_it_is(physical), true)
    }

    fn endpoint(&self, pull_source: &PullSource, is_last: bool) -> Result<Endpoint, Error> {
        check_blocked(pull_source)?;
        let insecure = self.is_insecure(pull_source);
        Ok(Endpoint {
            wire: Arc::clone(&self.wire),
            clock: Arc::clone(&self.clock),
            tls: Arc::new(self.tls(pull_source)?),
            insecure,
            identity: self.identity(pull_source)?,
            retry: self.patience(is_last),
            address: pull_source.host.as_ref().map(|host| self.address(pull_source, host)).transpose()?,
        })
    }

    fn address(&self, pull_source: &PullSource, host: &Host) -> Result<Address, Error> {
        let mut headers = HeaderMap::new();
        for HostHeader { name, value } in &host.headers {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(value.expose())) {
                (Ok(name), Ok(value)) => headers.append(name, value),
                _ => return Err(Error::Header { reference: pull_source.physical.clone(), name: name.clone() }),
            };
        }
        let (base, or_http) = host.effective(self.options.tls_verify);
        Ok(Address { base, or_http, headers, namespace: host.namespace.clone(), connect_timeout: host.dial_timeout })
    }

    fn patience(&self, is_last: bool) -> RetryPolicy {
        if is_last { self.last_patience() } else { RetryPolicy::BRISK }
    }

    /// How the image's large blobs are fetched in parts.
    pub(super) fn parallel_ranges(&self) -> Option<ParallelRanges> {
        self.options.parallel_ranges
    }

    /// Patience with whom nobody stands behind.
    pub(super) fn last_patience(&self) -> RetryPolicy {
        self.options.retry.unwrap_or(RetryPolicy::PATIENT)
    }

    /// The settings for a web server with the signatures of a pull source: those of the registry, which is what podman
    /// and skopeo use, and those that the administrator has for this server.
    ///
    /// The registry's client certificate is for the registry: another server is shown its own one, if there is any.
    pub(super) fn lookaside_tls(&self, pull_source: &PullSource, url: &SafeUrl) -> Result<Arc<Tls>, Error> {
        let (domain, insecure) = (pull_source.physical.domain(), self.is_insecure(pull_source));
        let of_registry = Arc::new(self.tls(pull_source)?);
        let registry = format!("https://{domain}/").parse::<SafeUrl>();
        if registry.is_ok_and(|registry| registry.same_origin(url)) {
            return Ok(of_registry);
        }
        // One directory for every registry says nothing about other servers.
        let is_one_for_all = self.options.cert_dir.is_some() || self.config.paths.cert_dir.is_some();
        if is_one_for_all || !url.is_https() {
            return Ok(of_registry.without_identity());
        }
        let mut tls = self.tls_of(&url.authority(), insecure)?;
        tls.authorities.extend(of_registry.authorities.iter().cloned());
        Ok(Arc::new(tls))
    }

    fn is_insecure(&self, pull_source: &PullSource) -> bool {
        self.options.tls_verify.map_or(pull_source.insecure, |verify| !verify)
    }

    fn tls(&self, pull_source: &PullSource) -> Result<Tls, Error> {
        let domain = pull_source.physical.domain();
        let Some(host) = &pull_source.host else { return self.tls_of(domain, self.is_insecure(pull_source)) };
        let skip_verify = self.options.tls_verify.map_or(host.skip_verify, |verify| !verify);
        if self.options.cert_dir.is_some() {
            return self.tls_of(domain, skip_verify);
        }
        Tls::from_certs_dir(&host.certs, skip_verify).map_err(|source| Error::Tls { domain: domain.to_owned(), source })
    }

    fn tls_of(&self, domain: &str, insecure: bool) -> Result<Tls, Error> {
        Tls::from_certs_dir(&self.certs(domain)?, insecure)
            .map_err(|source| Error::Tls { domain: domain.to_owned(), source })
    }

    fn certs(&self, domain: &str) -> Result<CertsDir, Error> {
        let certs = match &self.options.cert_dir {
            Some(dir) => CertsDir::load(std::slice::from_ref(dir)),
            None => self.config.certs(domain),
        };
        certs.map_err(|source| Error::Certificates { domain: domain.to_owned(), source })
    }

    /// Who we are to a pull source: what was given explicitly, but only on the domain it was given for; else what is said
    /// beside the source; else what the auth files say about the *physical* repository.
    fn identity(&self, pull_source: &PullSource) -> Result<Identity, Error> {
        let physical = &pull_source.physical;
        if let Some(identity) = self.options.explicit_identity(&self.logical_domain, physical) {
            return Ok(identity);
        }
        let found = self
            .config
            .credentials_at(pull_source)
            .map_err(|source| Error::Credentials { domain: physical.domain().to_owned(), source })?;
        Ok(Identity { credentials: found.map(|found| found.credentials), token: None })
    }
}

fn check_blocked(pull_source: &PullSource) -> Result<(), Error> {
    match &pull_source.blocked_by {
        Some(by) => Err(Error::Blocked { reference: pull_source.physical.clone(), by: by.clone() }),
        None => Ok(()),
    }
}
