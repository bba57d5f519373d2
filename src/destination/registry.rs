//! `docker://name[:tag|@digest]`: an image pushed to a registry.
//!
//! Only the registry itself is written to, never a mirror of it. Blobs and the manifests of instances are there as soon
//! as they were pushed, where nobody sees them; the commit puts the top-level manifest under its tag.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::failed;
use super::registry_signatures::{SignaturePlaces, Subject};
use super::{BlobInput, Error, ImageDestination, NewBlob};
use crate::config::{Config, RegistriesD};
use crate::digest::{Digest, MeasuringReader};
use crate::manifest::{Descriptor, ManifestBytes, document};
use crate::media_type::MediaType;
use crate::reference::{DockerReference, ImageReference, Name, Reference};
use crate::registry::{BegunUpload, BlobUpload, Mount, RegistryClient, Selector, UPLOAD_CHUNK_SIZE};
use crate::signature::UntrustedSignature;
use crate::source::{self, Options};

/// A repository that takes an image under a tag or a digest.
pub struct RegistryDestination {
    reference: ImageReference,
    physical: Reference,
    client: Arc<RegistryClient>,
    registries_d: RegistriesD,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The blobs that were pushed, or that the registry says it has.
    blobs: HashSet<Digest>,
    /// The uploads that the registry has begun instead of mounting a blob.
    begun: HashMap<Digest, BegunUpload>,
    /// Repositories that nothing can be mounted from.
    refused: HashSet<Name>,
    /// What signatures can be about.
    manifests: HashMap<Digest, document::Descriptor>,
    top: Option<ManifestBytes>,
}

