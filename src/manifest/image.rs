//! The manifest of one image.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Descriptor, Error, ManifestBytes, Part};

/// What an image consists of: its config and its layers.
///
/// A view of an [OCI image manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md) or a Docker
/// schema 2 one. Every descriptor in it has a digest that can be checked and a size that can be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Document {
    config: Descriptor,
    // Go programs write an empty list as null.
    layers: Option<Vec<Descriptor>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl ImageManifest {
    /// Reads a manifest whose media type is that of an image.
    pub fn parse(manifest: &ManifestBytes) -> Result<Self, Error> {
        let media_type = manifest.media_type();
        if media_type.is_schema1() {
            return Err(Error::Schema1);
        }
        if !media_type.is_image() {
            return Err(Error::NotAnImage { media_type: media_type.clone(), digest: manifest.digest().clone() });
        }
        let Document { config, layers, annotations } = manifest.document(&["config", "layers"])?;
        let layers = layers.unwrap_or_default();
        Part::Config.check(&config)?;
        for layer in &layers {
            Part::Layer.check(layer)?;
        }
        Ok(Self { config, layers, annotations: annotations.unwrap_or_default() })
    }

    /// The image configuration; its digest is the image id.
    pub fn config(&self) -> &Descriptor {
        &self.config
    }

    /// The layers, lowest first. One with `urls` is foreign: its bytes may be elsewhere.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// The annotations of an OCI manifest; a Docker one has none.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }
}
