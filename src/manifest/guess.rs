//! What some JSON is, when nobody said so.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::media_type::MediaType;

/// The fields that tell the kinds of manifest apart; everything else is skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    schema_version: Option<i64>,
    signatures: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Contents {
    config: Option<ConfigKind>,
    manifests: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigKind {
    media_type: Option<String>,
}

/// The media type of a manifest by its content; `None` when it is no manifest that is known.
///
/// A document that names its own type is that. One that does not is told by its schema version and, as OCI manifests
/// before version 1.0.2 had no media type, by the type of its config and by having instances.
pub(super) fn media_type(bytes: &[u8]) -> Option<MediaType> {
    let kind: Kind = serde_json::from_slice(bytes).ok()?;
    let stated = kind.media_type.as_deref().map(MediaType::from);
    match (stated, kind.schema_version) {
        (Some(stated), _) if stated.is_image() || stated.is_index() => Some(stated),
        (_, Some(1)) if kind.signatures.is_some() => Some(MediaType::DOCKER_SCHEMA1_SIGNED),
        (_, Some(1)) => Some(MediaType::DOCKER_SCHEMA1),
        (_, Some(2)) => by_contents(&serde_json::from_slice(bytes).ok()?),
        _ => None,
    }
}

fn by_contents(contents: &Contents) -> Option<MediaType> {
    let config = contents.config.as_ref().and_then(|config| config.media_type.as_deref()).map(MediaType::from);
    let has_instances = contents.manifests.as_ref().is_some_and(|manifests| !manifests.is_empty());
    match config {
        Some(config) if config == MediaType::OCI_CONFIG => Some(MediaType::OCI_MANIFEST),
        Some(config) if config == MediaType::DOCKER_CONFIG => Some(MediaType::DOCKER_MANIFEST),
        // Two kinds at once, and neither is known.
        Some(_) if has_instances => None,
        None if has_instances => Some(MediaType::OCI_INDEX),
        // Most likely an artifact, whose config may have any type.
        _ => Some(MediaType::OCI_MANIFEST),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Telling {
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
    history: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

/// The fields that are there, tell the kinds of manifest apart, and are not among `allowed`.
pub(super) fn fields_beyond(allowed: &[&str], bytes: &[u8]) -> Result<Vec<&'static str>, serde_json::Error> {
    let telling: Telling = serde_json::from_slice(bytes)?;
    let fields = [
        ("config", telling.config),
        ("fsLayers", telling.fs_layers),
        ("history", telling.history),
        ("layers", telling.layers),
        ("manifests", telling.manifests),
    ];
    let present = fields.into_iter().filter(|(_, field)| field.is_some()).map(|(name, _)| name);
    Ok(present.filter(|name| !allowed.contains(name)).collect())
}
