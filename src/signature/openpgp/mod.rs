//! Simple signing: OpenPGP messages, verified against a keyring that holds nothing but the administrator's keys.
//!
//! The cryptography, and which algorithms are still good enough, is
//! [sequoia](https://sequoia-pgp.org/)'s: SHA-1 signatures, for one, are refused with its reason.

use std::io::Read as _;
use std::time::SystemTime;

use openpgp::Cert;
use openpgp::cert::CertParser;
use openpgp::cert::amalgamation::key::ErasedKeyAmalgamation;
use openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use openpgp::packet::key::PublicParts;
use openpgp::packet::{Packet, Signature};
use openpgp::parse::Parse as _;
use openpgp::parse::stream::{MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerifierBuilder};
use openpgp::policy::{HashAlgoSecurity, Policy as _, StandardPolicy};
use openpgp::types::{RevocationStatus, SignatureType};
use openpgp::{Fingerprint, KeyHandle, PacketPile};
use sequoia_openpgp as openpgp;

mod message;
mod signing;

pub use message::{MessageError, SignedMessage};
pub use signing::{SigningError, SigningKey};

const ARMOR_BEGIN: &[u8] = b"-----BEGIN PGP ";

/// Public keys that may sign; nobody else's signature verifies.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: Vec<Cert>,
    revocations: Vec<Signature>,
    skipped: Vec<String>,
}

/// A message whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedMessage {
    /// What was signed.
    pub content: Vec<u8>,
    /// The certificate that signed, in hexadecimal digits.
    pub certificate: String,
    /// The key of the certificate that signed: its own or a subkey's.
    pub key: String,
    /// The first user id of the certificate, for people: whoever made the key wrote it.
    pub user_id: Option<String>,
    /// When, as the signer says.
    pub created: Option<SystemTime>,
}

/// Why a message is not a good signature by a key of the keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not a message of the right form. Prints as its cause.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// The keyring is empty.
    #[error("there is no public key to verify with")]
    NoKeys,
    /// Another key has signed.
    #[error("signed by the key {issuer}, which is not one of those that may sign")]
    UnknownKey {
        /// The key's id, as the signature states it.
        issuer: String,
    },
    /// The key may not be used for this: revoked, expired, or not made for signatures.
    #[error("the key {key} cannot be accepted: {reason}")]
    BadKey {
        /// Its fingerprint.
        key: String,
        /// Why not.
        reason: String,
    },
    /// The content is not what was signed, or the signature has expired, or is made with a broken algorithm.
    #[error("the signature by {key} is not good: {reason}")]
    BadSignature {
        /// The fingerprint of the key that should have made it.
        key: String,
        /// Why not.
        reason: String,
    },
    /// A signature packet that cannot be made sense of.
    #[error("malformed signature: {0}")]
    Malformed(String),
}

impl Keyring {
    /// Adds the certificates of a key file, and the revocations: binary, or in ASCII armor, several blocks included. What
    /// is in another kind of block, or cannot be read as a certificate, is passed over and kept for [`skipped`](Self::skipped).
    pub fn add(&mut self, file: &[u8]) {
        for block in blocks(file) {
            if let Some(revocations) = revocations(block) {
                self.revocations.extend(revocations);
                continue;
            }
            match CertParser::from_bytes(block) {
                Ok(parser) => parser.for_each(|certificate| self.take(certificate)),
                Err(error) => self.skipped.push(reason(&error)),
            }
        }
        self.revoke();
    }

    /// A revocation may stand before the certificate that it is for. Whether it is a good one, sequoia asks when the
    /// certificate is used.
    fn revoke(&mut self) {
        for revocation in &self.revocations {
            let issuers = revocation.get_issuers();
            let is_for = |certificate: &&mut Cert| {
                let handle = KeyHandle::from(certificate.fingerprint());
                issuers.iter().any(|issuer| issuer.aliases(&handle))
            };
            for certificate in self.certificates.iter_mut().filter(is_for) {
                match certificate.clone().insert_packets(revocation.clone()) {
                    Ok((revoked, _)) => *certificate = revoked,
                    Err(error) => self.skipped.push(reason(&error)),
                }
            }
        }
    }

    /// Two copies of one certificate are one: what only one of them knows, such as a revocation, holds for both.
    fn take(&mut self, certificate: openpgp::Result<Cert>) {
        let certificate = match certificate {
            Ok(certificate) => certificate.strip_secret_key_material(),
            Err(error) => return self.skipped.push(reason(&error)),
        };
        match self.certificates.iter_mut().find(|known| known.fingerprint() == certificate.fingerprint()) {
            None => self.certificates.push(certificate),
            Some(known) => match known.clone().merge_public(certificate) {
                Ok(merged) => *known = merged,
                Err(error) => self.skipped.push(reason(&error)),
            },
        }
    }

