//! `sigstoreSigned`: cosign's signatures, by a key, by whom Fulcio knows, or by an own PKI.

use std::time::SystemTime;

use super::keys::{self, KeyError, KeyFile};
use super::requirement::Subject;
use super::{Rejection, Signer, SignerKind};
use crate::config::policy_json::{self, Keys, SigstoreSigned, SigstoreTrust};
use crate::signature::SigstoreSignature;
use crate::signature::sigstore::{self, CaCertificates, ErrorKind, Fulcio, Pki, PublicKey, RekorKey, Trust};

/// A requirement whose keys and certificates have been read.
pub(super) struct Verifier<'a> {
    requirement: &'a SigstoreSigned,
    trust: Trust,
    now: SystemTime,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(requirement: &'a SigstoreSigned, now: SystemTime) -> Result<Self, KeyError> {
        let rekor = requirement.rekor_public_keys.as_ref().map_or(Ok(Vec::new()), rekor_keys)?;
        let trust = match &requirement.trust {
            SigstoreTrust::Keys(keys) => Trust::Keys { keys: public_keys(keys)?, rekor },
            SigstoreTrust::Fulcio(fulcio) => {
                let authorities = certificates(&fulcio.ca)?;
                let (issuer, email) = (fulcio.oidc_issuer.as_str(), fulcio.subject_email.as_str());
                Trust::Fulcio(Fulcio::new(authorities, issuer, email, rekor))
            }
            SigstoreTrust::Pki(pki) => Trust::Pki(own_pki(pki)?),
        };
        Ok(Self { requirement, trust, now })
    }

    /// `None` for what is attached to images and is no signature: a statement about how one was built, say.
    pub(super) fn judge(
        &self,
        signature: &SigstoreSignature,
        subject: &Subject<'_>,
    ) -> Option<Result<Signer, Rejection>> {
        match sigstore::verify(signature, &self.trust, self.now) {
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => Some(Err(Rejection::Sigstore(error))),
            Ok(verified) => Some(self.compare(verified, subject)),
        }
    }

    fn compare(&self, verified: sigstore::Verified, subject: &Subject<'_>) -> Result<Signer, Rejection> {
        subject.check_manifest(&verified.manifest_digest)?;
        let rule = &self.requirement.signed_identity;
        match &verified.docker_reference {
            Some(name) => subject.check_identity(rule, name)?,
            None => subject.check_unnamed(rule)?,
        }
        Ok(Signer { kind: SignerKind::Sigstore(verified.signer), identity: verified.docker_reference })
    }
}

fn public_keys(keys: &Keys) -> Result<Vec<PublicKey>, KeyError> {
    let parse = |file: &KeyFile| {
        PublicKey::from_pem(&file.bytes).map_err(|source| KeyError::PublicKey { name: file.name.clone(), source })
    };
    keys::read(keys)?.iter().map(parse).collect()
}

fn rekor_keys(keys: &Keys) -> Result<Vec<RekorKey>, KeyError> {
    let parse = |file: &KeyFile| {
        RekorKey::from_pem(&file.bytes).map_err(|source| KeyError::PublicKey { name: file.name.clone(), source })
    };
    keys::read(keys)?.iter().map(parse).collect()
}

fn certificates(certificates: &policy_json::CaCertificates) -> Result<CaCertificates, KeyError> {
    let KeyFile { name, bytes } = keys::read_certificates(certificates)?;
    CaCertificates::from_pem(&bytes).map_err(|source| KeyError::Certificates { name, source })
}

fn own_pki(pki: &policy_json::Pki) -> Result<Pki, KeyError> {
    let roots = certificates(&pki.ca_roots)?;
    let intermediates = pki.ca_intermediates.as_ref().map(certificates).transpose()?;
    Ok(Pki::new(roots, intermediates, pki.subject_email.clone(), pki.subject_hostname.clone())?)
}
