//! Rekor, the transparency log: its promise, made when it took an entry, that it will show the entry to everybody.
//!
//! The promise ("signed entry timestamp", SET) covers the entry and the time at which it was taken. That time is what a
//! short-lived certificate of Fulcio's is held against.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::pem_blocks::{self, CERTIFICATE, PUBLIC_KEY, PemError};
use super::public_key::{KeyError, KeyKind, PublicKey};
use crate::digest::Digest;
use crate::strict_json::{self, Base64, object};

/// The key of a log. Logs sign with ECDSA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekorKey(PublicKey);

/// Why a log's promise is not one for this signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RekorError {
    /// Not the JSON of a promise.
    #[error("invalid signed entry timestamp")]
    Set(#[source] serde_json::Error),
    /// What is signed has no canonical form.
    #[error("the payload of the signed entry timestamp has no canonical form")]
    Canonical(#[source] serde_json::Error),
    /// Another log, or a changed entry.
    #[error("the signed entry timestamp is not signed with any of the accepted log keys ({0})")]
    NotByLog(String),
    /// Not the JSON of an entry that holds a signature.
    #[error("invalid log entry, expected a hashedrekord of version 0.0.1")]
    Body(#[source] serde_json::Error),
    /// The entry is of something else.
    #[error("the log entry is for {found}, expected {expected}, the digest of the payload")]
    OtherPayload {
        /// The digest of what is verified.
        expected: Digest,
        /// What the entry says.
        found: String,
    },
    /// The entry is of another signature of the same payload.
    #[error("the log entry is for another signature")]
    OtherSignature,
    /// The entry's key or certificate is not PEM.
    #[error("invalid key or certificate in the log entry")]
    KeyPem(#[source] PemError),
    /// The entry is of another key or certificate.
    #[error("the log entry is for another key or certificate")]
    OtherKey,
    /// No moment that a clock can show.
    #[error("the log gives the time {0}")]
    Time(i64),
}

/// What is verified, which the log's entry must be about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged<'a> {
    pub(super) payload: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) verifier: Verifier<'a>,
}

/// What the signature was verified with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verifier<'a> {
    Key(&'a PublicKey),
    Certificate(&'a [u8]),
}

impl RekorKey {
    /// Reads exactly one `PUBLIC KEY` block.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PublicKey::from_pem(pem)?;
        match key.kind() {
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => Ok(Self(key)),
            other => Err(KeyError::NotEcdsa(other.as_str())),
        }
    }

    /// The key itself.
    pub fn public_key(&self) -> &PublicKey {
        &self.0
    }
}

impl fmt::Display for RekorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Checks that one of the logs promised to show exactly this signature, and tells when.
pub(super) fn verify_set(keys: &[RekorKey], set: &[u8], logged: Logged<'_>) -> Result<SystemTime, RekorError> {
    let set: Set = strict_json::from_slice(set).map_err(RekorError::Set)?;
    let signed = serde_json_canonicalizer::to_vec(&set.payload).map_err(RekorError::Canonical)?;
    let signature = &set.signed_entry_timestamp.0;
    if !keys.iter().any(|key| key.0.verify(&signed, signature).is_ok()) {
        return Err(RekorError::NotByLog(names(keys)));
    }
    let body = set.payload.body().map_err(RekorError::Set)?;
    check_entry(&body, logged)?;
    time(set.payload.integrated_time)
}

fn names(keys: &[RekorKey]) -> String {
    keys.iter().map(|key| key.0.fingerprint().to_string()).collect::<Vec<_>>().join(", ")
}

fn check_entry(body: &[u8], logged: Logged<'_>) -> Result<(), RekorError> {
    let entry: Entry = strict_json::from_slice(body).map_err(RekorError::Body)?;
    let Hash { algorithm, value } = entry.spec.data.hash;
    let expected = Digest::sha256(logged.payload);
    if algorithm != expected.algorithm().as_str() || value != expected.encoded() {
        return Err(RekorError::OtherPayload { expected, found: format!("{algorithm}:{value}") });
    }
    if entry.spec.signature.content.0 != logged.signature {
        return Err(RekorError::OtherSignature);
    }
    let (label, expected) = match logged.verifier {
        Verifier::Key(key) => (PUBLIC_KEY, key.spki()),
        Verifier::Certificate(der) => (CERTIFICATE, der),
    };
    let found = pem_blocks::only_block(&entry.spec.signature.public_key.content.0, label);
    let found = found.map_err(RekorError::KeyPem)?;
    if found.tag() != label || found.contents() != expected {
        return Err(RekorError::OtherKey);
    }
    Ok(())
}

fn time(seconds: i64) -> Result<SystemTime, RekorError> {
    let since_1970 = u64::try_from(seconds).ok().map(Duration::from_secs);
    let time = since_1970.and_then(|duration| SystemTime::UNIX_EPOCH.checked_add(duration));
    time.ok_or(RekorError::Time(seconds))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Set {
    signed_entry_timestamp: Base64,
    #[serde(deserialize_with = "object")]
    payload: Payload,
}

/// The names are sorted when they are written, so that the order here does not matter.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    body: String,
    #[serde(rename = "integratedTime")]
    integrated_time: i64,
    #[serde(rename = "logIndex")]
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

impl Payload {
    /// The body stays text until it was verified: base64 has more than one form of the same bytes.
    fn body(&self) -> serde_json::Result<Vec<u8>> {
        let body = serde_json::Value::from(self.body.as_str());
        Base64::deserialize(body).map(|bytes| bytes.0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(rename = "apiVersion", deserialize_with = "api_version")]
    _api_version: (),
    #[serde(rename = "kind", deserialize_with = "kind")]
    _kind: (),
    #[serde(deserialize_with = "object")]
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(deserialize_with = "object")]
    data: Data,
    #[serde(deserialize_with = "object")]
    signature: Signature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[serde(deserialize_with = "object")]
    hash: Hash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signature {
    content: Base64,
    #[serde(deserialize_with = "object")]
    public_key: KeyContent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyContent {
    content: Base64,
}

fn api_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    exactly(deserializer, "0.0.1")
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    exactly(deserializer, "hashedrekord")
}

fn exactly<'de, D: Deserializer<'de>>(deserializer: D, expected: &str) -> Result<(), D::Error> {
    let found = String::deserialize(deserializer)?;
    if found == expected { Ok(()) } else { Err(D::Error::custom(format_args!("{found:?}, expected {expected:?}"))) }
}
