//! The in-toto statement that cosign 3 signs: which image, and that this is a signature and not a claim about it.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer};

use crate::digest::{Algorithm, Digest, ParseError};
use crate::strict_json;

/// What envelopes with statements say that they hold.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";

/// The predicate of `cosign sign`. Every other one is an attestation.
const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Why a statement is not a signature of one image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Not the JSON of a statement.
    #[error("invalid in-toto statement")]
    Json(#[source] serde_json::Error),
    /// Another format.
    #[error("a statement of the type {0:?}, expected {STATEMENT_V1:?}")]
    Type(String),
    /// It is about nothing, or about several things.
    #[error("the statement has {0} subjects, expected one")]
    Subjects(usize),
    /// The image is named by no digest, or by several.
    #[error("the statement's subject has {0} digests of supported algorithms (sha256, sha512), expected one")]
    Digests(usize),
    /// Not a digest.
    #[error("invalid digest of the statement's subject")]
    Digest(#[source] ParseError),
}

/// A statement; `predicate` says nothing in a signature, and may be missing.
#[derive(Deserialize)]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    r#type: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    #[serde(deserialize_with = "digests")]
    digest: BTreeMap<String, String>,
}

fn digests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    strict_json::unique_map(deserializer, "a map of digests", |_| Ok(PhantomData::<String>))
}

impl Statement {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        strict_json::check_unique_keys(bytes).map_err(StatementError::Json)?;
        let statement: Self = strict_json::from_slice(bytes).map_err(StatementError::Json)?;
        if statement.r#type == STATEMENT_V1 { Ok(statement) } else { Err(StatementError::Type(statement.r#type)) }
    }

    /// The type of the attestation that this is instead of a signature.
    pub(super) fn attestation(&self) -> Option<&str> {
        (self.predicate_type != COSIGN_SIGN).then_some(&self.predicate_type)
    }

    /// The digest of the one subject, and its name if it has one.
    pub(super) fn subject(&self) -> Result<(Digest, Option<String>), StatementError> {
        let [subject] = self.subject.as_slice() else { return Err(StatementError::Subjects(self.subject.len())) };
        // Those that the library for bundles binds a statement with.
        let supported = [Algorithm::Sha256, Algorithm::Sha512].map(Algorithm::as_str);
        let mut digests = supported.iter().filter_map(|name| subject.digest.get_key_value(*name));
        let (Some((algorithm, encoded)), None) = (digests.next(), digests.next()) else {
            let found = supported.iter().filter(|name| subject.digest.contains_key(**name)).count();
            return Err(StatementError::Digests(found));
        };
        let digest = format!("{algorithm}:{encoded}").parse().map_err(StatementError::Digest)?;
        Ok((digest, Some(subject.name.clone()).filter(|name| !name.is_empty())))
    }
}
