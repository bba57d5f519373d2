//! What a policy makes of an image, requirement by requirement and signature by signature.

use std::fmt;
use std::sync::Arc;

use super::SharedKeyError;
use crate::config::policy_json::PolicyScope;
use crate::digest::Digest;
use crate::error;
use crate::reference::ImageReference;
use crate::signature::{PayloadError, openpgp, sigstore};
use crate::source::FoundSignature;

/// A judgement in full: what decided, what was found, and why it is so. Printed as one line.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Judgement {
    /// The logical reference.
    pub image: ImageReference,
    /// The instance of an index that was judged; `None` for the top-level manifest.
    pub instance: Option<Digest>,
    /// The manifest that was judged; `None` when the policy says no whatever it is.
    pub manifest: Option<Digest>,
    /// Which part of the policy decided.
    pub scope: PolicyScope,
    /// What became of each requirement, in the policy's order. All must be met.
    pub requirements: Vec<JudgedRequirement>,
    /// The signatures that were found; none where no requirement looks at any.
    pub signatures: Arc<[FoundSignature]>,
    /// Whether the source was asked for them.
    pub(super) has_asked: bool,
}

/// One requirement.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JudgedRequirement {
    /// Its `type` in the policy.
    pub requirement: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// What it made of each of [`Judgement::signatures`], in the same order; empty when it did not look at them.
    pub signatures: Vec<SignatureVerdict>,
}

/// What became of a requirement.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// It is met.
    Met,
    /// It is not.
    Refused(Refusal),
    /// It could not be looked at.
    Undecided(SharedKeyError),
    /// It was not looked at, because another one is not met whatever the signatures are.
    NotAsked,
}

/// Why a requirement is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `reject` refuses everything.
    RejectsEverything,
    /// No implementation of policies verifies this, so it is never met.
    NotImplemented(&'static str),
    /// There is no signature at all.
    NoSignature,
    /// There are signatures, and none of the kind that is required.
    OtherSignatures,
    /// There are signatures of the kind, and none is good.
    NoneAccepted,
    /// Nothing in the policy looks at signatures, and that was demanded.
    NothingVerified,
}

/// What a requirement makes of one signature.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SignatureVerdict {
    /// It is good, and by this signer.
    Accepted(Signer),
    /// It is not.
    Rejected(Arc<Rejection>),
    /// It is of a kind that this requirement does not look at.
    OtherKind,
}

/// Who made a good signature, and for which name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// Who.
    pub kind: SignerKind,
    /// The name that was signed; `None` in a bundle that names none.
    pub identity: Option<String>,
}

/// Who made a good signature. Printed as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignerKind {
    /// The owner of an OpenPGP key.
    OpenPgp {
        /// The fingerprint of the certificate, in hexadecimal digits.
        certificate: String,
        /// The fingerprint of the key that signed: the certificate's own or a subkey's.
        key: String,
        /// A user id of the certificate, which whoever made the key wrote.
        user_id: Option<String>,
    },
    /// The owner of a key or of a certificate of sigstore's.
    Sigstore(sigstore::Signer),
}

impl SignerKind {
    /// The fingerprint of the OpenPGP certificate, or of the sigstore key; `None` where a name was certified.
    pub fn fingerprint(&self) -> Option<String> {
        match self {
            Self::OpenPgp { certificate, .. } => Some(certificate.clone()),
            Self::Sigstore(sigstore::Signer::Key(key)) => Some(key.fingerprint().to_string()),
            Self::Sigstore(_) => None,
        }
    }
}

