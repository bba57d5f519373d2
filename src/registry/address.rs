//! Where the API of an endpoint is, and what goes along with each request to it.

use std::fmt;
use std::time::Duration;

use crate::http::HeaderMap;
use crate::reference::Name;
use crate::safe_url::SafeUrl;

/// An endpoint whose place does not follow from the name of its registry: containerd's files give URLs.
#[derive(Clone)]
pub struct Address {
    /// What stands before the repository in every request: `https://registry.example/v2`, or with any other path.
    pub base: SafeUrl,
    /// Where https does not answer, http is asked at the same host and port.
    pub or_http: bool,
    /// Sent with each request to this endpoint and to a token server of the same origin, and to nobody else. Their
    /// values may be secrets, and are printed nowhere.
    pub headers: HeaderMap,
    /// The registry that a mirror stands for, as the query parameter `ns`.
    pub namespace: Option<String>,
    /// The limit for a connection, where this endpoint has its own.
    pub connect_timeout: Option<Duration>,
}

impl Address {
    /// The base with a slash at its end, for relative URLs.
    pub(super) fn root(&self) -> SafeUrl {
        self.base.as_directory()
    }

    /// The repository as the registry at this address knows it: what the path of the base has behind `/v2` belongs to its
    /// name, and to the scope of its tokens.
    pub(super) fn repository(&self, name: &Name) -> String {
        let path = self.base.as_directory().path().to_owned();
        let prefix = path.rsplit_once("/v2/").map(|(_, prefix)| prefix.trim_matches('/')).unwrap_or_default();
        if prefix.is_empty() { name.path().to_owned() } else { format!("{prefix}/{}", name.path()) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The repository in the registry's own words.
pub(super) fn repository(name: &Name, address: Option<&Address>) -> String {
    address.map_or_else(|| name.path().to_owned(), |address| address.repository(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    #[test]
    fn a_path_behind_v2_is_a_part_of_the_repository_and_any_other_is_not() {
        for (base, expected) in [
            ("https://r.example/v2", "org/app"),
            ("https://r.example/v2/", "org/app"),
            ("https://r.example", "org/app"),
            ("https://r.example/v2/cache", "cache/org/app"),
            ("https://r.example/v2/a/b/", "a/b/org/app"),
            ("https://r.example/api/docker/x/v2", "org/app"),
            ("https://r.example/v2/cache/v2", "org/app"),
            ("https://r.example/other", "org/app"),
        ] {
            let address = Address {
                base: base.parse().unwrap(),
                or_http: false,
                headers: HeaderMap::new(),
                namespace: None,
                connect_timeout: None,
            };
            let reference: Reference = "quay.io/org/app:1".parse().unwrap();
            assert_eq!(repository(reference.name(), Some(&address)), expected, "{base}");
        }
    }
}
