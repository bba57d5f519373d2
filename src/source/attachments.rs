//! Signatures as cosign attaches them: the layers of an image under a tag beside the signed one
//! ([cosign's specification](https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md)).

use std::io::Read as _;
use std::sync::Arc;

use super::Error;
use super::signatures::{self, FoundSignature, SignaturePlace};
use crate::digest::{Digest, VerifyingReader};
use crate::manifest::{Descriptor, ImageManifest};
use crate::media_type::MediaType;
use crate::reference::{Reference, Tag};
use crate::registry::{self, RegistryClient, Selector};
use crate::signature::{MAX_SIGNATURE_SIZE, SigstoreSignature, UntrustedSignature};

/// The attachments of a manifest, in their order; none where there is no such tag.
pub(super) fn find(client: &Arc<RegistryClient>, digest: &Digest) -> Result<Vec<FoundSignature>, Error> {
    let Some(tag) = tag_of(digest) else { return Ok(Vec::new()) };
    let manifest = match client.manifest(&Selector::Tag(tag.clone())) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        outcome => outcome.map_err(Error::Registry)?,
    };
    let reference = Reference::from(client.name().clone()).with_tag(tag);
    if *manifest.media_type() != MediaType::OCI_MANIFEST {
        return Err(Error::AttachmentType { reference, media_type: manifest.media_type().clone() });
    }
    let manifest = ImageManifest::parse(&manifest)
        .map_err(|source| Error::SignatureManifest { reference: reference.clone(), source })?;
    let mut found = Vec::new();
    for descriptor in manifest.layers() {
        signatures::expect_room(&reference, &found)?;
        let (layer, payload) = read_layer(client, &reference, descriptor)?;
        let signature = UntrustedSignature::Sigstore(SigstoreSignature {
            media_type: MediaType::from(descriptor.media_type()),
            payload,
            annotations: descriptor.annotations().clone().unwrap_or_default().into_iter().collect(),
        });
        let place = SignaturePlace::Attachment { reference: reference.clone(), layer };
        found.push(FoundSignature { signature, place });
    }
    Ok(found)
}

/// `None` for a SHA-512, which is too long for a tag: nobody can attach anything to it.
fn tag_of(digest: &Digest) -> Option<Tag> {
    format!("{}-{}.sig", digest.algorithm(), digest.encoded()).parse().ok()
}

/// A layer of `manifest` that is a signature, verified.
///
/// Its external URLs are not followed: who can write an attachment is not to send us to other places.
pub(super) fn read_layer(
    client: &Arc<RegistryClient>,
    manifest: &Reference,
    descriptor: &Descriptor,
) -> Result<(Digest, Vec<u8>), Error> {
    let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
    let size = descriptor.size();
    if descriptor.urls().as_ref().is_some_and(|urls| !urls.is_empty()) {
        return Err(Error::ForeignSignature { reference: manifest.clone(), digest });
    }
    if size > MAX_SIGNATURE_SIZE {
        return Err(Error::SignatureTooLarge { reference: manifest.clone(), digest, size });
    }
    let stream = client.blob(&digest, size, 0).map_err(Error::Registry)?;
    let mut payload = Vec::new();
    match VerifyingReader::new(stream, digest.clone(), size).read_to_end(&mut payload) {
        Ok(_) => Ok((digest, payload)),
        Err(cause) => Err(match cause.downcast::<registry::Error>() {
            Ok(error) => Error::Registry(error),
            Err(source) => Error::Body { digest, source },
        }),
    }
}
