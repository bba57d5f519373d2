//! registries.conf: which registry a reference leads to.
//!
//! [containers-registries.conf(5)](https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md),
//! both versions, with drop-ins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::bounded;
use super::error::{Error, MAX_FILE_SIZE};
use super::paths::Paths;
use super::short_names::{Alias, ShortNameMode};
use crate::reference::{Name, Reference};

mod file;
mod invalid;
mod keys;
mod registry;
mod v1;

pub use invalid::Invalid;
pub use registry::{Location, Mirror, Prefix, PullFromMirror, Registry};

use file::{FileConf, Role};

/// The credential helper that means the auth files, and the only one when none is configured.
pub const AUTH_FILES_HELPER: &str = "containers-auth.json";

/// registries.conf with its drop-ins, merged and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistriesConf {
    /// By prefix.
    registries: BTreeMap<String, Registry>,
    search_registries: Vec<String>,
    credential_helpers: Vec<String>,
    short_name_mode: ShortNameMode,
    aliases: BTreeMap<Alias, Name>,
    files: Vec<PathBuf>,
}

/// A rule that is broken, and where in the text.
#[derive(Debug)]
struct Broken {
    at: Range<usize>,
    rule: Invalid,
}

impl RegistriesConf {
    /// Reads the main file and its drop-ins. A main file that nobody named may be missing.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let mut conf = Self::default();
        let main = paths.registries_conf();
        match read(&main.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !main.explicit => {}
            result => conf.add(result, &main.path, Role::Main)?,
        }
        for directory in paths.registries_conf_dirs() {
            for path in drop_ins(&directory).map_err(|source| Error::Read { path: directory.clone(), source })? {
                conf.add(read(&path), &path, Role::DropIn)?;
            }
        }
        Ok(conf)
    }

    /// Reads a main file that is in memory; `file` is its name in errors.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        let mut conf = Self::default();
        conf.add(Ok(bytes.to_vec()), file, Role::Main)?;
        Ok(conf)
    }

    /// The registry whose prefix is the longest that matches the name of the reference. Tag and digest are not looked
    /// at: a prefix that has one matches no image, as with podman and skopeo.
    pub fn find(&self, reference: &Reference) -> Option<&Registry> {
        self.find_text(&reference.name().to_string())
    }

    /// The same for any text that begins with a domain: a registry, a namespace, a whole reference.
    pub fn find_text(&self, text: &str) -> Option<&Registry> {
        self.match_text(text).map(|(registry, _)| registry)
    }

    /// The registry, and how many bytes of the text its prefix stands for. Of two prefixes of one length, a wildcard
    /// and an exact one, the wildcard wins: it is the first in the order of the prefixes.
    pub(super) fn match_text(&self, text: &str) -> Option<(&Registry, usize)> {
        let mut best: Option<(&Registry, usize)> = None;
        for registry in self.registries.values() {
            let longer = best.is_none_or(|(known, _)| registry.prefix.as_str().len() > known.prefix.as_str().len());
            if let Some(length) = registry.prefix.matched_length(text).filter(|_| longer) {
                best = Some((registry, length));
            }
        }
        best
    }

    /// All registries in the order of their prefixes.
    pub fn registries(&self) -> impl Iterator<Item = &Registry> {
        self.registries.values()
    }

    /// Where short names are looked for, in this order.
    pub fn unqualified_search_registries(&self) -> &[String] {
        &self.search_registries
    }

    /// Who is asked for credentials, in this order: [`AUTH_FILES_HELPER`], or `X` for the program
    /// `docker-credential-X`.
    pub fn credential_helpers(&self) -> &[String] {
        &self.credential_helpers
    }

    /// What happens when a short name could mean several images.
    pub fn short_name_mode(&self) -> ShortNameMode {
        self.short_name_mode
    }

    /// The short names and what they stand for.
    pub fn aliases(&self) -> &BTreeMap<Alias, Name> {
        &self.aliases
    }

    /// The files that were read, in this order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn add(&mut self, bytes: io::Result<Vec<u8>>, path: &Path, role: Role) -> Result<(), Error> {
        let bytes = bytes.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        self.merge(file::parse(&bytes, path, role)?);
        self.files.push(path.to_owned());
        Ok(())
    }

    /// A later file replaces a registry as a whole, and a list as a whole.
    fn merge(&mut self, file: FileConf) {
        self.registries.extend(file.registries);
        if let Some(search_registries) = file.search_registries {
            self.search_registries = search_registries;
        }
        if let Some(helpers) = file.credential_helpers {
            self.credential_helpers = helpers;
            if self.credential_helpers.is_empty() {
                self.credential_helpers.push(AUTH_FILES_HELPER.to_owned());
            }
        }
        if let Some(mode) = file.short_name_mode {
            self.short_name_mode = mode;
        }
        for (alias, name) in file.aliases {
            match name {
                Some(name) => self.aliases.insert(alias, name),
                None => self.aliases.remove(&alias),
            };
        }
    }
}

impl Default for RegistriesConf {
    /// What holds where there is no file.
    fn default() -> Self {
        Self {
            registries: BTreeMap::new(),
            search_registries: Vec::new(),
            credential_helpers: vec![AUTH_FILES_HELPER.to_owned()],
            short_name_mode: ShortNameMode::default(),
            aliases: BTreeMap::new(),
            files: Vec::new(),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    bounded::read(path, MAX_FILE_SIZE)
}

/// The files `*.conf` of a directory by name; a directory that does not exist has none.
fn drop_ins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names: Vec<OsString> = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(b".conf") && !entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}
