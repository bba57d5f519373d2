//! The documents that are written here, field by field in the order in which Go programs write them.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::go_json::{GoTime, is_empty, null_is_empty};

/// On a descriptor of a layout's index: the name of the image.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) urls: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) artifact_type: String,
}

impl Descriptor {
    pub(crate) fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str).filter(|name| !name.is_empty())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) os: String,
    #[serde(rename = "os.version", default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) os_version: String,
    #[serde(rename = "os.features", default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) os_features: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) variant: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) media_type: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) artifact_type: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) media_type: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) artifact_type: String,
    pub(crate) config: Descriptor,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Docker's manifest, version 2 schema 2: the order of its fields is its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerManifest {
    pub(crate) schema_version: u32,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) media_type: String,
    pub(crate) config: DockerDescriptor,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) layers: Vec<DockerDescriptor>,
}

/// Docker's manifest list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerList {
    pub(crate) schema_version: u32,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) media_type: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) manifests: Vec<DockerDescriptor>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerDescriptor {
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) digest: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) urls: Vec<String>,
    /// That of an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<DockerPlatform>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DockerPlatform {
    #[serde(flatten)]
    pub(crate) platform: Platform,
    /// Of the processor.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    pub(crate) features: Vec<String>,
}

/// An image configuration: of a Docker one, only what an OCI one has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<GoTime>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    author: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    architecture: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    variant: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    os: String,
    #[serde(rename = "os.version", default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    os_version: String,
    #[serde(rename = "os.features", default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    os_features: Vec<String>,
    #[serde(rename = "config", default, deserialize_with = "null_is_empty")]
    execution: Execution,
    #[serde(default, deserialize_with = "null_is_empty")]
    rootfs: RootFs,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    history: Vec<History>,
}

/// A set: Go writes its members as keys, each with an empty object.
#[derive(Debug, Clone, Default, PartialEq)]
struct Set(BTreeSet<String>);

#[derive(Serialize)]
struct Empty {}

impl Serialize for Set {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|member| (member, Empty {})))
    }
}

impl<'de> Deserialize<'de> for Set {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(BTreeMap::<String, IgnoredAny>::deserialize(deserializer)?.into_keys().collect()))
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    user: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    exposed_ports: Set,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    env: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    cmd: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    volumes: Set,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    working_dir: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    stop_signal: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    args_escaped: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct RootFs {
    #[serde(rename = "type", default, deserialize_with = "null_is_empty")]
    kind: String,
    // Go writes a list that was never there as null.
    diff_ids: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<GoTime>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    created_by: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    author: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    comment: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_empty")]
    empty_layer: bool,
}
