//! The manifest of an artifact that refers to an image.

use serde::Deserialize;

use super::{Error, ImageManifest, ManifestBytes};
use crate::media_type::MediaType;

/// An [OCI image manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md) that need not be that of an
/// image, with what such a one has more.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    manifest: ImageManifest,
    kind: MediaType,
    subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    artifact_type: Option<String>,
    subject: Option<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: String,
}

impl Artifact {
    pub(crate) fn parse(bytes: &ManifestBytes) -> Result<Self, Error> {
        let manifest = ImageManifest::parse(bytes)?;
        let document: Document = bytes.document(&["config", "layers"])?;
        let stated = document.artifact_type.filter(|text| !text.is_empty());
        let of_config = || MediaType::from(manifest.config().media_type());
        let kind = stated.map_or_else(of_config, |text| MediaType::from(text.as_str()));
        Ok(Self { manifest, kind, subject: document.subject.map(|subject| subject.digest) })
    }

    /// Config, layers and annotations.
    pub(crate) fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// What kind of artifact it is: it says so, or its config's media type does.
    pub(crate) fn artifact_type(&self) -> &MediaType {
        &self.kind
    }

    /// The digest of the manifest that it refers to, unchecked.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}
