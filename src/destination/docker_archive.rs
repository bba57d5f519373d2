//! `docker-archive:path[:reference]`: images in a tar file such as `docker load` and `podman load` read, for
//! [`DockerArchiveSource`](crate::source::DockerArchiveSource).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive::{Spool, Spooled, Target};
use super::{BlobInput, Error, ImageDestination, NewBlob};
use crate::digest::Digest;
use crate::manifest::{Descriptor, ImageManifest, MAX_CONFIG_SIZE, ManifestBytes, diff_ids};
use crate::media_type::MediaType;
use crate::reference::{ArchivedImage, DockerArchiveReference, ImageReference, Reference};

mod layout;

use layout::Image;

/// A tar file that takes several images. Nothing is written before [`finish`](Self::finish).
///
/// ```no_run
/// use transship::destination::DockerArchiveWriter;
/// use transship::{config::Config, copy, policy::Policy, source};
///
/// let config = Config::load()?;
/// let policy = Policy::new(config.policy()?);
/// let archive = DockerArchiveWriter::create("images.tar")?;
/// for name in ["quay.io/podman/hello:latest", "docker.io/library/busybox:1.36"] {
///     let source = source::open(&config, &format!("docker://{name}").parse()?)?;
///     let destination = archive.image(vec![name.parse()?])?;
///     copy::image(&*source, &destination, &policy, &copy::Options::default())?;
/// }
/// archive.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DockerArchiveWriter {
    shared: Arc<Shared>,
}

/// A place for one image in a tar file: the only one, or one of those of a [`DockerArchiveWriter`].
///
/// Layers are without compression there, and their digests are the diff ids of the image's configuration.
#[derive(Debug)]
pub struct DockerArchiveDestination {
    reference: ImageReference,
    tags: Vec<Reference>,
    shared: Arc<Shared>,
    /// Set for the only image: its commit writes the archive.
    is_alone: bool,
    image: Mutex<Option<Image>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    target: Target,
    spool: Spool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Configurations, and layers without compression.
    blobs: BTreeMap<Digest, Spooled>,
    images: Vec<Image>,
}

impl DockerArchiveWriter {
    /// Looks at what is there: a file with something in it is not added to, nor overwritten.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Ok(Self { shared: Arc::new(Shared::open(path.into())?) })
    }

    /// A place for one more image, under these tags, which an earlier image loses. It is in the archive once it was
    /// committed.
    pub fn image(&self, tags: Vec<Reference>) -> Result<DockerArchiveDestination, Error> {
        let image = tags.first().cloned().map_or(ArchivedImage::Only, ArchivedImage::Tagged);
        let reference = DockerArchiveReference::new(self.shared.path.clone(), image).map_err(Error::Reference)?;
        let mut destination = DockerArchiveDestination::new(reference, Arc::clone(&self.shared), false)?;
        destination.tags = tags.into_iter().map(tagged).collect::<Result<_, _>>()?;
        Ok(destination)
    }

    /// Writes the archive.
    pub fn finish(self) -> Result<(), Error> {
        self.shared.write()
    }
}

impl DockerArchiveDestination {
    /// Looks at what is there: a file with something in it is not added to, nor overwritten. A position (`@N`) is not a
    /// name to write to.
    pub fn open(reference: DockerArchiveReference) -> Result<Self, Error> {
        let shared = Arc::new(Shared::open(reference.path().to_owned())?);
        Self::new(reference, shared, true)
    }

    fn new(reference: DockerArchiveReference, shared: Arc<Shared>, is_alone: bool) -> Result<Self, Error> {
        let tags = match reference.image() {
            ArchivedImage::Only => Vec::new(),
            ArchivedImage::Tagged(tag) => vec![tag.clone()],
            ArchivedImage::Index(_) => return Err(Error::Position { path: reference.path().to_owned() }),
        };
        let reference = ImageReference::DockerArchive(reference);
        Ok(Self { reference, tags, shared, is_alone, image: Mutex::default() })
    }

    /// The same, for an image with more tags.
    pub fn with_additional_tags(mut self, tags: Vec<Reference>) -> Result<Self, Error> {
        for tag in tags {
            self.tags.push(tagged(tag)?);
        }
        Ok(self)
    }

