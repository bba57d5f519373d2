//! Clients that are kept for the next image.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;
use crate::config::Host;
use crate::http::RetryPolicy;
use crate::recent::Recent;
use crate::reference::Name;
use crate::registry::{Endpoint, Identity, RegistryClient};

/// Clients of repositories, kept for further images of the same ones: they share a token and what was learned of the
/// registry. Of more than 256, the one that was not used for longest is forgotten. Clones are the same set.
///
/// A client is used again only by who would have got an equal one under the same configuration. So one set is for one
/// [`Config`](crate::config::Config).
#[derive(Clone, Default)]
pub struct Clients(Arc<Mutex<Kept>>);

type Kept = Recent<(Name, Key), Arc<RegistryClient>, MOST>;

/// A daemon may see any number of repositories.
const MOST: usize = 256;

/// What a client is for, which decides the tokens that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Pull,
    Push,
    Delete,
}

/// What makes two clients of a repository equal.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    pub(super) purpose: Purpose,
    pub(super) insecure: bool,
    pub(super) retry: RetryPolicy,
    /// Who was named explicitly, where that counts for this repository.
    pub(super) identity: Option<Identity>,
    pub(super) cert_dir: Option<PathBuf>,
    pub(super) host: Option<Arc<Host>>,
}

impl Purpose {
    pub(super) fn client(self, name: Name, endpoint: Endpoint) -> RegistryClient {
        match self {
            Self::Pull => RegistryClient::new(name, endpoint),
            Self::Push => RegistryClient::for_pushing(name, endpoint),
            Self::Delete => RegistryClient::for_deleting(name, endpoint),
        }
    }
}

impl Clients {
    /// The client that is there, or the one that `make` makes. Others wait meanwhile: they may want the same one.
    pub(super) fn get(
        &self,
        name: &Name,
        key: Key,
        make: impl FnOnce() -> Result<Arc<RegistryClient>, Error>,
    ) -> Result<Arc<RegistryClient>, Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get((name.clone(), key), make)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}
