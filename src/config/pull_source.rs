//! Where an image may be read from.

use std::sync::Arc;

use log::trace;

use super::error::Place;
use super::registries_conf::{Location, PullFromMirror, RegistriesConf, Registry};
use super::{Capabilities, Host};
use crate::reference::{self, Reference};

/// One place to read an image from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PullSource {
    /// What is contacted: the reference with its prefix replaced.
    pub physical: Reference,
    /// What the prefix was replaced with; empty where the reference stayed as it is.
    pub location: String,
    /// Http, and TLS without a valid certificate, are allowed.
    pub insecure: bool,
    /// True for a mirror, false for the primary, which is the last.
    pub mirror: bool,
    /// The prefix that forbids this source, and where it is written. The *physical* name is judged: mirrors of a
    /// blocked registry can be used.
    pub blocked_by: Option<String>,
    /// How it is reached, where that does not follow from the physical reference.
    pub host: Option<Arc<Host>>,
}

impl PullSource {
    /// The image at a host of which a URL and more is known. `physical` is what people see of it: the host's name, and the
    /// repository as it is called there.
    pub fn at_host(physical: Reference, host: Host, mirror: bool) -> Self {
        let insecure = host.skip_verify || host.or_http || !host.base.is_https();
        let location = physical.name().to_string();
        Self { physical, location, insecure, mirror, blocked_by: None, host: Some(Arc::new(host)) }
    }

    /// Whether it may be asked for anything at all.
    pub fn can_pull(&self) -> bool {
        self.host.as_ref().is_none_or(|host| host.capabilities.pull)
    }

    /// Whether it may be asked what a tag names.
    pub fn can_resolve(&self) -> bool {
        self.capabilities().resolve
    }

    /// What it may be asked for: everything, where nobody says otherwise.
    pub fn capabilities(&self) -> Capabilities {
        self.host.as_ref().map_or(Capabilities::ALL, |host| host.capabilities)
    }
}

/// A location that makes no reference of the rest of the logical reference.
///
/// It fails the whole pull, not only that mirror: a mirror that is silently left out would never be missed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("location {location:?} of the registry at {place} makes no image name for {logical}")]
pub struct RewriteError {
    /// What the user asked for.
    pub logical: Box<Reference>,
    /// What the prefix was to be replaced with.
    pub location: String,
    /// Where that is written.
    pub place: Place,
    /// What is wrong with the result.
    pub source: reference::ParseError,
}

impl RegistriesConf {
    /// Where the image may be read from: the mirrors in their order, the primary last. Without a matching registry, the
    /// reference itself.
    ///
    /// ```
    /// use std::path::Path;
    /// use transship::config::RegistriesConf;
    ///
    /// let conf = r#"
    ///     [[registry]]
    ///     prefix = "quay.io/org"
    ///     location = "quay.io/org"
    ///     [[registry.mirror]]
    ///     location = "mirror.example:5000/quay"
    /// "#;
    /// let conf = RegistriesConf::parse(conf.as_bytes(), Path::new("registries.conf"))?;
    /// let sources = conf.pull_sources(&"quay.io/org/app:1".parse()?)?;
    /// let physical: Vec<_> = sources.iter().map(|source| source.physical.to_string()).collect();
    /// assert_eq!(physical, ["mirror.example:5000/quay/app:1", "quay.io/org/app:1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pull_sources(&self, logical: &Reference) -> Result<Vec<PullSource>, RewriteError> {
        let Some((registry, matched)) = self.match_text(&logical.name().to_string()) else {
            return Ok(vec![self.pull_source(logical.clone(), None, false, false)]);
        };
        let text = logical.to_string();
        let rest = text.get(matched..).unwrap_or_default();
        let mut sources = Vec::with_capacity(registry.mirrors.len() + 1);
        for mirror in registry.mirrors.iter().filter(|mirror| {
            let usage =
                if registry.mirror_by_digest_only { PullFromMirror::DigestOnly } else { mirror.pull_from_mirror };
            serves(usage, logical)
        }) {
            let physical = rewrite(logical, rest, registry, &mirror.location)?;
            sources.push(self.pull_source(physical, Some(&mirror.location), mirror.insecure, true));
        }
        let physical = match &registry.location {
            Some(location) => rewrite(logical, rest, registry, location)?,
            None => logical.clone(),
        };
        sources.push(self.pull_source(physical, registry.location.as_ref(), registry.insecure, false));
        trace!("{logical}: {} pull sources by prefix {}", sources.len(), registry.prefix);
        Ok(sources)
    }

    /// What is contacted when nothing is rewritten.
    pub(crate) fn as_it_is(&self, physical: Reference) -> PullSource {
        let insecure = self.find(&physical).is_some_and(|registry| registry.insecure);
        self.pull_source(physical, None, insecure, false)
    }

    fn pull_source(
        &self,
        physical: Reference,
        location: Option<&Location>,
        insecure: bool,
        mirror: bool,
    ) -> PullSource {
        let blocking = self.find(&physical).filter(|registry| registry.blocked);
        PullSource {
            blocked_by: blocking.map(|registry| format!("prefix {:?} at {}", registry.prefix.as_str(), registry.place)),
            location: location.map(Location::to_string).unwrap_or_default(),
            physical,
            insecure,
            mirror,
            host: None,
        }
    }
}

fn serves(usage: PullFromMirror, logical: &Reference) -> bool {
    match usage {
        PullFromMirror::All => true,
        PullFromMirror::DigestOnly => logical.digest().is_some(),
        PullFromMirror::TagOnly => logical.digest().is_none(),
    }
}

fn rewrite(
    logical: &Reference,
    rest: &str,
    registry: &Registry,
    location: &Location,
) -> Result<Reference, RewriteError> {
    Reference::parse_canonical(&format!("{location}{rest}")).map_err(|source| RewriteError {
        logical: Box::new(logical.clone()),
        location: location.to_string(),
        place: registry.place.clone(),
        source,
    })
}
