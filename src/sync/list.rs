//! A list of images: the YAML file of skopeo-sync(1).
//!
//! For each registry it has repositories, and for each of those which images of it are wanted. What skopeo passes over
//! with a message (a name that is none, a pattern that cannot be read, a key that nobody knows) is an error here: a
//! list that is only half followed is a mirror with holes in it.

use std::path::{Path, PathBuf};

use regex::Regex;
use serde_saphyr::Spanned;

use super::constraint::{NotAConstraint, VersionConstraint};
use crate::config::credentials::Credentials;
use crate::config::error::Place;
use crate::config::{self, MAX_FILE_SIZE, Pairs};
use crate::digest::Digest;
use crate::error::last_line;
use crate::reference::{self, Reference, Tag};
use crate::registry::Identity;
use crate::source;

/// Images of one or more registries, in the order of the file.
#[derive(Debug, Clone)]
pub struct ImageList {
    pub(super) registries: Vec<ListedRegistry>,
}

#[derive(Debug, Clone)]
pub(super) struct ListedRegistry {
    pub(super) repositories: Vec<ListedRepository>,
    identity: Option<Identity>,
    tls_verify: Option<bool>,
    cert_dir: Option<PathBuf>,
}

/// A repository, and which images of it.
#[derive(Debug, Clone)]
pub(super) struct ListedRepository {
    pub(super) repository: Reference,
    pub(super) wanted: Wanted,
}

#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Whatever tags it has.
    AllTags,
    /// These, each with a tag or a digest.
    These(Vec<Reference>),
    /// The tags in which the pattern is found.
    Matching(Regex),
    /// The tags that are such versions.
    Versions(VersionConstraint),
}

/// Why a list of images cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The file cannot be read, is no YAML, or has a key that nobody knows. Prints as its cause.
    #[error("{0}")]
    File(#[from] config::Error),
    /// Something in it is not what it must be.
    #[error("invalid list of images at {place}")]
    Invalid {
        /// Where.
        place: Place,
        /// What it must be.
        source: Invalid,
    },
}

/// What is wrong in a list of images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A key that must be a registry.
    #[error("{0:?} is not a registry, expected such as quay.io or localhost:5000")]
    Registry(String),
    /// A key that must be a repository of its registry.
    #[error("{0:?} is not a repository, expected such as org/app")]
    Repository(String),
    /// An entry that must be a tag or a digest.
    #[error("{text:?} is neither a digest nor a tag")]
    Selector {
        /// The entry.
        text: String,
        /// Why it is no tag.
        source: reference::ParseError,
    },
    /// A pattern that cannot be read.
    #[error("the pattern {pattern:?} cannot be read: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, in one line.
        problem: String,
    },
    /// A constraint that cannot be read. Prints as its cause.
    #[error("{0}")]
    Constraint(#[source] NotAConstraint),
}

