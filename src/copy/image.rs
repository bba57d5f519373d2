//! One image: its blobs, and the manifest to write.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::blob::{self, Item, Job};
use super::error::{Change, Unchangeable};
use super::layer::NewForm;
use super::plan::{self, Kinds};
use super::signatures::Carried;
use super::{BlobKind, Error, LayerCompression, ManifestFormat, Run};
use crate::digest::Digest;
use crate::manifest::edit::{NewLayer, with_layers};
use crate::manifest::layer_type::LayerType;
use crate::manifest::{self, Descriptor, ImageManifest, ManifestBytes, convert, diff_ids};
use crate::media_type::MediaType;
use crate::policy::AllowedImage;
use crate::source::ImageSource;

/// For an instance that goes along with its index.
pub(super) struct InIndex {
    /// Why the index must stay as it is, and its instances with it.
    pub(super) unchangeable: Option<Unchangeable>,
}

/// Copies an allowed image: blobs, manifest and signatures. Returns the manifest as it was written, which is another one
/// where its kind or its layers changed.
pub(super) fn copy(
    allowed: &AllowedImage<'_>,
    run: &Run<'_>,
    in_index: Option<InIndex>,
) -> Result<ManifestBytes, Error> {
    let manifest = allowed.manifest();
    let image = ImageManifest::parse(manifest)?;
    let carried = Carried::read(allowed, run.destination, run.options)?;
    let is_instance = in_index.is_some();
    let own_reason = plan::unchangeable(run.options, run.destination.reference(), carried.is_some());
    let unchangeable = own_reason.or(in_index.and_then(|index| index.unchangeable));
    let copy = ImageCopy::new(allowed.source(), manifest, &image, run, unchangeable);
    let changes = copy.wanted_changes()?;
    let kinds = copy.kinds(changes.is_some())?;
    copy.check_conversion(&kinds)?;
    let layers = copy.blobs(changes.as_deref(), &kinds)?;
    let edited = with_layers(manifest, &layers).map_err(cannot_convert(manifest))?;
    run.publish(&kinds, &carried, is_instance, |kind| copy.written(&edited, kind))
}

/// Whether an instance of an index that must not change is copied as it is. To be asked before anything is written.
pub(super) fn check_unchanged(
    source: &dyn ImageSource,
    instance: &Digest,
    run: &Run<'_>,
    reason: Unchangeable,
) -> Result<(), Error> {
    let manifest = source.manifest(Some(instance))?;
    let image = ImageManifest::parse(&manifest)?;
    let copy = ImageCopy::new(source, &manifest, &image, run, Some(reason));
    copy.check_layers()?;
    copy.kinds(copy.may_change()).map(drop)
}

struct ImageCopy<'a> {
    source: &'a dyn ImageSource,
    manifest: &'a ManifestBytes,
    image: &'a ImageManifest,
    run: &'a Run<'a>,
    unchangeable: Option<Unchangeable>,
    /// The bytes of the config, once somebody wanted them.
    config: OnceCell<Vec<u8>>,
}

impl<'a> ImageCopy<'a> {
    fn new(
        source: &'a dyn ImageSource,
        manifest: &'a ManifestBytes,
        image: &'a ImageManifest,
        run: &'a Run<'a>,
        unchangeable: Option<Unchangeable>,
    ) -> Self {
        Self { source, manifest, image, run, unchangeable, config: OnceCell::new() }
    }

    fn config(&self) -> Result<&[u8], Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = blob::read_config(self.source, self.image.config())?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The diff ids, if layers of this image may have to change; the config is read for that.
    fn wanted_changes(&self) -> Result<Option<Vec<Digest>>, Error> {
        if !self.may_change() {
            return Ok(None);
        }
        self.check_layers()?;
        let diff_ids = diff_ids(self.config()?, self.image.layers().len())
            .map_err(|source| Error::DiffIds { manifest: self.manifest.digest().clone(), source })?;
        Ok(Some(diff_ids))
    }

    fn may_change(&self) -> bool {
        self.image.layers().iter().any(|layer| self.may_layer_change(layer))
    }

    /// Only tar files do, and only those of images: nobody knows what the layers of an artifact are. What stays elsewhere
    /// stays.
    fn may_layer_change(&self, layer: &Descriptor) -> bool {
        let is_image = *self.manifest.media_type() == MediaType::DOCKER_MANIFEST
            || self.image.config().media_type().as_ref() == MediaType::OCI_CONFIG.as_str();
        self.run.layers != LayerCompression::Kept
            && is_image
            && LayerType::of(layer.media_type().as_ref()).is_some()
            && !blob::stays_elsewhere(layer, self.run.destination)
    }

    /// What becomes of each layer, if it is what its media type says. Nothing is made yet, so the bytes are the old ones.
    fn planned(&self) -> Vec<Option<NewLayer>> {
        let planned = |layer: &Descriptor| {
            let stated = LayerType::of(layer.media_type().as_ref())?.compression;
            let stays = !self.may_layer_change(layer) || self.run.layers.is_met_by(stated);
            let digest = Digest::try_from(layer.digest()).ok().filter(|_| !stays)?;
            Some(NewLayer { digest, size: layer.size(), compression: self.run.layers.made() })
        };
        self.image.layers().iter().map(planned).collect()
    }

