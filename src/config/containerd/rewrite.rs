//! Rewrites of repositories, as [k3s](https://docs.k3s.io/installation/private-registry#rewrites) has them.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::Invalid;
use super::document::{Document, Node};
use crate::config::error::{Error, Place};
use crate::error;
use crate::reference::Reference;

/// The rules of one host, in the order of the file. The first whose pattern is found in the repository's name makes the
/// name, and the only one; one that changes nothing shields from those behind it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rewrites(Arc<[Rule]>);

#[derive(Debug)]
struct Rule {
    pattern: Regex,
    /// With `$1` and `${name}` for what the pattern's groups found.
    replacement: String,
    place: Place,
}

/// A reference at a host, and the rule that made its repository.
pub(super) struct Rewritten {
    pub(super) physical: Reference,
    pub(super) rule: Option<String>,
}

impl Rewrites {
    /// A table of patterns and replacements.
    pub(super) fn read(document: &Document<'_>, node: &Node, name: &str) -> Result<Self, Error> {
        let rule = |(key, value): &(super::document::Key, Node)| {
            let pattern = Regex::new(&key.name).map_err(|error| {
                let problem = error::last_line(&error);
                document.invalid(key.at, Invalid::Pattern { pattern: key.name.clone(), problem })
            })?;
            let replacement = document.text(value, name)?.to_owned();
            Ok(Rule { pattern, replacement, place: document.place(key.at) })
        };
        document.entries(node, name)?.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The image at `host`.
    ///
    /// # Errors
    /// What a rule makes is no name of a repository; or the name with the host, which `place` names, is too long.
    pub(super) fn apply(&self, logical: &Reference, host: &str, place: &Place) -> Result<Rewritten, Error> {
        let repository = logical.name().path();
        let Some(rule) = self.0.iter().find(|rule| rule.pattern.is_match(repository)) else {
            let physical = logical.at_host(host, repository).map_err(|source| {
                let source = Invalid::NoName { host: host.to_owned(), repository: repository.to_owned(), source };
                Error::Containerd { place: place.clone(), source }
            })?;
            return Ok(Rewritten { physical, rule: None });
        };
        let result = rule.pattern.replace_all(repository, rule.replacement.as_str()).into_owned();
        let physical = logical.at_host(host, &result).map_err(|source| rule.no_name(repository, &result, source))?;
        Ok(Rewritten { physical, rule: Some(rule.to_string()) })
    }
}

impl Rule {
    fn no_name(&self, repository: &str, result: &str, source: crate::reference::ParseError) -> Error {
        let source = Invalid::Rewrite {
            pattern: self.pattern.to_string(),
            replacement: self.replacement.clone(),
            repository: repository.to_owned(),
            result: result.to_owned(),
            source,
        };
        Error::Containerd { place: self.place.clone(), source }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.pattern, self.replacement)
    }
}
