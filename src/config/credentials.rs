//! Credentials for a repository, from auth files and credential helpers.
//!
//! [`lookup`] is the whole of
//! [containers-auth.json(5)](https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md) and of
//! `credential-helpers` in
//! [containers-registries.conf(5)](https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md).

use std::fmt;
use std::path::PathBuf;

use super::auth_file::{self, AuthFile, AuthKey};
use super::credential_helper::{self, HelperRunner};
use super::paths::AuthFileCandidate;
use crate::error::one_line;
use crate::secret::Secret;

/// The name in `credential-helpers` that stands for the auth files.
pub const AUTH_FILE_HELPER: &str = "containers-auth.json";

/// The server under which docker's credential store keeps the login to `docker.io`.
pub(super) const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// A user name and a password, and the identity token where the login gave one.
///
/// With an identity token, a token server is asked with it (OAuth 2 refresh); the user name and password still answer
/// a `Basic` challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    password: Secret<String>,
    identity_token: Option<Secret<String>>,
}

impl Credentials {
    /// A user name and a password; either may be empty.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: Secret::new(password.into()), identity_token: None }
    }

    /// The same with an identity token; an empty one is none.
    #[must_use]
    pub fn with_identity_token(mut self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.identity_token = (!token.is_empty()).then(|| Secret::new(token));
        self
    }

    /// Who logs in; empty where a helper gave only an identity token.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password; empty where there is only an identity token.
    pub fn password(&self) -> &Secret<String> {
        &self.password
    }

    /// The OAuth 2 refresh token of the login.
    pub fn identity_token(&self) -> Option<&Secret<String>> {
        self.identity_token.as_ref()
    }

    /// True when nothing is set: such an entry counts as absent.
    pub(super) fn is_empty(&self) -> bool {
        self.username.is_empty() && self.password.expose().is_empty() && self.identity_token.is_none()
    }
}

/// Credentials, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCredentials {
    /// The credentials.
    pub credentials: Credentials,
    /// Who had them.
    pub origin: Origin,
    /// The key of the entry as it is written in the file, or what the helper was asked for.
    pub key: String,
}

impl FoundCredentials {
    /// The kind of credentials, in one word.
    pub fn kind(&self) -> Kind {
        match (&self.origin, self.credentials.identity_token()) {
            (Origin::AuthFile(_) | Origin::HostFile(_), None) => Kind::Basic,
            (Origin::AuthFile(_) | Origin::HostFile(_), Some(_)) => Kind::IdentityToken,
            (Origin::AuthFileHelper { .. } | Origin::Helper(_), _) => Kind::Helper,
        }
    }
}

/// Who had the credentials. Printed, it is the file, or the helper's name where no file is involved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An entry of this auth file.
    AuthFile(PathBuf),
    /// A credential helper that this auth file names, in `credHelpers` or `credsStore`.
    AuthFileHelper {
        /// The auth file.
        file: PathBuf,
        /// The helper's name, without `docker-credential-`.
        helper: String,
    },
    /// A file of containerd's, which says it beside the host.
    HostFile(PathBuf),
    /// A credential helper of registries.conf, without `docker-credential-`.
    Helper(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthFile(file) | Self::HostFile(file) | Self::AuthFileHelper { file, .. } => file.display().fmt(f),
            Self::Helper(name) => f.write_str(name),
        }
    }
}

/// The kind of [`FoundCredentials`]; printed as `basic`, `identity-token` or `helper`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// User name and password of a file.
    Basic,
    /// An identity token of a file.
    IdentityToken,
    /// Whatever a credential helper gave.
    Helper,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic => "basic",
            Self::IdentityToken => "identity-token",
            Self::Helper => "helper",
        })
    }
}

/// Why a lookup failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An auth file cannot be used.
    #[error(transparent)]
    AuthFile(#[from] auth_file::Error),
    /// A credential helper that an auth file names failed.
    #[error("cannot get the credentials that {} keeps in a credential helper", file.display())]
    AuthFileHelper {
        /// The auth file.
        file: PathBuf,
        /// What the helper did.
        source: credential_helper::Error,
    },
    /// A credential helper of registries.conf failed.
    #[error("cannot get credentials from the credential-helpers of registries.conf")]
    Helper(#[source] credential_helper::Error),
    /// Several of the `credential-helpers` failed and none had an answer.
    #[error("errors looking up credentials:{}", bullets(.0))]
    Several(Vec<Error>),
}

pub(super) fn bullets<E: std::error::Error + 'static>(errors: &[E]) -> String {
    errors.iter().flat_map(|error| ["\n\t* ".to_owned(), one_line(error)]).collect()
}

