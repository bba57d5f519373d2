//! How a server is judged, and what it is shown.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::certs_d::CertsDir;
use crate::secret::Secret;

/// TLS settings of one registry: extra authorities, a client certificate, and whether to verify at all.
///
/// The system's authorities are always trusted beside [`authorities`](Self::authorities), as
/// [containers-certs.d(5)](https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md) has it.
#[derive(Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificate authorities beside the system's, in DER.
    pub authorities: Vec<Vec<u8>>,
    /// What to show a server that asks who we are.
    pub identity: Option<ClientIdentity>,
    /// Accept any certificate: for a registry configured as insecure.
    pub insecure_skip_verify: bool,
}

/// A client certificate with its key, checked to belong together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    chain: Vec<Vec<u8>>,
    key_pem: Vec<u8>,
}

impl Tls {
    /// The settings of a certs.d directory.
    ///
    /// # Errors
    /// A file that holds no certificate or key, or a pair that does not belong together. Of several pairs the first is
    /// shown; the others are named in a warning.
    pub fn from_certs_dir(dir: &CertsDir, insecure_skip_verify: bool) -> Result<Self, TlsError> {
        let mut authorities = Vec::new();
        for file in &dir.authorities {
            authorities.extend(certificates(&file.path, &file.bytes)?);
        }
        if let [_, unused @ ..] = dir.clients.as_slice() {
            for pair in unused {
                log::warn!("{}: only the first client certificate is used", pair.certificate.path.display());
            }
        }
        let identity = match dir.clients.first() {
            Some(pair) => {
                let (certificate, key) = (&pair.certificate, &pair.key);
                Some(ClientIdentity::new(&certificate.path, &certificate.bytes, &key.path, key.bytes.expose())?)
            }
            None => None,
        };
        Ok(Self { authorities, identity, insecure_skip_verify })
    }

    /// The settings for another host that this registry sends us to: the same authorities, but who we are is nobody
    /// else's business.
    #[must_use]
    pub fn without_identity(self: &Arc<Self>) -> Arc<Self> {
        match self.identity {
            None => Arc::clone(self),
            Some(_) => Arc::new(Self {
                authorities: self.authorities.clone(),
                identity: None,
                insecure_skip_verify: self.insecure_skip_verify,
            }),
        }
    }
}

impl ClientIdentity {
    /// Reads a certificate chain and its key, both PEM; the paths are for errors only.
    pub fn new(
        certificate_path: &Path,
        certificate_pem: &[u8],
        key_path: &Path,
        key_pem: &[u8],
    ) -> Result<Self, TlsError> {
        let chain = certificates(certificate_path, certificate_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::NoKey(key_path.to_owned()))?;
        let ders = chain.iter().map(|der| CertificateDer::from(der.as_slice()).into_owned()).collect();
        // ureq panics on a pair that does not fit, so it is tried here.
        CertifiedKey::from_der(ders, key, &ring::default_provider()).map_err(|source| TlsError::Pair {
            certificate: certificate_path.to_owned(),
            key: key_path.to_owned(),
            source,
        })?;
        Ok(Self { chain, key_pem: key_pem.to_owned() })
    }

    /// The certificates, the client's own first, in DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The private key, in PEM.
    pub fn key_pem(&self) -> Secret<Vec<u8>> {
        Secret::new(self.key_pem.clone())
    }
}

/// Without the certificates' bytes, which nobody reads.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &format_args!("{} certificates", self.authorities.len()))
            .field("identity", &self.identity)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity")
    }
}

/// Why a certificate or a key cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file with no certificate in it, or a broken one.
    #[error("{}: expected PEM certificates (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// A file with no private key in it.
    #[error("{}: expected a PEM private key", .0.display())]
    NoKey(PathBuf),
    /// A certificate and a key that do not belong together, or a key of an unknown kind.
    #[error("{} and {} are not a usable client certificate and key", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The TLS library's reason.
        source: rustls::Error,
    },
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Vec<u8>>, TlsError> {
    CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate(path.to_owned()))
}

/// True when who was asked speaks TLS, and one of us would not go on: for the certificate, or for anything else.
pub(crate) fn speaks_tls(error: &super::Error) -> bool {
    match error {
        super::Error::Tls { source, .. } => !matches!(reason(source), None | Some(rustls::Error::InvalidMessage(_))),
        _ => false,
    }
}

fn reason(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What to do about a failed handshake, where that is known.
pub(super) fn hint(error: &io::Error) -> &'static str {
    use rustls::{AlertDescription, CertificateError, Error, OtherError};
    match reason(error) {
        Some(Error::InvalidMessage(_)) => " (the server does not speak TLS; is it an insecure registry?)",
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            " (the server wants a client certificate; put yours into certs.d/HOST:PORT/client.cert and client.key)"
        }
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            " (put the CA certificate into certs.d/HOST:PORT/ca.crt, or name it by `ca` in hosts.toml)"
        }
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other))))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            " (the server shows a certificate authority's certificate as its own; make one without CA:TRUE)"
        }
        _ => "",
    }
}
