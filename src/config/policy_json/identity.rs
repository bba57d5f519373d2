//! `signedIdentity`: which identity a signature must be for.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::config::domain::is_namespace;
use crate::reference::{Name, Reference};
use crate::strict_json::{object, only, required, some};

/// How the identity in a signature is compared with the *logical* reference of the image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SignedIdentity {
    /// `matchExact`: the same, tag or digest included.
    MatchExact,
    /// `matchRepoDigestOrExact`: the same; for an image by digest, the repository is enough.
    #[default]
    MatchRepoDigestOrExact,
    /// `matchRepository`: the same repository.
    MatchRepository,
    /// `exactReference`: this reference, whatever the image's is.
    ExactReference(Reference),
    /// `exactRepository`: this repository, whatever the image's is.
    ExactRepository(Name),
    /// `remapIdentity`: like `matchRepoDigestOrExact`, after `prefix` of the image's reference is replaced.
    RemapIdentity {
        /// What is replaced.
        prefix: IdentityPrefix,
        /// With what.
        signed_prefix: IdentityPrefix,
    },
}

/// `host[:port]` or `host[:port]/path`, without tag and digest. A host is not a prefix of `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityPrefix(String);

/// Not an [`IdentityPrefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid prefix {0:?}, expected host[:port] or host[:port]/path, spelled out in full, without tag and digest")]
pub struct PrefixError(String);

impl SignedIdentity {
    /// The `type` in the file.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::MatchExact => "matchExact",
            Self::MatchRepoDigestOrExact => "matchRepoDigestOrExact",
            Self::MatchRepository => "matchRepository",
            Self::ExactReference(_) => "exactReference",
            Self::ExactRepository(_) => "exactRepository",
            Self::RemapIdentity { .. } => "remapIdentity",
        }
    }
}

impl IdentityPrefix {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdentityPrefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if is_namespace(text) { Ok(Self(text.to_owned())) } else { Err(PrefixError(text.to_owned())) }
    }
}

impl fmt::Display for IdentityPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All keys of all kinds. A tagged enum of serde would take a number for the kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    r#type: String,
    #[serde(default, deserialize_with = "some")]
    docker_reference: Option<String>,
    #[serde(default, deserialize_with = "some")]
    docker_repository: Option<String>,
    #[serde(default, deserialize_with = "some")]
    prefix: Option<String>,
    #[serde(default, deserialize_with = "some")]
    signed_prefix: Option<String>,
}

impl<'de> Deserialize<'de> for SignedIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object::<Raw, D>(deserializer)?.check().map_err(D::Error::custom)
    }
}

impl Raw {
    fn check(self) -> Result<SignedIdentity, String> {
        let keys = [
            ("dockerReference", self.docker_reference.is_some()),
            ("dockerRepository", self.docker_repository.is_some()),
            ("prefix", self.prefix.is_some()),
            ("signedPrefix", self.signed_prefix.is_some()),
        ];
        let only = |allowed: &[&str]| only(&self.r#type, &keys, allowed);
        match self.r#type.as_str() {
            "matchExact" => only(&[]).map(|()| SignedIdentity::MatchExact),
            "matchRepoDigestOrExact" => only(&[]).map(|()| SignedIdentity::MatchRepoDigestOrExact),
            "matchRepository" => only(&[]).map(|()| SignedIdentity::MatchRepository),
            "exactReference" => {
                only(&["dockerReference"])?;
                exact_reference(&required("dockerReference", self.docker_reference)?)
            }
            "exactRepository" => {
                only(&["dockerRepository"])?;
                let reference = reference("dockerRepository", &required("dockerRepository", self.docker_repository)?)?;
                Ok(SignedIdentity::ExactRepository(reference.name().clone()))
            }
            "remapIdentity" => {
                only(&["prefix", "signedPrefix"])?;
                let prefix = parse_prefix(&required("prefix", self.prefix)?)?;
                let signed_prefix = parse_prefix(&required("signedPrefix", self.signed_prefix)?)?;
                Ok(SignedIdentity::RemapIdentity { prefix, signed_prefix })
            }
            other => Err(format!(
                "unknown type {other:?} of a signed identity, expected matchExact, matchRepoDigestOrExact, matchRepository, \
                 exactReference, exactRepository or remapIdentity"
            )),
        }
    }
}

fn parse_prefix(text: &str) -> Result<IdentityPrefix, String> {
    text.parse().map_err(|error: PrefixError| error.to_string())
}

fn exact_reference(text: &str) -> Result<SignedIdentity, String> {
    let reference = reference("dockerReference", text)?;
    if reference.tag().is_none() && reference.digest().is_none() {
        return Err(format!("dockerReference {text:?} needs a tag or a digest"));
    }
    Ok(SignedIdentity::ExactReference(reference))
}

fn reference(key: &str, text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error| format!("invalid {key} {text:?}: {error}"))
}
