//! Where images come from, in the words of containerd and of k3s: the hosts.toml tree, the CRI's registry table of a
//! config.toml, and registries.yaml.
//!
//! All of them come to the same values as registries.conf: [`PullSource`]s, whose [`Host`](super::Host) says how they are
//! reached.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::paths::Paths;
use super::pull_source::PullSource;
use crate::reference::Reference;

mod base;
mod certificates;
mod cri;
mod document;
mod host_entry;
mod hosts_dir;
mod hosts_toml;
mod invalid;
mod k3s;
mod mirrors;
mod rewrite;
#[cfg(test)]
mod tests;

use host_entry::HostEntry;

pub use cri::CriRegistry;
pub use hosts_dir::HostsDirs;
pub use invalid::Invalid;
pub use mirrors::Mirrors;

/// The files that say where images come from, instead of registries.conf.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Registries {
    /// Directories with a hosts.toml for each registry.
    HostsDir(HostsDirs),
    /// One hosts.toml for all registries.
    HostsToml(HostsToml),
    /// The registry table of containerd's config.toml.
    Cri(CriRegistry),
    /// k3s' registries.yaml.
    K3s(Mirrors),
}

/// A hosts.toml that was read.
#[derive(Debug, Clone)]
pub struct HostsToml(Vec<HostEntry>);

/// What holds for a host of which nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defaults {
    /// How the registry itself is reached; `None` for https, but for this machine.
    pub scheme: Option<Scheme>,
    /// There are TLS settings for all hosts, so https is tried where http is written.
    pub tls: bool,
}

/// How a host is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Registries {
    /// Directories, each with a directory for each registry.
    pub fn hosts_dirs(roots: Vec<PathBuf>) -> Self {
        Self::HostsDir(HostsDirs::of_roots(roots))
    }

    /// Reads a hosts.toml that is in memory, and is for all registries; `file` is its name in errors, and the files that it
    /// names are looked for beside that.
    pub fn parse_hosts_toml(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        hosts_toml::parse(bytes, file).map(|entries| Self::HostsToml(HostsToml(entries)))
    }

    /// Reads a config.toml of containerd; `paths` has the directories that count where it names none.
    pub fn load_containerd_config(file: &Path, paths: &Paths) -> Result<Self, Error> {
        CriRegistry::load(file, paths).map(Self::Cri)
    }

    /// Reads a registries.yaml of k3s.
    pub fn load_k3s(file: &Path) -> Result<Self, Error> {
        k3s::load(file).map(Self::K3s)
    }

    /// Reads a registries.yaml that is in memory; `file` is its name in errors.
    pub fn parse_k3s(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        k3s::parse(bytes, file).map(Self::K3s)
    }

    /// The hosts for an image, in their order, whatever they may be asked for. The last one stands for the registry
    /// itself. Never empty.
    pub fn hosts(&self, logical: &Reference) -> Result<Vec<PullSource>, Error> {
        let (entries, defaults) = self.entries(logical.domain())?;
        host_entry::pull_sources(&entries, logical, defaults)
    }

    /// Those that may be asked for content, the last being the primary. Never empty.
    pub fn pull_sources(&self, logical: &Reference) -> Result<Vec<PullSource>, Error> {
        let (entries, defaults) = self.entries(logical.domain())?;
        let mut hosts = host_entry::pull_sources(&entries, logical, defaults)?;
        hosts.retain(PullSource::can_pull);
        if let Some(entry) = entries.last().filter(|_| hosts.is_empty()) {
            let source = Invalid::NoPull(logical.to_string());
            return Err(Error::Containerd { place: entry.place.clone(), source });
        }
        if let Some(last) = hosts.last_mut() {
            last.mirror = false;
        }
        Ok(hosts)
    }

    fn entries(&self, domain: &str) -> Result<(Vec<HostEntry>, Defaults), Error> {
        Ok(match self {
            Self::HostsDir(dirs) => (dirs.entries(domain)?, dirs.defaults),
            Self::HostsToml(file) => (file.0.clone(), Defaults::default()),
            Self::Cri(registry) => (registry.entries(domain)?, Defaults::default()),
            Self::K3s(mirrors) => (mirrors.entries(domain)?, Defaults::default()),
        })
    }
}
