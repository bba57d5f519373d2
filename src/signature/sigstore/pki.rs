//! An own PKI: long-lived certificates of the administrator's own authorities.

use rustls::pki_types::ServerName;

use super::certificate::{CaCertificates, Certificate, CertificateError, CodeSigning, Moment, verify_chain};

/// Trusts whoever has these names, as one of these authorities says.
#[derive(Debug, Clone)]
pub struct Pki {
    roots: CaCertificates,
    intermediates: Option<CaCertificates>,
    email: Option<String>,
    hostname: Option<ServerName<'static>>,
}

/// What makes a [`Pki`] useless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// Any certificate would do.
    #[error("neither an email nor a hostname of the subject is given")]
    NoSubject,
    /// Not the name of a host.
    #[error("invalid hostname {0:?} of the subject")]
    Hostname(String),
}

impl Pki {
    /// At least one of the names; with both, both are wanted.
    pub fn new(
        roots: CaCertificates,
        intermediates: Option<CaCertificates>,
        email: Option<String>,
        hostname: Option<String>,
    ) -> Result<Self, PkiError> {
        if email.is_none() && hostname.is_none() {
            return Err(PkiError::NoSubject);
        }
        let parsed = |name: String| ServerName::try_from(name.clone()).map_err(|_| PkiError::Hostname(name));
        Ok(Self { roots, intermediates, email, hostname: hostname.map(parsed).transpose()? })
    }

    /// Checks the chain at present, and the names.
    pub(super) fn verify(
        &self,
        leaf: &Certificate,
        intermediates: &[&Certificate],
        moment: Moment,
    ) -> Result<(), CertificateError> {
        let configured = self.intermediates.iter().flat_map(CaCertificates::iter);
        let intermediates: Vec<_> = configured.chain(intermediates.iter().copied()).collect();
        verify_chain(leaf, &intermediates, &self.roots, moment, CodeSigning::RequiredIfPresent)?;
        if let Some(email) = &self.email {
            leaf.check_email(email)?;
        }
        if let Some(hostname) = &self.hostname {
            check_hostname(leaf, hostname)?;
        }
        Ok(())
    }

    /// The names that were wanted, and so are in the certificate.
    pub(super) fn subject(&self) -> Vec<String> {
        let hostname = self.hostname.as_ref().map(|name| name.to_str().into_owned());
        self.email.iter().cloned().chain(hostname).collect()
    }
}

fn check_hostname(leaf: &Certificate, expected: &ServerName<'static>) -> Result<(), CertificateError> {
    if leaf.end_entity()?.verify_is_valid_for_subject_name(expected).is_ok() {
        return Ok(());
    }
    let found = leaf.hostnames()?;
    Err(CertificateError::Hostname { expected: expected.to_str().into_owned(), found })
}
