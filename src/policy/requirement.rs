//! One requirement, asked about an image.

use std::sync::Arc;
use std::time::SystemTime;

use super::{
    JudgedRequirement, KeyError, Refusal, Rejection, SignatureVerdict, Signer, Verdict, identity, signed_by,
    sigstore_signed,
};
use crate::config::policy_json::{Requirement, SignedIdentity};
use crate::digest::Digest;
use crate::manifest::ManifestBytes;
use crate::reference::{ImageReference, Reference};
use crate::signature::UntrustedSignature;
use crate::source::FoundSignature;

/// What signatures are judged against: one manifest under one name.
pub(super) struct Subject<'a> {
    pub(super) image: &'a ImageReference,
    pub(super) manifest: &'a ManifestBytes,
    pub(super) now: SystemTime,
    /// Whether a bundle that names no image is good for every image with its digest.
    pub(super) accept_unnamed: bool,
}

/// What can be said of a requirement before anything of the image is read. `None` when it depends on signatures.
///
/// Every type is named, so that a new one has to be thought about.
pub(super) fn beforehand(requirement: &Requirement) -> Option<Verdict> {
    let not_implemented = |what| Some(Verdict::Refused(Refusal::NotImplemented(what)));
    match requirement {
        Requirement::InsecureAcceptAnything => Some(Verdict::Met),
        Requirement::Reject => Some(Verdict::Refused(Refusal::RejectsEverything)),
        Requirement::SignedBaseLayer { .. } => not_implemented("signedBaseLayer"),
        Requirement::SignedBy(signed_by) => signed_by::unimplemented(signed_by.key_type).and_then(not_implemented),
        Requirement::SigstoreSigned(_) => None,
    }
}

/// Judges all signatures by one requirement: a single good one is enough.
pub(super) fn judge(
    requirement: &Requirement,
    subject: &Subject<'_>,
    signatures: &[FoundSignature],
) -> JudgedRequirement {
    let outcome = match requirement {
        Requirement::SignedBy(signed_by) => signed_by::Verifier::new(signed_by, subject.now).map(|verifier| {
            each(signatures, |signature| match signature {
                UntrustedSignature::SimpleSigning(message) => Some(verifier.judge(message, subject)),
                UntrustedSignature::Sigstore(_) => None,
            })
        }),
        Requirement::SigstoreSigned(sigstore_signed) => sigstore_signed::Verifier::new(sigstore_signed, subject.now)
            .map(|verifier| {
                each(signatures, |signature| match signature {
                    UntrustedSignature::Sigstore(signature) => verifier.judge(signature, subject),
                    UntrustedSignature::SimpleSigning(_) => None,
                })
            }),
        Requirement::InsecureAcceptAnything | Requirement::Reject | Requirement::SignedBaseLayer { .. } => {
            Ok(Vec::new())
        }
    };
    summed_up(requirement.type_name(), outcome)
}

fn each(
    signatures: &[FoundSignature],
    judge: impl Fn(&UntrustedSignature) -> Option<Result<Signer, Rejection>>,
) -> Vec<SignatureVerdict> {
    let verdict = |found: &FoundSignature| match judge(&found.signature) {
        None => SignatureVerdict::OtherKind,
        Some(Ok(signer)) => SignatureVerdict::Accepted(signer),
        Some(Err(rejection)) => SignatureVerdict::Rejected(Arc::new(rejection)),
    };
    signatures.iter().map(verdict).collect()
}

fn summed_up(requirement: &'static str, outcome: Result<Vec<SignatureVerdict>, KeyError>) -> JudgedRequirement {
    let signatures = match outcome {
        Ok(signatures) => signatures,
        Err(error) => {
            let verdict = Verdict::Undecided(error.into());
            return JudgedRequirement { requirement, verdict, signatures: Vec::new() };
        }
    };
    let verdict = if signatures.iter().any(|verdict| matches!(verdict, SignatureVerdict::Accepted(_))) {
        Verdict::Met
    } else if signatures.is_empty() {
        Verdict::Refused(Refusal::NoSignature)
    } else if signatures.iter().all(|verdict| matches!(verdict, SignatureVerdict::OtherKind)) {
        Verdict::Refused(Refusal::OtherSignatures)
    } else {
        Verdict::Refused(Refusal::NoneAccepted)
    };
    JudgedRequirement { requirement, verdict, signatures }
}

impl Subject<'_> {
    /// The signature is for these very bytes.
    pub(super) fn check_manifest(&self, signed: &Digest) -> Result<(), Rejection> {
        let manifest = Digest::of(signed.algorithm(), self.manifest.bytes());
        if manifest == *signed { Ok(()) } else { Err(Rejection::OtherManifest { signed: signed.clone(), manifest }) }
    }

    /// The signature is for this name.
    pub(super) fn check_identity(&self, rule: &SignedIdentity, signed: &str) -> Result<(), Rejection> {
        if identity::matches(rule, self.reference(), signed) {
            return Ok(());
        }
        let (signed, image, rule) = (signed.to_owned(), self.image.clone(), rule.type_name());
        Err(Rejection::OtherIdentity { signed, image, rule })
    }

    /// The signature is for these bytes under any name. That is less than any rule asks for, so only who says that it is
    /// enough gets it; and never where the policy says which name must be signed.
    pub(super) fn check_unnamed(&self, rule: &SignedIdentity) -> Result<(), Rejection> {
        let names_one = matches!(rule, SignedIdentity::ExactReference(_) | SignedIdentity::ExactRepository(_));
        if self.accept_unnamed && !names_one { Ok(()) } else { Err(Rejection::NoIdentity(rule.type_name())) }
    }

    fn reference(&self) -> Option<&Reference> {
        match self.image {
            ImageReference::Docker(docker) => Some(docker.reference()),
            _ => None,
        }
    }
}
