//! What a registry keeps of an image, read from its disk: no program that is tested has a say in it.

use serde_json::Value;

use crate::made::uncompressed;
use crate::support::docker_registry::DockerRegistry;
use transship::Digest;

/// An image, or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub digest: String,
    pub media_type: String,
    /// The image itself, or those of the index in order.
    pub images: Vec<KeptImage>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptImage {
    pub config_digest: String,
    config: Value,
    /// The digests of the layers without compression.
    pub layers: Vec<String>,
}

impl Kept {
    pub fn read(registry: &DockerRegistry, repository: &str, tag: &str) -> Self {
        let digest = registry.tagged(repository, tag);
        let manifest = document(registry, &digest);
        let images = match manifest["manifests"].as_array() {
            None => vec![KeptImage::read(registry, &manifest)],
            Some(instances) => {
                let manifests = instances.iter().map(|instance| document(registry, text(&instance["digest"])));
                manifests.map(|manifest| KeptImage::read(registry, &manifest)).collect()
            }
        };
        Self { digest, media_type: text(&manifest["mediaType"]).to_owned(), images }
    }
}

impl KeptImage {
    fn read(registry: &DockerRegistry, manifest: &Value) -> Self {
        let config_digest = text(&manifest["config"]["digest"]).to_owned();
        let layer = |layer: &Value| Digest::sha256(&uncompressed(&registry.kept(text(&layer["digest"])))).to_string();
        Self {
            config: document(registry, &config_digest),
            config_digest,
            layers: manifest["layers"].as_array().unwrap().iter().map(layer).collect(),
        }
    }

    /// The digests that the config says the layers have without compression.
    pub fn diff_ids(&self) -> Vec<&str> {
        self.config["rootfs"]["diff_ids"].as_array().unwrap().iter().map(text).collect()
    }

    /// What both OCI and Docker have words for.
    pub fn meaning(&self) -> [&Value; 6] {
        ["architecture", "os", "created", "config", "history", "rootfs"].map(|key| &self.config[key])
    }
}

fn document(registry: &DockerRegistry, digest: &str) -> Value {
    serde_json::from_slice(&registry.kept(digest)).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
