//! Where the API of a host is: what the files write, and what holds where they write nothing.

use std::net::IpAddr;

use super::{Defaults, Invalid, Scheme};
use crate::safe_url::{self, SafeUrl};

/// The registry whose API is elsewhere, and where.
pub(super) const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
const API: &str = "/v2";

/// A URL before which nothing stands, and behind which the repository follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) url: SafeUrl,
    /// Port 80 is written: there is no doubt that http is meant.
    is_port_80: bool,
}

impl Base {
    /// A URL as hosts.toml has it: https unless it says something else, and `/v2` behind its path unless it ends so or
    /// `is_whole`.
    pub(super) fn of_hosts_toml(text: &str, is_whole: bool) -> Result<Self, Invalid> {
        let mut base = Self::parse(text, "https")?;
        let path = clean(base.url.path());
        let is_api = is_whole || path.ends_with(API);
        base.url = base.url.with_path(&if is_api { path } else { path + API });
        Ok(base)
    }

    /// A URL as the CRI's table has it: a path is taken as it is.
    pub(super) fn of_cri(text: &str) -> Result<Self, Invalid> {
        let mut base = Self::parse(text, if is_localhost(host_of(text)) { "http" } else { "https" })?;
        if base.url.path() == "/" && !text.ends_with('/') {
            base.url = base.url.with_path(API);
        }
        Ok(base)
    }

    /// A URL as registries.yaml has it.
    pub(super) fn of_k3s(text: &str) -> Result<Self, Invalid> {
        let host = host_of(text);
        let is_odd = matches!(port_of(host), Some(port) if port != "443");
        let base = Self::parse(text, if is_localhost(host) && is_odd { "http" } else { "https" })?;
        let path = clean(base.url.path());
        let base = if base.url.authority() == DOCKER_HUB.0 { Self::at(base.scheme(), DOCKER_HUB.1)? } else { base };
        let url = base.url.with_path(if path.is_empty() { API } else { &path });
        Ok(Self { url, ..base })
    }

    /// The registry itself, and whether its certificate matters to nobody, because it is this machine.
    pub(super) fn of_registry(domain: &str, defaults: Defaults) -> Result<(Self, bool), Invalid> {
        let scheme = |scheme: Option<Scheme>| scheme.unwrap_or(Scheme::Https).name();
        if domain == DOCKER_HUB.0 {
            return Ok((Self::api(Scheme::Https.name(), DOCKER_HUB.1)?, false));
        }
        if !is_localhost(domain) || defaults.scheme.is_some() {
            return Ok((Self::api(scheme(defaults.scheme), domain)?, false));
        }
        let port = port_of(domain);
        let is_https = matches!(port, None | Some("" | "443"));
        let base = Self::api(if is_https { "https" } else { "http" }, domain)?;
        Ok((base, port != Some("80")))
    }

    fn api(scheme: &str, domain: &str) -> Result<Self, Invalid> {
        let base = Self::at(scheme, domain)?;
        Ok(Self { url: base.url.with_path(API), ..base })
    }

    fn at(scheme: &str, domain: &str) -> Result<Self, Invalid> {
        // An address gets the brackets that it has in a URL.
        let is_bare = domain.parse::<std::net::Ipv6Addr>().is_ok();
        let host = if is_bare { format!("[{domain}]") } else { domain.to_owned() };
        Self::parse(&format!("{scheme}://{host}"), scheme)
    }

    fn parse(text: &str, scheme: &str) -> Result<Self, Invalid> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
        let url: SafeUrl = whole.parse().map_err(Invalid::Url)?;
        if url.has_query_or_fragment() {
            return Err(Invalid::UrlTail);
        }
        Ok(Self { url, is_port_80: port_of(host_of(&whole)) == Some("80") })
    }

    /// True for a host, with or without a port, and nothing else.
    pub(super) fn is_host(text: &str) -> bool {
        let is_url = Self::at("https", text).is_ok_and(|base| base.url.path() == "/");
        is_url && !text.contains(['/', '*'])
    }

    fn scheme(&self) -> &'static str {
        if self.url.is_https() { "https" } else { "http" }
    }

    /// True where TLS settings for plain http mean that https is tried before.
    pub(super) fn may_be_https(&self) -> bool {
        !self.url.is_https() && !self.is_port_80
    }

    /// True where http can be asked when https does not answer: at the port of https it cannot.
    pub(super) fn may_be_http(&self) -> bool {
        !self.url.is_https() && self.url.port() != 443
    }

    /// True when this is where the registry `domain` is asked.
    pub(super) fn is_of(&self, domain: &str) -> bool {
        let is_at = |host: &str| Self::at(self.scheme(), host).is_ok_and(|own| own.url.same_origin(&self.url));
        is_at(domain) || domain == DOCKER_HUB.0 && is_at(DOCKER_HUB.1)
    }

    /// The registry that is asked here, in the words of references; `domain` is the one that the image is named for.
    pub(super) fn registry(&self, domain: &str) -> String {
        let hub = DOCKER_HUB.0;
        [domain, hub].into_iter().find(|known| self.is_of(known)).map_or_else(|| self.url.authority(), str::to_owned)
    }
}

/// True for this machine: its name, or an address of it, with or without a port.
pub(super) fn is_localhost(host: &str) -> bool {
    let name = port_of(host).map_or(host, |port| host.get(..host.len() - port.len() - 1).unwrap_or_default());
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_loopback = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(address.is_loopback(), |address| address.is_loopback()),
    };
    name == "localhost" || address.parse().is_ok_and(is_loopback)
}

/// The host and the port of a URL, or of what is one without its scheme.
pub(super) fn host_of(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

/// What is behind the last colon of a host, unless that is within an address.
fn port_of(host: &str) -> Option<&str> {
    let is_bare = host.parse::<std::net::Ipv6Addr>().is_ok();
    let (_, port) = host.rsplit_once(':').filter(|(_, port)| !is_bare && !port.contains(']'))?;
    Some(port)
}

/// The path without empty components, beginning with a slash and not ending so; empty for the root. Those of one and two
/// dots are gone since the URL was read.
fn clean(path: &str) -> String {
    path.split('/').filter(|component| !component.is_empty()).flat_map(|component| ["/", component]).collect()
}

impl From<safe_url::ParseError> for Invalid {
    fn from(source: safe_url::ParseError) -> Self {
        Self::Url(source)
    }
}