    fn check_layers(&self) -> Result<(), Error> {
        match self.unchangeable {
            Some(reason) if self.planned().iter().any(Option::is_some) => {
                let manifest = self.manifest.digest().clone();
                Err(Error::CannotChange { manifest, change: Change::Recompressed, reason })
            }
            _ => Ok(()),
        }
    }

    fn kinds(&self, may_change: bool) -> Result<Vec<MediaType>, Error> {
        let own = self.manifest.media_type();
        let choice = Kinds {
            own,
            accepts: &|kind| self.run.destination.accepts(kind),
            forced: self.run.options.format.map(ManifestFormat::image),
            needs_oci: may_change && self.run.layers.makes_zstd(),
            unchangeable: self.unchangeable,
        };
        plan::kinds(self.manifest.digest(), &choice)
    }

    /// What cannot be converted is better known before the layers are copied.
    fn check_conversion(&self, kinds: &[MediaType]) -> Result<(), Error> {
        let own = self.manifest.media_type();
        let Some(kind) = kinds.first().filter(|kind| *kind != own) else { return Ok(()) };
        let planned = with_layers(self.manifest, &self.planned()).map_err(cannot_convert(self.manifest))?;
        let converted = if keeps_config(own, kind) {
            convert::image_to_docker(&planned).map(drop)
        } else {
            convert::image_to_oci(&planned, self.config()?).map(drop)
        };
        converted.map_err(cannot_convert(self.manifest))
    }

    /// Copies layers and config, and returns what became of each layer.
    fn blobs(&self, diff_ids: Option<&[Digest]>, kinds: &[MediaType]) -> Result<Vec<Option<NewLayer>>, Error> {
        let layers = self.image.layers();
        let forms = diff_ids
            .unwrap_or_default()
            .iter()
            .map(|diff_id| NewForm::of(diff_id, self.run))
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        let mut items = Vec::new();
        // A config that is converted is another one.
        if kinds.first().is_some_and(|kind| keeps_config(self.manifest.media_type(), kind)) {
            let config = self.image.config();
            // An artifact may have one empty blob for both.
            seen.insert((config.digest().clone(), None));
            items.push(Item { kind: BlobKind::Config, descriptor: config, form: None });
        }
        for (index, descriptor) in layers.iter().enumerate() {
            let form = forms.get(index).filter(|_| self.may_layer_change(descriptor));
            if seen.insert((descriptor.digest().clone(), form.map(|form| &form.diff_id))) {
                items.push(Item { kind: BlobKind::Layer, descriptor, form });
            }
        }
        let made = self.copy_all(&items)?;
        let of_layer = |(index, layer): (usize, &Descriptor)| {
            let diff_id = diff_ids.and_then(|all| all.get(index)).filter(|_| self.may_layer_change(layer))?;
            made.get(&(layer.digest().to_string(), diff_id.clone())).cloned()
        };
        Ok(layers.iter().enumerate().map(of_layer).collect())
    }

    /// Copies blobs, several at a time. The first error stops the others.
    fn copy_all(&self, queue: &[Item<'_>]) -> Result<HashMap<(String, Digest), NewLayer>, Error> {
        let next = AtomicUsize::new(0);
        let stopped = AtomicBool::new(false);
        let failure = Mutex::new(None);
        let made = Mutex::new(HashMap::new());
        let workers = self.run.options.parallel_copies.get().min(queue.len());
        let job = Job {
            source: self.source,
            run: self.run,
            unchangeable: self.unchangeable,
            manifest: self.manifest.digest(),
            workers,
            stopped: &stopped,
        };
        // Of `self`, the threads see no more than this.
        let job = &job;
        let work = || {
            while let Some(item) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                match (job.copy(item), item.form) {
                    (Ok(Some(new)), Some(form)) => {
                        let key = (item.descriptor.digest().to_string(), form.diff_id.clone());
                        made.lock().unwrap_or_else(PoisonError::into_inner).insert(key, new);
                    }
                    (Ok(_), _) => {}
                    (Err(error), _) => {
                        // The cause first, then the word to stop: what the others say after it is only that they were
                        // stopped.
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        stopped.store(true, Ordering::Relaxed);
                        self.run.destination.give_up();
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The manifest as one of this kind, with its config at the destination.
    fn written(&self, edited: &ManifestBytes, kind: &MediaType) -> Result<ManifestBytes, Error> {
        let own = self.manifest.media_type();
        if kind == own {
            return Ok(edited.clone());
        }
        if keeps_config(own, kind) {
            return convert::image_to_docker(edited).map_err(cannot_convert(self.manifest));
        }
        let converted = convert::image_to_oci(edited, self.config()?).map_err(cannot_convert(self.manifest))?;
        if !self.run.destination.has_blob(&converted.config_descriptor)? {
            self.run.destination.put_blob(&converted.config_descriptor, &mut converted.config.as_slice())?;
        }
        Ok(converted.manifest)
    }
}

/// Docker has an OCI config as it is; OCI has not Docker's.
fn keeps_config(own: &MediaType, kind: &MediaType) -> bool {
    kind == own || *kind == MediaType::DOCKER_MANIFEST
}

pub(super) fn cannot_convert(manifest: &ManifestBytes) -> impl Fn(convert::Error) -> Error {
    let (digest, media_type) = (manifest.digest().clone(), manifest.media_type().clone());
    move |source| match source {
        convert::Error::Manifest(error @ manifest::Error::Schema1) => Error::Manifest(error),
        source => Error::Convert { manifest: digest.clone(), media_type: media_type.clone(), source },
    }
}
