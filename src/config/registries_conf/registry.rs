//! `[[registry]]`: a prefix, where it leads, and its mirrors.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;

use super::Broken;
use super::file::{RawMirror, RawRegistry};
use super::invalid::Invalid;
use crate::config::error::Place;

/// `host[:port][/path]`, without a scheme and without `/` at the end. Whether it makes a valid reference shows only
/// when something is appended to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(String);

/// What a reference must begin with: a domain, a namespace, a repository, even with a tag or a digest; or `*.domain`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

/// One `[[registry]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registry {
    /// Which references it is about.
    pub prefix: Prefix,
    /// What the prefix is replaced with; `None` for a wildcard prefix whose references stay as they are.
    pub location: Option<Location>,
    /// Http, and TLS without a valid certificate, are allowed at `location`.
    pub insecure: bool,
    /// Nothing may be pulled from there.
    pub blocked: bool,
    /// The mirrors are asked for digests only.
    pub mirror_by_digest_only: bool,
    /// Asked before `location`, in this order.
    pub mirrors: Vec<Mirror>,
    /// Where it is written.
    pub place: Place,
}

/// One `[[registry.mirror]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirror {
    /// What the prefix is replaced with.
    pub location: Location,
    /// Http, and TLS without a valid certificate, are allowed there.
    pub insecure: bool,
    /// Which references it is asked for.
    pub pull_from_mirror: PullFromMirror,
}

/// Which references a mirror is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PullFromMirror {
    /// All.
    #[default]
    All,
    /// Those with a digest.
    DigestOnly,
    /// Those without a digest.
    TagOnly,
}

