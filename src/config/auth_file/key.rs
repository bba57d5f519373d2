//! What credentials are for.

use std::fmt;
use std::str::FromStr;

use super::{DOCKER_HUB, same_registry};
use crate::reference::{Name, ParseError, Reference};

/// What credentials are looked up for: `registry[/namespace…[/repository]]`, without scheme, tag and digest.
///
/// ```
/// use transship::Reference;
/// use transship::config::auth_file::AuthKey;
///
/// let reference: Reference = "quay.io/org/app:1".parse()?;
/// let key = AuthKey::from(reference.name());
/// assert_eq!(key.lookup_order().collect::<Vec<_>>(), ["quay.io/org/app", "quay.io/org", "quay.io"]);
/// assert!("quay.io/org/app:1".parse::<AuthKey>().is_err());
/// # Ok::<(), transship::reference::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthKey(pub(super) String);

/// Why a text is not an [`AuthKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A URL.
    #[error("key {0} contains http[s]:// prefix")]
    Scheme(String),
    /// A digest, or user information.
    #[error("key {0} contains a '@' character")]
    At(String),
    /// A tag.
    #[error("key {0} contains a ':' character after host[:port]")]
    Colon(String),
    /// A URL with a user name or a password in it, which is not repeated.
    #[error("a registry is named without a user name or a password")]
    UserInfo,
    /// No image can have such a name.
    #[error("{key:?} is not a registry or a part of one")]
    Name {
        /// What was given.
        key: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A first word that means a repository in `docker.io` when an image is named.
    #[error("{0:?} is not a registry: the name of one has a dot or a port in it, or is localhost")]
    NotARegistry(String),
}

impl AuthKey {
    /// What a user logs in to: `registry[/namespace…]`. Of a URL, which docker takes, only the host and its port count.
    ///
    /// # Errors
    /// Nobody could use the login: no image has a name below the key.
    pub fn for_login(text: &str) -> Result<Self, KeyError> {
        let key = Self::of_argument(text)?;
        key.repository()?;
        Ok(key)
    }

    /// The key that a user names, whatever it is good for. Of a URL only the host and its port count.
    pub fn of_argument(text: &str) -> Result<Self, KeyError> {
        let url = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match url.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()) {
            Some(host) if host.contains('@') => Err(KeyError::UserInfo),
            Some(host) => Ok(Self(host.to_owned())),
            None => text.parse(),
        }
    }

    /// Some repository of the registry, with a name below the key: for those who need one and ask nothing about it.
    ///
    /// A text that is no registry is the beginning of a name in `docker.io`, which must not get what is for another.
    pub(crate) fn repository(&self) -> Result<Reference, KeyError> {
        let name = format!("{}/v2", self.0);
        let repository: Reference = name.parse().map_err(|source| KeyError::Name { key: self.0.clone(), source })?;
        let is_there = repository.domain() == self.registry() || self.is_docker_hub();
        if is_there { Ok(repository) } else { Err(KeyError::NotARegistry(self.0.clone())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host and its port.
    pub fn registry(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(registry, _)| registry)
    }

    /// True when there is more than the registry.
    pub fn is_namespaced(&self) -> bool {
        self.0.contains('/')
    }

    /// The keys that may have the credentials, the most specific first.
    pub fn lookup_order(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |key| key.rsplit_once('/').map(|(parent, _)| parent))
    }

    /// True for all three names of `docker.io`.
    pub fn is_docker_hub(&self) -> bool {
        same_registry(self.registry()) == DOCKER_HUB
    }
}

impl From<&Name> for AuthKey {
    fn from(name: &Name) -> Self {
        Self(name.to_string())
    }
}

impl FromStr for AuthKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(KeyError::Scheme(text.to_owned()));
        }
        if text.contains('@') {
            return Err(KeyError::At(text.to_owned()));
        }
        if text.split_once('/').is_some_and(|(_, path)| path.contains(':')) {
            return Err(KeyError::Colon(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_a_registry_or_a_part_of_one() {
        for (text, key) in [
            ("quay.io", "quay.io"),
            ("quay.io/org/app", "quay.io/org/app"),
            ("localhost:5000", "localhost:5000"),
            ("localhost/org", "localhost/org"),
            ("https://quay.io/v1/", "quay.io"),
            ("http://localhost:5000", "localhost:5000"),
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("docker.io/org", "docker.io/org"),
        ] {
            assert_eq!(AuthKey::for_login(text).map(|key| key.to_string()).as_deref(), Ok(key), "{text}");
        }
    }

    #[test]
    fn a_login_that_no_image_would_use_is_refused() {
        use KeyError::{At, Colon, Name, NotARegistry};
        assert!(matches!(AuthKey::for_login("quay.io/org:1"), Err(Colon(_))));
        assert!(matches!(AuthKey::for_login("user@quay.io"), Err(At(_))));
        assert!(matches!(AuthKey::for_login("quay.io/Org"), Err(Name { .. })));
        assert!(matches!(AuthKey::for_login("quay.io/"), Err(Name { .. })));
        assert!(matches!(AuthKey::for_login("https://"), Err(Name { .. })));
        assert!(matches!(AuthKey::for_login(""), Err(Name { .. })));
        assert!(matches!(AuthKey::for_login("myhost"), Err(NotARegistry(_))));
        assert!(matches!(AuthKey::for_login("org/app"), Err(NotARegistry(_))));
        let error = AuthKey::for_login("https://me:c4n4ry@quay.io").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("c4n4ry"));
    }
}
