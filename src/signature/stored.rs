//! Signatures as they are kept in files: in a lookaside store, and beside a `dir:` image.
//!
//! An OpenPGP message stands there as it is. Any other format is behind a zero byte, its name and a line end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{SigstoreSignature, UntrustedSignature};
use crate::media_type::MediaType;
use crate::strict_json::{self, Base64};

pub(super) const SIMPLE_SIGNING: &str = "simple-signing";
pub(super) const SIGSTORE_JSON: &str = "sigstore-json";

/// Why the bytes of a file are not a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Nothing.
    #[error("empty signature")]
    Empty,
    /// A name that does not end.
    #[error("the name of the signature's format has no line end behind it")]
    Unterminated,
    /// A name that no format has.
    #[error("the name of the signature's format has the byte 0x{0:02x} in it, expected printable ASCII")]
    Name(u8),
    /// A format that nobody here reads.
    #[error("unknown signature format {0:?}, expected {SIMPLE_SIGNING} or {SIGSTORE_JSON}")]
    Unknown(String),
    /// A text, as `gpg --armor` and `gpg --clearsign` write it.
    #[error("OpenPGP in ASCII armor or cleartext, expected a binary message (gpg --sign without --armor)")]
    Armored,
    /// Neither a name nor OpenPGP.
    #[error("the signature begins with the byte 0x{0:02x}, which is neither OpenPGP nor the name of a format")]
    FirstByte(u8),
    /// The JSON of a sigstore signature is not what it must be.
    #[error("invalid {SIGSTORE_JSON} signature")]
    Json(#[source] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    mime_type: String,
    payload: Base64,
    #[serde(default, deserialize_with = "annotations")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToStore<'a> {
    mime_type: &'a str,
    payload: String,
    annotations: &'a BTreeMap<String, String>,
}

impl UntrustedSignature {
    /// Reads a file of a lookaside store, or of a `dir:` image.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, FormatError> {
        match bytes {
            [] => Err(FormatError::Empty),
            [0, rest @ ..] => named(rest),
            text if text.starts_with(b"-----BEGIN PGP ") => Err(FormatError::Armored),
            [first, ..] if is_openpgp(*first) => Ok(Self::SimpleSigning(bytes.to_vec())),
            [first, ..] => Err(FormatError::FirstByte(*first)),
        }
    }

    /// The bytes of such a file.
    pub fn to_stored(&self) -> Vec<u8> {
        match self {
            Self::SimpleSigning(message) if message.first().is_some_and(|first| is_openpgp(*first)) => message.clone(),
            Self::SimpleSigning(message) => [&header(SIMPLE_SIGNING), message.as_slice()].concat(),
            Self::Sigstore(signature) => {
                let to_store = ToStore {
                    mime_type: signature.media_type.as_str(),
                    payload: strict_json::to_base64(&signature.payload),
                    annotations: &signature.annotations,
                };
                let mut bytes = header(SIGSTORE_JSON);
                // Texts always have a JSON form.
                bytes.extend(serde_json::to_vec(&to_store).unwrap_or_default());
                bytes
            }
        }
    }
}

fn header(format: &str) -> Vec<u8> {
    [b"\0", format.as_bytes(), b"\n"].concat()
}

/// What an OpenPGP message can begin with: a one-pass signature, a signature or compressed data, with either form of a
/// packet's length.
fn is_openpgp(first: u8) -> bool {
    matches!(first, 0x88..=0x8b | 0x90..=0x92 | 0xa0..=0xa3 | 0x3d | 0xc2 | 0xc4 | 0xc8)
}

fn named(rest: &[u8]) -> Result<UntrustedSignature, FormatError> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(FormatError::Unterminated)?;
    let (name, payload) = rest.split_at(end);
    let payload = payload.get(1..).unwrap_or_default();
    if let Some(byte) = name.iter().find(|byte| !matches!(byte, 0x20..=0x7e)) {
        return Err(FormatError::Name(*byte));
    }
    if name == SIMPLE_SIGNING.as_bytes() {
        return Ok(UntrustedSignature::SimpleSigning(payload.to_vec()));
    }
    if name != SIGSTORE_JSON.as_bytes() {
        return Err(FormatError::Unknown(String::from_utf8_lossy(name).into_owned()));
    }
    let stored: Stored = strict_json::from_slice(payload).map_err(FormatError::Json)?;
    Ok(UntrustedSignature::Sigstore(SigstoreSignature {
        media_type: MediaType::from(stored.mime_type.as_str()),
        payload: stored.payload.0,
        annotations: stored.annotations,
    }))
}

fn annotations<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let text_of = |_: &str| Ok(std::marker::PhantomData::<String>);
    strict_json::unique_map(deserializer, "a map of annotations", text_of)
}
