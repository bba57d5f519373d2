//! Making simple signatures.

use std::io::Write as _;
use std::time::SystemTime;

use openpgp::Cert;
use openpgp::cert::CertParser;
use openpgp::crypto::{KeyPair, Password};
use openpgp::packet::Key;
use openpgp::packet::key::{SecretParts, UnspecifiedRole};
use openpgp::parse::Parse as _;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::stream::{LiteralWriter, Message, Signer};
use openpgp::types::DataFormat;
use sequoia_openpgp as openpgp;

use super::{blocks, reason};
use crate::secret::Secret;
use crate::signature::Payload;

/// A secret key that can sign.
pub struct SigningKey {
    pair: KeyPair,
    certificate: String,
}

/// Why no signature can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// Not a key file.
    #[error("not an OpenPGP key: {0}")]
    Malformed(String),
    /// Only public keys, or none.
    #[error("there is no secret key in it; export one with: gpg --export-secret-keys KEY")]
    NoSecretKey,
    /// More than one certificate: it is not clear who signs.
    #[error("there are several keys in it ({}); export the one to sign with", .0.join(", "))]
    SeveralKeys(Vec<String>),
    /// Revoked, expired, or not made for signatures.
    #[error("the key {key} cannot sign: {reason}")]
    Unusable {
        /// Its fingerprint.
        key: String,
        /// Why not.
        reason: String,
    },
    /// The secret key is encrypted.
    #[error("the key {key} is protected by a passphrase")]
    PassphraseNeeded {
        /// Its fingerprint.
        key: String,
    },
    /// The secret key is encrypted otherwise.
    #[error("the passphrase does not fit the key {key}")]
    WrongPassphrase {
        /// Its fingerprint.
        key: String,
    },
    /// The cryptography failed.
    #[error("signing failed: {0}")]
    Failed(String),
}

impl SigningKey {
    /// Reads a file as `gpg --export-secret-keys` writes it, in ASCII armor or not.
    ///
    /// Of the certificate's keys the newest one takes part that may sign `now`.
    pub fn from_file(file: &[u8], passphrase: Option<&Secret<String>>, now: SystemTime) -> Result<Self, SigningError> {
        let certificate = only_certificate(file)?;
        let fingerprint = certificate.fingerprint().to_hex();
        let key = newest_signing_key(&certificate, now)?;
        let pair = unlocked(key, passphrase)?;
        Ok(Self { pair, certificate: fingerprint })
    }

    /// The fingerprint of the certificate.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Signs a payload: the message that a lookaside store keeps.
    pub fn sign(&self, payload: &Payload) -> Result<Vec<u8>, SigningError> {
        let mut message = Vec::new();
        let written = Signer::new(Message::new(&mut message), self.pair.clone())
            .and_then(Signer::build)
            .and_then(|signer| LiteralWriter::new(signer).format(DataFormat::Binary).build())
            .and_then(|mut literal| {
                literal.write_all(&payload.to_json())?;
                literal.finalize()
            });
        written.map_err(|error| SigningError::Failed(reason(&error)))?;
        Ok(message)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn only_certificate(file: &[u8]) -> Result<Cert, SigningError> {
    let mut certificates = Vec::new();
    for block in blocks(file) {
        let parser = CertParser::from_bytes(block).map_err(|error| SigningError::Malformed(reason(&error)))?;
        for certificate in parser {
            certificates.push(certificate.map_err(|error| SigningError::Malformed(reason(&error)))?);
        }
    }
    certificates.retain(Cert::is_tsk);
    if certificates.len() > 1 {
        let names = certificates.iter().map(|certificate| certificate.fingerprint().to_hex());
        return Err(SigningError::SeveralKeys(names.collect()));
    }
    certificates.pop().ok_or(SigningError::NoSecretKey)
}

fn newest_signing_key(certificate: &Cert, now: SystemTime) -> Result<Key<SecretParts, UnspecifiedRole>, SigningError> {
    let policy = StandardPolicy::new();
    let unusable = |reason| SigningError::Unusable { key: certificate.fingerprint().to_hex(), reason };
    let valid = certificate.with_policy(&policy, now).map_err(|error| unusable(reason(&error)))?;
    valid.alive().map_err(|error| unusable(reason(&error)))?;
    super::not_revoked(&valid.revocation_status()).map_err(&unusable)?;
    let keys = valid.keys().secret().alive().revoked(false).for_signing().supported();
    let newest = keys.max_by_key(|key| key.key().creation_time());
    newest
        .map(|key| key.key().clone())
        .ok_or_else(|| unusable("none of its secret keys is for signatures and neither expired nor revoked".to_owned()))
}

fn unlocked(
    key: Key<SecretParts, UnspecifiedRole>,
    passphrase: Option<&Secret<String>>,
) -> Result<KeyPair, SigningError> {
    let fingerprint = key.fingerprint().to_hex();
    let key = if key.has_unencrypted_secret() {
        key
    } else {
        let Some(passphrase) = passphrase else {
            return Err(SigningError::PassphraseNeeded { key: fingerprint });
        };
        let password = Password::from(passphrase.expose().as_str());
        key.decrypt_secret(&password).map_err(|_| SigningError::WrongPassphrase { key: fingerprint })?
    };
    key.into_keypair().map_err(|error| SigningError::Failed(reason(&error)))
}
