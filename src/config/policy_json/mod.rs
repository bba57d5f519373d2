//! policy.json: which images may be used.
//!
//! [containers-policy.json(5)](https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md). The file
//! is read strictly: a key that is unknown or given twice is an error, because a policy that is not understood as it
//! was meant is worse than none.
//!
//! Here is only what the file says. Whether an image satisfies it is decided in the room `policy`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use log::warn;
use serde::Deserialize;

use super::bounded;
use super::error::{Error, MAX_FILE_SIZE};
use super::paths::Paths;
use crate::strict_json;

mod identity;
mod raw;
mod requirement;
mod scopes;

pub use identity::{IdentityPrefix, SignedIdentity};
pub use requirement::{
    CaCertificates, Fulcio, KeyType, Keys, Pki, Requirement, SignedBy, SigstoreSigned, SigstoreTrust,
};

use scopes::{Requirements, Transports};

/// The requirements by transport and scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyJson {
    default: Vec<Requirement>,
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
    file: PathBuf,
}

/// Which entry of the policy decides about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyScope {
    /// `default`
    Default,
    /// An entry of `transports`.
    Transport {
        /// `docker`, `dir`, …
        transport: String,
        /// An identity, a namespace, or empty for all of the transport.
        scope: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    default: Requirements,
    #[serde(default)]
    transports: Transports,
}

impl PolicyJson {
    /// Reads the file that counts.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let path = paths.policy_json()?;
        let bytes = bounded::read(&path, MAX_FILE_SIZE);
        Self::parse(&bytes.map_err(|source| Error::Read { path: path.clone(), source })?, &path)
    }

    /// Reads a policy that is in memory; `file` is its name in errors.
    ///
    /// ```
    /// use std::path::Path;
    /// use transship::config::PolicyJson;
    ///
    /// let policy = PolicyJson::parse(br#"{"default": [{"type": "reject"}]}"#, Path::new("policy.json"))?;
    /// let (scope, requirements) = policy.requirements_for("docker", Some("quay.io/org/app:1"), &[]);
    /// assert_eq!((scope.to_string().as_str(), requirements[0].type_name()), ("default", "reject"));
    /// # Ok::<(), transship::config::Error>(())
    /// ```
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        let document: Document = strict_json::from_slice(bytes).map_err(|error| Error::json(file, error))?;
        for oddity in document.transports.oddities() {
            warn!("{}: {oddity}", file.display());
        }
        let file = file.to_owned();
        Ok(Self { default: document.default.0, transports: document.transports.0, file })
    }

    /// The policy that allows everything, for those who decided to have none.
    pub fn insecure_accept_anything() -> Self {
        let default = vec![Requirement::InsecureAcceptAnything];
        Self { default, transports: BTreeMap::new(), file: PathBuf::new() }
    }

    /// The requirements for an image, never an empty list: those of its identity, else of the first of its namespaces
    /// that has any, else of its transport, else the default. Only one entry counts.
    ///
    /// `identity` and `namespaces` are those of the *logical* reference: see
    /// [`Reference::namespaces`](crate::Reference::namespaces).
    pub fn requirements_for(
        &self,
        transport: &str,
        identity: Option<&str>,
        namespaces: &[String],
    ) -> (PolicyScope, &[Requirement]) {
        let mut scopes = identity.into_iter().chain(namespaces.iter().map(String::as_str)).chain([""]);
        let entries = self.transports.get(transport);
        let entry = scopes.find_map(|scope| entries?.get_key_value(scope));
        match entry {
            Some((scope, requirements)) => {
                let scope = PolicyScope::Transport { transport: transport.to_owned(), scope: scope.clone() };
                (scope, requirements)
            }
            None => (PolicyScope::Default, &self.default),
        }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl fmt::Display for PolicyScope {
    /// `default`, `docker:quay.io/org`, or `docker:` for all of a transport.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Transport { transport, scope } => write!(f, "{transport}:{scope}"),
        }
    }
}
