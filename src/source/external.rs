//! A layer from its own URLs, and from the registry where they break off.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::failover::FailoverBody;
use super::places::Places;
use super::told_size::PlacedBody;
use super::{BlobBody, Error, Remedy, Served, ServedBy};
use crate::digest::{Digest, Mismatch};
use crate::registry::BlobStream;
use crate::registry::external::ExternalUrls;
use crate::safe_url::SafeUrl;

/// A layer from the first of its URLs that has it, from the next one where that breaks off, and from the registry where
/// all have.
pub(super) struct ExternalBody {
    places: Arc<Places>,
    digest: Digest,
    size: u64,
    /// Where the first URL begins.
    start: u64,
    urls: ExternalUrls,
    current: Current,
    /// What the URLs have delivered.
    served: Vec<(SafeUrl, u64)>,
}

enum Current {
    Url(Box<BlobStream>),
    Registry(Box<FailoverBody>),
}

impl ExternalBody {
    /// The bytes from `start` on.
    ///
    /// # Errors
    /// When none of the URLs answers. The registry was not asked then.
    pub(super) fn open(
        places: &Arc<Places>,
        digest: &Digest,
        size: u64,
        start: u64,
        urls: &[String],
    ) -> Result<Self, Error> {
        let settings = &places.settings;
        let mut urls = ExternalUrls::new(&settings.wire, &settings.clock, digest, size, urls);
        let (url, stream) = urls.next_stream(start).map_err(Error::Registry)?;
        let (places, digest, current) = (Arc::clone(places), digest.clone(), Current::Url(Box::new(stream)));
        Ok(Self { places, digest, size, start, urls, current, served: vec![(url, 0)] })
    }

    /// Goes on elsewhere.
    fn fail_over(&mut self, cause: &io::Error) -> Result<(), Error> {
        log::debug!("{}", crate::error::one_line(cause));
        let offset = self.served.iter().map(|(_, bytes)| bytes).sum::<u64>().saturating_add(self.start);
        self.current = if let Ok((url, stream)) = self.urls.next_stream(offset) {
            self.served.push((url, 0));
            Current::Url(Box::new(stream))
        } else {
            log::warn!("{}; asking the registry for the rest", crate::error::one_line(cause));
            let places = Arc::clone(&self.places);
            Current::Registry(Box::new(FailoverBody::open(places, self.digest.clone(), self.size, offset)?))
        };
        Ok(())
    }
}

impl Read for ExternalBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let stream = match &mut self.current {
                Current::Registry(body) => return body.read(buffer),
                Current::Url(stream) => stream,
            };
            match stream.read(buffer) {
                Ok(count) => {
                    if let Some((_, bytes)) = self.served.last_mut() {
                        *bytes += count as u64;
                    }
                    return Ok(count);
                }
                // Where the registry has nothing either, what it says is not the whole story.
                Err(cause) => match self.fail_over(&cause) {
                    Ok(()) => {}
                    Err(error) => {
                        log::warn!("{}", crate::error::one_line(&error));
                        return Err(cause);
                    }
                },
            }
        }
    }
}

impl BlobBody for ExternalBody {
    fn served(&self) -> Vec<Served> {
        let of_urls = self.served.iter().filter(|(_, bytes)| *bytes > 0);
        let of_urls = of_urls.map(|(url, bytes)| Served { by: ServedBy::Url(url.clone()), bytes: *bytes });
        let of_registry = match &self.current {
            Current::Registry(body) => body.served(),
            Current::Url(_) => Vec::new(),
        };
        of_urls.chain(of_registry).collect()
    }

    /// The registry may have the layer too, and is the one that is asked again.
    fn reject(&mut self, _mismatch: &Mismatch) -> Remedy {
        self.places.externals_distrusted.store(true, Ordering::Relaxed);
        Remedy::AskAgain
    }
}

impl PlacedBody for ExternalBody {
    fn is_from_only(&self, place: usize) -> bool {
        let is_of_registry = |body: &FailoverBody| body.is_from_only(place);
        self.served.iter().all(|(_, bytes)| *bytes == 0)
            && matches!(&self.current, Current::Registry(body) if is_of_registry(body))
    }
}
