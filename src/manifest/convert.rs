//! Docker documents made into OCI ones and the other way round, for a place that takes only those.
//!
//! The results have the bytes, and so the digests, that skopeo gives them.

use std::collections::BTreeMap;

use super::document::{self, Config, DockerDescriptor, DockerList, DockerManifest, DockerPlatform, Manifest};
use super::layer_type::{Family, LayerType};
use super::{Descriptor, ImageManifest, Index, ManifestBytes, go_json};
use crate::compression::Compression;
use crate::digest::Digest;
use crate::media_type::MediaType;

/// Why a document cannot be made into another one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not the document that was expected.
    #[error("cannot convert the manifest")]
    Manifest(#[from] super::Error),
    /// It has another media type than the one that can be converted.
    #[error("cannot convert a manifest of type {found:?}, only one of type {expected:?}")]
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
    /// A layer of a type that the other kind of manifest has no name for.
    #[error(
        "cannot convert the manifest: layer {digest} has the media type {media_type:?}, which the other kind lacks"
    )]
    LayerType {
        /// The layer.
        digest: String,
        /// Its type.
        media_type: String,
    },
    /// An artifact that is no image: Docker has only images.
    #[error("cannot convert the manifest to Docker's: its config has the media type {0:?}")]
    NotAnImage(MediaType),
    /// The new document could not be written down.
    #[error("cannot write the new document")]
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
    let config = config_to_oci(config)?;
    let manifest = around_config(manifest, &Digest::sha256(&config), config.len() as u64)?;
    let config_descriptor = ImageManifest::parse(&manifest)?.config().clone();
    Ok(OciImage { manifest, config, config_descriptor })
}

/// Makes an OCI manifest of a Docker schema 2 one, and leaves the image its configuration and so its id. Docker's
/// configurations have more than OCI's, and nothing less.
pub(crate) fn manifest_to_oci(manifest: &ManifestBytes) -> Result<ManifestBytes, Error> {
    expect(manifest, MediaType::DOCKER_MANIFEST)?;
    let image = ImageManifest::parse(manifest)?;
    let config = super::Part::Config.check(image.config())?;
    around_config(manifest, &config, image.config().size())
}

/// The OCI manifest of an image of Docker's whose config is this one.
fn around_config(manifest: &ManifestBytes, config: &Digest, size: u64) -> Result<ManifestBytes, Error> {
    let image = ImageManifest::parse(manifest)?;
    let config_document = document::Descriptor {
        media_type: MediaType::OCI_CONFIG.to_string(),
        digest: config.to_string(),
        size,
        ..document::Descriptor::default()
    };
    let layers = image.layers().iter().map(layer_to_oci).collect::<Result<_, _>>()?;
    let document = Manifest {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST.to_string(),
        config: config_document,
        layers,
        ..Manifest::default()
    };
    let bytes = go_json::to_vec(&document).map_err(Error::Write)?;
    Ok(ManifestBytes::new(bytes, MediaType::OCI_MANIFEST))
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

/// Makes a Docker schema 2 manifest of an OCI one. The config is the same bytes, under another media type; annotations
/// are lost, and so is a subject.
pub fn image_to_docker(manifest: &ManifestBytes) -> Result<ManifestBytes, Error> {
    expect(manifest, MediaType::OCI_MANIFEST)?;
    let document: Manifest = manifest.document(&["config", "layers"])?;
    if document.config.media_type != MediaType::OCI_CONFIG.as_str() {
        return Err(Error::NotAnImage(document.config.media_type.as_str().into()));
    }
    // The view checks the descriptors.
    ImageManifest::parse(manifest)?;
    let config = DockerDescriptor { media_type: MediaType::DOCKER_CONFIG.to_string(), ..to_docker(document.config) };
    let document = DockerManifest {
        schema_version: 2,
        media_type: MediaType::DOCKER_MANIFEST.to_string(),
        config,
        layers: document.layers.into_iter().map(layer_to_docker).collect::<Result<_, _>>()?,
    };
    let bytes = go_json::to_vec(&document).map_err(Error::Write)?;
    Ok(ManifestBytes::new(bytes, MediaType::DOCKER_MANIFEST))
}

/// Makes a Docker manifest list of an OCI index. The instances stay what they are; annotations are lost.
pub fn index_to_list(index: &ManifestBytes) -> Result<ManifestBytes, Error> {
    expect(index, MediaType::OCI_INDEX)?;
    Index::parse(index)?;
    let document: document::Index = index.document(&["manifests"])?;
    let instance = |mut entry: document::Descriptor| {
        let platform = DockerPlatform { platform: entry.platform.take().unwrap_or_default(), features: Vec::new() };
        DockerDescriptor { platform: Some(platform), ..to_docker(entry) }
    };
    let list = DockerList {
        schema_version: 2,
        media_type: MediaType::DOCKER_LIST.to_string(),
        manifests: document.manifests.into_iter().map(instance).collect(),
    };
    let bytes = go_json::to_vec(&list).map_err(Error::Write)?;
    Ok(ManifestBytes::new(bytes, MediaType::DOCKER_LIST))
}

/// The manifest of a Docker schema 2 image whose layers are not compressed: diff ids with their sizes, lowest first.
pub(crate) fn docker_image<'a>(
    config: &[u8],
    layers: impl Iterator<Item = (&'a Digest, u64)>,
) -> serde_json::Result<ManifestBytes> {
    let plain = LayerType { family: Family::Docker, compression: None, is_foreign: false };
    let described = |media_type: &str, digest: &Digest, size| DockerDescriptor {
        media_type: media_type.to_owned(),
        size,
        digest: digest.to_string(),
        ..DockerDescriptor::default()
    };
    let layer = |(diff_id, size)| described(plain.media_type().unwrap_or_default(), diff_id, size);
    let document = DockerManifest {
        schema_version: 2,
        media_type: MediaType::DOCKER_MANIFEST.to_string(),
        config: described(MediaType::DOCKER_CONFIG.as_str(), &Digest::sha256(config), config.len() as u64),
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
    let oci = match LayerType::of(&media_type) {
        Some(kind @ LayerType { family: Family::Docker, .. }) => LayerType { family: Family::Oci, ..kind }.media_type(),
        _ => None,
    };
    let Some(oci) = oci else { return Err(Error::LayerType { digest, media_type }) };
    Ok(document::Descriptor {
        media_type: oci.to_owned(),
        digest,
        size: layer.size(),
        urls: layer.urls().clone().unwrap_or_default(),
        ..document::Descriptor::default()
    })
}

fn layer_to_docker(layer: document::Descriptor) -> Result<DockerDescriptor, Error> {
    let docker = match LayerType::of(&layer.media_type) {
        // Docker's name for zstd is one that Docker does not know.
        Some(LayerType { compression: Some(Compression::Zstd), .. }) | None => None,
        Some(kind) => LayerType { family: Family::Docker, ..kind }.media_type(),
    };
    let Some(docker) = docker else {
        return Err(Error::LayerType { digest: layer.digest, media_type: layer.media_type });
    };
    Ok(DockerDescriptor { media_type: docker.to_owned(), ..to_docker(layer) })
}

/// What Docker has of a descriptor.
fn to_docker(descriptor: document::Descriptor) -> DockerDescriptor {
    let document::Descriptor { media_type, digest, size, urls, .. } = descriptor;
    DockerDescriptor { media_type, digest, size, urls, platform: None }
}
