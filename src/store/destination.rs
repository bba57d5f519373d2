//! Where a pull writes.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use super::entry::Pulled;
use super::list;
use super::names::Names;
use crate::destination::shared_layout::SharedLayout;
use crate::destination::{BlobInput, Error, ImageDestination};
use crate::digest::Digest;
use crate::manifest::{Descriptor, ImageManifest, MAX_CONFIG_SIZE, ManifestBytes, Platform, PlatformChoice, convert};
use crate::media_type::MediaType;
use crate::reference::ImageReference;

/// What registries have for images whose builder did not know better; containerd takes them too.
const UNKNOWN_CONFIG: &str = "application/octet-stream";

/// A place for one image that is being pulled.
pub(super) struct StoreDestination<'a> {
    pub(super) layout: SharedLayout,
    pub(super) reference: &'a ImageReference,
    pub(super) names: &'a Names,
    pub(super) pinned_images: &'a [String],
    /// What was asked for, where it was.
    pub(super) platform: &'a PlatformChoice,
    pub(super) cancelled: &'a AtomicBool,
    /// The manifest as it is stored, and the id.
    pub(super) image: Mutex<Option<(ManifestBytes, Digest)>>,
}

/// What is called an image, and is something else.
#[derive(Debug, thiserror::Error)]
enum NotAnImage {
    #[error("a store has images, and this is none: its config has the media type {0:?}")]
    MediaType(String),
    #[error("a store has images, and this is none: its config does not say what it runs on")]
    Config(#[source] serde_json::Error),
    #[error("this is an image for {found}, and one for {wanted} was asked for")]
    OtherPlatform { found: Platform, wanted: String },
}

impl From<NotAnImage> for Error {
    fn from(error: NotAnImage) -> Self {
        Self::Other(Box::new(error))
    }
}

impl StoreDestination<'_> {
    pub(super) fn image(&self) -> Option<(ManifestBytes, Digest)> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An image that is no instance of an index may be for anything.
    fn check_platform(&self, found: Platform) -> Result<(), NotAnImage> {
        let PlatformChoice { os, architecture, .. } = self.platform;
        let (os, architecture) = (os.as_deref(), architecture.as_deref());
        let is_other =
            os.is_some_and(|os| os != found.os()) || architecture.is_some_and(|it| it != found.architecture());
        let wanted = format!("{}/{}", os.unwrap_or(found.os()), architecture.unwrap_or(found.architecture()));
        if is_other { Err(NotAnImage::OtherPlatform { found, wanted }) } else { Ok(()) }
    }
}

impl ImageDestination for StoreDestination<'_> {
    fn reference(&self) -> &ImageReference {
        self.reference
    }

    /// A store has all of an image: what it was pulled for is to be used without asking anybody.
    fn accepts_foreign_layers(&self) -> bool {
        false
    }

    /// Docker's manifests are given OCI's form here, and keep their config: it is the id.
    fn accepts(&self, media_type: &MediaType) -> bool {
        [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST].contains(media_type)
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        self.layout.has_blob(&digest, descriptor.size(), self.cancelled)
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        self.layout.put_blob(&digest, descriptor.size(), input)
    }

    fn put_manifest(&self, manifest: &ManifestBytes, _instance: Option<&Digest>) -> Result<(), Error> {
        let config = ImageManifest::parse(manifest)?.config().clone();
        let id = Digest::try_from(config.digest()).map_err(Error::Digest)?;
        let media_type = config.media_type().to_string();
        let of_images = [MediaType::OCI_CONFIG.as_str(), MediaType::DOCKER_CONFIG.as_str(), UNKNOWN_CONFIG];
        if !of_images.contains(&media_type.as_str()) {
            return Err(NotAnImage::MediaType(media_type).into());
        }
        let stored = if *manifest.media_type() == MediaType::DOCKER_MANIFEST {
            convert::manifest_to_oci(manifest).map_err(|error| Error::Other(Box::new(error)))?
        } else {
            manifest.clone()
        };
        self.layout.put_document(stored.digest(), stored.bytes())?;
        *self.image.lock().unwrap_or_else(PoisonError::into_inner) = Some((stored, id));
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let no_manifest = || Error::NoManifest { image: self.reference.clone() };
        let (manifest, id) = self.image().ok_or_else(no_manifest)?;
        // Whoever lists the images reads it.
        let found = list::platform(&self.layout.document(&id, MAX_CONFIG_SIZE)?).map_err(NotAnImage::Config)?;
        self.check_platform(found)?;
        let pulled = Pulled { id: &id, names: self.names, manifest: &manifest, pinned_images: self.pinned_images };
        self.layout.commit(|index| pulled.enter(index))
    }

    fn give_up(&self) {
        self.layout.give_up();
    }
}