impl fmt::Display for SignerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenPgp { certificate, user_id: Some(user_id), .. } => write!(f, "{certificate} {user_id}"),
            Self::OpenPgp { certificate, user_id: None, .. } => f.write_str(certificate),
            Self::Sigstore(signer) => signer.fmt(f),
        }
    }
}

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Not a good OpenPGP signature by one of the keys. Prints as its cause.
    #[error("{0}")]
    OpenPgp(#[source] openpgp::VerifyError),
    /// Not a good sigstore signature by whom it should be. Prints as its cause.
    #[error("{0}")]
    Sigstore(#[source] sigstore::SigstoreError),
    /// It is good, and what it says makes no sense.
    #[error("what is signed")]
    Payload(#[source] PayloadError),
    /// It is good, and for another manifest.
    #[error("it is for the manifest {signed}, not for {manifest}")]
    OtherManifest {
        /// The manifest that it is for.
        signed: Digest,
        /// The image's.
        manifest: Digest,
    },
    /// It is good, and for another name.
    #[error("it is for {signed:?}, which is not accepted for {image} ({rule})")]
    OtherIdentity {
        /// The name that it is for.
        signed: String,
        /// The logical reference.
        image: ImageReference,
        /// The kind of `signedIdentity`.
        rule: &'static str,
    },
    /// It is good, and for no name at all.
    #[error("it names no image, only a digest, so {0} cannot be checked")]
    NoIdentity(&'static str),
}

impl Judgement {
    /// True when every requirement is met.
    pub fn is_allowed(&self) -> bool {
        self.requirements.iter().all(|judged| matches!(judged.verdict, Verdict::Met))
    }

    /// True when some requirement is not met, whatever the others are.
    pub fn is_refused(&self) -> bool {
        self.requirements.iter().any(|judged| matches!(judged.verdict, Verdict::Refused(_)))
    }

    /// The signatures, if a requirement wanted them; `None` when nobody has asked for any.
    pub fn asked_signatures(&self) -> Option<&[FoundSignature]> {
        self.has_asked.then_some(&*self.signatures)
    }

    /// Why signatures are not accepted, of all requirements.
    pub fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        let verdicts = self.requirements.iter().flat_map(|judged| &judged.signatures);
        verdicts.filter_map(|verdict| match verdict {
            SignatureVerdict::Rejected(rejection) => Some(&**rejection),
            SignatureVerdict::Accepted(_) | SignatureVerdict::OtherKind => None,
        })
    }

    /// True when a signature is missing altogether.
    pub fn lacks_signatures(&self) -> bool {
        self.requirements.iter().any(|judged| matches!(judged.verdict, Verdict::Refused(Refusal::NoSignature)))
    }

    /// The signatures whose author is accepted: at least one requirement accepts them, and none rejects them.
    pub fn signatures_by_accepted_author(&self) -> Vec<&FoundSignature> {
        let of_requirements = |index: usize| self.requirements.iter().map(move |judged| judged.signatures.get(index));
        let is_accepted = |verdict| matches!(verdict, Some(&SignatureVerdict::Accepted(_)));
        let is_rejected = |verdict| matches!(verdict, Some(&SignatureVerdict::Rejected(_)));
        let accepted = |index: &usize| {
            self.requirements.iter().all(|judged| !matches!(judged.verdict, Verdict::Refused(_)))
                && of_requirements(*index).any(is_accepted)
                && !of_requirements(*index).any(is_rejected)
        };
        self.signatures.iter().enumerate().filter(|(index, _)| accepted(index)).map(|(_, found)| found).collect()
    }

    /// Why this requirement is not met, for people.
    fn explain(&self, judged: &JudgedRequirement) -> Option<String> {
        let reason = match &judged.verdict {
            Verdict::Met | Verdict::NotAsked => return None,
            Verdict::Undecided(error) => error::one_line(error),
            Verdict::Refused(refusal) => refusal.to_string(),
        };
        let of_signatures =
            self.signatures.iter().zip(&judged.signatures).filter_map(|(found, verdict)| match verdict {
                SignatureVerdict::Rejected(rejection) => {
                    {
                        let words = format!("[{}: {}]", found.place, error::one_line(&**rejection));
                        // They may repeat what stands in the signature.
                        Some(error::printable(&words))
                    }
                }
                SignatureVerdict::Accepted(_) | SignatureVerdict::OtherKind => None,
            });
        let parts: Vec<_> = std::iter::once(reason).chain(of_signatures).collect();
        Some(format!("{}: {}", judged.requirement, parts.join(" ")))
    }
}

/// The reasons of all requirements that are not met.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<_> = self.requirements.iter().filter_map(|judged| self.explain(judged)).collect();
        if reasons.is_empty() { f.write_str("allowed") } else { f.write_str(&reasons.join("; ")) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RejectsEverything => f.write_str("everything in this scope is rejected"),
            Self::NotImplemented(what) => write!(f, "{what} is verified by no program, so it is never met"),
            Self::NoSignature => f.write_str("a signature is required, and there is none"),
            Self::OtherSignatures => f.write_str("no signature is of the kind that is required"),
            Self::NoneAccepted => f.write_str("no signature is accepted"),
            Self::NothingVerified => f.write_str("signatures must be verified, and nothing in the policy does that"),
        }
    }
}
