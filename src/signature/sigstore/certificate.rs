//! Certificates that vouch for the key of a signature, and the chain to who vouches for them.

use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc5280;
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage as KeyUsageExtension, SubjectAltName};

use super::pem_blocks::{self, CERTIFICATE, PemError};
use super::public_key::{KeyError, PublicKey};

/// The most certificates between a leaf and its authority that a signature may bring along. All ways through them are
/// tried, and webpki goes no further than this anyway.
const MAX_INTERMEDIATES: usize = 6;

/// Real ones have some ten. Each is compared with each.
const MAX_EXTENSIONS: usize = 64;

/// Real ones have two KiB.
const MAX_SIZE: usize = 64 * 1024;

/// A certificate, read but not yet believed.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    parsed: x509_cert::Certificate,
}

/// Certificates of authorities that the administrator trusts, at least one.
#[derive(Debug, Clone)]
pub struct CaCertificates(Vec<Certificate>);

/// What is wrong with a certificate, or with the names in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not PEM, or not as many certificates as there must be.
    #[error("invalid certificate")]
    Pem(#[source] PemError),
    /// Not the structure of a certificate.
    #[error("invalid certificate")]
    Der(#[source] x509_cert::der::Error),
    /// What RFC 5280 forbids.
    #[error("the certificate has a duplicate extension {0}")]
    DuplicateExtension(ObjectIdentifier),
    /// An extension that cannot be read.
    #[error("the certificate's extension {oid} cannot be read")]
    Extension {
        /// Which one.
        oid: ObjectIdentifier,
        /// Why not.
        source: x509_cert::der::Error,
    },
    /// Among the certificates of authorities is one that is none.
    #[error("the certificate of {0} is not one of a certificate authority (basicConstraints CA, keyUsage keyCertSign)")]
    NotAnAuthority(String),
    /// The key in the certificate.
    #[error("the certificate's key cannot be used")]
    Key(#[source] KeyError),
    /// Larger than any real one.
    #[error("a certificate of {0} bytes, at most {MAX_SIZE} are read")]
    TooLarge(usize),
    /// More than any real one has.
    #[error("a certificate with {0} extensions, at most {MAX_EXTENSIONS} are read")]
    TooManyExtensions(usize),
    /// More certificates than anybody needs.
    #[error("{0} certificates in a chain, at most {MAX_INTERMEDIATES} are looked at")]
    ChainTooLong(usize),
    /// Too early or too late.
    #[error("the certificate is not valid at {at}, {clock}: it is from {from} to {to}")]
    NotValidAt {
        /// The time that counts.
        at: jiff::Timestamp,
        /// Who says so.
        clock: Clock,
        /// When its validity begins.
        from: jiff::Timestamp,
        /// When its validity ends.
        to: jiff::Timestamp,
    },
    /// The authority itself is expired, or not yet valid.
    #[error("no certificate of the trusted authorities is valid at {at}, {clock}")]
    NoAuthorityAt {
        /// The time that counts.
        at: jiff::Timestamp,
        /// Who says so.
        clock: Clock,
    },
    /// It is for something else than signing.
    #[error("the certificate is not for code signing (extended key usage)")]
    NotForCodeSigning,
    /// An extension that must be understood, and is not.
    #[error("the certificate has an unhandled critical extension")]
    CriticalExtension,
    /// No chain to an authority that is trusted.
    #[error("the certificate was not issued by a trusted authority")]
    NotIssued(#[source] webpki::Error),
    /// No extension says who vouched for the identity.
    #[error("the Fulcio certificate is missing the issuer extension")]
    NoIssuer,
    /// Two extensions that say different things.
    #[error("inconsistent OIDC issuer extension values {v1:?} and {v2:?}")]
    InconsistentIssuer {
        /// The older extension's.
        v1: String,
        /// The newer extension's.
        v2: String,
    },
    /// Somebody else vouched for the identity.
    #[error("the OIDC issuer is {found:?}, expected {expected:?}")]
    Issuer {
        /// The issuer wanted.
        expected: String,
        /// The issuer in the certificate.
        found: String,
    },
    /// It is somebody else's.
    #[error("the required email {expected:?} is not in the certificate (got {found:?})")]
    Email {
        /// The address wanted.
        expected: String,
        /// The addresses in the certificate.
        found: Vec<String>,
    },
    /// It is another host's.
    #[error("the required hostname {expected:?} is not in the certificate (got {found:?})")]
    Hostname {
        /// The name wanted.
        expected: String,
        /// The names in the certificate.
        found: Vec<String>,
    },
}

/// Whose time a certificate was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// A transparency log's, which signed it.
    Log,
    /// This machine's.
    Local,
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Log => "the time that the transparency log gives",
            Self::Local => "the present time",
        })
    }
}

