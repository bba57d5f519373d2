//! Which proxy, if any.

use std::net::IpAddr;

use crate::safe_url::SafeUrl;
use crate::secret::Secret;

/// Proxies as the environment states them: `HTTP_PROXY` for http, `HTTPS_PROXY` for https, none for hosts in
/// `NO_PROXY` and never for this machine itself. The rules are
/// [those of Go programs](https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config).
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http` URLs; may hold a password.
    pub http: Option<Secret<String>>,
    /// For `https` URLs; may hold a password.
    pub https: Option<Secret<String>>,
    /// Hosts to reach directly, separated by commas: `*`, a name (with its subdomains), `.name` (only its subdomains),
    /// an address, or a range `10.0.0.0/8`; each may end in `:port`.
    pub no_proxy: String,
}

impl Proxies {
    /// The proxy for a URL.
    pub fn for_url(&self, url: &SafeUrl) -> Option<&Secret<String>> {
        let proxy = if url.is_https() { self.https.as_ref() } else { self.http.as_ref() };
        proxy.filter(|proxy| !proxy.expose().is_empty() && !self.is_direct(url))
    }

    fn is_direct(&self, url: &SafeUrl) -> bool {
        let (host, port) = (url.host(), url.port());
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        host == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self.no_proxy.split(',').map(str::trim).any(|entry| is_match(entry, &host, address, port))
    }
}

fn is_match(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let (pattern, wanted_port) = match entry.rsplit_once(':') {
        Some((pattern, digits)) if !pattern.contains(':') => (pattern, digits.parse::<u16>().ok()),
        _ => (entry, None),
    };
    if pattern.is_empty() || wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if pattern == "*" {
        return true;
    }
    if let Some(address) = address {
        return pattern.parse() == Ok(address) || is_in_range(address, pattern);
    }
    let pattern = pattern.trim_start_matches('*').to_ascii_lowercase();
    match pattern.strip_prefix('.') {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => host.strip_suffix(pattern.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    }
}

fn is_in_range(address: IpAddr, range: &str) -> bool {
    let Some((network, length)) = range.split_once('/') else {
        return false;
    };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_chooses_and_no_proxy_exempts() {
        let proxies = |no_proxy: &str| Proxies {
            http: Some("http://plain:1".to_owned().into()),
            https: Some("http://secure:2".to_owned().into()),
            no_proxy: no_proxy.to_owned(),
        };
        for (no_proxy, url, expected) in [
            ("", "http://a.example/", Some("http://plain:1")),
            ("", "https://a.example/", Some("http://secure:2")),
            ("", "https://localhost:5000/", None),
            ("", "https://127.3.2.1:5000/", None),
            ("", "http://[::1]:5000/", None),
            ("*", "https://a.example/", None),
            ("a.example", "https://a.example/", None),
            ("a.example", "https://b.a.example/", None),
            ("a.example", "https://ba.example/", Some("http://secure:2")),
            (".a.example", "https://a.example/", Some("http://secure:2")),
            (" x, .a.example", "https://b.a.example/", None),
            ("a.example:8443", "https://a.example/", Some("http://secure:2")),
            ("a.example:443", "https://a.example/", None),
            ("10.0.0.0/8", "https://10.9.8.7/", None),
            ("10.0.0.0/8", "https://11.9.8.7/", Some("http://secure:2")),
            ("fd00::/8", "https://[fd00::1]/", None),
            ("192.0.2.1", "https://192.0.2.1/", None),
        ] {
            let proxies = proxies(no_proxy);
            let found = proxies.for_url(&url.parse().unwrap()).map(|proxy| proxy.expose().as_str());
            assert_eq!(found, expected, "{no_proxy:?} {url}");
        }
    }
}