/// Finds the credentials for `key`; `None` means that the request goes out without.
///
/// `helpers` are the `credential-helpers` of registries.conf, asked in order until one has an answer; none is the same
/// as [`AUTH_FILE_HELPER`] alone, which stands for the auth files. A helper is asked for the registry, never for a
/// namespace. The error of one helper is forgotten when another has the answer.
///
/// The auth files are read in the order of `candidates` until one has an answer. In one file, `credHelpers` of the
/// registry decides alone; else the most specific key of `auths` counts; and where that has no credentials, the file's
/// `credsStore` is asked. A `credsStore` whose program is not installed is passed over with a warning: it is named once
/// for all registries, and most images need no credentials.
pub fn lookup(
    candidates: &[AuthFileCandidate],
    helpers: &[String],
    key: &AuthKey,
    runner: &HelperRunner,
) -> Result<Option<FoundCredentials>, Error> {
    let files_only = [AUTH_FILE_HELPER.to_owned()];
    let helpers = if helpers.is_empty() { &files_only } else { helpers };
    let mut errors = Vec::new();
    for helper in helpers {
        let answer =
            if helper == AUTH_FILE_HELPER { in_files(candidates, key, runner) } else { in_helper(helper, key, runner) };
        match answer {
            Ok(Some(found)) => {
                log::debug!("found credentials for {key} in {}", found.origin);
                return Ok(Some(found));
            }
            Ok(None) => {}
            Err(error) => {
                log::debug!("no credentials for {key} from {helper}: {}", one_line(&error));
                errors.push(error);
            }
        }
    }
    match errors.len() {
        0 | 1 => errors.pop().map_or(Ok(None), Err),
        _ => Err(Error::Several(errors)),
    }
}

fn in_helper(name: &str, key: &AuthKey, runner: &HelperRunner) -> Result<Option<FoundCredentials>, Error> {
    let answer = runner.get(name, key.registry()).map_err(Error::Helper)?;
    Ok(answer.map(|credentials| FoundCredentials {
        credentials,
        origin: Origin::Helper(name.to_owned()),
        key: key.registry().to_owned(),
    }))
}

fn in_files(
    candidates: &[AuthFileCandidate],
    key: &AuthKey,
    runner: &HelperRunner,
) -> Result<Option<FoundCredentials>, Error> {
    for candidate in candidates {
        let Some(file) = AuthFile::read(candidate)? else { continue };
        let found = in_file(&file, candidate, key, runner)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn in_file(
    file: &AuthFile,
    candidate: &AuthFileCandidate,
    key: &AuthKey,
    runner: &HelperRunner,
) -> Result<Option<FoundCredentials>, Error> {
    let path = &candidate.path;
    let from_helper = |helper: &str, server: &str, credentials| FoundCredentials {
        credentials,
        origin: Origin::AuthFileHelper { file: path.clone(), helper: helper.to_owned() },
        key: server.to_owned(),
    };
    let failed = |source| Error::AuthFileHelper { file: path.clone(), source };

    if let Some(helper) = file.helper(key) {
        let answer = runner.get(helper, key.registry()).map_err(failed)?;
        return Ok(answer.map(|credentials| from_helper(helper, key.registry(), credentials)));
    }
    let entry = file.credentials(key).map_err(|source| auth_file::Error::Entry { path: path.clone(), source })?;
    if let Some((key, credentials)) = entry {
        let (origin, key) = (Origin::AuthFile(path.clone()), key.to_owned());
        return Ok(Some(FoundCredentials { credentials, origin, key }));
    }
    let Some(store) = file.store() else { return Ok(None) };
    let server = if key.is_docker_hub() { DOCKER_HUB_SERVER } else { key.registry() };
    match runner.get(store, server) {
        Ok(answer) => Ok(answer.map(|credentials| from_helper(store, server, credentials))),
        Err(error @ credential_helper::Error::NotFound { .. }) => {
            log::warn!("credsStore of {} is passed over: {error}", path.display());
            Ok(None)
        }
        Err(error) => Err(failed(error)),
    }
}
