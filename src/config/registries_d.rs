//! registries.d: where signatures are stored.
//!
//! [containers-registries.d(5)](https://github.com/containers/image/blob/main/docs/containers-registries.d.5.md)

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::warn;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::bounded;
use super::error::{Error, MAX_FILE_SIZE, Place};
use super::lookaside_url::{LookasideError, LookasideUrl};
use super::paths::Paths;
use crate::reference::Reference;

/// All files of the one directory that counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistriesD {
    default_docker: Option<Section>,
    docker: BTreeMap<String, Section>,
    default_directory: Option<PathBuf>,
    files: Vec<PathBuf>,
}

/// What one section sets; a field that it does not set is looked for in the next wider section.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    lookaside: Option<String>,
    staging: Option<String>,
    attachments: Option<bool>,
    place: Place,
}

/// Which rule of registries.d is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// `default-docker` in two files.
    #[error("default-docker is defined before, at {0}; keep one")]
    DefaultTwice(Place),
    /// A namespace in two files.
    #[error("namespace {namespace:?} is defined before, at {before}; keep one")]
    NamespaceTwice {
        /// The namespace.
        namespace: String,
        /// Where the other one is.
        before: Place,
    },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    default_docker: Option<Spanned<RawSection>>,
    docker: Option<BTreeMap<String, Option<Spanned<RawSection>>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct RawSection {
    lookaside: Option<String>,
    lookaside_staging: Option<String>,
    sigstore: Option<String>,
    sigstore_staging: Option<String>,
    use_sigstore_attachments: Option<bool>,
}

const FILE_KEYS: [&str; 2] = ["default-docker", "docker"];
const SECTION_KEYS: [&str; 5] =
    ["lookaside", "lookaside-staging", "sigstore", "sigstore-staging", "use-sigstore-attachments"];

impl RegistriesD {
    /// Reads the files `*.yaml` of the directory. A directory that does not exist has none, but one that is named must be
    /// there.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let mut all = Self { default_directory: paths.default_lookaside_dir(), ..Self::default() };
        let directory = paths.registries_d();
        let unreadable = |source| Error::Read { path: directory.clone(), source };
        if paths.registries_d.is_some() {
            fs::read_dir(&directory).map_err(unreadable)?;
        }
        let files = yaml_files(&directory).map_err(unreadable)?;
        for path in files {
            match bounded::read(&path, MAX_FILE_SIZE) {
                // A link that leads nowhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Read { path, source }),
                Ok(bytes) => all.add(&bytes, &path)?,
            }
        }
        Ok(all)
    }

    /// Reads one file that is in memory; `file` is its name in errors. There is no default directory then.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, Error> {
        let mut one = Self::default();
        one.add(bytes, file)?;
        Ok(one)
    }

    /// Where the signatures of the repository are read: what is configured, else the default directory.
    pub fn lookaside(&self, physical: &Reference) -> Result<LookasideUrl, LookasideError> {
        self.storage(physical, |section| section.lookaside.as_deref())
    }

    /// Where the signatures of the repository are written and deleted: the staging URL, else the one for reading.
    pub fn lookaside_staging(&self, physical: &Reference) -> Result<LookasideUrl, LookasideError> {
        self.storage(physical, |section| section.staging.as_deref().or(section.lookaside.as_deref()))
    }

    /// Whether signatures are kept beside the image, under tags `sha256-….sig`.
    pub fn use_sigstore_attachments(&self, physical: &Reference) -> bool {
        self.sections(physical).iter().find_map(|section| section.attachments).unwrap_or(false)
    }

    /// The files that were read, in this order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn storage(
        &self,
        physical: &Reference,
        field: impl Fn(&Section) -> Option<&str>,
    ) -> Result<LookasideUrl, LookasideError> {
        for section in self.sections(physical) {
            if let Some(configured) = field(section) {
                return LookasideUrl::new(configured, section.place.clone(), physical.name());
            }
        }
        let directory = self.default_directory.as_deref().ok_or(LookasideError::NoHome)?;
        LookasideUrl::in_directory(directory, physical.name())
    }

    /// The sections that apply, the most specific first.
    fn sections(&self, physical: &Reference) -> Vec<&Section> {
        let identity = physical.to_string();
        let namespaces = physical.namespaces();
        let scopes = std::iter::once(&identity).chain(&namespaces);
        scopes.filter_map(|scope| self.docker.get(scope)).chain(&self.default_docker).collect()
    }

    fn add(&mut self, bytes: &[u8], file: &Path) -> Result<(), Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error::utf8(file, bytes, error))?;
        let raw: Option<RawFile> = serde_saphyr::from_str(text).map_err(|error| Error::yaml(file, error))?;
        warn_of_unknown_keys(text, file);
        let raw = raw.unwrap_or_default();
        if let Some(section) = raw.default_docker {
            let section = section_at(section, file);
            if let Some(before) = &self.default_docker {
                let source = Invalid::DefaultTwice(before.place.clone());
                return Err(Error::RegistriesD { place: section.place, source });
            }
            self.default_docker = Some(section);
        }
        for (namespace, section) in raw.docker.unwrap_or_default() {
            let section = section.map_or_else(|| Section::empty(file), |section| section_at(section, file));
            if let Some(before) = self.docker.get(&namespace) {
                let source = Invalid::NamespaceTwice { namespace, before: before.place.clone() };
                return Err(Error::RegistriesD { place: section.place, source });
            }
            self.docker.insert(namespace, section);
        }
        self.files.push(file.to_owned());
        Ok(())
    }
}

