//! Directories with a directory for each registry: `--hosts-dir`, `config_path`.

use std::io;
use std::path::{Path, PathBuf};

use log::debug;

use super::Defaults;
use super::host_entry::{Certificates, HostEntry};
use super::hosts_toml;
use crate::config::bounded;
use crate::config::error::{Error, MAX_FILE_SIZE, Place};

/// What counts for registries without a directory of their own.
const FALLBACK: &str = "_default";

/// Roots, each with a directory for each registry. Nothing is kept: each image is looked up anew, as containerd does it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostsDirs {
    /// In the order in which they are searched, each for the registry's own directory and `_default`.
    pub roots: Vec<PathBuf>,
    /// For hosts of which nothing is said.
    pub defaults: Defaults,
}

impl HostsDirs {
    /// One directory, or several with colons between them.
    pub fn new(text: impl AsRef<Path>) -> Self {
        let text = text.as_ref();
        let roots = match text.to_str() {
            Some(text) => text.split(':').filter(|root| !root.is_empty()).map(PathBuf::from).collect(),
            None => vec![text.to_owned()],
        };
        Self::of_roots(roots)
    }

    /// Several directories, in this order.
    pub fn of_roots(roots: Vec<PathBuf>) -> Self {
        Self { roots, defaults: Defaults::default() }
    }

    /// The hosts for images of a registry: those of the first directory that there is.
    pub(super) fn entries(&self, domain: &str) -> Result<Vec<HostEntry>, Error> {
        if let Some(directory) = self.find(domain)? {
            return read(&directory);
        }
        let searched = self.roots.first().map_or(Path::new(FALLBACK), PathBuf::as_path);
        Ok(vec![HostEntry::unsaid(Place::of_file(searched))])
    }

    fn find(&self, domain: &str) -> Result<Option<PathBuf>, Error> {
        for directory in self.roots.iter().flat_map(|root| search_order(root, domain)) {
            match directory.metadata() {
                Ok(_) => return Ok(Some(directory)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Read { path: directory, source }),
            }
        }
        Ok(None)
    }
}

/// The directories of a registry below one root, the first that exists counting alone: the port between underscores, for
/// file systems that have no colons; the name as it is; that of every other registry.
pub(super) fn search_order(root: &Path, domain: &str) -> Vec<PathBuf> {
    let with_port = domain.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let portable = with_port.map(|(host, port)| format!("{host}_{port}_"));
    // Of a name without a registry nothing is known.
    let own = Some(domain).filter(|domain| !domain.is_empty());
    portable.as_deref().into_iter().chain(own).chain([FALLBACK]).map(|name| root.join(name)).collect()
}

/// What a directory says: its hosts.toml; without one, or with an empty one, the certificates beside it are for the
/// registry.
fn read(directory: &Path) -> Result<Vec<HostEntry>, Error> {
    let file = directory.join("hosts.toml");
    let bytes = match bounded::read(&file, MAX_FILE_SIZE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::Read { path: file, source }),
        Ok(bytes) => bytes,
    };
    debug!("registries configuration: {}", if bytes.is_empty() { directory } else { &file }.display());
    if !bytes.is_empty() {
        return hosts_toml::parse(&bytes, &file);
    }
    let certificates = Certificates::Directory(directory.to_owned());
    Ok(vec![HostEntry { certificates, ..HostEntry::at(Place::of_file(directory)) }])
}
