//! The registry table of containerd's config.toml
//! ([its manual](https://github.com/containerd/containerd/blob/main/docs/cri/registry.md)).

use std::path::Path;

use super::document::{Document, Fields, Key, Node};
use super::host_entry::HostEntry;
use super::mirrors::{Dialect, Mirrors};
use super::{HostsDirs, Invalid};
use crate::config::bounded;
use crate::config::error::{Error, MAX_FILE_SIZE};
use crate::config::paths::Paths;

/// Where the table is, in the versions of the file.
const PLUGINS: [&str; 3] = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"];

/// What a config.toml says about registries.
#[derive(Debug, Clone)]
pub struct CriRegistry {
    /// The table itself; of a file with a `config_path`, only who we are.
    table: Mirrors,
    /// Where it is said instead.
    dirs: Option<HostsDirs>,
}

impl CriRegistry {
    /// Reads a config.toml. Without mirrors and without a `config_path`, the directories count that containerd has for
    /// that: [`Paths::default_hosts_dirs`].
    pub fn load(file: &Path, paths: &Paths) -> Result<Self, Error> {
        let bytes = bounded::read(file, MAX_FILE_SIZE);
        Self::parse(&bytes.map_err(|source| Error::Read { path: file.to_owned(), source })?, file, paths)
    }

    /// The same of a file that is in memory; `file` is its name in errors.
    pub fn parse(bytes: &[u8], file: &Path, paths: &Paths) -> Result<Self, Error> {
        let document = Document::toml(bytes, file)?;
        let nothing = Node::nothing();
        let node = registry(&document)?.unwrap_or(&nothing);
        let table = Mirrors::read(&document, node, "registry", Dialect::Cri)?;
        let path = Fields::of(&document, node, "registry")?.text("config_path")?;
        let beside = |what| Err(document.invalid(node.at, Invalid::BesideConfigPath(what)));
        let dirs = match path {
            Some(_) if table.has_mirrors() => return beside("mirrors"),
            Some(_) if table.has_tls() => return beside("configs with tls"),
            Some(path) => Some(HostsDirs::new(path)),
            None if table.has_mirrors() || table.has_tls() => None,
            None => Some(HostsDirs::of_roots(paths.default_hosts_dirs())),
        };
        Ok(Self { table, dirs })
    }

    pub(super) fn entries(&self, domain: &str) -> Result<Vec<HostEntry>, Error> {
        let Some(dirs) = &self.dirs else { return self.table.entries(domain) };
        let mut entries = dirs.entries(domain)?;
        for entry in &mut entries {
            entry.credentials = self.table.credentials(&entry.base(domain, dirs.defaults)?.0);
        }
        Ok(entries)
    }
}

#[cfg(test)]
impl CriRegistry {
    pub(super) fn table_entries(&self, domain: &str) -> Result<Vec<HostEntry>, Error> {
        self.table.entries(domain)
    }

    pub(super) fn roots(&self) -> Option<&[std::path::PathBuf]> {
        self.dirs.as_ref().map(|dirs| dirs.roots.as_slice())
    }
}

/// The one table of registries.
fn registry<'d>(document: &'d Document<'_>) -> Result<Option<&'d Node>, Error> {
    let Some(plugins) = Fields::of(document, &document.root, "")?.get("plugins") else { return Ok(None) };
    let mut found: Option<(&Key, &Node)> = None;
    for (plugin, node) in document.entries(plugins, "plugins")? {
        if !PLUGINS.contains(&plugin.name.as_str()) {
            continue;
        }
        let entries = document.entries(node, &plugin.name)?;
        let Some((key, node)) = entries.iter().find(|(key, _)| key.name == "registry") else { continue };
        if let Some((first, _)) = found {
            let line = document.place(first.at).line().unwrap_or_default();
            return Err(document.invalid(key.at, Invalid::Twice(line)));
        }
        found = Some((key, node));
    }
    Ok(found.map(|(_, node)| node))
}