/// A moment, and who says that it is the one that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) time: SystemTime,
    pub(super) clock: Clock,
}

/// Whether a certificate that says nothing about its use may be used for signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeSigning {
    Required,
    RequiredIfPresent,
}

impl CaCertificates {
    /// Reads one or more `CERTIFICATE` blocks, roots or intermediates, each one of a certificate authority.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let certificates = Certificate::all_from_pem(pem)?;
        match certificates.iter().find(|certificate| !certificate.may_sign_certificates()) {
            Some(other) => Err(CertificateError::NotAnAuthority(other.subject())),
            None => Ok(Self(certificates)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter()
    }
}

impl Certificate {
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::from_der(&pem_blocks::block(pem, CERTIFICATE).map_err(CertificateError::Pem)?)
    }

    pub(super) fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let blocks = pem_blocks::blocks(pem, CERTIFICATE).map_err(CertificateError::Pem)?;
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    pub(super) fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_SIZE {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(CertificateError::Der)?;
        let certificate = Self { der: CertificateDer::from(der.to_vec()), parsed };
        let extensions = certificate.extensions();
        if extensions.len() > MAX_EXTENSIONS {
            return Err(CertificateError::TooManyExtensions(extensions.len()));
        }
        let is_repeated = |(index, extension): &(usize, &Extension)| {
            extensions.iter().take(*index).any(|earlier| earlier.extn_id == extension.extn_id)
        };
        match extensions.iter().enumerate().find(is_repeated) {
            Some((_, extension)) => Err(CertificateError::DuplicateExtension(extension.extn_id)),
            None => Ok(certificate),
        }
    }

    /// The certificates that a signature brought along, when they are few enough.
    pub(super) fn expect_few(chain: Vec<Self>) -> Result<Vec<Self>, CertificateError> {
        if chain.len() > MAX_INTERMEDIATES { Err(CertificateError::ChainTooLong(chain.len())) } else { Ok(chain) }
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn public_key(&self) -> Result<PublicKey, CertificateError> {
        PublicKey::new(&self.parsed.tbs_certificate.subject_public_key_info).map_err(CertificateError::Key)
    }

    /// The bytes of an extension, which is unique.
    pub(super) fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extension = self.extensions().iter().find(|extension| extension.extn_id == oid);
        extension.map(|extension| extension.extn_value.as_bytes())
    }

    pub(super) fn emails(&self) -> Result<Vec<String>, CertificateError> {
        self.names(|name| match name {
            GeneralName::Rfc822Name(email) => Some(email.to_string()),
            _ => None,
        })
    }

    pub(super) fn check_email(&self, expected: &str) -> Result<(), CertificateError> {
        let found = self.emails()?;
        if found.iter().any(|email| email == expected) {
            return Ok(());
        }
        Err(CertificateError::Email { expected: expected.to_owned(), found })
    }

