//! How one host is reached, where a file says more of it than its name.

use std::fmt;
use std::time::Duration;

use super::certs_d::CertsDir;
use super::credentials::Credentials;
use super::error::Place;
use crate::safe_url::SafeUrl;
use crate::secret::Secret;

/// A host as containerd's files describe one
/// ([hosts.toml](https://github.com/containerd/containerd/blob/main/docs/hosts.md)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What stands before the repository in every request: `https://mirror.example/v2`.
    pub base: SafeUrl,
    /// Where https does not answer, http is asked.
    pub or_http: bool,
    /// What it may be asked for.
    pub capabilities: Capabilities,
    /// Its certificate authorities, beside the system's, and what it is shown.
    pub certs: CertsDir,
    /// Any certificate is accepted.
    pub skip_verify: bool,
    /// Sent with each request to it, in order.
    pub headers: Vec<HostHeader>,
    /// The limit for a connection, where the host has its own.
    pub dial_timeout: Option<Duration>,
    /// Who we are to it, where a file of containerd says that; otherwise the auth files do.
    pub credentials: Option<HostCredentials>,
    /// The registry that it stands for, where its own name is another: the query parameter `ns`.
    pub namespace: Option<String>,
    /// The rule that made the repository's name, as `pattern -> replacement`; `None` where it kept its name.
    pub rewrite: Option<String>,
    /// Where all this is written; `None` for what holds where nothing is.
    pub place: Option<Place>,
}

impl Host {
    /// A host of which only the URL is known.
    pub fn at(base: SafeUrl) -> Self {
        Self {
            base,
            or_http: false,
            capabilities: Capabilities::ALL,
            certs: CertsDir::default(),
            skip_verify: false,
            headers: Vec::new(),
            dial_timeout: None,
            credentials: None,
            namespace: None,
            rewrite: None,
            place: None,
        }
    }

    /// Where it is asked, and whether http is asked where https does not answer: as its file says, unless somebody says of
    /// every host whether it is verified.
    pub fn effective(&self, tls_verify: Option<bool>) -> (SafeUrl, bool) {
        let base = if tls_verify == Some(true) { self.base.over_https() } else { self.base.clone() };
        let or_http = tls_verify.map_or(self.or_http, |verify| !verify) && base.is_https();
        (base, or_http)
    }
}

/// Who we are to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCredentials {
    /// A user and a password, or an identity token.
    pub credentials: Credentials,
    /// Where they are written, which may be another file than the host's.
    pub place: Place,
}

/// A header field. Its value may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostHeader {
    /// The name, in any case.
    pub name: String,
    /// The value.
    pub value: Secret<String>,
}

/// What a host may be asked for.
#[allow(clippy::struct_excessive_bools, reason = "a host has each of them or not")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Content, by its digest.
    pub pull: bool,
    /// What a tag names.
    pub resolve: bool,
    /// To take content.
    pub push: bool,
    /// What refers to a manifest.
    pub referrers: bool,
}

impl Capabilities {
    /// Everything: what a host has of which nothing else is said.
    pub const ALL: Self = Self { pull: true, resolve: true, push: true, referrers: true };
    /// Nothing.
    pub const NONE: Self = Self { pull: false, resolve: false, push: false, referrers: false };
    /// What a mirror has: everything but to take content.
    pub const MIRROR: Self = Self { push: false, ..Self::ALL };
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pull, resolve, push, referrers } = *self;
        let all = [(pull, "pull"), (resolve, "resolve"), (push, "push"), (referrers, "referrers")];
        let names: Vec<_> = all.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}
