//! One file: TOML to checked values.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use log::warn;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::invalid::Invalid;
use super::registry::{self, Location, Registry};
use super::{Broken, keys, v1};
use crate::config::domain::is_domain;
use crate::config::error::{Error, Place};
use crate::config::short_names::{self, Alias, ShortNameMode};
use crate::reference::Name;

/// What one file says; `None` where it says nothing.
#[derive(Debug, Default)]
pub(super) struct FileConf {
    pub(super) registries: BTreeMap<String, Registry>,
    pub(super) search_registries: Option<Vec<String>>,
    pub(super) credential_helpers: Option<Vec<String>>,
    pub(super) short_name_mode: Option<ShortNameMode>,
    /// An alias without a name takes an earlier file's one away.
    pub(super) aliases: BTreeMap<Alias, Option<Name>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    unqualified_search_registries: Option<Vec<Spanned<String>>>,
    credential_helpers: Option<Vec<String>>,
    short_name_mode: Option<Spanned<String>>,
    #[serde(rename = "additional-layer-store-auth-helper")]
    _additional_layer_store_auth_helper: Option<String>,
    aliases: Option<BTreeMap<Spanned<String>, Spanned<String>>>,
    registry: Option<Vec<Spanned<RawRegistry>>>,
    registries: Option<Spanned<v1::RawRegistries>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct RawRegistry {
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) location: Option<Spanned<String>>,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    pub(super) pull_from_mirror: Option<Spanned<String>>,
    pub(super) mirror: Vec<Spanned<RawMirror>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RawMirror {
    pub(super) location: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) insecure: bool,
    pub(super) pull_from_mirror: Option<Spanned<String>>,
}

/// Where a file comes from decides which forms it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Main,
    DropIn,
}

/// Reads one file that is in memory.
pub(super) fn parse(bytes: &[u8], file: &Path, role: Role) -> Result<FileConf, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::utf8(file, bytes, error))?;
    let broken =
        |broken: Broken| Error::RegistriesConf { place: Place::of_span(file, text, &broken.at), source: broken.rule };
    let document = DeTable::parse(text).map_err(|error| Error::toml(file, text, error))?;
    let (document, unknown) = keys::spell(document).map_err(broken)?;
    for key in unknown {
        warn!("{}: unknown key {:?} is ignored", Place::of_span(file, text, &key.at), key.name);
    }
    let raw =
        RawFile::deserialize(toml::Deserializer::from(document)).map_err(|error| Error::toml(file, text, error))?;
    let raw = to_version_2(raw, role).map_err(broken)?;
    check(raw, &|at| Place::of_span(file, text, at)).map_err(broken)
}

/// The file in the form of version 2, whichever it had.
fn to_version_2(mut raw: RawFile, role: Role) -> Result<RawFile, Broken> {
    let Some(version_1) = raw.registries.take().filter(|registries| registries.get_ref().is_set()) else {
        return Ok(raw);
    };
    let at = version_1.span();
    if raw.has_version_2_keys() {
        return Err(Broken { at, rule: Invalid::MixedVersions });
    }
    if role == Role::DropIn {
        return Err(Broken { at, rule: Invalid::Version1DropIn });
    }
    let converted = v1::convert(version_1.into_inner())?;
    raw.unqualified_search_registries = converted.search;
    raw.registry = Some(converted.registries);
    Ok(raw)
}

impl RawFile {
    /// True when a key is there, even if its value is empty; only an empty text is as good as none.
    fn has_version_2_keys(&self) -> bool {
        let is_text = |text: &Spanned<String>| !text.get_ref().is_empty();
        self.unqualified_search_registries.is_some()
            || self.credential_helpers.is_some()
            || self.registry.is_some()
            || self.aliases.is_some()
            || self.short_name_mode.as_ref().is_some_and(is_text)
    }
}

fn check(raw: RawFile, place: &dyn Fn(&Range<usize>) -> Place) -> Result<FileConf, Broken> {
    let mode = raw.short_name_mode.filter(|mode| !mode.get_ref().is_empty());
    Ok(FileConf {
        registries: registry::check(raw.registry.unwrap_or_default(), place)?,
        search_registries: raw.unqualified_search_registries.map(search_registries).transpose()?,
        credential_helpers: raw.credential_helpers,
        short_name_mode: mode.map(|mode| parsed(&mode, str::parse)).transpose()?,
        aliases: raw.aliases.map(aliases).transpose()?.unwrap_or_default(),
    })
}

fn search_registries(raw: Vec<Spanned<String>>) -> Result<Vec<String>, Broken> {
    let search_registry = |entry: Spanned<String>| {
        let location = Location::parse(&entry)?.map(|location| location.to_string()).unwrap_or_default();
        if is_domain(&location) {
            return Ok(location);
        }
        Err(Broken { at: entry.span(), rule: Invalid::SearchRegistry(entry.into_inner()) })
    };
    raw.into_iter().map(search_registry).collect()
}

fn aliases(raw: BTreeMap<Spanned<String>, Spanned<String>>) -> Result<BTreeMap<Alias, Option<Name>>, Broken> {
    let alias = |(short, value): (Spanned<String>, Spanned<String>)| {
        let name = match value.get_ref().as_str() {
            "" => None,
            _ => Some(parsed(&value, short_names::parse_alias_value)?),
        };
        Ok((parsed(&short, str::parse)?, name))
    };
    raw.into_iter().map(alias).collect()
}

fn parsed<T>(
    text: &Spanned<String>,
    parse: impl FnOnce(&str) -> Result<T, short_names::ParseError>,
) -> Result<T, Broken> {
    parse(text.get_ref()).map_err(|error| Broken { at: text.span(), rule: error.into() })
}
