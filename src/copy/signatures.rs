//! What becomes of signatures: those of the source go along, and new ones are made.

use std::time::SystemTime;

use super::{Error, Event, Options};
use crate::destination::ImageDestination;
use crate::digest::Digest;
use crate::manifest::ManifestBytes;
use crate::policy::AllowedImage;
use crate::reference::{ImageReference, Reference};
use crate::signature::{ImageSigner, UntrustedSignature};
use crate::source::SignatureDemand;

/// The signatures of one manifest that go along.
pub(super) struct Carried {
    signatures: Vec<UntrustedSignature>,
}

impl Carried {
    /// Reads them, and makes sure that the destination can keep them and those that will be made: before the first blob.
    pub(super) fn read(
        allowed: &AllowedImage<'_>,
        destination: &dyn ImageDestination,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let signatures = if options.remove_signatures { Vec::new() } else { signatures(allowed)? };
        if !options.signers.is_empty() {
            signed_identity(destination, options)?;
        }
        let to_be_made = options.signers.iter().map(ImageSigner::sample);
        destination.check_signatures(&signatures.iter().cloned().chain(to_be_made).collect::<Vec<_>>())?;
        Ok(Self { signatures })
    }

    /// True when the image is signed, so that it must stay what it is.
    pub(super) fn is_some(&self) -> bool {
        !self.signatures.is_empty()
    }

    /// Hands them over, and the new ones, for the manifest as it was written.
    pub(super) fn put(
        &self,
        written: &ManifestBytes,
        instance: Option<&Digest>,
        destination: &dyn ImageDestination,
        options: &Options<'_>,
    ) -> Result<(), Error> {
        let mut signatures = self.signatures.clone();
        for signer in options.signers {
            let identity = signed_identity(destination, options)?;
            signatures.push(signer.sign(written.digest(), &identity.to_string(), SystemTime::now())?);
        }
        if signatures.is_empty() {
            return Ok(());
        }
        options.progress.event(&Event::Signatures { manifest: written.digest(), count: signatures.len() });
        Ok(destination.put_signatures(&signatures, instance)?)
    }
}

/// Those that were judged, or where nobody wanted them yet, those that the source has.
fn signatures(allowed: &AllowedImage<'_>) -> Result<Vec<UntrustedSignature>, Error> {
    if let Some(judged) = allowed.judgement().asked_signatures() {
        return Ok(judged.iter().map(|found| found.signature.clone()).collect());
    }
    let found = allowed.source().signatures(allowed.instance(), SignatureDemand::Carried)?;
    Ok(found.into_iter().map(|found| found.signature).collect())
}

/// The name to sign: what was asked for, or the place's own name.
fn signed_identity(destination: &dyn ImageDestination, options: &Options<'_>) -> Result<Reference, Error> {
    if let Some(identity) = &options.sign_identity {
        return Ok(identity.clone());
    }
    match destination.reference() {
        ImageReference::Docker(docker) => Ok(docker.reference().clone()),
        other => Err(Error::NoIdentity(other.clone())),
    }
}
