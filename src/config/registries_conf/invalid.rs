//! The rules of registries.conf that a file can break.

use crate::config::short_names;

/// Which rule of
/// [containers-registries.conf(5)](https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md)
/// a file breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A location or a prefix that is a URL.
    #[error("invalid location {0:?}: expected host[:port][/path], URI schemes are not supported")]
    Scheme(String),
    /// `[[registry]]` with neither prefix nor location.
    #[error("a [[registry]] needs a prefix or a location")]
    NoPrefixAndNoLocation,
    /// Only a wildcard prefix can do without a location.
    #[error(
        "the [[registry]] of prefix {0:?} needs a location: only a prefix such as \"*.example.com\" can do without"
    )]
    NoLocation(String),
    /// A wildcard prefix with more than a domain.
    #[error("invalid prefix {0:?}: a wildcard is in the form \"*.example.com\", without port, path, tag and digest")]
    Wildcard(String),
    /// `[[registry.mirror]]` without location.
    #[error("a [[registry.mirror]] needs a location")]
    NoMirrorLocation,
    /// `pull-from-mirror` outside a mirror.
    #[error("pull-from-mirror is for a [[registry.mirror]], not for the [[registry]] of prefix {0:?}")]
    PullFromMirrorOfRegistry(String),
    /// `pull-from-mirror` and `mirror-by-digest-only` together.
    #[error("pull-from-mirror of mirror {mirror:?} contradicts mirror-by-digest-only of prefix {prefix:?}; keep one")]
    PullFromMirrorTwice {
        /// The prefix of the registry.
        prefix: String,
        /// The location of the mirror.
        mirror: String,
    },
    /// An unknown value of `pull-from-mirror`.
    #[error("invalid pull-from-mirror {0:?}, expected \"all\", \"digest-only\" or \"tag-only\"")]
    PullFromMirror(String),
    /// Two `[[registry]]` of one location that differ.
    #[error("registry {location:?} is defined before, at line {line}, with another {setting:?}; they must agree")]
    Conflict {
        /// The location, or the prefix where there is none.
        location: String,
        /// `insecure` or `blocked`.
        setting: &'static str,
        /// Where the other one is.
        line: u32,
    },
    /// An entry of `unqualified-search-registries` that is no registry.
    #[error("invalid unqualified-search-registries entry {0:?}, expected host[:port]")]
    SearchRegistry(String),
    /// The form of version 1 and of version 2 in one file.
    #[error("[registries.…] of version 1 and the keys of version 2 cannot be mixed; write it all as [[registry]]")]
    MixedVersions,
    /// The form of version 1 in a drop-in.
    #[error("[registries.…] of version 1 is not accepted in a drop-in; write it as [[registry]]")]
    Version1DropIn,
    /// A key in two spellings, which differ in upper and lower case.
    #[error("key {0:?} is given twice")]
    DuplicateKey(String),
    /// A short name, its alias or its mode.
    #[error(transparent)]
    ShortName(#[from] short_names::ParseError),
}
