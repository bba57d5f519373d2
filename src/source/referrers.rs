//! Signatures as cosign 3 attaches them: bundles in artifacts that refer to the signed manifest
//! ([cosign's specification](https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md)).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::signatures::{self, FoundSignature, SignaturePlace};
use super::{Error, attachments};
use crate::digest::Digest;
use crate::manifest::Artifact;
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::registry::{Referrer, RegistryClient, Selector};
use crate::signature::{SigstoreSignature, UntrustedSignature};

/// Where an artifact says what its bundle states about the image.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// What it says of a signature; anything else is an attestation.
const SIGNATURE_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The bundles that refer to a manifest, in the registry's order.
///
/// An attestation that says so is left out before it is read. One that does not is read too: only its content tells.
pub(super) fn find(client: &Arc<RegistryClient>, digest: &Digest) -> Result<Vec<FoundSignature>, Error> {
    let mut found = Vec::new();
    for referrer in candidates(client, digest)? {
        let reference = Reference::from(client.name().clone()).with_digest(referrer.clone());
        let manifest = match client.manifest(&Selector::Digest(referrer)) {
            // Nobody takes what was deleted off the list that stands in for the API. What is not there allows nothing.
            Err(error) if error.is_not_found() => {
                log::warn!("{reference}: ignored as a signature: it is listed, and not there");
                continue;
            }
            outcome => outcome.map_err(Error::Registry)?,
        };
        if *manifest.media_type() != MediaType::OCI_MANIFEST {
            log::warn!("{reference}: ignored as a signature: {:?} is no artifact", manifest.media_type().as_str());
            continue;
        }
        let artifact = Artifact::parse(&manifest)
            .map_err(|source| Error::SignatureManifest { reference: reference.clone(), source })?;
        signatures::expect_room(&reference, &found)?;
        if let Some(bundle) = bundle(client, &reference, &artifact, digest)? {
            let signature = UntrustedSignature::Sigstore(SigstoreSignature {
                media_type: MediaType::SIGSTORE_BUNDLE,
                payload: bundle,
                annotations: BTreeMap::new(),
            });
            found.push(FoundSignature { signature, place: SignaturePlace::Referrer(reference) });
        }
    }
    Ok(found)
}

/// Every referrer that may be a signature by what the list says of it.
fn candidates(client: &RegistryClient, digest: &Digest) -> Result<Vec<Digest>, Error> {
    let mut candidates = Vec::new();
    let mut room = Ok(());
    let outcome = client.referrers(digest, &MediaType::SIGSTORE_BUNDLE, |referrer| {
        if !may_be_signature(&referrer) || candidates.contains(&referrer.digest) {
            return ControlFlow::Continue(());
        }
        let subject = || Reference::from(client.name().clone()).with_digest(digest.clone());
        room = signatures::expect_count(&format_args!("the referrers of {}", subject()), candidates.len());
        candidates.push(referrer.digest);
        if room.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    outcome.map_err(Error::Registry)?;
    room.map(|()| candidates)
}

/// The list need not say what kind of artifact a referrer is, nor repeat its annotations.
fn may_be_signature(referrer: &Referrer) -> bool {
    let is_manifest = referrer.media_type == MediaType::OCI_MANIFEST || referrer.media_type.as_str().is_empty();
    let is_bundle = referrer.artifact_type.is_sigstore_bundle() || referrer.artifact_type.as_str().is_empty();
    is_manifest && is_bundle && may_state_signature(&referrer.annotations)
}

fn may_state_signature(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(PREDICATE).is_none_or(|predicate| predicate == SIGNATURE_PREDICATE)
}

/// The bundle of an artifact; `None` where it is about something else.
fn bundle(
    client: &Arc<RegistryClient>,
    reference: &Reference,
    artifact: &Artifact,
    subject: &Digest,
) -> Result<Option<Vec<u8>>, Error> {
    let manifest = artifact.manifest();
    if !artifact.artifact_type().is_sigstore_bundle() || !may_state_signature(manifest.annotations()) {
        return Ok(None);
    }
    if artifact.subject() != Some(subject.as_str()) {
        let found = artifact.subject().unwrap_or_default();
        log::warn!("{reference}: ignored as a signature: it is listed for {subject}, and refers to {found:?}");
        return Ok(None);
    }
    let is_bundle = |media_type: MediaType| media_type.is_sigstore_bundle();
    let Some(layer) = manifest.layers().iter().find(|layer| is_bundle(MediaType::from(layer.media_type()))) else {
        log::warn!("{reference}: ignored as a signature: there is no bundle in it");
        return Ok(None);
    };
    attachments::read_layer(client, reference, layer).map(|(_, bundle)| Some(bundle))
}
