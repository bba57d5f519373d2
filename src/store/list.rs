//! What a store has.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::Error as _;

use super::entry::{id, is_pinned, target};
use super::{Error, classify};
use crate::destination::shared_layout;
use crate::digest::Digest;
use crate::manifest::document::{Descriptor, Index};
use crate::manifest::{ImageManifest, MAX_CONFIG_SIZE, MAX_MANIFEST_SIZE, ManifestBytes, Platform};
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::source;
use crate::source::oci_layout::{INDEX_FILE, blob_path};

/// No operating system and no architecture has a longer name, in bytes.
const MAX_WORD: usize = 64;

/// An image of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredImage {
    /// The digest of its config.
    pub id: Digest,
    /// Its names with a tag, sorted; none for an image whose tags have moved on.
    pub repo_tags: Vec<Reference>,
    /// Its names with the digest of what was pulled, sorted.
    pub repo_digests: Vec<Reference>,
    /// The digest that each of its tags had when it was pulled.
    pub tagged: BTreeMap<Reference, Digest>,
    /// The manifest in the store: that of the platform, in OCI's form.
    pub manifest: Digest,
    /// The size of manifest, config and layers as they are in the store, in bytes. Layers are shared by images.
    pub size: u64,
    /// What it runs on.
    pub platform: Platform,
    /// It is not to be removed by whoever makes room.
    pub pinned: bool,
}

/// What a store has.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Images {
    /// Those that can be told of, in the order of their names; those without a tag come last.
    pub whole: Vec<StoredImage>,
    /// Those whose manifest or config is missing or damaged. A pull under one of their names repairs them.
    pub damaged: Vec<DamagedImage>,
}

/// An image that its store cannot tell of.
#[derive(Debug)]
#[non_exhaustive]
pub struct DamagedImage {
    /// The digest that its config should have.
    pub id: Digest,
    /// Its names as they are in the index, the id among them.
    pub names: Vec<String>,
    /// What is wrong with it.
    pub error: Error,
}

/// What an image runs on, by its config, which must say it in words that can be shown.
pub(super) fn platform(config: &[u8]) -> Result<Platform, serde_json::Error> {
    #[derive(Deserialize)]
    struct Config {
        os: String,
        architecture: String,
        variant: Option<String>,
    }
    let Config { os, architecture, variant } = serde_json::from_slice(config)?;
    let words = [Some(&os), Some(&architecture), variant.as_ref()];
    for word in words.into_iter().flatten() {
        if word.len() > MAX_WORD {
            let text = format!("a word of {} bytes about the platform; at most {MAX_WORD} are expected", word.len());
            return Err(serde_json::Error::custom(text));
        }
    }
    Ok(Platform::new(os, architecture, variant))
}

pub(super) fn images(store: &Path, index: &Index) -> Images {
    let mut entries: BTreeMap<Digest, Vec<&Descriptor>> = BTreeMap::new();
    for entry in &index.manifests {
        if let Some(id) = id(entry) {
            entries.entry(id).or_default().push(entry);
        }
    }
    let mut images = Images::default();
    for (id, entries) in entries {
        match stored(store, id.clone(), &entries) {
            Ok(image) => images.whole.extend(image),
            Err(error) => {
                let names = entries.iter().filter_map(|entry| entry.name()).map(str::to_owned).collect();
                images.damaged.push(DamagedImage { id, names, error });
            }
        }
    }
    images.whole.sort_by_key(|image| {
        let names = [&image.repo_tags, &image.repo_digests].map(|names| names.iter().map(ToString::to_string).min());
        (image.repo_tags.is_empty(), names, image.id.clone())
    });
    images
}

fn stored(store: &Path, id: Digest, entries: &[&Descriptor]) -> Result<Option<StoredImage>, Error> {
    let own_name = id.to_string();
    let own = entries.iter().find(|entry| entry.name() == Some(own_name.as_str())).or(entries.first());
    let Some(entry) = own else { return Ok(None) };
    let digest: Digest =
        entry.digest.parse().map_err(|source| source::Error::IndexDigest { path: store.join(INDEX_FILE), source })?;
    let path = blob_path(store, &digest);
    let bytes = shared_layout::document(store, &digest, MAX_MANIFEST_SIZE)?;
    let unusable = |source| Error::Manifest { path: path.clone(), source };
    let manifest = ManifestBytes::verified(bytes, MediaType::from(entry.media_type.as_str()), &digest)
        .map_err(|source| source::Error::Damaged { path: path.clone(), source })?;
    let image = ImageManifest::parse(&manifest).map_err(unusable)?;
    let layers: u64 = image.layers().iter().map(crate::manifest::Descriptor::size).fold(0, u64::saturating_add);
    let size = manifest.size().saturating_add(image.config().size()).saturating_add(layers);
    let config = shared_layout::document(store, &id, MAX_CONFIG_SIZE)?;
    let platform = platform(&config).map_err(|source| Error::Config { path: blob_path(store, &id), source })?;
    let (mut repo_tags, mut repo_digests) = classify(entries.iter().filter_map(|entry| entry.name()));
    repo_tags.sort();
    repo_digests.sort();
    let tagged = repo_tags.iter().filter_map(|tag| {
        let name = tag.to_string();
        let entry = entries.iter().find(|entry| entry.name() == Some(name.as_str()))?;
        Some((tag.clone(), target(entry)?))
    });
    let tagged = tagged.collect();
    let pinned = entries.iter().any(|entry| is_pinned(entry));
    Ok(Some(StoredImage { id, repo_tags, repo_digests, tagged, manifest: digest, size, platform, pinned }))
}