    /// The fingerprints of the certificates, in order.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(|certificate| certificate.fingerprint().to_hex()).collect()
    }

    /// What could not be read as a certificate, and why.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Verifies a message that is signed inline, with exactly one signature.
    ///
    /// The certificate must have been good when the signature was made, and still be so `now`: not expired, not revoked.
    pub fn verify(&self, message: &[u8], now: SystemTime) -> Result<VerifiedMessage, VerifyError> {
        let signed = SignedMessage::parse(message)?;
        if self.certificates.is_empty() {
            return Err(VerifyError::NoKeys);
        }
        let policy = StandardPolicy::new();
        let check = Check { keyring: self, policy: &policy, now, outcome: None };
        // The content is never longer than the message, so all of it is buffered and then judged at once.
        let mut verifier = VerifierBuilder::from_bytes(&signed.canonical)
            .map(|builder| builder.buffer_size(signed.canonical.len() + 1))
            .and_then(|builder| builder.with_policy(&policy, now, check))
            .map_err(|error| VerifyError::Malformed(reason(&error)))?;
        // What counts is what the verifier has read, not what another reading of the same bytes has.
        let mut content = Vec::new();
        verifier.read_to_end(&mut content).map_err(|error| VerifyError::Malformed(error.to_string()))?;
        if content != signed.content {
            return Err(VerifyError::Malformed("it can be read in two ways".to_owned()));
        }
        let outcome = verifier.into_helper().outcome;
        let by = outcome.unwrap_or_else(|| Err(MessageError::Unsigned.into()))?;
        Ok(VerifiedMessage {
            content,
            certificate: by.certificate.to_hex(),
            key: by.key.to_hex(),
            user_id: by.user_id,
            created: by.created,
        })
    }
}

/// The blocks of ASCII armor of a text, or the whole of a file that is none.
///
/// Packets begin with a high bit, and text does not. What looks like armor inside of packets is what strangers wrote.
fn blocks(file: &[u8]) -> Vec<&[u8]> {
    let Some(first) = file.first() else { return Vec::new() };
    if *first >= 0x80 {
        return vec![file];
    }
    let begins_line = |offset: usize| offset == 0 || file.get(offset - 1) == Some(&b'\n');
    let is_block =
        |offset: &usize| begins_line(*offset) && file.get(*offset..).is_some_and(|rest| rest.starts_with(ARMOR_BEGIN));
    let starts: Vec<_> = (0..file.len()).filter(is_block).collect();
    if starts.is_empty() {
        return vec![file];
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| file.get(*start..end)).collect()
}

/// The revocations in a block that holds nothing else, as `gpg --generate-revocation` writes it.
fn revocations(block: &[u8]) -> Option<Vec<Signature>> {
    let pile = PacketPile::from_bytes(block).ok()?;
    let revocation = |packet: Packet| match packet {
        Packet::Signature(signature) if is_revocation(signature.typ()) => Some(signature),
        _ => None,
    };
    let found: Vec<_> = pile.into_children().map(revocation).collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}

fn is_revocation(kind: SignatureType) -> bool {
    use SignatureType::{CertificationRevocation, KeyRevocation, SubkeyRevocation};
    matches!(kind, KeyRevocation | SubkeyRevocation | CertificationRevocation)
}

struct Signer {
    certificate: Fingerprint,
    key: Fingerprint,
    user_id: Option<String>,
    created: Option<SystemTime>,
}

/// What sequoia asks while it verifies.
struct Check<'a> {
    keyring: &'a Keyring,
    policy: &'a StandardPolicy<'a>,
    now: SystemTime,
    outcome: Option<Result<Signer, VerifyError>>,
}

impl VerificationHelper for Check<'_> {
    fn get_certs(&mut self, ids: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        let is_wanted = |certificate: &&Cert| {
            let is_of = |key: KeyHandle| ids.iter().any(|id| id.aliases(&key));
            ids.is_empty() || certificate.keys().any(|key| is_of(key.key().fingerprint().into()))
        };
        Ok(self.keyring.certificates.iter().filter(is_wanted).cloned().collect())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> openpgp::Result<()> {
        self.outcome = Some(self.judge(structure));
        Ok(())
    }
}

