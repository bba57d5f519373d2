//! The rules of containerd's files that a file can break.

use crate::config::certs_d;
use crate::reference;
use crate::safe_url;

/// Which rule of [hosts.toml](https://github.com/containerd/containerd/blob/main/docs/hosts.md), of the
/// [registry table](https://github.com/containerd/containerd/blob/main/docs/cri/registry.md) of a config.toml, or of
/// [registries.yaml](https://docs.k3s.io/installation/private-registry) a file breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A value of another type.
    #[error("{key} must be {expected}")]
    Type {
        /// Which key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A host, or an endpoint, that is no URL. It is not repeated: it may hold a secret.
    #[error("not the URL of a registry, expected such as https://mirror.example:5000")]
    Url(#[source] safe_url::ParseError),
    /// A URL with a query or a fragment, to which nothing can be appended.
    #[error("the URL of a registry ends with its path, without a query (?) or a fragment (#)")]
    UrlTail,
    /// A capability that nobody knows.
    #[error("unknown capability {0:?}, expected \"pull\", \"resolve\", \"push\" or \"referrers\"")]
    Capability(String),
    /// `client` with more or less than a certificate and its key.
    #[error("an entry of client must be a file, or a list of a certificate and its key")]
    ClientPair,
    /// A certificate without its key, or the other way.
    #[error("cert_file and key_file belong together; one of them is missing")]
    HalfClient,
    /// A header that cannot be sent. Its value may be a secret.
    #[error("{0:?} with this value is no HTTP header")]
    Header(String),
    /// A header that says where a request ends, or whom it is for. Its value may be a secret.
    #[error("{0:?} is not for a file to set")]
    Framing(String),
    /// A time that cannot be read, or is more than an hour.
    #[error("{0:?} is not a time up to an hour, expected such as 500ms, 3s or 1m30s")]
    Duration(String),
    /// A file of certificates that cannot be used. Prints as its cause.
    #[error("{0}")]
    Certificates(#[source] certs_d::Error),
    /// A pattern that cannot be read.
    #[error("the pattern {pattern:?} cannot be read: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, in one line.
        problem: String,
    },
    /// A rule that makes no name of a repository.
    #[error("the rewrite {pattern:?} = {replacement:?} makes {result:?} of {repository}, which is no repository name")]
    Rewrite {
        /// What was found in the repository's name.
        pattern: String,
        /// What it was replaced with.
        replacement: String,
        /// What was asked for.
        repository: String,
        /// What it became.
        result: String,
        /// What is wrong with that.
        source: reference::ParseError,
    },
    /// The host's name and the repository's are too long together.
    #[error("{repository} has no name at {host}")]
    NoName {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// Why not.
        source: reference::ParseError,
    },
    /// `auth` that is not a user and a password in base64. It is not repeated.
    #[error("auth must be \"user:password\" in base64")]
    Auth,
    /// The table of mirrors, or TLS settings beside it, where there is a directory that says the same.
    #[error("{0} cannot be set where config_path is: move it into a hosts.toml")]
    BesideConfigPath(&'static str),
    /// TLS settings for an endpoint of plain http.
    #[error("there are tls settings for {0}, which is reached over plain http")]
    TlsOfHttp(String),
    /// The table stands twice in one file.
    #[error("the registry is configured twice in this file; the first is at line {0}")]
    Twice(u32),
    /// A host that no reference can name.
    #[error("{0:?} is not a registry, expected such as quay.io, localhost:5000 or \"*\"")]
    Registry(String),
    /// A registry that is to have mirrors and has none, and is not to be asked itself.
    #[error("no endpoint of {0} is named, and the registry itself is not to be asked")]
    NoEndpoint(String),
    /// Nobody may be asked for the image.
    #[error("no host may be asked for {0}: each lacks the capability \"pull\"")]
    NoPull(String),
}