    fn image(&self) -> MutexGuard<'_, Option<Image>> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, digest: &Digest) -> Result<Spooled, Error> {
        let missing = || Error::NoBlob { image: self.reference.clone(), digest: digest.clone() };
        self.shared.state().blobs.get(digest).cloned().ok_or_else(missing)
    }

    fn config(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let mut config = Vec::new();
        let read = self.blob(digest)?.reader().take(MAX_CONFIG_SIZE).read_to_end(&mut config);
        read.map_err(|source| Error::Read { digest: digest.clone(), source })?;
        Ok(config)
    }
}

impl ImageDestination for DockerArchiveDestination {
    fn reference(&self) -> &ImageReference {
        &self.reference
    }

    fn accepts_foreign_layers(&self) -> bool {
        false
    }

    fn accepts(&self, media_type: &MediaType) -> bool {
        *media_type == MediaType::DOCKER_MANIFEST
    }

    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        Ok(self.shared.state().blobs.contains_key(&digest))
    }

    fn put_blob(&self, descriptor: &Descriptor, input: &mut dyn BlobInput) -> Result<(), Error> {
        let digest = Digest::try_from(descriptor.digest()).map_err(Error::Digest)?;
        let spooled = self.shared.spool.take_in(&digest, input)?;
        self.shared.state().blobs.insert(digest, spooled);
        Ok(())
    }

    fn put_new_blob(&self, reader: &mut dyn Read) -> Result<NewBlob, Error> {
        let (blob, spooled) = self.shared.spool.take_in_new(reader)?;
        self.shared.state().blobs.insert(blob.digest.clone(), spooled);
        Ok(blob)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.shared.state().blobs.get(digest).map(Spooled::size))
    }

    fn wants_uncompressed_layers(&self) -> bool {
        true
    }

    fn put_manifest(&self, manifest: &ManifestBytes, instance: Option<&Digest>) -> Result<(), Error> {
        super::check_manifest(self, manifest, instance)?;
        let parsed = ImageManifest::parse(manifest)?;
        let config_digest = Digest::try_from(parsed.config().digest()).map_err(Error::Digest)?;
        let config = self.config(&config_digest)?;
        let diff_ids = diff_ids(&config, parsed.layers().len())
            .map_err(|source| Error::Config { image: self.reference.clone(), source })?;
        for (layer, diff_id) in parsed.layers().iter().zip(&diff_ids) {
            let layer = Digest::try_from(layer.digest()).map_err(Error::Digest)?;
            if layer != *diff_id {
                return Err(Error::NotTheDiffId { image: self.reference.clone(), layer, diff_id: diff_id.clone() });
            }
            self.blob(diff_id)?;
        }
        let image = Image { config_digest, config, layers: diff_ids, tags: self.tags.clone() };
        self.image().replace(image);
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let image = self.image().take().ok_or_else(|| Error::NoManifest { image: self.reference.clone() })?;
        self.shared.state().add(image);
        if self.is_alone { self.shared.write() } else { Ok(()) }
    }
}

impl Shared {
    fn open(path: PathBuf) -> Result<Self, Error> {
        if has_content(&path) {
            return Err(Error::ExistingArchive { path });
        }
        let target = Target::open(&path)?;
        let spool = target.spool()?;
        Ok(Self { path, target, spool, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> Result<(), Error> {
        let state = self.state();
        let documents =
            layout::Documents::of(&state.images).map_err(|source| Error::Json { path: self.path.clone(), source })?;
        self.target.write(|archive| documents.write(archive, &state.images, &state.blobs))
    }
}

impl State {
    /// The same image is there once, with the tags of both.
    fn add(&mut self, new: Image) {
        for image in &mut self.images {
            image.tags.retain(|tag| !new.tags.contains(tag));
        }
        match self.images.iter_mut().find(|image| image.config_digest == new.config_digest) {
            Some(same) => same.tags.extend(new.tags),
            None => self.images.push(new),
        }
    }
}

fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

fn tagged(tag: Reference) -> Result<Reference, Error> {
    let tag = tag.with_default_tag();
    if tag.digest().is_some() { Err(Error::ArchiveTag(tag)) } else { Ok(tag) }
}
