//! The form of version 1: three lists of registries.

use serde::Deserialize;
use toml::Spanned;

use super::Broken;
use super::file::RawRegistry;
use super::registry::Location;

/// `[registries]`
#[derive(Deserialize)]
pub(super) struct RawRegistries {
    search: Option<RawList>,
    insecure: Option<RawList>,
    block: Option<RawList>,
}

#[derive(Deserialize)]
struct RawList {
    registries: Option<Vec<Spanned<String>>>,
}

/// The same in the form of version 2.
pub(super) struct Converted {
    pub(super) search: Option<Vec<Spanned<String>>>,
    pub(super) registries: Vec<Spanned<RawRegistry>>,
}

impl RawRegistries {
    /// True when a list is there, even an empty one.
    pub(super) fn is_set(&self) -> bool {
        [&self.search, &self.insecure, &self.block].into_iter().flatten().any(|list| list.registries.is_some())
    }
}

/// One `[[registry]]` for each location that is blocked or insecure.
pub(super) fn convert(raw: RawRegistries) -> Result<Converted, Broken> {
    let locations = |list: Option<RawList>| list.and_then(|list| list.registries);
    let mut registries = Vec::new();
    for location in locations(raw.block).unwrap_or_default() {
        entry(&mut registries, location, |registry| registry.blocked = true)?;
    }
    for location in locations(raw.insecure).unwrap_or_default() {
        entry(&mut registries, location, |registry| registry.insecure = true)?;
    }
    Ok(Converted { search: locations(raw.search), registries })
}

fn entry(
    registries: &mut Vec<Spanned<RawRegistry>>,
    location: Spanned<String>,
    set: impl FnOnce(&mut RawRegistry),
) -> Result<(), Broken> {
    let parsed = Location::parse(&location)?;
    for registry in registries.iter_mut() {
        let known = registry.get_ref().location.as_ref().map(Location::parse).transpose()?.flatten();
        if known == parsed {
            set(registry.get_mut());
            return Ok(());
        }
    }
    let at = location.span();
    let mut registry = RawRegistry { location: Some(location), ..RawRegistry::default() };
    set(&mut registry);
    registries.push(Spanned::new(at, registry));
    Ok(())
}
