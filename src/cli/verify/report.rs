//! What `verify` says of one manifest: to a program, or to a person.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::Digest;
use crate::cli::{NOT_ALLOWED, UNDECIDED};
use crate::error::{self, printable};
use crate::policy::{JudgedRequirement, Judgement, SignatureVerdict, Verdict};
use crate::source::FoundSignature;

/// The whole of it in a word; of several, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Allowed,
    Undecided,
    Refused,
}

pub(super) struct Report {
    /// As it was given.
    pub(super) image: String,
    pub(super) answer: Answer,
    /// What was asked and what answered; `None` when it did not come to that.
    pub(super) names: Option<(String, String)>,
    pub(super) judgement: Option<Judgement>,
    /// Why nobody can tell.
    pub(super) error: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    verdict: Answer,
    logical: Option<&'a str>,
    physical: Option<&'a str>,
    #[serde(flatten)]
    judgement: JudgementOfLine<'a>,
    error: Option<&'a str>,
}

/// All members are always there: whoever reads them need not ask which.
#[derive(Default, Serialize)]
struct JudgementOfLine<'a> {
    scope: Option<String>,
    instance: Option<&'a str>,
    manifest: Option<&'a str>,
    requirements: Vec<RequirementOfLine>,
    signatures: Vec<SignatureOfLine>,
}

#[derive(Serialize)]
struct RequirementOfLine {
    r#type: &'static str,
    verdict: &'static str,
    reason: Option<String>,
    signatures: Vec<JudgedSignatureOfLine>,
}

#[derive(Serialize)]
struct SignatureOfLine {
    place: String,
    format: &'static str,
}

#[derive(Serialize)]
struct JudgedSignatureOfLine {
    #[serde(flatten)]
    signature: SignatureOfLine,
    verdict: &'static str,
    signer: Option<String>,
    fingerprint: Option<String>,
    identity: Option<String>,
    reason: Option<String>,
}

impl Report {
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Line {
            image: &self.image,
            verdict: self.answer,
            logical: self.names.as_ref().map(|(logical, _)| logical.as_str()),
            physical: self.names.as_ref().map(|(_, physical)| physical.as_str()),
            judgement: self.judgement.as_ref().map(JudgementOfLine::new).unwrap_or_default(),
            error: self.error.as_deref(),
        })
    }

    pub(super) fn page(&self) -> String {
        let mut page = format!("{}\n", printable(&self.image));
        let mut line = |name: &str, text: &str| {
            let _ = writeln!(page, "  {name:<24}{}", printable(text));
        };
        line("verdict", self.answer.word());
        if let Some((logical, physical)) = &self.names {
            if *logical != self.image {
                line("logical", logical);
            }
            if physical != logical {
                line("read from", physical);
            }
        }
        if let Some(judgement) = &self.judgement {
            if let Some(manifest) = &judgement.manifest {
                line("manifest", manifest.as_str());
            }
            line("scope", &judgement.scope.to_string());
            for judged in &judgement.requirements {
                line(judged.requirement, &sentence(&judged.verdict));
                for (found, verdict) in judgement.signatures.iter().zip(&judged.signatures) {
                    line("", &format!("{}: {}", found.place, signature_sentence(verdict)));
                }
            }
        }
        if let Some(error) = &self.error {
            line("error", error);
        }
        page
    }
}

impl Answer {
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self::Allowed => ExitCode::SUCCESS,
            Self::Undecided => ExitCode::from(UNDECIDED),
            Self::Refused => ExitCode::from(NOT_ALLOWED),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
        }
    }
}

impl<'a> JudgementOfLine<'a> {
    fn new(judgement: &'a Judgement) -> Self {
        Self {
            scope: Some(judgement.scope.to_string()),
            instance: judgement.instance.as_ref().map(Digest::as_str),
            manifest: judgement.manifest.as_ref().map(Digest::as_str),
            requirements: judgement
                .requirements
                .iter()
                .map(|judged| RequirementOfLine::new(judgement, judged))
                .collect(),
            signatures: judgement.signatures.iter().map(SignatureOfLine::new).collect(),
        }
    }
}

impl RequirementOfLine {
    fn new(judgement: &Judgement, judged: &JudgedRequirement) -> Self {
        let (verdict, reason) = words(&judged.verdict);
        let signatures = judgement.signatures.iter().zip(&judged.signatures);
        let signatures = signatures.map(|(found, verdict)| JudgedSignatureOfLine::new(found, verdict)).collect();
        Self { r#type: judged.requirement, verdict, reason, signatures }
    }
}

impl SignatureOfLine {
    fn new(found: &FoundSignature) -> Self {
        Self { place: found.place.to_string(), format: found.signature.format() }
    }
}

impl JudgedSignatureOfLine {
    fn new(found: &FoundSignature, verdict: &SignatureVerdict) -> Self {
        let signature = SignatureOfLine::new(found);
        let word = signature_word(verdict);
        let (signer, reason) = match verdict {
            SignatureVerdict::Accepted(signer) => (Some(signer), None),
            SignatureVerdict::Rejected(rejection) => (None, Some(error::one_line(&**rejection))),
            SignatureVerdict::OtherKind => (None, None),
        };
        Self {
            signature,
            verdict: word,
            signer: signer.map(|signer| signer.kind.to_string()),
            fingerprint: signer.and_then(|signer| signer.kind.fingerprint()),
            identity: signer.and_then(|signer| signer.identity.clone()),
            reason,
        }
    }
}

fn signature_word(verdict: &SignatureVerdict) -> &'static str {
    match verdict {
        SignatureVerdict::Accepted(_) => "accepted",
        SignatureVerdict::Rejected(_) => "rejected",
        SignatureVerdict::OtherKind => "other-kind",
    }
}

/// A word for programs, and the reason where there is one.
fn words(verdict: &Verdict) -> (&'static str, Option<String>) {
    match verdict {
        Verdict::Met => ("met", None),
        Verdict::Refused(refusal) => ("refused", Some(refusal.to_string())),
        Verdict::Undecided(error) => ("undecided", Some(error::one_line(error))),
        Verdict::NotAsked => ("not-asked", None),
    }
}

fn sentence(verdict: &Verdict) -> String {
    match words(verdict) {
        (word, None) => word.replace('-', " "),
        (word, Some(reason)) => format!("{word}: {reason}"),
    }
}

fn signature_sentence(verdict: &SignatureVerdict) -> String {
    match verdict {
        SignatureVerdict::Accepted(signer) => match &signer.identity {
            Some(identity) => format!("accepted, {} for {identity}", signer.kind),
            None => format!("accepted, {}, for this digest under any name", signer.kind),
        },
        SignatureVerdict::Rejected(rejection) => format!("rejected, {}", error::one_line(&**rejection)),
        SignatureVerdict::OtherKind => "of another kind".to_owned(),
    }
}
