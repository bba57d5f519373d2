//! Short names: `fedora` for `registry.fedoraproject.org/fedora`.
//!
//! Only what loading registries.conf needs of them: a broken alias is a broken file. See the section "SHORT-NAME
//! ALIASING" of [containers-registries.conf(5)](https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md).

use std::fmt;
use std::str::FromStr;

use super::domain::names_a_registry;
use crate::reference::{self, Name, Reference};

/// What happens when a short name could mean several images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ShortNameMode {
    /// Every search registry is tried, nobody is asked.
    Disabled,
    /// The user is asked where there is a terminal; without one, every search registry is tried.
    #[default]
    Permissive,
    /// The user is asked; without a terminal it is an error.
    Enforcing,
}

/// A short name that stands for a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(String);

/// Why a short name, what it stands for, or the mode cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not one of the modes.
    #[error("invalid short-name-mode {0:?}, expected \"disabled\", \"permissive\" or \"enforcing\"")]
    Mode(String),
    /// Not a reference.
    #[error("{text:?} is not an image name")]
    Reference {
        /// What was given.
        text: String,
        /// Why.
        source: reference::ParseError,
    },
    /// A tag or a digest where only a name is expected.
    #[error("{0:?} has a tag or a digest, expected a name only")]
    NotNameOnly(String),
    /// A short name with a registry.
    #[error("short name {0:?} must not begin with a registry")]
    HasRegistry(String),
    /// What a short name stands for, without a registry.
    #[error("{0:?} must begin with a registry, such as docker.io/")]
    NoRegistry(String),
}

impl FromStr for ShortNameMode {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "disabled" => Ok(Self::Disabled),
            "permissive" => Ok(Self::Permissive),
            "enforcing" => Ok(Self::Enforcing),
            _ => Err(ParseError::Mode(text.to_owned())),
        }
    }
}

impl FromStr for Alias {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        name_only(text)?;
        if names_a_registry(text) {
            return Err(ParseError::HasRegistry(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an alias stands for: a repository with its registry, without tag and digest.
pub(super) fn parse_alias_value(text: &str) -> Result<Name, ParseError> {
    let name = name_only(text)?;
    if names_a_registry(text) { Ok(name) } else { Err(ParseError::NoRegistry(text.to_owned())) }
}

fn name_only(text: &str) -> Result<Name, ParseError> {
    let reference: Reference =
        text.parse().map_err(|source| ParseError::Reference { text: text.to_owned(), source })?;
    if reference.tag().is_some() || reference.digest().is_some() {
        return Err(ParseError::NotNameOnly(text.to_owned()));
    }
    Ok(reference.name().clone())
}
