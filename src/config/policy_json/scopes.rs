//! `transports`: requirements by transport and scope.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Component, Path};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _};

use super::requirement::Requirement;
use crate::strict_json::unique_map;

/// At least one requirement; all must hold.
pub(super) struct Requirements(pub(super) Vec<Requirement>);

impl<'de> Deserialize<'de> for Requirements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let requirements = Vec::deserialize(deserializer)?;
        if requirements.is_empty() {
            return Err(D::Error::custom(
                "a list of requirements must not be empty; {\"type\": \"reject\"} forbids all",
            ));
        }
        Ok(Self(requirements))
    }
}

#[derive(Default)]
pub(super) struct Transports(pub(super) BTreeMap<String, BTreeMap<String, Vec<Requirement>>>);

impl<'de> Deserialize<'de> for Transports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scopes_of = |transport: &str| Ok(Scopes { transport: transport.to_owned() });
        unique_map(deserializer, "a map of transports", scopes_of).map(Self)
    }
}

/// The transports of the programs that read this file.
const TRANSPORTS: [&str; 11] = [
    "atomic",
    "containers-storage",
    "dir",
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "sif",
    "tarball",
];

impl Transports {
    /// What is allowed and can mean no image: it would let the default decide without a word.
    pub(super) fn oddities(&self) -> impl Iterator<Item = String> {
        let unknown = self.0.keys().filter(|transport| !TRANSPORTS.contains(&transport.as_str()));
        let unknown = unknown.map(|transport| format!("transport {transport:?} is none of those that are known"));
        let scopes = self.0.get("docker").into_iter().flat_map(|scopes| scopes.keys());
        let odd = scopes.filter(|scope| is_no_docker_scope(scope));
        unknown.chain(odd.map(|scope| {
            format!("no image is in the scope {scope:?} of docker; write host, host/path, host/path:tag or *.domain")
        }))
    }
}

fn is_no_docker_scope(scope: &str) -> bool {
    let rest = scope.strip_prefix("*.").unwrap_or(scope);
    rest.contains("://") || rest.contains('*') || rest.starts_with('/') || rest.ends_with([':', '/'])
}

struct Scopes {
    transport: String,
}

impl<'de> DeserializeSeed<'de> for Scopes {
    type Value = BTreeMap<String, Vec<Requirement>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let requirements_of = |scope: &str| {
            check_scope(&self.transport, scope)?;
            Ok(PhantomData::<Requirements>)
        };
        let scopes = unique_map(deserializer, "a map of scopes", requirements_of)?;
        Ok(scopes.into_iter().map(|(scope, requirements)| (scope, requirements.0)).collect())
    }
}

/// The empty scope is all of the transport. Transports that we do not know are for other programs that read this file.
fn check_scope(transport: &str, scope: &str) -> Result<(), String> {
    if scope.is_empty() {
        return Ok(());
    }
    match transport {
        "dir" | "oci" | "oci-archive" if !is_clean_path(scope) => Err(format!(
            "invalid scope {scope:?} of transport {transport}, expected an absolute path without . and .., other than /"
        )),
        "docker-archive" => Err(format!("invalid scope {scope:?}, transport docker-archive has no scope but \"\"")),
        _ => Ok(()),
    }
}

fn is_clean_path(scope: &str) -> bool {
    let mut clean = String::new();
    for component in Path::new(scope).components() {
        if let Component::Normal(name) = component {
            clean.push('/');
            clean.push_str(&name.to_string_lossy());
        }
    }
    clean == scope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_of_a_directory_is_an_absolute_clean_path_below_the_root() {
        for transport in ["dir", "oci", "oci-archive"] {
            for good in ["", "/a", "/a/b c"] {
                assert_eq!(check_scope(transport, good), Ok(()), "{good}");
            }
            for bad in ["/", "a", "/a/", "//a", "/a/../b", "/a/.", "./a", "/.."] {
                assert!(check_scope(transport, bad).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn what_can_mean_no_image_is_told() {
        let odd = |scope: &str| is_no_docker_scope(scope);
        for scope in ["docker://quay.io/org", "quay.io/org:", "quay.io/org/", "quay.io/org/*", "/quay.io", "*"] {
            assert!(odd(scope), "{scope}");
        }
        for scope in ["", "quay.io", "*.quay.io", "quay.io:5000/org", "quay.io/org/app:1", "localhost"] {
            assert!(!odd(scope), "{scope}");
        }
        let transports = |name: &str| Transports([(name.to_owned(), BTreeMap::new())].into());
        assert_eq!(transports("dokcer").oddities().count(), 1);
        assert_eq!(transports("docker").oddities().count(), 0);
    }

    #[test]
    fn docker_archive_has_no_scopes_and_other_transports_have_any() {
        assert!(check_scope("docker-archive", "/a").is_err());
        assert_eq!(check_scope("docker-archive", ""), Ok(()));
        assert_eq!(check_scope("docker", "*.example.com"), Ok(()));
        assert_eq!(check_scope("unheard-of", "//"), Ok(()));
    }
}