/// Entries in the order of the file, and where each is.
type Named<V> = Pairs<Spanned<String>, V>;

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawRegistry {
    images: Option<Named<Option<Vec<Spanned<String>>>>>,
    images_by_tag_regex: Option<Named<Spanned<String>>>,
    images_by_semver: Option<Named<Spanned<String>>>,
    credentials: Option<RawCredentials>,
    tls_verify: Option<bool>,
    cert_dir: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCredentials {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl ImageList {
    /// How many of its registries have no credentials in the list: whoever gives some for all gives them to each of these.
    pub fn without_credentials(&self) -> usize {
        self.registries.iter().filter(|registry| registry.identity.is_none()).count()
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ListError> {
        let unreadable = |source| config::Error::Read { path: path.to_owned(), source };
        let bytes = config::read_bounded(path, MAX_FILE_SIZE).map_err(unreadable)?;
        Self::parse(&bytes, path)
    }

    /// Reads a file that is in memory; `file` is its name in errors.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, ListError> {
        let text = std::str::from_utf8(bytes).map_err(|error| config::Error::utf8(file, bytes, error))?;
        let raw: Option<Named<Option<RawRegistry>>> =
            serde_saphyr::from_str(text).map_err(|error| config::Error::yaml(file, error))?;
        let registries = raw.into_iter().flat_map(|raw| raw.0);
        let registries = registries.map(|(name, raw)| Reading { file, name }.registry(raw.unwrap_or_default()));
        Ok(Self { registries: registries.collect::<Result<_, _>>()? })
    }
}

impl ListedRegistry {
    /// How to ask this registry: as the file says, else as everybody is asked.
    pub(super) fn options(&self, of_all: &source::Options) -> source::Options {
        source::Options {
            identity: self.identity.clone().or_else(|| of_all.identity.clone()),
            anonymous: of_all.anonymous && self.identity.is_none(),
            tls_verify: self.tls_verify.or(of_all.tls_verify),
            cert_dir: self.cert_dir.clone().or_else(|| of_all.cert_dir.clone()),
            ..of_all.clone()
        }
    }
}

/// One registry of a file that is being read.
struct Reading<'a> {
    file: &'a Path,
    name: Spanned<String>,
}

impl Reading<'_> {
    fn registry(&self, raw: RawRegistry) -> Result<ListedRegistry, ListError> {
        if !is_registry(&self.name.value) {
            return Err(self.invalid(&self.name, Invalid::Registry(self.name.value.clone())));
        }
        let mut repositories = Vec::new();
        for (name, selectors) in entries(raw.images) {
            let repository = self.repository(&name)?;
            let wanted = self.selected(&repository, selectors.unwrap_or_default())?;
            repositories.push(ListedRepository { repository, wanted });
        }
        for (name, pattern) in entries(raw.images_by_tag_regex) {
            let compiled = Regex::new(&pattern.value);
            let wanted = compiled.map_err(|error| self.invalid(&pattern, bad_pattern(&pattern.value, &error)))?;
            repositories
                .push(ListedRepository { repository: self.repository(&name)?, wanted: Wanted::Matching(wanted) });
        }
        for (name, constraint) in entries(raw.images_by_semver) {
            let parsed = constraint.value.parse();
            let wanted = parsed.map_err(|error| self.invalid(&constraint, Invalid::Constraint(error)))?;
            repositories
                .push(ListedRepository { repository: self.repository(&name)?, wanted: Wanted::Versions(wanted) });
        }
        if repositories.is_empty() {
            log::warn!("{}: no images are listed for {}", self.file.display(), self.name.value);
        }
        let credentials = raw.credentials.filter(|raw| !raw.username.is_empty() || !raw.password.is_empty());
        let credentials = credentials.map(|raw| Credentials::basic(raw.username, raw.password));
        let identity = credentials.map(|credentials| Identity { credentials: Some(credentials), token: None });
        Ok(ListedRegistry { repositories, identity, tls_verify: raw.tls_verify, cert_dir: raw.cert_dir })
    }

    fn repository(&self, name: &Spanned<String>) -> Result<Reference, ListError> {
        let full = format!("{}/{}", self.name.value, name.value).parse::<Reference>().ok();
        full.filter(|full| full.tag().is_none() && full.digest().is_none())
            .ok_or_else(|| self.invalid(name, Invalid::Repository(name.value.clone())))
    }

    fn selected(&self, repository: &Reference, selectors: Vec<Spanned<String>>) -> Result<Wanted, ListError> {
        if selectors.is_empty() {
            return Ok(Wanted::AllTags);
        }
        let image = |selector: Spanned<String>| match selector.value.parse::<Digest>() {
            Ok(digest) => Ok(repository.clone().with_digest(digest)),
            Err(_) => match selector.value.parse::<Tag>() {
                Ok(tag) => Ok(repository.clone().with_tag(tag)),
                Err(source) => {
                    let text = selector.value.clone();
                    Err(self.invalid(&selector, Invalid::Selector { text, source }))
                }
            },
        };
        selectors.into_iter().map(image).collect::<Result<_, _>>().map(Wanted::These)
    }

    fn invalid(&self, at: &Spanned<String>, source: Invalid) -> ListError {
        let place = Place::of_line(self.file, at.referenced.line(), at.referenced.column());
        ListError::Invalid { place, source }
    }
}

fn bad_pattern(pattern: &str, error: &regex::Error) -> Invalid {
    Invalid::Pattern { pattern: pattern.to_owned(), problem: last_line(error) }
}

/// A name that is not taken for a path on docker.io: nobody is guessed to mean another registry.
pub(super) fn is_registry(name: &str) -> bool {
    let (domain, path) = name.split_once('/').map_or((name, None), |(domain, path)| (domain, Some(path)));
    let repository = format!("{domain}/{}", path.unwrap_or("path"));
    let parsed = repository.parse::<Reference>();
    parsed.is_ok_and(|parsed| {
        let is_itself = parsed.domain() == domain || domain == "index.docker.io";
        is_itself && parsed.tag().is_none() && parsed.digest().is_none()
    })
}

fn entries<V>(pairs: Option<Named<V>>) -> Vec<(Spanned<String>, V)> {
    pairs.map(|pairs| pairs.0).unwrap_or_default()
}
