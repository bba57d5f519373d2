//! Fulcio: an authority that gives a certificate for minutes to whoever an OpenID Connect issuer vouches for.

use x509_cert::der::Decode as _;
use x509_cert::der::asn1::Utf8StringRef;
use x509_cert::der::oid::ObjectIdentifier;

use super::certificate::{CaCertificates, Certificate, CertificateError, CodeSigning, Moment, verify_chain};
use super::rekor::RekorKey;

/// The issuer as bare text.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");

/// The issuer as an ASN.1 text.
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");

/// Trusts whoever has this e-mail address, as this issuer says.
#[derive(Debug, Clone)]
pub struct Fulcio {
    authorities: CaCertificates,
    issuer: String,
    email: String,
    pub(super) rekor: Vec<RekorKey>,
}

impl Fulcio {
    /// Signatures must be in one of the logs: their certificates have long expired, and only a log says when they
    /// were used. Signed certificate timestamps are not looked at.
    pub fn new(
        authorities: CaCertificates,
        issuer: impl Into<String>,
        email: impl Into<String>,
        rekor: Vec<RekorKey>,
    ) -> Self {
        Self { authorities, issuer: issuer.into(), email: email.into(), rekor }
    }

    /// Checks the chain at the moment that the log gives, and the identity.
    pub(super) fn verify(
        &self,
        leaf: &Certificate,
        intermediates: &[&Certificate],
        moment: Moment,
    ) -> Result<(), CertificateError> {
        verify_chain(leaf, intermediates, &self.authorities, moment, CodeSigning::Required)?;
        let found = issuer(leaf)?;
        if found != self.issuer {
            return Err(CertificateError::Issuer { expected: self.issuer.clone(), found });
        }
        leaf.check_email(&self.email)
    }

    pub(super) fn authorities(&self) -> &CaCertificates {
        &self.authorities
    }

    /// The OpenID Connect issuer that is wanted.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The e-mail address that is wanted.
    pub fn email(&self) -> &str {
        &self.email
    }
}

fn issuer(leaf: &Certificate) -> Result<String, CertificateError> {
    let v1 = leaf.extension(ISSUER_V1).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let v2 = leaf.extension(ISSUER_V2).map(Utf8StringRef::from_der).transpose();
    let v2 = v2.map_err(|source| CertificateError::Extension { oid: ISSUER_V2, source })?;
    let v2 = v2.map(|text| text.as_str().to_owned());
    match (v1, v2) {
        (Some(v1), Some(v2)) if v1 != v2 => Err(CertificateError::InconsistentIssuer { v1, v2 }),
        (_, Some(issuer)) | (Some(issuer), None) => Ok(issuer),
        (None, None) => Err(CertificateError::NoIssuer),
    }
}
