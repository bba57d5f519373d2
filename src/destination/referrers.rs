//! Sigstore bundles as artifacts that refer to the image
//! ([OCI distribution specification, pushing manifests with subject](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject)).

use serde_json::{Value, json};

use super::attachments::{descriptor, object, read, tag_of, unusable};
use super::error::failed;
use super::{Error, json_bytes};
use crate::digest::Digest;
use crate::manifest::{Index, ManifestBytes, document};
use crate::media_type::MediaType;
use crate::registry::{RegistryClient, Selector};
use crate::signature::SigstoreSignature;

/// The config of an artifact that needs none.
const EMPTY: &[u8] = b"{}";

/// Adds the bundles to the referrers of `subject`. The same bundle has the same manifest, so it is there only once.
pub(super) fn add(
    client: &RegistryClient,
    digest: &Digest,
    subject: &document::Descriptor,
    bundles: &[&SigstoreSignature],
) -> Result<(), Error> {
    client.put_blob_bytes(&Digest::sha256(EMPTY), EMPTY.to_vec()).map_err(failed)?;
    let mut unlisted = Vec::new();
    for bundle in bundles {
        let manifest = put_payload(client, subject, bundle)?;
        let stored = client.put_manifest(&Selector::Digest(manifest.digest().clone()), &manifest).map_err(failed)?;
        if !stored.lists_referrers {
            unlisted.push(entry(&manifest, bundle));
        }
    }
    if unlisted.is_empty() { Ok(()) } else { list(client, digest, unlisted) }
}

fn put_payload(
    client: &RegistryClient,
    subject: &document::Descriptor,
    bundle: &SigstoreSignature,
) -> Result<ManifestBytes, Error> {
    let digest = Digest::sha256(&bundle.payload);
    client.put_blob_bytes(&digest, bundle.payload.clone()).map_err(failed)?;
    let mut manifest = object([
        ("schemaVersion", json!(2)),
        ("mediaType", json!(MediaType::OCI_MANIFEST.as_str())),
        ("artifactType", json!(bundle.media_type.as_str())),
        ("config", Value::Object(descriptor(&MediaType::OCI_EMPTY, &Digest::sha256(EMPTY), EMPTY))),
        ("layers", json!([descriptor(&bundle.media_type, &digest, &bundle.payload)])),
        ("subject", json!(subject)),
    ]);
    if !bundle.annotations.is_empty() {
        manifest.insert("annotations".to_owned(), json!(bundle.annotations));
    }
    Ok(ManifestBytes::new(json_bytes(client.name(), &manifest)?, MediaType::OCI_MANIFEST))
}

fn entry(manifest: &ManifestBytes, bundle: &SigstoreSignature) -> document::Descriptor {
    document::Descriptor {
        media_type: MediaType::OCI_MANIFEST.to_string(),
        digest: manifest.digest().to_string(),
        size: manifest.size(),
        artifact_type: bundle.media_type.to_string(),
        annotations: bundle.annotations.clone(),
        ..document::Descriptor::default()
    }
}

/// Where the registry does not list referrers itself, an index under the tag `sha256-…` does.
fn list(client: &RegistryClient, digest: &Digest, entries: Vec<document::Descriptor>) -> Result<(), Error> {
    let tag = tag_of(digest, "")?;
    let mut index = match read(client, &tag)? {
        Some(there) => existing(&there).map_err(unusable(client.name(), &tag))?,
        None => document::Index {
            schema_version: 2,
            media_type: MediaType::OCI_INDEX.to_string(),
            ..document::Index::default()
        },
    };
    let before = index.manifests.len();
    for entry in entries {
        if index.manifests.iter().all(|there| there.digest != entry.digest) {
            index.manifests.push(entry);
        }
    }
    if index.manifests.len() == before {
        return Ok(());
    }
    let index = ManifestBytes::new(json_bytes(client.name(), &index)?, MediaType::OCI_INDEX);
    client.put_manifest(&Selector::Tag(tag), &index).map(drop).map_err(failed)
}

fn existing(there: &ManifestBytes) -> Result<document::Index, crate::manifest::Error> {
    Index::parse(there)?;
    let (media_type, digest) = (there.media_type().clone(), there.digest().clone());
    serde_json::from_slice(there.bytes()).map_err(|source| crate::manifest::Error::Json { media_type, digest, source })
}
