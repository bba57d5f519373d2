//! Bundles, as cosign 3 attaches them: an envelope around a statement, and all that vouches for it in one document.
//!
//! sigstore's own library verifies what a log says about a bundle. Which identities and which chains are accepted is
//! decided by the same code as for the older signatures.

use std::time::SystemTime;

use serde_json::{Value, json};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{ArtifactDigest, Bundle, DerPublicKey, DsseEnvelope, HashAlgorithm, SignatureContent};
use sigstore_verify::{Policy, PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier};

use super::certificate::{CaCertificates, Certificate, Clock, Moment};
use super::error::SigstoreError;
use super::provider;
use super::statement::{PAYLOAD_TYPE, Statement, StatementError};
use super::{Fulcio, Pki, PublicKey, RekorKey, Signer, Trust, Verified};
use crate::digest::{Algorithm, Digest};
use crate::strict_json::{check_unique_keys, to_base64};

/// More entries of logs than this are not looked at. cosign writes one.
const MAX_LOG_ENTRIES: usize = 16;

/// Why a bundle is damaged, or does not hold together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not the JSON of a bundle.
    #[error("invalid bundle")]
    Json(#[source] serde_json::Error),
    /// What is signed is not a statement about one image.
    #[error("what the bundle signs cannot be read")]
    Statement(#[source] StatementError),
    /// More than anybody needs.
    #[error("the bundle has {0} log entries, at most {MAX_LOG_ENTRIES} are looked at")]
    LogEntries(usize),
    /// The log does not vouch for it, or for something else.
    #[error("the bundle does not verify")]
    Verification(#[source] sigstore_verify::Error),
    /// The keys and authorities that the policy names are not ones that the library takes.
    #[error("the trusted keys and certificates cannot be used for bundles")]
    TrustedRoot(#[source] serde_json::Error),
    /// No trusted log says when the certificate was used.
    #[error("no trusted log gives the time of the signature")]
    NoTime,
}

/// A bundle that is a signature of one image, as it says.
struct Signature {
    bundle: Bundle,
    envelope: DsseEnvelope,
    digest: Digest,
    name: Option<String>,
}

pub(super) fn verify(payload: &[u8], trust: &Trust, now: SystemTime) -> Result<Verified, SigstoreError> {
    let signature = Signature::parse(payload)?;
    let (signer, integrated_time) = match trust {
        Trust::Keys { keys, rekor } => by_key(&signature, keys, rekor)?,
        Trust::Fulcio(fulcio) => by_fulcio(&signature, fulcio)?,
        Trust::Pki(pki) => by_pki(&signature, pki, now)?,
    };
    let Signature { digest, name, .. } = signature;
    Ok(Verified { manifest_digest: digest, docker_reference: name, signer, integrated_time })
}

impl Signature {
    fn parse(payload: &[u8]) -> Result<Self, SigstoreError> {
        check_unique_keys(payload).map_err(invalid)?;
        let mut bundle: Bundle = serde_json::from_slice(payload).map_err(invalid)?;
        let material = &mut bundle.verification_material;
        let entries = material.tlog_entries.len();
        if entries > MAX_LOG_ENTRIES {
            return Err(SigstoreError::Bundle(BundleError::LogEntries(entries)));
        }
        // A policy has no place to name an authority for time stamps, so they prove nothing, and the library refuses
        // what it cannot check.
        material.timestamp_verification_data.rfc3161_timestamps.clear();
        let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
            return Err(unsupported("it signs bytes, not a statement about an image"));
        };
        let envelope = envelope.clone();
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(unsupported(format!("its payload is {:?}, expected {PAYLOAD_TYPE:?}", envelope.payload_type)));
        }
        let statement = Statement::parse(envelope.payload.as_bytes()).map_err(statement_error)?;
        if let Some(attestation) = statement.attestation() {
            return Err(unsupported(format!("it is an attestation ({attestation}), not a signature")));
        }
        let (digest, name) = statement.subject().map_err(statement_error)?;
        Ok(Self { bundle, envelope, digest, name })
    }

    fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verify_envelope(&self.envelope.pae(), self.envelope.signature.sig.as_bytes()).is_ok()
    }

    /// The leaf, and what came with it; both unverified.
    fn certificates(&self) -> Result<(Certificate, Vec<Certificate>), SigstoreError> {
        let ders: Vec<&[u8]> = match &self.bundle.verification_material.content {
            VerificationMaterialContent::Certificate(certificate) => vec![certificate.raw_bytes.as_bytes()],
            VerificationMaterialContent::X509CertificateChain { certificates } => {
                certificates.iter().map(|certificate| certificate.raw_bytes.as_bytes()).collect()
            }
            _ => return Err(SigstoreError::OtherMaterial { expected: "a certificate", found: "a key" }),
        };
        let read = ders.into_iter().map(Certificate::from_der).collect::<Result<Vec<_>, _>>();
        let mut certificates = read.map_err(SigstoreError::Certificate)?.into_iter();
        let found = "an empty chain of certificates";
        let leaf = certificates.next().ok_or(SigstoreError::OtherMaterial { expected: "a certificate", found })?;
        let chain = Certificate::expect_few(certificates.collect()).map_err(SigstoreError::Certificate)?;
        Ok((leaf, chain))
    }

    /// All that the library checks, against this trust.
    fn verify(&self, root: Value, policy: &dyn Policy) -> Result<VerificationResult, SigstoreError> {
        provider::ensure_installed();
        let root: TrustedRoot =
            serde_json::from_value(root).map_err(|error| SigstoreError::Bundle(BundleError::TrustedRoot(error)))?;
        let verifier = Verifier::new(&root).map_err(not_verified)?;
        let digest = artifact(&self.digest).map_err(not_verified)?;
        verifier.verify(digest, &self.bundle, policy).map_err(not_verified)
    }
}

