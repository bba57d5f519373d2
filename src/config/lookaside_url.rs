//! Where the signatures of a repository are stored.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::error::Place;
use crate::digest::Digest;
use crate::reference::Name;
use crate::safe_url::{self, SafeUrl};

/// The lookaside storage of one repository: a URL of registries.d, and the path of the repository below it.
///
/// `Display` is the URL with the repository's path, and has no secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookasideUrl {
    configured: String,
    base: Base,
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    File(Url),
    Http(SafeUrl),
    /// A path without a scheme, or a scheme that nobody reads: kept for the message that says so.
    Other(String),
}

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageLocation {
    /// A file or directory of this machine.
    File(PathBuf),
    /// A web server.
    Http(SafeUrl),
}

/// Why a URL of registries.d cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookasideError {
    /// Not a URL, or one with a password in it.
    #[error("invalid signature storage URL for {name} at {place}")]
    Url {
        /// Whose signatures are looked for.
        name: Name,
        /// Where it is written.
        place: Place,
        /// What is wrong.
        source: safe_url::ParseError,
    },
    /// Neither `file`, nor `http`, nor `https`.
    #[error("unsupported signature storage {url:?}{}, expected a URL with scheme file, http or https", at(place.as_ref()))]
    Unsupported {
        /// What is configured, with the repository.
        url: String,
        /// Where it is written.
        place: Option<Place>,
    },
    /// Nothing is configured, and the user has no home directory for the default.
    #[error("no signature storage is configured, and the user has no home directory for the default one")]
    NoHome,
}

fn at(place: Option<&Place>) -> String {
    place.map(|place| format!(" at {place}")).unwrap_or_default()
}

impl LookasideUrl {
    /// The repository's path is appended; its domain is not.
    pub(super) fn new(configured: &str, place: Place, name: &Name) -> Result<Self, LookasideError> {
        let base = parse(configured, name.path()).map_err(|source| LookasideError::Url {
            name: name.clone(),
            place: place.clone(),
            source,
        })?;
        Ok(Self { configured: configured.to_owned(), base, place: Some(place) })
    }

    /// The default directory has no place in a file.
    pub(super) fn in_directory(directory: &Path, name: &Name) -> Result<Self, LookasideError> {
        let url = |path: &Path| {
            Url::from_file_path(path)
                .map_err(|()| LookasideError::Unsupported { url: path.display().to_string(), place: None })
        };
        let configured = url(directory)?.to_string();
        Ok(Self { configured, base: Base::File(url(&directory.join(name.path()))?), place: None })
    }

    /// The URL as it is configured, without the repository.
    pub fn configured(&self) -> &str {
        &self.configured
    }

    /// Where it is configured; `None` for the default directory.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The place of signature `index`, counted from 0, of the manifest `digest`.
    #[must_use]
    pub fn signature(&self, digest: &Digest, index: usize) -> Self {
        let suffix = format!("@{}={}/signature-{}", digest.algorithm(), digest.encoded(), index.saturating_add(1));
        let mut signature = self.clone();
        match &mut signature.base {
            Base::File(url) => append(url, &suffix),
            Base::Http(safe) => {
                if let Ok(mut url) = Url::parse(safe.expose()) {
                    append(&mut url, &suffix);
                    // Neither scheme nor authority has changed, so it is still a safe URL.
                    if let Ok(longer) = SafeUrl::try_from(url) {
                        *safe = longer;
                    }
                }
            }
            Base::Other(text) => text.push_str(&suffix),
        }
        signature
    }

    /// What to read; an error for a scheme that nobody reads.
    pub fn location(&self) -> Result<StorageLocation, LookasideError> {
        let unsupported = || LookasideError::Unsupported { url: self.to_string(), place: self.place.clone() };
        match &self.base {
            Base::File(url) => url.to_file_path().map(StorageLocation::File).map_err(|()| unsupported()),
            Base::Http(url) => Ok(StorageLocation::Http(url.clone())),
            Base::Other(_) => Err(unsupported()),
        }
    }
}

impl fmt::Display for LookasideUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::File(url) => url.fmt(f),
            Base::Http(url) => url.fmt(f),
            Base::Other(text) => f.write_str(text),
        }
    }
}

fn parse(configured: &str, repository: &str) -> Result<Base, safe_url::ParseError> {
    let other = || Base::Other(format!("{configured}/{repository}"));
    let mut url = match Url::parse(configured) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) if !first_segment(configured).contains(':') => return Ok(other()),
        Err(error) => return Err(safe_url::ParseError::Syntax(error)),
    };
    // `Url` has a path "/" where nothing is written: it would be doubled.
    if url.path() == "/" && !without_query(configured).ends_with('/') {
        append_to("", &mut url, &format!("/{repository}"));
    } else {
        append(&mut url, &format!("/{repository}"));
    }
    match url.scheme() {
        "file" => Ok(Base::File(url)),
        "http" | "https" => SafeUrl::try_from(url).map(Base::Http),
        // It cannot be read either way, and it is printed to say so.
        _ if !url.username().is_empty() || url.password().is_some() => Err(safe_url::ParseError::UserInfo),
        _ => Ok(other()),
    }
}

fn append(url: &mut Url, suffix: &str) {
    let path = url.path().to_owned();
    append_to(&path, url, suffix);
}

fn append_to(path: &str, url: &mut Url, suffix: &str) {
    url.set_path(&format!("{path}{suffix}"));
}

fn first_segment(text: &str) -> &str {
    text.split('/').next().unwrap_or_default()
}

fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}
