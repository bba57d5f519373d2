//! Logins: credentials kept for later, and forgotten again.
//!
//! They are kept where [`Config::credentials`] finds them: in the first of the `credential-helpers` of registries.conf
//! that takes them, which without configuration is the auth file of [`Paths::auth_file_to_write`]. An auth file hands
//! the registries of its `credHelpers` on to a helper program.
//!
//! [`Paths::auth_file_to_write`]: super::Paths::auth_file_to_write

use std::path::PathBuf;

use super::Config;
use super::auth_file::{AuthFile, AuthKey, Edit, WriteError, edit};
use super::credential_helper;
use super::credentials::{AUTH_FILE_HELPER, Credentials, DOCKER_HUB_SERVER, Origin, bullets};
use super::paths::AuthFileTarget;

/// Why a login was not kept, or not forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The auth file cannot be changed. Prints as its cause.
    #[error("{0}")]
    AuthFile(#[from] WriteError),
    /// A credential helper that an auth file names failed.
    #[error("auth file {} leaves a registry to a credential helper", file.display())]
    AuthFileHelper {
        /// The auth file.
        file: PathBuf,
        /// What the helper did.
        source: credential_helper::Error,
    },
    /// A credential helper of registries.conf failed. Prints as its cause.
    #[error("{0}")]
    Helper(#[source] credential_helper::Error),
    /// Credential helpers know registries alone.
    #[error("{key}: credential helper {helper:?} keeps the logins of whole registries only; log in to {}", key.registry())]
    HelperNamespace {
        /// What the login is for.
        key: AuthKey,
        /// The helper that would keep it.
        helper: String,
    },
    /// Docker knows registries alone.
    #[error("{key}: docker's configuration has logins of whole registries only; log in to {}", key.registry())]
    DockerNamespace {
        /// What the login is for.
        key: AuthKey,
    },
    /// An entry of an auth file is `user:password`.
    #[error("a user name must not be empty or have a ':' in it")]
    Username,
    /// There is nothing to forget.
    #[error("not logged into {0}")]
    NotLoggedIn(AuthKey),
    /// Several of the `credential-helpers` failed.
    #[error("several credential helpers failed:{}", bullets(.0))]
    Several(Vec<Error>),
}

impl Config {
    /// Keeps user name and password for `key`, and says where. They are not checked against the registry.
    pub fn store_login(&self, key: &AuthKey, credentials: &Credentials) -> Result<Origin, Error> {
        if credentials.username().is_empty() || credentials.username().contains(':') {
            return Err(Error::Username);
        }
        let mut errors = Vec::new();
        for helper in self.registries.credential_helpers() {
            let stored = if helper == AUTH_FILE_HELPER {
                self.store_in_file(key, credentials)
            } else {
                self.store_in_helper(helper, key, credentials)
            };
            match stored {
                Ok(origin) => return Ok(origin),
                Err(error) => errors.push(error),
            }
        }
        Err(merged(errors))
    }

    /// Forgets the login for exactly `key`, wherever [`store_login`](Self::store_login) may have put it, and says where
    /// it was. Other auth files, and the logins of wider keys, stay.
    pub fn remove_login(&self, key: &AuthKey) -> Result<Vec<Origin>, Error> {
        let removed = self.everywhere(|helper| match helper {
            None => self.remove_from_file(key),
            Some(helper) => self.remove_from_helper(helper, key),
        })?;
        if removed.is_empty() { Err(Error::NotLoggedIn(key.clone())) } else { Ok(removed) }
    }

    /// Forgets all logins of the auth file and of the credential helpers, and says where some were. The auth file
    /// leaves no registry to a credential helper any more.
    pub fn remove_all_logins(&self) -> Result<Vec<Origin>, Error> {
        self.everywhere(|helper| match helper {
            None => self.clear_file(),
            Some(helper) => self.clear_helper(helper),
        })
    }

    /// Has each of the `credential-helpers` forget something; `None` stands for the auth file. One that fails keeps no
    /// other from it.
    fn everywhere(&self, remove: impl Fn(Option<&str>) -> Result<Vec<Origin>, Error>) -> Result<Vec<Origin>, Error> {
        let (mut removed, mut errors) = (Vec::new(), Vec::new());
        for helper in self.registries.credential_helpers() {
            match remove((helper != AUTH_FILE_HELPER).then_some(helper.as_str())) {
                Ok(origins) => removed.extend(origins),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(removed) } else { Err(merged(errors)) }
    }

    fn store_in_helper(&self, helper: &str, key: &AuthKey, credentials: &Credentials) -> Result<Origin, Error> {
        whole_registry(key, helper)?;
        self.helper_runner().store(helper, key.registry(), credentials).map_err(Error::Helper)?;
        Ok(Origin::Helper(helper.to_owned()))
    }

    fn remove_from_helper(&self, helper: &str, key: &AuthKey) -> Result<Vec<Origin>, Error> {
        let erased =
            !key.is_namespaced() && self.helper_runner().erase(helper, key.registry()).map_err(Error::Helper)?;
        Ok(erased.then(|| Origin::Helper(helper.to_owned())).into_iter().collect())
    }

    fn clear_helper(&self, helper: &str) -> Result<Vec<Origin>, Error> {
        let erased = self.erase_all(helper).map_err(Error::Helper)?;
        Ok(erased.then(|| Origin::Helper(helper.to_owned())).into_iter().collect())
    }

    fn erase_all(&self, helper: &str) -> Result<bool, credential_helper::Error> {
        let runner = self.helper_runner();
        let servers = runner.list(helper)?;
        servers.iter().try_for_each(|server| runner.erase(helper, server).map(drop))?;
        Ok(!servers.is_empty())
    }

    fn store_in_file(&self, key: &AuthKey, credentials: &Credentials) -> Result<Origin, Error> {
        let file = self.paths.auth_file_to_write()?;
        if file.for_docker && key.is_namespaced() {
            return Err(Error::DockerNamespace { key: key.clone() });
        }
        let left_to = edit(&file.path, |content, draft| {
            let left_to = left_to(content, &file, key);
            if left_to.is_some() {
                return Edit::Keep(left_to);
            }
            draft.set(entry(&file, key), credentials);
            Edit::Replace(None)
        })?;
        let Some(Helper { name, server }) = left_to else { return Ok(Origin::AuthFile(file.path)) };
        whole_registry(key, &name)?;
        self.helper_runner().store(&name, &server, credentials).map_err(in_file(&file))?;
        Ok(Origin::AuthFileHelper { file: file.path, helper: name })
    }

    fn remove_from_file(&self, key: &AuthKey) -> Result<Vec<Origin>, Error> {
        let file = self.paths.auth_file_to_write()?;
        if !file.path.exists() {
            return Ok(Vec::new());
        }
        let (was_there, left_to) = edit(&file.path, |content, draft| {
            let left_to = left_to(content, &file, key);
            if draft.remove(entry(&file, key)) { Edit::Replace((true, left_to)) } else { Edit::Keep((false, left_to)) }
        })?;
        let mut removed: Vec<_> = was_there.then(|| Origin::AuthFile(file.path.clone())).into_iter().collect();
        if let Some(Helper { name, server }) = left_to.filter(|_| !key.is_namespaced())
            && self.helper_runner().erase(&name, &server).map_err(in_file(&file))?
        {
            removed.push(Origin::AuthFileHelper { file: file.path, helper: name });
        }
        Ok(removed)
    }

    /// The helpers come first: when one fails, the file still says which they are.
    fn clear_file(&self) -> Result<Vec<Origin>, Error> {
        let file = self.paths.auth_file_to_write()?;
        if !file.path.exists() {
            return Ok(Vec::new());
        }
        let content = edit(&file.path, |content, _| Edit::Keep(content.clone()))?;
        let (runner, mut removed) = (self.helper_runner(), Vec::new());
        let origin = |helper: &str| Origin::AuthFileHelper { file: file.path.clone(), helper: helper.to_owned() };
        for (registry, helper) in content.helpers() {
            removed.extend(runner.erase(helper, registry).map_err(in_file(&file))?.then(|| origin(helper)));
        }
        if let Some(store) = content.store().filter(|_| file.for_docker) {
            removed.extend(self.erase_all(store).map_err(in_file(&file))?.then(|| origin(store)));
        }
        let was_there = edit(&file.path, |_, draft| {
            let was_there = draft.has_entries();
            draft.clear();
            Edit::Replace(was_there)
        })?;
        removed.extend(was_there.then(|| Origin::AuthFile(file.path.clone())));
        Ok(removed)
    }
}

/// The helper program that an auth file leaves a registry to.
struct Helper {
    name: String,
    /// What the helper calls the registry.
    server: String,
}

/// Docker asks its `credsStore` for whatever `credHelpers` does not name; podman and skopeo do not know of it.
fn left_to(content: &AuthFile, file: &AuthFileTarget, key: &AuthKey) -> Option<Helper> {
    let helper = |name: &str, server: &str| Helper { name: name.to_owned(), server: server.to_owned() };
    if let Some(name) = content.helper(key) {
        return Some(helper(name, key.registry()));
    }
    let server = if key.is_docker_hub() { DOCKER_HUB_SERVER } else { key.registry() };
    content.store().filter(|_| file.for_docker).map(|name| helper(name, server))
}

/// The key as the file has it.
fn entry<'a>(file: &AuthFileTarget, key: &'a AuthKey) -> &'a str {
    if file.for_docker && key.is_docker_hub() { DOCKER_HUB_SERVER } else { key.as_str() }
}

/// A login for a part of a registry would be found by nobody: a helper is asked for registries.
fn whole_registry(key: &AuthKey, helper: &str) -> Result<(), Error> {
    if key.is_namespaced() {
        return Err(Error::HelperNamespace { key: key.clone(), helper: helper.to_owned() });
    }
    Ok(())
}

fn in_file(file: &AuthFileTarget) -> impl Fn(credential_helper::Error) -> Error {
    |source| Error::AuthFileHelper { file: file.path.clone(), source }
}

fn merged(mut errors: Vec<Error>) -> Error {
    match errors.pop() {
        Some(only) if errors.is_empty() => only,
        last => {
            errors.extend(last);
            Error::Several(errors)
        }
    }
}
