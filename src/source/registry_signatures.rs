//! The signatures of an image in a registry, in every place that may have them.
//!
//! All of them belong to the *physical* repository that served the top-level manifest: another mirror may have other
//! signatures, and they are not about what was read here. They belong to a digest too: what a tag names by now does not
//! matter any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::lookaside::Lookaside;
use super::settings::Settings;
use super::signatures::{self, FoundSignature, SignatureDemand, SignaturePlace};
use super::{Error, attachments, referrers};
use crate::config::{LookasideError, LookasideUrl, PullSource};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::registry::RegistryClient;
use crate::signature::UntrustedSignature;

/// The places that one pull source's signatures are in.
pub(super) struct SignaturePlaces<'a> {
    pub(super) pull_source: &'a PullSource,
    pub(super) client: &'a Arc<RegistryClient>,
    pub(super) settings: &'a Settings,
}

impl SignaturePlaces<'_> {
    /// The signatures of a manifest: those of the store, or of the registry itself; then those that are attached.
    pub(super) fn find(&self, digest: &Digest, demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        self.find_anywhere(digest, demand).map_err(|source| {
            let of = self.pull_source.physical.clone().without_tag().with_digest(digest.clone());
            Error::Signatures { of, source: Box::new(source) }
        })
    }

    fn find_anywhere(&self, digest: &Digest, demand: SignatureDemand) -> Result<Vec<FoundSignature>, Error> {
        let configured = &self.settings.config.registries_d;
        let lookaside = match configured.lookaside(&self.pull_source.physical) {
            // There is no default directory then, so it has nothing in it.
            Err(LookasideError::NoHome) => None,
            outcome => Some(outcome.map_err(Error::Lookaside)?),
        };
        if configured.use_sigstore_attachments(&self.pull_source.physical) {
            let mut found = self.stored(lookaside, digest)?;
            found.extend(attachments::find(self.client, digest)?);
            found.extend(referrers::find(self.client, digest)?);
            return Ok(found);
        }
        let is_configured = lookaside.as_ref().is_some_and(|lookaside| lookaside.place().is_some());
        if demand == SignatureDemand::Judged && !is_configured && self.has_extension()? {
            return self.kept_by_registry(digest);
        }
        self.stored(lookaside, digest)
    }

    fn stored(&self, lookaside: Option<LookasideUrl>, digest: &Digest) -> Result<Vec<FoundSignature>, Error> {
        let Some(lookaside) = lookaside else { return Ok(Vec::new()) };
        Lookaside::new(lookaside, self.pull_source, self.settings)?.signatures(digest)
    }

    fn has_extension(&self) -> Result<bool, Error> {
        self.client.supports_signatures().map_err(Error::Registry)
    }

    fn kept_by_registry(&self, digest: &Digest) -> Result<Vec<FoundSignature>, Error> {
        let listed = self.client.extension_signatures(digest).map_err(Error::Registry)?;
        let name = self.client.name();
        let mut found = Vec::new();
        for listed in listed {
            signatures::expect_room(&Reference::from(name.clone()).with_digest(digest.clone()), &found)?;
            let place = SignaturePlace::Extension { name: name.clone(), signature: listed.name };
            found.push(FoundSignature { signature: UntrustedSignature::SimpleSigning(listed.content), place });
        }
        Ok(found)
    }
}

/// Of so many manifests the signatures are kept.
const MAX_CACHED: usize = 4;

/// What was found before: signatures are asked for twice, to judge an image and to copy it.
#[derive(Default)]
pub(super) struct SignatureCache {
    of_digests: Mutex<HashMap<Digest, Arc<Mutex<Option<Found>>>>>,
}

struct Found {
    signatures: Vec<FoundSignature>,
    demand: SignatureDemand,
}

impl SignatureCache {
    /// The signatures of a manifest; `find` is called where they are not known yet.
    pub(super) fn get(
        &self,
        digest: &Digest,
        demand: SignatureDemand,
        find: impl FnOnce() -> Result<Vec<FoundSignature>, Error>,
    ) -> Result<Vec<FoundSignature>, Error> {
        let slot = {
            let mut of_digests = self.of_digests.lock().unwrap_or_else(PoisonError::into_inner);
            // An index may have thousands of instances, and each is asked about twice at most, one after the other.
            if of_digests.len() >= MAX_CACHED && !of_digests.contains_key(digest) {
                of_digests.clear();
            }
            Arc::clone(of_digests.entry(digest.clone()).or_default())
        };
        // This lock is held while asking: who wants the same waits for the one answer.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        // To judge, more places may be asked than to copy.
        let suffices = |found: &&Found| found.demand == SignatureDemand::Judged || found.demand == demand;
        if let Some(found) = slot.as_ref().filter(suffices) {
            return Ok(found.signatures.clone());
        }
        let signatures = find()?;
        *slot = Some(Found { signatures: signatures.clone(), demand });
        Ok(signatures)
    }
}
