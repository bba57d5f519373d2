//! `signedBy`: simple signing with GPG keys.

use std::time::SystemTime;

use super::requirement::Subject;
use super::{KeyError, Rejection, Signer, SignerKind, keys};
use crate::config::policy_json::{KeyType, SignedBy};
use crate::signature::openpgp::Keyring;
use crate::signature::{Payload, PayloadKind};

/// A requirement whose keys have been read.
pub(super) struct Verifier<'a> {
    requirement: &'a SignedBy,
    keyring: Keyring,
    now: SystemTime,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(requirement: &'a SignedBy, now: SystemTime) -> Result<Self, KeyError> {
        let mut keyring = Keyring::default();
        for file in keys::read(&requirement.keys)? {
            let known = keyring.skipped().len();
            keyring.add(&file.bytes);
            for reason in keyring.skipped().iter().skip(known) {
                log::warn!("{}: passed over: {reason}", file.name);
            }
        }
        Ok(Self { requirement, keyring, now })
    }

    pub(super) fn judge(&self, message: &[u8], subject: &Subject<'_>) -> Result<Signer, Rejection> {
        let verified = self.keyring.verify(message, self.now).map_err(Rejection::OpenPgp)?;
        let payload = Payload::parse(&verified.content, PayloadKind::SimpleSigning).map_err(Rejection::Payload)?;
        subject.check_manifest(&payload.manifest_digest)?;
        subject.check_identity(&self.requirement.signed_identity, &payload.docker_reference)?;
        let kind =
            SignerKind::OpenPgp { certificate: verified.certificate, key: verified.key, user_id: verified.user_id };
        Ok(Signer { kind, identity: Some(payload.docker_reference) })
    }
}

/// The kinds of keys that a policy may name and that nobody ever verified with.
pub(super) fn unimplemented(key_type: KeyType) -> Option<&'static str> {
    match key_type {
        KeyType::GpgKeys => None,
        KeyType::SignedByGpgKeys => Some("keyType signedByGPGKeys"),
        KeyType::X509Certificates => Some("keyType X509Certificates"),
        KeyType::SignedByX509Cas => Some("keyType signedByX509CAs"),
    }
}
