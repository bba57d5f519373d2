//! What a copy would write, found out by copying to a place that has every blob and keeps nothing.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::Pair;
use crate::copy;
use crate::destination::{self, BlobInput, ImageDestination, NewBlob};
use crate::digest::Digest;
use crate::manifest::{Descriptor, ManifestBytes};
use crate::media_type::MediaType;
use crate::policy::Policy;
use crate::reference::ImageReference;
use crate::signature::UntrustedSignature;
use crate::source::ImageSource;

/// The digest of the manifest that a copy would write; `None` where a layer would have to be made to know it.
pub(super) fn written(
    pair: &Pair,
    source: &dyn ImageSource,
    options: &copy::Options<'_>,
) -> Result<Option<Digest>, copy::Error> {
    // The policy is for what is copied, and signatures are compared by themselves. Nobody hears of a rehearsal.
    let options = copy::Options {
        remove_signatures: true,
        signers: &[],
        blob_info: None,
        progress: &copy::Silent,
        ..options.clone()
    };
    let stage = Stage { place: &pair.to, wants_a_layer: Mutex::new(false) };
    match copy::image(source, &stage, &Policy::insecure_accept_anything(), &options) {
        Ok(manifest) => Ok(Some(manifest.digest().clone())),
        Err(_) if *stage.wants_a_layer.lock().unwrap_or_else(PoisonError::into_inner) => Ok(None),
        Err(error) => Err(error),
    }
}

struct Stage<'a> {
    place: &'a ImageReference,
    wants_a_layer: Mutex<bool>,
}

/// Nobody makes layers for a rehearsal.
#[derive(Debug, thiserror::Error)]
#[error("a layer would have to be made")]
struct NoLayers;

impl ImageDestination for Stage<'_> {
    fn reference(&self) -> &ImageReference {
        self.place
    }

    fn accepts_foreign_layers(&self) -> bool {
        true
    }

    fn accepts(&self, media_type: &MediaType) -> bool {
        media_type.is_image() || media_type.is_index()
    }

    fn has_blob(&self, _descriptor: &Descriptor) -> Result<bool, destination::Error> {
        Ok(true)
    }

    fn put_blob(&self, _descriptor: &Descriptor, _input: &mut dyn BlobInput) -> Result<(), destination::Error> {
        Ok(())
    }

    fn put_new_blob(&self, _reader: &mut dyn Read) -> Result<NewBlob, destination::Error> {
        *self.wants_a_layer.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Err(destination::Error::Other(Box::new(NoLayers)))
    }

    fn put_manifest(&self, _manifest: &ManifestBytes, _instance: Option<&Digest>) -> Result<(), destination::Error> {
        Ok(())
    }

    fn check_signatures(&self, _signatures: &[UntrustedSignature]) -> Result<(), destination::Error> {
        Ok(())
    }

    fn commit(&self) -> Result<(), destination::Error> {
        Ok(())
    }
}
