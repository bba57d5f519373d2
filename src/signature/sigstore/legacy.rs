//! Signatures of an image as cosign made them before version 3, and as podman and skopeo make them: a payload, and
//! annotations with what vouches for it.

use std::time::SystemTime;

use super::certificate::{Certificate, Clock, Moment};
use super::error::SigstoreError;
use super::rekor::{Logged, Verifier, verify_set};
use super::{
    BUNDLE_ANNOTATION, CERTIFICATE_ANNOTATION, CHAIN_ANNOTATION, Fulcio, Pki, PublicKey, RekorKey,
    SIGNATURE_ANNOTATION, Signer, SigstoreSignature, Trust, Verified,
};
use crate::signature::payload::{Payload, PayloadKind};
use crate::strict_json::from_base64;

pub(super) fn verify(signature: &SigstoreSignature, trust: &Trust, now: SystemTime) -> Result<Verified, SigstoreError> {
    let (signer, integrated_time) = match trust {
        Trust::Keys { keys, rekor } => by_key(signature, keys, rekor)?,
        Trust::Fulcio(fulcio) => by_fulcio(signature, fulcio)?,
        Trust::Pki(pki) => by_pki(signature, pki, now)?,
    };
    let payload = Payload::parse(&signature.payload, PayloadKind::Sigstore).map_err(SigstoreError::Payload)?;
    let docker_reference = Some(payload.docker_reference);
    Ok(Verified { manifest_digest: payload.manifest_digest, docker_reference, signer, integrated_time })
}

fn by_key(
    signature: &SigstoreSignature,
    keys: &[PublicKey],
    rekor: &[RekorKey],
) -> Result<(Signer, Option<SystemTime>), SigstoreError> {
    let payload = signature.payload.as_slice();
    let bytes = signature_bytes(signature)?;
    let key = keys.iter().find(|key| key.verify(payload, &bytes).is_ok());
    let key = key.ok_or_else(|| SigstoreError::not_by_key(keys))?;
    let signer = Signer::Key(key.clone());
    if rekor.is_empty() {
        return Ok((signer, None));
    }
    let logged = Logged { payload, signature: &bytes, verifier: Verifier::Key(key) };
    let set = annotation(signature, BUNDLE_ANNOTATION)?;
    let time = verify_set(rekor, set.as_bytes(), logged).map_err(SigstoreError::Rekor)?;
    Ok((signer, Some(time)))
}

fn by_fulcio(signature: &SigstoreSignature, fulcio: &Fulcio) -> Result<(Signer, Option<SystemTime>), SigstoreError> {
    let bytes = signature_bytes(signature)?;
    let set = annotation(signature, BUNDLE_ANNOTATION)?;
    let (leaf, intermediates) = certificates(signature)?;
    let logged = Logged { payload: &signature.payload, signature: &bytes, verifier: Verifier::Certificate(leaf.der()) };
    let time = verify_set(&fulcio.rekor, set.as_bytes(), logged).map_err(SigstoreError::Rekor)?;
    let moment = Moment { time, clock: Clock::Log };
    fulcio.verify(&leaf, &references(&intermediates), moment).map_err(SigstoreError::Certificate)?;
    check_signed_by(&leaf, &signature.payload, &bytes)?;
    Ok((Signer::fulcio(fulcio), Some(time)))
}

fn by_pki(
    signature: &SigstoreSignature,
    pki: &Pki,
    now: SystemTime,
) -> Result<(Signer, Option<SystemTime>), SigstoreError> {
    let bytes = signature_bytes(signature)?;
    let (leaf, intermediates) = certificates(signature)?;
    let moment = Moment { time: now, clock: Clock::Local };
    pki.verify(&leaf, &references(&intermediates), moment).map_err(SigstoreError::Certificate)?;
    check_signed_by(&leaf, &signature.payload, &bytes)?;
    Ok((Signer::pki(pki), None))
}

/// The leaf, and what is between it and the authority. The last one of the chain is the authority's own, by the field's
/// convention; that one is never taken from a signature.
fn certificates(signature: &SigstoreSignature) -> Result<(Certificate, Vec<Certificate>), SigstoreError> {
    let of = |annotation, source| SigstoreError::AnnotationCertificate { annotation, source };
    let leaf = annotation(signature, CERTIFICATE_ANNOTATION)?;
    let leaf = Certificate::from_pem(leaf.as_bytes()).map_err(|error| of(CERTIFICATE_ANNOTATION, error))?;
    let Some(chain) = signature.annotations.get(CHAIN_ANNOTATION) else { return Ok((leaf, Vec::new())) };
    let mut chain = Certificate::all_from_pem(chain.as_bytes()).map_err(|error| of(CHAIN_ANNOTATION, error))?;
    chain.pop();
    let chain = Certificate::expect_few(chain).map_err(SigstoreError::Certificate)?;
    Ok((leaf, chain))
}

fn references(certificates: &[Certificate]) -> Vec<&Certificate> {
    certificates.iter().collect()
}

fn check_signed_by(leaf: &Certificate, payload: &[u8], bytes: &[u8]) -> Result<(), SigstoreError> {
    let key = leaf.public_key().map_err(SigstoreError::Certificate)?;
    key.verify(payload, bytes).map_err(|_| SigstoreError::NotByCertificate)
}

fn signature_bytes(signature: &SigstoreSignature) -> Result<Vec<u8>, SigstoreError> {
    let text = annotation(signature, SIGNATURE_ANNOTATION)?;
    from_base64(text).map_err(|source| SigstoreError::AnnotationBase64 { annotation: SIGNATURE_ANNOTATION, source })
}

fn annotation<'a>(signature: &'a SigstoreSignature, name: &'static str) -> Result<&'a str, SigstoreError> {
    let text = signature.annotations.get(name);
    text.map(String::as_str).ok_or(SigstoreError::AnnotationMissing(name))
}