    pub(super) fn hostnames(&self) -> Result<Vec<String>, CertificateError> {
        self.names(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            _ => None,
        })
    }

    pub(super) fn end_entity(&self) -> Result<EndEntityCert<'_>, CertificateError> {
        EndEntityCert::try_from(&self.der).map_err(chain_error)
    }

    fn names(&self, wanted: impl Fn(&GeneralName) -> Option<String>) -> Result<Vec<String>, CertificateError> {
        let names: Option<SubjectAltName> = self.decoded(rfc5280::ID_CE_SUBJECT_ALT_NAME)?;
        Ok(names.iter().flat_map(|names| &names.0).filter_map(wanted).collect())
    }

    fn extensions(&self) -> &[Extension] {
        self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default()
    }

    fn decoded<'a, T: x509_cert::der::Decode<'a>>(
        &'a self,
        oid: ObjectIdentifier,
    ) -> Result<Option<T>, CertificateError> {
        let decoded = self.extension(oid).map(T::from_der).transpose();
        decoded.map_err(|source| CertificateError::Extension { oid, source })
    }

    /// webpki asks for the first of the two itself, except of a trusted one, and never for the second.
    fn may_sign_certificates(&self) -> bool {
        let is_ca = self.decoded::<BasicConstraints>(BasicConstraints::OID);
        let usage = self.decoded::<KeyUsageExtension>(KeyUsageExtension::OID);
        matches!(is_ca, Ok(Some(constraints)) if constraints.ca)
            && usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.key_cert_sign()))
    }

    fn says_what_it_is_for(&self) -> bool {
        self.extension(rfc5280::ID_CE_EXT_KEY_USAGE).is_some()
    }

    fn max_intermediates(&self) -> usize {
        let constraints = self.decoded::<BasicConstraints>(BasicConstraints::OID);
        let length = constraints.ok().flatten().and_then(|constraints| constraints.path_len_constraint);
        length.map_or(usize::MAX, usize::from)
    }

    fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    pub(super) fn validity(&self) -> (jiff::Timestamp, jiff::Timestamp) {
        let validity = &self.parsed.tbs_certificate.validity;
        (timestamp(validity.not_before.to_system_time()), timestamp(validity.not_after.to_system_time()))
    }

    fn is_valid_at(&self, time: SystemTime) -> bool {
        let (from, to) = self.validity();
        (from..=to).contains(&timestamp(time))
    }

    fn check_time(&self, moment: Moment) -> Result<(), CertificateError> {
        if self.is_valid_at(moment.time) {
            return Ok(());
        }
        let (from, to) = self.validity();
        Err(CertificateError::NotValidAt { at: timestamp(moment.time), clock: moment.clock, from, to })
    }
}

/// A chain from `leaf` to one of the authorities, all of it valid at that moment.
///
/// webpki builds and checks the chain; it takes an authority that is trusted as it is, so its own dates and its limit
/// for the length of the chain are looked at here.
pub(super) fn verify_chain(
    leaf: &Certificate,
    intermediates: &[&Certificate],
    authorities: &CaCertificates,
    moment: Moment,
    code_signing: CodeSigning,
) -> Result<(), CertificateError> {
    leaf.check_time(moment)?;
    // webpki would require it of the intermediates too.
    if code_signing == CodeSigning::Required && !leaf.says_what_it_is_for() {
        return Err(CertificateError::NotForCodeSigning);
    }
    let end_entity = leaf.end_entity()?;
    let intermediates = intermediates.iter().filter(|certificate| certificate.may_sign_certificates());
    let intermediates: Vec<_> = intermediates.map(|certificate| certificate.der.clone()).collect();
    let mut reason = CertificateError::NoAuthorityAt { at: timestamp(moment.time), clock: moment.clock };
    for authority in authorities.iter().filter(|authority| authority.is_valid_at(moment.time)) {
        match verify_path(&end_entity, &intermediates, authority, moment.time) {
            Ok(()) => return Ok(()),
            Err(error) => reason = nearest(reason, chain_error(error)),
        }
    }
    Err(reason)
}

fn verify_path(
    end_entity: &EndEntityCert<'_>,
    intermediates: &[CertificateDer<'_>],
    authority: &Certificate,
    time: SystemTime,
) -> Result<(), webpki::Error> {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| webpki::Error::InvalidCertValidity)?;
    let usage = KeyUsage::required_if_present(CODE_SIGNING);
    let anchors = [webpki::anchor_from_trusted_cert(&authority.der)?];
    let time = UnixTime::since_unix_epoch(since_1970);
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let path = end_entity.verify_for_usage(algorithms, &anchors, intermediates, time, usage, None, None)?;
    if path.intermediate_certificates().count() > authority.max_intermediates() {
        return Err(webpki::Error::PathLenConstraintViolated);
    }
    Ok(())
}

/// 1.3.6.1.5.5.7.3.3
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

fn chain_error(error: webpki::Error) -> CertificateError {
    match error {
        webpki::Error::UnsupportedCriticalExtension => CertificateError::CriticalExtension,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::NotForCodeSigning,
        other => CertificateError::NotIssued(other),
    }
}

/// Of two authorities' reasons, the one that says more: that it is another issuer is true of all but one.
fn nearest(before: CertificateError, now: CertificateError) -> CertificateError {
    match (&before, &now) {
        (CertificateError::NotForCodeSigning | CertificateError::CriticalExtension, _)
        | (CertificateError::NotIssued(_), CertificateError::NotIssued(webpki::Error::UnknownIssuer)) => before,
        _ => now,
    }
}

fn timestamp(time: SystemTime) -> jiff::Timestamp {
    // Certificates end in the year 9999, and so does jiff.
    time.try_into().unwrap_or(jiff::Timestamp::MAX)
}