impl Location {
    /// `None` for an empty one.
    pub(super) fn parse(text: &Spanned<String>) -> Result<Option<Self>, Broken> {
        let trimmed = text.get_ref().trim_end_matches('/');
        if trimmed.starts_with("http://") || trimmed.starts_with("https://") {
            return Err(Broken { at: text.span(), rule: Invalid::Scheme(text.get_ref().clone()) });
        }
        Ok((!trimmed.is_empty()).then(|| Self(trimmed.to_owned())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prefix {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many bytes of `text` the prefix stands for; `None` when it does not match.
    ///
    /// `text` is a reference, or the beginning of one, with its domain. A prefix ends where a component of the
    /// reference ends; `example.com` is also a prefix of `example.com:5000`.
    pub fn matched_length(&self, text: &str) -> Option<usize> {
        let length = match self.0.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => wildcard_length(suffix, text)?,
            _ => text.starts_with(&self.0).then_some(self.0.len())?,
        };
        let ends = text.get(length..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']));
        ends.then_some(length)
    }

    fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

/// Up to the end of the first `suffix`, which must be in the host and not at its beginning.
fn wildcard_length(suffix: &str, text: &str) -> Option<usize> {
    let start = text.find(suffix)?;
    let host = text.get(..start)?;
    (!host.is_empty() && !host.contains('/')).then_some(start + suffix.len())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks all `[[registry]]` of one file. The first of a prefix counts.
pub(super) fn check(
    raw: Vec<Spanned<RawRegistry>>,
    place: &dyn Fn(&Range<usize>) -> Place,
) -> Result<BTreeMap<String, Registry>, Broken> {
    let mut seen = BTreeMap::new();
    let mut registries = BTreeMap::new();
    for raw in raw {
        let at = raw.span();
        let registry = registry(raw.into_inner(), &at, place(&at))?;
        let known = seen.entry(registry.target().to_owned()).or_insert_with(|| registry.clone());
        agree(known, &registry).map_err(|rule| Broken { at, rule })?;
        registries.entry(registry.prefix.0.clone()).or_insert(registry);
    }
    Ok(registries)
}

fn registry(raw: RawRegistry, at: &Range<usize>, place: Place) -> Result<Registry, Broken> {
    let at_text = |text: &Option<Spanned<String>>| text.as_ref().map_or_else(|| at.clone(), Spanned::span);
    let prefix_at = at_text(&raw.prefix);
    let location = raw.location.as_ref().map(Location::parse).transpose()?.flatten();
    let prefix = prefix(&raw, location.as_ref()).map_err(|rule| Broken { at: prefix_at, rule })?;
    if raw.pull_from_mirror.as_ref().is_some_and(|value| !value.get_ref().is_empty()) {
        let rule = Invalid::PullFromMirrorOfRegistry(prefix.0);
        return Err(Broken { at: at_text(&raw.pull_from_mirror), rule });
    }
    let digest_only = raw.mirror_by_digest_only;
    let mirrors = raw.mirror.into_iter().map(|raw| mirror(raw, &prefix, digest_only)).collect::<Result<_, _>>()?;
    Ok(Registry {
        prefix,
        location,
        insecure: raw.insecure,
        blocked: raw.blocked,
        mirror_by_digest_only: digest_only,
        mirrors,
        place,
    })
}

fn prefix(raw: &RawRegistry, location: Option<&Location>) -> Result<Prefix, Invalid> {
    let written = raw.prefix.as_ref().filter(|prefix| !prefix.get_ref().is_empty());
    let prefix = match (written, location) {
        (None, None) => return Err(Invalid::NoPrefixAndNoLocation),
        (None, Some(location)) => Prefix(location.0.clone()),
        (Some(prefix), _) => Prefix(
            Location::parse(prefix).map_err(|broken| broken.rule)?.map(|location| location.0).unwrap_or_default(),
        ),
    };
    if prefix.is_wildcard() && prefix.0.contains(['/', '@', ':']) {
        return Err(Invalid::Wildcard(prefix.0));
    }
    if location.is_none() && !prefix.is_wildcard() {
        return Err(Invalid::NoLocation(prefix.0));
    }
    Ok(prefix)
}

fn mirror(raw: Spanned<RawMirror>, prefix: &Prefix, digest_only: bool) -> Result<Mirror, Broken> {
    let at = raw.span();
    let raw = raw.into_inner();
    let location = raw.location.as_ref().map(Location::parse).transpose()?.flatten();
    let location = location.ok_or(Broken { at, rule: Invalid::NoMirrorLocation })?;
    let pull_from_mirror = match raw.pull_from_mirror.filter(|value| !value.get_ref().is_empty()) {
        None => PullFromMirror::All,
        Some(value) => {
            let parsed = if digest_only {
                Err(Invalid::PullFromMirrorTwice { prefix: prefix.to_string(), mirror: location.to_string() })
            } else {
                pull_from_mirror(value.get_ref())
            };
            parsed.map_err(|rule| Broken { at: value.span(), rule })?
        }
    };
    Ok(Mirror { location, insecure: raw.insecure, pull_from_mirror })
}

fn pull_from_mirror(text: &str) -> Result<PullFromMirror, Invalid> {
    match text {
        "all" => Ok(PullFromMirror::All),
        "digest-only" => Ok(PullFromMirror::DigestOnly),
        "tag-only" => Ok(PullFromMirror::TagOnly),
        _ => Err(Invalid::PullFromMirror(text.to_owned())),
    }
}

/// Entries that lead to one location must agree on what is allowed there.
fn agree(known: &Registry, registry: &Registry) -> Result<(), Invalid> {
    let conflict = |setting| Invalid::Conflict {
        location: registry.target().to_owned(),
        setting,
        line: known.place.line().unwrap_or_default(),
    };
    if known.insecure != registry.insecure {
        return Err(conflict("insecure"));
    }
    if known.blocked != registry.blocked {
        return Err(conflict("blocked"));
    }
    Ok(())
}

impl Registry {
    /// The location, or the prefix where there is none.
    fn target(&self) -> &str {
        self.location.as_ref().map_or(&self.prefix.0, |location| &location.0)
    }
}