fn by_key(
    signature: &Signature,
    keys: &[PublicKey],
    rekor: &[RekorKey],
) -> Result<(Signer, Option<SystemTime>), SigstoreError> {
    if !matches!(signature.bundle.verification_material.content, VerificationMaterialContent::PublicKey(_)) {
        return Err(SigstoreError::OtherMaterial { expected: "a key", found: "a certificate" });
    }
    let key = keys.iter().find(|key| signature.is_signed_by(key));
    let key = key.ok_or_else(|| SigstoreError::not_by_key(keys))?;
    let signer = Signer::Key(key.clone());
    // The library wants some proof of the time even from those who trust the key alone.
    if rekor.is_empty() {
        return Ok((signer, None));
    }
    let policy = PublicKeyVerificationPolicy::new(DerPublicKey::from(key.spki()));
    let result = signature.verify(root(rekor, None), &policy)?;
    Ok((signer, result.integrated_time().map(SystemTime::from)))
}

fn by_fulcio(signature: &Signature, fulcio: &Fulcio) -> Result<(Signer, Option<SystemTime>), SigstoreError> {
    let (leaf, intermediates) = signature.certificates()?;
    let intermediates: Vec<_> = intermediates.iter().collect();
    let policy = VerificationPolicy::any_identity().skip_sct();
    let result = signature.verify(root(&fulcio.rekor, Some(fulcio.authorities())), &policy)?;
    for time in result.verified_timestamps() {
        let moment = Moment { time: SystemTime::from(*time), clock: Clock::Log };
        fulcio.verify(&leaf, &intermediates, moment).map_err(SigstoreError::Certificate)?;
    }
    let time = result.integrated_time().ok_or(SigstoreError::Bundle(BundleError::NoTime))?;
    Ok((Signer::fulcio(fulcio), Some(SystemTime::from(time))))
}

fn by_pki(signature: &Signature, pki: &Pki, now: SystemTime) -> Result<(Signer, Option<SystemTime>), SigstoreError> {
    let (leaf, intermediates) = signature.certificates()?;
    let moment = Moment { time: now, clock: Clock::Local };
    pki.verify(&leaf, &intermediates.iter().collect::<Vec<_>>(), moment).map_err(SigstoreError::Certificate)?;
    let key = leaf.public_key().map_err(SigstoreError::Certificate)?;
    if signature.is_signed_by(&key) { Ok((Signer::pki(pki), None)) } else { Err(SigstoreError::NotByCertificate) }
}

/// The document in which the library takes keys and certificates.
fn root(rekor: &[RekorKey], authorities: Option<&CaCertificates>) -> Value {
    // The library takes no key twice.
    let mut keys: Vec<&PublicKey> = Vec::new();
    for key in rekor.iter().map(RekorKey::public_key) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let authorities = authorities.into_iter().flat_map(CaCertificates::iter);
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": keys.into_iter().map(log).collect::<Vec<_>>(),
        "certificateAuthorities": authorities.map(authority).collect::<Vec<_>>(),
    })
}

fn log(key: &PublicKey) -> Value {
    json!({
        "baseUrl": "",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": to_base64(key.spki()), "keyDetails": key.kind().as_str()},
        "logId": {"keyId": to_base64(&hash(&key.fingerprint()))},
    })
}

/// Each with its own dates: the library does not read them in the certificate of an authority.
fn authority(certificate: &Certificate) -> Value {
    let (start, end) = certificate.validity();
    json!({
        "uri": "",
        "certChain": {"certificates": [{"rawBytes": to_base64(certificate.der())}]},
        "validFor": {"start": start.to_string(), "end": end.to_string()},
    })
}

fn artifact(digest: &Digest) -> Result<ArtifactDigest, sigstore_verify::Error> {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => HashAlgorithm::Sha2256,
        Algorithm::Sha384 => HashAlgorithm::Sha2384,
        Algorithm::Sha512 => HashAlgorithm::Sha2512,
    };
    ArtifactDigest::new(algorithm, hash(digest)).map_err(sigstore_verify::Error::Types)
}

/// The bytes that a digest writes as text.
fn hash(digest: &Digest) -> Vec<u8> {
    let (pairs, _) = digest.encoded().as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| std::str::from_utf8(pair).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
    // A digest has no other characters.
    pairs.iter().filter_map(byte).collect()
}

fn invalid(error: serde_json::Error) -> SigstoreError {
    SigstoreError::Bundle(BundleError::Json(error))
}

fn statement_error(error: StatementError) -> SigstoreError {
    SigstoreError::Bundle(BundleError::Statement(error))
}

fn not_verified(error: sigstore_verify::Error) -> SigstoreError {
    SigstoreError::Bundle(BundleError::Verification(error))
}

fn unsupported(reason: impl Into<String>) -> SigstoreError {
    SigstoreError::UnsupportedBundle(reason.into())
}
