//! Sigstore signatures as attachments: the layers of an image under the tag `sha256-….sig`, as
//! [cosign](https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md) keeps them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::failed;
use super::{Error, json_bytes};
use crate::digest::{Digest, VerifyingReader};
use crate::manifest::{self, Descriptor, ImageManifest, ManifestBytes};
use crate::media_type::MediaType;
use crate::reference::{Name, Tag};
use crate::registry::{RegistryClient, Selector};
use crate::signature::SigstoreSignature;

/// Adds the signatures to those of the manifest `subject`. One that is there already is not added again.
pub(super) fn add(
    client: &Arc<RegistryClient>,
    subject: &Digest,
    signatures: &[&SigstoreSignature],
) -> Result<(), Error> {
    let tag = tag_of(subject, ".sig")?;
    let mut image = match read(client, &tag)? {
        Some(there) => Attachment::existing(client, &tag, &there)?,
        None => Attachment::new(),
    };
    let before = image.layers.len();
    for signature in signatures {
        image.add(client, signature)?;
    }
    if image.layers.len() == before {
        return Ok(());
    }
    let manifest = image.into_manifest(client)?;
    client.put_manifest(&Selector::Tag(tag), &manifest).map(drop).map_err(failed)
}

/// `sha256-…`, which is a tag whatever the digest, with what follows it.
pub(super) fn tag_of(subject: &Digest, suffix: &str) -> Result<Tag, Error> {
    let text = format!("{}-{}{suffix}", subject.algorithm(), subject.encoded());
    text.parse().map_err(Error::Tag)
}

/// What is under a tag, if anything is.
pub(super) fn read(client: &RegistryClient, tag: &Tag) -> Result<Option<ManifestBytes>, Error> {
    match client.manifest(&Selector::Tag(tag.clone())) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// What is under a tag and is not what must be there.
pub(super) fn unusable(name: &Name, tag: &Tag) -> impl Fn(manifest::Error) -> Error {
    let image = format!("{name}:{tag}");
    move |source| Error::ExistingSignatures { image: image.clone(), source }
}

/// The image whose layers are signatures. Whatever else its documents say is kept.
struct Attachment {
    document: Map<String, Value>,
    config: Map<String, Value>,
    layers: Vec<Value>,
    known: Vec<Descriptor>,
    diff_ids: Vec<Value>,
}

impl Attachment {
    fn new() -> Self {
        let document = object([("schemaVersion", json!(2)), ("mediaType", json!(MediaType::OCI_MANIFEST.as_str()))]);
        let config = object([("architecture", json!("")), ("os", json!("")), ("config", json!({}))]);
        Self { document, config, layers: Vec::new(), known: Vec::new(), diff_ids: Vec::new() }
    }

    fn existing(client: &Arc<RegistryClient>, tag: &Tag, there: &ManifestBytes) -> Result<Self, Error> {
        let unusable = unusable(client.name(), tag);
        let (media_type, digest) = (there.media_type().clone(), there.digest().clone());
        if media_type != MediaType::OCI_MANIFEST {
            return Err(unusable(manifest::Error::NotAnImage { media_type, digest }));
        }
        let image = ImageManifest::parse(there).map_err(&unusable)?;
        let not_json = |source| unusable(manifest::Error::Json { media_type: media_type.clone(), digest, source });
        let document: Map<String, Value> = serde_json::from_slice(there.bytes()).map_err(not_json)?;
        let config_digest = Digest::try_from(image.config().digest()).map_err(Error::Digest)?;
        let bytes = read_blob(client, &config_digest, image.config().size())?;
        let not_json = |source| {
            unusable(manifest::Error::Json { media_type: MediaType::OCI_CONFIG, digest: config_digest, source })
        };
        let config: Map<String, Value> = serde_json::from_slice(&bytes).map_err(not_json)?;
        let layers = list(document.get("layers"));
        let diff_ids = list(config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")));
        Ok(Self { document, config, layers, known: image.layers().to_vec(), diff_ids })
    }

    fn add(&mut self, client: &RegistryClient, signature: &SigstoreSignature) -> Result<(), Error> {
        let digest = Digest::sha256(&signature.payload);
        if self.known.iter().any(|layer| is_same(layer, &digest, signature)) {
            return Ok(());
        }
        client.put_blob_bytes(&digest, signature.payload.clone()).map_err(failed)?;
        let mut layer = descriptor(&signature.media_type, &digest, &signature.payload);
        if !signature.annotations.is_empty() {
            layer.insert("annotations".to_owned(), json!(signature.annotations));
        }
        // The next signature of this call may be the same once more.
        self.known.extend(serde_json::from_value::<Descriptor>(Value::Object(layer.clone())));
        self.layers.push(Value::Object(layer));
        self.diff_ids.push(json!(digest.as_str()));
        Ok(())
    }

    fn into_manifest(mut self, client: &RegistryClient) -> Result<ManifestBytes, Error> {
        let rootfs = json!({"type": "layers", "diff_ids": self.diff_ids});
        self.config.insert("rootfs".to_owned(), rootfs);
        let config = json_bytes(client.name(), &self.config)?;
        let digest = Digest::sha256(&config);
        let descriptor = descriptor(&MediaType::OCI_CONFIG, &digest, &config);
        client.put_blob_bytes(&digest, config).map_err(failed)?;
        self.document.insert("config".to_owned(), Value::Object(descriptor));
        self.document.insert("layers".to_owned(), Value::Array(self.layers));
        Ok(ManifestBytes::new(json_bytes(client.name(), &self.document)?, MediaType::OCI_MANIFEST))
    }
}

/// True when the layer is this signature, with the same annotations.
fn is_same(layer: &Descriptor, digest: &Digest, signature: &SigstoreSignature) -> bool {
    let annotations: BTreeMap<_, _> = layer.annotations().iter().flatten().collect();
    layer.digest().as_ref() == digest.as_str()
        && MediaType::from(layer.media_type()) == signature.media_type
        && annotations == signature.annotations.iter().collect()
}

/// A descriptor of bytes.
pub(super) fn descriptor(media_type: &MediaType, digest: &Digest, bytes: &[u8]) -> Map<String, Value> {
    let (media_type, digest) = (json!(media_type.as_str()), json!(digest.as_str()));
    object([("mediaType", media_type), ("size", json!(bytes.len())), ("digest", digest)])
}

/// A JSON object.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A small blob, verified. Its size was checked with the manifest.
fn read_blob(client: &Arc<RegistryClient>, digest: &Digest, size: u64) -> Result<Vec<u8>, Error> {
    let stream = client.blob(digest, size, 0).map_err(failed)?;
    let mut bytes = Vec::new();
    match VerifyingReader::new(stream, digest.clone(), size).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(source) => Err(Error::Read { digest: digest.clone(), source }),
    }
}
