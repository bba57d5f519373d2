//! Layers that live outside the registry
//! ([image-spec, non-distributable layers](https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers)).

use std::sync::Arc;

use super::{Error, Operation, expect_status};
use crate::digest::Digest;
use crate::http::{Body, Clock, Redirecting, Request, RetryPolicy, Retrying, StatusCode, Tls, Wire};
use crate::safe_url::SafeUrl;

/// As many URLs of a layer are tried. A manifest has room for a hundred thousand, and whoever wrote it is not to send us
/// to as many places.
const MOST_URLS: usize = 8;

/// The first of a layer's URLs that answers, of the first eight. No credential, no header of ours and no client
/// certificate is ever sent there.
///
/// # Errors
/// That of the last URL tried; [`Error::NoExternalUrl`] when none is http or https.
pub(crate) fn open(
    wire: &Arc<dyn Wire>,
    clock: &Arc<dyn Clock>,
    digest: &Digest,
    urls: &[String],
) -> Result<(SafeUrl, Body), Error> {
    let operation = Operation::ReadingExternalBlob { digest: digest.clone() };
    let stack = Redirecting::new(Retrying::new(Arc::clone(wire), Arc::clone(clock), RetryPolicy::BRISK));
    let mut failure = Error::NoExternalUrl { operation: operation.clone() };
    for url in urls.iter().filter_map(|text| text.parse::<SafeUrl>().ok()).take(MOST_URLS) {
        let outcome = stack
            .send(&Request::get(url.clone(), Arc::new(Tls::default())))
            .map_err(|source| Error::Http { operation: operation.clone(), source })
            .and_then(|response| expect_status(&operation, response, &[StatusCode::OK]));
        match outcome {
            Ok(response) => return Ok((url, response.body)),
            Err(error) => {
                log::debug!("{}", crate::error::one_line(&error));
                failure = error;
            }
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::http::{self, HeaderMap, Response, TestClock};

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
        let urls: Vec<_> = (0..1000).map(|n| format!("https://victim.example/{n}")).collect();
        let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
        let outcome = open(&(Arc::clone(&wire) as _), &clock, &Digest::sha256(b""), &urls);
        assert!(matches!(outcome, Err(Error::Response { .. })));
        assert_eq!(wire.0.load(Ordering::Relaxed), MOST_URLS);
    }
}
