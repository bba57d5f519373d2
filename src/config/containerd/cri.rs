//! The registry table of containerd's config.toml
//! ([its manual](https://github.com/containerd/containerd/blob/main/docs/cri/registry.md)).

use std::path::Path;

use log::warn;

use super::document::{self, Document, Fields, Key, Node};
use super::host_entry::HostEntry;
use super::mirrors::{Dialect, Mirrors};
use super::{HostsDirs, Invalid};
use crate::config::error::Error;
use crate::config::paths::Paths;

/// Where the table is in files of version 3, where in those before, and where in those of the first version, which need
/// not say theirs.
const IMAGES: &str = "io.containerd.cri.v1.images";
const GRPC: &str = "io.containerd.grpc.v1.cri";
const FIRST: &str = "cri";

/// What a config.toml says about registries.
#[derive(Debug, Clone)]
pub struct CriRegistry {
    /// The table itself; where the hosts are said elsewhere, only who we are and the headers for all of them.
    table: Mirrors,
    /// Where it is said instead.
    dirs: Option<HostsDirs>,
}

impl CriRegistry {
    /// Reads a config.toml. Without mirrors, without TLS settings and without a `config_path`, the directories count that
    /// containerd has for that: [`Paths::default_hosts_dirs`].
    pub fn load(file: &Path, paths: &Paths) -> Result<Self, Error> {
        Self::parse(&document::read(file)?, file, paths)
    }

    /// The same of a file that is in memory; `file` is its name in errors.
    pub fn parse(bytes: &[u8], file: &Path, paths: &Paths) -> Result<Self, Error> {
        let document = Document::toml(bytes, file)?;
        warn_of_imports(&document)?;
        let nothing = Node::nothing();
        let found = registry(&document)?;
        if found.is_none() {
            warn_of_defaults(file, paths);
        }
        let node = found.unwrap_or(&nothing);
        let table = Mirrors::read(&document, node, "registry", Dialect::Cri)?;
        let fields = Fields::of(&document, node, "registry")?;
        let beside = |what| Err(document.invalid(node.at, Invalid::BesideConfigPath(what)));
        let dirs = match fields.text("config_path")? {
            Some(_) if table.has_mirrors() => return beside("mirrors"),
            Some(_) if table.has_tls() => return beside("configs with tls"),
            Some(path) => Some(config_path(&document, &fields, path)),
            None if table.has_mirrors() => None,
            None if table.has_tls() => {
                warn_of_tls(&document, &fields, paths);
                None
            }
            None => Some(HostsDirs::of_roots(paths.default_hosts_dirs())),
        };
        Ok(Self { table, dirs })
    }

    pub(super) fn entries(&self, domain: &str) -> Result<Vec<HostEntry>, Error> {
        let Some(dirs) = &self.dirs else { return self.table.entries(domain) };
        let mut entries = dirs.entries(domain)?;
        for entry in &mut entries {
            entry.credentials = self.table.credentials(&entry.base(domain, dirs.defaults)?.0);
            entry.headers.splice(0..0, self.table.headers().iter().cloned());
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

/// The one table of registries that counts in this version of the file.
fn registry<'d>(document: &'d Document<'_>) -> Result<Option<&'d Node>, Error> {
    let root = Fields::of(document, &document.root, "")?;
    let version = root.integer("version")?.unwrap_or(1);
    let counting: &[&str] = match version {
        ..=1 => &[GRPC, FIRST],
        2 => &[GRPC],
        3.. => &[IMAGES],
    };
    let mut found: Option<(&Key, &Node)> = None;
    for (plugin, node) in root.entries("plugins")? {
        if ![IMAGES, GRPC, FIRST].contains(&plugin.name.as_str()) {
            continue;
        }
        let entries = document.entries(node, &plugin.name)?;
        let Some((key, node)) = entries.iter().find(|(key, _)| key.name == "registry") else { continue };
        if !counting.contains(&plugin.name.as_str()) {
            let (place, name) = (document.place(key.at), &plugin.name);
            let counts = counting.first().copied().unwrap_or_default();
            warn!("{place}: the registry table of {name:?} is ignored in version {version}, where {counts:?} has it");
            continue;
        }
        if let Some((first, _)) = found {
            let line = document.place(first.at).line().unwrap_or_default();
            return Err(document.invalid(key.at, Invalid::Twice(line)));
        }
        found = Some((key, node));
    }
    Ok(found.map(|(_, node)| node))
}

/// Another file may have the table: who named this one alone is told.
fn warn_of_imports(document: &Document<'_>) -> Result<(), Error> {
    let imports = Fields::of(document, &document.root, "")?.list("imports")?;
    if let Some((_, at)) = imports.first() {
        warn!("{}: imports are not read: name the file that has the registry table", document.place(*at));
    }
    Ok(())
}

/// It may be another program's file, or one that leaves the table to its imports.
fn warn_of_defaults(file: &Path, paths: &Paths) {
    warn!("{} has no registry table of the CRI: what counts is {}", file.display(), defaults(paths));
}

/// They are for the table's own hosts: a directory has its own for each of its hosts.
fn warn_of_tls(document: &Document<'_>, fields: &Fields<'_>, paths: &Paths) {
    if let Some(node) = fields.get("configs") {
        let place = document.place(node.at);
        warn!("{place}: configs with tls count alone: what is not read is {}", defaults(paths));
    }
}

fn defaults(paths: &Paths) -> String {
    let dirs: Vec<_> = paths.default_hosts_dirs().iter().map(|dir| dir.display().to_string()).collect();
    dirs.join(", then ")
}

/// The directories that are named. Where none of them is, nothing is said of any registry.
fn config_path(document: &Document<'_>, fields: &Fields<'_>, path: &str) -> HostsDirs {
    let dirs = HostsDirs::new(path);
    let at = fields.get("config_path").map(|node| node.at);
    if let Some(at) = at.filter(|_| !dirs.roots.iter().any(|root| root.is_dir())) {
        warn!("{}: no directory of config_path is there: {path}", document.place(at));
    }
    dirs
}