impl RegistryDestination {
    /// Prepares to push; nothing is sent yet. The options mean what they mean for a source.
    pub fn open(config: &Config, reference: DockerReference, options: &Options) -> Result<Self, Error> {
        let (client, physical) =
            source::push_client(config, reference.reference(), options).map_err(Error::Registry)?;
        log::debug!("{reference} is pushed to {physical}");
        Ok(Self {
            reference: ImageReference::Docker(reference),
            physical,
            client,
            registries_d: config.registries_d.clone(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_mount_from(&self, from: &Name) -> bool {
        let to = self.physical.name();
        from != to && from.domain() == to.domain() && !self.state().refused.contains(from)
    }

    /// One upload of a blob is enough: the registry is told to forget the one before.
    fn keep_begun(&self, digest: &Digest, upload: Option<BegunUpload>) {
        let old = match upload {
            Some(upload) => self.state().begun.insert(digest.clone(), upload),
            None => self.state().begun.remove(digest),
        };
        if let Some(old) = old {
            self.client.go_on(old).cancel();
        }
    }

    /// What the manifest is put under: the tag, or a digest that it must have.
    fn selector(&self, manifest: &ManifestBytes) -> Result<Selector, Error> {
        if let Some(tag) = self.physical.tag() {
            return Ok(Selector::Tag(tag.clone()));
        }
        let Some(digest) = self.physical.digest() else { return Ok(Selector::Digest(manifest.digest().clone())) };
        let found = Digest::of(digest.algorithm(), manifest.bytes());
        if found != *digest {
            return Err(Error::OtherDigest { image: self.reference.clone(), found });
        }
        Ok(Selector::Digest(found))
    }

    fn put(&self, selector: &Selector, manifest: &ManifestBytes) -> Result<(), Error> {
        match self.client.put_manifest(selector, manifest) {
            Ok(_) => Ok(()),
            Err(error) if error.is_manifest_refused() => {
                Err(Error::ManifestRefused { media_type: manifest.media_type().clone(), source: error })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Where nobody looks yet: the tag is written with the commit.
    fn put_top_by_digest(&self) -> Result<(), Error> {
        let top = self.state().top.clone().ok_or_else(|| Error::NoManifest { image: self.reference.clone() })?;
        self.put(&Selector::Digest(top.digest().clone()), &top)
    }

    fn signature_places(&self) -> SignaturePlaces<'_> {
        let (reference, physical) = (&self.reference, &self.physical);
        SignaturePlaces { reference, physical, client: &self.client, registries_d: &self.registries_d }
    }

    fn remember(&self, digest: &Digest, manifest: &ManifestBytes) {
        let descriptor = document::Descriptor {
            media_type: manifest.media_type().to_string(),
            digest: digest.to_string(),
            size: manifest.size(),
            ..document::Descriptor::default()
        };
        self.state().manifests.insert(digest.clone(), descriptor);
    }

    /// The manifest that signatures are about.
    fn subject(&self, instance: Option<&Digest>) -> Result<(Digest, document::Descriptor), Error> {
        let state = self.state();
        let digest = instance.cloned().or_else(|| state.top.as_ref().map(|top| top.digest().clone()));
        let subject = digest.and_then(|digest| Some((digest.clone(), state.manifests.get(&digest)?.clone())));
        subject.ok_or_else(|| Error::NoManifest { image: self.reference.clone() })
    }
}

impl ImageDestination for RegistryDestination {
    fn reference(&self) -> &ImageReference {
        &self.reference
    }

    fn accepts_foreign_layers(&self) -> bool {
        true
    }

    fn accepts(&self, media_type: &MediaType) -> bool {
        media_type.is_image() || media_type.is_index()
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        if self.state().blobs.contains(&digest) {
            return Ok(true);
        }
        let is_there = self.client.has_blob(&digest).map_err(failed)?;
        if is_there {
            self.state().blobs.insert(digest);
        }
        Ok(is_there)
    }

    fn repository(&self) -> Option<&Name> {
        Some(self.physical.name())
    }

    fn reuse_blob(&self, descriptor: &Descriptor, candidates: &[Name]) -> Result<Option<Name>, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        for from in candidates.iter().filter(|from| self.may_mount_from(from)) {
            match self.client.mount(&digest, from) {
                Ok(Mount::Mounted) => {
                    self.keep_begun(&digest, None);
                    self.state().blobs.insert(digest);
                    return Ok(Some(from.clone()));
                }
                Ok(Mount::Begun(upload)) => self.keep_begun(&digest, Some(upload)),
                Err(error) => {
                    log::debug!("{}", crate::error::one_line(&error));
                    self.state().refused.insert(from.clone());
                }
            }
        }
        Ok(None)
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let begun = self.state().begun.remove(&digest);
        let upload = match begun {
            Some(begun) => Ok(self.client.go_on(begun)),
            None => self.client.upload(&digest, descriptor.size()),
        };
        let mut upload = upload.map_err(failed)?;
        push(&mut upload, &digest, descriptor.size(), input).inspect_err(|_| upload.cancel())?;
        self.state().blobs.insert(digest);
        Ok(())
    }

    /// One that fits into memory is looked for before it is sent.
    fn put_new_blob(&self, reader: &mut dyn Read) -> Result<NewBlob, Error> {
        let mut measured = MeasuringReader::new(reader);
        let first = read_some(&mut measured, UPLOAD_CHUNK_SIZE).map_err(Error::ReadNew)?;
        let blob = if first.len() < UPLOAD_CHUNK_SIZE {
            let (digest, size) = measured.finish();
            self.client.put_blob_bytes(&digest, first).map_err(failed)?;
            NewBlob { digest, size }
        } else {
            let mut upload = self.client.upload_new().map_err(failed)?;
            push_new(&mut upload, first, measured).inspect_err(|_| upload.cancel())?
        };
        self.state().blobs.insert(blob.digest.clone());
        Ok(blob)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        self.client.blob_size(digest).map_err(failed)
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
        super::check_instance(manifest, instance)?;
        if !self.accepts(manifest.media_type()) {
            let (image, media_type) = (self.reference.clone(), manifest.media_type().clone());
            return Err(Error::NotPushed { image, media_type });
        }
        if let Some(digest) = instance {
            self.put(&Selector::Digest(digest.clone()), manifest)?;
        } else {
            // What cannot be committed is better known now.
            self.selector(manifest)?;
            self.state().top = Some(manifest.clone());
        }
        self.remember(instance.unwrap_or(manifest.digest()), manifest);
        Ok(())
    }

    fn check_signatures(&self, signatures: &[UntrustedSignature]) -> Result<(), Error> {
        self.signature_places().check(signatures)
    }

    fn put_signatures(&self, signatures: &[UntrustedSignature], instance: Option<&Digest>) -> Result<(), Error> {
        let (digest, descriptor) = self.subject(instance)?;
        let put = || match instance {
            None => self.put_top_by_digest(),
            Some(_) => Ok(()),
        };
        self.signature_places().put(signatures, &Subject { digest, descriptor, put: &put })
    }

    fn commit(&self) -> Result<(), Error> {
        let top = self.state().top.clone().ok_or_else(|| Error::NoManifest { image: self.reference.clone() })?;
        self.put(&self.selector(&top)?, &top)
    }
}

impl fmt::Debug for RegistryDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reference, physical) = (&self.reference, &self.physical);
        f.debug_struct("RegistryDestination")
            .field("reference", reference)
            .field("physical", physical)
            .finish_non_exhaustive()
    }
}

/// Sends what `reader` gives. The upload is not finished before the reader has said that it was all.
fn push(upload: &mut BlobUpload<'_>, digest: &Digest, size: u64, reader: &mut dyn Read) -> Result<(), Error> {
    let unreadable = |source| Error::Read { digest: digest.clone(), source };
    let mut left = size;
    loop {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(upload.chunk_size());
        let chunk = read_chunk(reader, length).map_err(unreadable)?;
        left = left.saturating_sub(chunk.len() as u64);
        if left == 0 {
            expect_end(reader).map_err(unreadable)?;
            return upload.finish(chunk).map_err(failed);
        }
        upload.append(chunk).map_err(failed)?;
    }
}

/// The same for a blob that is made on the way, of which the `first` bytes were read.
fn push_new(
    upload: &mut BlobUpload<'_>,
    first: Vec<u8>,
    mut measured: MeasuringReader<&mut dyn Read>,
) -> Result<NewBlob, Error> {
    let mut chunk = first;
    while !chunk.is_empty() {
        let missing = upload.chunk_size().saturating_sub(chunk.len());
        chunk.append(&mut read_some(&mut measured, missing).map_err(Error::ReadNew)?);
        upload.append(chunk).map_err(failed)?;
        chunk = read_some(&mut measured, upload.chunk_size()).map_err(Error::ReadNew)?;
    }
    let (digest, size) = measured.finish();
    upload.finish_new(&digest).map_err(failed)?;
    Ok(NewBlob { digest, size })
}

fn read_chunk(reader: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
    let chunk = read_some(reader, length)?;
    if chunk.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(chunk) }
}

/// Less than `length` bytes only at the end.
fn read_some(reader: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(length);
    reader.take(length as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

fn expect_end(reader: &mut dyn Read) -> io::Result<()> {
    if reader.take(1).read_to_end(&mut Vec::new())? == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes came than the descriptor states"))
}
