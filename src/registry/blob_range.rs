//! One part of a blob.

use std::ops::Range;
use std::sync::Arc;

use super::blob_reader::{BlobServer as _, content_range_problem};
use super::{Error, RegistryClient, expect_status};
use crate::digest::Digest;
use crate::http::{self, Body, HeaderValue, Request, StatusCode, header};

/// The answer to a request for a part of a blob: exactly that part, unverified.
pub(crate) struct BlobRange {
    /// As it arrives. It may be shorter or longer than it should be.
    pub(crate) body: Body,
    /// What the server calls this state of the blob, where it says that it is the same byte for byte.
    pub(crate) etag: Option<HeaderValue>,
    /// Whether the server says that the body is as long as the part.
    pub(crate) is_exact: bool,
}

impl RegistryClient {
    /// A part of a blob, which is not empty.
    ///
    /// # Errors
    /// Whoever answers with anything else, with another part, or of another total, has
    /// [refused the range](Error::is_range_refused).
    pub(crate) fn blob_range(&self, digest: &Digest, size: u64, range: &Range<u64>) -> Result<BlobRange, Error> {
        let operation = self.operation(digest);
        let mut request = Request::get(self.url(&operation, &format!("blobs/{digest}"))?, Arc::clone(&self.tls));
        let last = range.end.saturating_sub(1);
        let bounds = HeaderValue::from_str(&format!("bytes={}-{last}", range.start));
        request.headers.extend(bounds.map(|bounds| (header::RANGE, bounds)));
        request.is_large = true;
        let response = self.send(&operation, &mut request)?;
        let response = expect_status(&operation, response, &[StatusCode::PARTIAL_CONTENT, StatusCode::OK])?;
        let problem = match response.status {
            StatusCode::OK => Some("the whole".to_owned()),
            // A range of encoded bytes is counted in those.
            _ if http::is_encoded(&response) => Some("an encoded part".to_owned()),
            _ => content_range_problem(&response, range.start, last, size),
        };
        if let Some(found) = problem {
            return Err(Error::WrongRange { operation, offset: range.start, found });
        }
        let etag = response.headers.get(header::ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/")).cloned();
        let length = response.single_header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let is_exact = length == range.end.checked_sub(range.start);
        Ok(BlobRange { body: response.body, etag, is_exact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, Response, RetryPolicy, TestClock, Wire};
    use crate::reference::Reference;
    use crate::registry::{Endpoint, Identity};

    /// Answers with three bytes, and states another length for them.
    struct Stating(Option<&'static str>);

    impl Wire for Stating {
        fn send(&self, request: &Request) -> Result<Response, http::Error> {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, HeaderValue::from_static("bytes 2-4/10"));
            headers.extend(self.0.map(|length| (header::CONTENT_LENGTH, HeaderValue::from_static(length))));
            let (status, url) = (StatusCode::PARTIAL_CONTENT, request.url.clone());
            Ok(Response { status, headers, body: Box::new(&b"234"[..]), url })
        }
    }

    #[test]
    fn the_end_of_a_part_is_known_only_where_its_length_is_the_right_one() {
        for (length, is_exact) in [(Some("3"), true), (Some("4"), false), (Some("2"), false), (None, false)] {
            let (wire, clock) = (Arc::new(Stating(length)), Arc::new(TestClock::default()));
            let (tls, identity, retry) = (Arc::default(), Identity::default(), RetryPolicy::BRISK);
            let endpoint = Endpoint { wire, clock, tls, insecure: false, identity, retry, address: None };
            let name = "r.example/app".parse::<Reference>().unwrap().name().clone();
            let range = RegistryClient::new(name, endpoint).blob_range(&Digest::sha256(b""), 10, &(2..5)).unwrap();
            assert_eq!(range.is_exact, is_exact, "{length:?}");
        }
    }
}
