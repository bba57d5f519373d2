//! Docker documents made into OCI ones, for a place that takes only those, and the one Docker document that is made.
//!
//! The results have the bytes, and so the digests, that skopeo gives them.

use std::collections::BTreeMap;

use super::document::{self, Config, DockerDescriptor, DockerManifest, Manifest};
use super::{Descriptor, ImageManifest, Index, ManifestBytes, go_json};
use crate::digest::Digest;
use crate::media_type::MediaType;

/// Docker's layers without compression.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Docker's layer types and what OCI calls them.
const LAYER_TYPES: [(&str, &str); 5] = [
    (DOCKER_LAYER, "application/vnd.oci.image.layer.v1.tar"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.docker.image.rootfs.diff.tar.zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ),
];

/// Why a document cannot be made into an OCI one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not the Docker document that was expected.
    #[error("cannot convert the manifest to OCI")]
    Manifest(#[from] super::Error),
    /// It has another media type than the Docker one.
    #[error("cannot convert a manifest of type {found:?} to OCI, only one of type {expected:?}")]
    MediaType {
        /// The one that can be converted.
        expected: MediaType,
        /// The one it has.
        found: MediaType,
    },
    /// The image configuration is not one. The source says where (line and column).
    #[error("cannot convert the image configuration {digest} to OCI")]
    Config {
        /// Which one.
        digest: Digest,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A layer of a type that OCI has no name for.
    #[error("cannot convert the manifest to OCI: layer {digest} has the media type {media_type:?}, which OCI lacks")]
    LayerType {
        /// The layer.
        digest: String,
        /// Its type.
        media_type: String,
    },
    /// The new document could not be written down.
    #[error("cannot write the OCI document")]
    Write(#[source] serde_json::Error),
}

/// An image as OCI has it: the layers are the same bytes, manifest and config are new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciImage {
    /// The manifest.
    pub manifest: ManifestBytes,
    /// The config's bytes; the manifest has their digest.
    pub config: Vec<u8>,
    /// The config's descriptor, as in the manifest.
    pub config_descriptor: Descriptor,
}

/// Makes an OCI image of a Docker schema 2 one. `config` is the bytes of its configuration, already checked against the
/// manifest.
pub fn image_to_oci(manifest: &ManifestBytes, config: &[u8]) -> Result<OciImage, Error> {
    expect(manifest, MediaType::DOCKER_MANIFEST)?;
    let image = ImageManifest::parse(manifest)?;
    let config = config_to_oci(config)?;
    let config_digest = Digest::sha256(&config);
    let config_document = document::Descriptor {
        media_type: MediaType::OCI_CONFIG.to_string(),
        digest: config_digest.to_string(),
        size: config.len() as u64,
        ..document::Descriptor::default()
    };
    let layers = image.layers().iter().map(layer_to_oci).collect::<Result<_, _>>()?;
    let document = Manifest {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST.to_string(),
        config: config_document,
        layers,
    };
    let bytes = go_json::to_vec(&document).map_err(Error::Write)?;
    let manifest = ManifestBytes::new(bytes, MediaType::OCI_MANIFEST);
    let config_descriptor = ImageManifest::parse(&manifest)?.config().clone();
    Ok(OciImage { manifest, config, config_descriptor })
}

/// Makes an OCI index of a Docker manifest list. Instances that were converted themselves are in `converted`, under
/// their old digests; the others stay as they are.
pub fn list_to_oci(list: &ManifestBytes, converted: &BTreeMap<Digest, ManifestBytes>) -> Result<ManifestBytes, Error> {
    expect(list, MediaType::DOCKER_LIST)?;
    // The view checks the descriptors; the document has what the view leaves out.
    let view = Index::parse(list)?;
    let document: document::Index = list.document(&["manifests"])?;
    let instances = document.manifests.into_iter().zip(view.instances());
    let manifests = instances.map(|(entry, instance)| instance_to_oci(entry, converted.get(instance.digest())));
    let index = document::Index {
        schema_version: 2,
        media_type: MediaType::OCI_INDEX.to_string(),
        manifests: manifests.collect(),
        ..document::Index::default()
    };
    let bytes = go_json::to_vec(&index).map_err(Error::Write)?;
    Ok(ManifestBytes::new(bytes, MediaType::OCI_INDEX))
}

/// The manifest of a Docker schema 2 image whose layers are not compressed: diff ids with their sizes, lowest first.
pub(crate) fn docker_image<'a>(
    config: &[u8],
    layers: impl Iterator<Item = (&'a Digest, u64)>,
) -> serde_json::Result<ManifestBytes> {
    let config = DockerDescriptor {
        media_type: MediaType::DOCKER_CONFIG.as_str(),
        size: config.len() as u64,
        digest: Digest::sha256(config).to_string(),
    };
    let layer = |(diff_id, size): (&Digest, u64)| DockerDescriptor {
        media_type: DOCKER_LAYER,
        size,
        digest: diff_id.to_string(),
    };
    let document = DockerManifest {
        schema_version: 2,
        media_type: MediaType::DOCKER_MANIFEST.as_str(),
        config,
        layers: layers.map(layer).collect(),
    };
    Ok(ManifestBytes::new(go_json::to_vec(&document)?, MediaType::DOCKER_MANIFEST))
}

fn expect(manifest: &ManifestBytes, expected: MediaType) -> Result<(), Error> {
    let found = manifest.media_type();
    if found.is_schema1() {
        return Err(super::Error::Schema1.into());
    }
    if *found == expected { Ok(()) } else { Err(Error::MediaType { expected, found: found.clone() }) }
}

/// A manifest list has a platform in each entry, and neither annotations nor what OCI added later.
fn instance_to_oci(entry: document::Descriptor, new: Option<&ManifestBytes>) -> document::Descriptor {
    let (media_type, digest, size) = match new {
        Some(new) => (new.media_type().to_string(), new.digest().to_string(), new.size()),
        None => (entry.media_type, entry.digest, entry.size),
    };
    let platform = Some(entry.platform.unwrap_or_default());
    document::Descriptor { media_type, digest, size, urls: entry.urls, platform, ..document::Descriptor::default() }
}

/// Makes an OCI image configuration of a Docker one, or of an OCI one with more in it than the
/// [specification](https://github.com/opencontainers/image-spec/blob/main/config.md) knows.
pub fn config_to_oci(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let config: Config =
        serde_json::from_slice(bytes).map_err(|source| Error::Config { digest: Digest::sha256(bytes), source })?;
    go_json::to_vec(&config).map_err(Error::Write)
}

fn layer_to_oci(layer: &Descriptor) -> Result<document::Descriptor, Error> {
    let (media_type, digest) = (layer.media_type().to_string(), layer.digest().to_string());
    let Some((_, oci)) = LAYER_TYPES.iter().find(|(docker, _)| *docker == media_type) else {
        return Err(Error::LayerType { digest, media_type });
    };
    Ok(document::Descriptor {
        media_type: (*oci).to_owned(),
        digest,
        size: layer.size(),
        urls: layer.urls().clone().unwrap_or_default(),
        ..document::Descriptor::default()
    })
}
