//! One blob.

use std::io::{self, Read};
use std::sync::atomic::AtomicBool;

use super::error::{Change, Unchangeable};
use super::layer::NewForm;
use super::watched::{WatchedReader, read_error};
use super::{BlobKind, BlobOutcome, Error, Event, Run, reuse};
use crate::compression;
use crate::destination::{BlobInput, ImageDestination};
use crate::digest::Digest;
use crate::manifest::edit::NewLayer;
use crate::manifest::layer_type::LayerType;
use crate::manifest::{Descriptor, MAX_CONFIG_SIZE};
use crate::reference::Name;
use crate::source::{self, ImageSource};

/// A blob of an image.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) kind: BlobKind,
    pub(super) descriptor: &'a Descriptor,
    /// For a layer whose compression may change.
    pub(super) form: Option<&'a NewForm>,
}

/// The copy of one image's blobs: what is the same for all of them.
pub(super) struct Job<'a> {
    pub(super) source: &'a dyn ImageSource,
    pub(super) run: &'a Run<'a>,
    /// The image, and why it must stay as it is.
    pub(super) manifest: &'a Digest,
    pub(super) unchangeable: Option<Unchangeable>,
    /// How many blobs are copied at a time.
    pub(super) workers: usize,
    /// Set when one of them failed.
    pub(super) stopped: &'a AtomicBool,
}

/// What the destination has for a blob.
enum Found {
    Nothing,
    /// The blob.
    AsIs,
    /// The form that it was to get.
    As(NewLayer),
    /// The blob, now that the registry has taken it over from there.
    TakenOver(Name),
}

impl Job<'_> {
    /// Copies a blob unless it is there already, the registry has it elsewhere, or it may stay where it is. Returns what it
    /// became, if it changed.
    pub(super) fn copy(&self, item: &Item<'_>) -> Result<Option<NewLayer>, Error> {
        let Item { kind, descriptor, .. } = *item;
        let digest = Digest::try_from(descriptor.digest()).map_err(source::Error::Digest)?;
        let progress = self.run.options.progress;
        progress.event(&Event::Started { digest: &digest, kind, size: descriptor.size() });
        let (outcome, new) = if stays_elsewhere(descriptor, self.run.destination) {
            (BlobOutcome::LeftElsewhere, None)
        } else {
            match self.find(item, &digest)? {
                Found::AsIs => (BlobOutcome::AlreadyPresent, None),
                Found::As(new) => (BlobOutcome::AlreadyPresent, Some(new)),
                Found::TakenOver(from) => (BlobOutcome::Mounted { from }, None),
                Found::Nothing => self.transfer(item, &digest)?,
            }
        };
        self.run.count(&outcome);
        reuse::remember(self, item, &digest, &outcome, new.as_ref());
        progress.event(&Event::Finished { digest: &digest, kind, outcome: &outcome });
        Ok(new)
    }

    fn find(&self, item: &Item<'_>, digest: &Digest) -> Result<Found, Error> {
        let as_is = || {
            if self.run.destination.has_blob(item.descriptor)? {
                return Ok(Found::AsIs);
            }
            Ok(reuse::mount(self, item, digest)?.map_or(Found::Nothing, Found::TakenOver))
        };
        // What must not change is only itself.
        let Some(form) = item.form.filter(|_| self.unchangeable.is_none()) else { return as_is() };
        let made = self.run.made().get(&(digest.clone(), form.diff_id.clone())).cloned();
        if let Some(new) = made.or_else(|| form.is_there.clone()) {
            return Ok(if new.digest == *digest { Found::AsIs } else { Found::As(new) });
        }
        let stated = LayerType::of(item.descriptor.media_type().as_ref()).and_then(|kind| kind.compression);
        if self.run.layers.is_met_by(stated) {
            return as_is();
        }
        Ok(reuse::made_before(self, form)?.map_or(Found::Nothing, Found::As))
    }

    /// Bytes that turn out wrong are read once more, from their beginning, while the source has another place to read them
    /// from, or may not be the one to blame.
    fn transfer(&self, item: &Item<'_>, digest: &Digest) -> Result<(BlobOutcome, Option<NewLayer>), Error> {
        let mut may_resume = true;
        loop {
            let mut reader = WatchedReader::new(self, item.descriptor, digest, may_resume);
            let outcome = match item.form {
                None => self.put(item, &mut reader).map(|()| None),
                Some(form) => self.put_in_form(item, form, digest, &mut reader),
            };
            let served = reader.served();
            match (outcome, reader.failure()) {
                (Ok(None), _) => return Ok((BlobOutcome::Copied { served, resumed_at: reader.resumed_at() }, None)),
                (Ok(Some(new)), _) => {
                    if let Some(form) = item.form {
                        self.run.made().insert((digest.clone(), form.diff_id.clone()), new.clone());
                    }
                    let (became, size) = (new.digest.clone(), new.size);
                    return Ok((BlobOutcome::Recompressed { served, became, size }, Some(new)));
                }
                (Err(_), Some(_)) if reader.is_worth_another_try() => {
                    self.run.options.progress.event(&Event::Restarted { digest });
                    may_resume = false;
                }
                (Err(_), Some(failure)) => return Err(read_error(digest, failure)),
                (Err(error), None) => return Err(error),
            }
        }
    }

    fn put(&self, item: &Item<'_>, input: &mut dyn BlobInput) -> Result<(), Error> {
        Ok(self.run.destination.put_blob(item.descriptor, input)?)
    }

    /// Its first bytes tell what a layer is, whatever its media type says.
    fn put_in_form(
        &self,
        item: &Item<'_>,
        form: &NewForm,
        digest: &Digest,
        reader: &mut WatchedReader<'_>,
    ) -> Result<Option<NewLayer>, Error> {
        let (compression, stream) =
            compression::tell(&mut *reader).map_err(|source| Error::Layer { digest: digest.clone(), source })?;
        if self.run.layers.is_met_by(compression) {
            if compression.is_none() {
                form.check_plain(digest)?;
            }
            let mut stream: Box<dyn Read> = Box::new(stream);
            return self.put(item, &mut stream).map(|()| None);
        }
        if let Some(reason) = self.unchangeable {
            let manifest = self.manifest.clone();
            return Err(Error::CannotChange { manifest, change: Change::Recompressed, reason });
        }
        let outcome = self.remake(digest, stream, &form.diff_id);
        if matches!(outcome, Err(Error::Layer { .. })) && !reader.has_failed() {
            // Bytes that are not those of the layer cannot be decompressed either. Its digest tells, at the end.
            let _ = io::copy(reader, &mut io::sink());
        }
        outcome.map(Some)
    }
}

/// True for a foreign layer that need not come along.
pub(super) fn stays_elsewhere(layer: &Descriptor, destination: &dyn ImageDestination) -> bool {
    destination.accepts_foreign_layers() && layer.urls().as_ref().is_some_and(|urls| !urls.is_empty())
}

/// The bytes of an image's config, verified.
pub fn read_config(source: &dyn ImageSource, config: &Descriptor) -> Result<Vec<u8>, Error> {
    let digest = Digest::try_from(config.digest()).map_err(source::Error::Digest)?;
    if config.size() > MAX_CONFIG_SIZE {
        return Err(Error::ConfigTooLarge { digest, size: config.size(), limit: MAX_CONFIG_SIZE });
    }
    loop {
        let mut reader = source.blob(config)?;
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => return Ok(bytes),
            Err(_) if reader.is_worth_another_try() => {}
            Err(error) => return Err(read_error(&digest, error)),
        }
    }
}
