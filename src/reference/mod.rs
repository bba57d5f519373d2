//! Names of images.
//!
//! A [`Reference`] is a name in a registry, fully spelled out: `docker.io/library/busybox:latest`. An
//! [`ImageReference`] says where an image is in words of the command line: `docker://busybox`, `dir:/srv/image`.
//!
//! The grammar is that of
//! [distribution/reference](https://pkg.go.dev/github.com/distribution/reference#pkg-overview), the one that podman,
//! skopeo and containerd share.

use std::fmt;
use std::str::FromStr;

use crate::digest::{self, Digest};

mod docker_reference;
mod familiar;
mod image_reference;
mod parse;
mod path_reference;

pub use docker_reference::DockerReference;
pub use image_reference::{ImageReference, ImageReferenceError};
pub use path_reference::{ArchivedImage, DockerArchiveReference, OciImage, OciName, OciReference};

/// The tag that is meant when none is given.
pub const DEFAULT_TAG: &str = "latest";

/// A repository in a registry: domain and path, without tag and digest.
///
/// ```
/// use transship::reference::Reference;
///
/// let reference: Reference = "busybox".parse()?;
/// assert_eq!(reference.name().domain(), "docker.io");
/// assert_eq!(reference.name().path(), "library/busybox");
/// # Ok::<(), transship::reference::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    domain: String,
    path: String,
}

impl Name {
    /// The registry, with its port where it has one: `docker.io`, `localhost:5000`.
    ///
    /// Empty for a name such as `my_host.example/app`, which has a dot where a registry is expected but is no host name
    /// by the grammar. The whole is its path then. Only configuration can say where such an image is.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository inside the registry.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}/", self.domain)?;
        }
        f.write_str(&self.path)
    }
}

/// A tag: at most 128 of `A-Z a-z 0-9 _ . -`, the first not `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if parse::is_tag(text) { Ok(Self(text.to_owned())) } else { Err(ParseError::Tag(text.to_owned())) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name with an optional tag and an optional digest, always spelled out in full.
///
/// Parsing adds what is only implied (`docker.io`, `library/`), but never a tag: see
/// [`with_default_tag`](Self::with_default_tag). `Display` and `FromStr` round-trip.
///
/// ```
/// use transship::reference::Reference;
///
/// let reference: Reference = "quay.io/org/app:1".parse()?;
/// assert_eq!(reference.to_string(), "quay.io/org/app:1");
/// assert_eq!(reference.namespaces(), ["quay.io/org/app", "quay.io/org", "quay.io", "*.io"]);
/// # Ok::<(), transship::reference::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    name: Name,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// No name at all.
    #[error("repository name must have at least one component")]
    Empty,
    /// A URL, or a transport, where a name belongs.
    #[error("{0:?} does not belong in the name of an image, which begins with the registry: quay.io/org/app")]
    Scheme(String),
    /// Upper-case letters in the path.
    #[error("repository name {0:?} must be lowercase")]
    Uppercase(String),
    /// Looks like an image id.
    #[error("{0} cannot be a repository name: 64 hexadecimal digits are an image id")]
    ImageId(String),
    /// Over 255 characters of domain and path.
    #[error("repository name is {0} characters long, at most 255 are allowed")]
    TooLong(usize),
    /// A path component against the grammar.
    #[error("invalid repository name component {component:?} at character {position}")]
    Component {
        /// The component.
        component: String,
        /// Where it begins in the text that was given, in characters counted from 1.
        position: usize,
    },
    /// Not a tag.
    #[error("invalid tag {0:?}: at most 128 of A-Z a-z 0-9 _ . -, not beginning with . or -")]
    Tag(String),
    /// Not a digest.
    #[error("invalid digest in a reference")]
    Digest(#[source] digest::ParseError),
    /// Valid, but not spelled out: where a location is configured, nothing may be implied.
    #[error("{found:?} is not spelled out in full, expected {expected:?}")]
    NotCanonical {
        /// What was given.
        found: String,
        /// How it must be written.
        expected: String,
    },
}

impl Reference {
    /// Like `parse`, but refuses whatever is not spelled out in full: the rule for a rewritten reference.
    pub fn parse_canonical(text: &str) -> Result<Self, ParseError> {
        let reference: Self = text.parse()?;
        let expected = reference.to_string();
        if expected == text {
            Ok(reference)
        } else {
            Err(ParseError::NotCanonical { found: text.to_owned(), expected })
        }
    }

    /// Domain and path.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Short for `name().domain()`.
    pub fn domain(&self) -> &str {
        &self.name.domain
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same, with `:latest` when there is neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag(DEFAULT_TAG.to_owned()));
        }
        self
    }

    /// The same name with this tag; an existing digest stays.
    #[must_use]
    pub fn with_tag(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self
    }

    /// The same name with this digest; an existing tag stays.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The same without its tag.
    #[must_use]
    pub fn without_tag(mut self) -> Self {
        self.tag = None;
        self
    }

    /// The same without its digest.
    #[must_use]
    pub fn without_digest(mut self) -> Self {
        self.digest = None;
        self
    }

    /// The same name alone.
    #[must_use]
    pub fn without_tag_and_digest(self) -> Self {
        self.without_tag().without_digest()
    }

    /// The short form that people type: `busybox` for `docker.io/library/busybox`.
    ///
    /// It always reads back as the same reference. Where leaving `docker.io` out would name another registry, as in
    /// `docker.io/quay.io/app`, it is not left out.
    pub fn familiar(&self) -> String {
        let mut text = familiar::short_name(&self.name);
        self.push_tag_and_digest(&mut text);
        if text.parse().as_ref() == Ok(self) { text } else { self.to_string() }
    }

    /// The namespaces of this name in policies and signature stores, most specific first: the name, its parents, the
    /// domain, and `*.` wildcards of the domain's parents
    /// ([containers-policy.json(5)](https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md)).
    pub fn namespaces(&self) -> Vec<String> {
        let full = self.name.to_string();
        let mut namespaces = Vec::new();
        let mut rest = full.as_str();
        loop {
            namespaces.push(rest.to_owned());
            match rest.rsplit_once('/') {
                Some((parent, _)) => rest = parent,
                None => break,
            }
        }
        let mut host = rest.split_once(':').map_or(rest, |(host, _)| host);
        while let Some((_, parent)) = host.split_once('.') {
            namespaces.push(format!("*.{parent}"));
            host = parent;
        }
        namespaces
    }

    /// The same tag and digest in the repository `path` of a host whose name comes from a URL. It may be a single label, or
    /// an address in brackets: what is printed of it is then for people, and does not read back.
    pub(crate) fn at_host(&self, host: &str, path: &str) -> Result<Self, ParseError> {
        Ok(Self { name: parse::name_at(host, path)?, ..self.clone() })
    }

    fn push_tag_and_digest(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag.as_str());
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
    }
}

/// The name alone.
impl From<Name> for Reference {
    fn from(name: Name) -> Self {
        Self { name, tag: None, digest: None }
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        familiar::parse_normalized(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name.to_string();
        self.push_tag_and_digest(&mut text);
        f.write_str(&text)
    }
}
