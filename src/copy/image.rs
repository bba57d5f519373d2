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
    let copy = ImageCopy { allowed, run, image: &image, unchangeable, config: OnceCell::new() };
    let changes = copy.wanted_changes()?;
    let kinds = copy.kinds(changes.is_some())?;
    copy.check_conversion(&kinds)?;
    let layers = copy.blobs(changes.as_deref(), &kinds)?;
    let edited = with_layers(manifest, &layers).map_err(cannot_convert(manifest))?;
    run.publish(&kinds, &carried, is_instance, |kind| copy.written(&edited, kind))
}

struct ImageCopy<'a> {
    allowed: &'a AllowedImage<'a>,
    run: &'a Run<'a>,
    image: &'a ImageManifest,
    unchangeable: Option<Unchangeable>,
    /// The bytes of the config, once somebody wanted them.
    config: OnceCell<Vec<u8>>,
}

impl<'a> ImageCopy<'a> {
    fn manifest(&self) -> &'a ManifestBytes {
        self.allowed.manifest()
    }

    fn config(&self) -> Result<&[u8], Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = blob::read_config(self.allowed.source(), self.image.config())?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The diff ids, if layers of this image may have to change; the config is read for that.
    fn wanted_changes(&self) -> Result<Option<Vec<Digest>>, Error> {
        let layers = self.image.layers();
        let may_change = self.run.layers != LayerCompression::Kept && layers.iter().any(is_tar);
        if !may_change {
            return Ok(None);
        }
        let says_other = |layer: &&Descriptor| {
            let stated = LayerType::of(layer.media_type().as_ref());
            stated.is_some_and(|stated| !self.run.layers.is_met_by(stated.compression))
        };
        if let (Some(reason), true) = (self.unchangeable, layers.iter().any(|layer| says_other(&layer))) {
            let manifest = self.manifest().digest().clone();
            return Err(Error::CannotChange { manifest, change: Change::Recompressed, reason });
        }
        let diff_ids = diff_ids(self.config()?, layers.len())
            .map_err(|source| Error::DiffIds { manifest: self.manifest().digest().clone(), source })?;
        Ok(Some(diff_ids))
    }

    fn kinds(&self, may_change: bool) -> Result<Vec<MediaType>, Error> {
        let own = self.manifest().media_type();
        let choice = Kinds {
            own,
            accepts: &|kind| self.run.destination.accepts(kind),
            forced: self.run.options.format.map(ManifestFormat::image),
            needs_oci: may_change && self.run.layers.makes_zstd(),
            unchangeable: self.unchangeable,
        };
        plan::kinds(self.manifest().digest(), &choice)
    }

    /// What cannot be converted is better known before the layers are copied. Layers that change may make it possible.
    fn check_conversion(&self, kinds: &[MediaType]) -> Result<(), Error> {
        let manifest = self.manifest();
        let own = manifest.media_type();
        let Some(kind) = kinds.first().filter(|kind| *kind != own) else { return Ok(()) };
        if !keeps_config(own, kind) {
            convert::image_to_oci(manifest, self.config()?).map(drop).map_err(cannot_convert(manifest))
        } else if self.run.layers == LayerCompression::Kept {
            convert::image_to_docker(manifest).map(drop).map_err(cannot_convert(manifest))
        } else {
            Ok(())
        }
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
        if kinds.first().is_some_and(|kind| keeps_config(self.manifest().media_type(), kind)) {
            let config = self.image.config();
            // An artifact may have one empty blob for both.
            seen.insert((config.digest().clone(), None));
            items.push(Item { kind: BlobKind::Config, descriptor: config, form: None });
        }
        for (index, descriptor) in layers.iter().enumerate() {
            let form = forms.get(index).filter(|_| is_tar(descriptor));
            if seen.insert((descriptor.digest().clone(), form.map(|form| &form.diff_id))) {
                items.push(Item { kind: BlobKind::Layer, descriptor, form });
            }
        }
        let made = self.copy_all(&items)?;
        let of_layer = |(index, layer): (usize, &Descriptor)| {
            let diff_id = diff_ids.and_then(|all| all.get(index));
            made.get(&(layer.digest().to_string(), diff_id?.clone())).cloned()
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
            source: self.allowed.source(),
            run: self.run,
            unchangeable: self.unchangeable,
            manifest: self.manifest().digest(),
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
        let own = self.manifest().media_type();
        if kind == own {
            return Ok(edited.clone());
        }
        if keeps_config(own, kind) {
            return convert::image_to_docker(edited).map_err(cannot_convert(edited));
        }
        let converted = convert::image_to_oci(edited, self.config()?).map_err(cannot_convert(edited))?;
        if !self.run.destination.has_blob(&converted.config_descriptor)? {
            self.run.destination.put_blob(&converted.config_descriptor, &mut converted.config.as_slice())?;
        }
        Ok(converted.manifest)
    }
}

/// Whatever is not a tar file keeps its bytes.
fn is_tar(layer: &Descriptor) -> bool {
    LayerType::of(layer.media_type().as_ref()).is_some()
}

/// Docker has an OCI config as it is; OCI has not Docker's.
fn keeps_config(own: &MediaType, kind: &MediaType) -> bool {
    kind == own || *kind == MediaType::DOCKER_MANIFEST
}

fn cannot_convert(manifest: &ManifestBytes) -> impl Fn(convert::Error) -> Error {
    let media_type = manifest.media_type().clone();
    move |source| match source {
        convert::Error::Manifest(error @ manifest::Error::Schema1) => Error::Manifest(error),
        source => Error::Convert { media_type: media_type.clone(), source },
    }
}
