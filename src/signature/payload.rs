//! What a signature says: which manifest, under which name.
//!
//! The JSON of [containers-signature(5)](https://github.com/containers/image/blob/main/docs/containers-signature.5.md),
//! which simple signing and cosign share.

use serde::de::{DeserializeSeed, Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::strict_json::{from_slice, object, unique_map};

/// The text that was signed, read strictly: a key that is unknown in `critical`, or given twice anywhere, is an error.
///
/// ```
/// use transship::signature::{Payload, PayloadKind};
///
/// let digest = transship::Digest::sha256(b"manifest");
/// let payload = Payload::new(PayloadKind::SimpleSigning, digest, "quay.io/org/app:1");
/// assert_eq!(Payload::parse(&payload.to_json(), PayloadKind::SimpleSigning)?, payload);
/// assert!(Payload::parse(&payload.to_json(), PayloadKind::Sigstore).is_err());
/// # Ok::<(), transship::signature::PayloadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payload {
    /// Who writes signatures of this kind.
    pub kind: PayloadKind,
    /// The manifest that is signed.
    pub manifest_digest: Digest,
    /// The name that it is signed under. Nobody has checked that it is a reference.
    pub docker_reference: String,
    /// Which program made the signature; tells nothing for sure.
    pub creator: Option<String>,
    /// When, in seconds since 1970; tells nothing for sure.
    pub timestamp: Option<i64>,
}

/// Whose signature a payload is for, which its `type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// Simple signing, inside of an OpenPGP message.
    SimpleSigning,
    /// cosign's.
    Sigstore,
}

/// Why a text is not a [`Payload`].
#[derive(Debug, thiserror::Error)]
#[error("invalid signature payload")]
pub struct PayloadError(#[from] serde_json::Error);

impl PayloadKind {
    /// The value of `type`.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::SimpleSigning => "atomic container signature",
            Self::Sigstore => "cosign container image signature",
        }
    }
}

impl Payload {
    /// A payload without `optional` members.
    pub fn new(kind: PayloadKind, manifest_digest: Digest, docker_reference: impl Into<String>) -> Self {
        Self { kind, manifest_digest, docker_reference: docker_reference.into(), creator: None, timestamp: None }
    }

    /// Reads the text of a signature of this kind.
    pub fn parse(bytes: &[u8], kind: PayloadKind) -> Result<Self, PayloadError> {
        let Document { critical, optional } = from_slice(bytes)?;
        if critical.r#type != kind.type_name() {
            let (found, expected) = (&critical.r#type, kind.type_name());
            return Err(PayloadError(serde_json::Error::custom(format!("type {found:?}, expected {expected:?}"))));
        }
        let optional = match optional {
            // cosign writes null where it has nothing to say.
            None if kind == PayloadKind::SimpleSigning => {
                return Err(PayloadError(serde_json::Error::custom("optional is null, expected an object")));
            }
            optional => optional.unwrap_or_default(),
        };
        Ok(Self {
            kind,
            manifest_digest: critical.image.docker_manifest_digest,
            docker_reference: critical.identity.docker_reference,
            creator: optional.creator,
            timestamp: optional.timestamp,
        })
    }

    /// The text to sign.
    pub fn to_json(&self) -> Vec<u8> {
        let to_sign = ToSign {
            critical: ToSignCritical {
                identity: ToSignIdentity { docker_reference: &self.docker_reference },
                image: ToSignImage { docker_manifest_digest: self.manifest_digest.as_str() },
                r#type: self.kind.type_name(),
            },
            optional: ToSignOptional { creator: self.creator.as_deref(), timestamp: self.timestamp },
        };
        // Texts and a number always have a JSON form.
        serde_json::to_vec(&to_sign).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(deserialize_with = "object")]
    critical: Critical,
    // Without this, serde would take a missing key for null.
    #[serde(deserialize_with = "Option::deserialize")]
    optional: Option<Optional>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    r#type: String,
    #[serde(deserialize_with = "object")]
    image: Image,
    #[serde(deserialize_with = "object")]
    identity: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Image {
    #[serde(deserialize_with = "digest")]
    docker_manifest_digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Identity {
    docker_reference: String,
}

#[derive(Default)]
struct Optional {
    creator: Option<String>,
    timestamp: Option<i64>,
}

/// Unknown members are for others to read; that a known one is unique is checked for all of them.
impl<'de> Deserialize<'de> for Optional {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let member_of = |name: &str| {
            Ok(match name {
                "creator" => Member::Creator,
                "timestamp" => Member::Timestamp,
                _ => Member::Other,
            })
        };
        let mut members = unique_map(deserializer, "an object", member_of)?;
        let mut take = |name| members.remove(name);
        Ok(Self {
            creator: match take("creator") {
                Some(Value::Text(text)) => Some(text),
                _ => None,
            },
            timestamp: match take("timestamp") {
                Some(Value::Number(number)) => Some(number),
                _ => None,
            },
        })
    }
}

enum Member {
    Creator,
    Timestamp,
    Other,
}

enum Value {
    Text(String),
    Number(i64),
    Ignored,
}

impl<'de> DeserializeSeed<'de> for Member {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Self::Creator => String::deserialize(deserializer).map(Value::Text),
            Self::Timestamp => Timestamp::deserialize(deserializer).map(|timestamp| Value::Number(timestamp.0)),
            // Read, not skipped: what no other reader could read must not be signed either.
            Self::Other => serde_json::Value::deserialize(deserializer).map(|_| Value::Ignored),
        }
    }
}

/// A whole number, in whatever notation: other programs write `1.458239713e+09`.
struct Timestamp(i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole = number.as_i64().or_else(|| number.as_f64().and_then(whole));
        whole.map(Self).ok_or_else(|| D::Error::custom(format_args!("timestamp {number} is not a whole number")))
    }
}

fn whole(number: f64) -> Option<i64> {
    // Beyond 2^53 not every whole number has a floating-point form, so none is taken for one.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// The keys in the order in which Go programs write them.
#[derive(Serialize)]
struct ToSign<'a> {
    critical: ToSignCritical<'a>,
    optional: ToSignOptional<'a>,
}

#[derive(Serialize)]
struct ToSignCritical<'a> {
    identity: ToSignIdentity<'a>,
    image: ToSignImage<'a>,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ToSignIdentity<'a> {
    docker_reference: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ToSignImage<'a> {
    docker_manifest_digest: &'a str,
}

#[derive(Serialize)]
struct ToSignOptional<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
}