impl Section {
    fn empty(file: &Path) -> Self {
        Self { lookaside: None, staging: None, attachments: None, place: Place::of_file(file) }
    }
}

/// The keys `sigstore` are the old names of the keys `lookaside`, and count where those are not set.
fn section_at(raw: Spanned<RawSection>, file: &Path) -> Section {
    let at = raw.referenced;
    let place = Place::of_line(file, at.line(), at.column());
    let raw = raw.value;
    let set = |new: Option<String>, old: Option<String>| {
        let is_set = |text: &String| !text.is_empty();
        new.filter(is_set).or(old.filter(is_set))
    };
    Section {
        lookaside: set(raw.lookaside, raw.sigstore),
        staging: set(raw.lookaside_staging, raw.sigstore_staging),
        attachments: raw.use_sigstore_attachments,
        place,
    }
}

/// A mistyped key would leave signatures unread without a word.
fn warn_of_unknown_keys(text: &str, file: &Path) {
    for key in unknown_keys(text) {
        warn!("{}: unknown key {key:?} is ignored", file.display());
    }
}

/// Of a text that has been read as a [`RawFile`].
fn unknown_keys(text: &str) -> Vec<String> {
    let Ok(serde_json::Value::Object(mut file)) = serde_saphyr::from_str(text) else { return Vec::new() };
    let mut sections = Vec::new();
    if let Some(serde_json::Value::Object(docker)) = file.get_mut("docker") {
        sections.extend(std::mem::take(docker));
    }
    sections.extend(file.get_key_value("default-docker").map(|(name, section)| (name.clone(), section.clone())));
    let of_file = file.keys().filter(|key| !FILE_KEYS.contains(&key.as_str())).cloned();
    let of_sections = sections.iter().flat_map(|(name, section)| {
        let keys = section.as_object().into_iter().flat_map(|section| section.keys());
        keys.filter(|key| !SECTION_KEYS.contains(&key.as_str())).map(move |key| format!("{name}.{key}"))
    });
    of_file.chain(of_sections).collect()
}

/// By name, so that an error is the same each time; no other order is needed, for nothing may be defined twice.
fn yaml_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(b".yaml") && !entry.file_type()?.is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_named() {
        let text = "default_docker: {}\ndefault-docker: {look-aside: x}\ndocker: {a: {lookaside: x, extra: 1}, b: }";
        assert_eq!(unknown_keys(text), ["default_docker", "a.extra", "default-docker.look-aside"]);
        assert!(unknown_keys("").is_empty());
    }
}