impl Check<'_> {
    /// The form of the message is known: one layer with one signature. Anything else would be a contradiction between
    /// two readings of the same bytes, and is refused.
    fn judge(&self, structure: MessageStructure<'_>) -> Result<Signer, VerifyError> {
        if structure.processed_csf_message() {
            return Err(MessageError::Cleartext.into());
        }
        let mut results = Vec::new();
        for layer in structure {
            match layer {
                MessageLayer::SignatureGroup { results: group } => results.extend(group),
                MessageLayer::Encryption { .. } => return Err(MessageError::Encrypted.into()),
                MessageLayer::Compression { .. } => {
                    return Err(MessageError::Unexpected("compressed data".to_owned()).into());
                }
            }
        }
        match (results.pop(), results.len()) {
            (Some(Ok(good)), 0) => self.accept(good.sig, good.ka.cert(), &good.ka.key().fingerprint()),
            (Some(Err(error)), 0) => self.accept_renewed(error),
            (None, _) => Err(MessageError::Unsigned.into()),
            (Some(_), _) => Err(MessageError::SeveralSignatures.into()),
        }
    }

    /// gpg replaces what binds a key to its certificate when an expiry is set anew, and then nothing is left that says how
    /// the key was bound before. Such a key is judged by what binds it now alone.
    fn accept_renewed(&self, error: VerificationError<'_>) -> Result<Signer, VerifyError> {
        let VerificationError::UnboundKey { sig, cert, .. } = &error else { return Err(error.into()) };
        let issuers = sig.get_issuers();
        let is_issuer = |key: &ErasedKeyAmalgamation<'_, PublicParts>| {
            issuers.iter().any(|issuer| issuer.aliases(KeyHandle::from(key.key().fingerprint())))
        };
        let Some(key) = cert.keys().find(is_issuer) else { return Err(error.into()) };
        let is_older = sig.signature_creation_time().is_some_and(|made| key.key().creation_time() <= made);
        let may_sign = key.with_policy(self.policy, self.now).is_ok_and(|key| key.for_signing());
        if !is_older || !may_sign {
            return Err(error.into());
        }
        let fingerprint = key.key().fingerprint();
        let not_good = |error| VerifyError::BadSignature { key: fingerprint.to_hex(), reason: reason(&error) };
        sig.signature_alive(self.now, None).map_err(not_good)?;
        self.policy.signature(sig, HashAlgoSecurity::CollisionResistance).map_err(not_good)?;
        sig.verify_document(key.key()).map_err(not_good)?;
        self.accept(sig, cert, &fingerprint)
    }

    /// The key signed well. It must still be good: gpg refuses the signatures of a key that has expired or was revoked
    /// since.
    fn accept(&self, signature: &Signature, certificate: &Cert, key: &Fingerprint) -> Result<Signer, VerifyError> {
        let bad = |reason| VerifyError::BadKey { key: key.to_hex(), reason };
        let valid = certificate.with_policy(self.policy, self.now).map_err(|error| bad(reason(&error)))?;
        valid.alive().map_err(|error| bad(reason(&error)))?;
        not_revoked(&valid.revocation_status()).map_err(&bad)?;
        let same_key = |candidate: &ErasedKeyAmalgamation<'_, PublicParts>| candidate.key().fingerprint() == *key;
        let amalgamation = certificate.keys().find(same_key).ok_or_else(|| bad("not in its certificate".to_owned()))?;
        let valid_key = amalgamation.with_policy(self.policy, self.now).map_err(|error| bad(reason(&error)))?;
        valid_key.alive().map_err(|error| bad(reason(&error)))?;
        not_revoked(&valid_key.revocation_status()).map_err(&bad)?;
        let user_id = valid.primary_userid().ok().or_else(|| valid.userids().next());
        Ok(Signer {
            certificate: certificate.fingerprint(),
            user_id: user_id.map(|user_id| String::from_utf8_lossy(user_id.userid().value()).into_owned()),
            created: signature.signature_creation_time(),
            key: key.clone(),
        })
    }
}

fn not_revoked(status: &RevocationStatus<'_>) -> Result<(), String> {
    match status {
        RevocationStatus::Revoked(_) => Err("it is revoked".to_owned()),
        // A revocation by somebody whom the key names as its revoker, which nobody here can verify.
        RevocationStatus::CouldBe(_) => Err("it may be revoked, by another key that it names".to_owned()),
        RevocationStatus::NotAsFarAsWeKnow => Ok(()),
    }
}

impl From<VerificationError<'_>> for VerifyError {
    fn from(error: VerificationError<'_>) -> Self {
        use VerificationError as Error;
        match error {
            Error::MissingKey { sig } => {
                let issuer = sig.get_issuers().into_iter().next();
                Self::UnknownKey {
                    issuer: issuer.map_or_else(|| "without a name".to_owned(), |issuer| issuer.to_hex()),
                }
            }
            Error::UnboundKey { cert, error, .. } => {
                Self::BadKey { key: cert.fingerprint().to_hex(), reason: reason(&error) }
            }
            Error::BadKey { ka, error, .. } => {
                Self::BadKey { key: ka.key().fingerprint().to_hex(), reason: reason(&error) }
            }
            Error::BadSignature { ka, error, .. } => {
                Self::BadSignature { key: ka.key().fingerprint().to_hex(), reason: reason(&error) }
            }
            Error::MalformedSignature { error, .. } => Self::Malformed(reason(&error)),
            Error::UnknownSignature { sig } => Self::Malformed(reason(sig.error())),
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// sequoia's errors have no types to keep: the whole chain in one line, each thing once.
fn reason(error: &openpgp::anyhow::Error) -> String {
    let mut causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    causes.dedup();
    causes.join(": ")
}
