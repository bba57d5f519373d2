//! What is in the archive beside the layers: `manifest.json`, and what Docker before 1.10 reads.
//!
//! The old format has one directory for each layer, with the layer, its version and its configuration, and names the
//! tags of the highest in `repositories`. Names and bytes are those that podman and skopeo write.

use std::collections::{BTreeMap, HashSet};
use std::io;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::archive::{Spooled, TarWriter};
use crate::digest::Digest;
use crate::manifest::go_json;
use crate::reference::Reference;
use crate::source::docker_archive::MANIFEST_FILE;

const FILE_MODE: u32 = 0o444;

const REPOSITORIES_FILE: &str = "repositories";

const LEGACY_VERSION: &[u8] = b"1.0";

/// What the highest layer has of the image's configuration in the old format.
const LEGACY_FIELDS: [&str; 7] =
    ["architecture", "config", "container", "container_config", "created", "docker_version", "os"];

/// An image in the archive.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) config_digest: Digest,
    pub(super) config: Vec<u8>,
    /// The diff ids.
    pub(super) layers: Vec<Digest>,
    pub(super) tags: Vec<Reference>,
}

/// What is made up of the images.
pub(super) struct Documents {
    /// The layers of each image in the old format.
    legacy: Vec<Vec<LegacyLayer>>,
    manifest: Vec<u8>,
    repositories: Vec<u8>,
}

struct LegacyLayer {
    id: String,
    diff_id: Digest,
    json: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl Documents {
    pub(super) fn of(images: &[Image]) -> serde_json::Result<Self> {
        let legacy = images.iter().map(legacy_layers).collect::<serde_json::Result<Vec<_>>>()?;
        let listed: Vec<_> = images.iter().map(Listed::new).collect();
        let repositories = go_json::to_vec(&repositories(images, &legacy))?;
        Ok(Self { legacy, manifest: go_json::to_vec(&listed)?, repositories })
    }

    pub(super) fn write(
        &self,
        archive: &mut TarWriter<'_>,
        images: &[Image],
        blobs: &BTreeMap<Digest, Spooled>,
    ) -> io::Result<()> {
        let mut written = HashSet::new();
        for (image, legacy) in images.iter().zip(&self.legacy) {
            for diff_id in &image.layers {
                if let Some(layer) = blobs.get(diff_id).filter(|_| written.insert(layer_name(diff_id))) {
                    archive.file(&layer_name(diff_id), FILE_MODE, layer.size(), layer.reader())?;
                }
            }
            archive.bytes(&config_name(&image.config_digest), FILE_MODE, &image.config)?;
            for layer in legacy.iter().filter(|layer| written.insert(layer.id.clone())) {
                layer.write(archive)?;
            }
        }
        archive.bytes(MANIFEST_FILE, FILE_MODE, &self.manifest)?;
        archive.bytes(REPOSITORIES_FILE, FILE_MODE, &self.repositories)
    }
}

impl Listed {
    fn new(image: &Image) -> Self {
        Self {
            config: config_name(&image.config_digest),
            repo_tags: image.tags.iter().map(ToString::to_string).collect(),
            layers: image.layers.iter().map(layer_name).collect(),
        }
    }
}

impl LegacyLayer {
    fn write(&self, archive: &mut TarWriter<'_>) -> io::Result<()> {
        archive.link(&format!("{}/layer.tar", self.id), &format!("../{}", layer_name(&self.diff_id)))?;
        archive.bytes(&format!("{}/VERSION", self.id), FILE_MODE, LEGACY_VERSION)?;
        archive.bytes(&format!("{}/json", self.id), FILE_MODE, &self.json)
    }
}

fn layer_name(diff_id: &Digest) -> String {
    format!("{}.tar", diff_id.encoded())
}

fn config_name(digest: &Digest) -> String {
    format!("{}.json", digest.encoded())
}

/// Name, then tag, then the highest layer in the old format.
fn repositories<'a>(
    images: &'a [Image],
    legacy: &'a [Vec<LegacyLayer>],
) -> BTreeMap<String, BTreeMap<&'a str, &'a str>> {
    let mut repositories: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (image, layers) in images.iter().zip(legacy) {
        let Some(highest) = layers.last() else { continue };
        for reference in &image.tags {
            let tags = repositories.entry(reference.name().to_string()).or_default();
            tags.extend(reference.tag().map(|tag| (tag.as_str(), highest.id.as_str())));
        }
    }
    repositories
}

/// The id of a layer is the digest of what is said of it and of those below it.
fn legacy_layers(image: &Image) -> serde_json::Result<Vec<LegacyLayer>> {
    let mut chain: Option<Digest> = None;
    let mut layers: Vec<LegacyLayer> = Vec::new();
    for (index, diff_id) in image.layers.iter().enumerate() {
        let chain_id = match &chain {
            None => diff_id.clone(),
            Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
        };
        let mut document = BTreeMap::new();
        if let Some(below) = layers.last() {
            document.insert("parent", raw(&below.id)?);
        }
        if index + 1 == image.layers.len() {
            document.extend(legacy_fields(&image.config)?);
        }
        document.insert("layer_id", raw(chain_id.as_str())?);
        let id = Digest::sha256(&go_json::to_vec(&document)?).encoded().to_owned();
        document.remove("layer_id");
        document.insert("id", raw(&id)?);
        layers.push(LegacyLayer { id, diff_id: diff_id.clone(), json: go_json::to_vec(&document)? });
        chain = Some(chain_id);
    }
    Ok(layers)
}

fn legacy_fields(config: &[u8]) -> serde_json::Result<BTreeMap<&'static str, Box<RawValue>>> {
    let config: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(config)?;
    let field = |name| {
        let text = config.get(name).map_or_else(|| "null".to_owned(), |value| go_json::compact(value.get()));
        Ok((name, RawValue::from_string(text)?))
    };
    LEGACY_FIELDS.into_iter().map(field).collect()
}

fn raw(text: &str) -> serde_json::Result<Box<RawValue>> {
    serde_json::value::to_raw_value(text)
}
