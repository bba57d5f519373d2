//! Registries and namespaces, where the configuration has no whole reference.

use crate::reference::Reference;

/// True for `host` or `host:port`, a single label included.
pub(super) fn is_domain(text: &str) -> bool {
    !text.contains('/') && is_namespace(text)
}

/// True for `host[:port]` or `host[:port]/path`, without tag and digest and with nothing implied.
///
/// The grammar of references is asked. It takes a first component for a host only when that has a dot or a port, so it
/// gets one: one label more makes a host neither valid nor invalid.
pub(super) fn is_namespace(text: &str) -> bool {
    let (domain, path) = text.split_once('/').unwrap_or((text, "path"));
    let (host, port) = domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let domain = format!("{host}.x{port}");
    let name_only = |reference: &Reference| reference.tag().is_none() && reference.digest().is_none();
    Reference::parse_canonical(&format!("{domain}/{path}"))
        .is_ok_and(|reference| reference.domain() == domain && name_only(&reference))
}

/// True when the first component is a registry and not a path on a registry that is only implied.
pub(super) fn names_a_registry(text: &str) -> bool {
    text.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_labels_and_an_optional_port() {
        for good in ["a", "localhost", "a.b", "A-1.b:5000", "10.0.0.1:5000"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["", "a/b", "a_b", "-a", "a-", "a:", "a:b", "a..b", ".a", "a.", "a@b", "a:1:2", "https://a"] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
