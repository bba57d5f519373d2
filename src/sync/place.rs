//! Where images go, and how they are called there.

use std::path::PathBuf;

use super::Error;
use super::list::is_registry;
use crate::reference::{DockerReference, ImageReference};

/// Where images go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A registry, or a part of one: `registry.example`, `localhost:5000/mirror`.
    Registry(RegistryPrefix),
    /// A directory, in which each image has one.
    Dir(PathBuf),
}

/// A registry with or without a path, below which images are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryPrefix(String);

/// A text that names no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not begin with a registry, expected such as registry.example/mirror or localhost:5000")]
pub struct NotARegistry(String);

impl std::str::FromStr for RegistryPrefix {
    type Err = NotARegistry;

    /// The registry must be written: nobody is guessed to mean docker.io, where others see what is written.
    fn from_str(text: &str) -> Result<Self, NotARegistry> {
        let prefix = text.trim_end_matches('/');
        if is_registry(prefix) { Ok(Self(prefix.to_owned())) } else { Err(NotARegistry(text.to_owned())) }
    }
}

/// How images are called at the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    /// By their whole name, registry included, so that two repositories whose names end alike are kept apart. Otherwise
    /// only the last part of the name stays.
    pub scoped: bool,
    /// Put behind each tag.
    pub append_suffix: String,
}

impl Naming {
    /// What an image of this full name is called.
    fn name(&self, full: &str) -> String {
        let name = if self.scoped { full } else { full.rsplit('/').next().unwrap_or(full) };
        format!("{name}{}", self.append_suffix)
    }

    fn check(&self) -> Result<(), Error> {
        let is_of_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if self.append_suffix.chars().all(is_of_tag) {
            return Ok(());
        }
        Err(Error::Suffix(self.append_suffix.clone()))
    }
}

impl Destination {
    /// The place of the image `from`, whose full name is `full`.
    pub(super) fn place(&self, from: &ImageReference, full: &str, naming: &Naming) -> Result<ImageReference, Error> {
        naming.check()?;
        let name = naming.name(full);
        match self {
            Self::Dir(directory) => Ok(ImageReference::Dir(directory.join(name))),
            Self::Registry(RegistryPrefix(prefix)) => {
                let name = format!("{prefix}/{name}");
                let unusable = |source| Error::Name { from: from.clone(), name: name.clone(), source };
                name.parse::<DockerReference>().map(ImageReference::Docker).map_err(unusable)
            }
        }
    }
}
