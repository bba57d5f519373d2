//! Layers that live outside the registry
//! ([image-spec, non-distributable layers](https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers)).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::blob_reader::{BlobServer, range_from};
use super::{BlobStream, Error, Operation, expect_status};
use crate::digest::Digest;
use crate::http::{Clock, Redirecting, Request, Response, RetryPolicy, Retrying, Tls, Wire};
use crate::safe_url::SafeUrl;

/// As many URLs of a layer are tried. A manifest has room for a hundred thousand, and whoever wrote it is not to send us
/// to as many places.
const MOST_URLS: usize = 8;

/// The URLs of a layer that were not tried yet, of its first eight. No credential, no header of ours and no client
/// certificate is ever sent there.
pub(crate) struct ExternalUrls {
    stack: Arc<dyn Wire>,
    clock: Arc<dyn Clock>,
    digest: Digest,
    size: u64,
    urls: VecDeque<SafeUrl>,
}

impl ExternalUrls {
    pub(crate) fn new(
        wire: &Arc<dyn Wire>,
        clock: &Arc<dyn Clock>,
        digest: &Digest,
        size: u64,
        urls: &[String],
    ) -> Self {
        let stack = Redirecting::new(Retrying::new(Arc::clone(wire), Arc::clone(clock), RetryPolicy::BRISK));
        let urls = urls.iter().filter_map(|text| text.parse::<SafeUrl>().ok()).take(MOST_URLS).collect();
        Self { stack: Arc::new(stack), clock: Arc::clone(clock), digest: digest.clone(), size, urls }
    }

    /// The bytes from `offset` on, from the next URL that has them.
    ///
    /// # Errors
    /// That of the last URL; [`Error::NoExternalUrl`] when there is none, or none that is http or https.
    pub(crate) fn next_stream(&mut self, offset: u64) -> Result<(SafeUrl, BlobStream), Error> {
        let mut failure = Error::NoExternalUrl { operation: reading(&self.digest) };
        while let Some(url) = self.urls.pop_front() {
            let server = External { stack: Arc::clone(&self.stack), clock: Arc::clone(&self.clock), url: url.clone() };
            match BlobStream::open(Arc::new(server), self.digest.clone(), self.size, offset) {
                Ok(stream) => return Ok((url, stream)),
                Err(error) => {
                    log::debug!("{}", crate::error::one_line(&error));
                    failure = error;
                }
            }
        }
        Err(failure)
    }
}

/// Who answers at one URL.
struct External {
    stack: Arc<dyn Wire>,
    clock: Arc<dyn Clock>,
    url: SafeUrl,
}

impl BlobServer for External {
    fn ask(&self, digest: &Digest, offset: u64) -> Result<Response, Error> {
        let operation = reading(digest);
        let mut request = Request::get(self.url.clone(), Arc::new(Tls::default()));
        let (headers, expected) = range_from(offset);
        (request.headers, request.is_large) = (headers, true);
        match self.stack.send(&request) {
            Ok(response) => expect_status(&operation, response, expected),
            Err(source) => Err(Error::Http { operation, source }),
        }
    }

    fn operation(&self, digest: &Digest) -> Operation {
        reading(digest)
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

fn reading(digest: &Digest) -> Operation {
    Operation::ReadingExternalBlob { digest: digest.clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::http::{self, HeaderMap, StatusCode, TestClock};

    #[derive(Default)]
    struct NotFound(AtomicUsize);

    impl Wire for NotFound {
        fn send(&self, request: &Request) -> Result<Response, http::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let (status, url) = (StatusCode::NOT_FOUND, request.url.clone());
            Ok(Response { status, headers: HeaderMap::new(), body: Box::new(std::io::empty()), url })
        }
    }

    #[test]
    fn an_image_cannot_send_us_to_any_number_of_places() {
        let wire = Arc::new(NotFound::default());
        let texts: Vec<_> = (0..1000).map(|n| format!("https://victim.example/{n}")).collect();
        let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
        let mut urls = ExternalUrls::new(&(Arc::clone(&wire) as _), &clock, &Digest::sha256(b""), 0, &texts);
        assert!(matches!(urls.next_stream(0), Err(Error::Response { .. })));
        assert!(matches!(urls.next_stream(0), Err(Error::NoExternalUrl { .. })));
        assert_eq!(wire.0.load(Ordering::Relaxed), MOST_URLS);
    }
}
