//! From a pull source to a client for it: certificates, credentials, patience.

use std::sync::Arc;

use super::{Error, Network, Options};
use crate::config::certs_d::CertsDir;
use crate::config::{Config, PullSource};
use crate::http::{Clock, RetryPolicy, Timeouts, Tls, Wire};
use crate::reference::Reference;
use crate::registry::{Endpoint, Identity, RegistryClient};

/// What is needed to make a client for any of an image's pull sources.
pub(super) struct Settings {
    pub(super) wire: Arc<dyn Wire>,
    pub(super) clock: Arc<dyn Clock>,
    config: Config,
    logical_domain: String,
    options: Options,
}

impl Settings {
    pub(super) fn new(config: &Config, logical_domain: &str, options: &Options) -> Self {
        let network = options.network.clone().unwrap_or_else(|| Network::real(config, Timeouts::default()));
        Self {
            wire: network.wire,
            clock: network.clock,
            config: config.clone(),
            logical_domain: logical_domain.to_owned(),
            options: options.clone(),
        }
    }

    /// A client for one pull source; `is_last` says whether nobody stands behind it.
    pub(super) fn client(&self, pull_source: &PullSource, is_last: bool) -> Result<RegistryClient, Error> {
        let physical = &pull_source.physical;
        if let Some(by) = &pull_source.blocked_by {
            return Err(Error::Blocked { reference: physical.clone(), by: by.clone() });
        }
        let insecure = self.options.tls_verify.map_or(pull_source.insecure, |verify| !verify);
        let tls = Tls::from_certs_dir(&self.certs(physical.domain())?, insecure)
            .map_err(|source| Error::Tls { domain: physical.domain().to_owned(), source })?;
        let endpoint = Endpoint {
            wire: Arc::clone(&self.wire),
            clock: Arc::clone(&self.clock),
            tls: Arc::new(tls),
            insecure,
            identity: self.identity(physical)?,
            retry: if is_last { self.options.retry.unwrap_or(RetryPolicy::PATIENT) } else { RetryPolicy::BRISK },
        };
        Ok(RegistryClient::new(physical.name().clone(), endpoint))
    }

    fn certs(&self, domain: &str) -> Result<CertsDir, Error> {
        let certs = match &self.options.cert_dir {
            Some(dir) => CertsDir::load(std::slice::from_ref(dir)),
            None => self.config.certs(domain),
        };
        certs.map_err(|source| Error::Certificates { domain: domain.to_owned(), source })
    }

    /// Who we are to a pull source: what was given explicitly, but only on the domain it was given for; else what the
    /// auth files say about the *physical* repository.
    fn identity(&self, physical: &Reference) -> Result<Identity, Error> {
        if self.options.anonymous {
            return Ok(Identity::default());
        }
        match &self.options.identity {
            Some(identity) if physical.domain() == self.logical_domain => Ok(identity.clone()),
            _ => {
                let found = self
                    .config
                    .credentials(physical)
                    .map_err(|source| Error::Credentials { domain: physical.domain().to_owned(), source })?;
                Ok(Identity { credentials: found.map(|found| found.credentials), token: None })
            }
        }
    }
}
