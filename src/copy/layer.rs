//! A layer that changes its compression on the way.

use std::io::{self, Read};
use std::num::NonZeroUsize;

use super::blob::Job;
use super::{Error, LayerCompression, Run};
use crate::compression::Decompressed;
use crate::digest::{Digest, Hasher, Mismatch};
use crate::manifest::edit::NewLayer;

/// What a layer is without its compression, and what is known of its new form.
pub(super) struct NewForm {
    pub(super) diff_id: Digest,
    /// It was at the destination before the image was begun. Two layers that are said to be one without compression are
    /// both looked at.
    pub(super) is_there: Option<NewLayer>,
}

impl NewForm {
    pub(super) fn of(diff_id: &Digest, run: &Run<'_>) -> Result<Self, Error> {
        let is_there = match run.layers {
            LayerCompression::Decompressed => {
                let size = run.destination.blob_size(diff_id)?;
                size.map(|size| NewLayer { digest: diff_id.clone(), size, compression: None })
            }
            _ => None,
        };
        Ok(Self { diff_id: diff_id.clone(), is_there })
    }

    /// Of a layer without compression, the digest is the diff id.
    pub(super) fn check_plain(&self, digest: &Digest) -> Result<(), Error> {
        if self.diff_id == *digest || self.diff_id.algorithm() != digest.algorithm() {
            return Ok(());
        }
        let mismatch = Mismatch::Digest { expected: self.diff_id.clone(), found: digest.clone() };
        Err(Error::Layer { digest: digest.clone(), source: mismatch.into() })
    }
}

impl Job<'_> {
    /// Hands a layer over in its new form.
    pub(super) fn remake(&self, digest: &Digest, layer: impl Read, diff_id: &Digest) -> Result<NewLayer, Error> {
        let damaged = |source| Error::Layer { digest: digest.clone(), source };
        let stream = Decompressed::new(layer).map_err(damaged)?;
        let hasher = Hasher::new(diff_id.algorithm());
        let mut reader = DiffIdReader { stream, hasher, diff_id, failure: None };
        let outcome = match self.run.layers.compressor() {
            None => self.run.destination.put_new_blob(&mut reader),
            Some(compressor) => {
                let mut made = compressor.compress(&mut reader, self.threads()).map_err(damaged)?;
                self.run.destination.put_new_blob(&mut made)
            }
        };
        if let Some(failure) = reader.failure {
            return Err(damaged(failure));
        }
        let blob = outcome?;
        let compression = self.run.layers.made();
        if let Some(cache) = self.run.options.blob_info {
            cache.record_compressed(diff_id, digest, reader.stream.compression());
            cache.record_compressed(diff_id, &blob.digest, compression);
        }
        Ok(NewLayer { digest: blob.digest, size: blob.size, compression })
    }

    /// Those of the machine, shared with the other blobs.
    fn threads(&self) -> NonZeroUsize {
        let all = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(all / self.workers.max(1)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// A layer without its compression, whose end comes only when it is the one with this diff id.
struct DiffIdReader<'a, R: Read> {
    stream: Decompressed<R>,
    hasher: Hasher,
    diff_id: &'a Digest,
    failure: Option<io::Error>,
}

impl<R: Read> DiffIdReader<'_, R> {
    fn read_checked(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        if count == 0 && !buffer.is_empty() {
            let (expected, found) = (self.diff_id.clone(), self.hasher.clone().finish());
            if expected != found {
                return Err(Mismatch::Digest { expected, found }.into());
            }
        }
        Ok(count)
    }
}

impl<R: Read> Read for DiffIdReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_checked(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}
