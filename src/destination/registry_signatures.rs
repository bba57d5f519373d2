//! Where the signatures of an image in a registry go.

use std::sync::Arc;

use super::error::failed;
use super::{Error, attachments, extension, lookaside, referrers};
use crate::config::{LookasideError, LookasideUrl, RegistriesD};
use crate::digest::Digest;
use crate::manifest::document;
use crate::media_type::MediaType;
use crate::reference::{ImageReference, Reference};
use crate::registry::RegistryClient;
use crate::signature::{SigstoreSignature, UntrustedSignature};

/// The places for the signatures of one repository.
pub(super) struct SignaturePlaces<'a> {
    pub(super) reference: &'a ImageReference,
    pub(super) physical: &'a Reference,
    pub(super) client: &'a Arc<RegistryClient>,
    pub(super) registries_d: &'a RegistriesD,
}

/// What signatures are about.
pub(super) struct Subject<'a> {
    pub(super) digest: Digest,
    pub(super) descriptor: document::Descriptor,
    /// Puts the manifest into the registry, by its digest, unless it is there.
    pub(super) put: &'a dyn Fn() -> Result<(), Error>,
}

/// Where simple signatures go.
enum SimplePlace {
    /// Files beside the registry.
    Store(LookasideUrl),
    /// The registry itself keeps them.
    Registry,
}

impl SignaturePlaces<'_> {
    /// Fails unless each of the signatures has a place.
    pub(super) fn check(&self, signatures: &[UntrustedSignature]) -> Result<(), Error> {
        let sorted = Sorted::of(signatures);
        let has_sigstore = !sorted.attachments.is_empty() || !sorted.bundles.is_empty();
        if has_sigstore && !self.registries_d.use_sigstore_attachments(self.physical) {
            return Err(Error::NoAttachments { image: self.reference.clone() });
        }
        if sorted.simple.is_empty() {
            return Ok(());
        }
        match self.simple_place()? {
            SimplePlace::Store(store) => lookaside::check(&store),
            SimplePlace::Registry => Ok(()),
        }
    }

    /// Simple signatures replace those in a lookaside store. To those in the registry, of whatever kind, they are added.
    pub(super) fn put(&self, signatures: &[UntrustedSignature], subject: &Subject<'_>) -> Result<(), Error> {
        self.check(signatures)?;
        let sorted = Sorted::of(signatures);
        if !sorted.attachments.is_empty() {
            attachments::add(self.client, &subject.digest, &sorted.attachments)?;
        }
        if !sorted.bundles.is_empty() {
            referrers::add(self.client, &subject.digest, &subject.descriptor, &sorted.bundles)?;
        }
        if sorted.simple.is_empty() {
            return Ok(());
        }
        match self.simple_place()? {
            SimplePlace::Store(store) => lookaside::replace(&store, &subject.digest, &sorted.simple),
            SimplePlace::Registry => {
                // It keeps signatures only of what it has.
                (subject.put)()?;
                extension::add(self.client, &subject.digest, &sorted.simple)
            }
        }
    }

    /// Where they are looked for: in a store that is configured, else in the registry where it keeps signatures, else in
    /// the default store. The registry is asked only where its answer matters.
    fn simple_place(&self) -> Result<SimplePlace, Error> {
        let store = self.registries_d.lookaside_staging(self.physical);
        let is_configured = match &store {
            Ok(store) => store.place().is_some(),
            Err(error) => *error != LookasideError::NoHome,
        };
        let has_choice = !is_configured && !self.registries_d.use_sigstore_attachments(self.physical);
        if has_choice && self.client.supports_signatures().map_err(failed)? {
            return Ok(SimplePlace::Registry);
        }
        Ok(SimplePlace::Store(store?))
    }
}

/// Signatures by where they go.
#[derive(Default)]
struct Sorted<'a> {
    simple: Vec<&'a UntrustedSignature>,
    attachments: Vec<&'a SigstoreSignature>,
    bundles: Vec<&'a SigstoreSignature>,
}

impl<'a> Sorted<'a> {
    fn of(signatures: &'a [UntrustedSignature]) -> Self {
        let mut sorted = Self::default();
        for signature in signatures {
            match signature {
                UntrustedSignature::SimpleSigning(_) => sorted.simple.push(signature),
                UntrustedSignature::Sigstore(bundle) if bundle.media_type == MediaType::SIGSTORE_BUNDLE => {
                    sorted.bundles.push(bundle);
                }
                UntrustedSignature::Sigstore(signature) => sorted.attachments.push(signature),
            }
        }
        sorted
    }
}
